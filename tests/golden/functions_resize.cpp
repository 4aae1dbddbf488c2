// Resizing, sampling, rearranging pixels, windows as columns.
#include "golden/registry.h"
#include "golden/words.h"
#include "support/ops.h"

namespace golden {
namespace {

Tensor grid_sample(const Call& c) {
  using O = weft::GridSampleOptions;
  O o;
  const std::string mode = c.word("mode", "bilinear"), padding = c.word("padding_mode", "zeros");
  if (mode != "bilinear" && mode != "nearest" && mode != "bicubic")
    throw weft::ValueError("grid_sample: mode is " + mode);
  if (padding != "zeros" && padding != "border" && padding != "reflection")
    throw weft::ValueError("grid_sample: padding_mode is " + padding);
  o.mode = mode == "bilinear" ? O::Mode::bilinear : mode == "nearest" ? O::Mode::nearest : O::Mode::bicubic;
  o.padding_mode = padding == "zeros"    ? O::Padding::zeros
                   : padding == "border" ? O::Padding::border
                                         : O::Padding::reflection;
  o.align_corners = c.boolean("align_corners", false);
  return weft::grid_sample(c.in("input"), c.in("grid"), o);
}

weft::FoldOptions fold_options(const Call& c) {
  return {.dilation = c.dims<2>("dilation", Dims<2>(1)),
          .padding = c.dims<2>("padding", Dims<2>(0)),
          .stride = c.dims<2>("stride", Dims<2>(1))};
}

}  // namespace

void add_resize(Functions& f) {
  f.add("F.interpolate", {"input"},
        [](const Call& c) { return weft::interpolate(c.in("input"), interpolate_options(c)); });
  f.add("F.grid_sample", {"input", "grid"}, grid_sample);
  f.add("F.pixel_shuffle", {"input"},
        [](const Call& c) { return weft::pixel_shuffle(c.in("input"), c.integer("upscale_factor")); });
  f.add("F.pixel_unshuffle", {"input"},
        [](const Call& c) { return weft::pixel_unshuffle(c.in("input"), c.integer("downscale_factor")); });
  f.add("F.unfold", {"input"},
        [](const Call& c) { return weft::unfold(c.in("input"), c.dims<2>("kernel_size"), fold_options(c)); });
  f.add("F.fold", {"input"}, [](const Call& c) {
    return weft::fold(c.in("input"), c.dims<2>("output_size"), c.dims<2>("kernel_size"), fold_options(c));
  });
}

}  // namespace golden
