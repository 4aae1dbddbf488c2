// Losses. Under autocast half inputs are computed in f32. `reduction` says what becomes of the elements' losses.
// Errors: ShapeError where input and target do not fit; ValueError for targets out of range.
#pragma once

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft {

/// What a loss gives of its elements' losses.
enum class Reduction : uint8_t {
  none,       ///< the elements' losses
  mean,       ///< their mean (weighted losses: by the sum of the weights)
  sum,        ///< their sum
  batchmean,  ///< kl_div: their sum by the size of the first axis
};
constexpr auto mode_words(Reduction) { return make_words("loss: reduction", "none", "mean", "sum", "batchmean"); }

/// Options of cross_entropy.
struct CrossEntropyOptions {
  Tensor weight = {};           ///< [C]
  int64_t ignore_index = -100;  ///< targets that do not count
  Choice<Reduction> reduction = Reduction::mean;
  double label_smoothing = 0;  ///< in [0, 1]
};
/// -log softmax(x)[target]. x: logits [N, C, spatial...] or [C]; target: integers [N, spatial...] or [], or class
/// probabilities of x's shape. mean divides by the sum of the targets' weights (NaN if all are ignored).
WEFT_API Tensor cross_entropy(const Tensor& x, const Tensor& target, const CrossEntropyOptions& o = {});
/// cross_entropy of the logits linear(x, W, b), with the classes and K more axes behind the samples. x: [N, in] or
/// [in], linear_weight: [C, d1, ..., dK, in], linear_bias: [C, d1, ..., dK] or undefined. ShapeError where they do not
/// fit. As F.linear_cross_entropy, without its chunks.
WEFT_API Tensor linear_cross_entropy(const Tensor& x, const Tensor& linear_weight, const Tensor& target,
                                     const Tensor& linear_bias = {}, const CrossEntropyOptions& o = {});

/// Options of nll_loss; as cross_entropy's.
struct NllLossOptions {
  Tensor weight = {};
  int64_t ignore_index = -100;
  Choice<Reduction> reduction = Reduction::mean;
};
/// -x[target] for log-probabilities x; shapes as for cross_entropy with class indices.
WEFT_API Tensor nll_loss(const Tensor& x, const Tensor& target, const NllLossOptions& o = {});

/// Options of losses that compare element by element.
struct ElementLossOptions {
  Choice<Reduction> reduction = Reduction::mean;
  Tensor weight = {};  ///< factor of each element
};
/// (x - t)^2. x, t: shapes that broadcast.
WEFT_API Tensor mse_loss(const Tensor& x, const Tensor& target, const ElementLossOptions& o = {});
/// |x - t|. x, t: shapes that broadcast.
WEFT_API Tensor l1_loss(const Tensor& x, const Tensor& target, const ElementLossOptions& o = {});
/// Options of smooth_l1_loss. ValueError for a negative beta; 0 gives l1_loss.
struct SmoothL1LossOptions {
  Choice<Reduction> reduction = Reduction::mean;
  double beta = 1;
};
/// d = |x - t|: 0.5 d^2 / beta below beta, d - 0.5 beta above.
WEFT_API Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, const SmoothL1LossOptions& o);
WEFT_API Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, Only<double> beta = 1,
                               Choice<Reduction> reduction = Reduction::mean);
/// Options of huber_loss. ValueError unless delta > 0.
struct HuberLossOptions {
  Choice<Reduction> reduction = Reduction::mean;
  double delta = 1;
  Tensor weight = {};  ///< factor of each element
};
/// d = |x - t|: 0.5 d^2 up to delta, delta (d - 0.5 delta) above.
WEFT_API Tensor huber_loss(const Tensor& x, const Tensor& target, const HuberLossOptions& o);
WEFT_API Tensor huber_loss(const Tensor& x, const Tensor& target, Only<double> delta = 1,
                           const ElementLossOptions& o = {});

