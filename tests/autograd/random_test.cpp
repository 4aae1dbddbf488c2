// Philox's published vectors, the moments of every distribution, and dropout: one mask in both directions, on any
// number of threads.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/gradcheck.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"
#include "weft/core/fn/philox.h"
#include "weft/core/parallel.h"

using namespace weft;

namespace {
/// Mean within five standard errors, variance within five of its own (kurtosis given); a chance of about 1e-6 with a
/// free seed, none here: the seed is fixed.
void check_moments(const Tensor& x, double mean_want, double var_want, double kurtosis) {
  const auto v = x.to_vector<double>();
  const double n = static_cast<double>(v.size()), m = std::accumulate(v.begin(), v.end(), 0.0) / n;
  double s = 0;
  for (double a : v) s += (a - m) * (a - m);
  CHECK(std::abs(m - mean_want) < 5 * std::sqrt(var_want / n));
  CHECK(std::abs(s / n - var_want) < 5 * var_want * std::sqrt((kurtosis - 1) / n) + 1e-12);
}
}  // namespace

TEST_SUITE("random") {
  DEVICE_TEST_CASE("Philox4x32-10: known answers of its authors (Random123)") {
    const fn::PhiloxBlock b = fn::philox(0, 0);
    CHECK(b.w0 == 0x6627e8d5u);
    CHECK(b.w1 == 0xe169c58du);
    CHECK(b.w2 == 0xbc57ac4cu);
    CHECK(b.w3 == 0x9b00dbd8u);
    CHECK(fn::bounded(uint64_t{0xffffffffffffffffu}, 10) == 9);
    CHECK(fn::bounded(uint64_t{1} << 63, uint64_t{1} << 40) == uint64_t{1} << 39);
    CHECK(fn::bernoulli_threshold(1) == uint64_t{1} << 32);
  }

  DEVICE_TEST_CASE("element i depends on seed, offset and i alone") {
    const uint64_t first = 0xffffff80;
    Generator g(0);
    g.set_state({0x123456789abcdef0, first});  // the counter's carry is inside
    const auto words = here::randint(0, int64_t{1} << 32, {1009}, Dtype::i64, &g).to_vector<int64_t>();
    bool same = true;
    for (int64_t i = 0; i < 1009; ++i) {
      const fn::PhiloxBlock b = fn::philox(0x123456789abcdef0, first + static_cast<uint64_t>(i / 4));
      const uint32_t w[] = {b.w0, b.w1, b.w2, b.w3};
      same &= words[static_cast<size_t>(i)] == w[i % 4];
    }
    CHECK(same);
    CHECK(g.state() == Generator::State{0x123456789abcdef0, first + 253});
    const int before = num_threads();
    for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
      Generator a(7), b(7), c(7);
      set_num_threads(1);
      const Tensor one = here::randn({100003}, d, &a);
      set_num_threads(3);
      const Tensor three = here::randn({100003}, d, &b);
      set_num_threads(before);
      CHECK(equal(one, three));
      CHECK(equal(here::randn({1001}, d, &c), one.narrow(0, 0, 1001)));
      CHECK(a.state() == b.state());
    }
  }

  DEVICE_TEST_CASE("moments and ranges") {
    manual_seed(3);
    for (Dtype d : {Dtype::f32, Dtype::f64}) {
      check_moments(here::rand({200001}, d), 0.5, 1.0 / 12, 1.8);
      check_moments(here::randn({200001}, d), 0, 1, 3);
    }
    for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16}) {
      const auto v = here::rand({70000}, d).to_vector<double>();
      CHECK(*std::min_element(v.begin(), v.end()) >= 0);
      CHECK(*std::max_element(v.begin(), v.end()) < 1);
    }
    const Tensor dice = here::randint(1, 7, {60000});
    check_moments(dice.to(Dtype::f64), 3.5, 35.0 / 12, 1.73);
    CHECK(amax(dice).item<int64_t>() == 6);
    CHECK(amin(dice).item<int64_t>() == 1);
    const auto wide = here::randint(INT64_MIN, INT64_MAX, {1000}).to_vector<int64_t>();
    CHECK(std::count_if(wide.begin(), wide.end(), [](int64_t i) { return i < 0; }) > 400);
    CHECK_THROWS_AS((void)here::randint(3, 3, {1}), ValueError);
    CHECK_THROWS_AS((void)here::rand({2}, Dtype::i64), DtypeError);
    auto p = here::randperm(1000).to_vector<int64_t>();
    CHECK_FALSE(std::is_sorted(p.begin(), p.end()));
    std::sort(p.begin(), p.end());
    CHECK(p[0] == 0);
    CHECK(p[999] == 999);
    CHECK(std::adjacent_find(p.begin(), p.end()) == p.end());
    check_moments(bernoulli({100000}, 0.3, Dtype::f64), 0.3, 0.21, 1.77);
    check_moments(bernoulli(here::full({100000}, 0.3, Dtype::f64)), 0.3, 0.21, 1.77);
    CHECK(amin(bernoulli({1000}, 1)).item<float>() == 1);
    CHECK(amax(bernoulli({1000}, 0)).item<float>() == 0);
    Generator g(1);
    for (int i = 0; i < 1000; ++i) {
      CHECK(g.below(7) < 7);
      const double u = g.uniform();
      CHECK((u >= 0 && u < 1));
    }
  }

  DEVICE_TEST_CASE("in-place fills") {
    Tensor x = here::empty({40, 50}, Dtype::f64), t = here::empty({50, 40}, Dtype::f64).transpose(0, 1);
    manual_seed(5);
    normal_(x, 2, 0.5);
    check_moments(x, 2, 0.25, 3);
    manual_seed(5);
    normal_(t, 2, 0.5);
    CHECK(equal(x, t));  // the layout does not matter
    uniform_(x, -3, 1);
    check_moments(x, -1, 16.0 / 12, 1.8);
    bernoulli_(x, 0.25);
    check_moments(x, 0.25, 0.1875, 2.4);
    x.set_requires_grad();
    CHECK_THROWS_AS(normal_(x), Error);
    CHECK_THROWS_AS(normal_(t, 0, -1), ValueError);
  }

  DEVICE_TEST_CASE("manual_seed repeats, threads of their own differ") {
    manual_seed(11);
    const Tensor a = here::rand({10});
    manual_seed(11);
    CHECK(equal(a, here::rand({10})));
    CHECK_FALSE(equal(a, here::rand({10})));
    CHECK(rand_like(a.reshape({2, 5})).shape() == Shape{2, 5});
    CHECK(randn_like(a).dtype() == Dtype::f32);
  }
}

