// A whole training step on a device whose kernels run beside the caller: the host waits for nothing, copies nothing and
// starts the same kernels each time.
#include <doctest/doctest.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "support/lent_device.h"
#include "support/ops.h"
#include "weft/nn/conv.h"
#include "weft/nn/dropout.h"
#include "weft/nn/linear.h"
#include "weft/nn/norm.h"
#include "weft/optim/adam.h"
#include "weft/optim/clip.h"
#include "weft/optim/sgd.h"

using namespace weft;
using support::counts_of;

namespace {

/// A residual network with what such networks are made of.
struct Block : nn::Module {
  Block(int64_t in, int64_t out, int64_t stride)
      : conv1(add("conv1", nn::Conv2d(in, out, {.kernel_size = 3, .stride = stride, .padding = 1, .bias = false}))),
        bn1(add("bn1", nn::BatchNorm2d(out))),
        conv2(add("conv2", nn::Conv2d(out, out, {.kernel_size = 3, .padding = 1, .bias = false}))),
        bn2(add("bn2", nn::BatchNorm2d(out, {.momentum = std::nullopt}))),
        skip(add("skip", nn::Conv2d(in, out, {.kernel_size = 1, .stride = stride}))) {}
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Conv2d conv2;
  nn::BatchNorm2d bn2;
  nn::Conv2d skip;
  Tensor operator()(const Tensor& x) const { return relu(bn2(conv2(relu(bn1(conv1(x))))) + skip(x)); }
};
struct Net : nn::Module {
  nn::Conv2d stem = add("stem", nn::Conv2d(3, 8, {.kernel_size = 3, .padding = 1}));
  nn::GroupNorm norm = add("norm", nn::GroupNorm(2, 8));
  Block first = add("first", Block(8, 8, 1)), second = add("second", Block(8, 16, 2));
  nn::Dropout drop = add("drop", nn::Dropout(0.1));
  nn::Linear fc = add("fc", nn::Linear(16, 5));
  Tensor operator()(const Tensor& input) const {
    const Tensor x = max_pool2d(relu(norm(stem(input))), {.kernel_size = 2});
    return fc(drop(adaptive_avg_pool2d(second(first(x)), 1).flatten(1)));
  }
};

/// ResNet-18, an eighth as wide: with as many kernels.
struct BasicBlock : nn::Module {
  BasicBlock(int64_t in, int64_t out, int64_t stride)
      : conv1(add("conv1", nn::Conv2d(in, out, {.kernel_size = 3, .stride = stride, .padding = 1, .bias = false}))),
        bn1(add("bn1", nn::BatchNorm2d(out))),
        conv2(add("conv2", nn::Conv2d(out, out, {.kernel_size = 3, .padding = 1, .bias = false}))),
        bn2(add("bn2", nn::BatchNorm2d(out))) {
    if (in == out) return;
    skip.emplace(add("skip", nn::Conv2d(in, out, {.kernel_size = 1, .stride = stride, .bias = false})));
    skip_bn.emplace(add("skip_bn", nn::BatchNorm2d(out)));
  }
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Conv2d conv2;
  nn::BatchNorm2d bn2;
  std::optional<nn::Conv2d> skip;
  std::optional<nn::BatchNorm2d> skip_bn;
  Tensor operator()(const Tensor& x) const {
    return relu(bn2(conv2(relu(bn1(conv1(x))))) + (skip ? (*skip_bn)((*skip)(x)) : x));
  }
};
struct ResNet18 : nn::Module {
  nn::Conv2d stem = add("stem", nn::Conv2d(3, 8, {.kernel_size = 7, .stride = 2, .padding = 3, .bias = false}));
  nn::BatchNorm2d norm = add("norm", nn::BatchNorm2d(8));
  std::vector<BasicBlock> blocks;
  nn::Linear fc = add("fc", nn::Linear(64, 10));
  ResNet18() {
    int64_t in = 8;
    for (const int64_t out : {8, 8, 16, 16, 32, 32, 64, 64}) {
      blocks.push_back(add("block" + std::to_string(blocks.size()), BasicBlock(in, out, out / in)));
      in = out;
    }
  }
  Tensor operator()(const Tensor& input) const {
    Tensor x = max_pool2d(relu(norm(stem(input))), {.kernel_size = 3, .stride = 2, .padding = 1});
    for (const BasicBlock& block : blocks) x = block(x);
    return fc(adaptive_avg_pool2d(x, 1).flatten(1));
  }
};

/// What a step costs when the ones before it have made all that stays.
template <class Optimizer, class... O> support::Counts steady(const O&... options) {
  support::BesideCaller beside;
  Net net;
  net.to(beside.device);
  Optimizer opt(net.parameters(), options...);
  const Tensor x = randn({4, 3, 16, 16}).to(beside.device),
               target = tensor(std::vector<int64_t>{0, 4, -100, 2}).to(beside.device);
  Tensor total = zeros({}, beside.device);
  const auto step = [&] {
    const Tensor loss = cross_entropy(net(x), target);
    opt.zero_grad();
    loss.backward();
    optim::clip_grad_norm(net.parameters(), 1.0);
    opt.step();
    total = total + loss.detach();
  };
  step();
  step();
  const support::Counts one = counts_of(beside.counts, step), next = counts_of(beside.counts, step);
  CHECK(one.launches == next.launches);
  CHECK(std::isfinite(total.item<float>()));
  return next;
}

}  // namespace

TEST_SUITE("training") {
  TEST_CASE("a steady step of a residual network makes the host wait for nothing") {
    for (const support::Counts& n :
         {steady<optim::SGD>(optim::SGDOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4}),
          steady<optim::AdamW>(optim::AdamWOptions{.lr = 1e-3})}) {
      CHECK(n.waits == 0);
      CHECK(n.copies == 0);
      CHECK(n.launches <= 200);  // 175 were enough once
    }
  }

  TEST_CASE("a step of ResNet-18 starts at most half of the kernels that it once did") {
    support::BesideCaller beside;
    ResNet18 net;
    net.to(beside.device);
    optim::SGD opt(net.parameters(), {.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4});
    const Tensor x = randn({8, 3, 64, 64}).to(beside.device),
                 target = tensor(std::vector<int64_t>{0, 9, 1, 8, 2, 7, 3, 6}).to(beside.device);
    const auto step = [&] {
      const Tensor loss = cross_entropy(net(x), target);
      opt.zero_grad();
      loss.backward();
      opt.step();
    };
    step();
    step();
    const support::Counts n = counts_of(beside.counts, step);
    CHECK(n.waits == 0);
    CHECK(n.copies == 0);
    CHECK(n.launches <= 546 / 2);  // 546 before a batch norm's bookkeeping became one kernel
  }
}
