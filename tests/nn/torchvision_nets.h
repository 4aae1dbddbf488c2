// ResNet-18 and VGG16 with torchvision's names: their state dicts load strictly.
// Knows the public headers only, as a user's program would.
#pragma once

#include "weft/nn/nn.h"

namespace torchvision {

using weft::Tensor;
namespace nn = weft::nn;

struct BasicBlock : nn::Module {
  BasicBlock(int64_t in, int64_t out, int64_t stride);
  Tensor operator()(const Tensor& x);
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Conv2d conv2;
  nn::BatchNorm2d bn2;
  nn::Sequential downsample;  // empty: the skip is the input
};

/// x: [N, 3, H, W] -> [N, classes]. (He et al. 2016.)
struct ResNet18 : nn::Module {
  explicit ResNet18(int64_t classes = 1000);
  Tensor operator()(const Tensor& x);
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Sequential layer1, layer2, layer3, layer4;
  nn::Linear fc;
};

/// x: [N, 3, H, W] -> [N, classes]; `hidden`: width of the classifier. (Simonyan & Zisserman 2015.)
struct VGG16 : nn::Module {
  explicit VGG16(int64_t classes = 1000, int64_t hidden = 4096);
  Tensor operator()(const Tensor& x);
  nn::Sequential features;
  nn::AdaptiveAvgPool2d avgpool;
  nn::Sequential classifier;
};

}  // namespace torchvision
