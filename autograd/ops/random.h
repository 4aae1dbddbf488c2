// Random ops on tensors: dropout in its forms, Bernoulli draws, in-place fills.
// The factories (rand, randn, randint, randperm) are in core/factory.h.
#pragma once

#include "weft/core/factory.h"

namespace weft {

/// In training: each element is zero with probability p, else x / (1 - p); x itself otherwise. The mask is drawn again
/// in backward from the generator's state, so none is kept. p in [0, 1]. `g` defaults to this thread's generator.
[[nodiscard]] WEFT_API Tensor dropout(const Tensor& x, double p = 0.5, Only<bool> training = true,
                                      Generator* g = nullptr);
/// dropout of whole channels, axis 1 of x: [N, C, ...], of any rank from 2 on; 1d takes [N, C, L] or [C, L] only, 3d
/// takes [C, D, H, W] for one sample. (2d takes [N, C, L], not [C, H, W], as PyTorch does.) Without training: x of any
/// rank.
[[nodiscard]] WEFT_API Tensor dropout1d(const Tensor& x, double p = 0.5, Only<bool> training = true,
                                        Generator* g = nullptr);
[[nodiscard]] WEFT_API Tensor dropout2d(const Tensor& x, double p = 0.5, Only<bool> training = true,
                                        Generator* g = nullptr);
[[nodiscard]] WEFT_API Tensor dropout3d(const Tensor& x, double p = 0.5, Only<bool> training = true,
                                        Generator* g = nullptr);
/// Dropout that keeps mean and variance of SELU networks: dropped elements become -1.7580993 before an affine
/// correction (Klambauer et al., 2017).
[[nodiscard]] WEFT_API Tensor alpha_dropout(const Tensor& x, double p = 0.5, Only<bool> training = true,
                                            Generator* g = nullptr);
/// alpha_dropout of whole channels; x: [N, C, ...]. Without training: x of any rank.
[[nodiscard]] WEFT_API Tensor feature_alpha_dropout(const Tensor& x, double p = 0.5, Only<bool> training = true,
                                                    Generator* g = nullptr);

/// leaky_relu whose slope is drawn from U[lower, upper) for each element in training, and is their mean otherwise.
/// (Xu et al. 2015.) ValueError if lower > upper.
[[nodiscard]] WEFT_API Tensor rrelu(const Tensor& x, double lower = 1.0 / 8, double upper = 1.0 / 3,
                                    Only<bool> training = false, Generator* g = nullptr);
/// softmax((x + Gumbel noise) / tau) along `dim`: a draw from the categorical distribution with logits x that has a
/// gradient. hard: one-hot, with the gradient of the soft draw. (Jang et al. 2017.)
[[nodiscard]] WEFT_API Tensor gumbel_softmax(const Tensor& x, double tau = 1, Only<bool> hard = false, Int dim = -1,
                                             Generator* g = nullptr);

/// 1 with probability p[i], else 0, in p's shape and dtype; no gradient. p: floating, values in [0, 1]; ValueError
/// otherwise.
[[nodiscard]] WEFT_API Tensor bernoulli(const Tensor& p, Generator* g = nullptr);
/// A tensor of `shape` of 1 with probability p, else 0.
[[nodiscard]] WEFT_API Tensor bernoulli(const Shape& shape, double p, const TensorOptions& o = {},
                                        Generator* g = nullptr);

/// Draws num_samples indices per row of probabilities, which need not add up to 1, with or without replacement; without
/// it, in the order of the draws. probs: [K] or [M, K], floating -> [n] or [M, n] i64. ValueError for a probability
/// that is negative or not finite, a row of zeros, num_samples < 1 or, without replacement, > K. (Where fewer than
/// num_samples are not 0, zeros come last.)
[[nodiscard]] WEFT_API Tensor multinomial(const Tensor& probs, Int num_samples, Only<bool> replacement = false,
                                          Generator* g = nullptr);
/// A Poisson number for each rate, of the rates' shape and floating dtype; no gradient. ValueError for a negative rate
/// or NaN.
[[nodiscard]] WEFT_API Tensor poisson(const Tensor& rate, Generator* g = nullptr);
/// N(mean, std^2), element by element; the two broadcast, the dtype is the first tensor's. No gradient. ValueError for
/// a negative std.
[[nodiscard]] WEFT_API Tensor normal(const Tensor& mean, const Tensor& std, Generator* g = nullptr);
[[nodiscard]] WEFT_API Tensor normal(const Tensor& mean, double std = 1, Generator* g = nullptr);
[[nodiscard]] WEFT_API Tensor normal(double mean, const Tensor& std, Generator* g = nullptr);
[[nodiscard]] WEFT_API Tensor normal(double mean, double std, const Shape& shape, const TensorOptions& o = {},
                                     Generator* g = nullptr);

// In place, only where no graph is recorded (see Tensor).
/// Fills x from the uniform distribution on [low, high).
WEFT_API Tensor& uniform_(Tensor& x, double low = 0, double high = 1, Generator* g = nullptr);
/// Fills x from the normal distribution N(mean, std^2).
WEFT_API Tensor& normal_(Tensor& x, double mean = 0, double std = 1, Generator* g = nullptr);
/// Fills x from the exponential distribution of mean 1 / lambd; never 0. ValueError unless lambd > 0.
WEFT_API Tensor& exponential_(Tensor& x, double lambd = 1, Generator* g = nullptr);
/// Fills x with 1 with probability p, else 0.
WEFT_API Tensor& bernoulli_(Tensor& x, double p = 0.5, Generator* g = nullptr);

}  // namespace weft
