// Captured steps of training: the same bits as without capture, whatever the step does and whoever meddles between two.
#include <atomic>
#include <memory>
#include <thread>

#include "nn/torchvision_nets.h"
#include "support/devices.h"
#include "support/difference.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/autograd/checkpoint.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/aliases.h"
#include "weft/backends/cpu/primitive_stats.h"
#include "weft/core/backend.h"
#include "weft/distributed/process_group.h"
#include "weft/nn/capture.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"
#include "weft/train/grad_scaler.h"

using namespace weft;
using support::largest_difference;
using support::message_of;
using support::says;

namespace {

using Tensors = std::vector<Tensor>;

/// What a step of training changes.
struct Trainee {
  nn::Sequential net;
  std::unique_ptr<optim::Optimizer> opt;
  std::unique_ptr<optim::StepLR> schedule;
  std::unique_ptr<optim::ExponentialMovingAverage> ema;
  int passes = 0;  ///< calls of `step`

  Tensor loss(const Tensors& in) { return cross_entropy(net(in[0]), in[1]); }
  Tensors step(const Tensors& in) {
    ++passes;
    opt->zero_grad();
    Tensor l = loss(in);
    l.backward();
    opt->step();
    return {l};
  }
};

std::unique_ptr<Trainee> trainee(Dtype dtype = Dtype::f32) {
  manual_seed(1);
  auto t = std::make_unique<Trainee>();
  t->net = nn::Sequential(nn::Conv2d(3, 8, {.kernel_size = 3, .padding = 1, .bias = false}), nn::BatchNorm2d(8),
                          nn::ReLU(), nn::Conv2d(8, 16, {.kernel_size = 3, .stride = 2}), nn::Dropout(0.3),
                          nn::LeakyReLU(0.1), nn::AdaptiveAvgPool2d(1), nn::Flatten(), nn::Linear(16, 5));
  t->net.to(dtype);
  t->opt = std::make_unique<optim::AdamW>(t->net.parameters(), optim::AdamWOptions{.lr = 0.01});
  t->schedule = std::make_unique<optim::StepLR>(*t->opt, 2, 0.5);
  t->ema = std::make_unique<optim::ExponentialMovingAverage>(t->net.parameters());
  return t;
}

Tensors batch(int64_t n, Dtype dtype = Dtype::f32) {
  return {randn({n, 3, 9, 9}, dtype), randint(0, 5, {n}, Dtype::i64)};
}

/// Parameters, buffers and gradients are equal bit for bit.
void check_same(const nn::Module& a, const nn::Module& b) {
  CHECK(largest_difference(a.state_dict(), b.state_dict()) == 0);
  const auto of_a = a.parameters(), of_b = b.parameters();
  for (size_t i = 0; i < of_a.size(); ++i) {
    REQUIRE(of_a[i].grad().defined() == of_b[i].grad().defined());
    if (of_a[i].grad().defined()) CHECK(largest_difference(of_a[i].grad(), of_b[i].grad()) == 0);
  }
}

/// Runs both on the same batches and random numbers.
void check_steps(int steps, const std::function<Tensors(const Tensors&)>& eager, const nn::Captured& captured,
                 const std::function<Tensors()>& next, const std::function<void(int)>& between = {}) {
  for (int i = 0; i < steps; ++i) {
    const Tensors in = next();
    manual_seed(100 + i);
    const Tensors want = eager(in);
    const auto drawn = default_generator().state();
    manual_seed(100 + i);
    const Tensors got = captured(in);
    CHECK(default_generator().state() == drawn);
    REQUIRE(got.size() == want.size());
    for (size_t k = 0; k < got.size(); ++k) CHECK(largest_difference(got[k], want[k]) == 0);
    if (between) between(i);
  }
}

/// A captured twin of `eager`, whose model it copies.
template <class F> nn::Captured captured_step(Trainee& of, const Tensors& example, const F& step) {
  return nn::capture([&of, step](const Tensors& in) { return step(of, in); }, example, {.training = true});
}

}  // namespace

