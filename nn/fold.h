// Sliding blocks as layers. Formulas and errors are those of the ops (autograd/ops/layer/fold.h).
#pragma once

#include "weft/autograd/ops/layer/fold.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// [N, C, H, W] -> [N, C kh kw, L]: every block of kh x kw elements as a column.
class WEFT_API Unfold : public Module {
 public:
  explicit Unfold(const Dims<2>& kernel_size, const FoldOptions& o = {});
  Tensor operator()(const Tensor& x) const;
  /// The window's sizes, and how it moves.
  Option<Dims<2>> kernel_size;
  Option<FoldOptions> options;
};

/// [N, C kh kw, L] -> [N, C, H, W]: the sum of all blocks at their places.
class WEFT_API Fold : public Module {
 public:
  Fold(const Dims<2>& output_size, const Dims<2>& kernel_size, const FoldOptions& o = {});
  Tensor operator()(const Tensor& x) const;
  /// Spatial sizes of the result, and the window's.
  Option<Dims<2>> output_size, kernel_size;
  Option<FoldOptions> options;
};

}  // namespace weft::nn
