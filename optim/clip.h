// Limits on gradients before a step.
#pragma once

#include "weft/optim/param_list.h"

namespace weft::optim {

/// Options of clip_grad_norm.
struct ClipOptions {
  double norm_type = 2;             ///< p of the norm, infinity included
  bool error_if_nonfinite = false;  ///< Error for a norm that is NaN or infinite (waits for the device)
};

/// Scales all gradients by max_norm / (norm + 1e-6) where that is below 1; `norm` is the p-norm of all gradients as one
/// vector. Returns the norm from before, rank 0, f32 (f64 if a gradient is). As PyTorch's clip_grad_norm_; no host
/// sync.
WEFT_API Tensor clip_grad_norm(const ParamList& params, double max_norm, const ClipOptions& o = {});
/// The p-norm of all gradients as one vector.
WEFT_API Tensor grad_norm(const ParamList& params, double norm_type = 2);
/// Clamps every gradient element to [-limit, limit].
WEFT_API void clip_grad_value(const ParamList& params, double limit);

/// clip_grad_norm with PyTorch's name and order of arguments; also in nn::utils.
inline Tensor clip_grad_norm_(const ParamList& params, double max_norm, double norm_type = 2,
                              Only<bool> error_if_nonfinite = false) {
  return clip_grad_norm(params, max_norm, {norm_type, error_if_nonfinite});
}
/// clip_grad_value with PyTorch's name.
inline void clip_grad_value_(const ParamList& params, double clip_value) { clip_grad_value(params, clip_value); }

}  // namespace weft::optim

namespace weft::nn::utils {
using optim::clip_grad_norm_;
using optim::clip_grad_value_;
}  // namespace weft::nn::utils
