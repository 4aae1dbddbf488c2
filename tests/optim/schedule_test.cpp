#include <doctest/doctest.h>

#include "weft/core/factory.h"
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
  CHECK_THROWS_AS(cycle.step(), ValueError);
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
}

TEST_SUITE_END();
