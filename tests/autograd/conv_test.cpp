// Convolutions against the loops of their definition, over random geometry; adjointness; second derivatives; errors.
#include "weft/autograd/ops/layer/conv.h"
#include "support/here.h"

#include <cmath>
#include <random>

#include "support/reference_conv.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"

using namespace weft;
using weft::test::reference_conv;

namespace {

// Multiples of 1/8 in [-1, 1]: exact in every floating dtype, so that only the sums round.
Tensor eighths(const Shape& shape, Dtype dtype, std::mt19937& random) {
  std::vector<double> v(static_cast<size_t>(shape.numel()));
  for (double& x : v) x = static_cast<double>(static_cast<int>(random() % 17) - 8) / 8;
  return here::tensor(v, shape).to(dtype);
}

// Largest |a - b| relative to the size that the sums of `terms` products have.
double difference(const Tensor& a, const std::vector<double>& b, double terms) {
  const std::vector<double> v = a.to_vector<double>();
  REQUIRE(v.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < v.size(); ++i) worst = std::max(worst, std::isnan(v[i]) ? 1e9 : std::abs(v[i] - b[i]));
  return worst / std::sqrt(terms);
}

// Products are multiples of 1/64 and sums of up to thousands of them below 2^17/64: f32 and f64 sums are exact but for
// Winograd's algorithm, whose transforms leave up to 3.2e-6 sqrt(terms) in the worst element (sums are of the size 0.4
// sqrt(terms)); twice that is allowed. Halves round once to 8 or 11 bits, and sums stay below 4 sqrt(terms).
double tolerance(Dtype d) {
  return d == Dtype::f64 ? 1e-14 : d == Dtype::f32 ? 6.4e-6 : d == Dtype::f16 ? 4.0 / 2048 : 4.0 / 256;
}

enum class Layout { contiguous, channels_last, sliced };

Tensor laid_out(const Tensor& x, Layout layout) {
  if (layout == Layout::contiguous) return x;
  if (layout == Layout::channels_last) return x.contiguous(MemoryFormat::channels_last);
  Shape wide = x.shape();
  wide[1] += 3;
  wide[-1] *= 2;
  Tensor all = here::full(wide, 99, x.dtype()), view = all.narrow(1, 2, x.size(1)).slice(-1, {}, {}, 2);
  view.copy_(x);
  return view;
}

struct Case {
  int64_t n, c, o;
  Shape in, kernel;
  ConvParams p;
};

void check_case(const Case& k, Dtype dtype, Layout layout, std::mt19937& random) {
  Shape xs{k.n, k.c}, ws{k.o, k.c / k.p.groups}, ys{k.n, k.o};
  for (int i = 0; i < k.in.size(); ++i) {
    xs.push_back(k.in[i]), ws.push_back(k.kernel[i]);
    ys.push_back(k.p.output_size(i, k.in[i], k.kernel[i]));
    if (ys[-1] < 1) return;
  }
  const Tensor x = eighths(xs, dtype, random), w = eighths(ws, dtype, random), g = eighths(ys, dtype, random);
  const auto xv = x.to_vector<double>(), wv = w.to_vector<double>(), gv = g.to_vector<double>();
  const Tensor xl = laid_out(x, layout), gl = laid_out(g, layout),
               wl = layout == Layout::sliced ? laid_out(w, layout) : w;
  CAPTURE(xs);
  CAPTURE(ws);
  CAPTURE(k.p.stride);
  CAPTURE(k.p.padding_lo);
  CAPTURE(k.p.padding_hi);
  CAPTURE(k.p.dilation);
  CAPTURE(k.p.groups);
  CAPTURE(dtype);
  CAPTURE(static_cast<int>(layout));
  const double taps = static_cast<double>(k.kernel.numel());
  CHECK(difference(conv(xl, wl, {}, k.p), reference_conv(xv, wv, {}, xs, ws, ys, k.p),
                   taps * static_cast<double>(ws[1])) < tolerance(dtype));
  CHECK(difference(conv_input_grad(gl, wl, xs, k.p), reference_conv({}, wv, gv, xs, ws, ys, k.p),
                   taps * static_cast<double>(k.o / k.p.groups)) < tolerance(dtype));
  CHECK(difference(conv_weight_grad(xl, gl, ws, k.p), reference_conv(xv, {}, gv, xs, ws, ys, k.p),
                   static_cast<double>(k.n * ys.slice(2).numel())) < tolerance(dtype));
}

ConvParams square(int rank, int64_t stride, int64_t lo, int64_t hi, int64_t dilation, int64_t groups) {
  return {Shape::filled(rank, stride), Shape::filled(rank, lo), Shape::filled(rank, hi), Shape::filled(rank, dilation),
          groups};
}

}  // namespace

