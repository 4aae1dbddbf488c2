// Convolution layers, plain, transposed, lazy and of any rank; Linear and GramMatrix.
#include "golden/conv_options.h"
#include "weft/nn/conv_nd.h"
#include "weft/nn/gram.h"
#include "weft/nn/lazy_conv.h"
#include "weft/nn/linear.h"

namespace golden {
namespace {

using namespace weft;

template <int D> void add_conv_rank(Modules& m) {
  const std::string rank = std::to_string(D) + "d";
  m.add("nn.Conv" + rank, [](const Args& a) {
    return layer(
        nn::Conv<D>(a.integer("in_channels"), a.integer("out_channels"), conv_options<D, nn::ConvOptions<D>>(a)));
  });
  m.add("nn.ConvTranspose" + rank, [](const Args& a) {
    return transposed_layer(
        nn::ConvTranspose<D>(a.integer("in_channels"), a.integer("out_channels"), transpose_options<D>(a)));
  });
  m.add("nn.LazyConv" + rank, [](const Args& a) {
    return layer(nn::LazyConv<D>(a.integer("out_channels"), conv_options<D, nn::ConvOptions<D>>(a)));
  });
  m.add("nn.LazyConvTranspose" + rank, [](const Args& a) {
    return transposed_layer(nn::LazyConvTranspose<D>(a.integer("out_channels"), transpose_options<D>(a)));
  });
}

/// `padding` of any rank. An entry that is no pair cannot be written in C++; here it is the ValueError it would be.
std::vector<std::pair<int64_t, int64_t>> pairs(const Args& a) {
  std::vector<std::pair<int64_t, int64_t>> out;
  if (!a.has("padding")) return out;
  const Value& v = a.value("padding");
  for (const Value& entry : v.list) {
    if (!entry.is_list() || entry.list.size() != 2) throw ValueError("padding: not a list of pairs: " + v.text());
    out.emplace_back(entry.list[0].as_int(), entry.list[1].as_int());
  }
  if (!v.is_list()) throw ValueError("padding: not a list of pairs: " + v.text());
  return out;
}

}  // namespace

void add_conv_modules(Modules& m) {
  add_conv_rank<1>(m);
  add_conv_rank<2>(m);
  add_conv_rank<3>(m);
  m.add("tripy.Conv", [](const Args& a) {
    return layer(nn::ConvNd(a.integer("in_channels"), a.integer("out_channels"),
                            {.kernel_size = Shape(a.ints("kernel_dims")),
                             .stride = a.opt_ints("stride").value_or(Shape{}),
                             .padding = pairs(a),
                             .dilation = a.opt_ints("dilation").value_or(Shape{}),
                             .groups = a.has("groups") ? a.integer("groups") : 1,
                             .bias = a.opt_boolean("bias").value_or(true)}));
  });
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
  m.add("nn.EmbeddingBag", [](const Args& a) -> Built {
    nn::EmbeddingBagOptions o;
    o.max_norm = a.opt_number("max_norm");
    o.norm_type = a.number("norm_type", 2);
    o.scale_grad_by_freq = a.boolean("scale_grad_by_freq", false);
    const std::string mode = a.word("mode", "mean");
    if (mode != "sum" && mode != "mean" && mode != "max") throw ValueError("EmbeddingBag: unknown mode " + mode);
    o.mode = mode == "sum" ? BagMode::sum : mode == "max" ? BagMode::max : BagMode::mean;
    o.include_last_offset = a.boolean("include_last_offset", false);
    o.padding_idx = a.opt_integer("padding_idx");
    const nn::EmbeddingBag bag(a.integer("num_embeddings"), a.integer("embedding_dim"), o);
    return {bag, [bag](const std::vector<Tensor>& x, const Args& call) {
              return std::vector<Tensor>{bag(x.at(0), x.size() > 1 ? x[1] : call.tensor("offsets"),
                                             x.size() > 2 ? x[2] : call.tensor("per_sample_weights"))};
            }};
  });
  m.add("nn.Identity", [](const Args&) { return layer(nn::Identity()); });
  m.add("nn.Flatten",
        [](const Args& a) { return layer(nn::Flatten(a.integer("start_dim", 1), a.integer("end_dim", -1))); });
  m.add("nn.Unflatten",
        [](const Args& a) { return layer(nn::Unflatten(a.integer("dim"), Shape(a.ints("unflattened_size")))); });
}

}  // namespace golden
