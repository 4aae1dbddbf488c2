// What a slot is called with, for a profiler. Filled by core/kernels.h; knows no kernel.
#pragma once

#include <span>

#include "weft/core/element_plan.h"
#include "weft/core/fn/optim.h"
#include "weft/core/profile.h"
#include "weft/core/tensor_ref.h"

namespace weft {

class KernelSlot;

namespace detail {

/// A slot and what it is called with, as far as a profiler counts it. Valid during the call only.
struct KernelCall {
  static constexpr int kMostOperands = 16;
  const KernelSlot& slot;
  Device device;
  const TensorRef* operands[kMostOperands] = {};  ///< in the order of the arguments
  uint32_t written = 0;                           ///< a bit for each operand that is an output
  int count = 0;
  const TensorRef* list = nullptr;  ///< a list of inputs
  int listed = 0;
  const ElementPlan* plan = nullptr;  ///< of an elementwise kernel, whose tensors are mere pointers of this dtype
  Dtype dtype = Dtype::f32;
  std::span<const fn::StepEntry> steps = {};
  std::span<const fn::FlatEntry> flat = {};

  void add(const TensorRef& x) { push(&x); }
  void add(const MutTensorRef& y) {
    written |= 1u << count;
    push(&y);
  }
  void add(const TensorRef* many) { list = many; }
  void add(int n) { listed = list && listed == 0 ? n : listed; }
  void add(const ElementPlan& p) { plan = &p; }
  void add(Dtype d) { dtype = d; }
  void add(std::span<const fn::StepEntry> s) { steps = s; }
  void add(std::span<const fn::FlatEntry> f) { flat = f; }
  template <class T> void add(const T&) {}

 private:
  void push(const TensorRef* r) {
    if (count < kMostOperands) operands[count++] = r;
  }
};

}  // namespace detail
}  // namespace weft
