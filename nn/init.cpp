#include "weft/nn/init.h"

#include <cmath>
#include <vector>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/random.h"
#include "weft/core/factory.h"

namespace weft::nn::init {

namespace {

void write(const Tensor& to, const std::vector<double>& values) {
  Tensor t = to;
  NoGrad guard;
  t.copy_(tensor(values, t.shape()));
}

/// Inverse of erf: Giles' approximation (2010), then two Newton steps in f64.
double inverse_erf(double x) {
  double w = -std::log((1 - x) * (1 + x)), y;
  if (w < 5) {
    w -= 2.5;
    y = 2.81022636e-08;
    for (double c : {3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
                     0.246640727, 1.50140941})
      y = c + y * w;
  } else {
    w = std::sqrt(w) - 3;
    y = -0.000200214257;
    for (double c : {0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
                     1.00167406, 2.83297682})
      y = c + y * w;
  }
  y *= x;
  for (int i = 0; i < 2 && std::isfinite(y); ++i) y -= (std::erf(y) - x) / (2 / std::sqrt(M_PI) * std::exp(-y * y));
  return y;
}

double fan_of(const Tensor& t, FanMode mode) {
  Fans f = calculate_fans(t.shape());
  return static_cast<double>(mode == FanMode::fan_in ? f.in : f.out);
}

}  // namespace

double calculate_gain(Choice<Nonlinearity> nonlinearity, double negative_slope) {
  switch (nonlinearity) {
    case Nonlinearity::tanh: return 5.0 / 3;
    case Nonlinearity::relu: return std::sqrt(2.0);
    case Nonlinearity::leaky_relu: return std::sqrt(2 / (1 + negative_slope * negative_slope));
    case Nonlinearity::selu: return 0.75;
    default: return 1;
  }
}

Fans calculate_fans(const Shape& weight) {
  WEFT_CHECK(weight.size() >= 2, ShapeError, "init: fan in and fan out need at least 2 axes, got ", weight);
  int64_t kernel = weight.slice(2).numel();
  return {weight[1] * kernel, weight[0] * kernel};
}

double default_bound(int64_t fan_in) { return fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0; }

void uniform_(const Tensor& t, double low, double high) {
  NoGrad guard;
  Tensor out = t;
  weft::uniform_(out, low, high);
}
void normal_(const Tensor& t, double mean, double std) {
  NoGrad guard;
  Tensor out = t;
  weft::normal_(out, mean, std);
}
void constant_(const Tensor& t, double value) {
  NoGrad guard;
  Tensor(t).fill_(value);
}
void zeros_(const Tensor& t) { constant_(t, 0); }
void ones_(const Tensor& t) { constant_(t, 1); }

void trunc_normal_(const Tensor& t, const TruncNormalOptions& o) {
  WEFT_CHECK(o.low < o.high && o.std > 0, ValueError, "trunc_normal_: needs low < high and std > 0, got ", o.low, ", ",
             o.high, ", ", o.std);
  auto below = [&](double x) { return std::erf((x - o.mean) / (o.std * std::sqrt(2.0))); };
  const double from = below(o.low), to = below(o.high);
  std::vector<double> values(static_cast<size_t>(t.numel()));
  for (double& v : values) {
    double x = o.mean + o.std * std::sqrt(2.0) * inverse_erf(from + (to - from) * default_generator().uniform());
    v = x < o.low ? o.low : (x > o.high ? o.high : x);
  }
  write(t, values);
}

void eye_(const Tensor& t) {
  WEFT_CHECK(t.rank() == 2, ShapeError, "eye_: needs a matrix, got ", t.shape());
  NoGrad guard;
  Tensor(t).copy_(eye(t.shape()[0], t.shape()[1]));
}

void dirac_(const Tensor& t, int64_t groups) {
  const Shape& s = t.shape();
  WEFT_CHECK(s.size() >= 3 && s.size() <= 5, ShapeError, "dirac_: needs a convolution's weight, got ", s);
  WEFT_CHECK(groups > 0 && s[0] % groups == 0, ValueError, "dirac_: ", s[0], " outputs are not divisible by groups ",
             groups);
  int64_t kernel = s.slice(2).numel(), centre = 0;
  for (int i = 2; i < s.size(); ++i) centre = centre * s[i] + s[i] / 2;
  std::vector<double> values(static_cast<size_t>(t.numel()), 0.0);
  int64_t per_group = s[0] / groups;
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t c = 0; c < std::min(per_group, s[1]); ++c)
      values[static_cast<size_t>(((g * per_group + c) * s[1] + c) * kernel + centre)] = 1;
  write(t, values);
}

