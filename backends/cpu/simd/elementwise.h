// Elementwise kernels: a functor is compiled as one contiguous loop per compute type; one walker for all of them brings
// every operand into that form, through buffers in the first-level cache where it is strided, broadcast, half or short.
#pragma once

#include "weft/core/element_plan.h"
#include "weft/core/fn/traits.h"

namespace weft::cpu::WEFT_ISA {

/// out[i] = f(in[0][i], in[1][i], ...) for i < n, everything contiguous and of the compute type (bool for predicates).
using ContiguousLoop = void (*)(const void* f, void* out, const void* const* in, int64_t n);

/// Runs `loop` over the plan. `dtype` is that of all inputs, `out_dtype` that of operand 0.
void walk(const ElementPlan& plan, void* out, Dtype out_dtype, const void* const* in, Dtype dtype, ContiguousLoop loop,
          const void* f);

/// Has a short form for the usual f32 arguments, and a test for the others (sin, cos, tan).
template <class F>
concept WithRare = requires(const F& f, float x) {
  f.rare(x);
};

template <class F, class C> void unary_loop(const void* functor, void* out, const void* const* in, int64_t n) {
  const F f = *static_cast<const F*>(functor);
  auto* o = static_cast<fn::result_t<F, C>*>(out);
  auto* a = static_cast<const C*>(in[0]);
  if constexpr (WithRare<F> && std::is_same_v<C, float>) {
    for (int64_t b = 0; b < n; b += 256) {
      const int64_t e = n - b < 256 ? n : b + 256;
      int rare = 0;
#pragma omp simd reduction(| : rare)
      for (int64_t i = b; i < e; ++i) rare |= f.rare(a[i]);
      if (rare) {
        for (int64_t i = b; i < e; ++i) o[i] = f(a[i]);
      } else {
#pragma omp simd
        for (int64_t i = b; i < e; ++i) o[i] = f.common(a[i]);
      }
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) o[i] = static_cast<fn::result_t<F, C>>(f(a[i]));
  }
}

template <class F, class C> void binary_loop(const void* functor, void* out, const void* const* in, int64_t n) {
  const F f = *static_cast<const F*>(functor);
  auto* o = static_cast<fn::result_t<F, C>*>(out);
  auto *a = static_cast<const C*>(in[0]), *b = static_cast<const C*>(in[1]);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) o[i] = static_cast<fn::result_t<F, C>>(f(a[i], b[i]));
}

template <class F, class C> void ternary_loop(const void* functor, void* out, const void* const* in, int64_t n) {
  const F f = *static_cast<const F*>(functor);
  auto* o = static_cast<fn::result_t<F, C>*>(out);
  auto *a = static_cast<const C*>(in[0]), *b = static_cast<const C*>(in[1]), *c = static_cast<const C*>(in[2]);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) o[i] = static_cast<fn::result_t<F, C>>(f(a[i], b[i], c[i]));
}

/// Calls g.template operator()<C>() with the compute type of dtype, if F takes it.
template <class F, class G> void dispatch_compute(Dtype dtype, G&& g) {
  constexpr DtypeSet takes = fn::dtypes_of<F>();
  if (!takes.has(dtype)) [[unlikely]]
    weft::detail::bad_dtype(dtype, F::name, takes);
  const Dtype c = compute_dtype(dtype);
  if constexpr (F::domain == fn::Domain::floating) detail::dispatch_types<float, double>(c, F::name, g);
  else if constexpr (F::domain == fn::Domain::numeric)
    detail::dispatch_types<float, double, int64_t, int32_t, uint8_t>(c, F::name, g);
  else if constexpr (F::domain == fn::Domain::integral)
    detail::dispatch_types<int64_t, int32_t, uint8_t, bool>(c, F::name, g);
  else detail::dispatch_types<float, double, int64_t, int32_t, uint8_t, bool>(c, F::name, g);
}

}  // namespace weft::cpu::WEFT_ISA
