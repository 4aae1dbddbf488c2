// Batch, instance and group norm: statistics, apply and backward, each an Op over norm_walk.cuh.
#pragma once

#include "weft/backends/cuda/norm_walk.cuh"
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

/// mean, inv gamma and beta of P channels.
template <class A, int P> struct Affine {
  A mean[P], scale[P], shift[P];
  __device__ Affine(const double* means, const double* inv, const NormParam& gamma, const NormParam& beta, int64_t i,
                    int64_t c) {
    for (int v = 0; v < P; ++v) {
      mean[v] = static_cast<A>(means[i + v]);
      const double by = inv[i + v] * gamma.at(c + v, 1);
      scale[v] = static_cast<A>(by);
      shift[v] = static_cast<A>(beta.at(c + v, 0) - rest_of<A>(means[i + v]) * by);
    }
  }
};

/// mean, m2 and, if asked for, inv.
template <class T> struct MomentsOp {
  using Element = T;
  using Merge = MergeMoments;
  static constexpr bool kReduces = true;
  const T* x;
  double *mean, *m2, *inv;
  double eps;

  bool packed(int64_t run) const { return packs_fit<T>(run, {x}); }
  template <int V, int> struct Thread : ColumnMoments<T, V> {
    const T* x;
    __device__ Thread(const MomentsOp& op, int64_t, int64_t) : x(op.x) {}
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      Pack<T, V> p[K];
      for (int k = 0; k < K; ++k) p[k] = load<V>(x, at[k].at);
      ColumnMoments<T, V>::add(p);
    }
  };
  __device__ void finish(int64_t i, const Part& r) const {
    mean[i] = r.a;
    m2[i] = r.b;
    if (inv) inv[i] = 1 / fn::sqrt(r.b / r.n + eps);
  }
};

