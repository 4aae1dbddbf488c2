// Batch norm over the ranks of a process group, with an activation and an in-place mode. The arithmetic is the op's
// (distributed/sync_batch_norm.h).
#pragma once

#include "weft/distributed/process_group.h"
#include "weft/nn/norm.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// Options of SyncBatchNorm.
struct SyncBatchNormOptions {
  double eps = 1e-5;                                 ///< added to the variance
  std::optional<double> momentum = 0.1;              ///< empty: cumulative average, 1 / num_batches_tracked
  bool sync = true;                                  ///< off: this process's batch alone, whatever the group
  Choice<Activation> activation = Activation::none;  ///< or leaky_relu; in evaluation too
  double slope = 0.01;                               ///< of leaky_relu
  bool inplace = true;              ///< with an activation: writes the result over its input where it may (see the op)
  bool biased_running_var = false;  ///< as PyTorch-Encoding: running_var takes M2 / n instead of M2 / (n - 1)
  ProcessGroup group = {};          ///< whose batches count together; one rank alone: plain batch norm
};

/// PyTorch-Encoding's SyncBatchNorm: y = act((x - mean) / sqrt(var + eps) * weight + bias) per channel of x [N, C, ...]
/// of any rank >= 2, with the mean and variance of all ranks' batches in training (uneven and empty ones too; one
/// message forward, one backward) and the running ones, without a message, in evaluation. State: weight (1), bias (0),
/// running_mean (0), running_var (1), num_batches_tracked (i64). Errors: ValueError for an activation other than none
/// and leaky_relu, and for slope <= 0 with both activation and inplace; ShapeError for the number of channels;
/// ValueError "more than 1 value per channel" in training.
class WEFT_API SyncBatchNorm : public ChannelNorm {
 public:
  explicit SyncBatchNorm(int64_t num_features, SyncBatchNormOptions o = {});
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Option<SyncBatchNormOptions> options;

 protected:
  /// For classes that print another name.
  SyncBatchNorm(std::string name, int64_t num_features, SyncBatchNormOptions o);
};

/// The same; prints as PyTorch's BatchNorm does.
class WEFT_API DistSyncBatchNorm : public SyncBatchNorm {
 public:
  explicit DistSyncBatchNorm(int64_t num_features, SyncBatchNormOptions o = {});
};

/// Names that PyTorch-Encoding has as well: no rank is checked, unlike nn::BatchNorm1d, 2d and 3d.
namespace encoding {
using BatchNorm1d [[deprecated("use nn::SyncBatchNorm")]] = SyncBatchNorm;
using BatchNorm2d [[deprecated("use nn::SyncBatchNorm")]] = SyncBatchNorm;
using BatchNorm3d [[deprecated("use nn::SyncBatchNorm")]] = SyncBatchNorm;
}  // namespace encoding

}  // namespace weft::nn
