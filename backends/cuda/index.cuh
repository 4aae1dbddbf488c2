// Lookups by index, and sums over them. Where several sources go to one element they are added in the order of the
// CPU's kernel: few sources by one thread per element, many after a stable sort by destination. Long runs of one
// destination alone are added in pieces. A bad index is reported and never used.
#pragma once

#include <algorithm>

#include "weft/backends/cuda/fault.cuh"
#include "weft/backends/cuda/runs.cuh"

namespace weft::cuda {

/// What an offset with a bad index is: any sum with it stays negative.
inline constexpr int64_t kNoOffset = INT64_MIN / 2;
/// Up to so many sources per element are walked without sorting.
inline constexpr int64_t kFewSources = 64;

/// Where a kernel reports to.
struct FaultSite {
  Fault* fault;
  int32_t site;
  int64_t size;
  FaultSite(const char* op, int64_t dim, int64_t size_)
      : fault(cuda::fault()), site(fault_site(op, dim)), size(size_) {}
  __device__ bool good(int64_t index) const { return index >= 0 && index < size; }
  __device__ void report(int64_t index) const { report_fault(fault, site, index, size); }
};

template <class Index> struct AddOffset {
  int64_t* offsets;
  const Index* index;
  int64_t stride;
  bool wrap;
  FaultSite site;
  template <class I> __device__ void operator()(I i) const {
    const int64_t given = index[i], v = given < 0 && wrap ? given + site.size : given;
    if (site.good(v)) {
      offsets[i] += v * stride;
    } else {
      offsets[i] = kNoOffset;
      site.report(given);
    }
  }
};
template <class Index>
void index_offsets(const MutTensorRef& offsets, const TensorRef& index, const char* op, int64_t dim, int64_t size,
                   int64_t stride, bool wrap) {
  for_each_number(index.numel, AddOffset<Index>{offsets.as_mut<int64_t>(), index.as<Index>(), stride, wrap,
                                                FaultSite(op, dim, size)});
}

template <class T> struct GetElement {
  T* out;
  const T* x;
  const int64_t* offsets;
  fn::FastAxes<3> walk;  // out, x, offsets
  template <class I> __device__ void operator()(I number) const {
    int64_t at[3];
    walk.offsets(number, at);
    const int64_t offset = offsets[at[2]];
    out[at[0]] = offset < 0 ? T(0) : x[at[1] + offset];
  }
};
template <class T> void index_get(const MutTensorRef& out, const TensorRef& x, const TensorRef& offsets) {
  fn::Axes<3> walk;
  int order[fn::kMaxAxes];
  const int rank = fn::memory_order(order, out.strides, out.rank);
  for (int k = 0; k < rank; ++k) {
    const int i = order[k];
    walk.append(out.shape[i], {out.strides[i], i == 0 ? 0 : x.strides[i - 1], i == 0 ? 1 : 0});
  }
  for_each_number(out.numel, GetElement<T>{out.as_mut<T>(), x.as<T>(), offsets.as<int64_t>(), walk});
}

template <class T, class Index> struct GatherElement {
  T* out;
  const T* x;
  const Index* index;
  int64_t step;
  fn::FastAxes<3> walk;  // out, x, index
  FaultSite site;
  template <class I> __device__ void operator()(I number) const {
    int64_t at[3];
    walk.offsets(number, at);
    const int64_t v = index[at[2]];
    if (site.good(v)) {
      out[at[0]] = x[at[1] + v * step];
    } else {
      out[at[0]] = T(0);
      site.report(v);
    }
  }
};
template <class T, class Index>
void gather(const MutTensorRef& out, const TensorRef& x, const TensorRef& index, int dim, const char* op) {
  if (out.numel == 0) return;
  fn::Axes<3> walk;
  int order[kMaxRank];
  const int rank = fn::memory_order(order, out.strides, out.rank);
  for (int k = 0; k < rank; ++k) {
    const int i = order[k];
    walk.append(out.shape[i], {out.strides[i], i == dim ? 0 : x.strides[i], index.strides[i]});
  }
  for_each_number(out.numel, GatherElement<T, Index>{out.as_mut<T>(), x.as<T>(), index.as<Index>(), x.strides[dim],
                                                     walk, FaultSite(op, dim, x.shape[dim])});
}

template <bool Add, class T> WEFT_HD WEFT_INLINE void put_value(T& to, T value) {
  if constexpr (Add) to = fn::add(to, value);
  else to = value;
}

/// One element of the rest, all sources in turn.
template <bool Add, class T> struct PutInTurn {
  T* x;
  const T* src;
  const int64_t* offsets;
  int64_t sources, step;
  fn::FastAxes<2> rest;  // x, src
  template <class I> __device__ void operator()(I number) const {
    int64_t at[2];
    rest.offsets(number, at);
    for (int64_t b = 0; b < sources; ++b)
      if (const int64_t offset = offsets[b]; offset >= 0) put_value<Add>(x[at[0] + offset], src[at[1] + b * step]);
  }
};

/// Bad destinations become `none`, which is larger than all others.
struct DestinationOfOffset {
  WideItem* items;
  const int64_t* offsets;
  int64_t none;
  template <class I> __device__ void operator()(I b) const {
    items[b] = {static_cast<uint64_t>(offsets[b] < 0 ? none : offsets[b]), static_cast<int64_t>(b)};
  }
};
/// Sorts by destinations up to `most`.
template <class Item> const Item* sort_destinations(Item* items, int64_t n, int64_t most) {
  unsigned bytes = 1;
  for (; most > 255; most /= 256) bytes = bytes << 1 | 1;
  return sort_items(items, items + n, 1, n, bytes);
}

struct SourceRow {
  int64_t step;
  __device__ int64_t operator()(int64_t b) const { return b * step; }
};

template <bool Add, class T> void index_put(const MutTensorRef& x, const TensorRef& src, const TensorRef& offsets) {
  const int64_t sources = offsets.numel;
  if (src.numel == 0) return;
  const auto rest = fn::axes_of<2>(x.shape, {x.strides, src.strides + 1}, x.rank);
  const int64_t per_source = src.numel / sources, step = src.strides[0];
  if (sources <= kFewSources) {
    for_each_number(per_source,
                    PutInTurn<Add, T>{x.as_mut<T>(), src.as<T>(), offsets.as<int64_t>(), sources, step, rest});
    return;
  }
  const Scratch memory(static_cast<size_t>(2 * sources) * sizeof(WideItem));
  WideItem* const items = memory.as<WideItem>();
  const int64_t none = x.storage ? static_cast<int64_t>(x.storage->bytes() / itemsize(x.dtype)) : INT64_MAX;
  for_each_number(sources, DestinationOfOffset{items, offsets.as<int64_t>(), none});
  const LongRuns runs(sort_destinations(items, sources, none), sources, none);
  put_runs<Add>(x.as_mut<T>(), src.as<T>(), runs, per_source, rest, SourceRow{step});
}

/// One line along the looked-up axis, in the order of that axis.
template <bool Add, class T, class Index> struct ScatterLine {
  T* out;
  const Index* index;
  const T* src;
  int64_t length, step_index, step_src, step_out;
  fn::FastAxes<3> walk;  // src, index, out
  FaultSite site;
  template <class I> __device__ void operator()(I line) const {
    int64_t at[3];
    walk.offsets(line, at);
    for (int64_t i = 0; i < length; ++i) {
      const int64_t v = index[at[1] + i * step_index];
      if (site.good(v)) put_value<Add>(out[at[2] + v * step_out], src[at[0] + i * step_src]);
      else site.report(v);
    }
  }
};

template <class Index> struct DestinationOfIndex {
  WideItem* items;
  const Index* index;
  int64_t step_out, none;
  fn::FastAxes<2> walk;  // out (0 along the axis), index
  FaultSite site;
  template <class I> __device__ void operator()(I number) const {
    int64_t at[2];
    walk.offsets(number, at);
    const int64_t v = index[at[1]];
    if (!site.good(v)) site.report(v);
    items[number] = {static_cast<uint64_t>(site.good(v) ? at[0] + v * step_out : none), static_cast<int64_t>(number)};
  }
};
struct SourceElement {
  fn::FastAxes<1> walk;
  __device__ int64_t operator()(int64_t number) const {
    int64_t at[1];
    walk.offsets(number, at);
    return at[0];
  }
};

template <bool Add, class T, class Index>
void scatter(const MutTensorRef& out, const TensorRef& index, const TensorRef& src, int dim, const char* op) {
  if (index.numel == 0) return;
  const int64_t length = index.shape[dim], lines = index.numel / length, step_out = out.strides[dim];
  const FaultSite site(op, dim, out.shape[dim]);
  if (length <= kFewSources || lines >= int64_t{1} << 16) {
    const auto walk = fn::axes_of<3>(index.shape, {src.strides, index.strides, out.strides}, index.rank, dim);
    for_each_number(lines, ScatterLine<Add, T, Index>{out.as_mut<T>(), index.as<Index>(), src.as<T>(), length,
                                                      index.strides[dim], src.strides[dim], step_out, walk, site});
    return;
  }
  fn::Axes<2> walk;
  fn::Axes<1> from;
  for (int i = 0; i < index.rank; ++i) {
    walk.append(index.shape[i], {i == dim ? 0 : out.strides[i], index.strides[i]});
    from.append(index.shape[i], {src.strides[i]});
  }
  const Scratch memory(static_cast<size_t>(2 * index.numel) * sizeof(WideItem));
  WideItem* const items = memory.as<WideItem>();
  int64_t none = 1;  // destinations are below
  for (int i = 0; i < out.rank; ++i) none += std::max<int64_t>(out.shape[i] - 1, 0) * out.strides[i];
  for_each_number(index.numel, DestinationOfIndex<Index>{items, index.as<Index>(), step_out, none, walk, site});
  const LongRuns runs(sort_destinations(items, index.numel, none), index.numel, none);
  put_runs<Add>(out.as_mut<T>(), src.as<T>(), runs, 1, fn::FastAxes<2>(), SourceElement{from});
}

template <class Index> struct OneHotElement {
  int64_t* out;
  const Index* index;
  fn::Divisor width;  // at least 1, so that bad indices into nothing are seen
  FaultSite site;
  template <class I> __device__ void operator()(I number) const {
    const int64_t row = width.divide(number), here = number - row * width.d;
    const int64_t v = index[row];
    if (here == 0 && !site.good(v)) site.report(v);
    if (site.size > 0) out[number] = v == here;
  }
};
template <class Index> void one_hot(const MutTensorRef& out, const TensorRef& index) {
  const int64_t classes = out.size(-1), width = classes > 0 ? classes : 1;
  for_each_number(index.numel * width, OneHotElement<Index>{out.as_mut<int64_t>(),
                                                            index.as<Index>(),
                                                            {width, index.numel * width},
                                                            FaultSite("one_hot", out.rank - 1, classes)});
}

}  // namespace weft::cuda
