// Batch, instance and group norm: statistics, apply and backward, each an Op over norm_walk.cuh.
#pragma once

#include "weft/backends/cuda/norm_walk.cuh"
#include "weft/backends/cuda/walk.cuh"
#include "weft/core/fn/math.h"
#include "weft/core/fn/norm.h"

namespace weft::cuda {

/// gamma or beta: f32 or f64, may be missing.
struct NormParam {
  const void* p;
  int64_t stride;
  bool wide;
  explicit NormParam(const TensorRef& t)
      : p(t.data), stride(t.defined() ? t.stride(0) : 0), wide(t.dtype == Dtype::f64) {}
  __device__ double at(int64_t c, double missing) const {
    if (!p) return missing;
    return wide ? static_cast<const double*>(p)[c * stride]
                : static_cast<double>(static_cast<const float*>(p)[c * stride]);
  }
};

/// What an A leaves of a mean: far from zero that is more than the spread may be. Loops take x - mean, exact where it
/// matters, and have the rest in a constant.
template <class A> __device__ WEFT_INLINE double rest_of(double mean) {
  return mean - static_cast<double>(static_cast<A>(mean));
}

/// What an element is mapped by: y = (x - mean) scale + shift.
template <class A, int P> struct Affine {
  Pack<A, P> mean, scale, shift;
  static __device__ WEFT_INLINE void coefficients(A* k, double mean, double inv, const NormParam& gamma,
                                                  const NormParam& beta, int64_t c) {
    const double by = inv * gamma.at(c, 1);
    k[0] = static_cast<A>(mean);
    k[1] = static_cast<A>(by);
    k[2] = static_cast<A>(beta.at(c, 0) - rest_of<A>(mean) * by);
  }
};

/// mean, m2 and, if asked for, inv.
template <class T> struct MomentsOp {
  using Element = T;
  using Part = MomentsPart<compute_t<T>>;
  using Merge = MergeMoments;
  static constexpr bool kReduces = true;
  static constexpr int kCoefficients = 0, kAtOnce = 4;
  const T* x;
  double *mean, *m2, *inv;
  double count, eps;

  bool packed(int64_t run) const { return packs_fit<T>(run, {x}); }
  template <int V, int P> struct Thread : ColumnMoments<T, V, P> {
    const T* x;
    template <class K> __device__ Thread(const MomentsOp& op, const K&) : x(op.x) {}
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      Pack<T, V> p[K];
      WEFT_UNROLL
      for (int k = 0; k < K; ++k) p[k] = load<V>(x, at[k].at);
      ColumnMoments<T, V, P>::add(p);
    }
  };
  __device__ void finish(int64_t i, const Part& r) const {
    mean[i] = r.mean.get();
    m2[i] = r.m2.get();
    if (inv) inv[i] = 1 / fn::sqrt(r.m2.get() / count + eps);
  }
};

/// y = act(gamma (x - mean) inv + beta [+ residual])
template <class T> struct ApplyOp {
  using Element = T;
  using A = compute_t<T>;
  using Part = SumsPart<A>;
  static constexpr bool kReduces = false;
  static constexpr int kCoefficients = 3, kAtOnce = 4;
  T* y;
  const T *x, *residual;
  const double *mean, *inv;
  NormParam gamma, beta;
  fn::Gate<A> gate;

  bool packed(int64_t run) const { return packs_fit<T>(run, {y, x, residual}); }
  __device__ WEFT_INLINE void coefficients(A (&k)[3], int64_t i, int64_t c) const {
    Affine<A, 1>::coefficients(k, mean[i], inv[i], gamma, beta, c);
  }
  template <int V, int P> struct Thread {
    const ApplyOp& op;
    Affine<A, P> affine;
    __device__ Thread(const ApplyOp& o, const Pack<A, P> (&k)[3]) : op(o), affine{k[0], k[1], k[2]} {}
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      Pack<T, V> x[K], residual[K];
      WEFT_UNROLL
      for (int k = 0; k < K; ++k) x[k] = load<V>(op.x, at[k].at);
      if (op.residual) {
        WEFT_UNROLL
        for (int k = 0; k < K; ++k) residual[k] = load<V>(op.residual, at[k].at);
      }
      WEFT_UNROLL
      for (int k = 0; k < K; ++k) {
        Pack<T, V> y;
        WEFT_UNROLL
        for (int v = 0; v < V; ++v) {
          const int c = P == 1 ? 0 : v;
          A z = (A(x[k].v[v]) - affine.mean.v[c]) * affine.scale.v[c] + affine.shift.v[c];
          if (op.residual) z += A(residual[k].v[v]);
          y.v[v] = static_cast<T>(op.gate.forward(z));
        }
        store(op.y, at[k].at, y);
      }
    }
  };
};

