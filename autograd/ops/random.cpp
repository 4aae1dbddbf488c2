#include "weft/autograd/ops/random.h"

#include "weft/autograd/in_place.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/autograd/ops/reduce/search.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/autograd/ops/refuse.h"
#include "weft/autograd/record.h"
#include "weft/core/draw.h"
#include "weft/core/map.h"

namespace weft {
namespace {

using detail::blocks;
using detail::choose;

void check_probability(const char* op, double p) {
  WEFT_CHECK(p >= 0 && p <= 1, ValueError, op, ": the probability must be between 0 and 1, got ", p);
}

// x times a mask that is drawn again wherever it is needed; element order is that of `strides`.
Tensor masked(const Tensor& x, Generator::State from, double keep, const Strides& strides) {
  Tensor in = x.detach();
  if (in.strides() != strides) {
    in = empty_strided(x.shape(), strides, x.options());
    kernels::copy(x.device(), mut_ref(in), ref(x));
  }
  Tensor y = empty_strided(x.shape(), strides, x.options());
  kernels::dropout(x.device(), mut_ref(y), ref(in), from, keep, 1 / keep);
  return record("dropout", y, {x}, [=](BackwardCtx& c) -> Grads { return {masked(c.grad(), from, keep, strides)}; });
}

// [N, C, 1, ...] of 0 and `value`, for `spatial` axes behind the channels.
Tensor channel_mask(const char* op, const Tensor& x, double keep, double value, Shape shape, Generator* g) {
  WEFT_CHECK(x.is_floating(op), DtypeError, op, ": dtype ", x.dtype(),
             " is not supported here; expected a floating one");
  Tensor mask = bernoulli(shape, keep, x.options(), g);
  return value == 1 ? mask : mul(mask, value);
}

// x: [N, C, ...], or [C, ...] if it has `unbatched` axes (0: never).
Tensor feature_dropout(const char* op, const Tensor& x, int unbatched, double p, bool training, Generator* g) {
  check_probability(op, p);
  check_defined(op, x);
  if (!training || p == 0 || x.numel() == 0) return x;
  WEFT_CHECK(x.rank() >= 2, ShapeError, op, ": expects at least 2 dimensions in training, got ", x.shape());
  if (p == 1) return mul(x, 0);
  Shape shape = x.shape();
  for (int i = x.rank() == unbatched ? 1 : 2; i < x.rank(); ++i) shape[i] = 1;
  return mul(x, channel_mask(op, x, 1 - p, 1 / (1 - p), shape, g));
}

// Where the mask is 0, alpha' = -lambda alpha of SELU; then a y + b restores mean 0 and variance 1.
Tensor alpha_masked(const char* op, const Tensor& x, double p, const Shape& shape, Generator* g) {
  if (p == 1) return mul(x, 0);
  const double drop = -1.7580993408473766, a = 1 / std::sqrt((1 - p) * (1 + p * drop * drop)), b = -a * drop * p;
  Tensor mask = channel_mask(op, x, 1 - p, 1, shape, g);
  Tensor shift = add(mul(mask, -a * drop), a * drop + b);  // b where kept, a drop + b where dropped
  return add(mul(x, mul(mask, a)), shift);
}

void check_filled(const char* op, const Tensor& x) {
  detail::check_in_place(op, x);
  WEFT_CHECK(x.is_floating(), DtypeError, op, ": dtype ", x.dtype(), " is not supported here; expected a floating one");
}

// Fills x through `fill`, by way of a dense tensor where x has gaps. Drawn in logical order, so that the layout does
// not matter.
template <class F> Tensor& fill_with(Tensor& x, const F& fill) {
  if (x.is_contiguous()) {
    fill(x);
  } else {
    Tensor y = empty(x.shape(), x.options());
    fill(y);
    NoGrad guard;
    x.copy_(y);
  }
  return x;
}

// Exponential numbers of mean 1 in f32 or f64. A uniform number of 0 counts as half of the next one, so that none is 0.
Tensor exponential(const Shape& shape, const TensorOptions& o, Generator* g) {
  return neg(log1p(neg(clamp(rand(shape, o, g), o.dtype() == Dtype::f64 ? 0x1p-54 : 0x1p-25))));
}

}  // namespace

Tensor dropout(const Tensor& x, double p, Only<bool> training, Generator* g) {
  const OpName op("dropout");
  check_probability(op, p);
  WEFT_CHECK(x.is_floating(), DtypeError, "dtype ", x.dtype(), " is not supported here; expected a floating one");
  if (!training || p == 0 || x.numel() == 0) return x;
  if (p == 1) return mul(x, 0);
  return masked(x, choose(g).reserve(blocks(x.numel())), 1 - p,
                x.is_dense() ? x.strides() : contiguous_strides(x.shape()));
}

Tensor dropout1d(const Tensor& x, double p, Only<bool> training, Generator* g) {
  const OpName op("dropout1d");
  check_defined(op, x);
  WEFT_CHECK(!training || x.rank() == 2 || x.rank() == 3, ShapeError,
             "expects 3 dimensions (or 2 without a batch), got ", x.shape());
  return feature_dropout(op, x, 2, p, training, g);
}
Tensor dropout2d(const Tensor& x, double p, Only<bool> training, Generator* g) {
  return feature_dropout("dropout2d", x, 0, p, training, g);
}
Tensor dropout3d(const Tensor& x, double p, Only<bool> training, Generator* g) {
  return feature_dropout("dropout3d", x, 4, p, training, g);
}

Tensor alpha_dropout(const Tensor& x, double p, Only<bool> training, Generator* g) {
  const OpName op("alpha_dropout");
  check_probability(op, p);
  if (!training || p == 0 || x.numel() == 0) return x;
  return alpha_masked(op, x, p, x.shape(), g);
}

Tensor feature_alpha_dropout(const Tensor& x, double p, Only<bool> training, Generator* g) {
  const OpName op("feature_alpha_dropout");
  check_probability(op, p);
  check_defined(op, x);
  if (!training || p == 0 || x.numel() == 0) return x;
  WEFT_CHECK(x.rank() >= 2, ShapeError, "expects at least 2 dimensions in training, got ", x.shape());
  Shape shape = x.shape();
  for (int i = 2; i < x.rank(); ++i) shape[i] = 1;
  return alpha_masked(op, x, p, shape, g);
}

Tensor rrelu(const Tensor& x, double lower, double upper, Only<bool> training, Generator* g) {
  const OpName op("rrelu");
  WEFT_CHECK(lower <= upper, ValueError, "rrelu: lower ", lower, " is greater than upper ", upper);
  if (!training) return leaky_relu(x, (lower + upper) / 2);
  return where(le(x, 0), x * (rand(x.shape(), x.options(), g) * (upper - lower) + lower), x);
}

Tensor gumbel_softmax(const Tensor& x, double tau, Only<bool> hard, Int dim, Generator* g) {
  const OpName op("gumbel_softmax");
  WEFT_CHECK(x.is_floating(), DtypeError, "dtype ", x.dtype(), " is not supported here; expected a floating one");
  // Halves would draw 0 and 1 again and again, whose noise is infinite; f32 draws 0 once in 2^24.
  const Tensor u = clamp(rand(x.shape(), {compute_dtype(x.dtype()), x.device()}, g), 0x1p-25);
  Tensor soft = softmax((x + neg(log(neg(log(u)))).to(x.dtype())) / tau, dim);
  if (!hard) return soft;
  const Tensor at = soft.detach();
  return scatter(zeros(x.shape(), x.options()), dim, argmax(at, dim, true), 1) - at + soft;
}

Tensor bernoulli(const Tensor& p, Generator* g) {
  const OpName op("bernoulli");
  WEFT_CHECK(p.is_floating(), DtypeError, "p is ", p.dtype(), "; expected a floating dtype");
  const Tensor at = p.detach();
  detail::refuse_any(op, logical_not(logical_and(ge(at, 0), le(at, 1))), "the probabilities must be between 0 and 1",
                     "; a value of the tensor ", p.shape(), " is not");
  return lt(rand(p.shape(), {compute_dtype(p.dtype()), p.device()}, g), at.to(compute_dtype(p.dtype()))).to(p.dtype());
}

Tensor bernoulli(const Shape& shape, double p, const TensorOptions& o, Generator* g) {
  check_probability("bernoulli", p);
  Tensor y = empty(shape, o);
  kernels::bernoulli(y.device(), mut_ref(y), choose(g).reserve(blocks(y.numel())), p);
  return y;
}

Tensor& uniform_(Tensor& x, double low, double high, Generator* g) {
  const OpName op("uniform_");
  check_filled(op, x);
  WEFT_CHECK(low <= high, ValueError, "the range [", low, ", ", high, ") is empty");
  const Generator::State from = choose(g).reserve(blocks(x.numel(), x.dtype() == Dtype::f64));
  return fill_with(x, [&](Tensor& y) { kernels::uniform(y.device(), mut_ref(y), from, low, high); });
}

Tensor& normal_(Tensor& x, double mean, double std, Generator* g) {
  const OpName op("normal_");
  check_filled(op, x);
  WEFT_CHECK(std >= 0, ValueError, "std must not be negative, got ", std);
  const Generator::State from = choose(g).reserve(blocks(x.numel(), x.dtype() == Dtype::f64));
  return fill_with(x, [&](Tensor& y) { kernels::normal(y.device(), mut_ref(y), from, mean, std); });
}

Tensor& bernoulli_(Tensor& x, double p, Generator* g) {
  const OpName op("bernoulli_");
  check_probability(op, p);
  check_filled(op, x);
  const Generator::State from = choose(g).reserve(blocks(x.numel()));
  return fill_with(x, [&](Tensor& y) { kernels::bernoulli(y.device(), mut_ref(y), from, p); });
}

Tensor& exponential_(Tensor& x, double lambd, Generator* g) {
  const OpName op("exponential_");
  check_filled(op, x);
  WEFT_CHECK(lambd > 0, ValueError, "lambd must be positive, got ", lambd);
  NoGrad guard;
  return x.copy_(exponential(x.shape(), {compute_dtype(x.dtype()), x.device()}, g) / lambd);
}

Tensor multinomial(const Tensor& probs, Int num_samples, Only<bool> replacement, Generator* g) {
  const OpName op("multinomial");
  WEFT_CHECK(probs.is_floating(), DtypeError, "probs are ", probs.dtype(), "; expected a floating dtype");
  WEFT_CHECK(probs.rank() == 1 || probs.rank() == 2, ShapeError, "probs must be of rank 1 or 2, got ", probs.shape());
  WEFT_CHECK(num_samples > 0, ValueError, "num_samples must be positive, got ", num_samples);
  const int64_t classes = probs.size(-1);
  WEFT_CHECK(replacement || num_samples <= classes, ValueError, "cannot draw ", num_samples, " of ", classes,
             " without replacement");
  NoGrad guard;
  const Tensor p = probs.detach().to(Dtype::f64);
  if (p.numel() > 0) {
    detail::refuse_any(op, logical_not(logical_and(ge(p, 0), isfinite(p))),
                       "a probability is negative, infinite or NaN", ", in probs ", probs.shape());
    detail::refuse_any(op, logical_not(any(gt(p, 0), -1)), "all probabilities of a row are 0");
  }
  WEFT_CHECK(classes > 0 || p.numel() == 0, ShapeError, "probs ", probs.shape(), " have no classes");
  if (!replacement) {
    // the first of exponential clocks with these rates, the second, ...
    return topk(p / exponential(p.shape(), p.options(), g), num_samples, -1).indices;
  }
  Shape shape = probs.shape();
  shape[shape.size() - 1] = num_samples;
  const Tensor sums = p.numel() > 0 ? cumsum(p / amax(p, -1, true), -1) : p;  // finite for all that is
  // below the total even where the product is rounded
  const Tensor at = rand(shape, p.options(), g) * (sums.narrow(-1, classes - 1, 1) * (1 - 0x1p-52));
  return searchsorted(sums, at, {.right = true});
}

Tensor poisson(const Tensor& rate, Generator* g) {
  const OpName op("poisson");
  WEFT_CHECK(rate.is_floating(), DtypeError, "rate is ", rate.dtype(), "; expected a floating dtype");
  detail::refuse_any(op, logical_not(ge(rate.detach(), 0)), "a rate is negative or NaN", ", in rate ", rate.shape());
  NoGrad guard;
  const Generator::State from = choose(g).reserve(static_cast<uint64_t>(rate.numel()));
  // an element's own stream is that of its number, in logical order
  const Tensor element = arange(0, rate.numel(), 1, {Dtype::f64, rate.device()}).reshape(rate.shape());
  return kernels::map2<fn::Poisson>(rate.detach().to(Dtype::f64), element, {from.seed, from.offset}).to(rate.dtype());
}

Tensor normal(const Tensor& mean, const Tensor& std, Generator* g) {
  const OpName op("normal");
  check_defined(op, mean, std);
  kernels::detail::check_same_device(op, mean, std);
  WEFT_CHECK(mean.is_floating(), DtypeError, "mean is ", mean.dtype(), "; expected a floating dtype");
  detail::refuse_any(op, logical_not(ge(std.detach(), 0)), "an element of std is negative or NaN", ", in std ",
                     std.shape());
  NoGrad guard;
  const Shape shape = broadcast_shapes(op, mean.shape(), std.shape());
  return randn(shape, mean.options(), g) * std.detach().to(mean.dtype()) + mean.detach();
}
Tensor normal(const Tensor& mean, double std, Generator* g) {
  check_defined("normal", mean);
  return normal(mean, detail::number(std, {mean.is_floating() ? mean.dtype() : default_dtype(), mean.device()}), g);
}
Tensor normal(double mean, const Tensor& std, Generator* g) {
  WEFT_CHECK(std.is_floating(), DtypeError, "normal: std is ", std.dtype(), "; expected a floating dtype");
  return normal(detail::number(mean, std.options()), std, g);
}
Tensor normal(double mean, double std, const Shape& shape, const TensorOptions& o, Generator* g) {
  const OpName op("normal");
  WEFT_CHECK(is_floating(o.dtype()), DtypeError, "dtype ", o.dtype(),
             " is not supported here; expected a floating one");
  WEFT_CHECK(std >= 0, ValueError, "std must not be negative, got ", std);
  Tensor y = empty(shape, o.requires_grad(false));
  normal_(y, mean, std, g);
  return o.requires_grad() ? y.set_requires_grad() : y;
}

}  // namespace weft
