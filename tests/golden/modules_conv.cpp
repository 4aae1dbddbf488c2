// Convolution layers, plain, transposed and weight-standardised; Linear and GramMatrix.
#include "golden/modules.h"
#include "golden/words.h"
#include "weft/nn/conv.h"
#include "weft/nn/gram.h"
#include "weft/nn/linear.h"
#include "weft/nn/ws_conv.h"

namespace golden {
namespace {

using namespace weft;

template <int D> nn::Padding<D> padding(const Args& a) {
  const Value& v = a.value("padding");
  if (v.is_string()) return nn::Padding<D>(v.string);
  nn::Padding<D> p(0);
  if (is_pairs(v)) {
    read_pairs<D>(v, p.lo, p.hi);
    return p;
  }
  return nn::Padding<D>(a.dims<D>("padding", Dims<D>(0)));
}

/// The options that all of them have.
template <int D, class O> O common(const Args& a) {
  O o{.kernel_size = a.dims<D>("kernel_size")};
  o.stride = a.dims<D>("stride", Dims<D>(1));
  o.padding = padding<D>(a);
  o.dilation = a.dims<D>("dilation", Dims<D>(1));
  o.groups = a.integer("groups", 1);
  o.bias = a.boolean("bias", true);
  o.padding_mode = a.word("padding_mode", "zeros");
  return o;
}

template <int D> void add_rank(Modules& m) {
  const std::string rank = std::to_string(D) + "d";
  m.add("nn.Conv" + rank, [](const Args& a) {
    return layer(nn::Conv<D>(a.integer("in_channels"), a.integer("out_channels"), common<D, nn::ConvOptions<D>>(a)));
  });
  m.add("nn.ConvTranspose" + rank, [](const Args& a) -> Built {
    auto o = common<D, nn::ConvTransposeOptions<D>>(a);
    o.output_padding = a.dims<D>("output_padding", Dims<D>(0));
    nn::ConvTranspose<D> conv(a.integer("in_channels"), a.integer("out_channels"), o);
    return {conv, [conv](const std::vector<Tensor>& x, const Args& call) {
              return std::vector<Tensor>{conv(x.at(0), call.opt_ints("output_size"))};
            }};
  });
  m.add("elektronn3.WSConv" + rank, [](const Args& a) -> Built {
    const std::string variant = a.word("variant", "elektronn3");
    if (variant != "elektronn3" && variant != "nfnet") throw ValueError("WSConv: unknown variant " + variant);
    nn::WSConv<D> conv(a.integer("in_channels"), a.integer("out_channels"), common<D, nn::ConvOptions<D>>(a),
                       variant == "nfnet" ? nn::WSVariant::nfnet : nn::WSVariant::elektronn3);
    return {conv, [conv](const std::vector<Tensor>& x, const Args& call) {
              return std::vector<Tensor>{conv(x.at(0), call.number("eps", 1e-4))};
            }};
  });
}

}  // namespace

void add_conv_modules(Modules& m) {
  add_rank<1>(m);
  add_rank<2>(m);
  add_rank<3>(m);
  m.add("encoding.GramMatrix", [](const Args&) { return layer(nn::GramMatrix()); });
  m.add("nn.Linear", [](const Args& a) {
    return layer(nn::Linear(a.integer("in_features"), a.integer("out_features"), {.bias = a.boolean("bias", true)}));
  });
  m.add("nn.Bilinear", [](const Args& a) {
    return pair_layer(nn::Bilinear(a.integer("in1_features"), a.integer("in2_features"), a.integer("out_features"),
                                   {.bias = a.boolean("bias", true)}));
  });
  m.add("nn.Embedding", [](const Args& a) {
    nn::EmbeddingOptions o;
    o.padding_idx = a.opt_integer("padding_idx");
    o.max_norm = a.opt_number("max_norm");
    o.norm_type = a.number("norm_type", 2);
    o.scale_grad_by_freq = a.boolean("scale_grad_by_freq", false);
    return layer(nn::Embedding(a.integer("num_embeddings"), a.integer("embedding_dim"), o));
  });
  m.add("nn.Identity", [](const Args&) { return layer(nn::Identity()); });
  m.add("nn.Flatten",
        [](const Args& a) { return layer(nn::Flatten(a.integer("start_dim", 1), a.integer("end_dim", -1))); });
  m.add("nn.Unflatten",
        [](const Args& a) { return layer(nn::Unflatten(a.integer("dim"), Shape(a.ints("unflattened_size")))); });
}

}  // namespace golden
