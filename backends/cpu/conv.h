// Convolution on the CPU: the engines, each for the three directions, and what they share.
// Features are channels-last inside (n, spatial..., c); which engine gets which problem is decided in conv_policy.h.
#pragma once

#include "weft/backends/cpu/scratch.h"
#include "weft/core/conv_params.h"
#include "weft/core/tensor_ref.h"

namespace weft::cpu {

/// One convolution: x [n, c, in...] with w [o, c/groups, kernel...] gives y [n, o, out...]. In the input gradient x is the
/// result, in the weight gradient w.
struct ConvProblem {
  static constexpr int kMostAxes = kMaxRank - 2;
  Dtype dtype = Dtype::f32;
  int axes = 0;  // spatial
  int64_t n = 0, c = 0, o = 0, groups = 1;
  int64_t in[kMostAxes], out[kMostAxes], kernel[kMostAxes];
  int64_t stride[kMostAxes], lo[kMostAxes], hi[kMostAxes], dilation[kMostAxes];

  WEFT_API ConvProblem(const TensorRef& x, const TensorRef& w, const TensorRef& y, const ConvParams& p);
  int64_t in_size() const { return product(in); }
  int64_t out_size() const { return product(out); }
  int64_t taps() const { return product(kernel); }
  /// The output sizes are those of a forward convolution (no output padding beyond the stride).
  bool regular() const;
  bool all(const int64_t* v, int64_t value) const {
    for (int i = 0; i < axes; ++i)
      if (v[i] != value) return false;
    return true;
  }

 private:
  int64_t product(const int64_t* v) const {
    int64_t s = 1;
    for (int i = 0; i < axes; ++i) s *= v[i];
    return s;
  }
};

/// The elements of t in channels-last order: its own memory if it is stored so, else a copy in `scratch`.
const void* channels_last(const TensorRef& t, Scratch& scratch);
/// The strides are channels-last without gaps (axes of size 1 do not matter).
bool is_channels_last(const TensorRef& t);

/// sums[c] = sum over rows of x[row, c], rounded once; x: [rows, channels] without gaps.
void channel_sums(void* sums, const void* x, int64_t rows, int64_t channels, Dtype dtype);
/// y[row, c] += bias[c].
void add_channel_bias(void* y, const void* bias, int64_t rows, int64_t channels, Dtype dtype);

/// Products over gathered windows: any rank, dtype and geometry. y, x (results) channels-last, dw contiguous. bias: contiguous
/// or null.
namespace native {
void forward(void* y, const TensorRef& x, const TensorRef& w, const void* bias, const ConvProblem& p);
void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p);
void weight_grad(void* w_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p);
}  // namespace native

/// f32 with at most four output channels (conv_few.h): what `takes_...` accept.
namespace few {
bool takes_forward(const ConvProblem& p);
bool takes_input_grad(const ConvProblem& p);
void forward(void* y, const TensorRef& x, const TensorRef& w, const void* bias, const ConvProblem& p);
void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const void* bias, const ConvProblem& p);
}  // namespace few

#if WEFT_HAS_ONEDNN
/// f32 and bf16, up to three spatial axes. False where oneDNN has no fast kernel; nothing was written then.
namespace onednn {
bool forward(void* y, const TensorRef& x, const TensorRef& w, const void* bias, const ConvProblem& p);
bool input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p);
/// bias_grad: o sums of g, or null.
bool weight_grad(void* w_grad, void* bias_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p);
}  // namespace onednn
#endif

}  // namespace weft::cpu
