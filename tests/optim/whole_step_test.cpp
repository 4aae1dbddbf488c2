// A step is whole or not at all: where memory runs out or a closure throws, parameters and state stay as they were, and
// the same step can be made later, to the same bits.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <vector>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"
#include "weft/optim/adam.h"
#include "weft/optim/lbfgs.h"
#include "weft/optim/rmsprop.h"
#include "weft/optim/sgd.h"

using namespace weft;

namespace {

constexpr int64_t kN = 3 << 20;  // 12 MiB of f32: above what is kept beside

using Params = std::vector<Tensor>;
using Make = std::function<std::unique_ptr<optim::Optimizer>(const Params&)>;

Params params(Dtype dtype) {
  Params p;
  for (int i = 0; i < 3; ++i)
    p.push_back(((arange(0, kN, 1, Dtype::f32) * (1.0 / kN) - 0.3 * i)).to(dtype).set_requires_grad());
  return p;
}

void give_gradients(const Params& p, int step) {
  for (size_t i = 0; i < p.size(); ++i) {
    Tensor t = p[i];
    t.set_grad((t.detach() * (0.5 + 0.1 * step) + 0.01 * static_cast<double>(i)).to(t.dtype()));
  }
}

bool same(const StateDict& a, const StateDict& b) {
  if (a.size() != b.size() || a.metadata != b.metadata) return false;
  for (const auto& [key, t] : a)
    if (!b.find(key) || !equal(t, *b.find(key))) return false;
  return true;
}

StateDict copy(const StateDict& d) {
  StateDict out;
  out.metadata = d.metadata;
  for (const auto& [key, t] : d) out.insert(key, t.clone());
  return out;
}

/// Steps under a limit that lets more and more of the step's memory through. Returns how many failed.
int step_with_little(optim::Optimizer& opt, const Params& p) {
  const StateDict before = copy(opt.state_dict());
  Params values;
  for (const Tensor& t : p) values.push_back(t.detach().clone());
  int failed = 0;
  for (size_t extra = 0;; extra += size_t{8} << 20) {
    empty_cache();
    set_memory_limit(memory_stats().reserved + extra);
    bool whole = true;
    try {
      opt.step();
    } catch (const OutOfMemory&) { whole = false; }
    set_memory_limit(0);
    if (whole) return failed;
    ++failed;
    for (size_t i = 0; i < p.size(); ++i) REQUIRE(equal(p[i].detach(), values[i]));
    REQUIRE(same(opt.state_dict(), before));
  }
}

void compare(const Make& make, Dtype dtype) {
  const Params a = params(dtype), b = params(dtype);
  const auto tried = make(a), plain = make(b);
  for (int step = 0; step < 3; ++step) {
    give_gradients(a, step);
    give_gradients(b, step);
    const int failed = step_with_little(*tried, a);
    plain->step();
    if (step == 0) CHECK(failed > 0);  // state is made
    for (size_t i = 0; i < a.size(); ++i) CHECK(equal(a[i].detach(), b[i].detach()));
    CHECK(same(tried->state_dict(), plain->state_dict()));
  }
}

template <class Opt, class Options> Make groups(const Options& first, const Options& second) {
  return [=](const Params& p) {
    using Group = optim::ParamGroup<Options>;
    return std::make_unique<Opt>(std::vector<Group>{Group{{p[0]}, first}, Group{{p[1], p[2]}, second}});
  };
}

}  // namespace

TEST_SUITE_BEGIN("optim");

TEST_CASE("a step without enough memory changes nothing, and can be made again: Adam with and without amsgrad") {
  compare(groups<optim::Adam>(optim::AdamOptions{.lr = 0.1}, optim::AdamOptions{.lr = 0.2, .amsgrad = true}),
          Dtype::f32);
  compare(groups<optim::AdamW>(optim::AdamWOptions{.amsgrad = true}, optim::AdamWOptions{.lr = 0.2}), Dtype::bf16);
}

TEST_CASE("a step without enough memory changes nothing, and can be made again: SGD's first step has no dampening") {
  compare(
      groups<optim::SGD>(optim::SGDOptions{.lr = 0.1}, optim::SGDOptions{.lr = 0.1, .momentum = 0.9, .dampening = 0.5}),
      Dtype::f32);
  compare(groups<optim::SGD>(optim::SGDOptions{.lr = 0.1, .momentum = 0.9}, optim::SGDOptions{.lr = 0.1}), Dtype::f16);
}

TEST_CASE("a step without enough memory changes nothing, and can be made again: RMSprop, NAdam, Adagrad") {
  compare(groups<optim::RMSprop>(optim::RMSpropOptions{.momentum = 0.5}, optim::RMSpropOptions{.centered = true}),
          Dtype::f32);
  compare(groups<optim::NAdam>(optim::NAdamOptions{}, optim::NAdamOptions{.lr = 0.1}), Dtype::f32);
  compare(groups<optim::Adagrad>(optim::AdagradOptions{}, optim::AdagradOptions{.initial_accumulator_value = 0.5}),
          Dtype::f32);
}

TEST_CASE("LBFGS: what a closure throws leaves parameters and state as before the step") {
  for (const auto search : {optim::LineSearch::none, optim::LineSearch::strong_wolfe})
    for (const int fails_at : {1, 2, 4, 7}) {
      CAPTURE(fails_at);
      const auto start = [] { return tensor({-1.2, 1.0, 0.7}).set_requires_grad(); };
      Tensor x = start(), y = start();
      optim::LBFGS a({x}, {.max_iter = 6, .line_search_fn = search}), b({y}, {.max_iter = 6, .line_search_fn = search});
      int calls = 0, fails = 0;
      const auto closure = [&](optim::LBFGS& opt, const Tensor& p) {
        return [&, p] {
          if (fails && ++calls == fails) raise<OutOfMemory>("closure");
          opt.zero_grad();
          Tensor loss = sum(square(square(p) - 0.5) + 0.1 * p);
          loss.backward();
          return loss;
        };
      };
      a.step(closure(a, x));
      b.step(closure(b, y));
      fails = fails_at;
      const std::vector<double> before = x.to_vector<double>();
      bool threw = false;
      try {
        a.step(closure(a, x));
      } catch (const OutOfMemory&) { threw = true; }
      fails = 0;
      if (threw) CHECK(x.to_vector<double>() == before);
      else b.step(closure(b, y));  // it was done before
      a.step(closure(a, x));
      b.step(closure(b, y));
      CHECK(x.to_vector<double>() == y.to_vector<double>());
    }
}

TEST_SUITE_END();
