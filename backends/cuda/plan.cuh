// An ElementPlan as kernels want it: in parts whose sizes and offsets fit 31 bits.
#pragma once

#include <initializer_list>

#include "weft/backends/cuda/launch.h"
#include "weft/core/element_plan.h"

namespace weft::cuda {

/// A plan for operands of one shape (strides may be 0): axes by the output's falling stride, merged where all allow.
inline ElementPlan plan_of(const TensorRef& out, std::initializer_list<const TensorRef*> in) {
  ElementPlan p;
  p.operands = 1 + static_cast<int>(in.size());
  p.numel = out.numel;
  int order[kMaxRank];
  const int n = fn::memory_order(order, out.strides, out.rank);
  for (int a = 0; a < n; ++a) {
    const int i = order[a];
    int64_t strides[ElementPlan::kMaxOperands] = {out.strides[i]};
    int k = 1;
    for (const TensorRef* t : in) strides[k++] = t->strides[i];
    p.append(out.shape[i], strides, p.operands);
  }
  p.at_least_one(1, p.operands);
  return p;
}

/// Calls f(axes, numel, first) for parts of the plan whose offsets fit 31 bits; `first[k]` is where operand k starts.
/// Strides are not negative. `most`: sizes and offsets stay below.
template <int N, class F> void for_each_part(const ElementPlan& plan, const F& f, int64_t most = int64_t{1} << 31) {
  struct Part {
    int64_t shape[fn::kMaxAxes], first[N], numel;
  };
  const auto fits = [&](const Part& p) {
    if (p.numel >= most) return false;
    for (int k = 0; k < N; ++k) {
      int64_t last = 0;
      for (int i = 0; i < plan.rank; ++i) last += (p.shape[i] - 1) * plan.strides[k][i];
      if (last >= most) return false;
    }
    return true;
  };
  const auto run = [&](auto&& self, Part p) -> void {
    if (p.numel == 0) return;
    if (!fits(p)) {  // halve the outermost axis that has two
      int axis = 0;
      while (p.shape[axis] < 2) ++axis;
      Part a = p, b = p;
      a.shape[axis] = p.shape[axis] / 2;
      b.shape[axis] = p.shape[axis] - a.shape[axis];
      a.numel = p.numel / p.shape[axis] * a.shape[axis];
      b.numel = p.numel - a.numel;
      for (int k = 0; k < N; ++k) b.first[k] += a.shape[axis] * plan.strides[k][axis];
      self(self, a);
      self(self, b);
      return;
    }
    f(fn::NarrowAxes<N>(plan, p.shape), p.numel, p.first);
  };
  Part whole;
  whole.numel = plan.numel;
  for (int i = 0; i < plan.rank; ++i) whole.shape[i] = plan.shape[i];
  for (int k = 0; k < N; ++k) whole.first[k] = 0;
  run(run, whole);
}

}  // namespace weft::cuda
