#include <cstring>

#include "weft/backends/cpu/index_error.h"
#include "weft/backends/cpu/simd/loops.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

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

// Appends an axis to a plan, merged into the last one where every operand allows.
template <int Operands> void add_axis(ElementPlan& p, int64_t size, const int64_t (&strides)[Operands]) {
  if (size == 1 && p.rank > 0) return;
  bool merge = p.rank > 0;
  for (int k = 0; merge && k < Operands; ++k) merge = p.strides[k][p.rank - 1] == strides[k] * size;
  const int at = merge || (p.rank == 1 && p.shape[0] == 1) ? p.rank - 1 : p.rank++;
  p.shape[at] = merge ? p.shape[at] * size : size;
  for (int k = 0; k < Operands; ++k) p.strides[k][at] = strides[k];
}

// Axes of `by` by falling stride, without axis `skip`.
int order_axes(int* order, const TensorRef& by, int skip) {
  int n = 0;
  for (int i = 0; i < by.rank; ++i) {
    if (i == skip) continue;
    int j = n++;
    for (; j > 0 && by.strides[order[j - 1]] < by.strides[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
  return n;
}

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

// Rows of an output with one axis looked up in a table: calls run(out offset, x offset) for rows [begin, end).
struct TableWalk {
  int rank = 0, table = -1;  // outer axes; which of them is looked up
  int64_t shape[kMaxRank + 1], so[kMaxRank + 1], sx[kMaxRank + 1];
  template <class F> void operator()(int64_t begin, int64_t end, const int64_t* offsets, const F& run) const {
    int64_t index[kMaxRank + 1], o = 0, x = 0, rest = begin;
    for (int i = rank - 1; i >= 0; --i) {
      index[i] = rest % shape[i];
      rest /= shape[i];
      o += index[i] * so[i];
      x += index[i] * sx[i];
    }
    for (int64_t r = begin; r < end; ++r) {
      run(o, x + (table >= 0 ? offsets[index[table]] : 0));
      for (int i = rank - 1; i >= 0; --i) {
        ++index[i];
        o += so[i];
        x += sx[i];
        if (index[i] < shape[i]) break;
        o -= shape[i] * so[i];
        x -= shape[i] * sx[i];
        index[i] = 0;
      }
    }
  }
};

template <class T> void get_typed(const MutTensorRef& out, const TensorRef& x, const int64_t* offsets) {
  int order[kMaxRank + 1];
  const int n = order_axes(order, out, -1);
  TableWalk w;
  for (int k = 0; k < n; ++k) {
    const int i = order[k], last = w.rank - 1;
    const int64_t size = out.shape[i], so = out.strides[i], sx = i == 0 ? 0 : x.strides[i - 1];
    if (size == 1 && i != 0) continue;
    if (i != 0 && last >= 0 && last != w.table && w.so[last] == so * size && w.sx[last] == sx * size) {
      w.shape[last] *= size;
      w.so[last] = so;
      w.sx[last] = sx;
      continue;
    }
    if (i == 0) w.table = w.rank;
    w.shape[w.rank] = size;
    w.so[w.rank] = so;
    w.sx[w.rank++] = sx;
  }
  const int inner = --w.rank;  // the table axis is always there
  const int64_t length = w.shape[inner], so = w.so[inner], sx = w.sx[inner], rows = out.numel / length;
  T* y = out.as_mut<T>();
  const T* from = x.as<T>();
  const bool gather = inner == w.table;
  if (gather) w.table = -1;
  const int64_t cuts = rows >= 64 ? 1 : (length + kSerialBelow - 1) / kSerialBelow;  // few long rows are cut
  parallel_for(rows * cuts, kSerialBelow / length + 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t row = at / cuts, c0 = at % cuts, c1 = c0 + (end - at) < cuts ? c0 + (end - at) : cuts;
      const int64_t first = length * c0 / cuts, count = length * c1 / cuts - first;
      const int64_t stop = cuts == 1 ? end : row + 1;
      w(row, stop, offsets, [&](int64_t o, int64_t xo) {
        T* d = y + o + first * so;
        if (gather) {
          const int64_t* off = offsets + first;
          for (int64_t i = 0; i < count; ++i) d[i * so] = from[xo + off[i]];
        } else if (so == 1 && sx == 1) {
          std::memcpy(d, from + xo + first, static_cast<size_t>(count) * sizeof(T));
        } else {
          const T* s = from + xo + first * sx;
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
  if constexpr (Add && !std::is_same_v<T, bool>) d = static_cast<T>(d + s);
  else d = s;
}

// Threads share out the elements of a row, never the rows: each element sees its sources in the order of b.
template <bool Add, class T>
void put_typed(const MutTensorRef& x, const TensorRef& src, const int64_t* offsets, int64_t n) {
  int order[kMaxRank];
  const int rank = order_axes(order, x, -1);
  ElementPlan p;
  p.rank = 0;
  for (int k = 0; k < rank; ++k) add_axis<2>(p, x.shape[order[k]], {x.strides[order[k]], src.strides[order[k] + 1]});
  if (p.rank == 0) add_axis<2>(p, 1, {1, 1});
  p.numel = src.numel / n;
  T* y = x.as_mut<T>();
  const T* from = src.as<T>();
  const int64_t sb = src.strides[0];
  const int inner = p.rank - 1;
  const int64_t length = p.shape[inner], so = p.strides[0][inner], ss = p.strides[1][inner];
  // pieces of 64 elements along a contiguous row, single elements otherwise
  const int64_t piece = so == 1 && length > 1 ? 64 : 1, pieces = (length + piece - 1) / piece;
  parallel_for(p.numel / length * pieces, kSerialBelow / (n * piece) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      int64_t rest = at / pieces, xo = 0, s0 = 0;
      const int64_t c0 = at % pieces, c1 = c0 + (end - at) < pieces ? c0 + (end - at) : pieces;
      for (int i = inner - 1; i >= 0; --i) {
        xo += rest % p.shape[i] * p.strides[0][i];
        s0 += rest % p.shape[i] * p.strides[1][i];
        rest /= p.shape[i];
      }
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

// Plan over the axes of `index` but `dim`; operands: index, the second tensor's strides, x's strides.
void lines_plan(ElementPlan& p, const TensorRef& by, const TensorRef& index, const TensorRef& other, const TensorRef& x,
                int dim) {
  int order[kMaxRank];
  const int n = order_axes(order, by, dim);
  p.rank = 0;
  p.numel = 1;
  for (int k = 0; k < n; ++k) {
    const int i = order[k];
    p.numel *= index.shape[i];
    add_axis<3>(p, index.shape[i], {index.strides[i], other.strides[i], x.strides[i]});
  }
  if (p.rank == 0) add_axis<3>(p, 1, {1, 1, 1});
}

// A stretch of elements whose offsets grow evenly: in the index, in the tensor beside it, and at the start of the looked-up line.
struct Stretch {
  int64_t count, index, other, line, step_index, step_other, step_line;
};

// Walks lines of length m along the looked-up axis, in the order of that axis within each line. A stretch runs along the axis that
// is closer in memory. No line is shared by two threads.
template <class F>
void for_each_line(const ElementPlan& p, int64_t m, int64_t stride_index, int64_t stride_other, const F& run) {
  const int inner = p.rank - 1;
  const int64_t length = p.shape[inner], s0 = p.strides[0][inner], s1 = p.strides[1][inner], s2 = p.strides[2][inner];
  const bool along = m > 1 && (length == 1 || stride_other < s1);
  const int64_t piece = along ? 1 : 256, pieces = (length + piece - 1) / piece;
  parallel_for(p.numel / length * pieces, kSerialBelow / (m * piece) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      int64_t rest = at / pieces, i0 = 0, o0 = 0, x0 = 0;
      for (int i = inner - 1; i >= 0; --i) {
        const int64_t c = rest % p.shape[i];
        i0 += c * p.strides[0][i];
        o0 += c * p.strides[1][i];
        x0 += c * p.strides[2][i];
        rest /= p.shape[i];
      }
      const int64_t first = at % pieces * piece, count = first + piece < length ? piece : length - first;
      i0 += first * s0;
      o0 += first * s1;
      x0 += first * s2;
      if (along) run(Stretch{m, i0, o0, x0, stride_index, stride_other, 0});
      else
        for (int64_t j = 0; j < m; ++j)
          run(Stretch{count, i0 + j * stride_index, o0 + j * stride_other, x0, s0, s1, s2});
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
  ElementPlan p;
  lines_plan(p, out, index, out, x, dim);
  const int64_t m = index.shape[dim], size = x.shape[dim], sx = x.strides[dim];
  BadValue bad;
  dispatch_index(index.dtype, op, [&]<class I> {
    const I* at = index.as<I>();
    dispatch_size(x.dtype, [&]<class T> {
      T* y = out.as_mut<T>();
      const T* from = x.as<T>();
      for_each_line(p, m, index.strides[dim], out.strides[dim], [=, &bad](const Stretch& s) {
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
  ElementPlan p;
  lines_plan(p, src, index, src, out, dim);
  const int64_t size = out.shape[dim], sx = out.strides[dim];
  T* y = out.as_mut<T>();
  const T* from = src.as<T>();
  const I* at = index.as<I>();
  for_each_line(p, index.shape[dim], index.strides[dim], src.strides[dim], [=, &bad](const Stretch& s) {
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
