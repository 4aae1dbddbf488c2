// Kernels of attention: autograd/ops/layer/attention.h says what it is. A device may have none of them: the op is made
// of other ops there.
#pragma once

#include "weft/core/attention_params.h"
#include "weft/core/kernels.h"

namespace weft::kernels {

/// y = softmax(q k^T scale + mask) v. q: [B, H, L, E], k: [B, G, S, E], v: [B, G, S, V], y: [B, H, L, V], of one
/// dtype; H is a multiple of G, no size is 0, E and V are at most kMostHeadFeatures, and B, H L and H S are below 2^30.
/// mask: [B, H, L, S], bool (true: the key counts), f32 or a half (added), or undefined. Any strides, y's last one 1.
/// lse: [B, H, L] f32, contiguous, the logarithm of each row's sum of exponentials; infinite, with y = 0, for a row
/// that the mask hides whole. Nothing has the size of L S.
extern WEFT_API Kernel<void(const MutTensorRef& y, const MutTensorRef& lse, const TensorRef& q, const TensorRef& k,
                            const TensorRef& v, const TensorRef& mask, const AttentionParams& p)>
    attention;
/// Its gradients from g, which is like y: q_grad, k_grad and v_grad like q, k and v, each with a last stride of 1; any
/// may be undefined.
extern WEFT_API Kernel<void(const MutTensorRef& q_grad, const MutTensorRef& k_grad, const MutTensorRef& v_grad,
                            const TensorRef& g, const TensorRef& y, const TensorRef& lse, const TensorRef& q,
                            const TensorRef& k, const TensorRef& v, const TensorRef& mask, const AttentionParams& p)>
    attention_backward;

}  // namespace weft::kernels
