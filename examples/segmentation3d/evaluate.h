// How good the membranes of a network are. Knows networks, stacks and pictures of them.
#pragma once

#include "tiles.h"

struct Evaluation {
  weft::training::ConfusionMatrix matrix{2, {.names = {"cell", "membrane"}}};
  /// Slice | membranes drawn on it | right ones green, missing ones blue, wrong ones red; two slices below each other.
  weft::Tensor picture;
  double dice() const { return matrix.dice()[1]; }
  double iou() const { return matrix.iou()[1]; }
  /// "pixel accuracy 0.876, Dice 0.714, IoU 0.555".
  std::string str() const;
};

/// membrane: u8 [D, H, W] of the stack. `keep_going` is asked after each slab; false ends it, with what was counted.
Evaluation evaluate(Model& model, const Stack& stack, const weft::Tensor& membrane, const TileOptions& o,
                    const std::function<bool()>& keep_going = {}, const TileProgress& progress = {});
