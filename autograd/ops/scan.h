// Running sums and products along one axis.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// y_i = x_0 + ... + x_i along `dim`. Integers and bool give i64; `dtype` converts first. x's shape.
WEFT_API Tensor cumsum(const Tensor& x, int64_t dim, std::optional<Dtype> dtype = {});
/// y_i = x_0 * ... * x_i along `dim`. The gradient is exact at zeros.
WEFT_API Tensor cumprod(const Tensor& x, int64_t dim, std::optional<Dtype> dtype = {});

}  // namespace weft
