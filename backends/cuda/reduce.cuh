// Reductions over any axes of a tensor with any strides. Where there are few results of many elements each, the
// elements are divided into parts first and the parts merged by a second launch; how many depends on the sizes alone,
// so that the same input gives the same bits on every card.
//
// What is reduced is said by an operation (copied into the kernel):
//   using Value, Accumulator;     // Value: float, double or int64_t, what elements are read as; copied as bytes
//   Accumulator init() const;
//   Accumulator step(Accumulator, Value x, int64_t index) const;   // index: of x among the reduced elements
//   Accumulator merge(Accumulator, Accumulator) const;
//   void write(int64_t result, Accumulator) const;       // results are numbered in the order of the kept axes
#pragma once

#include <algorithm>

#include "weft/backends/cuda/block.cuh"
#include "weft/backends/cuda/packs.cuh"
#include "weft/core/dtype.h"
#include "weft/core/fn/axes.h"
#include "weft/core/fn/reduce.h"
#include "weft/core/tensor_ref.h"

namespace weft::cuda {

/// What a reduction walks over: `outer` (kept) and `inner` (reduced) axes of the input.
struct ReduceShape {
  fn::FastAxes<1> outer, inner;
  int64_t results, count;  // how many, and of how many elements each
  int64_t parts, per_part;
  bool packed;  // elements (rows) or results (columns) can be read in packs
};

// Steps that one accumulator takes before it is merged into the next: rounding errors grow with the square root of the
// count.
inline constexpr int kRun = 16, kUnroll = 4;
/// Elements that are read at once: 16 bytes, or eight numbers.
inline constexpr int kMostPack = 8;
constexpr int reduce_pack(size_t size) { return size < 2 ? kMostPack : static_cast<int>(16 / size); }

/// Elements that are read as C: f32, bf16 and f16 as float, all floats as double, all integers and bool as int64_t. A
/// kernel per dtype would be four times as many; the switch costs nothing beside the memory.
template <class C> struct ReduceInput {
  const void* data;
  Dtype dtype;
  /// f.operator()<X>() with the type of the elements.
  template <class F> __device__ WEFT_INLINE void with_type(const F& f) const {
    if constexpr (std::is_same_v<C, int64_t>) {
      if (dtype == Dtype::i64) f.template operator()<int64_t>();
      else if (dtype == Dtype::i32) f.template operator()<int32_t>();
      else if (dtype == Dtype::u8) f.template operator()<uint8_t>();
      else if (dtype == Dtype::i8) f.template operator()<int8_t>();
      else if (dtype == Dtype::i16) f.template operator()<int16_t>();
      else if (dtype == Dtype::u16) f.template operator()<uint16_t>();
      else f.template operator()<bool>();
    } else {
      if constexpr (std::is_same_v<C, double>)
        if (dtype == Dtype::f64) return f.template operator()<double>();
      if (dtype == Dtype::f32) f.template operator()<float>();
      else if (dtype == Dtype::bf16) f.template operator()<bf16>();
      else f.template operator()<f16>();
    }
  }
  template <class X> static __device__ WEFT_INLINE C value(X v) { return static_cast<C>(static_cast<compute_t<X>>(v)); }
  /// v[k] = element at + k * step.
  template <int K> __device__ WEFT_INLINE void load(C (&v)[K], int64_t at, int64_t step) const {
    with_type([&]<class X> {
      WEFT_UNROLL
      for (int k = 0; k < K; ++k) v[k] = value(static_cast<const X*>(data)[at + k * step]);
    });
  }
  __device__ WEFT_INLINE C at(int64_t i) const {
    C v[1];
    load(v, i, 0);
    return v[0];
  }
};
/// The C of a dtype.
template <class F> void dispatch_reduce(Dtype d, const F& f) {
  if (is_integral(d)) f.template operator()<int64_t>();
  else if (d == Dtype::f64) f.template operator()<double>();
  else f.template operator()<float>();
}

/// acc = elements begin + ... end, which lie side by side: those of thread `rank` of `threads`, in packs.
template <class Op>
__device__ WEFT_INLINE typename Op::Accumulator reduce_packs(const Op& op, const ReduceInput<typename Op::Value>& x,
                                                             int64_t base, int64_t begin, int64_t end, int rank,
                                                             int threads) {
  using A = typename Op::Accumulator;
  A total = op.init();
  x.with_type([&]<class X> {
    constexpr int V = reduce_pack(sizeof(X));
    const X* from = static_cast<const X*>(x.data) + base;
    const int64_t step = int64_t{threads} * V, whole = begin + (end - begin) / V * V;
    const auto take = [&]<int K>(int64_t i) {  // K packs from i on, a step apart
      Pack<X, V> p[K];
      WEFT_UNROLL
      for (int k = 0; k < K; ++k) p[k] = load<V>(from, i + k * step);
      A acc[kUnroll];
      WEFT_UNROLL
      for (int k = 0; k < kUnroll; ++k) acc[k] = op.init();
      WEFT_UNROLL
      for (int k = 0; k < K; ++k) {
        WEFT_UNROLL
        for (int v = 0; v < V; ++v)
          acc[(k * V + v) % kUnroll] = op.step(acc[(k * V + v) % kUnroll], x.value(p[k].v[v]), i + k * step + v);
      }
      total = op.merge(total, op.merge(op.merge(acc[0], acc[1]), op.merge(acc[2], acc[3])));
    };
    int64_t i = begin + int64_t{rank} * V;
    for (; i + (kUnroll - 1) * step < whole; i += kUnroll * step) take.template operator()<kUnroll>(i);
    WEFT_NO_UNROLL
    for (; i < whole; i += step) take.template operator()<1>(i);
    for (i = whole + rank; i < end; i += threads) total = op.step(total, x.value(from[i]), i);
  });
  return total;
}

/// acc = elements begin, begin + by, ... below end, counted from `base`.
template <class Op>
__device__ WEFT_INLINE typename Op::Accumulator reduce_range(const Op& op, const ReduceInput<typename Op::Value>& x,
                                                             int64_t base, const fn::FastAxes<1>& axes, int64_t begin,
                                                             int64_t end, int64_t by) {
  using A = typename Op::Accumulator;
  A total = op.init();
  int64_t i = begin;
  if (axes.rank <= 1) {
    const int64_t stride = axes.inner(0);
    while (i + (kUnroll - 1) * by < end) {
      A acc[kUnroll];
      for (int k = 0; k < kUnroll; ++k) acc[k] = op.init();
      WEFT_NO_UNROLL
      for (int run = 0; run < kRun && i + (kUnroll - 1) * by < end; ++run, i += kUnroll * by) {
        typename Op::Value v[kUnroll];
        x.load(v, base + i * stride, by * stride);
        for (int k = 0; k < kUnroll; ++k) acc[k] = op.step(acc[k], v[k], i + k * by);
      }
      total = op.merge(total, op.merge(op.merge(acc[0], acc[1]), op.merge(acc[2], acc[3])));
    }
    for (; i < end; i += by) total = op.step(total, x.at(base + i * stride), i);
    return total;
  }
  while (i < end) {
    A acc = op.init();
    WEFT_NO_UNROLL
    for (int run = 0; run < kRun && i < end; ++run, i += by) {
      int64_t at[1];
      axes.offsets(i, at);
      acc = op.step(acc, x.at(base + at[0]), i);
    }
    total = op.merge(total, acc);
  }
  return total;
}

/// The fastest axis is reduced: `lanes` (a power of two; or the whole block) threads share a result, or a part of one.
template <class Op>
__global__ void __launch_bounds__(kBlock, 2)
    reduce_rows(Op op, ReduceInput<typename Op::Value> x, ReduceShape s, typename Op::Accumulator* partial, int lanes) {
  using A = typename Op::Accumulator;
  WEFT_SHARED(shared, A[kBlock / kWarp]);
  const auto merge = [&](const A& a, const A& b) { return op.merge(a, b); };
  const int thread = static_cast<int>(threadIdx.x), per_block = kBlock / lanes, lane = thread % lanes;
  const int64_t units = s.results * s.parts;
  for (int64_t first = int64_t{blockIdx.x} * per_block; first < units; first += int64_t{gridDim.x} * per_block) {
    const int64_t unit = first + thread / lanes, result = unit / s.parts, part = unit % s.parts;
    A acc = op.init();
    if (unit < units) {
      int64_t base[1];
      s.outer.offsets(result, base);
      const int64_t begin = part * s.per_part, end = begin + s.per_part < s.count ? begin + s.per_part : s.count;
      acc = s.packed ? reduce_packs(op, x, base[0], begin, end, lane, lanes)
                     : reduce_range(op, x, base[0], s.inner, begin + lane, end, lanes);
    }
    acc = lanes == kBlock ? block_reduce(acc, merge, shared) : warp_reduce(acc, merge, lanes);
    if (unit < units && lane == 0) {
      if (partial) partial[unit] = acc;
      else op.write(result, acc);
    }
  }
}

/// The fastest axis stays: threads side by side take results side by side; `width` of them, the others take other
/// elements.
template <class Op>
__global__ void __launch_bounds__(kBlock, 2) reduce_columns(Op op, ReduceInput<typename Op::Value> x, ReduceShape s,
                                                            typename Op::Accumulator* partial, int width) {
  using A = typename Op::Accumulator;
  WEFT_SHARED(shared, A[kBlock]);
  const auto merge = [&](const A& a, const A& b) { return op.merge(a, b); };
  const int thread = static_cast<int>(threadIdx.x), column = thread % width, row = thread / width,
            rows = kBlock / width;
  const int64_t tiles = ceil_div(s.results, width), units = tiles * s.parts;
  for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
    const int64_t result = unit % tiles * width + column, part = unit / tiles;
    A acc = op.init();
    if (result < s.results) {
      int64_t base[1];
      s.outer.offsets(result, base);
      const int64_t begin = part * s.per_part, end = begin + s.per_part < s.count ? begin + s.per_part : s.count;
      acc = reduce_range(op, x, base[0], s.inner, begin + row, end, rows);
    }
    acc = tree_reduce(acc, merge, shared + thread, row, rows, width);
    if (row == 0 && result < s.results) {
      if (partial) partial[result * s.parts + part] = acc;
      else op.write(result, acc);
    }
    __syncthreads();
  }
}

