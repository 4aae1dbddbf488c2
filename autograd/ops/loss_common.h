// What the losses share. Internal: not part of the public headers.
#pragma once

#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/elementwise.h"
#include "weft/autograd/ops/loss.h"
#include "weft/autograd/ops/reduce.h"

namespace weft::detail {

/// Applies a reduction other than batchmean.
inline Tensor reduce_loss(const char* op, const Tensor& each, Reduction r) {
  WEFT_CHECK(r != Reduction::batchmean, ValueError, op, ": batchmean is a reduction of kl_div only");
  return r == Reduction::none ? each : (r == Reduction::mean ? mean(each) : sum(each));
}

}  // namespace weft::detail
