// Saving and loading of optimisers, and averages of weights.
#include <cmath>
#include <limits>
#include <set>
#include <sstream>
#include <string>

#include "support/here.h"
#include "support/ops.h"
#include "weft/core/factory.h"
#include "weft/optim/optim.h"

using namespace weft;

namespace {

Tensor state_values(const Shape& shape, int64_t seed, Dtype dtype) {
  std::vector<double> v;
  for (int64_t i = 0; i < shape.numel(); ++i)
    v.push_back(std::sin(12.9898 * static_cast<double>(i + 1) + 78.233 * static_cast<double>(seed)));
  return here::tensor(v, shape).to(dtype);
}
Tensor state_leaf(const Shape& shape, int64_t seed, Dtype dtype = Dtype::f64) {
  return state_values(shape, seed, dtype).set_requires_grad();
}

/// Six steps at once equal three, saved and loaded into another optimiser, and three more: bit by bit.
template <class Opt, class Options> void check_resume(const Options& o) {
  auto run = [](optim::Optimizer& opt, Tensor p, int from, int to) {
    for (int i = from; i < to; ++i) {
      p.set_grad(state_values(p.shape(), i, p.dtype()));
      opt.step();
    }
  };
  for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    Tensor a = state_leaf({9}, 1, dtype), b = state_leaf({9}, 1, dtype);
    Opt one({a}, o), two({b}, o);
    run(one, a, 0, 6);
    run(two, b, 0, 3);
    Opt three({b});
    three.load_state_dict(two.state_dict());
    run(three, b, 3, 6);
    CAPTURE(Options::name);
    CHECK(a.to_vector<double>() == b.to_vector<double>());
  }
}

/// The error of loading `dict` names every one of `words`, and changes nothing.
void check_refused(optim::Optimizer& opt, const StateDict& dict, const std::vector<std::string>& words) {
  const StateDict before = opt.state_dict();
  try {
    opt.load_state_dict(dict);
    FAIL("must throw");
  } catch (const ValueError& e) {
    for (const std::string& w : words) {
      CAPTURE(e.what());
      CHECK(std::string(e.what()).find(w) != std::string::npos);
    }
  }
  const StateDict after = opt.state_dict();
  CHECK(after.metadata == before.metadata);
  REQUIRE(after.size() == before.size());
  for (const auto& [name, t] : before) {
    // the state's own tensors, not copies; a step count is made anew
    if (t.numel() > 1) CHECK(after.at(name).is_same(t));
    CHECK(after.at(name).to_vector<double>() == t.to_vector<double>());
  }
}

}  // namespace

TEST_SUITE_BEGIN("optim");

DEVICE_TEST_CASE("saving and loading continues bit by bit") {
  check_resume<optim::SGD>(optim::SGDOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true});
  check_resume<optim::Adam>(optim::AdamOptions{.lr = 0.02, .decoupled_weight_decay = true});
  check_resume<optim::AdamW>(optim::AdamWOptions{.lr = 0.013, .amsgrad = true});
  check_resume<optim::RAdam>(optim::RAdamOptions{.lr = 0.02, .betas = {0.9, 0.8}});
  check_resume<optim::NAdam>(optim::NAdamOptions{.lr = 0.02, .momentum_decay = 0.1});
  check_resume<optim::Adamax>(optim::AdamaxOptions{.lr = 0.02});
  check_resume<optim::RMSprop>(optim::RMSpropOptions{.momentum = 0.9, .centered = true});
  check_resume<optim::Adagrad>(optim::AdagradOptions{.lr_decay = 0.1, .initial_accumulator_value = 0.1});
  check_resume<optim::Adadelta>(optim::AdadeltaOptions{.lr = 0.5});
}

