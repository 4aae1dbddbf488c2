// grid_sample against a naive loop and finite differences.
#include "derivative.h"
#include "support/here.h"
#include "support/reference.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/layer/resize.h"

using namespace weft;
using support::Array;
using weft::test::ramp;
using Mode = GridSampleOptions::Mode;
using Padding = GridSampleOptions::Padding;

namespace {

double reflected(double c, int64_t size, bool align) {
  const double low = align ? 0 : -0.5, high = align ? static_cast<double>(size - 1) : static_cast<double>(size) - 0.5;
  if (high <= low) return 0;
  while (c < low || c > high) c = c < low ? 2 * low - c : 2 * high - c;
  return c;
}
double source(double g, int64_t size, bool align) {
  const double n = static_cast<double>(size);
  return align ? (g + 1) / 2 * (n - 1) : ((g + 1) * n - 1) / 2;
}
double bounded(double c, int64_t size, const GridSampleOptions& o) {
  if (o.padding_mode == Padding::zeros) return c;
  if (o.padding_mode == Padding::reflection) c = reflected(c, size, o.align_corners);
  return std::clamp(c, 0.0, static_cast<double>(size - 1));
}
/// (position, weight) along one axis; a position outside counts as 0.
std::vector<std::pair<double, double>> taps(double g, int64_t size, const GridSampleOptions& o) {
  const double c = source(g, size, o.align_corners);
  if (o.mode == Mode::nearest) return {{std::nearbyint(bounded(c, size, o)), 1}};
  if (o.mode == Mode::bilinear) {
    const double p = bounded(c, size, o), i = std::floor(p);
    return {{i, 1 - (p - i)}, {i + 1, p - i}};
  }
  const double i = std::floor(c), t = c - i, a = -0.75;
  const auto near = [&](double x) { return (a + 2) * x * x * x - (a + 3) * x * x + 1; };
  const auto far = [&](double x) { return a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a; };
  return {{bounded(i - 1, size, o), far(t + 1)},
          {bounded(i, size, o), near(t)},
          {bounded(i + 1, size, o), near(1 - t)},
          {bounded(i + 2, size, o), far(2 - t)}};
}

}  // namespace

TEST_SUITE("resize") {
  DEVICE_TEST_CASE("grid_sample: modes, paddings, corners") {
    const Tensor x = ramp({2, 3, 4, 5}), grid = ramp({2, 3, 7, 2}, -2.3, 2.3, 2);
    const Array in(x), at(grid);
    for (const Mode mode : {Mode::bilinear, Mode::nearest, Mode::bicubic})
      for (const Padding padding : {Padding::zeros, Padding::border, Padding::reflection})
        for (const bool align : {false, true}) {
          const GridSampleOptions o{mode, padding, align};
          const Array want = support::generate({2, 3, 3, 7}, [&](const auto& i) {
            double s = 0;
            for (const auto& [h, u] : taps(at.at({i[0], i[2], i[3], 1}), 4, o))
              for (const auto& [w, v] : taps(at.at({i[0], i[2], i[3], 0}), 5, o))
                if (h >= 0 && w >= 0 && h < 4 && w < 5)
                  s += u * v * in.at({i[0], i[1], static_cast<int64_t>(h), static_cast<int64_t>(w)});
            return s;
          });
          CHECK(allclose(grid_sample(x, grid, o), here::tensor(want.v, want.shape), 1e-10, 1e-10));
        }
  }

  DEVICE_TEST_CASE("grid_sample: derivatives, 3-d, points at infinity") {
    Tensor x = ramp({1, 2, 3, 4}).set_requires_grad(), grid = ramp({1, 2, 3, 2}, -1.4, 1.4, 2).set_requires_grad();
    for (const Mode mode : {Mode::bilinear, Mode::bicubic})
      for (const Padding padding : {Padding::zeros, Padding::border, Padding::reflection}) {
        const GradFn f([=](const std::vector<Tensor>& in) {
          return grid_sample(in[0], in[1], {mode, padding, false});
        });
        CHECK(gradcheck(f, {x, grid}));
        CHECK(gradgradcheck(f, {x, grid}));
      }
    // the identity grid gives the volume back
    const Tensor v = ramp({1, 1, 2, 2, 2});
    std::vector<double> corners;
    for (double d : {-1., 1.})
      for (double h : {-1., 1.})
        for (double w : {-1., 1.}) corners.insert(corners.end(), {w, h, d});
    CHECK(allclose(grid_sample(v, here::tensor(corners, Shape{1, 2, 2, 2, 3}), {.align_corners = true}), v));
    const double inf = std::numeric_limits<double>::infinity();
    const Tensor wild = here::tensor({inf, 0., -inf, 0., std::nan(""), 0.}, Shape{1, 1, 3, 2});
    for (const Mode mode : {Mode::bilinear, Mode::nearest, Mode::bicubic})
      for (const Padding padding : {Padding::zeros, Padding::border, Padding::reflection}) {
        CAPTURE(static_cast<int>(mode));
        CAPTURE(static_cast<int>(padding));
        const Tensor x0 = x.detach().set_requires_grad();
        const Tensor y = grid_sample(x0, wild, {mode, padding});
        CHECK(all(isnan(y)).item<bool>());
        // one finite point beside them: x has its gradient, and no other
        const Tensor some = here::tensor({inf, 0., 0.2, -0.4, std::nan(""), 0.}, Shape{1, 1, 3, 2});
        const Tensor one = here::tensor({0.2, -0.4}, Shape{1, 1, 1, 2});
        const Tensor g = grad(sum(grid_sample(x0, some, {mode, padding})), {x0})[0];
        CHECK(equal(g, grad(sum(grid_sample(x0, one, {mode, padding})), {x0})[0]));
      }
    CHECK_THROWS_AS((void)grid_sample(x, here::ones({2, 1, 1, 2}, Dtype::f64)), ShapeError);
  }
}
