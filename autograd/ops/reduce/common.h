// Shared by the reductions: output shapes, the call of a kernel, and spreading a gradient back.
// Internal: not part of the public headers.
#pragma once

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/kernels.h"

namespace weft::detail {

/// x's shape with size 1 at the axes of `mask`, or without them.
Shape reduced_shape(const Shape& x, uint32_t mask, bool keepdim);
/// Number of elements that each result is made of.
int64_t reduced_count(const Shape& x, uint32_t mask);
/// g of the reduction's shape, as a view of `shape`.
Tensor spread(const Tensor& g, const Shape& shape, uint32_t mask, bool keepdim);
/// An output for a reduction, and what its kernel gets of it (x's rank, 1 at the reduced axes).
struct Reduced {
  Tensor y;
  Shape kept;
  Strides strides;
  Reduced(const Tensor& x, uint32_t mask, bool keepdim, Dtype dtype);
  MutTensorRef ref();
};

template <class F> Tensor reduce(const Tensor& x, uint32_t mask, bool keepdim, Dtype dtype, const F& f = {}) {
  Reduced r(x, mask, keepdim, dtype);
  kernels::reduce.of<F>()(x.device(), r.ref(), weft::ref(x), mask, &f);
  return std::move(r.y);
}

}  // namespace weft::detail
