// Convolutions whose result has at most 8 channels in a group, by multiplications and additions of its own: a tile of
// the implicit product would be mostly empty there. Sums have a fixed order.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "weft/backends/cuda/block.cuh"
#include "weft/backends/cuda/conv_direct.cuh"
#include "weft/backends/cuda/conv_tile.cuh"

namespace weft::cuda {

inline constexpr int64_t kFewChannels = 8;

/// P neighbouring positions along the last axis. Strips below each other have numbers side by side, so that the windows
/// of a block overlap. `Slide`: position q reads at a tap what the one behind it reads `phases` taps before, so that
/// taps, taken phase by phase, bring one new place each; where they go backwards, position q is the q-th from the end.
template <int P, bool Slide> struct PositionStrip {
  uint32_t image;
  int32_t row0, row1, column;
  bool back;
  __device__ WEFT_INLINE PositionStrip(const Windows& w, uint32_t number, const fn::FastDivisor& strips) {
    row1 = static_cast<int32_t>(fn::take_digit(number, w.rows[1]));
    column = static_cast<int32_t>(fn::take_digit(number, strips)) * P;
    row0 = static_cast<int32_t>(fn::take_digit(number, w.rows[0]));
    image = number;
    back = Slide && w.tap_step[2] < 0;
  }
  /// Calls f(units to the first place of a line, its first tap) for the lines that the taps of the other axes see.
  template <class F> __device__ WEFT_INLINE void each_line(const Windows& w, const F& f) const {
    int32_t tap0 = w.first_weight_tap, at0 = row0 * w.row_step[0] + w.start[0];
    for (uint32_t j0 = 0; j0 < w.taps[0].divisor; ++j0, at0 += w.tap_step[0], tap0 += w.weight_tap[0]) {
      if (static_cast<uint32_t>(at0) >= static_cast<uint32_t>(w.source[0])) continue;
      int32_t tap1 = tap0, at1 = row1 * w.row_step[1] + w.start[1];
      for (uint32_t j1 = 0; j1 < w.taps[1].divisor; ++j1, at1 += w.tap_step[1], tap1 += w.weight_tap[1])
        if (static_cast<uint32_t>(at1) < static_cast<uint32_t>(w.source[1]))
          f(image * w.image + static_cast<uint32_t>(at0) * w.pitch[0] + static_cast<uint32_t>(at1) * w.pitch[1], tap1);
    }
  }
  /// Calls add(k, tap) for the taps of the last axis when what position q reads there is in slot (q + k) % P:
  /// load(slot, place) has put it there.
  template <class Load, class Add>
  __device__ WEFT_INLINE void each_tap(const Windows& w, int32_t phases, const Load& load, const Add& add) const {
    constexpr int kUnroll = Slide ? P : 1;
    const auto taps = static_cast<int32_t>(w.taps[2].divisor);
    const int32_t step = back ? -w.row_step[2] : w.row_step[2],
                  first = (column + (back ? P - 1 : 0)) * w.row_step[2] + w.start[2];
    if constexpr (!Slide) phases = 1;
    WEFT_NO_UNROLL
    for (int32_t phase = 0; phase < phases && phase < taps; ++phase) {
      const int32_t from = first + phase * w.tap_step[2];
      if constexpr (Slide) WEFT_UNROLL
      for (int q = 0; q < P - 1; ++q) load(q, from + step * q);
      WEFT_NO_UNROLL
      for (int32_t turn = 0; phase + turn * phases < taps; turn += kUnroll) {
        WEFT_UNROLL
        for (int k = 0; k < kUnroll; ++k) {
          const int32_t tap = phase + (turn + k) * phases;
          if (k > 0 && tap >= taps) break;
          if constexpr (Slide) {
            load((k + P - 1) % P, from + step * (turn + k + P - 1));
          } else {
            WEFT_UNROLL
            for (int q = 0; q < P; ++q) load(q, from + step * q + tap * w.tap_step[2]);
          }
          add(k, tap);
        }
      }
    }
  }
  /// Calls f(q, position in out) for the positions that are there.
  template <class F> __device__ WEFT_INLINE void each_position(const Windows& w, const F& f) const {
    const int64_t line = image * w.to_image + row0 * w.to[0] + row1 * w.to[1] + w.first_to;
    WEFT_UNROLL
    for (int q = 0; q < P; ++q) {
      const int32_t to = column + (back ? P - 1 - q : q);
      if (to < static_cast<int32_t>(w.rows[2].divisor)) f(q, line + to * w.to[2]);
    }
  }
};

/// Calls f.operator()<R>() with the least number of channels that is compiled and holds `channels` <= kFewChannels.
template <class F> void dispatch_few(int64_t channels, const F& f) {
  if (channels == 1) f.template operator()<1>();
  else if (channels == 2) f.template operator()<2>();
  else if (channels == 3) f.template operator()<3>();
  else if (channels == 4) f.template operator()<4>();
  else f.template operator()<8>();
}

/// Channel r of a group of so many is there, where R are compiled.
template <int R> WEFT_HD WEFT_INLINE bool is_channel(int r, int channels) { return R <= 4 || r < channels; }

/// out[position, group, r] = sum over taps and channels of source * weights[group, r, tap, channel] (+ bias). Units are
/// V channels of the source.
struct FewProduct {
  Windows windows;
  const void *source, *weights, *bias;
  void* out;
  fn::FastDivisor groups, strips;  // strips: of neighbouring positions, along the last axis
  uint32_t items, lane_bits;       // items: strips of all images, times groups; 2^lane_bits lanes share one
  uint32_t units, all_taps;        // units: of a group
  int32_t channels, phases;        // channels: of a group of out
  int64_t out_pitch;
};

/// Positions of a strip: as many as keep a strip of units in 32 registers.
template <class T, int V> inline constexpr int kStrip = sizeof(T) == 8 ? 4 : 32 / V;

template <class T, int V, int R, bool Slide>
__global__ void __launch_bounds__(kBlock, R > 4 ? 1 : 2) few_channels_kernel(const FewProduct p) {
  using C = compute_t<T>;
  using Unit = Pack<T, V>;
  constexpr int P = kStrip<T, V>;
  const Windows& w = p.windows;
  const uint32_t number = blockIdx.x * kBlock + threadIdx.x, lanes = 1u << p.lane_bits, lane = number & (lanes - 1);
  uint32_t item = number >> p.lane_bits;
  const bool there = item < p.items;
  if (!there) item = 0;
  const auto group = static_cast<uint32_t>(fn::take_digit(item, p.groups));
  const PositionStrip<P, Slide> strip(w, item, p.strips);
  const uint32_t tap_units = static_cast<uint32_t>(w.weight_tap[2]) * p.units, row_units = p.all_taps * p.units;

  C sums[P][R] = {};
  strip.each_line(w, [&](uint32_t line, int32_t line_tap) {
    for (uint32_t unit = lane; unit < p.units; unit += lanes) {
      const Unit* const source = static_cast<const Unit*>(p.source);
      const uint32_t from = line + group * p.units + unit,
                     weight = group * static_cast<uint32_t>(p.channels) * row_units +
                              static_cast<uint32_t>(line_tap) * p.units + unit;
      C x[P][V];
      strip.each_tap(
          w, p.phases,
          [&](int slot, int32_t at) {
            Unit here{};
            if (static_cast<uint32_t>(at) < static_cast<uint32_t>(w.source[2]))
              here = source[size_t{from + static_cast<uint32_t>(at) * w.pitch[2]}];
            WEFT_UNROLL
            for (int v = 0; v < V; ++v) x[slot][v] = static_cast<C>(here.v[v]);
          },
          [&](int k, int32_t tap) {
            WEFT_UNROLL
            for (int r = 0; r < R; ++r) {
              const int row = is_channel<R>(r, p.channels) ? r
                                                           : 0;  // sums of channels that are not there are not stored
              const Unit f = static_cast<const Unit*>(p.weights)[size_t{
                  weight + static_cast<uint32_t>(tap) * tap_units + static_cast<uint32_t>(row) * row_units}];
              WEFT_UNROLL
              for (int v = 0; v < V; ++v) {
                const C factor = static_cast<C>(f.v[v]);
                WEFT_UNROLL
                for (int q = 0; q < P; ++q) sums[q][r] = multiply_add(x[(q + k) % P][v], factor, sums[q][r]);
              }
            }
          });
    }
  });
  WEFT_UNROLL
  for (int q = 0; q < P; ++q) {
    WEFT_UNROLL
    for (int r = 0; r < R; ++r) sums[q][r] = warp_reduce(sums[q][r], AddValues(), static_cast<int>(lanes));
  }
  if (!there) return;
  strip.each_position(w, [&](int q, int64_t position) {
    if ((static_cast<uint32_t>(q) & (lanes - 1)) != lane) return;
    WEFT_UNROLL
    for (int r = 0; r < R; ++r) {
      if (!is_channel<R>(r, p.channels)) break;
      const int64_t channel = int64_t{group} * p.channels + r;
      const C start = p.bias ? static_cast<C>(static_cast<const T*>(p.bias)[channel]) : C(0);
      static_cast<T*>(p.out)[position * p.out_pitch + channel] = static_cast<T>(sums[q][r] + start);
    }
  });
}

/// The same windows, with the innermost axis that has more than one position as the last one.
inline Windows innermost_last(Windows w) {
  const auto later = [](auto& v) { std::rotate(v, v + 2, v + 3); };
  for (int i = 0; i < 2 && w.rows[2].divisor == 1 && w.taps[2].divisor == 1 && w.source[2] == 1; ++i) {
    later(w.rows), later(w.taps), later(w.source), later(w.row_step), later(w.tap_step), later(w.start);
    later(w.pitch), later(w.weight_tap), later(w.to);
  }
  return w;
}
/// The phases of taps along the last axis of such windows whose places slide, or 0.
inline int32_t sliding_phases(const Windows& w) {
  if (w.row_step[2] == 0) return 0;
  if (w.taps[2].divisor < 2) return 1;
  const int32_t step = std::abs(w.tap_step[2]);
  return step > 0 && w.row_step[2] % step == 0 ? w.row_step[2] / step : 0;
}
/// The places behind the last position of a row, which its last strip looks at, are numbers of 32 bits, too.
inline bool strips_fit(const Windows& w) { return w.row_step[2] < 1 << 24; }
/// Places that a strip of so many positions loads at all taps along that axis.
inline int64_t strip_loads(const Windows& w, int64_t strip) {
  const int64_t taps = w.taps[2].divisor, phases = std::min<int64_t>(sliding_phases(w), taps);
  return phases > 0 ? phases * (strip - 1) + taps : strip * taps;
}
/// Lanes that share a strip, as a power of two: one for each unit, up to a warp.
inline uint32_t few_lane_bits(int64_t units) {
  uint32_t bits = 0;
  while (bits < 5 && int64_t{2} << bits <= units) ++bits;
  return bits;
}

/// out, at the positions of w's rows: windows times weights (+ bias), where a group has so many units. `wish`: images
/// of a launch, or 0.
template <class T, int V>
void few_windows_times_weights(T* out, int64_t out_channels, int64_t groups, const void* source, const void* weights,
                               const void* bias, int64_t units, const Windows& w, int64_t images, int64_t all_taps,
                               int64_t wish) {
  constexpr int P = kStrip<T, V>;
  WEFT_CHECK(out_channels * all_taps * units < int64_t{1} << 31, NotSupported, "conv: a weight takes 16 GiB or more");
  const int64_t strips = ceil_div(int64_t{w.rows[2].divisor}, P),
                image_items = strips * w.rows[1].divisor * w.rows[0].divisor * groups;
  FewProduct p{};
  p.windows = w;
  p.weights = weights, p.bias = bias;
  p.groups = divisor_of(groups), p.strips = divisor_of(strips);
  p.lane_bits = few_lane_bits(units);
  p.units = static_cast<uint32_t>(units), p.all_taps = static_cast<uint32_t>(all_taps);
  p.channels = static_cast<int32_t>(out_channels / groups);
  p.phases = sliding_phases(w);
  p.out_pitch = out_channels;
  WEFT_CHECK(image_items << p.lane_bits < int64_t{1} << 31, NotSupported,
             "conv: 2^31 strips of positions or more in an image");
  const int64_t most = w.images_at_once(images, wish, groups << p.lane_bits);
  for (int64_t first = 0; first < images; first += most) {
    const int64_t items = (images - first < most ? images - first : most) * image_items;
    if (items == 0) continue;
    p.items = static_cast<uint32_t>(items);
    p.source = static_cast<const T*>(source) + first * w.image * V;
    p.out = out + first * w.to_image * out_channels;
    const auto grid = static_cast<unsigned>(ceil_div(items << p.lane_bits, kBlock));
    dispatch_few(p.channels, [&]<int R> {
      launch(p.phases > 0 ? few_channels_kernel<T, V, R, true> : few_channels_kernel<T, V, R, false>, grid, kBlock, 0,
             p);
    });
  }
}

/// Positions that a thread of a weight gradient takes in turn without looking up where they are.
inline constexpr int64_t kFewSegment = 64;

/// sums [part, group, r, tap, channel] = sums over the part's segments of rows of g[row, group, r] * x at the row's tap.
template <class T, int V, int R> struct FewWeightGrad {
  using C = compute_t<T>;
  Windows w;
  const T* x;
  const T* g;
  C* sums;
  fn::FastDivisor units, taps, groups, per_line;  // per_line: segments of a line along the last axis
  uint32_t segments, per_part, pitch;             // pitch: of g
  int32_t channels;
  __device__ void operator()(uint32_t number) const {
    C* to = sums;
    const auto unit = static_cast<uint32_t>(fn::take_digit(number, units)),
               tap = static_cast<uint32_t>(fn::take_digit(number, taps)),
               group = static_cast<uint32_t>(fn::take_digit(number, groups));
    const WindowTap shift(w, tap);
    C total[R][V] = {};
    uint32_t segment = number * per_part;
    const uint32_t end = segments < segment + per_part ? segments : segment + per_part;
    for (; segment < end; ++segment) {
      uint32_t line = segment;
      const auto column = static_cast<uint32_t>(fn::take_digit(line, per_line) * kFewSegment);
      uint32_t row = line * w.rows[2].divisor + column;
      const WindowRow r(w, row);
      int32_t at[3];
      WEFT_UNROLL
      for (int i = 0; i < 3; ++i) at[i] = r.at[i] * w.row_step[i] + w.start[i] + shift.shift[i];
      if (!is_inside<2>(w, at)) continue;
      uint32_t from = r.n * w.image + offset_of(w, at) + group * units.divisor + unit;
      const uint32_t left = w.rows[2].divisor - column,
                     stop = row + (left < kFewSegment ? left : static_cast<uint32_t>(kFewSegment));
      const T* factor = g + size_t{row} * pitch + group * static_cast<uint32_t>(channels);
      for (; row < stop; ++row, factor += pitch) {
        if (static_cast<uint32_t>(at[2]) < static_cast<uint32_t>(w.source[2])) {
          const auto pack = reinterpret_cast<const Pack<T, V>*>(x)[size_t{from}];
          WEFT_UNROLL
          for (int k = 0; k < R; ++k) {
            const C f = static_cast<C>(factor[is_channel<R>(k, channels) ? k : 0]);
            WEFT_UNROLL
            for (int v = 0; v < V; ++v) total[k][v] = multiply_add(static_cast<C>(pack.v[v]), f, total[k][v]);
          }
        }
        at[2] += w.row_step[2];
        from += static_cast<uint32_t>(w.row_step[2]) * w.pitch[2];
      }
    }
    // number is the part now
    const int64_t tap_units = int64_t{taps.divisor} * units.divisor,
                  first = (int64_t{number} * groups.divisor + group) * channels * tap_units +
                          int64_t{tap} * units.divisor + unit;
    WEFT_UNROLL
    for (int k = 0; k < R; ++k) {
      if (!is_channel<R>(k, channels)) break;
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) to[(first + k * tap_units) * V + v] = total[k][v];
    }
  }
};