/// What the backward kernels read.
template <class T> struct BackOperands {
  using Element = T;
  using A = compute_t<T>;
  const T *g, *x, *y;
  const double *mean, *inv;
  NormParam gamma, beta;
  fn::Gate<A> gate;
  NormSource source;

  /// Calls f(k, v, centered) for the elements of K packs.
  template <int V, int P, int K, class F>
  __device__ WEFT_INLINE void for_centered(const Affine<A, P>& affine, const Offset (&at)[K], const F& f) const {
    // a loop for each source: within one, every element would ask
    if (source == NormSource::output) for_source<NormSource::output, V>(affine, at, f);
    else if (source == NormSource::input) for_source<NormSource::input, V>(affine, at, f);
    else for_source<NormSource::folded, V>(affine, at, f);
  }

 private:
  template <NormSource Src, int V, int P, int K, class F>
  __device__ WEFT_INLINE void for_source(const Affine<A, P>& affine, const Offset (&at)[K], const F& f) const {
    Pack<T, V> pg[K], px[K], py[K];
    WEFT_UNROLL
    for (int k = 0; k < K; ++k) {
      pg[k] = load<V>(g, at[k].at);
      px[k] = load<V>(x, at[k].at);
      if constexpr (Src == NormSource::output) py[k] = load<V>(y, at[k].at);
    }
    WEFT_UNROLL
    for (int k = 0; k < K; ++k) {
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) {
        const int c = P == 1 ? 0 : v;
        f(k, v,
          fn::center<Src>(A(pg[k].v[v]), A(px[k].v[v]), Src == NormSource::output ? A(py[k].v[v]) : A(0),
                          affine.mean.v[c], affine.scale.v[c], affine.shift.v[c], gate));
      }
    }
  }
};

/// s1 = sum dy, s2 = sum dy xhat; where `scale` is given, also what dx is made with (see BackApplyOp).
template <class T> struct BackReduceOp : BackOperands<T> {
  using A = compute_t<T>;
  using Part = SumsPart<A>;
  using Merge = MergeSums;
  static constexpr bool kReduces = true;
  static constexpr int kCoefficients = 3, kAtOnce = 2;
  double *s1, *s2;
  double *scale, *k1, *k2;
  int64_t C;
  double count;

  bool packed(int64_t run) const {
    return packs_fit<T>(run, {this->g, this->x, this->source == NormSource::output ? this->y : nullptr});
  }
  __device__ WEFT_INLINE void coefficients(A (&k)[3], int64_t i, int64_t c) const {
    Affine<A, 1>::coefficients(k, this->mean[i], this->inv[i], this->gamma, this->beta, c);
  }
  template <int V, int P> struct Thread : ColumnSums<A, V, P> {
    const BackReduceOp& op;
    Affine<A, P> affine;
    __device__ Thread(const BackReduceOp& o, const Pack<A, P> (&k)[3]) : op(o), affine{k[0], k[1], k[2]} {}
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      op.template for_centered<V>(affine, at, [&](int, int v, const fn::Centered<A>& e) {
        this->a[v] += e.g;
        this->b[v] += e.g * e.x;
      });
      this->template added<K>();
    }
  };
  __device__ void finish(int64_t i, const Part& r) const {
    const double sum = r.a.get(), product = (r.b.get() - rest_of<A>(this->mean[i]) * sum) * this->inv[i];
    s1[i] = sum;
    s2[i] = product;
    if (!scale) return;
    const double s = this->inv[i] * this->gamma.at(i % C, 1);
    scale[i] = s;
    k1[i] = s * sum / count;
    k2[i] = s * product / count;
  }
};

