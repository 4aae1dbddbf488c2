// A small convolutional net, trained: PyTorch's losses, no allocation and no primitive after warm-up, the same bits
// twice, one and two threads alike.
#include <cmath>

#include "support/here.h"
#include "support/ops.h"
#include "support/test_data.h"
#include "weft/backends/cpu/primitive_stats.h"
#include "weft/core/backend.h"
#include "weft/core/parallel.h"
#include "weft/io/safetensors.h"
#include "weft/nn/conv.h"
#include "weft/nn/linear.h"
#include "weft/nn/norm.h"
#include "weft/optim/adam.h"
#include "weft/optim/sgd.h"

using namespace weft;

namespace {

// The net of tests/golden/make_training.py.
struct Net : nn::Module {
  nn::Conv2d conv1 = add("conv1", nn::Conv2d(3, 8, {.kernel_size = 3, .padding = 1, .bias = false}));
  nn::BatchNorm2d bn1 = add("bn1", nn::BatchNorm2d(8));
  nn::Conv2d conv2 = add("conv2", nn::Conv2d(8, 16, {.kernel_size = 3, .stride = 2}));
  nn::GroupNorm norm = add("norm", nn::GroupNorm(4, 16));
  nn::Conv2d conv3 = add("conv3", nn::Conv2d(16, 16, {.kernel_size = 3, .padding = 1, .groups = 2}));
  nn::Linear fc = add("fc", nn::Linear(16, 5));

  Tensor operator()(const Tensor& input) {
    Tensor x = max_pool2d(relu(bn1(conv1(input))), {.kernel_size = 2});
    x = gelu(norm(conv2(x)));
    x = x + relu(conv3(x));
    return fc(adaptive_avg_pool2d(x, 1).flatten(1));
  }
};

struct Golden {
  StateDict all = io::load(test::data_file("golden/data/train10/training.safetensors"));
  Tensor x = support::here(all.at("x")), target = support::here(all.at("target"));
  StateDict state = all.child("state");
};

template <class Optimizer>
std::vector<double> train(Net& net, Optimizer& opt, const Golden& golden, Dtype dtype, int64_t steps = 10) {
  std::vector<double> losses;
  for (int64_t k = 0; k < steps; ++k) {
    const int64_t batch = k % golden.x.size(0);
    const Tensor loss = cross_entropy(net(golden.x[batch].to(dtype)), golden.target[batch]);
    opt.zero_grad();
    loss.backward();
    opt.step();
    losses.push_back(loss.item<double>());
  }
  return losses;
}

std::vector<double> train_anew(const Golden& golden, Dtype dtype, bool adam, int64_t steps = 10) {
  Net net;
  net.load_state_dict(golden.state);
  net.to(support::device());
  net.to(dtype);
  if (adam) {
    optim::AdamW opt(net.parameters(), {.lr = 3e-3, .weight_decay = 1e-2});
    return train(net, opt, golden, dtype, steps);
  }
  optim::SGD opt(net.parameters(), {.lr = 0.05, .momentum = 0.9, .weight_decay = 1e-4});
  return train(net, opt, golden, dtype, steps);
}

void check_close(const std::vector<double>& got, const std::vector<double>& want, double relative) {
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("step ", i);
    CHECK(std::abs(got[i] - want[i]) <= relative * std::abs(want[i]));
  }
}

}  // namespace

TEST_SUITE("training") {
  DEVICE_TEST_CASE("ten steps give PyTorch's losses") {
    const Golden golden;
    for (const bool adam : {false, true}) {
      INFO((adam ? "AdamW" : "SGD"));
      const std::string name = str("losses.", adam ? "adamw" : "sgd", ".");
      check_close(train_anew(golden, Dtype::f32, adam), golden.all.at(name + "f32").to_vector<double>(),
                  1e-5 * support::slack());
      // In f64 nothing but the order of sums differs.
      check_close(train_anew(golden, Dtype::f64, adam), golden.all.at(name + "f64").to_vector<double>(), 1e-12);
    }
  }

  DEVICE_TEST_CASE("two runs give the same bits, one and two threads agree within rounding") {
    const Golden golden;
    const int before = num_threads();
    set_num_threads(2);
    const std::vector<double> two = train_anew(golden, Dtype::f32, false);
    CHECK(train_anew(golden, Dtype::f32, false) == two);
    set_num_threads(1);
    check_close(train_anew(golden, Dtype::f32, false), two, 1e-5);
    set_num_threads(before);
  }

  DEVICE_TEST_CASE("a steady-state step asks the system for no memory, creates no primitive, and leaks nothing") {
    const Golden golden;
    Net net;
    net.load_state_dict(golden.state);
    net.to(support::device());
    optim::AdamW opt(net.parameters(), {.lr = 1e-3});
    train(net, opt, golden, Dtype::f32, 3);
    const MemoryStats warm = memory_stats(support::device());
    const uint64_t primitives = cpu::primitive_stats().created;
    train(net, opt, golden, Dtype::f32, 20);
    const MemoryStats after = memory_stats(support::device());
    CHECK(after.system_allocations == warm.system_allocations);
    CHECK(after.reserved == warm.reserved);
    CHECK(after.active == warm.active);
    CHECK(cpu::primitive_stats().created == primitives);
  }
}