TEST_SUITE_BEGIN("capture training");

TEST_CASE("a captured step is the step, and is captured once") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
    const std::string name = str(dtype);
    INFO(name);
    auto a = trainee(dtype), b = trainee(dtype);
    const nn::Captured step = captured_step(*b, batch(4, dtype),
                                            [](Trainee& t, const Tensors& in) { return t.step(in); });
    check_same(a->net, b->net);  // capture itself does no step
    check_steps(
        6, [&](const Tensors& in) { return a->step(in); }, step, [&] { return batch(4, dtype); });
    check_same(a->net, b->net);
    CHECK(b->passes == 1);
  }
}

DEVICE_TEST_CASE("a captured step and evaluation give the same bits from call to call, on every device") {
  const Device d = support::device();
  const auto on = [&](Tensors in) {
    for (Tensor& t : in) t = t.to(d);
    return in;
  };
  const auto made = [&] {
    auto t = trainee();
    t->net.to(d);
    t->opt = std::make_unique<optim::SGD>(t->net.parameters(), optim::SGDOptions{.lr = 0.05, .momentum = 0.9});
    return t;
  };
  auto a = made(), b = made();
  const nn::Captured step = captured_step(*b, on(batch(4)), [](Trainee& t, const Tensors& in) { return t.step(in); });
  check_steps(
      6, [&](const Tensors& in) { return a->step(in); }, step, [&] { return on(batch(4)); });
  check_same(a->net, b->net);
  a->net.eval();
  const nn::Captured fast = nn::capture(a->net, on(batch(4))[0]);
  for (int i = 0; i < 5; ++i) {
    const Tensor x = on(batch(4))[0];
    CHECK(largest_difference(fast(x), nn::capture(a->net, x)(x)) == 0);
  }
}

TEST_CASE("optimisers, clipping, averages, schedules and autocast") {
  using Step = std::function<Tensors(Trainee&, const Tensors&)>;
  const std::pair<const char*, Step> steps[] = {
      {"clip",
       [](Trainee& t, const Tensors& in) {
         t.opt->zero_grad();
         Tensor l = t.loss(in);
         l.backward();
         Tensor norm = optim::clip_grad_norm(t.net.parameters(), 0.5);
         optim::clip_grad_value(t.net.parameters(), 0.05);
         t.opt->step();
         return Tensors{l, norm};
       }},
      {"autocast",
       [](Trainee& t, const Tensors& in) {
         t.opt->zero_grad();
         Tensor l;
         {
           const Autocast cast(Dtype::bf16);
           l = t.loss(in);
         }
         l.backward();
         t.opt->step();
         return Tensors{l};
       }},
      {"closure",
       [](Trainee& t, const Tensors& in) {
         return Tensors{t.opt->step([&] {
           t.opt->zero_grad();
           Tensor l = t.loss(in);
           l.backward();
           return l;
         })};
       }},
      {"checkpoint",
       [](Trainee& t, const Tensors& in) {
         t.opt->zero_grad();
         Tensor l = cross_entropy(checkpoint([&](const Tensor& x) { return t.net(x); }, in[0]), in[1]);
         l.backward();
         t.opt->step();
         return Tensors{l};
       }},
      {"averages and a schedule",
       [](Trainee& t, const Tensors& in) {
         Tensors l = t.step(in);
         t.schedule->step();
         t.ema->update();
         return l;
       }},
  };
  for (const auto& row : steps) {
    const std::string text = row.first;
    const Step& step = row.second;
    INFO(text);
    auto a = trainee(), b = trainee();
    const nn::Captured captured = captured_step(*b, batch(4), step);
    check_steps(
        5, [&](const Tensors& in) { return step(*a, in); }, captured, [] { return batch(4); });
    // checkpoint counts a batch twice in the running statistics, eager and captured
    check_same(a->net, b->net);
    CHECK(a->opt->lr(0) == b->opt->lr(0));
    CHECK(a->schedule->steps() == b->schedule->steps());
    CHECK(largest_difference(a->ema->state_dict(), b->ema->state_dict()) == 0);
  }
}

