// Losses against naive loops and finite differences.
#include <limits>

#include "derivative.h"
#include "support/here.h"
#include "support/reference.h"
#include "support/strided.h"
#include "support/throws.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/linalg/distance.h"
#include "weft/autograd/ops/loss/ctc_loss.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/core/backend.h"

using namespace weft;
using support::Array;
using weft::test::ramp;

namespace {

GradFn ops(const std::function<Tensor(const std::vector<Tensor>&)>& f) { return GradFn(f); }
Tensor labels(const Shape& shape, int64_t classes, int64_t ignore) {
  std::vector<int64_t> v(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = i % 5 == 3 ? ignore : static_cast<int64_t>(i * 7 % static_cast<size_t>(classes));
  return here::tensor(v, shape);
}

/// Losses per pixel and the weights that the mean divides by.
std::pair<std::vector<double>, double> naive(const Array& x, const Tensor& target, const Tensor& weight, int64_t ignore,
                                             double smoothing) {
  const int64_t N = x.size(0), C = x.size(1), S = N * C > 0 ? x.numel() / (N * C) : 0;
  const std::vector<int64_t> t = target.to_vector<int64_t>();
  const std::vector<double> w = weight.defined() ? weight.to_vector<double>()
                                                 : std::vector<double>(static_cast<size_t>(C), 1);
  std::vector<double> loss;
  double total = 0;
  for (int64_t n = 0; n < N; ++n)
    for (int64_t s = 0; s < S; ++s) {
      const auto at = [&](int64_t c) { return x.v[static_cast<size_t>((n * C + c) * S + s)]; };
      double z = 0, v = 0;
      for (int64_t c = 0; c < C; ++c) z += std::exp(at(c));
      const int64_t hit = t[static_cast<size_t>(n * S + s)];
      if (hit != ignore) {
        v = (1 - smoothing) * w[static_cast<size_t>(hit)] * (std::log(z) - at(hit));
        for (int64_t c = 0; c < C; ++c)
          v += smoothing / static_cast<double>(C) * w[static_cast<size_t>(c)] * (std::log(z) - at(c));
        total += w[static_cast<size_t>(hit)];
      }
      loss.push_back(v);
    }
  return {loss, total};
}

}  // namespace

TEST_SUITE("loss") {
  DEVICE_TEST_CASE("cross-entropy: class indices, every layout, weight, smoothing, reduction") {
    for (const Shape& shape : {Shape{7, 5}, Shape{2, 5, 3}, Shape{2, 21, 9, 17}, Shape{2, 60, 3, 4}, Shape{3, 1, 4}}) {
      CAPTURE(shape);
      Shape pixels = shape;
      pixels.erase(1);
      const Tensor x = ramp(shape, -4, 4), t = labels(pixels, shape[1], 255), w = ramp({shape[1]}, 0.5, 2, 1);
      for (const Tensor& weight : {Tensor(), w})
        for (const double smoothing : {0.0, 0.2}) {
          const auto [each, total] = naive(Array(x), t, weight, 255, smoothing);
          double sum = 0;
          for (double v : each) sum += v;
          std::vector<Tensor> layouts{x, support::scattered(x)};
          if (shape.size() > 2) layouts.push_back(support::channels_last(x));
          for (const Tensor& in : layouts) {
            const CrossEntropyOptions o{.weight = weight, .ignore_index = 255, .label_smoothing = smoothing};
            CrossEntropyOptions none = o, all = o;
            none.reduction = Reduction::none, all.reduction = Reduction::sum;
            CHECK(cross_entropy(in, t, o).item<double>() == doctest::Approx(sum / total).epsilon(1e-12));
            CHECK(cross_entropy(in, t, all).item<double>() == doctest::Approx(sum).epsilon(1e-12));
            CHECK(allclose(cross_entropy(in, t, none), here::tensor(each, pixels), 1e-12, 1e-12));
            // f32: log-sum-exp of 60 terms, an ulp of 8 each
            CHECK(cross_entropy(in.to(Dtype::f32), t, o).item<double>() == doctest::Approx(sum / total).epsilon(2e-6));
          }
        }
    }
  }

  DEVICE_TEST_CASE("cross-entropy: derivatives, fused against composite") {
    for (const Shape& shape : {Shape{4, 3}, Shape{2, 4, 3, 2}, Shape{2, 50, 3}}) {
      for (const bool rows : {false, true}) {
        if (rows && shape.size() < 3) continue;
        Shape pixels = shape;
        pixels.erase(1);
        Tensor x = ramp(shape, -2, 2);
        if (rows) x = support::channels_last(x);
        x.set_requires_grad();
        const Tensor t = labels(pixels, shape[1], -100), w = ramp({shape[1]}, 0.5, 2, 1);
        for (const Reduction r : {Reduction::none, Reduction::mean, Reduction::sum})
          for (const double smoothing : {0.0, 0.1}) {
            const auto f = ops([=](const auto& in) {
              return cross_entropy(in[0], t, {.weight = w, .reduction = r, .label_smoothing = smoothing});
            });
            CHECK(gradcheck(f, {x}));
            if (shape[1] < 10) CHECK(gradgradcheck(f, {x}));
          }
      }
    }
    Tensor x = ramp({5}).set_requires_grad();
    CHECK(cross_entropy(x, here::scalar(int64_t{2})).item<double>() ==
          doctest::Approx(-log_softmax(x, 0)[2].template item<double>()));
    CHECK(gradcheck(ops([](const auto& in) { return cross_entropy(in[0], here::scalar(int64_t{2})); }), {x}));
  }

  DEVICE_TEST_CASE("cross-entropy: floating labels are told to be i64, integers of any width are taken") {
    const Tensor x = here::zeros({2, 3});
    CHECK_THROWS_WITH_AS((void)cross_entropy(x, here::zeros({2})),
                         "cross_entropy: target [2] is f32, but class indices are i64; convert with to(Dtype::i64), or "
                         "give probabilities [2, 3]",
                         DtypeError);
    CHECK_THROWS_WITH_AS((void)cross_entropy(x, here::zeros({2, 4})),
                         "cross_entropy: probabilities [2, 4] do not have the input's shape [2, 3]", ShapeError);
    CHECK_THROWS_WITH_AS((void)nll_loss(x, here::zeros({2})), "nll_loss: target is f32; expected class indices (i64)",
                         DtypeError);
    for (const Dtype d : {Dtype::i32, Dtype::u8, Dtype::i8, Dtype::i16, Dtype::u16})
      CHECK(cross_entropy(x, here::ones({2}, d)).item<double>() == doctest::Approx(std::log(3)));
  }

  DEVICE_TEST_CASE("cross-entropy with probabilities") {
    Tensor x = ramp({3, 4, 2}).set_requires_grad();
    Tensor p = softmax(ramp({3, 4, 2}, -1, 1, 4), 1).detach().set_requires_grad();
    CHECK(cross_entropy(x, p).item<double>() == doctest::Approx(-sum(log_softmax(x, 1) * p).item<double>() / 6));
    CHECK(gradcheck(ops([](const auto& in) { return cross_entropy(in[0], in[1], {.label_smoothing = 0.1}); }), {x, p}));
  }

  TEST_CASE("cross-entropy: extremes and errors") {
    const Tensor big = here::tensor({1000.f, -1000.f, 0.f}, Shape{1, 3});
    CHECK(cross_entropy(big, here::tensor(std::vector<int64_t>{1})).item<float>() == 2000);
    CHECK(std::isnan(cross_entropy(big, here::tensor(std::vector<int64_t>{-100})).item<float>()));
    CHECK(cross_entropy(big, here::tensor(std::vector<int64_t>{-100}), {.reduction = Reduction::sum}).item<float>() ==
          0);
    CHECK(support::message_of<ValueError>([&] {
            (void)cross_entropy(big, here::tensor(std::vector<int64_t>{3}));
          }).find("[0, 3)") != std::string::npos);
    CHECK_THROWS_AS((void)nll_loss(big, here::tensor(std::vector<int64_t>{-1})), ValueError);
    CHECK_THROWS_AS((void)cross_entropy(big, here::tensor(std::vector<int64_t>{0, 1})), ShapeError);
    CHECK_THROWS_AS((void)cross_entropy(big, here::tensor(std::vector<int64_t>{0}), {.weight = here::ones({2})}),
                    ShapeError);
    CHECK_THROWS_AS((void)cross_entropy(big, here::tensor(std::vector<int64_t>{0}), {.label_smoothing = 2}),
                    ValueError);
  }

  DEVICE_TEST_CASE("cross-entropy in halves is the f32 one, rounded") {
    const Tensor x = ramp({2, 21, 5, 5}, -4, 4).to(Dtype::bf16), t = labels({2, 5, 5}, 21, -100);
    Tensor h = support::channels_last(x).set_requires_grad(), f = x.to(Dtype::f32).set_requires_grad();
    const Tensor a = cross_entropy(h, t), b = cross_entropy(f, t);
    CHECK(a.dtype() == Dtype::bf16);
    CHECK(a.item<float>() == doctest::Approx(b.item<float>()).epsilon(1. / 256));
    a.backward(), b.backward();
    CHECK(allclose(h.grad().to(Dtype::f32), f.grad(), 1. / 256, 1e-6));
  }

  DEVICE_TEST_CASE("nll_loss of classes without weight: 0 / 0, in the gradient of the targets too") {
    // Values and gradients are PyTorch's.
    const Tensor w = here::zeros({3}, Dtype::f64);
    for (const auto& [targets, reduction, first, second] :
         {std::tuple{std::vector<int64_t>{0, 1}, Reduction::mean, true, true},
          std::tuple{std::vector<int64_t>{-100, 1}, Reduction::mean, false, true},
          std::tuple{std::vector<int64_t>{-100, -100}, Reduction::mean, false, false},
          std::tuple{std::vector<int64_t>{0, 1}, Reduction::sum, false, false}}) {
      Tensor x = here::tensor({-1., -2., -3., -3., -2., -1.}, Shape{2, 3}).set_requires_grad();
      const Tensor y = nll_loss(x, here::tensor(targets), {.weight = w, .reduction = reduction});
      CHECK(std::isnan(y.item<double>()) == (reduction == Reduction::mean));
      y.backward();
      const auto g = x.grad().to_vector<double>();
      CHECK(std::isnan(g[0]) == first);
      CHECK(std::isnan(g[4]) == second);
      for (const size_t other : {1u, 2u, 3u, 5u}) CHECK(g[other] == 0);
    }
  }

  DEVICE_TEST_CASE("nll_loss is cross-entropy without the softmax") {
    Tensor x = log_softmax(ramp({3, 4, 2}), 1).detach().set_requires_grad();
    const Tensor t = labels({3, 2}, 4, 1), w = ramp({4}, 0.5, 2, 1);
    for (const Reduction r : {Reduction::none, Reduction::mean, Reduction::sum})
      CHECK(allclose(nll_loss(x, t, {.weight = w, .ignore_index = 1, .reduction = r}),
                     cross_entropy(x, t, {.weight = w, .ignore_index = 1, .reduction = r})));
    const auto f = ops([=](const auto& in) { return nll_loss(in[0], t, {.weight = w, .ignore_index = 1}); });
    CHECK(gradcheck(f, {x}));
  }

  DEVICE_TEST_CASE("class weights changed in place before backward are noticed") {
    Tensor x = ramp({3, 4}).set_requires_grad(), w = ramp({4}, 0.5, 2);
    const Tensor loss = cross_entropy(x, here::tensor(std::vector<int64_t>{0, 3, 1}), {.weight = w});
    w.mul_(2);
    CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains("weight [4] saved for backward was modified in place"),
                         Error);
  }

