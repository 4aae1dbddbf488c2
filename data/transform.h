// Transforms of pictures, masks and boxes together, and of volumes: random ones draw from the sample's generator, so
// that a sample's result depends on its seed alone. Parameters and results are those of torchvision's v2 functional
// forms where it has them; masks are always resampled by nearest.
//
//     auto augment = data::Compose(data::RandomCrop{{112, 144}}, data::RandomHorizontalFlip{0.5},
//                                  data::ToFloat{}, data::Normalize{{0.41, 0.42, 0.43}, {0.30, 0.31, 0.30}});
//     auto train = data::map(data::CamVid(root, "train"), augment);
//     std::cout << augment;      // the pipeline in words
#pragma once

#include "weft/data/transform_colour.h"
#include "weft/data/transform_functional.h"
#include "weft/data/transform_geometry.h"
#include "weft/data/transform_pipeline.h"
#include "weft/data/transform_volume.h"
