// Normalisation per channel (batch, instance and group norm): statistics, apply and backward, for planes (NCHW) and for
// rows of channels (NHWC). Statistics: two passes over pieces that fit the cache, merged in f64; the second one
// corrects the first one's mean, so that a mean far from zero costs no digits.
#include <algorithm>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/integer.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace WEFT_ISA {
namespace {

constexpr int64_t kPieceElements = 1 << 16;  // at least this much work per piece of a parallel reduction
constexpr int64_t kMaxPieces = 32;           // fixed, so that results do not depend on the number of threads

/// How x [N, C, S] is walked. Statistics are per channel (groups = 1) or per sample and channel (groups = N).
struct Walk {
  bool rows;  // channels innermost
  int64_t N, C, S, groups;
  // rows only: `fold` rows of C are taken as one of `width`, so that few channels still fill vectors
  int64_t fold, width, wide_rows, tail, pieces;

  Walk(const TensorRef& x, int64_t statistics) {
    N = x.size(0), C = x.size(1), S = 1;
    for (int i = 2; i < x.rank; ++i) S *= x.size(i);
    groups = C > 0 ? std::max<int64_t>(1, statistics / C) : 1;
    rows = S == 1 || (C > 1 && x.stride(1) == 1);
    const int64_t n = N / groups * S;
    fold = C > 0 ? std::max<int64_t>(1, std::min<int64_t>(64 / C, n)) : 1;
    width = C * fold;
    wide_rows = n / fold;
    tail = (n % fold) * C;
    pieces = std::clamp<int64_t>(std::min(n * C / kPieceElements, wide_rows), 1, kMaxPieces);
  }
  int64_t count() const { return N / groups * S; }
  int64_t samples() const { return N / groups; }
  int64_t group_elements() const { return count() * C; }
};

/// `arrays` column vectors for each group.
template <class A> class Columns {
 public:
  Columns(const Walk& k, int arrays)
      : width_(k.width), stride_(k.width * arrays), memory_(static_cast<size_t>(k.groups * stride_) * sizeof(A)) {}
  A* operator()(int64_t group, int i) const { return memory_.as<A>() + group * stride_ + i * width_; }
  Column<A> column(int64_t group, int i) const { return {(*this)(group, i)}; }

 private:
  int64_t width_, stride_;
  Scratch memory_;
};

/// Repeats f(c) for c in [0, C) over `width` columns.
template <class A, class F> void tile(A* to, int64_t width, int64_t C, const F& f) {
  for (int64_t c = 0; c < C; ++c) to[c] = static_cast<A>(f(c));
  for (int64_t i = C; i < width; ++i) to[i] = to[i - C];
}

/// gamma, beta: f32 or f64, may be missing.
WEFT_INLINE double param(const TensorRef& p, int64_t c, double missing) {
  if (!p.defined()) return missing;
  return p.dtype == Dtype::f64 ? p.as<double>()[c * p.stride(0)] : static_cast<double>(p.as<float>()[c * p.stride(0)]);
}

// Statistics ---------------------------------------------------------------------------------------------------------

template <class T> void stats_rows(double* mean, double* m2, const T* x, const Walk& k) {
  using A = compute_t<T>;
  const int64_t W = k.width, tasks = k.groups * k.pieces;
  Scratch memory(static_cast<size_t>(tasks * W) * 5 * sizeof(double));
  double *partial = memory.as<double>(), *work = partial + tasks * W * 2;
  const int64_t chunk = std::max<int64_t>(4, 32768 / (W * static_cast<int64_t>(sizeof(T))));
  parallel_for(tasks, k.group_elements() * k.groups < kSerialBelow ? tasks : 1, [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) {
      const int64_t b = t / k.pieces, p = t % k.pieces;
      const int64_t begin = k.wide_rows * p / k.pieces, end = k.wide_rows * (p + 1) / k.pieces;
      const T* base = x + b * k.group_elements();
      double *pm = partial + t * 2 * W, *pq = pm + W, *wide = work + t * 3 * W;
      A* s = reinterpret_cast<A*>(wide);
      for (int64_t i = 0; i < W; ++i) pm[i] = pq[i] = 0;
      for (int64_t r = begin; r < end; r += chunk) {
        const int64_t rows = std::min(chunk, end - r);
        const T* here = base + r * W;
        column_moments(s, s + W, s + 2 * W, here, rows, W);
        const double n = static_cast<double>(rows), done = static_cast<double>(r - begin), share = n / (done + n),
                     weight = done * share;
        const auto merge = [=](const auto* sums) {
#pragma omp simd
          for (int64_t i = 0; i < W; ++i) {
            const double rest = static_cast<double>(sums[W + i]),
                         delta = static_cast<double>(sums[i]) + rest / n - pm[i];
            pm[i] += delta * share;
            pq[i] += static_cast<double>(sums[2 * W + i]) - rest * rest / n + delta * delta * weight;
          }
        };
        if (columns_held(s + 2 * W, here, rows, W)) {
          merge(s);
        } else {
          column_moments(wide, wide + W, wide + 2 * W, here, rows, W);
          merge(wide);
        }
      }
    }
  });
  parallel_for(k.groups * k.C, kSerialBelow / 16, [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) {
      const int64_t b = i / k.C, c = i % k.C;
      fn::Moments m;
      for (int64_t p = 0; p < k.pieces; ++p) {
        const double* pm = partial + (b * k.pieces + p) * 2 * W;
        const double n = static_cast<double>(k.wide_rows * (p + 1) / k.pieces - k.wide_rows * p / k.pieces);
        for (int64_t j = c; j < W; j += k.C) m.merge(n, pm[j], pm[W + j]);
      }
      const T* rest = x + b * k.group_elements() + k.wide_rows * W;
      for (int64_t j = c; j < k.tail; j += k.C) m.merge(1, static_cast<double>(static_cast<A>(rest[j])), 0);
      mean[i] = m.mean;
      m2[i] = m.m2 < 0 ? 0 : m.m2;
    }
  });
}

