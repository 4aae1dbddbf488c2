// What the op table's f64 samples do not show of ops made of others: dtypes, special values, views and memory.
#include <doctest/doctest.h>

#include <cmath>

#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/index/index_write.h"
#include "weft/autograd/ops/index/scatter_reduce.h"
#include "weft/autograd/ops/linalg/blas.h"
#include "weft/autograd/ops/reduce/statistics.h"
#include "weft/autograd/ops/shape/as_strided.h"
#include "weft/autograd/ops/shape/diagonal.h"
#include "weft/autograd/ops/shape/stack.h"

using namespace weft;

namespace {

using Values = std::vector<double>;

Values values(const Tensor& x) { return x.to_vector<double>(); }
template <class... S> Tensor f64(const Values& v, const S&... shape) { return here::tensor(v, Shape(shape)...); }
template <class... S> Tensor i64(const std::vector<int64_t>& v, const S&... shape) {
  return here::tensor(v, Shape(shape)...);
}
Values gradient(const Tensor& y, const Tensor& x) { return values(grad({sum(y)}, {x})[0]); }

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_SUITE("composites") {
  DEVICE_TEST_CASE("dtypes are PyTorch's") {
    const Tensor half = here::ones({2, 2}, Dtype::f16), whole = here::ones({2, 2}, Dtype::i64),
                 bits = here::ones({2, 2}, Dtype::boolean), bytes = here::full({2, 2}, 3, Dtype::u8);
    CHECK(trace(bytes).dtype() == Dtype::i64);
    CHECK(trace(bytes).item<int64_t>() == 6);
    CHECK(block_diag({whole, half}).dtype() == Dtype::f16);
    CHECK(block_diag({}).shape() == Shape{1, 0});
    CHECK(vstack({whole, half}).dtype() == Dtype::f16);
    CHECK(kron(bits, bits).dtype() == Dtype::boolean);
    CHECK(kron(whole, half).dtype() == Dtype::f16);
    CHECK(inner(whole, whole).dtype() == Dtype::i64);
    CHECK(cov(whole).dtype() == Dtype::f32);
    CHECK(cov(half, {.aweights = here::ones({2}, Dtype::f64)}).dtype() == Dtype::f64);
    CHECK(corrcoef(half).dtype() == Dtype::f16);
    CHECK(trapezoid(whole).dtype() == Dtype::f32);
    CHECK(values(diff(here::tensor({true, false, false}))) == Values{1, 0});
    CHECK(diff(bits).dtype() == Dtype::boolean);
    CHECK(diff(whole, 1, -1, {.prepend = half}).dtype() == Dtype::f16);
    CHECK(broadcast_tensors({whole, half})[0].dtype() == Dtype::i64);
    CHECK(values(combinations(i64({5, 6, 7}))) == Values{5, 6, 5, 7, 6, 7});
    CHECK(combinations(i64({5, 6}), 0).shape() == Shape{0});
  }
  DEVICE_TEST_CASE("scaled sums of products: integers cut alpha, beta 0 hides NaN, bool of addr is logic") {
    const Tensor a = here::ones({2, 2}, Dtype::i64), v = here::ones({2}, Dtype::i64);
    const Tensor y = addmv(v, a, v, 1, 1.5);
    CHECK(y.dtype() == Dtype::i64);
    CHECK(values(y) == Values{3, 3});
    CHECK(values(baddbmm(v, a.unsqueeze(0), a.unsqueeze(0), 1, 0.5)) == Values{1, 1, 1, 1});
    const Tensor nan = f64({kNan}), m = here::ones({1, 1}, Dtype::f64), b = here::ones({1, 1, 1}, Dtype::f64);
    CHECK(values(addmv(nan, m, m[0], 0)) == Values{1});
    CHECK(values(addr(nan, m[0], m[0], 0)) == Values{1});
    CHECK(values(addbmm(nan, b, b, 0)) == Values{1});
    CHECK(values(baddbmm(nan, b, b, 0)) == Values{1});
    CHECK(values(addbmm(here::ones({2, 2}), here::ones({0, 2, 3}), here::ones({0, 3, 2}))) == Values{1, 1, 1, 1});
    const Tensor on = here::ones({2}, Dtype::boolean), off = here::zeros({2}, Dtype::boolean);
    CHECK(values(addr(off, on, on)) == Values{1, 1, 1, 1});
    CHECK(values(addr(on, off, on, 0)) == Values{0, 0, 0, 0});
    CHECK(addr(on, off, on).dtype() == Dtype::boolean);
  }
  DEVICE_TEST_CASE("statistics of too little are NaN, of numbers and empty tensors too") {
    CHECK(std::isnan(cov(f64({3}, Shape{})).item<double>()));
    CHECK(corrcoef(f64({1, 2, 4})).item<double>() == 1);
    CHECK(cov(here::ones({0, 2})).shape() == Shape{0, 0});
    for (const double v : values(cov(here::ones({2, 0})))) CHECK(std::isnan(v));
    for (const double v : values(cov(here::ones({2, 1})))) CHECK(std::isnan(v));
    // perfectly correlated rows: rounding must not exceed 1
    for (const double v : values(corrcoef(f64({0.1, 0.2, 0.7, 0.3, 0.6, 2.1}, Shape{2, 3})))) CHECK(v <= 1);
    CHECK(std::isnan(aminmax(f64({1, kNan, 3})).min.item<double>()));
    CHECK(values(trapezoid(here::ones({2, 0}), 1, 0)).empty());
    CHECK(trapezoid(f64({1}), f64({3})).item<double>() == 0);
  }
  DEVICE_TEST_CASE("pieces are views") {
    const Tensor x = here::zeros({5, 2}, Dtype::f64);
    for (Tensor piece : tensor_split(x, 2)) piece.fill_(1);
    CHECK(values(sum(x)) == Values{10});
    CHECK(broadcast_to(x, {3, 5, 2}).raw_data() == x.raw_data());
    CHECK(broadcast_tensors({x, x[0]})[1].raw_data() == x.raw_data());
    CHECK(diag(x).raw_data() != x.raw_data());
    CHECK(rot90(x, 0).raw_data() != x.raw_data());
  }
  DEVICE_TEST_CASE("index writes: the last of repeated indices, and gradients of repeated ones") {
    const Tensor x = here::zeros({3}, Dtype::f64), at = i64({1, 1});
    CHECK(values(index_copy(x, 0, at, f64({2, 3}))) == Values{0, 3, 0});
    CHECK(values(put(x, at, f64({2, 3}))) == Values{0, 3, 0});
    CHECK(values(put(x, at, f64({2, 3}), true)) == Values{0, 5, 0});
    Tensor value = f64({2}, Shape{});
    value.set_requires_grad();
    CHECK(gradient(index_fill(x, 0, at, value), value) == Values{1});  // one element, though named twice
    CHECK(index_fill(i64({0, 0}), 0, i64({-1}), 2.5).to_vector<int64_t>() == std::vector<int64_t>{0, 2});
    CHECK(index_fill(here::zeros({2}), 0, i64({0}), f64({2}, Shape{})).dtype() == Dtype::f32);
    CHECK_THROWS_AS((void)index_fill(here::zeros({2}, Dtype::u8), 0, i64({0}), 300), ValueError);
    Tensor src = f64({1, 2, 3, 4});
    src.set_requires_grad();
    const Tensor mask = here::tensor({true, false, true});
    CHECK(values(masked_scatter(x, mask, src)) == Values{1, 0, 2});
    CHECK(gradient(masked_scatter(x, mask, src), src) == Values{1, 1, 0, 0});
    CHECK(argwhere(f64({1}, Shape{})).shape() == Shape{1, 0});
  }
  DEVICE_TEST_CASE("reductions at places: integers, bool, NaN, and index order makes no difference") {
    const Tensor at = i64({0, 0}), x = i64({2, 2, 2});
    const auto all = [&](ScatterReduce r, bool self) {
      return scatter_reduce(x, 0, at, i64({-2, -5}), r, self).to_vector<int64_t>();
    };
    CHECK(all(ScatterReduce::mean, false) == std::vector<int64_t>{-4, 2, 2});  // rounded down
    CHECK(all(ScatterReduce::mean, true) == std::vector<int64_t>{-2, 2, 2});
    CHECK(all(ScatterReduce::prod, true) == std::vector<int64_t>{20, 2, 2});
    CHECK(all(ScatterReduce::amin, true) == std::vector<int64_t>{-5, 2, 2});
    CHECK(all(ScatterReduce::amax, false) == std::vector<int64_t>{-2, 2, 2});
    const auto logic = [&](ScatterReduce r) {
      return values(scatter_reduce(here::ones({3}, Dtype::boolean), 0, at, here::tensor({false, true}), r, false));
    };
    CHECK(logic(ScatterReduce::sum) == Values{1, 1, 1});
    CHECK(logic(ScatterReduce::prod) == Values{0, 1, 1});
    CHECK_THROWS_AS((void)logic(ScatterReduce::mean), DtypeError);
    for (const auto r : {ScatterReduce::amax, ScatterReduce::amin, ScatterReduce::prod}) {
      CHECK(std::isnan(values(scatter_reduce(f64({1, 1}), 0, at, f64({kNan, 2}), r))[0]));
      CHECK(std::isnan(values(index_reduce(f64({1, 1}), 0, at, f64({2, kNan}), r, false))[0]));
    }
    CHECK(scatter_reduce(f64({2}, Shape{}), 0, i64({0}, Shape{}), f64({3}, Shape{}), ScatterReduce::prod)
              .item<double>() == 6);
    CHECK(values(scatter_reduce(f64({4}), 0, i64({}), f64({3}), ScatterReduce::amax, false)) == Values{4});
    // many meet at few places, in three orders
    const int64_t n = 1000;
    Values v(n), expected(3, 0);
    std::vector<int64_t> places(n);
    for (int64_t i = 0; i < n; ++i) {
      v[static_cast<size_t>(i)] = static_cast<double>(i * 37 % 1009);
      places[static_cast<size_t>(i)] = i * i % 3;
      double& e = expected[static_cast<size_t>(i * i % 3)];
      e = std::max(e, v[static_cast<size_t>(i)]);
    }
    CHECK(values(scatter_reduce(f64({0, 0, 0}), 0, i64(places), f64(v), ScatterReduce::amax)) == expected);
  }
  DEVICE_TEST_CASE("reductions at places: shared extremes, and products with zeros") {
    Tensor x = f64({3, 1}), src = f64({3, 3, 2});
    x.set_requires_grad(), src.set_requires_grad();
    const Tensor at = i64({0, 0, 0});
    const Tensor y = scatter_reduce(x, 0, at, src, ScatterReduce::amax);
    const std::vector<Tensor> g = grad({sum(y)}, {x, src});
    const double third = 1.0 / 3;
    CHECK(values(g[0]) == Values{third, 1});
    CHECK(values(g[1]) == Values{third, third, 0});
    // without x its equal element takes no share
    const std::vector<Tensor> h = grad({sum(index_reduce(x, 0, at, src, ScatterReduce::amax, false))}, {x, src});
    CHECK(values(h[0]) == Values{0, 1});
    CHECK(values(h[1]) == Values{0.5, 0.5, 0});
    Tensor zeros = f64({0, 5, 2});
    zeros.set_requires_grad();
    CHECK(gradient(scatter_reduce(x.detach(), 0, at, zeros, ScatterReduce::prod), zeros) == Values{30, 0, 0});
  }
  DEVICE_TEST_CASE("as_strided sees the storage, whatever part of it x is") {
    const Tensor base = f64({0, 1, 2, 3, 4, 5});
    CHECK(values(as_strided(base.slice(0, 2), {2}, {1})) == Values{2, 3});
    CHECK(values(as_strided(base.slice(0, 2), {2}, {1}, 0)) == Values{0, 1});
    CHECK(as_strided(base, {2, 0}, {200, 1}, 30).shape() == Shape{2, 0});
    Tensor view = as_strided(base, {2}, {3}, 1);
    view.fill_(9);
    CHECK(values(base) == Values{0, 9, 2, 3, 9, 5});
    CHECK_THROWS_AS((void)as_strided(base.slice(0, 4), {3}, {1}), ValueError);
  }
  DEVICE_TEST_CASE("as_strided: gradients of parts, transposes and expanded tensors") {
    Tensor x = f64({1, 2, 3, 4, 5, 6}, Shape{2, 3});
    x.set_requires_grad();
    // a transpose: its elements lie in x's order
    CHECK(gradient(as_strided(x.t(), {2, 2}, {1, 1}) * f64({1, 10, 100, 1000}, Shape{2, 2}), x) ==
          Values{1, 110, 1000, 0, 0, 0});
    // a column sees its neighbours in the storage, which get nothing
    CHECK(gradient(as_strided(x.select(1, 1), {4}, {1}, 0), x) == Values{0, 1, 0, 0, 0, 0});
    // both rows of an expanded one are the same memory
    Tensor row = f64({1, 2, 3});
    row.set_requires_grad();
    CHECK(gradient(as_strided(row.expand({2, 3}), {4}, {0}, 1), row) == Values{0, 4, 0});
  }
}
