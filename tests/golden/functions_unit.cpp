// Unit scaling: ops, and the simulation of number formats.
#include "golden/conv_options.h"
#include "golden/registry.h"
#include "golden/words_unit.h"
#include "weft/nn/unit_scaled/functional.h"

namespace golden {
namespace {

using namespace weft;
namespace us = weft::unit_scaled;

us::ScalePower power(const Args& a, us::ScalePower otherwise = {0.5, 0.5, 0.5}) {
  if (!a.has("scale_power")) return otherwise;
  const std::vector<Value>& p = a.value("scale_power").list;
  return {p.at(0).as_double(), p.at(1).as_double(), p.at(2).as_double()};
}

template <int D> void add_convs(Functions& f, auto conv, auto transpose) {
  const std::string rank = std::to_string(D) + "d";
  f.add("unit_scaling.F.conv" + rank, {"x", "w", "b"}, [=](const Call& c) {
    return conv(c.in("x"), c.in("w"), c.in("b"),
                us::ConvOptions<D>{.stride = conv_dims<D>(c, "stride", Dims<D>(1)),
                                   .padding = conv_padding<D>(c),
                                   .dilation = conv_dims<D>(c, "dilation", Dims<D>(1)),
                                   .groups = c.integer("groups", 1),
                                   .constraint = constraint(c),
                                   .scale_power = power(c)});
  });
  f.add("unit_scaling.F.conv_transpose" + rank, {"x", "w", "b"}, [=](const Call& c) {
    return transpose(c.in("x"), c.in("w"), c.in("b"),
                     us::ConvTransposeOptions<D>{.stride = conv_dims<D>(c, "stride", Dims<D>(1)),
                                                 .padding = conv_padding<D>(c),
                                                 .output_padding = conv_dims<D>(c, "output_padding", Dims<D>(0)),
                                                 .groups = c.integer("groups", 1),
                                                 .dilation = conv_dims<D>(c, "dilation", Dims<D>(1)),
                                                 .constraint = constraint(c),
                                                 .scale_power = power(c)});
  });
}

}  // namespace

void add_unit(Functions& f) {
  f.add("unit_scaling.scale_fwd", {"x"}, [](const Call& c) { return us::scale_fwd(c.in("x"), c.number("scale", 1)); });
  f.add("unit_scaling.scale_bwd", {"x"}, [](const Call& c) { return us::scale_bwd(c.in("x"), c.number("scale", 1)); });
  add_convs<1>(f, us::conv1d, us::conv_transpose1d);
  add_convs<2>(f, us::conv2d, us::conv_transpose2d);
  add_convs<3>(f, us::conv3d, us::conv_transpose3d);
  f.add("unit_scaling.F.linear", {"x", "w", "b"}, [](const Call& c) {
    return us::linear(c.in("x"), c.in("w"), c.in("b"), {.constraint = constraint(c), .scale_power = power(c)});
  });
  f.add("unit_scaling.F.linear_readout", {"x", "w", "b"}, [](const Call& c) {
    return us::linear_readout(
        c.in("x"), c.in("w"), c.in("b"),
        {.constraint = constraint(c, us::Constraint::none), .scale_power = power(c, {1.0, 0.5, 0.5})});
  });
  f.add("unit_scaling.F.gelu", {"x"}, [](const Call& c) { return us::gelu(c.in("x"), gelu_options(c)); });
  f.add("unit_scaling.F.silu", {"x"},
        [](const Call& c) { return us::silu(c.in("x"), {.mult = c.number("mult", 1), .constraint = constraint(c)}); });
  f.add("unit_scaling.F.silu_glu", {"x", "gate"},
        [](const Call& c) { return us::silu_glu(c.in("x"), c.in("gate"), c.number("mult", 1)); });
  f.add("unit_scaling.F.softmax", {"x"}, [](const Call& c) {
    return us::softmax(c.in("x"), c.integer("dim"), {.mult = c.number("mult", 1), .constraint = constraint(c)});
  });
  f.add("unit_scaling.F.dropout", {"x"},
        [](const Call& c) { return us::dropout(c.in("x"), c.number("p", 0.5), c.boolean("training", true)); });
  f.add("unit_scaling.F.matmul", {"left", "right"},
        [](const Call& c) { return us::matmul(c.in("left"), c.in("right"), constraint(c)); });
  f.add("unit_scaling.F.add", {"a", "b"}, [](const Call& c) {
    for (const char* number : {"other", "b"})
      if (c.value(number).is_number()) return us::add(c.in("a"), c.scalar(number, 0));
    return us::add(c.in("a"), c.in("b"), constraint(c));
  });
  f.add("unit_scaling.F.layer_norm", {"x", "weight", "bias"}, [](const Call& c) {
    return us::layer_norm(c.in("x"), Shape(c.ints("normalized_shape")), c.in("weight"), c.in("bias"),
                          c.number("eps", 1e-5));
  });
  f.add("unit_scaling.F.rms_norm", {"x", "weight"}, [](const Call& c) {
    return us::rms_norm(c.in("x"), Shape(c.ints("normalized_shape")), c.in("weight"), c.number("eps", 1e-5));
  });
  f.add("unit_scaling.F.embedding", {"input", "weight"}, [](const Call& c) {
    return us::embedding(c.in("input"), c.in("weight"), {.padding_idx = c.opt_integer("padding_idx")});
  });
  f.add("unit_scaling.F.residual_split", {"x"}, [](const Call& c) {
    const auto [residual, skip] = us::residual_split(c.in("x"), c.number("tau", 1));
    return std::vector<Tensor>{residual, skip};
  });
  f.add("unit_scaling.F.residual_add", {"residual", "skip"},
        [](const Call& c) { return us::residual_add(c.in("residual"), c.in("skip"), c.number("tau", 1)); });
  f.add("unit_scaling.F.cross_entropy", {"logits", "target"},
        [](const Call& c) { return us::cross_entropy(c.in("logits"), c.in("target"), cross_entropy_options(c)); });
  f.add("unit_scaling.F.mse_loss", {"x", "target"},
        [](const Call& c) { return us::mse_loss(c.in("x"), c.in("target"), reduction(c)); });
  f.add("unit_scaling.formats.quantise", {"x", "bits"},
        [](const Call& c) { return quantise(c.in("x"), fp_format(c), c.in("bits")); });
  // A format's three limits
  f.add("unit_scaling.formats.FPFormat", {}, [](const Call& c) {
    const FPFormat format = fp_format(c);
    std::vector<Tensor> limits;
    for (double v : {format.max_absolute_value(), format.min_absolute_normal(), format.min_absolute_subnormal()})
      limits.push_back(scalar(v, {c.dtype(), device()}));
    return limits;
  });
}

}  // namespace golden