template <class T> fn::Moments stats_planes(const T* x, const Walk& k, int64_t b, int64_t c) {
  fn::Moments m;
  for (int64_t n = b * k.samples(); n < (b + 1) * k.samples(); ++n) m.merge(moments(x + (n * k.C + c) * k.S, k.S));
  return m;
}

template <class T> void stats(double* mean, double* m2, const T* x, const Walk& k) {
  if (k.rows) return stats_rows(mean, m2, x, k);
  const int64_t grain = std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, k.count()));
  parallel_for(k.groups * k.C, grain, [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) {
      const fn::Moments m = stats_planes(x, k, i / k.C, i % k.C);
      mean[i] = m.mean;
      m2[i] = m.m2;
    }
  });
}

// Forward ------------------------------------------------------------------------------------------------------------

/// Is any of n too large or small for loops in f32?
template <class T> bool any_extreme(const double* inv, int64_t n) {
  bool any = false;
  for (int64_t i = 0; i < n; ++i) any |= is_extreme<T>(inv[i]);
  return any;
}

/// mean, scale and shift of a channel.
template <class A> struct Affine {
  Uniform<A> mean, scale, shift;
  Affine(const double* means, const double* inv, const TensorRef& gamma, const TensorRef& beta, int64_t i, int64_t c) {
    const double by = inv[i] * param(gamma, c, 1);
    mean = {static_cast<A>(means[i])};
    scale = {static_cast<A>(by)};
    shift = {static_cast<A>(param(beta, c, 0) - rest_of<A>(means[i]) * by)};
  }
};

