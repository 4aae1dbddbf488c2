// Linear maps along one axis that resizing and average pooling are made of: which inputs an output mixes, and how much.
// The same arithmetic on CPU and CUDA; knows no tensors.
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/fn/pool.h"

namespace weft::fn {

enum class Sampling : uint8_t { nearest, nearest_exact, linear, cubic, average };

/// Part of kernels' signatures, so the same type in every instruction set: all members are inlined.
/// One axis: output o = sum over k < taps(o) of weight x[index]. PyTorch's arithmetic; nearest in f32, as there.
struct SampleAxis {
  int64_t in = 1, out = 1;
  Sampling sampling = Sampling::nearest;
  bool align_corners = false;
  double scale = 1;  // inputs per output
  // average: the windows, and whether padding counts. `divisor` > 0 or < 0 replaces the window's size; 0: not
  PoolAxis pool;
  bool count_include_pad = true;
  double divisor = 0;

  WEFT_HD WEFT_INLINE int64_t taps(int64_t o) const {
    switch (sampling) {
      case Sampling::linear: return 2;
      case Sampling::cubic: return 4;
      case Sampling::average: {
        const int64_t n = pool.last(o) - pool.first(o);
        return n > 0 ? n : 0;
      }
      default: return 1;
    }
  }
  WEFT_HD WEFT_INLINE int64_t clamp_index(int64_t i) const { return i < 0 ? 0 : (i >= in ? in - 1 : i); }
  WEFT_HD WEFT_INLINE double source(int64_t o) const {
    if (align_corners) return static_cast<double>(o) * scale;
    return (static_cast<double>(o) + 0.5) * scale - 0.5;
  }
  /// Input and weight of tap k of output o.
  WEFT_HD WEFT_INLINE void tap(int64_t o, int64_t k, int64_t& index, double& weight) const {
    weight = 1;
    switch (sampling) {
      case Sampling::nearest:
        index = clamp_index(static_cast<int64_t>(fn::floor(static_cast<float>(o) * static_cast<float>(scale))));
        break;
      case Sampling::nearest_exact:
        index = clamp_index(
            static_cast<int64_t>(fn::floor((static_cast<float>(o) + 0.5f) * static_cast<float>(scale))));
        break;
      case Sampling::linear: {
        const double s = source(o), at = s > 0 ? s : 0;
        const int64_t i = clamp_index(static_cast<int64_t>(at));
        double t = at - static_cast<double>(i);
        t = t < 0 ? 0 : (t > 1 ? 1 : t);
        index = t > 0 ? clamp_index(i + k)
                      : i;  // where the second weighs nothing, it is not read: 0 times infinity is NaN
        weight = k == 0 ? 1 - t : t;
        break;
      }
      case Sampling::cubic: {
        const double at = source(o), base = fn::floor(at), t = at - base;
        index = clamp_index(static_cast<int64_t>(base) + k - 1);
        weight = cubic_weight(k == 0 ? t + 1 : (k == 1 ? t : (k == 2 ? 1 - t : 2 - t)));
        break;
      }
      case Sampling::average:
        index = pool.start(o) + pool.first(o) + k;
        weight = divisor != 0
                     ? 1 / divisor
                     : 1 / static_cast<double>(count_include_pad ? pool.padded_size(o) : pool.last(o) - pool.first(o));
        break;
    }
  }
  /// Keys' kernel with A = -0.75 at distance x in [0, 2].
  WEFT_HD WEFT_INLINE static double cubic_weight(double x) {
    const double a = -0.75;
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  }
};

/// Depth, height, width; axes that are not there have size 1.
struct SampleGeometry {
  SampleAxis axis[3];
};

}  // namespace weft::fn
