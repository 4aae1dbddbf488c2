#include <cstring>

#include "weft/backends/cpu/index_error.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/axes.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

// The first bad position that any thread saw, so that the message does not depend on timing.
struct FirstBad {
  int64_t at = INT64_MAX;
  void report(int64_t position) {
    int64_t seen = __atomic_load_n(&at, __ATOMIC_RELAXED);
    while (position < seen &&
           !__atomic_compare_exchange_n(&at, &seen, position, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  }
  bool any() const { return at != INT64_MAX; }
};

void index_offsets_kernel(const MutTensorRef& offsets, const TensorRef& index, const kernels::IndexAxis& a) {
  int64_t* o = offsets.as_mut<int64_t>();
  FirstBad bad;
  dispatch_index(index.dtype, a.op, [&]<class I> {
    const I* in = index.as<I>();
    parallel_for(index.numel, kSerialBelow, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t v = in[i];
        if (v < 0 && a.wrap) v += a.size;
        if (static_cast<uint64_t>(v) >= static_cast<uint64_t>(a.size)) {
          bad.report(i);
          return;
        }
        o[i] += v * a.stride;
      }
    });
    if (bad.any()) bad_index(a.op, in[bad.at], a.dim, a.size);
  });
}

// Axes of out, x and the table of offsets; the table has the output's first axis, which merges with no other.
fn::Axes<3> get_axes(const MutTensorRef& out, const TensorRef& x) {
  fn::Axes<3> axes;
  int order[fn::kMaxAxes];
  const int n = fn::memory_order(order, out.strides, out.rank);
  for (int k = 0; k < n; ++k) {
    const int i = order[k];
    axes.append(out.shape[i], {out.strides[i], i == 0 ? 0 : x.strides[i - 1], i == 0 ? 1 : 0});
  }
  axes.at_least_one(0);
  return axes;
}

template <class T> void get_typed(const MutTensorRef& out, const TensorRef& x, const int64_t* offsets) {
  const fn::Axes<3> axes = get_axes(out, x);
  const int inner = axes.rank - 1;
  const int64_t length = axes.shape[inner], rows = out.numel / length;
  const int64_t so = axes.strides[0][inner], sx = axes.strides[1][inner];
  T* y = out.as_mut<T>();
  const T* from = x.as<T>();
  const bool gather = axes.strides[2][inner] == 1;
  const int64_t cuts = rows >= 64 ? 1 : fn::ceil_div(length, kSerialBelow);  // few long rows are cut
  parallel_for(rows * cuts, kSerialBelow / length + 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t row = at / cuts, c0 = at % cuts, c1 = c0 + (end - at) < cuts ? c0 + (end - at) : cuts;
      const int64_t first = length * c0 / cuts, count = length * c1 / cuts - first;
      const int64_t stop = cuts == 1 ? end : row + 1;
      axes.walk(row, stop, inner, 3, [&](const int64_t* o) {
        T* d = y + o[0] + first * so;
        if (gather) {
          const T* s = from + o[1];
          const int64_t* off = offsets + first;
          for (int64_t i = 0; i < count; ++i) d[i * so] = s[off[i]];
          return;
        }
        const T* s = from + o[1] + offsets[o[2]] + first * sx;
        if (so == 1 && sx == 1) {
          std::memcpy(d, s, static_cast<size_t>(count) * sizeof(T));
        } else {
          for (int64_t i = 0; i < count; ++i) d[i * so] = s[i * sx];
        }
      });
      at = cuts == 1 ? end : at + (c1 - c0);
    }
  });
}

void index_get_kernel(const MutTensorRef& out, const TensorRef& x, const TensorRef& offsets) {
  if (out.numel == 0) return;
  dispatch_size(out.dtype, [&]<class T> { get_typed<T>(out, x, offsets.as<int64_t>()); });
}

template <bool Add, class T> WEFT_INLINE void put(T& d, T s) {
  if constexpr (Add && !std::is_same_v<T, bool>) d = fn::add(d, s);
  else d = s;
}

// Axes of x and of one row of src.
fn::Axes<2> put_axes(const MutTensorRef& x, const TensorRef& src) {
  fn::Axes<2> axes = fn::axes_of<2>(x.shape, {x.strides, src.strides + 1}, x.rank);
  axes.at_least_one(1);
  return axes;
}