DEVICE_TEST_CASE("every fault of a saved state is named, and nothing changes") {
  Tensor a = state_leaf({3}, 1), b = state_leaf({4}, 2);
  auto step = [&](optim::Optimizer& opt) {
    a.set_grad(state_values({3}, 5, Dtype::f64));
    b.set_grad(state_values({4}, 6, Dtype::f64));
    opt.step();
  };
  optim::NAdam opt({a, b}), saved_from({a, b});
  step(opt);
  step(saved_from);
  step(saved_from);
  const StateDict good = saved_from.state_dict();

  StateDict bad = good;
  bad.erase("state.0.exp_avg");
  bad.set("state.1.exp_avg_sq", here::zeros({5}));
  bad.insert("state.7.exp_avg", here::zeros({3}));
  bad.metadata["group.0.lr"] = "nan";
  bad.metadata["group.0.beta1"] = "0.9x";
  bad.metadata["state.1.mu_product"] = "NaN";
  bad.metadata.erase("group.0.eps");
  check_refused(
      opt, bad,
      {"state.0.exp_avg is missing", "state.1.exp_avg_sq has shape [5], expected [4]", "state.7.exp_avg is unexpected",
       "group.0.lr is 'nan'", "group.0.beta1 is '0.9x'", "state.1.mu_product is 'NaN'", "group.0.eps is missing"});
  for (const auto& [key, text, words] :
       {std::tuple<const char*, const char*, const char*>{"group.0.lr", "-1", "NAdam: invalid lr -1"},
        {"group.0.maximize", "0.5", "NAdam: invalid maximize 0.5"},
        {"group.0.beta2", "1", "invalid betas"},
        {"state.0", "step exp_avg exp_avg_sq sum", "state.0.sum is unknown"},
        {"parameters", "3", "the dict has 3 parameters, the optimiser 2"}}) {
    StateDict one = good;
    one.metadata[key] = text;
    check_refused(opt, one, {words});
  }
  check_refused(opt, StateDict(), {"parameters is missing", "group.0.lr is missing"});
  opt.load_state_dict(good);
  CHECK(opt.state_dict().metadata == good.metadata);

  // The state of another kind: each key once.
  auto each_once = [&](optim::Optimizer& taker, optim::Optimizer& giver) {
    step(giver);
    step(giver);
    std::string said;
    try {
      taker.load_state_dict(giver.state_dict());
    } catch (const ValueError& e) { said = e.what(); }
    CHECK(said.find("does not fit") != std::string::npos);
    std::istringstream lines(said);
    std::set<std::string> keys;
    std::string key, rest;
    std::getline(lines, rest);
    while (lines >> key && std::getline(lines, rest))
      CHECK_MESSAGE(keys.insert(key).second, key << " twice in " << said);
  };
  optim::SGD sgd({a, b}, {.lr = 0.1, .momentum = 0.9});
  optim::RMSprop rms({a, b}, {.momentum = 0.5, .centered = true});
  optim::LBFGS lbfgs({a, b});
  each_once(sgd, opt);
  each_once(opt, sgd);
  each_once(rms, opt);
  each_once(sgd, rms);
  each_once(lbfgs, sgd);
  each_once(lbfgs, rms);
  each_once(opt, rms);
  opt.load_state_dict(good);

  optim::Adam other({b});
  check_refused(other, good, {"the dict has 2 parameters, the optimiser 1"});
}

DEVICE_TEST_CASE("an optimiser's state as a part of another dict, options too") {
  Tensor a = state_leaf({3}, 1), b = state_leaf({3}, 1);
  optim::SGD one({a}, {.lr = 0.25, .momentum = 0.5}), two({b}, {.lr = 1});
  a.set_grad(state_values({3}, 2, Dtype::f64));
  one.step();
  StateDict file;
  file.insert("weights", a);
  file.metadata["epoch"] = "3";
  file.merge(one.state_dict(), "optimiser");
  two.load_state_dict(file.child("optimiser"));
  CHECK(two.state_dict().metadata == one.state_dict().metadata);
  CHECK(two.lr() == 0.25);
  const size_t entries = file.size();
  const auto metadata = file.metadata;
  StateDict other, said_otherwise;
  other.insert("new", a);
  other.insert("weights", a);
  CHECK_THROWS_AS(file.merge(other), ValueError);
  said_otherwise.insert("new", a);
  said_otherwise.metadata["epoch"] = "4";
  CHECK_THROWS_AS(file.merge(said_otherwise), ValueError);
  CHECK(file.size() == entries);
  CHECK(file.metadata == metadata);
}

DEVICE_TEST_CASE("a momentum that begins late is saved without a buffer") {
  Tensor a = state_leaf({3}, 1), b = state_leaf({3}, 1);
  auto step = [](optim::Optimizer& opt, Tensor p) {
    p.set_grad(state_values({3}, 5, Dtype::f64));
    opt.step();
  };
  optim::SGD one({a}, {.lr = 0.1}), two({b}, {.lr = 0.1});
  step(one, a);
  step(two, b);
  one.set_momentum(0.9, 0);
  two.load_state_dict(one.state_dict());
  for (int i = 0; i < 3; ++i) {
    step(one, a);
    step(two, b);
  }
  CHECK(a.to_vector<double>() == b.to_vector<double>());
}

TEST_CASE("LBFGS refuses a history with a hole") {
  Tensor x = tensor(std::vector<double>{1, 2, 3}).set_requires_grad();
  optim::LBFGS opt({x}, {.lr = 0.1, .max_iter = 4});
  auto closure = [&] {
    opt.zero_grad();
    Tensor loss = sum(square(x) * square(x));
    loss.backward();
    return loss;
  };
  opt.step(closure);
  opt.step(closure);
  StateDict bad = opt.state_dict();
  REQUIRE(bad.contains("history.1.s"));
  bad.erase("history.1.s");
  bad.metadata["h"] = "nan";
  bad.metadata["group.0.line_search"] = "7";
  check_refused(opt, bad, {"history.1.s is missing", "h is 'nan'", "line_search"});
}

