// Dtypes: names, promotion, half precision, scalars.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "weft/core/dtype.h"

using namespace weft;

TEST_SUITE("dtype") {
  TEST_CASE("promotion is PyTorch's, for every pair") {
    // Rows and columns: f32 f64 bf16 f16 i64 i32 u8 bool i8 i16 u16. torch.promote_types; for u16 with integers
    // numpy.promote_types.
    const Dtype d[] = {Dtype::f32, Dtype::f64,     Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32,
                       Dtype::u8,  Dtype::boolean, Dtype::i8,   Dtype::i16, Dtype::u16};
    const char* table[kDtypes][kDtypes] = {
        {"f32", "f64", "f32", "f32", "f32", "f32", "f32", "f32", "f32", "f32", "f32"},
        {"f64", "f64", "f64", "f64", "f64", "f64", "f64", "f64", "f64", "f64", "f64"},
        {"f32", "f64", "bf16", "f32", "bf16", "bf16", "bf16", "bf16", "bf16", "bf16", "bf16"},
        {"f32", "f64", "f32", "f16", "f16", "f16", "f16", "f16", "f16", "f16", "f16"},
        {"f32", "f64", "bf16", "f16", "i64", "i64", "i64", "i64", "i64", "i64", "i64"},
        {"f32", "f64", "bf16", "f16", "i64", "i32", "i32", "i32", "i32", "i32", "i32"},
        {"f32", "f64", "bf16", "f16", "i64", "i32", "u8", "u8", "i16", "i16", "u16"},
        {"f32", "f64", "bf16", "f16", "i64", "i32", "u8", "bool", "i8", "i16", "u16"},
        {"f32", "f64", "bf16", "f16", "i64", "i32", "i16", "i8", "i8", "i16", "i32"},
        {"f32", "f64", "bf16", "f16", "i64", "i32", "i16", "i16", "i16", "i16", "i32"},
        {"f32", "f64", "bf16", "f16", "i64", "i32", "u16", "u16", "i32", "i32", "u16"}};
    for (int i = 0; i < kDtypes; ++i)
      for (int j = 0; j < kDtypes; ++j) {
        INFO(name(d[i]), " with ", name(d[j]));
        CHECK(std::string(name(promote(d[i], d[j]))) == table[i][j]);
      }
  }

  TEST_CASE("the traits agree with the C++ types and with each other") {
    DtypeSet seen;
    const auto check = [&]<class T>(T, DtypeKind kind, const char* text) {
      const DtypeTraits& t = traits(dtype_v<T>);
      INFO(text);
      CHECK(std::string(t.name) == text);
      CHECK(t.size == sizeof(T));
      CHECK(t.kind == kind);
      CHECK(t.compute == dtype_v<compute_t<T>>);
      CHECK(is_floating(dtype_v<T>) == (kind == DtypeKind::floating));
      CHECK(is_integral(dtype_v<T>) == std::is_integral_v<T>);
      CHECK(is_signed_integer(dtype_v<T>) == (std::is_integral_v<T> && std::is_signed_v<T>));
      CHECK(is_short(dtype_v<T>) == is_short_v<T>);
      CHECK(is_half(dtype_v<T>) == is_half_v<T>);
      CHECK(sum_dtype(dtype_v<T>) == (std::is_integral_v<T> ? Dtype::i64 : dtype_v<T>));
      seen.bits = static_cast<uint16_t>(seen.bits | DtypeSet(dtype_v<T>).bits);
    };
    using enum DtypeKind;
    check(float{}, floating, "f32");
    check(double{}, floating, "f64");
    check(bf16(0.0f), floating, "bf16");
    check(f16(0.0f), floating, "f16");
    check(int64_t{}, signed_integer, "i64");
    check(int32_t{}, signed_integer, "i32");
    check(int16_t{}, signed_integer, "i16");
    check(int8_t{}, signed_integer, "i8");
    check(uint8_t{}, unsigned_integer, "u8");
    check(uint16_t{}, unsigned_integer, "u16");
    check(bool{}, boolean, "bool");
    CHECK(seen.bits == kAllDtypes.bits);
    CHECK((kShortDtypes & kWideDtypes).bits == 0);
    CHECK((kShortDtypes.bits | kWideDtypes.bits) == kNumericDtypes.bits);
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
    CHECK_THROWS_WITH_AS(dispatch_integral(Dtype::f16, "bits", []<class T> {}),
                         "bits: dtype f16 is not supported here; expected i64, i32, u8, bool, i8, i16 or u16",
                         DtypeError);
    CHECK_THROWS_WITH_AS(dispatch_added(Dtype::bf16, "add", []<class T> {}),
                         "add: dtype bf16 is not supported here; expected f32, f64, i64, i32, u8, i8, i16 or u16",
                         DtypeError);
    CHECK_THROWS_AS(dispatch_added(Dtype::boolean, "add", []<class T> {}), DtypeError);
    CHECK(str(kIndexDtypes) == "i64 or i32");
    CHECK(str(DtypeSet(Dtype::u16)) == "u16");
    int size = 0;
    dispatch_all(Dtype::i64, "copy", [&]<class T> { size = sizeof(T); });
    CHECK(size == 8);
  }
}
