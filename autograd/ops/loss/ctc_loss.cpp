#include "weft/autograd/ops/loss/ctc_loss.h"

#include <algorithm>
#include <limits>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/loss/common.h"
#include "weft/autograd/ops/shape/pad.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

constexpr const char* kCtcLoss = "ctc_loss";
constexpr double kImpossible = -1e30;  // finite, so that no gradient is 0 times infinity

std::vector<int64_t> lengths_of(const char* what, const Tensor& lengths, int64_t N, int64_t most) {
  WEFT_CHECK(lengths.rank(kCtcLoss) <= 1 && lengths.numel() == N, ShapeError, kCtcLoss, ": ", what, " ",
             lengths.shape(), " must have one entry for each of ", N, " samples");
  WEFT_CHECK(is_integral(lengths.dtype()), DtypeError, kCtcLoss, ": ", what, " are ", lengths.dtype(),
             "; expected integers");
  std::vector<int64_t> v = lengths.to_vector<int64_t>();
  for (int64_t n : v)
    WEFT_CHECK(n >= 0 && n <= most, ValueError, kCtcLoss, ": expected ", what, " of 0 to ", most, ", got ", n);
  return v;
}

/// A target's classes with blanks round each: [N, 2 S + 1]. A state may be entered from the one before the last where
/// `skip`.
struct States {
  std::vector<int64_t> label;
  std::vector<bool> skip;
};
States states_of(const Tensor& targets, const std::vector<int64_t>& lengths, int64_t S, int64_t C, int64_t blank) {
  const std::vector<int64_t> t = targets.to_vector<int64_t>();
  const auto N = static_cast<int64_t>(lengths.size()), L = 2 * S + 1;
  States s{std::vector<int64_t>(static_cast<size_t>(N * L), blank),
           std::vector<bool>(static_cast<size_t>(N * L), false)};
  int64_t begin = 0;
  for (int64_t n = 0; n < N; ++n) {
    if (targets.rank() == 2) begin = n * targets.size(1);
    for (int64_t i = 0; i < lengths[static_cast<size_t>(n)]; ++i) {
      const int64_t label = t[static_cast<size_t>(begin + i)];
      WEFT_CHECK(label >= 0 && label < C, ValueError, kCtcLoss, ": target ", label, " is not one of ", C, " classes");
      const auto at = static_cast<size_t>(n * L + 2 * i + 1);
      s.label[at] = label;
      s.skip[at] = i > 0 && label != blank && label != t[static_cast<size_t>(begin + i - 1)];
    }
    begin += lengths[static_cast<size_t>(n)];
  }
  return s;
}

