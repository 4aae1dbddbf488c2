// i8, i16 and u16: stored, converted, computed, promoted. The op table runs them through every op of integers.
#include <doctest/doctest.h>

#include <vector>

#include "support/devices.h"
#include "support/here.h"
#include "support/throws.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/layer/pool.h"
#include "weft/autograd/ops/layer/resize.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/autograd/ops/shape/shape.h"

using namespace weft;
using support::message_of;

namespace {

constexpr Dtype kShort[] = {Dtype::i8, Dtype::i16, Dtype::u16};
using Values = std::vector<int64_t>;

Tensor of(Dtype d, const Values& v) { return here::tensor(v).to(d); }
Values values(const Tensor& x) { return x.to_vector<int64_t>(); }

/// v as it is held in `bits` bits, with a sign or not: C++'s conversion, spelled out.
int64_t cut(int64_t v, Dtype d) {
  const int64_t range = int64_t{1} << (8 * itemsize(d));
  int64_t r = v % range;
  if (r < 0) r += range;
  return is_signed_integer(d) && r >= range / 2 ? r - range : r;
}

}  // namespace

TEST_SUITE("short integers") {
  DEVICE_TEST_CASE("casts to and from every dtype, contiguous and strided, around the sizes of buffers") {
    for (const Dtype d : kShort)
      for (const int64_t n : {1, 7, 255, 256, 257, 600}) {
        Values v(static_cast<size_t>(n));
        for (size_t i = 0; i < v.size(); ++i)
          v[i] = static_cast<int64_t>(i * 37) % 100 - (is_signed_integer(d) ? 50 : 0);
        CAPTURE(name(d));
        CAPTURE(n);
        const Tensor x = of(d, v);
        CHECK(x.dtype() == d);
        CHECK(values(x) == v);
        for (int to = 0; to < kDtypes; ++to) {
          const Dtype other = static_cast<Dtype>(to);
          if (traits(other).kind == DtypeKind::unsigned_integer && is_signed_integer(d)) continue;
          Values want = v;
          for (int64_t& e : want) e = other == Dtype::boolean ? int64_t{e != 0} : e;
          CAPTURE(name(other));
          CHECK(values(x.to(other)) == want);
          CHECK(values(x.to(other).to(d)) == want);
          CHECK(values(here::tensor(v).to(other).to(d)) == want);
          const Tensor gaps = stack({x, x}, 1).select(1, 0);
          CHECK(values(gaps.to(other)) == want);
        }
      }
    for (const Dtype d : kShort)  // what does not fit is cut, as in C++
      for (const int64_t v : {-1, 127, 128, 255, 256, 32768, 65535, 65536, -32769, 100000})
        CHECK(of(d, {v}).item<int64_t>() == cut(v, d));
  }

  TEST_CASE("host values go in and out") {
    CHECK(tensor(std::vector<int8_t>{-128, 127}).dtype() == Dtype::i8);
    CHECK(tensor(std::vector<int16_t>{-32768, 32767}).to_vector<int16_t>() == std::vector<int16_t>{-32768, 32767});
    CHECK(tensor(std::vector<uint16_t>{0, 65535}).to_vector<uint16_t>() == std::vector<uint16_t>{0, 65535});
    CHECK(tensor({-1, 2}, Dtype::i8).data<int8_t>()[0] == -1);
    CHECK(full({}, 65535, Dtype::u16).item<int64_t>() == 65535);
    CHECK(full({3}, -7, Dtype::i16).to_vector<int16_t>() == std::vector<int16_t>(3, -7));
    CHECK(values(arange(-3, 3, 2, Dtype::i8)) == Values{-3, -1, 1});
    CHECK(values(eye(2, 2, Dtype::u16)) == Values{1, 0, 0, 1});
    CHECK(message_of<ValueError>([] { full({}, 128, Dtype::i8); }) == "full: i8 cannot hold the value 128");
    CHECK(message_of<ValueError>([] { full({}, -1, Dtype::u16); }) == "full: u16 cannot hold the value -1");
    CHECK(message_of<ValueError>([] { full({}, 32768.0, Dtype::i16); }) == "full: i16 cannot hold the value 32768");
    CHECK(message_of<ValueError>([] { (void)randint(0, 65537, {2}, Dtype::u16); }) ==
          "randint: the range [0, 65537) does not fit u16");
    CHECK(message_of<ValueError>([] { (void)randint(-129, 0, {2}, Dtype::i8); }).find("does not fit i8") !=
          std::string::npos);
    for (const Dtype d : kShort) {
      const Tensor r = randint(3, 100, {1000}, d);
      CHECK(r.dtype() == d);
      CHECK(min(r).item<int64_t>() >= 3);
      CHECK(max(r).item<int64_t>() < 100);
    }
  }

  TEST_CASE("printing") {
    CHECK(str(tensor(std::vector<int8_t>{-1, 100})) == "tensor([ -1, 100], dtype=torch.int8)");
    CHECK(str(tensor(std::vector<int16_t>{-300})) == "tensor([-300], dtype=torch.int16)");
    CHECK(str(tensor(std::vector<uint16_t>{65535})) == "tensor([65535], dtype=torch.uint16)");
  }

  DEVICE_TEST_CASE("arithmetic is that of the integers, cut to size") {
    for (const Dtype d : kShort) {
      CAPTURE(name(d));
      Values a, b;
      for (int64_t i = 0; i < 700; ++i) {
        a.push_back(cut(i * 7919 - 2000, d));
        b.push_back(cut(i % 13 + 1, d));
      }
      const Tensor x = of(d, a), y = of(d, b);
      const auto check = [&](const Tensor& got, auto f) {
        CHECK(got.dtype() == d);
        Values want;
        for (size_t i = 0; i < a.size(); ++i) want.push_back(cut(f(a[i], b[i]), d));
        CHECK(values(got) == want);
      };
      check(x + y, [](int64_t u, int64_t v) { return u + v; });
      check(x - y, [](int64_t u, int64_t v) { return u - v; });
      check(x * y, [](int64_t u, int64_t v) { return u * v; });
      check(x * 3, [](int64_t u, int64_t) { return u * 3; });
      check(div(x, y, RoundingMode::trunc), [](int64_t u, int64_t v) { return u / v; });
      check(fmod(x, y), [](int64_t u, int64_t v) { return u % v; });
      check(remainder(x, y), [](int64_t u, int64_t v) { return (u % v + v) % v; });
      check(maximum(x, y), [](int64_t u, int64_t v) { return u > v ? u : v; });
      check(neg(x), [](int64_t u, int64_t) { return -u; });
      check(abs(x), [](int64_t u, int64_t) { return u < 0 ? -u : u; });
      check(where(lt(x, y), x, y), [](int64_t u, int64_t v) { return u < v ? u : v; });
      const Tensor less = lt(x, y);
      CHECK(less.dtype() == Dtype::boolean);
      for (size_t i = 0; i < a.size(); ++i) CHECK(less.to_vector<int64_t>()[i] == (a[i] < b[i]));
      CHECK((x / y).dtype() == Dtype::f32);
    }
    CHECK(div(of(Dtype::i8, {-128}), -1, RoundingMode::trunc).item<int64_t>() == -128);
    CHECK(div(of(Dtype::u16, {65535}), of(Dtype::i16, {-1}), RoundingMode::floor).item<int64_t>() == -65535);
    CHECK(div(of(Dtype::i32, {70000}), of(Dtype::u16, {65535}), RoundingMode::trunc).item<int64_t>() == 1);
  }

  DEVICE_TEST_CASE("promotion: PyTorch's, and numpy's for u16") {
    const auto sum = [](Dtype a, Dtype b) { return (of(a, {1}) + of(b, {1})).dtype(); };
    CHECK(sum(Dtype::i8, Dtype::u8) == Dtype::i16);
    CHECK(sum(Dtype::i8, Dtype::i16) == Dtype::i16);
    CHECK(sum(Dtype::i16, Dtype::bf16) == Dtype::bf16);
    CHECK(sum(Dtype::u16, Dtype::i16) == Dtype::i32);
    CHECK(sum(Dtype::u16, Dtype::i8) == Dtype::i32);
    CHECK(sum(Dtype::u16, Dtype::u8) == Dtype::u16);
    CHECK(sum(Dtype::u16, Dtype::i64) == Dtype::i64);
    CHECK(sum(Dtype::u16, Dtype::f16) == Dtype::f16);
    CHECK((of(Dtype::u16, {65535}) + of(Dtype::i8, {-1})).item<int64_t>() == 65534);
    CHECK((of(Dtype::i8, {1}) * 2.5).dtype() == Dtype::f32);
    CHECK((of(Dtype::i8, {1}) + here::ones({}, Dtype::i64)).dtype() == Dtype::i8);
  }

  DEVICE_TEST_CASE("reductions: sums in i64, extremes in the dtype") {
    for (const Dtype d : kShort) {
      CAPTURE(name(d));
      const Tensor x = full({3, 1000}, 100, d).to(support::device());
      CHECK(sum(x).dtype() == Dtype::i64);
      CHECK(sum(x).item<int64_t>() == 300000);
      CHECK(values(sum(x, {1})) == Values(3, 100000));
      CHECK(values(sum(x, {0})) == Values(1000, 300));
      CHECK(sum(x, {}, false, d).item<int64_t>() == cut(300000, d));
      CHECK(cumsum(x, 1).dtype() == Dtype::i64);
      CHECK(cumsum(x, 1).select(1, 999).select(0, 2).item<int64_t>() == 100000);
      CHECK(prod(of(d, {100, 3, 5})).item<int64_t>() == 1500);
      const Tensor y = of(d, {5, 1, 7, 7, 2});
      CHECK(max(y).dtype() == d);
      CHECK(max(y).item<int64_t>() == 7);
      CHECK(min(y, 0).indices.item<int64_t>() == 1);
      CHECK(argmax(y).item<int64_t>() == 2);
      CHECK(any(y).item<bool>());
      CHECK_FALSE(all(of(d, {1, 0})).item<bool>());
      CHECK(count_nonzero(of(d, {1, 0, 3})).item<int64_t>() == 2);
      CHECK(mean(y, {}, false, Dtype::f64).item<double>() == doctest::Approx(4.4));
    }
    const Tensor s = sort(of(Dtype::i8, {5, -128, 127, -1})).values;
    CHECK(s.dtype() == Dtype::i8);
    CHECK(values(s) == Values{-128, -1, 5, 127});
    CHECK(values(sort(of(Dtype::u16, {65535, 0, 32768}), 0, true).values) == Values{65535, 32768, 0});
    CHECK(values(topk(of(Dtype::i16, {-5, 300, 299}), 2).values) == Values{300, 299});
  }

  DEVICE_TEST_CASE("moves, lookups and sums in place") {
    for (const Dtype d : kShort) {
      CAPTURE(name(d));
      const Tensor x = of(d, {1, 2, 3, 4, 5, 6}).reshape({2, 3}), at = here::tensor(Values{2, 0});
      CHECK(values(cat({x, x}, 1)) == Values{1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6});
      CHECK(values(x.permute({1, 0}).contiguous()) == Values{1, 4, 2, 5, 3, 6});
      CHECK(values(index_select(x, 1, at)) == Values{3, 1, 6, 4});
      CHECK(values(gather(x, 1, here::tensor(Values{1, 0}).reshape({2, 1}))) == Values{2, 4});
      const Tensor twice = here::tensor(Values{1, 1, 0}), add = of(d, {100, 100, 1});
      CHECK(values(scatter_add(of(d, {0, 0}), 0, twice, add)) == Values{1, cut(200, d)});
      CHECK(values(index_add(of(d, {0, 0}), 0, twice, add)) == Values{1, cut(200, d)});
      CHECK(values(index_put(of(d, {0, 0}), {twice}, add, true)) == Values{1, cut(200, d)});
      CHECK(values(masked_fill(x, gt(x, 4), 0)) == Values{1, 2, 3, 4, 0, 0});
      CHECK(values(nonzero(of(d, {0, 7}))) == Values{1});
    }
  }

  DEVICE_TEST_CASE("heavy kernels go through i32") {
    for (const Dtype d : kShort) {
      CAPTURE(name(d));
      const Tensor a = of(d, {1, 2, 3, 4}).reshape({2, 2}), p = matmul(a, a);
      CHECK(p.dtype() == d);
      CHECK(values(p) == Values{7, 10, 15, 22});
      CHECK(matmul(of(d, {100, 100}), of(d, {100, 100})).item<int64_t>() == cut(20000, d));
      const Tensor image = of(d, {9, 2, 3, 4}).reshape({1, 1, 2, 2});
      const Tensor m = max_pool2d(image, {.kernel_size = 2});
      CHECK(m.dtype() == d);
      CHECK(m.item<int64_t>() == 9);
      const Tensor large = interpolate(image, {.size = {4, 4}, .mode = InterpolateMode::nearest});
      CHECK(large.dtype() == d);
      CHECK(values(large) == Values{9, 9, 2, 2, 9, 9, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
    }
  }
}
