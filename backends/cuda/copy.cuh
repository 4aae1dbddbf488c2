// Copies between any strides and dtypes, fills, and where.
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

/// dst = src as R; same shape, any strides.
template <class R, class T> void run_copy(const MutTensorRef& dst, const TensorRef& src) {
  const void* const in[] = {src.data};
  if constexpr (std::is_same_v<R, T>) run_elementwise<Same, T, T, 1>(plan_of(dst, {&src}), dst.mut, in, {});
  else run_elementwise<Convert<R>, R, T, 1>(plan_of(dst, {&src}), dst.mut, in, {});
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
