// Standardisation of weights, row by row, as layers do it before they use them.
// Knows no layer.
#pragma once

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft {

/// Which variance and which fan-in `standardize_weight` takes; see there.
enum class WSVariant : uint8_t { elektronn3, nfnet };
constexpr auto mode_words(WSVariant) { return make_words("standardize_weight: variant", "elektronn3", "nfnet"); }

/// (w - mean) gain / sqrt(max(var N, eps)) for each row of axis 0. `elektronn3`: variance by n - 1, N = all elements of
/// w (so that signals shrink with the number of rows; kept for its checkpoints). `nfnet`: variance by n, N = n, the
/// elements of a row: right for new networks. w: [R, ...], gain: [R]. Halves compute in f32 and round once. ValueError
/// where a row has fewer than two elements. (Qiao et al. 2019; Brock et al. 2021.)
[[nodiscard]] WEFT_API Tensor standardize_weight(const Tensor& w, const Tensor& gain,
                                                 Choice<WSVariant> variant = WSVariant::elektronn3, double eps = 1e-4);

/// The same in place and outside of the graph, with `fan_in` for N. The result shares w's elements; its gradient g goes
/// to w as it is, and sum over a row of g (w - mean) / sqrt(max(var N, eps)), with w as it was, to gain.
[[nodiscard]] WEFT_API Tensor standardize_weight_(const Tensor& w, const Tensor& gain, WSVariant variant, double eps,
                                                  double fan_in);

}  // namespace weft
