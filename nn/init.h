// First values of parameters, written in place. Random ones take numbers from this thread's generator.
// Knows tensors only. PyTorch's torch.nn.init.
#pragma once

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft::nn::init {

/// What follows a layer, for the size of its first weights.
enum class Nonlinearity : uint8_t { linear, sigmoid, tanh, relu, leaky_relu, selu };
constexpr auto mode_words(Nonlinearity) {
  return make_words("init: nonlinearity", "linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu");
}
/// Factor that keeps the variance through the nonlinearity: 1, 1, 5/3, sqrt 2, sqrt(2 / (1 + slope^2)), 3/4.
WEFT_API double calculate_gain(Choice<Nonlinearity> nonlinearity, double negative_slope = 0.01);

/// Inputs and outputs of one unit: weight [out, in, kernel...] has in * kernel and out * kernel. ShapeError below rank
/// 2.
struct Fans {
  int64_t in, out;  ///< elements of one output's and of one input's window
};
WEFT_API Fans calculate_fans(const Shape& weight);

/// U[low, high).
WEFT_API void uniform_(const Tensor& t, double low = 0, double high = 1);
/// N(mean, std^2).
WEFT_API void normal_(const Tensor& t, double mean = 0, double std = 1);
/// Options of trunc_normal_.
struct TruncNormalOptions {
  double mean = 0, std = 1;   ///< of the normal distribution before the cut
  double low = -2, high = 2;  ///< values stay within
};
/// N(mean, std^2) cut to [low, high], by the inverse distribution function.
WEFT_API void trunc_normal_(const Tensor& t, const TruncNormalOptions& o = {});
/// Every element is `value`; 0; 1.
WEFT_API void constant_(const Tensor& t, double value);
WEFT_API void zeros_(const Tensor& t);
WEFT_API void ones_(const Tensor& t);
/// The identity. ShapeError unless a matrix.
WEFT_API void eye_(const Tensor& t);
/// A convolution that passes its input: weight [O, I/groups, kernel...] with 1 at the kernel's centre.
WEFT_API void dirac_(const Tensor& t, int64_t groups = 1);

/// U(-b, b), b = gain sqrt(6 / (fan in + fan out)). (Glorot & Bengio 2010.)
WEFT_API void xavier_uniform_(const Tensor& t, double gain = 1);
/// N(0, gain^2 2 / (fan in + fan out)).
WEFT_API void xavier_normal_(const Tensor& t, double gain = 1);

/// Which of the two fans sets the size.
enum class FanMode : uint8_t { fan_in, fan_out };
constexpr auto mode_words(FanMode) { return make_words("init: mode", "fan_in", "fan_out"); }
/// Options of kaiming_uniform_ and kaiming_normal_.
struct KaimingOptions {
  double a = 0;                            ///< negative slope, with leaky_relu
  Choice<FanMode> mode = FanMode::fan_in;  ///< fan_in keeps the variance forward, fan_out backward
  Choice<Nonlinearity> nonlinearity = Nonlinearity::leaky_relu;  ///< what follows the layer
};
/// U(-b, b), b = gain sqrt(3 / fan). (He et al. 2015.)
WEFT_API void kaiming_uniform_(const Tensor& t, const KaimingOptions& o = {});
/// N(0, gain^2 / fan).
WEFT_API void kaiming_normal_(const Tensor& t, const KaimingOptions& o = {});
/// PyTorch's order: `kaiming_normal_(w, 0, "fan_out", "relu")`.
inline void kaiming_uniform_(const Tensor& t, double a, Choice<FanMode> mode = FanMode::fan_in,
                             Choice<Nonlinearity> nonlinearity = Nonlinearity::leaky_relu) {
  kaiming_uniform_(t, KaimingOptions{.a = a, .mode = mode, .nonlinearity = nonlinearity});
}
inline void kaiming_normal_(const Tensor& t, double a, Choice<FanMode> mode = FanMode::fan_in,
                            Choice<Nonlinearity> nonlinearity = Nonlinearity::leaky_relu) {
  kaiming_normal_(t, KaimingOptions{.a = a, .mode = mode, .nonlinearity = nonlinearity});
}
/// Rows (or columns, where there are more rows) are orthonormal, times gain; axes from the second on are one. (Saxe et
/// al. 2013.)
WEFT_API void orthogonal_(const Tensor& t, double gain = 1);

/// A matrix of N(0, std^2) with ceil(sparsity rows) zeros, at random places, in each column. ShapeError unless a
/// matrix, ValueError for sparsity outside [0, 1]. (Martens 2010.)
WEFT_API void sparse_(const Tensor& t, double sparsity, double std = 0.01);

/// b = 1 / sqrt(fan): the bound of a linear or convolution layer's weight and bias; 0 for no inputs.
WEFT_API double default_bound(int64_t fan_in);

}  // namespace weft::nn::init
