// What kernels of linear algebra are told beside their tensors.
#pragma once

#include "weft/core/choice.h"

namespace weft {

/// LAPACK's drivers for least squares: by QR (full rank only), by QR with pivots, by SVD (divide and conquer; plain).
enum class LstsqDriver : uint8_t { gels, gelsy, gelsd, gelss };
constexpr auto mode_words(LstsqDriver) { return make_words("linalg.lstsq: driver", "gels", "gelsy", "gelsd", "gelss"); }

}  // namespace weft
