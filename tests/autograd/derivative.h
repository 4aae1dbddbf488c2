// Derivatives of scalar functions of tensors against central differences, for the op tests of this folder.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "support/devices.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"

namespace weft::test {

using TensorFn = std::function<Tensor(const std::vector<Tensor>&)>;

/// 0, 1, 2, ...
inline Tensor iota(const Shape& shape, Dtype d = Dtype::f64) {
  return support::here(arange(shape.numel())).to(d).reshape(shape);
}

inline Tensor leaf(const Shape& shape) { return (iota(shape) * 0.37 - 1.1).set_requires_grad(); }

/// gradcheck and gradgradcheck of f at leaves of these shapes.
inline void check_gradients(const GradFn& f, const std::vector<Shape>& shapes) {
  std::vector<Tensor> x;
  for (const Shape& s : shapes) x.push_back(leaf(s));
  CHECK(gradcheck(f, x));
  CHECK(gradgradcheck(f, x));
}

/// Values that look random and repeat: in [lo, hi), no two close to each other within a period of 97.
inline Tensor ramp(const Shape& shape, double lo = -2, double hi = 2, int64_t seed = 0) {
  const int64_t n = shape.numel();
  std::vector<double> v(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    v[static_cast<size_t>(i)] = lo + (hi - lo) * (static_cast<double>((i * 37 + seed * 11 + 5) % 97) + 0.37) / 97;
  return support::here(tensor(v, shape));
}

/// sum(f(x) * w) with fixed weights, so that every output element has its own gradient.
inline Tensor weighed(const Tensor& y) { return sum(y * ramp(y.shape(), 0.5, 1.5, 3)); }

inline void check_against_differences(const TensorFn& scalar_fn, const std::vector<Tensor>& at,
                                      const std::vector<Tensor>& grads, double tolerance) {
  NoGrad guard;
  for (size_t k = 0; k < at.size(); ++k) {
    const std::vector<double> x = at[k].to_vector<double>();
    const std::vector<double> g = grads[k].defined() ? grads[k].to_vector<double>()
                                                     : std::vector<double>(x.size(), 0.0);
    REQUIRE(g.size() == x.size());
    if (grads[k].defined()) CHECK(grads[k].shape() == at[k].shape());
    for (size_t i = 0; i < x.size(); ++i) {
      const double h = 1e-5 * std::max(1.0, std::abs(x[i]));
      auto eval = [&](double v) {
        std::vector<double> moved = x;
        moved[i] = v;
        std::vector<Tensor> in;
        for (const Tensor& t : at) in.push_back(t.detach());
        in[k] = support::here(tensor(moved, at[k].shape()));
        return scalar_fn(in).item<double>();
      };
      const double want = (eval(x[i] + h) - eval(x[i] - h)) / (2 * h);
      CAPTURE(k);
      CAPTURE(i);
      CAPTURE(x[i]);
      CHECK(g[i] == doctest::Approx(want).epsilon(tolerance).scale(1));
    }
  }
}

/// First derivative (fused and composite) and second derivative of f at f64 inputs. Central differences with h = 1e-5
/// are good to about h^2 |f'''| + 1e-16 / h, so 1e-6 relative to max(1, |g|) is what can be asked of well-scaled
/// functions.
inline void check_derivatives(const TensorFn& f, std::vector<Tensor> at, double tolerance = 1e-6, bool second = true) {
  for (Tensor& t : at) t.set_requires_grad();
  const TensorFn first = [&](const std::vector<Tensor>& x) { return weighed(f(x)); };
  const std::vector<Tensor> fused = grad(first(at), at, {.allow_unused = true});
  check_against_differences(first, at, fused, tolerance);
  const std::vector<Tensor> composite = grad(first(at), at, {.create_graph = true, .allow_unused = true});
  for (size_t k = 0; k < at.size(); ++k)
    if (fused[k].defined()) CHECK(allclose(fused[k], composite[k], 1e-12, 1e-12));
  if (!second) return;
  const TensorFn of_grads = [&](const std::vector<Tensor>& in) {
    EnableGrad on;
    std::vector<Tensor> x;
    for (const Tensor& t : in) x.push_back(t.requires_grad() ? t : t.detach().set_requires_grad());
    const std::vector<Tensor> g = grad(first(x), x, {.create_graph = true, .allow_unused = true});
    Tensor s = zeros({}, support::on(Dtype::f64));
    for (const Tensor& t : g)
      if (t.defined()) s = s + weighed(t);
    return s;
  };
  Tensor s = of_grads(at);
  if (!s.requires_grad()) return;
  check_against_differences(of_grads, at, grad(s, at, {.allow_unused = true}), 10 * tolerance);
}

}  // namespace weft::test