DEVICE_TEST_CASE("averages of weights: values, warm-up, scopes") {
  for (Dtype dtype : {Dtype::f64, Dtype::f32, Dtype::bf16})
    for (bool warmup : {false, true}) {
      Tensor p = state_leaf({2, 3, 4, 5}, 1, dtype);
      Tensor q = here::empty({2, 3, 4, 5}, dtype, MemoryFormat::channels_last)
                     .copy_(state_values({2, 3, 4, 5}, 2, dtype))
                     .set_requires_grad();
      Tensor mean = state_values({3}, 3, dtype), count = here::zeros({}, Dtype::i64);
      optim::ExponentialMovingAverage ema({p, q}, {.decay = 0.8, .warmup = warmup}, {mean, count});
      std::vector<std::vector<double>> expected = {p.to_vector<double>(), q.to_vector<double>(),
                                                   mean.to_vector<double>()};
      for (int t = 1; t <= 5; ++t) {
        NoGrad guard;
        int k = 0;
        for (Tensor x : {p, q, mean}) x.copy_(state_values(x.shape(), 10 * t + k++, dtype));
        count.fill_(t);
        ema.update();
        const double decay = warmup ? std::min(0.8, (1.0 + t) / (10.0 + t)) : 0.8;
        k = 0;
        for (const Tensor& x : {p, q, mean}) {
          auto now = x.to_vector<double>();
          for (size_t i = 0; i < now.size(); ++i) {
            double& e = expected[static_cast<size_t>(k)][i];
            e += (1 - decay) * (now[i] - e);
          }
          ++k;
        }
      }
      // halves are rounded once at the end, f32 at every step
      const double tolerance = dtype == Dtype::f64 ? 1e-14 : dtype == Dtype::f32 ? 1e-6 : 0.004;
      const auto weights = p.to_vector<double>();
      const void* memory = p.raw_data();
      const uint32_t version = p.version();
      {
        auto scope = ema.average_parameters();
        int k = 0;
        for (const Tensor& x : {p, q, mean}) {
          auto got = x.to_vector<double>();
          for (size_t i = 0; i < got.size(); ++i)
            CHECK(got[i] == doctest::Approx(expected[static_cast<size_t>(k)][i]).epsilon(tolerance));
          ++k;
        }
        CHECK(count.item<int64_t>() == 5);
        CHECK(p.requires_grad());
        CHECK_THROWS_AS(ema.update(), Error);
        CHECK_THROWS_AS((void)ema.average_parameters(), Error);
        CHECK(ema.state_dict().at("average.0").numel() == p.numel());
      }
      CHECK(p.to_vector<double>() == weights);
      CHECK(p.raw_data() == memory);
      CHECK(p.version() == version);
      ema.copy_to_parameters();
      CHECK(p.to_vector<double>() != weights);
    }
}

DEVICE_TEST_CASE("averages of weights follow a model that was cast") {
  Tensor p = state_leaf({5}, 1, Dtype::f32);
  optim::ExponentialMovingAverage ema({p}, {.decay = 0.5});
  const std::vector<double> first = p.to_vector<double>();
  Tensor wide = p.detach().to(Dtype::f64);
  p.swap_contents(wide);  // as Module::to
  {
    auto scope = ema.average_parameters();
    CHECK(p.dtype() == Dtype::f64);
    CHECK(p.to_vector<double>() == first);
  }
  CHECK(p.dtype() == Dtype::f64);
  ema.update();
  CHECK(ema.state_dict().at("average.0").dtype() == Dtype::f64);
}

DEVICE_TEST_CASE("averages of weights: state and errors") {
  Tensor a = state_leaf({5}, 1, Dtype::bf16), b = state_leaf({5}, 1, Dtype::bf16), c = state_leaf({4}, 1, Dtype::f32);
  auto run = [](optim::ExponentialMovingAverage& ema, Tensor p, int from, int to) {
    NoGrad guard;
    for (int i = from; i < to; ++i) {
      p.copy_(state_values(p.shape(), i, p.dtype()));
      ema.update();
    }
  };
  optim::ExponentialMovingAverage one({a}, {.decay = 0.7, .warmup = true}), two({b});
  run(one, a, 0, 3);
  StateDict saved = one.state_dict();
  CHECK(saved.at("average.0").dtype() == Dtype::f32);
  two.load_state_dict(saved);
  CHECK(two.updates() == 3);
  run(one, a, 3, 6);
  run(two, b, 3, 6);
  CHECK(one.state_dict().at("average.0").to_vector<double>() == two.state_dict().at("average.0").to_vector<double>());

  optim::ExponentialMovingAverage other({c});
  saved.metadata["decay"] = "1.5";
  try {
    other.load_state_dict(saved);
    FAIL("must throw");
  } catch (const ValueError& e) {
    CHECK(std::string(e.what()).find("average.0 has shape [5], expected [4]") != std::string::npos);
    CHECK(std::string(e.what()).find("decay is 1.5") != std::string::npos);
  }
  CHECK(other.updates() == 0);
  CHECK_THROWS_AS(optim::ExponentialMovingAverage({c, c}), ValueError);
  CHECK_THROWS_AS(optim::ExponentialMovingAverage({Tensor()}), ValueError);
  CHECK_THROWS_AS(optim::ExponentialMovingAverage({c}, {.decay = std::nan("")}), ValueError);
}

TEST_SUITE_END();
