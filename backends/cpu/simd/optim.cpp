// Multi-tensor steps: the tensors of a table are one long row of elements, cut evenly among the threads.
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

template <class E> int64_t total(std::span<const E> table) {
  int64_t n = 0;
  for (const E& e : table) n += e.numel;
  return n;
}

/// Calls f(entry, begin, end) for what [begin, end) of the whole row has of each entry.
template <class E, class F> void for_pieces(std::span<const E> table, int64_t begin, int64_t end, const F& f) {
  int64_t first = 0;
  for (const E& e : table) {
    if (first >= end) break;
    int64_t from = begin - first, to = end - first;
    from = from < 0 ? 0 : from;
    to = to > e.numel ? e.numel : to;
    if (from < to) f(e, from, to);
    first += e.numel;
  }
}

template <class F, class P> void step_piece(const fn::StepEntry& e, const F f, int64_t begin, int64_t end) {
  using T = compute_t<P>;
  constexpr bool half = !std::is_same_v<P, T>;
  constexpr bool has_s = F::states & 1, has_t = F::states & 2, has_u = F::states & 4;
  P* __restrict param = static_cast<P*>(e.param);
  T* __restrict master = static_cast<T*>(e.master);
  const P* __restrict grad = static_cast<const P*>(e.grad);
  T* __restrict state0 = static_cast<T*>(e.state[0]);
  T* __restrict state1 = static_cast<T*>(e.state[1]);
  T* __restrict state2 = static_cast<T*>(e.state[2]);
  const double scale[3] = {e.scale[0], e.scale[1], e.scale[2]};
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    T p = master[i], s = 0, t = 0, u = 0;
    if constexpr (has_s) s = state0[i];
    if constexpr (has_t) t = state1[i];
    if constexpr (has_u) u = state2[i];
    f(p, static_cast<T>(grad[i]), s, t, u, scale);
    master[i] = p;
    if constexpr (half) put(param[i], p);
    if constexpr (has_s) state0[i] = s;
    if constexpr (has_t) state1[i] = t;
    if constexpr (has_u) state2[i] = u;
  }
}

template <class F> void step(std::span<const fn::StepEntry> table, const void* hypers) {
  const F* f = static_cast<const F*>(hypers);
  parallel_for(total(table), kSerialBelow, [&](int64_t begin, int64_t end) {
    for_pieces(table, begin, end, [&](const fn::StepEntry& e, int64_t from, int64_t to) {
      switch (e.dtype) {
        case Dtype::f32: return step_piece<F, float>(e, f[e.hyper], from, to);
        case Dtype::f64: return step_piece<F, double>(e, f[e.hyper], from, to);
        case Dtype::bf16: return step_piece<F, bf16>(e, f[e.hyper], from, to);
        default: return step_piece<F, f16>(e, f[e.hyper], from, to);
      }
    });
  });
}

/// Calls f.template operator()<T>() for a floating dtype; the ops have checked that it is one.
template <class F> auto with_type(Dtype d, const F& f) {
  switch (d) {
    case Dtype::f32: return f.template operator()<float>();
    case Dtype::f64: return f.template operator()<double>();
    case Dtype::bf16: return f.template operator()<bf16>();
    default: return f.template operator()<f16>();
  }
}

enum class Norm { one, two, inf, other };

template <Norm N, class T> double partial(const T* x, int64_t n, double p) {
  using C = compute_t<T>;
  double sum = 0;
  // f32 sums of 1024 elements keep enough digits; their sum is in f64
  for (int64_t at = 0; at < n; at += 1024) {
    const T* b = x + at;
    int64_t m = n - at < 1024 ? n - at : 1024;
    C s = 0;
    if constexpr (N == Norm::two) {
#pragma omp simd reduction(+ : s)
      for (int64_t i = 0; i < m; ++i) s += static_cast<C>(b[i]) * static_cast<C>(b[i]);
      // near its ends f32 has no squares, or few of their digits
      if (sizeof(C) == 4 && !(s > C(1e-25) && s < C(1e38))) {
        for (int64_t i = 0; i < m; ++i) sum += static_cast<double>(b[i]) * static_cast<double>(b[i]);
        continue;
      }
    } else if constexpr (N == Norm::one) {
#pragma omp simd reduction(+ : s)
      for (int64_t i = 0; i < m; ++i) s += fn::abs(static_cast<C>(b[i]));
    } else if constexpr (N == Norm::inf) {
      for (int64_t i = 0; i < m; ++i) {
        C a = fn::abs(static_cast<C>(b[i]));
        s = a > s || a != a ? a : s;
      }
      if (s > sum || s != s) sum = s;
      if (sum != sum) return sum;
      continue;
    } else {
      for (int64_t i = 0; i < m; ++i) sum += std::pow(std::fabs(static_cast<double>(b[i])), p);
      continue;
    }
    sum += s;
  }
  return sum;
}

