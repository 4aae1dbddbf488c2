// Convolution layers of random geometry against their definition: index maps of the padding, then loops; transposed
// ones against the adjoint's loops; gradients in f64.
#include <random>

#include "nn/support.h"
#include "support/here.h"
#include "support/reference_conv.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/nn/conv.h"

using namespace weft;
using namespace weft::test;

namespace {

struct Random {
  std::mt19937 engine;
  template <class T> T pick(std::initializer_list<T> v) { return v.begin()[engine() % v.size()]; }
};

/// Where padding of that mode reads index j of an axis of L elements; -1: a zero.
int64_t source_index(const std::string& mode, int64_t j, int64_t L) {
  if (mode == "circular") return (j + L) % L;
  if (mode == "replicate") return std::clamp<int64_t>(j, 0, L - 1);
  if (mode == "reflect") return j < 0 ? -j : j >= L ? 2 * (L - 1) - j : j;
  return j < 0 || j >= L ? -1 : j;
}

/// x with its spatial axes padded.
std::vector<double> padded(const std::vector<double>& x, const Shape& shape, const ConvParams& p,
                           const std::string& mode, Shape& out) {
  const int axes = shape.size() - 2;
  out = shape;
  for (int i = 0; i < axes; ++i) out[i + 2] += p.padding_lo[i] + p.padding_hi[i];
  std::vector<double> y(static_cast<size_t>(out.numel()));
  for (size_t at = 0; at < y.size(); ++at) {
    int64_t rest = static_cast<int64_t>(at), from = 0, step = 1;
    bool inside = true;
    for (int i = shape.size() - 1; i >= 0; --i) {
      int64_t j = rest % out[i];
      rest /= out[i];
      if (i >= 2) j = source_index(mode, j - p.padding_lo[i - 2], shape[i]);
      inside = inside && j >= 0;
      from += j * step;
      step *= shape[i];
    }
    if (inside) y[at] = x[static_cast<size_t>(from)];
  }
  return y;
}

void add_bias(std::vector<double>& y, const Shape& shape, const Tensor& bias) {
  if (!bias.defined()) return;
  const auto b = bias.to_vector<double>();
  const size_t image = static_cast<size_t>(shape.slice(2).numel());
  for (size_t i = 0; i < y.size(); ++i) y[i] += b[i / image % b.size()];
}

double worst_difference(const Tensor& a, const std::vector<double>& b) {
  const auto v = a.to_vector<double>();
  REQUIRE(v.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < v.size(); ++i) worst = std::max(worst, std::isnan(v[i]) ? 1e9 : std::fabs(v[i] - b[i]));
  return worst;
}

/// Outputs are sums of products of numbers around 1 with weights around 1 / sqrt(terms): around 1, below 6.
double layer_tolerance(Dtype d) {
  return d == Dtype::f64 ? 1e-13 : d == Dtype::f32 ? 3e-5 : d == Dtype::f16 ? 6 * 0x1p-11 : 6 * 0x1p-8;
}

enum class Memory { contiguous, channels_last, sliced };

Tensor stored(const Tensor& x, Memory memory) {
  if (memory == Memory::contiguous) return x;
  if (memory == Memory::channels_last && x.rank() >= 3) return x.contiguous(MemoryFormat::channels_last);
  Shape wide = x.shape();
  wide[-1] *= 2;
  Tensor all = here::full(wide, 99, x.dtype()), view = all.slice(-1, {}, {}, 2);
  view.copy_(x);
  return view;
}

template <int D> Dims<D> each(Random& r, std::initializer_list<int64_t> v) {
  std::array<int64_t, D> a;
  for (int64_t& x : a) x = r.pick(v);
  return Dims<D>(a);
}

template <int D> nn::ConvOptions<D> random_options(Random& r) {
  nn::ConvOptions<D> o{.kernel_size = each<D>(r, {1, 2, 3, 3})};
  o.padding_mode = r.pick({"zeros", "reflect", "replicate", "circular"});
  o.dilation = each<D>(r, {1, 1, 2});
  if (r.pick({0, 0, 1})) {
    o.padding = "same";
  } else {
    o.stride = each<D>(r, {1, 1, 2, 3});
    o.padding.lo = each<D>(r, {0, 1, 2});
    o.padding.hi = each<D>(r, {0, 1, 2});
  }
  o.bias = r.pick({true, true, false});
  return o;
}

template <int D> void check_random_layer(Random& r, int i) {
  auto o = random_options<D>(r);
  o.groups = r.pick<int64_t>({1, 1, 2, 3});
  const int64_t in = o.groups * r.pick<int64_t>({1, 3, 4}), out = o.groups * r.pick<int64_t>({1, 2, 5});
  auto conv = here::module(nn::Conv<D>(in, out, o));
  const Dtype dtypes[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16};
  const Dtype d = dtypes[i % 4];
  conv.to(d);
  Shape shape{r.pick<int64_t>({1, 2, 3}), in};
  for (int a = 0; a < D; ++a) shape.push_back(r.pick<int64_t>({5, 6, 7}));
  const Tensor x = here::randn(shape).to(d);
  CAPTURE(printed(conv));
  CAPTURE(shape);
  CAPTURE(d);
  Shape wide, ys{shape[0], out};
  const auto xp = padded(x.to_vector<double>(), shape, conv.geometry().params, std::string(o.padding_mode.text()),
                         wide);
  ConvParams plain = conv.geometry().params;
  plain.padding_lo = plain.padding_hi = Shape::filled(D, 0);
  for (int a = 0; a < D; ++a) ys.push_back(plain.output_size(a, wide[a + 2], conv.kernel_size[a]));
  auto want = reference_conv(xp, conv.weight.template to_vector<double>(), {}, wide, conv.weight.shape(), ys, plain);
  add_bias(want, ys, conv.bias);
  const Tensor y = conv(stored(x, static_cast<Memory>(i / 4 % 3)));
  CHECK(y.shape() == ys);
  CHECK(y.dtype() == d);
  CHECK(worst_difference(y, want) <= layer_tolerance(d));
  // one sample without its batch, and no sample
  want.resize(static_cast<size_t>(ys.slice(1).numel()));
  const Tensor single = conv(stored(x.select(0, 0), static_cast<Memory>(i / 4 % 3)));
  CHECK(single.shape() == ys.slice(1));
  CHECK(worst_difference(single, want) <= layer_tolerance(d));
  shape[0] = ys[0] = 0;
  CHECK(conv(here::zeros(shape, d)).shape() == ys);
}

template <int D> void check_random_transposed(Random& r, int i) {
  nn::ConvTransposeOptions<D> o{.kernel_size = each<D>(r, {1, 2, 3})};
  o.stride = each<D>(r, {1, 2, 3});
  o.dilation = each<D>(r, {1, 1, 2});
  o.groups = r.pick<int64_t>({1, 1, 2});
  o.bias = r.pick({true, false});
  const Dims<D> crop = each<D>(r, {0, 0, 1});
  o.padding = crop;
  const int64_t in = o.groups * r.pick<int64_t>({1, 3, 4}), out = o.groups * r.pick<int64_t>({1, 2, 5});
  auto up = here::module(nn::ConvTranspose<D>(in, out, o));
  const Dtype dtypes[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16};
  const Dtype d = dtypes[i % 4];
  up.to(d);
  Shape xs{2, in}, ys{2, out}, size;
  for (int a = 0; a < D; ++a) {
    xs.push_back(r.pick<int64_t>({3, 4}));
    const int64_t least = (xs[-1] - 1) * o.stride[a] - 2 * crop[a] + o.dilation[a] * (o.kernel_size[a] - 1) + 1;
    size.push_back(least + static_cast<int64_t>(r.engine() % static_cast<uint64_t>(o.stride[a])));
    ys.push_back(size[-1]);
  }
  const Tensor x = here::randn(xs).to(d);
  CAPTURE(printed(up));
  CAPTURE(xs);
  CAPTURE(size);
  CAPTURE(d);
  // it is the adjoint of the convolution from ys to xs
  auto want = reference_conv({}, up.weight.template to_vector<double>(), x.to_vector<double>(), ys, up.weight.shape(),
                             xs, up.geometry().params);
  add_bias(want, ys, up.bias);
  const Tensor y = up(stored(x, static_cast<Memory>(i / 4 % 3)), size);
  CHECK(y.shape() == ys);
  CHECK(worst_difference(y, want) <= layer_tolerance(d));
  CHECK(up(x.select(0, 0), size).shape() == ys.slice(1));
  CHECK(up(here::zeros(Shape(xs)).narrow(0, 0, 0).to(d), size).size(0) == 0);
}

/// Gradients with other parameters than the module's own.
template <class M> void check_orders(M layer, const Shape& x) {
  layer.to(Dtype::f64);
  layer.to(support::device());
  CAPTURE(printed(layer));
  CAPTURE(x);
  std::vector<Tensor> in{here::randn(x, Dtype::f64).set_requires_grad(), layer.weight.tensor()};
  if (layer.bias.defined()) in.push_back(layer.bias);
  auto f = [&](const std::vector<Tensor>& t) {
    M l = layer;
    l.weight.stand_in(t[1]);
    if (t.size() > 2) l.bias.stand_in(t[2]);
    return l(t[0]);
  };
  CHECK(gradcheck(f, in));
  CHECK(gradgradcheck(f, in));
}

}  // namespace