// Threads share out the elements of a row, never the rows: each element sees its sources in the order of b.
template <bool Add, class T>
void put_typed(const MutTensorRef& x, const TensorRef& src, const int64_t* offsets, int64_t n) {
  const fn::Axes<2> axes = put_axes(x, src);
  T* y = x.as_mut<T>();
  const T* from = src.as<T>();
  const int64_t sb = src.strides[0];
  const int inner = axes.rank - 1;
  const int64_t length = axes.shape[inner], so = axes.strides[0][inner], ss = axes.strides[1][inner];
  // pieces of 64 elements along a contiguous row, single elements otherwise
  const int64_t piece = so == 1 && length > 1 ? 64 : 1, pieces = fn::ceil_div(length, piece);
  parallel_for(axes.count() / length * pieces, kSerialBelow / (n * piece) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t c0 = at % pieces, c1 = c0 + (end - at) < pieces ? c0 + (end - at) : pieces;
      int64_t row[2];
      axes.offsets(at / pieces, row, inner);
      const auto [xo, s0] = row;
      const int64_t first = c0 * piece, stop = c1 * piece < length ? c1 * piece : length, count = stop - first;
      if (piece == 1) {
        for (int64_t i = first; i < stop; ++i)
          for (int64_t b = 0; b < n; ++b) put<Add>(y[xo + i * so + offsets[b]], from[s0 + i * ss + b * sb]);
      } else {
        for (int64_t b = 0; b < n; ++b) {
          T* d = y + xo + first + offsets[b];
          const T* s = from + s0 + first * ss + b * sb;
          if (ss == 1) {
#pragma omp simd
            for (int64_t i = 0; i < count; ++i) put<Add>(d[i], s[i]);
          } else {
            for (int64_t i = 0; i < count; ++i) put<Add>(d[i], s[i * ss]);
          }
        }
      }
      at += c1 - c0;
    }
  });
}

void index_put_kernel(const MutTensorRef& x, const TensorRef& src, const TensorRef& offsets, bool accumulate) {
  if (src.numel == 0) return;
  const int64_t n = offsets.numel;
  if (accumulate)
    dispatch_added(x.dtype, "index_add", [&]<class T> { put_typed<true, T>(x, src, offsets.as<int64_t>(), n); });
  else dispatch_size(x.dtype, [&]<class T> { put_typed<false, T>(x, src, offsets.as<int64_t>(), n); });
}

// Axes of `other`, index and x but `dim`.
fn::Axes<3> line_axes(const TensorRef& other, const TensorRef& index, const TensorRef& x, int dim) {
  fn::Axes<3> axes = fn::axes_of<3>(index.shape, {other.strides, index.strides, x.strides}, index.rank, dim);
  axes.at_least_one(1);
  return axes;
}

// A stretch of elements whose offsets grow evenly: in the index, in the tensor beside it, and at the start of the
// looked-up line.
struct Stretch {
  int64_t count, index, other, line, step_index, step_other, step_line;
};

// Walks lines of length m along the looked-up axis, in the order of that axis within each line. A stretch runs along
// the axis that is closer in memory. No line is shared by two threads.
template <class F>
void for_each_line(const fn::Axes<3>& axes, int64_t m, int64_t stride_index, int64_t stride_other, const F& run) {
  const int inner = axes.rank - 1;
  const int64_t length = axes.shape[inner], s0 = axes.strides[0][inner], s1 = axes.strides[1][inner],
                s2 = axes.strides[2][inner];
  const bool along = m > 1 && (length == 1 || stride_other < s0);
  const int64_t piece = along ? 1 : 256, pieces = fn::ceil_div(length, piece);
  parallel_for(axes.count() / length * pieces, kSerialBelow / (m * piece) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      int64_t line[3];
      axes.offsets(at / pieces, line, inner);
      const int64_t first = at % pieces * piece, count = first + piece < length ? piece : length - first;
      const int64_t o0 = line[0] + first * s0, i0 = line[1] + first * s1, x0 = line[2] + first * s2;
      if (along) run(Stretch{m, i0, o0, x0, stride_index, stride_other, 0});
      else
        for (int64_t j = 0; j < m; ++j)
          run(Stretch{count, i0 + j * stride_index, o0 + j * stride_other, x0, s1, s0, s2});
    }
  });
}

