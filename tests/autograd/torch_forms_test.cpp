// Forms that PyTorch's users type beside weft's own: second names, positional arguments, results taken apart as tuples,
// options of new tensors. Each gives what the main form gives.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <tuple>
#include <vector>

#include "support/devices.h"
#include "support/here.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/aliases.h"
#include "weft/autograd/ops/elementwise/bitwise.h"
#include "weft/autograd/ops/elementwise/special.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/linalg/einsum.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/reduce/search.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/core/factory.h"
#include "weft/core/torch_names.h"
#include "weft/nn/linear.h"

using namespace weft;
using support::message_of;

namespace {

using Reals = std::vector<double>;
using Integers = std::vector<int64_t>;

Reals reals(const Tensor& x) { return x.to_vector<double>(); }
Integers integers(const Tensor& x) { return x.to_vector<int64_t>(); }
Tensor matrix() { return here::tensor(Reals{3, -1, 2, 0, 5, -4}, {2, 3}); }

template <class T>
concept HasAccessor = requires(T&& t) {
  std::forward<T>(t).template accessor<float, 2>();
};
static_assert(HasAccessor<Tensor&> && HasAccessor<const Tensor&> && !HasAccessor<Tensor>);

}  // namespace

TEST_SUITE("forms of PyTorch") {
  DEVICE_TEST_CASE("results of several tensors: names, bindings, std::tie, std::get, copies") {
    const Tensor x = matrix();
    const ValuesIndices r = x.max(1);
    CHECK(reals(r.values) == Reals{3, 5});
    CHECK(integers(r.indices) == Integers{0, 1});
    CHECK(std::get<0>(r).is_same(r.values));
    CHECK(integers(std::get<1>(x.topk(2))) == Integers{0, 2, 1, 0});
    Tensor v, i;
    std::tie(v, i) = x.min(1);
    CHECK(reals(v) == Reals{-1, -4});
    CHECK(integers(i) == Integers{1, 2});
    const auto [a, b] = x.sort(1);
    CHECK(reals(a) == Reals{-1, 2, 3, -4, 0, 5});
    CHECK(integers(b) == Integers{1, 2, 0, 2, 0, 1});

    // a copy's names are its own, and so are those of what it is assigned to
    ValuesIndices copy = r, other;
    copy.values = v;
    CHECK(reals(r.values) == Reals{3, 5});
    CHECK(reals(std::get<0>(copy)) == Reals{-1, -4});
    other = copy;
    CHECK(other.values.is_same(v));
    other = x.sort(1);
    CHECK(reals(other.values) == reals(a));
    ValuesIndices moved = std::move(other);
    CHECK(reals(moved.values) == reals(a));
    CHECK(&moved.values == &std::get<0>(moved));

    // a name of a temporary lives on in a reference, and std::get of one is a tensor
    const Tensor& kept = x.max(1).values;
    CHECK(reals(kept) == Reals{3, 5});
    const Tensor& got = std::get<0>(x.max(1));
    CHECK(reals(got) == Reals{3, 5});
    const std::tuple<Tensor, Tensor> pair = r;
    CHECK(std::get<1>(pair).is_same(r.indices));

    const UniqueResult u = unique(here::tensor(Integers{4, 2, 4}), {.return_inverse = true, .return_counts = true});
    CHECK(integers(std::get<0>(u)) == Integers{2, 4});
    CHECK(integers(u.inverse_indices) == Integers{1, 0, 1});
    CHECK(integers(std::get<2>(u)) == Integers{1, 2});
  }

  DEVICE_TEST_CASE("new tensors after another one, with options") {
    const Tensor x = matrix();
    CHECK(x.dtype() == Dtype::f64);
    CHECK(zeros_like(x).dtype() == Dtype::f64);
    CHECK(zeros_like(x).device() == x.device());
    const Tensor z = zeros_like(x, Dtype::i32);
    CHECK(z.dtype() == Dtype::i32);
    CHECK(z.device() == x.device());
    CHECK(integers(z) == Integers(6, 0));
    CHECK(reals(ones_like(x, kFloat32)) == Reals(6, 1));
    CHECK(integers(full_like(x, 7, kInt64)) == Integers(6, 7));
    CHECK(message_of<ValueError>([&] { (void)full_like(x, 300, Dtype::u8); }) ==
          "full_like: u8 cannot hold the value 300");
    CHECK(zeros_like(x, TensorOptions().requires_grad(true)).requires_grad());
    CHECK(zeros_like(x.t()).strides() == x.t().strides());
    CHECK(x.new_zeros({2}).device() == x.device());
    CHECK(reals(x.new_ones({2})) == Reals{1, 1});
    CHECK(reals(x.new_full({1}, 2.5)) == Reals{2.5});
    CHECK(x.new_full({1}, 2, kInt32).dtype() == Dtype::i32);
    CHECK(x.new_empty({4, 2}).shape() == Shape{4, 2});
    CHECK(rand_like(x, kFloat32).dtype() == Dtype::f32);
    CHECK(randn_like(x).dtype() == Dtype::f64);
    for (const int64_t v : integers(randint_like(x, 3, 5, kInt64))) CHECK((v == 3 || v == 4));
    // options that name no device leave a tensor where it is
    CHECK(x.to(TensorOptions(Dtype::f32)).device() == x.device());
    CHECK(x.to(TensorOptions(kFloat32)).dtype() == Dtype::f32);
    CHECK(x.to(TensorOptions(x.device())).dtype() == Dtype::f64);
    CHECK(x.toType(kInt64).dtype() == Dtype::i64);
  }

  DEVICE_TEST_CASE("queries and views") {
    const Tensor x = matrix();
    CHECK(x.scalar_type() == kDouble);
    CHECK(x.is_floating_point());
    CHECK(!x.to(kInt).is_floating_point());
    CHECK(x.ndimension() == 2);
    CHECK(x.is_cuda() == (x.device().type == kCUDA));
    CHECK(x.is_cpu() == (x.device().type == kCPU));
    CHECK(x.T().shape() == Shape{3, 2});
    CHECK(x.reshape({1, 2, 3}).T().shape() == Shape{3, 2, 1});
    CHECK(x.reshape({1, 2, 3}).mT().shape() == Shape{1, 3, 2});
    CHECK(message_of<ShapeError>([&] { (void)x[0].mT(); }) == "mT: expects at least 2 dimensions, got [3]");
    CHECK(x.swapaxes(0, 1).shape() == Shape{3, 2});
    const Tensor image = here::zeros({1, 2, 3, 4});
    CHECK(!image.is_contiguous(MemoryFormat::channels_last));
    CHECK(image.to(MemoryFormat::channels_last).is_contiguous(MemoryFormat::channels_last));
  }

  DEVICE_TEST_CASE("second names and positional arguments") {
    const Tensor x = matrix(), y = here::full({2, 3}, 1.0, Dtype::f64);
    CHECK(equal(max(x, y), maximum(x, y)));
    CHECK(equal(x.min(y), minimum(x, y)));
    CHECK(message_of<ShapeError>([&] { (void)max(x, x.T()); }).starts_with("max: "));
    CHECK(equal(clip(x, 0, 1), clamp(x, 0, 1)));
    CHECK(equal(x.clip(0), clamp_min(x, 0)));
    CHECK(equal(clamp_max(x, 0), clamp(x, {}, 0)));
    CHECK(equal(absolute(x), abs(x)));
    CHECK(equal(subtract(x, y, 2), x - 2 * y));
    CHECK(equal(rsub(x, y, 2), y - 2 * x));
    CHECK(equal(rsub(x, 1), 1 - x));
    CHECK(equal(divide(x, 2, "floor"), floor_divide(x, 2)));
    CHECK(equal(x.div(y, "trunc"), div(x, y, RoundingMode::trunc)));
    CHECK(equal(concat({x, y}, 1), cat({x, y}, 1)));
    CHECK(equal(moveaxis(x, 0, 1), x.t()));
    CHECK(reals(fmod(7.0, here::tensor(Reals{2, 4, -4}))) == Reals{1, 3, 3});
    CHECK(reals(x.sum(Dtype::f64)) == Reals{5});
    CHECK(x.to(kInt).mean(Dtype::f32).dtype() == Dtype::f32);
    CHECK(reals(nan_to_num(here::tensor(Reals{NAN, INFINITY, -INFINITY}), 1, 2, 3)) == Reals{1, 2, 3});
    CHECK(equal(histc(x, 4, -4, 4), histc(x, HistcOptions{.bins = 4, .min = -4, .max = 4})));
    CHECK(equal(bitwise_left_shift(x.to(kLong), 1), x.to(kLong).bitwise_left_shift(1)));
    CHECK(equal(x.var(false), x.var({}, {.correction = 0})));
    CHECK(equal(x.std(true), x.std()));
    CHECK(equal(weft::std(x, false), x.std(false)));
    CHECK(equal(var(x, true), x.var()));
    CHECK(equal(x.norm("fro", 1), norm(x, 2, 1)));
    CHECK(equal(x.norm("inf"), abs(x).max()));
    const std::vector<bool> flags{false};
    CHECK(equal(x.var(flags[0]), x.var(false)));
    CHECK(equal(std_mean(x, false).std, x.std(false)));
    CHECK(equal(var_mean(x, true).var, x.var()));
    CHECK(equal(index_put(x, {0}, 7), index_put(x, {0}, here::tensor(Reals{7}).to(x.dtype()))));
    CHECK(message_of<ValueError>([&] { (void)x.norm(static_cast<const char*>(nullptr)); }).starts_with("norm: p ''"));
    CHECK_THROWS_AS((void)x.to(static_cast<const char*>(nullptr)), ValueError);
  }

  DEVICE_TEST_CASE("compound assignment of bits and remainders") {
    Tensor m = here::tensor(Integers{6, 3});
    Tensor& same = m |= here::tensor(Integers{1, 4});
    CHECK(&same == &m);
    CHECK(integers(m) == Integers{7, 7});
    m &= here::tensor(Integers{3, 5});
    CHECK(integers(m) == Integers{3, 5});
    m ^= m.clone();
    CHECK(integers(m) == Integers{0, 0});
    Tensor q = here::tensor(Integers{7, -7});
    q %= 4;
    CHECK(integers(q) == Integers{3, 1});
    CHECK(message_of<DtypeError>([&] { q |= here::tensor(Reals{1, 2}); }).starts_with("|=: "));
    Tensor small = q.to(Dtype::u8);
    CHECK_THROWS_AS(small |= here::tensor(Integers{1, 2, 3}), ShapeError);
  }

  TEST_CASE("options that are a device alone") {
    CHECK(zeros({2}, kCPU).device() == Device());
    CHECK(zeros({2}, "cpu").device() == Device());
    CHECK(ones({2}, TensorOptions().device(kCPU, 0).dtype(kDouble)).dtype() == Dtype::f64);
    CHECK(zeros({2}).to(kCPU).device() == Device());
  }

  DEVICE_TEST_CASE("nanmean: the mean of what is a number, and its gradient") {
    Tensor x = here::tensor(Reals{1, NAN, 3, NAN, NAN, NAN}, {2, 3}).set_requires_grad();
    const Tensor y = nanmean(x, 1);
    CHECK(y[0].item<double>() == 2);
    CHECK(std::isnan(y[1].item<double>()));
    nanmean(x).backward();
    CHECK(reals(x.grad()) == Reals{0.5, 0, 0.5, 0, 0, 0});
    CHECK(message_of<DtypeError>([] { (void)nanmean(here::tensor(Integers{1})); }).starts_with("nanmean: expects a"));
  }

  DEVICE_TEST_CASE("take and where with one argument") {
    Tensor x = matrix().set_requires_grad();
    const Tensor at = here::tensor(Integers{5, -6, 5, 1}, {2, 2});
    CHECK(reals(take(x, at)) == Reals{-4, 3, -4, -1});
    CHECK(take(x, at).shape() == Shape{2, 2});
    sum(take(x, at)).backward();
    CHECK(reals(x.grad()) == Reals{1, 1, 0, 0, 0, 2});
    CHECK(message_of<ValueError>([&] { (void)take(x, here::tensor(Integers{6})).to("cpu"); }).starts_with("take: "));
    const std::vector<Tensor> places = where(x > 1);
    CHECK(places.size() == 2);
    CHECK(integers(places[0]) == Integers{0, 0, 1});
    CHECK(integers(places[1]) == Integers{0, 2, 1});
  }

  DEVICE_TEST_CASE("column_stack and splits by axis") {
    const Tensor u = here::tensor(Reals{1, 2}), m = matrix();
    CHECK(reals(column_stack({u, u})) == Reals{1, 1, 2, 2});
    CHECK(column_stack({u, m}).shape() == Shape{2, 4});
    CHECK(hsplit(m, 3)[2].shape() == Shape{2, 1});
    CHECK(hsplit(u, 2)[1].shape() == Shape{1});
    CHECK(vsplit(m, std::vector<int64_t>{1})[1].shape() == Shape{1, 3});
    CHECK(dsplit(m.reshape({1, 2, 3}), 3).size() == 3);
    CHECK(message_of<ValueError>([&] { (void)hsplit(m, 2); }) ==
          "hsplit: dim 1 of [2, 3] does not divide into 2 equal sections");
    CHECK(message_of<ShapeError>([&] { (void)vsplit(u, 2); }) == "vsplit: expects at least 2 dimensions, got [2]");
  }

  TEST_CASE("tensors from arrays, nested vectors, and factories with a dtype alone") {
    const std::array<float, 3> a{1, 2, 3};
    CHECK(tensor(a).dtype() == Dtype::f32);
    CHECK(tensor(a, Dtype::i64).to_vector<int64_t>() == Integers{1, 2, 3});
    const int64_t c[] = {4, 5};
    CHECK(integers(tensor(c)) == Integers{4, 5});
    CHECK(tensor(std::vector<std::vector<double>>{{1, 2, 3}, {4, 5, 6}}).shape() == Shape{2, 3});
    CHECK(message_of<ShapeError>([] {
            (void)tensor(std::vector<std::vector<float>>{{1, 2}, {3}});
          }) == "tensor: rows of 2 and of 1 elements");
    CHECK(reals(eye(2, Dtype::f64)) == Reals{1, 0, 0, 1});
    CHECK(eye(2, Dtype::f64).dtype() == Dtype::f64);
    CHECK(arange(3, kFloat32).dtype() == Dtype::f32);
    CHECK(reals(arange(1, 3, kFloat64)) == Reals{1, 2});
  }

  DEVICE_TEST_CASE("empty braces are the options, never a number, a dtype or a bool") {
    const Tensor x = matrix(), n = here::tensor(Integers{16777217, 1});
    CHECK(n.sum({}).item<int64_t>() == 16777218);
    CHECK(sum(x, {}).dtype() == Dtype::f64);
    CHECK(x.mean({}).dtype() == Dtype::f64);
    CHECK(equal(var(x, 0, {}), var(x, 0)));
    CHECK(equal(weft::std(x, 0, {}), weft::std(x, 0)));
    CHECK(eye(3, {}).shape() == Shape{3, 3});
    CHECK(equal(smooth_l1_loss(x, x + 1, {}), smooth_l1_loss(x, x + 1)));
  }

  TEST_CASE("a module's parameters in braces") {
    nn::Linear l(2, 2);
    const Tensor x = ones({1, 2});
    CHECK(cat({x, l.weight}).shape() == Shape{3, 2});
    CHECK(stack({l.weight, l.weight}).shape() == Shape{2, 2, 2});
    CHECK(einsum("ij,kj->ik", {x, l.weight}).shape() == Shape{1, 2});
    const std::vector<Tensor> g = grad(sum(l(x)), {l.weight, l.bias});
    CHECK(reals(g[0]) == Reals{1, 1, 1, 1});
    CHECK(reals(g[1]) == Reals{1, 1});
  }

  TEST_CASE("backward with PyTorch's arguments") {
    Tensor x = tensor(Reals{2, 3}).set_requires_grad();
    const Tensor y = x * x;
    y.backward(ones_like(y), true);
    y.backward(ones_like(y));
    CHECK(reals(x.grad()) == Reals{8, 12});
  }
}
