// Second names that PyTorch has for ops, numpy's most of them. Docs and errors are those of the first names.
#pragma once

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/statistics.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/ops/shape/stack.h"

namespace weft {

/// abs, neg, trunc, clamp, asin, acos, atan, atan2, asinh, acosh, atanh
inline Tensor absolute(const Tensor& x) { return abs(x); }
inline Tensor negative(const Tensor& x) { return neg(x); }
inline Tensor fix(const Tensor& x) { return trunc(x); }
inline Tensor clip(const Tensor& x, std::optional<Scalar> min, std::optional<Scalar> max = {}) {
  return clamp(x, min, max);
}
inline Tensor clip(const Tensor& x, const Tensor& min, const Tensor& max) { return clamp(x, min, max); }
inline Tensor arcsin(const Tensor& x) { return asin(x); }
inline Tensor arccos(const Tensor& x) { return acos(x); }
inline Tensor arctan(const Tensor& x) { return atan(x); }
inline Tensor arcsinh(const Tensor& x) { return asinh(x); }
inline Tensor arccosh(const Tensor& x) { return acosh(x); }
inline Tensor arctanh(const Tensor& x) { return atanh(x); }
inline Tensor arctan2(const Tensor& y, const Tensor& x) { return atan2(y, x); }

/// sub, mul, div; rsub is y - alpha x.
template <class Y> Tensor subtract(const Tensor& x, const Y& y, Scalar alpha = 1) { return sub(x, y, alpha); }
template <class Y> Tensor multiply(const Tensor& x, const Y& y) { return mul(x, y); }
template <class Y> Tensor divide(const Tensor& x, const Y& y, Choice<RoundingMode> rounding_mode = RoundingMode::none) {
  return div(x, y, rounding_mode);
}
template <class Y> Tensor true_divide(const Tensor& x, const Y& y) { return div(x, y); }
inline Tensor rsub(const Tensor& x, const Tensor& y, Scalar alpha = 1) { return sub(y, x, alpha); }
inline Tensor rsub(const Tensor& x, Scalar y) { return sub(y, x); }

/// cat, vstack, transpose, movedim, trapezoid
inline Tensor concat(const std::vector<Tensor>& tensors, Int dim = 0) { return cat(tensors, dim); }
inline Tensor concatenate(const std::vector<Tensor>& tensors, Int dim = 0) { return cat(tensors, dim); }
inline Tensor concat(TensorBraces tensors, Int dim = 0) { return cat(tensors, dim); }
inline Tensor concatenate(TensorBraces tensors, Int dim = 0) { return cat(tensors, dim); }
inline Tensor row_stack(TensorBraces tensors) { return vstack(tensors); }
inline Tensor row_stack(const std::vector<Tensor>& tensors) { return vstack(tensors); }
inline Tensor swapaxes(const Tensor& x, Int dim0, Int dim1) { return x.transpose(dim0, dim1); }
inline Tensor swapdims(const Tensor& x, Int dim0, Int dim1) { return x.transpose(dim0, dim1); }
inline Tensor moveaxis(const Tensor& x, const Shape& source, const Shape& destination) {
  return x.movedim(source, destination);
}
template <class X> Tensor trapz(const Tensor& y, const X& x) { return trapezoid(y, x); }
inline Tensor trapz(const Tensor& y) { return trapezoid(y); }

}  // namespace weft