/// The same, each thread with a pack of results side by side; of one reduced axis, and accumulators that are numbers:
/// of wider ones a pack leaves the registers.
template <class Op> inline constexpr bool kColumnPacks = sizeof(typename Op::Accumulator) <= 8;
template <class Op>
__global__ void __launch_bounds__(kBlock, 2)
    reduce_column_packs(Op op, ReduceInput<typename Op::Value> x, ReduceShape s, typename Op::Accumulator* partial,
                        int width, int pack) {
  using A = typename Op::Accumulator;
  WEFT_SHARED(shared, A[kBlock * kMostPack]);
  const auto merge = [&](const A& a, const A& b) { return op.merge(a, b); };
  const int thread = static_cast<int>(threadIdx.x), column = thread % width, row = thread / width,
            rows = kBlock / width, side = width * pack;
  const int64_t tiles = ceil_div(s.results, side), units = tiles * s.parts, stride = s.inner.inner(0);
  for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
    const int64_t part = unit / tiles, first = (unit - part * tiles) * side, result = first + column * pack;
    const int64_t begin = part * s.per_part, end = begin + s.per_part < s.count ? begin + s.per_part : s.count;
    int64_t base[1] = {};
    if (result < s.results) s.outer.offsets(result, base);
    x.with_type([&]<class X> {
      constexpr int V = reduce_pack(sizeof(X));
      const X* from = static_cast<const X*>(x.data) + base[0];
      Several<A, V> total;
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) total.v[v] = op.init();
      for (int64_t i = result < s.results ? begin + row : end; i < end;) {
        Several<A, V> acc;
        WEFT_UNROLL
        for (int v = 0; v < V; ++v) acc.v[v] = op.init();
        WEFT_NO_UNROLL
        for (int run = 0; run < kRun && i < end; run += kUnroll) {
          Pack<X, V> p[kUnroll];
          WEFT_UNROLL
          for (int k = 0; k < kUnroll; ++k) p[k] = load<V>(from, (i + k * rows < end ? i + k * rows : i) * stride);
          WEFT_UNROLL
          for (int k = 0; k < kUnroll; ++k, i += rows) {
            if (i >= end) continue;
            WEFT_UNROLL
            for (int v = 0; v < V; ++v) acc.v[v] = op.step(acc.v[v], x.value(p[k].v[v]), i);
          }
        }
        total = MergeEach<decltype(merge)>{merge}(total, acc);
      }
      tree_reduce(total, MergeEach<decltype(merge)>{merge}, reinterpret_cast<Several<A, V>*>(shared) + thread, row,
                  rows, width);
    });
    __syncthreads();
    for (int i = thread; i < side && first + i < s.results; i += kBlock) {
      if (partial) partial[(first + i) * s.parts + part] = shared[i];
      else op.write(first + i, shared[i]);
    }
    __syncthreads();
  }
}