TEST_SUITE("conv") {
  DEVICE_TEST_CASE("channel counts around the vector widths") {
    std::mt19937 random(1);
    for (int64_t c : {1, 3, 8, 16, 17, 64, 65})
      for (int64_t o : {1, 3, 8, 16, 17, 64, 65})
        check_case({2, c, o, {9, 10}, {3, 3}, square(2, 1, 1, 1, 1, 1)}, Dtype::f32, Layout::channels_last, random);
  }
  DEVICE_TEST_CASE("random geometry of rank 1, 2 and 3, all dtypes and layouts") {
    std::mt19937 random(2);
    auto pick = [&](std::initializer_list<int64_t> v) { return v.begin()[random() % v.size()]; };
    for (int i = 0; i < 240; ++i) {
      const int rank = 1 + i % 3;
      Case k;
      k.n = pick({1, 2, 3});
      k.p.groups = pick({1, 1, 1, 2, 4});
      k.c = k.p.groups * pick({1, 3, 4, 8, 17});
      k.o = k.p.groups * pick({1, 2, 5, 8, 16});
      if (i % 11 == 0) k.p.groups = k.c = k.o = 16;  // depthwise
      for (int a = 0; a < rank; ++a) {
        k.in.push_back(pick({3, 5, 7, rank == 3 ? 6 : 12}));
        k.kernel.push_back(pick({1, 2, 3, 3, 5}));
        k.p.stride.push_back(pick({1, 1, 2, 3}));
        k.p.padding_lo.push_back(pick({0, 1, 2}));
        k.p.padding_hi.push_back(pick({0, 1, 2}));
        k.p.dilation.push_back(pick({1, 1, 2}));
      }
      const Dtype dtypes[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16};
      check_case(k, dtypes[i / 3 % 4], static_cast<Layout>(i / 12 % 3), random);
    }
  }
  DEVICE_TEST_CASE("geometries with kernels of their own") {
    std::mt19937 random(3);
    for (Dtype d : {Dtype::f32, Dtype::bf16}) {
      check_case({2, 64, 64, {14, 15}, {3, 3}, square(2, 1, 1, 1, 1, 1)}, d, Layout::channels_last,
                 random);  // Winograd
      check_case({1, 32, 48, {16, 33}, {3, 3}, square(2, 1, 0, 2, 1, 1)}, d, Layout::channels_last, random);
      check_case({1, 32, 32, {6, 15, 14}, {3, 3, 3}, square(3, 1, 1, 1, 1, 1)}, d, Layout::channels_last, random);
      check_case({1, 32, 3, {20, 21}, {7, 7}, square(2, 1, 3, 3, 1, 1)}, d, Layout::channels_last,
                 random);                                                                                 // few outputs
      check_case({2, 3, 32, {20, 21}, {9, 9}, square(2, 1, 4, 4, 1, 1)}, d, Layout::contiguous, random);  // few inputs
      check_case({2, 3, 64, {30, 31}, {7, 7}, square(2, 2, 3, 3, 1, 1)}, d, Layout::contiguous, random);
      check_case({2, 64, 32, {9, 9}, {1, 1}, square(2, 1, 0, 0, 1, 1)}, d, Layout::channels_last, random);  // 1x1
      check_case({2, 64, 32, {9, 9}, {1, 1}, square(2, 2, 0, 0, 1, 1)}, d, Layout::channels_last, random);
      check_case({2, 32, 48, {12, 14}, {2, 2}, square(2, 2, 0, 0, 1, 1)}, d, Layout::channels_last,
                 random);  // kernel = stride
      check_case({1, 16, 32, {6, 8, 10}, {2, 2, 2}, square(3, 2, 0, 0, 1, 1)}, d, Layout::channels_last, random);
      check_case({2, 32, 48, {13, 15}, {2, 2}, square(2, 2, 0, 0, 1, 1)}, d, Layout::channels_last,
                 random);  // a rest that no window reaches
      // weight gradients as sums over pixels: strides, dilation, channels beside the tiles, more pixels than a block
      check_case({2, 18, 20, {13, 14}, {3, 3}, square(2, 2, 1, 1, 1, 1)}, d, Layout::channels_last, random);
      check_case({2, 32, 48, {14, 18}, {3, 3}, square(2, 1, 2, 2, 2, 1)}, d, Layout::contiguous, random);
      check_case({3, 17, 33, {9, 10}, {2, 3}, square(2, 3, 0, 2, 2, 1)}, d, Layout::sliced, random);
      check_case({2, 16, 17, {300}, {5}, square(1, 1, 2, 2, 1, 1)}, d, Layout::channels_last, random);
      check_case({1, 40, 16, {2, 280}, {1, 3}, square(2, 2, 1, 1, 1, 1)}, d, Layout::channels_last, random);
      check_case({1, 24, 33, {6, 9, 10}, {3, 3, 3}, square(3, 2, 1, 1, 1, 1)}, d, Layout::channels_last, random);
    }
  }
  DEVICE_TEST_CASE("Winograd's tiles: dilation, edges, channels beside the vectors, few maps") {
    std::mt19937 random(6);
    const Case cases[] = {
        {2, 40, 72, {28, 30}, {3, 3}, square(2, 1, 2, 2, 2, 1)},
        {3, 24, 24, {33, 31}, {3, 3}, square(2, 1, 3, 3, 3, 1)},
        {2, 25, 41, {26, 40}, {3, 3}, {{1, 1}, {0, 4}, {3, 1}, {2, 4}, 1}},
        {8, 96, 33, {7, 7}, {3, 3}, square(2, 1, 1, 1, 1, 1)},
        {2, 150, 200, {17, 18}, {3, 3}, square(2, 1, 1, 1, 1, 1)},  // no more tiles than outputs, blocks of channels
        {1, 129, 70, {26, 25}, {3, 3}, {{1, 1}, {0, 4}, {3, 1}, {2, 2}, 1}},
        {2, 31, 28, {4, 21, 20}, {3, 3, 3}, {{1, 1, 1}, {1, 2, 2}, {1, 2, 2}, {1, 2, 2}, 1}},
    };
    for (const Case& k : cases)
      for (Layout layout : {Layout::contiguous, Layout::channels_last, Layout::sliced})
        check_case(k, Dtype::f32, layout, random);
  }
  TEST_CASE("Winograd's bits do not depend on the number of threads") {
    std::mt19937 random(7);
    const int before = num_threads();
    for (const Shape& in : {Shape{2, 30, 24, 25}, Shape{1, 140, 23, 24}, Shape{1, 30, 5, 16, 17}}) {
      const int axes = static_cast<int>(in.size()) - 2;
      const ConvParams p = square(axes, 1, 1, 1, 1, 1);
      Shape ws{50, in[1]}, ys = in;
      for (int i = 0; i < axes; ++i) ws.push_back(3);
      ys[1] = 50;
      const Tensor x = randn(in), g = randn(ys);
      Tensor w = randn(ws);
      std::vector<std::vector<float>> first;
      for (const int threads : {1, 2, 3, 4}) {
        set_num_threads(threads);
        (void)w.mutable_data_ptr<float>();  // so that the transformed weight is made anew, and then found
        for (int i = 0; i < 2; ++i) {
          const std::vector<std::vector<float>> now{conv(x, w, {}, p).to_vector<float>(),
                                                    conv_input_grad(g, w, in, p).to_vector<float>(),
                                                    conv_weight_grad(x, g, ws, p).to_vector<float>()};
          if (first.empty()) first = now;
          CHECK(now == first);
        }
      }
    }
    set_num_threads(before);
  }
  DEVICE_TEST_CASE("four spatial axes") {
    std::mt19937 random(4);
    for (Dtype d : {Dtype::f32, Dtype::f64})
      check_case({2, 3, 4, {4, 3, 5, 4}, {2, 1, 3, 2}, square(4, 1, 1, 0, 1, 1)}, d, Layout::contiguous, random);
  }
  DEVICE_TEST_CASE("bias: forward, gradient with and without the weight's") {
    std::mt19937 random(5);
    for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16})
      for (int64_t o : {3, 32}) {
        Tensor x = eighths({2, 8, 6, 7}, d, random), w = eighths({o, 8, 3, 3}, d, random), b = eighths({o}, d, random);
        const auto plain = conv2d(x, w, {}, {.padding = 1}).to(Dtype::f64).contiguous();
        b.set_requires_grad();
        for (bool weight : {false, true}) {
          w = w.detach().set_requires_grad(weight);
          b.zero_grad();
          Tensor y = conv2d(x, w, b, {.padding = 1}), g = eighths(y.shape(), d, random);
          y.backward(g);
          const auto yv = y.to_vector<double>(), pv = plain.to_vector<double>(), gv = g.to_vector<double>(),
                     bv = b.to_vector<double>(), gb = b.grad().to_vector<double>();
          std::vector<double> sums(static_cast<size_t>(o));
          double worst = 0;
          for (size_t i = 0; i < yv.size(); ++i) {
            const size_t channel = i / 42 % static_cast<size_t>(o);
            sums[channel] += gv[i];
            worst = std::max(worst, std::abs(yv[i] - pv[i] - bv[channel]));
          }
          CHECK(worst <=
                (d == Dtype::bf16 ? 0.07 : 1e-5));  // bf16: two roundings of values up to 8, half a unit of 2^-5 each
          for (size_t i = 0; i < sums.size(); ++i)
            CHECK(std::abs(gb[i] - sums[i]) <= (d == Dtype::bf16 ? 0.04 * (1 + std::abs(sums[i])) : 1e-4));
        }
      }
  }
  DEVICE_TEST_CASE("results are channels-last, and a channels-last input is not copied") {
    Tensor x = here::ones({2, 16, 8, 8}).contiguous(MemoryFormat::channels_last);
    CHECK(conv2d(x, here::ones({16, 16, 3, 3})).is_channels_last());
    CHECK(conv3d(here::ones({1, 4, 3, 4, 5}), here::ones({8, 4, 1, 1, 1})).is_channels_last());
  }
  DEVICE_TEST_CASE("transposed: the adjoint of the convolution") {
    std::mt19937 random(6);
    // <conv(x), y> = <x, conv_transpose(y)>
    Tensor x = eighths({2, 6, 11, 9}, Dtype::f64, random), w = eighths({8, 3, 3, 2}, Dtype::f64, random);
    const ConvOptions<2> o{.stride = {2, 3}, .padding = {1, 0}, .dilation = {1, 2}, .groups = 2};
    Tensor y = eighths(conv2d(x, w, {}, o).shape(), Dtype::f64, random);
    Tensor back = conv_transpose2d(
        y, w, {}, {.stride = {2, 3}, .padding = {1, 0}, .output_padding = {0, 0}, .groups = 2, .dilation = {1, 2}});
    REQUIRE(back.shape() == x.shape());
    auto inner = [](const Tensor& a, const Tensor& b) {
      const auto u = a.to_vector<double>(), v = b.to_vector<double>();
      double s = 0;
      for (size_t i = 0; i < u.size(); ++i) s += u[i] * v[i];
      return s;
    };
    CHECK(inner(conv2d(x, w, {}, o), y) == doctest::Approx(inner(x, back)));
  }
  DEVICE_TEST_CASE("gradients of every order, in f64") {
    std::mt19937 random(7);
    auto leaf = [&](const Shape& shape) { return eighths(shape, Dtype::f64, random).set_requires_grad(); };
    auto check = [](const char* name, auto f, const std::vector<Tensor>& inputs) {
      CHECK(gradcheck(f, inputs, {.name = name}));
      CHECK(gradgradcheck(f, inputs, {.name = name}));
    };
    check("conv1d",
          [](const std::vector<Tensor>& t) {
            return conv1d(t[0], t[1], t[2], {.stride = 2, .padding = {{1, 2}}, .dilation = 2});
          },
          {leaf({2, 3, 9}), leaf({4, 3, 3}), leaf({4})});
    check("conv2d",
          [](const std::vector<Tensor>& t) {
            return conv2d(t[0], t[1], t[2], {.stride = {1, 2}, .padding = {1, 0}, .groups = 2});
          },
          {leaf({2, 4, 5, 6}), leaf({6, 2, 3, 2}), leaf({6})});
    check("conv3d", [](const std::vector<Tensor>& t) { return conv3d(t[0], t[1], {}, {.padding = "same"}); },
          {leaf({2, 3, 4, 3}), leaf({2, 2, 2, 3, 1})});
    check("conv_transpose1d",
          [](const std::vector<Tensor>& t) {
            return conv_transpose1d(t[0], t[1], t[2],
                                    {.stride = 3, .padding = 1, .output_padding = 2, .groups = 2, .dilation = 4});
          },
          {leaf({2, 4, 3}), leaf({4, 2, 3}), leaf({4})});
    check("conv_transpose2d",
          [](const std::vector<Tensor>& t) {
            return conv_transpose2d(t[0], t[1], t[2], {.stride = 2, .padding = {{0, 1}, {1, 0}}});
          },
          {leaf({1, 2, 3, 3}), leaf({2, 3, 2, 3}), leaf({3})});
    check("conv_transpose3d",
          [](const std::vector<Tensor>& t) {
            return conv_transpose3d(t[0], t[1], {}, {.stride = 2, .padding = 1, .output_padding = 1});
          },
          {leaf({1, 2, 2, 2, 2}), leaf({2, 1, 3, 3, 3})});
  }
  DEVICE_TEST_CASE("transposed: output padding holds taps, or only the bias") {
    // kernel 1, stride 3: elements that no tap reaches have the bias
    Tensor y = conv_transpose1d(here::tensor({1.f, 2.f}, Shape{1, 1, 2}), here::tensor({10.f}, Shape{1, 1, 1}),
                                here::tensor({5.f}), {.stride = 3, .output_padding = 2});
    CHECK((y.to_vector<float>() == std::vector<float>{15, 5, 5, 25, 5, 5}));
    y = conv_transpose1d(here::tensor({1.f, 2.f}, Shape{1, 1, 2}), here::tensor({1.f, 10.f}, Shape{1, 1, 2}), {},
                         {.padding = 1, .output_padding = 1, .dilation = 2});
    CHECK((y.to_vector<float>() == std::vector<float>{2, 10, 20}));
    for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16})
      CHECK((conv_transpose2d(here::tensor({1.f, 2.f}, Shape{1, 1, 1, 2}).to(d), here::ones({1, 3, 2, 2}, d), {},
                              {.stride = 2})
                 .to_vector<double>() ==
             std::vector<double>{1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2}));
  }
  DEVICE_TEST_CASE("same padding, unbatched and empty batches") {
    CHECK(conv2d(here::ones({3, 5, 6}), here::ones({4, 3, 2, 4}), {}, {.padding = "same"}).shape() == Shape{4, 5, 6});
    CHECK((conv1d(here::tensor({1.f, 2.f, 3.f}, Shape{1, 3}), here::ones({1, 1, 2}), {}, {.padding = "same"})
               .to_vector<float>() == std::vector<float>{3, 5, 3}));
    CHECK(conv2d(here::ones({1, 1, 4, 4}), here::ones({1, 1, 2, 2}), {}, {.padding = {{1, 0}, {0, 2}}}).shape() ==
          Shape{1, 1, 4, 5});
    Tensor x = here::zeros({0, 3, 5, 5}).set_requires_grad(), w = here::ones({4, 3, 3, 3}).set_requires_grad(),
           b = here::ones({4}).set_requires_grad();
    Tensor y = conv2d(x, w, b);
    CHECK(y.shape() == Shape{0, 4, 3, 3});
    y.backward(here::zeros({0, 4, 3, 3}));
    CHECK((w.grad().to_vector<float>() == std::vector<float>(108, 0)));
    CHECK((b.grad().to_vector<float>() == std::vector<float>(4, 0)));
    CHECK(x.grad().shape() == x.shape());
    CHECK(conv_transpose2d(x.detach(), here::ones({3, 2, 3, 3})).shape() == Shape{0, 2, 7, 7});
  }
  DEVICE_TEST_CASE("a changed weight is packed anew") {
    Tensor x = here::ones({1, 16, 4, 4}), w = here::ones({16, 16, 1, 1});
    CHECK(conv2d(x, w).to_vector<float>()[0] == 16);
    w.fill_(2);
    CHECK(conv2d(x, w).to_vector<float>()[0] == 32);
    for (int i = 0; i < 3; ++i)
      CHECK(conv2d(x, here::full({16, 16, 1, 1}, i)).to_vector<float>()[0] == 16.f * static_cast<float>(i));
  }
  DEVICE_TEST_CASE("errors say the values") {
    CHECK_THROWS_WITH_AS((void)conv2d(here::ones({1, 5, 8, 8}), here::ones({8, 3, 3, 3})),
                         "conv2d: input has 5 channels but weight [8, 3, 3, 3] with groups=1 expects 3", ShapeError);
    CHECK_THROWS_AS((void)conv2d(here::ones({8, 8}), here::ones({8, 3, 3, 3})), ShapeError);
    CHECK_THROWS_AS((void)conv2d(here::ones({1, 3, 0, 8}), here::ones({8, 3, 3, 3}), {}, {.padding = 4}), ShapeError);
    CHECK_THROWS_AS((void)conv2d(here::ones({1, 3, 2, 8}), here::ones({8, 3, 3, 3})), ShapeError);
    CHECK_THROWS_AS((void)conv2d(here::ones({1, 3, 8, 8}), here::ones({8, 3, 3, 3}, Dtype::f64)), DtypeError);
    CHECK_THROWS_AS((void)conv2d(here::ones({1, 3, 8, 8}, Dtype::i64), here::ones({8, 3, 3, 3}, Dtype::i64)),
                    DtypeError);
    CHECK_THROWS_AS((void)conv2d(here::ones({1, 4, 8, 8}), here::ones({9, 2, 3, 3}), {}, {.groups = 2}), ShapeError);
    CHECK_THROWS_AS((void)conv2d(here::ones({1, 3, 8, 8}), here::ones({8, 3, 3, 3}), here::ones({7})), ShapeError);
    CHECK_THROWS_AS((void)conv2d(here::ones({1, 3, 8, 8}), here::ones({8, 3, 3, 3}), {}, {.stride = 0}), ValueError);
    CHECK_THROWS_AS((void)conv2d(here::ones({1, 3, 8, 8}), here::ones({8, 3, 3, 3}), {}, {.padding = -1}), ValueError);
    CHECK_THROWS_AS(
        (void)conv2d(here::ones({1, 3, 8, 8}), here::ones({8, 3, 3, 3}), {}, {.stride = 2, .padding = "same"}),
        ValueError);
    CHECK_THROWS_AS((void)conv2d(here::ones({1, 3, 8, 8}), here::ones({8, 3, 3, 3}), {}, {.padding = "some"}),
                    ValueError);
    CHECK_THROWS_AS(
        (void)conv_transpose2d(here::ones({1, 3, 8, 8}), here::ones({3, 8, 3, 3}), {}, {.output_padding = 1}),
        ValueError);
    CHECK_THROWS_AS((void)conv_transpose2d(here::ones({1, 3, 1, 1}), here::ones({3, 8, 1, 1}), {}, {.padding = 1}),
                    ShapeError);
    CHECK_THROWS_AS((void)conv_transpose2d(here::ones({1, 4, 8, 8}), here::ones({3, 8, 3, 3})), ShapeError);
  }

  DEVICE_TEST_CASE("an infinity reaches the outputs whose windows hold it, and no others") {
    // Winograd spreads one over its tiles, and says so: these have too few channels for it
    Generator g(7);
    const auto lost = [](const Tensor& t) {
      int64_t n = 0;
      for (double v : t.to_vector<double>()) n += !std::isfinite(v);
      return n;
    };
    const auto check = [&](Dtype d, int64_t C, int64_t O, int64_t k, int64_t stride, int64_t groups, int64_t channel) {
      CAPTURE(d);
      CAPTURE(C);
      CAPTURE(O);
      CAPTURE(k);
      CAPTURE(stride);
      CAPTURE(groups);
      CAPTURE(channel);
      std::vector<double> v(static_cast<size_t>(groups * C * 21 * 22), 0.5);
      v[static_cast<size_t>(channel * 21 * 22 + 8 * 22 + 10)] = INFINITY;
      const Tensor x = here::tensor(v, Shape{1, groups * C, 21, 22}).to(d),
                   w = (here::rand({groups * O, C, k, k}, Dtype::f32, &g) * 0.5 + 0.25).to(d);
      int64_t taps = 0;  // of an axis: the infinity lies at an even place
      for (int64_t t = 0; t < k; ++t) taps += (t + k / 2) % stride == 0;
      const Tensor y = conv2d(x, w, {}, {.stride = stride, .padding = k / 2, .groups = groups});
      CHECK(lost(y) == taps * taps * O);
      if (stride > 1) return;
      const Tensor back = w.reshape({groups, O, C, k, k}).transpose(1, 2).reshape({groups * C, O, k, k});
      const Tensor t = conv_transpose2d(x, back, {}, {.padding = k / 2, .groups = groups});
      CHECK(lost(t) == k * k * O);
    };
    for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16})
      for (const int64_t k : {1, 3, 5})
        for (const int64_t stride : {1, 2}) {
          for (const int64_t C : {1, 3, 4, 7, 8, 15})
            for (const int64_t O : {1, 4, 5, 18})
              for (const int64_t channel : {int64_t{0}, C - 1}) check(d, C, O, k, stride, 1, channel);
          for (const int64_t C : {1, 3, 4})
            for (const int64_t O : {1, 5}) check(d, C, O, k, stride, 2, 0);
        }
  }
}