/// Whether a group's result of so many channels is left to the kernels above. Of f32 and f64 it is, unless a few
/// positions have large sums. Halves they turn into f32, while tensor cores take them as they are: the counts are
/// instructions of a warp, from the compiled code, for a position (of the implicit product's tile of 128 positions).
/// units: of a group of the source; images: times groups.
inline bool few_windows_gain(Dtype d, int64_t channels, const Windows& w, int64_t units, int unit, int64_t images) {
  if (channels > kFewChannels || !strips_fit(w)) return false;
  // Too few strips to fill the card; the implicit product's sums can be made in parts.
  const int64_t turns = w.tap_count() * ceil_div(units, int64_t{1} << few_lane_bits(units));
  if (images * w.image_rows() < int64_t{multiprocessors()} * 32 && turns > 256) return false;
  if (itemsize(d) > 2) return true;
  const int v = unit / 2, strip = 32 / v;
  const int64_t taps = w.taps[2].divisor, lines = w.tap_count() / std::max<int64_t>(taps, 1) * units,
                lanes = int64_t{1} << few_lane_bits(units), stages = ceil_div(lines * taps * unit, 64);
  const double line = static_cast<double>(taps * ((32 + 2 * v) * channels + 9) + strip_loads(w, strip) * (2 * v + 13)),
               own = static_cast<double>(lines) * line / (32 * strip) +
                     static_cast<double>(lanes * (2 * channels * few_lane_bits(units) * strip + 80)) / (32 * strip);
  return own < static_cast<double>((stages + 4) * (unit == 8 ? 4 * 295 : 2 * 280)) / 128;
}
/// The same of a weight gradient, whose columns are taps * units; for a row of g.
inline bool few_weight_grad_gains(Dtype d, int64_t channels, int64_t taps, int64_t units, int unit) {
  if (channels > kFewChannels || itemsize(d) > 2) return channels <= kFewChannels;
  const int v = unit / 2;
  const double own = static_cast<double>(taps * units * (30 + 3 * v * channels / 2)) / 32;
  return own < static_cast<double>(ceil_div(taps * units * v, 64) * 2 * (unit == 8 ? 402 : 250)) / 32;
}

}  // namespace weft::cuda
