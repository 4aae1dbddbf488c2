// softmax and log-softmax along any axis. Rows of f32 and of halves that lie side by side stay in registers up to 4,096
// elements: up to 1,024 a warp has one, above that a block; longer ones a block reads twice. Other lines are shared by
// as many threads as suit them; one that fits shared memory is read once.
#pragma once

#include "weft/backends/cuda/lines.cuh"
#include "weft/backends/cuda/row_walk.cuh"
#include "weft/core/dtype.h"
#include "weft/core/fn/math.h"

namespace weft::cuda {

/// `cached`: each thread keeps the elements that it reads in dynamic shared memory (at their places: no other one
/// looks).
template <class T>
__global__ void __launch_bounds__(kBlock)
    softmax_kernel(T* y, const T* x, Lines<2> l, LineThreads threads, int per_block, bool log, bool cached) {
  using C = compute_t<T>;
  WEFT_SHARED(shared, C[kBlock]);
  WEFT_DYN_SHARED(C, cache);
  C* const mine = cached ? cache + threads.line() * l.length : nullptr;
  for (int64_t first = int64_t{blockIdx.x} * per_block; first < l.lines; first += int64_t{gridDim.x} * per_block) {
    const int64_t line = first + threads.line(), length = line < l.lines ? l.length : 0;
    int64_t at[2] = {};
    if (length) l.outer.offsets(line, at);
    C top = fn::lowest<C>(), sum = 0;
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      const C v = static_cast<C>(x[at[0] + i * l.stride[0]]);
      if (cached) mine[i] = v;
      top = v > top ? v : top;  // a NaN comes back through the sum
    }
    top = threads.reduce(top, GreaterValue(), shared);
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      const C v = fn::exp((cached ? mine[i] : static_cast<C>(x[at[0] + i * l.stride[0]])) - top);
      if (cached && !log) mine[i] = v;
      sum += v;
    }
    sum = threads.reduce(sum, AddValues(), shared);
    const C shift = log ? fn::log(sum) : C(0), scale = log ? C(0) : C(1) / sum;
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      C v = cached ? mine[i] : static_cast<C>(x[at[0] + i * l.stride[0]]);
      if (log) v = v - top - shift;
      else v = (cached ? v : fn::exp(v - top)) * scale;
      y[at[1] + i * l.stride[1]] = static_cast<T>(v);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    softmax_grad_kernel(T* dx, const T* g, const T* y, Lines<3> l, LineThreads threads, int per_block, bool log) {
  using C = compute_t<T>;
  WEFT_SHARED(shared, C[kBlock]);
  for (int64_t first = int64_t{blockIdx.x} * per_block; first < l.lines; first += int64_t{gridDim.x} * per_block) {
    const int64_t line = first + threads.line(), length = line < l.lines ? l.length : 0;
    int64_t at[3] = {};
    if (length) l.outer.offsets(line, at);
    C sum = 0;
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      const C v = static_cast<C>(g[at[0] + i * l.stride[0]]);
      sum += log ? v : v * static_cast<C>(y[at[1] + i * l.stride[1]]);
    }
    sum = threads.reduce(sum, AddValues(), shared);
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      const C v = static_cast<C>(g[at[0] + i * l.stride[0]]), p = static_cast<C>(y[at[1] + i * l.stride[1]]);
      dx[at[2] + i * l.stride[2]] = static_cast<T>(log ? v - fn::exp(p) * sum : (v - sum) * p);
    }
  }
}

// Rows ----------------------------------------------------------------------------------------------------------------

/// A row's greatest element and the sum of exp(x - top), and how those of two parts merge. A NaN stays in the sum; of
/// -inf alone the sum is 0.
template <class C> struct Softmax { C top, sum; };
struct MergeSoftmax {
  template <class C> __device__ WEFT_INLINE Softmax<C> operator()(const Softmax<C>& a, const Softmax<C>& b) const {
    const C top = b.top > a.top ? b.top : a.top;
    return {top, scaled(a, top) + scaled(b, top)};
  }

 private:
  template <class C> static __device__ WEFT_INLINE C scaled(const Softmax<C>& a, C top) {
    return a.top == top ? a.sum : a.sum * fn::exp(a.top - top);
  }
};

/// What an element becomes once the row's numbers are known.
template <class C> struct SoftmaxResult {
  C top, shift, scale;
  bool log;
  __device__ WEFT_INLINE SoftmaxResult(C t, C sum, bool l)
      : top(t), shift(l ? fn::log(sum) : C(0)), scale(l ? C(0) : C(1) / sum), log(l) {}
};

