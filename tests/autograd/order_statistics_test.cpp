// Order statistics, running extremes, searches and counts where there are ties, NaNs, infinities and nothing at all.
#include <cmath>
#include <limits>

#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/engine.h"

using namespace weft;

namespace {
constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
using Values = std::vector<double>;
using Places = std::vector<int64_t>;

Tensor line(const Values& v) { return here::tensor(v); }
/// NaN equals NaN here.
bool same(const Tensor& got, const Values& want) { return allclose(got.to(Dtype::f64), line(want), 1e-15, 0, true); }
Values slope(const std::function<Tensor(const Tensor&)>& f, const Values& at) {
  const Tensor x = line(at).set_requires_grad();
  return grad({sum(f(x))}, {x})[0].to_vector<double>();
}
}  // namespace

TEST_SUITE("order statistics") {
  DEVICE_TEST_CASE("medians: NaNs, ties, nothing") {
    const Tensor some = line({1, kNan, 2, kNan});
    CHECK(std::isnan(median(some).item<double>()));
    CHECK(std::isnan(median(some, 0).values.item<double>()));
    CHECK(median(some, 0).indices.item<int64_t>() == 1);
    CHECK(nanmedian(some).item<double>() == 1);
    CHECK(nanmedian(line({kNan, 3, 1, kNan, 5}), 0).indices.item<int64_t>() == 1);
    CHECK(std::isnan(nanmedian(line({kNan, kNan})).item<double>()));
    CHECK(nanmedian(line({kNan, kNan}), 0).indices.item<int64_t>() == 0);
    CHECK(std::isnan(median(line({})).item<double>()));
    CHECK_THROWS_AS((void)median(here::zeros({0}, Dtype::i64)), ShapeError);
    CHECK(median(here::tensor<int64_t>({2, 1, 2, 1})).item<int64_t>() == 1);
    // of everything the equals share, along an axis one has it
    CHECK(slope([](const Tensor& x) { return median(x); }, {1, 1, 2, 1}) == Values{1 / 3.0, 1 / 3.0, 0, 1 / 3.0});
    CHECK(slope([](const Tensor& x) { return median(x); }, {kNan, 1, kNan}) == Values{0.5, 0, 0.5});
    CHECK(slope([](const Tensor& x) { return median(x, 0).values; }, {2, 1, 2}) == Values{1, 0, 0});
  }

  DEVICE_TEST_CASE("kthvalue and mode: NaN last, ties") {
    CHECK(std::isnan(kthvalue(line({3, 1, kNan}), 3).values.item<double>()));
    CHECK(kthvalue(here::tensor<int64_t>({4, 2, 2}), 2).indices.item<int64_t>() == 2);
    const ValuesIndices m = mode(here::tensor<int64_t>({1, 2, 2, 1, 3, 5, 5, 5, 4, 4}).reshape({2, 5}), 1, true);
    CHECK(m.values.to_vector<int64_t>() == Places{1, 5});
    CHECK(m.indices.to_vector<int64_t>() == Places{3, 2});
    CHECK(m.values.shape() == Shape{2, 1});
    CHECK(mode(here::tensor<bool>(std::vector<bool>{true, false, true})).values.item<bool>());
    CHECK(slope([](const Tensor& x) { return mode(x).values; }, {1, 2, 2}) == Values{0, 0, 1});
    const ValuesIndices one = mode(line({kNan, kNan, 0, -0.0, 1, 1})), none = mode(line({kNan, kNan}));
    CHECK(one.values.item<double>() == 0);
    CHECK(one.indices.item<int64_t>() == 3);
    CHECK(std::isnan(none.values.item<double>()));
    CHECK(none.indices.item<int64_t>() == 0);
    CHECK(mode(here::scalar(3.0)).indices.item<int64_t>() == 0);
    CHECK(mode(here::zeros({0, 3}), 1).values.shape() == Shape{0});
  }

  DEVICE_TEST_CASE("quantiles: NaNs, shapes") {
    CHECK(same(quantile(line({1, kNan}), line({0, 1})), {kNan, kNan}));
    CHECK(same(nanquantile(line({kNan, 3, 1}), line({0, 0.5, 1})), {1, 2, 3}));
    CHECK(std::isnan(nanquantile(line({kNan, kNan}), 0.5).item<double>()));
    const Tensor x = here::rand({2, 3});
    CHECK(quantile(x, here::tensor({0.1f, 0.2f}), 1, true).shape() == Shape{2, 2, 1});
    CHECK(quantile(x, here::tensor({0.1f, 0.2f}), {}, true).shape() == Shape{2, 1, 1});
    CHECK(quantile(x, 0.5, {}, true).shape() == Shape{1, 1});
    CHECK(quantile(x, 0.5, 0).shape() == Shape{3});
    CHECK(quantile(here::scalar(2.0), 0.5, 0).item<float>() == 2);
    CHECK_THROWS_AS((void)quantile(x, kNan), ValueError);
    CHECK_THROWS_AS((void)quantile(x, here::tensor<double>({0.5})), DtypeError);
  }

  DEVICE_TEST_CASE("running extremes: the last of equals, NaN from its place on") {
    const ValuesIndices most = cummax(line({1, 3, 3, kNan, 5, kNan, 1}), 0),
                        least = cummin(line({1, 3, 1, kNan, 5}), 0);
    CHECK(same(most.values, {1, 3, 3, kNan, kNan, kNan, kNan}));
    CHECK(most.indices.to_vector<int64_t>() == Places{0, 1, 2, 3, 3, 5, 5});
    CHECK(least.indices.to_vector<int64_t>() == Places{0, 0, 2, 3, 3});
    CHECK(cummax(here::tensor<bool>(std::vector<bool>{true, false}), 0).indices.to_vector<int64_t>() == Places{0, 0});
    CHECK(slope([](const Tensor& x) { return cummax(x, 0).values; }, {1, 3, 3, 2}) == Values{1, 1, 2, 0});
    // a long line against a loop
    const Tensor x = here::randint(0, 50, {1000}, Dtype::i64);
    const auto v = x.to_vector<int64_t>(), at = cummax(x, 0).indices.to_vector<int64_t>();
    int64_t best = 0;
    bool right = true;
    for (int64_t i = 0; i < 1000; ++i) {
      if (v[static_cast<size_t>(i)] >= v[static_cast<size_t>(best)]) best = i;
      right &= at[static_cast<size_t>(i)] == best;
    }
    CHECK(right);
    // lines beside each other, short and long ones, in a layout without order
    for (const Shape& s : {Shape{40, 700}, Shape{3, 30, 5}, Shape{2, 40, 33}})
      for (const Dtype d : {Dtype::f32, Dtype::bf16, Dtype::u8}) {
        const Tensor m = here::randint(0, 50, s, Dtype::i64).to(d), across = m.transpose(0, 1).contiguous();
        const ValuesIndices down = cummin(across, 0), along = cummin(m, 1), mixed = cummin(across.transpose(0, 1), 1);
        CHECK(down.indices.transpose(0, 1).to_vector<int64_t>() == along.indices.to_vector<int64_t>());
        CHECK(mixed.indices.to_vector<int64_t>() == along.indices.to_vector<int64_t>());
        CHECK(along.values.to_vector<double>() == gather(m, 1, along.indices).to_vector<double>());
        CHECK(down.values.transpose(0, 1).to_vector<double>() == along.values.to_vector<double>());
      }
    const ValuesIndices alone = cummax(here::scalar(2.0), 0);
    CHECK(alone.values.item<float>() == 2);
    CHECK(alone.indices.item<int64_t>() == 0);
    CHECK(cummax(here::zeros({2, 0}), 1).indices.shape() == Shape{2, 0});
    CHECK_THROWS_AS((void)cummax(here::scalar(2.0), 1), ShapeError);
  }

  DEVICE_TEST_CASE("logcumsumexp: infinities, and no overflow") {
    CHECK(same(logcumsumexp(line({-kInf, -kInf, 1, kInf, 1}), 0), {-kInf, -kInf, 1, kInf, kInf}));
    CHECK(same(logcumsumexp(line({1000, 1000}), 0), {1000, 1000 + std::log(2)}));
    // nothing of the gradient is lost behind a beginning of -inf
    const Values g = slope([](const Tensor& x) { return logcumsumexp(x, 0); }, {-kInf, 1, 1});
    CHECK(g[1] == doctest::Approx(1.5));
    CHECK(g[2] == doctest::Approx(0.5));
    CHECK(logcumsumexp(here::scalar(2.0), 0).item<float>() == 2);
  }

  DEVICE_TEST_CASE("searches: NaN behind everything, empty sequences, int32") {
    const Tensor s = line({1, 2, 2, 3}), v = line({kNan, 2, kInf, -kInf});
    CHECK(searchsorted(s, v).to_vector<int64_t>() == Places{4, 1, 4, 0});
    CHECK(searchsorted(s, v, {.right = true}).to_vector<int64_t>() == Places{4, 3, 4, 0});
    CHECK(searchsorted(line({}), v).to_vector<int64_t>() == Places{0, 0, 0, 0});
    CHECK(searchsorted(s, v, {.out_int32 = true}).dtype() == Dtype::i32);
    CHECK(searchsorted(s, 2.0).shape() == Shape{});
    CHECK(searchsorted(here::tensor<int64_t>({1, 3}), 2.5).item<int64_t>() == 1);
    CHECK(bucketize(3, here::tensor<int64_t>({1, 3}), {.right = true}).item<int64_t>() == 2);
    CHECK(bucketize(here::scalar(3), here::tensor<int64_t>({1, 5})).item<int64_t>() == 1);
    CHECK_THROWS_AS((void)searchsorted(s, v, {.sorter = here::tensor<int64_t>({0, 1, 2, 9})}), ValueError);
    // many values at once, lines of their own, NaN at the line's end
    const Tensor steps = here::arange(0, 100, 1, Dtype::f32), at = here::arange(0, 300, 1, Dtype::f32) / 4;
    const auto found = searchsorted(steps, at.reshape({3, 100})).to_vector<int64_t>();
    bool right = true;
    for (int64_t i = 0; i < 300; ++i) right &= found[static_cast<size_t>(i)] == (i + 3) / 4;
    CHECK(right);
    const Tensor rows = line({1, 3, kNan, 0, 0, 2}).reshape({2, 3}), wanted = line({3, 4, kNan, 0}).reshape({2, 2});
    CHECK(searchsorted(rows, wanted).to_vector<int64_t>() == Places{1, 2, 3, 0});
    CHECK(searchsorted(rows, wanted, {.right = true}).to_vector<int64_t>() == Places{2, 2, 3, 2});
    CHECK(searchsorted(rows.t().contiguous().t(), wanted.t().contiguous().t()).to_vector<int64_t>() ==
          Places{1, 2, 3, 0});
    CHECK(isin(line({1, kNan}), line({kNan, 1})).to_vector<bool>() == std::vector<bool>{true, false});
    CHECK(isin(1, here::tensor<int64_t>({1, 2})).item<bool>());
    CHECK(isin(line({1, 2}), line({}), {.invert = true}).to_vector<bool>() == std::vector<bool>{true, true});
    CHECK(isin(line({1, 2}), 2).to_vector<bool>() == std::vector<bool>{false, true});
    CHECK(isclose(line({kInf, kNan, kInf}), line({kInf, kNan, 1}), 1e-5, 1e-8, true).to_vector<bool>() ==
          std::vector<bool>{true, true, false});
    CHECK_FALSE(isclose(line({kNan}), line({kNan})).item<bool>());
  }

  DEVICE_TEST_CASE("counts: runs, empty input, the histogram's own range") {
    const UniqueResult u = unique_consecutive(line({1, 1, kNan, kNan}), {.return_counts = true});
    CHECK(same(u.output, {1, kNan, kNan}));
    CHECK(u.counts.to_vector<int64_t>() == Places{2, 1, 1});
    CHECK_FALSE(u.inverse_indices.defined());
    const UniqueResult none = unique_consecutive(line({}), {.return_inverse = true, .return_counts = true});
    CHECK(none.output.numel() + none.inverse_indices.numel() + none.counts.numel() == 0);
    const UniqueResult one = unique_consecutive(here::scalar(3.0), {.return_inverse = true});
    CHECK(one.output.shape() == Shape{1});
    CHECK(one.inverse_indices.shape() == Shape{});
    CHECK(unique_consecutive(here::zeros({0, 3}), {.dim = 0}).output.shape() == Shape{0, 3});
    const UniqueResult all = unique(line({3, 1, kNan, 3, 1, 1}), {.return_inverse = true, .return_counts = true});
    CHECK(same(all.output, {1, 3, kNan}));
    CHECK(all.inverse_indices.to_vector<int64_t>() == Places{1, 0, 2, 1, 0, 0});
    CHECK(all.counts.to_vector<int64_t>() == Places{3, 2, 1});
    CHECK(unique(here::tensor({true, false, true})).output.to_vector<int64_t>() == Places{0, 1});
    CHECK(unique(here::scalar(3.0), {.return_inverse = true}).inverse_indices.shape() == Shape{});
    CHECK(unique(line({})).output.shape() == Shape{0});
    CHECK(bincount(here::zeros({0}, Dtype::i64), {}, 3).to_vector<int64_t>() == Places{0, 0, 0});
    CHECK(bincount(here::tensor<int64_t>({1, 1, 3}), here::tensor<int64_t>({1, 2, 3})).dtype() == Dtype::f64);
    CHECK(same(histc(line({1, 1}), {.bins = 4}), {0, 0, 2, 0}));
    CHECK(same(histc(line({1, 2, 9, kNan}), {.bins = 4, .min = 1, .max = 2}), {1, 0, 0, 1}));
    CHECK(same(histc(line({}), {.bins = 4}), {0, 0, 0, 0}));
    CHECK_THROWS_AS((void)histc(line({1, kNan})), ValueError);
  }
}
