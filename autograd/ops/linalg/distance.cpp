#include "weft/autograd/ops/linalg/distance.h"

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

/// Along the last axis. For p = 0 the number of differences, NaN where one of them is NaN (the norm counts it).
Tensor norm_of_difference(const Tensor& d, double p) {
  return p == 0 ? sum(clamp(ceil(abs(d)), {}, 1), -1) : vector_norm(d, p, -1);
}

}  // namespace

Tensor cosine_similarity(const Tensor& a, const Tensor& b, Int dim, double eps) {
  const OpName op("cosine_similarity");
  // The gradient passes the bound as if it were not there (PyTorch).
  const auto bounded_norm = [&](const Tensor& x) {
    const Tensor n = vector_norm(x, 2, dim, true, compute_dtype(x.dtype()));  // eps is less than f16 holds
    return n + (clamp(n, eps) - n).detach();
  };
  kernels::detail::check_same_device(op, a, b);
  const Shape shape = broadcast_shapes(op, a.shape(), b.shape());
  const Tensor x = a.expand(shape), y = b.expand(shape);
  return detail::cast(sum((x / bounded_norm(x)) * (y / bounded_norm(y)), dim), promote(a.dtype(), b.dtype()));
}

Tensor pairwise_distance(const Tensor& a, const Tensor& b, const PairwiseDistanceOptions& o) {
  const OpName op("pairwise_distance");
  detail::check_operands(op, a, b);
  return vector_norm(a - b + o.eps, o.p, -1, o.keepdim);
}

Tensor pdist(const Tensor& x, double p) {
  const OpName op("pdist");
  WEFT_CHECK(x.rank() == 2, ShapeError, "expects [N, M], got ", x.shape());
  WEFT_CHECK(p >= 0, ValueError, "p must not be negative, got ", p);
  std::vector<int64_t> first, second;
  for (int64_t i = 0; i < x.size(0); ++i)
    for (int64_t j = i + 1; j < x.size(0); ++j) {
      first.push_back(i);
      second.push_back(j);
    }
  const auto rows = [&](const std::vector<int64_t>& at) { return index_select(x, 0, tensor(at).to(x.device())); };
  return norm_of_difference(rows(first) - rows(second), p);
}

Tensor cdist(const Tensor& a, const Tensor& b, double p) {
  const OpName op("cdist");
  WEFT_CHECK(a.rank() >= 2 && b.rank() >= 2 && a.size(-1) == b.size(-1), ShapeError, "inputs ", a.shape(), " and ",
             b.shape(), " must be [..., P, M] and [..., R, M]");
  detail::check_operands(op, a.unsqueeze(-2), b.unsqueeze(-3));
  WEFT_CHECK(p >= 0, ValueError, "p must not be negative, got ", p);
  return norm_of_difference(a.unsqueeze(-2) - b.unsqueeze(-3), p);
}

}  // namespace weft
