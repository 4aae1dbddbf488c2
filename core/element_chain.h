// Elementwise calls one after another over the same elements, as one kernel: block by block, so that what they hand on
// stays in the cache. Captured graphs make them (core/graph_chain.cpp).
#pragma once

#include <vector>

#include "weft/core/kernels.h"

namespace weft {

/// y = f(x) for flat operands of `numel` elements, for each step in turn.
struct ElementChain {
  struct Step {
    const KernelSlot* slot;  ///< of kernels::unary, binary, ternary, or kernels::where
    int inputs;
    Dtype dtype;
    int operand[4];  ///< the output and the inputs, in `operands`
    detail::KeptFunctor functor;
  };
  struct Operand {
    const void* data;  ///< null: handed on, never stored
    void* mut;         ///< null: only read
    int64_t width;     ///< bytes of an element
    bool one;          ///< a single element for all
    int local;         ///< of those that are handed on: which place in the cache
  };
  int64_t numel = 0;
  int locals = 0;  ///< places
  std::vector<Step> steps;
  std::vector<Operand> operands;
};

namespace kernels {
/// All steps; elements of different blocks may be computed in any order.
extern WEFT_API Kernel<void(const ElementChain& chain)> element_chain;
}  // namespace kernels

}  // namespace weft
