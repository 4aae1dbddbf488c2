#include "weft/nn/unit_scaled/functional.h"

#include <algorithm>
#include <cmath>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/layer/conv.h"
#include "weft/autograd/ops/layer/norm.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce/softmax.h"

namespace weft::unit_scaled {
namespace {

// What a scale divides by: an empty batch has gradients of zero, which no factor may turn into NaN.
double count(int64_t n) { return static_cast<double>(std::max<int64_t>(n, 1)); }

// Between lo (a = 0) and up (a = 1) on a logarithmic scale.
double logi(double a, double lo, double up) { return std::exp(a * std::log(up) + (1 - a) * std::log(lo)); }

const double kSqrt2 = std::sqrt(2.0);
// 1 / standard deviation of relu(z) for normal z
const double kRelu = std::sqrt(2 / (1 - 1 / 3.14159265358979323846));

// f(mult x) / mult, whose derivative has no mult; scales of value and gradient.
template <class F>
Tensor sharpened(const char* op, const Tensor& x, double mult, const double (&scales)[2], const F& f) {
  Tensor y = f(detail::scaled(op, x, mult, mult * scales[1]));
  return detail::scaled(op, y, scales[0] / mult, 1 / mult);
}

double gelu_scale(double mult) { return logi(1 / (1 + 0.25 / (mult * mult)), 2, kRelu); }
double silu_grad_scale(double mult) { return logi(1 / (1 + 1 / (mult * mult)), 2, kSqrt2); }

}  // namespace

// Convolutions

namespace detail {

namespace {

bool fits(const Shape& x, const Shape& w, int rank) {
  return w.size() == rank + 2 && (x.size() == rank + 1 || x.size() == rank + 2);
}
int64_t batch(const Shape& x, int rank) { return x.size() == rank + 2 ? x[0] : 1; }
// prod stride groups / (channels prod kernel): one over the average number of taps of the strided side.
double per_tap(int64_t channels, const Shape& w, const ConvParams& p) {
  return static_cast<double>(p.stride.numel() * p.groups) / (count(channels) * count(w.slice(2).numel()));
}
double per_tap(const Shape& w) { return 1 / count(w.slice(1).numel()); }

}  // namespace

ConvScales conv_scales(const char* op, const Shape& x, const Shape& w, const ConvParams& p, Constraint constraint,
                       const ScalePower& power) {
  const int rank = p.stride.size();
  check_constraint(op, constraint, 2);
  if (!fits(x, w, rank)) return {};
  int64_t positions = batch(x, rank);
  for (int i = 0; i < rank; ++i) positions *= p.output_size(i, x[i - rank], w[i + 2]);
  double s[] = {std::pow(per_tap(w), power[0]), std::pow(per_tap(w[0], w, p), power[1])};
  apply_constraint(op, constraint, s);
  const double weight = std::pow(count(positions), -power[2]);
  return {s[0], s[1], weight, weight};
}

ConvScales conv_transpose_scales(const char* op, const Shape& x, const Shape& w, const ConvParams& p, const Shape& out,
                                 Constraint constraint, const ScalePower& power) {
  const int rank = p.stride.size();
  check_constraint(op, constraint, 2);
  if (!fits(x, w, rank)) return {};
  const int64_t n = batch(x, rank);
  double s[] = {std::pow(per_tap(w[0], w, p), power[0]), std::pow(per_tap(w), power[1])};
  apply_constraint(op, constraint, s);
  return {s[0], s[1], std::pow(count(n * x.slice(x.size() - rank).numel()), -power[2]),
          std::pow(count(n * out.numel()), -power[2])};
}

Shape conv_transpose_output(const Shape& x, const Shape& w, const ConvParams& p, const Shape& more) {
  const int rank = p.stride.size();
  Shape out;
  if (!fits(x, w, rank)) return out;
  for (int i = 0; i < rank; ++i)
    out.push_back(std::max<int64_t>(0, p.input_size(i, x[i - rank], w[i + 2]) + (more.size() == rank ? more[i] : 0)));
  return out;
}

void check_mult(const char* op, double mult) {
  WEFT_CHECK(mult > 0 && std::isfinite(mult), ValueError, op, ": mult must be positive, got ", mult);
}

void check_loss(const char* op, Reduction reduction, const Tensor& weight, double label_smoothing) {
  WEFT_CHECK(!weight.defined(), ValueError, op, ": weight (of the classes) is not supported with unit scaling");
  WEFT_CHECK(label_smoothing == 0, ValueError, op, ": label_smoothing is not supported with unit scaling, got ",
             label_smoothing);
  WEFT_CHECK(reduction == Reduction::mean || reduction == Reduction::sum, ValueError, op,
             ": reduction must be mean or sum with unit scaling");
}

}  // namespace detail

namespace {

template <class Options> ConvParams params(const char* op, const Options& o, int rank) {
  refuse_padding_text(op, o.padding.text);
  const ConvParams p = conv_params(o);
  check_conv_params(op, p, rank);
  return p;
}

template <int D>
Tensor conv(const char* op, const Tensor& x, const Tensor& w, const Tensor& b, const ConvOptions<D>& o) {
  const ConvParams p = params(op, o, D);
  return detail::scaled_conv(
      detail::conv_scales(op, x.shape(op), w.shape(op), p, o.constraint, o.scale_power), x, w, b,
      [&](const Tensor& xs, const Tensor& ws, const Tensor& bs) { return conv_nd(op, xs, ws, bs, p); });
}

template <int D>
Tensor transpose(const char* op, const Tensor& x, const Tensor& w, const Tensor& b, const ConvTransposeOptions<D>& o) {
  const ConvParams p = params(op, o, D);
  const Shape more = o.output_padding, out = detail::conv_transpose_output(x.shape(op), w.shape(op), p, more);
  return detail::scaled_conv(
      detail::conv_transpose_scales(op, x.shape(), w.shape(), p, out, o.constraint, o.scale_power), x, w, b,
      [&](const Tensor& xs, const Tensor& ws, const Tensor& bs) { return conv_transpose_nd(op, xs, ws, bs, p, more); });
}

}  // namespace

Tensor conv1d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvOptions<1>& o) {
  return conv("conv1d", x, w, b, o);
}
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvOptions<2>& o) {
  return conv("conv2d", x, w, b, o);
}
Tensor conv3d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvOptions<3>& o) {
  return conv("conv3d", x, w, b, o);
}
Tensor conv_transpose1d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvTransposeOptions<1>& o) {
  return transpose("conv_transpose1d", x, w, b, o);
}
Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvTransposeOptions<2>& o) {
  return transpose("conv_transpose2d", x, w, b, o);
}
Tensor conv_transpose3d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvTransposeOptions<3>& o) {
  return transpose("conv_transpose3d", x, w, b, o);
}

