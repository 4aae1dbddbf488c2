// Sorting: order, stability, NaN, derivatives.
#include <algorithm>
#include <cmath>
#include <limits>

#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/gradcheck.h"
#include "weft/core/factory.h"

using namespace weft;

TEST_SUITE("sort") {
  DEVICE_TEST_CASE("order, stability and NaN") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Tensor x = here::tensor({3.0, 1.0, nan, 1.0, 2.0});
    CHECK(argsort(x).to_vector<int64_t>() == std::vector<int64_t>{1, 3, 4, 0, 2});
    CHECK(argsort(x, 0, true).to_vector<int64_t>() == std::vector<int64_t>{2, 0, 4, 1, 3});
    const ValuesIndices top = topk(x, 2);
    CHECK(top.indices.to_vector<int64_t>() == std::vector<int64_t>{2, 0});
    CHECK(topk(x, 3, 0, false).values.to_vector<double>() == std::vector<double>{1, 1, 2});
    CHECK(sort(here::scalar(2.0)).values.item<double>() == 2);
    CHECK(sort(here::zeros({2, 0})).values.shape() == Shape{2, 0});
    CHECK(topk(x, 0).values.shape() == Shape{0});
    CHECK_THROWS_AS((void)topk(x, 6), ValueError);
    CHECK(sort(here::tensor({true, false, true})).indices.to_vector<int64_t>() == std::vector<int64_t>{1, 0, 2});
  }

  DEVICE_TEST_CASE("any axis, against the standard library") {
    const Tensor x = here::randint(-50, 50, {7, 300, 5}).to(Dtype::f32);
    const Tensor values = sort(x, 1, true).values, best = topk(x, 20, 1).values;
    for (int64_t i : {0, 3, 6}) {
      auto line = x[i].select(1, 2).to_vector<float>();
      std::stable_sort(line.begin(), line.end(), std::greater<>());
      CHECK(values[i].select(1, 2).to_vector<float>() == line);
      line.resize(20);
      CHECK(best[i].select(1, 2).to_vector<float>() == line);
    }
  }

  DEVICE_TEST_CASE("derivatives") {
    const Tensor x = here::tensor({0.3, -1.0, 2.0, 0.7, -0.2, 1.1}, Shape{2, 3}).set_requires_grad();
    CHECK(gradcheck([](const std::vector<Tensor>& t) { return square(sort(t[0], 1).values); }, {x}));
    CHECK(gradgradcheck([](const std::vector<Tensor>& t) { return square(topk(t[0], 2, 1).values); }, {x}));
  }
}