TEST_CASE("other sizes have graphs of their own and share the parameters") {
  auto a = trainee(), b = trainee();
  const nn::Captured step = captured_step(*b, batch(4), [](Trainee& t, const Tensors& in) { return t.step(in); });
  int i = 0;
  check_steps(
      9, [&](const Tensors& in) { return a->step(in); }, step, [&] { return batch(2 + i++ % 3); });
  check_same(a->net, b->net);
  CHECK(b->passes == 3);
}

TEST_CASE("gradients of before are gone on from as they are") {
  const auto accumulate = [](Trainee& t, const Tensors& in) {
    ++t.passes;
    Tensor l = t.loss(in) / 2;
    l.backward();
    return Tensors{l};
  };
  const auto zeroed_behind = [](Trainee& t, const Tensors& in) {
    ++t.passes;
    Tensor l = t.loss(in);
    l.backward();
    t.opt->step();
    t.opt->zero_grad();
    return Tensors{l};
  };
  const auto zeroed_in_place = [](Trainee& t, const Tensors& in) {
    ++t.passes;
    t.opt->zero_grad(false);
    Tensor l = t.loss(in);
    l.backward();
    t.opt->step();
    return Tensors{l};
  };
  {
    auto a = trainee(), b = trainee();
    const nn::Captured step = captured_step(*b, batch(4), accumulate);
    check_steps(
        8, [&](const Tensors& in) { return accumulate(*a, in); }, step, [] { return batch(4); },
        [&](int i) {
          check_same(a->net, b->net);
          if (i % 2 == 0) return;
          for (Trainee* t : {a.get(), b.get()}) {
            t->opt->step();
            t->opt->zero_grad(i == 1);
          }
        });
    CHECK(b->passes == 2);  // from nothing, and from a gradient
  }
  for (int way = 0; way < 2; ++way) {
    INFO(way);
    const auto f = way ? zeroed_in_place : +zeroed_behind;
    auto a = trainee(), b = trainee();
    const nn::Captured step = captured_step(*b, batch(4), f);
    check_steps(
        4, [&](const Tensors& in) { return f(*a, in); }, step, [] { return batch(4); });
    check_same(a->net, b->net);
    CHECK(b->passes <= 2);
  }
}

TEST_CASE("whoever writes, moves or swaps between two steps is followed") {
  auto a = trainee(), b = trainee();
  const nn::Captured step = captured_step(*b, batch(4), [](Trainee& t, const Tensors& in) { return t.step(in); });
  Dtype dtype = Dtype::f32;
  check_steps(
      8, [&](const Tensors& in) { return a->step(in); }, step, [&] { return batch(4, dtype); },
      [&](int i) {
        for (Trainee* t : {a.get(), b.get()}) {
          const NoGrad off;
          Tensor w = t->net.parameters()[0];
          if (i == 0) t->net.eval();
          if (i == 1) t->net.train();
          if (i == 1) w.mul_(1.5);
          if (i == 2) t->opt->set_lr(0.003, 0);
          if (i == 3) t->net.to(Dtype::f64);
          if (i == 4) w.set_grad(Tensor());
          if (i == 5) {
            Tensor other = (w.detach() * 2).clone();
            w.swap_contents(other);
          }
          if (i == 6) t->net.load_state_dict(t->net.state_dict());
        }
        if (i == 3) dtype = Dtype::f64;
      });
  check_same(a->net, b->net);
}

