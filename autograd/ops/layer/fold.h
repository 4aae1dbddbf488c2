// Sliding blocks as columns and back: unfold (im2col) and fold (col2im), each the adjoint of the other.
#pragma once

#include "weft/core/shape.h"
#include "weft/core/tensor.h"

namespace weft {

/// Where the blocks of unfold and fold lie: every `stride` elements, `dilation` between their elements.
struct FoldOptions {
  Dims<2> dilation = 1;  ///< distance of a block's elements
  Dims<2> padding = 0;   ///< of zeros, at both ends
  Dims<2> stride = 1;    ///< distance of the blocks
};

/// x: [N, C, H, W] or [C, H, W] -> [N, C kh kw, L]: column l holds the l-th block of kh x kw elements of every channel.
/// ShapeError if no block fits. Same as torch.nn.functional.unfold.
[[nodiscard]] WEFT_API Tensor unfold(const Tensor& x, const Dims<2>& kernel_size, const FoldOptions& o = {});
/// columns: [N, C kh kw, L] or [C kh kw, L] -> [N, C, H, W]: the sum of all blocks at their places.
/// Same as torch.nn.functional.fold.
[[nodiscard]] WEFT_API Tensor fold(const Tensor& columns, const Dims<2>& output_size, const Dims<2>& kernel_size,
                                   const FoldOptions& o = {});

}  // namespace weft
