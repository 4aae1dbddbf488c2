// Ops that check or look at values: on a device whose kernels run beside the caller they do not make it wait, and what
// is wrong is refused all the same.
#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "support/lent_device.h"
#include "support/ops.h"
#include "support/throws.h"

using namespace weft;
using support::counts_of;

namespace {

struct Case {
  const char* name;
  std::function<void(const Device&)> call;
  std::function<void(const Device&)> wrong = nullptr;
  const char* text = "";
};

std::vector<Case> cases() {
  const auto f32 = [](std::initializer_list<double> v, const Device& d) {
    return tensor(std::vector<double>(v)).to(Dtype::f32).to(d);
  };
  const auto i64 = [](std::initializer_list<int64_t> v, const Device& d) {
    return tensor(std::vector<int64_t>(v)).to(d);
  };
  const auto leaf = [](const Tensor& x) { return x.detach().set_requires_grad(); };
  const auto two = [=](const Device& d) { return f32({0.25, 0.75}, d); };
  return {
      {"div",
       [=](auto& d) {
         (void)div(i64({7, 8}, d), i64({2, -1}, d), RoundingMode::trunc);
       },
       [=](auto& d) {
         (void)div(i64({7, 8}, d), i64({2, 0}, d), RoundingMode::floor);
       },
       "div: integer division by zero"},
      {"remainder",
       [=](auto& d) {
         (void)(i64({7, 8}, d) % 3);
       },
       [=](auto& d) {
         (void)(i64({7, 8}, d) % 0);
       },
       "remainder: integer division by zero"},
      {"fmod",
       [=](auto& d) {
         (void)fmod(i64({7, 8}, d), i64({2, 3}, d));
       },
       [=](auto& d) {
         (void)fmod(i64({7, 8}, d), i64({2, 0}, d));
       },
       "fmod: integer division by zero"},
      {"nll_loss",
       [=](auto& d) {
         (void)nll_loss(f32({-1, -2}, d).reshape({1, 2}), i64({1}, d));
       },
       [=](auto& d) {
         (void)nll_loss(f32({-1, -2}, d).reshape({1, 2}), i64({2}, d));
       },
       "nll_loss: a target is no class and is not ignore_index"},
      {"cross_entropy",
       [=](auto& d) {
         cross_entropy(leaf(f32({-1, -2}, d).reshape({1, 2})), i64({1}, d)).backward();
       },
       [=](auto& d) {
         (void)cross_entropy(f32({-1, -2}, d).reshape({1, 2}), i64({2}, d));
       },
       "cross_entropy: target 2"},
      {"binary_cross_entropy", [=](auto& d) { binary_cross_entropy(leaf(two(d)), two(d)).backward(); },
       [=](auto& d) { (void)binary_cross_entropy(two(d) * 2, two(d)); }, "binary_cross_entropy: all elements of input"},
      {"gaussian_nll_loss", [=](auto& d) { gaussian_nll_loss(leaf(two(d)), two(d), two(d)).backward(); },
       [=](auto& d) { (void)gaussian_nll_loss(two(d), two(d), -two(d)); },
       "gaussian_nll_loss: var has negative entries"},
      {"bernoulli", [=](auto& d) { (void)bernoulli(two(d)); }, [=](auto& d) { (void)bernoulli(two(d) * 2); },
       "bernoulli: the probabilities must be between 0 and 1"},
      {"multinomial", [=](auto& d) { (void)multinomial(two(d), 1); },
       [=](auto& d) { (void)multinomial(two(d) * 0, 1); }, "multinomial: all probabilities of a row are 0"},
      {"poisson", [=](auto& d) { (void)poisson(two(d)); }, [=](auto& d) { (void)poisson(-two(d)); },
       "poisson: a rate is negative or NaN"},
      {"normal", [=](auto& d) { (void)normal(two(d), two(d)); }, [=](auto& d) { (void)normal(two(d), -two(d)); },
       "normal: an element of std is negative or NaN"},
      {"quantile", [=](auto& d) { (void)quantile(two(d), two(d)); },
       [=](auto& d) { (void)quantile(two(d), two(d) * 2); }, "quantile: q must be in [0, 1]"},
      {"cov", [=](auto& d) { (void)cov(two(d), {.aweights = two(d)}); },
       [=](auto& d) { (void)cov(two(d), {.aweights = -two(d)}); }, "cov: aweights has a negative element"},
      {"cov, weights of 0",
       [=](auto& d) {
         (void)cov(two(d), {.fweights = i64({1, 1}, d)});
       },
       [=](auto& d) {
         (void)cov(two(d), {.fweights = i64({0, 0}, d)});
       },
       "cov: the weights sum to 0"},
      {"embedding_bag",
       [=](auto& d) {
         for (const BagMode mode : {BagMode::sum, BagMode::mean})
           sum(embedding_bag(i64({0, 1, 1}, d), leaf(two(d).reshape({2, 1})), i64({0, 1}, d), {.mode = mode}))
               .backward();
       },
       [=](auto& d) {
         (void)embedding_bag(i64({0, 1}, d), two(d).reshape({2, 1}), i64({1, 0}, d));
       },
       "embedding_bag: offsets must rise from 0"},
      {"embedding_renorm_",
       [=](auto& d) {
         embedding_renorm_(two(d).reshape({2, 1}), i64({0, 1, 1}, d), 0.5);
       }},
      {"cumprod",
       [=](auto& d) {
         sum(cumprod(leaf(f32({2, 0, 3}, d)), 0)).backward();
       }},
      {"scatter_reduce",
       [=](auto& d) {
         sum(scatter_reduce(leaf(f32({1, 2}, d)), 0, i64({0, 0, 0}, d), f32({3, 4, 5}, d), "prod")).backward();
       }},
  };
}

}  // namespace

TEST_SUITE("waits") {
  TEST_CASE("ops that check values do not wait for them, and refuse what is wrong") {
    const support::BesideCaller beside;
    for (const Case& c : cases()) {
      INFO(c.name);
      // what goes up and what the op makes there is no wait
      const support::Counts n = counts_of(beside.counts, [&] { c.call(beside.device); });
      CHECK(n.waits == 0);
      CHECK(n.launches > 0);
      if (c.wrong) CHECK_THROWS_WITH_AS(c.wrong(beside.device), doctest::Contains(c.text), ValueError);
    }
  }

  TEST_CASE("the ways that do not look give the same results") {
    const support::BesideCaller beside;
    const auto same = [&](const auto& f) { CHECK(allclose(f(beside.device).to("cpu"), f(Device()), 1e-6, 1e-6)); };
    for (const bool zero : {false, true}) {
      same([&](const Device& d) {
        Tensor x = tensor(std::vector<float>{2, zero ? 0.f : 1.5f, 3, -1}).to(d).set_requires_grad();
        sum(cumprod(x, 0) * cumprod(x, 0)).backward();
        return x.grad();
      });
      same([&](const Device& d) {
        const Tensor at = tensor(std::vector<int64_t>{0, 2, 0, zero ? 0 : 1, 2}).to(d);
        Tensor x = tensor(std::vector<float>{1, 2, 3}).to(d),
               src = tensor(std::vector<float>{2, 3, 4, 5, 6}).to(d).set_requires_grad();
        const Tensor y = scatter_reduce(x, 0, at, src, "prod");
        sum(y).backward();
        return cat({y.detach(), src.grad()});
      });
    }
  }
}
