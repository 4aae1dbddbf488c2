// Pooling against naive loops and finite differences.
#include <limits>

#include "derivative.h"
#include "support/here.h"
#include "support/reference.h"
#include "support/strided.h"
#include "support/throws.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/layer/pool.h"

using namespace weft;
using support::Array;
using weft::test::ramp;

namespace {

struct Plan {
  int64_t kernel, stride, pad, dilation;
  bool ceil;
  int64_t out(int64_t in) const {
    const double room = static_cast<double>(in + 2 * pad - dilation * (kernel - 1) - 1) / static_cast<double>(stride);
    int64_t o = static_cast<int64_t>(ceil ? std::ceil(room) : std::floor(room)) + 1;
    return ceil && (o - 1) * stride >= in + pad ? o - 1 : o;
  }
};

/// Calls f(value, flat position in the plane) for the real elements of a window of x [N, C, H, W].
void window(const Array& x, const Plan& p, const std::vector<int64_t>& o,
            const std::function<void(double, int64_t)>& f) {
  for (int64_t a = 0; a < p.kernel; ++a)
    for (int64_t b = 0; b < p.kernel; ++b) {
      const int64_t h = o[2] * p.stride - p.pad + a * p.dilation, w = o[3] * p.stride - p.pad + b * p.dilation;
      if (h >= 0 && w >= 0 && h < x.size(2) && w < x.size(3)) f(x.at({o[0], o[1], h, w}), h * x.size(3) + w);
    }
}
constexpr double kInf = std::numeric_limits<double>::infinity();
const Plan kPlans[] = {{2, 2, 0, 1, false}, {3, 2, 1, 1, false}, {3, 2, 0, 1, true},
                       {3, 1, 1, 2, false}, {2, 3, 1, 1, true},  {3, 2, 1, 2, true}};
GradFn ops(const std::function<Tensor(const std::vector<Tensor>&)>& f) { return GradFn(f); }

}  // namespace

