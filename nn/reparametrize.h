// Layers whose weight is computed from other parameters in every call: weight_norm, spectral_norm.
// Knows Module, no layer.
#pragma once

#include <optional>

#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// A module with a parameter `weight` that its call uses.
template <class M>
concept Weighted = std::derived_from<M, Module> && requires(M& m) {
  { m.weight } -> std::same_as<Parameter&>;
};

namespace detail {
/// Takes parameter or buffer `name` out of the module's state. ValueError where there is none.
WEFT_API void unregister(Module& m, const std::string& name);
}  // namespace detail

/// Layer M with `rule.weight(training)` in the place of its weight: state, printing and call are M's, but for the
/// parameters and buffers that the rule has instead of `weight`. The state is shared with the layer it was made of,
/// which must not be called any more.
template <Weighted M, class Rule> class Reparametrized : public M {
 public:
  Reparametrized(M layer, Rule r) : M(std::move(layer)), rule(std::move(r)) {
    detail::unregister(*this, "weight");
    rule.each_parameter([&](const char* name, Parameter& p) { p = this->param(name, p.tensor()); });
    rule.each_buffer([&](const char* name, Buffer& b) { b = this->buffer(name, b.tensor()); });
    this->weight.stand_in(Tensor());
  }
  template <class... A>
  requires std::invocable<M&, A...>
  auto operator()(A&&... args) const {
    M layer(*this);
    layer.weight.stand_in(rule.weight(this->is_training()));
    return layer(std::forward<A>(args)...);
  }
  /// The plain layer, with the present weight as its parameter; this one must not be called any more.
  M plain() const {
    Reparametrized m(*this);
    Tensor w = rule.weight(false).detach();
    m.rule.each_parameter([&](const char* name, const Parameter&) { detail::unregister(m, name); });
    m.rule.each_buffer([&](const char* name, const Buffer&) { detail::unregister(m, name); });
    m.weight = m.param("weight", w);
    return m;
  }
  /// Holds the parameters that the weight is made of.
  Rule rule;
};

/// weight = g v / |v|, with a norm for each index of axis `dim`, or one for all without. State: weight_g, weight_v.
struct WEFT_API WeightNormRule {
  /// v is weight itself, g begins as its norms. ValueError for a lazy layer's weight without elements.
  WeightNormRule(const Tensor& weight, std::optional<int64_t> dim);
  /// The weight that they give, differentiable; both modes alike.
  Tensor weight(bool training) const;
  /// f(name in the state, parameter), for each; none are buffers.
  template <class F> void each_parameter(const F& f) {
    f("weight_g", g);
    f("weight_v", v);
  }
  template <class F> void each_buffer(const F&) {}
  /// The axis of g's elements; empty: g is one number.
  std::optional<int64_t> dim;
  /// g: [1, .., size(dim), .., 1] or []; v: of weight's shape.
  Parameter g, v;
};
/// The type that weight_norm returns.
template <Weighted M> using WeightNorm = Reparametrized<M, WeightNormRule>;

/// Weight normalisation (Salimans & Kingma 2016). Keys are those of torch.nn.utils.weight_norm, `weight_g` and
/// `weight_v`.
///     nn::WeightNorm<nn::Conv2d> conv = add("conv", nn::weight_norm(nn::Conv2d(3, 8, {.kernel_size = 3})));
template <Weighted M> WeightNorm<M> weight_norm(M layer, std::optional<int64_t> dim = 0) {
  WeightNormRule rule(layer.weight, dim);
  return {std::move(layer), std::move(rule)};
}
/// The plain layer with the present weight; m must not be called any more.
template <Weighted M> M remove_weight_norm(const WeightNorm<M>& m) { return m.plain(); }

/// Options of spectral_norm.
struct SpectralNormOptions {
  int64_t n_power_iterations = 1;  ///< in every call while training
  double eps = 1e-12;              ///< least norm of u and v
  /// Axis of the rows; the others are the columns. Default: 0, and 1 for transposed convolutions.
  std::optional<int64_t> dim = std::nullopt;
};

/// weight = W / (u^T W v), u and v by power iteration: (nearly) W over its largest singular value. State:
/// weight_orig, weight_u [rows], weight_v [columns].
struct WEFT_API SpectralNormRule {
  /// u and v begin as N(0, 1), normalised. ValueError for a weight of rank 1 and for n_power_iterations <= 0.
  SpectralNormRule(const Tensor& weight, const SpectralNormOptions& o);
  /// The weight that they give, differentiable. In training u and v go on by n_power_iterations first.
  Tensor weight(bool training) const;
  /// f(name in the state, parameter or buffer), for each.
  template <class F> void each_parameter(const F& f) { f("weight_orig", original); }
  template <class F> void each_buffer(const F& f) {
    f("weight_u", u);
    f("weight_v", v);
  }
  Option<SpectralNormOptions> options;
  /// W, of weight's shape.
  Parameter original;
  Buffer u, v;
};
/// The type that spectral_norm returns.
template <Weighted M> using SpectralNorm = Reparametrized<M, SpectralNormRule>;

/// Spectral normalisation (Miyato et al. 2018). Keys are those of torch.nn.utils.spectral_norm; u and v begin as N(0,
/// 1), normalised.
template <Weighted M> SpectralNorm<M> spectral_norm(M layer, SpectralNormOptions o = {}) {
  if (!o.dim) o.dim = layer.state().name.starts_with("ConvTranspose") ? 1 : 0;
  SpectralNormRule rule(layer.weight, o);
  return {std::move(layer), std::move(rule)};
}
/// The plain layer with the present weight; m must not be called any more.
template <Weighted M> M remove_spectral_norm(const SpectralNorm<M>& m) { return m.plain(); }

namespace utils {
using nn::remove_spectral_norm;
using nn::remove_weight_norm;
using nn::spectral_norm;
using nn::weight_norm;
}  // namespace utils

}  // namespace weft::nn
