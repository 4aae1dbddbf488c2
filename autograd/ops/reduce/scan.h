// Running sums, products and extremes along one axis. f32 and halves are carried in f64, f64 in short sums on a
// compensated one.
#pragma once

#include "weft/autograd/ops/reduce/reduce.h"

namespace weft {

/// y_i = x_0 + ... + x_i along `dim`. Integers and bool give i64; `dtype` converts first. x's shape.
/// y_i is within 1 ulp of |x_0| + ... + |x_i| in f32 and the halves, within 16 ulp in f64, for lines of any length up
/// to 1e7.
WEFT_API Tensor cumsum(const Tensor& x, Int dim, std::optional<Dtype> dtype = {});
/// y_i = x_0 * ... * x_i along `dim`. The gradient is exact at zeros.
/// y_i is within 1 ulp of the exact product in f32 and the halves, within i / 2 + 1 ulp in f64, as long as f64 holds
/// it.
WEFT_API Tensor cumprod(const Tensor& x, Int dim, std::optional<Dtype> dtype = {});
/// The greatest (smallest) of x_0 ... x_i and its last position (i64). NaN from the first NaN on. The gradient goes to
/// that position.
WEFT_API ValuesIndices cummax(const Tensor& x, Int dim);
WEFT_API ValuesIndices cummin(const Tensor& x, Int dim);
/// y_i = log(exp(x_0) + ... + exp(x_i)) along `dim`, without overflow. Floating only. In log2(n) passes.
WEFT_API Tensor logcumsumexp(const Tensor& x, Int dim);

}  // namespace weft
