// Views: no copy, right strides, Python's bounds, and errors that name the op.
#include "support/here.h"
#include "support/strided.h"
#include "support/throws.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;
using Ints = std::vector<int64_t>;

namespace {
Tensor counting(const Shape& s) { return here::arange(s.numel()).reshape(s); }
const int64_t* at(const Tensor& t) { return static_cast<const int64_t*>(t.raw_data()); }
bool shares(const Tensor& a, const Tensor& b) { return a.impl()->storage.get() == b.impl()->storage.get(); }
Ints ints(const Tensor& t) { return t.to_vector<int64_t>(); }
}  // namespace

TEST_SUITE("views") {
  DEVICE_TEST_CASE("no view copies: every one points into the same storage") {
    const Tensor x = counting({2, 3, 4});
    const int64_t* p = at(x);
    CHECK(at(x.reshape({6, 4})) == p);
    CHECK(at(x.view({24})) == p);
    CHECK(at(x.flatten()) == p);
    CHECK(at(x.permute({2, 0, 1})) == p);
    CHECK(at(x.transpose(0, 2)) == p);
    CHECK(at(x.movedim(0, 2)) == p);
    CHECK(at(x.slice(1, 1, 3)) == p + 4);
    CHECK(at(x.slice(2, 1, {}, 2)) == p + 1);
    CHECK(at(x.select(0, 1)) == p + 12);
    CHECK(at(x[1][2]) == p + 20);
    CHECK(at(x.narrow(2, 3, 1)) == p + 3);
    CHECK(at(x.unsqueeze(0)) == p);
    CHECK(at(x.unsqueeze(0).squeeze()) == p);
    CHECK(at(x.unsqueeze(1).expand({2, 5, 3, 4})) == p);
    CHECK(at(x.unflatten(2, {2, 2})) == p);
    CHECK(at(x.split(2, 1)[1]) == p + 8);
    CHECK(at(x.chunk(2, 2)[1]) == p + 2);
    CHECK(at(x.unfold(2, 2, 1)) == p);
    CHECK(at(x.diagonal(0, 1, 2)) == p);
    CHECK(at(x.detach()) == p);
    CHECK(counting({3, 4}).t().strides() == Strides{1, 4});
  }

  DEVICE_TEST_CASE("reshape copies only where strides do not allow a view") {
    const Tensor x = counting({2, 3, 4});
    const Tensor y = x.permute({1, 0, 2});
    CHECK(shares(y.reshape({3, 2, 2, 2}), x));
    CHECK_FALSE(shares(y.reshape({6, 4}), x));
    CHECK(ints(y.reshape({6, 4})) == ints(y));
    CHECK(message_of<ShapeError>([&] { (void)y.view({6, 4}); }).find("view: [3, 2, 4] with strides [4, 12, 1]") == 0);
    CHECK(x.reshape({-1, 8}).shape() == Shape{3, 8});
    CHECK(here::zeros({0, 3}).reshape({3, 0}).shape() == Shape{3, 0});
    CHECK(message_of<ShapeError>([&] { (void)x.reshape({5, 5}); }) == "reshape: 24 elements do not fit [5, 5]");
    CHECK(message_of<ShapeError>([&] {
            (void)x.reshape_as(zeros({5, 5}));
          }) == "reshape_as: 24 elements do not fit [5, 5]");
    CHECK(message_of<ShapeError>([&] { (void)zeros({3}).expand_as(zeros({2, 4})); }).find("expand_as: ") == 0);
    CHECK_THROWS_AS((void)x.reshape({-1, -1}), ShapeError);
    CHECK_THROWS_AS((void)here::zeros({0}).reshape({-1, 0}), ShapeError);
  }

  DEVICE_TEST_CASE("slice bounds are Python's") {
    const Tensor x = here::arange(6);
    CHECK(ints(x.slice(0, -3)) == Ints{3, 4, 5});
    CHECK(ints(x.slice(0, {}, -4)) == Ints{0, 1});
    CHECK(ints(x.slice(0, 1, 100, 2)) == Ints{1, 3, 5});
    CHECK(ints(x.slice(0, 4, 2)).empty());
    CHECK(ints(x.slice(0, -100, 1)) == Ints{0});
    CHECK_THROWS_AS((void)x.slice(0, 0, 6, 0), ValueError);
    CHECK_THROWS_AS((void)here::scalar(1).slice(0), ShapeError);
  }

  DEVICE_TEST_CASE("select, narrow and split check their bounds") {
    const Tensor x = counting({2, 3});
    CHECK(ints(x.select(1, -1)) == Ints{2, 5});
    CHECK(message_of<ValueError>([&] { (void)x.select(1, 3); }) ==
          "select: index 3 is out of range for axis 1 of size 3");
    CHECK(ints(x.narrow(1, -2, 2)) == Ints{1, 2, 4, 5});
    CHECK_THROWS_AS((void)x.narrow(1, 2, 2), ValueError);
    CHECK(x.split(2, 1)[1].shape() == Shape{2, 1});
    CHECK(x.split(Shape{1, 0, 2}, 1)[1].shape() == Shape{2, 0});
    CHECK_THROWS_AS((void)x.split(Shape{1, 1}, 1), ValueError);
    CHECK_THROWS_AS((void)x.split(0, 1), ValueError);
    CHECK(x.chunk(7, 1).size() == 3);
    CHECK(counting({5}).chunk(4)[2].shape() == Shape{1});
    CHECK_THROWS_AS((void)x.chunk(0, 1), ValueError);
  }

  DEVICE_TEST_CASE("expand, squeeze and unsqueeze") {
    const Tensor x = counting({3, 1});
    CHECK(x.expand({2, -1, 4}).shape() == Shape{2, 3, 4});
    CHECK(x.expand({3, 4}).strides() == Strides{1, 0});
    CHECK(ints(x.expand({3, 2})) == Ints{0, 0, 1, 1, 2, 2});
    CHECK_THROWS_AS((void)x.expand({4, 1}), ShapeError);
    CHECK_THROWS_AS((void)x.expand({3}), ShapeError);
    CHECK(x.expand({3, 0}).shape() == Shape{3, 0});
    const Tensor y = here::zeros({1, 3, 1});
    CHECK(y.squeeze().shape() == Shape{3});
    CHECK(y.squeeze(0).shape() == Shape{3, 1});
    CHECK(y.squeeze(1).shape() == Shape{1, 3, 1});
    CHECK(y.squeeze({0, -1}).shape() == Shape{3});
    CHECK(x.unsqueeze(-1).shape() == Shape{3, 1, 1});
    CHECK(here::scalar(1).unsqueeze(0).shape() == Shape{1});
    CHECK_THROWS_AS((void)x.unsqueeze(4), ShapeError);
  }

  DEVICE_TEST_CASE("permutations and diagonals") {
    const Tensor x = counting({2, 3, 4});
    CHECK(x.movedim({0, 1}, {-1, 0}).shape() == Shape{3, 4, 2});
    CHECK(x.permute({-1, 0, 1}).shape() == Shape{4, 2, 3});
    CHECK_THROWS_AS((void)x.permute({0, 1}), ShapeError);
    CHECK_THROWS_AS((void)x.permute({0, 1, 1}), ShapeError);
    CHECK_THROWS_AS((void)x.t(), ShapeError);
    CHECK(ints(counting({3, 3}).diagonal()) == Ints{0, 4, 8});
    CHECK(ints(counting({3, 3}).diagonal(1)) == Ints{1, 5});
    CHECK(ints(counting({3, 3}).diagonal(-2)) == Ints{6});
    CHECK(counting({3, 3}).diagonal(5).shape() == Shape{0});
    CHECK_THROWS_AS((void)x.diagonal(0, 1, 1), ValueError);
  }

  DEVICE_TEST_CASE("unfold: overlapping windows as a new axis") {
    const Tensor y = here::arange(6).unfold(0, 3, 2);
    CHECK(y.shape() == Shape{2, 3});
    CHECK(ints(y) == Ints{0, 1, 2, 2, 3, 4});
    CHECK_THROWS_AS((void)here::arange(3).unfold(0, 4, 1), ValueError);
  }

  DEVICE_TEST_CASE("flatten and unflatten") {
    const Tensor x = counting({2, 3, 4});
    CHECK(x.flatten(1).shape() == Shape{2, 12});
    CHECK(x.flatten(0, 1).shape() == Shape{6, 4});
    CHECK(here::scalar(3).flatten().shape() == Shape{1});
    CHECK(x.unflatten(1, {3, -1}).shape() == Shape{2, 3, 1, 4});
    CHECK_THROWS_AS((void)x.flatten(2, 0), ValueError);
    // A channels-last feature is one copy away from its flat form.
    CHECK_FALSE(shares(support::channels_last(x).flatten(), x));
  }

  DEVICE_TEST_CASE("views of views keep offset and strides") {
    const Tensor x = counting({4, 6});
    const Tensor y = x.slice(0, 1, {}, 2).transpose(0, 1).slice(0, 2, 5);
    CHECK(y.shape() == Shape{3, 2});
    CHECK(ints(y) == Ints{8, 20, 9, 21, 10, 22});
    CHECK(ints(y.contiguous()) == ints(y));
  }
}
