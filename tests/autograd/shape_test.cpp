// Joining, repeating, flipping, padding: values against index formulas written out, layouts kept, derivatives of both
// orders.
#include <functional>

#include "autograd/derivative.h"
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/gradcheck.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;
using test::check_gradients;
using test::iota;

namespace {

Tensor channels_last(const Tensor& x) { return x.contiguous(MemoryFormat::channels_last); }
std::vector<double> values(const Tensor& x) { return x.to_vector<double>(); }

/// The padded coordinate by following the definition one step at a time.
int64_t source(PadMode mode, int64_t size, int64_t lo, int64_t hi, int64_t o) {
  int64_t i = o - lo;
  const int64_t first = mode == PadMode::circular ? std::max<int64_t>(0, -lo) : 0;
  const int64_t end = mode == PadMode::circular ? size - std::max<int64_t>(0, -hi) : size;
  while (i < first || i >= end) {
    if (mode == PadMode::constant) return -1;
    if (mode == PadMode::replicate) i = i < first ? first : end - 1;
    else if (mode == PadMode::reflect) i = i < first ? 2 * first - i : 2 * (end - 1) - i;
    else i += i < first ? end - first : first - end;
  }
  return i;
}

}  // namespace

TEST_SUITE("shape") {
  DEVICE_TEST_CASE("cat joins along any axis, in any layout, and promotes") {
    for (int64_t dim : {0, 1, 2, -1}) {
      const int d = dim < 0 ? 3 : static_cast<int>(dim);
      Shape sa{2, 3, 4, 5}, sb{2, 3, 4, 5};
      sb[d] = 2;
      const Tensor a = iota(sa), b = iota(sb) + 1000;
      const Tensor plain = cat({a, b}, dim);
      CHECK(plain.size(d) == sa[d] + 2);
      CHECK(values(plain.narrow(d, 0, sa[d])) == values(a));
      CHECK(values(plain.narrow(d, sa[d], 2)) == values(b));
      const Tensor last = cat({channels_last(a), b}, dim);  // mixed layouts: that of the first
      CHECK(last.is_channels_last());
      CHECK(values(last) == values(plain));
      const Shape turn{3, 1, 0, 2};
      const int64_t turned[] = {2, 1, 3, 0};  // where each axis goes
      const Tensor permuted = cat({a.permute(turn), b.permute(turn)}, turned[d]);
      CHECK(values(permuted) == values(plain.permute(turn)));
    }
    CHECK(cat({here::ones({2}, Dtype::i64), here::ones({1}, Dtype::f32)}).dtype() == Dtype::f32);
    CHECK(cat({here::zeros({0}), here::ones({2, 2})}, 1).shape() == Shape{2, 2});  // an empty list to begin with
    CHECK(cat({here::zeros({2, 0}), here::ones({2, 3})}, 1).shape() == Shape{2, 3});
    CHECK(cat({here::zeros({2, 0}), here::zeros({2, 0})}, 0).shape() == Shape{4, 0});
  }

  DEVICE_TEST_CASE("cat of large channels-last tensors") {  // above the sizes that are done by one thread
    const Tensor a = channels_last(here::rand({2, 24, 40, 40})), b = channels_last(here::rand({2, 8, 40, 40}));
    const Tensor y = cat({a, b}, 1);
    CHECK(y.is_channels_last());
    CHECK(equal(y.narrow(1, 0, 24), a));
    CHECK(equal(y.narrow(1, 24, 8), b));
    const Tensor crop = a.narrow(2, 4, 30).narrow(3, 5, 30), smaller = channels_last(here::rand({2, 8, 30, 30}));
    const Tensor joined = cat({crop, smaller}, 1);  // a part of a channels-last tensor counts as one
    CHECK(joined.is_channels_last());
    CHECK(equal(joined.narrow(1, 0, 24), crop));
    CHECK(pad(crop, {1, 1}).is_channels_last());
    CHECK(equal(pad(crop, {1, 1}), pad(crop.contiguous(), {1, 1})));
    CHECK(roll(a, {3}, {2}).is_channels_last());
    CHECK(cat({here::ones({2, 1, 3, 1}).expand({2, 3, 3, 3}), here::ones({2, 1, 3, 3})}, 1).is_contiguous());
    const Tensor long_a = here::rand({100000}), long_b = here::rand({30000});
    CHECK(equal(cat({long_a, long_b}).narrow(0, 100000, 30000), long_b));
  }

  DEVICE_TEST_CASE("cat refuses what does not fit") {
    CHECK(message_of<ValueError>([] { (void)cat({}); }) == "cat: the list of tensors is empty");
    CHECK(message_of<ShapeError>([] {
            (void)cat({here::ones({2, 3}), here::ones({2, 4})}, 0);
          }).find("[2, 4]") != std::string::npos);
    CHECK_THROWS_AS((void)cat({here::ones({2, 3}), here::ones({2})}, 0), ShapeError);
    CHECK_THROWS_AS((void)stack({here::ones({2, 3}), here::ones({3, 2})}), ShapeError);
  }

  DEVICE_TEST_CASE("derivatives of cat and stack") {
    check_gradients([](const std::vector<Tensor>& x) { return square(cat({x[0], x[1], x[0]}, 1)); }, {{2, 3}, {2, 2}});
    check_gradients([](const std::vector<Tensor>& x) { return square(stack({x[0], x[1]}, -1)); }, {{2, 3}, {2, 3}});
    Tensor a = here::ones({2}, Dtype::f32).set_requires_grad(), b = here::ones({3}, Dtype::f64).set_requires_grad();
    sum(cat({a, b})).backward();
    CHECK(a.grad().dtype() == Dtype::f32);  // the promoting cast is undone
  }

  DEVICE_TEST_CASE("flip, roll, repeat, tile, repeat_interleave, meshgrid") {
    const Tensor x = iota({2, 3});
    CHECK(values(flip(x, {1})) == std::vector<double>{2, 1, 0, 5, 4, 3});
    CHECK(values(flip(x, {0, -1})) == std::vector<double>{5, 4, 3, 2, 1, 0});
    CHECK(values(flip(channels_last(iota({2, 3, 4, 5})), {0, 3, 1})) == values(flip(iota({2, 3, 4, 5}), {0, 3, 1})));
    CHECK_THROWS_AS((void)flip(x, {1, -1}), ValueError);
    CHECK(values(roll(x, {1}, {1})) == std::vector<double>{2, 0, 1, 5, 3, 4});
    CHECK(values(roll(x, {-1, 4}, {0, 1})) == std::vector<double>{5, 3, 4, 2, 0, 1});
    CHECK(values(roll(x, 2)) == std::vector<double>{4, 5, 0, 1, 2, 3});
    CHECK(values(repeat(iota({2}), {2, 3})) == std::vector<double>{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1});
    CHECK(repeat(x, {2, 0, 1}).shape() == Shape{2, 0, 3});
    CHECK_THROWS_AS((void)repeat(x, {2}), ShapeError);
    CHECK(values(tile(x, {2})) == std::vector<double>{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5});
    CHECK(values(repeat_interleave(x, 2, 0)) == std::vector<double>{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5});
    CHECK(values(repeat_interleave(x, here::tensor({2, 0, 1}).to(Dtype::i64), 1)) ==
          std::vector<double>{0, 0, 2, 3, 3, 5});
    const auto grids = meshgrid({iota({2}), iota({3})});
    CHECK(values(grids[0]) == std::vector<double>{0, 0, 0, 1, 1, 1});
    CHECK(values(grids[1]) == std::vector<double>{0, 1, 2, 0, 1, 2});
    CHECK(meshgrid({iota({2}), iota({3})}, "xy")[0].shape() == Shape{3, 2});

    check_gradients([](const std::vector<Tensor>& x) { return square(flip(x[0], {0, 1})); }, {{2, 3}});
    check_gradients([](const std::vector<Tensor>& x) { return square(roll(x[0], {1, -1}, {1, 0})); }, {{2, 3}});
    check_gradients([](const std::vector<Tensor>& x) { return square(repeat(x[0], {2, 2, 3})); }, {{2, 3}});
    check_gradients([](const std::vector<Tensor>& x) { return square(repeat_interleave(x[0], 2, 1)); }, {{2, 3}});
  }

  DEVICE_TEST_CASE("tril and triu") {
    const Tensor x = iota({2, 3, 4}) + 1;
    for (int64_t diagonal : {-4, -1, 0, 2, 5}) {
      const Tensor low = tril(x, diagonal), high = triu(x.permute({0, 2, 1}).contiguous().permute({0, 2, 1}), diagonal);
      for (int64_t i = 0; i < 3; ++i)
        for (int64_t j = 0; j < 4; ++j) {
          CHECK(low[1][i][j].item<double>() == (j - i <= diagonal ? x[1][i][j].item<double>() : 0));
          CHECK(high[1][i][j].item<double>() == (j - i >= diagonal ? x[1][i][j].item<double>() : 0));
        }
    }
    CHECK_THROWS_AS((void)tril(here::ones({3})), ShapeError);
    check_gradients([](const std::vector<Tensor>& x) { return square(triu(x[0], 1)); }, {{3, 3}});
  }

  DEVICE_TEST_CASE("pixel_shuffle and its inverse, channels-last kept") {
    const Tensor x = iota({2, 8, 3, 2});
    const Tensor y = pixel_shuffle(x, 2);
    REQUIRE(y.shape() == Shape{2, 2, 6, 4});
    for (int64_t h = 0; h < 6; ++h)
      for (int64_t w = 0; w < 4; ++w)
        CHECK(y[1][1][h][w].item<double>() == x[1][4 + h % 2 * 2 + w % 2][h / 2][w / 2].item<double>());
    const Tensor last = pixel_shuffle(channels_last(x), 2);
    CHECK(last.is_channels_last());
    CHECK(values(last) == values(y));
    CHECK(values(pixel_unshuffle(y, 2)) == values(x));
    CHECK(values(pixel_unshuffle(last, 2)) == values(x));
    CHECK_THROWS_AS((void)pixel_shuffle(iota({2, 6, 3, 2}), 2), ShapeError);
    CHECK_THROWS_AS((void)pixel_unshuffle(x, 2), ShapeError);
    check_gradients([](const std::vector<Tensor>& t) { return square(pixel_shuffle(t[0], 2)); }, {{1, 4, 2, 3}});
  }
}