TEST_SUITE_BEGIN("conv layers");

DEVICE_TEST_CASE("random layers: all modes, layouts and dtypes, with and without batch") {
  manual_seed(1);
  Random r{std::mt19937(1)};
  for (int i = 0; i < 36; ++i) {
    check_random_layer<1>(r, i);
    check_random_layer<2>(r, i);
    check_random_layer<3>(r, i);
  }
}

DEVICE_TEST_CASE("random transposed layers with output_size") {
  manual_seed(2);
  Random r{std::mt19937(2)};
  for (int i = 0; i < 24; ++i) {
    check_random_transposed<1>(r, i);
    check_random_transposed<2>(r, i);
    check_random_transposed<3>(r, i);
  }
}

DEVICE_TEST_CASE("channel counts around the vector widths, padded by index") {
  manual_seed(3);
  for (const int64_t c : {1, 3, 8, 16, 17, 64, 65})
    for (const char* mode : {"zeros", "reflect", "circular"}) {
      const int64_t o = c == 1 ? 65 : c == 65 ? 17 : 64 / c;
      auto conv = here::module(nn::Conv2d(c, o, {.kernel_size = {3, 4}, .padding = "same", .padding_mode = mode}));
      const Tensor x = here::randn({1, c, 9, 10});
      Shape wide;
      const auto xp = padded(x.to_vector<double>(), x.shape(), conv.geometry().params, mode, wide);
      auto want = reference_conv(xp, conv.weight.to_vector<double>(), {}, wide, conv.weight.shape(), {1, o, 9, 10},
                                 ConvParams::plain(2));
      add_bias(want, {1, o, 9, 10}, conv.bias);
      CAPTURE(printed(conv));
      CHECK(worst_difference(conv(x), want) <= layer_tolerance(Dtype::f32));
    }
}

