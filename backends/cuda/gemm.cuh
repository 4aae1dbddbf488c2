// The own product of matrices: any dtype, any strides, plain tiles in shared memory. For integers, and for what the
// library does not take; tests of what is built on products run it too.
#pragma once

#include "weft/backends/cuda/gemm_choice.h"
#include "weft/backends/cuda/walk.cuh"
#include "weft/core/dense_copy.h"
#include "weft/core/fn/math.h"

namespace weft::cuda {

/// Sums: f32 for halves, modulo 2^64 for integers.
template <class T> using gemm_sum_t = std::conditional_t<std::is_integral_v<T>, uint64_t, compute_t<T>>;

template <class C> WEFT_HD WEFT_INLINE C apply_epilogue(Epilogue e, C v) {
  if (e == Epilogue::relu || e == Epilogue::relu_bias) return v > C(0) || v != v ? v : C(0);
  if constexpr (std::is_floating_point_v<C>) {
    if (e == Epilogue::gelu || e == Epilogue::gelu_bias)
      return C(0.5) * v * (C(1) + fn::tanh(C(0.7978845608028654) * (v + C(0.044715) * v * v * v)));
  }
  return v;
}

inline constexpr int kGemmTile = 32;

template <class T, class R>
__global__ void __launch_bounds__(kBlock) gemm_own_kernel(Gemm g, int64_t row_tiles, int64_t col_tiles) {
  using C = gemm_sum_t<T>;
  constexpr int kRowsAtOnce = kBlock / kGemmTile, kPerThread = kGemmTile / kRowsAtOnce;
  WEFT_SHARED(left, C[kGemmTile][kGemmTile + 1]);
  WEFT_SHARED(right, C[kGemmTile][kGemmTile + 1]);
  const int x = static_cast<int>(threadIdx.x) % kGemmTile, y = static_cast<int>(threadIdx.x) / kGemmTile;
  const int64_t tiles = g.batch * row_tiles * col_tiles;
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t col0 = tile % col_tiles * kGemmTile, row0 = tile / col_tiles % row_tiles * kGemmTile,
                  batch = tile / col_tiles / row_tiles;
    const T* a = static_cast<const T*>(g.a) + batch * g.a_batch;
    const T* b = static_cast<const T*>(g.b) + batch * g.b_batch;
    C sums[kPerThread] = {};
    for (int64_t k0 = 0; k0 < g.k; k0 += kGemmTile) {
      for (int i = y; i < kGemmTile; i += kRowsAtOnce) {
        const int64_t row = row0 + i, col = col0 + x;
        left[i][x] = row < g.m && k0 + x < g.k ? static_cast<C>(a[row * g.a_row + (k0 + x) * g.a_col]) : C(0);
        right[i][x] = k0 + i < g.k && col < g.n ? static_cast<C>(b[(k0 + i) * g.b_row + col * g.b_col]) : C(0);
      }
      __syncthreads();
      for (int k = 0; k < kGemmTile; ++k)
        for (int i = 0; i < kPerThread; ++i) sums[i] += left[y + i * kRowsAtOnce][k] * right[k][x];
      __syncthreads();
    }
    for (int i = 0; i < kPerThread; ++i) {
      const int64_t row = row0 + y + i * kRowsAtOnce, col = col0 + x;
      if (row >= g.m || col >= g.n) continue;
      R* to = static_cast<R*>(g.out) + batch * g.out_batch + row * g.out_row + col;
      C v = static_cast<C>(g.alpha) * sums[i];
      if (g.beta != 0) v += static_cast<C>(g.beta) * static_cast<C>(*to);
      if (has_bias(g.epilogue)) v += static_cast<C>(static_cast<const R*>(g.bias)[col]);
      *to = static_cast<R>(apply_epilogue(g.epilogue, v));
    }
  }
}

template <class T, class R> void gemm_own_as(const Gemm& g) {
  const int64_t rows = ceil_div(g.m, kGemmTile), cols = ceil_div(g.n, kGemmTile);
  launch(gemm_own_kernel<T, R>, grid_for(g.batch * rows * cols, 1), kBlock, 0, g, rows, cols);
}

inline void gemm_own(const Gemm& g) {
  if (g.batch * g.m * g.n == 0) return;
  dispatch_wide(g.dtype, "matmul", [&]<class T> {
    if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>) {
      if (g.out_dtype == Dtype::f32) return gemm_own_as<T, float>(g);
    }
    gemm_own_as<T, T>(g);
  });
}

/// The epilogue alone, where the library does not do it.
template <class R> struct FinishElement {
  R* out;
  const R* bias;
  Epilogue epilogue;
  int64_t n;
  fn::Axes<1> walk;
  template <class I> __device__ void operator()(I number) const {
    using C = gemm_sum_t<R>;
    int64_t at[1];
    walk.offsets(number, at);
    C v = static_cast<C>(out[at[0]]);
    if (bias) v += static_cast<C>(bias[number % static_cast<I>(n)]);
    out[at[0]] = static_cast<R>(apply_epilogue(epilogue, v));
  }
};
inline void finish(const Gemm& g) {
  if (g.epilogue == Epilogue::none) return;
  fn::Axes<1> walk;
  walk.append(g.batch, {g.out_batch});
  walk.append(g.m, {g.out_row});
  walk.append(g.n, {1});
  dispatch_floating(g.out_dtype, "matmul", [&]<class R> {
    for_each_number(
        g.batch * g.m * g.n,
        FinishElement<R>{static_cast<R*>(g.out), has_bias(g.epilogue) ? static_cast<const R*>(g.bias) : nullptr,
                         g.epilogue, g.n, walk});
  });
}

/// The bias where kWidestLoad bytes may be loaded at once. The library cannot be told how a bias lies; as a part of the
/// choice it would change the algorithm.
inline const void* aligned_bias(const Gemm& g, Scratch& scratch) {
  if (!has_bias(g.epilogue) || lt_alignment(g.bias) == kWidestLoad) return g.bias;
  const int64_t stride = 1;
  scratch.reset(static_cast<size_t>(g.n) * itemsize(g.out_dtype));
  move(mut_ref(scratch.as(), g.out_dtype, &g.n, &stride, 1), ref(g.bias, g.out_dtype, &g.n, &stride, 1));
  return scratch.as();
}

/// The slot's product, see core/kernels.h.
inline void matmul(const MutTensorRef& out, const TensorRef& a, const TensorRef& b, const TensorRef& bias) {
  Gemm g(out, a, b);
  Scratch copy;
  if (bias.defined()) {
    g.bias = dense_contiguous(bias, bias.dtype, copy, move);
    g.epilogue = Epilogue::bias;
  }
  gemm(g);
}

}  // namespace weft::cuda