TEST_SUITE("pad") {
  DEVICE_TEST_CASE("every mode, with growing and cropping sides, in every layout") {
    struct Case {
      PadMode mode;
      Shape pads;
    };
    const Case cases[] = {
        {PadMode::constant, {1, 2}},
        {PadMode::constant, {1, 2, 0, 3}},
        {PadMode::constant, {-1, 2, 3, -2, 1, 1}},
        {PadMode::constant, {-5, 3}},
        {PadMode::reflect, {4, 3, 2, 1}},
        {PadMode::reflect, {-1, 2, 1, -2}},
        {PadMode::reflect, {0, 0, 3, 3}},
        {PadMode::replicate, {3, 4, 2, 7}},
        {PadMode::replicate, {-5, 7}},
        {PadMode::replicate, {0, 0, 2, -4}},
        {PadMode::circular, {5, 2, 4, 4}},
        {PadMode::circular, {1, -1, -2, 2}},
        {PadMode::reflect, {1, 1, 0, 0, 2, 0}},
        {PadMode::replicate, {0, 0, 0, 0, 1, 1, 2, 1}},
    };
    const Tensor x = iota({2, 3, 4, 5});
    for (const Case& c : cases) {
      CAPTURE(c.pads);
      Shape lo = Shape::filled(4, 0), hi = lo, shape = x.shape();
      for (int k = 0; k < c.pads.size() / 2; ++k) {
        lo[3 - k] = c.pads[2 * k];
        hi[3 - k] = c.pads[2 * k + 1];
        shape[3 - k] += lo[3 - k] + hi[3 - k];
      }
      std::vector<double> want;
      for (int64_t f = 0; f < shape.numel(); ++f) {
        int64_t rest = f, at = 0, stride = 1;
        bool inside = true;
        for (int i = 3; i >= 0; --i) {
          const int64_t s = source(c.mode, x.shape()[i], lo[i], hi[i], rest % shape[i]);
          rest /= shape[i];
          inside &= s >= 0;
          at += s * stride;
          stride *= x.shape()[i];
        }
        want.push_back(inside ? static_cast<double>(at) : 7);
      }
      const Tensor y = pad(x, c.pads, c.mode, 7);
      CHECK(y.shape() == shape);
      CHECK(values(y) == want);
      const Tensor last = pad(channels_last(x), c.pads, c.mode, 7);
      CHECK(last.is_channels_last());
      CHECK(values(last) == want);
      CHECK(values(pad(x.permute({2, 0, 3, 1}).contiguous().permute({1, 3, 0, 2}), c.pads, c.mode, 7)) == want);
      CHECK(values(pad(x.to(Dtype::bf16), c.pads, c.mode, 7)) == want);  // all values are exact in bf16
      // pad_backward is the adjoint: <pad(x), g> = <x, pad_backward(g)>, in both layouts; integers, so exactly
      const Tensor g = iota(shape) - 11, back = pad_backward(g, x.shape(), c.pads, c.mode);
      const Tensor zero = pad(x, c.pads, c.mode, 0);
      CHECK(sum(zero * g).item<double>() == sum(x * back).item<double>());
      CHECK(values(pad_backward(channels_last(g), x.shape(), c.pads, c.mode)) == values(back));
      check_gradients([&](const std::vector<Tensor>& t) { return square(pad(t[0], c.pads, c.mode)); }, {{1, 3, 4, 5}});
    }
  }

  DEVICE_TEST_CASE("large reflect padding runs in parallel with the same result") {
    const Tensor x = here::rand({1, 16, 60, 50}, Dtype::f64);
    const Tensor y = pad(x, {3, 3, 3, 3}, PadMode::reflect);
    CHECK(equal(y, pad(channels_last(x), {3, 3, 3, 3}, PadMode::reflect)));
    CHECK(equal(y.narrow(2, 3, 60).narrow(3, 3, 50), x));
    CHECK(equal(y.select(2, 0), y.select(2, 6)));
    const Tensor g = here::rand(y.shape(), Dtype::f64);
    CHECK(allclose(pad_backward(g, x.shape(), {3, 3, 3, 3}, PadMode::reflect),
                   pad_backward(channels_last(g), x.shape(), {3, 3, 3, 3}, PadMode::reflect), 1e-15, 1e-15));
  }

  DEVICE_TEST_CASE("errors name the numbers") {
    const Tensor x = here::ones({2, 3});
    CHECK(message_of<ShapeError>([&] {
            (void)pad(x, {3, 0}, PadMode::reflect);
          }).find("reflect padding 3") != std::string::npos);
    CHECK_THROWS_AS((void)pad(x, {4, 0}, PadMode::circular), ShapeError);
    CHECK_THROWS_AS((void)pad(x, {1}), ShapeError);
    CHECK_THROWS_AS((void)pad(x, {1, 1, 1, 1, 1, 1}), ShapeError);
    CHECK_THROWS_AS((void)pad(x, {-2, -2}), ShapeError);
    CHECK_THROWS_AS((void)pad(here::ones({2, 0}), {1, 1}, PadMode::replicate), ShapeError);
    CHECK(pad(here::ones({2, 0}), {1, 1}).shape() == Shape{2, 2});
    CHECK(pad(x, {}).shape() == x.shape());
  }
}
