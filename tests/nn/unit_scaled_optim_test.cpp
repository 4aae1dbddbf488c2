// u-muP's optimisers: the table of learning rates, weight decay apart from them, errors.
#include "nn/support.h"
#include "support/here.h"
#include "support/throws.h"
#include "weft/autograd/grad_mode.h"
#include "weft/nn/unit_scaled/unit_scaled.h"
#include "weft/optim/unit_scaled.h"

using namespace weft;
using namespace weft::test;
namespace us = weft::unit_scaled;
using support::message_of;
using us::Constraint;
using us::MupType;

namespace {

Tensor tagged_leaf(const Shape& shape, MupType type, std::optional<int64_t> depth = {}, Dtype dtype = Dtype::f64) {
  Tensor p = here::full(shape, 2, dtype).set_requires_grad();
  us::set_mup_info(p, {type, depth});
  return p;
}

}  // namespace

TEST_SUITE_BEGIN("unit scaled");

TEST_CASE("learning rates by type, width and depth") {
  struct Row {
    Tensor p;
    double adam, sgd;  // factors; sgd with to_output_scale
  };
  const Row rows[] = {{tagged_leaf({4, 9}, MupType::weight), 1 / 3.0, 3},
                      {tagged_leaf({8, 4, 3}, MupType::weight), 1 / std::sqrt(12.0), std::sqrt(12.0)},
                      {tagged_leaf({2, 3, 2, 2, 3}, MupType::weight), 1 / 6.0, 6},
                      {tagged_leaf({16}, MupType::weight), 0.25, 4},
                      {tagged_leaf({}, MupType::weight), 1, 1},
                      {tagged_leaf({4, 9}, MupType::weight, 4), 1 / 6.0, 1.5},
                      {tagged_leaf({5}, MupType::bias), 1, 5},
                      {tagged_leaf({6}, MupType::norm, 4), 0.5, 3},
                      {tagged_leaf({4, 9}, MupType::output), 1, 1},
                      {tagged_leaf({4, 9}, MupType::output, 16), 0.25, 0.25}};
  std::vector<Tensor> params;
  for (const Row& r : rows) params.push_back(r.p);
  const us::Adam adam(params, {.lr = 0.1});
  const us::AdamW adamw(params, {.lr = 0.1});
  const us::SGD plain(params, {.lr = 0.1}), sgd(params, {.lr = 0.1, .readout_constraint = Constraint::to_output_scale});
  REQUIRE(adam.num_groups() == 10);
  for (size_t i = 0; i < params.size(); ++i) {
    CAPTURE(i);
    const auto group = static_cast<int64_t>(i);
    CHECK(adam.lr(group) == doctest::Approx(0.1 * rows[i].adam).epsilon(1e-14));
    CHECK(adamw.lr(group) == adam.lr(group));
    CHECK(plain.lr(group) == adam.lr(group));
    CHECK(sgd.lr(group) == doctest::Approx(0.1 * rows[i].sgd).epsilon(1e-14));
    CHECK(adamw.options(group).weight_decay == 0);
  }
  CHECK(us::AdamOptions().lr == 1e-3);
}

DEVICE_TEST_CASE("independent decay: a step multiplies by 1 - weight_decay") {
  const std::vector<Tensor> p = {tagged_leaf({4, 9}, MupType::weight, 4), tagged_leaf({3}, MupType::bias)};
  us::AdamW opt(p, {.lr = 0.05, .weight_decay = 0.01});
  CHECK(opt.options(0).weight_decay == doctest::Approx(0.01 / (0.05 / 6)));
  for (int step = 0; step < 3; ++step) {
    for (Tensor t : p) t.set_grad(zeros_like(t));
    opt.step();
  }
  for (const Tensor& t : p)
    for (const double v : t.to_vector<double>()) CHECK(v == doctest::Approx(2 * 0.99 * 0.99 * 0.99).epsilon(1e-14));
  us::AdamW together(p, {.lr = 0.05, .weight_decay = 0.01, .independent_weight_decay = false});
  CHECK(together.options(0).weight_decay == 0.01);
  // A rate of zero is no division by zero
  us::AdamW frozen(p, {.lr = 0});
  for (Tensor t : p) t.set_grad(ones_like(t));
  const double before = p[1].to_vector<double>()[0];
  frozen.step();
  CHECK(p[1].to_vector<double>()[0] == before);
}

