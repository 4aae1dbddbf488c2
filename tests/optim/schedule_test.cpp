#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "weft/core/factory.h"
#include "weft/optim/rmsprop.h"
#include "weft/optim/schedule.h"
#include "weft/optim/sgd.h"

using namespace weft;

namespace {

struct Subject {
  Tensor p = zeros({1}).set_requires_grad();
  optim::SGD opt{{p}, {.lr = 0.1, .momentum = 0.9}};
};

/// Rates at the start and after every step equal `expected` (PyTorch's numbers, 10 digits).
template <class S> void follow(Subject& s, S& schedule, const std::vector<double>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (i) schedule.step();
    CHECK(s.opt.lr() == doctest::Approx(expected[i]).epsilon(1e-9));
  }
}

}  // namespace

TEST_SUITE_BEGIN("schedule");

TEST_CASE("steps and powers") {
  Subject a, b, c, d, e, f;
  optim::StepLR step(a.opt, 4, 0.5);
  follow(a, step, {0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025});
  optim::MultiStepLR multi(b.opt, {3, 7, 8});
  follow(b, multi, {0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.001, 0.0001, 0.0001});
  optim::ExponentialLR exponential(c.opt, 0.9);
  follow(c, exponential, {0.1, 0.09, 0.081, 0.0729, 0.06561});
  optim::PolynomialLR poly(d.opt, 10, 0.9);
  follow(d, poly, {0.1, 0.09095325761, 0.08180521461, 0.07254178469});
  for (int i = 0; i < 20; ++i) poly.step();
  CHECK(d.opt.lr() == 0);
  optim::LinearLR linear(e.opt, 0.1, 1, 5);
  follow(e, linear, {0.01, 0.028, 0.046, 0.064, 0.082, 0.1, 0.1});
  optim::ConstantLR constant(f.opt, 0.5, 2);
  follow(f, constant, {0.05, 0.05, 0.1, 0.1});
}

TEST_CASE("cosines") {
  Subject a, b;
  optim::CosineAnnealingLR cosine(a.opt, 10, 0.001);
  follow(a, cosine,
         {0.1, 0.09757729756, 0.09054634122, 0.07959536999, 0.06579634122, 0.0505, 0.03520365878, 0.02140463001,
          0.01045365878, 0.003422702443, 0.001, 0.003422702443});
  optim::CosineAnnealingWarmRestarts restarts(b.opt, 2, 2);
  follow(b, restarts, {0.1, 0.05, 0.1, 0.08535533906, 0.05, 0.01464466094, 0.1});
}

TEST_CASE("one cycle, with momentum") {
  Subject s;
  optim::OneCycleLR cycle(s.opt, {.max_lr = 0.1, .total_steps = 20});
  const double lr[] = {0.004,         0.01316718427, 0.03716718427, 0.06683281573,
                       0.09083281573, 0.1,           0.09874640062, 0.0950484632};
  const double momentum[] = {0.95,         0.9404508497, 0.9154508497, 0.8845491503,
                             0.8595491503, 0.85,         0.8512536044, 0.8549515566};
  for (size_t i = 0; i < 8; ++i) {
    if (i) cycle.step();
    CHECK(s.opt.lr() == doctest::Approx(lr[i]).epsilon(1e-9));
    CHECK(s.opt.momentum() == doctest::Approx(momentum[i]).epsilon(1e-9));
  }
  for (int i = 8; i < 20; ++i) cycle.step();
  CHECK(s.opt.lr() == doctest::Approx(4e-7));
  CHECK(s.opt.momentum() == doctest::Approx(0.95));
  // a loop that steps after each of 20 batches ends here; PyTorch goes on along the cosine
  cycle.step();
  CHECK(s.opt.lr() == doctest::Approx(0.0012539993765).epsilon(1e-9));
  CHECK(s.opt.momentum() == doctest::Approx(0.9487463956).epsilon(1e-9));
  CHECK_THROWS_AS(cycle.step(), ValueError);
  StateDict late = cycle.state_dict();
  late.metadata["steps"] = "21";
  CHECK_THROWS_AS(cycle.load_state_dict(late), ValueError);
  CHECK(cycle.steps() == 20);
  CHECK(s.opt.lr() == doctest::Approx(0.0012539993765).epsilon(1e-9));
  CHECK(s.opt.momentum() == doctest::Approx(0.9487463956).epsilon(1e-9));
}

