// What reads as in PyTorch: operators, compound assignment, assignment to a part, and the ops that are members of
// Tensor.
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/shape/shape.h"

using namespace weft;
using support::message_of;

namespace {
using Values = std::vector<double>;
Tensor sample() { return here::tensor({1.0, -2.0, 3.0, -4.0, 5.0, -6.0}, {2, 3}); }
Values of(const Tensor& t) { return t.to_vector<double>(); }
}  // namespace

TEST_SUITE("methods") {
  DEVICE_TEST_CASE("comparison operators take tensors and numbers on either side") {
    const Tensor x = here::tensor({1.0, 2.0, 3.0}), y = here::tensor({3.0, 2.0, 1.0});
    CHECK((x == y).dtype() == Dtype::boolean);
    CHECK(of(x == y) == Values{0, 1, 0});
    CHECK(of(x != y) == Values{1, 0, 1});
    CHECK(of(x < y) == Values{1, 0, 0});
    CHECK(of(x <= y) == Values{1, 1, 0});
    CHECK(of(x > y) == Values{0, 0, 1});
    CHECK(of(x >= y) == Values{0, 1, 1});
    CHECK(of(x == 2) == Values{0, 1, 0});
    CHECK(of(2 == x) == Values{0, 1, 0});
    CHECK(of(2 != x) == Values{1, 0, 1});
    CHECK(of(x < 2) == Values{1, 0, 0});
    CHECK(of(2 < x) == Values{0, 0, 1});
    CHECK(of(2 <= x) == Values{0, 1, 1});
    CHECK(of(2 > x) == Values{1, 0, 0});
    CHECK(of(2 >= x) == Values{1, 1, 0});
    CHECK(of(x >= 2.5) == Values{0, 0, 1});
    CHECK((x == x).all().item<bool>());
  }

  DEVICE_TEST_CASE("& | ^ ~ ! are logic on bools and bits on integers") {
    const Tensor x = here::tensor({1.0, 2.0, 3.0}), n = here::tensor<int64_t>({5, 6});
    CHECK(of((x > 1) & (x < 3)) == Values{0, 1, 0});
    CHECK(of((x > 2) | (x < 2)) == Values{1, 0, 1});
    CHECK(of((x > 1) ^ (x < 3)) == Values{1, 0, 1});
    CHECK(of(~(x > 1)) == Values{1, 0, 0});
    CHECK(of(!(x > 1)) == Values{1, 0, 0});
    CHECK(of(n & 3) == Values{1, 2});
    CHECK(of(8 | n) == Values{13, 14});
    CHECK(of(n ^ n) == Values{0, 0});
    CHECK(of(~n) == Values{-6, -7});
    CHECK_THROWS_AS((void)(x & 1), DtypeError);
  }

  DEVICE_TEST_CASE("% has the divisor's sign") {
    const Tensor x = here::tensor<int64_t>({7, -7}), y = here::tensor<int64_t>({3, 3});
    CHECK(of(x % y) == Values{1, 2});
    CHECK(of(x % 4) == Values{3, 1});
    CHECK(of(10 % y) == Values{1, 1});
  }

  DEVICE_TEST_CASE("compound assignment writes in place where nothing is recorded") {
    Tensor x = here::tensor({1.0, 2.0});
    const Tensor same = x;
    x += 1;
    x -= here::tensor({0.5, 0.5});
    x *= 4;
    x /= here::tensor({2.0, 2.0});
    CHECK(of(same) == Values{3, 5});
    x += here::tensor({1.0, 2.0}), x -= 1, x *= here::tensor({2.0, 2.0}), x /= 2;
    CHECK(of(same) == Values{3, 6});
    Tensor n = here::tensor<int64_t>({4, 6});
    n += 2;
    n *= 3;
    CHECK(of(n) == Values{18, 24});
    CHECK_THROWS_AS(n += 0.5, DtypeError);
    CHECK_THROWS_AS(n /= 2, DtypeError);
    CHECK_THROWS_AS(x += here::ones({3, 2}, Dtype::f64), ShapeError);
    CHECK(of(n) == Values{18, 24});
    Tensor flag = here::tensor({true});
    CHECK_THROWS_AS(flag -= flag, DtypeError);
  }

  DEVICE_TEST_CASE("compound assignment rebinds the variable where it is recorded") {
    Tensor x = here::tensor({1.0, 2.0}).set_requires_grad();
    Tensor y = relu(x);
    const Tensor before = y;
    y += x;
    y *= 3;
    CHECK(of(y) == Values{6, 12});
    CHECK(of(before) == Values{1, 2});
    y.sum().backward();
    CHECK(of(x.grad()) == Values{6, 6});
    Tensor c = here::tensor({1.0, 1.0});  // not recorded itself, but what is added is
    c -= x;
    c /= 2;
    CHECK(c.requires_grad());
    Tensor h = mv(here::eye(2, 2, Dtype::f64), x);  // ends in a reshape of what nobody else has
    h += x;
    CHECK(of(h) == Values{2, 4});
    CHECK(of(c) == Values{0, -0.5});
  }

  DEVICE_TEST_CASE("compound assignment refuses what others would not see") {
    Tensor x = here::tensor({1.0, 2.0}).set_requires_grad();
    CHECK(
        message_of<ValueError>([&] { x += 1; }) ==
        "+=: the tensor [2] is a leaf that requires grad; write x = x + y for a new tensor, or change it under NoGrad");
    const Tensor whole = x * 2;
    Tensor part = whole.slice(0, 0, 1);
    CHECK(message_of<ValueError>([&] { part *= 2; }).starts_with("*=: the tensor [1] is a view, and what it views"));
    Tensor y = x * 2;
    CHECK(message_of<ValueError>([&] { y[0] -= 1; }).starts_with("-=: a temporary of shape [] cannot be changed"));
    CHECK(message_of<ValueError>([&] { y[0] = 1; }).starts_with("=: a temporary of shape [] cannot be changed"));
    CHECK_THROWS_AS(y += here::ones({3, 2}, Dtype::f64), ShapeError);
    CHECK(of(y) == Values{2, 4});
    NoGrad no_grad;
    x -= 1;
    y[0] += 5;
    CHECK(of(x) == Values{0, 1});
    CHECK(of(y) == Values{7, 4});
  }

  DEVICE_TEST_CASE("a part is assigned to, a copy is not") {
    Tensor x = sample();
    x[0] = 7;
    CHECK(of(x) == Values{7, 7, 7, -4, 5, -6});
    x[1][2] = 0.5;
    x[0] = here::tensor({1.0, 2.0, 3.0});
    CHECK(of(x) == Values{1, 2, 3, -4, 5, 0.5});
    x.index({Slice(), 1}) = here::tensor({8.0, 9.0});
    x[Slice(1, None)] += 1;
    CHECK(of(x) == Values{1, 8, 3, -3, 10, 1.5});
    CHECK(message_of<ValueError>([&] { x[x > 2] = 0; }) ==
          "=: the left side is a temporary copy of shape [3], which nothing else sees; name the tensor that is to "
          "change, as in "
          "x.index_put_({mask}, y)");
    CHECK_THROWS_AS(x.exp() += 1, ValueError);
    x.index_put_({x > 2}, 0);
    CHECK(of(x) == Values{1, 0, 0, -3, 0, 1.5});
    x.index_put_({0, Slice()}, here::tensor({4.0, 5.0, 6.0}));
    CHECK(of(x) == Values{4, 5, 6, -3, 0, 1.5});
    Tensor name = x;
    name = here::tensor({1.0});  // a variable only names another tensor
    CHECK(of(x)[0] == 4);
  }

  DEVICE_TEST_CASE("indices may be temporaries, None and ...") {
    const Tensor x = sample();
    CHECK(of(x[x > 0]) == Values{1, 3, 5});
    CHECK(of(x.index({x < 0})) == Values{-2, -4, -6});
    CHECK(x.index({None, "...", 0}).shape() == Shape{1, 2});
    CHECK(of(x.index({Ellipsis(), Slice(None, 2)})) == Values{1, -2, -4, 5});
    CHECK(of(x[here::tensor<int64_t>({1, 0})]) == Values{-4, 5, -6, 1, -2, 3});
    CHECK(message_of<ValueError>([&] { (void)x.index({".."}); }) ==
          "index: the text '..' is no index; expected \"...\"");
    // the gradient of a put remembers an index that was a temporary
    Tensor y = sample().set_requires_grad();
    index_put(y, {here::tensor<int64_t>({1})}, here::zeros({1, 3}, Dtype::f64)).sum().backward();
    CHECK(of(y.grad()) == Values{1, 1, 1, 0, 0, 0});
  }

  DEVICE_TEST_CASE("members are the functions") {
    const Tensor x = sample(), y = here::tensor({2.0, 2.0, 2.0}), m = x > 0;
    const Tensor at = here::tensor<int64_t>({2, 0});
    const auto same = [](const Tensor& a, const Tensor& b) { CHECK(equal(a, b)); };
    same(x.add(y, 2), add(x, y, 2)), same(x.sub(1, 3), sub(x, 1, 3)), same(x.mul(y), x * y), same(x.div(3), x / 3);
    same(x.div(y, RoundingMode::floor), div(x, y, RoundingMode::floor)), same(x.pow(2), pow(x, 2));
    same(x.fmod(2), fmod(x, 2)), same(x.remainder(y), remainder(x, y)), same(x.maximum(y), maximum(x, y));
    same(x.lerp(y.expand({2, 3}), 0.25), lerp(x, y.expand({2, 3}), 0.25)), same(x.where(m, 0), where(m, x, 0));
    same(x.eq(1), eq(x, 1)), same(x.lt(y), lt(x, y)), same(x.logical_and(m), logical_and(x, m));
    CHECK(x.allclose(x + 1e-9));
    CHECK(!x.equal(y));
    same(x.abs().sqrt(), sqrt(abs(x))), same(x.exp().log1p(), log1p(exp(x))), same(x.clamp(-1, 1), clamp(x, -1, 1));
    same(x.clamp_min(0), clamp(x, 0)), same(x.clamp_max(0), clamp(x, {}, 0)), same(x.relu(), relu(x));
    same(x.sum(), sum(x)), same(x.sum(1), sum(x, 1)), same(x.sum({0, 1}, true), sum(x, {0, 1}, true));
    same(x.mean(0), mean(x, 0)), same(x.std(), weft::std(x)), same(x.std(1, false), weft::std(x, 1, {.correction = 0}));
    same(x.var(0, {.correction = 0, .keepdim = true}), var(x, 0, {.correction = 0, .keepdim = true}));
    same(x.max(), max(x)), same(x.max(1).indices, max(x, 1).indices), same(x.argmax(0), argmax(x, 0));
    same(x.norm(), norm(x)), same(x.norm(1, 0), norm(x, 1, 0)), same(x.logsumexp(1), logsumexp(x, 1));
    same(m.any(1), any(m, 1)), same(m.all(), all(m)), same(x.softmax(1), softmax(x, 1)),
        same(x.cumsum(0), cumsum(x, 0));
    same(x.sort(1, true).values, sort(x, 1, true).values), same(x.topk(2).indices, topk(x, 2).indices);
    same(x.matmul(x.t()), matmul(x, x.t())), same(x.mv(y), mv(x, y)), same(y.dot(y), dot(y, y));
    same(x.index_select(1, at), index_select(x, 1, at)), same(x.masked_fill(m, 9), masked_fill(x, m, 9));
    same(x.masked_select(m), masked_select(x, m)), same(x.flip(0), flip(x, 0)), same(x.repeat(2, 1), repeat(x, {2, 1}));
    same(x.tril(), tril(x)), same(x.unbind(0)[1], x[1]), same(x.view(-1), x.view({-1})),
        same(x.view(3, 2), x.view({3, 2}));
    same(x.reshape(2, -1), x), same(x.permute(1, 0), x.t()), same(y.expand(2, 3), y.expand({2, 3}));
    CHECK(x.dim() == 2);
    CHECK(x.sizes() == Shape{2, 3});
    CHECK(x.stride(0) == 3);
    CHECK(x.stride(-1) == 1);
    CHECK(x.element_size() == 8);
    CHECK(x.to(at).dtype() == Dtype::i64);
    CHECK(x.to(at).device() == at.device());
    CHECK(x.cpu().device() == Device());
    CHECK(x[0][0].item().to_double() == 1);
  }

  DEVICE_TEST_CASE("members that write in place") {
    Tensor x = here::tensor({1.0, 4.0, 9.0});
    const Tensor same = x, two = here::tensor({2.0, 2.0, 2.0});
    x.sqrt_().add_(1).sub_(two).mul_(two).div_(2);
    CHECK(of(same) == Values{0, 1, 2});
    x.add_(two, 2).pow_(2).sub_(1, 2);
    CHECK(of(same) == Values{14, 23, 34});
    x.clamp_(20, 30).neg_().abs_().masked_fill_(x > 25, 0);
    CHECK(of(same) == Values{20, 23, 0});
    x.index_add_(0, here::tensor<int64_t>({0, 0}), here::tensor({1.0, 2.0})).scatter_(0, here::tensor<int64_t>({2}), 7);
    CHECK(of(same) == Values{23, 23, 7});
    x.remainder_(5).lerp_(here::zeros({3}, Dtype::f64), 0.5);
    CHECK(of(same) == Values{1.5, 1.5, 1});
    x.round_().addcmul_(two, two, 0.5).addcdiv_(two, two).cumsum_(0);
    CHECK(of(same) == Values{5, 10, 14});
    CHECK_THROWS_AS(x.pow_(here::ones({2, 3}, Dtype::f64)), ShapeError);
    Tensor n = here::tensor<int64_t>({1, 2});
    CHECK(message_of<DtypeError>([&] { n.sqrt_(); }) ==
          "sqrt_: a tensor of i64 cannot hold the result, a real number; the out-of-place form gives a new tensor");
    Tensor leaf = here::tensor({1.0}).requires_grad_();
    CHECK_THROWS_AS(leaf.exp_(), Error);
    CHECK(message_of<Error>([&] { x.lerp_(leaf, 0.5); }).starts_with("lerp_: an in-place change"));
    CHECK(of(same) == Values{5, 10, 14});
    leaf.detach_();
    CHECK(!leaf.requires_grad());
  }
}
