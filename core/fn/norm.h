// What a normalisation does to one element around its affine map: the activation, and the way back through both.
// The same arithmetic on CPU and CUDA; knows no tensors.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "weft/core/export.h"
#include "weft/core/norm_params.h"

namespace weft::fn {
inline namespace WEFT_ISA {

/// An activation as three numbers, so that loops need no copy for each kind: v <= t ? (v <= zero ? 0 : v slope) : v. A
/// NaN threshold is never reached. relu: t = zero = slope = 0; leaky_relu: t = 0, zero = NaN; none: t = zero = NaN.
template <class A> struct Gate {
  A t, zero, slope;
  explicit Gate(const NormParams& o) : slope(static_cast<A>(o.slope)) {
    constexpr A nan = std::numeric_limits<A>::quiet_NaN();
    t = o.activation == Activation::none ? nan : A(0);
    zero = o.activation == Activation::relu ? A(0) : nan;
    if (o.activation == Activation::relu) slope = 0;
  }
  WEFT_HD WEFT_INLINE A forward(A v) const { return v <= t ? (v <= zero ? A(0) : v * slope) : v; }
  /// Gradient through the activation, by the sign that it saw. Not a choice between values: compilers make masked loads
  /// of g of those, which wait for the sign.
  WEFT_HD WEFT_INLINE A backward(A sign, A g) const {
    using Bits = std::conditional_t<sizeof(A) == 4, int32_t, int64_t>;
    const A by = sign <= t ? slope : A(1);
    const Bits kept = sign <= zero ? 0 : -1;  // an infinite g times 0 is none
    return std::bit_cast<A>(std::bit_cast<Bits>(g * by) & kept);
  }
  WEFT_HD WEFT_INLINE A inverse(A y) const { return y < t ? y / slope : y; }
};

/// x d, and 0 where d is: in evaluation an infinite x has no part in the gradient.
template <class A> WEFT_HD WEFT_INLINE A times(A x, A d) { return d != 0 ? x * d : A(0); }

/// Gradient before the activation and x - mean, of one element.
template <class A> struct Centered { A g, x; };
template <NormSource Src, class A>
WEFT_HD WEFT_INLINE Centered<A> center(A g, A x, A y, A mean, A scale, A shift, const Gate<A>& gate) {
  if constexpr (Src == NormSource::folded) {
    return {gate.backward(x, g), gate.inverse(x) - mean};
  } else {
    const A d = x - mean;
    if constexpr (Src == NormSource::output) return {gate.backward(y, g), d};
    else return {gate.backward(d * scale + shift, g), d};
  }
}

/// A running statistic after a batch whose statistics are `now` [samples, C], in f64.
struct RunningStep {
  const double* now;
  int64_t samples, C;
  double keep, share;
  WEFT_HD WEFT_INLINE double operator()(double running, int64_t c) const {
    double sum = now[c];
    for (int64_t n = 1; n < samples; ++n) sum += now[n * C + c];
    return running * keep + sum / static_cast<double>(samples) * share;
  }
};

}  // namespace WEFT_ISA
}  // namespace weft::fn
