// Sliding blocks: unfold against its definition, fold as its adjoint.
#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/gradcheck.h"
#include "weft/core/factory.h"

using namespace weft;

TEST_SUITE("fold") {
  DEVICE_TEST_CASE("unfold by its definition, fold as its adjoint, in every layout") {
    struct Case {
      Dims<2> kernel;
      FoldOptions o;
    };
    const Case cases[] = {
        {3, {}},
        {{2, 3}, {.padding = 1}},
        {{1, 2}, {.dilation = {1, 3}, .padding = {0, 2}, .stride = {2, 1}}},
        {2, {.dilation = 2, .padding = 4, .stride = 3}},
    };
    const Tensor x = here::randint(-9, 9, {2, 3, 5, 6}).to(Dtype::f64);  // whole numbers: sums are exact in any order
    for (const Case& c : cases) {
      const Tensor y = unfold(x, c.kernel, c.o);
      const int64_t kh = c.kernel[0], kw = c.kernel[1],
                    oh = (5 + 2 * c.o.padding[0] - c.o.dilation[0] * (kh - 1) - 1) / c.o.stride[0] + 1;
      const int64_t ow = (6 + 2 * c.o.padding[1] - c.o.dilation[1] * (kw - 1) - 1) / c.o.stride[1] + 1;
      REQUIRE(y.shape() == Shape{2, 3 * kh * kw, oh * ow});
      std::vector<double> want;
      for (int64_t row = 0; row < 2 * 3 * kh * kw; ++row)
        for (int64_t l = 0; l < oh * ow; ++l) {
          const int64_t h = l / ow * c.o.stride[0] - c.o.padding[0] + row / kw % kh * c.o.dilation[0];
          const int64_t w = l % ow * c.o.stride[1] - c.o.padding[1] + row % kw * c.o.dilation[1];
          const bool inside = h >= 0 && h < 5 && w >= 0 && w < 6;
          want.push_back(inside ? x.reshape({6, 5, 6})[row / (kh * kw)][h][w].item<double>() : 0);
        }
      CHECK(y.to_vector<double>() == want);
      CHECK(equal(unfold(x.contiguous(MemoryFormat::channels_last), c.kernel, c.o), y));
      const Tensor g = here::randint(-9, 9, y.shape()).to(Dtype::f64);
      const Tensor back = fold(g, {5, 6}, c.kernel, c.o);
      CHECK(back.shape() == x.shape());
      CHECK(sum(y * g).item<double>() == sum(x * back).item<double>());
      CHECK(equal(fold(g.permute({2, 0, 1}).contiguous().permute({1, 2, 0}), {5, 6}, c.kernel, c.o), back));
      const Tensor leaf = x.narrow(0, 0, 1).narrow(1, 0, 1).clone().set_requires_grad();
      CHECK(gradcheck([&](const std::vector<Tensor>& t) { return square(unfold(t[0], c.kernel, c.o)); }, {leaf}));
      CHECK(gradgradcheck([&](const std::vector<Tensor>& t) { return square(unfold(t[0], c.kernel, c.o)); }, {leaf}));
    }
  }

  DEVICE_TEST_CASE("without a batch, and what does not fit") {
    const Tensor x = here::rand({3, 4, 4});
    CHECK(unfold(x, 2).shape() == Shape{12, 9});
    CHECK(fold(unfold(x, 2, {.stride = 2}), 4, 2, {.stride = 2}).shape() == x.shape());
    CHECK(equal(fold(unfold(x, 2, {.stride = 2}), 4, 2, {.stride = 2}), x));
    CHECK(equal(fold(here::ones({1, 4, 1000}, Dtype::f32).narrow(2, 0, 9), 4, 2), fold(here::ones({1, 4, 9}), 4, 2)));
    CHECK_THROWS_AS((void)unfold(x, 5), ShapeError);
    CHECK_THROWS_AS((void)unfold(here::ones({2, 2}), 1), ShapeError);
    CHECK_THROWS_AS((void)unfold(x, 2, {.stride = 0}), ValueError);
    CHECK_THROWS_AS((void)fold(here::ones({1, 5, 9}), 4, 2), ShapeError);
    CHECK_THROWS_AS((void)fold(here::ones({1, 4, 8}), 4, 2), ShapeError);
  }
}