/// `value`, with a gradient of NaN where `lost`: what no alignment reaches cannot be trained.
Tensor untrainable(const Tensor& x, const Tensor& value, const Tensor& lost) {
  return record(kCtcLoss, value, {x}, [lost = Saved(lost, "lost")](BackwardCtx& c) -> Grads {
    return {where(c.get(lost), std::numeric_limits<double>::quiet_NaN(), zeros_like(c.grad()))};
  });
}

}  // namespace

Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, const CtcLossOptions& o) {
  const OpName op("ctc_loss");
  WEFT_CHECK((log_probs.rank(kCtcLoss) == 2 || log_probs.rank() == 3) && log_probs.is_floating(), ShapeError, kCtcLoss,
             ": log_probs must be floating [T, N, C] or [T, C], got ", log_probs.shape());
  const bool batched = log_probs.rank() == 3;
  const Tensor in = autocast(CastPolicy::fp32, log_probs), wide = in.to(compute_dtype(in.dtype())),
               x = batched ? wide : wide.unsqueeze(1);
  const int64_t T = x.size(0), N = x.size(1), C = x.size(2);
  WEFT_CHECK(T > 0, ShapeError, kCtcLoss, ": log_probs ", log_probs.shape(), " has no time step");
  WEFT_CHECK(o.blank >= 0 && o.blank < C, ValueError, kCtcLoss, ": blank ", o.blank, " is not one of ", C, " classes");
  WEFT_CHECK(is_integral(targets.dtype()), DtypeError, kCtcLoss, ": targets are ", targets.dtype(),
             "; expected integers");
  WEFT_CHECK(targets.rank() == 1 || (targets.rank() == 2 && targets.size(0) == N), ShapeError, kCtcLoss, ": targets ",
             targets.shape(), " must be [", N, ", S] or of rank 1");
  const std::vector<int64_t> steps = lengths_of("input_lengths", input_lengths, N, T);
  const std::vector<int64_t> lengths = lengths_of("target_lengths", target_lengths, N, targets.size(-1));
  int64_t S = 0, total = 0;
  for (int64_t n : lengths) S = std::max(S, n), total += n;
  WEFT_CHECK(targets.rank() == 2 || total == targets.numel(), ValueError, kCtcLoss, ": targets ", targets.shape(),
             " should have the sum of target_lengths, ", total, ", entries");

  const int64_t L = 2 * S + 1;
  const States s = states_of(targets, lengths, S, C, o.blank);
  const Device device = x.device();
  const auto column = [&](const std::vector<int64_t>& v) { return tensor(v, Shape{N, 1}).to(device); };
  const Tensor label = tensor(s.label, Shape{N, 1, L}).to(device), skip = tensor(s.skip, Shape{N, L}).to(device);
  const Tensor step_count = column(steps), length = column(lengths);
  const std::vector<Tensor> emitted = unbind(gather(x.transpose(0, 1), 2, label.expand({N, T, L})), 1);

  const Tensor place = arange(0, L, 1, {Dtype::i64, device});
  Tensor alpha = where(lt(place, 2), emitted[0], kImpossible).to(x.dtype());
  for (int64_t t = 1; t < T; ++t) {
    const Tensor one = pad(alpha, {1, -1}, PadMode::constant, kImpossible);
    const Tensor two = L > 1 ? where(skip, pad(alpha, {2, -2}, PadMode::constant, kImpossible), kImpossible) : one;
    alpha = where(gt(step_count, t), logsumexp(stack({alpha, one, two}), 0) + emitted[static_cast<size_t>(t)], alpha);
  }
  const Tensor last = gather(alpha, 1, length * 2), before = gather(alpha, 1, clamp(length * 2 - 1, 0));
  Tensor each = neg(logsumexp(stack({last, where(gt(length, 0), before, kImpossible)}), 0)).squeeze(1);

  // PyTorch's gradient takes log_probs as log_softmax's: what follows is 0, and its gradient vanishes behind that.
  const Tensor real = lt(arange(0, T, 1, {Dtype::i64, device}).unsqueeze(1), step_count.squeeze(1)).unsqueeze(2);
  const Tensor norm = sum(where(real, exp(x), 0), {0, 2});
  each = each + (norm - norm.detach());

  const Tensor nothing = eq(step_count.squeeze(1), 0), empty_target = eq(length.squeeze(1), 0);
  const Tensor never = where(nothing, logical_not(empty_target), gt(each, -kImpossible / 10));
  each = where(logical_and(nothing, empty_target), 0, each);
  const Tensor nan = isnan(each), lost = o.zero_infinity ? nan : logical_or(never, nan);
  if (o.zero_infinity) each = where(never, 0, each);
  const Tensor value = where(nan, each.detach(), std::numeric_limits<double>::infinity());
  each = where(lost, untrainable(norm, value, lost), each);
  const Tensor loss = o.reduction == Reduction::mean
                          ? mean(each / clamp(length.squeeze(1), 1).to(each.dtype()))
                          : detail::reduce_loss(kCtcLoss, batched ? each : each.squeeze(0), o.reduction);
  return loss.to(in.dtype());
}

}  // namespace weft
