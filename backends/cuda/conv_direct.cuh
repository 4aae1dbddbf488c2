// Depthwise convolution, one thread a position and a few channels, and sums over the rows of an image.
#pragma once

#include "weft/backends/cuda/conv_windows.cuh"
#include "weft/backends/cuda/walk.cuh"

namespace weft::cuda {

/// f(i) for every i < n, whose numbers are 32 bits wide.
template <class F> void for_each_narrow(int64_t n, const F& f) {
  WEFT_CHECK(n < int64_t{1} << 31, NotSupported, "conv: 2^31 elements or more in an image or a weight");
  if (n > 0) launch(each_kernel<uint32_t, F>, grid_for(n), kBlock, 0, static_cast<uint32_t>(n), f);
}

/// Calls f(unit of the position, tap of the weight) for the taps of a row that are inside of the image, in order.
template <class F> __device__ WEFT_INLINE void for_each_tap(const Windows& w, const WindowRow& row, const F& f) {
  int32_t tap0 = w.first_weight_tap, at0 = row.at[0] * w.row_step[0] + w.start[0];
  for (uint32_t j0 = 0; j0 < w.taps[0].divisor; ++j0, at0 += w.tap_step[0], tap0 += w.weight_tap[0]) {
    if (static_cast<uint32_t>(at0) >= static_cast<uint32_t>(w.source[0])) continue;
    int32_t tap1 = tap0, at1 = row.at[1] * w.row_step[1] + w.start[1];
    for (uint32_t j1 = 0; j1 < w.taps[1].divisor; ++j1, at1 += w.tap_step[1], tap1 += w.weight_tap[1]) {
      if (static_cast<uint32_t>(at1) >= static_cast<uint32_t>(w.source[1])) continue;
      int32_t tap2 = tap1, at2 = row.at[2] * w.row_step[2] + w.start[2];
      for (uint32_t j2 = 0; j2 < w.taps[2].divisor; ++j2, at2 += w.tap_step[2], tap2 += w.weight_tap[2])
        if (static_cast<uint32_t>(at2) < static_cast<uint32_t>(w.source[2]))
          f(row.n * w.image + static_cast<uint32_t>(at0) * w.pitch[0] + static_cast<uint32_t>(at1) * w.pitch[1] +
                static_cast<uint32_t>(at2) * w.pitch[2],
            tap2);
    }
  }
}

/// Every channel of out is the sum of `many_in` channels of source, and `many_out` of out have the same ones. Units are
/// V channels; V is 1 unless both numbers are. weights: [taps, channels of the larger side].
template <class T, int V> struct Depthwise {
  using Unit = Pack<T, V>;
  Windows w;
  const T* source;
  const T* weights;
  const T* bias;
  T* out;
  fn::FastDivisor out_units, many_out;
  uint32_t many_in, weight_units;
  __device__ void operator()(uint32_t number) const {
    using C = compute_t<T>;
    const auto c = static_cast<uint32_t>(fn::take_digit(number, out_units));
    const WindowRow row(w, number);
    C sums[V] = {};
    if (bias) WEFT_UNROLL
    for (int v = 0; v < V; ++v) sums[v] = static_cast<C>(bias[c * V + v]);
    const uint32_t first = V > 1 ? c : many_out.divide(c) * many_in, weight = V > 1 ? c : c * many_in;
    for_each_tap(w, row, [&](uint32_t unit, int32_t tap) {
      for (uint32_t k = 0; k < (V > 1 ? 1 : many_in); ++k) {
        const Unit x = reinterpret_cast<const Unit*>(source)[size_t{unit} + first + k],
                   f = reinterpret_cast<const Unit*>(weights)[static_cast<size_t>(tap) * weight_units + weight + k];
        WEFT_UNROLL
        for (int v = 0; v < V; ++v) sums[v] += static_cast<C>(x.v[v]) * static_cast<C>(f.v[v]);
      }
    });
    Unit y;
    WEFT_UNROLL
    for (int v = 0; v < V; ++v) y.v[v] = static_cast<T>(sums[v]);
    reinterpret_cast<Unit*>(out)[row.to(w) * out_units.divisor + c] = y;
  }
};

/// source, out: channels-last, dense. Forward: many_out channels of out for one of source; input gradient: many_in.
template <class T, int V>
void depthwise_as(T* out, int64_t out_channels, const T* source, const T* weights, const T* bias, const Windows& w,
                  int64_t images, int64_t many_out, int64_t many_in, int64_t wish) {
  Depthwise<T, V> f{w, source, weights, bias, out, {}, {}, static_cast<uint32_t>(many_in), 0};
  f.out_units = divisor_of(out_channels / V);
  f.many_out = divisor_of(many_out);
  f.weight_units = static_cast<uint32_t>(out_channels * many_in / V);
  const int64_t most = w.images_at_once(images, wish, out_channels / V);
  for (int64_t first = 0; first < images; first += most) {
    const int64_t count = images - first < most ? images - first : most;
    for_each_narrow(count * w.image_rows() * out_channels / V, f);
    f.source += count * w.image * V;
    f.out += count * w.to_image * out_channels;
  }
}

/// What row `row` adds to a bias gradient: g[row, group, channel of the group].
template <class T> struct GradientTerm {
  const T* g;
  uint32_t group_o, group_pitch, pitch;
  __device__ auto of_column(uint32_t o) const {
    return [at = g + o / group_o * group_pitch + o % group_o, p = pitch](uint32_t row) {
      return static_cast<compute_t<T>>(at[size_t{row} * p]);
    };
  }
};
/// What it adds to a depthwise weight gradient, for column (tap, o); units of `w` are channels.
template <class T> struct DepthwiseTerm {
  const T* x;
  const T* g;
  Windows w;
  uint32_t o, many;
  __device__ auto of_column(uint32_t column) const {
    const uint32_t channel = column % o;
    return [this, tap = WindowTap(w, column / o), channel](uint32_t row) {
      using C = compute_t<T>;
      const WindowRow r(w, row);
      int32_t at[3];
      WEFT_UNROLL
      for (int i = 0; i < 3; ++i) at[i] = r.at[i] * w.row_step[i] + w.start[i] + tap.shift[i];
      if (!is_inside<3>(w, at)) return C(0);
      const uint32_t from = r.n * w.image + offset_of(w, at) + channel / many;
      return static_cast<C>(x[from]) * static_cast<C>(g[size_t{row} * o + channel]);
    };
  }
};

/// Sums over rows in two steps of fixed shape: of blocks of rows in the compute type, of blocks and chunks in f64.
inline constexpr int64_t kRowsPerBlock = 128, kMostRowChunks = 512;
template <class Term> struct SumRowChunk {
  double* partials;  // [chunks, columns]
  uint32_t rows, per_chunk;
  fn::FastDivisor columns;
  Term term;
  __device__ void operator()(uint32_t number) const {
    double& to = partials[number];
    const auto value = term.of_column(static_cast<uint32_t>(fn::take_digit(number, columns)));
    uint32_t row = number * per_chunk;
    const uint32_t end = rows - row < per_chunk ? rows : row + per_chunk;
    double sum = 0;
    while (row < end) {
      const uint32_t stop = end - row < kRowsPerBlock ? end : row + static_cast<uint32_t>(kRowsPerBlock);
      auto part = value(row);
      for (++row; row < stop; ++row) part += value(row);
      sum += static_cast<double>(part);
    }
    to = sum;
  }
};
/// out [o, taps] from columns (tap, o).
template <class T> struct SumChunks {
  T* out;
  const double* partials;
  int64_t chunks;
  uint32_t o, taps;
  __device__ void operator()(uint32_t column) const {
    double sum = 0;
    for (int64_t k = 0; k < chunks; ++k) sum += partials[k * o * taps + column];
    out[size_t{column % o} * taps + column / o] = static_cast<T>(static_cast<compute_t<T>>(sum));
  }
};
/// out [o, taps] = sums over the rows of all images of term(first image) at columns (tap, o).
template <class T, class F>
void sum_rows(T* out, int64_t o, int64_t taps, int64_t images, int64_t image_rows, int64_t at_once, const F& term) {
  const int64_t columns = o * taps, most = (int64_t{1} << 31) - 1;
  WEFT_CHECK(columns <= most, NotSupported, "conv: a weight of ", columns, " elements");
  const int64_t most_chunks = kMostRowChunks < most / columns ? kMostRowChunks : most / columns,
                whole = std::max<int64_t>(at_once * image_rows, 1),
                per_chunk = fn::round_up(ceil_div(whole, most_chunks), kRowsPerBlock),
                chunks_at_once = ceil_div(whole, per_chunk), chunks = ceil_div(images, at_once) * chunks_at_once;
  Scratch partials(static_cast<size_t>(chunks * columns) * sizeof(double));
  int64_t used = 0;
  for (int64_t first = 0; first < images; first += at_once) {
    const int64_t rows = (images - first < at_once ? images - first : at_once) * image_rows,
                  n = ceil_div(rows, per_chunk) * columns;
    const auto t = term(first);
    SumRowChunk<std::remove_cv_t<decltype(t)>> f{partials.as<double>() + used, static_cast<uint32_t>(rows),
                                                 static_cast<uint32_t>(per_chunk), divisor_of(columns), t};
    for_each_narrow(n, f);
    used += n;
  }
  for_each_narrow<SumChunks<T>>(
      columns, {out, partials.as<double>(), used / columns, static_cast<uint32_t>(o), static_cast<uint32_t>(taps)});
}

}  // namespace weft::cuda