template <Norm N> double norm_of(std::span<const fn::FlatEntry> table, double* parts, double p) {
  const int64_t n = total(table), chunks = (n + fn::kNormChunk - 1) / fn::kNormChunk;
  parallel_for(chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      double sum = 0;
      int64_t end = (c + 1) * fn::kNormChunk;
      for_pieces(table, c * fn::kNormChunk, end < n ? end : n, [&](const fn::FlatEntry& e, int64_t from, int64_t to) {
        double part = with_type(
            e.dtype, [&]<class T> { return partial<N>(static_cast<const T*>(e.data) + from, to - from, p); });
        if constexpr (N == Norm::inf) sum = part > sum || part != part ? part : sum;
        else sum += part;
      });
      parts[c] = sum;
    }
  });
  double sum = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    if constexpr (N == Norm::inf) sum = parts[c] > sum || parts[c] != parts[c] ? parts[c] : sum;
    else sum += parts[c];
  }
  return sum;
}

void multi_norm(const MutTensorRef& out, const MutTensorRef& scratch, std::span<const fn::FlatEntry> table, double p) {
  double* parts = scratch.as_mut<double>();
  double r = p == 2                                         ? std::sqrt(norm_of<Norm::two>(table, parts, p))
             : p == 1                                       ? norm_of<Norm::one>(table, parts, p)
             : p == std::numeric_limits<double>::infinity() ? norm_of<Norm::inf>(table, parts, p)
                                                            : std::pow(norm_of<Norm::other>(table, parts, p), 1 / p);
  if (out.dtype == Dtype::f64) *out.as_mut<double>() = r;
  else *out.as_mut<float>() = static_cast<float>(r);
}

template <class F> void change_all(std::span<const fn::FlatEntry> table, const F& f) {
  parallel_for(total(table), kSerialBelow, [&](int64_t begin, int64_t end) {
    for_pieces(table, begin, end, [&](const fn::FlatEntry& e, int64_t from, int64_t to) {
      with_type(e.dtype, [&]<class T> {
        using C = compute_t<T>;
        T* x = static_cast<T*>(e.data);
#pragma omp simd
        for (int64_t i = from; i < to; ++i) put(x[i], f(static_cast<C>(x[i])));
      });
    });
  });
}

void multi_clip(std::span<const fn::FlatEntry> table, const TensorRef& norm, double max_norm) {
  double n = norm.dtype == Dtype::f64 ? *norm.as<double>() : static_cast<double>(*norm.as<float>());
  double factor = max_norm / (n + 1e-6);
  if (factor >= 1) return;
  change_all(table, [=]<class C>(C x) { return x * static_cast<C>(factor); });
}

void multi_clamp(std::span<const fn::FlatEntry> table, double limit) {
  change_all(table, [=]<class C>(C x) { return fn::clamp(x, static_cast<C>(-limit), static_cast<C>(limit)); });
}

}  // namespace

void register_optim() {
  fn::OptimOps::for_each([]<class F> { kernels::optim_step.of<F>().set(DeviceType::cpu, step<F>); });
  kernels::multi_norm.set(DeviceType::cpu, multi_norm);
  kernels::multi_clip.set(DeviceType::cpu, multi_clip);
  kernels::multi_clamp.set(DeviceType::cpu, multi_clamp);
}

}  // namespace weft::cpu::WEFT_ISA
