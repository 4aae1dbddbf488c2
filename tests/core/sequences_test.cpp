#include "weft/core/sequences.h"

#include <doctest/doctest.h>

#include <cmath>

#include "support/devices.h"
#include "weft/core/factory.h"

using namespace weft;

TEST_SUITE("sequences") {
  DEVICE_TEST_CASE("logspace has evenly spaced exponents and exact ends") {
    const Tensor y = logspace(-1, 3, 5, 10, support::on(Dtype::f64));
    CHECK(y.device() == support::device());
    CHECK(y.to_vector<double>() == std::vector<double>{0.1, 1, 10, 100, 1000});
    const std::vector<double> third = logspace(0, 1, 4, 8, Dtype::f64).to_vector<double>();
    // one rounding of the exponent and one of pow
    for (size_t i = 0; i < 4; ++i) CHECK(third[i] == doctest::Approx(double(1 << i)).epsilon(1e-15));
    CHECK(third[3] == 8);
    CHECK(logspace(2, 7, 1).to_vector<float>() == std::vector<float>{100});
    CHECK(logspace(2, 7, 0).shape() == Shape{0});
    CHECK(logspace(0, 1, 2).dtype() == Dtype::f32);
  }
  TEST_CASE("logspace cuts to integers, and has no value for a broken power of a negative base") {
    CHECK(logspace(0, 3, 3, 2, Dtype::i32).to_vector<int32_t>() == std::vector<int32_t>{1, 2, 8});
    CHECK(logspace(0, 3, 4, 10, Dtype::i64).to_vector<int64_t>() == std::vector<int64_t>{1, 10, 100, 1000});
    const std::vector<float> v = logspace(0, 1, 3, -2).to_vector<float>();
    CHECK(v[0] == 1);
    CHECK(std::isnan(v[1]));
    CHECK(v[2] == -2);
    CHECK_THROWS_WITH_AS((void)logspace(0, 1, -1), "logspace: steps must not be negative, got -1", ValueError);
    CHECK_THROWS_AS((void)logspace(0, 1, 2, 10, Dtype::boolean), DtypeError);
  }
  DEVICE_TEST_CASE("triangles of every offset, as a walk over the matrix") {
    for (const int64_t rows : {0, 1, 3, 5})
      for (const int64_t cols : {0, 1, 4, 5})
        for (int64_t offset = -7; offset <= 7; ++offset) {
          std::vector<int64_t> lower[2], upper[2];
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < cols; ++c) {
              if (c <= r + offset) lower[0].push_back(r), lower[1].push_back(c);
              if (c >= r + offset) upper[0].push_back(r), upper[1].push_back(c);
            }
          const Tensor l = tril_indices(rows, cols, offset, support::on(Dtype::i64)),
                       u = triu_indices(rows, cols, offset, support::on(Dtype::i64));
          INFO(rows, " x ", cols, " offset ", offset);
          REQUIRE(l.shape() == Shape{2, static_cast<int64_t>(lower[0].size())});
          REQUIRE(u.shape() == Shape{2, static_cast<int64_t>(upper[0].size())});
          for (int k = 0; k < 2; ++k) {
            CHECK(l[k].to_vector<int64_t>() == lower[k]);
            CHECK(u[k].to_vector<int64_t>() == upper[k]);
          }
        }
  }
  TEST_CASE("index pairs: dtypes, extreme offsets and errors") {
    CHECK(tril_indices(2, 2).dtype() == Dtype::i64);
    CHECK(triu_indices(2, 2, 0, Device()).dtype() == Dtype::i64);
    CHECK(triu_indices(2, 2, 0, Dtype::i32).dtype() == Dtype::i32);
    CHECK(tril_indices(3, 2, INT64_MAX).size(1) == 6);
    CHECK(tril_indices(3, 2, INT64_MIN).size(1) == 0);
    CHECK(triu_indices(3, 2, INT64_MIN).size(1) == 6);
    CHECK(triu_indices(3, 2, INT64_MAX).size(1) == 0);
    CHECK_THROWS_WITH_AS((void)tril_indices(-3, 4), "tril_indices: sizes must not be negative, got [-3, 4]",
                         ValueError);
    CHECK_THROWS_WITH_AS((void)triu_indices(3, 4, 0, Dtype::f32), "triu_indices: indices are i64 or i32, not f32",
                         DtypeError);
  }
}
