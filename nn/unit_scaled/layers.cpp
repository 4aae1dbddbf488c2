#include "weft/nn/unit_scaled/layers.h"

#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/repr.h"
#include "weft/nn/unit_scaled/conv.h"

namespace weft::unit_scaled {

using nn::detail::py;

Linear::Linear(const char* name, int64_t in_features, int64_t out_features, const LinearLayerOptions& o)
    : Module(name, str("in_features=", in_features, ", out_features=", out_features, ", bias=", py(o.bias))),
      in_features(in_features),
      out_features(out_features),
      constraint(o.constraint) {
  WEFT_CHECK(in_features >= 0 && out_features >= 0, ValueError, name,
             ": in_features and out_features must not be negative, got ", in_features, " and ", out_features);
  check_constraint(name, o.constraint, 2);
  weight = param("weight", empty({out_features, in_features}));
  if (o.bias) bias = param("bias", empty({out_features}));
  detail::set_types(name, weight, o.weight_mup_type, bias);
  reset_parameters();
}
void Linear::reset_parameters() { detail::reset(weight, bias); }

GELU::GELU(const GeluOptions& o) : Module("GELU"), options(o) {
  set_extra("", [options = options.share()] { return str("approximate='", options->approximate.text(), "'"); });
  detail::check_mult("GELU", o.mult);
  check_constraint("GELU", o.constraint, 2);
}

SiLU::SiLU(const SiluOptions& o) : Module("SiLU"), options(o) {
  detail::check_mult("SiLU", o.mult);
  check_constraint("SiLU", o.constraint, 2);
}

Softmax::Softmax(int64_t dim, const SoftmaxOptions& o) : Module("Softmax"), dim(dim), options(o) {
  set_extra("", nn::detail::shown("dim=", this->dim));
  detail::check_mult("Softmax", o.mult);
  check_constraint("Softmax", o.constraint, 2);
}

LayerNorm::LayerNorm(const Shape& normalized_shape, const LayerNormOptions& o)
    : nn::LayerNorm(normalized_shape, {.eps = o.eps, .elementwise_affine = o.elementwise_affine, .bias = o.bias}) {
  if (weight.defined()) detail::set_types(name(), weight, MupType::norm, bias);
}

RMSNorm::RMSNorm(const Shape& normalized_shape, const RMSNormOptions& o)
    : nn::RMSNorm(normalized_shape, {.eps = o.eps, .elementwise_affine = o.elementwise_affine}) {
  if (weight.defined()) detail::set_types(name(), weight, MupType::norm, {});
}

Embedding::Embedding(int64_t num_embeddings, int64_t embedding_dim, std::optional<int64_t> padding_idx)
    : nn::Embedding(num_embeddings, embedding_dim, {.padding_idx = padding_idx}) {
  detail::set_types(name(), weight, MupType::weight, {});
}

CrossEntropyLoss::CrossEntropyLoss(const CrossEntropyOptions& o) : Module("CrossEntropyLoss"), options(o) {
  detail::check_mult("CrossEntropyLoss", o.mult);
  detail::check_loss("CrossEntropyLoss", o.reduction, o.weight, o.label_smoothing);
}

void detail::set_depth(const nn::Module& m) {
  const std::vector<nn::NamedTensor> params = m.named_parameters();
  for (const auto& [key, p] : params) {
    const MupInfo info = mup_info(p);
    WEFT_CHECK(info.type != MupType::none, ValueError, m.name(), ": parameter ", key,
               " has no mup type; use unit-scaled layers");
    WEFT_CHECK(!info.depth, ValueError, m.name(), ": parameter ", key, " has depth ", *info.depth,
               " already; stacks cannot be nested");
  }
  const auto depth = static_cast<int64_t>(m.children().size());
  for (const auto& [key, p] : params) set_mup_info(p, {mup_info(p).type, depth});
}

Tensor Linear::operator()(const Tensor& x) const {
  return nn::call(*this, x,
                  [&](const Tensor& x) { return unit_scaled::linear(x, weight, bias, {.constraint = *constraint}); });
}
Tensor LinearReadout::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) {
    return unit_scaled::linear_readout(x, weight, bias, {.constraint = *constraint});
  });
}
Tensor GELU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return unit_scaled::gelu(x, options); });
}
Tensor SiLU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return unit_scaled::silu(x, options); });
}
Tensor Softmax::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return unit_scaled::softmax(x, dim, options); });
}
Tensor Dropout::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return unit_scaled::dropout(x, p, is_training()); });
}
Tensor LayerNorm::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) {
    return unit_scaled::layer_norm(x, normalized_shape, weight, bias, options->eps);
  });
}
Tensor RMSNorm::operator()(const Tensor& x) const {
  return nn::call(*this, x,
                  [&](const Tensor& x) { return unit_scaled::rms_norm(x, normalized_shape, weight, *options->eps); });
}
Tensor Embedding::operator()(const Tensor& index) const {
  return nn::call(*this, index, [&](const Tensor& index) {
    return unit_scaled::embedding(index, weight, {.padding_idx = options->padding_idx});
  });
}
Tensor CrossEntropyLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) { return unit_scaled::cross_entropy(x, target, options); });
}

}  // namespace weft::unit_scaled
