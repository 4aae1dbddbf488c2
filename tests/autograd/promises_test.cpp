// What weft promises of its tape beside right numbers: no hidden copies, memory that comes back, the same bits twice,
// ops that throw leave everything as it was.
#include <cmath>

#include "support/here.h"
#include "support/ops.h"
#include "support/strided.h"
#include "weft/autograd/checkpoint.h"
#include "weft/autograd/engine.h"
#include "weft/core/backend.h"
#include "weft/core/generator.h"
#include "weft/core/parallel.h"

using namespace weft;

namespace {

/// A step of something like a network, without modules.
double step(std::vector<Tensor>& params, const Tensor& x) {
  const Tensor h = gelu(linear(x, params[0], params[1]));
  const Tensor y = log_softmax(linear(layer_norm(h, {64}), params[2]), 1);
  const Tensor loss = mean(square(y)) + 0.01 * sum(square(params[0]));
  for (Tensor& p : params) p.zero_grad();
  loss.backward();
  const NoGrad off;
  for (Tensor& p : params) p.add_(p.grad(), -0.01);
  return loss.item<double>();
}

std::vector<Tensor> parameters() {
  Generator g(5);
  std::vector<Tensor> p = {here::randn({64, 32}, {}, &g), here::randn({64}, {}, &g), here::randn({10, 64}, {}, &g)};
  for (Tensor& t : p) t.set_requires_grad();
  return p;
}

Tensor batch() {
  Generator g(6);
  return here::randn({300, 32}, {}, &g);
}

std::vector<double> run(int steps) {
  std::vector<Tensor> p = parameters();
  const Tensor x = batch();
  std::vector<double> losses;
  for (int i = 0; i < steps; ++i) losses.push_back(step(p, x));
  return losses;
}

}  // namespace

TEST_SUITE("promises") {
  DEVICE_TEST_CASE("recorded views copy nothing") {
    Tensor x = here::ones({2, 3, 4}).set_requires_grad();
    const auto at = [](const Tensor& t) { return static_cast<const float*>(t.raw_data()); };
    const float* p = at(x);
    CHECK(at(x.reshape({6, 4})) == p);
    CHECK(at(x.permute({2, 0, 1})) == p);
    CHECK(at(x.select(0, 1)) == p + 12);
    CHECK(at(x.unsqueeze(0).expand({3, 2, 3, 4})) == p);
    CHECK(at(x.contiguous()) == p);
    CHECK(at(x.to(Dtype::f32)) == p);
    CHECK(at(x.index({1, Slice{0, 2}})) == p + 12);
    CHECK(at(dropout(x, 0.5, false)) == p);
  }

  DEVICE_TEST_CASE("a steady-state step asks the system for nothing and leaves nothing behind") {
    std::vector<Tensor> p = parameters();
    const Tensor x = batch();
    for (int i = 0; i < 3; ++i) step(p, x);
    const MemoryStats warm = memory_stats(support::device());
    for (int i = 0; i < 20; ++i) step(p, x);
    const MemoryStats after = memory_stats(support::device());
    CHECK(after.system_allocations == warm.system_allocations);
    CHECK(after.active == warm.active);
    CHECK(after.peak_active == warm.peak_active);
  }

  DEVICE_TEST_CASE("two runs give the same bits") {
    const std::vector<double> first = run(10);
    CHECK(run(10) == first);
    CHECK(std::isfinite(first.back()));
    CHECK(first.back() < first.front());
  }

  TEST_CASE("one and two threads agree within rounding") {
    const int before = num_threads();
    set_num_threads(1);
    const std::vector<double> one = run(10);
    set_num_threads(2);
    const std::vector<double> two = run(10);
    set_num_threads(before);
    for (size_t i = 0; i < one.size(); ++i) CHECK(std::abs(one[i] - two[i]) <= 1e-5 * std::abs(one[i]));
  }

  DEVICE_TEST_CASE("an op that throws leaves tensors, graph, memory and random numbers as they were") {
    Tensor x = here::ones({4, 3}).set_requires_grad();
    const Tensor y = x * 2.0;
    const uint32_t version = x.version();
    const size_t active = memory_stats(support::device()).active;
    const Generator::State random = default_generator().state();
    CHECK_THROWS_AS((void)(y + here::ones({5})), ShapeError);
    CHECK_THROWS_AS((void)matmul(y, here::ones({5, 2})), ShapeError);
    CHECK_THROWS_AS((void)cat({y, here::ones({4, 2, 1})}, 1), Error);
    CHECK_THROWS_AS((void)y.reshape({5}), ShapeError);
    CHECK_THROWS_AS((void)softmax(y, 7), ShapeError);
    if (support::device().type == DeviceType::cpu) {  // elsewhere the kernels report such values later
      CHECK_THROWS_AS((void)index_select(y, 0, tensor(std::vector<int64_t>{9})), Error);
      CHECK_THROWS_AS((void)cross_entropy(y, tensor(std::vector<int64_t>{0, 1, 2, 3})), Error);
    }
    CHECK_THROWS_AS((void)layer_norm(y, {4}), Error);
    CHECK_THROWS_AS((void)dropout(y, 2), Error);
    CHECK(x.version() == version);
    CHECK(memory_stats(support::device()).active == active);
    CHECK(default_generator().state() == random);
    sum(y).backward();
    CHECK(x.grad().to_vector<double>() == std::vector<double>(12, 2));
  }

  DEVICE_TEST_CASE("running statistics stay when batch_norm refuses its input") {
    Tensor mean = here::zeros({3}), var = here::ones({3});
    CHECK_THROWS_AS((void)batch_norm(here::ones({2, 4, 2}), mean, var, {}, {}, {.training = true}), Error);
    CHECK(mean.to_vector<double>() == std::vector<double>(3, 0));
    CHECK(mean.version() == here::zeros({3}).version());
  }

  DEVICE_TEST_CASE("checkpointed dropout sees the same mask again") {
    manual_seed(11);
    Tensor x = here::ones({1000}).set_requires_grad();
    const Tensor y = checkpoint([](const Tensor& t) { return dropout(t, 0.5) * t; }, x);
    (void)here::rand({7});  // the generator moves on in between
    sum(y).backward();
    const std::vector<double> value = y.to_vector<double>(), gradient = x.grad().to_vector<double>();
    for (size_t i = 0; i < value.size(); ++i) REQUIRE(gradient[i] == 2 * value[i]);
  }

  DEVICE_TEST_CASE("channels-last features stay channels-last from op to op") {
    const Tensor x = support::channels_last(here::ones({2, 8, 6, 6}));
    CHECK(relu(x).is_channels_last());
    CHECK((x + x).is_channels_last());
    CHECK((x * here::ones({1, 8, 1, 1})).is_channels_last());
    CHECK(max_pool2d(x, {.kernel_size = 2}).is_channels_last());
    CHECK(batch_norm(x, {}, {}, {}, {}, {.training = true}).is_channels_last());
    CHECK(interpolate(x, {.scale_factor = 2}).is_channels_last());
    CHECK(pad(x, {1, 1, 1, 1}).is_channels_last());
    CHECK(cat({x, x}, 1).is_channels_last());
  }
}
