// Whole networks: training steps and inference.
#include "resnet18.h"
#include "workload.h"

namespace bench {
namespace {

Step mlp(const Config& c) {
  nn::Sequential m = init(nn::Sequential(nn::Linear(784, 128), nn::ReLU(), nn::Linear(128, 10)));
  Tensor x = fill({32, 784}, 1), y = labels({32}, 10);
  Step one = trainer(std::make_shared<optim::SGD>(m.parameters(), optim::SGDOptions{.lr = 0.1}), c,
                     [=]() mutable { return cross_entropy(m(x), y); });
  return [one] {
    Tensor loss;
    for (int i = 0; i < 200; ++i) loss = one();
    return loss;
  };
}

Step mlp1k(const Config& c) {
  nn::Sequential m = init(
      nn::Sequential(nn::Linear(784, 1024), nn::ReLU(), nn::Linear(1024, 1024), nn::ReLU(), nn::Linear(1024, 10)));
  Tensor x = fill({128, 784}, 1), y = labels({128}, 10);
  return trainer(std::make_shared<optim::Adam>(m.parameters(), optim::AdamOptions{.lr = 1e-3}), c,
                 [=]() mutable { return cross_entropy(m(x), y); });
}

Step resnet18(const Config& c) {
  int64_t batch = c.batch ? c.batch : 8;
  ResNet18 m = init(ResNet18());
  Tensor x = fill({batch, 3, 224, 224}, 1), y = labels({batch}, 1000);
  return trainer(std::make_shared<optim::SGD>(m.parameters(),
                                              optim::SGDOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4}),
                 c, [=]() mutable { return cross_entropy(m(x), y); });
}

Step resnet18_infer(const Config& c) {
  int64_t batch = c.batch ? c.batch : 8;
  ResNet18 m = init(ResNet18());
  m.eval();
  Tensor x = fill({batch, 3, 224, 224}, 1);
  return evaluation(c, [m](const std::vector<Tensor>& in) mutable { return mean(m(in[0]).to(Dtype::f32)); }, {x});
}

nn::Sequential conv_bn_relu(int64_t in, int64_t out) {
  return nn::Sequential(nn::Conv3d(in, out, {.kernel_size = 3, .padding = 1, .bias = false}),
                        nn::BatchNorm3d(out, {.activation = Activation::relu}));
}
nn::Sequential double_conv(int64_t in, int64_t out) {
  return nn::Sequential(conv_bn_relu(in, out), conv_bn_relu(out, out));
}

struct UNet3d : nn::Module {
  explicit UNet3d(int64_t base = 32, int levels = 4, int64_t classes = 2) {
    int64_t c = 1;
    for (int i = 0; i < levels; ++i) {
      encoder.push_back(double_conv(c, base << i));
      c = base << i;
    }
    for (int i = levels - 2; i >= 0; --i) {
      up.push_back(nn::ConvTranspose3d(c, base << i, {.kernel_size = 2, .stride = 2}));
      decoder.push_back(double_conv(2 * (base << i), base << i));
      c = base << i;
    }
    out = add("out", nn::Conv3d(base, classes, {.kernel_size = 1}));
  }
  nn::Sequential encoder = add("enc", nn::Sequential());
  nn::Sequential up = add("up", nn::Sequential());
  nn::Sequential decoder = add("dec", nn::Sequential());
  std::optional<nn::Conv3d> out;

  Tensor operator()(Tensor x) {
    std::vector<Tensor> skips;
    for (int64_t i = 0; i < encoder.size(); ++i) {
      if (i) x = max_pool3d(x, {.kernel_size = 2});
      x = encoder.call(i, x);
      skips.push_back(x);
    }
    skips.pop_back();
    for (int64_t i = 0; i < up.size(); ++i, skips.pop_back())
      x = decoder.call(i, cat({up.call(i, x), skips.back()}, 1));
    return (*out)(x);
  }
};

Step unet3d(const Config& c) {
  UNet3d m = init(UNet3d(), {"up."});
  Tensor x = fill({1, 1, 32, 128, 128}, 1), y = labels({1, 32, 128, 128}, 2);
  return trainer(std::make_shared<optim::SGD>(m.parameters(), optim::SGDOptions{.lr = 0.01, .momentum = 0.9}), c,
                 [=]() mutable { return cross_entropy(m(x), y); });
}

/// 1x1 convolutions, so that the norms are much of the time; each writes its result over the convolution's.
Step abn(const Config& c) {
  nn::Sequential m;
  for (int i = 0; i < 8; ++i) {
    m.push_back(nn::Conv2d(64, 64, {.kernel_size = 1, .bias = false}));
    m.push_back(nn::SyncBatchNorm(64, {.activation = Activation::leaky_relu}));
  }
  init(m);
  Tensor x = fill({c.batch ? c.batch : 16, 64, 56, 56}, 1);
  return trainer(std::make_shared<optim::SGD>(m.parameters(), optim::SGDOptions{.lr = 0.01, .momentum = 0.9}), c,
                 [=]() mutable { return mean(square(m(x).to(Dtype::f32))); });
}

}  // namespace

const std::vector<Workload>& network_workloads() {
  static const std::vector<Workload> list = {
      {"mlp", "784-128-10, batch 32, SGD: 200 steps", mlp},
      {"mlp1k", "784-1024-1024-10, batch 128, Adam: one step", mlp1k},
      {"resnet18", "ResNet-18, batch 8 at 224, SGD with momentum: one step", resnet18},
      {"resnet18_infer", "ResNet-18, eval, batch 8", resnet18_infer},
      {"unet3d", "3-D U-Net with batch norm, 32 x 128 x 128, SGD with momentum: one step", unet3d},
      {"abn", "8 x (1x1 convolution, in-place activated batch norm), 16 x 64 x 56 x 56, SGD with momentum: one step",
       abn},
  };
  return list;
}

}  // namespace bench
