#include <cmath>

#include "derivative.h"
#include "support/here.h"
#include "weft/autograd/ops/reduce/softmax.h"

using namespace weft;
using namespace weft::test;

namespace {
/// By the definition, in f64.
Tensor reference(const Tensor& x, int64_t dim, bool log) {
  const Tensor e = exp(x - amax(x, dim, true)), s = sum(e, dim, true);
  return log ? x - amax(x, dim, true) - weft::log(s) : e / s;
}
}  // namespace

TEST_SUITE("softmax") {
  DEVICE_TEST_CASE("values in every dtype, along every axis, in every layout") {
    const Shape shapes[] = {{2, 3, 4, 5}, {3, 33, 2, 7}, {2, 1, 3, 3}, {1, 200, 20, 30}};
    for (const Shape& s : shapes)
      for (int dim = 0; dim < 4; ++dim)
        for (bool log : {false, true}) {
          const Tensor x = ramp(s, -5, 5), want = reference(x, dim, log);
          const Tensor layouts[] = {x, x.contiguous(MemoryFormat::channels_last),
                                    ramp(s, -5, 5).transpose(2, 3).contiguous().transpose(2, 3)};
          for (const Tensor& t : layouts) {
            const Tensor y = log ? log_softmax(t, dim) : softmax(t, dim);
            CHECK(y.strides() == (t.is_dense() ? t.strides() : contiguous_strides(s)));
            CHECK(allclose(y, want, 1e-13, 1e-14));
            for (Dtype d : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
              const Tensor low = t.to(d), z = log ? log_softmax(low, dim) : softmax(low, dim);
              // one rounding of the result, and of the input's exponent: |x| <= 10 times a few f32 eps
              const double eps = d == Dtype::f32 ? 3e-6 : d == Dtype::bf16 ? 4.0e-3 : 5.5e-4;
              CHECK(z.dtype() == d);
              CHECK(allclose(z, reference(low.to(Dtype::f64), dim, log), eps,
                             log               ? 3e-6
                             : d == Dtype::f16 ? 1e-7
                                               : 1e-9));
            }
          }
        }
  }

  DEVICE_TEST_CASE("derivatives, fused and composite") {
    for (int dim : {0, 1, 2}) {
      check_derivatives([&](const std::vector<Tensor>& v) { return softmax(v[0], dim); }, {ramp({2, 3, 4})});
      check_derivatives([&](const std::vector<Tensor>& v) { return log_softmax(v[0], dim); }, {ramp({2, 3, 4})});
    }
    const Tensor last = ramp({2, 3, 2, 2}).contiguous(MemoryFormat::channels_last);
    check_derivatives(
        [&](const std::vector<Tensor>& v) { return softmax(v[0].contiguous(MemoryFormat::channels_last), 1); }, {last});
    // a gradient that is a broadcast view
    Tensor x = ramp({4, 6}).set_requires_grad();
    CHECK(allclose(grad(sum(log_softmax(x, 1)), {x})[0], 1 - 6 * softmax(x.detach(), 1), 1e-12));
  }

  DEVICE_TEST_CASE("extremes") {
    CHECK(softmax(here::tensor<double>({1e4, 1e4 - 1}), 0).to_vector<double>()[0] ==
          doctest::Approx(1 / (1 + std::exp(-1.0))));
    CHECK(softmax(here::tensor<double>({-INFINITY, 0}), 0).to_vector<double>() == std::vector<double>{0, 1});
    CHECK(std::isnan(softmax(here::full({2}, -INFINITY), 0).to_vector<float>()[0]));
    CHECK(log_softmax(here::tensor<float>({200, 0}), 0).to_vector<float>()[1] == -200);
    CHECK(softmax(here::scalar(3.0), 0).item<float>() == 1);
    CHECK(softmax(here::zeros({0, 3}), 1).shape() == Shape{0, 3});
    CHECK(softmax(here::zeros({3, 0}), 1).shape() == Shape{3, 0});
    CHECK(softmax(here::ones({2}, Dtype::i64), 0, Dtype::f32).dtype() == Dtype::f32);
    CHECK_THROWS_AS((void)softmax(here::ones({2}, Dtype::i64), 0), DtypeError);
    CHECK_THROWS_AS((void)softmax(here::ones({2}), 1), Error);
  }
}
