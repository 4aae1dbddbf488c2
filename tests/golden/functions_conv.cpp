// Convolutions.
#include "golden/registry.h"
#include "golden/words.h"
#include "support/ops.h"

namespace golden {
namespace {

template <int D> weft::Padding<D> padding(const Call& c) {
  const Value& v = c.value("padding");
  if (v.is_string()) return weft::Padding<D>(v.string);
  weft::Padding<D> p(0);
  if (is_pairs(v)) read_pairs<D>(v, p.lo, p.hi);
  else p = weft::Padding<D>(c.dims<D>("padding", Dims<D>(0)));
  return p;
}

template <int D>
void add(Functions& f, int d, Tensor (*conv)(const Tensor&, const Tensor&, const Tensor&, const weft::ConvOptions<D>&),
         Tensor (*transpose)(const Tensor&, const Tensor&, const Tensor&, const weft::ConvTransposeOptions<D>&)) {
  const std::string rank = std::to_string(d) + "d";
  f.add("F.conv" + rank, {"input", "weight", "bias"}, [=](const Call& c) {
    return conv(c.in("input"), c.in("weight"), c.in("bias"),
                {.stride = c.dims<D>("stride", Dims<D>(1)),
                 .padding = padding<D>(c),
                 .dilation = c.dims<D>("dilation", Dims<D>(1)),
                 .groups = c.integer("groups", 1)});
  });
  f.add("F.conv_transpose" + rank, {"input", "weight", "bias"}, [=](const Call& c) {
    return transpose(c.in("input"), c.in("weight"), c.in("bias"),
                     {.stride = c.dims<D>("stride", Dims<D>(1)),
                      .padding = padding<D>(c),
                      .output_padding = c.dims<D>("output_padding", Dims<D>(0)),
                      .groups = c.integer("groups", 1),
                      .dilation = c.dims<D>("dilation", Dims<D>(1))});
  });
}

}  // namespace

void add_conv(Functions& f) {
  add<1>(f, 1, weft::conv1d, weft::conv_transpose1d);
  add<2>(f, 2, weft::conv2d, weft::conv_transpose2d);
  add<3>(f, 3, weft::conv3d, weft::conv_transpose3d);
}

}  // namespace golden
