// Resizing against naive loops and finite differences.
#include <cmath>

#include "derivative.h"
#include "support/here.h"
#include "support/reference.h"
#include "support/strided.h"
#include "support/throws.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/layer/resize.h"

using namespace weft;
using support::Array;
using weft::test::ramp;
using enum InterpolateMode;

namespace {

/// (source, weight) of one axis, PyTorch's definition written out.
std::vector<std::pair<int64_t, double>> taps(InterpolateMode mode, int64_t o, int64_t in, double scale, bool align) {
  const auto clip = [&](int64_t i) { return std::clamp<int64_t>(i, 0, in - 1); };
  if (mode == nearest)
    return {{clip(static_cast<int64_t>(std::floor(static_cast<float>(o) * static_cast<float>(scale)))), 1}};
  if (mode == nearest_exact)
    return {{clip(static_cast<int64_t>(std::floor((static_cast<float>(o) + 0.5f) * static_cast<float>(scale)))), 1}};
  double at = align ? static_cast<double>(o) * scale : (static_cast<double>(o) + 0.5) * scale - 0.5;
  if (mode == bicubic) {
    const double base = std::floor(at), t = at - base, a = -0.75;
    const auto near = [&](double x) { return (a + 2) * x * x * x - (a + 3) * x * x + 1; };
    const auto far = [&](double x) { return a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a; };
    const int64_t i = static_cast<int64_t>(base);
    return {{clip(i - 1), far(t + 1)}, {clip(i), near(t)}, {clip(i + 1), near(1 - t)}, {clip(i + 2), far(2 - t)}};
  }
  at = std::max(at, 0.0);
  const int64_t i = clip(static_cast<int64_t>(at));
  return {{i, 1 - (at - static_cast<double>(i))}, {clip(i + 1), at - static_cast<double>(i)}};
}
/// The same of an antialiased mode: all inputs, each by its distance from the output's centre, in widths of the kernel.
std::vector<std::pair<int64_t, double>> wide_taps(InterpolateMode mode, int64_t o, int64_t in, double scale) {
  const double width = std::max(scale, 1.0), centre = (static_cast<double>(o) + 0.5) * scale, a = -0.5;
  std::vector<std::pair<int64_t, double>> list;
  double sum = 0;
  for (int64_t i = 0; i < in; ++i) {
    const double t = std::abs((static_cast<double>(i) + 0.5 - centre) / width);
    const double near = (a + 2) * t * t * t - (a + 3) * t * t + 1,
                 far = a * t * t * t - 5 * a * t * t + 8 * a * t - 4 * a;
    list.emplace_back(i, mode == bilinear ? std::max(0.0, 1 - t) : t < 1 ? near : t < 2 ? far : 0);
    sum += list.back().second;
  }
  for (auto& tap : list) tap.second /= sum;
  return list;
}
double axis_scale(int64_t in, int64_t out, bool align) {
  if (align) return out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0;
  return static_cast<double>(in) / static_cast<double>(out);
}
GradFn ops(const std::function<Tensor(const std::vector<Tensor>&)>& f) { return GradFn(f); }

}  // namespace

