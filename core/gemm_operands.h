// A batch of matrix products as the backends describe it to their engines.
#pragma once

#include "weft/core/dense_copy.h"

namespace weft {

/// out[i] = a[i] b[i] (+ bias): `batch` products of [m, k] and [k, n]. Strides in elements, any, 0 for a batch that is
/// shared; out's column stride is 1. bias: n numbers, stride 1, or null.
struct GemmOperands {
  int64_t batch = 1, m = 0, n = 0, k = 0;
  const void* a = nullptr;
  const void* b = nullptr;
  const void* bias = nullptr;
  void* out = nullptr;
  int64_t a_batch = 0, a_row = 0, a_col = 1;
  int64_t b_batch = 0, b_row = 0, b_col = 1;
  int64_t out_batch = 0, out_row = 0;
  Dtype dtype = Dtype::f32;

  GemmOperands() = default;
  /// Of out [batch, m, n], x [batch, m, k] and y [batch, k, n].
  GemmOperands(const MutTensorRef& to, const TensorRef& x, const TensorRef& y)
      : batch(to.size(0)),
        m(to.size(1)),
        n(to.size(2)),
        k(x.size(2)),
        a(x.data),
        b(y.data),
        out(to.mut),
        dtype(to.dtype) {
    a_batch = x.stride(0), a_row = x.stride(1), a_col = x.stride(2);
    b_batch = y.stride(0), b_row = y.stride(1), b_col = y.stride(2);
    out_batch = to.stride(0), out_row = to.stride(1);
  }
};

/// `batches` matrices in rows without gaps, for strides that no library takes; the strides become those of the result.
template <class Scratch, class Copy>
const void* compact_operand(const void* data, Dtype dtype, int64_t batches, int64_t rows, int64_t cols, int64_t& batch,
                            int64_t& row, int64_t& col, Scratch& scratch, const Copy& copy) {
  const int64_t shape[3] = {batch == 0 ? 1 : batches, rows, cols}, from[3] = {batch, row, col},
                to[3] = {rows * cols, cols, 1};
  const void* made = dense(ref(data, dtype, shape, from, 3), to, dtype, scratch, copy);
  if (batch != 0) batch = rows * cols;
  row = cols;
  col = 1;
  return made;
}

}  // namespace weft
