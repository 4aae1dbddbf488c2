// Elements that are not zero, in row-major order: counted per chunk, the counts summed up by one block, then each chunk
// writes from where it begins.
#pragma once

#include <algorithm>

#include "weft/backends/cuda/fault.cuh"
#include "weft/backends/cuda/walk.cuh"

namespace weft::cuda {

inline constexpr int kNonzeroChunk = 1024;

template <class T> struct NonzeroSource {
  const T* x;
  fn::FastAxes<1> walk;
  int64_t n;
  explicit NonzeroSource(const TensorRef& t) : x(t.as<T>()), n(t.numel) {
    fn::Axes<1> axes;
    for (int i = 0; i < t.rank; ++i) axes.append(t.shape[i], {t.strides[i]});
    walk = axes;
  }
  __device__ bool at(int64_t number) const {
    if (number >= n) return false;
    int64_t place[1];
    if (n < int64_t{1} << 31) walk.offsets(static_cast<uint32_t>(number), place);
    else walk.offsets(number, place);
    return static_cast<compute_t<T>>(x[place[0]]) != compute_t<T>(0);
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    count_chunks_kernel(int64_t* counts, NonzeroSource<T> source, int64_t chunks) {
  for (int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    int count = 0;
    for (int i = 0; i < kNonzeroChunk; i += kBlock)
      count += __syncthreads_count(source.at(chunk * kNonzeroChunk + i + static_cast<int>(threadIdx.x)));
    if (threadIdx.x == 0) counts[chunk] = count;
  }
}

/// counts[i] becomes the sum of those before it; the sum of all goes to `total` unless null. One block. A template: as
/// a function it would have to be defined once.
template <int = 0>
__global__ void __launch_bounds__(kBlock) sum_chunks_kernel(int64_t* counts, int64_t chunks, int64_t* total) {
  WEFT_SHARED(sums, int64_t[2][kBlock]);
  const int me = static_cast<int>(threadIdx.x);
  int64_t before = 0;
  for (int64_t first = 0; first < chunks; first += kBlock) {
    const int64_t own = first + me < chunks ? counts[first + me] : 0;
    int side = 0;
    sums[0][me] = own;
    __syncthreads();
    for (int step = 1; step < kBlock; step *= 2) {
      sums[1 - side][me] = sums[side][me] + (me >= step ? sums[side][me - step] : 0);
      side = 1 - side;
      __syncthreads();
    }
    if (first + me < chunks) counts[first + me] = before + sums[side][me] - own;
    before += sums[side][kBlock - 1];
    __syncthreads();
  }
  if (me == 0 && total) *total = before;
}

struct Coordinates {
  int rank;
  fn::Divisor size[kMaxRank];
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    write_nonzero_kernel(int64_t* out, const int64_t* before, NonzeroSource<T> source, int64_t chunks, Coordinates c) {
  WEFT_SHARED(warps, int[kBlock / kWarp]);
  const int me = static_cast<int>(threadIdx.x), lane = me % kWarp, warp = me / kWarp;
  for (int64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    int64_t base = before[chunk];
    for (int i = 0; i < kNonzeroChunk; i += kBlock) {
      int64_t number = chunk * kNonzeroChunk + i + me;
      const bool here = source.at(number);
      const unsigned votes = __ballot_sync(kAllLanes, here);
      if (lane == 0) warps[warp] = __popc(votes);
      __syncthreads();
      int rank = __popc(votes & ((1u << lane) - 1)), all = 0;
      for (int w = 0; w < kBlock / kWarp; ++w) {
        if (w < warp) rank += warps[w];
        all += warps[w];
      }
      if (here) {
        int64_t* row = out + (base + rank) * c.rank;
        WEFT_NO_UNROLL
        for (int a = c.rank - 1; a >= 0; --a) {
          const int64_t rest = c.size[a].divide(number);
          row[a] = number - rest * c.size[a].d;
          number = rest;
        }
      }
      base += all;
      __syncthreads();
    }
  }
}

/// counts: the numbers of each chunk, then summed up.
template <class T> void count_chunks(int64_t* counts, const TensorRef& x, int64_t chunks, int64_t* total) {
  launch(count_chunks_kernel<T>, grid_for(chunks, 1), kBlock, 0, counts, NonzeroSource<T>(x), chunks);
  launch(sum_chunks_kernel<>, 1, kBlock, 0, counts, chunks, total);
}

template <class T> void count_nonzero(const MutTensorRef& count, const TensorRef& x) {
  const int64_t chunks = ceil_div(x.numel, kNonzeroChunk);
  Scratch counts(static_cast<size_t>(chunks + 1) * sizeof(int64_t));
  count_chunks<T>(counts.as<int64_t>(), x, chunks, count.as_mut<int64_t>());
}

template <class T> void nonzero(const MutTensorRef& out, const TensorRef& x) {
  if (x.numel == 0) return;
  const int64_t chunks = ceil_div(x.numel, kNonzeroChunk);
  Scratch counts(static_cast<size_t>(chunks) * sizeof(int64_t));
  count_chunks<T>(counts.as<int64_t>(), x, chunks, nullptr);
  Coordinates c{x.rank, {}};
  for (int i = 0; i < x.rank; ++i) c.size[i] = fn::Divisor(std::max<int64_t>(1, x.shape[i]), x.numel);
  launch(write_nonzero_kernel<T>, grid_for(chunks, 1), kBlock, 0, out.as_mut<int64_t>(), counts.as<int64_t>(),
         NonzeroSource<T>(x), chunks, c);
}

struct RefuseElement {
  const bool* bad;
  Fault* fault;
  int32_t site;
  template <class I> __device__ void operator()(I number) const {
    if (bad[number]) report_fault(fault, site, 0, 0);
  }
};
inline void refuse_any(const TensorRef& bad, const char* op, const char* what) {
  for_each_number(bad.numel, RefuseElement{bad.as<bool>(), fault(), fault_site(op, 0, what)});
}

}  // namespace weft::cuda
