// Index spaces over strided memory, and the integer arithmetic under them.
#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "weft/core/fn/axes.h"

namespace {

using namespace weft;
using fn::Axes;

/// The offsets of all positions in tensor k, one by one.
template <class A> std::vector<int64_t> offsets_of(const A& axes, int k, int64_t count) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < count; ++i) {
    std::remove_cvref_t<decltype(axes.strides[0][0])> at[2] = {};
    if constexpr (sizeof(at[0]) == 4) axes.offsets(static_cast<uint32_t>(i), at);
    else axes.offsets(i, at);
    all.push_back(static_cast<int64_t>(at[k]));
  }
  return all;
}

/// Two tensors of shape [2, 3, 4]: one contiguous, one with its last two axes exchanged in memory.
Axes<2> crossed() {
  Axes<2> a;
  a.append(2, {12, 12});
  a.append(3, {4, 1});
  a.append(4, {1, 3});
  return a;
}

}  // namespace

TEST_SUITE_BEGIN("axes");

TEST_CASE("memory order: falling strides, equal ones as they stand") {
  const int64_t strides[] = {4, 100, 0, 4, 20, 0};
  int order[6];
  CHECK(fn::memory_order(order, strides, 6) == 6);
  CHECK(std::vector<int>(order, order + 6) == std::vector<int>{1, 4, 0, 3, 2, 5});
  CHECK(fn::memory_order(order, strides, 6, 4) == 5);
  CHECK(std::vector<int>(order, order + 5) == std::vector<int>{1, 0, 3, 2, 5});
  CHECK(fn::memory_order(order, strides, 0) == 0);
}

TEST_CASE("axes of tensors of one shape, in the first one's order") {
  const int64_t shape[] = {2, 3, 4}, first[] = {1, 8, 2}, second[] = {12, 4, 1};
  const Axes<2> a = fn::axes_of<2>(shape, {first, second}, 3);
  REQUIRE(a.rank == 2);  // the last two axes are one in both, the first is the innermost of the first tensor
  CHECK(std::vector<int64_t>(a.shape, a.shape + 2) == std::vector<int64_t>{12, 2});
  CHECK(std::vector<int64_t>(a.strides[0], a.strides[0] + 2) == std::vector<int64_t>{2, 1});
  CHECK(std::vector<int64_t>(a.strides[1], a.strides[1] + 2) == std::vector<int64_t>{1, 12});
  CHECK(fn::axes_of<1>(shape, {first}, 3).rank == 1);
  const Axes<1> rest = fn::axes_of<1>(shape, {second}, 3, 1);
  CHECK(rest.rank == 2);
  CHECK(rest.count() == 8);
}

TEST_CASE("axes merge where all tensors allow, and lose those of size 1") {
  Axes<2> a;
  a.append(2, {60, 60});
  a.append(1, {7, 9});
  a.append(3, {20, 20});
  CHECK(a.rank == 1);
  CHECK(a.shape[0] == 6);
  CHECK(a.strides[1][0] == 20);
  a.append(4, {5, 0});  // broadcast in the second tensor alone
  a.append(5, {1, 0});  // in both
  CHECK(a.rank == 2);
  CHECK(a.shape[1] == 20);
  CHECK(a.inner_size() == 20);
  CHECK(a.inner(0) == 1);
  CHECK(a.inner(1) == 0);
  CHECK(a.count() == 120);
  const Axes<1> second = a.of(1);
  CHECK(second.rank == 2);
  CHECK(second.inner(0) == 0);
}

TEST_CASE("a single element has an innermost axis where it is asked for") {
  Axes<2> a;
  CHECK(a.count() == 1);
  CHECK(a.inner_size() == 1);
  CHECK(a.inner(0) == 0);
  int64_t at[2] = {5, 5};
  a.offsets(int64_t{0}, at);
  CHECK(at[0] == 0);
  a.at_least_one(1);
  CHECK(a.rank == 1);
  CHECK(a.inner(1) == 1);
  a.append(1, {3, 3});
  CHECK(a.rank == 1);
  Axes<2> b = crossed();
  b.at_least_one(1);
  CHECK(b.rank == 3);
}

TEST_CASE("offsets by division, by multiplication, in 32 bits and by counting are one") {
  const Axes<2> a = crossed();
  REQUIRE(a.rank == 3);
  std::vector<int64_t> first, second;
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 3; ++j)
      for (int64_t k = 0; k < 4; ++k) first.push_back(12 * i + 4 * j + k), second.push_back(12 * i + j + 3 * k);
  CHECK(offsets_of(a, 0, 24) == first);
  CHECK(offsets_of(a, 1, 24) == second);
  CHECK(offsets_of(fn::FastAxes<2>(a), 1, 24) == second);
  CHECK(offsets_of(fn::NarrowAxes<2>(a, a.shape), 1, 24) == second);
  for (int64_t begin = 0; begin <= 24; begin += 5) {
    std::vector<int64_t> walked;
    a.walk(begin, 24, 3, 2, [&](const int64_t* at) { walked.push_back(at[1]); });
    CHECK(walked == std::vector<int64_t>(second.begin() + begin, second.end()));
  }
  int64_t at[2];
  a.offsets(int64_t{5}, at, 2);  // of the outer two axes
  CHECK(at[0] == 12 + 4 * 2);
  CHECK(at[1] == 12 + 2);
}

TEST_CASE("offsets beyond 32 bits") {
  Axes<1> a;
  const int64_t large = int64_t{1} << 33;
  a.append(3, {large * 4});
  a.append(large, {3});
  const fn::FastAxes<1> fast = a;
  for (const int64_t number : {int64_t{0}, large - 1, large, 2 * large + 12345}) {
    CAPTURE(number);
    int64_t at[1];
    fast.offsets(number, at);
    CHECK(at[0] == number / large * large * 4 + number % large * 3);
    CHECK(a.offset(number, 2) == at[0]);
  }
}

TEST_CASE("divisions that round up and down") {
  for (int a = -9; a <= 9; ++a)
    for (int b = 1; b <= 4; ++b) {
      CAPTURE(a);
      CAPTURE(b);
      int up = -100, down = 100;
      while (up * b < a) ++up;
      while (down * b > a) --down;
      CHECK(fn::ceil_div(a, b) == up);
      CHECK(fn::floor_div(a, b) == down);
      CHECK(fn::round_up(a, b) == up * b);
    }
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  CHECK(fn::ceil_div(most, 2) == most / 2 + 1);  // a + b - 1 would overflow
  CHECK(fn::ceil_div(size_t{0}, size_t{64}) == 0);
  CHECK(fn::ceil_div(7, int64_t{1} << 40) == 1);  // in the wider of both types
}

TEST_SUITE_END();
