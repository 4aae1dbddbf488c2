// Parameters given one by one, as Tensors or nn::Parameters; modes and schedules by PyTorch's words.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "weft/weft.h"

namespace weft {
namespace {

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const ValueError& e) { return e.what(); }
  return "nothing was thrown";
}

/// Whether one step of this optimiser changes a weight and a Tensor beside it.
template <class Optim, class Options = double> void check_steps(const Options& o) {
  nn::Linear fc(2, 1);
  Tensor x = ones({2}).set_requires_grad();
  Optim opt({fc.weight, x}, o);
  REQUIRE(opt.groups().size() == 1);
  REQUIRE(opt.groups()[0].params.size() == 2);
  CHECK(opt.groups()[0].params[0].is_same(fc.weight));
  const float before = fc.weight.to_vector<float>()[0];
  sum(fc.weight * x).backward();
  opt.step();
  CHECK(fc.weight.to_vector<float>()[0] != before);
  CHECK(x.to_vector<float>() != std::vector<float>{1, 1});
}

TEST_SUITE_BEGIN("lists of parameters");

TEST_CASE("every optimiser takes nn::Parameters and Tensors in braces") {
  check_steps<optim::SGD>(0.1);
  check_steps<optim::SGD>(optim::SGDOptions{.lr = 0.1, .momentum = 0.9});
  check_steps<optim::Adam>(1e-3);
  check_steps<optim::AdamW>(optim::AdamWOptions{.lr = 1e-3});
  check_steps<optim::RAdam>(1e-3);
  check_steps<optim::NAdam>(1e-3);
  check_steps<optim::Adamax>(1e-3);
  check_steps<optim::RMSprop>(1e-3);
  check_steps<optim::Adagrad>(1e-3);
  check_steps<optim::Adadelta>(1.0);
  nn::Linear fc(2, 1);
  optim::LBFGS lbfgs({fc.weight, fc.bias}, {.line_search_fn = "strong_wolfe"});
  CHECK(lbfgs.groups()[0].params[1].is_same(fc.bias));
  optim::Adam named({fc.weight, fc.bias}, {.lr = 1e-2});
  CHECK(named.lr() == 1e-2);
  unit_scaled::Linear us(2, 1, true);
  optim::unit_scaled::Adam scaled({us.weight, us.bias}, {.lr = 1e-2});
  CHECK(scaled.num_groups() == 2);
  optim::unit_scaled::SGD readout({us.weight}, {.readout_constraint = "to_output_scale"});
  CHECK(readout.num_groups() == 1);
}

TEST_CASE("groups, clipping and averages take them too") {
  nn::Linear fc(2, 1), head(1, 1);
  optim::SGD opt({{{fc.weight, fc.bias}, {.lr = 0.1}}, {head.parameters(), {.lr = 1}}});
  REQUIRE(opt.num_groups() == 2);
  CHECK(opt.lr(0) == 0.1);
  CHECK(opt.lr(1) == 1);
  optim::SGD later({fc.weight}, {.lr = 0.1});
  later.add_param_group({head.parameters()});
  later.add_param_group({{fc.bias}, {.lr = 2}});
  CHECK(later.lr(2) == 2);
  CHECK(later.groups()[2].params[0].is_same(fc.bias));

  sum(fc.weight * 3).backward();
  const Tensor norm = nn::utils::clip_grad_norm_({fc.weight}, 1.0);
  CHECK(norm.item<float>() == doctest::Approx(std::sqrt(18.0)));
  CHECK(optim::grad_norm({fc.weight}).item<float>() == doctest::Approx(1));
  nn::utils::clip_grad_value_({fc.weight}, 0.5);
  CHECK(fc.weight.grad().to_vector<float>() == std::vector<float>{0.5, 0.5});
  optim::ExponentialMovingAverage average({fc.weight}, {.decay = 0.5});
  average.update();
  CHECK(average.updates() == 1);
}

TEST_CASE("modes as text: LBFGS, OneCycleLR, ReduceLROnPlateau") {
  Tensor x = ones({1}).set_requires_grad();
  CHECK(message([&] { optim::LBFGS({x}, {.line_search_fn = "wolfe"}); }) ==
        "LBFGS: line_search_fn 'wolfe' is unknown; expected 'none' or 'strong_wolfe'");
  optim::LBFGS lbfgs({x}, {.line_search_fn = "strong_wolfe"}), other({x});
  other.load_state_dict(lbfgs.state_dict());
  CHECK(other.options().line_search_fn == "strong_wolfe");
  StateDict bad = lbfgs.state_dict();
  bad.metadata["group.0.line_search"] = "2";
  CHECK(message([&] { other.load_state_dict(bad); }).find("invalid line_search 2") != std::string::npos);

  const auto rates = [&](const optim::OneCycleOptions& o) {
    optim::SGD opt({x}, {.lr = 1, .momentum = 0.9});
    optim::OneCycleLR schedule(opt, o);
    std::vector<double> out;
    for (int i = 0; i < 9; ++i) {
      out.push_back(opt.lr());
      opt.step();
      schedule.step();
    }
    return out;
  };
  const auto whole = rates({.max_lr = 1, .total_steps = 10, .anneal_strategy = "linear"});
  CHECK(whole == rates({.max_lr = 1, .epochs = 5, .steps_per_epoch = 2, .anneal_strategy = "linear"}));
  CHECK(whole[1] == doctest::Approx(0.04 + 0.96 / 2));  // half of the way up from max_lr / 25, which takes 2 steps
  CHECK(whole != rates({.max_lr = 1, .total_steps = 10}));
  CHECK(message([&] { rates({.max_lr = 1, .anneal_strategy = "exp"}); }) ==
        "OneCycleLR: anneal_strategy 'exp' is unknown; expected 'cos' or 'linear'");
  CHECK(
      message([&] { rates({.max_lr = 1, .total_steps = 10, .epochs = 5}); }).starts_with("OneCycleLR: total_steps 10"));
  CHECK(message([&] { rates({.max_lr = 1, .epochs = 5}); }).starts_with("OneCycleLR: needs total_steps, or"));

  optim::SGD opt({x}, {.lr = 1});
  optim::lr_scheduler::ReduceLROnPlateau highest(opt, "max", 0.5, 0), lowest(opt, "min");
  for (const double metric : {1.0, 2.0, 1.5}) highest.step(metric);
  CHECK(opt.lr() == 0.5);
  CHECK(highest.get_last_lr() == std::vector<double>{0.5});
  optim::ReduceLROnPlateau apart(opt, {.patience = 0, .threshold = 0.5, .threshold_mode = "abs"});
  for (const double metric : {10.0, 9.6}) apart.step(metric);  // better by 0.4 only
  CHECK(opt.lr() == doctest::Approx(0.05));
  CHECK(message([&] { optim::ReduceLROnPlateau(opt, "least"); }) ==
        "ReduceLROnPlateau: mode 'least' is unknown; expected 'min' or 'max'");
}

TEST_CASE("mup types as text") {
  unit_scaled::Linear layer(2, 1, {.weight_mup_type = "output"});
  CHECK(unit_scaled::mup_info(layer.weight).type == unit_scaled::MupType::output);
  CHECK(message([] { unit_scaled::Linear(2, 1, {.weight_mup_type = "wieght"}); }) ==
        "unit_scaled: mup_type 'wieght' is unknown; expected 'none', 'weight', 'bias', 'norm' or 'output'");
}

TEST_SUITE_END();

}  // namespace
}  // namespace weft
