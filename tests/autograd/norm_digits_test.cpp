// Normalisations of what is far from zero, constant, or at the ends of f32: as f64 gives from the same numbers.
#include <cmath>

#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/norm.h"
#include "weft/autograd/ops/reduce/reduce.h"

using namespace weft;

namespace {

constexpr const char* kNames[] = {"batch", "batch and relu", "instance", "group", "layer", "rms"};

/// y, the gradients of x, weight and bias, and the running statistics, as f64.
std::vector<Tensor> results(int op, const Tensor& in, double eps, bool twice = false) {
  Generator gen(9);
  const int64_t C = in.size(1);
  const Shape plane = in.shape().slice(2), parameters = op < 4 ? Shape{C} : plane;
  // the same numbers for every dtype and layout
  const Tensor x = in.detach().clone().set_requires_grad(),
               w = (here::rand(parameters, Dtype::f32, &gen) + 0.5).to(in.dtype()).set_requires_grad(),
               b = here::randn(parameters, Dtype::f32, &gen).to(in.dtype()).set_requires_grad();
  const Tensor g = here::randn(in.shape(), Dtype::f32, &gen).to(in.dtype());
  const Tensor mean = here::zeros({C}, in.dtype()), var = here::ones({C}, in.dtype());
  Tensor y;
  switch (op) {
    case 0: y = batch_norm(x, mean, var, w, b, {.training = true, .momentum = 1, .eps = eps}); break;
    case 1:
      y = batch_norm(x, mean, var, w, b, {.training = true, .momentum = 1, .eps = eps, .activation = Activation::relu});
      break;
    case 2: y = instance_norm(x, mean, var, w, b, {.momentum = 1, .eps = eps}); break;
    case 3: y = group_norm(x, C / 2, w, b, {.eps = eps}); break;
    case 4: y = layer_norm(x, plane, w, b, eps); break;
    default: y = rms_norm(x, plane, w, eps); break;
  }
  std::vector<Tensor> inputs{x, w}, all{y.detach()};
  if (op < 5) inputs.push_back(b);
  for (const Tensor& t : grad({y}, inputs, {.create_graph = twice, .grad_outputs = {g}})) all.push_back(t.detach());
  if (op < 3) all.push_back(mean), all.push_back(var);
  for (Tensor& t : all) t = t.to(Dtype::f64);
  return all;
}

void check(const Tensor& x, double eps, double tolerance, bool twice = false, bool grads = true) {
  const Tensor layouts[] = {x, x.contiguous(MemoryFormat::channels_last)};
  for (int op = 0; op < 6; ++op) {
    CAPTURE(kNames[op]);
    const std::vector<Tensor> want = results(op, x.to(Dtype::f64), eps);
    for (const Tensor& in : layouts) {
      const std::vector<Tensor> got = results(op, in, eps, twice);
      for (size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        if (!grads && i != 0) continue;
        const Tensor d = abs(got[i] - want[i]);
        CHECK(max(where(isnan(d), INFINITY, d)).item<double>() <= tolerance * max(abs(want[i])).item<double>());
      }
    }
  }
}

}  // namespace

TEST_SUITE("norm digits") {
  // 1e-6 and 2e-6: f32 sums of some thousand terms with signs
  DEVICE_TEST_CASE("a mean far from zero costs no digits, in either layout") {
    Generator g(5);
    for (const Shape& s : {Shape{2, 8, 7, 5}, Shape{3, 4, 40, 41}, Shape{2, 70, 3, 3}}) {
      const Tensor z = here::randn(s, Dtype::f32, &g);
      for (const double mean : {0., 3., 1e3, -3e4, 1e6}) {
        CAPTURE(mean);
        check(z + mean, 1e-5, 2e-6);
      }
      check(z + 1e6, 1e-5, 5e-6, true);
    }
  }

  DEVICE_TEST_CASE("constants give exactly 0") {
    for (const double v : {0., 0.1, 255., 737.1, 7.371e6, -1e38, 1e-40})
      for (const Shape& s : {Shape{1, 6, 10, 10}, Shape{3, 6, 31, 33}, Shape{40, 6, 1, 2}}) {
        CAPTURE(v);
        const Tensor x = here::full(s, v), last = x.contiguous(MemoryFormat::channels_last);
        for (const Tensor& t : {x, last}) {
          const Tensor ys[] = {layer_norm(t, {s[2], s[3]}), group_norm(t, 3), instance_norm(t),
                               batch_norm(t, {}, {}, {}, {}, {.training = true})};
          for (const Tensor& y : ys) CHECK(max(abs(y)).item<float>() == 0);
        }
        const Tensor mean = here::zeros({6}), var = here::ones({6});
        (void)batch_norm(last, mean, var, {}, {}, {.training = true, .momentum = 1});
        CHECK(var.to_vector<float>()[5] == 0);
        CHECK(mean.to_vector<float>()[5] == static_cast<float>(v));
      }
  }

  // The CPU only: loops in f64 where f32 has no room.
  TEST_CASE("values near both ends of f32") {
    Generator g(6);
    for (const Shape& s : {Shape{2, 8, 7, 5}, Shape{4, 4, 40, 41}}) {
      const Tensor z = rand(s, Dtype::f64, &g) * 2 - 1;
      check((z * 1e38).to(Dtype::f32), 1e-5, 2e-6, false, false);
      for (const double size : {1e30, 1e-18, 1e-30}) check((z * size).to(Dtype::f32), 0, 3e-6, false, false);
      check((z * 1e-40).to(Dtype::f32), 0, 3e-6, false, false);
      // gradients, and a channel of each size
      const Tensor sizes = tensor({1e37, 1., 1e-25, 1e6}).reshape({1, 4, 1, 1});
      if (s[1] == 4) check((z * sizes).to(Dtype::f32), 1e-5, 3e-6, false, false);
      const Tensor x = (z * 1e36).to(Dtype::f32);
      for (int op = 0; op < 6; ++op) {
        const std::vector<Tensor> got = results(op, x, 1e-5), want = results(op, x.to(Dtype::f64), 1e-5);
        for (int i : {1, 2})
          CHECK(max(abs(got[i] - want[i])).item<double>() <= 3e-6 * max(abs(want[i])).item<double>());
      }
    }
  }

  DEVICE_TEST_CASE("gradients of weights over very many rows") {
    const int64_t rows = 200000;
    const Tensor x = here::full({rows, 4}, 0.1).contiguous(), w = here::ones({4}).set_requires_grad(),
                 b = here::zeros({4}).set_requires_grad(), g = here::full({rows, 4}, 0.1);
    const Tensor y = layer_norm(x, {4}, w, b);
    const std::vector<Tensor> got = grad({y}, {b}, {.grad_outputs = {g}});
    // 64 rows in f32, f64 from there on
    CHECK(got[0].to_vector<float>()[1] == doctest::Approx(rows * static_cast<double>(0.1f)).epsilon(1e-6));
  }
}
