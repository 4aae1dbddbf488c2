#include <cmath>
#include <limits>

#include "support/here.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/optim/adam.h"
#include "weft/optim/clip.h"
#include "weft/optim/lbfgs.h"
#include "weft/optim/rmsprop.h"
#include "weft/optim/schedule.h"
#include "weft/optim/sgd.h"

using namespace weft;

namespace {

/// Deterministic values that look random, in [-1, 1].
double value(int64_t i, int64_t seed) {
  return std::sin(12.9898 * static_cast<double>(i + 1) + 78.233 * static_cast<double>(seed));
}

Tensor values(const Shape& shape, int64_t seed, Dtype dtype = Dtype::f64) {
  std::vector<double> v;
  for (int64_t i = 0; i < shape.numel(); ++i) v.push_back(value(i, seed));
  return here::tensor(v, shape).to(dtype);
}

Tensor leaf(const Shape& shape, int64_t seed, Dtype dtype = Dtype::f64) {
  return values(shape, seed, dtype).set_requires_grad();
}

/// One element under an optimiser, in f64: p and named state, updated by `rule(p, g, t)`.
template <class Opt, class Rule>
void compare(Opt& opt, std::vector<Tensor> params, std::vector<Rule> rules, int steps) {
  std::vector<std::vector<double>> p;
  for (const Tensor& t : params) p.push_back(t.to_vector<double>());
  std::vector<std::vector<std::vector<double>>> state;
  for (const auto& v : p) state.emplace_back(v.size(), std::vector<double>(4, 0.0));
  for (int step = 1; step <= steps; ++step) {
    for (size_t k = 0; k < params.size(); ++k) {
      Tensor g = values(params[k].shape(), 100 * step + static_cast<int64_t>(k), params[k].dtype());
      params[k].set_grad(g);
      auto gv = g.to_vector<double>();
      for (size_t i = 0; i < p[k].size(); ++i) rules[k](p[k][i], gv[i], state[k][i], step);
    }
    opt.step();
    for (size_t k = 0; k < params.size(); ++k) {
      auto got = params[k].to_vector<double>();
      // f64 against f64: some roundings apart
      for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(p[k][i]).epsilon(1e-12));
    }
  }
}

using State = std::vector<double>;

}  // namespace

TEST_SUITE_BEGIN("optim");

DEVICE_TEST_CASE("SGD: momentum, dampening, nesterov, decay, maximize") {
  struct Setting {
    optim::SGDOptions o;
  };
  for (optim::SGDOptions o : {optim::SGDOptions{.lr = 0.1},
                              {.lr = 0.1, .momentum = 0.9},
                              {.lr = 0.1, .momentum = 0.9, .nesterov = true},
                              {.lr = 0.05, .momentum = 0.8, .dampening = 0.3, .weight_decay = 0.01},
                              {.lr = 0.1, .weight_decay = 0.2, .maximize = true}}) {
    auto rule = [o](double& p, double g, State& s, int step) {
      g = (o.maximize ? -g : g) + o.weight_decay * p;
      if (o.momentum != 0) {
        s[0] = step == 1 ? g : o.momentum * s[0] + (1 - o.dampening) * g;
        g = o.nesterov ? g + o.momentum * s[0] : s[0];
      }
      p -= o.lr * g;
    };
    std::vector<Tensor> params = {leaf({3, 5}, 1), leaf({7}, 2), leaf({0}, 3), leaf({}, 4)};
    optim::SGD opt(params, o);
    compare(opt, params, std::vector(4, rule), 4);
  }
}