DEVICE_TEST_CASE("the gradient is the adjoint, in every mode") {
  manual_seed(4);
  for (const char* mode : {"zeros", "reflect", "replicate", "circular"}) {
    auto conv = here::module(nn::Conv2d(
        3, 4,
        {.kernel_size = {3, 2}, .stride = {2, 1}, .padding = {{2, 1}, {0, 3}}, .bias = false, .padding_mode = mode}));
    conv.to(Dtype::f64);
    Tensor x = here::randn({2, 3, 6, 5}, Dtype::f64).set_requires_grad();
    const Tensor y = conv(x), g = here::randn(y.shape(), Dtype::f64);
    y.backward(g);
    // <C x, g> = <x, C' g>, C linear in x
    CHECK(sum(y * g).item<double>() == doctest::Approx(sum(x * x.grad()).item<double>()));
    CHECK(sum(y * g).item<double>() == doctest::Approx(sum(conv.weight * conv.weight.grad()).item<double>()));
  }
}

DEVICE_TEST_CASE("layers: gradients of all orders") {
  manual_seed(5);
  check_orders(nn::Conv1d(3, 2, {.kernel_size = 3, .padding = {{2, 1}}, .padding_mode = "reflect"}), {2, 3, 4});
  check_orders(nn::Conv1d(4, 4, {.kernel_size = 2, .padding = "same", .groups = 4, .padding_mode = "circular"}),
               {4, 5});
  check_orders(nn::Conv2d(2, 3, {.kernel_size = {3, 2}, .stride = 2, .padding = 1, .padding_mode = "replicate"}),
               {1, 2, 4, 3});
  check_orders(nn::Conv2d(2, 2, {.kernel_size = 2, .padding = {{0, 1}, {2, 1}}, .groups = 2, .bias = false}),
               {2, 3, 2});
  check_orders(nn::Conv3d(2, 1, {.kernel_size = {1, 2, 2}, .padding = "same", .padding_mode = "circular"}),
               {1, 2, 1, 3, 2});
  check_orders(nn::Conv3d(1, 2, {.kernel_size = 2, .dilation = {1, 2, 1}}), {1, 1, 2, 3, 2});
  check_orders(nn::ConvTranspose1d(3, 2, {.kernel_size = 3, .stride = 2, .padding = 1, .output_padding = 1}),
               {2, 3, 3});
  check_orders(nn::ConvTranspose2d(2, 4, {.kernel_size = 2, .stride = {1, 2}, .groups = 2, .dilation = 2}), {2, 2, 3});
  check_orders(nn::ConvTranspose3d(2, 1, {.kernel_size = {2, 1, 2}, .stride = 2, .bias = false}), {1, 2, 1, 2, 2});
}

TEST_SUITE_END();
