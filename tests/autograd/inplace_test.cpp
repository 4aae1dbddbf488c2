// In-place ops: operands that share memory, and what they refuse.
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;

namespace {
Tensor counted(const Shape& shape) { return here::arange(shape.numel()).to(Dtype::f32).reshape(shape); }

/// f on views of one tensor gives what it gives when the source was copied first.
template <class F> void check_overlap(const Tensor& base, F f) {
  Tensor x = base.clone(), y = base.clone(), source = base.clone();
  f(x, x);
  f(y, source);
  CHECK(equal(x, y));
}
}  // namespace

TEST_SUITE("in place") {
  DEVICE_TEST_CASE("a source that overlaps its target is read first") {
    const auto each = [](const Tensor& base, auto to, auto from) {
      check_overlap(base, [&](Tensor& x, const Tensor& s) { to(x).copy_(from(s)); });
      check_overlap(base, [&](Tensor& x, const Tensor& s) { to(x).add_(from(s)); });
      check_overlap(base, [&](Tensor& x, const Tensor& s) { to(x).add_(from(s), -2); });
      check_overlap(base, [&](Tensor& x, const Tensor& s) { to(x).mul_(from(s)); });
    };
    const auto all = [](const Tensor& t) { return t; };
    const Tensor line = counted({4000}), square = counted({37, 37}), block = counted({6, 5, 4});
    each(square, all, [](const Tensor& t) { return t.t(); });
    each(
        line, [](const Tensor& t) { return t.slice(0, 1); }, [](const Tensor& t) { return t.slice(0, 0, -1); });
    each(
        line, [](const Tensor& t) { return t.slice(0, 0, -1); }, [](const Tensor& t) { return t.slice(0, 1); });
    each(
        line, [](const Tensor& t) { return t.slice(0, 0, {}, 2); },
        [](const Tensor& t) { return t.slice(0, 1, {}, 2); });
    each(
        line, [](const Tensor& t) { return t.slice(0, 0, 2000); },
        [](const Tensor& t) { return t.slice(0, 0, {}, 2); });
    each(
        block, [](const Tensor& t) { return t.slice(1, 1); }, [](const Tensor& t) { return t.slice(1, 0, -1); });
    // broadcast from a part of the target
    each(block, all, [](const Tensor& t) { return t.select(0, 3); });
    each(block, all, [](const Tensor& t) { return t.select(-1, 2).unsqueeze(-1); });
    each(line, all, [](const Tensor& t) { return t.select(0, 7); });
    // the same elements at the same places
    each(square, all, all);
    each(
        square, [](const Tensor& t) { return t.t(); }, [](const Tensor& t) { return t.t(); });
  }

  TEST_CASE("two tensors over one borrowed buffer overlap, too") {
    std::vector<float> memory(100), expected(100);
    for (size_t i = 0; i < 100; ++i) memory[i] = expected[i] = static_cast<float>(i);
    for (size_t i = 99; i > 0; --i) expected[i] += expected[i - 1];
    Tensor a = from_blob(memory.data() + 1, {99}, Dtype::f32);
    const Tensor b = from_blob(memory.data(), {99}, Dtype::f32);
    a.add_(b);
    CHECK(memory == expected);
  }

  DEVICE_TEST_CASE("a target whose elements share memory is refused") {
    Tensor x = here::zeros({6});
    for (Tensor t : {x.expand({2, 6}), x.unfold(0, 3, 1), x.unfold(0, 4, 2)}) {
      CHECK(message_of<ValueError>([&] { t.add_(here::ones({1})); }).find("share memory") != std::string::npos);
      CHECK_THROWS_AS(t.copy_(here::ones({1})), ValueError);
      CHECK_THROWS_AS(t.fill_(1), ValueError);
      CHECK_THROWS_AS(t.mul_(2), ValueError);
    }
    CHECK(equal(x, here::zeros({6})));
    Tensor apart = x.unfold(0, 2, 2), odd = empty_strided({2, 3}, {3, 2}, support::on());
    apart.fill_(1);  // windows side by side
    CHECK(equal(x, here::ones({6})));
    odd.fill_(4);  // places 0 2 4 3 5 7: all of them apart, though the axes cross
    CHECK(sum(odd).item<float>() == 24);
  }

  DEVICE_TEST_CASE("fill_ refuses what the dtype cannot hold") {
    Tensor bytes = here::zeros({2}, Dtype::u8);
    CHECK(message_of<ValueError>([&] { bytes.fill_(256); }) == "fill_: u8 cannot hold the value 256");
    CHECK_THROWS_AS(bytes.fill_(-1), ValueError);
    CHECK(equal(bytes.fill_(255.5), here::full({2}, 255, Dtype::u8)));
  }
}