/// Column vectors mean, inv gamma and beta of every group.
template <class A>
void fill_affine(const Columns<A>& v, const double* mean, const double* inv, const TensorRef& gamma,
                 const TensorRef& beta, const Walk& k) {
  parallel_for(k.groups, std::max<int64_t>(1, kSerialBelow / k.width), [&](int64_t b0, int64_t b1) {
    for (int64_t b = b0; b < b1; ++b) {
      tile(v(b, 0), k.width, k.C, [&](int64_t c) { return mean[b * k.C + c]; });
      tile(v(b, 1), k.width, k.C, [&](int64_t c) { return inv[b * k.C + c] * param(gamma, c, 1); });
      tile(v(b, 2), k.width, k.C, [&](int64_t c) {
        const int64_t i = b * k.C + c;
        return param(beta, c, 0) - rest_of<A>(mean[i]) * (inv[i] * param(gamma, c, 1));
      });
    }
  });
}

/// Calls body(group, first element, elements) for runs of up to `width` elements that begin at channel 0, in parallel.
/// From the end towards the start: the statistics pass has just been there, so the end is what is still in the cache.
template <class Body> void for_rows(const Walk& k, const Body& body) {
  const int64_t kBlock = std::max<int64_t>(64, (1 << 18) / k.width);  // long enough for the prefetcher
  const int64_t per_group = k.wide_rows + (k.tail ? 1 : 0);
  parallel_for(k.groups * per_group, std::max<int64_t>(1, kSerialBelow / k.width), [&](int64_t t0, int64_t t1) {
    for (int64_t block = fn::ceil_div(t1 - t0, kBlock) - 1; block >= 0; --block)
      for (int64_t t = t0 + block * kBlock, end = std::min(t + kBlock, t1); t < end; ++t) {
        const int64_t b = t / per_group, r = t % per_group;
        body(b, b * k.group_elements() + r * k.width, r < k.wide_rows ? k.width : k.tail);
      }
  });
}

template <class T, class A>
void apply_in(T* y, const T* x, const T* residual, const double* mean, const double* inv, const TensorRef& gamma,
              const TensorRef& beta, const Walk& k, const NormParams& o) {
  const Gate<A> s(o);
  if (k.rows) {
    const Columns<A> v(k, 3);
    fill_affine(v, mean, inv, gamma, beta, k);
    for_rows(k, [&](int64_t b, int64_t at, int64_t n) {
      apply_loop(y + at, x + at, residual ? residual + at : nullptr, n, v.column(b, 0), v.column(b, 1), v.column(b, 2),
                 s);
    });
  } else {
    const int64_t split = std::clamp<int64_t>(k.S / kSerialBelow, 1, 16);
    const int64_t grain = std::max<int64_t>(1, kSerialBelow * split / std::max<int64_t>(1, k.S));
    parallel_for(k.N * k.C * split, grain, [&](int64_t t0, int64_t t1) {
      for (int64_t t = t0; t < t1; ++t) {
        const int64_t plane = t / split, p = t % split, c = plane % k.C, b = k.groups == 1 ? 0 : plane / k.C;
        const int64_t at = plane * k.S + k.S * p / split, n = k.S * (p + 1) / split - k.S * p / split;
        const Affine<A> v(mean, inv, gamma, beta, b * k.C + c, c);
        apply_loop(y + at, x + at, residual ? residual + at : nullptr, n, v.mean, v.scale, v.shift, s);
      }
    });
  }
}

template <class T>
void apply_as(T* y, const T* x, const T* residual, const double* mean, const double* inv, const TensorRef& gamma,
              const TensorRef& beta, const Walk& k, const NormParams& o) {
  if constexpr (kMayBeExtreme<T>)
    if (any_extreme<T>(inv, k.groups * k.C)) return apply_in<T, double>(y, x, residual, mean, inv, gamma, beta, k, o);
  apply_in<T, compute_t<T>>(y, x, residual, mean, inv, gamma, beta, k, o);
}

