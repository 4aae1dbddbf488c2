// Walks the elements of an ElementPlan, in parallel pieces of the innermost runs.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include "weft/core/element_plan.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {

using Run = void (*)(const void* run, const int64_t* at, int64_t count);

/// One copy for all kernels: inlined into each of them, the walk was most of their code and of their compile time.
template <int Operands> __attribute__((noinline)) void walk(const ElementPlan& p, Run call, const void* run) {
  const int inner = p.rank - 1;
  const int64_t length = p.shape[inner];
  if (p.numel == 0) return;
  if (p.rank == 1) {
    parallel_for(length, kSerialBelow, [&](int64_t begin, int64_t end) {
      int64_t at[Operands];
      for (int k = 0; k < Operands; ++k) at[k] = begin * p.strides[k][0];
      call(run, at, end - begin);
    });
    return;
  }
  const int64_t runs = p.numel / length;
  const int64_t grain = length >= kSerialBelow ? 1 : kSerialBelow / length;
  parallel_for(runs, grain, [&](int64_t begin, int64_t end) {
    p.walk(begin, end, inner, Operands, [&](const int64_t* at) { call(run, at, length); });
  });
}

/// Calls run(offsets[operands], count) for innermost runs that cover the plan; offsets and strides in elements.
template <int Operands, class F> void for_each_run(const ElementPlan& p, const F& run) {
  walk<Operands>(
      p, [](const void* f, const int64_t* at, int64_t count) { (*static_cast<const F*>(f))(at, count); }, &run);
}

}  // namespace weft::cpu::WEFT_ISA
