// What convolution does around its products: gathering windows (im2col) and its adjoint (col2im, in gather form as well: every
// element is summed by one thread, in the order of the taps), depthwise convolution, sums over rows.
// Features are channels-last: [n, spatial..., c]; columns [row, group, tap, channel of the group].
#pragma once

#include "weft/backends/cuda/walk.cuh"
#include "weft/core/fn/conv.h"

namespace weft::cuda {

/// A convolution of up to three spatial axes.
struct ConvGeometry : fn::ConvGeometry<3> {
  ConvGeometry(const TensorRef& x, const TensorRef& w, const TensorRef& y, const ConvParams& p)
      : fn::ConvGeometry<3>(x.shape, w.shape, y.shape, checked_rank(x), p) {
    WEFT_CHECK(in_size() < int64_t{1} << 30 && out_size() < int64_t{1} << 30, NotSupported,
               "conv: an image has more than 2^30 positions");
  }

 private:
  static int checked_rank(const TensorRef& x) {
    WEFT_CHECK(x.rank <= 5, NotSupported, "conv: ", x.rank - 2, " spatial dimensions; on cuda there are at most 3");
    return x.rank;
  }
};

/// Which element of `source` a row sees at a tap: (row * stride + tap * dilation - lo) / divide along each axis, none if that
/// is no whole number or outside.
struct Windows {
  int64_t source[3], rows[3], kernel[3], stride[3], lo[3], dilation[3], divide[3];
  int64_t channels, groups;

