// Bad input that no row of the op table covers: undefined tensors, formulas and hooks that return nonsense, in-place
// writes that would lose something. Each is an Error with a name, and leaves everything as it was.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/layer/encoding.h"
#include "weft/autograd/ops/loss/ctc_loss.h"
#include "weft/autograd/ops/loss/margin_loss.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;
using Values = std::vector<double>;

namespace {
Tensor leaf(const Values& v) { return tensor(v).set_requires_grad(); }
Values values(const Tensor& t) { return t.to_vector<double>(); }
/// y = 2 x with `gradient` for an answer.
Tensor wrong(const Tensor& x, const Tensor& gradient) {
  return record("wrong", x.detach() * 2.0, {x}, [gradient](BackwardCtx&) -> Grads { return {gradient}; });
}
bool starts(const std::string& text, const char* with) { return text.rfind(with, 0) == 0; }
}  // namespace

TEST_SUITE("bad input") {
  TEST_CASE("an undefined or moved-from tensor is an error in the name of what asked") {
    Tensor none, x = leaf({1, 2});
    Tensor moved = ones({2});
    const Tensor taken = std::move(moved);
    CHECK(starts(message_of<ValueError>([&] { (void)(x + none); }), "add: "));
    CHECK(starts(message_of<ValueError>([&] { (void)(moved * x); }), "mul: "));
    CHECK(starts(message_of<ValueError>([&] { (void)exp(none); }), "exp: "));
    CHECK(starts(message_of<ValueError>([&] { (void)matmul(none, x); }), "matmul: "));
    CHECK(starts(message_of<ValueError>([&] { (void)none.reshape({2}); }), "reshape: "));
    CHECK(starts(message_of<ValueError>([&] { (void)none.item<float>(); }), "item: "));
    // what helpers check is said in the op's name too
    const Tensor at = zeros({1}, Dtype::i64), wide = ones({1, 1, 2}, Dtype::f64);
    CHECK(starts(message_of<ValueError>([&] { (void)multi_margin_loss(none, at); }), "multi_margin_loss: "));
    CHECK(starts(message_of<ValueError>([&] { (void)ctc_loss(wide, at, none, at); }), "ctc_loss: "));
    CHECK(starts(message_of<ValueError>([&] { (void)encode(wide, none, x); }), "encode: "));
    CHECK(starts(message_of<ValueError>([&] { (void)encode(wide, x.reshape({1, 2}), none); }), "encode: "));
    CHECK(
        starts(message_of<ValueError>([&] { (void)max_unpool1d(wide, none, {.kernel_size = 2}); }), "max_unpool1d: "));
    CHECK(starts(message_of<ValueError>([&] {
                   embedding_renorm_(x.reshape({1, 2}), none, 1);
                 }),
                 "embedding_renorm_: "));
    CHECK_THROWS_AS((void)none.shape(), ValueError);
    CHECK_THROWS_AS((void)none.requires_grad(), ValueError);
    CHECK_THROWS_AS((void)none.data<float>(), ValueError);
    CHECK_THROWS_AS((void)none.detach(), ValueError);
    CHECK_THROWS_AS((void)none.to_vector<float>(), ValueError);
    CHECK_THROWS_AS(none.add_(x), ValueError);
    CHECK_THROWS_AS(none.set_requires_grad(), ValueError);
    CHECK_THROWS_AS(none.swap_contents(x), ValueError);
    CHECK_THROWS_AS(x.swap_contents(none), ValueError);
    CHECK_THROWS_AS((void)Saved::output(none), ValueError);
    CHECK(values(x) == Values{1, 2});
  }

  TEST_CASE("a formula's gradient of the wrong shape is refused before any leaf changes") {
    Tensor x = leaf({1, 2}), other = leaf({1, 2});
    const std::string text = message_of<ShapeError>(
        [&] { sum(wrong(x, ones({50000}, Dtype::f64)) + other).backward(); });
    CHECK(starts(text, "wrong: "));
    CHECK(text.find("[50000]") != std::string::npos);
    CHECK_THROWS_AS(sum(wrong(x * 1.0, ones({1}, Dtype::f64))).backward(), ShapeError);
    CHECK_THROWS_AS((void)grad(sum(wrong(x, ones({1}, Dtype::f64))), {x}), ShapeError);
    CHECK_FALSE(x.grad().defined());
    CHECK_FALSE(other.grad().defined());
    sum(x * 3.0).backward();
    CHECK(values(x.grad()) == Values{3, 3});
  }

  TEST_CASE("what is thrown in a formula or a hook passes, and the engine works on") {
    Tensor x = leaf({1}), y = leaf({1});
    const Tensor z = record("mine", x.detach() * 2.0, {x},
                            [](BackwardCtx&) -> Grads { throw std::logic_error("mine"); });
    CHECK_THROWS_AS(sum(z).backward({}, {.create_graph = true}), std::logic_error);
    CHECK(grad_enabled());
    const int64_t hook = y.register_hook([](const Tensor&) -> Tensor { throw std::logic_error("hook"); });
    CHECK_THROWS_AS(sum(x + y).backward(), std::logic_error);
    CHECK_FALSE(x.grad().defined());  // though it was computed first
    CHECK_FALSE(y.grad().defined());
    y.remove_hook(hook);
    sum(x + y).backward();
    CHECK(values(x.grad()) == Values{1});
    CHECK(values(y.grad()) == Values{1});
  }

  TEST_CASE("hooks: none, of another dtype, one that removes itself") {
    Tensor x = leaf({1});
    CHECK_THROWS_AS(x.register_hook(nullptr), ValueError);
    CHECK_THROWS_AS(x.register_post_accumulate_grad_hook(nullptr), ValueError);
    int64_t hook = x.register_hook([](const Tensor& g) { return g.to(Dtype::f32); });
    CHECK_THROWS_AS(sum(x).backward(), DtypeError);
    x.remove_hook(hook);
    hook = x.register_hook([&, twice = Values{2}](const Tensor& g) {
      x.remove_hook(hook);
      return g * twice[0];
    });
    x.register_hook([&, times = 1.0](const Tensor& g) mutable { return g * ++times; });  // the one behind it
    sum(x).backward();
    sum(x).backward();
    CHECK(values(x.grad()) == Values{4 + 3});
    int calls = 0;
    x.register_post_accumulate_grad_hook([&](Tensor& t) {
      if (calls++ == 0)
        for (int i = 0; i < 9; ++i) t.register_post_accumulate_grad_hook([&](Tensor&) { ++calls; });
    });
    sum(x).backward();
    CHECK(calls == 10);
  }

  TEST_CASE("grad() that finds an input unused leaves the graph whole") {
    Tensor x = leaf({1}), unused = leaf({1});
    const Tensor y = sum(x * x);
    CHECK_THROWS_AS((void)grad(y, {unused}), ValueError);
    CHECK_THROWS_AS((void)grad(y, {x, Tensor()}), ValueError);
    CHECK(values(grad(y, {x})[0]) == Values{2});
  }

  TEST_CASE("in-place writes that would lose something are refused") {
    Tensor row = zeros({1}).expand({3}), whole = ones({3}, Dtype::i64), flag = ones({3}, Dtype::boolean);
    CHECK_THROWS_AS(row.add_(ones({3})), ValueError);
    CHECK_THROWS_AS(row.fill_(1), ValueError);
    CHECK_THROWS_AS(row.copy_(ones({3})), ValueError);
    CHECK_THROWS_AS(uniform_(row), ValueError);
    CHECK_THROWS_AS(whole.mul_(0.5), DtypeError);
    CHECK_THROWS_AS(whole.add_(ones({3})), DtypeError);
    CHECK_THROWS_AS(whole.add_(whole, 0.5), DtypeError);
    CHECK_THROWS_AS(flag.add_(whole), DtypeError);
    CHECK(values(row) == Values{0, 0, 0});
    CHECK(values(whole) == Values{1, 1, 1});
    CHECK(values(whole.mul_(2).add_(flag)) == Values{3, 3, 3});
  }

  TEST_CASE("sizes whose products or sums overflow are refused") {
    constexpr int64_t kHuge = int64_t{1} << 40, kMax = INT64_MAX;
    const Tensor x = ones({4, 6}), picture = ones({1, 4, 4, 4}), kernel = ones({1, 4, 3, 3}), none = ones({0, 3});
    CHECK_THROWS_AS((void)zeros({kHuge, kHuge}), ShapeError);
    CHECK_THROWS_AS((void)empty_strided({2, 3}, {kMax, kMax}), ShapeError);
    CHECK_THROWS_AS((void)x.narrow(0, 1, kMax), ValueError);
    CHECK_THROWS_AS((void)ones({1, 1}).expand({kHuge, kHuge}), ShapeError);
    CHECK_THROWS_AS((void)none.reshape({kHuge, kHuge, kHuge}), ShapeError);
    CHECK_THROWS_AS((void)x.reshape({kHuge, kHuge, -1}), ShapeError);
    CHECK(x.slice(0, 0, 4, kMax).shape() == Shape{1, 6});
    CHECK(values(sum(x.unfold(0, 2, kMax))) == Values{12});
    CHECK_THROWS_AS((void)repeat(x, {kHuge, kHuge}), ShapeError);
    CHECK_THROWS_AS((void)repeat_interleave(x, kMax), ShapeError);
    CHECK_THROWS_AS((void)repeat_interleave(x, full({4}, kMax, Dtype::i64), 0), ShapeError);
    CHECK_THROWS_AS((void)pixel_shuffle(picture, kHuge), ValueError);
    CHECK_THROWS_AS((void)pad(x, {kMax, kMax}), ValueError);
    CHECK_THROWS_AS((void)conv2d(picture, kernel, {}, {.dilation = kMax}), ValueError);
    CHECK_THROWS_AS((void)conv2d(picture, kernel, {}, {.padding = kMax}), ValueError);
    CHECK_THROWS_AS((void)max_pool2d(picture, {.kernel_size = 2, .dilation = kMax}), ValueError);
    CHECK_THROWS_AS((void)avg_pool2d(picture, {.kernel_size = kMax, .padding = kMax / 2}), ValueError);
    CHECK_THROWS_AS((void)adaptive_avg_pool2d(picture, kHuge), ShapeError);
    CHECK_THROWS_AS((void)interpolate(picture, {.scale_factor = NAN}), ValueError);
    CHECK_THROWS_AS((void)interpolate(picture, {.scale_factor = 1e30}), ValueError);
  }

  TEST_CASE("the least integer by -1 wraps, the processor does not trap") {
    const Tensor least = full({2}, INT64_MIN, Dtype::i64), minus = full({2}, -1, Dtype::i64);
    for (RoundingMode mode : {RoundingMode::trunc, RoundingMode::floor}) {
      CHECK(div(least, minus, mode).to_vector<int64_t>() == std::vector<int64_t>(2, INT64_MIN));
      CHECK(div(full({1}, INT32_MIN, Dtype::i32), -1, mode).to_vector<int32_t>() == std::vector<int32_t>{INT32_MIN});
      CHECK(div(full({2}, 5, Dtype::u8), minus, mode).to_vector<int64_t>() == std::vector<int64_t>(2, -5));
    }
    CHECK(remainder(least, minus).to_vector<int64_t>() == std::vector<int64_t>(2, 0));
    CHECK(fmod(least, minus).to_vector<int64_t>() == std::vector<int64_t>(2, 0));
  }

  TEST_CASE("factories refuse what does not fit") {
    CHECK_THROWS_AS((void)from_blob(nullptr, {3}, Dtype::f32), ValueError);
    CHECK(from_blob(nullptr, {0}, Dtype::f32).numel() == 0);
    CHECK_THROWS_AS((void)eye(2, -3), ValueError);
    CHECK_THROWS_AS((void)randint(0, 1000, {2}, Dtype::u8), ValueError);
    CHECK_THROWS_AS((void)randint(-1, 1, {2}, Dtype::boolean), ValueError);
    CHECK(randint(0, 256, {2}, Dtype::u8).numel() == 2);
  }

  TEST_CASE("ops that are made of others refuse in their own name") {
    const Tensor x = ones({2, 3});
    const auto text = [](const auto& f) -> std::string {
      try {
        (void)f();
      } catch (const Error& e) { return e.what(); }
      return "";
    };
    CHECK(text([&] { return normalize(x, 2, 5); }).starts_with("normalize: "));
    CHECK(text([&] { return normalize(x.to(Dtype::i64)); }).starts_with("normalize: "));
    CHECK(text([&] { return gumbel_softmax(x, 1, false, 9); }).starts_with("gumbel_softmax: "));
    CHECK(text([&] { return softmin(x, 9); }).starts_with("softmin: "));
    CHECK(text([&] { return softmin(ones({2}, Dtype::i64), 0); }).starts_with("softmin: "));
    CHECK(text([&] { return allclose(x, ones({4, 5})); }).starts_with("allclose: "));
    CHECK(text([&] { return max(zeros({0})); }).starts_with("max: "));
    CHECK(text([&] { return min(zeros({0})); }).starts_with("min: "));
    CHECK(text([&] { return amax(zeros({0})); }).starts_with("amax: "));
    CHECK(text([&] { return amin(zeros({2, 0}), 1); }).starts_with("amin: "));
    CHECK(text([&] { return max(Tensor()); }).starts_with("max: "));
  }

  TEST_CASE("adjoints of convolutions refuse shapes that do not belong together") {
    const ConvParams p{.stride = {1, 1}, .padding_lo = {0, 0}, .padding_hi = {0, 0}, .dilation = {1, 1}};
    const Tensor w = ones({1, 1, 3, 3}), large = ones({1, 1, 9, 9}), small = ones({1, 1, 4, 4});
    CHECK_THROWS_AS((void)conv_input_grad(large, w, {1, 1, 4, 4}, p), ShapeError);
    CHECK_THROWS_AS((void)conv_weight_grad(small, large, {1, 1, 3, 3}, p), ShapeError);
    CHECK_THROWS_AS((void)conv_input_grad(small, w, {1, 1, 6, 6}, ConvParams()), ValueError);
  }

  TEST_CASE(
      "gradients of a transposed convolution that is enlarged by more than its stride have their inputs' shapes") {
    const Tensor x = (ones({1, 2, 4, 4}, Dtype::f64) * 1.5).detach().set_requires_grad();
    const Tensor w = ones({2, 1, 2, 2}, Dtype::f64).set_requires_grad();
    const Tensor y = conv_transpose2d(x, w, {}, {.output_padding = 1, .dilation = 2});
    const std::vector<Tensor> g = grad(sum(y * y), {x, w}, {.create_graph = true});
    CHECK(g[0].shape() == x.shape());
    const std::vector<Tensor> second = grad(sum(g[0] * g[0]) + sum(g[1] * g[1]), {x, w});
    CHECK(second[0].shape() == x.shape());
    CHECK(second[1].shape() == w.shape());
  }
}
