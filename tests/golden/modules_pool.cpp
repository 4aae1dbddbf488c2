// Pooling, padding and resizing layers.
#include "golden/modules.h"
#include "golden/words.h"
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
  m.add("nn.AdaptiveMaxPool" + rank, [](const Args& a) {
    if (a.boolean("return_indices", false)) throw Skip("argument return_indices of nn.AdaptiveMaxPool");
    return layer(nn::AdaptiveMaxPool<D>(output_size<D>(a)));
  });
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
  add_pads<1>(m);
  add_pads<2>(m);
  add_pads<3>(m);
  m.add("nn.Upsample", [](const Args& a) { return layer(nn::Upsample(interpolate_options(a))); });
  m.add("nn.PixelShuffle", [](const Args& a) { return layer(nn::PixelShuffle(a.integer("upscale_factor"))); });
  m.add("nn.PixelUnshuffle", [](const Args& a) { return layer(nn::PixelUnshuffle(a.integer("downscale_factor"))); });
}

}  // namespace golden
