// PyTorch-Encoding's layers and functions, and those of multi-style transfer.
#include "golden/modules.h"
#include "golden/registry.h"
#include "weft/autograd/ops/layer/encoding.h"
#include "weft/nn/encoding.h"
#include "weft/nn/op_layers.h"
#include "weft/nn/segmentation_loss.h"
#include "weft/nn/upsample_conv.h"

namespace golden {

using namespace weft;

namespace {

nn::EncodingOptions options(const Args& a) {
  const std::string layout = a.word("layout", "auto");
  if (layout != "auto" && layout != "bdn" && layout != "bnd") throw ValueError("layout: unknown word " + layout);
  return {.layout = layout == "bdn"   ? nn::EncodingLayout::bdn
                    : layout == "bnd" ? nn::EncodingLayout::bnd
                                      : nn::EncodingLayout::automatic};
}

}  // namespace

void add_encoding_modules(Modules& m) {
  m.add("encoding.Encoding",
        [](const Args& a) { return layer(nn::Encoding(a.integer("D"), a.integer("K"), options(a))); });
  m.add("encoding.EncodingDrop",
        [](const Args& a) { return layer(nn::EncodingDrop(a.integer("D"), a.integer("K"), options(a))); });
  m.add("encoding.EncodingCosine",
        [](const Args& a) { return layer(nn::EncodingCosine(a.integer("D"), a.integer("K"), options(a))); });
  m.add("encoding.Inspiration", [](const Args& a) -> Built {
    nn::Inspiration layer(a.integer("C"), a.integer("B", 1));
    return {layer, [layer](const std::vector<Tensor>& x, const Args& call) mutable {
              if (const Tensor target = call.tensor("target"); target.defined()) layer.set_target(target);
              return std::vector<Tensor>{layer(x.at(0))};
            }};
  });
  m.add("encoding.UpsampleConv2d", [](const Args& a) {
    return layer(nn::UpsampleConv2d(a.integer("in_channels"), a.integer("out_channels"),
                                    {.kernel_size = a.dims<2>("kernel_size"),
                                     .stride = a.dims<2>("stride", Dims<2>(1)),
                                     .padding = a.dims<2>("padding", Dims<2>(0)),
                                     .dilation = a.dims<2>("dilation", Dims<2>(1)),
                                     .groups = a.integer("groups", 1),
                                     .scale_factor = a.integer("scale_factor", 1),
                                     .bias = a.boolean("bias", true)}));
  });
  m.add("encoding.Normalize",
        [](const Args& a) { return layer(nn::Normalize(a.number("p", 2), a.integer("dim", 1))); });
  m.add("encoding.View", [](const Args& a) { return layer(nn::View(Shape(a.ints("size")))); });
  m.add("encoding.Sum", [](const Args& a) { return layer(nn::Sum(a.integer("dim"), a.boolean("keep_dim", false))); });
  m.add("encoding.Mean", [](const Args& a) { return layer(nn::Mean(a.integer("dim"), a.boolean("keep_dim", false))); });
  m.add("encoding.GlobalAvgPool2d", [](const Args&) { return layer(nn::GlobalAvgPool2d()); });
  m.add("encoding.SegmentationLosses", [](const Args& a) -> Built {
    const nn::SegmentationLosses loss({.se_loss = a.boolean("se_loss", false),
                                       .se_weight = a.number("se_weight", 0.2),
                                       .nclass = a.integer("nclass", -1),
                                       .aux = a.boolean("aux", false),
                                       .aux_weight = a.number("aux_weight", 0.4),
                                       .weight = a.tensor("weight"),
                                       .ignore_index = a.integer("ignore_index", -1)});
    return {loss, [loss](const std::vector<Tensor>& x, const Args&) {
              if (x.size() == 4) return std::vector<Tensor>{loss(x[0], x[1], x[2], x[3])};
              if (x.size() == 3) return std::vector<Tensor>{loss(x[0], x[1], x[2])};
              return std::vector<Tensor>{loss(x.at(0), x.at(1))};
            }};
  });
}

void add_encoding(Functions& f) {
  f.add("encoding.F.scaled_l2", {"x", "codewords", "scale"},
        [](const Call& c) { return scaled_l2(c.in("x"), c.in("codewords"), c.in("scale")); });
  f.add("encoding.F.aggregate", {"a", "x", "codewords"},
        [](const Call& c) { return aggregate(c.in("a"), c.in("x"), c.in("codewords")); });
  f.add("encoding.F.pairwise_cosine", {"x", "codewords"},
        [](const Call& c) { return pairwise_cosine(c.in("x"), c.in("codewords"), c.boolean("normalize", false)); });
}

}  // namespace golden
