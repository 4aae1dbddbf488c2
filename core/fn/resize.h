// Linear maps along one axis that resizing and average pooling are made of: which inputs an output mixes, and how much.
// The same arithmetic on CPU and CUDA; knows no tensors.
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/fn/pool.h"

namespace weft::fn {

/// The antialiased ones widen their kernel by the scale where inputs are more than outputs, as Pillow does.
enum class Sampling : uint8_t { nearest, nearest_exact, linear, cubic, average, linear_antialias, cubic_antialias };

/// Part of kernels' signatures, so the same type in every instruction set: all members are inlined.
/// One axis: output o = sum over k < taps(o) of weight x[index] / total(o). PyTorch's arithmetic, and its f32
/// for nearest.
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
      case Sampling::linear_antialias:
      case Sampling::cubic_antialias: {
        const int64_t end = static_cast<int64_t>(centre(o) + reach() + 0.5), n = (end < in ? end : in) - first(o);
        return n > 0 ? n : 0;
      }
      default: return 1;
    }
  }
  /// What the weights of output o are divided by: their sum where the kernel is cut at the borders.
  WEFT_HD WEFT_INLINE double total(int64_t o) const {
    if (!antialiased()) return 1;
    double sum = 0;
    for (int64_t k = 0, n = taps(o); k < n; ++k) sum += widened_weight(o, first(o) + k);
    return sum != 0 ? sum : 1;
  }
  WEFT_HD WEFT_INLINE int64_t clamp_index(int64_t i) const { return i < 0 ? 0 : (i >= in ? in - 1 : i); }
  WEFT_HD WEFT_INLINE double source(int64_t o) const {
    if (align_corners) return static_cast<double>(o) * scale;
    return (static_cast<double>(o) + 0.5) * scale - 0.5;
  }
  WEFT_HD WEFT_INLINE bool antialiased() const {
    return sampling == Sampling::linear_antialias || sampling == Sampling::cubic_antialias;
  }
  /// Of a widened kernel: its middle and half its width, in inputs whose edges are whole numbers; its first input.
  WEFT_HD WEFT_INLINE double centre(int64_t o) const { return (static_cast<double>(o) + 0.5) * scale; }
  WEFT_HD WEFT_INLINE double widening() const { return scale > 1 ? scale : 1; }
  WEFT_HD WEFT_INLINE double reach() const { return (sampling == Sampling::cubic_antialias ? 2.0 : 1.0) * widening(); }
  WEFT_HD WEFT_INLINE int64_t first(int64_t o) const {
    const int64_t begin = static_cast<int64_t>(centre(o) - reach() + 0.5);
    return begin > 0 ? begin : 0;
  }
  WEFT_HD WEFT_INLINE double widened_weight(int64_t o, int64_t i) const {
    const double x = fn::abs((static_cast<double>(i) - centre(o) + 0.5) / widening());
    if (sampling == Sampling::cubic_antialias) return x < 2 ? cubic_weight(x, -0.5) : 0;
    return x < 1 ? 1 - x : 0;
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
        weight = cubic_weight(k == 0 ? t + 1 : (k == 1 ? t : (k == 2 ? 1 - t : 2 - t)), -0.75);
        break;
      }
      case Sampling::linear_antialias:
      case Sampling::cubic_antialias:
        index = first(o) + k;
        weight = widened_weight(o, index);
        break;
      case Sampling::average:
        index = pool.start(o) + pool.first(o) + k;
        weight = divisor != 0
                     ? 1 / divisor
                     : 1 / static_cast<double>(count_include_pad ? pool.padded_size(o) : pool.last(o) - pool.first(o));
        break;
    }
  }
  /// Keys' kernel with parameter a at distance x in [0, 2].
  WEFT_HD WEFT_INLINE static double cubic_weight(double x, double a) {
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  }
};

/// Depth, height, width; axes that are not there have size 1.
struct SampleGeometry {
  SampleAxis axis[3];
};

}  // namespace weft::fn