/// A row of up to Threads * E elements, in registers.
template <class T, int V, int Threads, int E>
__global__ void __launch_bounds__(kBlock, 2) softmax_kept_kernel(T* y, const T* x, Lines<2> l, bool log) {
  using C = compute_t<T>;
  constexpr int kPacks = E / V, kSums = E < 8 ? E : 8;
  WEFT_SHARED(shared, C[kBlock / kWarp]);
  const ThreadGroup<Threads> threads;
  const auto length = static_cast<int>(l.length);
  for (int64_t line = int64_t{blockIdx.x} * threads.kPerBlock + threads.index; line < l.lines;
       line += int64_t{gridDim.x} * threads.kPerBlock) {
    int64_t at[2];
    l.outer.offsets(line, at);
    C v[E];  // past the end: -inf, which is 0 in the sum
    WEFT_UNROLL
    for (int i = 0; i < kPacks; ++i) {
      const int c = (i * Threads + threads.rank) * V;
      Pack<T, V> here;
      if (c < length) here = load<V>(x, at[0] + c);
      WEFT_UNROLL
      for (int j = 0; j < V; ++j) v[i * V + j] = c < length ? static_cast<C>(here.v[j]) : fn::lowest<C>();
    }
    C tops[kSums], sums[kSums];
    WEFT_UNROLL
    for (int k = 0; k < kSums; ++k) tops[k] = v[k], sums[k] = C(0);
    WEFT_UNROLL
    for (int k = kSums; k < E; ++k) tops[k % kSums] = GreaterValue()(tops[k % kSums], v[k]);
    WEFT_UNROLL
    for (int k = 1; k < kSums; ++k) tops[0] = GreaterValue()(tops[0], tops[k]);
    const C top = threads.reduce(tops[0], GreaterValue(), shared);
    WEFT_UNROLL
    for (int k = 0; k < E; ++k) {
      const C p = fn::exp(v[k] - top);
      sums[k % kSums] += p;
      if (!log) v[k] = p;
    }
    const SoftmaxResult<C> r(top, threads.reduce(sum_pairs(sums), AddValues(), shared), log);
    WEFT_UNROLL
    for (int i = 0; i < kPacks; ++i) {
      const int c = (i * Threads + threads.rank) * V;
      Pack<T, V> out;
      WEFT_UNROLL
      for (int j = 0; j < V; ++j)
        out.v[j] = static_cast<T>(log ? v[i * V + j] - r.top - r.shift : v[i * V + j] * r.scale);
      if (c < length) store(y, at[1] + c, out);
    }
  }
}

/// A block's row of any length.
template <class T, int V>
__global__ void __launch_bounds__(kBlock) softmax_block_kernel(T* y, const T* x, Lines<2> l, bool log) {
  using C = compute_t<T>;
  WEFT_SHARED(shared, Softmax<C>[kBlock / kWarp]);
  const ThreadGroup<kBlock> threads;
  for (int64_t line = blockIdx.x; line < l.lines; line += gridDim.x) {
    int64_t at[2];
    l.outer.offsets(line, at);
    const RowShare<T, V, kBlock, 0, 1> row(threads, l.length, {x + at[0]});
    Softmax<C> mine{fn::lowest<C>(), C(0)};
    row.each([&](int64_t, const auto& p) {
      C v[V];
      Softmax<C> here{mine.top, C(0)};
      WEFT_UNROLL
      for (int j = 0; j < V; ++j) {
        v[j] = static_cast<C>(p[0].v[j]);
        here.top = GreaterValue()(here.top, v[j]);
      }
      const C from = here.top == fn::lowest<C>() ? C(0) : here.top;
      WEFT_UNROLL
      for (int j = 0; j < V; ++j) v[j] = fn::exp(v[j] - from);
      here.sum = sum_pairs(v);
      mine = MergeSoftmax()(mine, here);
    });
    const Softmax<C> all = threads.reduce(mine, MergeSoftmax(), shared);
    const SoftmaxResult<C> r(all.top, all.sum, log);
    row.each([&](int64_t c, const auto& p) {
      Pack<T, V> out;
      WEFT_UNROLL
      for (int j = 0; j < V; ++j) {
        const C d = static_cast<C>(p[0].v[j]) - r.top;
        out.v[j] = static_cast<T>(log ? d - r.shift : fn::exp(d) * r.scale);
      }
      store(y, at[1] + c, out);
    });
  }
}

