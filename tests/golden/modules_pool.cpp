// Pooling, padding and resizing layers.
#include "golden/modules.h"
#include "golden/words.h"
#include "weft/nn/fold.h"
#include "weft/nn/padding.h"
#include "weft/nn/pool.h"
#include "weft/nn/resample.h"

namespace golden {
namespace {

using namespace weft;

template <int D> void add_pools(Modules& m) {
  const std::string rank = std::to_string(D) + "d";
  m.add("nn.MaxPool" + rank, [](const Args& a) -> Built {
    nn::MaxPool<D> pool(max_pool_options<D>(a));
    if (!a.boolean("return_indices", false)) return layer(pool);
    return {pool, [pool](const std::vector<Tensor>& x, const Args&) {
              const Pooled p = pool.with_indices(x.at(0));
              return std::vector<Tensor>{p.output, p.indices};
            }};
  });
  m.add("nn.AvgPool" + rank, [](const Args& a) { return layer(nn::AvgPool<D>(avg_pool_options<D>(a))); });
  m.add("nn.AdaptiveAvgPool" + rank, [](const Args& a) { return layer(nn::AdaptiveAvgPool<D>(output_size<D>(a))); });
  m.add("nn.AdaptiveMaxPool" + rank, [](const Args& a) -> Built {
    nn::AdaptiveMaxPool<D> pool(output_size<D>(a));
    if (!a.boolean("return_indices", false)) return layer(pool);
    return {pool, [pool](const std::vector<Tensor>& x, const Args&) {
              const Pooled p = pool.with_indices(x.at(0));
              return std::vector<Tensor>{p.output, p.indices};
            }};
  });
  m.add("nn.LPPool" + rank, [](const Args& a) {
    LpPoolOptions<D> o{.norm_type = a.number("norm_type", 0), .kernel_size = a.dims<D>("kernel_size")};
    if (const auto stride = a.opt_dims<D>("stride")) o.stride = *stride;
    o.ceil_mode = a.boolean("ceil_mode", false);
    return layer(nn::LPPool<D>(o));
  });
  m.add("nn.MaxUnpool" + rank, [](const Args& a) -> Built {
    MaxUnpoolOptions<D> o{.kernel_size = a.dims<D>("kernel_size")};
    if (const auto stride = a.opt_dims<D>("stride")) o.stride = *stride;
    o.padding = a.dims<D>("padding", Dims<D>(0));
    nn::MaxUnpool<D> pool(o);
    return {pool, [pool](const std::vector<Tensor>& x, const Args& call) {
              return std::vector<Tensor>{pool(x.at(0), x.at(1), call.opt_ints("output_size"))};
            }};
  });
}

template <int D> void add_fractional(Modules& m) {
  m.add("nn.FractionalMaxPool" + std::to_string(D) + "d", [](const Args& a) -> Built {
    FractionalMaxPoolOptions<D> o{.kernel_size = a.dims<D>("kernel_size"),
                                  .output_size = a.dims<D>("output_size", Dims<D>(0)),
                                  .random_samples = a.tensor("_random_samples")};
    if (a.has("output_ratio")) {
      const Value& v = a.value("output_ratio");
      std::vector<double> ratios;
      for (const Value& e : v.list) ratios.push_back(e.as_double());
      o.output_ratio = v.is_list() ? ScaleFactor(ratios) : ScaleFactor(v.as_double());
    }
    nn::FractionalMaxPool<D> pool(o);
    if (!a.boolean("return_indices", false)) return layer(pool);
    return {pool, [pool](const std::vector<Tensor>& x, const Args&) {
              const Pooled p = pool.with_indices(x.at(0));
              return std::vector<Tensor>{p.output, p.indices};
            }};
  });
}

FoldOptions fold_options(const Args& a) {
  return {.dilation = a.dims<2>("dilation", Dims<2>(1)),
          .padding = a.dims<2>("padding", Dims<2>(0)),
          .stride = a.dims<2>("stride", Dims<2>(1))};
}

nn::UpsamplingOptions upsampling(const Args& a) {
  const InterpolateOptions o = interpolate_options(a);
  return {.size = o.size, .scale_factor = o.scale_factor};
}

template <PadMode Mode, int D> void add_pad(Modules& m, const std::string& name) {
  m.add("nn." + name + std::to_string(D) + "d",
        [](const Args& a) { return layer(nn::Pad<Mode, D>(a.dims<2 * D>("padding"))); });
}

template <int D> void add_pads(Modules& m) {
  add_pad<PadMode::reflect, D>(m, "ReflectionPad");
  add_pad<PadMode::replicate, D>(m, "ReplicationPad");
  add_pad<PadMode::circular, D>(m, "CircularPad");
  add_pad<PadMode::constant, D>(m, "ZeroPad");
  m.add("nn.ConstantPad" + std::to_string(D) + "d",
        [](const Args& a) { return layer(nn::ConstantPad<D>(a.dims<2 * D>("padding"), a.number("value", 0))); });
}

}  // namespace

void add_pool_modules(Modules& m) {
  add_pools<1>(m);
  add_pools<2>(m);
  add_pools<3>(m);
  add_fractional<2>(m);
  add_fractional<3>(m);
  add_pads<1>(m);
  add_pads<2>(m);
  add_pads<3>(m);
  m.add("nn.Upsample", [](const Args& a) { return layer(nn::Upsample(interpolate_options(a))); });
  m.add("nn.UpsamplingNearest2d", [](const Args& a) { return layer(nn::UpsamplingNearest2d(upsampling(a))); });
  m.add("nn.UpsamplingBilinear2d", [](const Args& a) { return layer(nn::UpsamplingBilinear2d(upsampling(a))); });
  m.add("nn.ChannelShuffle", [](const Args& a) { return layer(nn::ChannelShuffle(a.integer("groups"))); });
  m.add("nn.Unfold", [](const Args& a) { return layer(nn::Unfold(a.dims<2>("kernel_size"), fold_options(a))); });
  m.add("nn.Fold", [](const Args& a) {
    return layer(nn::Fold(a.dims<2>("output_size"), a.dims<2>("kernel_size"), fold_options(a)));
  });
  m.add("nn.PixelShuffle", [](const Args& a) { return layer(nn::PixelShuffle(a.integer("upscale_factor"))); });
  m.add("nn.PixelUnshuffle", [](const Args& a) { return layer(nn::PixelUnshuffle(a.integer("downscale_factor"))); });
}

}  // namespace golden
