#include "weft/data/collate.h"

#include <algorithm>
#include <cstring>

#include "weft/autograd/grad_mode.h"
#include "weft/core/backend.h"

namespace weft::data::impl {
namespace {

/// "sample 3 of the batch", with the field: "sample 3 of the batch, .target,".
std::string row_text(const std::string& field, int64_t row) {
  return str("collate: sample ", row, " of the batch", field.empty() ? "" : ", " + field + ",");
}

void check_defined_alike(const std::string& field, int64_t row, bool defined, bool first_defined) {
  WEFT_CHECK(defined == first_defined, ValueError, row_text(field, row), defined ? " has a" : " has no",
             " tensor, unlike the first one");
}
void check_dtype_alike(const std::string& field, int64_t row, const Tensor& x, const Tensor& first) {
  WEFT_CHECK(x.dtype() == first.dtype(), DtypeError, row_text(field, row), " is ", x.dtype(), " but the first one is ",
             first.dtype());
  WEFT_CHECK(x.device() == first.device(), DeviceError, row_text(field, row), " is on ", x.device(),
             " but the first one on ", first.device());
}

Tensor new_batch(const Shape& shape, const Strides& strides, const TensorOptions& o, bool pin) {
  if (!pin || o.device().type != DeviceType::cpu) return empty_strided(shape, strides, o);
  Backend& b = backend(DeviceType::cuda);
  const size_t bytes = static_cast<size_t>(shape.numel()) * itemsize(o.dtype());
  void* p = b.allocate_pinned(bytes);
  return from_blob(p, shape, strides, o, [&b, p, bytes] { b.deallocate_pinned(p, bytes); });
}

bool same_order(const Tensor& x, const Strides& strides) {
  for (int i = 0; i < x.rank(); ++i)
    if (x.shape()[i] != 1 && x.strides()[i] != strides[i + 1]) return false;
  return true;
}

}  // namespace

void raise_length(const std::string& field, size_t row, size_t got, size_t expected) {
  raise<ShapeError>(row_text(field, static_cast<int64_t>(row)), " has ", got, " entries but the first one ", expected);
}

Tensor pinned_if(bool pin, Tensor x) {
  return pin && x.defined() && x.device().type == DeviceType::cpu ? x.pin_memory() : x;
}

StackedRows::StackedRows(int64_t capacity, const CollateSettings<StackSamples>& s, std::string field)
    : capacity_(capacity), pin_(s.pin), field_(std::move(field)) {}

void StackedRows::check(const Tensor& x) const {
  const int64_t row = rows_ + undefined_;
  if (row == 0) return;
  check_defined_alike(field_, row, x.defined(), undefined_ == 0);
  if (!x.defined()) return;
  check_dtype_alike(field_, row, x, batch_);
  WEFT_CHECK(x.shape() == batch_.shape().slice(1), ShapeError, row_text(field_, row), " has the shape ", x.shape(),
             " but the first one ", batch_.shape().slice(1),
             "; make them alike, or collate with data::PadSamples() or data::ListSamples()");
}

void StackedRows::add(const Tensor& x) {
  if (!x.defined()) {
    ++undefined_;
    return;
  }
  if (!batch_.defined()) {
    Shape shape = x.shape();
    shape.insert(0, capacity_);
    Strides strides = empty_like(x).strides();
    strides.insert(0, x.numel());
    batch_ = new_batch(shape, strides, x.options(), pin_);
  }
  const NoGrad guard;
  const size_t bytes = x.nbytes();
  if (bytes == 0) {
  } else if (x.is_cpu() && same_order(x, batch_.strides()) && x.is_dense()) {
    std::memcpy(static_cast<char*>(batch_.mut_raw_data()) + static_cast<size_t>(rows_) * bytes, x.raw_data(), bytes);
  } else {
    batch_.select(0, rows_).copy_(x);
  }
  ++rows_;
}

Tensor StackedRows::finish() {
  if (!batch_.defined() || rows_ == capacity_) return std::move(batch_);
  const NoGrad guard;
  return batch_.narrow(0, 0, rows_);
}

void PaddedRows::check(const Tensor& x) const {
  if (kept_.empty()) return;
  const auto row = static_cast<int64_t>(kept_.size());
  check_defined_alike(field_, row, x.defined(), kept_[0].defined());
  if (!x.defined()) return;
  check_dtype_alike(field_, row, x, kept_[0]);
  WEFT_CHECK(x.rank() == kept_[0].rank(), ShapeError, row_text(field_, row), " has the shape ", x.shape(),
             " but the first one ", kept_[0].shape(), "; data::PadSamples() takes tensors of one rank");
}

Padded PaddedRows::finish() {
  if (kept_.empty() || !kept_[0].defined()) return {};
  const NoGrad guard;
  const auto n = static_cast<int64_t>(kept_.size());
  const int rank = kept_[0].rank();
  Shape shape = kept_[0].shape();
  std::vector<int64_t> lengths, sizes;
  for (const Tensor& x : kept_) {
    for (int i = 0; i < rank; ++i) shape[i] = std::max(shape[i], x.shape()[i]), sizes.push_back(x.shape()[i]);
    lengths.push_back(rank == 0 ? 1 : x.shape()[0]);
  }
  shape.insert(0, n);
  Strides strides = shape;
  for (int64_t i = rank, step = 1; i >= 0; step *= shape[static_cast<int>(i)], --i) strides[static_cast<int>(i)] = step;
  Tensor batch = new_batch(shape, strides, kept_[0].options(), settings_.pin);
  weft::detail::check_holds("collate", settings_.policy.value, batch.dtype());
  batch.fill_(settings_.policy.value);
  for (int64_t row = 0; row < n; ++row) {
    const Tensor& x = kept_[static_cast<size_t>(row)];
    if (x.numel() == 0) continue;
    Tensor part = batch.select(0, row);
    for (int i = 0; i < rank; ++i) part = part.narrow(i, 0, x.shape()[i]);
    part.copy_(x);
  }
  return {batch, pinned_if(settings_.pin, tensor(lengths)), pinned_if(settings_.pin, tensor(sizes, {n, rank}))};
}

std::vector<Tensor> ListedRows::finish() {
  for (Tensor& x : kept_) x = pinned_if(pin_, x.defined() ? x.detach() : x);
  return std::move(kept_);
}

}  // namespace weft::data::impl
