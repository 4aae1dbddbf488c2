// Shape, strides, broadcasting and Dims.
#include <doctest/doctest.h>

#include <limits>

#include "support/throws.h"
#include "weft/core/shape.h"

using namespace weft;
using support::message_of;

TEST_SUITE("shape") {
  TEST_CASE("indexing, growing and printing") {
    Shape s = {2, 3, 4};
    CHECK(s.rank() == 3);
    CHECK(s[-1] == 4);
    CHECK(s.numel() == 24);
    CHECK(Shape{}.numel() == 1);
    CHECK(Shape{0, 5}.numel() == 0);
    s.insert(0, 7);
    s.erase(2);
    CHECK(s == Shape{7, 2, 4});
    CHECK(s.slice(1) == Shape{2, 4});
    CHECK(s.slice(0, 2) == Shape{7, 2});
    CHECK(s.contains(4));
    CHECK_FALSE(s.contains(3));
    CHECK(str(s) == "[7, 2, 4]");
    CHECK(str(Shape{}) == "[]");
  }

  TEST_CASE("more than twelve dimensions are refused") {
    CHECK_THROWS_AS(Shape(std::vector<int64_t>(13, 1)), ShapeError);
    Shape s = Shape::filled(kMaxRank, 1);
    CHECK_THROWS_AS(s.push_back(1), ShapeError);
    CHECK(s.rank() == kMaxRank);
  }

  TEST_CASE("strides") {
    CHECK(contiguous_strides({2, 3, 4}) == Strides{12, 4, 1});
    CHECK(channels_last_strides({2, 3, 4, 5}) == Strides{60, 1, 15, 3});
    CHECK(channels_last_strides({2, 3, 4}) == Strides{12, 1, 3});
    CHECK_THROWS_AS(channels_last_strides({2, 3}), ShapeError);
  }

  TEST_CASE("broadcasting") {
    CHECK(broadcast_shapes("add", {2, 1, 4}, {3, 1}) == Shape{2, 3, 4});
    CHECK(broadcast_shapes("add", {}, {2, 0}) == Shape{2, 0});
    CHECK(broadcast_shapes("add", {1}, {0}) == Shape{0});
    const std::string text = message_of<ShapeError>([] { (void)broadcast_shapes("mul", {2, 3}, {2, 4}); });
    CHECK(text.find("mul: ") == 0);
    CHECK(text.find("[2, 3]") != std::string::npos);
    CHECK(text.find("[2, 4]") != std::string::npos);
  }

  TEST_CASE("dims wrap as in Python") {
    CHECK(wrap_dim("sum", -1, 3) == 2);
    CHECK(wrap_dim("sum", 0, 0) == 0);
    CHECK(wrap_dim("sum", -1, 0) == 0);
    CHECK(message_of<ShapeError>([] { (void)wrap_dim("sum", 3, 3); }).find("sum: dim 3 is out of range") == 0);
    CHECK_THROWS_AS((void)wrap_dim("sum", -4, 3), ShapeError);
  }

  TEST_CASE("sizes that lie are refused") {
    CHECK(checked_numel("zeros", {3, 4}) == 12);
    CHECK_THROWS_AS((void)checked_numel("zeros", {3, -1}), ShapeError);
    const int64_t big = std::numeric_limits<int64_t>::max() / 2;
    CHECK_THROWS_AS((void)checked_numel("zeros", {big, 4}), ShapeError);
    CHECK(checked_numel("zeros", {4, 0}) == 0);
  }

  TEST_CASE("Dims: one number for all, or one for each") {
    CHECK(Dims<2>(3) == Dims<2>(3, 3));
    CHECK(Dims<3>(1, 2, 3)[2] == 3);
    CHECK(Shape(Dims<2>(4, 5)) == Shape{4, 5});
    static_assert(!std::is_default_constructible_v<Dims<2>>);
  }
}