/// Merges the parts of each result: a warp per result.
template <class Op>
__global__ void __launch_bounds__(kBlock)
    reduce_parts(Op op, const typename Op::Accumulator* partial, int64_t results, int64_t parts) {
  using A = typename Op::Accumulator;
  const auto merge = [&](const A& a, const A& b) { return op.merge(a, b); };
  const int warps = kBlock / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t first = int64_t{blockIdx.x} * warps; first < results; first += int64_t{gridDim.x} * warps) {
    const int64_t result = first + threadIdx.x / kWarp;
    A acc = op.init();
    if (result < results)
      for (int64_t p = lane; p < parts; p += kWarp) acc = op.merge(acc, partial[result * parts + p]);
    acc = warp_reduce(acc, merge);
    if (result < results && lane == 0) op.write(result, acc);
  }
}

/// Reduces the `inner` axes of x; the order of the `outer` ones numbers the results. x may be empty.
template <class Op>
void run_reduce(const Op& op, const TensorRef& x, const fn::Axes<1>& outer, const fn::Axes<1>& inner) {
  ReduceShape s{outer, inner, outer.count(), inner.count(), 1, 0, false};
  if (s.results == 0) return;
  // Enough parts to fill a large card, none smaller than what is worth a block, the results of both launches still few.
  const auto parts_for = [&](int64_t units) {
    const int64_t most = std::min<int64_t>(1024, s.count / 2048), wanted = ceil_div(1024, units);
    return std::max<int64_t>(1, std::min(most, wanted));
  };
  // A broadcast axis (stride 0) costs nothing to reduce last.
  const bool columns = outer.rank > 0 && inner.rank > 0 && outer.inner(0) < inner.inner(0) && outer.inner(0) != 0;
  // In packs: what is innermost lies side by side, and everything else is a multiple of a pack away.
  const int64_t pack = reduce_pack(itemsize(x.dtype));
  const auto apart = [&](const fn::Axes<1>& axes, int but_inner) {
    int64_t all = 0;
    for (int i = 0; i < axes.rank - but_inner; ++i) all |= axes.strides[0][i];
    return all % pack == 0;
  };
  s.packed = reinterpret_cast<uintptr_t>(x.data) % (static_cast<size_t>(pack) * itemsize(x.dtype)) == 0;
  int width = 1, lanes = kBlock;
  if (columns) {
    s.packed = s.packed && kColumnPacks<Op> && inner.rank == 1 && outer.inner(0) == 1 &&
               outer.inner_size() % pack == 0 && apart(outer, 1) && apart(inner, 0);
    const int64_t side = s.packed ? pack : 1;
    while (width < kWarp && width * side < outer.inner_size()) width *= 2;
    s.parts = parts_for(ceil_div(s.results, width * side));
  } else {
    s.packed = s.packed && inner.rank == 1 && inner.inner(0) == 1 && apart(outer, 0);
    // A warp for each of many rows that are not long; of few rows only if they are short.
    if (s.count < (s.results >= 4096 ? 8192 : kBlock * kUnroll))
      for (lanes = 1; lanes < kWarp && lanes * 2 < s.count;) lanes *= 2;
    s.parts = lanes == kBlock ? parts_for(s.results) : 1;
  }
  s.per_part = fn::round_up(ceil_div(s.count, s.parts), pack);
  const Scratch partial(s.parts > 1 ? static_cast<size_t>(s.results * s.parts) * sizeof(typename Op::Accumulator) : 0);
  auto* parts = partial.template as<typename Op::Accumulator>();
  const ReduceInput<typename Op::Value> data{x.data, x.dtype};
  const bool packs = columns && s.packed;
  if constexpr (kColumnPacks<Op>)
    if (packs)
      launch(reduce_column_packs<Op>, grid_for(ceil_div(s.results, width * pack) * s.parts, 1), kBlock, 0, op, data, s,
             parts, width, static_cast<int>(pack));
  if (columns && !packs)
    launch(reduce_columns<Op>, grid_for(ceil_div(s.results, width) * s.parts, 1), kBlock, 0, op, data, s, parts, width);
  else if (!columns)
    launch(reduce_rows<Op>, grid_for(s.results * s.parts, kBlock / lanes), kBlock, 0, op, data, s, parts, lanes);
  if (s.parts > 1)
    launch(reduce_parts<Op>, grid_for(s.results, kBlock / kWarp), kBlock, 0, op, parts, s.results, s.parts);
}

