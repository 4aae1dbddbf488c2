#include "weft/autograd/ops/elementwise/bitwise.h"

#include "weft/autograd/ops/elementwise/common.h"

namespace weft {
namespace {
using namespace detail;

template <class F> Tensor on_bits(const Tensor& x, const Tensor& y, bool takes_bool) {
  check_operands(F::name, x, y);
  const Dtype d = result_dtype(x, y);
  WEFT_CHECK(!is_floating(d) && (takes_bool || d != Dtype::boolean), DtypeError, F::name, ": not defined for ", d,
             "; expected integers", takes_bool ? " or bool" : "");
  return kernels::map2<F>(cast(x, d), cast(y, d));
}
template <class F> Tensor on_bits(const Tensor& x, const Scalar& y, bool takes_bool) {
  return on_bits<F>(x, number_beside(F::name, y, x), takes_bool);
}
template <class F> Tensor on_bits(const Scalar& x, const Tensor& y, bool takes_bool) {
  return on_bits<F>(number_beside(F::name, x, y), y, takes_bool);
}
}  // namespace

Tensor bitwise_and(const Tensor& x, const Tensor& y) { return on_bits<fn::BitwiseAnd>(x, y, true); }
Tensor bitwise_and(const Tensor& x, Scalar y) { return on_bits<fn::BitwiseAnd>(x, y, true); }
Tensor bitwise_and(Scalar x, const Tensor& y) { return on_bits<fn::BitwiseAnd>(x, y, true); }
Tensor bitwise_or(const Tensor& x, const Tensor& y) { return on_bits<fn::BitwiseOr>(x, y, true); }
Tensor bitwise_or(const Tensor& x, Scalar y) { return on_bits<fn::BitwiseOr>(x, y, true); }
Tensor bitwise_or(Scalar x, const Tensor& y) { return on_bits<fn::BitwiseOr>(x, y, true); }
Tensor bitwise_xor(const Tensor& x, const Tensor& y) { return on_bits<fn::BitwiseXor>(x, y, true); }
Tensor bitwise_xor(const Tensor& x, Scalar y) { return on_bits<fn::BitwiseXor>(x, y, true); }
Tensor bitwise_xor(Scalar x, const Tensor& y) { return on_bits<fn::BitwiseXor>(x, y, true); }
Tensor bitwise_not(const Tensor& x) { return kernels::map<fn::BitwiseNot>(x); }
Tensor bitwise_left_shift(const Tensor& x, const Tensor& y) { return on_bits<fn::BitwiseLeftShift>(x, y, false); }
Tensor bitwise_left_shift(const Tensor& x, Scalar y) { return on_bits<fn::BitwiseLeftShift>(x, y, false); }
Tensor bitwise_left_shift(Scalar x, const Tensor& y) { return on_bits<fn::BitwiseLeftShift>(x, y, false); }
Tensor bitwise_right_shift(const Tensor& x, const Tensor& y) { return on_bits<fn::BitwiseRightShift>(x, y, false); }
Tensor bitwise_right_shift(const Tensor& x, Scalar y) { return on_bits<fn::BitwiseRightShift>(x, y, false); }
Tensor bitwise_right_shift(Scalar x, const Tensor& y) { return on_bits<fn::BitwiseRightShift>(x, y, false); }

}  // namespace weft
