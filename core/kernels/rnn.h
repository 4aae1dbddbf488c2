// Kernels of recurrent layers: autograd/ops/layer/rnn.h says what they compute.
#pragma once

#include "weft/core/kernels.h"
#include "weft/core/rnn_params.h"

namespace weft::kernels {

/// All steps, from the last to the first where `reverse`. y: [T, N, H], T > 0; c (lstm): [N, H], the first state on
/// entry and the last on return; kept: [T, N, rnn_kept, H] or undefined; gx: [T, N, G H], what the input gives to the
/// gates with its biases; h0: [N, H]; w: [G H, H]; bias: [G H], gru's alone. All contiguous and of one floating dtype.
extern WEFT_API Kernel<void(const MutTensorRef& y, const MutTensorRef& c, const MutTensorRef& kept, const TensorRef& gx,
                            const TensorRef& h0, const TensorRef& w, const TensorRef& bias, RnnKind kind, bool reverse)>
    rnn;
/// Its gradients from g, which is like y. dgx: like gx; dgh: the same for what h gives to the gates, gru's alone
/// (elsewhere it is dgx); dh0: like h0 or undefined; dc (lstm): [N, H] of the compute dtype, the gradient of the last
/// state on entry and of the first, c0, on return.
extern WEFT_API Kernel<void(const MutTensorRef& dgx, const MutTensorRef& dgh, const MutTensorRef& dh0,
                            const MutTensorRef& dc, const TensorRef& g, const TensorRef& y, const TensorRef& kept,
                            const TensorRef& h0, const TensorRef& c0, const TensorRef& w, RnnKind kind, bool reverse)>
    rnn_backward;

}  // namespace weft::kernels
