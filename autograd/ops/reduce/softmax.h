// Softmax and its logarithm along one axis.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// exp(x_i) / sum_j exp(x_j) along `dim`, without overflow. x: any shape, floating; `dtype` converts first. A line of
/// -inf gives NaN, as in PyTorch.
WEFT_API Tensor softmax(const Tensor& x, Int dim, std::optional<Dtype> dtype = {});
/// softmax(-x).
WEFT_API Tensor softmin(const Tensor& x, Int dim, std::optional<Dtype> dtype = {});
/// log(softmax(x)), exact where that is tiny.
WEFT_API Tensor log_softmax(const Tensor& x, Int dim, std::optional<Dtype> dtype = {});

}  // namespace weft
