// Checks of values that do not make the host wait for a device. Internal: not part of the public headers.
#pragma once

#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/backend.h"
#include "weft/core/error.h"
#include "weft/core/kernels.h"

namespace weft::detail {

/// Is a look at the values no wait?
inline bool values_at_hand(const Tensor& x) { return !backend(x.device().type).asynchronous() && !recording(); }

/// ValueError "<op>: <what><more>" where an element of `bad` (bool) is true. Where the values are not at hand a kernel
/// reports it, without `more`, and the host raises it when it next waits: what is computed until then must be safe.
template <class... More> void refuse_any(const char* op, const Tensor& bad, const char* what, const More&... more) {
  if (bad.numel() == 0) return;
  if (values_at_hand(bad)) {
    WEFT_CHECK(!any(bad).item<bool>(), ValueError, op, ": ", what, more...);
    return;
  }
  const Tensor flags = bad.contiguous();
  kernels::refuse_any(flags.device(), ref(flags), op_name() ? op_name() : op, what);
}

}  // namespace weft::detail
