#include <algorithm>
#include <limits>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/embedding.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

/// Where bags begin in an index of n entries, and where the last one ends.
std::vector<int64_t> bag_bounds(const Tensor& offsets, int64_t n, bool include_last) {
  std::vector<int64_t> from = offsets.to_vector<int64_t>();
  if (!include_last) from.push_back(n);
  WEFT_CHECK(!from.empty() && from.front() == 0 && from.back() <= n && std::is_sorted(from.begin(), from.end()),
             ValueError, "embedding_bag: offsets must rise from 0 to at most the ", n, " entries of the index");
  return from;
}

/// The bag of each entry.
Tensor bag_numbers(const std::vector<int64_t>& from, const Device& device) {
  std::vector<int64_t> bag(static_cast<size_t>(from.back()));
  for (size_t b = 0; b + 1 < from.size(); ++b)
    std::fill(bag.begin() + from[b], bag.begin() + from[b + 1], static_cast<int64_t>(b));
  return tensor(bag).to(device);
}

/// Positions in the flat index, one bag in each row, -1 beyond its end.
Tensor bag_positions(const std::vector<int64_t>& from, const Device& device) {
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
  std::vector<int64_t> rows = index.to_vector<int64_t>();
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  if (rows.empty()) return;
  const Tensor w = weight.detach(), named = index_select(w, 0, tensor(rows).to(w.device()));
  const std::vector<double> sizes = vector_norm(named, norm_type, 1).to_vector<double>();
  for (size_t i = 0; i < rows.size(); ++i)
    if (sizes[i] > max_norm) w.select(0, rows[i]).mul_(max_norm / (sizes[i] + 1e-7));
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
  Tensor rows = embedding(flat, weight, {.padding_idx = o.padding_idx, .scale_grad_by_freq = o.scale_grad_by_freq});
  if (factors.defined()) rows = rows * factors.reshape({index.numel(), 1});
  int64_t skipped = o.padding_idx.value_or(-1);
  if (o.padding_idx && skipped < 0) skipped += weight.size(0);
  Tensor counts = o.padding_idx ? ne(flat, skipped) : full({flat.numel()}, true, {Dtype::boolean, flat.device()});
  const int64_t D = weight.size(1);
  const auto averaged = [&](const Tensor& total, const Tensor& n) {
    return o.mode == BagMode::mean ? total / clamp(n, 1).to(rows.dtype()) : total;
  };
  Shape bags = index.shape();
  if (offsets.defined()) {
    const std::vector<int64_t> from = bag_bounds(offsets, flat.numel(), o.include_last_offset);
    if (o.mode != BagMode::max) {
      const Tensor bag = bag_numbers(from, flat.device());
      const auto summed = [&](const Tensor& each) {  // [n, width] -> [B, width]
        return index_add(zeros({static_cast<int64_t>(from.size()) - 1, each.size(1)}, each.options()), 0, bag,
                         each.narrow(0, 0, from.back()));
      };
      const Tensor counted = counts.unsqueeze(1);
      return averaged(summed(where(counted, rows, 0)), summed(counted.to(compute_dtype(rows.dtype()))));
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
    return where(eq(n, 0), 0, most);
  }
  return averaged(sum(where(counts, rows, 0), 1), n);
}

}  // namespace weft