/// Statistics and apply in one go while a channel's planes are in the cache.
template <class T>
void forward_planes(T* y, double* mean, double* m2, double* inv, const T* x, const T* residual, const TensorRef& gamma,
                    const TensorRef& beta, const Walk& k, const NormParams& o) {
  const int64_t grain = std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, k.count()));
  parallel_for(k.groups * k.C, grain, [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) {
      const int64_t b = i / k.C, c = i % k.C;
      const fn::Moments m = stats_planes(x, k, b, c);
      mean[i] = m.mean;
      m2[i] = m.m2;
      inv[i] = 1 / fn::sqrt(m.m2 / m.n + o.eps);
      const auto apply = [&]<class A>() {
        const Affine<A> v(mean, inv, gamma, beta, i, c);
        for (int64_t n = (b + 1) * k.samples() - 1; n >= b * k.samples(); --n) {  // what was read last is cached best
          const int64_t at = (n * k.C + c) * k.S;
          apply_loop(y + at, x + at, residual ? residual + at : nullptr, k.S, v.mean, v.scale, v.shift, Gate<A>(o));
        }
      };
      if constexpr (kMayBeExtreme<T>)
        if (is_extreme<T>(inv[i])) {
          apply.template operator()<double>();
          continue;
        }
      apply.template operator()<compute_t<T>>();
    }
  });
}

// Backward -----------------------------------------------------------------------------------------------------------

/// Operands of the backward loops. `scale`, `k1`, `k2` (apply only): dx = scale g - k1 - xhat k2, all [groups, C].
template <class T> struct Back {
  T *dx, *dres;
  const T *g, *x, *y;
  const double *mean, *inv;
  TensorRef gamma, beta;
  NormParams params;
};

template <class T, NormSource Src, class A> void reduce_rows(double* s1, double* s2, const Back<T>& o, const Walk& k) {
  const int64_t W = k.width, tasks = k.groups * k.pieces;
  Scratch memory(static_cast<size_t>(tasks * W) * 2 * (sizeof(double) + sizeof(A)));
  double* partial = memory.as<double>();
  A* chunk_sums = reinterpret_cast<A*>(partial + tasks * W * 2);
  const int64_t chunk = std::max<int64_t>(4, 32768 / (W * static_cast<int64_t>(sizeof(T))));
  const Columns<A> v(k, 3);
  fill_affine(v, o.mean, o.inv, o.gamma, o.beta, k);
  parallel_for(tasks, k.group_elements() * k.groups < kSerialBelow ? tasks : 1, [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) {
      const int64_t b = t / k.pieces, p = t % k.pieces;
      double* p1 = partial + t * 2 * W;
      A* s = chunk_sums + t * 2 * W;
      for (int64_t i = 0; i < 2 * W; ++i) p1[i] = 0;
      const auto add = [&](int64_t at, int64_t rows, int64_t n) {
        for (int64_t i = 0; i < 2 * W; ++i) s[i] = A(0);
        reduce_columns<Src>(s, s + W, o.g + at, o.x + at, o.y ? o.y + at : nullptr, rows, n, v.column(b, 0),
                            v.column(b, 1), v.column(b, 2), Gate<A>(o.params));
        for (int64_t i = 0; i < 2 * W; ++i) p1[i] += static_cast<double>(s[i]);
      };
      const int64_t first = b * k.group_elements(), end = k.wide_rows * (p + 1) / k.pieces;
      for (int64_t r = k.wide_rows * p / k.pieces; r < end; r += chunk) add(first + r * W, std::min(chunk, end - r), W);
      if (p == k.pieces - 1 && k.tail) add(first + k.wide_rows * W, 1, k.tail);
    }
  });
  parallel_for(k.groups * k.C, kSerialBelow / 16, [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) {
      double a = 0, q = 0;
      for (int64_t p = 0; p < k.pieces; ++p) {
        const double* p1 = partial + (i / k.C * k.pieces + p) * 2 * W;
        for (int64_t j = i % k.C; j < W; j += k.C) a += p1[j], q += p1[W + j];
      }
      s1[i] = a;
      s2[i] = (q - rest_of<A>(o.mean[i]) * a) * o.inv[i];
    }
  });
}