/// y = act(gamma (x - mean) inv + beta [+ residual])
template <class T> struct ApplyOp {
  using Element = T;
  using A = compute_t<T>;
  static constexpr bool kReduces = false;
  T* y;
  const T *x, *residual;
  const double *mean, *inv;
  NormParam gamma, beta;
  fn::Gate<A> gate;

  bool packed(int64_t run) const { return packs_fit<T>(run, {y, x, residual}); }
  template <int V, int P> struct Thread : Affine<A, P> {
    const ApplyOp& op;
    __device__ Thread(const ApplyOp& o, int64_t i, int64_t c)
        : Affine<A, P>(o.mean, o.inv, o.gamma, o.beta, i, c), op(o) {}
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      Pack<T, V> x[K], residual[K];
      for (int k = 0; k < K; ++k) {
        x[k] = load<V>(op.x, at[k].at);
        if (op.residual) residual[k] = load<V>(op.residual, at[k].at);
      }
      for (int k = 0; k < K; ++k) {
        Pack<T, V> y;
        for (int v = 0; v < V; ++v) {
          const int c = P == 1 ? 0 : v;
          A z = (A(x[k].v[v]) - this->mean[c]) * this->scale[c] + this->shift[c];
          if (op.residual) z += A(residual[k].v[v]);
          y.v[v] = static_cast<T>(op.gate.forward(z));
        }
        *reinterpret_cast<Pack<T, V>*>(op.y + at[k].at) = y;
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
    Pack<T, V> pg[K], px[K], py[K];
    for (int k = 0; k < K; ++k) {
      pg[k] = load<V>(g, at[k].at);
      px[k] = load<V>(x, at[k].at);
      if (source == NormSource::output) py[k] = load<V>(y, at[k].at);
    }
    for (int k = 0; k < K; ++k)
      for (int v = 0; v < V; ++v) {
        const int c = P == 1 ? 0 : v;
        const A eg = A(pg[k].v[v]), ex = A(px[k].v[v]), m = affine.mean[c], s = affine.scale[c], b = affine.shift[c];
        if (source == NormSource::output) f(k, v, fn::center<NormSource::output>(eg, ex, A(py[k].v[v]), m, s, b, gate));
        else if (source == NormSource::input) f(k, v, fn::center<NormSource::input>(eg, ex, A(0), m, s, b, gate));
        else f(k, v, fn::center<NormSource::folded>(eg, ex, A(0), m, s, b, gate));
      }
  }
};

/// s1 = sum dy, s2 = sum dy xhat; where `scale` is given, also what dx is made with (see BackApplyOp).
template <class T> struct BackReduceOp : BackOperands<T> {
  using A = compute_t<T>;
  using Merge = MergeSums;
  static constexpr bool kReduces = true;
  double *s1, *s2;
  double *scale, *k1, *k2;
  int64_t C;
  double count;

  bool packed(int64_t run) const {
    return packs_fit<T>(run, {this->g, this->x, this->source == NormSource::output ? this->y : nullptr});
  }
  template <int V, int P> struct Thread : ColumnSums<A, V> {
    const BackReduceOp& op;
    Affine<A, P> affine;
    __device__ Thread(const BackReduceOp& o, int64_t i, int64_t c)
        : op(o), affine(o.mean, o.inv, o.gamma, o.beta, i, c) {}
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      op.template for_centered<V>(affine, at, [&](int, int v, const fn::Centered<A>& e) {
        this->a[v] += e.g;
        this->b[v] += e.g * e.x;
      });
      this->template added<K>();
    }
  };
  __device__ void finish(int64_t i, const Part& r) const {
    const double sum = r.a, product = (r.b - rest_of<A>(this->mean[i]) * sum) * this->inv[i];
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
  static constexpr bool kReduces = false;
  T *dx, *dresidual;
  const double *scale, *k1, *k2;

  bool packed(int64_t run) const {
    return packs_fit<T>(run, {this->g, this->x, this->source == NormSource::output ? this->y : nullptr, dx, dresidual});
  }
  template <int V, int P> struct Thread {
    const BackApplyOp& op;
    Affine<A, P> affine;
    A scale[P], k1[P], k2[P];
    __device__ Thread(const BackApplyOp& o, int64_t i, int64_t c)
        : op(o), affine(o.mean, o.inv, o.gamma, o.beta, i, c) {
      for (int v = 0; v < P; ++v) {
        scale[v] = static_cast<A>(o.scale[i + v]);
        const double by = o.k2[i + v] * o.inv[i + v];
        k1[v] = static_cast<A>(o.k1[i + v] - rest_of<A>(o.mean[i + v]) * by);
        k2[v] = static_cast<A>(by);
      }
    }
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      Pack<T, V> dx[K], dy[K];
      op.template for_centered<V>(affine, at, [&](int k, int v, const fn::Centered<A>& e) {
        const int c = P == 1 ? 0 : v;
        dx[k].v[v] = static_cast<T>(scale[c] * e.g - k1[c] - fn::times(e.x, k2[c]));
        dy[k].v[v] = static_cast<T>(e.g);
      });
      for (int k = 0; k < K; ++k) {
        *reinterpret_cast<Pack<T, V>*>(op.dx + at[k].at) = dx[k];
        if (op.dresidual) *reinterpret_cast<Pack<T, V>*>(op.dresidual + at[k].at) = dy[k];
      }
    }
  };
};

inline void norm_stats(const MutTensorRef& mean, const MutTensorRef& m2, const TensorRef& x) {
  dispatch_floating(x.dtype, "norm_stats", [&]<class T> {
    walk(NormShape(x, mean.numel), MomentsOp<T>{x.as<T>(), mean.as_mut<double>(), m2.as_mut<double>(), nullptr, 0});
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
    walk(NormShape(x, mean.numel),
         MomentsOp<T>{x.as<T>(), mean.as_mut<double>(), m2.as_mut<double>(), inv.as_mut<double>(), o.eps});
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

}  // namespace weft::cuda
