// Dtypes: names, promotion, half precision, scalars.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "weft/core/dtype.h"

using namespace weft;

TEST_SUITE("dtype") {
  TEST_CASE("promotion is PyTorch's, for every pair") {
    // Rows and columns: f32 f64 bf16 f16 i64 i32 u8 bool (torch.promote_types).
    const Dtype d[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16,
                       Dtype::i64, Dtype::i32, Dtype::u8,   Dtype::boolean};
    const char* table[kDtypes][kDtypes] = {{"f32", "f64", "f32", "f32", "f32", "f32", "f32", "f32"},
                                           {"f64", "f64", "f64", "f64", "f64", "f64", "f64", "f64"},
                                           {"f32", "f64", "bf16", "f32", "bf16", "bf16", "bf16", "bf16"},
                                           {"f32", "f64", "f32", "f16", "f16", "f16", "f16", "f16"},
                                           {"f32", "f64", "bf16", "f16", "i64", "i64", "i64", "i64"},
                                           {"f32", "f64", "bf16", "f16", "i64", "i32", "i32", "i32"},
                                           {"f32", "f64", "bf16", "f16", "i64", "i32", "u8", "u8"},
                                           {"f32", "f64", "bf16", "f16", "i64", "i32", "u8", "bool"}};
    for (int i = 0; i < kDtypes; ++i)
      for (int j = 0; j < kDtypes; ++j) {
        INFO(name(d[i]), " with ", name(d[j]));
        CHECK(std::string(name(promote(d[i], d[j]))) == table[i][j]);
      }
  }

  TEST_CASE("every f16 survives the way through float") {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      f16 h;
      h.bits = static_cast<uint16_t>(bits);
      const float f = h;
      if (std::isnan(f)) {
        CHECK(std::isnan(static_cast<float>(f16(f))));
        continue;
      }
      REQUIRE(f16(f).bits == bits);
      // The value itself, from the bits.
      const int exponent = static_cast<int>(bits >> 10 & 31), fraction = static_cast<int>(bits & 1023);
      double want = exponent == 31 ? HUGE_VAL
                    : exponent     ? std::ldexp(1024 + fraction, exponent - 25)
                                   : std::ldexp(fraction, -24);
      if (bits & 0x8000) want = -want;
      REQUIRE(static_cast<double>(f) == want);
    }
  }

  TEST_CASE("halves round to nearest even") {
    // f16 has 10 bits of fraction: ulp of 1 is 2^-10.
    CHECK(static_cast<float>(f16(1.0f + 0x1p-11f)) == 1.0f);
    CHECK(static_cast<float>(f16(1.0f + 0x1p-11f + 0x1p-20f)) == 1.0f + 0x1p-10f);
    CHECK(static_cast<float>(f16(1.0f + 3 * 0x1p-11f)) == 1.0f + 0x1p-9f);
    CHECK(std::isinf(static_cast<float>(f16(65520.0f))));
    CHECK(static_cast<float>(f16(65519.0f)) == 65504.0f);
    CHECK(static_cast<float>(f16(0x1p-25f)) == 0.0f);
    CHECK(static_cast<float>(f16(0x1.8p-25f)) == 0x1p-24f);
    CHECK(static_cast<float>(bf16(1.0f + 0x1p-8f)) == 1.0f);
    CHECK(static_cast<float>(bf16(1.0f + 3 * 0x1p-8f)) == 1.0f + 0x1p-6f);
    CHECK(std::isnan(static_cast<float>(bf16(std::numeric_limits<float>::quiet_NaN()))));
    CHECK(std::isinf(static_cast<float>(bf16(std::numeric_limits<float>::max()))));
  }

  TEST_CASE("scalars keep their category and the exact integer") {
    CHECK(Scalar(true).is_bool());
    CHECK(Scalar(3).is_integer());
    CHECK(Scalar(3.0f).is_floating());
    CHECK(Scalar(int64_t{9007199254740993}).to<int64_t>() == 9007199254740993);
    CHECK(Scalar(2.9).to<int64_t>() == 2);
    CHECK(Scalar(1e38).to_int64() == INT64_MAX);
    CHECK(Scalar(-INFINITY).to_int64() == INT64_MIN);
    CHECK(Scalar(NAN).to_int64() == 0);
    CHECK(Scalar(0.5).to<bool>());
    CHECK(str(Scalar(2)) == "2");
  }

  TEST_CASE("a dtype switch refuses by name") {
    CHECK_THROWS_WITH_AS(dispatch_floating(Dtype::i32, "gelu", []<class T> {}),
                         "gelu: dtype i32 is not supported here; expected f32, f64, bf16 or f16", DtypeError);
    int size = 0;
    dispatch_all(Dtype::i64, "copy", [&]<class T> { size = sizeof(T); });
    CHECK(size == 8);
  }
}
