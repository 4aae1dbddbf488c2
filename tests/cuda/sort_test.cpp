// Sorting on a card beside the CPU's, to the bit.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "support/same_bits.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/backends/cuda/sort.cuh"
#include "weft/core/kernels/order.h"

namespace {

using namespace weft;
using support::same_bits;
using support::sample;
using support::sample_index;

void check(const Tensor& x, int dim, int64_t k, bool descending) {
  Shape shape = x.shape();
  shape[dim] = k;
  Tensor expected = empty(shape, {Dtype::i64}), got = support::scattered(zeros(shape, {Dtype::i64}));
  kernels::sort_indices({}, mut_ref(expected), ref(x), dim, descending);
  dispatch_all(x.dtype(), "sort", [&]<class T> { cuda::sort_indices<T>(mut_ref(got), ref(x), dim, descending); });
  CHECK(same_bits(got, expected));
}

void check_mode(const Tensor& x, int dim) {
  CAPTURE(x.shape());
  CAPTURE(x.dtype());
  CAPTURE(dim);
  Shape shape = x.shape();
  shape[dim] = 1;
  Tensor expected = empty(shape, {Dtype::i64}), got = support::scattered(zeros(shape, {Dtype::i64}));
  kernels::mode({}, mut_ref(expected), ref(x), dim);
  dispatch_all(x.dtype(), "mode", [&]<class T> { cuda::run_mode<T>(mut_ref(got), ref(x), dim); });
  CHECK(same_bits(got, expected));
}

// Lines of items by all bytes of their keys, beside a stable sort.
template <class T, class Item> void check_radix(int64_t lines, int64_t n, bool descending) {
  CAPTURE(n);
  const Tensor x = sample({lines, n}, dtype_of<T>::value, 3);
  const T* values = static_cast<const T*>(x.raw_data());
  std::vector<Item> items(static_cast<size_t>(2 * lines * n));
  for (int64_t i = 0; i < lines * n; ++i)
    items[static_cast<size_t>(i)] = fn::sort_item<Item>(static_cast<compute_t<T>>(values[i]), i % n, descending);
  std::vector<Item> expected(items.begin(), items.begin() + lines * n);
  for (int64_t line = 0; line < lines; ++line)
    std::stable_sort(expected.begin() + line * n, expected.begin() + (line + 1) * n,
                     [](const Item& a, const Item& b) { return a.key() < b.key(); });
  const Item* got = cuda::radix_sort(items.data(), items.data() + lines * n, lines, n, cuda::key_bytes<T>());
  CHECK(std::equal(expected.begin(), expected.end(), got,
                   [](const Item& a, const Item& b) { return a.key() == b.key() && a.at() == b.at(); }));
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

  TEST_CASE("by bytes of the keys, lines of every length") {
    for (const int64_t n : {1, 31, 33, 257, 2047, 2049, 5000}) {
      check_radix<bf16, fn::NarrowItem>(2, n, n % 2 == 0);
      check_radix<int8_t, fn::NarrowItem>(1, n, true);
    }
    check_radix<float, fn::NarrowItem>(2, 2050, true);
    check_radix<f16, fn::NarrowItem>(3, 300, false);
    check_radix<int64_t, fn::WideItem>(1, 2049, false);
    check_radix<double, fn::WideItem>(2, 70, true);
    cuda_emulator::for_each_schedule([] { check_radix<bf16, fn::NarrowItem>(1, 2100, false); });
  }

  TEST_CASE("sums of more tiles' digits than a block has threads") {
    const int64_t rows = 3, tiles = 600;
    const Tensor given = sample_index({rows, tiles}, 0, 9, Dtype::i32);
    Tensor counts = given.clone(), totals = zeros({rows}, {Dtype::i32});
    cuda::launch(cuda::add_counts_kernel<uint32_t>, 2, cuda::kBlock, 0, static_cast<uint32_t*>(counts.mut_raw_data()),
                 static_cast<uint32_t*>(totals.mut_raw_data()), tiles, rows);
    CHECK(same_bits(counts, (cumsum(given, 1) - given).to(Dtype::i32)));
    CHECK(same_bits(totals, given.sum(1).to(Dtype::i32)));
  }

  TEST_CASE("long lines of every dtype, with NaN and infinities") {
    const double special[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                              -std::numeric_limits<double>::infinity(), 0., -0.};
    for (int d = 0; d < kDtypes; ++d) {
      const auto dtype = static_cast<Dtype>(d);
      CAPTURE(dtype);
      Tensor x = sample({1, itemsize(dtype) < 4 ? 9000 : 17000}, dtype);
      if (is_floating(dtype))
        for (int64_t i = 0; i < 20; ++i) x[0][i * 411].fill_(special[i % 5]);
      check(x, 1, x.size(1), d % 2 == 0);
    }
    check_mode(sample({2, 5000}, Dtype::u8), 1);
  }

  TEST_CASE("NaN is the largest, zeros are equal, infinities have their place") {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    const Tensor x = tensor({0.f, -0.f, nan, inf, -inf, -nan, 1.f, 0.f});
    for (const bool descending : {false, true}) check(x, 0, 8, descending);
    check(x.to(Dtype::f64), 0, 8, false);
    check(x.to(Dtype::bf16), 0, 8, false);
  }

  TEST_CASE("the most frequent element") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    check_mode(tensor({nan, nan, 0.f, -0.f, nan, 1.f}), 0);
    check_mode(tensor({nan, nan}), 0);
    check_mode(tensor({3.f, 1.f, 2.f}), 0);
    for (int d = 0; d < kDtypes; ++d)
      for (int dim = 0; dim < 3; ++dim) check_mode(sample({5, 70, 3}, static_cast<Dtype>(d)), dim);
    for (const int64_t n : {1, 31, 33, 1023, 1025, 5000}) check_mode(support::scattered(sample({2, n}, Dtype::i16)), 1);
    check_mode(sample({0, 4}, Dtype::f32), 1);
  }

  TEST_CASE("places in sorted lines") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (int d = 0; d < kDtypes; ++d)
      for (const bool right : {false, true})
        for (const bool shared : {false, true})
          for (const int64_t n : {0, 1, 2, 31, 33}) {
            const auto dtype = static_cast<Dtype>(d);
            CAPTURE(dtype);
            CAPTURE(n);
            Tensor line = sort(shared ? sample({n}, dtype) : sample({3, n}, dtype)).values;
            Tensor values = sample({3, 41}, dtype, 2);
            if (dtype == Dtype::f32 && n > 2) {
              line.mut_data<float>()[n - 1] = nan;
              values.mut_data<float>()[5] = nan;
            }
            for (const Dtype out : {Dtype::i64, Dtype::i32}) {
              Tensor expected = empty({3, 41}, {out}), got = zeros({3, 41}, {out});
              kernels::search_sorted({}, mut_ref(expected), ref(line), ref(values), right);
              dispatch_all(dtype, "test",
                           [&]<class T> { cuda::search_sorted<T>(mut_ref(got), ref(line), ref(values), right); });
              CHECK(same_bits(got, expected));
            }
          }
  }

  TEST_CASE("in any order of threads and blocks") {
    const Tensor x = sample({2, 1500}, Dtype::f32);
    cuda_emulator::for_each_schedule([&] {
      check(x, 1, 1500, false);
      check_mode(x, 1);
    });
  }
}
