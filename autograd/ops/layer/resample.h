// The linear map behind resizing and average pooling, as an op; its gradient is its adjoint, itself an op.
// Internal: not part of the public headers.
#pragma once

#include "weft/core/fn/resize.h"
#include "weft/core/tensor.h"

namespace weft::detail {

/// x [N, C, spatial...] through the axes' maps (axis 2 is the last spatial one), or through their adjoint. `name` is
/// the op's.
Tensor resample(const char* name, const Tensor& x, const fn::SampleGeometry& g, bool adjoint = false);

}  // namespace weft::detail