TEST_SUITE("dropout") {
  DEVICE_TEST_CASE("keeps the mean, the gradient has the value's mask") {
    manual_seed(2);
    Tensor x = here::full({2, 64, 30, 31}, 2, Dtype::f32).set_requires_grad();
    const Tensor y = dropout(x, 0.25);
    check_moments(ne(y, 0).to(Dtype::f64), 0.75, 0.1875, 2.4);
    CHECK(equal(y, where(ne(y, 0), here::scalar(2 / 0.75f), here::scalar(0.f)).expand(y.shape())));
    sum(y).backward();
    CHECK(equal(ne(x.grad(), 0), ne(y, 0)));
    CHECK(amax(x.grad()).item<float>() == doctest::Approx(1 / 0.75));
    const Tensor last = x.detach().contiguous(MemoryFormat::channels_last).set_requires_grad();
    const Tensor z = dropout(last, 0.5);
    CHECK(z.is_channels_last());
    sum(z * here::ones(z.shape())).backward();  // a gradient of another layout
    CHECK(equal(ne(last.grad(), 0), ne(z, 0)));
  }

  DEVICE_TEST_CASE("edges") {
    const Tensor x = here::rand({4, 5});
    CHECK(dropout(x, 0.5, false).is_same(x));
    CHECK(dropout(x, 0).is_same(x));
    CHECK(equal(dropout(x, 1), here::zeros({4, 5})));
    CHECK_THROWS_AS((void)dropout(x, 1.5), ValueError);
    CHECK_THROWS_AS((void)dropout(x, -0.1), ValueError);
    CHECK(dropout(here::zeros({0, 3})).shape() == Shape{0, 3});
    CHECK(dropout2d(x).shape() == x.shape());  // [N, C]: each element is a channel
  }

  DEVICE_TEST_CASE("ranks are those that PyTorch takes, in evaluation all of them") {
    using Op = Tensor (*)(const Tensor&, double, Only<bool>, Generator*);
    for (const Op op : {Op(dropout1d), Op(dropout2d), Op(dropout3d), Op(feature_alpha_dropout), Op(alpha_dropout)})
      for (const Shape& s : {Shape{}, Shape{3}, Shape{2, 3}, Shape{1, 2, 1, 2, 1, 2}}) {
        const Tensor x = here::rand(s);
        CHECK(op(x, 0.5, false, nullptr).is_same(x));
        CHECK_THROWS_AS((void)op(x, 1.5, false, nullptr), ValueError);
      }
    for (const Op op : {Op(dropout1d), Op(dropout2d), Op(dropout3d), Op(feature_alpha_dropout)}) {
      CHECK_THROWS_AS((void)op(here::rand({3}), 0.5, true, nullptr), ShapeError);
      CHECK_THROWS_AS((void)op(here::scalar(1.0), 0.5, true, nullptr), ShapeError);
    }
    CHECK_THROWS_AS((void)dropout1d(here::rand({1, 2, 2, 2})), ShapeError);
    // the channels' values are all alike, and not all channels are
    const auto per_channel = [](const Tensor& y, int axes) {
      const Tensor rows = y.reshape({Shape(y.shape().slice(0, axes)).numel(), -1});
      CHECK(equal(rows, rows.select(1, 0).unsqueeze(1).expand(rows.shape())));
      CHECK(any(ne(rows, rows[0])).item<bool>());
    };
    manual_seed(5);
    per_channel(dropout2d(here::ones({40, 9, 6})), 2);           // [N, C, L]
    per_channel(dropout3d(here::ones({60, 2, 3, 2})), 1);        // [C, D, H, W]
    per_channel(dropout3d(here::ones({20, 9, 2, 3, 2})), 2);     // [N, C, D, H, W]
    per_channel(dropout2d(here::ones({20, 9, 2, 3, 2, 2})), 2);  // any rank
    per_channel(feature_alpha_dropout(here::ones({20, 9, 5})), 2);
  }

  DEVICE_TEST_CASE("bernoulli refuses what is no probability") {
    for (const double bad : {-0.01, 1.01, std::nan(""), -1e30}) {
      Tensor p = here::full({3, 4}, 0.5);
      p.select(0, 1).select(0, 2).fill_(bad);
      CHECK_THROWS_AS(((void)bernoulli(p), synchronize(support::device())), ValueError);
      CHECK_THROWS_AS((void)bernoulli(Shape{2}, bad, support::on()), ValueError);
    }
    CHECK(equal(bernoulli(here::tensor(std::vector<float>{0, 1})), here::tensor(std::vector<float>{0, 1})));
    CHECK(bernoulli(here::zeros({0, 2})).shape() == Shape{0, 2});
  }

  DEVICE_TEST_CASE("whole channels") {
    manual_seed(9);
    const Tensor x = here::ones({8, 16, 3, 4}), y = dropout2d(x, 0.5);
    CHECK(equal(amax(y, {2, 3}), amin(y, {2, 3})));
    const auto v = amax(y, {2, 3}).to_vector<float>();
    CHECK(std::all_of(v.begin(), v.end(), [](float a) { return a == 0 || a == 2; }));
    CHECK(std::count(v.begin(), v.end(), 0.f) > 40);
    CHECK(std::count(v.begin(), v.end(), 2.f) > 40);
    CHECK(dropout1d(here::ones({4, 3}), 0.5).shape() == Shape{4, 3});
    CHECK(dropout3d(here::ones({2, 4, 2, 2, 2}), 0.5).shape() == Shape{2, 4, 2, 2, 2});
  }

  DEVICE_TEST_CASE("alpha_dropout keeps mean and variance") {
    manual_seed(4);
    const Tensor x = here::randn({400000}, Dtype::f64);
    const Tensor y = alpha_dropout(x, 0.3);
    CHECK(std::abs(mean(y).item<double>()) < 0.01);  // about six standard errors
    CHECK(std::abs(var(y).item<double>() - 1) < 0.02);
    const Tensor z = feature_alpha_dropout(here::randn({40, 500, 20}, Dtype::f64), 0.3);
    CHECK(std::abs(var(z).item<double>() - 1) < 0.05);
  }

  DEVICE_TEST_CASE("derivatives of both orders under one mask") {
    Tensor x = (here::rand({3, 4, 2}, Dtype::f64) + 0.5).set_requires_grad();
    for (auto f : {+[](const Tensor& t) { return dropout(t, 0.4); }, +[](const Tensor& t) { return dropout1d(t, 0.4); },
                   +[](const Tensor& t) { return alpha_dropout(t, 0.4); }}) {
      const auto g = [f](const std::vector<Tensor>& t) { return square(f(t[0])); };
      CHECK(gradcheck(g, {x}));
      CHECK(gradgradcheck(g, {x}));
    }
  }

  DEVICE_TEST_CASE("gumbel_softmax is the softmax of logits and noise, hard or soft") {
    const auto drawn = [](const Tensor& x, double tau, bool hard = false) {
      manual_seed(6);
      return gumbel_softmax(x, tau, hard);
    };
    const Tensor x = here::randn({3, 4}, Dtype::f64).set_requires_grad(), u = here::randn({3, 4}, Dtype::f64);
    const Tensor noise = log(drawn(zeros_like(x.detach()), 1));  // up to a constant of each row
    const Tensor soft = drawn(x, 0.6), hard = drawn(x, 0.6, true);
    CHECK(allclose(soft, softmax((x + noise) / 0.6, -1), 1e-12, 1e-12));
    CHECK(allclose(hard, one_hot(argmax(soft, -1), 4).to(Dtype::f64), 0, 1e-12));
    CHECK(allclose(grad(sum(hard * u), {x})[0], grad(sum(soft * u), {x})[0], 1e-12, 1e-12));
    const auto f = [&](const std::vector<Tensor>& t) { return drawn(t[0], 0.6); };
    CHECK(gradcheck(f, {x}));
    CHECK(gradgradcheck(f, {x}));
    // halves have too few digits for the noise itself
    for (const Dtype d : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
      const Tensor y = gumbel_softmax(here::zeros({20000, 4}, d), 1, true);
      CHECK(y.dtype() == d);
      for (const double share : mean(y.to(Dtype::f32), 0).to_vector<double>())
        CHECK(std::abs(share - 0.25) < 0.02);  // six standard errors
    }
  }

  DEVICE_TEST_CASE(
      "Poisson, exponential and normal numbers: moments, one stream for any number of threads and layout") {
    manual_seed(3);
    for (const double rate : {0.3, 4.0, 9.9, 10.1, 60.0, 3e4}) {
      CAPTURE(rate);
      // kurtosis of the Poisson law: 3 + 1 / rate
      check_moments(poisson(here::full({100000}, rate, Dtype::f64)), rate, rate, 3 + 1 / rate);
    }
    CHECK(poisson(here::full({3}, 0.0)).to_vector<float>() == std::vector<float>{0, 0, 0});
    // P(0), P(1), ... of rate 12, which is drawn by rejection: chi-squared with 31 degrees of freedom
    const auto draws = bincount(poisson(here::full({200000}, 12.0)).to(Dtype::i64), {}, 32).to_vector<int64_t>();
    double chi = 0, p = std::exp(-12.0);
    for (size_t k = 0; k < 32; p *= 12.0 / static_cast<double>(++k)) {
      const double want = 200000 * p, d = static_cast<double>(draws[k]) - want;
      chi += d * d / want;
    }
    CHECK(chi < 31 + 5 * std::sqrt(62.0));
    for (Dtype d : {Dtype::f32, Dtype::f64}) {
      Tensor x = here::zeros({100000}, d);
      exponential_(x, 2);
      check_moments(x, 0.5, 0.25, 9);
      CHECK(min(x).item<double>() > 0);
    }
    check_moments(normal(here::full({100000}, 2.0), here::full({1}, 3.0)), 2, 9, 3);
    check_moments(normal(-1, here::full({100000}, 0.5)), -1, 0.25, 3);
    CHECK(normal(here::full({2}, 5.0, Dtype::f64), 0).to_vector<double>() == std::vector<double>{5, 5});
    CHECK(normal(1, 2, {3, 4}, support::on(Dtype::f64)).dtype() == Dtype::f64);
    CHECK_THROWS_AS((void)randperm(300, Dtype::u8), ValueError);
    CHECK_THROWS_AS((void)randperm(5000, Dtype::f16), ValueError);
    CHECK(randperm(256, Dtype::u8).to(Dtype::i64).sum().item<int64_t>() == 255 * 128);
    const Tensor huge = here::full({3}, 1e308, Dtype::f64);
    CHECK((multinomial(huge, 50, true) < 3).all().item<bool>());
    CHECK(normal(1, 2, {3}, support::on(Dtype::f64).requires_grad(true)).requires_grad());

    const Tensor rates = here::rand({300, 200}, Dtype::f64) * 40;
    const int before = num_threads();
    Generator a(7), b(7);
    set_num_threads(1);
    const Tensor one = poisson(rates, &a);
    set_num_threads(3);
    const Tensor three = poisson(rates.t().contiguous().t(), &b);
    set_num_threads(before);
    CHECK(equal(one, three));
    CHECK(a.state() == b.state());

    CHECK_THROWS_WITH_AS(((void)poisson(here::tensor({-1.0f})), synchronize(support::device())),
                         doctest::Contains("poisson: a rate is negative"), ValueError);
    CHECK_THROWS_AS((void)poisson(here::tensor<int64_t>({1})), DtypeError);
    Tensor x = here::zeros({2});
    CHECK_THROWS_WITH_AS(exponential_(x, 0), doctest::Contains("exponential_: lambd must be positive, got 0"),
                         ValueError);
    CHECK_THROWS_WITH_AS(((void)normal(x, -1), synchronize(support::device())),
                         doctest::Contains("normal: an element of std"), ValueError);
    CHECK_THROWS_WITH_AS((void)normal(here::ones({2, 3}), here::ones({2})), doctest::Contains("normal: shapes"),
                         ShapeError);
  }

  DEVICE_TEST_CASE("multinomial: frequencies, without replacement no index twice") {
    manual_seed(5);
    const Tensor p = here::tensor({1.0f, 0.0f, 3.0f, 4.0f});
    const auto n = bincount(multinomial(p, 80000, true), {}, 4).to_vector<int64_t>();
    const double want[] = {10000, 0, 30000, 40000};
    for (size_t k = 0; k < 4; ++k) CHECK(std::abs(static_cast<double>(n[k]) - want[k]) < 5 * std::sqrt(want[k]) + 1e-9);
    // the first of the draws without replacement follows the probabilities, too
    const Tensor rows = multinomial(p.expand({40000, 4}), 3);
    CHECK(rows.shape() == Shape{40000, 3});
    const auto first = bincount(rows.select(1, 0), {}, 4).to_vector<int64_t>();
    for (size_t k = 0; k < 4; ++k)
      CHECK(std::abs(static_cast<double>(first[k]) - want[k] / 2) < 5 * std::sqrt(want[k]) + 1e-9);
    const Tensor ordered = sort(rows, 1).values;
    CHECK(equal(ordered, here::tensor<int64_t>({0, 2, 3}).expand({40000, 3})));
    CHECK(multinomial(here::tensor({1.0f, 0.0f, 0.0f}), 2).to_vector<int64_t>() == std::vector<int64_t>{0, 1});
    CHECK(multinomial(here::ones({0, 2}), 1).shape() == Shape{0, 1});
    Generator a(9), b(9);
    CHECK(equal(multinomial(p, 50, true, &a), multinomial(p.to(Dtype::f64), 50, true, &b)));

    const auto refused = [](const Tensor& q, int64_t n, bool replacement, const char* text) {
      CHECK_THROWS_WITH((static_cast<void>(multinomial(q, n, replacement)), synchronize(support::device())),
                        doctest::Contains(text));
    };
    refused(here::zeros({2}), 1, false, "multinomial: all probabilities of a row are 0");
    refused(here::tensor({-1.0f, 1.0f}), 1, true, "multinomial: a probability is negative");
    refused(p, 5, false, "multinomial: cannot draw 5 of 4 without replacement");
    refused(p, 0, false, "multinomial: num_samples must be positive, got 0");
    refused(here::ones({2, 2, 2}), 1, false, "multinomial: probs must be of rank 1 or 2");
    refused(here::tensor<int64_t>({1, 1}), 1, false, "multinomial: probs are i64");
  }
}
