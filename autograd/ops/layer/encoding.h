// Residual encoding of features by learned codewords (Zhang et al. 2017, "Deep TEN: Texture Encoding Network").
// Nothing here has the size of features x codewords x dimensions. B images, N features of D numbers, K codewords.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// l_ik = s_k |x_i - c_k|^2. x: [B, N, D], codewords: [K, D], scale: [K] -> [B, N, K]. The parameter keeps the original
/// code's sign: it is negative where nearer codewords are to count more; the paper's formula has its opposite.
/// ShapeError for sizes that do not fit.
WEFT_API Tensor scaled_l2(const Tensor& x, const Tensor& codewords, const Tensor& scale);

/// E_k = sum_i a_ik (x_i - c_k). a: [B, N, K], any weights; x: [B, N, D], codewords: [K, D] -> [B, K, D].
WEFT_API Tensor aggregate(const Tensor& a, const Tensor& x, const Tensor& codewords);

/// aggregate(softmax(scaled_l2(x, c, s), -1), x, c), forward and backward each in one pass over blocks of features: no
/// [B, N, K] is made, and x may have any strides. Halves are computed in f32. x: floating.
WEFT_API Tensor encode(const Tensor& x, const Tensor& codewords, const Tensor& scale);

/// x_i . c_k, of unit vectors (norms at least 1e-8) with `normalize`. x: [B, N, D], codewords: [K, D] -> [B, N, K].
WEFT_API Tensor pairwise_cosine(const Tensor& x, const Tensor& codewords, Only<bool> normalize = false);

}  // namespace weft