// Products and sums

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b, const LinearOptions& o) {
  WEFT_CHECK(w.rank() == 2, ShapeError, "linear: weight must be [out, in], got ", w.shape());
  const double in = count(w.size(1)), out = count(w.size(0));
  double s[] = {std::pow(in, -o.scale_power[0]), std::pow(out, -o.scale_power[1])};
  apply_constraint("linear", o.constraint, s);
  const double weight = std::pow(count(x.numel()) / in, -o.scale_power[2]);
  Tensor y = weft::linear(scale_bwd(x, s[1]), scale_bwd(w, weight), b.defined() ? scale_bwd(b, weight) : b);
  return scale_fwd(y, s[0]);
}

Tensor linear_readout(const Tensor& x, const Tensor& w, const Tensor& b, const LinearReadoutOptions& o) {
  return linear(x, w, b, {.constraint = o.constraint, .scale_power = o.scale_power});
}

Tensor matmul(const Tensor& a, const Tensor& b, Choice<Constraint> constraint) {
  auto size = [](const Tensor& t, int dim) { return t.rank() >= -dim ? count(t.size(dim)) : 1.0; };
  double s[] = {1 / std::sqrt(size(a, -1)), 1, 1 / std::sqrt(size(a, -2))};
  if (b.rank() >= 2) s[1] = 1 / std::sqrt(size(b, -1));  // a vector has one column
  apply_constraint("matmul", constraint, s);
  return scale_fwd(weft::matmul(scale_bwd(a, s[1]), scale_bwd(b, s[2])), s[0]);
}

Tensor add(const Tensor& a, const Tensor& b, Choice<Constraint> constraint) {
  check_defined("add", a, b);
  const double out = count(broadcast_shapes("add", a.shape(), b.shape()).numel());
  double s[] = {a.numel() == 1 || b.numel() == 1 ? 1 : 1 / kSqrt2, std::sqrt(count(a.numel()) / out),
                std::sqrt(count(b.numel()) / out)};
  apply_constraint("add", constraint, s);
  return scale_fwd(weft::add(scale_bwd(a, s[1]), scale_bwd(b, s[2])), s[0]);
}
Tensor add(const Tensor& x, Scalar y) { return weft::add(x, y); }

// Nonlinearities

Tensor gelu(const Tensor& x, const GeluOptions& o) {
  detail::check_mult("gelu", o.mult);
  double s[] = {gelu_scale(o.mult), logi(1 / (1 + 0.25 / (o.mult * o.mult)), 2, kSqrt2)};
  apply_constraint("gelu", o.constraint, s);
  return sharpened("gelu", x, o.mult, s, [&](const Tensor& z) { return weft::gelu(z, o.approximate); });
}

