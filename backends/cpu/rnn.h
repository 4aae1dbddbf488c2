// Recurrent layers on the CPU: the steps are loops of simd/rnn.cpp over a packed W_hh, which is kept with the weight.
#pragma once

#include "weft/core/rnn_params.h"
#include "weft/core/tensor_ref.h"

namespace weft::cpu {

/// Loops of the best instruction set of this machine; arguments as in core/kernels/rnn.h. `pairs`: the products of bf16
/// numbers are dot products of two, in one instruction; sums are f32 in either case.
struct RnnLoops {
  /// Can products be taken by pairs, for this dtype and size, on this processor?
  bool (*takes_pairs)(Dtype, int64_t H);
  /// w [G H, H] packed for products with its transpose or (`back`) with itself, and its bytes.
  size_t (*packed_bytes)(Dtype, int64_t G, int64_t H, bool pairs);
  void (*pack)(void* packed, const void* w, Dtype, int64_t G, int64_t H, bool back, bool pairs);
  void (*forward)(const MutTensorRef& y, const MutTensorRef& c, const MutTensorRef& kept, const TensorRef& gx,
                  const TensorRef& h0, const void* packed, const TensorRef& bias, RnnKind kind, bool reverse,
                  bool pairs);
  void (*backward)(const MutTensorRef& dgx, const MutTensorRef& dgh, const MutTensorRef& dh0, const MutTensorRef& dc,
                   const TensorRef& g, const TensorRef& y, const TensorRef& kept, const TensorRef& h0,
                   const TensorRef& c0, const void* packed, RnnKind kind, bool reverse, bool pairs);
};
extern WEFT_API RnnLoops rnn_loops;

}  // namespace weft::cpu
