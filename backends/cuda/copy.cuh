// Copies between any strides and dtypes, fills, and where. Where what is innermost differs between source and result, a
// copy goes through tiles in shared memory, so that both are touched in runs.
#pragma once

#include "weft/backends/cuda/elementwise.cuh"

namespace weft::cuda {

struct Same {
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const { return x; }
};
template <class R> struct Convert {
  template <class T> WEFT_HD WEFT_INLINE R operator()(T x) const {
    if constexpr (std::is_same_v<R, bool>) return x != T(0);
    else return static_cast<R>(x);
  }
};

inline constexpr int kTile = 32;

/// out = in: `down` rows of `across` elements, side by side in out; in `in` those of a column are side by side. The
/// other axes: rest, of out and in.
struct Transpose {
  uint32_t across, down, out_down, in_across;
  fn::FastDivisor tiles_across, tiles;  // of a matrix
  uint32_t tasks;
  fn::NarrowAxes<2> rest;
};
template <class T> __global__ void __launch_bounds__(kBlock) transpose_kernel(T* out, const T* in, Transpose t) {
  WEFT_SHARED(tile, T[kTile][kTile + 1]);
  const uint32_t x = threadIdx.x % kTile, y = threadIdx.x / kTile;
  constexpr uint32_t kRows = kBlock / kTile;
  for (uint32_t task = blockIdx.x; task < t.tasks; task += gridDim.x) {
    const uint32_t matrix = t.tiles.divide(task), within = task - matrix * t.tiles.divisor,
                   row = t.tiles_across.divide(within), column = within - row * t.tiles_across.divisor;
    const uint32_t left = column * kTile, top = row * kTile;
    uint32_t at[2];
    t.rest.offsets(matrix, at);
    WEFT_UNROLL
    for (uint32_t i = y; i < kTile; i += kRows)
      if (left + i < t.across && top + x < t.down) tile[i][x] = in[at[1] + (left + i) * t.in_across + top + x];
    __syncthreads();
    WEFT_UNROLL
    for (uint32_t i = y; i < kTile; i += kRows)
      if (top + i < t.down && left + x < t.across) out[at[0] + (top + i) * t.out_down + left + x] = tile[x][i];
    __syncthreads();
  }
}
/// True where that was a transposition worth its tiles, and has been started.
template <class T> bool run_transpose(const ElementPlan& plan, T* out, const T* in) {
  const int last = plan.rank - 1;
  int other = 0;
  while (other < last && plan.strides[1][other] != 1) ++other;
  constexpr int64_t kLeast = 8, kMost = int64_t{1} << 31;
  if (other == last || plan.strides[0][last] != 1 || plan.shape[last] < kLeast || plan.shape[other] < kLeast)
    return false;
  int64_t reach[2] = {};
  for (int k = 0; k < 2; ++k)
    for (int i = 0; i <= last; ++i) reach[k] += (plan.shape[i] - 1) * plan.strides[k][i];
  if (plan.numel >= kMost || reach[0] >= kMost || reach[1] >= kMost) return false;
  fn::Axes<2> rest;
  for (int i = 0; i < last; ++i)
    if (i != other) rest.append(plan.shape[i], {plan.strides[0][i], plan.strides[1][i]});
  rest.at_least_one(0);
  const auto narrow = [](int64_t v) { return static_cast<uint32_t>(v); };
  const int64_t across = ceil_div(plan.shape[last], kTile), tiles = across * ceil_div(plan.shape[other], kTile);
  const Transpose t{narrow(plan.shape[last]),      narrow(plan.shape[other]),          narrow(plan.strides[0][other]),
                    narrow(plan.strides[1][last]), fn::FastDivisor(narrow(across)),    fn::FastDivisor(narrow(tiles)),
                    narrow(tiles * rest.count()),  fn::NarrowAxes<2>(rest, rest.shape)};
  launch(transpose_kernel<T>, grid_for(t.tasks, 1), kBlock, 0, out, in, t);
  return true;
}

/// dst = src as R; same shape, any strides.
template <class R, class T> void run_copy(const MutTensorRef& dst, const TensorRef& src) {
  const void* const in[] = {src.data};
  if constexpr (std::is_same_v<R, T>) {
    const ElementPlan plan = plan_of(dst, {&src});
    if (plan.numel > 0 && !run_transpose(plan, dst.as_mut<T>(), src.as<T>()))
      run_elementwise<Same, T, T, 1>(plan, dst.mut, in, {});
  } else run_elementwise<Convert<R>, R, T, 1>(plan_of(dst, {&src}), dst.mut, in, {});
}

template <class T>
__global__ void __launch_bounds__(kBlock) fill_kernel(T* out, fn::NarrowAxes<1> axes, uint32_t n, T value) {
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    uint32_t at[1];
    axes.offsets(i, at);
    out[at[0]] = value;
  }
}
template <class T> void run_fill(const MutTensorRef& dst, T value) {
  for_each_part<1>(plan_of(dst, {}), [&](const fn::NarrowAxes<1>& axes, int64_t n, const int64_t* first) {
    launch(fill_kernel<T>, grid_for(n), kBlock, 0, dst.as_mut<T>() + first[0], axes, static_cast<uint32_t>(n), value);
  });
}

// Moves values without looking at them: by size.
template <class T>
__global__ void __launch_bounds__(kBlock)
    where_kernel(T* z, const bool* cond, const T* x, const T* y, fn::NarrowAxes<4> axes, uint32_t n) {
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    uint32_t at[4];
    axes.offsets(i, at);
    z[at[0]] = cond[at[1]] ? x[at[2]] : y[at[3]];
  }
}
template <class T> void run_where(const ElementPlan& plan, void* z, const void* cond, const void* x, const void* y) {
  for_each_part<4>(plan, [&](const fn::NarrowAxes<4>& axes, int64_t n, const int64_t* first) {
    launch(where_kernel<T>, grid_for(n), kBlock, 0, static_cast<T*>(z) + first[0],
           static_cast<const bool*>(cond) + first[1], static_cast<const T*>(x) + first[2],
           static_cast<const T*>(y) + first[3], axes, static_cast<uint32_t>(n));
  });
}

}  // namespace weft::cuda