  /// Of x, for each output position.
  static Windows of_input(const ConvGeometry& p) {
    Windows w{};
    for (int i = 0; i < 3; ++i) {
      w.source[i] = p.in[i], w.rows[i] = p.out[i], w.kernel[i] = p.kernel[i], w.stride[i] = p.stride[i];
      w.lo[i] = p.lo[i], w.dilation[i] = p.dilation[i], w.divide[i] = 1;
    }
    w.channels = p.c, w.groups = p.groups;
    return w;
  }
  /// Of the gradient, for each input position: the outputs that it fed.
  static Windows of_gradient(const ConvGeometry& p) {
    Windows w{};
    for (int i = 0; i < 3; ++i) {
      w.source[i] = p.out[i], w.rows[i] = p.in[i], w.kernel[i] = p.kernel[i], w.stride[i] = 1;
      w.lo[i] = -p.lo[i], w.dilation[i] = -p.dilation[i], w.divide[i] = p.stride[i];
    }
    w.channels = p.o, w.groups = p.groups;
    return w;
  }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t width() const { return taps() * channels; }
  int64_t image_rows() const { return rows[0] * rows[1] * rows[2]; }
};

/// Columns of the rows from `first` on, in units U of one or more elements.
template <class U> struct GatherWindow {
  U* columns;
  const U* source;
  Windows w;
  fn::FastDivisor units, kernel[3], groups, rows[3];
  int64_t units_per_pixel, image, first_in_image;
  __device__ void operator()(uint32_t number) const {
    uint32_t rest = number;
    const int64_t unit = fn::take_digit(rest, units);
    int64_t tap[3], at = 0, step = 1;
    for (int i = 2; i >= 0; --i) tap[i] = fn::take_digit(rest, kernel[i]);
    const int64_t group = fn::take_digit(rest, groups);
    rest += static_cast<uint32_t>(first_in_image);
    bool inside = true;
    for (int i = 2; i >= 0; --i) {
      int64_t v = fn::take_digit(rest, rows[i]) * w.stride[i] + tap[i] * w.dilation[i] - w.lo[i];
      if (w.divide[i] > 1) {
        inside = inside && v % w.divide[i] == 0;
        v /= w.divide[i];
      }
      inside = inside && v >= 0 && v < w.source[i];
      at += v * step;
      step *= w.source[i];
    }
    const int64_t pixel = (image + static_cast<int64_t>(rest)) * step + at;
    columns[number] = inside ? source[pixel * units_per_pixel + group * units.divisor + unit] : U{};
  }
};

template <class U>
void gather_windows_as(void* columns, const void* source, size_t item, const Windows& w, int64_t first, int64_t count) {
  const int64_t per_unit = static_cast<int64_t>(sizeof(U) / item), image_rows = w.image_rows();
  GatherWindow<U> f;
  f.columns = static_cast<U*>(columns);
  f.source = static_cast<const U*>(source);
  f.w = w;
  f.units = fn::FastDivisor(static_cast<uint32_t>(w.channels / w.groups / per_unit));
  f.groups = fn::FastDivisor(static_cast<uint32_t>(w.groups));
  for (int i = 0; i < 3; ++i) {
    f.kernel[i] = fn::FastDivisor(static_cast<uint32_t>(w.kernel[i]));
    f.rows[i] = fn::FastDivisor(static_cast<uint32_t>(w.rows[i]));
  }
  f.units_per_pixel = w.channels / per_unit;
  f.image = first / image_rows;
  f.first_in_image = first % image_rows;
  const int64_t n = count * w.width() / per_unit;
  WEFT_CHECK(n < int64_t{1} << 31, NotSupported, "conv: windows of ", w.width(), " elements");
  launch(each_kernel<uint32_t, GatherWindow<U>>, grid_for(n), kBlock, 0, static_cast<uint32_t>(n), f);
}

/// Columns [count, groups, taps, channels of a group] of the rows from `first` on, by the widest unit that fits.
inline void gather_windows(void* columns, const void* source, Dtype dtype, const Windows& w, int64_t first,
                           int64_t count) {
  const size_t item = itemsize(dtype), run = static_cast<size_t>(w.channels / w.groups) * item;
  const auto fits = [&](size_t bytes) { return run % bytes == 0 && reinterpret_cast<uintptr_t>(source) % bytes == 0; };
  if (fits(16)) gather_windows_as<Pack<uint64_t, 2>>(columns, source, item, w, first, count);
  else if (fits(8)) gather_windows_as<uint64_t>(columns, source, item, w, first, count);
  else if (fits(4)) gather_windows_as<uint32_t>(columns, source, item, w, first, count);
  else gather_windows_as<uint16_t>(columns, source, item, w, first, count);
}

/// Calls f(tap, pixel) for the taps of output position `at` of an image and the inputs that they see, or (`Back`) of
/// input position `at` and the outputs that it fed. Taps without a pixel are left out.
template <bool Back, class F>
__device__ WEFT_INLINE void for_each_tap(const ConvGeometry& p, int64_t image, const int64_t (&at)[3], const F& f) {
  const auto other = [&](int axis, int64_t k) {
    return Back ? p.fed_output(axis, at[axis], k) : p.seen_input(axis, at[axis], k);
  };
  const auto& size = Back ? p.out : p.in;
  int64_t tap = 0;
  for (int64_t k0 = 0; k0 < p.kernel[0]; ++k0)
    for (int64_t k1 = 0; k1 < p.kernel[1]; ++k1)
      for (int64_t k2 = 0; k2 < p.kernel[2]; ++k2, ++tap) {
        const int64_t i0 = other(0, k0), i1 = other(1, k1), i2 = other(2, k2);
        if (i0 < 0 || i1 < 0 || i2 < 0) continue;
        f(tap, ((image * size[0] + i0) * size[1] + i1) * size[2] + i2);
      }
}

/// x_grad of images [first, ...) from the columns of their output positions, in C.
template <class T> struct SpreadColumns {
  using C = compute_t<T>;
  T* x_grad;
  const C* columns;
  ConvGeometry p;
  template <class I> __device__ void operator()(I number) const {
    I rest = number;
    const int64_t channel = fn::take_digit(rest, p.c);
    int64_t position[3];
    for (int i = 2; i >= 0; --i) position[i] = fn::take_digit(rest, p.in[i]);
    const int64_t group_c = p.c / p.groups, group = channel / group_c, within = channel % group_c, taps = p.taps();
    C sum = 0;
    for_each_tap<true>(p, static_cast<int64_t>(rest), position, [&](int64_t tap, int64_t row) {
      sum += columns[((row * p.groups + group) * taps + tap) * group_c + within];
    });
    x_grad[number] = static_cast<T>(sum);
  }
};

/// Forward and input gradient of a depthwise convolution; w: [taps, o].
template <class T> struct DepthwiseForward {
  T* y;
  const T* x;
  const T* w;
  const T* bias;
  ConvGeometry p;
  template <class I> __device__ void operator()(I number) const {
    using C = compute_t<T>;
    I rest = number;
    const int64_t o = fn::take_digit(rest, p.o), c = o / (p.o / p.groups);
    int64_t at[3];
    for (int i = 2; i >= 0; --i) at[i] = fn::take_digit(rest, p.out[i]);
    C sum = bias ? static_cast<C>(bias[o]) : C(0);
    for_each_tap<false>(p, static_cast<int64_t>(rest), at, [&](int64_t tap, int64_t pixel) {
      sum += static_cast<C>(x[pixel * p.c + c]) * static_cast<C>(w[tap * p.o + o]);
    });
    y[number] = static_cast<T>(sum);
  }
};
template <class T> struct DepthwiseInputGrad {
  T* x_grad;
  const T* g;
  const T* w;
  ConvGeometry p;
  template <class I> __device__ void operator()(I number) const {
    using C = compute_t<T>;
    I rest = number;
    const int64_t c = fn::take_digit(rest, p.c), many = p.o / p.groups;
    int64_t position[3];
    for (int i = 2; i >= 0; --i) position[i] = fn::take_digit(rest, p.in[i]);
    C sum = 0;
    for_each_tap<true>(p, static_cast<int64_t>(rest), position, [&](int64_t tap, int64_t row) {
      for (int64_t o = c * many; o < (c + 1) * many; ++o)
        sum += static_cast<C>(g[row * p.o + o]) * static_cast<C>(w[tap * p.o + o]);
    });
    x_grad[number] = static_cast<T>(sum);
  }
};

/// g[row, column]: sums of it are the bias gradient.
template <class T> struct GradientTerm {
  const T* g;
  int64_t channels;
  __device__ compute_t<T> operator()(int64_t row, int64_t column) const {
    return static_cast<compute_t<T>>(g[row * channels + column]);
  }
};
/// What output position `row` adds to column (tap, o) of a depthwise weight gradient.
template <class T> struct DepthwiseTerm {
  const T* x;
  const T* g;
  ConvGeometry p;
  __device__ compute_t<T> operator()(int64_t row, int64_t column) const {
    using C = compute_t<T>;
    const int64_t o = column % p.o, c = o / (p.o / p.groups);
    int64_t tap = column / p.o, rest = row, at = 0, step = 1;
    for (int i = 2; i >= 0; --i) {
      const int64_t position = fn::take_digit(rest, p.out[i]),
                    v = p.seen_input(i, position, fn::take_digit(tap, p.kernel[i]));
      if (v < 0) return C(0);
      at += v * step;
      step *= p.in[i];
    }
    return static_cast<C>(x[(rest * step + at) * p.c + c]) * static_cast<C>(g[row * p.o + o]);
  }
};

/// Sums over rows in two steps of fixed shape: of blocks of rows in the compute type, of blocks and chunks in f64.
inline constexpr int64_t kRowsPerBlock = 128, kMostRowChunks = 512;
template <class Term> struct SumRowChunk {
  double* partials;  // [chunks, columns]
  int64_t rows, per_chunk, columns;
  Term term;
  template <class I> __device__ void operator()(I number) const {
    const auto chunk = static_cast<int64_t>(number / static_cast<I>(columns)),
               column = static_cast<int64_t>(number % static_cast<I>(columns));
    const int64_t begin = chunk * per_chunk, end = begin + per_chunk < rows ? begin + per_chunk : rows;
    double sum = 0;
    for (int64_t row = begin; row < end;) {
      const int64_t stop = row + kRowsPerBlock < end ? row + kRowsPerBlock : end;
      auto part = term(row, column);
      for (++row; row < stop; ++row) part += term(row, column);
      sum += static_cast<double>(part);
    }
    partials[number] = sum;
  }
};
template <class T> struct SumChunks {
  T* out;
  const double* partials;
  int64_t chunks, columns;
  fn::Axes<1> walk;  // where the sum of a column goes
  template <class I> __device__ void operator()(I column) const {
    double sum = 0;
    for (int64_t k = 0; k < chunks; ++k) sum += partials[k * columns + static_cast<int64_t>(column)];
    int64_t at[1];
    walk.offsets(column, at);
    out[at[0]] = static_cast<T>(static_cast<compute_t<T>>(sum));
  }
};
template <class T, class Term>
void sum_rows(T* out, const fn::Axes<1>& walk, int64_t rows, int64_t columns, const Term& term) {
  const int64_t least = ceil_div(rows, kMostRowChunks), per_chunk = ceil_div(least, kRowsPerBlock) * kRowsPerBlock,
                chunks = ceil_div(rows, per_chunk);
  Scratch partials(static_cast<size_t>(chunks * columns) * sizeof(double));
  for_each_number(chunks * columns, SumRowChunk<Term>{partials.as<double>(), rows, per_chunk, columns, term});
  for_each_number(columns, SumChunks<T>{out, partials.as<double>(), chunks, columns, walk});
}

/// out [o, c, taps] = sums [o, taps, c], rounded.
template <class T> struct StoreWeightGrad {
  T* out;
  const compute_t<T>* sums;
  int64_t taps, channels;
  template <class I> __device__ void operator()(I number) const {
    const I tap = number % static_cast<I>(taps), row = number / static_cast<I>(taps),
            c = row % static_cast<I>(channels), o = row / static_cast<I>(channels);
    out[number] = static_cast<T>(
        sums[(static_cast<int64_t>(o) * taps + static_cast<int64_t>(tap)) * channels + static_cast<int64_t>(c)]);
  }
};

}  // namespace weft::cuda