TEST_CASE("one cycle: phases without a length, and an optimiser without momentum") {
  Subject a, b;
  optim::OneCycleLR at_once(a.opt, {.max_lr = 0.1, .total_steps = 10, .pct_start = 0.1});
  CHECK(a.opt.lr() == doctest::Approx(0.1));
  optim::OneCycleLR rising(b.opt, {.max_lr = 0.1, .total_steps = 4, .pct_start = 1});
  for (int i = 0; i < 4; ++i) rising.step();
  CHECK(b.opt.lr() == doctest::Approx(4e-7));
  Tensor p = zeros({1}).set_requires_grad();
  optim::Adagrad none({p}, {.lr = 0.5});
  CHECK_THROWS_AS(optim::OneCycleLR(none, {.max_lr = 1, .total_steps = 5}), NotSupported);
  CHECK(none.lr() == 0.5);
}

TEST_CASE("one cycle in three phases, cycles") {
  auto momentum_too = [](auto& s, auto& schedule, const std::vector<double>& lr, const std::vector<double>& momentum) {
    for (size_t i = 0; i < lr.size(); ++i) {
      if (i) schedule.step();
      CHECK(s.opt.lr() == doctest::Approx(lr[i]).epsilon(1e-9));
      CHECK(s.opt.momentum() == doctest::Approx(momentum[i]).epsilon(1e-9));
    }
  };
  Subject a, b, c, d;
  optim::OneCycleLR three(a.opt, {.max_lr = 0.1, .total_steps = 12, .anneal_strategy = "linear", .three_phase = true});
  momentum_too(
      a, three,
      {0.004, 0.04092307692, 0.07784615385, 0.08523076923, 0.04830769231, 0.01138461538, 0.003448331034, 0.002758744828,
       0.002069158621, 0.001379572414, 0.0006899862069, 4e-07},
      {0.95, 0.9115384615, 0.8730769231, 0.8653846154, 0.9038461538, 0.9423076923, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95});
  using Mode = optim::CyclicOptions::Mode;
  optim::CyclicLR cycle(b.opt, {.base_lr = 0.01, .max_lr = 0.1, .step_size_up = 2, .step_size_down = 3});
  momentum_too(b, cycle, {0.01, 0.055, 0.1, 0.07, 0.04, 0.01, 0.055},
               {0.9, 0.85, 0.8, 0.8333333333, 0.8666666667, 0.9, 0.85});
  optim::CyclicLR halving(
      c.opt, {.base_lr = 0.01, .max_lr = 0.1, .step_size_up = 2, .step_size_down = 3, .mode = Mode::triangular2});
  momentum_too(
      c, halving, {0.01, 0.055, 0.1, 0.07, 0.04, 0.01, 0.0325, 0.055, 0.04, 0.025, 0.01, 0.02125, 0.0325},
      {0.9, 0.85, 0.8, 0.8333333333, 0.8666666667, 0.9, 0.875, 0.85, 0.8666666667, 0.8833333333, 0.9, 0.8875, 0.875});
  optim::CyclicLR range(d.opt, {.base_lr = 0.01,
                                .max_lr = 0.1,
                                .step_size_up = 2,
                                .step_size_down = 3,
                                .mode = Mode::exp_range,
                                .gamma = 0.9,
                                .cycle_momentum = false});
  follow(d, range, {0.01, 0.0505, 0.0829, 0.05374, 0.029683, 0.01, 0.033914845, 0.053046721, 0.0358280326});
  CHECK(d.opt.momentum() == 0.9);
  CHECK_THROWS_AS(optim::CyclicLR(d.opt, {.base_lr = 0, .max_lr = 1, .step_size_up = 0}), ValueError);
  Tensor p = zeros({1}).set_requires_grad();
  optim::Adagrad none({p});
  CHECK_THROWS_AS(optim::CyclicLR(none, {.base_lr = 0, .max_lr = 1}), NotSupported);
}

