// Limits on gradients before a step.
#pragma once

#include <vector>

#include "weft/core/tensor.h"

namespace weft::optim {

struct ClipOptions {
  double norm_type = 2;             ///< p of the norm, infinity included
  bool error_if_nonfinite = false;  ///< Error for a norm that is NaN or infinite (waits for the device)
};

/// Scales all gradients by max_norm / (norm + 1e-6) where that is below 1; `norm` is the p-norm of all gradients as one
/// vector. Returns the norm from before, rank 0, f32 (f64 if a gradient is). As PyTorch's clip_grad_norm_; no host sync.
WEFT_API Tensor clip_grad_norm(const std::vector<Tensor>& params, double max_norm, const ClipOptions& o = {});
/// The p-norm of all gradients as one vector.
WEFT_API Tensor grad_norm(const std::vector<Tensor>& params, double norm_type = 2);
/// Clamps every gradient element to [-limit, limit].
WEFT_API void clip_grad_value(const std::vector<Tensor>& params, double limit);

}  // namespace weft::optim
