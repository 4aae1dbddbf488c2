// Kernels that put tensors side by side or cut triangles out of them: moves of memory, without arithmetic.
#include <algorithm>
#include <cstring>

#include "weft/backends/cpu/register.h"
#include "weft/core/fn/axes.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"
#include "weft/core/small_vec.h"

namespace weft::cpu {
namespace {

// A piece of cat whose memory is a run per outer position, in out's order of axes.
struct Run {
  const char* data;
  int64_t bytes;   // of a run
  int64_t offset;  // in bytes, in a row of out
};

// Strides that x has when it is dense with out's order of axes.
bool follows(const TensorRef& x, const MutTensorRef& out, int dim) {
  for (int i = 0; i < x.rank; ++i) {
    if (x.shape[i] == 1) continue;
    const int64_t s = out.strides[i];
    const int64_t want = s > out.strides[dim] ? s / out.shape[dim] * x.shape[dim] : s;
    if (x.strides[i] != want) return false;
  }
  return true;
}

void cat_kernel(const MutTensorRef& out, const TensorRef* in, int count, int dim) {
  if (out.numel == 0) return;
  const auto item = static_cast<int64_t>(itemsize(out.dtype));
  const int64_t inner = out.strides[dim] * item, row = inner * out.shape[dim], rows = out.numel * item / row;
  SmallVec<Run, 8> runs;
  int64_t at = 0;
  for (int k = 0; k < count; ++k) {
    const TensorRef& x = in[k];
    if (x.numel == 0) continue;
    if (follows(x, out, dim)) runs.push_back({static_cast<const char*>(x.data), inner * x.shape[dim], at * inner});
    else kernels::copy(DeviceType::cpu, seen_as(out, x.shape, out.strides, out.rank, at * out.strides[dim]), x);
    at += x.shape[dim];
  }
  char* y = out.as_mut<char>();
  if (rows >= 64 || row * rows < kSerialBelow * item) {
    // row by row, so that out is written front to back
    parallel_for(rows, kSerialBelow * item / row + 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (const Run& p : runs)
          std::memcpy(y + r * row + p.offset, p.data + r * p.bytes, static_cast<size_t>(p.bytes));
    });
  } else {
    for (int64_t r = 0; r < rows; ++r)
      for (const Run& p : runs)
        parallel_for(p.bytes, kSerialBelow * item, [&](int64_t begin, int64_t end) {
          std::memcpy(y + r * row + p.offset + begin, p.data + r * p.bytes + begin, static_cast<size_t>(end - begin));
        });
  }
}

void triangle_kernel(const MutTensorRef& y, const TensorRef& x, int64_t diagonal, bool lower) {
  if (y.numel == 0) return;
  const int64_t n = y.size(-1), m = y.size(-2), step = x.stride(-1);
  fn::Axes<1> rows;
  for (int i = 0; i < x.rank - 1; ++i) rows.append(x.shape[i], {x.strides[i]});
  dispatch_size(x.dtype, [&]<class T> {
    parallel_for(y.numel / n, kSerialBelow / n + 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        // columns [first, last) are kept
        const int64_t i = r % m, cut = std::clamp<int64_t>(i + diagonal + (lower ? 1 : 0), 0, n);
        const int64_t first = lower ? 0 : cut, last = lower ? cut : n;
        T* d = y.as_mut<T>() + r * n;
        const T* s = x.as<T>() + rows.offset(r, rows.rank);
        for (int64_t j = 0; j < first; ++j) d[j] = 0;
        for (int64_t j = first; j < last; ++j) d[j] = s[j * step];
        for (int64_t j = last; j < n; ++j) d[j] = 0;
      }
    });
  });
}

}  // namespace

void register_shape() {
  kernels::cat.set(DeviceType::cpu, cat_kernel);
  kernels::triangle.set(DeviceType::cpu, triangle_kernel);
}

}  // namespace weft::cpu