// ---- The functors of core/fn/reduce.h.

/// Where results go, in any dtype that a C may become.
struct ReduceOutput {
  void* data;
  Dtype dtype;
  fn::FastAxes<1> axes;  // of the output, in the order of the results
  template <class C> __device__ WEFT_INLINE void write(int64_t result, C v) const {
    int64_t at[1];
    axes.offsets(result, at);
    if (dtype == Dtype::boolean) return put<bool>(at[0], v != C(0));
    if constexpr (std::is_same_v<C, float>) {
      if (dtype == Dtype::bf16) return put<bf16>(at[0], bf16(v));
      if (dtype == Dtype::f16) return put<f16>(at[0], f16(v));
    }
    if constexpr (std::is_same_v<C, int64_t>) {
      if (dtype == Dtype::i32) return put<int32_t>(at[0], static_cast<int32_t>(v));
      if (dtype == Dtype::u8 || dtype == Dtype::i8) return put<uint8_t>(at[0], static_cast<uint8_t>(v));
      if (dtype == Dtype::u16 || dtype == Dtype::i16) return put<uint16_t>(at[0], static_cast<uint16_t>(v));
    }
    put<C>(at[0], v);
  }

 private:
  template <class R> __device__ WEFT_INLINE void put(int64_t at, R v) const { static_cast<R*>(data)[at] = v; }
};