/// dx = scale dy - k1 - xhat k2, dresidual = dy.
template <class T> struct BackApplyOp : BackOperands<T> {
  using A = compute_t<T>;
  using Part = SumsPart<A>;
  static constexpr bool kReduces = false;
  static constexpr int kCoefficients = 6, kAtOnce = 2;
  T *dx, *dresidual;
  const double *scale, *k1, *k2;

  bool packed(int64_t run) const {
    return packs_fit<T>(run, {this->g, this->x, this->source == NormSource::output ? this->y : nullptr, dx, dresidual});
  }
  __device__ WEFT_INLINE void coefficients(A (&k)[6], int64_t i, int64_t c) const {
    Affine<A, 1>::coefficients(k, this->mean[i], this->inv[i], this->gamma, this->beta, c);
    const double by = k2[i] * this->inv[i];
    k[3] = static_cast<A>(scale[i]);
    k[4] = static_cast<A>(k1[i] - rest_of<A>(this->mean[i]) * by);
    k[5] = static_cast<A>(by);
  }
  template <int V, int P> struct Thread {
    const BackApplyOp& op;
    Affine<A, P> affine;
    Pack<A, P> scale, k1, k2;
    __device__ Thread(const BackApplyOp& o, const Pack<A, P> (&k)[6])
        : op(o), affine{k[0], k[1], k[2]}, scale(k[3]), k1(k[4]), k2(k[5]) {}
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      Pack<T, V> dx[K], dy[K];
      op.template for_centered<V>(affine, at, [&](int k, int v, const fn::Centered<A>& e) {
        const int c = P == 1 ? 0 : v;
        dx[k].v[v] = static_cast<T>(scale.v[c] * e.g - k1.v[c] - fn::times(e.x, k2.v[c]));
        dy[k].v[v] = static_cast<T>(e.g);
      });
      WEFT_UNROLL
      for (int k = 0; k < K; ++k) store(op.dx, at[k].at, dx[k]);
      if (op.dresidual) {
        WEFT_UNROLL
        for (int k = 0; k < K; ++k) store(op.dresidual, at[k].at, dy[k]);
      }
    }
  };
};

inline void norm_stats(const MutTensorRef& mean, const MutTensorRef& m2, const TensorRef& x) {
  dispatch_floating(x.dtype, "norm_stats", [&]<class T> {
    walk(NormShape(x, mean.numel), MomentsOp<T>{x.as<T>(), mean.as_mut<double>(), m2.as_mut<double>(), nullptr, 1, 0});
  });
}

inline void norm_apply(const MutTensorRef& y, const TensorRef& x, const TensorRef& mean, const TensorRef& inv,
                       const TensorRef& gamma, const TensorRef& beta, const TensorRef& residual, const NormParams& o) {
  if (x.numel == 0) return;
  dispatch_floating(x.dtype, "norm_apply", [&]<class T> {
    walk(NormShape(x, mean.numel),
         ApplyOp<T>{y.as_mut<T>(), x.as<T>(), residual.as<T>(), mean.as<double>(), inv.as<double>(), NormParam(gamma),
                    NormParam(beta), fn::Gate<compute_t<T>>(o)});
  });
}

inline void norm_forward(const MutTensorRef& y, const MutTensorRef& mean, const MutTensorRef& m2,
                         const MutTensorRef& inv, const TensorRef& x, const TensorRef& gamma, const TensorRef& beta,
                         const TensorRef& residual, const NormParams& o) {
  dispatch_floating(x.dtype, "norm_forward", [&]<class T> {
    const NormShape k(x, mean.numel);
    walk(k, MomentsOp<T>{x.as<T>(), mean.as_mut<double>(), m2.as_mut<double>(), inv.as_mut<double>(),
                         static_cast<double>(k.count()), o.eps});
  });
  norm_apply(y, x, mean, inv, gamma, beta, residual, o);
}

template <class T>
BackOperands<T> back_operands(const TensorRef& g, const TensorRef& x, const TensorRef& y, const TensorRef& mean,
                              const TensorRef& inv, const TensorRef& gamma, const TensorRef& beta,
                              const NormParams& o) {
  return {g.as<T>(),        x.as<T>(),        y.as<T>(),       mean.as<double>(),
          inv.as<double>(), NormParam(gamma), NormParam(beta), fn::Gate<compute_t<T>>(o),
          o.source};
}