TEST_CASE("what a step writes stays from call to call, and results are new tensors") {
  manual_seed(9);
  nn::GRU gru(3, 4);
  const Tensor x = randn({5, 2, 3}), z = randn({5, 2, 3}), wide = randn({5, 2, 3});
  Tensor total = zeros({}), state = zeros({1, 2, 4});
  const auto f = [&](const Tensors& in) {
    const auto [y, h] = gru(in[0], state);
    const NoGrad off;
    state.copy_(h);
    total.add_(y.sum());
    return Tensors{y.detach(), total, total * 2, in[0]};
  };
  const nn::Captured step = nn::capture(f, {x}, {.training = true});
  CHECK(total.item<float>() == 0);
  const Tensors one = step(Tensors{x});
  const Tensor first = state.clone();
  CHECK(largest_difference(first, gru(x, zeros({1, 2, 4})).h) == 0);
  const float sum = total.item<float>();
  CHECK(sum == one[1].item<float>());
  CHECK(one[2].item<float>() == 2 * sum);
  const Tensors two = step(Tensors{z});
  CHECK(largest_difference(two[0], gru(z, first).output) == 0);
  CHECK(one[1].item<float>() == sum);
  CHECK(two[1].item<float>() == total.item<float>());
  // memory of the step is no input of it
  says(message_of<ValueError>([&] {
         const nn::Captured add = nn::capture(
             [&](const Tensors& in) {
               total.add_(in[0]);
               return Tensors{};
             },
             {ones({})}, {.training = true});
         (void)add({total});
       }),
       "input 0 is memory that the step writes to; pass a clone()");
  // a variable that is given another tensor would have no values after the capture
  says(message_of<ValueError>([&] {
         (void)nn::capture(
             [&](const Tensors& in) {
               state = state + in[0];
               return Tensors{};
             },
             {zeros({1, 2, 4})}, {.training = true});
       }),
       "changes from step to step, and that has no values now; return it instead, or copy_ it into a tensor");
}

TEST_CASE("optimisers and gradients that come and go") {
  // two heads, one optimiser, a captured step for each: neither steps with the other's gradient
  const auto heads = [](bool capture) {
    Tensor a = zeros({2}).set_requires_grad(), b = zeros({2}).set_requires_grad();
    optim::SGD opt({a, b}, {.lr = 1});
    const auto with = [&](Tensor& w) {
      return [&](const Tensors& in) {
        opt.zero_grad();
        sum(w * in[0]).backward();
        opt.step();
        opt.zero_grad();
        return Tensors{};
      };
    };
    const Tensor one = ones({2});
    const nn::Captured::Function f = with(a), g = with(b);
    const nn::Captured fast_f = nn::capture(f, {one}, {.training = true}),
                       fast_g = nn::capture(g, {one}, {.training = true});
    for (int i = 0; i < 3; ++i) {
      if (capture) (void)fast_f(Tensors{one}), (void)fast_g(Tensors{one});
      else (void)f({one}), (void)g({one});
      a.set_grad(full({2}, 5.0));  // which the steps clear
    }
    return cat({a.detach(), b.detach()});
  };
  CHECK(largest_difference(heads(true), heads(false)) == 0);
  // another optimiser in the variable, another group in the optimiser, a frozen weight, a copy of the state
  const auto meddled = [](bool capture) {
    Tensor w = ones({3}).set_requires_grad(), v = ones({3}).set_requires_grad(), average = zeros({3}),
           momentum = zeros({3});
    auto opt = std::make_unique<optim::SGD>(std::vector<Tensor>{w}, optim::SGDOptions{.lr = 0.1, .momentum = 0.5});
    auto ema = std::make_unique<optim::ExponentialMovingAverage>(std::vector<Tensor>{w},
                                                                 optim::EmaOptions{.decay = 0.5});
    const nn::Captured::Function f = [&](const Tensors& in) {
      opt->zero_grad();
      sum(w * v * in[0]).backward();
      opt->step();
      ema->update();
      const NoGrad off;
      for (const auto& [p, state] : opt->state())
        if (p.is_same(w) && state.contains("momentum_buffer")) momentum.copy_(state.at("momentum_buffer") * 2);
      return Tensors{momentum * 1};
    };
    const Tensor x = full({3}, 0.25);
    const nn::Captured fast = nn::capture(f, {x}, {.training = true});
    Tensor last;
    for (int i = 0; i < 7; ++i) {
      last = (capture ? fast(Tensors{x}) : f({x}))[0];
      if (i == 1) opt->add_param_group({{v}});
      if (i == 3) opt = std::make_unique<optim::SGD>(std::vector<Tensor>{w, v}, optim::SGDOptions{.lr = 0.3});
      if (i == 4) w.set_requires_grad(false);
      if (i == 5) w.set_requires_grad();
    }
    return cat({w.detach(), v.detach(), last, ema->state_dict().find("average.0")->detach()});
  };
  CHECK(largest_difference(meddled(true), meddled(false)) == 0);
}

