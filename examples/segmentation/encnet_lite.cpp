#include "encnet_lite.h"

using namespace weft;

namespace {

/// Set while checkpointed parts are computed the second time: running statistics have seen the batch already.
thread_local bool recomputing = false;

struct Recomputing {
  explicit Recomputing(bool on) : before(recomputing) { recomputing = on; }
  ~Recomputing() { recomputing = before; }
  Recomputing(const Recomputing&) = delete;
  Recomputing& operator=(const Recomputing&) = delete;
  bool before;
};

using Group = ProcessGroup;

nn::Conv2d plain_conv(int64_t in, int64_t out, int64_t k, int64_t stride = 1, int64_t dilation = 1) {
  return {in,
          out,
          {.kernel_size = k, .stride = stride, .padding = dilation * (k - 1) / 2, .dilation = dilation, .bias = false}};
}

/// Convolution, norm, ReLU.
nn::Sequential conv_norm(int64_t in, int64_t out, int64_t k, const Group& group, int64_t stride = 1) {
  return nn::Sequential(plain_conv(in, out, k, stride), Norm(out, true, group));
}

/// Two convolutions and a shortcut, projected where the shape changes.
struct Block : nn::Module {
  nn::Conv2d conv1;
  Norm bn1;
  nn::Conv2d conv2;
  Norm bn2;
  std::optional<nn::Sequential> down;
  Block(int64_t in, int64_t out, int64_t stride, int64_t dilation, const Group& group)
      : conv1(add("conv1", plain_conv(in, out, 3, stride, dilation))),
        bn1(add("bn1", Norm(out, true, group))),
        conv2(add("conv2", plain_conv(out, out, 3, 1, dilation))),
        bn2(add("bn2", Norm(out, false, group))) {
    if (stride != 1 || in != out)
      down = add("down", nn::Sequential(plain_conv(in, out, 1, stride), Norm(out, false, group)));
  }
  Tensor operator()(const Tensor& x) const { return bn2(conv2(bn1(conv1(x))), down ? (*down)(x) : x); }
};

nn::Sequential layer(int64_t in, int64_t out, int64_t stride, int64_t dilation, const Group& group) {
  return nn::Sequential(Block(in, out, stride, dilation, group), Block(out, out, 1, dilation, group));
}

Tensor resized_to(const Tensor& x, const Tensor& like) {
  return interpolate(x,
                     {.size = {like.size(2), like.size(3)}, .mode = InterpolateMode::bilinear, .align_corners = true});
}

}  // namespace

Norm::Norm(int64_t channels, bool relu, Group group)
    : nn::SyncBatchNorm(channels, {.group = std::move(group)}), relu_(relu) {}

Tensor Norm::normalise(const Tensor& x, const Tensor& residual) const {
  const bool training = is_training(), sees_batch = training && !recomputing, act = relu_ || residual.defined();
  const double momentum = sees_batch ? share_of_batch(options->momentum) : 0;
  Tensor y;
  if (options->group.size() > 1) {
    y = sync_batch_norm(x, running_mean, running_var, weight, bias,
                        {.training = training, .momentum = momentum, .eps = options->eps, .group = options->group});
    if (act) y = weft::relu(residual.defined() ? y + residual : y);
  } else {
    y = batch_norm(x, running_mean, running_var, weight, bias,
                   {.training = training,
                    .momentum = momentum,
                    .eps = options->eps,
                    .activation = act ? Activation::relu : Activation::none,
                    .residual = residual});
  }
  if (sees_batch) count_batch();
  return y;
}

EncNetLite::EncNetLite(const EncNetLiteOptions& o)
    : stem(add("stem", conv_norm(3, 24, 3, o.group, 2))),
      layer1(add("layer1", layer(24, 48, 2, 1, o.group))),
      layer2(add("layer2", layer(48, 96, 2, 1, o.group))),
      layer3(add("layer3", layer(96, 128, 1, 2, o.group))),
      conv5(add("conv5", conv_norm(128, 128, 3, o.group))),
      connect(add("connect", conv_norm(96, 128, 1, o.group))),
      fusion(add("fusion", conv_norm(256, 128, 3, o.group))),
      context_conv(conv_norm(128, 128, 1, o.group)),
      encoding(128, o.codes),
      code_norm(o.codes, true, o.group),
      fc(128, 128),
      selayer(128, o.classes),
      skip(conv_norm(48, 32, 1, o.group)),
      dec(conv_norm(160, 64, 3, o.group)),
      conv6(nn::Dropout(0.1), nn::Conv2d(64, o.classes, {.kernel_size = 1})) {
  struct Context : nn::Module {
    explicit Context(EncNetLite& net) {
      add("conv", net.context_conv);
      add("encoding", net.encoding);
      add("bn", net.code_norm);
      add("fc", net.fc);
      add("selayer", net.selayer);
    }
  };
  add("encmodule", Context(*this));
  add("skip", skip);
  add("dec", dec);
  add("conv6", conv6);
}

Segmented EncNetLite::operator()(const Tensor& x) const {
  const bool forget = checkpointed_ && is_training() && grad_enabled();
  // Each part maps tensors to one tensor. The second time that it runs is the one in backward.
  const auto part = [forget](auto f, const auto&... inputs) -> Tensor {
    if (!forget) return f(inputs...);
    return checkpoint(
        [f, runs = std::make_shared<int>(0)](const auto&... in) -> Tensor {
          const Recomputing scope((*runs)++ > 0);
          return f(in...);
        },
        inputs...);
  };
  const Tensor c1 = part([this](const Tensor& in) { return layer1(stem(in)); }, x);
  const Tensor c2 = part([this](const Tensor& in) { return layer2(in); }, c1);
  const Tensor c3 = part([this](const Tensor& in) { return layer3(in); }, c2);
  const Tensor map = part(
      [this](const Tensor& a, const Tensor& b) {
        return fusion(cat({conv5(a), connect(b)}, 1));
      },
      c3, c2);
  // [N, 128]: the mean over the codewords
  const Tensor context = part([this](const Tensor& in) { return code_norm(encoding(context_conv(in))).mean(1); }, map);
  const Tensor scores = part(
      [this](const Tensor& in, const Tensor& e, const Tensor& fine) {
        const Tensor gate = sigmoid(fc(e)).unsqueeze(2).unsqueeze(3);
        const Tensor gated = relu(in + in * gate);
        return conv6(dec(cat({resized_to(gated, fine), skip(fine)}, 1)));
      },
      map, context, c1);
  return {resized_to(scores, x), selayer(context)};
}
