#include "weft/nn/init.h"
#include "nn/support.h"
#include "support/here.h"

using namespace weft;
using namespace weft::test;
using namespace weft::nn;

TEST_SUITE_BEGIN("init");

DEVICE_TEST_CASE("gains and fans") {
  CHECK(init::calculate_gain(init::Nonlinearity::relu) == doctest::Approx(std::sqrt(2.0)));
  CHECK(init::calculate_gain(init::Nonlinearity::leaky_relu, std::sqrt(5.0)) == doctest::Approx(std::sqrt(1.0 / 3)));
  CHECK(init::calculate_gain(init::Nonlinearity::tanh) == doctest::Approx(5.0 / 3));
  init::Fans f = init::calculate_fans({8, 4, 3, 5});
  CHECK(f.in == 60);
  CHECK(f.out == 120);
  CHECK_THROWS_AS(init::calculate_fans({8}), ShapeError);
}

DEVICE_TEST_CASE("distributions") {
  manual_seed(1);
  Tensor w = here::empty({50, 40});
  init::uniform_(w, -0.3, 0.3);
  check_uniform(w, 0.3);
  init::normal_(w, 0, 0.2);
  check_normal(w, 0.2);
  init::xavier_uniform_(w, 2);
  check_uniform(w, 2 * std::sqrt(6.0 / 90));
  init::xavier_normal_(w);
  check_normal(w, std::sqrt(2.0 / 90));
  init::kaiming_uniform_(w, {.a = std::sqrt(5.0)});
  check_uniform(w, 1 / std::sqrt(40.0));
  init::kaiming_normal_(w, {.mode = init::FanMode::fan_out, .nonlinearity = init::Nonlinearity::relu});
  check_normal(w, std::sqrt(2.0 / 50));
  init::trunc_normal_(w, {.std = 1, .low = -0.5, .high = 2});
  auto v = w.to_vector<double>();
  double sum = 0;
  for (double x : v) {
    CHECK((x >= -0.5 && x <= 2));
    sum += x;
  }
  // mean of the cut normal: (phi(-0.5) - phi(2)) / (Phi(2) - Phi(-0.5)) = 0.4455; 5 standard errors
  CHECK(sum / 2000 == doctest::Approx(0.4455).epsilon(0.15));
}

DEVICE_TEST_CASE("sparse_: zeros in each column") {
  manual_seed(3);
  Tensor w = here::empty({10, 7});
  init::sparse_(w, 0.25, 0.5);
  const auto v = w.to_vector<float>();
  for (size_t c = 0; c < 7; ++c) {
    int zeros = 0;
    for (size_t r = 0; r < 10; ++r) zeros += v[r * 7 + c] == 0;
    CHECK(zeros == 3);
  }
  CHECK_THROWS_AS(init::sparse_(here::empty({2, 2, 2}), 0.5), ShapeError);
  CHECK_THROWS_AS(init::sparse_(w, 1.5), ValueError);
}

DEVICE_TEST_CASE("exact ones") {
  Tensor w = here::empty({2, 3});
  init::eye_(w);
  CHECK(w.to_vector<float>() == std::vector<float>{1, 0, 0, 0, 1, 0});
  init::constant_(w, 4);
  CHECK(w.to_vector<float>() == std::vector<float>(6, 4));
  Tensor c = here::empty({2, 2, 3});
  init::dirac_(c);
  CHECK(c.to_vector<float>() == std::vector<float>{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0});
}

DEVICE_TEST_CASE("orthogonal: the shorter side's vectors") {
  manual_seed(2);
  for (Shape s : {Shape{4, 7}, Shape{7, 4}, Shape{3, 2, 5}}) {
    Tensor w = here::empty(s, Dtype::f64);
    init::orthogonal_(w, 2);
    auto v = w.to_vector<double>();
    size_t rows = static_cast<size_t>(s[0]), columns = v.size() / rows;
    bool by_row = rows <= columns;
    size_t count = by_row ? rows : columns, length = by_row ? columns : rows;
    for (size_t a = 0; a < count; ++a)
      for (size_t b = 0; b < count; ++b) {
        double product = 0;
        for (size_t i = 0; i < length; ++i)
          product += by_row ? v[a * columns + i] * v[b * columns + i] : v[i * columns + a] * v[i * columns + b];
        CHECK(product == doctest::Approx(a == b ? 4 : 0).epsilon(1e-12));
      }
  }
}

TEST_SUITE_END();
