// Linear and normalisation layers that learn their number of features from the first input; convolutions are in
// lazy_conv.h. Knows the plain layers, which they become.
#pragma once

#include "weft/nn/linear.h"
#include "weft/nn/norm.h"

namespace weft::nn {

/// Linear without in_features: `LazyLinear(8)` takes it from the first input, x.size(-1). Its parameters have no
/// elements until then, or until a state dict with their shapes is loaded; from then on it is, by name, printing, state
/// and numbers, a Linear. `in_features` is 0 before this handle's first call.
class WEFT_API LazyLinear : public Linear {
 public:
  explicit LazyLinear(int64_t out_features, LinearOptions o = {});
  /// PyTorch's short form: `LazyLinear(8, false)` has no bias.
  template <std::same_as<bool> B> LazyLinear(int64_t out_features, B bias) : LazyLinear(out_features, {.bias = bias}) {}
  Tensor operator()(const Tensor& x);
  /// Are there parameters with elements?
  bool is_materialized() const { return !state().lazy; }
};

/// BatchNorm and InstanceNorm without num_features, in the same way: the number of channels of the first input.
///     nn::LazyBatchNorm2d norm;   nn::LazyInstanceNorm1d plain({.affine = true});
template <class Norm> class WEFT_API LazyNorm : public Norm {
 public:
  /// Of the plain layer.
  using Options = typename decltype(Norm::options)::value_type;
  explicit LazyNorm(Options o = {});
  Tensor operator()(const Tensor& x) {
    materialize_for(x);
    return Norm::operator()(x);
  }
  /// Are there parameters and buffers with elements?
  bool is_materialized() const { return !this->state().lazy; }

 private:
  void materialize_for(const Tensor& x);
};
/// BatchNorm and InstanceNorm of that rank.
using LazyBatchNorm1d = LazyNorm<BatchNorm1d>;
using LazyBatchNorm2d = LazyNorm<BatchNorm2d>;
using LazyBatchNorm3d = LazyNorm<BatchNorm3d>;
using LazyInstanceNorm1d = LazyNorm<InstanceNorm1d>;
using LazyInstanceNorm2d = LazyNorm<InstanceNorm2d>;
using LazyInstanceNorm3d = LazyNorm<InstanceNorm3d>;

}  // namespace weft::nn
