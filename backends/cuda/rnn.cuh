// Recurrent layers: a product and an elementwise kernel for each step.
#pragma once

#include "weft/backends/cuda/gemm.h"
#include "weft/backends/cuda/walk.cuh"
#include "weft/core/fn/rnn.h"
#include "weft/core/rnn_params.h"

namespace weft::cuda {

/// A step's gates for each of N H units. sums: h's part of theirs, [N, G H]; the rest as in core/kernels/rnn.h, of this
/// step.
template <class T, RnnKind kind> struct RnnStep {
  using C = compute_t<T>;
  int64_t H;
  const C* sums;
  const T *gx, *bias, *before;
  T *c, *kept, *y;

  template <class I> __device__ void operator()(I at) const {
    constexpr int64_t G = rnn_gates(kind), K = rnn_kept(kind);
    const int64_t n = at / static_cast<I>(H), u = at - n * H;
    const auto of_x = [&](int64_t k) { return static_cast<C>(gx[(n * G + k) * H + u]); };
    const auto of_h = [&](int64_t k) { return sums[(n * G + k) * H + u]; };
    C a[4] = {};
    if constexpr (kind == RnnKind::lstm) {
      for (int k = 0; k < 4; ++k) a[k] = of_h(k) + of_x(k);
      C state = static_cast<C>(c[at]);
      y[at] = static_cast<T>(fn::lstm(a[0], a[1], a[2], a[3], state));
      c[at] = static_cast<T>(state);
      if (kept) kept[(n * K + 4) * H + u] = c[at];
    } else if constexpr (kind == RnnKind::gru) {
      for (int k = 0; k < 2; ++k) a[k] = of_h(k) + static_cast<C>(bias[k * H + u]) + of_x(k);
      a[2] = of_x(2), a[3] = of_h(2) + static_cast<C>(bias[2 * H + u]);
      y[at] = static_cast<T>(fn::gru(a[0], a[1], a[2], a[3], static_cast<C>(before[at])));
    } else {
      const C s = of_h(0) + of_x(0);
      y[at] = static_cast<T>(kind == RnnKind::tanh ? fn::tanh(s) : (s < C(0) ? C(0) : s));  // a NaN stays
    }
    if (K > 0 && kept)
      for (int k = 0; k < 4; ++k) kept[(n * K + k) * H + u] = static_cast<T>(a[k]);
  }
};

/// d: gradient of h through later steps, [N, H]; null: there are none. state: lstm: gradient of c; gru: of h, past the
/// gates. before: c (lstm) or h (gru), of samples `step` apart.
template <class T, RnnKind kind> struct RnnBackwardStep {
  using C = compute_t<T>;
  int64_t H, step;
  const C* d;
  const T *g, *y, *kept, *before;
  C* state;
  T *dgx, *dgh;

  template <class I> __device__ void operator()(I at) const {
    constexpr int64_t G = rnn_gates(kind), K = rnn_kept(kind);
    const int64_t n = at / static_cast<I>(H), u = at - n * H;
    const C dh = static_cast<C>(g[at]) + (d ? d[at] : C(0));
    C a[4] = {};
    if constexpr (kind == RnnKind::lstm || kind == RnnKind::gru)
      for (int k = 0; k < 4; ++k) a[k] = static_cast<C>(kept[(n * K + k) * H + u]);
    if constexpr (kind == RnnKind::lstm) {
      const C c = static_cast<C>(kept[(n * K + 4) * H + u]);
      fn::lstm_backward(dh, state[at], a[0], a[1], a[2], a[3], c, static_cast<C>(before[n * step + u]));
    } else if constexpr (kind == RnnKind::gru) {
      const C all = dh + (d ? state[at] : C(0));
      state[at] = fn::gru_backward(all, a[0], a[1], a[2], a[3], static_cast<C>(before[n * step + u]));
      for (int k = 0; k < 3; ++k) dgh[(n * G + k) * H + u] = static_cast<T>(a[k == 2 ? 3 : k]);
    } else {
      const C v = static_cast<C>(y[at]);
      a[0] = kind == RnnKind::tanh ? dh * (1 - v * v) : (v <= C(0) ? C(0) : dh);
    }
    for (int k = 0; k < G; ++k) dgx[(n * G + k) * H + u] = static_cast<T>(a[k]);
  }
};

/// dh0 = d + rest (null: none).
template <class T> struct RnnFirstGrad {
  T* dh0;
  const compute_t<T>*d, *rest;
  template <class I> __device__ void operator()(I i) const { dh0[i] = static_cast<T>(rest ? d[i] + rest[i] : d[i]); }
};

/// out [m, n], of the compute type, = a [m, k] b [k, n].
inline void rnn_product(void* out, const void* a, const void* b, int64_t m, int64_t n, int64_t k, int64_t b_row,
                        int64_t b_col, Dtype dtype) {
  Gemm g;
  g.m = m, g.n = n, g.k = k;
  g.a = a, g.b = b, g.out = out;
  g.a_row = k, g.b_row = b_row, g.b_col = b_col, g.out_row = n;
  g.dtype = dtype, g.out_dtype = compute_dtype(dtype);
  gemm(g);
}

template <class T, RnnKind kind>
void rnn_typed(const MutTensorRef& y, const MutTensorRef& c, const MutTensorRef& kept, const TensorRef& gx,
               const TensorRef& h0, const TensorRef& w, const TensorRef& bias, bool reverse) {
  using C = compute_t<T>;
  constexpr int64_t G = rnn_gates(kind), K = rnn_kept(kind);
  const int64_t steps = y.size(0), N = y.size(1), H = y.size(2);
  const Scratch sums(static_cast<size_t>(N * G * H) * sizeof(C));
  const T* before = h0.as<T>();
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t at = (reverse ? steps - 1 - i : i) * N;
    rnn_product(sums.as(), before, w.data, N, G * H, H, 1, H, y.dtype);
    T* out = y.as_mut<T>() + at * H;
    for_each_number(
        N * H, RnnStep<T, kind>{H, sums.as<const C>(), gx.as<T>() + at * G * H, bias.as<T>(), before, c.as_mut<T>(),
                                kept.defined() ? kept.as_mut<T>() + at * K * H : nullptr, out});
    before = out;
  }
}