/// Sums and products: f32 is accumulated in f64, for digits and for the range of powers.
template <class F>
inline constexpr bool kWidens = std::is_base_of_v<fn::Sum, F> || std::is_base_of_v<fn::Norm2, F> ||
                                std::is_same_v<F, fn::Mean> || std::is_same_v<F, fn::SumAbs> ||
                                std::is_same_v<F, fn::Prod>;

/// A functor F in compute type C.
template <class F, class C> struct ReduceFunctor {
  using Value = C;
  using Accumulator = std::conditional_t<kWidens<F> && std::is_same_v<C, float>, double, C>;
  using A = Accumulator;
  F f;
  ReduceOutput out;
  __device__ WEFT_INLINE A init() const { return f.template init<A>(); }
  __device__ WEFT_INLINE A step(A acc, C x, int64_t) const { return f.template step<A>(acc, static_cast<A>(x)); }
  __device__ WEFT_INLINE A merge(A a, A b) const { return f.template merge<A>(a, b); }
  __device__ WEFT_INLINE void write(int64_t result, A acc) const {
    out.write(result, static_cast<C>(f.template finish<A>(acc)));
  }
};

/// C: see ReduceInput; out's dtype may be any that dispatch_reduce gives the same C, or bool.
template <class F, class C>
void run_reduce_functor(const MutTensorRef& out, const TensorRef& x, uint32_t dims, const F& f) {
  fn::Axes<2> kept;  // of x and out
  fn::Axes<1> reduced;
  int order[kMaxRank];
  const int n = fn::memory_order(order, x.strides, x.rank);
  for (int k = 0; k < n; ++k) {
    const int i = order[k];
    if (dims >> i & 1) reduced.append(x.shape[i], {x.strides[i]});
    else kept.append(x.shape[i], {x.strides[i], out.strides[i]});
  }
  run_reduce(ReduceFunctor<F, C>{f, {out.mut, out.dtype, kept.of(1)}}, x, kept.of(0), reduced);
}

/// The greatest or smallest element and the first place where it is; the first NaN wins.
template <class C> struct Extreme {
  C value;
  int64_t index;  // -1: none yet
};
template <class C> struct ArgExtreme {
  using Value = C;
  using Accumulator = Extreme<C>;
  bool largest;
  ReduceOutput values;  // data may be null
  int64_t* indices;
  fn::FastAxes<1> indices_axes;

  __device__ WEFT_INLINE Accumulator init() const { return {C(0), -1}; }
  __device__ WEFT_INLINE Accumulator step(Accumulator a, C x, int64_t index) const { return merge(a, {x, index}); }
  __device__ WEFT_INLINE Accumulator merge(Accumulator a, Accumulator b) const {
    if (a.index < 0) return b;
    if (b.index < 0) return a;
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan ? a : b;
    if (!a_nan && a.value != b.value) return (a.value > b.value) == largest ? a : b;
    return a.index < b.index ? a : b;
  }
  __device__ WEFT_INLINE void write(int64_t result, Accumulator acc) const {
    int64_t at[1];
    indices_axes.offsets(result, at);
    indices[at[0]] = acc.index;
    if (values.data) values.write(result, acc.value);
  }
};
template <class C>
void run_arg_extreme(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim,
                     bool largest) {
  if (x.numel == 0) return;
  const MutTensorRef& v = values.defined() ? values : indices;
  const auto kept = fn::axes_of<3>(x.shape, {x.strides, v.strides, indices.strides}, x.rank, dim);
  fn::Axes<1> reduced;
  if (x.rank > 0) reduced.append(x.shape[dim], {x.strides[dim]});
  run_reduce(ArgExtreme<C>{largest, {values.mut, values.dtype, kept.of(1)}, indices.as_mut<int64_t>(), kept.of(2)}, x,
             kept.of(0), reduced);
}

}  // namespace weft::cuda