template <class T, NormSource Src, class A>
void reduce_plane(double& s1, double& s2, const Back<T>& o, const Walk& k, int64_t b, int64_t c) {
  const int64_t i = b * k.C + c;
  const Affine<A> v(o.mean, o.inv, o.gamma, o.beta, i, c);
  double a = 0, q = 0;
  for (int64_t n = b * k.samples(); n < (b + 1) * k.samples(); ++n)
    for (int64_t at = (n * k.C + c) * k.S, end = at + k.S; at < end; at += 4096) {
      A pa = 0, pq = 0;
      reduce_run<Src>(pa, pq, o.g + at, o.x + at, o.y ? o.y + at : nullptr, std::min<int64_t>(4096, end - at), v.mean,
                      v.scale, v.shift, Gate<A>(o.params));
      a += static_cast<double>(pa);
      q += static_cast<double>(pq);
    }
  s1 = a;
  s2 = (q - rest_of<A>(o.mean[i]) * a) * o.inv[i];
}

template <class T, NormSource Src, class A>
void back_plane(const Back<T>& o, const Walk& k, int64_t n, int64_t c, int64_t i, double scale, double k1, double k2) {
  const Affine<A> v(o.mean, o.inv, o.gamma, o.beta, i, c);
  const double d = k2 * o.inv[i];
  Uniform<A> va{static_cast<A>(scale)}, vb{static_cast<A>(k1 - rest_of<A>(o.mean[i]) * d)}, vd{static_cast<A>(d)};
  const int64_t at = (n * k.C + c) * k.S;
  back_loop<Src>(o.dx + at, o.dres ? o.dres + at : nullptr, o.g + at, o.x + at, o.y ? o.y + at : nullptr, k.S, v.mean,
                 v.scale, v.shift, va, vb, vd, Gate<A>(o.params));
}

template <class T, NormSource Src, class A>
void back_apply(const Back<T>& o, const double* scale, const double* k1, const double* k2, const Walk& k) {
  if (!k.rows) {
    const int64_t grain = std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, k.S));
    parallel_for(k.N * k.C, grain, [&](int64_t t0, int64_t t1) {
      for (int64_t t = t0; t < t1; ++t) {
        const int64_t n = t / k.C, c = t % k.C, i = (k.groups == 1 ? 0 : n) * k.C + c;
        back_plane<T, Src, A>(o, k, n, c, i, scale[i], k1[i], k2[i]);
      }
    });
    return;
  }
  const Columns<A> v(k, 6);
  fill_affine(v, o.mean, o.inv, o.gamma, o.beta, k);
  parallel_for(k.groups, std::max<int64_t>(1, kSerialBelow / k.width), [&](int64_t b0, int64_t b1) {
    for (int64_t b = b0; b < b1; ++b) {
      tile(v(b, 3), k.width, k.C, [&](int64_t c) { return scale[b * k.C + c]; });
      tile(v(b, 4), k.width, k.C, [&](int64_t c) {
        const int64_t i = b * k.C + c;
        return k1[i] - rest_of<A>(o.mean[i]) * (k2[i] * o.inv[i]);
      });
      tile(v(b, 5), k.width, k.C, [&](int64_t c) { return k2[b * k.C + c] * o.inv[b * k.C + c]; });
    }
  });
  for_rows(k, [&](int64_t b, int64_t at, int64_t n) {
    back_loop<Src>(o.dx + at, o.dres ? o.dres + at : nullptr, o.g + at, o.x + at, o.y ? o.y + at : nullptr, n,
                   v.column(b, 0), v.column(b, 1), v.column(b, 2), v.column(b, 3), v.column(b, 4), v.column(b, 5),
                   Gate<A>(o.params));
  });
}

