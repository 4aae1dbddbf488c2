// Slots of what layers do to their weights before using them.
// Rows are those of axis 0: w [R, n], contiguous; what belongs to a row is [R], of the compute dtype.
#pragma once

#include "weft/core/kernels.h"

namespace weft {

/// Scale of a standardised row: rho = 1 / sqrt(max(fan squares / divisor, floor)), squares = sum of (w - mean)^2.
struct StandardizeParams {
  double divisor, fan, floor;
};

namespace kernels {

/// out = (w - mean) rho gain; mean and rho are written. out may be w.
extern WEFT_API Kernel<void(const MutTensorRef& out, const MutTensorRef& mean, const MutTensorRef& rho,
                            const TensorRef& w, const TensorRef& gain, const StandardizeParams&)>
    standardize_weight;
/// Its gradients; dw or dgain may be undefined. Rows whose scale is the floor's pass nothing through it.
extern WEFT_API
    Kernel<void(const MutTensorRef& dw, const MutTensorRef& dgain, const TensorRef& g, const TensorRef& w,
                const TensorRef& mean, const TensorRef& rho, const TensorRef& gain, const StandardizeParams&)>
        standardize_weight_backward;

}  // namespace kernels
}  // namespace weft
