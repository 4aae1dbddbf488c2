// Normalisation and dropout layers.
#include "golden/modules.h"
#include "weft/nn/dropout.h"
#include "weft/nn/norm.h"

namespace golden {
namespace {

using namespace weft;

template <int D> void add_norm_rank(Modules& m) {
  const std::string rank = std::to_string(D) + "d";
  m.add("nn.BatchNorm" + rank, [](const Args& a) {
    nn::BatchNormOptions o;
    o.eps = a.number("eps", 1e-5);
    // null is PyTorch's cumulative average, not the default.
    const Value& momentum = a.value("momentum");
    if (a.given("momentum")) o.momentum = momentum.is_null() ? std::nullopt : std::optional(momentum.as_double());
    o.affine = a.boolean("affine", true);
    o.bias = a.boolean("bias", true);
    o.track_running_stats = a.boolean("track_running_stats", true);
    return layer(nn::BatchNorm<D>(a.integer("num_features"), o));
  });
  m.add("nn.InstanceNorm" + rank, [](const Args& a) {
    nn::InstanceNormOptions o;
    o.eps = a.number("eps", 1e-5);
    o.momentum = a.number("momentum", 0.1);
    o.affine = a.boolean("affine", false);
    o.bias = a.boolean("bias", true);
    o.track_running_stats = a.boolean("track_running_stats", false);
    return layer(nn::InstanceNorm<D>(a.integer("num_features"), o));
  });
}

}  // namespace

void add_norm_modules(Modules& m) {
  add_norm_rank<1>(m);
  add_norm_rank<2>(m);
  add_norm_rank<3>(m);
  m.add("nn.GroupNorm", [](const Args& a) {
    return layer(nn::GroupNorm(
        a.integer("num_groups"), a.integer("num_channels"),
        {.eps = a.number("eps", 1e-5), .affine = a.boolean("affine", true), .bias = a.boolean("bias", true)}));
  });
  m.add("nn.LayerNorm", [](const Args& a) {
    return layer(
        nn::LayerNorm(Shape(a.ints("normalized_shape")), {.eps = a.number("eps", 1e-5),
                                                          .elementwise_affine = a.boolean("elementwise_affine", true),
                                                          .bias = a.boolean("bias", true)}));
  });
  m.add("nn.RMSNorm", [](const Args& a) {
    return layer(
        nn::RMSNorm(Shape(a.ints("normalized_shape")),
                    {.eps = a.opt_number("eps"), .elementwise_affine = a.boolean("elementwise_affine", true)}));
  });
  m.add("nn.LocalResponseNorm", [](const Args& a) {
    return layer(nn::LocalResponseNorm(
        a.integer("size"), {.alpha = a.number("alpha", 1e-4), .beta = a.number("beta", 0.75), .k = a.number("k", 1)}));
  });
  m.add("nn.CrossMapLRN2d", [](const Args& a) {
    return layer(nn::CrossMapLRN2d(
        a.integer("size"), {.alpha = a.number("alpha", 1e-4), .beta = a.number("beta", 0.75), .k = a.number("k", 1)}));
  });
  const auto p = [](const Args& a) {
    (void)a.boolean("inplace", false);  // changes no number
    return a.number("p", 0.5);
  };
  m.add("nn.Dropout", [p](const Args& a) { return layer(nn::Dropout(p(a))); });
  m.add("nn.Dropout1d", [p](const Args& a) { return layer(nn::Dropout1d(p(a))); });
  m.add("nn.Dropout2d", [p](const Args& a) { return layer(nn::Dropout2d(p(a))); });
  m.add("nn.Dropout3d", [p](const Args& a) { return layer(nn::Dropout3d(p(a))); });
  m.add("nn.FeatureAlphaDropout", [p](const Args& a) { return layer(nn::FeatureAlphaDropout(p(a))); });
  m.add("nn.AlphaDropout", [p](const Args& a) { return layer(nn::AlphaDropout(p(a))); });
}

}  // namespace golden
