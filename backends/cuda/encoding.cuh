// Residual encoding, forward and backward. A block takes features of one image, 32 at a time: their distances to the
// codewords and the assignment lie in shared memory (in scratch memory where there are many codewords), and what is
// summed over features in a part of the block's own. Parts are added in their order.
#pragma once

#include "weft/backends/cuda/block.cuh"
#include "weft/backends/cuda/walk.cuh"
#include "weft/core/fn/math.h"

namespace weft::cuda {

inline constexpr int kEncodeTile = 32;              // features at a time, and sides of the products' tiles
inline constexpr int64_t kEncodePieces = 256;       // that features are cut into at least, as far as they go
inline constexpr int64_t kEncodeShared = 46 << 10;  // of 48 KiB that every card has

template <class C> struct EncodeStaging { C left[kEncodeTile][kEncodeTile + 1], right[kEncodeTile][kEncodeTile + 1]; };

struct MultiplyValues {
  template <class C> __device__ WEFT_INLINE C operator()(C a, C b) const { return a * b; }
};
struct SquareDifference {
  template <class C> __device__ WEFT_INLINE C operator()(C a, C b) const { return (a - b) * (a - b); }
};

/// store(row, col, sum over k of join(a(row, k), b(k, col))) for row < m, col < n, by all threads of the block; the
/// same thread stores the same place every time.
template <class C, class Join, class A, class B, class Store>
__device__ WEFT_INLINE void block_product(EncodeStaging<C>& s, int64_t m, int64_t n, int64_t depth, const Join& join,
                                          const A& a, const B& b, const Store& store) {
  constexpr int kTile = kEncodeTile, kRowsAtOnce = kBlock / kTile, kPerThread = kTile / kRowsAtOnce;
  const int x = static_cast<int>(threadIdx.x) % kTile, y = static_cast<int>(threadIdx.x) / kTile;
  for (int64_t row0 = 0; row0 < m; row0 += kTile)
    for (int64_t col0 = 0; col0 < n; col0 += kTile) {
      C sums[kPerThread] = {};
      for (int64_t k0 = 0; k0 < depth; k0 += kTile) {
        __syncthreads();
        for (int i = y; i < kTile; i += kRowsAtOnce) {
          s.left[i][x] = row0 + i < m && k0 + x < depth ? a(row0 + i, k0 + x) : C(0);
          s.right[i][x] = k0 + i < depth && col0 + x < n ? b(k0 + i, col0 + x) : C(0);
        }
        __syncthreads();
        for (int k = 0; k < kTile; ++k)
          for (int i = 0; i < kPerThread; ++i) sums[i] += join(s.left[y + i * kRowsAtOnce][k], s.right[k][x]);
      }
      for (int i = 0; i < kPerThread; ++i) {
        const int64_t row = row0 + y + i * kRowsAtOnce, col = col0 + x;
        if (row < m && col < n) store(row, col, sums[i]);
      }
    }
}

/// What all kernels of a call see. Codewords c are measured from their mean, as sums of x - c cancel less there.
template <class T> struct EncodeProblem {
  using C = compute_t<T>;
  int64_t B, N, D, K, pieces;  // pieces of an image
  const T* x;
  int64_t image, feature, channel;  // strides of x
  const C *codewords, *scale, *centre;
  C* spill;  // the tiles of all blocks, where they don't fit shared memory

  __device__ WEFT_INLINE C at(int64_t b, int64_t n, int64_t d) const {
    return static_cast<C>(x[b * image + n * feature + d * channel]);
  }
  __device__ WEFT_INLINE C centred(int64_t b, int64_t n, int64_t d) const { return at(b, n, d) - centre[d]; }
  __device__ WEFT_INLINE C centred_codeword(int64_t k, int64_t d) const { return codewords[k * D + d] - centre[d]; }
  __device__ WEFT_INLINE int64_t tiles() const { return ceil_div(N, kEncodeTile); }
};

/// A column's sum, divided: n rows of numbers that are `row` apart.
template <class C> struct EncodeColumn {
  C* to;
  const C* from;
  int64_t n, row;
  double divisor;
  template <class I> __device__ void operator()(I column) const {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(from[i * row + static_cast<int64_t>(column)]);
    to[column] = static_cast<C>(sum / divisor);
  }
};
/// <c_k, g_k> for every image.
template <class T> struct EncodeShifts {
  using C = compute_t<T>;
  C* shifts;
  const T* g;
  EncodeProblem<T> p;
  template <class I> __device__ void operator()(I number) const {
    const int64_t row = static_cast<int64_t>(number), k = row % p.K;
    double sum = 0;
    for (int64_t d = 0; d < p.D; ++d)
      sum += static_cast<double>(g[row * p.D + d]) * static_cast<double>(p.centred_codeword(k, d));
    shifts[row] = static_cast<C>(sum);
  }
};

/// a: squared distances of n features, [n][K]; becomes the assignment. A warp has every eighth row.
template <class T> __device__ WEFT_INLINE void encode_assign(const EncodeProblem<T>& p, compute_t<T>* a, int64_t n) {
  using C = compute_t<T>;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t t = warp; t < n; t += kBlock / kWarp) {
    C* row = a + t * p.K;
    C top = fn::lowest<C>(), sum = 0;
    for (int64_t k = lane; k < p.K; k += kWarp) {
      const C l = p.scale[k] * row[k];
      row[k] = l;
      top = l > top ? l : top;  // a NaN comes back through the sum
    }
    top = warp_reduce(top, GreaterValue());
    for (int64_t k = lane; k < p.K; k += kWarp) {
      row[k] = fn::exp(row[k] - top);
      sum += row[k];
    }
    sum = warp_reduce(sum, AddValues());
    for (int64_t k = lane; k < p.K; k += kWarp) row[k] = row[k] / sum;
  }
}

