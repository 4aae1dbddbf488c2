// The Gram matrix of features, which style losses compare.
#pragma once

#include "weft/nn/module.h"

namespace weft {

/// G = F F^T / (C H W) for F = x as [B, C, H W]. x: [B, C, H, W] -> [B, C, C]. Halves are summed and scaled in f32.
/// ShapeError for another rank.
WEFT_API Tensor gram_matrix(const Tensor& x);

namespace nn {
/// gram_matrix as a layer.
class WEFT_API GramMatrix : public Module {
 public:
  GramMatrix() : Module("GramMatrix") {}
  Tensor operator()(const Tensor& x) const;
};
}  // namespace nn
}  // namespace weft