inline void norm_backward_reduce(const MutTensorRef& s1, const MutTensorRef& s2, const TensorRef& g, const TensorRef& x,
                                 const TensorRef& y, const TensorRef& mean, const TensorRef& inv,
                                 const TensorRef& gamma, const TensorRef& beta, const NormParams& o) {
  dispatch_floating(x.dtype, "norm_backward", [&]<class T> {
    const NormShape k(x, mean.numel);
    walk(k, BackReduceOp<T>{back_operands<T>(g, x, y, mean, inv, gamma, beta, o), s1.as_mut<double>(),
                            s2.as_mut<double>(), nullptr, nullptr, nullptr, k.C, 1});
  });
}

inline void norm_backward_apply(const MutTensorRef& dx, const MutTensorRef& dresidual, const TensorRef& g,
                                const TensorRef& x, const TensorRef& y, const TensorRef& mean, const TensorRef& inv,
                                const TensorRef& gamma, const TensorRef& beta, const TensorRef& scale,
                                const TensorRef& k1, const TensorRef& k2, const NormParams& o) {
  if (x.numel == 0) return;
  dispatch_floating(x.dtype, "norm_backward", [&]<class T> {
    walk(NormShape(x, mean.numel),
         BackApplyOp<T>{back_operands<T>(g, x, y, mean, inv, gamma, beta, o), dx.as_mut<T>(), dresidual.as_mut<T>(),
                        scale.as<double>(), k1.as<double>(), k2.as<double>()});
  });
}

inline void norm_backward(const MutTensorRef& dx, const MutTensorRef& dresidual, const MutTensorRef& s1,
                          const MutTensorRef& s2, const TensorRef& g, const TensorRef& x, const TensorRef& y,
                          const TensorRef& mean, const TensorRef& inv, const TensorRef& gamma, const TensorRef& beta,
                          const NormParams& o) {
  dispatch_floating(x.dtype, "norm_backward", [&]<class T> {
    const NormShape k(x, mean.numel);
    const Scratch memory(static_cast<size_t>(3 * k.statistics()) * sizeof(double));
    double *scale = memory.as<double>(), *k1 = scale + k.statistics(), *k2 = k1 + k.statistics();
    const BackOperands<T> operands = back_operands<T>(g, x, y, mean, inv, gamma, beta, o);
    walk(k, BackReduceOp<T>{operands, s1.as_mut<double>(), s2.as_mut<double>(), scale, k1, k2, k.C,
                            static_cast<double>(k.count())});
    if (x.numel > 0) walk(k, BackApplyOp<T>{operands, dx.as_mut<T>(), dresidual.as_mut<T>(), scale, k1, k2});
  });
}

/// One launch for both running statistics.
struct UpdateRunning {
  void *mean, *var;
  int64_t mean_stride, var_stride;
  Dtype mean_dtype, var_dtype;
  fn::RunningStep mean_step, var_step;
  template <class I> __device__ void operator()(I c) const {
    if (mean) update(mean, c * mean_stride, mean_dtype, mean_step, c);
    if (var) update(var, c * var_stride, var_dtype, var_step, c);
  }

 private:
  static __device__ WEFT_INLINE void update(void* p, int64_t at, Dtype d, const fn::RunningStep& step, int64_t c) {
    with_floating(d, [&]<class T> {
      T& to = static_cast<T*>(p)[at];
      to = static_cast<T>(step(static_cast<double>(static_cast<compute_t<T>>(to)), c));
    });
  }
};
inline void update_running(const MutTensorRef& running_mean, const MutTensorRef& running_var, const TensorRef& mean,
                           const TensorRef& m2, double momentum, double scale) {
  const int64_t C = running_mean.defined() ? running_mean.numel : running_var.numel;
  const auto step = [&](const TensorRef& now, double by) {
    return fn::RunningStep{now.as<double>(), C > 0 ? now.numel / C : 0, C, 1 - momentum, momentum * by};
  };
  const auto stride = [](const MutTensorRef& t) { return t.defined() ? t.stride(0) : 0; };
  for_each_number(C, UpdateRunning{running_mean.mut, running_var.mut, stride(running_mean), stride(running_var),
                                   running_mean.dtype, running_var.dtype, step(mean, 1), step(m2, scale)});
}

}  // namespace weft::cuda
