#include "encnet.h"

using namespace weft;

namespace {

struct Bare : nn::Module {
  using nn::Module::add;
};

nn::Conv2d bare_conv(int64_t in, int64_t out, int64_t k, int64_t stride = 1, int64_t dilation = 1) {
  return {in,
          out,
          {.kernel_size = k, .stride = stride, .padding = dilation * (k - 1) / 2, .dilation = dilation, .bias = false}};
}
nn::SyncBatchNorm norm(int64_t channels, const ProcessGroup& group) {
  return nn::SyncBatchNorm(channels, {.group = group});
}

nn::Sequential conv_norm_relu(int64_t in, int64_t out, int64_t k, const ProcessGroup& group) {
  return nn::Sequential(bare_conv(in, out, k), norm(out, group), nn::ReLU());
}

struct Bottleneck : nn::Module {
  nn::Conv2d conv1;
  nn::SyncBatchNorm bn1;
  nn::Conv2d conv2;
  nn::SyncBatchNorm bn2;
  nn::Conv2d conv3;
  nn::SyncBatchNorm bn3;
  std::optional<nn::Sequential> downsample;
  Bottleneck(int64_t in, int64_t planes, int64_t stride, int64_t dilation, bool project, const ProcessGroup& group)
      : conv1(add("conv1", bare_conv(in, planes, 1))),
        bn1(add("bn1", norm(planes, group))),
        conv2(add("conv2", bare_conv(planes, planes, 3, stride, dilation))),
        bn2(add("bn2", norm(planes, group))),
        conv3(add("conv3", bare_conv(planes, 4 * planes, 1))),
        bn3(add("bn3", norm(4 * planes, group))) {
    if (project)
      downsample = add("downsample", nn::Sequential(bare_conv(in, 4 * planes, 1, stride), norm(4 * planes, group)));
  }
  Tensor operator()(const Tensor& x) const {
    const Tensor y = bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x))))))));
    return relu(y + (downsample ? (*downsample)(x) : x));
  }
};

/// Where the stride was given up, convolutions are dilated; the first block's as the layer before.
nn::Sequential bottlenecks(int64_t in, int64_t planes, int count, int64_t stride, int64_t dilation,
                           const ProcessGroup& group) {
  nn::Sequential layer;
  layer.push_back(Bottleneck(in, planes, stride, std::max<int64_t>(1, dilation / 2), true, group));
  for (int i = 1; i < count; ++i) layer.push_back(Bottleneck(4 * planes, planes, 1, dilation, false, group));
  return layer;
}

Tensor enlarged(const Tensor& x, const Tensor& like) {
  return interpolate(x,
                     {.size = {like.size(2), like.size(3)}, .mode = InterpolateMode::bilinear, .align_corners = true});
}

}  // namespace

EncNet::EncNet(const EncNetOptions& o) {
  constexpr int64_t kWidth = 512, kC2 = 512, kC3 = 1024, kC4 = 2048;
  Bare backbone, head;
  // the stem's last norm has a name of its own
  nn::Sequential convs(bare_conv(3, 64, 3, 2), norm(64, o.group), nn::ReLU(), bare_conv(64, 64, 3), norm(64, o.group),
                       nn::ReLU(), bare_conv(64, 128, 3));
  nn::SyncBatchNorm bn1 = norm(128, o.group);
  backbone.add("conv1", convs);
  backbone.add("bn1", bn1);
  stem_ = nn::Sequential(convs, bn1, nn::ReLU(), nn::MaxPool2d({.kernel_size = 3, .stride = 2, .padding = 1}));
  layer1_ = backbone.add("layer1", bottlenecks(128, 64, 3, 1, 1, o.group));
  layer2_ = backbone.add("layer2", bottlenecks(256, 128, 4, 2, 1, o.group));
  layer3_ = backbone.add("layer3", bottlenecks(512, 256, 6, 1, 2, o.group));
  layer4_ = backbone.add("layer4", bottlenecks(1024, 512, 3, 1, 4, o.group));
  add("pretrained", backbone);

  conv5_ = head.add("conv5", conv_norm_relu(kC4, kWidth, 3, o.group));
  if (o.lateral) {
    nn::ModuleList connect;
    connect2_ = conv_norm_relu(kC2, kWidth, 1, o.group);
    connect3_ = conv_norm_relu(kC3, kWidth, 1, o.group);
    connect.push_back(*connect2_);
    connect.push_back(*connect3_);
    head.add("connect", connect);
    fusion_ = head.add("fusion", conv_norm_relu(3 * kWidth, kWidth, 3, o.group));
  }
  Bare context;
  context_ = context.add("encoding", nn::Sequential(bare_conv(kWidth, kWidth, 1), norm(kWidth, o.group), nn::ReLU(),
                                                    nn::Encoding(kWidth, o.codes), norm(o.codes, o.group), nn::ReLU(),
                                                    nn::Lambda([](const Tensor& codes) { return codes.mean(1); })));
  gate_ = context.add("fc", nn::Sequential(nn::Linear(kWidth, kWidth), nn::Sigmoid()));
  if (o.se_loss) selayer_ = context.add("selayer", nn::Linear(kWidth, o.classes));
  head.add("encmodule", context);
  conv6_ = head.add("conv6", nn::Sequential(nn::Dropout2d(0.1), nn::Conv2d(kWidth, o.classes, {.kernel_size = 1})));
  add("head", head);

  if (o.aux) {
    constexpr int64_t kInner = kC3 / 4;
    Bare fcn;
    aux_ = fcn.add("conv5", nn::Sequential(bare_conv(kC3, kInner, 3), norm(kInner, o.group), nn::ReLU(),
                                           nn::Dropout2d(0.1), nn::Conv2d(kInner, o.classes, {.kernel_size = 1})));
    add("auxlayer", fcn);
  }
}

EncNet::Output EncNet::operator()(const Tensor& x) const {
  const Tensor c2 = layer2_(layer1_(stem_(x))), c3 = layer3_(c2);
  Tensor map = conv5_(layer4_(c3));
  if (connect2_) map = fusion_(cat({map, (*connect2_)(c2), (*connect3_)(c3)}, 1));
  const Tensor context = context_(map), gate = gate_(context).unsqueeze(2).unsqueeze(3);
  Output out;
  out.scores = enlarged(conv6_(relu(map + map * gate)), x);
  if (selayer_) out.presence = (*selayer_)(context);
  if (!aux_.empty()) out.aux = enlarged(aux_(c3), x);
  return out;
}

void EncNet::load(const std::string& path) {
  StateDict file = io::load(path);
  for (const char* key : {"pretrained.fc.weight", "pretrained.fc.bias"}) file.erase(key);
  try {
    load_state_dict(file);
  } catch (const ValueError& e) { raise<ValueError>(path, ": ", e.what()); }
}
