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
  constexpr int P = kNarrowStrip, O = kNarrowChunk<T>, V = 16 / static_cast<int>(sizeof(T));
  const Windows& w = p.windows;
  uint32_t number = blockIdx.x * kBlock + threadIdx.x;
  if (number >= p.numbers) return;
  const auto chunk = static_cast<uint32_t>(fn::take_digit(number, p.chunks)),
             group = static_cast<uint32_t>(fn::take_digit(number, p.groups));
  const PositionStrip<P, Slide> strip(w, number, p.strips);
  const int32_t channel = static_cast<int32_t>(chunk) * O;
  const uint32_t weight_pitch = p.chunks.divisor * O;

  T sums[P][O];
  WEFT_UNROLL
  for (int o = 0; o < O; ++o) {
    const bool biased = p.bias && channel + o < p.outputs;
    const T start = biased ? static_cast<const T*>(p.bias)[int64_t{group} * p.outputs + channel + o] : T(0);
    WEFT_UNROLL
    for (int q = 0; q < P; ++q) sums[q][o] = start;
  }
  strip.each_line(w, [&](uint32_t line, int32_t line_tap) {
    for (uint32_t c = 0; c < p.channels; ++c) {
      T x[P];
      strip.each_tap(
          w, p.phases,
          [&](int slot, int32_t at) {
            const uint32_t from = line + group * p.channels + c + static_cast<uint32_t>(at) * w.pitch[2];
            const bool inside = static_cast<uint32_t>(at) < static_cast<uint32_t>(w.source[2]);
            x[slot] = inside ? static_cast<const T*>(p.source)[size_t{from}] : T(0);
          },
          [&](int k, int32_t tap) {
            const auto weight_tap = static_cast<uint32_t>(line_tap + tap * w.weight_tap[2]),
                       row = (group * p.all_taps + weight_tap) * p.channels + c;
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
          });
    }
  });
  strip.each_position(w, [&](int q, int64_t position) {
    T* const to = static_cast<T*>(p.out) + position * p.out_pitch + int64_t{group} * p.outputs + channel;
    store_run(to, sums[q], p.outputs - channel, p.aligned);
  });
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
