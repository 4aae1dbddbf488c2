// Patches of a volume and its labels: random ones for training, a grid for prediction.
// Knows tensors only; io::read_volume reads volumes.
//
//     data::VolumePatches train(io::read_volume("em.tif").data, io::read_volume_labels("labels.tif"),
//                               {.size = {16, 64, 64}, .count = 1000});
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "weft/data/dataset.h"

namespace weft::data {

/// Options of VolumePatches.
struct VolumePatchesOptions {
  Shape size;         ///< [d, h, w] of a patch
  int64_t count = 0;  ///< random patches in an epoch; 0: the patches of a grid
  Shape stride = {};  ///< of the grid; empty: size, without overlap. The last patch of an axis ends with the volume
  /// Random patches only: patch i has a random voxel of the class around[i % n] at its middle (as far as the volume's
  /// edges let it), so that rare classes are seen as often as others; -1: anywhere. Empty: anywhere.
  std::vector<int64_t> around = {};
};

/// volume [D, H, W] or [C, D, H, W], labels [D, H, W] of integers or undefined -> patch [C, d, h, w] of the volume's
/// dtype and labels i64 [d, h, w]. ShapeError for a patch larger than the volume and labels of another size;
/// ValueError for a class of `around` that no voxel has.
class WEFT_API VolumePatches {
 public:
  VolumePatches(const Tensor& volume, const Tensor& labels, const VolumePatchesOptions& o);
  /// `count`, or the patches of the grid.
  int64_t size() const;
  /// A grid draws nothing from g.
  Example get(int64_t i, Generator& g) const;
  /// Where patch i of a grid begins: [z, y, x]. ValueError for random patches.
  Shape start(int64_t i) const;

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

}  // namespace weft::data