DEVICE_TEST_CASE("Adam, AdamW and amsgrad") {
  auto rule = [](optim::AdamOptions o, bool decoupled) {
    return [=](double& p, double g, State& s, int step) {
      if (decoupled) p *= 1 - o.lr * o.weight_decay;
      g = (o.maximize ? -g : g) + (decoupled ? 0 : o.weight_decay * p);
      s[0] = o.betas[0] * s[0] + (1 - o.betas[0]) * g;
      s[1] = o.betas[1] * s[1] + (1 - o.betas[1]) * g * g;
      s[2] = std::max(s[2], s[1]);
      double v = (o.amsgrad ? s[2] : s[1]) / (1 - std::pow(o.betas[1], step));
      p -= o.lr * (s[0] / (1 - std::pow(o.betas[0], step))) / (std::sqrt(v) + o.eps);
    };
  };
  std::vector<Tensor> same = {leaf({5}, 3)};
  optim::Adam apart(same, {.lr = 0.1, .weight_decay = 0.3, .decoupled_weight_decay = true});
  compare(apart, same, std::vector(1, rule({.lr = 0.1, .weight_decay = 0.3}, true)), 3);
  for (optim::AdamOptions o : {optim::AdamOptions{.lr = 0.01},
                               {.lr = 0.02, .betas = {0.8, 0.95}, .weight_decay = 0.1},
                               {.lr = 0.02, .eps = 1e-3, .amsgrad = true, .maximize = true}}) {
    std::vector<Tensor> params = {leaf({3, 5}, 1), leaf({7}, 2)};
    optim::Adam opt(params, o);
    compare(opt, params, std::vector(2, rule(o, false)), 5);
    std::vector<Tensor> more = {leaf({3, 5}, 1)};
    optim::AdamW decoupled(
        more,
        {.lr = o.lr, .betas = o.betas, .eps = o.eps, .weight_decay = 0.3, .amsgrad = o.amsgrad, .maximize = o.maximize});
    optim::AdamOptions d = o;
    d.weight_decay = 0.3;
    compare(decoupled, more, std::vector(1, rule(d, true)), 5);
  }
}

DEVICE_TEST_CASE("RMSprop and Adagrad") {
  for (optim::RMSpropOptions o :
       {optim::RMSpropOptions{},
        {.lr = 0.02, .centered = true},
        {.momentum = 0.9},
        {.alpha = 0.9, .weight_decay = 0.01, .momentum = 0.5, .centered = true, .maximize = true}}) {
    auto rule = [o](double& p, double g, State& s, int) {
      g = (o.maximize ? -g : g) + o.weight_decay * p;
      s[0] = o.alpha * s[0] + (1 - o.alpha) * g * g;
      s[1] = o.alpha * s[1] + (1 - o.alpha) * g;
      double d = g / (std::sqrt(o.centered ? s[0] - s[1] * s[1] : s[0]) + o.eps);
      if (o.momentum > 0) d = s[2] = o.momentum * s[2] + d;
      p -= o.lr * d;
    };
    std::vector<Tensor> params = {leaf({33}, 1)};
    optim::RMSprop opt(params, o);
    compare(opt, params, std::vector(1, rule), 3);
  }
  optim::AdagradOptions o{.lr = 0.05, .lr_decay = 0.1, .weight_decay = 0.01, .initial_accumulator_value = 0.5};
  auto rule = [o](double& p, double g, State& s, int step) {
    g += o.weight_decay * p;
    if (step == 1) s[0] = o.initial_accumulator_value;
    s[0] += g * g;
    p -= o.lr / (1 + (step - 1) * o.lr_decay) * g / (std::sqrt(s[0]) + o.eps);
  };
  std::vector<Tensor> params = {leaf({33}, 1)};
  optim::Adagrad opt(params, o);
  compare(opt, params, std::vector(1, rule), 3);
}

