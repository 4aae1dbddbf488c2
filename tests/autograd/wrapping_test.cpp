// Sums and products of integers that leave their range wrap around, on every path: elementwise, reduced, scanned,
// scattered and multiplied as matrices.
#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "support/devices.h"
#include "support/here.h"
#include "support/throws.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/autograd/ops/reduce/search.h"

using namespace weft;

namespace {

using Values = std::vector<int64_t>;
using Wide = __int128;

constexpr Dtype kIntegers[] = {Dtype::i8, Dtype::u8, Dtype::i16, Dtype::u16, Dtype::i32, Dtype::i64};

/// v modulo 2^bits, as an integer of d.
int64_t cut(Wide v, Dtype d) {
  const Wide range = Wide{1} << (8 * itemsize(d));
  Wide r = v % range;
  if (r < 0) r += range;
  return static_cast<int64_t>(is_signed_integer(d) && r >= range / 2 ? r - range : r);
}
Values cut(const std::vector<Wide>& v, Dtype d) {
  Values r;
  for (const Wide& e : v) r.push_back(cut(e, d));
  return r;
}
Values values(const Tensor& x) { return x.to_vector<int64_t>(); }

}  // namespace

TEST_SUITE("wrapping") {
  DEVICE_TEST_CASE("elementwise, scattered and as matrices, in the dtype itself") {
    for (const Dtype d : kIntegers) {
      CAPTURE(name(d));
      const int64_t bits = 8 * itemsize(d) - (is_signed_integer(d) ? 1 : 0);
      const auto most = static_cast<int64_t>((Wide{1} << bits) - 1);
      const int64_t least = is_signed_integer(d) ? -most - 1 : 0;
      const Values a{most, most - 1, least, 5}, b{most, 3, 1, 7};
      const Tensor x = here::tensor(a).to(d), y = here::tensor(b).to(d);
      std::vector<Wide> sum, difference, product, square, power, fused;
      for (size_t i = 0; i < a.size(); ++i) {
        const Wide p = a[i], q = b[i];
        sum.push_back(p + q);
        difference.push_back(q - p);
        product.push_back(p * q);
        square.push_back(p * p);
        power.push_back(Wide{cut(p * p, d)} * p);
        fused.push_back(p + 3 * Wide{cut(p * q, d)});
      }
      CHECK(values(x + y) == cut(sum, d));
      CHECK(values(y - x) == cut(difference, d));
      CHECK(values(x * y) == cut(product, d));
      CHECK(values(weft::square(x)) == cut(square, d));
      CHECK(values(pow(x, 3)) == cut(power, d));
      CHECK(values(addcmul(x, x, y, 3)) == cut(fused, d));
      CHECK(values(x + most)[0] == cut(Wide{most} + most, d));
      CHECK(values(x * most)[1] == cut(Wide{most - 1} * most, d));
      CHECK(values(-2 - x)[0] == cut(Wide{-2} - most, d));
      if (is_signed_integer(d)) {
        CHECK(values(abs(x))[2] == least);
        CHECK(values(-x)[2] == least);
        for (const RoundingMode mode : {RoundingMode::trunc, RoundingMode::floor})
          CHECK(values(div(x, -1, mode)) == values(-x));  // a processor traps there
        for (const Tensor& rest : {fmod(x, -1), remainder(x, -1)}) CHECK(values(rest) == Values{0, 0, 0, 0});
      }
      const Tensor zero = here::tensor(Values{0, 0, 0, 0});
      CHECK(values(index_add(x, 0, zero, y))[0] == cut(Wide{most} + most + 11, d));
      CHECK(values(scatter_add(x, 0, zero, y))[0] == cut(Wide{most} + most + 11, d));
      CHECK(values(matmul(x.reshape({1, 4}), y.reshape({4, 1})))[0] ==
            cut(product[0] + product[1] + product[2] + product[3], d));
    }
  }

  DEVICE_TEST_CASE("sums and products, of the whole and running, in i64") {
    const int64_t most = std::numeric_limits<int64_t>::max();
    const Tensor x = here::tensor(Values{most, most, 3});
    CHECK(values(sum(x))[0] == 1);
    CHECK(values(prod(x))[0] == 3);
    CHECK(values(cumsum(x, 0)) == Values{most, -2, 1});
    CHECK(values(cumprod(x, 0)) == Values{most, 1, 3});
    CHECK(values(sum(x.reshape({3, 1}).expand({3, 40}), {0})) == Values(40, 1));
  }

  DEVICE_TEST_CASE("counts and classes up to the largest integer are refused") {
    const Tensor x = here::tensor(Values{0, std::numeric_limits<int64_t>::max()});
    CHECK(support::message_of<ValueError>([&] { (void)bincount(x); }).starts_with("bincount: there is no room for"));
    CHECK(support::message_of<ValueError>([&] { (void)one_hot(x); }).starts_with("one_hot: there is no room for"));
  }
}
