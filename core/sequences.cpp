#include "weft/core/sequences.h"

#include <algorithm>
#include <cmath>

#include "weft/core/factory.h"

namespace weft {

Tensor logspace(double start, double stop, Int steps, double base, const TensorOptions& o) {
  const OpName op("logspace");
  WEFT_CHECK(steps >= 0, ValueError, "steps must not be negative, got ", steps);
  WEFT_CHECK(o.dtype() != Dtype::boolean, DtypeError, "not defined for bool");
  Tensor y = empty({steps}, Dtype::f64);
  auto* p = y.mut_data<double>();
  const double step = steps > 1 ? (stop - start) / static_cast<double>(steps - 1) : 0;
  // each half from its own end, so that both ends are exact
  for (int64_t i = 0; i < steps; ++i)
    p[i] = std::pow(base, i < (steps + 1) / 2 ? start + step * static_cast<double>(i)
                                              : stop - step * static_cast<double>(steps - 1 - i));
  y = y.to({o.dtype(), o.device()});
  return o.requires_grad() ? y.set_requires_grad() : y;
}

namespace {

// Columns [0, border) of each row r are below the diagonal: border = r + offset + 1, within the matrix.
Tensor triangle_indices(const char* op, int64_t row, int64_t col, int64_t offset, const TensorOptions& o, bool lower) {
  const OpName name(op);
  WEFT_CHECK(row >= 0 && col >= 0, ValueError, "sizes must not be negative, got [", row, ", ", col, "]");
  const Dtype dtype = o.dtype_or(Dtype::i64);
  WEFT_CHECK(kIndexDtypes.has(dtype), DtypeError, "indices are ", kIndexDtypes, ", not ", dtype);
  const int64_t all = checked_numel(op, {row, col});
  if (all == 0) return empty({2, 0}, o.dtype(dtype));
  const int64_t first = std::clamp(offset, -row - 1, col + 1) + (lower ? 1 : 0);
  auto border = [&](int64_t r) { return std::clamp<int64_t>(r + first, 0, col); };
  int64_t below = 0;
  for (int64_t r = 0; r < row; ++r) below += border(r);
  const int64_t n = lower ? below : all - below;
  Tensor y = empty({2, n}, Dtype::i64);
  auto *rows = y.mut_data<int64_t>(), *cols = rows + n;
  for (int64_t r = 0; r < row; ++r) {
    const int64_t end = lower ? border(r) : col;
    for (int64_t c = lower ? 0 : border(r); c < end; ++c) *rows++ = r, *cols++ = c;
  }
  y = y.to({dtype, o.device()});
  return o.requires_grad() ? y.set_requires_grad() : y;
}

}  // namespace

Tensor tril_indices(Int row, Int col, Int offset, const TensorOptions& o) {
  return triangle_indices("tril_indices", row, col, offset, o, true);
}
Tensor triu_indices(Int row, Int col, Int offset, const TensorOptions& o) {
  return triangle_indices("triu_indices", row, col, offset, o, false);
}

}  // namespace weft