// PyTorch's update rules, written out once more.
DEVICE_TEST_CASE("RAdam, NAdam, Adamax, Adadelta") {
  // beta2 = 0.6: the variance stays intractable for ever; 0.9: it becomes tractable at t = 6
  for (double beta2 : {0.6, 0.9})
    for (bool apart : {false, true}) {
      optim::RAdamOptions o{.lr = 0.05, .betas = {0.8, beta2}, .weight_decay = 0.1, .decoupled_weight_decay = apart};
      auto rule = [o](double& p, double g, State& s, int t) {
        if (o.decoupled_weight_decay) p *= 1 - o.lr * o.weight_decay;
        else g += o.weight_decay * p;
        s[0] = o.betas[0] * s[0] + (1 - o.betas[0]) * g;
        s[1] = o.betas[1] * s[1] + (1 - o.betas[1]) * g * g;
        const double power = std::pow(o.betas[1], t), rho = 2 / (1 - o.betas[1]) - 1;
        const double rho_t = rho - 2 * t * power / (1 - power);
        double d = o.lr * s[0] / (1 - std::pow(o.betas[0], t));
        if (rho_t > 5)
          d *= std::sqrt((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t)) * std::sqrt(1 - power) /
               (std::sqrt(s[1]) + o.eps);
        p -= d;
      };
      std::vector<Tensor> params = {leaf({33}, 1), leaf({2, 3}, 2)};
      optim::RAdam opt(params, o);
      compare(opt, params, std::vector(2, rule), 9);
    }
  for (bool apart : {false, true}) {
    optim::NAdamOptions o{
        .lr = 0.05, .weight_decay = 0.1, .momentum_decay = 0.3, .decoupled_weight_decay = apart, .maximize = apart};
    auto rule = [o](double& p, double g, State& s, int t) {
      if (o.maximize) g = -g;
      if (o.decoupled_weight_decay) p *= 1 - o.lr * o.weight_decay;
      else g += o.weight_decay * p;
      auto mu = [&](int k) { return o.betas[0] * (1 - 0.5 * std::pow(0.96, k * o.momentum_decay)); };
      s[2] = static_cast<float>(t == 1 ? 1 : s[2]) * static_cast<float>(mu(t));  // PyTorch's product is f32
      s[0] = o.betas[0] * s[0] + (1 - o.betas[0]) * g;
      s[1] = o.betas[1] * s[1] + (1 - o.betas[1]) * g * g;
      const double d = std::sqrt(s[1] / (1 - std::pow(o.betas[1], t))) + o.eps;
      p -= o.lr * (1 - mu(t)) / (1 - s[2]) * g / d + o.lr * mu(t + 1) / (1 - s[2] * mu(t + 1)) * s[0] / d;
    };
    std::vector<Tensor> params = {leaf({33}, 1), leaf({2, 3}, 2)};
    optim::NAdam opt(params, o);
    compare(opt, params, std::vector(2, rule), 5);
  }
  {
    optim::AdamaxOptions o{.lr = 0.05, .eps = 1e-3, .weight_decay = 0.1, .maximize = true};
    auto rule = [o](double& p, double g, State& s, int t) {
      g = -g + o.weight_decay * p;
      s[0] = o.betas[0] * s[0] + (1 - o.betas[0]) * g;
      s[1] = std::max(o.betas[1] * s[1], std::fabs(g) + o.eps);
      p -= o.lr / (1 - std::pow(o.betas[0], t)) * s[0] / s[1];
    };
    std::vector<Tensor> params = {leaf({33}, 1)};
    optim::Adamax opt(params, o);
    compare(opt, params, std::vector(1, rule), 5);
  }
  {
    optim::AdadeltaOptions o{.lr = 0.5, .rho = 0.8, .weight_decay = 0.1};
    auto rule = [o](double& p, double g, State& s, int) {
      g += o.weight_decay * p;
      s[0] = o.rho * s[0] + (1 - o.rho) * g * g;
      const double d = std::sqrt(s[1] + o.eps) / std::sqrt(s[0] + o.eps) * g;
      s[1] = o.rho * s[1] + (1 - o.rho) * d * d;
      p -= o.lr * d;
    };
    std::vector<Tensor> params = {leaf({33}, 1)};
    optim::Adadelta opt(params, o);
    compare(opt, params, std::vector(1, rule), 5);
  }
}

DEVICE_TEST_CASE("groups have options of their own") {
  std::vector<Tensor> a = {leaf({4}, 1)}, b = {leaf({4}, 1)}, c = {leaf({4}, 1)};
  optim::SGD opt({{a, {.lr = 0.1}}, {b, {.lr = 0.2, .momentum = 0.9}}, {c, {.lr = 0.2}}});
  CHECK(opt.num_groups() == 3);
  opt.set_lr(0.5, 2);
  for (const Tensor& t : {a[0], b[0], c[0]}) Tensor(t).set_grad(here::ones({4}, Dtype::f64));
  opt.step();
  double x = value(0, 1);
  CHECK(a[0].to_vector<double>()[0] == doctest::Approx(x - 0.1));
  CHECK(b[0].to_vector<double>()[0] == doctest::Approx(x - 0.2));
  CHECK(c[0].to_vector<double>()[0] == doctest::Approx(x - 0.5));
}

