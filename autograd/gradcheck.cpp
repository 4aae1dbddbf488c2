#include "weft/autograd/gradcheck.h"

#include <cmath>
#include <cstring>

#include "weft/autograd/grad_mode.h"
#include "weft/core/factory.h"
#include "weft/core/generator.h"

namespace weft {
namespace {

// Fixed numbers in +-[0.5, 1.5): no entry of the Jacobian is hidden by a small weight. They do not come from a
// Generator, so that a check changes no stream.
class Weights {
 public:
  explicit Weights(uint64_t seed) : s_(seed) {}
  double next() {
    s_ = s_ * 6364136223846793005u + 1442695040888963407u;
    double u = static_cast<double>(s_ >> 11) * 0x1p-53;
    return u < 0.5 ? -0.5 - 2 * u : 2 * u - 0.5;
  }
  Tensor like(const Tensor& y) {
    std::vector<double> v(static_cast<size_t>(y.numel()));
    for (double& w : v) w = next();
    return tensor(v, y.shape(), TensorOptions(Dtype::f64)).to(y.dtype()).to(y.device());
  }

 private:
  uint64_t s_;
};

// Runs fn with the generator where it was at the start of the check.
class Caller {
 public:
  explicit Caller(const GradFn& fn) : fn_(fn), state_(default_generator().state()) {}
  ~Caller() { default_generator().set_state(state_); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  std::vector<Tensor> operator()(const std::vector<Tensor>& x) const {
    default_generator().set_state(state_);
    return fn_(x);
  }

 private:
  const GradFn& fn_;
  Generator::State state_;
};

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  if (!a.is_floating()) return a.to_vector<int64_t>() == b.to_vector<int64_t>();
  const std::vector<double> u = a.to_vector<double>(), v = b.to_vector<double>();
  return u.empty() || std::memcmp(u.data(), v.data(), u.size() * sizeof(double)) == 0;
}

// sum over the differentiable outputs of <u, y>
double project(const std::vector<Tensor>& ys, const std::vector<std::vector<double>>& u) {
  double s = 0;
  for (size_t k = 0; k < ys.size(); ++k) {
    if (u[k].empty()) continue;
    const std::vector<double> y = ys[k].to_vector<double>();
    for (size_t j = 0; j < y.size(); ++j) s += u[k][j] * y[j];
  }
  return s;
}

void check_inputs(const std::vector<Tensor>& inputs, const GradcheckOptions& o) {
  bool any = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined() || !inputs[i].requires_grad()) continue;
    WEFT_CHECK(inputs[i].dtype() == Dtype::f64, DtypeError, o.name, ": input ", i, " is ", inputs[i].dtype(),
               ", but finite differences need f64");
    any = true;
  }
  WEFT_CHECK(any, ValueError, o.name, ": no input requires grad; call set_requires_grad() on those to check");
}

