// Stand-ins until autograd/ops/{binary,reduce}.h land: helper "elem" deletes this file and bootstrap.cpp then.
#pragma once
#include "weft/core/tensor.h"
namespace weft {
WEFT_API Tensor add(const Tensor& a, const Tensor& b);
WEFT_API Tensor mul(const Tensor& a, const Tensor& b);
WEFT_API Tensor sum(const Tensor& x, const Shape& dims = {}, bool keepdim = false);
WEFT_API Tensor operator+(const Tensor& a, const Tensor& b);
WEFT_API Tensor operator*(const Tensor& a, const Tensor& b);
WEFT_API Tensor operator*(const Tensor& a, Scalar s);
}  // namespace weft