DEVICE_TEST_CASE("a parameter without gradient is skipped with its state") {
  Tensor a = leaf({2}, 1), b = leaf({2}, 2);
  optim::Adam opt({a, b});
  a.set_grad(here::ones({2}, Dtype::f64));
  opt.step();
  CHECK(b.to_vector<double>() == values({2}, 2).to_vector<double>());
  CHECK(opt.state_dict().contains("state.0.exp_avg"));
  CHECK_FALSE(opt.state_dict().contains("state.1.exp_avg"));
  opt.zero_grad();
  CHECK_FALSE(a.grad().defined());
  Tensor g = here::ones({2}, Dtype::f64);
  a.set_grad(g);
  opt.zero_grad(false);
  CHECK(a.grad().is_same(g));
  CHECK(g.to_vector<double>() == std::vector<double>{0, 0});
}

DEVICE_TEST_CASE("layouts: a gradient in another order than its parameter") {
  Shape shape{2, 3, 4, 5};
  Tensor p = here::empty(shape, Dtype::f64, MemoryFormat::channels_last).copy_(values(shape, 1)).set_requires_grad();
  Tensor g = values(shape, 2);
  p.set_grad(g);
  optim::SGD opt({p}, {.lr = 0.5, .momentum = 0.9});
  opt.step();
  auto x = values(shape, 1).to_vector<double>(), d = g.to_vector<double>(), y = p.to_vector<double>();
  for (size_t i = 0; i < y.size(); ++i) CHECK(y[i] == doctest::Approx(x[i] - 0.5 * d[i]));
}

DEVICE_TEST_CASE("a step that is refused changes nothing") {
  Tensor whole = leaf({3}, 1), gaps = here::zeros({3, 2}, Dtype::f64).select(1, 0).set_requires_grad();
  optim::SGD opt({whole, gaps}, {.lr = 0.5, .momentum = 0.9, .dampening = 0.5});
  whole.set_grad(values({3}, 2));
  gaps.set_grad(values({3}, 3));
  const uint32_t version = whole.version();
  CHECK_THROWS_AS(opt.step(), ValueError);
  CHECK(whole.version() == version);
  CHECK_FALSE(opt.state_dict().contains("state.0.momentum_buffer"));
}

DEVICE_TEST_CASE("halves are stepped in a master copy, which follows who writes the parameter") {
  for (Dtype dtype : {Dtype::bf16, Dtype::f16}) {
    Tensor p = here::ones({4}, dtype).set_requires_grad();
    optim::SGD opt({p}, {.lr = 1e-4});
    for (int i = 0; i < 100; ++i) {
      p.set_grad(here::ones({4}, dtype));
      opt.step();
    }
    // 1 - 100 * 1e-4 in the dtype's steps (2^-8 or 2^-11 below 1); without a master every step would be lost in bf16
    CHECK(p.to_vector<double>()[0] == doctest::Approx(0.99).epsilon(0.004));
    CHECK(opt.state_dict().at("state.0.master").to_vector<double>()[0] == doctest::Approx(0.99).epsilon(1e-6));
    {
      NoGrad guard;
      p.fill_(5);
    }
    p.set_grad(here::ones({4}, dtype));
    opt.step();
    CHECK(opt.state_dict().at("state.0.master").to_vector<double>()[0] == doctest::Approx(4.9999).epsilon(1e-6));
  }
}

DEVICE_TEST_CASE("bad options and parameters") {
  Tensor p = leaf({3}, 1);
  CHECK_THROWS_AS(optim::SGD({p, p}), ValueError);
  CHECK_THROWS_AS(optim::SGD({p}, {.lr = -1}), ValueError);
  CHECK_THROWS_AS(optim::SGD({p}, {.nesterov = true}), ValueError);
  CHECK_THROWS_AS(optim::Adam({p}, {.betas = {1.0, 0.9}}), ValueError);
  CHECK_THROWS_AS(optim::RAdam({p}, {.eps = -1e-8}), ValueError);
  CHECK_THROWS_AS(optim::Adadelta({p}, {.rho = 1.5}), ValueError);
  CHECK_THROWS_AS(optim::NAdam({p}, {.momentum_decay = std::nan("")}), ValueError);
  CHECK_NOTHROW(optim::SGD({p}, {.dampening = -1}));
  CHECK_THROWS_AS(optim::SGD({p}, {.dampening = std::nan("")}), ValueError);
  CHECK_THROWS_AS(optim::Adam({here::zeros({2}, Dtype::i64)}), DtypeError);
}

