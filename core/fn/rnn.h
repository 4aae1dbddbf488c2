// One unit of a recurrent layer in one step: its gates and new state, and their gradients (equations:
// autograd/ops/layer/rnn.h). The same arithmetic on CPU and CUDA; knows no tensors. T is what tensors hold, C what is
// computed in.
#pragma once

#include "weft/core/fn/math.h"

namespace weft::fn {
inline namespace WEFT_ISA {

/// The number that is left of v in a tensor of T.
template <class T, class C> WEFT_HD WEFT_INLINE C kept_as(C v) { return static_cast<C>(static_cast<T>(v)); }

/// Sums in, gates out. c: before and after. Returns h.
template <class C> WEFT_HD WEFT_INLINE C lstm(C& i, C& f, C& g, C& o, C& c) {
  i = fn::sigmoid(i), f = fn::sigmoid(f), g = fn::tanh(g), o = fn::sigmoid(o);
  c = f * c + i * g;
  return o * fn::tanh(c);
}
/// Gates in, gradients of their sums out. dc: of c as later steps see it, in; of c before, out.
template <class C> WEFT_HD WEFT_INLINE void lstm_backward(C dh, C& dc, C& i, C& f, C& g, C& o, C c, C before) {
  const C t = fn::tanh(c), all = dc + dh * o * (1 - t * t);
  const C di = all * g * (i * (1 - i)), df = all * before * (f * (1 - f)), dg = all * i * (1 - g * g);
  dc = all * f;
  o = dh * t * (o * (1 - o));
  i = di, f = df, g = dg;
}

/// Sums in (n: the input's part, part: h's), gates out. Returns h.
template <class C> WEFT_HD WEFT_INLINE C gru(C& r, C& z, C& n, C part, C before) {
  r = fn::sigmoid(r), z = fn::sigmoid(z), n = fn::tanh(n + r * part);
  return n + z * (before - n);
}
/// Gates in, gradients of their sums out (n: of the input's part, part: of h's). Returns what goes to h before past the
/// gates.
template <class C> WEFT_HD WEFT_INLINE C gru_backward(C dh, C& r, C& z, C& n, C& part, C before) {
  const C dn = dh * (1 - z) * (1 - n * n), dr = dn * part * (r * (1 - r)), dz = dh * (before - n) * (z * (1 - z));
  const C rest = dh * z;
  part = dn * r;
  r = dr, z = dz, n = dn;
  return rest;
}

}  // namespace WEFT_ISA
}  // namespace weft::fn
