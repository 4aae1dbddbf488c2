// Transforms of pictures, masks and boxes together, and of volumes: random ones draw from the sample's generator, so
// that a sample's result depends on its seed alone. Parameters and results are those of torchvision's v2 functional
// forms where it has them; masks are always resampled by nearest.
//
//     auto augment = data::Compose(data::RandomCrop{112, 144}, data::RandomHorizontalFlip{0.5},
//                                  data::ToFloat{}, data::Normalize{{0.41, 0.42, 0.43}, {0.30, 0.31, 0.30}});
//     auto train = data::map(data::CamVid(root, "train"), augment);
//     std::cout << augment;      // the pipeline in words
#pragma once

#include "weft/core/generator.h"
#include "weft/data/dataset.h"

namespace weft::data {

/// What a transform sees: a picture [C, H, W] of u8 or floats (a volume: [C, D, H, W]), a mask [H, W] ([D, H, W]) of
/// integers and boxes [n, 4] f32 (x0, y0, x1, y1 in pixels). Undefined ones are left alone.
struct View {
  Tensor image, mask = {}, boxes = {};
};

/// Anything with `void operator()(View&, Generator&) const` and `std::string str() const`.
template <class T>
concept Transform = requires(const T& t, View& v, Generator& g) {
  t(v, g);
  { t.str() } -> std::convertible_to<std::string>;
};

}  // namespace weft::data