/// dx = (g - sum g y) y, or of log-softmax g - exp(y) sum g.
template <class T, int V, int Threads, int Packs>
__global__ void __launch_bounds__(kBlock)
    softmax_grad_rows_kernel(T* dx, const T* g, const T* y, Lines<3> l, bool log) {
  using C = compute_t<T>;
  WEFT_SHARED(shared, Pair<C>[kBlock / kWarp]);
  const ThreadGroup<Threads> threads;
  for (int64_t line = int64_t{blockIdx.x} * threads.kPerBlock + threads.index; line < l.lines;
       line += int64_t{gridDim.x} * threads.kPerBlock) {
    int64_t at[3];
    l.outer.offsets(line, at);
    const RowShare<T, V, Threads, Packs, 2> row(threads, l.length, {g + at[0], y + at[1]});
    const C sum = row.sums(shared,
                           [&](int64_t, const auto& p, auto& terms) {
                             WEFT_UNROLL
                             for (int j = 0; j < V; ++j) {
                               const C v = static_cast<C>(p[0].v[j]);
                               terms[j].a = log ? v : v * static_cast<C>(p[1].v[j]);
                             }
                           })
                      .a;
    row.each([&](int64_t c, const auto& p) {
      Pack<T, V> out;
      WEFT_UNROLL
      for (int j = 0; j < V; ++j) {
        const C v = static_cast<C>(p[0].v[j]), q = static_cast<C>(p[1].v[j]);
        out.v[j] = static_cast<T>(log ? v - fn::exp(q) * sum : (v - sum) * q);
      }
      store(dx, at[2] + c, out);
    });
  }
}

/// Rows for the kernels above: long enough, their elements side by side.
template <class T, int N> bool are_rows(const Lines<N>& l) {
  bool side_by_side = !std::is_same_v<T, double> && l.length > 2 * kWarp;
  for (int k = 0; k < N; ++k) side_by_side = side_by_side && l.stride[k] == 1;
  return side_by_side;
}
/// f.operator()<V>() with the elements of a pack that every row can be read in.
template <class T, int N, class F>
void with_packs(const Lines<N>& l, std::initializer_list<const void*> pointers, const F& f) {
  int64_t all = l.length;
  for (int k = 0; k < N; ++k)
    for (int i = 0; i < l.outer.rank; ++i) all |= l.outer.strides[k][i];
  if (packs_fit<T>(all, pointers)) f.template operator()<16 / sizeof(T)>();
  else f.template operator()<1>();
}

template <class T> void run_softmax(const MutTensorRef& y, const TensorRef& x, int dim, bool log) {
  if (x.numel == 0) return;
  const Lines<2> l({&x, &y}, dim);
  if constexpr (!std::is_same_v<T, double>) {
    if (are_rows<T>(l)) {
      const auto start = [&](auto kernel, int threads) {
        launch(kernel, grid_for(l.lines, kBlock / threads), kBlock, 0, y.as_mut<T>(), x.as<T>(), l, log);
      };
      return with_packs<T>(l, {x.data, y.data}, [&]<int V> {
        if (l.length <= 8 * kWarp) start(softmax_kept_kernel<T, V, kWarp, 8>, kWarp);
        else if (l.length <= 32 * kWarp) start(softmax_kept_kernel<T, V, kWarp, 32>, kWarp);
        else if (l.length <= 16 * kBlock) start(softmax_kept_kernel<T, V, kBlock, 16>, kBlock);
        else start(softmax_block_kernel<T, V>, kBlock);
      });
    }
  }
  const LineThreads threads = LineThreads::of(l);
  const int64_t bytes = l.length * threads.per_block() * static_cast<int64_t>(sizeof(compute_t<T>));
  const bool cached = bytes <= 32 << 10;
  launch(softmax_kernel<T>, grid_for(l.lines, threads.per_block()), kBlock, cached ? static_cast<size_t>(bytes) : 0,
         y.as_mut<T>(), x.as<T>(), l, threads, threads.per_block(), log, cached);
}

template <class T>
void run_softmax_grad(const MutTensorRef& dx, const TensorRef& g, const TensorRef& y, int dim, bool log) {
  if (y.numel == 0) return;
  const Lines<3> l({&g, &y, &dx}, dim);
  if constexpr (!std::is_same_v<T, double>) {
    if (are_rows<T>(l)) {
      const auto start = [&](auto kernel, int threads) {
        launch(kernel, grid_for(l.lines, kBlock / threads), kBlock, 0, dx.as_mut<T>(), g.as<T>(), y.as<T>(), l, log);
      };
      return with_packs<T>(l, {g.data, y.data, dx.data}, [&]<int V> {
        constexpr int kPacks = V > 1 ? 32 / V : 8;
        if (l.length <= kPacks * V * kWarp) start(softmax_grad_rows_kernel<T, V, kWarp, kPacks>, kWarp);
        else start(softmax_grad_rows_kernel<T, V, kBlock, 0>, kBlock);
      });
    }
  }
  const LineThreads threads = LineThreads::of(l);
  launch(softmax_grad_kernel<T>, grid_for(l.lines, threads.per_block()), kBlock, 0, dx.as_mut<T>(), g.as<T>(),
         y.as<T>(), l, threads, threads.per_block(), log);
}

}  // namespace weft::cuda