/// sums: [pieces of all][K][D] of a x; over: [pieces][K] of a.
template <class T>
__global__ void __launch_bounds__(kBlock) encode_kernel(EncodeProblem<T> p, compute_t<T>* sums, compute_t<T>* over) {
  using C = compute_t<T>;
  WEFT_SHARED(staging, EncodeStaging<C>);
  WEFT_DYN_SHARED(C, dynamic);
  C* const a = p.spill ? p.spill + int64_t{blockIdx.x} * kEncodeTile * p.K : dynamic;
  for (int64_t piece = blockIdx.x; piece < p.B * p.pieces; piece += gridDim.x) {
    const int64_t b = piece / p.pieces, i = piece % p.pieces, KD = p.K * p.D;
    C *sum = sums + piece * KD, *count = over + piece * p.K;
    for (int64_t e = threadIdx.x; e < KD; e += kBlock) sum[e] = C(0);
    for (int64_t k = threadIdx.x; k < p.K; k += kBlock) count[k] = C(0);
    for (int64_t tile = p.tiles() * i / p.pieces; tile < p.tiles() * (i + 1) / p.pieces; ++tile) {
      const int64_t first = tile * kEncodeTile, n = p.N - first < kEncodeTile ? p.N - first : kEncodeTile;
      block_product(
          staging, n, p.K, p.D, SquareDifference(), [&](int64_t t, int64_t d) { return p.at(b, first + t, d); },
          [&](int64_t d, int64_t k) { return p.codewords[k * p.D + d]; },
          [&](int64_t t, int64_t k, C v) { a[t * p.K + k] = v; });
      __syncthreads();
      encode_assign(p, a, n);
      __syncthreads();
      for (int64_t k = threadIdx.x; k < p.K; k += kBlock)
        for (int64_t t = 0; t < n; ++t) count[k] += a[t * p.K + k];
      block_product(
          staging, p.K, p.D, n, MultiplyValues(), [&](int64_t k, int64_t t) { return a[t * p.K + k]; },
          [&](int64_t t, int64_t d) { return p.centred(b, first + t, d); },
          [&](int64_t k, int64_t d, C v) { sum[k * p.D + d] += v; });
      __syncthreads();
    }
  }
}

template <class T> struct EncodeMerge {
  using C = compute_t<T>;
  T* y;
  const C *sums, *over;
  EncodeProblem<T> p;
  template <class I> __device__ void operator()(I number) const {
    const int64_t d = static_cast<int64_t>(number) % p.D, k = static_cast<int64_t>(number) / p.D % p.K,
                  b = static_cast<int64_t>(number) / p.D / p.K;
    C sum = 0, count = 0;
    for (int64_t piece = b * p.pieces; piece < (b + 1) * p.pieces; ++piece) {
      sum += sums[(piece * p.K + k) * p.D + d];
      count += over[piece * p.K + k];
    }
    y[number] = static_cast<T>(sum - count * p.centred_codeword(k, d));
  }
};

