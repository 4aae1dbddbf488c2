#include "nn/torchvision_nets.h"

#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/layer/pool.h"

namespace torchvision {

BasicBlock::BasicBlock(int64_t in, int64_t out, int64_t stride)
    : conv1(add("conv1", nn::Conv2d(in, out, {.kernel_size = 3, .stride = stride, .padding = 1, .bias = false}))),
      bn1(add("bn1", nn::BatchNorm2d(out))),
      conv2(add("conv2", nn::Conv2d(out, out, {.kernel_size = 3, .padding = 1, .bias = false}))),
      bn2(add("bn2", nn::BatchNorm2d(out))) {
  if (stride == 1 && in == out) return;
  downsample = add(
      "downsample",
      nn::Sequential(nn::Conv2d(in, out, {.kernel_size = 1, .stride = stride, .bias = false}), nn::BatchNorm2d(out)));
}

Tensor BasicBlock::operator()(const Tensor& x) {
  return weft::relu(bn2(conv2(weft::relu(bn1(conv1(x))))) + (downsample.empty() ? x : downsample(x)));
}

ResNet18::ResNet18(int64_t classes)
    : conv1(add("conv1", nn::Conv2d(3, 64, {.kernel_size = 7, .stride = 2, .padding = 3, .bias = false}))),
      bn1(add("bn1", nn::BatchNorm2d(64))),
      layer1(add("layer1", nn::Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1)))),
      layer2(add("layer2", nn::Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1)))),
      layer3(add("layer3", nn::Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1)))),
      layer4(add("layer4", nn::Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1)))),
      fc(add("fc", nn::Linear(512, classes))) {}

Tensor ResNet18::operator()(const Tensor& x) {
  Tensor y = weft::max_pool2d(weft::relu(bn1(conv1(x))), {.kernel_size = 3, .stride = 2, .padding = 1});
  y = layer4(layer3(layer2(layer1(y))));
  return fc(weft::adaptive_avg_pool2d(y, 1).flatten(1));
}

namespace {

nn::Sequential vgg16_features() {
  nn::Sequential layers;
  int64_t before = 3;
  for (const auto& [convs, channels] : {std::pair(2, 64), {2, 128}, {3, 256}, {3, 512}, {3, 512}}) {
    for (int i = 0; i < convs; ++i) {
      layers.push_back(nn::Conv2d(before, channels, {.kernel_size = 3, .padding = 1})).push_back(nn::ReLU());
      before = channels;
    }
    layers.push_back(nn::MaxPool2d(2));
  }
  return layers;
}

}  // namespace

VGG16::VGG16(int64_t classes, int64_t hidden)
    : features(add("features", vgg16_features())),
      avgpool(add("avgpool", nn::AdaptiveAvgPool2d(7))),
      classifier(add("classifier", nn::Sequential(nn::Linear(512 * 7 * 7, hidden), nn::ReLU(), nn::Dropout(),
                                                  nn::Linear(hidden, hidden), nn::ReLU(), nn::Dropout(),
                                                  nn::Linear(hidden, classes)))) {}

Tensor VGG16::operator()(const Tensor& x) { return classifier(avgpool(features(x)).flatten(1)); }

}  // namespace torchvision
