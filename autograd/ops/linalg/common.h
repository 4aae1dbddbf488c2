// Shared by the linear algebra: checked operands, and tensors as the kernels want them.
// Internal: not part of the public headers.
#pragma once

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/linalg/linalg.h"
#include "weft/autograd/record.h"
#include "weft/core/kernels/linalg.h"

namespace weft::linalg {

/// A as `op` takes it: f32 or f64, rank >= 2, on a device that has the kernel `slot` (null: any).
Tensor operand(const char* op, const Tensor& A, const KernelSlot* slot);
/// The same for [..., n, n].
/// ShapeError if a matrix of that size is beyond the 32-bit integers of LAPACK.
void check_extent(const char* op, int64_t rows, int64_t columns);
Tensor square_operand(const char* op, const Tensor& A, const KernelSlot* slot);
/// B for an A that has been checked: of its dtype and device.
Tensor second_operand(const char* op, const Tensor& A, const Tensor& B);

/// The axes before the last two.
inline Shape batch_of(const Tensor& A) { return A.shape().slice(0, A.rank() - 2); }
using detail::joined;
inline Tensor transposed(const Tensor& A) { return A.transpose(-2, -1); }
/// [..., n, n]: 1 on the diagonal.
Tensor identity_like(const Tensor& A);
/// A with the batch axes `batch`.
Tensor expand_batch(const Tensor& A, const Shape& batch);

/// A contiguous copy, not recorded; of A^T.
Tensor fresh(const Tensor& A);
Tensor fresh_transposed(const Tensor& A);

/// A contiguous tensor for a kernel, with one batch axis before the last `tail`.
class FlatIn {
 public:
  FlatIn(const Tensor& x, int tail);
  operator TensorRef() const { return ref(x_); }

 protected:
  Tensor x_;
};
class FlatOut : public FlatIn {
 public:
  using FlatIn::FlatIn;
  operator MutTensorRef() { return mut_ref(x_); }
};

/// LinAlgError "<op>: <the matrix, by its index in the batch> <what><info><rest>" for the first info that is not 0.
void check_info(const char* op, const Tensor& info, const char* what, const char* rest = "");
/// LinAlgError for NaN and infinity, at which LAPACK's iterations may not end.
void check_finite(const char* op, const Tensor& A);

/// Keeps autocast out of an op that is made of others.
struct NoAutocast {
  explicit NoAutocast(const Tensor& A) : off_(Dtype::bf16, A.device(), false) {}

 private:
  Autocast off_;
};

}  // namespace weft::linalg
