// Sorting on a card beside the CPU's, to the bit.
#include <doctest/doctest.h>

#include <limits>

#include "support/same_bits.h"
#include "weft/backends/cuda/sort.cuh"
#include "weft/core/kernels.h"

namespace {

using namespace weft;
using support::same_bits;
using support::sample;

void check(const Tensor& x, int dim, int64_t k, bool descending) {
  Shape shape = x.shape();
  shape[dim] = k;
  Tensor expected = empty(shape, {Dtype::i64}), got = support::scattered(zeros(shape, {Dtype::i64}));
  kernels::sort_indices({}, mut_ref(expected), ref(x), dim, descending);
  dispatch_all(x.dtype(), "sort", [&]<class T> { cuda::sort_indices<T>(mut_ref(got), ref(x), dim, descending); });
  CHECK(same_bits(got, expected));
}

}  // namespace

TEST_SUITE("cuda sort") {
  TEST_CASE("lines of every length") {
    for (const int64_t n : {1, 2, 3, 31, 33, 1023, 1024, 1025, 5000})
      for (const bool descending : {false, true}) {
        CAPTURE(n);
        check(sample({n}, Dtype::f32), 0, n, descending);
        check(sample({n}, Dtype::f64), 0, (n + 1) / 2, descending);
      }
  }

  TEST_CASE("every dtype, layout and axis, few of many") {
    for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32, Dtype::u8,
                          Dtype::boolean, Dtype::i8, Dtype::i16, Dtype::u16})
      for (int dim = 0; dim < 3; ++dim) {
        CAPTURE(dim);
        CAPTURE(d);
        const Tensor x = sample({5, 17, 7}, d);
        check(x, dim, x.size(dim), dim == 1);
        check(support::scattered(x), dim, 3, true);
      }
    check(sample({3, 2100}, Dtype::i32), 1, 10, true);
    check(sample({0, 4}, Dtype::f32), 1, 4, false);
  }

  TEST_CASE("NaN is the largest, zeros are equal, infinities have their place") {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    const Tensor x = tensor({0.f, -0.f, nan, inf, -inf, -nan, 1.f, 0.f});
    for (const bool descending : {false, true}) check(x, 0, 8, descending);
    check(x.to(Dtype::f64), 0, 8, false);
    check(x.to(Dtype::bf16), 0, 8, false);
  }

  TEST_CASE("in any order of threads and blocks") {
    const Tensor x = sample({2, 1500}, Dtype::f32);
    cuda_emulator::for_each_schedule([&] { check(x, 1, 1500, false); });
  }
}
