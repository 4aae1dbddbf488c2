// ResNet-18 as the benchmarks train it.
#pragma once

#include <weft/weft.h>

#include <optional>

namespace bench {

using namespace weft;

/// Two 3x3 convolutions with a skip. bn2's activation stays outside: it comes after the sum.
struct BasicBlock : nn::Module {
  BasicBlock(int64_t in, int64_t out, int64_t stride)
      : conv1(add("conv1", nn::Conv2d(in, out, {.kernel_size = 3, .stride = stride, .padding = 1, .bias = false}))),
        bn1(add("bn1", nn::BatchNorm2d(out, {.activation = Activation::relu}))),
        conv2(add("conv2", nn::Conv2d(out, out, {.kernel_size = 3, .padding = 1, .bias = false}))),
        bn2(add("bn2", nn::BatchNorm2d(out, {.activation = Activation::relu}))) {
    if (stride != 1 || in != out)
      down = add("down", nn::Sequential(nn::Conv2d(in, out, {.kernel_size = 1, .stride = stride, .bias = false}),
                                        nn::BatchNorm2d(out)));
  }
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Conv2d conv2;
  nn::BatchNorm2d bn2;
  std::optional<nn::Sequential> down;

  Tensor operator()(const Tensor& x) {
    Tensor y = conv2(bn1(conv1(x)));
    return bn2(y, down ? (*down)(x) : x);  // normalises, adds the skip, applies the ReLU
  }
};

struct ResNet18 : nn::Module {
  ResNet18() {
    int64_t c = 64;
    for (auto [out, stride] : {std::pair<int64_t, int64_t>{64, 1}, {128, 2}, {256, 2}, {512, 2}}) {
      layers.push_back(BasicBlock(c, out, stride));
      layers.push_back(BasicBlock(out, out, 1));
      c = out;
    }
  }
  nn::Conv2d conv1 = add("conv1", nn::Conv2d(3, 64, {.kernel_size = 7, .stride = 2, .padding = 3, .bias = false}));
  nn::BatchNorm2d bn1 = add("bn1", nn::BatchNorm2d(64, {.activation = Activation::relu}));
  nn::Sequential layers = add("layers", nn::Sequential());
  nn::Linear fc = add("fc", nn::Linear(512, 1000));

  Tensor operator()(const Tensor& x) {
    Tensor y = max_pool2d(bn1(conv1(x)), {.kernel_size = 3, .stride = 2, .padding = 1});
    return fc(flatten(adaptive_avg_pool2d(layers(y), 1), 1));
  }
};

}  // namespace bench