void xavier_uniform_(const Tensor& t, double gain) {
  Fans f = calculate_fans(t.shape());
  double bound = gain * std::sqrt(6.0 / static_cast<double>(f.in + f.out));
  uniform_(t, -bound, bound);
}
void xavier_normal_(const Tensor& t, double gain) {
  Fans f = calculate_fans(t.shape());
  normal_(t, 0, gain * std::sqrt(2.0 / static_cast<double>(f.in + f.out)));
}
void kaiming_uniform_(const Tensor& t, const KaimingOptions& o) {
  if (t.numel() == 0) return;
  double bound = calculate_gain(o.nonlinearity, o.a) * std::sqrt(3 / fan_of(t, o.mode));
  uniform_(t, -bound, bound);
}
void kaiming_normal_(const Tensor& t, const KaimingOptions& o) {
  if (t.numel() == 0) return;
  double std = calculate_gain(o.nonlinearity, o.a) / std::sqrt(fan_of(t, o.mode));
  normal_(t, 0, std);
}

void orthogonal_(const Tensor& t, double gain) {
  WEFT_CHECK(t.rank() >= 2, ShapeError, "orthogonal_: needs at least 2 axes, got ", t.shape());
  if (t.numel() == 0) return;
  int64_t rows = t.shape()[0], columns = t.numel() / rows;
  // The shorter side's vectors are made orthonormal (Gram-Schmidt, twice for f64's last digits).
  int64_t count = std::min(rows, columns), length = std::max(rows, columns);
  std::vector<double> q(static_cast<size_t>(count * length));
  auto at = [&](int64_t vector, int64_t i) -> double& { return q[static_cast<size_t>(vector * length + i)]; };
  Tensor draws = empty({count * length}, Dtype::f64);
  weft::normal_(draws);
  q = draws.to_vector<double>();
  for (int64_t v = 0; v < count; ++v) {
    for (int round = 0; round < 2; ++round)
      for (int64_t u = 0; u < v; ++u) {
        double product = 0;
        for (int64_t i = 0; i < length; ++i) product += at(v, i) * at(u, i);
        for (int64_t i = 0; i < length; ++i) at(v, i) -= product * at(u, i);
      }
    double norm = 0;
    for (int64_t i = 0; i < length; ++i) norm += at(v, i) * at(v, i);
    for (int64_t i = 0; i < length; ++i) at(v, i) /= std::sqrt(norm);
  }
  std::vector<double> values(q.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      values[static_cast<size_t>(r * columns + c)] = gain * (rows <= columns ? at(r, c) : at(c, r));
  write(t, values);
}

void sparse_(const Tensor& t, double sparsity, double std) {
  WEFT_CHECK(t.rank() == 2, ShapeError, "sparse_: needs a matrix, got ", t.shape());
  WEFT_CHECK(sparsity >= 0 && sparsity <= 1, ValueError, "sparse_: sparsity must be in [0, 1], got ", sparsity);
  const int64_t rows = t.size(0), columns = t.size(1);
  const auto zeros = static_cast<size_t>(std::ceil(sparsity * static_cast<double>(rows)));
  Tensor draws = empty({rows, columns}, Dtype::f64);
  weft::normal_(draws, 0, std);
  std::vector<double> values = draws.to_vector<double>();
  for (int64_t c = 0; c < columns; ++c) {
    const std::vector<int64_t> order = randperm(rows).to_vector<int64_t>();
    for (size_t k = 0; k < zeros; ++k) values[static_cast<size_t>(order[k] * columns + c)] = 0;
  }
  write(t, values);
}

}  // namespace weft::nn::init