DEVICE_TEST_CASE("groups with options of their own, groups that come later, state") {
  const std::vector<Tensor> p = {tagged_leaf({2, 4}, MupType::weight), tagged_leaf({2}, MupType::bias),
                                 tagged_leaf({2, 4}, MupType::output)};
  us::SGD opt({us::SGD::Group{{p[0]}, {.lr = 0.1}}, {{p[1]}, {.lr = 0.2, .momentum = 0.5}}});
  opt.add_group({{p[2], tagged_leaf({9}, MupType::weight)}, {.lr = 0.4}});
  REQUIRE(opt.num_groups() == 4);
  CHECK(opt.lr(0) == doctest::Approx(0.05));
  CHECK(opt.lr(1) == 0.2);
  CHECK(opt.momentum(1) == 0.5);
  CHECK(opt.lr(2) == 0.4);
  CHECK(opt.lr(3) == doctest::Approx(0.4 / 3));
  for (Tensor t : p) t.set_grad(ones_like(t));
  opt.step();
  CHECK(p[0].to_vector<double>()[0] == doctest::Approx(1.95));
  CHECK(p[1].to_vector<double>()[0] == doctest::Approx(1.8));
  CHECK(p[2].to_vector<double>()[0] == doctest::Approx(1.6));

  // one that is refused takes all of its group along
  CHECK_THROWS_AS(opt.add_group({{tagged_leaf({4}, MupType::bias), p[0]}, {.lr = 0.4}}), ValueError);
  CHECK(opt.num_groups() == 4);
  CHECK_NOTHROW(opt.step());

  us::Adam adam({p[0], p[1]}, {.lr = 0.1}), other({p[0], p[1]}, {.lr = 0.7});
  adam.step();
  other.load_state_dict(adam.state_dict());
  CHECK(other.lr(0) == adam.lr(0));
}

TEST_CASE("errors of u-muP's optimisers") {
  const Tensor plain = zeros({3}).set_requires_grad(), p = tagged_leaf({4, 4}, MupType::weight);
  CHECK(has(message_of<ValueError>([&] { us::Adam({p, plain}); }), {"Adam", "[3]", "mup type"}));
  CHECK(has(message_of<ValueError>([&] { us::SGD({plain}); }), {"SGD", "mup type"}));
  const us::Adam allowed({p, plain}, {.lr = 0.1, .allow_non_unit_scaling_params = true});
  CHECK(allowed.lr(0) == doctest::Approx(0.05));
  CHECK(allowed.lr(1) == 0.1);
  CHECK(has(message_of<ValueError>([&] { us::SGD({p}, {.readout_constraint = Constraint::gmean}); }),
            {"readout_constraint", "gmean"}));
  CHECK(has(message_of<ValueError>([&] { us::Adam({p}, {.lr = 0, .weight_decay = 0.1}); }), {"weight decay", "0.1"}));
  CHECK(has(message_of<ValueError>([&] { us::Adam({p}, {.lr = -1}); }), {"lr", "-1"}));
  CHECK(has(message_of<ValueError>([&] { us::AdamW({p}, {.betas = {0.9, 1}}); }), {"betas"}));
  CHECK(has(message_of<ValueError>([&] { us::SGD({p}, {.nesterov = true}); }), {"nesterov"}));
}

TEST_CASE("u-muP's optimisers: a rate alone, defaults, no parameters, groups by PyTorch's name") {
  const Tensor p = tagged_leaf({4, 4}, MupType::weight);
  const us::Adam adam({p}, 0.5);
  CHECK(adam.lr(0) == doctest::Approx(0.25));
  CHECK(adam.defaults().lr == 0.5);
  us::SGD sgd(std::vector<Tensor>(), 1);
  sgd.step();
  CHECK(sgd.num_groups() == 0);
  CHECK(sgd.defaults().lr == 1);
  sgd.add_param_group({{p}, {.lr = 1}});
  CHECK(sgd.lr(0) == doctest::Approx(0.5));
}

DEVICE_TEST_CASE("a unit-scaled classifier learns with one rate for all its layers") {
  manual_seed(2);
  nn::Sequential net(us::Conv1d(2, 16, {.kernel_size = 3, .padding = 1, .bias = true}), us::SiLU(), nn::Flatten(),
                     us::Linear(16 * 8, 32), us::GELU(), us::LayerNorm(32, {.elementwise_affine = true}),
                     us::LinearReadout(32, 3));
  net.to(support::device());
  const us::CrossEntropyLoss criterion;
  us::Adam opt(net.parameters(), {.lr = 0.25});
  const Tensor x = here::randn({48, 2, 8}), target = here::randint(0, 3, {48});
  std::vector<double> losses;
  for (int step = 0; step < 40; ++step) {
    opt.zero_grad();
    const Tensor loss = criterion(net(x), target);
    loss.backward();
    opt.step();
    losses.push_back(loss.item<double>());
  }
  CHECK(losses.front() == doctest::Approx(std::log(3.0)).epsilon(0.3));
  CHECK(losses.back() < 0.05);
}

TEST_SUITE_END();
