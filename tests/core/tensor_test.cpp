// Tensors: creation, queries, elements, copies and conversions.
#include <cmath>
#include <limits>

#include "support/here.h"
#include "support/same_bits.h"
#include "support/throws.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;
using Values = std::vector<double>;

TEST_SUITE("tensor") {
  DEVICE_TEST_CASE("equal bits: any NaN is a NaN, -0 is not 0") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto same = [](double a, double b, Dtype d = Dtype::f32) {
      return support::same_bits(here::full({3}, a, Dtype::f64).to(d), full({3}, b, Dtype::f64).to(d));
    };
    for (const Dtype d : {Dtype::f64, Dtype::f32, Dtype::bf16, Dtype::f16}) {
      CHECK(same(nan, -nan, d));
      CHECK_FALSE(same(nan, 1, d));
      CHECK_FALSE(same(1, nan, d));
      CHECK_FALSE(same(0, -0.0, d));
      CHECK(same(-0.0, -0.0, d));
    }
    CHECK_FALSE(same(1, 2, Dtype::i64));
  }

  DEVICE_TEST_CASE("creation") {
    CHECK(here::zeros({2, 2}).to_vector<float>() == std::vector<float>(4, 0));
    CHECK(here::ones({3}, Dtype::u8).to_vector<int64_t>() == std::vector<int64_t>(3, 1));
    CHECK(here::full({2}, 1.5, Dtype::f16).to_vector<double>() == Values{1.5, 1.5});
    CHECK(here::scalar(3).dtype() == Dtype::i64);
    CHECK(here::scalar(3.0).dtype() == Dtype::f32);
    CHECK(here::scalar(true).dtype() == Dtype::boolean);
    CHECK(here::scalar(2.5).shape() == Shape{});
    CHECK(here::tensor({1, 2, 3}).dtype() == Dtype::i32);
    CHECK(here::tensor({1.0, 2.0}, Shape{2, 1}).shape() == Shape{2, 1});
    CHECK(here::tensor(std::vector<bool>{true, false}).to_vector<int64_t>() == std::vector<int64_t>{1, 0});
    CHECK(here::eye(2, 3).to_vector<double>() == Values{1, 0, 0, 0, 1, 0});
    CHECK(here::zeros({0, 3}).numel() == 0);
    CHECK(message_of<ShapeError>([] {
            (void)here::tensor({1.0, 2.0}, Shape{3});
          }) == "tensor: 2 values do not fill shape [3]");
    CHECK_THROWS_AS((void)here::zeros({-1}), ShapeError);
  }

  DEVICE_TEST_CASE("dtypes of values are PyTorch's") {
    const auto list = [](const Tensor& t) { return std::pair(t.dtype(), t.to_vector<double>()); };
    CHECK(list(tensor({1, 2})) == std::pair(Dtype::i64, Values{1, 2}));
    CHECK(list(tensor({int64_t{1} << 40})) == std::pair(Dtype::i64, Values{0x1p40}));
    CHECK(tensor({uint8_t{3}}).dtype() == Dtype::i64);
    CHECK(list(tensor({true, false})) == std::pair(Dtype::boolean, Values{1, 0}));
    CHECK(list(tensor({0.5, 0.25})) == std::pair(Dtype::f32, Values{0.5, 0.25}));
    CHECK(tensor({1.f}).dtype() == Dtype::f32);
    CHECK(tensor({0.1}, Dtype::f64).item<double>() == 0.1);  // by way of no f32
    CHECK(tensor({1, 2}, Shape{2, 1}, Dtype::f16).dtype() == Dtype::f16);
    CHECK(tensor({1, 2}, Device()).dtype() == Dtype::i64);
    CHECK(tensor({1.5, 2.0}, Device()).dtype() == Dtype::f32);
    // vectors and spans keep their type
    CHECK(tensor(std::vector<double>{1}).dtype() == Dtype::f64);
    CHECK(tensor(std::vector<int32_t>{1}, Device()).dtype() == Dtype::i32);
    CHECK(tensor(std::vector<bool>{true}).dtype() == Dtype::boolean);
    const uint8_t bytes[] = {7};
    CHECK(tensor(std::span<const uint8_t>(bytes), {1}).dtype() == Dtype::u8);
    CHECK(list(full({2}, 3)) == std::pair(Dtype::i64, Values{3, 3}));
    CHECK(full({2}, true).dtype() == Dtype::boolean);
    CHECK(full({2}, 3.0).dtype() == Dtype::f32);
    CHECK(full({2}, 3, Device()).dtype() == Dtype::i64);
    CHECK(full({2}, 3, Dtype::f32).dtype() == Dtype::f32);
    CHECK(full({2}, 3, TensorOptions(Dtype::f32, Device())).dtype() == Dtype::f32);
    CHECK(scalar(2, Device()).dtype() == Dtype::i64);
    CHECK(arange(0, 3, 1, Device()).dtype() == Dtype::i64);
    CHECK(arange(0, 3, 0.5, Device()).dtype() == Dtype::f32);
    CHECK(randint(0, 9, {2}, Device()).dtype() == Dtype::i64);
    CHECK(randperm(4, Device()).dtype() == Dtype::i64);
    CHECK(zeros({2}, Device()).dtype() == Dtype::f32);
  }

  DEVICE_TEST_CASE("a value that the dtype cannot hold is refused") {
    const auto full = [](Scalar v, Dtype d) { return here::full({2}, v, d).to_vector<double>()[1]; };
    CHECK(message_of<ValueError>([&] { full(300, Dtype::u8); }) == "full: u8 cannot hold the value 300");
    CHECK(full(255, Dtype::u8) == 255);
    CHECK(full(-0.5, Dtype::u8) == 0);  // fractions are cut
    CHECK(full(2147483647.9, Dtype::i32) == 2147483647);
    CHECK(full(std::numeric_limits<int64_t>::min(), Dtype::i64) == -0x1p63);
    CHECK(full(0x1.fffffffffffffp62, Dtype::i64) == 0x1.fffffffffffffp62);
    CHECK(full(65519.0, Dtype::f16) == 65504);  // rounds to it
    CHECK(full(3.4028235e38, Dtype::f32) == std::numeric_limits<float>::max());
    CHECK(full(-INFINITY, Dtype::f16) == -INFINITY);
    CHECK(std::isnan(full(NAN, Dtype::bf16)));
    CHECK(full(1e300, Dtype::f64) == 1e300);
    CHECK(full(1e300, Dtype::boolean) == 1);
    using Bad = std::pair<Scalar, Dtype>;
    for (const auto& [v, d] :
         {Bad(-1, Dtype::u8), Bad(256.0, Dtype::u8), Bad(0x1p31, Dtype::i32), Bad(-2147483649.0, Dtype::i32),
          Bad(int64_t{1} << 31, Dtype::i32), Bad(0x1p63, Dtype::i64), Bad(NAN, Dtype::i64), Bad(INFINITY, Dtype::i32),
          Bad(65520.0, Dtype::f16), Bad(70000, Dtype::f16), Bad(-1e39, Dtype::f32)}) {
      CHECK_THROWS_AS(full(v, d), ValueError);
      CHECK_THROWS_AS((void)here::scalar(v, d), ValueError);
      CHECK_THROWS_AS((void)full_like(here::zeros({2}, d), v), ValueError);
    }
    CHECK_THROWS_AS((void)tensor({1, 256}, Dtype::u8), ValueError);
    // numbers in expressions are converted as elements are
    CHECK((here::zeros({1}, Dtype::u8) + 300).to_vector<int64_t>() == std::vector<int64_t>{44});
  }

  DEVICE_TEST_CASE("memory borrowed from memory that was borrowed is given back by a loop") {
    static float value = 0;
    int released = 0;
    {
      Tensor t = from_blob(&value, {1}, Dtype::f32, [&] { ++released; });
      for (int i = 0; i < 300'000; ++i) t = from_blob(&value, {1}, Dtype::f32, [t, &released] { ++released; });
      CHECK(released == 0);
    }
    CHECK(released == 300'001);
  }

  DEVICE_TEST_CASE("arange and linspace") {
    CHECK(here::arange(4).to_vector<int64_t>() == std::vector<int64_t>{0, 1, 2, 3});
    CHECK(here::arange(1, 8, 3).to_vector<int64_t>() == std::vector<int64_t>{1, 4, 7});
    CHECK(here::arange(5, 0, -2).to_vector<int64_t>() == std::vector<int64_t>{5, 3, 1});
    CHECK(here::arange(0.0, 1.0, 0.25).to_vector<double>() == Values{0, 0.25, 0.5, 0.75});
    CHECK(here::arange(3, 3).numel() == 0);
    CHECK_THROWS_AS((void)here::arange(0, 1, 0), ValueError);
    CHECK_THROWS_AS((void)here::arange(0, 1, -1), ValueError);
    CHECK(here::linspace(0, 1, 5, Dtype::f64).to_vector<double>() == Values{0, 0.25, 0.5, 0.75, 1});
    CHECK(here::linspace(2, 3, 1).to_vector<double>() == Values{2});
    CHECK(here::linspace(0, 1, 0).numel() == 0);
  }

  DEVICE_TEST_CASE("queries") {
    const Tensor x = here::zeros({2, 3, 4});
    CHECK(x.size(-1) == 4);
    CHECK(x.nbytes() == 96);
    CHECK(x.is_contiguous());
    CHECK(x.is_dense());
    CHECK_FALSE(x.is_channels_last());
    const Tensor y = here::empty({2, 3, 4, 5}, {}, MemoryFormat::channels_last);
    CHECK(y.is_channels_last());
    CHECK_FALSE(y.is_contiguous());
    CHECK(y.is_dense());
    CHECK_FALSE(support::scattered(x).is_dense());
    CHECK_THROWS_AS((void)x.size(3), ShapeError);
    CHECK_FALSE(Tensor().defined());
  }

  TEST_CASE("typed access is checked") {
    Tensor x = here::zeros({2});
    CHECK(message_of<DtypeError>([&] { (void)x.data<double>(); }) == "data: tensor is f32, asked for as f64");
    CHECK(here::zeros({1}, Dtype::i32).item<double>() == 0);
    CHECK(message_of<ShapeError>([&] { (void)x.item<float>(); }) ==
          "item: needs a tensor of one element, got shape [2]");
    CHECK(here::full({1, 1}, 7, Dtype::i64).item<int64_t>() == 7);
    CHECK(here::scalar(int64_t{9007199254740993}).item<int64_t>() == 9007199254740993);
  }

  TEST_CASE("only writable pointers bump the version, and views and detach share it") {
    Tensor x = here::zeros({4});
    const uint32_t v = x.version();
    (void)x.data<float>();
    CHECK(x.version() == v);
    Tensor part = x.narrow(0, 1, 2), alias = x.detach();
    part.fill_(3);
    CHECK(x.version() == v + 1);
    CHECK(alias.version() == v + 1);
    CHECK(x.to_vector<double>() == Values{0, 3, 3, 0});
    (void)alias.mut_data<float>();
    CHECK(x.version() == v + 2);
  }

  DEVICE_TEST_CASE("conversions between all dtypes") {
    const Values v = {0, 1, 2.75, 100};
    for (int a = 0; a < kDtypes; ++a)
      for (int b = 0; b < kDtypes; ++b) {
        const auto from = static_cast<Dtype>(a), to = static_cast<Dtype>(b);
        const Tensor y = here::tensor(v).to(from).to(to);
        REQUIRE(y.dtype() == to);
        const bool cut = !is_floating(from) || !is_floating(to), truth = from == Dtype::boolean || to == Dtype::boolean;
        INFO(name(from), " to ", name(to));
        CHECK(y.to_vector<double>() == (truth ? Values{0, 1, 1, 1} : cut ? Values{0, 1, 2, 100} : v));
      }
  }

  DEVICE_TEST_CASE("conversion truncates towards zero, and NaN is true") {
    CHECK(here::tensor(Values{-1.9, 1.9}).to(Dtype::i64).to_vector<int64_t>() == std::vector<int64_t>{-1, 1});
    CHECK(here::tensor(Values{std::numeric_limits<double>::quiet_NaN(), 0, -0.0})
              .to(Dtype::boolean)
              .to_vector<int64_t>() == std::vector<int64_t>{1, 0, 0});
  }

  DEVICE_TEST_CASE("to() and contiguous() give the same tensor back where nothing changes") {
    const Tensor x = here::zeros({2, 3, 2, 2});
    CHECK(x.to(Dtype::f32).is_same(x));
    CHECK(x.contiguous().is_same(x));
    const Tensor y = x.contiguous(MemoryFormat::channels_last);
    CHECK(y.is_channels_last());
    CHECK(y.contiguous(MemoryFormat::channels_last).is_same(y));
  }

  DEVICE_TEST_CASE("clone owns its memory and keeps a dense layout") {
    Tensor x = support::channels_last(here::arange(24).reshape({1, 2, 3, 4}));
    Tensor y = x.clone();
    CHECK(y.strides() == x.strides());
    y.fill_(0);
    CHECK(x.to_vector<int64_t>() == here::arange(24).to_vector<int64_t>());
    CHECK(support::scattered(x).clone().is_contiguous());
  }

  DEVICE_TEST_CASE("to_vector and copies are in logical order whatever the layout") {
    const Tensor x = here::arange(24).reshape({2, 3, 4});
    const std::vector<int64_t> want = x.to_vector<int64_t>();
    for (const Tensor& y :
         {support::scattered(x), support::channels_last(x), x.permute({2, 0, 1}).contiguous().permute({1, 2, 0})}) {
      CHECK(y.to_vector<int64_t>() == want);
      CHECK(y.contiguous().to_vector<int64_t>() == want);
      Tensor z = here::zeros({2, 3, 4}, Dtype::i64);
      z.copy_(y);
      CHECK(z.to_vector<int64_t>() == want);
      Tensor w = support::scattered(here::zeros({2, 3, 4}, Dtype::i64));
      w.copy_(y);
      CHECK(w.to_vector<int64_t>() == want);
    }
  }

  DEVICE_TEST_CASE("in-place arithmetic") {
    Tensor x = here::tensor(Values{1, 2, 3, 4}, Shape{2, 2});
    x.add_(here::tensor(Values{10, 20}), 0.5);
    CHECK(x.to_vector<double>() == Values{6, 12, 8, 14});
    x.mul_(2);
    CHECK(x.to_vector<double>() == Values{12, 24, 16, 28});
    x.select(0, 1).zero_();
    CHECK(x.to_vector<double>() == Values{12, 24, 0, 0});
    CHECK_THROWS_AS(x.add_(here::ones({3, 2}, Dtype::f64)), ShapeError);
    CHECK(x.to_vector<double>() == Values{12, 24, 0, 0});
    Tensor row = here::zeros({2}, Dtype::f64);
    CHECK_THROWS_AS(row.add_(x), ShapeError);  // the result would be larger than what is written
    row.copy_(here::scalar(4.0));
    CHECK(row.to_vector<double>() == Values{4, 4});
  }

  TEST_CASE("memory of others is used in place and released once") {
    float memory[4] = {1, 2, 3, 4};
    int released = 0;
    {
      Tensor x = from_blob(memory, {2, 2}, Dtype::f32, [&] { ++released; });
      const Tensor column = x.select(1, 1);
      x.fill_(9);
      x = Tensor();
      CHECK(released == 0);
      CHECK(column.to_vector<double>() == Values{9, 9});
    }
    CHECK(released == 1);
    CHECK(memory[3] == 9);
  }
}
