// What the losses share. Internal: not part of the public headers.
#pragma once

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/refuse.h"

namespace weft::detail {

/// check_operands in the name of the calling thread's OpName.
inline void check_operands(const Tensor& x, const Tensor& y) { check_operands(op_name(), x, y); }

/// Applies a reduction other than batchmean.
inline Tensor reduce_loss(const char* op, const Tensor& each, Reduction r) {
  WEFT_CHECK(r != Reduction::batchmean, ValueError, op, ": batchmean is a reduction of kl_div only");
  return r == Reduction::none ? each : (r == Reduction::mean ? mean(each) : sum(each));
}
inline Tensor reduce_loss(const Tensor& each, Reduction r) { return reduce_loss(op_name(), each, r); }

}  // namespace weft::detail