/// sums: of gl x; over: [pieces][3][K] of a, gl and gl d2, where gl is the gradient of the logits.
template <class T>
__global__ void __launch_bounds__(kBlock)
    encode_backward_kernel(EncodeProblem<T> p, T* x_grad, int64_t image, int64_t feature, int64_t channel,
                           compute_t<T>* sums, compute_t<T>* over, const T* g, const compute_t<T>* shifts) {
  using C = compute_t<T>;
  WEFT_SHARED(staging, EncodeStaging<C>);
  WEFT_SHARED(weight, C[kEncodeTile]);
  WEFT_DYN_SHARED(C, dynamic);
  C* const a = p.spill ? p.spill + int64_t{blockIdx.x} * 3 * kEncodeTile * p.K : dynamic;
  C *const d2 = a + kEncodeTile * p.K, *const gl = d2 + kEncodeTile * p.K;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t piece = blockIdx.x; piece < p.B * p.pieces; piece += gridDim.x) {
    const int64_t b = piece / p.pieces, i = piece % p.pieces, KD = p.K * p.D;
    C *sum = sums ? sums + piece * KD : nullptr, *count = over + piece * 3 * p.K;
    const T* const gb = g + b * KD;
    for (int64_t e = threadIdx.x; sum && e < KD; e += kBlock) sum[e] = C(0);
    for (int64_t k = threadIdx.x; k < 3 * p.K; k += kBlock) count[k] = C(0);
    for (int64_t tile = p.tiles() * i / p.pieces; tile < p.tiles() * (i + 1) / p.pieces; ++tile) {
      const int64_t first = tile * kEncodeTile, n = p.N - first < kEncodeTile ? p.N - first : kEncodeTile;
      block_product(
          staging, n, p.K, p.D, SquareDifference(), [&](int64_t t, int64_t d) { return p.at(b, first + t, d); },
          [&](int64_t d, int64_t k) { return p.codewords[k * p.D + d]; },
          [&](int64_t t, int64_t k, C v) { a[t * p.K + k] = d2[t * p.K + k] = v; });
      block_product(
          staging, n, p.K, p.D, MultiplyValues(), [&](int64_t t, int64_t d) { return p.centred(b, first + t, d); },
          [&](int64_t d, int64_t k) { return static_cast<C>(gb[k * p.D + d]); },
          [&](int64_t t, int64_t k, C v) { gl[t * p.K + k] = v - shifts[b * p.K + k]; });
      __syncthreads();
      encode_assign(p, a, n);
      for (int64_t t = warp; t < n; t += kBlock / kWarp) {  // each lane sees what it wrote itself
        C mean = 0, total = 0;
        for (int64_t k = lane; k < p.K; k += kWarp) mean += a[t * p.K + k] * gl[t * p.K + k];
        mean = warp_reduce(mean, AddValues());
        for (int64_t k = lane; k < p.K; k += kWarp) {
          const C v = a[t * p.K + k] * (gl[t * p.K + k] - mean);
          gl[t * p.K + k] = v;
          total += 2 * p.scale[k] * v;
        }
        total = warp_reduce(total, AddValues());
        if (lane == 0) weight[t] = total;
      }
      __syncthreads();
      for (int64_t k = threadIdx.x; k < p.K; k += kBlock)
        for (int64_t t = 0; t < n; ++t) {
          count[k] += a[t * p.K + k];
          count[p.K + k] += gl[t * p.K + k];
          count[2 * p.K + k] += gl[t * p.K + k] * d2[t * p.K + k];
        }
      if (sum)
        block_product(
            staging, p.K, p.D, n, MultiplyValues(), [&](int64_t k, int64_t t) { return gl[t * p.K + k]; },
            [&](int64_t t, int64_t d) { return p.centred(b, first + t, d); },
            [&](int64_t k, int64_t d, C v) { sum[k * p.D + d] += v; });
      if (x_grad)  // a^T g - (2 s gl)^T c + x sum_k 2 s gl
        block_product(
            staging, n, p.D, 2 * p.K, MultiplyValues(),
            [&](int64_t t, int64_t j) { return j < p.K ? a[t * p.K + j] : gl[t * p.K + j - p.K]; },
            [&](int64_t j, int64_t d) {
              return j < p.K ? static_cast<C>(gb[j * p.D + d]) : -2 * p.scale[j - p.K] * p.centred_codeword(j - p.K, d);
            },
            [&](int64_t t, int64_t d, C v) {
              x_grad[b * image + (first + t) * feature + d * channel] = static_cast<T>(
                  v + weight[t] * p.centred(b, first + t, d));
            });
      __syncthreads();
    }
  }
}

/// codewords_grad = sum over images of 2 s (sum gl) c - (sum a) g - 2 s sum gl x
template <class T> struct EncodeCodewordsGrad {
  using C = compute_t<T>;
  C* grad;
  const C *sums, *over;
  const T* g;
  EncodeProblem<T> p;
  template <class I> __device__ void operator()(I number) const {
    const int64_t d = static_cast<int64_t>(number) % p.D, k = static_cast<int64_t>(number) / p.D;
    const C c = p.centred_codeword(k, d), s = 2 * p.scale[k];
    C all = 0;
    for (int64_t b = 0; b < p.B; ++b) {
      C sum = 0, a = 0, gl = 0;
      for (int64_t piece = b * p.pieces; piece < (b + 1) * p.pieces; ++piece) {
        sum += sums[(piece * p.K + k) * p.D + d];
        a += over[piece * 3 * p.K + k];
        gl += over[piece * 3 * p.K + p.K + k];
      }
      all += s * (gl * c - sum) - a * static_cast<C>(g[(b * p.K + k) * p.D + d]);
    }
    grad[number] = all;
  }
};