  TEST_CASE("elementwise losses: values") {
    const Tensor x = here::tensor({0.5, -1., 3.}), t = here::tensor({0., 1., 3.});
    CHECK(mse_loss(x, t).item<double>() == doctest::Approx((0.25 + 4) / 3));
    CHECK(mse_loss(x, t, {.reduction = Reduction::sum}).item<double>() == doctest::Approx(4.25));
    CHECK(mse_loss(x, t, {.weight = here::tensor({1., 2., 5.})}).item<double>() == doctest::Approx((0.25 + 8) / 8));
    CHECK(l1_loss(x, t, {.reduction = Reduction::none}).to_vector<double>() == std::vector<double>{0.5, 2, 0});
    CHECK(smooth_l1_loss(x, t, 1, Reduction::none).to_vector<double>() == std::vector<double>{0.125, 1.5, 0});
    CHECK(smooth_l1_loss(x, t, 0, Reduction::none).to_vector<double>() == std::vector<double>{0.5, 2, 0});
    CHECK(huber_loss(x, t, 0.5, {.reduction = Reduction::none}).to_vector<double>() ==
          std::vector<double>{0.125, 0.875, 0});
    const Tensor p = here::tensor({0.25, 0., 1.}), q = here::tensor({1., 1., 1.});
    CHECK(allclose(binary_cross_entropy(p, q, {.reduction = Reduction::none}),
                   here::tensor({-std::log(0.25), 100., 0.})));
    CHECK_THROWS_AS(((void)binary_cross_entropy(x, t), synchronize(support::device())), ValueError);
    const Tensor z = here::tensor({2., -700., 700.}), y = here::tensor({1., 0.25, 0.});
    CHECK(allclose(binary_cross_entropy_with_logits(z, y, {.reduction = Reduction::none}),
                   here::tensor({std::log1p(std::exp(-2.)), 175., 700.})));
    CHECK(allclose(binary_cross_entropy_with_logits(z[0], y[0], {.pos_weight = here::scalar(3., Dtype::f64)}),
                   here::tensor({3 * std::log1p(std::exp(-2.))})[0]));
    CHECK(kl_div(here::tensor({-1., -2.}), here::tensor({0.5, 0.}), {.reduction = Reduction::none})
              .to_vector<double>()[1] == 0);
    CHECK(kl_div(here::tensor({-1., -2.}), here::tensor({0.5, 0.}), {.reduction = Reduction::sum}).item<double>() ==
          doctest::Approx(0.5 * (std::log(0.5) + 1)));
    CHECK(dice_loss(here::tensor({0., 1., 1., 0.}, Shape{1, 2, 2}),
                    here::tensor(std::vector<int64_t>{1, 0}, Shape{1, 2}), {.apply_softmax = false})
              .item<double>() == doctest::Approx(1 - 2 / 2.0001));
    CHECK_THROWS_WITH_AS((void)mse_loss(x, here::ones({4})), doctest::Contains("mse_loss: shapes [3] and [4]"),
                         ShapeError);
    CHECK_THROWS_WITH_AS((void)kl_div(x, here::ones({4})), doctest::Contains("kl_div: shapes"), ShapeError);
    CHECK_THROWS_AS((void)mse_loss(x, t, {.reduction = Reduction::batchmean}), ValueError);
  }