TEST_CASE("a captured evaluation inside of a step is on no tape") {
  manual_seed(3);
  nn::Linear teacher(3, 2), student(3, 2);
  const Tensor x = randn({4, 3});
  teacher.eval();
  const nn::Captured fixed = nn::capture(teacher, x);
  const auto f = [&](const Tensors& in) {
    student.zero_grad();
    Tensor l = mse_loss(student(in[0]), fixed(in[0]));
    l.backward();
    return Tensors{l};
  };
  const nn::Captured step = nn::capture(f, {x}, {.training = true});
  const Tensor got = step(Tensors{x})[0], grad = student.weight.grad().clone();
  CHECK(!teacher.weight.grad().defined());
  CHECK(largest_difference(f({x})[0], got) == 0);
  CHECK(largest_difference(student.weight.grad(), grad) == 0);
}

TEST_CASE("evaluations draw random numbers like the model itself") {
  const Tensor x = randn({4, 6}), q = randn({1, 2, 5, 8});
  const auto f = [](const Tensors& in) {
    Tensor a = scaled_dot_product_attention(in[1], in[1], in[1], {.dropout_p = 0.5});
    return Tensors{dropout(in[0], 0.5, true) + randn({6}), a, rand({3})};
  };
  const nn::Captured captured = nn::capture(f, {x, q});
  const NoGrad off;
  check_steps(3, f, captured, [&] { return Tensors{x, q}; });
  const Tensors one = captured({x, q}), two = captured({x, q});
  for (size_t i = 0; i < 3; ++i) CHECK(largest_difference(one[i], two[i]) > 0);
}

TEST_CASE("a synchronised norm in one process, values that nobody changes, and steps from several threads") {
  manual_seed(4);
  nn::Sequential net(nn::Conv2d(3, 4, 3), nn::SyncBatchNorm(4, {.activation = Activation::leaky_relu}), nn::Flatten(),
                     nn::LazyLinear(2));
  Tensor factor = full({}, 0.5);
  (void)net(randn({2, 3, 5, 5}));
  optim::SGD opt(net.parameters(), {.lr = 0.1});
  Tensor count = zeros({});
  const auto f = [&](const Tensors& in) {
    opt.zero_grad();
    Tensor l = mean(square(net(in[0]))) * factor.item<float>();
    l.backward();
    opt.step();
    const NoGrad off;
    count.add_(1);
    return Tensors{l};
  };
  const Tensor x = randn({2, 3, 5, 5});
  const nn::Captured step = nn::capture(f, {x}, {.training = true});
  const float half = step(Tensors{x})[0].item<float>();
  factor.mul_(0);
  CHECK(half > 0);
  CHECK(step(Tensors{x})[0].item<float>() == 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) (void)step(Tensors{x});
    });
  for (auto& t : threads) t.join();
  CHECK(count.item<float>() == 22);
}