/// -w (t log x + (1 - t) log(1 - x)), logarithms not below -100. x in [0, 1]: ValueError otherwise.
/// The target's gradient has the same bound (PyTorch's has none).
WEFT_API Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, const ElementLossOptions& o = {});
/// Options of binary_cross_entropy_with_logits.
struct BceWithLogitsOptions {
  Choice<Reduction> reduction = Reduction::mean;
  Tensor weight = {};
  Tensor pos_weight = {};  ///< factor of the positives; broadcast on the last axes
};
/// binary_cross_entropy of sigmoid(x), without overflow.
WEFT_API Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target,
                                                 const BceWithLogitsOptions& o = {});

/// Options of kl_div.
struct KlDivOptions {
  Choice<Reduction> reduction = Reduction::mean;  ///< over all elements; batchmean is the mathematical one
  bool log_target = false;                        ///< target holds logarithms
};
/// t (log t - x) for log-probabilities x; t log t and its gradient are 0 at t = 0 (PyTorch's gradient there is NaN).
WEFT_API Tensor kl_div(const Tensor& x, const Tensor& target, const KlDivOptions& o = {});

/// Options of losses with a margin.
struct MarginLossOptions {
  double margin = 0;
  Choice<Reduction> reduction = Reduction::mean;
};
/// y = 1: 1 - cos(a, b); y = -1: max(0, cos(a, b) - margin). a, b: [N, D] or [D]; y: [N] or [].
WEFT_API Tensor cosine_embedding_loss(const Tensor& a, const Tensor& b, const Tensor& y, double margin = 0,
                                      Choice<Reduction> reduction = Reduction::mean);
WEFT_API Tensor cosine_embedding_loss(const Tensor& a, const Tensor& b, const Tensor& y, const MarginLossOptions& o);
/// max(0, -y (a - b) + margin).
WEFT_API Tensor margin_ranking_loss(const Tensor& a, const Tensor& b, const Tensor& y, const MarginLossOptions& o);
WEFT_API Tensor margin_ranking_loss(const Tensor& a, const Tensor& b, const Tensor& y, double margin = 0,
                                    Choice<Reduction> reduction = Reduction::mean);
/// Options of triplet_margin_loss; p and eps are pairwise_distance's.
struct TripletMarginOptions {
  double margin = 1, p = 2, eps = 1e-6;
  bool swap = false;  ///< use the distance positive-negative where it is the smaller
  Choice<Reduction> reduction = Reduction::mean;
};
/// max(0, d(anchor, positive) - d(anchor, negative) + margin), d = pairwise_distance.
WEFT_API Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                                    const TripletMarginOptions& o = {});
/// Options of poisson_nll_loss.
struct PoissonNllOptions {
  bool log_input = true;  ///< exp(x) - t x; otherwise x - t log(x + eps)
  bool full = false;      ///< with Stirling's approximation of log t!
  double eps = 1e-8;
  Choice<Reduction> reduction = Reduction::mean;
};
/// -log of the Poisson probability of t, less its constant: exp(x) - t x, or x - t log(x + eps). x, t: one shape.
WEFT_API Tensor poisson_nll_loss(const Tensor& x, const Tensor& target, const PoissonNllOptions& o = {});
/// Options of gaussian_nll_loss.
struct GaussianNllOptions {
  bool full = false;  ///< with the constant 0.5 log 2 pi
  double eps = 1e-6;  ///< variances are not below it
  Choice<Reduction> reduction = Reduction::mean;
};
/// 0.5 (log var + (x - t)^2 / var). ValueError for a negative variance.
WEFT_API Tensor gaussian_nll_loss(const Tensor& x, const Tensor& target, const Tensor& var,
                                  const GaussianNllOptions& o = {});

/// Options of dice_loss.
struct DiceLossOptions {
  bool apply_softmax = true;  ///< over axis 1
  Tensor weight = {};         ///< [C], not normalised
  double smooth = 0;
  double eps = 1e-4;
};
/// Mean over classes of weight (1 - (2 sum(p t) + smooth) / (sum(p + t) + smooth + eps)), sums over batch and space.
/// x: [N, C, spatial...]; target: integers [N, spatial...] or one-hot of x's shape. As elektronn3's DiceLoss.
WEFT_API Tensor dice_loss(const Tensor& x, const Tensor& target, const DiceLossOptions& o = {});

}  // namespace weft
