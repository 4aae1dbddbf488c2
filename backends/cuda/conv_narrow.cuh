// Convolutions of f32 and f64 whose source has at most 8 channels in a group and whose result has more: the first layer
// of a network. The implicit product would multiply the zeros that fill a unit, and has few stages to fill its pipeline.
#pragma once

#include "weft/backends/cuda/conv_few.cuh"
#include "weft/backends/cuda/conv_gemm.cuh"
#include "weft/core/backend.h"

namespace weft::cuda {

/// out[position, group, o] = sum over taps and channels of source * weights[group, tap, channel, o] (+ bias), where the
/// o are rounded up to chunks of kNarrowChunk. Units of the windows are channels.
struct NarrowProduct {
  Windows windows;
  const void *source, *weights, *bias;
  void* out;
  fn::FastDivisor chunks, groups, strips;
  uint32_t numbers, channels, all_taps;  // numbers: strips of all images, times groups and chunks
  int32_t outputs, phases;               // outputs: channels of a group of out
  int64_t out_pitch;
  bool aligned;  // a chunk of out may be stored 16 bytes at a time
};

/// What a thread sums: kNarrowChunk channels at kNarrowStrip neighbouring positions of the last axis.
inline constexpr int kNarrowStrip = 8;
template <class T> inline constexpr int kNarrowChunk = 32 / static_cast<int>(sizeof(T));

template <class T, bool Slide>
__global__ void __launch_bounds__(kBlock, 2) narrow_channels_kernel(const NarrowProduct p) {
  constexpr int P = kNarrowStrip, O = kNarrowChunk<T>, V = 16 / static_cast<int>(sizeof(T)), kUnroll = Slide ? P : 1;
  const Windows& w = p.windows;
  uint32_t number = blockIdx.x * kBlock + threadIdx.x;
  if (number >= p.numbers) return;
  const auto chunk = static_cast<uint32_t>(fn::take_digit(number, p.chunks)),
             group = static_cast<uint32_t>(fn::take_digit(number, p.groups));
  const auto row1 = static_cast<int32_t>(fn::take_digit(number, w.rows[1])),
             column = static_cast<int32_t>(fn::take_digit(number, p.strips)) * P,
             row0 = static_cast<int32_t>(fn::take_digit(number, w.rows[0]));
  const bool back = Slide && w.tap_step[2] < 0;  // position q is the q-th from the end
  const int32_t step = back ? -w.row_step[2] : w.row_step[2], phases = Slide ? p.phases : 1,
                first = (column + (back ? P - 1 : 0)) * w.row_step[2] + w.start[2];
  const uint32_t weight_pitch = p.chunks.divisor * O;
  const auto taps = static_cast<int32_t>(w.taps[2].divisor);

  T sums[P][O];
  WEFT_UNROLL
  for (int o = 0; o < O; ++o) {
    const int32_t at = static_cast<int32_t>(chunk) * O + o;
    const T start = p.bias && at < p.outputs ? static_cast<const T*>(p.bias)[group * p.outputs + at] : T(0);
    WEFT_UNROLL
    for (int q = 0; q < P; ++q) sums[q][o] = start;
  }
  int32_t tap0 = w.first_weight_tap, at0 = row0 * w.row_step[0] + w.start[0];
  for (uint32_t j0 = 0; j0 < w.taps[0].divisor; ++j0, at0 += w.tap_step[0], tap0 += w.weight_tap[0]) {
    if (static_cast<uint32_t>(at0) >= static_cast<uint32_t>(w.source[0])) continue;
    int32_t tap1 = tap0, at1 = row1 * w.row_step[1] + w.start[1];
    for (uint32_t j1 = 0; j1 < w.taps[1].divisor; ++j1, at1 += w.tap_step[1], tap1 += w.weight_tap[1]) {
      if (static_cast<uint32_t>(at1) >= static_cast<uint32_t>(w.source[1])) continue;
      const uint32_t line = number * w.image + static_cast<uint32_t>(at0) * w.pitch[0] +
                            static_cast<uint32_t>(at1) * w.pitch[1] + group * p.channels;
      for (uint32_t c = 0; c < p.channels; ++c) {
        T x[P];  // as in FewStrip
        const auto load = [&](int32_t at) {
          const bool inside = static_cast<uint32_t>(at) < static_cast<uint32_t>(w.source[2]);
          return inside ? static_cast<const T*>(p.source)[size_t{line + c + static_cast<uint32_t>(at) * w.pitch[2]}]
                        : T(0);
        };
        WEFT_NO_UNROLL
        for (int32_t phase = 0; phase < phases && phase < taps; ++phase) {
          const int32_t from = first + phase * w.tap_step[2];
          if constexpr (Slide) WEFT_UNROLL
          for (int q = 0; q < P - 1; ++q) x[q] = load(from + step * q);
          WEFT_NO_UNROLL
          for (int32_t turn = 0; phase + turn * phases < taps; turn += kUnroll) {
            WEFT_UNROLL
            for (int k = 0; k < kUnroll; ++k) {
              const int32_t tap = phase + (turn + k) * phases;
              if (k > 0 && tap >= taps) break;
              if constexpr (Slide) {
                x[(k + P - 1) % P] = load(from + step * (turn + k + P - 1));
              } else {
                WEFT_UNROLL
                for (int q = 0; q < P; ++q) x[q] = load(from + step * q + tap * w.tap_step[2]);
              }
              const int32_t at = tap1 + tap * w.weight_tap[2];
              const uint32_t row = (group * p.all_taps + static_cast<uint32_t>(at)) * p.channels + c;
              const auto f = reinterpret_cast<const Pack<T, V>*>(static_cast<const T*>(p.weights) +
                                                                 size_t{row} * weight_pitch + chunk * O);
              WEFT_UNROLL
              for (int i = 0; i < O / V; ++i) {
                const Pack<T, V> factors = f[i];
                WEFT_UNROLL
                for (int v = 0; v < V; ++v) {
                  WEFT_UNROLL
                  for (int q = 0; q < P; ++q)
                    sums[q][i * V + v] = multiply_add(x[(q + k) % P], factors.v[v], sums[q][i * V + v]);
                }
              }
            }
          }
        }
      }
    }
  }
  const int64_t line = number * w.to_image + row0 * w.to[0] + row1 * w.to[1] + w.first_to;
  const int32_t channel = static_cast<int32_t>(chunk) * O, left = p.outputs - channel;
  WEFT_UNROLL
  for (int q = 0; q < P; ++q) {
    const int32_t to = column + (back ? P - 1 - q : q);
    if (to >= static_cast<int32_t>(w.rows[2].divisor)) continue;
    T* const at = static_cast<T*>(p.out) + (line + to * w.to[2]) * p.out_pitch + group * p.outputs + channel;
    store_run(at, sums[q], left, p.aligned);
  }
}

/// out, at the positions of w's rows: windows times weights (+ bias), where a group of the source has so many channels.
template <class T>
void narrow_windows_times_weights(T* out, int64_t out_channels, int64_t groups, const void* source, const void* weights,
                                  const void* bias, int64_t channels, const Windows& w, int64_t images,
                                  int64_t all_taps, int64_t wish) {
  const int64_t outputs = out_channels / groups, chunks = ceil_div(outputs, int64_t{kNarrowChunk<T>}),
                strips = ceil_div(int64_t{w.rows[2].divisor}, int64_t{kNarrowStrip}),
                image_numbers = strips * w.rows[1].divisor * w.rows[0].divisor * groups * chunks;
  WEFT_CHECK(groups * all_taps * channels < int64_t{1} << 31 && image_numbers < int64_t{1} << 31, NotSupported,
             "conv: a weight or an image of 2^31 parts or more");
  NarrowProduct p{};
  p.windows = w;
  p.weights = weights, p.bias = bias;
  p.chunks = divisor_of(chunks), p.groups = divisor_of(groups), p.strips = divisor_of(strips);
  p.channels = static_cast<uint32_t>(channels), p.all_taps = static_cast<uint32_t>(all_taps);
  p.outputs = static_cast<int32_t>(outputs);
  p.phases = sliding_phases(w);
  p.out_pitch = out_channels;
  p.aligned = outputs * static_cast<int64_t>(sizeof(T)) % 16 == 0 && reinterpret_cast<uintptr_t>(out) % 16 == 0;
  const int64_t most = w.images_at_once(images, wish, groups * chunks);
  for (int64_t first = 0; first < images; first += most) {
    const int64_t numbers = (images - first < most ? images - first : most) * image_numbers;
    if (numbers == 0) continue;
    p.numbers = static_cast<uint32_t>(numbers);
    p.source = static_cast<const T*>(source) + first * w.image;
    p.out = out + first * w.to_image * out_channels;
    launch(p.phases > 0 ? narrow_channels_kernel<T, true> : narrow_channels_kernel<T, false>,
           static_cast<unsigned>(ceil_div(numbers, int64_t{kBlock})), kBlock, 0, p);
  }
}

/// Whether that takes fewer instructions of a warp for a position than the implicit product's best tile, by the count
/// of the compiled code. Products in TF32 and of halves are faster.
inline bool narrow_windows_gain(Dtype d, int64_t outputs, int64_t channels, const Windows& w) {
  if (channels > kFewChannels || outputs <= kFewChannels || !strips_fit(w) ||
      (d != Dtype::f64 && (d != Dtype::f32 || tf32_allowed())))
    return false;
  const int64_t size = static_cast<int64_t>(itemsize(d)), chunk = 32 / size, taps = w.taps[2].divisor,
                lines = w.tap_count() / std::max<int64_t>(taps, 1) * channels,
                line = taps * (kNarrowStrip * chunk + 10) + strip_loads(w, kNarrowStrip) * 10 + 15,
                own = ceil_div(outputs, chunk) * lines * line,
                stages = ceil_div(w.tap_count() * fn::round_up(channels * size, 16), 64);
  const int64_t tile = d == Dtype::f64 ? 501 * 2 : outputs <= 32 ? 786 : 1346;
  return own * 128 < ceil_div(outputs, int64_t{tile == 786 ? 32 : 64}) * (stages + 4) * tile * 4 * 32 * kNarrowStrip;
}

}  // namespace weft::cuda
