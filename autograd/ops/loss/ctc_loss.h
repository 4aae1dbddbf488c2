// Connectionist temporal classification.
#pragma once

#include "weft/autograd/ops/loss/loss.h"

namespace weft {

/// Options of ctc_loss.
struct CtcLossOptions {
  int64_t blank = 0;                              ///< the class that separates equal ones
  Choice<Reduction> reduction = Reduction::mean;  ///< mean: of the losses by their targets' lengths
  bool zero_infinity = false;  ///< a target that does not fit its input costs 0, not infinity with a gradient of NaN
};
/// -log of the probability of all paths that become the target when repeats are merged and blanks dropped. (Graves et
/// al. 2006.) log_probs: [T, N, C] (log_softmax's) or [T, C]; targets: classes [N, S], or [sum of target_lengths] one
/// after the other; lengths: integers [N] or []. ValueError for lengths that do not fit. The gradient is that with
/// respect to the logits before log_softmax once it has gone through that, as torch.nn.functional.ctc_loss gives it.
/// Waits for the device.
WEFT_API Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                         const Tensor& target_lengths, const CtcLossOptions& o = {});

}  // namespace weft
