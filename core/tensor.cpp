#include "weft/core/tensor.h"

#include <algorithm>

#include "weft/core/backend.h"
#include "weft/core/kernels.h"

namespace weft {

void detail::raise_undefined(const char* op) {
  raise<ValueError>(op, ": got an undefined Tensor (default-made or moved from); see defined()");
}

int64_t Tensor::size(Int dim) const {
  WEFT_CHECK(rank() > 0, ShapeError, "size: a rank-0 tensor has no dim ", dim);
  return shape()[wrap_dim("size", dim, rank())];
}

int64_t Tensor::stride(Int dim) const {
  WEFT_CHECK(rank() > 0, ShapeError, "stride: a rank-0 tensor has no dim ", dim);
  return strides()[wrap_dim("stride", dim, rank())];
}

void Tensor::check_accessor(int n) const {
  WEFT_CHECK(rank("accessor") == n, ShapeError, "accessor: asked for rank ", n, ", but the tensor is ", shape());
}

bool Tensor::is_channels_last() const {
  if (rank() < 3) return false;
  int64_t step = 1;
  auto ok = [&](int i) {
    bool good = impl_->shape[i] == 1 || impl_->strides[i] == step;
    step *= impl_->shape[i];
    return good;
  };
  if (!ok(1)) return false;
  for (int i = rank() - 1; i >= 2; --i)
    if (!ok(i)) return false;
  return ok(0);
}

bool Tensor::is_dense() const {
  if (is_contiguous()) return true;
  if (is_channels_last()) return true;
  // axes ordered by stride: each must continue where the previous ended
  int order[kMaxRank];
  int64_t step = 1;
  for (int n = fn::memory_order(order, impl_->strides.data(), rank()); n > 0; --n) {
    const int i = order[n - 1];
    if (impl_->shape[i] == 1) continue;
    if (impl_->strides[i] != step) return impl_->numel == 0;
    step *= impl_->shape[i];
  }
  return true;
}

Scalar Tensor::item() const {
  check_defined("item", *this);
  WEFT_CHECK(numel() == 1, ShapeError, "item: needs a tensor of one element, got shape ", shape());
  if (detail::observed()) [[unlikely]]
    detail::refuse_recorded(*this, "item");
  alignas(8) char value[8];
  if (device().type == DeviceType::cpu) {
    std::copy_n(static_cast<const char*>(raw_data()), itemsize(dtype()), value);
  } else {
    backend(device().type).copy(value, Device(), raw_data(), device(), itemsize(dtype()), false);
    check_device(device());
  }
  Scalar s = 0;
  dispatch_all(dtype(), "item", [&]<class T> {
    T v;
    std::copy_n(value, sizeof(T), reinterpret_cast<char*>(&v));
    if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>) s = Scalar(static_cast<float>(v));
    else s = Scalar(v);
  });
  return s;
}

}  // namespace weft