TEST_CASE("chained, sequential, multiplicative") {
  Subject a, b, c, d;
  optim::MultiplicativeLR product(a.opt, [](int64_t i) { return 1 - static_cast<double>(i) / 10; });
  follow(a, product, {0.1, 0.09, 0.072, 0.0504, 0.03024, 0.01512});
  optim::ChainedScheduler chain(b.opt, optim::ConstantLR(b.opt, 0.1, 2), optim::ExponentialLR(b.opt, 0.9),
                                optim::CosineAnnealingLR(b.opt, 5));
  follow(b, chain, {0.01, 0.008140576475, 0.05301518827, 0.02518633056, 0.0062651975, 0});
  optim::SequentialLR sequence(c.opt, {3, 6}, optim::LinearLR(c.opt, 0.1, 1, 3), optim::CosineAnnealingLR(c.opt, 4),
                               optim::ConstantLR(c.opt, 0.5, 2));
  follow(c, sequence, {0.01, 0.04, 0.07, 0.1, 0.08535533906, 0.05, 0.05, 0.05, 0.1, 0.1});
  // momentum comes and goes with the part that has one
  optim::SequentialLR cycle(d.opt, {2}, optim::ConstantLR(d.opt, 0.1, 2),
                            optim::OneCycleLR(d.opt, {.max_lr = 0.1, .total_steps = 6}));
  for (double m : {0.95, 0.95, 0.95, 0.8505584587, 0.8688255099}) {
    CHECK(d.opt.momentum() == doctest::Approx(m).epsilon(1e-9));
    cycle.step();
  }
  CHECK_THROWS_AS(optim::SequentialLR(a.opt, {2}, optim::ConstantLR(a.opt)), ValueError);
  CHECK_THROWS_AS(optim::SequentialLR(a.opt, {0}, optim::ConstantLR(a.opt), optim::ConstantLR(a.opt)), ValueError);
  CHECK_THROWS_AS(optim::MultiplicativeLR(a.opt, nullptr), ValueError);
}

TEST_CASE("one type holds every schedule, and any function of the step is one") {
  Subject a, b, c, d;
  optim::Schedule own(
      a.opt, [](int64_t i, double base) { return base / static_cast<double>(i + 1); },
      [](int64_t i) { return 0.5 + static_cast<double>(i) / 10; });
  follow(a, own, {0.1, 0.05, 0.1 / 3});
  CHECK(a.opt.momentum() == doctest::Approx(0.7));
  CHECK(own.get_last_lr() == std::vector<double>{a.opt.lr()});
  CHECK_THROWS_AS(optim::Schedule(a.opt, nullptr), ValueError);

  std::vector<optim::Schedule> all{optim::StepLR(b.opt, 2, 0.5), optim::CosineAnnealingLR(c.opt, 2)};
  for (optim::Schedule& s : all) s.step();
  CHECK(b.opt.lr() == 0.1);
  CHECK(c.opt.lr() == doctest::Approx(0.05));
  optim::Schedule copy = all[0];  // counts on its own, for the same optimiser
  copy.step();
  CHECK(b.opt.lr() == doctest::Approx(0.05));
  CHECK(all[0].steps() == 1);
  all[1] = copy;
  CHECK(all[1].rate(4, 1) == 0.25);

  // PyTorch's order of arguments, and its short forms
  optim::SequentialLR sequence(d.opt, {optim::LinearLR(d.opt, 0.1, 1, 3), optim::ExponentialLR(d.opt, 0.5)}, {3});
  follow(d, sequence, {0.01, 0.04, 0.07, 0.1, 0.05});
  optim::ChainedScheduler chain(d.opt, {optim::ConstantLR(d.opt, 0.5, 1), optim::ExponentialLR(d.opt, 0.5)});
  follow(d, chain, {0.05, 0.05, 0.025});
  optim::OneCycleLR cycle(d.opt, 0.1, 20);
  CHECK(d.opt.lr() == doctest::Approx(0.004));
  optim::CyclicLR triangle(d.opt, 0.01, 0.1);
  CHECK(d.opt.lr() == doctest::Approx(0.01));
  CHECK_THROWS_AS(optim::SequentialLR(d.opt, std::vector<optim::Schedule>(), {}), ValueError);
  CHECK_THROWS_AS(optim::ChainedScheduler(d.opt, std::vector<optim::Schedule>()), ValueError);
}

