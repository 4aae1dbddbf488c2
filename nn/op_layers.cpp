#include "weft/nn/op_layers.h"

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::shown;

Normalize::Normalize(double p, Int dim) : Module("Normalize"), p(p), dim(dim) {
  set_extra("", shown("p=", this->p, ", dim=", this->dim));
}
Tensor Normalize::forward(const Tensor& x) const { return x / clamp(vector_norm(x, p, *dim, true), 1e-8); }

View::View(const Shape& size) : Module("View"), size(size) { set_extra("", shown(this->size)); }
Sum::Sum(Int dim, Only<bool> keep_dim) : Module("Sum"), dim(dim), keep_dim(keep_dim) {
  set_extra("", shown("dim=", this->dim, ", keep_dim=", this->keep_dim));
}
Tensor Sum::forward(const Tensor& x) const { return sum(x, *dim, keep_dim); }
Mean::Mean(Int dim, Only<bool> keep_dim) : Module("Mean"), dim(dim), keep_dim(keep_dim) {
  set_extra("", shown("dim=", this->dim, ", keep_dim=", this->keep_dim));
}
Tensor Mean::forward(const Tensor& x) const { return mean(x, *dim, keep_dim); }
Tensor GlobalAvgPool2d::forward(const Tensor& x) const {
  WEFT_CHECK(x.rank() == 4, ShapeError, "GlobalAvgPool2d: expected [B, C, H, W], got ", x.shape());
  return mean(x, {2, 3});
}

Tensor Normalize::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor View::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return x.reshape(size); });
}
Tensor Sum::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor Mean::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor GlobalAvgPool2d::operator()(const Tensor& x) const { return nn::call(*this, x); }

}  // namespace weft::nn
