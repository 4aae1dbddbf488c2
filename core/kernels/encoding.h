// Kernels of residual encoding: autograd/ops/layer/encoding.h says what it is.
#pragma once

#include "weft/core/kernels.h"

namespace weft::kernels {

/// y_k = sum_i a_ik (x_i - c_k), a = softmax over k of s_k |x_i - c_k|^2. x: [B, N, D], floating, any strides;
/// codewords [K, D] and scale [K]: contiguous, of x's compute dtype; y: [B, K, D], x's dtype, contiguous. No size is 0.
/// Works on blocks of features: nothing has the size of B N K, or grows with N.
extern WEFT_API
    Kernel<void(const MutTensorRef& y, const TensorRef& x, const TensorRef& codewords, const TensorRef& scale)>
        encode;
/// Its gradients from g, which is like y. x_grad: like x, any strides; codewords_grad and scale_grad like the
/// parameters, contiguous. Each may be undefined.
extern WEFT_API
    Kernel<void(const MutTensorRef& x_grad, const MutTensorRef& codewords_grad, const MutTensorRef& scale_grad,
                const TensorRef& g, const TensorRef& x, const TensorRef& codewords, const TensorRef& scale)>
        encode_backward;

}  // namespace weft::kernels
