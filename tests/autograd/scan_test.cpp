#include "weft/autograd/ops/reduce/scan.h"
#include "derivative.h"
#include "support/here.h"

using namespace weft;
using namespace weft::test;

TEST_SUITE("scan") {
  DEVICE_TEST_CASE("running sums and products along every axis, in every layout") {
    const Tensor x = ramp({2, 3, 4, 5}, 0.5, 1.5);
    const Tensor layouts[] = {x, x.contiguous(MemoryFormat::channels_last),
                              ramp({5, 4, 3, 2}, 0.5, 1.5).permute({3, 2, 1, 0})};
    for (const Tensor& t : layouts)
      for (int dim = -4; dim < 4; ++dim) {
        Tensor s = cumsum(t, dim), p = cumprod(t, dim), running = t.select(dim, 0), product = running;
        for (int64_t i = 0; i < t.size(dim); ++i) {
          if (i) running = running + t.select(dim, i), product = product * t.select(dim, i);
          CHECK(allclose(s.select(dim, i), running, 1e-14));
          CHECK(allclose(p.select(dim, i), product, 1e-14));
        }
      }
  }

  DEVICE_TEST_CASE("derivatives, at zeros too") {
    for (int dim : {0, 1, 2}) {
      check_derivatives([&](const std::vector<Tensor>& v) { return cumsum(v[0], dim); }, {ramp({2, 3, 4})});
      check_derivatives([&](const std::vector<Tensor>& v) { return cumprod(v[0], dim); }, {ramp({2, 3, 4}, 0.5, 1.5)});
    }
    const Tensor zeros_in_it = here::tensor<double>({2, 0, 3, 0, 5, 1, 0, 0, 2, 3, 4, 5}, Shape{3, 4});
    for (int dim : {0, 1})
      check_derivatives([&](const std::vector<Tensor>& v) { return cumprod(v[0], dim); }, {zeros_in_it});
  }

  DEVICE_TEST_CASE("dtypes, empty tensors, rank 0") {
    CHECK(cumsum(here::ones({3}, Dtype::boolean), 0).to_vector<int64_t>() == std::vector<int64_t>{1, 2, 3});
    CHECK(cumsum(here::ones({3}, Dtype::u8), 0).dtype() == Dtype::i64);
    CHECK(cumprod(here::full({3}, 2, Dtype::i32), 0, Dtype::f64).to_vector<double>() == std::vector<double>{2, 4, 8});
    CHECK(cumsum(here::ones({1000}, Dtype::bf16), 0).to_vector<float>().back() == 1000);
    CHECK(cumsum(here::zeros({0, 3}), 0).shape() == Shape{0, 3});
    CHECK(cumsum(here::zeros({3, 0}), 0).shape() == Shape{3, 0});
    CHECK(cumsum(here::scalar(2.5), 0).item<float>() == 2.5f);
    CHECK(cumprod(here::scalar(2.5), -1).item<float>() == 2.5f);
    CHECK_THROWS_AS((void)cumsum(here::zeros({3}), 1), Error);
  }
}
