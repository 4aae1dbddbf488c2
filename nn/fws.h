// Weight standardisation around any layer, which rewrites the layer's weight in place: elektronn3's FWS.
// Arithmetic is the op's (autograd/ops/layer/weight.h).
#pragma once

#include "weft/autograd/ops/layer/weight.h"
#include "weft/core/stamp.h"
#include "weft/nn/call.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// Options of FWS.
struct FWSOptions {
  bool learnable_gain = true;                         ///< gain is a parameter, otherwise a buffer
  bool const_eval = false;                            ///< in evaluation mode the weight is used as it is
  double eps = 1e-4;                                  ///< floor of var N
  Choice<WSVariant> variant = WSVariant::elektronn3;  ///< the formula; see standardize_weight
};

/// What FWS of all layers share.
class WEFT_API FWSBase : public Module {
 public:
  ModuleTensor gain;   ///< [weight.size(0)], ones
  Buffer fan_in, eps;  ///< buffers, i64 and f32, rank 0: N and the floor, from checkpoints too
  /// As in FWSOptions; may be changed, also through copies.
  Option<bool> const_eval;
  Option<Choice<WSVariant>> variant;

 protected:
  /// For the weight of the layer that is wrapped.
  FWSBase(const Tensor& weight, const FWSOptions& o);
  /// Is the weight standardised in this call?
  bool rewrites() const { return is_training() || !const_eval; }
  /// `weight` standardised in place, as a tensor that passes gradients to it and to gain.
  Tensor rewritten(const Tensor& weight);

 private:
  /// A buffer's value on the host, read again when it changed.
  struct Number {
    Stamp read_at;
    double value = 0;
    double of(const Tensor& t);
  };
  Number fan_in_, eps_;
};

/// `layer(args...)` after layer.weight <- (weight - mean) gain / sqrt(max(var N, eps)) row by row (see
/// `standardize_weight`), in place and without a gradient through mean and variance: weight gets the gradient of the
/// rewritten one, gain its own. N is `fan_in`. State: gain, fan_in, eps, layer.*. Two calls before one backward: the
/// second rewrites what the first saved, and backward says so. ValueError for a weight of rank 1 or with one element
/// per row. The original's gain never gets a gradient.
template <std::derived_from<Module> M>
requires requires(M m) { m.weight.set_requires_grad(); }
class FWS : public FWSBase {
 public:
  explicit FWS(M wrapped, const FWSOptions& o = {})
      : FWSBase(wrapped.weight, o), layer(add("layer", std::move(wrapped))) {}
  template <class X, class... A>
  requires std::invocable<M&, const X&, const A&...>
  auto operator()(const X& x, const A&... rest) { return nn::call(*this, x, rest...); }
  template <class X, class... A> auto forward(const X& x, const A&... rest) {
    if (!rewrites()) return layer(x, rest...);
    M once = layer;
    once.weight.stand_in(rewritten(layer.weight));
    return once(x, rest...);
  }
  /// The layer inside.
  M layer;
};

}  // namespace weft::nn
