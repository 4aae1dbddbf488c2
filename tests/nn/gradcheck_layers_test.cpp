// First and second derivatives of layers at random sizes: convolutions, norms, pools, activations, shapes.
#include "nn/layer_table.h"
#include "weft/nn/activation.h"
#include "weft/nn/conv.h"
#include "weft/nn/conv_nd.h"
#include "weft/nn/distance.h"
#include "weft/nn/dropout.h"
#include "weft/nn/encoding.h"
#include "weft/nn/fold.h"
#include "weft/nn/gram.h"
#include "weft/nn/lazy.h"
#include "weft/nn/lazy_conv.h"
#include "weft/nn/linear.h"
#include "weft/nn/norm.h"
#include "weft/nn/op_layers.h"
#include "weft/nn/padding.h"
#include "weft/nn/pool.h"
#include "weft/nn/resample.h"
#include "weft/nn/sync_batch_norm.h"
#include "weft/nn/upsample_conv.h"
#include "weft/nn/ws_conv.h"

using namespace weft;
using namespace weft::test;

namespace {

// The weight's scale of a standardised convolution is that of its noise: its derivatives are large.
constexpr double kStandardised = 1e-5;

/// Options, and an input that they fit.
template <class O> struct Geometry {
  O o;
  int64_t in, out;
  Shape x;
};

template <int D> Geometry<nn::ConvOptions<D>> conv_geometry(Draw& d) {
  Geometry<nn::ConvOptions<D>> g{.o = {.kernel_size = d.dims<D>(1, D == 3 ? 2 : 3)}, .in = 0, .out = 0, .x = {}};
  g.o.groups = d.from(1, 2);
  g.in = g.o.groups * d.from(1, 2), g.out = g.o.groups * d.from(1, 2);
  g.o.padding_mode = d.pick({"zeros", "reflect", "replicate", "circular"});
  g.o.bias = d.coin();
  g.o.dilation = d.dims<D>(1, D == 1 ? 2 : 1);
  g.x = {d.from(1, 2), g.in};
  for (int i = 0; i < D; ++i)
    g.x.push_back(std::max<int64_t>(2, g.o.dilation[i] * (g.o.kernel_size[i] - 1) + d.from(1, 2)));
  if (d.from(0, 3) == 0) {
    g.o.padding = "same";
  } else {
    g.o.stride = d.dims<D>(1, 2);
    g.o.padding.lo = d.dims<D>(0, 1), g.o.padding.hi = d.dims<D>(0, 1);
  }
  return g;
}

template <int D> Geometry<nn::ConvTransposeOptions<D>> transpose_geometry(Draw& d) {
  Geometry<nn::ConvTransposeOptions<D>> g{
      .o = {.kernel_size = d.dims<D>(2, D == 3 ? 2 : 3)}, .in = 0, .out = 0, .x = {}};
  g.o.groups = d.from(1, 2);
  g.in = g.o.groups * d.from(1, 2), g.out = g.o.groups * d.from(1, 2);
  g.o.bias = d.coin();
  g.o.stride = d.dims<D>(1, 2);
  g.o.dilation = d.dims<D>(1, 2);
  g.o.padding = d.dims<D>(0, 1);
  for (int i = 0; i < D; ++i) g.o.output_padding[i] = d.from(0, std::max(g.o.stride[i], g.o.dilation[i]) - 1);
  g.x = {d.from(1, 2), g.in};
  for (int i = 0; i < D; ++i) g.x.push_back(d.from(2, D == 1 ? 4 : 2));
  return g;
}

template <int D> void add_convolutions(std::vector<LayerRow>& t) {
  const std::string rank = std::to_string(D) + "d";
  t.push_back({"Conv" + rank, [](Draw& d) {
                 const auto g = conv_geometry<D>(d);
                 return layer_case(nn::Conv<D>(g.in, g.out, g.o), d, d.leaf(g.x));
               }});
  t.push_back({"LazyConv" + rank, [](Draw& d) {
                 const auto g = conv_geometry<D>(d);
                 nn::LazyConv<D> conv(g.out, g.o);
                 (void)conv(zeros(g.x));
                 return layer_case(conv, d, d.leaf(g.x));
               }});
  t.push_back({.name = "WSConv" + rank,
               .make =
                   [](Draw& d) {
                     auto g = conv_geometry<D>(d);
                     g.o.kernel_size[0] = 2;  // rows of two weights and more
                     return layer_case(
                         nn::WSConv<D>(g.in, g.out, g.o, d.coin() ? WSVariant::nfnet : WSVariant::elektronn3), d,
                         d.leaf(joined(g.x.slice(0, 2), Shape::filled(D, D == 3 ? 3 : 4))));
                   },
               .tolerance = kStandardised});
  t.push_back({"ConvTranspose" + rank, [](Draw& d) {
                 const auto g = transpose_geometry<D>(d);
                 return layer_case(nn::ConvTranspose<D>(g.in, g.out, g.o), d, d.leaf(g.x));
               }});
  t.push_back({"LazyConvTranspose" + rank, [](Draw& d) {
                 const auto g = transpose_geometry<D>(d);
                 nn::LazyConvTranspose<D> conv(g.out, g.o);
                 (void)conv(zeros(g.x));
                 return layer_case(conv, d, d.leaf(g.x));
               }});
  t.push_back({.name = "WSConvTranspose" + rank,
               .make =
                   [](Draw& d) {
                     const auto g = transpose_geometry<D>(d);
                     return layer_case(
                         nn::WSConvTranspose<D>(g.in, g.out, g.o, d.coin() ? WSVariant::nfnet : WSVariant::elektronn3),
                         d, d.leaf(g.x));
                   },
               .tolerance = kStandardised});
}

std::vector<LayerRow> convolutions() {
  std::vector<LayerRow> t;
  add_convolutions<1>(t);
  add_convolutions<2>(t);
  add_convolutions<3>(t);
  t.push_back({"ConvNd", [](Draw& d) {
                 const int axes = static_cast<int>(d.from(1, 4));
                 nn::ConvNdOptions o{.kernel_size = Shape::filled(axes, 1), .groups = d.from(1, 2), .bias = d.coin()};
                 o.kernel_size[0] = 2;
                 for (int i = 0; i < axes; ++i) o.padding.emplace_back(d.from(0, 1), d.from(0, 1));
                 o.stride = Shape::filled(axes, d.from(1, 2));
                 return layer_case(nn::ConvNd(o.groups, 2 * o.groups, o), d, d.leaf(d.features(o.groups, axes, 2, 2)));
               }});
  t.push_back({"UpsampleConv2d", [](Draw& d) {
                 const int64_t groups = d.from(1, 2);
                 const nn::UpsampleConv2dOptions o{.kernel_size = d.dims<2>(1, 2),
                                                   .stride = d.dims<2>(1, 2),
                                                   .padding = d.from(0, 1),
                                                   .groups = groups,
                                                   .scale_factor = d.from(1, 2),
                                                   .bias = d.coin()};
                 return layer_case(nn::UpsampleConv2d(groups, groups, o), d, d.leaf(d.features(groups, 2, 2, 3)));
               }});
  return t;
}

Activation activation(Draw& d) { return d.pick({Activation::none, Activation::leaky_relu}); }

template <int D> void add_norms(std::vector<LayerRow>& t) {
  const std::string rank = std::to_string(D) + "d";
  const auto x = [](Draw& d, int64_t channels) {
    Shape s = d.features(channels, D, 2, 3);
    if (D == 1) s[-1] = d.from(3, 5);
    return d.leaf(s);
  };
  t.push_back({"BatchNorm" + rank, [x](Draw& d) {
                 const int64_t c = d.from(1, 3);
                 nn::BatchNorm<D> norm(c, {.affine = d.coin(), .activation = activation(d)});
                 if (d.coin()) norm.eval();
                 return layer_case(norm, d, x(d, c));
               }});
  t.push_back({"InstanceNorm" + rank, [x](Draw& d) {
                 const int64_t c = d.from(1, 3);
                 nn::InstanceNorm<D> norm(c, {.affine = d.coin(), .activation = activation(d)});
                 return layer_case(norm, d, x(d, c));
               }});
}

std::vector<LayerRow> norms() {
  std::vector<LayerRow> t;
  add_norms<1>(t);
  add_norms<2>(t);
  add_norms<3>(t);
  t.push_back({"GroupNorm", [](Draw& d) {
                 const int64_t groups = d.from(1, 3), c = groups * d.from(1, 2);
                 return layer_case(nn::GroupNorm(groups, c, {.affine = d.coin(), .activation = activation(d)}), d,
                                   d.leaf(d.features(c, static_cast<int>(d.from(1, 2)), 3, 4)));
               }});
  t.push_back({"LayerNorm", [](Draw& d) {
                 const Shape s = d.coin() ? Shape{d.from(3, 6)} : Shape{2, d.from(2, 3)};
                 return layer_case(nn::LayerNorm(s, {.elementwise_affine = d.coin(), .bias = d.coin()}), d,
                                   d.leaf(joined({d.from(1, 3)}, s)));
               }});
  t.push_back({"RMSNorm", [](Draw& d) {
                 const Shape s = d.coin() ? Shape{d.from(2, 6)} : Shape{2, d.from(1, 3)};
                 return layer_case(nn::RMSNorm(s, {.elementwise_affine = d.coin()}), d,
                                   d.leaf(joined({d.from(1, 3)}, s)));
               }});
  t.push_back({"LocalResponseNorm", [](Draw& d) {
                 return layer_case(nn::LocalResponseNorm(d.from(1, 4), {.alpha = 0.7, .beta = 0.6, .k = 2}), d,
                                   d.leaf(d.features(d.from(1, 4), static_cast<int>(d.from(1, 2)), 1, 3)));
               }});
  t.push_back({"CrossMapLRN2d", [](Draw& d) {
                 return layer_case(nn::CrossMapLRN2d(d.from(1, 4), {.alpha = 0.7, .beta = 0.6, .k = 2}), d,
                                   d.leaf(d.features(d.from(1, 4), 2, 1, 3)));
               }});
  t.push_back({"LazyBatchNorm2d", [](Draw& d) {
                 auto norm = here::module(nn::LazyBatchNorm2d());
                 (void)norm(d.values({2, 3, 2, 2}));
                 return layer_case(norm, d, d.leaf(d.features(3, 2, 2, 3)));
               }});
  t.push_back({"SyncBatchNorm", [](Draw& d) {
                 const int64_t c = d.from(1, 3);
                 return layer_case(nn::SyncBatchNorm(c, {.activation = activation(d), .inplace = false}), d,
                                   d.leaf(d.features(c, static_cast<int>(d.from(1, 3)), 2, 3)));
               }});
  t.push_back({"DistSyncBatchNorm", [](Draw& d) {  // in place, on the result of an op
                 const int64_t c = d.from(1, 3);
                 return layer_case(nn::DistSyncBatchNorm(c, {.activation = Activation::leaky_relu}), d,
                                   {d.leaf(d.features(c, 2, 2, 3))},
                                   [](auto& m, const Tensors& x) { return m(x[0] * 1.5); });
               }});
  t.push_back({"Normalize", [](Draw& d) {
                 return layer_case(nn::Normalize(d.pick({1.0, 2.0, 3.0}), d.from(-1, 1)), d,
                                   d.leaf({d.from(1, 3), d.from(2, 4)}));
               }});
  return t;
}

template <class... M> void add_activations(std::vector<LayerRow>& t, const M&... layers) {
  (t.push_back({layers.name(),
                [layers](Draw& d) {
                  // kinks lie at multiples of 1/2
                  return layer_case(layers, d, d.leaf({d.from(1, 3), d.from(2, 3), d.from(1, 3)}, -7, 7));
                }}),
   ...);
}

std::vector<LayerRow> activations() {
  std::vector<LayerRow> t;
  add_activations(t, nn::ReLU(), nn::ReLU6(), nn::LeakyReLU(0.3), nn::PReLU(), nn::ELU(0.7), nn::CELU(0.7), nn::SELU(),
                  nn::GELU(), nn::GELU(Approximate::tanh), nn::SiLU(), nn::Mish(), nn::Sigmoid(), nn::LogSigmoid(),
                  nn::Hardsigmoid(), nn::Hardswish(), nn::Hardtanh(-1, 2), nn::Tanh(), nn::Softplus(2, 3),
                  nn::Softshrink(), nn::Hardshrink(), nn::Tanhshrink(), nn::Softsign(), nn::Threshold(0.5, -3),
                  nn::RReLU(), nn::Softmax(1), nn::Softmin(-1), nn::LogSoftmax(0), nn::Dropout(0.3), nn::Dropout1d(0.3),
                  nn::AlphaDropout(0.3), nn::FeatureAlphaDropout(0.3), nn::Identity(), nn::Flatten(),
                  nn::Flatten(0, 1));
  t.push_back({"PReLU per channel", [](Draw& d) {
                 const int64_t c = d.from(2, 3);
                 return layer_case(nn::PReLU(c), d, d.leaf(d.features(c, 1, 2, 3)));
               }});
  t.push_back({"GLU", [](Draw& d) {
                 const int dim = static_cast<int>(d.from(0, 2));
                 Shape s{d.from(1, 2), d.from(1, 2), d.from(1, 2)};
                 s[dim] *= 2;
                 return layer_case(nn::GLU(dim), d, d.leaf(s));
               }});
  t.push_back({"Softmax2d", [](Draw& d) { return layer_case(nn::Softmax2d(), d, d.leaf(d.features(3, 2, 1, 2))); }});
  t.push_back({"Dropout2d", [](Draw& d) { return layer_case(nn::Dropout2d(), d, d.leaf(d.features(3, 2, 1, 2))); }});
  t.push_back({"Dropout3d", [](Draw& d) { return layer_case(nn::Dropout3d(), d, d.leaf(d.features(3, 3, 1, 2))); }});
  return t;
}

template <int D> void add_pools(std::vector<LayerRow>& t) {
  const std::string rank = std::to_string(D) + "d";
  const int64_t most = D == 3 ? 3 : 5;
  t.push_back({"MaxPool" + rank, [=](Draw& d) {
                 MaxPoolOptions<D> o{.kernel_size = d.dims<D>(2, 3), .stride = d.dims<D>(1, 2)};
                 o.padding = d.dims<D>(0, 1);
                 o.ceil_mode = d.coin();
                 return layer_case(nn::MaxPool<D>(o), d, d.leaf(d.features(2, D, 3, most)));
               }});
  t.push_back({"AvgPool" + rank, [=](Draw& d) {
                 AvgPoolOptions<D> o{.kernel_size = d.dims<D>(2, 3), .stride = d.dims<D>(1, 2)};
                 o.padding = d.dims<D>(0, 1);
                 o.ceil_mode = d.coin(), o.count_include_pad = d.coin();
                 if (d.coin()) o.divisor_override = 5;
                 return layer_case(nn::AvgPool<D>(o), d, d.leaf(d.features(2, D, 3, most)));
               }});
  const auto size = [](Draw& d) {
    std::array<std::optional<int64_t>, D> s;
    for (auto& n : s)
      if (d.from(0, 3)) n = d.from(1, 3);
    return OutputSize<D>(s);
  };
  t.push_back({"AdaptiveAvgPool" + rank, [=](Draw& d) {
                 return layer_case(nn::AdaptiveAvgPool<D>(size(d)), d, d.leaf(d.features(2, D, 2, most)));
               }});
  t.push_back({"AdaptiveMaxPool" + rank, [=](Draw& d) {
                 return layer_case(nn::AdaptiveMaxPool<D>(size(d)), d, d.leaf(d.features(2, D, 2, most)));
               }});
  t.push_back({"LPPool" + rank, [=](Draw& d) {
                 LpPoolOptions<D> o{.norm_type = d.pick({1.5, 2.0, 3.0}), .kernel_size = d.dims<D>(1, 2)};
                 o.ceil_mode = d.coin();
                 return layer_case(nn::LPPool<D>(o), d, d.leaf(d.features(2, D, 2, most), 0.2, 2));
               }});
  t.push_back({"MaxUnpool" + rank, [=](Draw& d) {
                 const Shape s = d.features(2, D, 3, most);
                 const Pooled p = nn::MaxPool<D>(2).with_indices(d.values(s));
                 return layer_case(nn::MaxUnpool<D>(2), d, {d.leaf(p.output.shape())},
                                   [=](auto& m, const Tensors& x) { return m(x[0], p.indices, s.slice(2)); });
               }});
  const auto pad = [&]<class M>(const std::string& name, std::type_identity<M>) {
    t.push_back({name + rank, [](Draw& d) {
                   return layer_case(M(d.dims<2 * D>(0, 2)), d, d.leaf(d.features(d.from(1, 2), D, 3, D == 3 ? 3 : 4)));
                 }});
  };
  pad("ReflectionPad", std::type_identity<nn::Pad<PadMode::reflect, D>>());
  pad("ReplicationPad", std::type_identity<nn::Pad<PadMode::replicate, D>>());
  pad("CircularPad", std::type_identity<nn::Pad<PadMode::circular, D>>());
  pad("ZeroPad", std::type_identity<nn::Pad<PadMode::constant, D>>());
  t.push_back({"ConstantPad" + rank, [](Draw& d) {
                 return layer_case(nn::ConstantPad<D>(d.dims<2 * D>(-1, 2), 1.5), d, d.leaf(d.features(1, D, 3, 4)));
               }});
}

std::vector<LayerRow> pools() {
  std::vector<LayerRow> t;
  add_pools<1>(t);
  add_pools<2>(t);
  add_pools<3>(t);
  t.push_back(
      {"Upsample", [](Draw& d) {
         using Mode = InterpolateMode;
         const Mode mode = d.pick({Mode::nearest, Mode::nearest_exact, Mode::bilinear, Mode::bicubic, Mode::area});
         InterpolateOptions o{.mode = mode};
         if (d.coin()) o.size = {d.from(2, 5), d.from(2, 5)};
         else o.scale_factor = d.pick({0.6, 1.5, 2.0});
         if (mode == Mode::bilinear || mode == Mode::bicubic) o.align_corners = d.coin();
         return layer_case(nn::Upsample(o), d, d.leaf(d.features(2, 2, 2, 4)));
       }});
  t.push_back({"FractionalMaxPool2d", [](Draw& d) {
                 return layer_case(nn::FractionalMaxPool2d({.kernel_size = 2, .output_ratio = 0.6}), d,
                                   d.leaf(d.features(2, 2, 4, 6)));
               }});
  t.push_back({"FractionalMaxPool3d", [](Draw& d) {
                 return layer_case(nn::FractionalMaxPool3d({.kernel_size = 2, .output_ratio = 0.6}), d,
                                   d.leaf(d.features(1, 3, 4, 4)));
               }});
  t.push_back({"UpsamplingNearest2d", [](Draw& d) {
                 return layer_case(nn::UpsamplingNearest2d({.size = {d.from(1, 5), d.from(1, 5)}}), d,
                                   d.leaf(d.features(2, 2, 2, 3)));
               }});
  t.push_back({"UpsamplingBilinear2d", [](Draw& d) {
                 return layer_case(nn::UpsamplingBilinear2d({.size = {d.from(1, 5), d.from(1, 5)}}), d,
                                   d.leaf(d.features(2, 2, 2, 3)));
               }});
  return t;
}

std::vector<LayerRow> shapes() {
  std::vector<LayerRow> t;
  t.push_back({"PixelShuffle", [](Draw& d) {
                 const int64_t r = d.from(1, 3);
                 return layer_case(nn::PixelShuffle(r), d, d.leaf(d.features(r * r, 2, 1, 2)));
               }});
  t.push_back({"PixelUnshuffle", [](Draw& d) {
                 const int64_t r = d.from(1, 2);
                 return layer_case(nn::PixelUnshuffle(r), d, d.leaf({1, d.from(1, 2), r * d.from(1, 2), r * 2}));
               }});
  t.push_back({"ChannelShuffle", [](Draw& d) {
                 const int64_t groups = d.from(1, 3);
                 return layer_case(nn::ChannelShuffle(groups), d, d.leaf(d.features(groups * 2, 2, 1, 2)));
               }});
  t.push_back({"Unfold", [](Draw& d) {
                 const FoldOptions o{
                     .dilation = d.dims<2>(1, 2), .padding = d.dims<2>(0, 1), .stride = d.dims<2>(1, 2)};
                 return layer_case(nn::Unfold(d.dims<2>(1, 2), o), d, d.leaf(d.features(2, 2, 3, 4)));
               }});
  t.push_back(
      {"Fold", [](Draw& d) {
         const Dims<2> size = d.dims<2>(3, 4), kernel = d.dims<2>(1, 2);
         const int64_t blocks = (size[0] - kernel[0] + 1) * (size[1] - kernel[1] + 1);
         return layer_case(nn::Fold(size, kernel), d, d.leaf({d.from(1, 2), 2 * kernel[0] * kernel[1], blocks}));
       }});
  t.push_back({"Unflatten", [](Draw& d) {
                 const int64_t a = d.from(1, 3), b = d.from(1, 3);
                 return layer_case(nn::Unflatten(1, {a, b}), d, d.leaf({2, a * b}));
               }});
  t.push_back({"View", [](Draw& d) {
                 const int64_t a = d.from(1, 3), b = d.from(1, 3);
                 return layer_case(nn::View({-1, b}), d, d.leaf({b, 2, a}));
               }});
  t.push_back({"Sum", [](Draw& d) {
                 return layer_case(nn::Sum(d.from(-2, 2), d.coin()), d, d.leaf({2, 3, d.from(1, 3)}));
               }});
  t.push_back({"Mean", [](Draw& d) {
                 return layer_case(nn::Mean(d.from(-2, 2), d.coin()), d, d.leaf({2, 3, d.from(1, 3)}));
               }});
  t.push_back({"GlobalAvgPool2d",
               [](Draw& d) { return layer_case(nn::GlobalAvgPool2d(), d, d.leaf(d.features(2, 2, 1, 4))); }});
  return t;
}

std::vector<LayerRow> products() {
  std::vector<LayerRow> t;
  t.push_back({"Linear", [](Draw& d) {
                 const int64_t in = d.from(1, 4);
                 return layer_case(nn::Linear(in, d.from(1, 4), {.bias = d.coin()}), d,
                                   d.leaf(d.coin() ? Shape{in} : Shape{2, d.from(1, 3), in}));
               }});
  t.push_back({"LazyLinear", [](Draw& d) {
                 nn::LazyLinear linear(d.from(1, 3));
                 (void)linear(zeros({1, 4}));
                 return layer_case(linear, d, d.leaf({d.from(1, 3), 4}));
               }});
  t.push_back({"Bilinear", [](Draw& d) {
                 const int64_t a = d.from(1, 3), b = d.from(1, 3), n = d.from(1, 3);
                 return layer_case(nn::Bilinear(a, b, d.from(1, 3), {.bias = d.coin()}), d,
                                   {d.leaf({n, a}), d.leaf({n, b})},
                                   [](auto& m, const Tensors& x) { return m(x[0], x[1]); });
               }});
  t.push_back({"Embedding", [](Draw& d) {
                 const int64_t rows = d.from(2, 5);
                 nn::EmbeddingOptions o;
                 if (d.coin()) o.padding_idx = -1;
                 const Tensor index = d.classes({2, d.from(1, 4)}, rows - 1);
                 return layer_case(nn::Embedding(rows, d.from(1, 3), o), d, {},
                                   [index](auto& m, const Tensors&) { return m(index); });
               }});
  t.push_back({"EmbeddingBag", [](Draw& d) {
                 const int64_t rows = d.from(2, 5), n = d.from(1, 3);
                 const BagMode mode = d.pick({BagMode::sum, BagMode::mean, BagMode::max});
                 const Tensor index = d.classes({2, n}, rows);
                 Tensors in;
                 if (mode == BagMode::sum) in.push_back(d.leaf({2, n}));
                 return layer_case(
                     nn::EmbeddingBag(rows, d.from(1, 3), {.mode = mode}), d, in,
                     [=](auto& m, const Tensors& x) { return m(index, {}, mode == BagMode::sum ? x[0] : Tensor()); });
               }});
  t.push_back({"GramMatrix",
               [](Draw& d) { return layer_case(nn::GramMatrix(), d, d.leaf(d.features(d.from(1, 4), 2, 1, 3))); }});
  t.push_back({"Inspiration", [](Draw& d) {
                 const int64_t c = d.from(1, 3);
                 const Shape x = d.features(c, 2, 1, 3);
                 return layer_case(nn::Inspiration(c, x[0]), d, {d.leaf(x), d.leaf({d.coin() ? 1 : x[0], c, c})},
                                   [](auto& m, const Tensors& t) {
                                     m.set_target(t[1]);
                                     return m(t[0]);
                                   });
               }});
  const auto encoded = [](Draw& d, int64_t D) {
    if (d.coin()) return d.leaf(d.features(D, 2, 1, 3), -1, 1);
    return d.leaf(d.coin() ? Shape{2, d.from(4, 5), D} : Shape{1, D, d.from(4, 5)}, -1, 1);
  };
  t.push_back({"Encoding", [=](Draw& d) {
                 const int64_t D = d.from(1, 3);
                 return layer_case(nn::Encoding(D, d.from(1, 4)), d, encoded(d, D));
               }});
  t.push_back({"EncodingDrop", [=](Draw& d) {
                 const int64_t D = d.from(1, 3);
                 nn::EncodingDrop e(D, d.from(1, 4));
                 e.scale.set_requires_grad(false);  // it draws its own
                 return layer_case(e, d, encoded(d, D));
               }});
  t.push_back({"EncodingCosine", [=](Draw& d) {
                 const int64_t D = d.from(2, 3);
                 return layer_case(nn::EncodingCosine(D, d.from(1, 4)), d, encoded(d, D));
               }});
  const auto two = [](auto& m, const Tensors& x) { return m(x[0], x[1]); };
  t.push_back({"CosineSimilarity", [=](Draw& d) {
                 const Shape s{d.from(1, 3), d.from(2, 4)};
                 return layer_case(nn::CosineSimilarity(d.from(-1, 1)), d, {d.leaf(s), d.leaf(s)}, two);
               }});
  t.push_back({"PairwiseDistance", [=](Draw& d) {
                 const Shape s{d.from(1, 3), d.from(2, 4)};
                 return layer_case(nn::PairwiseDistance({.p = d.pick({1.0, 2.0, 3.0}), .keepdim = d.coin()}), d,
                                   {d.leaf(s), d.leaf(s, -2, 2, 0.75)}, two);
               }});
  return t;
}

}  // namespace

TEST_SUITE("derivatives of layers") {
  DEVICE_TEST_CASE("convolutions at random sizes") { check_layers(convolutions()); }
  DEVICE_TEST_CASE("norms at random sizes") { check_layers(norms()); }
  DEVICE_TEST_CASE("activations at random sizes") { check_layers(activations()); }
  DEVICE_TEST_CASE("pools, pads and resizing at random sizes") { check_layers(pools()); }
  DEVICE_TEST_CASE("rearrangements at random sizes") { check_layers(shapes()); }
  DEVICE_TEST_CASE("products, encodings and distances at random sizes") { check_layers(products()); }
  DEVICE_TEST_CASE("layers refuse what does not fit, and stay as they are") {
    for (const auto& rows : {convolutions(), norms(), activations(), pools(), shapes(), products()})
      check_layer_misfits(rows);
  }
}