TEST_SUITE("pool") {
  DEVICE_TEST_CASE("max_pool2d: values, indices, layouts, dtypes") {
    for (const Plan& p : kPlans) {
      for (const int64_t C : {3, 70}) {  // 70: a full block of channels and a tail
        const Tensor x = ramp({2, C, 9, 8});
        const Array in(x);
        Array index(Shape{2, C, p.out(9), p.out(8)});
        const Array want = support::generate(index.shape, [&](const auto& o) {
          double best = -kInf;
          window(in, p, o, [&](double v, int64_t at) {
            if (v > best) best = v, index.at(o) = static_cast<double>(at);
          });
          return best;
        });
        for (const Tensor& layout : {x, support::channels_last(x), support::scattered(x)}) {
          const Pooled r = max_pool2d_with_indices(layout, {.kernel_size = p.kernel,
                                                            .stride = p.stride,
                                                            .padding = p.pad,
                                                            .dilation = p.dilation,
                                                            .ceil_mode = p.ceil});
          REQUIRE(r.output.shape() == want.shape);
          CHECK(r.output.to_vector<double>() == want.v);
          CHECK(Array(r.indices).v == index.v);
        }
      }
    }
    const Tensor f = max_pool2d(ramp({1, 2, 6, 6}).to(Dtype::bf16), {.kernel_size = 2});
    CHECK(f.dtype() == Dtype::bf16);
    CHECK(equal(f, max_pool2d(ramp({1, 2, 6, 6}), {.kernel_size = 2}).to(Dtype::bf16)));
    CHECK(max_pool2d(here::ones({1, 4, 4}), {.kernel_size = 2}).shape() == Shape{1, 2, 2});
    CHECK(max_pool2d(here::ones({2, 16, 8, 8}), {.kernel_size = 2}).is_channels_last());
  }

  DEVICE_TEST_CASE("max pooling: ties go to the first, NaN wins, -inf counts") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    Tensor x = here::tensor({1., 1., 1., 1., 2., 0., 5., nan}, Shape{1, 1, 8}).set_requires_grad();
    const Pooled r = max_pool1d_with_indices(x, {.kernel_size = 4});
    CHECK(r.indices.to_vector<int64_t>() == std::vector<int64_t>{0, 7});
    CHECK(r.output.to_vector<double>()[0] == 1);
    CHECK(std::isnan(r.output.to_vector<double>()[1]));
    r.output.backward(here::ones({1, 1, 2}, Dtype::f64));
    CHECK(x.grad().to_vector<double>() == std::vector<double>{1, 0, 0, 0, 0, 0, 0, 1});
    const Pooled low = max_pool1d_with_indices(here::full({1, 1, 3}, -kInf), {.kernel_size = 3});
    CHECK(low.indices.to_vector<int64_t>() == std::vector<int64_t>{0});
  }

  DEVICE_TEST_CASE("average pooling: every way to count") {
    const Tensor x = ramp({2, 5, 9, 8});
    const Array in(x);
    for (const Plan& p : kPlans) {
      if (p.dilation != 1) continue;
      for (const bool include : {true, false})
        for (const std::optional<int64_t> divisor : {std::optional<int64_t>(), std::optional<int64_t>(-3)}) {
          const Array want = support::generate({2, 5, p.out(9), p.out(8)}, [&](const auto& o) {
            double s = 0, n = 0, area = 1;
            window(in, p, o, [&](double v, int64_t) { s += v, n += 1; });
            for (int d : {2, 3})
              area *= static_cast<double>(
                  std::min(o[static_cast<size_t>(d)] * p.stride - p.pad + p.kernel, in.size(d) + p.pad) -
                  (o[static_cast<size_t>(d)] * p.stride - p.pad));
            return s / (divisor ? static_cast<double>(*divisor) : (include ? area : n));
          });
          for (const Tensor& layout : {x, support::channels_last(x)}) {
            const Tensor y = avg_pool2d(layout, {.kernel_size = p.kernel,
                                                 .stride = p.stride,
                                                 .padding = p.pad,
                                                 .ceil_mode = p.ceil,
                                                 .count_include_pad = include,
                                                 .divisor_override = divisor});
            REQUIRE(y.shape() == want.shape);
            CHECK(allclose(y, here::tensor(want.v, want.shape), 1e-12, 1e-12));
          }
        }
    }
  }

  DEVICE_TEST_CASE("adaptive pooling") {
    const Tensor x = ramp({2, 3, 7, 5});
    const Array in(x);
    for (const auto& size : {std::pair<int64_t, int64_t>{3, 2}, {7, 5}, {1, 1}, {9, 4}}) {
      const int64_t oh = size.first, ow = size.second;  // clang 14 cannot capture a structured binding
      const auto each = [&](const std::vector<int64_t>& o, const std::function<void(double)>& f) {
        for (int64_t h = o[2] * 7 / oh; h < (o[2] * 7 + 7 + oh - 1) / oh; ++h)
          for (int64_t w = o[3] * 5 / ow; w < (o[3] * 5 + 5 + ow - 1) / ow; ++w) f(in.at({o[0], o[1], h, w}));
      };
      const Array mean = support::generate({2, 3, oh, ow}, [&](const auto& o) {
        double s = 0, n = 0;
        each(o, [&](double v) { s += v, n += 1; });
        return s / n;
      });
      const Array most = support::generate({2, 3, oh, ow}, [&](const auto& o) {
        double best = -kInf;
        each(o, [&](double v) { best = std::max(best, v); });
        return best;
      });
      CHECK(allclose(adaptive_avg_pool2d(x, {oh, ow}), here::tensor(mean.v, mean.shape), 1e-12, 1e-12));
      CHECK(adaptive_max_pool2d(x, {oh, ow}).to_vector<double>() == most.v);
    }
    CHECK(adaptive_avg_pool2d(x, {std::nullopt, 1}).shape() == Shape{2, 3, 7, 1});
    CHECK(adaptive_max_pool3d(here::ones({1, 2, 4, 4, 4}), 2).shape() == Shape{1, 2, 2, 2, 2});
  }

  DEVICE_TEST_CASE("derivatives of every order") {
    for (const bool rows : {false, true}) {
      Tensor x = ramp({2, 3, 6, 5}), v = ramp({1, 2, 4, 5, 3}), l = ramp({2, 3, 7});
      if (rows) x = support::channels_last(x), v = support::channels_last(v);
      for (Tensor* t : {&x, &v, &l}) t->set_requires_grad();
      const std::vector<std::pair<GradFn, Tensor>> cases = {
          {ops([](const auto& in) { return max_pool2d(in[0], {.kernel_size = 3, .stride = 2, .padding = 1}); }), x},
          {ops([](const auto& in) {
             return max_pool2d(in[0], {.kernel_size = {2, 3}, .stride = 1, .dilation = {2, 1}});
           }),
           x},
          {ops([](const auto& in) {
             return max_pool3d(in[0], {.kernel_size = 2, .stride = {2, 1, 1}, .ceil_mode = true});
           }),
           v},
          {ops([](const auto& in) { return max_pool1d(in[0], {.kernel_size = 3, .stride = 2}); }), l},
          {ops([](const auto& in) {
             return avg_pool2d(in[0], {.kernel_size = 3, .stride = 2, .padding = 1, .count_include_pad = false});
           }),
           x},
          {ops([](const auto& in) {
             return avg_pool3d(in[0], {.kernel_size = {1, 2, 2}});
           }),
           v},
          {ops([](const auto& in) {
             return adaptive_avg_pool2d(in[0], {4, 3});
           }),
           x},
          {ops([](const auto& in) {
             return adaptive_max_pool2d(in[0], {4, 3});
           }),
           x},
      };
      for (const auto& [f, at] : cases) {
        CHECK(gradcheck(f, {at}));
        CHECK(gradgradcheck(f, {at}));
      }
    }
  }

  DEVICE_TEST_CASE("max_unpool undoes max pooling") {
    Tensor x = ramp({2, 3, 4, 6});
    const Pooled p = max_pool2d_with_indices(x, {.kernel_size = 2});
    const Tensor y = max_unpool(p.output, p.indices, {4, 6});
    CHECK(equal(max_pool2d(where(eq(y, 0), -9, y), {.kernel_size = 2}), p.output));
    CHECK(sum(y).item<double>() == doctest::Approx(sum(p.output).item<double>()));
    Tensor small = p.output.detach().clone().set_requires_grad();
    CHECK(gradcheck(ops([&](const auto& in) { return max_unpool(in[0], p.indices, {4, 6}); }), {small}));
  }

  TEST_CASE("means of millions of f32 are those of f64") {
    // Sums of 512 in f32, of those in f64: 512 roundings of 2^-24 at most, 3e-5; of numbers of one sign far fewer show.
    const Tensor x = full({1, 1, 4000000}, 0.1f);
    CHECK(avg_pool1d(x, 4000000).item<double>() == doctest::Approx(0.1).epsilon(2e-6));
    for (const Shape& s : {Shape{1, 1, 2000, 2000}, Shape{1, 1, 4000000, 1}, Shape{1, 1, 1, 4000000}}) {
      const Tensor y = rand(s) + 1;
      CHECK(adaptive_avg_pool2d(y, 1).item<double>() ==
            doctest::Approx(mean(y.to(Dtype::f64)).item<double>()).epsilon(2e-6));
    }
    // 514 columns: a last block of two
    const Tensor z = rand({1, 3, 514, 3}), whole = adaptive_avg_pool2d(z, 1);
    CHECK(allclose(whole, mean(z.to(Dtype::f64), {2, 3}, true).to(Dtype::f32), 2e-6));
  }

  DEVICE_TEST_CASE("errors, empty batches, large kernels") {
    CHECK(support::message_of<ValueError>([] {
            (void)max_pool2d(here::ones({1, 1, 6, 6}), {.kernel_size = 2, .padding = 2});
          }).find("padding 2") != std::string::npos);
    CHECK_THROWS_AS((void)max_pool2d(here::ones({1, 1, 2, 2}), {.kernel_size = 3}), ShapeError);
    CHECK_THROWS_AS((void)avg_pool2d(here::ones({4, 4}), {.kernel_size = 2}), ShapeError);
    CHECK(max_pool2d(here::zeros({0, 3, 4, 4}), {.kernel_size = 2}).shape() == Shape{0, 3, 2, 2});
    CHECK(avg_pool2d(here::zeros({0, 3, 4, 4}), {.kernel_size = 2}).shape() == Shape{0, 3, 2, 2});
    const Tensor x = ramp({1, 2, 20, 20});  // 400 taps do not fit one byte
    Tensor leaf = x.clone().set_requires_grad();
    max_pool2d(leaf, {.kernel_size = 20}).backward(here::ones({1, 2, 1, 1}, Dtype::f64));
    CHECK(sum(leaf.grad()).item<double>() == 2);
    CHECK(sum(leaf.grad() * x).item<double>() == doctest::Approx(sum(adaptive_max_pool2d(x, 1)).item<double>()));
  }
}
