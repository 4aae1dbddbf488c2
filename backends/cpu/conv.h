// Convolution on the CPU: the engines, each for the three directions, and what they share.
// Features are channels-last inside (n, spatial..., c); which engine gets which problem is decided in conv_policy.h.
#pragma once

#include <functional>

#include "weft/backends/cpu/conv_windows.h"
#include "weft/backends/cpu/scratch.h"
#include "weft/core/fn/conv.h"
#include "weft/core/norm_params.h"
#include "weft/core/tensor_ref.h"

namespace weft::cpu {

struct ConvProblem : fn::ConvGeometry<kMaxRank - 2> {
  Dtype dtype;
  ConvAlgorithm algorithm;
  ConvProblem(const TensorRef& x, const TensorRef& w, const TensorRef& y, const ConvParams& p)
      : ConvGeometry(x.shape, w.shape, y.shape, x.rank, p),
        dtype(x.dtype),
        algorithm(p.algorithm.value_or(ConvAlgorithm::winograd)) {}
};

/// What happens to sums of products before they are stored.
struct ConvFinish {
  const void* bias = nullptr;  ///< [O], contiguous; null: none
  Dtype bias_dtype;
  TensorRef scale = {};            ///< [O] of the compute dtype: factors of the weight's rows; w is dense then
  const void* residual = nullptr;  ///< as the output lies; null: none
  ConvEpilogue epilogue = {};
  bool plain() const { return !scale.defined() && !residual && epilogue.activation == Activation::none; }
};

/// The same for kernels, up to three axes.
ConvWindows windows(const ConvProblem& p);
/// Shape of w.
inline Shape weight_shape(const ConvProblem& p) {
  Shape s = {p.o, p.group_c()};
  for (int i = 0; i < p.axes; ++i) s.push_back(p.kernel[i]);
  return s;
}

/// The elements of t in channels-last order: its own memory if it is stored so, else a copy in `scratch`.
const void* channels_last(const TensorRef& t, Scratch& scratch);

/// sums[c] = sum over rows of x[row, c], rounded once; x: [rows, channels] without gaps.
void channel_sums(void* sums, const void* x, int64_t rows, int64_t channels, Dtype dtype);
/// y[row, c] += bias[c].
void add_channel_bias(void* y, const void* bias, int64_t rows, int64_t channels, Dtype dtype);
/// y = act(scale[c] y[row, c] + bias[c] + residual[row, c]).
void finish_rows(void* y, int64_t rows, int64_t channels, Dtype dtype, const ConvFinish& f);

/// Products over gathered windows: any rank, dtype and geometry. y, x (results) channels-last, dw contiguous. bias:
/// contiguous or null.
namespace native {
void forward(void* y, const TensorRef& x, const TensorRef& w, const void* bias, const ConvProblem& p);
void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p);
void weight_grad(void* w_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p);
}  // namespace native

/// Halves by an f32 engine, some images at a time.
namespace wide {
using Engine = std::function<void(const MutTensorRef& y, const TensorRef& x, const TensorRef& w,
                                  const ConvFinish& finish, const ConvParams& params)>;
void forward(const MutTensorRef& y, const TensorRef& x, const TensorRef& w, const ConvFinish& finish,
             const ConvParams& params, const Engine& run);
}  // namespace wide

/// f32 with at most four output channels (conv_few.h): what `takes_...` accept.
namespace few {
bool takes_forward(const ConvProblem& p);
bool takes_input_grad(const ConvProblem& p);
void forward(void* y, const TensorRef& x, const TensorRef& w, const void* bias, const ConvProblem& p);
void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const void* bias, const ConvProblem& p);
}  // namespace few

/// f32 weight gradients as sums over pixels (conv_direct.h).
namespace direct {
bool takes(const ConvProblem& p);
void weight_grad(void* w_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p);
}  // namespace direct

#if WEFT_HAS_ONEDNN
/// f32 and bf16, up to three spatial axes. False where oneDNN has no fast kernel; nothing was written then.
namespace onednn {
void prepare_for_fork();
bool forward(void* y, const TensorRef& x, const TensorRef& w, const ConvFinish& finish, const ConvProblem& p);
bool input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p);
/// bias_grad: o sums of g, or null.
bool weight_grad(void* w_grad, void* bias_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p);
}  // namespace onednn
#endif

}  // namespace weft::cpu