// The largest bad index of all: what the message names must not depend on timing.
struct BadValue {
  int seen = 0;
  int64_t value = INT64_MIN;
  template <class I> void report(const I* at, int64_t step, int64_t count, int64_t size) {
    for (int64_t t = 0; t < count; ++t) {
      const int64_t v = at[t * step];
      if (static_cast<uint64_t>(v) < static_cast<uint64_t>(size)) continue;
      int64_t before = __atomic_load_n(&value, __ATOMIC_RELAXED);
      while (v > before && !__atomic_compare_exchange_n(&value, &before, v, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      }
      __atomic_store_n(&seen, 1, __ATOMIC_RELAXED);
    }
  }
};

// Calls element(t, index) for a stretch; bad indices are left out, and true is returned if there are any.
template <class I, class F>
WEFT_INLINE bool each_index(const I* at, int64_t step, int64_t count, int64_t size, const F& element) {
  bool bad = false;
  for (int64_t t = 0; t < count; ++t) {
    const int64_t v = at[t * step];
    if (static_cast<uint64_t>(v) < static_cast<uint64_t>(size)) [[likely]]
      element(t, v);
    else bad = true;
  }
  return bad;
}

void gather_kernel(const MutTensorRef& out, const TensorRef& x, const TensorRef& index, int dim, const char* op) {
  if (out.numel == 0) return;
  const fn::Axes<3> axes = line_axes(out, index, x, dim);
  const int64_t m = index.shape[dim], size = x.shape[dim], sx = x.strides[dim];
  BadValue bad;
  dispatch_index(index.dtype, op, [&]<class I> {
    const I* at = index.as<I>();
    dispatch_size(x.dtype, [&]<class T> {
      T* y = out.as_mut<T>();
      const T* from = x.as<T>();
      for_each_line(axes, m, index.strides[dim], out.strides[dim], [=, &bad](const Stretch& s) {
        T* d = y + s.other;
        const T* line = from + s.line;
        if (each_index(at + s.index, s.step_index, s.count, size,
                       [=](int64_t t, int64_t v) { d[t * s.step_other] = line[t * s.step_line + v * sx]; }))
          bad.report(at + s.index, s.step_index, s.count, size);
      });
    });
  });
  if (bad.seen) bad_index(op, bad.value, dim, size);
}

template <bool Add, class T, class I>
void scatter_typed(const MutTensorRef& out, const TensorRef& index, const TensorRef& src, int dim, BadValue& bad) {
  const fn::Axes<3> axes = line_axes(src, index, out, dim);
  const int64_t size = out.shape[dim], sx = out.strides[dim];
  T* y = out.as_mut<T>();
  const T* from = src.as<T>();
  const I* at = index.as<I>();
  for_each_line(axes, index.shape[dim], index.strides[dim], src.strides[dim], [=, &bad](const Stretch& s) {
    T* line = y + s.line;
    const T* add = from + s.other;
    if (each_index(at + s.index, s.step_index, s.count, size,
                   [=](int64_t t, int64_t v) { put<Add>(line[t * s.step_line + v * sx], add[t * s.step_other]); }))
      bad.report(at + s.index, s.step_index, s.count, size);
  });
}

void scatter_kernel(const MutTensorRef& out, const TensorRef& index, const TensorRef& src, int dim, bool accumulate,
                    const char* op) {
  if (index.numel == 0) return;
  BadValue bad;
  dispatch_index(index.dtype, op, [&]<class I> {
    if (accumulate)
      dispatch_added(out.dtype, op, [&]<class T> { scatter_typed<true, T, I>(out, index, src, dim, bad); });
    else dispatch_size(out.dtype, [&]<class T> { scatter_typed<false, T, I>(out, index, src, dim, bad); });
  });
  if (bad.seen) bad_index(op, bad.value, dim, out.shape[dim]);
}

}  // namespace

void register_index() {
  kernels::index_offsets.set(DeviceType::cpu, index_offsets_kernel);
  kernels::index_get.set(DeviceType::cpu, index_get_kernel);
  kernels::index_put.set(DeviceType::cpu, index_put_kernel);
  kernels::gather.set(DeviceType::cpu, gather_kernel);
  kernels::scatter.set(DeviceType::cpu, scatter_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