DEVICE_TEST_CASE("an optimiser without parameters: steps, saves, and takes groups later") {
  auto empty_one = [](auto& opt, auto& again) {
    (void)opt.step([] { return here::ones({}); });
    opt.zero_grad();
    again.load_state_dict(opt.state_dict());
    CHECK(opt.state().empty());
    CHECK(opt.num_groups() == 1);
    CHECK(again.lr() == 0.5);
  };
  const std::vector<Tensor> none;
  optim::SGD sgd(none, {.lr = 0.5}), sgd2(none);
  empty_one(sgd, sgd2);
  optim::AdamW adam(none, 0.5), adam2(none);
  empty_one(adam, adam2);
  optim::NAdam nadam(none, 0.5), nadam2(none);
  empty_one(nadam, nadam2);
  optim::LBFGS lbfgs(none, 0.5), lbfgs2(none);
  empty_one(lbfgs, lbfgs2);
  optim::StepLR schedule(sgd, 1);
  schedule.step();
  CHECK(sgd.lr() == doctest::Approx(0.05));

  optim::SGD later{std::vector<optim::SGD::Group>()};
  later.step();
  CHECK(later.num_groups() == 0);
  Tensor p = leaf({2}, 1);
  later.add_param_group({{p}, {.lr = 1}});
  const double before = p.to_vector<double>()[0];
  p.set_grad(here::ones({2}, Dtype::f64));
  later.step();
  CHECK(p.to_vector<double>()[0] == before - 1);
}

DEVICE_TEST_CASE("PyTorch's short forms: a rate alone, param_groups, defaults, state, clipping") {
  Tensor p = leaf({2}, 1), q = leaf({3}, 2);
  CHECK(optim::Adam({p}, 0.25).lr() == 0.25);
  CHECK(optim::SGD({p}, 1).lr() == 1);  // an int is a number, too
  CHECK(optim::Adam({p}, {}).lr() == 1e-3);
  CHECK(optim::LBFGS({p}, 0.5f).lr() == 0.5);

  optim::Adam opt({p}, {.lr = 0.1, .eps = 1e-6});
  opt.add_group({{q}, {.lr = 0.2}});
  CHECK(opt.defaults().lr == 0.1);
  CHECK(opt.defaults().eps == 1e-6);
  for (auto& g : opt.param_groups()) g.options.lr *= 2;
  CHECK(opt.lr(0) == 0.2);
  CHECK(opt.lr(1) == 0.4);
  CHECK(std::as_const(opt).param_groups()[1].params[0].is_same(q));

  Tensor r = leaf({2}, 3), t = leaf({2}, 4), u = leaf({2}, 5);
  opt.add_param_group({{r}});  // as the optimiser was made
  CHECK(opt.lr(2) == 0.1);
  CHECK(opt.options(2).eps == 1e-6);
  opt.add_param_group({std::vector<Tensor>{t}});
  CHECK(opt.options(3).eps == 1e-6);
  opt.add_group(optim::Adam::Group{{u}, {.lr = 0.3}});
  CHECK(opt.lr(4) == 0.3);

  CHECK(opt.state().empty());
  p.set_grad(here::ones({2}, Dtype::f64));
  opt.step();
  const optim::Optimizer::State state = opt.state();
  CHECK(state.size() == 1);  // q has no gradient
  CHECK(state.at(p).at("step").item<int64_t>() == 1);
  CHECK(state.at(p).at("exp_avg").to_vector<double>()[0] == doctest::Approx(0.1).epsilon(1e-12));
  CHECK(state.at(p).at("exp_avg_sq").to_vector<double>()[1] == doctest::Approx(0.001).epsilon(1e-12));
  CHECK(state.at(p).size() == 3);

  p.set_grad(here::full({2}, 3.0, Dtype::f64));
  q.set_grad(here::full({3}, 4.0, Dtype::f64));
  CHECK(nn::utils::clip_grad_norm_({p, q}, 1.5, 1).item<double>() == doctest::Approx(18));
  CHECK(p.grad().to_vector<double>()[0] == doctest::Approx(0.25).epsilon(1e-6));
  optim::clip_grad_value_({p, q}, 0.3);
  CHECK(q.grad().to_vector<double>()[0] == doctest::Approx(0.3).epsilon(1e-6));
  CHECK(p.grad().to_vector<double>()[0] == doctest::Approx(0.25).epsilon(1e-6));
  q.set_grad(here::full({3}, std::numeric_limits<double>::infinity(), Dtype::f64));
  CHECK_THROWS_AS(optim::clip_grad_norm_({q}, 1.0, 2.0, true), Error);

  NoGradGuard off;
  CHECK_FALSE(grad_enabled());
  AutoGradMode on(true);
  CHECK(grad_enabled());
}