TEST_SUITE("resize") {
  DEVICE_TEST_CASE("antialiased modes, sizes up and down, layouts") {
    for (const int64_t C : {3, 70}) {
      const Tensor x = ramp({2, C, 15, 6});
      const Array in(x);
      for (const InterpolateMode mode : {bilinear, bicubic})
        for (const auto& size : {std::pair<int64_t, int64_t>{2, 7}, {20, 4}, {4, 3}, {1, 1}, {15, 6}})
          for (const bool align : {false, true}) {
            const int64_t oh = size.first, ow = size.second;  // clang 14 cannot capture a structured binding
            const Array want = support::generate({2, C, oh, ow}, [&](const auto& o) {
              double s = 0;
              for (const auto& [h, u] : wide_taps(mode, o[2], 15, axis_scale(15, oh, align)))
                for (const auto& [w, v] : wide_taps(mode, o[3], 6, axis_scale(6, ow, align)))
                  s += u * v * in.at({o[0], o[1], h, w});
              return s;
            });
            const InterpolateOptions options{.size = {oh, ow}, .mode = mode, .align_corners = align, .antialias = true};
            for (const Tensor& layout : {x, support::channels_last(x), support::scattered(x)})
              CHECK(allclose(interpolate(layout, options), here::tensor(want.v, want.shape), 1e-12, 1e-12));
          }
    }
    // a shrunk checkerboard is grey
    const Tensor board = here::tensor({0., 1., 0., 1., 0., 1., 0., 1.}, Shape{1, 1, 1, 8});
    const Tensor grey = interpolate(board, {.size = {1, 2}, .mode = bilinear, .antialias = true});
    CHECK(grey.to_vector<double>()[0] == doctest::Approx(0.5).epsilon(0.1));
    // bytes end at 0 and 255, as PyTorch's
    const Tensor bytes = here::tensor({0., 0., 0., 255., 255., 255., 0., 0.}, Shape{1, 1, 1, 8}).to(Dtype::u8);
    for (const bool antialias : {false, true}) {
      const Tensor y = interpolate(bytes, {.size = {1, 16}, .mode = bicubic, .antialias = antialias});
      CHECK(y.dtype() == Dtype::u8);
      CHECK(y.to_vector<int64_t>()[4] == 0);
      CHECK(y.to_vector<int64_t>()[8] == 255);
    }
  }
  DEVICE_TEST_CASE("2-d modes, sizes up and down, layouts") {
    for (const int64_t C : {3, 70}) {
      const Tensor x = ramp({2, C, 5, 6});
      const Array in(x);
      for (const InterpolateMode mode : {nearest, nearest_exact, bilinear, bicubic})
        for (const auto& size : {std::pair<int64_t, int64_t>{9, 7}, {10, 12}, {3, 4}, {1, 1}, {5, 6}})
          for (const bool align : {false, true}) {
            const int64_t oh = size.first, ow = size.second;  // clang 14 cannot capture a structured binding
            if (align && (mode == nearest || mode == nearest_exact)) continue;
            const Array want = support::generate({2, C, oh, ow}, [&](const auto& o) {
              double s = 0;
              for (const auto& [h, u] : taps(mode, o[2], 5, axis_scale(5, oh, align), align))
                for (const auto& [w, v] : taps(mode, o[3], 6, axis_scale(6, ow, align), align))
                  s += u * v * in.at({o[0], o[1], h, w});
              return s;
            });
            InterpolateOptions options{.size = {oh, ow}, .mode = mode};
            if (align) options.align_corners = true;
            for (const Tensor& layout : {x, support::channels_last(x), support::scattered(x)}) {
              const Tensor y = interpolate(layout, options);
              REQUIRE(y.shape() == want.shape);
              CHECK(allclose(y, here::tensor(want.v, want.shape), 1e-12, 1e-12));
            }
          }
    }
  }

  DEVICE_TEST_CASE("1-d and 3-d, scale factors, other dtypes") {
    const Tensor l = here::tensor({0., 1., 2., 3.}, Shape{1, 1, 4});
    CHECK(interpolate(l, {.scale_factor = 2, .mode = linear}).to_vector<double>() ==
          std::vector<double>{0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3});
    CHECK(interpolate(l, {.scale_factor = 1.7}).shape() == Shape{1, 1, 6});
    // 1 / 1.7 per output, not 4 / 6: the third output reads floor(2 / 1.7) = 1, the last floor(5 / 1.7) = 2
    CHECK(interpolate(l, {.scale_factor = 1.7}).to_vector<double>() == std::vector<double>{0, 0, 1, 1, 2, 2});
    CHECK(interpolate(l, {.scale_factor = 1.7, .recompute_scale_factor = true}).to_vector<double>() ==
          std::vector<double>{0, 0, 1, 2, 2, 3});
    const Tensor v = ramp({1, 2, 3, 4, 5});
    CHECK(allclose(interpolate(v, {.size = {3, 4, 5}, .mode = trilinear}), v));
    CHECK(interpolate(v, {.size = {5, 2, 5}, .mode = nearest}).shape() == Shape{1, 2, 5, 2, 5});
    CHECK(interpolate(v, {.size = {2}, .mode = area}).shape() == Shape{1, 2, 2, 2, 2});
    const Tensor bytes = here::tensor(std::vector<uint8_t>{0, 10, 20, 31}, Shape{1, 1, 2, 2});
    CHECK(interpolate(bytes, {.size = {4, 4}}).to_vector<int64_t>() ==
          std::vector<int64_t>{0, 0, 10, 10, 0, 0, 10, 10, 20, 20, 31, 31, 20, 20, 31, 31});
    CHECK(interpolate(bytes, {.size = {1}, .mode = bilinear}).to_vector<int64_t>() == std::vector<int64_t>{15});
    CHECK(allclose(interpolate(ramp({1, 3, 4, 4}).to(Dtype::bf16), {.size = {7, 7}, .mode = bilinear}).to(Dtype::f64),
                   interpolate(ramp({1, 3, 4, 4}).to(Dtype::bf16).to(Dtype::f64), {.size = {7, 7}, .mode = bilinear}),
                   1. / 256, 1e-6));
  }

  DEVICE_TEST_CASE("derivatives of every order") {
    for (const bool rows : {false, true}) {
      Tensor x = ramp({2, 3, 4, 5}), v = ramp({1, 2, 3, 2, 3});
      if (rows) x = support::channels_last(x), v = support::channels_last(v);
      x.set_requires_grad(), v.set_requires_grad();
      const std::vector<std::pair<GradFn, Tensor>> cases = {
          {ops([](const auto& in) {
             return interpolate(in[0], {.size = {7, 3}, .mode = bilinear});
           }),
           x},
          {ops([](const auto& in) {
             return interpolate(in[0], {.scale_factor = 2, .mode = bicubic, .align_corners = true});
           }),
           x},
          {ops([](const auto& in) {
             return interpolate(in[0], {.size = {7, 3}});
           }),
           x},
          {ops([](const auto& in) {
             return interpolate(in[0], {.size = {2, 7}, .mode = bicubic, .antialias = true});
           }),
           x},
          {ops([](const auto& in) {
             return interpolate(in[0], {.size = {2, 5, 3}, .mode = trilinear});
           }),
           v},
      };
      for (const auto& [f, at] : cases) {
        CHECK(gradcheck(f, {at}));
        CHECK(gradgradcheck(f, {at}));
      }
    }
  }

  DEVICE_TEST_CASE("linear: a neighbour that weighs nothing is not read") {
    const double inf = HUGE_VAL;
    // outputs 0, 1, 3, 4 lie at 0, 0.4, 1.6, 2 (the borders hold)
    const Tensor x = here::tensor({1., 2., inf}, Shape{1, 1, 3}), y = here::tensor({inf, 2., 3.}, Shape{1, 1, 3});
    const InterpolateOptions o{.size = {5}, .mode = InterpolateMode::linear};
    const std::vector<double> right = interpolate(x, o).to_vector<double>(),
                              left = interpolate(y, o).to_vector<double>();
    CHECK(right[0] == 1);
    CHECK(right[4] == inf);
    CHECK(left[4] == 3);
    const Tensor same = interpolate(here::tensor({1., inf, 2.}, Shape{1, 1, 3}),
                                    {.size = {3}, .mode = InterpolateMode::linear});
    CHECK(same.to_vector<double>()[0] == 1);
    CHECK(same.to_vector<double>()[2] == 2);
  }

  DEVICE_TEST_CASE("errors") {
    const Tensor x = here::ones({1, 1, 4, 4});
    CHECK_THROWS_AS((void)interpolate(x, {}), ValueError);
    CHECK_THROWS_AS((void)interpolate(x, {.size = {2, 2}, .scale_factor = 2}), ValueError);
    CHECK_THROWS_AS((void)interpolate(x, {.size = {2}, .mode = linear}), ShapeError);
    CHECK_THROWS_AS((void)interpolate(x, {.size = {2, 2}, .align_corners = false}), ValueError);
    CHECK_THROWS_AS((void)interpolate(x, {.size = {2, 2}, .antialias = true}), ValueError);
    CHECK_THROWS_AS((void)interpolate(x, {.scale_factor = 0.1}), ShapeError);
    CHECK(support::message_of<ValueError>([] { (void)interpolate_mode("cubic"); }).find("cubic") != std::string::npos);
  }
}