template <class T, RnnKind kind>
void rnn_backward_typed(const MutTensorRef& dgx, const MutTensorRef& dgh, const MutTensorRef& dh0,
                        const MutTensorRef& dc, const TensorRef& g, const TensorRef& y, const TensorRef& kept,
                        const TensorRef& h0, const TensorRef& c0, const TensorRef& w, bool reverse) {
  using C = compute_t<T>;
  constexpr int64_t G = rnn_gates(kind), K = rnn_kept(kind);
  constexpr bool gru = kind == RnnKind::gru, lstm = kind == RnnKind::lstm;
  const int64_t steps = y.size(0), N = y.size(1), H = y.size(2);
  const auto bytes = static_cast<size_t>(N * H) * sizeof(C);
  const Scratch d(bytes), rest(gru ? bytes : 0);
  const auto place = [&](int64_t i) { return (reverse ? steps - 1 - i : i) * N; };
  for (int64_t i = steps - 1; i >= 0; --i) {
    const int64_t at = place(i);
    const T* before = lstm ? c0.as<T>() : h0.as<T>();
    if (i > 0) before = lstm ? kept.as<T>() + (place(i - 1) * K + 4) * H : y.as<T>() + place(i - 1) * H;
    T *of_x = dgx.as_mut<T>() + at * G * H, *of_h = gru ? dgh.as_mut<T>() + at * G * H : of_x;
    for_each_number(N * H,
                    RnnBackwardStep<T, kind>{H, lstm && i > 0 ? K * H : H, i + 1 < steps ? d.as<const C>() : nullptr,
                                             g.as<T>() + at * H, y.as<T>() + at * H, kept.as<T>() + at * K * H, before,
                                             gru ? rest.as<C>() : dc.as_mut<C>(), of_x, of_h});
    if (i > 0 || dh0.defined()) rnn_product(d.as(), of_h, w.data, N, H, G * H, H, 1, y.dtype);
  }
  if (dh0.defined()) for_each_number(N * H, RnnFirstGrad<T>{dh0.as_mut<T>(), d.as<const C>(), rest.as<const C>()});
}

/// f.operator()<T, kind>()
template <class F> void with_rnn(Dtype dtype, RnnKind kind, const F& f) {
  dispatch_floating(dtype, "rnn", [&]<class T> {
    switch (kind) {
      case RnnKind::tanh: return f.template operator()<T, RnnKind::tanh>();
      case RnnKind::relu: return f.template operator()<T, RnnKind::relu>();
      case RnnKind::lstm: return f.template operator()<T, RnnKind::lstm>();
      case RnnKind::gru: return f.template operator()<T, RnnKind::gru>();
    }
  });
}
inline void rnn(const MutTensorRef& y, const MutTensorRef& c, const MutTensorRef& kept, const TensorRef& gx,
                const TensorRef& h0, const TensorRef& w, const TensorRef& bias, RnnKind kind, bool reverse) {
  with_rnn(y.dtype, kind, [&]<class T, RnnKind K> { rnn_typed<T, K>(y, c, kept, gx, h0, w, bias, reverse); });
}
inline void rnn_backward(const MutTensorRef& dgx, const MutTensorRef& dgh, const MutTensorRef& dh0,
                         const MutTensorRef& dc, const TensorRef& g, const TensorRef& y, const TensorRef& kept,
                         const TensorRef& h0, const TensorRef& c0, const TensorRef& w, RnnKind kind, bool reverse) {
  with_rnn(y.dtype, kind,
           [&]<class T, RnnKind K> { rnn_backward_typed<T, K>(dgx, dgh, dh0, dc, g, y, kept, h0, c0, w, reverse); });
}

}  // namespace weft::cuda
