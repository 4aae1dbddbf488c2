// f32 convolutions with 3x3 windows of stride 1 by Winograd's F(4x4, 3x3): 36 products where the direct form takes 144
// (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Three-dimensional 3x3x3 windows are sums
// over planes. Features are channels-last. The rms error is two to three times that of one sum in f32
// (tests/autograd/conv_algorithm_test.cpp), half of what the usual points 0, +-1, +-2 leave: those here are 0, +-2/3,
// +-3/2 and infinity, near the least error that any pairs have. Pairs of reciprocals: Alam, Anderson, Barabasz and
// Gregg, "Winograd Convolution for Deep Neural Networks: Efficient Point Selection", 2022.
// Windows of dilation d are d * d undilated convolutions, each over every d-th row and column.
// backends/cpu/conv_policy.h says when it pays, and when a weight is transformed anew in every call.
#pragma once

#include <cstdint>

#include "weft/backends/cpu/conv.h"

namespace weft::cpu::winograd {

/// A convolution of stride 1 with windows [kd, 3, 3] over x [n, d, h, w, c] giving y [n, od, oh, ow, o]; 2-d has d = kd
/// = 1.
struct Problem {
  int64_t n, c, o;
  int64_t d, h, w;              // input
  int64_t od, oh, ow;           // output
  int64_t kd;                   // 1 or 3
  int64_t pad_d, pad_h, pad_w;  // low sides; the high sides follow from the sizes
  int64_t step_h, step_w;       // dilation
};

/// Strides, in elements, of a weight [o, c, kd, 3, 3].
struct WeightStrides {
  int64_t o, c, kd, kh, kw;
};

/// What happens to sums before they are stored.
struct Finish {
  const float *bias, *residual;  ///< null: none
  Activation activation;
  float slope;
};

/// Floats of a transformed weight.
int64_t packed_size(const Problem& p);

/// f32, two or three axes, windows [3, 3] or [1 or 3, 3, 3], stride 1, depth not dilated, one group.
bool takes(const ConvProblem& p);
// The three directions of a problem that `takes` accepts. y, x_grad channels-last; w_grad contiguous.
void forward(void* y, const TensorRef& x, const TensorRef& w, const ConvFinish& finish, const ConvProblem& p);
void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p);
void weight_grad(void* w_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p);

/// Kernels of the best instruction set of this machine.
struct Kernels {
  /// packed = G w G^T for all filters, in panels. `rotate`: the windows are turned by 180 degrees (input gradients,
  /// whose problem has the weight's c and o exchanged: give w's strides exchanged too).
  void (*pack)(float* packed, const float* w, const WeightStrides& s, const Problem& p, bool rotate);
  /// y = act(conv(x, packed) + bias + residual). `fresh`: packed was written for this call.
  void (*run)(float* y, const float* x, const float* packed, const Finish& finish, const Problem& p, bool fresh);
  /// y = act(conv(x, scale w) + bias + residual) for d = kd = 1: w is transformed on the way and kept nowhere. scale
  /// [o]: null for none.
  void (*run_streamed)(float* y, const float* x, const float* w, const float* scale, const WeightStrides& s,
                       bool rotate, const Finish& finish, const Problem& p);
  /// dw [o, c, kd, 3, 3] = gradient of the weight for g of y's shape.
  void (*weight_grad)(float* dw, const float* x, const float* g, const Problem& p);
};
extern Kernels kernels;

}  // namespace weft::cpu::winograd