TEST_CASE("a steady step takes no memory of the system and makes no primitives") {
  manual_seed(6);
  torchvision::ResNet18 net(10);
  optim::SGD opt(net.parameters(), {.lr = 0.01, .momentum = 0.9});
  const Tensor x = randn({2, 3, 32, 32}), y = randint(0, 10, {2}, Dtype::i64);
  const nn::Captured step = nn::capture(
      [&](const Tensors& in) {
        opt.zero_grad();
        Tensor l = cross_entropy(net(in[0]), in[1]);
        l.backward();
        opt.step();
        return Tensors{l};
      },
      {x, y}, {.training = true});
  for (int i = 0; i < 3; ++i) (void)step({x, y});
  const auto taken = memory_stats().system_allocations;
  const auto made = cpu::primitive_stats();
  const float before = step({x, y})[0].item<float>();
  for (int i = 0; i < 5; ++i) (void)step({x, y});
  CHECK(step({x, y})[0].item<float>() < before);
  CHECK(memory_stats().system_allocations == taken);
  CHECK(cpu::primitive_stats().created == made.created);
}

TEST_CASE("what a captured step holds ends with it") {
  auto t = trainee();
  const Tensors in = batch(4);
  for (int i = 0; i < 2; ++i) (void)t->step(in);
  t->opt->zero_grad();
  const size_t before = memory_stats().active;
  {
    const nn::Captured step = captured_step(*t, in, [](Trainee& of, const Tensors& x) { return of.step(x); });
    for (int i = 0; i < 2; ++i) (void)step(in);
    CHECK(memory_stats().active > before);
    t->opt->zero_grad();
  }
  CHECK(memory_stats().active == before);
}

TEST_CASE("what a step cannot be is refused, and nothing is changed") {
  auto t = trainee(), untouched = trainee();
  const Tensors in = batch(4);
  manual_seed(3);
  const auto drawn = default_generator().state();
  const auto refusal = [&](const std::function<Tensors(Trainee&, const Tensors&)>& f) {
    const std::string text = message_of<Error>([&] { (void)captured_step(*t, in, f); });
    check_same(t->net, untouched->net);
    CHECK(default_generator().state() == drawn);
    return text;
  };
  says(refusal([](Trainee& of, const Tensors& x) {
         Tensors l = of.step(x);
         (void)l[0].item<float>();
         return l;
       }),
       "item asks for values that depend on the input");
  says(refusal([](Trainee& of, const Tensors& x) {
         Tensors l = of.step(x);
         (void)of.net.parameters()[0].data<float>();
         return l;
       }),
       "data asks for values that change from step to step");
  says(refusal([](Trainee& of, const Tensors& x) {
         (void)of.net.parameters()[0].data<float>();
         return of.step(x);
       }),
       "data asks for values that change from step to step");
  says(refusal([](Trainee& of, const Tensors& x) {
         optim::LBFGS lbfgs(of.net.parameters());
         return Tensors{lbfgs.step([&] {
           Tensor l = of.loss(x);
           l.backward();
           return l;
         })};
       }),
       "asks for values");
  says(refusal([](Trainee& of, const Tensors& x) {
         training::GradScaler scaler;
         scaler.scale(of.loss(x)).backward();
         scaler.step(*of.opt);
         return Tensors{x[0]};
       }),
       "asks for values");
  says(refusal([](Trainee&, const Tensors& x) {
         Generator own(7);
         return Tensors{x[0] + randn({9}, {}, &own)};
       }),
       "draws from a generator that is not the thread's");
  says(refusal([](Trainee&, const Tensors& x) { return Tensors{x[0] * default_generator().uniform()}; }),
       "a number drawn on the host cannot be captured");
  says(refusal([](Trainee&, const Tensors& x) {
         Tensor y = x[0] * 2;
         ProcessGroup().all_reduce_(y);
         return Tensors{y};
       }),
       "a collective asks for values");
  says(refusal([](Trainee&, const Tensors& x) { return Tensors{Tensor(x[0]).add_(1)}; }), "writes into input 0");
  // an evaluation says which capture the step needs
  says(message_of<NotSupported>([&] {
         (void)nn::capture(
             [&](const Tensors&) {
               t->opt->step();
               return Tensors{};
             },
             in);
       }),
       "optimiser step cannot be captured: it changes what was there before; capture the function as a step of "
       "training");
}

TEST_SUITE_END();
