// Which element of an image a row of an implicit product reads at a tap. Images are channels-last, with the channels of
// a group rounded up to whole units of 8 or 16 bytes; offsets count units, so that 32 bits reach 16 GiB.
#pragma once

#include <algorithm>
#include <numeric>

#include "weft/backends/cuda/launch.h"
#include "weft/core/error.h"
#include "weft/core/fn/conv.h"
#include "weft/core/tensor_ref.h"

namespace weft::cuda {

/// v below 2^31; 0 divides nothing.
inline fn::FastDivisor divisor_of(int64_t v) {
  fn::FastDivisor d;
  if (v > 0) d = fn::FastDivisor(static_cast<uint32_t>(v));
  else d.divisor = 0;
  return d;
}

/// A convolution of up to three spatial axes, whose places fit into 32 bits.
struct ConvGeometry : fn::ConvGeometry<3> {
  ConvGeometry(const TensorRef& x, const TensorRef& w, const TensorRef& y, const ConvParams& p)
      : fn::ConvGeometry<3>(x.shape, w.shape, y.shape, checked_rank(x), p) {
    constexpr int64_t kMost = int64_t{1} << 29;  // the sum of three is below 2^31
    bool small = in_size() <= kMost && out_size() <= kMost;
    for (int i = 0; i < 3; ++i) {
      if (out[i] == 1) stride[i] = 1;  // never made: it may be any number
      if (kernel[i] == 1) dilation[i] = 1;
      small = small && lo[i] >= -kMost && lo[i] <= kMost && (out[i] - 1) * stride[i] <= kMost &&
              (kernel[i] - 1) * dilation[i] <= kMost;
    }
    WEFT_CHECK(small, NotSupported, "conv: an image or its windows have more than 2^29 positions");
  }

 private:
  static int checked_rank(const TensorRef& x) {
    WEFT_CHECK(x.rank <= 5, NotSupported, "conv: ", x.rank - 2, " spatial dimensions; on cuda there are at most 3");
    return x.rank;
  }
};

/// Row r, tap j of an axis read position r row_step + j tap_step + start, if that is in [0, source).
struct Windows {
  fn::FastDivisor rows[3], taps[3];
  int32_t source[3], row_step[3], tap_step[3], start[3];
  uint32_t pitch[3], image;                 // units from a position to the next along an axis, from image to image
  int32_t weight_tap[3], first_weight_tap;  // which of the weight's taps tap j is: first + sum of j weight_tap
  int64_t to[3], to_image, first_to;        // where a row's result lies: in positions

  /// Of x, for each output position.
  static Windows of_input(const ConvGeometry& p, int64_t pixel_units) {
    Windows w{};
    for (int i = 0; i < 3; ++i) {
      w.rows[i] = divisor_of(p.out[i]), w.taps[i] = divisor_of(p.kernel[i]);
      w.source[i] = narrow(p.in[i]), w.start[i] = narrow(-p.lo[i]);
      w.row_step[i] = p.out[i] > 1 ? narrow(p.stride[i]) : 0, w.tap_step[i] = narrow(p.dilation[i]);
      w.weight_tap[i] = 1;
    }
    return w.finished(pixel_units, p, p.out);
  }
  /// Of the gradient, for the input positions first + stride r: the outputs that these fed.
  static Windows of_gradient(const ConvGeometry& p, const int64_t (&first)[3], int64_t pixel_units) {
    Windows w{};
    for (int i = 0; i < 3; ++i) {
      const int64_t s = p.stride[i], step = s / std::gcd(s, p.dilation[i]);  // of the taps that reach
      int64_t k = 0;
      while (k < step && k < p.kernel[i] && (first[i] + p.lo[i] - k * p.dilation[i]) % s != 0) ++k;
      const bool reached = k < step && k < p.kernel[i];
      w.rows[i] = divisor_of(ceil_div(p.in[i] - first[i], s));
      w.taps[i] = divisor_of(reached ? ceil_div(p.kernel[i] - k, step) : 0);
      w.source[i] = narrow(p.out[i]);
      w.row_step[i] = 1;
      if (reached) {
        w.start[i] = narrow((first[i] + p.lo[i] - k * p.dilation[i]) / s);
        w.tap_step[i] = w.taps[i].divisor > 1 ? narrow(-step * p.dilation[i] / s) : 0;
        w.weight_tap[i] = narrow(w.taps[i].divisor > 1 ? step : 1);
        w.first_weight_tap = w.first_weight_tap * narrow(p.kernel[i]) + narrow(k);
      }
      w.to[i] = s;
    }
    w = w.finished(pixel_units, p, p.in);
    int64_t step = 1;
    for (int i = 2; i >= 0; --i) w.first_to += first[i] * step, step *= p.in[i];
    return w;
  }