Tensor silu(const Tensor& x, const SiluOptions& o) {
  detail::check_mult("silu", o.mult);
  double s[] = {gelu_scale(o.mult), silu_grad_scale(o.mult)};
  apply_constraint("silu", o.constraint, s);
  return sharpened("silu", x, o.mult, s, [](const Tensor& z) { return weft::silu(z); });
}

Tensor silu_glu(const Tensor& x, const Tensor& gate, double mult) {
  detail::check_mult("silu_glu", mult);
  const double t = silu_grad_scale(mult);
  Tensor open = sharpened("silu_glu", gate, mult, {1, t}, [](const Tensor& z) { return weft::silu(z); });
  return scale_fwd(scale_bwd(x, t) * open, t);
}

Tensor softmax(const Tensor& x, int64_t dim, const SoftmaxOptions& o) {
  detail::check_mult("softmax", o.mult);
  const double n = x.rank() ? count(x.size(dim)) : 1, a = 1 / (1 + 4 / (o.mult * o.mult));
  double s[] = {logi(a, n, std::sqrt(n)), logi(a, n / o.mult, std::sqrt(n / o.mult))};
  apply_constraint("softmax", o.constraint, s);
  return scale_fwd(weft::softmax(detail::scaled("softmax", x, o.mult, o.mult * s[1]), dim), s[0]);
}

Tensor dropout(const Tensor& x, double p, Only<bool> training, Generator* g) {
  Tensor y = weft::dropout(x, p, training, g);
  return detail::scaled("dropout", y, std::sqrt(1 - p), std::sqrt(1 - p));
}

// Norms and tables

namespace {
Tensor per_row(const Tensor& w, const Tensor& x, const Shape& normalized_shape) {
  return w.defined() ? scale_bwd(w, std::sqrt(count(normalized_shape.numel()) / count(x.numel()))) : w;
}
}  // namespace

Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& w, const Tensor& b, double eps) {
  return weft::layer_norm(x, normalized_shape, per_row(w, x, normalized_shape), per_row(b, x, normalized_shape), eps);
}

Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& w, double eps) {
  return weft::rms_norm(x, normalized_shape, per_row(w, x, normalized_shape), eps);
}

Tensor embedding(const Tensor& index, const Tensor& w, const EmbeddingOptions& o) {
  const double rows = w.rank() ? count(w.size(0)) : 1;
  return weft::embedding(index, scale_bwd(w, std::sqrt(rows / count(index.numel()))), o);
}

// Residual branches

std::pair<Tensor, Tensor> residual_split(const Tensor& x, double tau) {
  const double size = std::sqrt(1 + tau * tau);
  return {scale_bwd(x, tau / size), scale_bwd(x, 1 / size)};
}

Tensor residual_add(const Tensor& residual, const Tensor& skip, double tau) {
  const double size = std::sqrt(1 + tau * tau);
  return weft::add(scale_fwd(residual, tau / size), scale_fwd(skip, 1 / size));
}

// Losses: sums, in f32 at least, because a sum over a batch is soon more than an f16 holds.

namespace {
Tensor wide(const Tensor& x) { return x.to(compute_dtype(x.dtype())); }
Tensor reduced(const Tensor& sum, Reduction reduction, int64_t n, Dtype d) {
  return (reduction == Reduction::mean ? scale_fwd(sum, 1 / count(n)) : sum).to(d);
}
}  // namespace

Tensor cross_entropy(const Tensor& x, const Tensor& target, const CrossEntropyOptions& o) {
  detail::check_loss("cross_entropy", o.reduction, o.weight, o.label_smoothing);
  detail::check_mult("cross_entropy", o.mult);
  WEFT_CHECK(x.rank() == 1 || x.rank() == 2, ShapeError, "cross_entropy: logits must be [N, V] or [V], got ",
             x.shape());
  const int64_t classes = x.size(-1);
  WEFT_CHECK(classes >= 2, ShapeError, "cross_entropy: needs two classes at least, got ", x.shape());
  const double v = static_cast<double>(classes);
  Tensor logits = detail::scaled("cross_entropy", wide(x), o.mult, v / std::sqrt(v - 1));
  Tensor sum = weft::cross_entropy(logits, target, {.ignore_index = o.ignore_index, .reduction = Reduction::sum});
  return reduced(sum, o.reduction, x.numel() / classes, x.dtype());
}

Tensor mse_loss(const Tensor& x, const Tensor& target, Choice<Reduction> reduction) {
  detail::check_loss("mse_loss", reduction);
  WEFT_CHECK(x.shape() == target.shape(), ShapeError, "mse_loss: input and target must have one shape, got ", x.shape(),
             " and ", target.shape());
  const double scale = 1 / std::sqrt(8.0);
  Tensor sum = weft::mse_loss(scale_bwd(wide(x), scale), scale_bwd(wide(target), scale), {.reduction = Reduction::sum});
  return reduced(sum, reduction, x.numel(), promote(x.dtype(), target.dtype()));
}

}  // namespace weft::unit_scaled
