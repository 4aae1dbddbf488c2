#include "weft/autograd/ops/linalg/common.h"

#include <algorithm>

#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/core/factory.h"

namespace weft::linalg {

void check_extent(const char* op, int64_t rows, int64_t columns) {
  int64_t numel = 0;
  WEFT_CHECK(!__builtin_mul_overflow(rows, columns, &numel) && std::max({rows, columns, numel}) <= INT32_MAX,
             ShapeError, op, ": a matrix of ", rows, " x ", columns, " elements is beyond LAPACK's 2^31 - 1");
}

Tensor operand(const char* op, const Tensor& given, const KernelSlot* slot) {
  check_defined(op, given);
  const Tensor A = autocast(CastPolicy::fp32, given);
  WEFT_CHECK(A.dtype() == Dtype::f32 || A.dtype() == Dtype::f64, DtypeError, op, ": takes f32 or f64, got ", A.dtype(),
             "; convert with to(Dtype::f32)");
  WEFT_CHECK(A.rank() >= 2, ShapeError, op, ": needs a matrix or a batch of matrices, got ", A.shape());
  check_extent(op, A.size(-2), A.size(-1));
  WEFT_CHECK(!slot || slot->has(A.device().type), NotSupported, op, ": runs on the CPU alone, got a tensor on ",
             str(A.device()), "; compute with A.to(Device()) and move the result back");
  return A;
}

Tensor square_operand(const char* op, const Tensor& given, const KernelSlot* slot) {
  Tensor A = operand(op, given, slot);
  WEFT_CHECK(A.size(-1) == A.size(-2), ShapeError, op, ": needs square matrices, got ", A.shape());
  return A;
}

Tensor second_operand(const char* op, const Tensor& A, const Tensor& given) {
  check_defined(op, given);
  const Tensor B = autocast(CastPolicy::fp32, given);
  WEFT_CHECK(A.dtype() == B.dtype(), DtypeError, op, ": A is ", A.dtype(), " but B is ", B.dtype(),
             "; convert one with to(dtype)");
  WEFT_CHECK(A.device() == B.device(), DeviceError, op, ": A is on ", A.device(), " but B on ", B.device());
  if (B.rank() >= 2) check_extent(op, B.size(-2), B.size(-1));
  return B;
}

Tensor identity_like(const Tensor& A) { return eye(A.size(-1), -1, A.options()).expand(A.shape()); }

Tensor expand_batch(const Tensor& A, const Shape& batch) {
  return batch_of(A) == batch ? A : A.expand(joined(batch, {A.size(-2), A.size(-1)}));
}

Tensor fresh(const Tensor& A) {
  const NoGrad off;
  Tensor y = empty(A.shape(), A.options());
  y.copy_(A.detach());
  return y;
}

Tensor fresh_transposed(const Tensor& A) {
  const NoGrad off;
  return fresh(transposed(A.detach()));
}

FlatIn::FlatIn(const Tensor& x, int tail) {
  if (!x.defined()) return;
  const NoGrad off;
  Shape shape = x.shape().slice(x.rank() - tail);
  shape.insert(0, x.shape().slice(0, x.rank() - tail).numel());
  x_ = x.detach().view(shape);
}

void check_info(const char* op, const Tensor& info, const char* what, const char* rest) {
  const std::vector<int32_t> values = info.to_vector<int32_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == 0) continue;
    WEFT_ASSERT(values[i] > 0);
    Shape at = info.shape();
    int64_t left = static_cast<int64_t>(i);
    for (int d = at.size() - 1; d >= 0; --d) {
      const int64_t n = at[d];
      at[d] = left % n;
      left /= n;
    }
    raise<LinAlgError>(op, ": the matrix", at.empty() ? std::string() : str(" at ", at, " of the batch ", info.shape()),
                       " ", what, values[i], rest);
  }
}

void check_finite(const char* op, const Tensor& A) {
  const NoGrad off;
  if (!all(isfinite(A.detach())).item<bool>())
    raise<LinAlgError>(op, ": the input has NaN or infinity in it, got a tensor of shape ", A.shape());
}

}  // namespace weft::linalg