// `constant_ok`: outputs that depend on nothing pass (the gradients of a piecewise constant function).
void check(const GradFn& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& o, bool constant_ok) {
  check_inputs(inputs, o);
  const Caller call(fn);

  // Leaves of our own, so that no graph of the caller's is walked.
  std::vector<Tensor> x(inputs.size()), wanted;
  std::vector<size_t> index;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) continue;
    x[i] = inputs[i].detach();
    if (!inputs[i].requires_grad()) continue;
    x[i].set_requires_grad();
    wanted.push_back(x[i]);
    index.push_back(i);
  }
  std::vector<Tensor> ys, again, outputs, upstream;
  {
    const EnableGrad on;
    ys = call(x);
    again = call(x);
  }
  WEFT_CHECK(ys.size() == again.size(), Error, o.name, ": two calls gave ", ys.size(), " and ", again.size(),
             " outputs");
  Weights weights(0x9e3779b97f4a7c15u);
  std::vector<std::vector<double>> u(ys.size());
  for (size_t k = 0; k < ys.size(); ++k) {
    WEFT_CHECK(same_bits(ys[k], again[k]), Error, o.name, ": output ", k,
               " differs between two calls with the same inputs");
    if (!ys[k].requires_grad()) continue;
    outputs.push_back(ys[k]);
    upstream.push_back(weights.like(ys[k]));
    u[k] = upstream.back().to_vector<double>();
  }
  again.clear();
  if (outputs.empty() && constant_ok) return;
  WEFT_CHECK(!outputs.empty(), ValueError, o.name, ": no output requires grad");

  const std::vector<Tensor> analytic = grad(outputs, wanted, {.allow_unused = true, .grad_outputs = upstream});
  ys.clear();
  outputs.clear();

  const NoGrad off;
  for (size_t w = 0; w < wanted.size(); ++w) {
    const size_t i = index[w];
    const Tensor& g = analytic[w];
    if (g.defined()) {
      WEFT_CHECK(g.shape() == x[i].shape(), ShapeError, o.name, ": gradient of input ", i, " is ", g.shape(),
                 " but the input is ", x[i].shape());
      WEFT_CHECK(g.dtype() == x[i].dtype(), DtypeError, o.name, ": gradient of input ", i, " is ", g.dtype(),
                 " but the input is ", x[i].dtype());
    }
    const std::vector<double> a = g.defined() ? g.to_vector<double>()
                                              : std::vector<double>(static_cast<size_t>(x[i].numel()), 0.0);
    std::vector<double> values = inputs[i].to_vector<double>();
    std::vector<Tensor> moved = x;
    for (size_t e = 0; e < values.size(); ++e) {
      const double v = values[e];
      const auto at = [&](double t) {
        values[e] = t;
        // A fresh copy each time: functions that keep or alias their inputs are checked too.
        moved[i] = inputs[i].detach().clone();
        moved[i].copy_(tensor(values, inputs[i].shape()));
        values[e] = v;
        return project(call(moved), u);
      };
      const double numeric = (at(v + o.eps) - at(v - o.eps)) / (2 * o.eps);
      WEFT_CHECK(std::abs(a[e] - numeric) <= o.atol + o.rtol * std::abs(numeric), Error, o.name, ": gradient of input ",
                 i, " ", inputs[i].shape(), " at element ", e, " (value ", v, "): analytic ", a[e], ", numeric ",
                 numeric, ", difference ", std::abs(a[e] - numeric));
    }
  }
}

template <class F> bool guarded(const GradcheckOptions& o, F&& f) {
  if (o.raise) {
    f();
    return true;
  }
  try {
    f();
    return true;
  } catch (const Error&) { return false; }
}

}  // namespace

bool gradcheck(const GradFn& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& o) {
  return guarded(o, [&] { check(fn, inputs, o, false); });
}

bool gradgradcheck(const GradFn& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& o) {
  return guarded(o, [&] {
    check_inputs(inputs, o);
    // The upstream gradients become inputs behind the caller's.
    std::vector<Tensor> all = inputs;
    {
      const EnableGrad on;
      std::vector<Tensor> x(inputs.size());
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (!inputs[i].defined()) continue;
        x[i] = inputs[i].detach();
        if (inputs[i].requires_grad()) x[i].set_requires_grad();
      }
      Weights weights(0xd1b54a32d192ed03u);
      const Caller call(fn);
      for (const Tensor& y : call(x))
        if (y.requires_grad()) all.push_back(weights.like(y).set_requires_grad());
    }
    const size_t n = inputs.size();
    WEFT_CHECK(all.size() > n, ValueError, o.name, ": no output requires grad");
    std::vector<bool> wanted(n);
    for (size_t i = 0; i < n; ++i) wanted[i] = inputs[i].defined() && inputs[i].requires_grad();

    const GradFn gradients([&fn, n, wanted](const std::vector<Tensor>& args) {
      const EnableGrad on;
      std::vector<Tensor> x(args.begin(), args.begin() + static_cast<std::ptrdiff_t>(n)), sources, outputs;
      for (size_t i = 0; i < n; ++i) {
        if (!wanted[i]) continue;
        if (!x[i].requires_grad()) x[i].set_requires_grad();
        sources.push_back(x[i]);
      }
      for (const Tensor& y : fn(x))
        if (y.requires_grad()) outputs.push_back(y);
      const std::vector<Tensor> upstream(args.begin() + static_cast<std::ptrdiff_t>(n), args.end());
      std::vector<Tensor> g = grad(outputs, sources,
                                   {.create_graph = true, .allow_unused = true, .grad_outputs = upstream});
      std::vector<Tensor> used;
      for (Tensor& t : g)
        if (t.defined()) used.push_back(std::move(t));
      return used;
    });
    GradcheckOptions second = o;
    const std::string name = str(o.name, " (second derivative)");
    second.name = name.c_str();
    check(gradients, all, second, true);
  });
}

}  // namespace weft
