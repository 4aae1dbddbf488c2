#include <algorithm>
#include <limits>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/embedding.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/search.h"
#include "weft/autograd/ops/refuse.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

/// Where bags begin in an index of n entries, and where the last one ends: [B + 1] i64.
Tensor bag_bounds(const char* op, const Tensor& offsets, int64_t n, bool include_last) {
  Tensor from = offsets.to(Dtype::i64);
  if (!include_last) from = cat({from, full({1}, n, from.options())});
  constexpr const char* kWrong = "offsets must rise from 0 to at most the entries of the index";
  WEFT_CHECK(from.numel() > 0, ValueError, op, ": ", kWrong);
  const int64_t bags = from.numel() - 1;
  const Tensor begins = from.narrow(0, 0, bags), ends = from.narrow(0, 1, bags);
  detail::refuse_any(op, cat({ne(from.narrow(0, 0, 1), 0), gt(begins, ends), gt(from.narrow(0, bags, 1), n)}), kWrong,
                     ", got ", offsets, " for ", n);
  return from;
}

/// Positions in the flat index, one bag in each row, -1 beyond its end.
Tensor bag_positions(const Tensor& bounds, const Device& device) {
  const std::vector<int64_t> from = bounds.to_vector<int64_t>();  // the longest bag is a size of the result
  const size_t bags = from.size() - 1;
  int64_t width = 0;
  for (size_t b = 0; b < bags; ++b) width = std::max(width, from[b + 1] - from[b]);
  std::vector<int64_t> at(bags * static_cast<size_t>(width), -1);
  for (size_t b = 0; b < bags; ++b)
    for (int64_t i = from[b]; i < from[b + 1]; ++i)
      at[b * static_cast<size_t>(width) + static_cast<size_t>(i - from[b])] = i;
  return tensor(at, Shape{static_cast<int64_t>(bags), width}).to(device);
}

}  // namespace

void embedding_renorm_(const Tensor& weight, const Tensor& index, double max_norm, double norm_type) {
  check_defined("embedding_renorm_", weight, index);
  const NoGrad off;
  if (index.numel() == 0) return;
  Tensor w = weight.detach();
  const Tensor at = index.reshape({index.numel()});
  const Tensor named = index_select(w, 0, at).to(compute_dtype(w.dtype()));
  const Tensor size = vector_norm(named, norm_type, 1, true);
  // a row that is named twice gets the same numbers twice
  w.index_copy_(0, at, (named * where(gt(size, max_norm), max_norm / (size + 1e-7), 1)).to(w.dtype()));
}

Tensor embedding_bag(const Tensor& index, const Tensor& weight, const Tensor& offsets, const EmbeddingBagOptions& o) {
  const OpName op("embedding_bag");
  WEFT_CHECK(weight.rank() == 2, ShapeError, "weight must be [V, D], got ", weight.shape());
  WEFT_CHECK(index.rank() == 1 || index.rank() == 2, ShapeError, "index must be [B, n] or [n], got ", index.shape());
  WEFT_CHECK(offsets.defined() == (index.rank() == 1), ValueError,
             offsets.defined() ? "only an index of rank 1 takes offsets" : "an index of rank 1 needs offsets",
             ", got index ", index.shape());
  WEFT_CHECK(!offsets.defined() || offsets.rank() == 1, ShapeError, "offsets must be [B], got ", offsets.shape());
  WEFT_CHECK(!offsets.defined() || is_integral(offsets.dtype()), DtypeError, "offsets are ", offsets.dtype());
  const Tensor& factors = o.per_sample_weights;
  WEFT_CHECK(!factors.defined() || o.mode == BagMode::sum, NotSupported, "per_sample_weights are for mode sum only");
  WEFT_CHECK(!factors.defined() || factors.shape() == index.shape(), ShapeError, "per_sample_weights ", factors.shape(),
             " do not have the index's shape ", index.shape());

  const Tensor flat = index.reshape({index.numel()});
  // halves are added, counted and divided in f32
  Tensor rows = embedding(flat, weight, {.padding_idx = o.padding_idx, .scale_grad_by_freq = o.scale_grad_by_freq})
                    .to(compute_dtype(weight.dtype()));
  if (factors.defined()) rows = rows * factors.reshape({index.numel(), 1});
  const Dtype dtype = factors.defined() ? promote(weight.dtype(), factors.dtype()) : weight.dtype();
  int64_t skipped = o.padding_idx.value_or(-1);
  if (o.padding_idx && skipped < 0) skipped += weight.size(0);
  Tensor counts = o.padding_idx ? ne(flat, skipped) : full({flat.numel()}, true, {Dtype::boolean, flat.device()});
  const int64_t D = weight.size(1);
  const auto averaged = [&](const Tensor& total, const Tensor& n) {
    return (o.mode == BagMode::mean ? total / clamp(n, 1).to(rows.dtype()) : total).to(dtype);
  };
  Shape bags = index.shape();
  if (offsets.defined()) {
    const Tensor from = bag_bounds(op, offsets, flat.numel(), o.include_last_offset);
    if (o.mode != BagMode::max) {
      // The bag of an entry is the number of those that end before it; what is behind the last one has the next number.
      const int64_t bag_count = from.numel() - 1;
      const Tensor bag = searchsorted(from.narrow(0, 1, bag_count),
                                      arange(0, flat.numel(), 1, {Dtype::i64, flat.device()}), {.right = true});
      const auto summed = [&](const Tensor& each) {  // [n, width] -> [B, width]
        return index_add(zeros({bag_count + 1, each.size(1)}, each.options()), 0, bag, each).narrow(0, 0, bag_count);
      };
      const Tensor counted = counts.unsqueeze(1);
      return averaged(summed(where(counted, rows, 0)), summed(counted.to(rows.dtype())));
    }
    const Tensor at = bag_positions(from, flat.device());  // a maximum wants them side by side
    bags = at.shape();
    if (flat.numel() > 0) {
      const Tensor inside = ge(at, 0).reshape({bags.numel()}), safe = clamp(at, 0).reshape({bags.numel()});
      rows = index_select(rows, 0, safe);
      counts = logical_and(index_select(counts, 0, safe), inside);
    }
  }
  rows = rows.reshape({bags[0], bags[1], D});
  counts = counts.reshape({bags[0], bags[1], 1});
  const Tensor n = sum(counts, 1);
  if (o.mode == BagMode::max && bags[1] > 0) {
    const Tensor most = max(where(counts, rows, -std::numeric_limits<double>::infinity()), 1).values;
    return where(eq(n, 0), 0, most).to(dtype);
  }
  return averaged(sum(where(counts, rows, 0), 1), n);
}

}  // namespace weft
