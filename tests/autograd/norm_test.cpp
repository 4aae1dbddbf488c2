// Normalisations against naive loops and finite differences, in every layout and dtype.
#include "weft/autograd/ops/layer/norm.h"
#include "derivative.h"
#include "support/here.h"
#include "support/reference.h"
#include "support/strided.h"
#include "support/throws.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/core/kernels.h"

using namespace weft;
using support::Array;
using weft::test::ramp;

namespace {

/// (x - mean) / sqrt(var + eps) with statistics over the elements that share key(index).
Array normalised(const Array& x, const std::function<int64_t(const std::vector<int64_t>&)>& key, double eps = 1e-5) {
  std::vector<double> n(1000), s(1000), q(1000);
  support::for_each_index(x.shape, [&](const auto& i) { n[key(i)] += 1, s[key(i)] += x.at(i); });
  support::for_each_index(x.shape, [&](const auto& i) { q[key(i)] += std::pow(x.at(i) - s[key(i)] / n[key(i)], 2); });
  return support::generate(x.shape, [&](const auto& i) {
    return (x.at(i) - s[key(i)] / n[key(i)]) / std::sqrt(q[key(i)] / n[key(i)] + eps);
  });
}
void check_close(const Tensor& y, const Array& want, double tolerance) {
  REQUIRE(y.shape() == want.shape);
  const std::vector<double> got = y.to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i)
    worst = std::max(worst, std::abs(got[i] - want.v[i]) / (1 + std::abs(want.v[i])));
  CHECK(worst < tolerance);
}
/// x in the layouts that a kernel tells apart.
std::vector<Tensor> layouts(const Tensor& x) {
  std::vector<Tensor> all{x, support::scattered(x)};
  if (x.rank() >= 3) all.push_back(support::channels_last(x));
  return all;
}
GradFn ops(const std::function<Tensor(const std::vector<Tensor>&)>& f) { return GradFn(f); }

}  // namespace

