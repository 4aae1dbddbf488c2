// Unit-scaled layers.
#include "golden/conv_options.h"
#include "golden/words_unit.h"
#include "weft/nn/unit_scaled/unit_scaled.h"

namespace golden {
namespace {

using namespace weft;
namespace us = weft::unit_scaled;

template <int D, class O> O unit_conv_options(const Args& a) {
  O o = conv_options<D, O>(a);
  o.bias = a.boolean("bias", false);
  o.constraint = constraint(a);
  o.weight_mup_type = us::mup_type(a.word("weight_mup_type", "weight"));
  return o;
}

template <int D> void add_unit_rank(Modules& m) {
  const std::string rank = std::to_string(D) + "d";
  m.add("unit_scaling.Conv" + rank, [](const Args& a) {
    return layer(us::Conv<D>(a.integer("in_channels"), a.integer("out_channels"),
                             unit_conv_options<D, us::ConvLayerOptions<D>>(a)));
  });
  m.add("unit_scaling.ConvTranspose" + rank, [](const Args& a) {
    auto o = unit_conv_options<D, us::ConvTransposeLayerOptions<D>>(a);
    o.output_padding = conv_dims<D>(a, "output_padding", Dims<D>(0));
    return transposed_layer(us::ConvTranspose<D>(a.integer("in_channels"), a.integer("out_channels"), o));
  });
}

template <class O> O linear_options(const Args& a) {
  const O o;
  return {.bias = a.boolean("bias", o.bias),
          .constraint = constraint(a, o.constraint),
          .weight_mup_type = a.word("weight_mup_type", std::string(o.weight_mup_type.text()))};
}

/// A format as a module: what it does to a tensor.
struct Format : nn::Module {
  explicit Format(const FPFormat& f) : nn::Module("FPFormat", f.name()), format(f) {}
  Tensor operator()(const Tensor& x) const { return quantise_fwd(x, format); }
  FPFormat format;
};

}  // namespace

void add_unit_modules(Modules& m) {
  add_unit_rank<1>(m);
  add_unit_rank<2>(m);
  add_unit_rank<3>(m);
  m.add("unit_scaling.Linear", [](const Args& a) {
    return layer(
        us::Linear(a.integer("in_features"), a.integer("out_features"), linear_options<us::LinearLayerOptions>(a)));
  });
  m.add("unit_scaling.LinearReadout", [](const Args& a) {
    return layer(us::LinearReadout(a.integer("in_features"), a.integer("out_features"),
                                   linear_options<us::LinearReadoutLayerOptions>(a)));
  });
  m.add("unit_scaling.GELU", [](const Args& a) { return layer(us::GELU(gelu_options(a))); });
  m.add("unit_scaling.SiLU",
        [](const Args& a) { return layer(us::SiLU({.mult = a.number("mult", 1), .constraint = constraint(a)})); });
  m.add("unit_scaling.Softmax", [](const Args& a) {
    return layer(us::Softmax(a.integer("dim"), {.mult = a.number("mult", 1), .constraint = constraint(a)}));
  });
  m.add("unit_scaling.Dropout", [](const Args& a) { return layer(us::Dropout(a.number("p", 0.5))); });
  m.add("unit_scaling.LayerNorm", [](const Args& a) {
    return layer(
        us::LayerNorm(Shape(a.ints("normalized_shape")), {.eps = a.number("eps", 1e-5),
                                                          .elementwise_affine = a.boolean("elementwise_affine", false),
                                                          .bias = a.boolean("bias", true)}));
  });
  m.add("unit_scaling.RMSNorm", [](const Args& a) {
    return layer(
        us::RMSNorm(Shape(a.ints("normalized_shape")),
                    {.eps = a.number("eps", 1e-5), .elementwise_affine = a.boolean("elementwise_affine", false)}));
  });
  m.add("unit_scaling.Embedding", [](const Args& a) {
    return layer(us::Embedding(a.integer("num_embeddings"), a.integer("embedding_dim"), a.opt_integer("padding_idx")));
  });
  m.add("unit_scaling.CrossEntropyLoss",
        [](const Args& a) { return pair_layer(us::CrossEntropyLoss(cross_entropy_options(a))); });
  m.add("unit_scaling.formats.FPFormat", [](const Args& a) { return layer(Format(fp_format(a))); });
}

}  // namespace golden