/// The problem of a call, and the memory that it needs.
template <class T> struct EncodeCall {
  using C = compute_t<T>;
  EncodeProblem<T> p;
  Scratch centre, spill;
  unsigned grid;
  size_t shared;

  /// `tiles`: how many of [32][K] a block keeps.
  EncodeCall(const TensorRef& x, const TensorRef& codewords, const TensorRef& scale, int tiles) {
    p = {.B = x.size(0),
         .N = x.size(1),
         .D = x.size(2),
         .K = codewords.size(0),
         .pieces = 1,
         .x = x.as<T>(),
         .image = x.stride(0),
         .feature = x.stride(1),
         .channel = x.stride(2),
         .codewords = codewords.as<C>(),
         .scale = scale.as<C>(),
         .centre = nullptr,
         .spill = nullptr};
    const int64_t most = ceil_div(p.N, kEncodeTile), wanted = ceil_div(kEncodePieces, p.B);
    p.pieces = wanted < most ? wanted : most;
    centre.reset(static_cast<size_t>(p.D) * sizeof(C));
    p.centre = centre.as<C>();
    for_each_number(p.D, EncodeColumn<C>{centre.as<C>(), p.codewords, p.K, p.D, static_cast<double>(p.K)});
    grid = grid_for(p.B * p.pieces, 1);
    shared = static_cast<size_t>(tiles * kEncodeTile * p.K) * sizeof(C);
    if (static_cast<int64_t>(shared + sizeof(EncodeStaging<C>)) <= kEncodeShared) return;
    spill.reset(shared * grid);
    p.spill = spill.as<C>();
    shared = 0;
  }
  size_t parts(int64_t of_each) const { return static_cast<size_t>(p.B * p.pieces * of_each) * sizeof(C); }
};

inline void encode(const MutTensorRef& y, const TensorRef& x, const TensorRef& codewords, const TensorRef& scale) {
  dispatch_floating(x.dtype, "encode", [&]<class T> {
    using C = compute_t<T>;
    const EncodeCall<T> call(x, codewords, scale, 1);
    const Scratch sums(call.parts(call.p.K * call.p.D)), over(call.parts(call.p.K));
    launch(encode_kernel<T>, call.grid, kBlock, call.shared, call.p, sums.as<C>(), over.as<C>());
    for_each_number(y.numel, EncodeMerge<T>{y.as_mut<T>(), sums.as<C>(), over.as<C>(), call.p});
  });
}

inline void encode_backward(const MutTensorRef& x_grad, const MutTensorRef& codewords_grad,
                            const MutTensorRef& scale_grad, const TensorRef& g, const TensorRef& x,
                            const TensorRef& codewords, const TensorRef& scale) {
  dispatch_floating(x.dtype, "encode_backward", [&]<class T> {
    using C = compute_t<T>;
    const EncodeCall<T> call(x, codewords, scale, 3);
    const auto& p = call.p;
    const Scratch sums(codewords_grad.defined() ? call.parts(p.K * p.D) : 0), over(call.parts(3 * p.K)),
        shifts(static_cast<size_t>(p.B * p.K) * sizeof(C));
    for_each_number(p.B * p.K, EncodeShifts<T>{shifts.as<C>(), g.as<T>(), p});
    const bool wanted = x_grad.defined();
    launch(encode_backward_kernel<T>, call.grid, kBlock, call.shared, p, x_grad.as_mut<T>(),
           wanted ? x_grad.stride(0) : 0, wanted ? x_grad.stride(1) : 0, wanted ? x_grad.stride(2) : 0, sums.as<C>(),
           over.as<C>(), g.as<T>(), shifts.as<C>());
    if (codewords_grad.defined())
      for_each_number(p.K * p.D,
                      EncodeCodewordsGrad<T>{codewords_grad.as_mut<C>(), sums.as<C>(), over.as<C>(), g.as<T>(), p});
    if (scale_grad.defined())
      for_each_number(p.K, EncodeColumn<C>{scale_grad.as_mut<C>(), over.as<C>() + 2 * p.K, p.B * p.pieces, 3 * p.K, 1});
  });
}

}  // namespace weft::cuda