TEST_CASE("a refused argument changes no rate") {
  Subject s;
  CHECK_THROWS_WITH_AS(optim::StepLR(s.opt, 0), "StepLR: step_size must be positive, got 0", ValueError);
  CHECK_THROWS_WITH_AS(optim::ConstantLR(s.opt, 2), "ConstantLR: factor must be in [0, 1], got 2", ValueError);
  CHECK_THROWS_AS(optim::LinearLR(s.opt, 0), ValueError);
  CHECK_THROWS_AS(optim::CosineAnnealingLR(s.opt, 0), ValueError);
  CHECK_THROWS_AS(optim::WarmupCosineLR(s.opt, 3, 3), ValueError);
  CHECK_THROWS_AS(optim::OneCycleLR(s.opt, {.max_lr = 1, .total_steps = 2, .pct_start = 2}), ValueError);
  CHECK(s.opt.lr() == 0.1);
  CHECK(s.opt.momentum() == 0.9);
}

TEST_CASE("PyTorch-Encoding's schedule") {
  using Mode = optim::EncodingLROptions::Mode;
  Subject a, b, c;
  optim::EncodingLR poly(a.opt, {.mode = Mode::poly, .num_epochs = 3, .iters_per_epoch = 2, .warmup_epochs = 1});
  follow(a, poly, {0, 0.05, 0.1, 0.1 * std::pow(0.75, 0.9), 0.1 * std::pow(0.5, 0.9), 0.1 * std::pow(0.25, 0.9), 0, 0});
  optim::EncodingLR cosine(b.opt, {.mode = Mode::cos, .num_epochs = 2, .iters_per_epoch = 2});
  follow(b, cosine, {0.1, 0.08535533906, 0.05, 0.01464466094});
  optim::EncodingLR step(c.opt, {.mode = Mode::step, .num_epochs = 9, .iters_per_epoch = 2, .lr_step = 2});
  follow(c, step, {0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.001});
  CHECK_THROWS_AS(optim::EncodingLR(c.opt, {.mode = Mode::step, .num_epochs = 9, .iters_per_epoch = 2}), ValueError);
}

TEST_CASE("base is the rate before the first schedule, also after saving") {
  Subject a;
  optim::ConstantLR first(a.opt, 0.5, 2);
  optim::ExponentialLR second(a.opt, 0.9);
  CHECK(a.opt.lr() == 0.1);
  second.step();
  CHECK(a.opt.lr() == doctest::Approx(0.09));
  Subject b;
  b.opt.load_state_dict(a.opt.state_dict());
  CHECK(b.opt.lr() == doctest::Approx(0.09));
  CHECK(b.opt.initial_lr(0) == 0.1);
  optim::ExponentialLR third(b.opt, 0.9);
  CHECK(b.opt.lr() == 0.1);
}

