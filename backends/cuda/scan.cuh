// Running sums, products and extremes along one axis. Long lines are divided into parts: totals of the parts, their
// running totals, then every part from where the one before it ends.
#pragma once

#include <algorithm>

#include "weft/backends/cuda/lines.cuh"
#include "weft/core/dtype.h"
#include "weft/core/fn/scan.h"

namespace weft::cuda {

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

/// Running sums or products of x: how numbers are read, carried and written.
template <class T, class F> struct NumberScan {
  using Carry = fn::scan_t<T>;
  using Running = typename F::template Running<T>;
  T* y;
  const T* x;
  Lines<2> l;  // x, y
  bool reverse;

  struct Place {
    int64_t at[2];
  };
  __device__ WEFT_INLINE Place line(int64_t number) const {
    Place p;
    l.outer.offsets(number, p.at);
    return p;
  }
  __device__ WEFT_INLINE int64_t element(int64_t i) const { return reverse ? l.length - 1 - i : i; }
  __device__ WEFT_INLINE Carry load(const Place& p, int64_t i) const {
    return static_cast<Carry>(static_cast<compute_t<T>>(x[p.at[0] + element(i) * l.stride[0]]));
  }
  __device__ WEFT_INLINE void store(const Place& p, int64_t i, Carry c) const {
    y[p.at[1] + element(i) * l.stride[1]] = static_cast<T>(static_cast<compute_t<T>>(c));
  }
  static WEFT_HD WEFT_INLINE Carry none() { return F().template none<Carry>(); }
  static WEFT_HD WEFT_INLINE Carry merge(Carry a, Carry b) { return F()(a, b); }
};

/// The running greatest (smallest) element and its last place.
template <class T, bool Largest> struct ExtremeScan {
  using Carry = fn::Placed<compute_t<T>>;
  struct Running {
    Carry best = none();
    __device__ WEFT_INLINE Carry push(Carry c) { return best = merge(best, c); }
  };
  T* values;
  int64_t* indices;
  const T* x;
  Lines<3> l;  // x, values, indices

  struct Place {
    int64_t at[3];
  };
  __device__ WEFT_INLINE Place line(int64_t number) const {
    Place p;
    l.outer.offsets(number, p.at);
    return p;
  }
  __device__ WEFT_INLINE Carry load(const Place& p, int64_t i) const {
    return {static_cast<compute_t<T>>(x[p.at[0] + i * l.stride[0]]), i};
  }
  __device__ WEFT_INLINE void store(const Place& p, int64_t i, Carry c) const {
    values[p.at[1] + i * l.stride[1]] = static_cast<T>(c.value);
    indices[p.at[2] + i * l.stride[2]] = c.at;
  }
  static WEFT_HD WEFT_INLINE Carry none() { return {compute_t<T>(0), -1}; }
  static WEFT_HD WEFT_INLINE Carry merge(const Carry& a, const Carry& b) { return fn::later_extreme<Largest>(a, b); }
};

/// Running totals, in place, of the parts of every line.
template <class Scan> struct PartScan {
  using Carry = typename Scan::Carry;
  using Place = Carry*;
  Carry* totals;
  struct {
    int64_t lines, length;
  } l;

  __device__ WEFT_INLINE Place line(int64_t number) const { return totals + number * l.length; }
  __device__ WEFT_INLINE Carry load(Place p, int64_t i) const { return p[i]; }
  __device__ WEFT_INLINE void store(Place p, int64_t i, const Carry& c) const { p[i] = c; }
  static WEFT_HD WEFT_INLINE Carry none() { return Scan::none(); }
  static WEFT_HD WEFT_INLINE Carry merge(const Carry& a, const Carry& b) { return Scan::merge(a, b); }
};

/// One thread per line.
template <class Scan> __global__ void __launch_bounds__(kBlock) scan_threads(Scan s) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t line = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; line < s.l.lines; line += step) {
    const auto place = s.line(line);
    typename Scan::Running all;
    for (int64_t i = 0; i < s.l.length; ++i) s.store(place, i, all.push(s.load(place, i)));
  }
}

inline constexpr int kScanItems = 4;  // of a thread at a time