template <class T, NormSource Src, class A> void reduce(double* s1, double* s2, const Back<T>& o, const Walk& k) {
  if (k.rows) return reduce_rows<T, Src, A>(s1, s2, o, k);
  const int64_t grain = std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, k.count()));
  parallel_for(k.groups * k.C, grain, [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) reduce_plane<T, Src, A>(s1[i], s2[i], o, k, i / k.C, i % k.C);
  });
}

/// Both, channel by channel, while its planes are in the cache.
template <class T, NormSource Src, class A> void backward(double* s1, double* s2, const Back<T>& o, const Walk& k) {
  const double count = static_cast<double>(k.count());
  if (k.rows) {
    reduce<T, Src, A>(s1, s2, o, k);
    const int64_t n = k.groups * k.C;
    Scratch memory(static_cast<size_t>(3 * n) * sizeof(double));
    double* v = memory.as<double>();
    for (int64_t i = 0; i < n; ++i) {
      v[i] = o.inv[i] * param(o.gamma, i % k.C, 1);
      v[n + i] = v[i] * s1[i] / count;
      v[2 * n + i] = v[i] * s2[i] / count;
    }
    return back_apply<T, Src, A>(o, v, v + n, v + 2 * n, k);
  }
  const int64_t grain = std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, k.count()));
  parallel_for(k.groups * k.C, grain, [&](int64_t i0, int64_t i1) {
    for (int64_t i = i0; i < i1; ++i) {
      const int64_t b = i / k.C, c = i % k.C;
      reduce_plane<T, Src, A>(s1[i], s2[i], o, k, b, c);
      const double a = o.inv[i] * param(o.gamma, c, 1);
      for (int64_t n = (b + 1) * k.samples() - 1; n >= b * k.samples(); --n)
        back_plane<T, Src, A>(o, k, n, c, i, a, a * s1[i] / count, a * s2[i] / count);
    }
  });
}

// Slots --------------------------------------------------------------------------------------------------------------

/// f<source, type of the loops>
template <class T, class F> void with_source(NormSource source, const double* inv, const Walk& k, const F& f) {
  const auto run = [&]<class A>() {
    switch (source) {
      case NormSource::input: f.template operator()<NormSource::input, A>(); break;
      case NormSource::output: f.template operator()<NormSource::output, A>(); break;
      case NormSource::folded: f.template operator()<NormSource::folded, A>(); break;
    }
  };
  if constexpr (kMayBeExtreme<T>)
    if (any_extreme<T>(inv, k.groups * k.C)) return run.template operator()<double>();
  run.template operator()<compute_t<T>>();
}

void norm_stats(const MutTensorRef& mean, const MutTensorRef& m2, const TensorRef& x) {
  const Walk k(x, mean.numel);
  with_floating(x.dtype, [&]<class T> { stats(mean.as_mut<double>(), m2.as_mut<double>(), x.as<T>(), k); });
}

void norm_apply(const MutTensorRef& y, const TensorRef& x, const TensorRef& mean, const TensorRef& inv,
                const TensorRef& gamma, const TensorRef& beta, const TensorRef& residual, const NormParams& o) {
  const Walk k(x, mean.numel);
  with_floating(x.dtype, [&]<class T> {
    apply_as(y.as_mut<T>(), x.as<T>(), residual.as<T>(), mean.as<double>(), inv.as<double>(), gamma, beta, k, o);
  });
}

void norm_forward(const MutTensorRef& y, const MutTensorRef& mean, const MutTensorRef& m2, const MutTensorRef& inv,
                  const TensorRef& x, const TensorRef& gamma, const TensorRef& beta, const TensorRef& residual,
                  const NormParams& o) {
  const Walk k(x, mean.numel);
  double *pm = mean.as_mut<double>(), *pq = m2.as_mut<double>(), *pi = inv.as_mut<double>();
  with_floating(x.dtype, [&]<class T> {
    if (!k.rows) return forward_planes(y.as_mut<T>(), pm, pq, pi, x.as<T>(), residual.as<T>(), gamma, beta, k, o);
    stats(pm, pq, x.as<T>(), k);
    for (int64_t i = 0; i < mean.numel; ++i) pi[i] = 1 / fn::sqrt(pq[i] / static_cast<double>(k.count()) + o.eps);
    apply_as(y.as_mut<T>(), x.as<T>(), residual.as<T>(), pm, pi, gamma, beta, k, o);
  });
}

