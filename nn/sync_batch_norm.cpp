#include "weft/nn/sync_batch_norm.h"

#include "weft/distributed/sync_batch_norm.h"
#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

namespace {
std::string act_text(const SyncBatchNormOptions& o) {
  if (o.activation == Activation::none) return "";
  return weft::str(", act=leaky_relu, slope=", py(o.slope), ", inplace=", py(o.inplace));
}
}  // namespace

SyncBatchNorm::SyncBatchNorm(std::string name, int64_t num_features, SyncBatchNormOptions o)
    : ChannelNorm(std::move(name), num_features, BatchNormOptions{.eps = o.eps, .momentum = o.momentum}),
      options(std::move(o)) {
  WEFT_CHECK(options->activation == Activation::none || options->activation == Activation::leaky_relu, ValueError,
             this->name(), ": activation must be none or leaky_relu");
  WEFT_CHECK(options->activation == Activation::none || !options->inplace || options->slope > 0, ValueError,
             this->name(), ": slope=", options->slope, " must be positive with inplace, which inverts the activation");
}

SyncBatchNorm::SyncBatchNorm(int64_t num_features, SyncBatchNormOptions o)
    : SyncBatchNorm("SyncBatchNorm", num_features, std::move(o)) {
  set_extra("", [options = options.share()] { return weft::str("sync=", py(options->sync), act_text(options)); });
}

DistSyncBatchNorm::DistSyncBatchNorm(int64_t num_features, SyncBatchNormOptions o)
    : SyncBatchNorm("DistSyncBatchNorm", num_features, std::move(o)) {
  set_extra(py(num_features), [options = options.share()] {
    return weft::str(", eps=", py(options->eps), ", momentum=", py(options->momentum),
                     ", affine=True, track_running_stats=True", act_text(options));
  });
}

Tensor SyncBatchNorm::forward(const Tensor& x) const {
  Tensor y = sync_batch_norm(x, running_mean, running_var, weight, bias,
                             {.training = is_training(),
                              .momentum = is_training() ? share_of_batch(options->momentum) : 0,
                              .eps = options->eps,
                              .activation = options->activation,
                              .slope = options->slope,
                              .inplace = options->inplace,
                              .biased_running_var = options->biased_running_var,
                              .group = options->sync ? options->group : ProcessGroup()});
  if (is_training()) count_batch();  // after the op: a refused input leaves the state as it was
  return y;
}

Tensor SyncBatchNorm::operator()(const Tensor& x) const { return nn::call(*this, x); }

}  // namespace weft::nn