/// Total of each part of each line; a block per part.
template <class Scan>
__global__ void __launch_bounds__(kBlock)
    scan_totals(typename Scan::Carry* totals, Scan s, int64_t parts, int64_t per_part) {
  using C = typename Scan::Carry;
  WEFT_SHARED(shared, C[kBlock / kWarp]);
  const auto merge = [](const C& a, const C& b) { return Scan::merge(a, b); };
  for (int64_t unit = blockIdx.x; unit < s.l.lines * parts; unit += gridDim.x) {
    const int64_t begin = unit % parts * per_part, end = begin + per_part < s.l.length ? begin + per_part : s.l.length;
    const auto place = s.line(unit / parts);
    C acc = Scan::none();
    for (int64_t i = begin + threadIdx.x; i < end; i += kBlock) acc = merge(acc, s.load(place, i));
    acc = block_reduce(acc, merge, shared);
    if (threadIdx.x == 0) totals[unit] = acc;
  }
}

/// A block per part. `before`: running totals of the parts, null if there is one.
template <class Scan>
__global__ void __launch_bounds__(kBlock)
    scan_blocks(Scan s, int64_t parts, int64_t per_part, const typename Scan::Carry* before) {
  using C = typename Scan::Carry;
  WEFT_SHARED(shared, C[kBlock / kWarp]);
  const auto merge = [](const C& a, const C& b) { return Scan::merge(a, b); };
  for (int64_t unit = blockIdx.x; unit < s.l.lines * parts; unit += gridDim.x) {
    const int64_t part = unit % parts, begin = part * per_part,
                  end = begin + per_part < s.l.length ? begin + per_part : s.l.length;
    const auto place = s.line(unit / parts);
    C carry = part > 0 ? before[unit - 1] : Scan::none();
    for (int64_t first = begin; first < end; first += kBlock * kScanItems) {
      const int64_t mine = first + int64_t{threadIdx.x} * kScanItems;
      C v[kScanItems], total = Scan::none(), block_total;
      for (int j = 0; j < kScanItems; ++j) {
        v[j] = mine + j < end ? s.load(place, mine + j) : Scan::none();
        total = merge(total, v[j]);
      }
      C acc = merge(carry, block_scan(total, Scan::none(), merge, shared, block_total));
      for (int j = 0; j < kScanItems; ++j) {
        acc = merge(acc, v[j]);
        if (mine + j < end) s.store(place, mine + j, acc);
      }
      carry = merge(carry, block_total);
    }
  }
}

/// Lines by threads where they are short or many and side by side, else by blocks, long ones in parts.
template <class Scan> void run_lines(const Scan& s, bool beside) {
  using C = typename Scan::Carry;
  const int64_t lines = s.l.lines, length = s.l.length;
  if (length <= 32 || (beside && lines >= 4096)) {
    launch(scan_threads<Scan>, grid_for(lines), kBlock, 0, s);
    return;
  }
  const int64_t parts = std::clamp<int64_t>(std::min(length / 8192, ceil_div(512, lines)), 1, 1024),
                per_part = ceil_div(length, parts);
  if (parts == 1) {
    launch(scan_blocks<Scan>, grid_for(lines, 1), kBlock, 0, s, 1, per_part, nullptr);
    return;
  }
  const Scratch memory(static_cast<size_t>(lines * parts) * sizeof(C));
  C* totals = memory.as<C>();
  const unsigned grid = grid_for(lines * parts, 1);
  launch(scan_totals<Scan>, grid, kBlock, 0, totals, s, parts, per_part);
  launch(scan_blocks<PartScan<Scan>>, grid_for(lines, 1), kBlock, 0, PartScan<Scan>{totals, {lines, parts}}, 1, parts,
         nullptr);
  launch(scan_blocks<Scan>, grid, kBlock, 0, s, parts, per_part, totals);
}

/// y = running F of x along dim (from the end if `reverse`).
template <class T, class F> void run_scan(const MutTensorRef& y, const TensorRef& x, int dim, bool reverse, const F&) {
  if (x.numel == 0) return;
  const Lines<2> l({&x, &y}, dim);
  run_lines(NumberScan<T, F>{y.as_mut<T>(), x.as<T>(), l, reverse}, l.beside());
}
template <class T, bool Largest>
void run_running_extreme(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim) {
  if (x.numel == 0) return;
  const Lines<3> l({&x, &values, &indices}, dim);
  run_lines(ExtremeScan<T, Largest>{values.as_mut<T>(), indices.as_mut<int64_t>(), x.as<T>(), l}, l.beside());
}

}  // namespace weft::cuda