  DEVICE_TEST_CASE("elementwise losses: derivatives") {
    Tensor x = ramp({3, 4}, -2, 2), t = ramp({3, 4}, -2, 2, 2), p = ramp({3, 4}, 0.1, 0.9),
           q = ramp({3, 4}, 0.1, 0.9, 2), v = ramp({3, 4}, 0.5, 2, 5);
    for (Tensor* i : {&x, &t, &p, &q, &v}) i->set_requires_grad();
    const std::vector<std::pair<GradFn, std::vector<Tensor>>> cases = {
        {ops([](const auto& in) { return mse_loss(in[0], in[1]); }), {x, t}},
        {ops([](const auto& in) { return l1_loss(in[0], in[1]); }), {x, t}},
        {ops([](const auto& in) { return smooth_l1_loss(in[0], in[1], 0.7); }), {x, t}},
        {ops([](const auto& in) { return huber_loss(in[0], in[1], 0.7); }), {x, t}},
        {ops([](const auto& in) { return binary_cross_entropy(in[0], in[1]); }), {p, q}},
        {ops([](const auto& in) { return binary_cross_entropy_with_logits(in[0], in[1]); }), {x, q}},
        {ops([](const auto& in) { return kl_div(in[0], in[1], {.reduction = Reduction::batchmean}); }), {x, q}},
        {ops([](const auto& in) { return kl_div(in[0], in[1], {.log_target = true}); }), {x, t}},
        {ops([](const auto& in) { return gaussian_nll_loss(in[0], in[1], in[2]); }), {x, t, v}},
        {ops([](const auto& in) { return poisson_nll_loss(in[0], in[1]); }), {x, q}},
        {ops([](const auto& in) { return triplet_margin_loss(in[0], in[1], in[2]); }), {x, t, v}},
        {ops([](const auto& in) { return cosine_similarity(in[0], in[1]); }), {x, t}},
        {ops([](const auto& in) { return pairwise_distance(in[0], in[1], {.p = 3}); }), {x, t}},
        {ops([](const auto& in) { return cdist(in[0], in[1], 1.5); }), {x, t}},
    };
    for (const auto& [f, at] : cases) {
      CHECK(gradcheck(f, at));
      CHECK(gradgradcheck(f, at));
    }
  }

