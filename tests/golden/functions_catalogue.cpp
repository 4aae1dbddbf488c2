// Functions of torch.nn.functional beside those of the other families: activations, pooling, margin losses, bags.
#include "golden/registry.h"
#include "golden/words.h"
#include "support/ops.h"
#include "weft/autograd/ops/loss/ctc_loss.h"
#include "weft/autograd/ops/loss/margin_loss.h"

namespace golden {
namespace {

using namespace weft;

template <int D>
void add_lp(Functions& f, Tensor (*pool)(const Tensor&, const LpPoolOptions<D>&),
            Tensor (*unpool)(const Tensor&, const Tensor&, const MaxUnpoolOptions<D>&, const std::optional<Shape>&)) {
  const std::string rank = std::to_string(D) + "d";
  f.add("F.lp_pool" + rank, {"input"}, [pool](const Call& c) {
    return pool(c.in("input"), {.norm_type = c.number("norm_type", 0),
                                .kernel_size = c.dims<D>("kernel_size"),
                                .stride = c.opt_dims<D>("stride").value_or(Dims<D>(0)),
                                .ceil_mode = c.boolean("ceil_mode", false)});
  });
  f.add("F.max_unpool" + rank, {"input", "indices"}, [unpool](const Call& c) {
    return unpool(c.in("input"), c.in("indices"),
                  {.kernel_size = c.dims<D>("kernel_size"),
                   .stride = c.opt_dims<D>("stride").value_or(Dims<D>(0)),
                   .padding = c.dims<D>("padding", Dims<D>(0))},
                  c.opt_ints("output_size"));
  });
}

/// Dropouts, which are certain without training, and for p = 0 and 1.
void add_dropouts(Functions& f) {
  const std::pair<const char*, Tensor (*)(const Tensor&, double, weft::Only<bool>, Generator*)> all[] = {
      {"F.dropout", dropout},
      {"F.dropout1d", dropout1d},
      {"F.dropout2d", dropout2d},
      {"F.dropout3d", dropout3d},
      {"F.alpha_dropout", alpha_dropout},
      {"F.feature_alpha_dropout", feature_alpha_dropout}};
  for (const auto& entry : all)
    f.add(entry.first, {"input"},
          [op = entry.second, training = entry.first[2] != 'a' && entry.first[2] != 'f'](const Call& c) {
            return op(c.in("input"), c.number("p", 0.5), c.boolean("training", training), nullptr);
          });
}

void add_margin_losses(Functions& f) {
  f.add("F.hinge_embedding_loss", {"input", "target"}, [](const Call& c) {
    return hinge_embedding_loss(c.in("input"), c.in("target"), c.number("margin", 1), reduction(c));
  });
  f.add("F.soft_margin_loss", {"input", "target"},
        [](const Call& c) { return soft_margin_loss(c.in("input"), c.in("target"), reduction(c)); });
  f.add("F.multi_margin_loss", {"input", "target", "weight"}, [](const Call& c) {
    return multi_margin_loss(c.in("input"), c.in("target"),
                             {.p = static_cast<int>(c.integer("p", 1)),
                              .margin = c.number("margin", 1),
                              .weight = c.in("weight"),
                              .reduction = reduction(c)});
  });
  f.add("F.multilabel_margin_loss", {"input", "target"},
        [](const Call& c) { return multilabel_margin_loss(c.in("input"), c.in("target"), reduction(c)); });
  f.add("F.multilabel_soft_margin_loss", {"input", "target", "weight"}, [](const Call& c) {
    return multilabel_soft_margin_loss(c.in("input"), c.in("target"),
                                       {.weight = c.in("weight"), .reduction = reduction(c)});
  });
  f.add("F.margin_ranking_loss", {"input1", "input2", "target"}, [](const Call& c) {
    return margin_ranking_loss(c.in("input1"), c.in("input2"), c.in("target"), c.number("margin", 0), reduction(c));
  });
  f.add("F.cosine_embedding_loss", {"input1", "input2", "target"}, [](const Call& c) {
    return cosine_embedding_loss(c.in("input1"), c.in("input2"), c.in("target"), c.number("margin", 0), reduction(c));
  });
  f.add("F.triplet_margin_loss", {"anchor", "positive", "negative"}, [](const Call& c) {
    return triplet_margin_loss(c.in("anchor"), c.in("positive"), c.in("negative"),
                               {.margin = c.number("margin", 1),
                                .p = c.number("p", 2),
                                .eps = c.number("eps", 1e-6),
                                .swap = c.boolean("swap", false),
                                .reduction = reduction(c)});
  });
  f.add("F.poisson_nll_loss", {"input", "target"}, [](const Call& c) {
    return poisson_nll_loss(c.in("input"), c.in("target"),
                            {.log_input = c.boolean("log_input", true),
                             .full = c.boolean("full", false),
                             .eps = c.number("eps", 1e-8),
                             .reduction = reduction(c)});
  });
  f.add("F.gaussian_nll_loss", {"input", "target", "var"}, [](const Call& c) {
    return gaussian_nll_loss(
        c.in("input"), c.in("target"), c.in("var"),
        {.full = c.boolean("full", false), .eps = c.number("eps", 1e-6), .reduction = reduction(c)});
  });
}

}  // namespace

void add_catalogue(Functions& f) {
  f.add("F.celu", {"input"}, [](const Call& c) { return celu(c.in("input"), c.number("alpha", 1)); });
  f.add("F.glu", {"input"}, [](const Call& c) { return glu(c.in("input"), c.integer("dim", -1)); });
  f.add("F.hardshrink", {"input"}, [](const Call& c) { return hardshrink(c.in("input"), c.number("lambd", 0.5)); });
  f.add("F.softshrink", {"input"}, [](const Call& c) { return softshrink(c.in("input"), c.number("lambd", 0.5)); });
  f.add("F.tanhshrink", {"input"}, [](const Call& c) { return tanhshrink(c.in("input")); });
  f.add("F.threshold", {"input"},
        [](const Call& c) { return threshold(c.in("input"), c.number("threshold", 0), c.number("value", 0)); });
  f.add("F.softmin", {"input"},
        [](const Call& c) { return softmin(c.in("input"), softmax_dim(c, c.in("input")), c.opt_dtype("dtype")); });
  f.add("F.rrelu", {"input"}, [](const Call& c) {
    return rrelu(c.in("input"), c.number("lower", 1.0 / 8), c.number("upper", 1.0 / 3), c.boolean("training", false));
  });
  f.add("F.local_response_norm", {"input"}, [](const Call& c) {
    return local_response_norm(
        c.in("input"), c.integer("size"),
        {.alpha = c.number("alpha", 1e-4), .beta = c.number("beta", 0.75), .k = c.number("k", 1)});
  });
  f.add("F.channel_shuffle", {"input"},
        [](const Call& c) { return channel_shuffle(c.in("input"), c.integer("groups")); });
  f.add("F.bilinear", {"input1", "input2", "weight", "bias"},
        [](const Call& c) { return bilinear(c.in("input1"), c.in("input2"), c.in("weight"), c.in("bias")); });
  f.add("F.pdist", {"input"}, [](const Call& c) { return pdist(c.in("input"), c.number("p", 2)); });
  f.add("F.affine_grid", {"theta"}, [](const Call& c) {
    return affine_grid(c.in("theta"), Shape(c.ints("size")), c.boolean("align_corners", false));
  });
  f.add("F.unbind", {"input"}, [](const Call& c) { return unbind(c.in("input"), c.integer("dim", 0)); });
  f.add("F.ctc_loss", {"log_probs", "targets", "input_lengths", "target_lengths"}, [](const Call& c) {
    return ctc_loss(c.in("log_probs"), c.in("targets"), c.in("input_lengths"), c.in("target_lengths"),
                    {.blank = c.integer("blank", 0),
                     .reduction = reduction(c),
                     .zero_infinity = c.boolean("zero_infinity", false)});
  });
  add_lp<1>(f, lp_pool1d, max_unpool1d);
  add_lp<2>(f, lp_pool2d, max_unpool2d);
  add_lp<3>(f, lp_pool3d, max_unpool3d);
  add_dropouts(f);
  add_margin_losses(f);
}

}  // namespace golden