  int64_t image_rows() const { return int64_t{rows[0].divisor} * rows[1].divisor * rows[2].divisor; }
  /// So many of `images` that rows and units, and rows times `per_row`, are below 2^31, and no more than `wish` unless
  /// that is 0; at least one.
  int64_t images_at_once(int64_t images, int64_t wish, int64_t per_row = 1) const {
    constexpr int64_t kMost = (int64_t{1} << 31) - 256;  // the rows of a last tile that are not there have numbers, too
    const int64_t rows = image_rows() * per_row, largest = std::max<int64_t>({image, rows, 1});
    const int64_t most = wish ? std::min(wish, kMost / largest) : kMost / largest;
    return std::clamp<int64_t>(most, 1, std::max<int64_t>(images, 1));
  }
  int64_t tap_count() const { return int64_t{taps[0].divisor} * taps[1].divisor * taps[2].divisor; }

 private:
  static int32_t narrow(int64_t v) { return static_cast<int32_t>(v); }
  /// Turns steps along one axis into steps of memory.
  Windows finished(int64_t pixel_units, const ConvGeometry& p, const int64_t (&positions)[3]) const {
    Windows w = *this;
    int64_t units = pixel_units, tap = 1, step = 1;
    for (int i = 2; i >= 0; --i) {
      w.pitch[i] = static_cast<uint32_t>(units), units *= source[i];
      w.weight_tap[i] *= narrow(tap), tap *= p.kernel[i];
      w.to[i] = (to[i] ? to[i] : 1) * step, step *= positions[i];
    }
    WEFT_CHECK(units < int64_t{1} << 31, NotSupported, "conv: an image takes 16 GiB or more");
    w.image = static_cast<uint32_t>(units);
    w.to_image = step;
    return w;
  }
};

/// A row's image and place in it.
struct WindowRow {
  uint32_t n;
  int32_t at[3];
  __device__ WEFT_INLINE WindowRow(const Windows& w, uint32_t row) {
    WEFT_UNROLL
    for (int i = 2; i >= 0; --i) at[i] = static_cast<int32_t>(fn::take_digit(row, w.rows[i]));
    n = row;
  }
  __device__ WEFT_INLINE int64_t to(const Windows& w) const {
    return n * w.to_image + at[0] * w.to[0] + at[1] * w.to[1] + at[2] * w.to[2] + w.first_to;
  }
};

/// The position is inside of the image. Axes from `Axes` on have one position.
template <int Axes> __device__ WEFT_INLINE bool is_inside(const Windows& w, const int32_t (&at)[3]) {
  bool inside = true;
  WEFT_UNROLL
  for (int i = 0; i < Axes; ++i) inside = inside && static_cast<uint32_t>(at[i]) < static_cast<uint32_t>(w.source[i]);
  return inside;
}
/// Units to a position, modulo 2^32: one outside of the image may be before its beginning.
__device__ WEFT_INLINE uint32_t offset_of(const Windows& w, const int32_t (&at)[3]) {
  return static_cast<uint32_t>(at[0]) * w.pitch[0] + static_cast<uint32_t>(at[1]) * w.pitch[1] +
         static_cast<uint32_t>(at[2]) * w.pitch[2];
}

/// What a tap adds to a row's place, and which of the weight's taps it is.
struct WindowTap {
  int32_t shift[3], weight;
  __device__ WEFT_INLINE WindowTap(const Windows& w, uint32_t tap) {
    weight = w.first_weight_tap;
    WEFT_UNROLL
    for (int i = 2; i >= 0; --i) {
      const auto j = static_cast<int32_t>(fn::take_digit(tap, w.taps[i]));
      shift[i] = j * w.tap_step[i];
      weight += j * w.weight_tap[i];
    }
  }
};

}  // namespace weft::cuda