  DEVICE_TEST_CASE("losses far out: finite gradients stay finite") {
    const double inf = HUGE_VAL;
    const Tensor zero = here::zeros({4}, Dtype::f64);
    const Tensor x = here::tensor({inf, -inf, 0.25, 3.}).set_requires_grad();
    const auto of = [&](const Tensor& y) { return grad(sum(y), {x})[0].to_vector<double>(); };
    CHECK(of(smooth_l1_loss(x, zero, 2, Reduction::sum)) == std::vector<double>{1, -1, 0.125, 1});
    CHECK(of(huber_loss(x, zero, 2, {.reduction = Reduction::sum})) == std::vector<double>{2, -2, 0.25, 2});
    CHECK(of(margin_ranking_loss(x, zero, here::ones({4}, Dtype::f64), 1, Reduction::sum)) ==
          std::vector<double>{0, -1, -1, 0});
    const Tensor endless = gaussian_nll_loss(zero, zero, here::tensor({inf, 0., 1., inf}),
                                             {.reduction = Reduction::none});
    CHECK(endless.to_vector<double>()[0] == inf);
    CHECK(endless.to_vector<double>()[2] == 0);
    // the mean of no target, by kernel and by ops
    const Tensor scores = ramp({2, 3}).set_requires_grad();
    const Tensor nothing = cross_entropy(scores, here::tensor<int64_t>({1, 1}), {.ignore_index = 1});
    for (const bool create_graph : {false, true})
      CHECK(grad(nothing, {scores}, {.create_graph = create_graph, .retain_graph = true})[0].to_vector<double>() ==
            std::vector<double>(6, 0));
  }

