// Padding of any axes in four modes, and its adjoint.
// The index maths is core/fn/pad.h.
#pragma once

#include "weft/core/choice.h"
#include "weft/core/fn/pad.h"
#include "weft/core/tensor.h"

namespace weft {

/// The words of pad's modes.
constexpr auto mode_words(PadMode) { return make_words("pad: mode", "constant", "reflect", "replicate", "circular"); }

/// x with `pads` elements more at both ends of its axes: {last lo, last hi, second last lo, ...}; negative ones crop.
/// constant fills with `value`; reflect mirrors without the edge (pads < size); replicate repeats the edge; circular
/// wraps (pads <= size). Channels-last stays channels-last. Same as torch.nn.functional.pad.
[[nodiscard]] WEFT_API Tensor pad(const Tensor& x, const Shape& pads, Choice<PadMode> mode = PadMode::constant,
                                  double value = 0);

/// Adjoint of `pad` for an x of `shape`: each element is the sum of g over its copies. Differentiable.
[[nodiscard]] WEFT_API Tensor pad_backward(const Tensor& g, const Shape& shape, const Shape& pads, PadMode mode);

}  // namespace weft
