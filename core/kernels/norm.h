// Slots of normalisation beside those of core/kernels.h.
#pragma once

#include "weft/core/kernels.h"

namespace weft::kernels {

/// Running statistics after a batch: running_mean = (1 - momentum) running_mean + momentum mean, and running_var the
/// same with scale m2. Both are [C], floating, and may be undefined; mean and m2 are f64 and contiguous, [C], or [N,
/// C], of which the mean over N counts. f64 arithmetic.
extern WEFT_API Kernel<void(const MutTensorRef& running_mean, const MutTensorRef& running_var, const TensorRef& mean,
                            const TensorRef& m2, double momentum, double scale)>
    update_running;

}  // namespace weft::kernels