TEST_CASE("groups that do not exist and empty closures are errors") {
  Tensor p = ones({2}).set_requires_grad();
  optim::SGD sgd({p}, {.lr = 1});
  CHECK_THROWS_AS((void)sgd.options(1), ValueError);
  CHECK_THROWS_AS((void)sgd.options(-1), ValueError);
  CHECK_THROWS_AS(sgd.set_lr(1, 7), ValueError);
  CHECK_THROWS_AS((void)sgd.step(std::function<Tensor()>()), ValueError);
  optim::LBFGS lbfgs({p});
  CHECK_THROWS_AS((void)lbfgs.step(std::function<Tensor()>()), ValueError);
  CHECK_THROWS_AS(optim::LambdaLR(sgd, nullptr), ValueError);
}

DEVICE_TEST_CASE("clip_grad_norm: norms of any kind, over several dtypes") {
  Tensor a = leaf({3, 4}, 1, Dtype::f32), b = leaf({70000}, 2, Dtype::f64), c = leaf({2}, 3);
  auto reset = [&] {
    a.set_grad(values({3, 4}, 5, Dtype::f32));
    b.set_grad(values({70000}, 6));
  };
  double inf = std::numeric_limits<double>::infinity();
  for (double p : {2.0, 1.0, inf, 3.0}) {
    reset();
    double expected = 0;
    for (const Tensor& t : {a, b})
      for (double x : t.grad().to_vector<double>())
        expected = p == inf ? std::max(expected, std::fabs(x)) : expected + std::pow(std::fabs(x), p);
    if (p != inf) expected = std::pow(expected, 1 / p);
    Tensor norm = optim::clip_grad_norm({a, b, c}, 0.5 * expected, {.norm_type = p});
    CHECK(norm.dtype() == Dtype::f64);
    CHECK(norm.item<double>() == doctest::Approx(expected).epsilon(1e-7));  // a's part is summed in f32
    CHECK(optim::grad_norm({a, b}, p).item<double>() == doctest::Approx(0.5 * expected).epsilon(1e-6));
  }
  reset();
  optim::clip_grad_norm({a, b}, 1e9);
  CHECK(a.grad().to_vector<double>() == values({3, 4}, 5, Dtype::f32).to_vector<double>());
  optim::clip_grad_value({a, b}, 0.25);
  for (double x : b.grad().to_vector<double>()) CHECK(std::fabs(x) <= 0.25);
  CHECK(optim::clip_grad_norm({c}, 1.0).item<float>() == 0);
  for (const double size : {1e20, 1e-25}) {  // whose squares f32 does not hold
    Tensor d = leaf({4}, 1, Dtype::f32);
    d.set_grad(here::full({4}, size));
    CHECK(optim::clip_grad_norm({d}, 1.0).item<double>() == doctest::Approx(2 * size).epsilon(1e-6));
    CHECK(d.grad().to_vector<double>()[3] == doctest::Approx(size > 1 ? 0.5 : size).epsilon(1e-6));
  }
  a.set_grad(here::full({3, 4}, inf));
  CHECK_THROWS_AS(optim::clip_grad_norm({a}, 1.0, {.error_if_nonfinite = true}), Error);
}

DEVICE_TEST_CASE("the norm's bits do not depend on the number of threads") {
  Tensor a = leaf({300001}, 1, Dtype::f32);
  a.set_grad(values({300001}, 2, Dtype::f32));
  int before = num_threads();
  set_num_threads(1);
  float one = optim::grad_norm({a}).item<float>();
  set_num_threads(2);
  float two = optim::grad_norm({a}).item<float>();
  set_num_threads(before);
  CHECK(one == two);
}

TEST_SUITE_END();
