// Arithmetic that CPU and CUDA share: the geometry of a convolution, and the keys that sorting compares.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "weft/core/fn/conv.h"
#include "weft/core/fn/sort.h"

using namespace weft;

TEST_SUITE_BEGIN("fn");

TEST_CASE("the sizes of a convolution, and of axes that are not there") {
  // x [2, 6, 9, 8], w [4, 3, 3, 2], stride 2 and 1, padding 1 and 0 (low), 0 and 1 (high), dilation 1 and 3, 2 groups
  const int64_t x[] = {2, 6, 9, 8}, w[] = {4, 3, 3, 2}, y[] = {2, 4, 4, 6};
  const ConvParams params{{2, 1}, {1, 0}, {0, 1}, {1, 3}, 2};
  const fn::ConvGeometry<3> p(x, w, y, 4, params);
  CHECK(p.axes == 2);
  CHECK(p.in_size() == 72);
  CHECK(p.out_size() == 24);
  CHECK(p.taps() == 6);
  CHECK(p.group_c() == 3);
  CHECK(p.group_o() == 2);
  CHECK(p.regular());
  CHECK_FALSE(p.unit_stride());
  CHECK_FALSE(p.plain());
  CHECK_FALSE(p.depthwise());
  CHECK(p.kernel[2] == 1);
  CHECK(p.lo[2] == 0);
}

TEST_CASE("windows see what feeds them, and inputs feed the windows that see them") {
  for (int64_t stride = 1; stride <= 3; ++stride)
    for (int64_t dilation = 1; dilation <= 2; ++dilation)
      for (int64_t lo = 0; lo <= 2; ++lo) {
        const int64_t kernel = 3, in = 8, out = (in + lo + 1 - dilation * (kernel - 1) - 1) / stride + 1;
        const int64_t x[] = {1, 1, in}, w[] = {1, 1, kernel}, y[] = {1, 1, out};
        const fn::ConvGeometry<3> p(x, w, y, 3, {{stride}, {lo}, {1}, {dilation}, 1});
        REQUIRE(p.regular());
        for (int64_t k = 0; k < kernel; ++k) {
          std::vector<int64_t> fed(in, -1);
          for (int64_t o = 0; o < out; ++o) {
            const int64_t at = o * stride + k * dilation - lo;
            CHECK(p.seen_input(0, o, k) == (at >= 0 && at < in ? at : -1));
            if (at >= 0 && at < in) fed[static_cast<size_t>(at)] = o;
          }
          for (int64_t i = 0; i < in; ++i) CHECK(p.fed_output(0, i, k) == fed[static_cast<size_t>(i)]);
        }
      }
}

TEST_CASE("1x1 windows of stride 1 lie in memory as they are") {
  const int64_t x[] = {2, 4, 5}, w[] = {4, 1, 1};
  const fn::ConvGeometry<3> p(x, w, x, 3, {{1}, {0}, {0}, {1}, 4});
  CHECK(p.plain());
  CHECK(p.depthwise());
}

TEST_CASE("sort keys have the order of the values: NaN last, both zeros one") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  const float order[] = {-inf, -3.5f,        -std::numeric_limits<float>::denorm_min(), 0.0f, 1e-30f, 2.0f,
                         inf,  std::nanf("")};
  for (size_t i = 1; i < std::size(order); ++i) {
    CHECK(fn::sort_key(order[i - 1]) < fn::sort_key(order[i]));
    CHECK(fn::sort_key(double{order[i - 1]}) < fn::sort_key(double{order[i]}));
  }
  CHECK(fn::sort_key(-0.0f) == fn::sort_key(0.0f));
  CHECK(fn::sort_key(-std::nanf("")) == fn::sort_key(std::nanf("")));
  CHECK(fn::sort_key(int64_t{-1}) < fn::sort_key(int64_t{0}));
  CHECK(fn::sort_key(std::numeric_limits<int32_t>::min()) < fn::sort_key(int32_t{-1}));
  CHECK(fn::sort_key(uint8_t{7}) < fn::sort_key(uint8_t{200}));
  CHECK(fn::sort_key(false) < fn::sort_key(true));
}

TEST_CASE("items of equal keys are in the order of their positions, in both directions") {
  for (const bool descending : {false, true}) {
    const auto narrow = [&](float v, int64_t at) { return fn::sort_item<fn::NarrowItem>(v, at, descending); };
    const auto wide = [&](float v, int64_t at) { return fn::sort_item<fn::WideItem>(v, at, descending); };
    CHECK(narrow(2, 3) < narrow(2, 4));
    CHECK(wide(2, 3) < wide(2, 4));
    CHECK((narrow(1, 9) < narrow(2, 3)) == !descending);
    CHECK((wide(1, 9) < wide(2, 3)) == !descending);
    CHECK(narrow(1, 9).at() == 9);
    CHECK(wide(1, 9).at() == 9);
    CHECK(narrow(1, 9) < fn::NarrowItem::last());
    CHECK(wide(1, 9) < fn::WideItem::last());
  }
}

TEST_SUITE_END();