  DEVICE_TEST_CASE("ctc_loss: a target that does not fit has infinity and NaN, and leaves the others alone") {
    const Tensor x = log_softmax(ramp({5, 2, 3}), 2).set_requires_grad(), steps = here::tensor<int64_t>({2, 5});
    const Tensor target = here::tensor<int64_t>({1, 1, 2, 1}, Shape{2, 2}), lengths = here::tensor<int64_t>({2, 2});
    for (const bool forgive : {false, true}) {
      const Tensor y = ctc_loss(x, target, steps, lengths, {.reduction = Reduction::none, .zero_infinity = forgive});
      CHECK(y.to_vector<double>()[0] == (forgive ? 0 : HUGE_VAL));
      CHECK(std::isfinite(y.to_vector<double>()[1]));
      const Tensor g = grad(sum(y), {x})[0], alone = x.select(1, 1).unsqueeze(1).detach().set_requires_grad();
      CHECK(all(isnan(g.select(1, 0).narrow(0, 0, 2))).item<bool>() == !forgive);
      CHECK(equal(g.select(1, 0).narrow(0, 2, 3), here::zeros({3, 3}, Dtype::f64)));
      const Tensor fits = ctc_loss(alone, target.narrow(0, 1, 1), steps.narrow(0, 1, 1), lengths.narrow(0, 1, 1),
                                   {.reduction = Reduction::sum});
      CHECK(allclose(g.select(1, 1), grad(fits, {alone})[0].squeeze(1), 1e-12, 1e-12));
    }
  }

  DEVICE_TEST_CASE("ctc_loss: halves are f32 inside, integers are asked for") {
    const Tensor x = log_softmax(ramp({40, 2, 5}).to(Dtype::f32), -1),
                 target = here::tensor<int64_t>({1, 2, 3, 1}, Shape{2, 2});
    const Tensor steps = here::tensor<int64_t>({40, 40}), lengths = here::tensor<int64_t>({2, 2});
    for (const Dtype d : {Dtype::bf16, Dtype::f16}) {
      const Tensor half = x.to(d).set_requires_grad(), wide = x.to(d).to(Dtype::f32).set_requires_grad();
      const Tensor a = ctc_loss(half, target, steps, lengths), b = ctc_loss(wide, target, steps, lengths);
      CHECK(a.dtype() == d);
      CHECK(a.to_vector<double>() == b.to(d).to_vector<double>());
      CHECK(grad(a, {half})[0].to_vector<double>() == grad(b, {wide})[0].to(d).to_vector<double>());
    }
    CHECK_THROWS_AS((void)ctc_loss(x, target.to(Dtype::f32), steps, lengths), DtypeError);
    CHECK_THROWS_AS((void)ctc_loss(x, target, steps, lengths.to(Dtype::f64)), DtypeError);
  }

  DEVICE_TEST_CASE("distances") {
    Tensor a = here::tensor({0., 0., 3., 4.}, Shape{2, 2}).set_requires_grad();
    const Tensor b = here::tensor({0., 0., 6., 8.}, Shape{2, 2});
    CHECK(cdist(a, b).to_vector<double>() == std::vector<double>{0, 10, 5, 5});
    CHECK(cdist(a, b, std::numeric_limits<double>::infinity()).to_vector<double>() == std::vector<double>{0, 8, 4, 4});
    sum(cdist(a, b)).backward();
    for (double g : a.grad().to_vector<double>()) CHECK(std::isfinite(g));
    CHECK(cosine_similarity(a.detach(), b, 1).to_vector<double>()[1] == doctest::Approx(1));
    CHECK(pairwise_distance(a.detach(), b, {.eps = 0, .keepdim = true}).shape() == Shape{2, 1});
  }
}
