// Batch norm whose batch is spread over the ranks of a group, and its in-place activated form.
// Knows ops and process groups; must not know modules.
#pragma once

#include "weft/autograd/ops/layer/norm.h"
#include "weft/distributed/process_group.h"

namespace weft {

/// Options of sync_batch_norm.
struct SyncBatchNormOptions {
  bool training = false;  ///< statistics of all ranks' batches together; otherwise the running ones, and no message
  double momentum = 0.1;  ///< running = (1 - momentum) running + momentum batch
  double eps = 1e-5;      ///< inside the square root
  Choice<Activation> activation = Activation::none;  ///< fused after the normalisation: none, relu or leaky_relu
  double slope = 0.01;                               ///< of leaky_relu
  bool inplace = false;                              ///< with leaky_relu in training: may write the result over x
  bool biased_running_var = false;                   ///< the running variance takes M2 / n, not M2 / (n - 1)
  ProcessGroup group = {};                           ///< one rank alone: batch_norm
};

/// y = act((x - mean) / sqrt(var + eps) * weight + bias) per channel of x [N, C, ...]; weight, bias, running_mean,
/// running_var [C]. In training mean and var are those of the values n = sum n_r of all ranks, whose batches may differ
/// in size or be empty: each rank's (mean, M2, n) goes round in one message of 2C + 2 numbers and is merged in rank
/// order, so that all have the same bits. Backward sends one of 2C: dx is the gradient of the sum of all ranks' losses;
/// those of weight and bias are this rank's share.
///
/// `inplace` (Rota Bulo, Porzi, Kontschieder 2018) keeps the activated output z alone for backward: xhat = (act^-1(z) -
/// bias) / weight. The result is x itself, whose handle stands for z from then on, in later ops and gradients, as after
/// an in-place op of PyTorch. Where x may not be overwritten (a leaf, a view, another handle or a graph that holds it,
/// hooks, evaluation) or some |weight| < 1e-3 max(max |weight|, 1e-3), which cannot be inverted, on any rank, the result
/// is a new tensor and x is kept, as without it. Errors: as batch_norm; ValueError "more than 1 value per channel" for
/// n = 1 over all ranks, slope <= 0 with `inplace`; CommError as the group. Second derivatives exchange messages too.
WEFT_API Tensor sync_batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                                const Tensor& weight, const Tensor& bias, const SyncBatchNormOptions& o = {});

}  // namespace weft
