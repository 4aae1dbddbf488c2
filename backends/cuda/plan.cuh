// An ElementPlan as kernels want it: 32-bit sizes and strides, division by multiplication.
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
  p.rank = 0;
  const TensorRef* all[ElementPlan::kMaxOperands] = {&out};
  int count = 1, order[kMaxRank], axes = 0;
  for (const TensorRef* t : in) all[count++] = t;
  for (int i = 0; i < out.rank; ++i) {
    if (out.shape[i] == 1) continue;
    int j = axes++;
    for (; j > 0 && out.strides[order[j - 1]] < out.strides[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
  for (int a = 0; a < axes; ++a) {
    const int i = order[a];
    bool merge = p.rank > 0;
    for (int k = 0; k < count && merge; ++k) merge = p.strides[k][p.rank - 1] == all[k]->strides[i] * out.shape[i];
    const int at = merge ? p.rank - 1 : p.rank++;
    p.shape[at] = merge ? p.shape[at] * out.shape[i] : out.shape[i];
    for (int k = 0; k < count; ++k) p.strides[k][at] = all[k]->strides[i];
  }
  if (p.rank == 0) {
    p.rank = 1;
    p.shape[0] = p.numel;
    for (int k = 0; k < count; ++k) p.strides[k][0] = 1;
  }
  return p;
}

/// n / d for n < 2^31 as a multiplication and a shift.
struct FastDivisor {
  uint32_t divisor = 1, multiplier = 0, shift = 0;
  FastDivisor() = default;
  explicit FastDivisor(uint32_t d) : divisor(d) {
    while ((uint64_t{1} << shift) < d) ++shift;
    multiplier = static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift) - d)) / d + 1);
  }
  WEFT_HD WEFT_INLINE uint32_t divide(uint32_t n) const {
    const auto high = static_cast<uint32_t>((uint64_t{n} * multiplier) >> 32);
    return (high + n) >> shift;
  }
};

/// N operands over one index space.
template <int N> struct Layout {
  int rank;
  FastDivisor size[kMaxRank];    // of axis i, the innermost first
  uint32_t stride[N][kMaxRank];  // in elements, of the same axis
  WEFT_HD WEFT_INLINE void offsets(uint32_t index, uint32_t (&at)[N]) const {
    for (int k = 0; k < N; ++k) at[k] = 0;
    for (int i = 0; i < rank - 1; ++i) {
      const uint32_t rest = size[i].divide(index), here = index - rest * size[i].divisor;
      for (int k = 0; k < N; ++k) at[k] += here * stride[k][i];
      index = rest;
    }
    for (int k = 0; k < N; ++k) at[k] += index * stride[k][rank - 1];
  }
};

/// Calls f(layout, numel, first) for parts of the plan whose offsets fit 31 bits; `first[k]` is where operand k starts.
/// Strides are not negative. `most`: sizes and offsets stay below.
template <int N, class F> void for_each_part(const ElementPlan& plan, const F& f, int64_t most = int64_t{1} << 31) {
  struct Part {
    int64_t shape[kMaxRank], first[N], numel;
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
    Layout<N> l;
    l.rank = plan.rank;
    for (int i = 0; i < plan.rank; ++i) {
      const int from = plan.rank - 1 - i;
      l.size[i] = FastDivisor(static_cast<uint32_t>(p.shape[from]));
      for (int k = 0; k < N; ++k) l.stride[k][i] = static_cast<uint32_t>(plan.strides[k][from]);
    }
    f(l, p.numel, p.first);
  };
  Part whole;
  whole.numel = plan.numel;
  for (int i = 0; i < plan.rank; ++i) whole.shape[i] = plan.shape[i];
  for (int k = 0; k < N; ++k) whole.first[k] = 0;
  run(run, whole);
}

}  // namespace weft::cuda