template <class T>
Back<T> operands(const MutTensorRef& dx, const MutTensorRef& dres, const TensorRef& g, const TensorRef& x,
                 const TensorRef& y, const TensorRef& mean, const TensorRef& inv, const TensorRef& gamma,
                 const TensorRef& beta, const NormParams& o) {
  return {dx.as_mut<T>(),    dres.as_mut<T>(), g.as<T>(), x.as<T>(), y.as<T>(),
          mean.as<double>(), inv.as<double>(), gamma,     beta,      o};
}

void norm_backward_reduce(const MutTensorRef& s1, const MutTensorRef& s2, const TensorRef& g, const TensorRef& x,
                          const TensorRef& y, const TensorRef& mean, const TensorRef& inv, const TensorRef& gamma,
                          const TensorRef& beta, const NormParams& o) {
  const Walk k(x, mean.numel);
  with_floating(x.dtype, [&]<class T> {
    const Back<T> v = operands<T>({}, {}, g, x, y, mean, inv, gamma, beta, o);
    with_source<T>(o.source, v.inv, k,
                   [&]<NormSource Src, class A> { reduce<T, Src, A>(s1.as_mut<double>(), s2.as_mut<double>(), v, k); });
  });
}

void norm_backward_apply(const MutTensorRef& dx, const MutTensorRef& dres, const TensorRef& g, const TensorRef& x,
                         const TensorRef& y, const TensorRef& mean, const TensorRef& inv, const TensorRef& gamma,
                         const TensorRef& beta, const TensorRef& scale, const TensorRef& k1, const TensorRef& k2,
                         const NormParams& o) {
  const Walk k(x, mean.numel);
  with_floating(x.dtype, [&]<class T> {
    const Back<T> v = operands<T>(dx, dres, g, x, y, mean, inv, gamma, beta, o);
    with_source<T>(o.source, v.inv, k, [&]<NormSource Src, class A> {
      back_apply<T, Src, A>(v, scale.as<double>(), k1.as<double>(), k2.as<double>(), k);
    });
  });
}

void norm_backward(const MutTensorRef& dx, const MutTensorRef& dres, const MutTensorRef& s1, const MutTensorRef& s2,
                   const TensorRef& g, const TensorRef& x, const TensorRef& y, const TensorRef& mean,
                   const TensorRef& inv, const TensorRef& gamma, const TensorRef& beta, const NormParams& o) {
  const Walk k(x, mean.numel);
  with_floating(x.dtype, [&]<class T> {
    const Back<T> v = operands<T>(dx, dres, g, x, y, mean, inv, gamma, beta, o);
    with_source<T>(o.source, v.inv, k, [&]<NormSource Src, class A> {
      backward<T, Src, A>(s1.as_mut<double>(), s2.as_mut<double>(), v, k);
    });
  });
}

}  // namespace

void register_norm() {
  kernels::norm_stats.set(DeviceType::cpu, norm_stats);
  kernels::norm_apply.set(DeviceType::cpu, norm_apply);
  kernels::norm_forward.set(DeviceType::cpu, norm_forward);
  kernels::norm_backward_reduce.set(DeviceType::cpu, norm_backward_reduce);
  kernels::norm_backward_apply.set(DeviceType::cpu, norm_backward_apply);
  kernels::norm_backward.set(DeviceType::cpu, norm_backward);
}

}  // namespace WEFT_ISA
}  // namespace weft::cpu
