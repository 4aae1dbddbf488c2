// Networks that paint and segment: MSG-Net, U-Nets, SqueezeNet.
#include "../examples/style_transfer/msgnet.h"
#include "workload.h"

namespace bench {
namespace {

/// `doubles` times two 3 x 3 convolutions with ReLU, pooled by 2 in front of all but the first: features up to relu4_3.
struct Vgg : nn::Module {
  nn::Sequential convs = add("convs", nn::Sequential());
  Vgg() {
    int64_t in = 3;
    for (auto [out, count] : {std::pair<int64_t, int>{64, 2}, {128, 2}, {256, 3}, {512, 3}})
      for (int i = 0; i < count; ++i, in = out) convs.push_back(nn::Conv2d(in, out, {.kernel_size = 3, .padding = 1}));
  }
  std::vector<Tensor> operator()(Tensor x) {
    std::vector<Tensor> taps;
    for (int64_t i = 0; i < convs.size(); ++i) {
      if (i == 2 || i == 4 || i == 7) x = max_pool2d(taps.emplace_back(x), {.kernel_size = 2});
      x = relu(convs.call(i, x));
    }
    taps.push_back(x);
    return taps;
  }
};

Step msgnet_infer(const Config& c) {
  MsgNet m = init(MsgNet(128, 6));
  m.eval();
  Tensor x = fill({1, 3, 512, 512}, 1, 100), style = fill({1, 3, 512, 512}, 3, 100);
  {
    NoGrad no_grad;
    m.set_target(m.gram(style));
  }
  return evaluation(c, [m](const std::vector<Tensor>& in) mutable { return mean(m(in[0]).to(Dtype::f32)); }, {x});
}

Step msgnet_train(const Config& c) {
  int64_t batch = c.batch ? c.batch : 1;
  MsgNet m = init(MsgNet(64, 6));
  Vgg vgg = init(Vgg(), {}, 5000);
  vgg.requires_grad(false);
  Tensor x = fill({batch, 3, 256, 256}, 1, 100), style = fill({1, 3, 256, 256}, 3, 100);
  std::vector<Tensor> targets;
  {
    NoGrad no_grad;
    for (const Tensor& f : vgg(style)) targets.push_back(gram_matrix(f));
  }
  return trainer(std::make_shared<optim::Adam>(m.parameters(), optim::AdamOptions{.lr = 1e-3}), c, [=]() mutable {
    m.set_target(m.gram(style));
    Tensor y = m(x), content;
    {
      NoGrad no_grad;
      content = vgg(x)[1];
    }
    std::vector<Tensor> features = vgg(y);
    Tensor loss = mse_loss(features[1], content);
    for (size_t i = 0; i < features.size(); ++i) {
      Tensor g = gram_matrix(features[i]);
      loss = loss + mse_loss(g, targets[i].expand(g.shape())) * 5.0;
    }
    return loss;
  });
}

/// Two 3 x 3 convolutions with ReLU.
nn::Sequential two_convs(int64_t in, int64_t out) {
  return nn::Sequential(nn::Conv2d(in, out, {.kernel_size = 3, .padding = 1}), nn::ReLU(),
                        nn::Conv2d(out, out, {.kernel_size = 3, .padding = 1}), nn::ReLU());
}

struct UNet2d : nn::Module {
  nn::Sequential encoder = add("enc", nn::Sequential()), up = add("up", nn::Sequential()),
                 decoder = add("dec", nn::Sequential());
  std::optional<nn::Conv2d> out;
  explicit UNet2d(int64_t base = 64, int levels = 5) {
    int64_t c = 1;
    for (int i = 0; i < levels; ++i) {
      encoder.push_back(two_convs(c, base << i));
      c = base << i;
    }
    for (int i = levels - 2; i >= 0; --i) {
      up.push_back(nn::Sequential(nn::Conv2d(c, base << i, {.kernel_size = 3, .padding = 1}), nn::ReLU()));
      decoder.push_back(two_convs(2 * (base << i), base << i));
      c = base << i;
    }
    out = add("out", nn::Conv2d(base, 1, {.kernel_size = 1}));
  }
  Tensor operator()(Tensor x) {
    std::vector<Tensor> skips;
    for (int64_t i = 0; i < encoder.size(); ++i) {
      if (i) x = max_pool2d(x, {.kernel_size = 2});
      x = encoder.call(i, x);
      skips.push_back(x);
    }
    skips.pop_back();
    for (int64_t i = 0; i < up.size(); ++i, skips.pop_back())
      x = decoder.call(i, cat({skips.back(), up.call(i, interpolate(x, {.scale_factor = 2}))}, 1));
    return (*out)(x);
  }
};

Step unet2d(const Config& c) {
  UNet2d m = init(UNet2d());
  Tensor x = fill({1, 1, 256, 256}, 1), y = labels({1, 1, 256, 256}, 2).to(Dtype::f32);
  return trainer(std::make_shared<optim::Adam>(m.parameters(), optim::AdamOptions{.lr = 1e-4}), c,
                 [=]() mutable { return binary_cross_entropy_with_logits(m(x), y); });
}

struct Fire : nn::Module {
  nn::Conv2d squeeze, expand1, expand3;
  Fire(int64_t in, int64_t few, int64_t out)
      : squeeze(add("squeeze", nn::Conv2d(in, few, {.kernel_size = 1}))),
        expand1(add("expand1", nn::Conv2d(few, out, {.kernel_size = 1}))),
        expand3(add("expand3", nn::Conv2d(few, out, {.kernel_size = 3, .padding = 1}))) {}
  Tensor operator()(const Tensor& x) {
    Tensor y = relu(squeeze(x));
    return relu(cat({expand1(y), expand3(y)}, 1));
  }
};

/// SqueezeNet 1.1.
nn::Sequential squeezenet() {
  auto pool = [] { return nn::MaxPool2d({.kernel_size = 3, .stride = 2, .ceil_mode = true}); };
  return nn::Sequential(nn::Conv2d(3, 64, {.kernel_size = 3, .stride = 2}), nn::ReLU(), pool(), Fire(64, 16, 64),
                        Fire(128, 16, 64), pool(), Fire(128, 32, 128), Fire(256, 32, 128), pool(), Fire(256, 48, 192),
                        Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
                        nn::Conv2d(512, 1000, {.kernel_size = 1}), nn::ReLU(), nn::AdaptiveAvgPool2d(1), nn::Flatten());
}

Step squeezenet_infer(const Config& c) {
  nn::Sequential m = init(squeezenet());
  m.eval();
  Tensor x = fill({c.batch ? c.batch : 1, 3, 224, 224}, 1);
  return evaluation(c, [m](const std::vector<Tensor>& in) mutable { return mean(m(in[0]).to(Dtype::f32)); }, {x});
}

/// Weight-standardised convolution, group norm, ReLU, twice.
nn::Sequential two_ws_convs(int64_t in, int64_t out, const Dims<3>& kernel) {
  auto conv = [&](int64_t i) {
    return nn::WSConv3d(i, out, {.kernel_size = kernel, .padding = {kernel[0] / 2, kernel[1] / 2, kernel[2] / 2}});
  };
  auto norm = [&] { return nn::GroupNorm(4, out, {.activation = Activation::relu}); };
  return nn::Sequential(conv(in), norm(), conv(out), norm());
}

/// Three levels, the outer one within slices.
struct WsUNet3d : nn::Module {
  nn::Sequential enc0, enc1, enc2, dec1, dec0;
  nn::ConvTranspose3d up1, up0;
  nn::Conv3d head;
  explicit WsUNet3d(int64_t f)
      : enc0(add("enc0", two_ws_convs(1, f, flat()))),
        enc1(add("enc1", two_ws_convs(f, 2 * f, 3))),
        enc2(add("enc2", two_ws_convs(2 * f, 4 * f, 3))),
        dec1(two_ws_convs(4 * f, 2 * f, 3)),
        dec0(two_ws_convs(2 * f, f, flat())),
        up1(add("up1", doubling(4 * f, 2 * f))),
        up0(doubling(2 * f, f)),
        head(f, 1, {.kernel_size = 1}) {
    add("dec1", dec1), add("up0", up0), add("dec0", dec0), add("head", head);
  }
  Tensor operator()(const Tensor& x) {
    auto pool = [](const Tensor& t) { return max_pool3d(t, {.kernel_size = {1, 2, 2}}); };
    Tensor e0 = enc0(x), e1 = enc1(pool(e0)), e2 = enc2(pool(e1));
    Tensor d1 = dec1(cat({up1(e2), e1}, 1));
    return head(dec0(cat({up0(d1), e0}, 1)));
  }