TEST_SUITE("norm") {
  DEVICE_TEST_CASE("batch norm: values in every layout, running statistics, eval") {
    // 5 channels: rows are taken several at a time, with a tail; 70 channels: one at a time
    for (const Shape& shape : {Shape{4, 5}, Shape{2, 5, 7}, Shape{3, 5, 4, 6}, Shape{2, 70, 3, 3}, Shape{2, 3, 2, 3, 4},
                               Shape{2, 1, 5, 5}}) {
      CAPTURE(shape);
      const Tensor x = ramp(shape, -3, 5), w = ramp({shape[1]}, 0.5, 2, 1), b = ramp({shape[1]}, -1, 1, 2);
      const Array plain = normalised(Array(x), [](const auto& i) { return i[1]; });
      const Array want = support::generate(shape, [&](const auto& i) {
        return plain.at(i) * w.to_vector<double>()[static_cast<size_t>(i[1])] +
               b.to_vector<double>()[static_cast<size_t>(i[1])];
      });
      for (const Tensor& in : layouts(x)) check_close(batch_norm(in, {}, {}, w, b, {.training = true}), want, 1e-12);
      for (const Tensor& in : layouts(x.to(Dtype::f32)))
        check_close(batch_norm(in, {}, {}, w.to(Dtype::f32), b.to(Dtype::f32), {.training = true}), want,
                    2e-6);  // a few ulp of values up to 4
      for (const Tensor& in : layouts(x.to(Dtype::bf16)))
        check_close(batch_norm(in, {}, {}, w, b, {.training = true}), want, 0.04);  // x is rounded to 8 bits, then y

      Tensor rm = here::zeros({shape[1]}, Dtype::f64), rv = here::ones({shape[1]}, Dtype::f64);
      (void)batch_norm(x, rm, rv, {}, {}, {.training = true, .momentum = 0.25});
      const Array xs(x);
      for (int64_t c = 0; c < shape[1]; ++c) {
        double n = 0, s = 0, q = 0;
        support::for_each_index(shape, [&](const auto& i) {
          if (i[1] == c) n += 1, s += xs.at(i), q += xs.at(i) * xs.at(i);
        });
        CHECK(rm.to_vector<double>()[static_cast<size_t>(c)] == doctest::Approx(0.25 * s / n));
        CHECK(rv.to_vector<double>()[static_cast<size_t>(c)] ==
              doctest::Approx(0.75 + 0.25 * (q - s * s / n) / (n - 1)));
      }
      const Tensor y = batch_norm(x, rm, rv, w, b);
      const Array eval = support::generate(shape, [&](const auto& i) {
        const auto c = static_cast<size_t>(i[1]);
        return (xs.at(i) - rm.to_vector<double>()[c]) / std::sqrt(rv.to_vector<double>()[c] + 1e-5) *
                   w.to_vector<double>()[c] +
               b.to_vector<double>()[c];
      });
      check_close(y, eval, 1e-12);
    }
  }

  DEVICE_TEST_CASE("a large offset costs no accuracy in f32") {
    const Tensor noise = ramp({4, 3, 16, 16}, -1, 1).to(Dtype::f32);
    const Tensor x = (noise + 4096)
                         .to(Dtype::f32);  // exact sums are not needed: compare with f64 on the same f32 numbers
    const Tensor want = batch_norm(x.to(Dtype::f64), {}, {}, {}, {}, {.training = true});
    for (const Tensor& in : layouts(x))
      CHECK(allclose(batch_norm(in, {}, {}, {}, {}, {.training = true}).to(Dtype::f64), want, 0,
                     1e-3));  // mean rounds to 2^-12: 4e-4 sigma
  }

  DEVICE_TEST_CASE("batch norm: first and second derivatives, fused and composite, in each layout") {
    for (const bool rows : {false, true}) {
      CAPTURE(rows);
      for (const Activation act : {Activation::none, Activation::relu, Activation::leaky_relu}) {
        for (const bool training : {true, false}) {
          Tensor x = ramp({3, 4, 2, 3}), w = ramp({4}, 0.5, 2, 1), b = ramp({4}, -0.3, 0.3, 2),
                 r = ramp({3, 4, 2, 3}, -1, 1, 5);
          if (rows) x = support::channels_last(x);
          for (Tensor* t : {&x, &w, &b, &r}) t->set_requires_grad();
          const Tensor rm = ramp({4}, -0.2, 0.2, 7), rv = ramp({4}, 0.5, 1, 8);
          const auto f = [&](const std::vector<Tensor>& in) {
            return batch_norm(
                in[0], training ? Tensor() : rm, training ? Tensor() : rv, in[1], in[2],
                {.training = training, .activation = act, .slope = 0.2, .residual = in.size() > 3 ? in[3] : Tensor()});
          };
          CHECK(gradcheck(ops(f), {x, w, b}));
          CHECK(gradgradcheck(ops(f), {x, w, b}));
          CHECK(gradcheck(ops(f), {x, w, b, r}));
          CHECK(gradgradcheck(ops(f), {x, w, b, r}));
        }
      }
    }
  }

  DEVICE_TEST_CASE("fused and composite gradients agree, also for wide rows in f32") {
    for (const Shape& shape : {Shape{6, 96, 9, 7}, Shape{3, 6, 33, 31}, Shape{40, 130}}) {
      for (const bool rows : {false, true}) {
        if (rows && shape.size() < 3) continue;
        Tensor x = ramp(shape).to(Dtype::f32), w = ramp({shape[1]}, 0.5, 2, 1).to(Dtype::f32),
               b = ramp({shape[1]}, -1, 1, 2).to(Dtype::f32);
        if (rows) x = support::channels_last(x);
        for (Tensor* t : {&x, &w, &b}) t->set_requires_grad();
        const Tensor g = ramp(shape, -1, 1, 4).to(Dtype::f32);
        const Tensor y = batch_norm(x, {}, {}, w, b, {.training = true, .activation = Activation::relu});
        const auto fused = grad(y, {x, w, b}, {.retain_graph = true, .grad_outputs = {g}});
        const auto composite = grad(y, {x, w, b}, {.create_graph = true, .grad_outputs = {g}});
        CHECK(allclose(fused[0], composite[0], 1e-4, 1e-5));
        for (int i : {1, 2})
          CHECK(allclose(fused[static_cast<size_t>(i)], composite[static_cast<size_t>(i)], 1e-4,
                         1e-3));  // sums of 400+ terms
      }
    }
  }

  DEVICE_TEST_CASE("the fused activation is the activation") {
    const Tensor x = ramp({2, 3, 4, 5}), r = ramp({2, 3, 4, 5}, -1, 1, 3);
    const Tensor plain = batch_norm(x, {}, {}, {}, {}, {.training = true});
    CHECK(equal(batch_norm(x, {}, {}, {}, {}, {.training = true, .activation = Activation::relu}), relu(plain)));
    CHECK(
        allclose(batch_norm(x, {}, {}, {}, {}, {.training = true, .activation = Activation::leaky_relu, .slope = 0.1}),
                 leaky_relu(plain, 0.1)));
    CHECK(allclose(batch_norm(x, {}, {}, {}, {}, {.training = true, .activation = Activation::relu, .residual = r}),
                   relu(plain + r)));
    const BatchNormOptions falling{
        .training = true, .activation = Activation::leaky_relu, .slope = -0.1, .residual = r};
    CHECK_THROWS_WITH_AS((void)batch_norm(x, {}, {}, {}, {}, falling), doctest::Contains("batch_norm: slope=-0.1"),
                         ValueError);
  }

  DEVICE_TEST_CASE("batch norm in evaluation: the gradient does not depend on x, finite or not") {
    const Tensor mean = here::tensor({0.5, -1.0}), var = here::tensor({3.0, 0.25}), w = here::tensor({2.0, -1.0});
    for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
      Tensor x = ramp({2, 2, 3, 4}).clone();
      for (const double odd : {double(INFINITY), double(-INFINITY), double(NAN)}) {
        x = where(eq(x, x.flatten()[5]), odd, x);
        for (const Tensor& in : layouts(x.to(d))) {
          Tensor leaf = in.detach().set_requires_grad();
          const auto as = [&](const Tensor& t) { return t.to(d == Dtype::f64 ? d : Dtype::f32); };
          const Tensor y = batch_norm(leaf, as(mean), as(var), as(w), {}, {.eps = 0});
          const std::vector<double> g = grad(sum(y), std::vector{leaf})[0].to_vector<double>();
          for (size_t i = 0; i < g.size(); ++i) {
            CAPTURE(i);
            // one rounding of the scale and one of the product, in the coarsest dtype
            CHECK(g[i] ==
                  doctest::Approx(i / 12 % 2 ? -2 : 2 / std::sqrt(3.0)).epsilon(d == Dtype::bf16 ? 0.008 : 1e-6));
          }
        }
      }
    }
  }
  DEVICE_TEST_CASE("the fused activation has the activation's gradient at 0") {
    // a constant input is 0 behind the norm
    for (const Activation a : {Activation::relu, Activation::leaky_relu}) {
      Tensor x = here::full({2, 3, 4}, 2.5).set_requires_grad(), b = here::zeros({3}).set_requires_grad();
      const Tensor y = batch_norm(x, {}, {}, {}, b, {.training = true, .activation = a, .slope = 0.25});
      const Tensor got = grad(sum(y), std::vector{b})[0];
      CHECK(got.to_vector<double>() == std::vector<double>(3, a == Activation::relu ? 0 : 8 * 0.25));
    }
  }
  DEVICE_TEST_CASE("what the fused activation stops it stops, were it infinite") {
    const Tensor one = here::ones({2});
    for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
      const Tensor ones = one.to(d == Dtype::f64 ? d : Dtype::f32), x = ramp({2, 2, 3, 4}).clone() - 0.5;
      for (const Tensor& in : layouts(x.to(d))) {
        Tensor leaf = in.detach().set_requires_grad();
        const Tensor y = batch_norm(leaf, zeros_like(ones), ones, {}, {}, {.eps = 0, .activation = Activation::relu});
        const Tensor g = where(gt(in, 0), 2.0, double(INFINITY)).to(d);
        CHECK(equal(grad({y}, {leaf}, {.grad_outputs = {g}})[0], where(gt(in, 0), 2.0, 0.0).to(d)));
      }
    }
  }

  DEVICE_TEST_CASE("instance norm") {
    for (const Shape& shape : {Shape{2, 5, 7}, Shape{3, 4, 4, 6}, Shape{2, 70, 3, 3}, Shape{2, 3, 2, 3, 4}}) {
      CAPTURE(shape);
      const Tensor x = ramp(shape, -3, 5);
      const Array want = normalised(Array(x), [&](const auto& i) { return i[0] * shape[1] + i[1]; });
      for (const Tensor& in : layouts(x)) check_close(instance_norm(in), want, 1e-12);
    }
    Tensor rm = here::zeros({2}, Dtype::f64), rv = here::ones({2}, Dtype::f64);
    const Tensor x = here::tensor({1., 3., 2., 6., 5., 9., 0., 8.}, Shape{2, 2, 2});
    (void)instance_norm(x, rm, rv, {}, {}, {.momentum = 0.5});
    CHECK(rm.to_vector<double>() == std::vector<double>{0.5 * (2 + 7) / 2, 0.5 * (4 + 4) / 2});
    CHECK(rv.to_vector<double>() == std::vector<double>{0.5 + 0.5 * (2 + 8) / 2, 0.5 + 0.5 * (8 + 32) / 2});
    CHECK(allclose(instance_norm(x, rm, rv, {}, {}, {.use_input_stats = false}), batch_norm(x, rm, rv)));
    for (const bool rows : {false, true}) {
      Tensor a = ramp({2, 3, 2, 3}), w = ramp({3}, 0.5, 2, 1), b = ramp({3}, -1, 1, 2);
      if (rows) a = support::channels_last(a);
      for (Tensor* t : {&a, &w, &b}) t->set_requires_grad();
      const auto f = [](const std::vector<Tensor>& in) {
        return instance_norm(in[0], {}, {}, in[1], in[2], {.activation = Activation::leaky_relu});
      };
      CHECK(gradcheck(ops(f), {a, w, b}));
      CHECK(gradgradcheck(ops(f), {a, w, b}));
    }
  }

  DEVICE_TEST_CASE("the kernels' backward from the activated output alone is the one from the input") {
    const Tensor x = ramp({4, 6, 5, 3}), g = ramp({4, 6, 5, 3}, -1, 1, 4), gamma = ramp({6}, 0.5, 2, 1) * -1.0,
                 beta = ramp({6}, -1, 1, 2);
    for (const bool rows : {false, true}) {
      const Tensor in = rows ? support::channels_last(x) : x, up = rows ? support::channels_last(g) : g;
      const NormParams forward{.activation = Activation::leaky_relu, .slope = 0.1};
      NormParams folded = forward;
      folded.source = NormSource::folded;
      Tensor y = empty_like(in), mean = here::zeros({6}, Dtype::f64), m2 = here::zeros({6}, Dtype::f64),
             inv = here::zeros({6}, Dtype::f64);
      const DeviceType cpu = DeviceType::cpu;
      kernels::norm_forward(cpu, mut_ref(y), mut_ref(mean), mut_ref(m2), mut_ref(inv), ref(in), ref(gamma), ref(beta),
                            {}, forward);
      Tensor s1 = here::zeros({6}, Dtype::f64), s2 = here::zeros({6}, Dtype::f64), t1 = here::zeros({6}, Dtype::f64),
             t2 = here::zeros({6}, Dtype::f64);
      Tensor dx = empty_like(in), from_y = empty_like(in);
      kernels::norm_backward(cpu, mut_ref(dx), {}, mut_ref(s1), mut_ref(s2), ref(up), ref(in), {}, ref(mean), ref(inv),
                             ref(gamma), ref(beta), forward);
      const Tensor one_by_gamma = 1 / gamma;
      kernels::norm_backward_reduce(cpu, mut_ref(t1), mut_ref(t2), ref(up), ref(y), {}, ref(beta), ref(one_by_gamma),
                                    ref(gamma), ref(beta), folded);
      const Tensor scale = inv * gamma, k1 = scale * t1 / 60, k2 = scale * t2 / 60;  // 4 x 5 x 3 values per channel
      kernels::norm_backward_apply(cpu, mut_ref(from_y), {}, ref(up), ref(y), {}, ref(beta), ref(one_by_gamma),
                                   ref(gamma), ref(beta), ref(scale), ref(k1), ref(k2), folded);
      CHECK(allclose(t1, s1));
      CHECK(allclose(t2, s2));
      CHECK(allclose(from_y, dx, 1e-10, 1e-12));
    }
  }

  DEVICE_TEST_CASE("group norm") {
    for (const Shape& shape : {Shape{3, 6}, Shape{2, 6, 7}, Shape{3, 6, 4, 6}, Shape{2, 72, 3, 3}}) {
      CAPTURE(shape);
      const Tensor x = ramp(shape, -3, 5);
      const int64_t each = shape[1] / 3;
      const Array want = normalised(Array(x), [&](const auto& i) { return i[0] * 3 + i[1] / each; });
      for (const Tensor& in : layouts(x)) check_close(group_norm(in, 3), want, 1e-12);
    }
    for (const bool rows : {false, true}) {
      Tensor a = ramp({2, 4, 2, 3}), w = ramp({4}, 0.5, 2, 1), b = ramp({4}, -1, 1, 2);
      if (rows) a = support::channels_last(a);
      for (Tensor* t : {&a, &w, &b}) t->set_requires_grad();
      const auto f = [](const std::vector<Tensor>& in) {
        return group_norm(in[0], 2, in[1], in[2], {.activation = Activation::relu});
      };
      CHECK(gradcheck(ops(f), {a, w, b}));
      CHECK(gradgradcheck(ops(f), {a, w, b}));
    }
    CHECK(support::message_of<ValueError>([] {
            (void)group_norm(here::ones({2, 6, 3}), 4);
          }).find("divisible") != std::string::npos);
  }

  DEVICE_TEST_CASE("layer norm and RMS norm") {
    const Tensor x = ramp({3, 4, 5}, -3, 5);
    check_close(layer_norm(x, {4, 5}), normalised(Array(x), [](const auto& i) { return i[0]; }), 1e-12);
    check_close(layer_norm(support::scattered(x), {5}),
                normalised(Array(x), [](const auto& i) { return i[0] * 4 + i[1]; }), 1e-12);
    const Array xs(x);
    const Array rms = support::generate({3, 4, 5}, [&](const auto& i) {
      double q = 0;
      for (int64_t k = 0; k < 5; ++k) q += std::pow(xs.at({i[0], i[1], k}), 2) / 5;
      return xs.at(i) / std::sqrt(q + 0.01);
    });
    check_close(rms_norm(x, {5}, {}, 0.01), rms, 1e-12);
    Tensor a = ramp({3, 2, 4}), w = ramp({2, 4}, 0.5, 2, 1), b = ramp({2, 4}, -1, 1, 2);
    for (Tensor* t : {&a, &w, &b}) t->set_requires_grad();
    const auto f = [](const std::vector<Tensor>& in) { return layer_norm(in[0], {2, 4}, in[1], in[2]); };
    const auto h = [](const std::vector<Tensor>& in) { return rms_norm(in[0], {2, 4}, in[1], 0.1); };
    CHECK(gradcheck(ops(f), {a, w, b}));
    CHECK(gradgradcheck(ops(f), {a, w, b}));
    CHECK(gradcheck(ops(h), {a, w}));
    CHECK(gradgradcheck(ops(h), {a, w}));
  }

  DEVICE_TEST_CASE("long rows keep f32 accuracy, halves round once") {
    const Tensor x = ramp({2, 20000}, 99, 101);
    CHECK(allclose(layer_norm(x.to(Dtype::f32), {20000}).to(Dtype::f64),
                   layer_norm(x.to(Dtype::f32).to(Dtype::f64), {20000}), 0, 2e-5));
    const Tensor h = x.to(Dtype::bf16);
    CHECK(allclose(layer_norm(h, {20000}).to(Dtype::f64), layer_norm(h.to(Dtype::f64), {20000}), 1. / 256, 1e-5));
  }

  DEVICE_TEST_CASE("empty batches and errors") {
    Tensor x = here::zeros({0, 3, 4, 4}).set_requires_grad();
    Tensor w = here::ones({3}).set_requires_grad();
    Tensor y = batch_norm(x, {}, {}, w, {}, {.training = true});
    CHECK(y.shape() == x.shape());
    sum(y).backward();
    CHECK(w.grad().to_vector<float>() == std::vector<float>{0, 0, 0});
    CHECK(group_norm(here::zeros({0, 4, 2}), 2).shape() == Shape{0, 4, 2});
    CHECK(layer_norm(here::zeros({0, 4}), {4}).shape() == Shape{0, 4});
    CHECK(support::message_of<ValueError>([] {
            (void)batch_norm(here::ones({1, 3, 1, 1}), {}, {}, {}, {}, {.training = true});
          }).find("more than 1 value per channel") != std::string::npos);
    CHECK(support::message_of<ValueError>([] {
            (void)instance_norm(here::ones({2, 3, 1, 1}));
          }).find("more than 1 spatial element") != std::string::npos);
    CHECK(support::message_of<ShapeError>([] {
            (void)batch_norm(here::ones({2, 3, 4}), {}, {}, here::ones({4}), {}, {.training = true});
          }).find("[4]") != std::string::npos);
    CHECK_THROWS_AS((void)batch_norm(here::ones({2, 3}), {}, {}), ValueError);
    CHECK_THROWS_AS((void)layer_norm(here::ones({2, 3}), {4}), ShapeError);
  }
}
