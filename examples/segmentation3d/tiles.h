// Membranes of a volume of any size: in tiles that overlap and are blended, slab by slab.
// Knows the network and blocks of a volume; no file.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "stack.h"
#include "unet.h"

struct TileOptions {
  std::array<int64_t, 3> tile = {0, 0, 0};  ///< D, H, W, the last two multiples of 4; 0: as `memory` allows
  /// Of neighbouring tiles. From (14, 56, 56) on, no voxel is taken from where a tile's border could be seen.
  std::array<int64_t, 3> overlap = {14, 56, 56};
  int64_t memory = int64_t{2} << 30;  ///< bytes for the network's activations, about
  weft::Dtype dtype = weft::Dtype::f32;
  weft::Device device = "cpu";
};

/// Tiles along one axis of n voxels, and how they are blended: weights of all tiles at a voxel add up to 1. Within
/// `margin` of an edge that is inside the volume a tile counts nothing; from there its weight rises in a line.
class TileAxis {
 public:
  /// ValueError unless 0 <= overlap < tile.
  TileAxis(int64_t n, int64_t tile, int64_t overlap, int64_t reach, int64_t multiple);
  int64_t count() const { return static_cast<int64_t>(begins_.size()); }
  int64_t begin(int64_t i) const { return begins_[static_cast<size_t>(i)]; }
  int64_t size() const { return size_; }
  /// f32 [size].
  const weft::Tensor& weights(int64_t i) const { return weights_[static_cast<size_t>(i)]; }

 private:
  int64_t size_;
  std::vector<int64_t> begins_;
  std::vector<weft::Tensor> weights_;
};

/// Bytes of activations that a voxel takes at inference.
int64_t bytes_per_voxel(const UNet3d& net);

/// Gets the probabilities f32 [n, H, W] of the slices z, z + 1, ..., in order. False: stop.
using SlabSink = std::function<bool(int64_t z, const weft::Tensor& probability)>;
/// Told how many of how many tiles are done.
using TileProgress = std::function<void(int64_t done, int64_t total)>;

/// Membrane probabilities of a stack. One that fits `memory` is one tile: the network's own result. Otherwise the norms
/// take their statistics once (from the whole if it fits, or else from blocks spread over the stack), so that each tile
/// is a part of the same result. Held beside the activations: the slices of one tile's depth, as f32. false if the sink
/// stopped.
bool predict_volume(Model& model, const Stack& stack, const TileOptions& o, const SlabSink& sink,
                    const TileProgress& progress = {});
