// Multi-tensor steps: one launch for all tensors of a list. A block takes a chunk of one tensor and finds it by
// bisection; the list goes to the device once per call.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "weft/backends/cuda/block.cuh"
#include "weft/backends/cuda/packs.cuh"
#include "weft/core/fn/optim.h"
#include "weft/core/tensor_ref.h"

namespace weft::cuda {

/// Elements of a chunk: several steps of a block.
inline constexpr int64_t kListChunk = 8192;

/// Entries and the number of each one's first chunk, on the device.
template <class E> struct List {
  const E* entry;
  const int64_t* first;  // count + 1 of them
  int32_t count;
};

/// A List in memory, with what else the kernel wants of the host (`more`, 16-byte aligned).
template <class E> class ListUpload {
 public:
  ListUpload(std::span<const E> table, const void* more = nullptr, size_t more_bytes = 0)
      : chunks_(0), more_at_((table.size_bytes() + (table.size() + 1) * sizeof(int64_t) + 15) / 16 * 16) {
    // as large as the last call's: no allocation in a steady state
    static thread_local std::vector<unsigned char> host;
    host.resize(more_at_ + more_bytes);
    unsigned char* p = host.data();
    if (!table.empty()) std::memcpy(p, table.data(), table.size_bytes());
    p += table.size_bytes();
    for (const E& e : table) {
      std::memcpy(p, &chunks_, sizeof chunks_);
      p += sizeof chunks_;
      chunks_ += ceil_div(e.numel, kListChunk);
    }
    std::memcpy(p, &chunks_, sizeof chunks_);
    if (more_bytes) std::memcpy(host.data() + more_at_, more, more_bytes);
    if (chunks_ == 0) return;
    memory_.emplace(host.data(), host.size());
    const unsigned char* device = memory_->template as<unsigned char>();
    list_ = {reinterpret_cast<const E*>(device), reinterpret_cast<const int64_t*>(device + table.size_bytes()),
             static_cast<int32_t>(table.size())};
  }
  int64_t chunks() const { return chunks_; }
  const List<E>& list() const { return list_; }
  template <class T> const T* more() const {
    return reinterpret_cast<const T*>(memory_->template as<unsigned char>() + more_at_);
  }

 private:
  int64_t chunks_;
  size_t more_at_;
  std::optional<Upload> memory_;
  List<E> list_{};
};

/// The entry that chunk c belongs to, and its elements [begin, end) there.
struct Piece {
  int32_t entry;
  int64_t begin, end;
};
template <class E> __device__ WEFT_INLINE Piece piece_of(const List<E>& list, int64_t chunk) {
  int32_t low = 0, high = list.count;  // first[low] <= chunk < first[high]; empty entries have no chunk
  while (high - low > 1) {
    const int32_t middle = (low + high) / 2;
    if (list.first[middle] <= chunk) low = middle;
    else high = middle;
  }
  const int64_t begin = (chunk - list.first[low]) * kListChunk, rest = list.entry[low].numel - begin;
  return {low, begin, begin + (rest < kListChunk ? rest : kListChunk)};
}

// Optimiser step ------------------------------------------------------------------------------------------------------

/// V elements from i on.
template <int V, class F, class P>
__device__ WEFT_INLINE void step_elements(const fn::StepEntry& e, const F& f, const double* scale, int64_t i) {
  using T = compute_t<P>;
  constexpr bool half = !std::is_same_v<P, T>;
  using Values = Pack<T, V>;
  using Stored = Pack<P, V>;
  const auto at = [i](void* p) { return reinterpret_cast<Values*>(static_cast<T*>(p) + i); };
  Values p = *at(e.master), s[3];
  const Stored g = *reinterpret_cast<const Stored*>(static_cast<const P*>(e.grad) + i);
  for (int k = 0; k < 3; ++k) {
    if (F::states >> k & 1) s[k] = *at(e.state[k]);
    else
      for (int j = 0; j < V; ++j) s[k].v[j] = T(0);
  }
  for (int j = 0; j < V; ++j) f(p.v[j], static_cast<T>(g.v[j]), s[0].v[j], s[1].v[j], s[2].v[j], scale);
  *at(e.master) = p;
  if constexpr (half) {
    Stored rounded;
    for (int j = 0; j < V; ++j) rounded.v[j] = static_cast<P>(p.v[j]);
    *reinterpret_cast<Stored*>(static_cast<P*>(e.param) + i) = rounded;
  }
  for (int k = 0; k < 3; ++k)
    if (F::states >> k & 1) *at(e.state[k]) = s[k];
}

template <class F, class P>
__device__ WEFT_INLINE void step_piece(const fn::StepEntry& e, const F& f, const Piece& piece, int me, int threads) {
  using T = compute_t<P>;
  constexpr int V = 16 / sizeof(T);
  // by value: the compiler must not fear that writing a parameter changes the entry
  const double scale[3] = {e.scale[0], e.scale[1], e.scale[2]};
  uintptr_t all = reinterpret_cast<uintptr_t>(e.master) |
                  reinterpret_cast<uintptr_t>(e.grad) * (sizeof(T) / sizeof(P)) |
                  reinterpret_cast<uintptr_t>(e.param) * (sizeof(T) / sizeof(P));
  for (int k = 0; k < 3; ++k)
    if (F::states >> k & 1) all |= reinterpret_cast<uintptr_t>(e.state[k]);
  int64_t i = piece.begin;
  if (all % 16 == 0) {
    const int64_t packs = (piece.end - piece.begin) / V;
    for (int64_t k = me; k < packs; k += threads) step_elements<V, F, P>(e, f, scale, piece.begin + k * V);
    i += packs * V;
  }
  for (i += me; i < piece.end; i += threads) step_elements<1, F, P>(e, f, scale, i);
}

template <class F> __global__ void __launch_bounds__(kBlock) step_kernel(List<fn::StepEntry> list, const F* hypers) {
  const Piece piece = piece_of(list, blockIdx.x);
  const fn::StepEntry e = list.entry[piece.entry];
  const F f = hypers[e.hyper];
  const int me = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  with_floating(e.dtype, [&]<class P> { step_piece<F, P>(e, f, piece, me, threads); });
}

template <class F> void step(std::span<const fn::StepEntry> table, const void* hypers) {
  refuse_capture("an optimiser's step");  // its rate and number are the host's
  int32_t last = -1;
  for (const fn::StepEntry& e : table) last = e.hyper > last ? e.hyper : last;
  const ListUpload<fn::StepEntry> upload(table, hypers, sizeof(F) * static_cast<size_t>(last + 1));
  if (upload.chunks() == 0) return;
  launch(step_kernel<F>, static_cast<unsigned>(upload.chunks()), kBlock, 0, upload.list(), upload.template more<F>());
}

// Norm, clip, clamp ---------------------------------------------------------------------------------------------------

/// Calls f(pack) for the elements of a piece, in packs of V where they lie so, and one by one.
template <class T, class F>
__device__ WEFT_INLINE void for_packs(T* x, const Piece& piece, int me, int threads, const F& f) {
  constexpr int V = 16 / sizeof(T);
  int64_t i = piece.begin;
  if (reinterpret_cast<uintptr_t>(x) % 16 == 0) {
    const int64_t packs = (piece.end - piece.begin) / V;
    for (int64_t k = me; k < packs; k += threads) f(*reinterpret_cast<Pack<T, V>*>(x + piece.begin + k * V));
    i += packs * V;
  }
  for (i += me; i < piece.end; i += threads) f(*reinterpret_cast<Pack<T, 1>*>(x + i));
}

enum class Norm : uint8_t { one, two, inf, other };
/// How partial norms merge.
struct NormMerge {
  bool largest;
  __device__ double operator()(double a, double b) const { return largest ? (b > a || b != b ? b : a) : a + b; }
};

/// parts[chunk] = sum of |x|^p, or the largest |x|.
template <Norm N>
__global__ void __launch_bounds__(kBlock) norm_kernel(double* parts, List<fn::FlatEntry> list, double p) {
  WEFT_SHARED(shared, double[kBlock / kWarp]);
  const ThreadGroup<kBlock> threads;
  const Piece piece = piece_of(list, blockIdx.x);
  const fn::FlatEntry e = list.entry[piece.entry];
  const double mine = with_floating(e.dtype, [&]<class T> {
    // the squares of f32 may lie beyond its ends
    using C = std::conditional_t<N == Norm::other || N == Norm::two, double, compute_t<T>>;
    C sum = 0;  // a thread has few elements
    for_packs(static_cast<T*>(e.data), piece, threads.rank, kBlock, [&](const auto& pack) {
      for (const T& v : pack.v) {
        const C a = fn::abs(static_cast<C>(static_cast<compute_t<T>>(v)));
        if constexpr (N == Norm::one) sum += a;
        else if constexpr (N == Norm::two) sum += a * a;
        else if constexpr (N == Norm::inf) sum = a > sum || a != a ? a : sum;
        else sum += std::pow(a, p);
      }
    });
    return static_cast<double>(sum);
  });
  const double all = threads.reduce(mine, NormMerge{N == Norm::inf}, shared);
  if (threads.rank == 0) parts[blockIdx.x] = all;
}

template <class R>
__global__ void __launch_bounds__(kBlock)
    norm_finish_kernel(R* out, const double* parts, int64_t count, Norm n, double p) {
  WEFT_SHARED(shared, double[kBlock / kWarp]);
  const ThreadGroup<kBlock> threads;
  const NormMerge merge{n == Norm::inf};
  double mine = 0;
  for (int64_t i = threads.rank; i < count; i += kBlock) mine = merge(mine, parts[i]);
  const double all = threads.reduce(mine, merge, shared);
  if (threads.rank == 0)
    *out = static_cast<R>(n == Norm::two ? fn::sqrt(all) : (n == Norm::other ? std::pow(all, 1 / p) : all));
}

/// The op's scratch has a number per fn::kNormChunk elements: too few to fill a card, so there is an own one.
inline void multi_norm(const MutTensorRef& out, const MutTensorRef&, std::span<const fn::FlatEntry> table, double p) {
  const ListUpload<fn::FlatEntry> upload(table);
  const int64_t chunks = upload.chunks();
  const Scratch scratch(static_cast<size_t>(chunks > 0 ? chunks : 1) * sizeof(double));
  const Norm n = p == 2                                         ? Norm::two
                 : p == 1                                       ? Norm::one
                 : p == std::numeric_limits<double>::infinity() ? Norm::inf
                                                                : Norm::other;
  const auto parts = [&]<Norm Which> {
    if (chunks > 0)
      launch(norm_kernel<Which>, static_cast<unsigned>(chunks), kBlock, 0, scratch.as<double>(), upload.list(), p);
  };
  switch (n) {
    case Norm::one: parts.operator()<Norm::one>(); break;
    case Norm::two: parts.operator()<Norm::two>(); break;
    case Norm::inf: parts.operator()<Norm::inf>(); break;
    case Norm::other: parts.operator()<Norm::other>(); break;
  }
  if (out.dtype == Dtype::f64)
    launch(norm_finish_kernel<double>, 1, kBlock, 0, out.as_mut<double>(), scratch.as<double>(), chunks, n, p);
  else launch(norm_finish_kernel<float>, 1, kBlock, 0, out.as_mut<float>(), scratch.as<double>(), chunks, n, p);
}

/// Every element *= min(1, max_norm / (norm + 1e-6)).
template <class R>
__global__ void __launch_bounds__(kBlock) clip_kernel(List<fn::FlatEntry> list, const R* norm, double max_norm) {
  const double factor = max_norm / (static_cast<double>(*norm) + 1e-6);
  if (factor >= 1) return;
  const Piece piece = piece_of(list, blockIdx.x);
  const fn::FlatEntry e = list.entry[piece.entry];
  with_floating(e.dtype, [&]<class T> {
    using C = compute_t<T>;
    const C f = static_cast<C>(factor);
    for_packs(static_cast<T*>(e.data), piece, static_cast<int>(threadIdx.x), kBlock, [&](auto& pack) {
      auto y = pack;
      for (T& v : y.v) v = static_cast<T>(static_cast<C>(v) * f);
      pack = y;
    });
  });
}
inline void multi_clip(std::span<const fn::FlatEntry> table, const TensorRef& norm, double max_norm) {
  const ListUpload<fn::FlatEntry> upload(table);
  if (upload.chunks() == 0) return;
  const auto chunks = static_cast<unsigned>(upload.chunks());
  if (norm.dtype == Dtype::f64)
    launch(clip_kernel<double>, chunks, kBlock, 0, upload.list(), norm.as<double>(), max_norm);
  else launch(clip_kernel<float>, chunks, kBlock, 0, upload.list(), norm.as<float>(), max_norm);
}

/// Every element = min(max(element, -limit), limit). A template: as a function it would have to be defined once.
template <int = 0> __global__ void __launch_bounds__(kBlock) clamp_kernel(List<fn::FlatEntry> list, double limit) {
  const Piece piece = piece_of(list, blockIdx.x);
  const fn::FlatEntry e = list.entry[piece.entry];
  with_floating(e.dtype, [&]<class T> {
    using C = compute_t<T>;
    const C high = static_cast<C>(limit);
    for_packs(static_cast<T*>(e.data), piece, static_cast<int>(threadIdx.x), kBlock, [&](auto& pack) {
      auto y = pack;
      for (T& v : y.v) v = static_cast<T>(fn::clamp(static_cast<C>(v), -high, high));
      pack = y;
    });
  });
}
inline void multi_clamp(std::span<const fn::FlatEntry> table, double limit) {
  const ListUpload<fn::FlatEntry> upload(table);
  if (upload.chunks() == 0) return;
  launch(clamp_kernel<>, static_cast<unsigned>(upload.chunks()), kBlock, 0, upload.list(), limit);
}

}  // namespace weft::cuda