 private:
  static Dims<3> flat() { return {1, 3, 3}; }
  static nn::ConvTranspose3d doubling(int64_t in, int64_t out) {
    return nn::ConvTranspose3d(in, out, {.kernel_size = {1, 2, 2}, .stride = {1, 2, 2}});
  }
};

Step ws_unet3d(const Config& c) {
  int64_t batch = c.batch ? c.batch : 1;
  WsUNet3d m = init(WsUNet3d(16), {"up"});
  Tensor x = fill({batch, 1, 8, 96, 96}, 1), y = labels({batch, 1, 8, 96, 96}, 2).to(Dtype::f32),
         weight = full({}, 1.5, device());
  return trainer(std::make_shared<optim::AdamW>(m.parameters(), optim::AdamWOptions{.lr = 2e-3, .weight_decay = 1e-4}),
                 c, [=]() mutable {
                   Tensor logits = m(x).to(Dtype::f32), p = sigmoid(logits);
                   Tensor dice = 1 - sum(p * y) * 2 / (sum(p) + sum(y) + 1e-4);
                   return binary_cross_entropy_with_logits(logits, y, {.pos_weight = weight}) + dice;
                 });
}

}  // namespace

const std::vector<Workload>& vision_workloads() {
  static const std::vector<Workload> list = {
      {"msgnet_train", "MSG-Net ngf 64 and VGG16 to relu4_3 at 256 x 256, Adam: one step", msgnet_train},
      {"msgnet_infer", "MSG-Net ngf 128, one picture of 512 x 512", msgnet_infer},
      {"unet2d", "2-D U-Net base 64, 5 levels, 256 x 256, Adam: one step", unet2d},
      {"squeezenet_infer", "SqueezeNet 1.1, eval, batch 1", squeezenet_infer},
      {"ws_unet3d", "3-D U-Net of weight-standardised convolutions, 8 x 96 x 96, AdamW: one step", ws_unet3d},
  };
  return list;
}

}  // namespace bench
