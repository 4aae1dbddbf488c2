// Running sums and products along one axis. Long lines are divided into parts: totals of the parts, their running
// totals, then every part from where the one before it ends.
#pragma once

#include <algorithm>

#include "weft/backends/cuda/lines.cuh"
#include "weft/core/dtype.h"
#include "weft/core/fn/scan.h"

namespace weft::cuda {

// Floating elements are carried in f64.
using fn::scan_t;

struct AddScan {
  template <class T> using Running = fn::RunningSum<T>;
  template <class C> WEFT_HD WEFT_INLINE C none() const { return C(0); }
  template <class C> WEFT_HD WEFT_INLINE C operator()(C a, C b) const { return static_cast<C>(a + b); }
};
struct MulScan {
  template <class T> using Running = fn::RunningProduct<T>;
  template <class C> WEFT_HD WEFT_INLINE C none() const { return C(1); }
  template <class C> WEFT_HD WEFT_INLINE C operator()(C a, C b) const { return static_cast<C>(a * b); }
};

/// One thread per line.
template <class T, class F>
__global__ void __launch_bounds__(kBlock) scan_threads(T* y, const T* x, Lines<2> l, bool reverse, F) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t line = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; line < l.lines; line += step) {
    int64_t at[2];
    l.outer.offsets(line, at);
    typename F::template Running<T> all;
    for (int64_t i = 0; i < l.length; ++i) {
      const int64_t k = reverse ? l.length - 1 - i : i;
      y[at[1] + k * l.stride[1]] = static_cast<T>(
          static_cast<compute_t<T>>(all.push(static_cast<compute_t<T>>(x[at[0] + k * l.stride[0]]))));
    }
  }
}

inline constexpr int kScanItems = 4;  // of a thread at a time

/// Total of each part of each line; a block per part.
template <class T, class F>
__global__ void __launch_bounds__(kBlock)
    scan_totals(scan_t<T>* totals, const T* x, Lines<2> l, int64_t parts, int64_t per_part, bool reverse, F f) {
  using C = scan_t<T>;
  WEFT_SHARED(shared, C[kBlock / kWarp]);
  for (int64_t unit = blockIdx.x; unit < l.lines * parts; unit += gridDim.x) {
    const int64_t begin = unit % parts * per_part, end = begin + per_part < l.length ? begin + per_part : l.length;
    int64_t at[2];
    l.outer.offsets(unit / parts, at);
    C acc = f.template none<C>();
    for (int64_t i = begin + threadIdx.x; i < end; i += kBlock) {
      const int64_t k = reverse ? l.length - 1 - i : i;
      acc = f(acc, static_cast<C>(static_cast<compute_t<T>>(x[at[0] + k * l.stride[0]])));
    }
    acc = block_reduce(acc, f, shared);
    if (threadIdx.x == 0) totals[unit] = acc;
  }
}

/// A block per part. `before`: running totals of the parts, null if there is one.
template <class T, class F>
__global__ void __launch_bounds__(kBlock) scan_blocks(T* y, const T* x, Lines<2> l, int64_t parts, int64_t per_part,
                                                      const scan_t<T>* before, bool reverse, F f) {
  using C = scan_t<T>;
  WEFT_SHARED(shared, C[kBlock / kWarp]);
  for (int64_t unit = blockIdx.x; unit < l.lines * parts; unit += gridDim.x) {
    const int64_t part = unit % parts, begin = part * per_part,
                  end = begin + per_part < l.length ? begin + per_part : l.length;
    int64_t at[2];
    l.outer.offsets(unit / parts, at);
    C carry = part > 0 ? before[unit - 1] : f.template none<C>();
    for (int64_t first = begin; first < end; first += kBlock * kScanItems) {
      const int64_t mine = first + int64_t{threadIdx.x} * kScanItems;
      C v[kScanItems], total = f.template none<C>(), block_total;
      for (int j = 0; j < kScanItems; ++j) {
        const int64_t i = mine + j, k = reverse ? l.length - 1 - i : i;
        v[j] = i < end ? static_cast<C>(static_cast<compute_t<T>>(x[at[0] + k * l.stride[0]])) : f.template none<C>();
        total = f(total, v[j]);
      }
      C acc = f(carry, block_scan(total, f.template none<C>(), f, shared, block_total));
      for (int j = 0; j < kScanItems; ++j) {
        const int64_t i = mine + j, k = reverse ? l.length - 1 - i : i;
        acc = f(acc, v[j]);
        if (i < end) y[at[1] + k * l.stride[1]] = static_cast<T>(static_cast<compute_t<T>>(acc));
      }
      carry = f(carry, block_total);
    }
  }
}

/// y = running f of x along dim (from the end if `reverse`).
template <class T, class F>
void run_scan(const MutTensorRef& y, const TensorRef& x, int dim, bool reverse, const F& f) {
  using C = scan_t<T>;
  if (x.numel == 0) return;
  const Lines<2> l({&x, &y}, dim);
  T* out = y.as_mut<T>();
  const T* in = x.as<T>();
  if (l.length <= 32 || (l.beside() && l.lines >= 4096)) {
    launch(scan_threads<T, F>, grid_for(l.lines), kBlock, 0, out, in, l, reverse, f);
    return;
  }
  const int64_t parts = std::clamp<int64_t>(std::min(l.length / 8192, ceil_div(512, l.lines)), 1, 1024),
                per_part = ceil_div(l.length, parts);
  if (parts == 1) {
    launch(scan_blocks<T, F>, grid_for(l.lines, 1), kBlock, 0, out, in, l, 1, per_part, nullptr, reverse, f);
    return;
  }
  const Scratch memory(static_cast<size_t>(l.lines * parts) * sizeof(C));
  C* totals = memory.as<C>();
  const unsigned grid = grid_for(l.lines * parts, 1);
  launch(scan_totals<T, F>, grid, kBlock, 0, totals, in, l, parts, per_part, reverse, f);
  const int64_t shape[] = {l.lines, parts}, strides[] = {parts, 1};
  const TensorRef t = ref(nullptr, Dtype::u8, shape, strides, 2);  // for its axes
  const Lines<2> of_totals({&t, &t}, 1);
  launch(scan_blocks<C, F>, grid_for(l.lines, 1), kBlock, 0, totals, totals, of_totals, 1, parts, nullptr, false, f);
  launch(scan_blocks<T, F>, grid, kBlock, 0, out, in, l, parts, per_part, totals, reverse, f);
}

}  // namespace weft::cuda