TEST_CASE("plateau") {
  Subject s;
  optim::ReduceLROnPlateau plateau(s.opt, {.factor = 0.5, .patience = 2});
  const double metric[] = {1, 0.9, 0.8, 0.8, 0.81, 0.8, 0.8, 0.79, 0.79, 0.8, 0.8, 0.8, 0.7, 0.71};
  const double lr[] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.025};
  for (size_t i = 0; i < 14; ++i) {
    plateau.step(metric[i]);
    CHECK(s.opt.lr() == doctest::Approx(lr[i]).epsilon(1e-9));
  }
}

TEST_CASE("warm-ups") {
  Subject a, b;
  optim::WarmupPolyLR poly(a.opt, 20, 4);
  follow(a, poly, {0.025, 0.05, 0.075, 0.1, 0.1, 0.09435700529, 0.08867623543});
  optim::WarmupCosineLR cosine(b.opt, 20, 5, 0.01);
  follow(b, cosine, {0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.09891830624, 0.09572050015});
  for (int i = 8; i < 25; ++i) cosine.step();
  CHECK(b.opt.lr() == doctest::Approx(0.001));
}

TEST_CASE("a schedule resumes at its step") {
  Subject a, b;
  optim::CosineAnnealingLR one(a.opt, 10), two(b.opt, 10);
  for (int i = 0; i < 4; ++i) one.step();
  two.load_state_dict(one.state_dict());
  CHECK(b.opt.lr() == a.opt.lr());
  CHECK(two.steps() == 4);
  CHECK_THROWS_AS(two.load_state_dict(StateDict()), ValueError);

  // every kind, from any step, and nothing changed by a dict that does not fit
  auto resume = [](auto make) {
    Subject x, y;
    auto one = make(x.opt), two = make(y.opt);
    for (int i = 0; i < 7; ++i) one.step();
    StateDict saved = one.state_dict();
    two.load_state_dict(saved);
    for (int i = 0; i < 4; ++i) {
      CHECK(x.opt.lr() == y.opt.lr());
      CHECK(x.opt.momentum() == y.opt.momentum());
      one.step();
      two.step();
    }
    const double lr = y.opt.lr();
    saved.metadata["base.0"] = "nan";
    saved.metadata["steps"] = "-3";
    try {
      two.load_state_dict(saved);
      FAIL("must throw");
    } catch (const ValueError& e) {
      CHECK(std::string(e.what()).find("base.0 is 'nan'") != std::string::npos);
      CHECK(std::string(e.what()).find("steps is -3") != std::string::npos);
    }
    CHECK(two.steps() == 11);
    CHECK(y.opt.lr() == lr);
  };
  using optim::Optimizer;
  resume([](Optimizer& o) {
    return optim::MultiplicativeLR(o, [](int64_t i) { return 1 / static_cast<double>(i + 1); });
  });
  resume([](Optimizer& o) { return optim::CyclicLR(o, {.base_lr = 0.1, .max_lr = 1, .step_size_up = 3}); });
  resume([](Optimizer& o) { return optim::OneCycleLR(o, {.max_lr = 1, .total_steps = 20}); });
  resume([](Optimizer& o) { return optim::ChainedScheduler(o, optim::LinearLR(o, 0.1, 1, 5), optim::StepLR(o, 3)); });
  resume([](Optimizer& o) {
    return optim::SequentialLR(o, {5}, optim::LinearLR(o, 0.1, 1, 5), optim::CosineAnnealingWarmRestarts(o, 3));
  });

  Subject c, d;
  optim::ReduceLROnPlateau plateau(c.opt, {.patience = 1, .cooldown = 2}), again(d.opt, {.patience = 1, .cooldown = 2});
  for (double metric : {1.0, 2.0, 3.0, 2.0}) plateau.step(metric);
  again.load_state_dict(plateau.state_dict());
  d.opt.set_lr(c.opt.lr(), 0);
  for (int i = 0; i < 6; ++i) {
    plateau.step(2);
    again.step(2);
    CHECK(c.opt.lr() == d.opt.lr());
  }
}

TEST_SUITE_END();
