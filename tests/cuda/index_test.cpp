// Lookups on a card beside the CPU's, to the bit: sums too, as they are added in the same order, or are exact.
#include <doctest/doctest.h>

#include "against_cpu.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/backends/cuda/index.cuh"
#include "weft/backends/cuda/nonzero.cuh"
#include "weft/core/kernels.h"

namespace {

using namespace weft;
using support::same_bits;
using support::sample;
using support::sample_index;

constexpr Dtype kOfEachSize[] = {Dtype::u8, Dtype::bf16, Dtype::f32, Dtype::f64};
constexpr Dtype kAdded[] = {Dtype::f32, Dtype::f64, Dtype::i64, Dtype::i32,
                            Dtype::u8,  Dtype::i8,  Dtype::i16, Dtype::u16};

template <class F> void dispatch_added(Dtype d, const F& f) { weft::dispatch_added(d, "index_add", f); }

// x [rows, rest...] as the kernels get it: without the looked-up axis, which is the first.
MutTensorRef without_first(Tensor& x) {
  MutTensorRef r = mut_ref(x);
  ++r.shape, ++r.strides, --r.rank;
  r.numel = 1;
  for (int i = 0; i < r.rank; ++i) r.numel *= r.shape[i];
  return r;
}

void check_rows(Tensor x, const Tensor& index, const Tensor& src, bool accumulate) {
  Tensor offsets = zeros({index.numel()}, {Dtype::i64}), expected = support::twin(x), got = support::twin(x);
  kernels::index_offsets({}, mut_ref(offsets), ref(index), {"test", 0, x.size(0), x.strides()[0], true});
  kernels::index_put({}, without_first(expected), ref(src), ref(offsets), accumulate);
  if (accumulate)
    dispatch_added(x.dtype(), [&]<class T> { cuda::index_put<true, T>(without_first(got), ref(src), ref(offsets)); });
  else
    dispatch_size(x.dtype(), [&]<class T> { cuda::index_put<false, T>(without_first(got), ref(src), ref(offsets)); });
  CHECK(same_bits(got, expected));
}

void check_scatter(const Tensor& x, const Tensor& index, const Tensor& src, int dim, bool accumulate) {
  Tensor expected = support::twin(x), got = support::twin(x);
  kernels::scatter({}, mut_ref(expected), ref(index), ref(src), dim, accumulate, "test");
  dispatch_index(index.dtype(), "test", [&]<class I> {
    if (accumulate)
      dispatch_added(x.dtype(),
                     [&]<class T> { cuda::scatter<true, T, I>(mut_ref(got), ref(index), ref(src), dim, "test"); });
    else
      dispatch_size(x.dtype(),
                    [&]<class T> { cuda::scatter<false, T, I>(mut_ref(got), ref(index), ref(src), dim, "test"); });
  });
  CHECK(same_bits(got, expected));
}

// Runs of these lengths, an index each, mixed; `bad` more that are none.
Tensor mixed_runs(std::initializer_list<int64_t> lengths, int64_t bad = 0) {
  std::vector<int64_t> sorted(static_cast<size_t>(bad), -1000);
  int64_t to = 0;
  for (const int64_t length : lengths) sorted.insert(sorted.end(), static_cast<size_t>(length), to++);
  const auto n = static_cast<int64_t>(sorted.size());
  Tensor index = empty({n}, {Dtype::i64});
  auto* v = static_cast<int64_t*>(index.mut_raw_data());
  for (int64_t i = 0; i < n; ++i) v[i] = sorted[static_cast<size_t>(i * 7919 % n)];  // a prime that divides no n here
  return index;
}

}  // namespace

TEST_SUITE("cuda index") {
  TEST_CASE("offsets: added up, counted from the end, bad ones reported and marked") {
    for (const Dtype d : {Dtype::i64, Dtype::i32})
      for (const int64_t n : {0, 1, 31, 33, 1025}) {
        const Tensor index = sample_index({n}, -7, 7, d);
        Tensor expected = sample_index({n}, 0, 100), got = expected.clone();
        kernels::index_offsets({}, mut_ref(expected), ref(index), {"test", 0, 7, 12, true});
        dispatch_index(d, "test",
                       [&]<class I> { cuda::index_offsets<I>(mut_ref(got), ref(index), "test", 0, 7, 12, true); });
        CHECK(same_bits(got, expected));
      }
    CHECK_FALSE(cuda_emulator::take_fault());
    Tensor offsets = zeros({3}, {Dtype::i64});
    cuda::index_offsets<int64_t>(mut_ref(offsets), ref(tensor({int64_t{2}, int64_t{-1}, int64_t{7}})), "look", 3, 7, 1,
                                 false);
    const auto fault = cuda_emulator::take_fault();
    REQUIRE(fault);
    CHECK(fault->op == "look");
    CHECK(fault->dim == 3);
    CHECK(fault->size == 7);
    CHECK((fault->index == -1 || fault->index == 7));
    // What comes after leaves them alone.
    const Tensor x = sample({7}, Dtype::f32);
    Tensor y = sample({3}, Dtype::f32), z = zeros({7}, {Dtype::f32});
    TensorRef scalar = ref(x);
    scalar.rank = 0, scalar.numel = 1;
    cuda::index_get<uint32_t>(mut_ref(y), scalar, ref(offsets));
    CHECK(y.to_vector<float>() == std::vector<float>{x.to_vector<float>()[2], 0, 0});
    MutTensorRef target = mut_ref(z);
    target.rank = 0, target.numel = 1;
    cuda::index_put<true, float>(target, ref(tensor({1.f, 2.f, 4.f})), ref(offsets));
    CHECK(z.to_vector<float>() == std::vector<float>{0, 0, 1, 0, 0, 0, 0});
  }

  TEST_CASE("get") {
    for (const Dtype d : kOfEachSize)
      for (const int64_t n : {0, 1, 33, 1025}) {
        const Tensor x = support::scattered(sample({11, 3, 5}, d)), index = sample_index({n}, 0, 11);
        Tensor offsets = zeros({n}, {Dtype::i64});
        kernels::index_offsets({}, mut_ref(offsets), ref(index), {"test", 0, 11, x.strides()[0], true});
        Tensor expected = empty({n, 3, 5}, {d}), got = n > 0 ? support::channels_last(expected) : empty({n, 3, 5}, {d});
        Tensor from = x;
        kernels::index_get({}, mut_ref(expected), without_first(from), ref(offsets));
        dispatch_size(d, [&]<class T> { cuda::index_get<T>(mut_ref(got), without_first(from), ref(offsets)); });
        CHECK(same_bits(got, expected));
      }
  }

  TEST_CASE("put and add, few and many sources") {
    for (const int64_t n : {1, 33, 64, 65, 1025})
      for (const Dtype d : kOfEachSize) {
        const Tensor index = sample_index({n}, -9, 9);
        check_rows(sample({9, 3, 5}, d), index, sample({n, 3, 5}, d, 2), false);
        check_rows(support::scattered(sample({9, 7}, d)), index, support::scattered(sample({n, 7}, d, 2)), false);
      }
    for (const int64_t n : {1, 33, 64, 65, 1025})
      for (const Dtype d : kAdded) {
        const Tensor index = sample_index({n}, -9, 9), equal = zeros({n}, {Dtype::i64});
        check_rows(sample({9, 3, 5}, d), index, sample({n, 3, 5}, d, 2), true);
        check_rows(support::scattered(sample({9, 7}, d)), index, support::scattered(sample({n, 7}, d, 2)), true);
        check_rows(sample({9}, d), equal, sample({n}, d, 2), true);
      }
    check_rows(sample({9, 0}, Dtype::f32), sample_index({70}, 0, 9), sample({70, 0}, Dtype::f32), true);
  }

  TEST_CASE("add: long runs of one destination, in pieces") {
    const Tensor index = mixed_runs({63, 64, 65, 1, 127, 128, 129, 2, 300, 192, 1}), ends = mixed_runs({1, 1023});
    for (const Dtype d : kAdded)
      for (const int64_t columns : {1, 3, 33, 70}) {
        check_rows(sample({11, columns}, d), index, sample({index.numel(), columns}, d, 2), true);
        check_rows(support::scattered(sample({2, columns}, d)), ends,
                   support::scattered(sample({ends.numel(), columns}, d, 2)), true);
      }
    for (const Dtype d : kAdded) {
      check_scatter(sample({11}, d), index, sample({index.numel()}, d, 2), 0, true);
      const Tensor lines = stack({index, index * 0 + 3}, 1);
      check_scatter(support::scattered(sample({11, 2}, d)), lines, sample(lines.shape(), d, 2), 0, true);
    }
    const Tensor many = mixed_runs({40, 50000, 400, 30});  // longer chunks
    check_rows(sample({4}, Dtype::i32), many, sample({many.numel()}, Dtype::i32, 2), true);
    CHECK_FALSE(cuda_emulator::take_fault());
  }

  TEST_CASE("add: a long run with rounding, the same in any order of threads and blocks") {
    manual_seed(1);
    const int64_t n = 3000;
    const Tensor src = randn({n, 5}, {Dtype::f32}), index = mixed_runs({n - 70, 70});
    Tensor offsets = index * 5, first;
    const Tensor exact = index_add(zeros({2, 5}, {Dtype::f64}), 0, index, src.to(Dtype::f64));
    cuda_emulator::for_each_schedule([&] {
      Tensor got = zeros({2, 5}, {Dtype::f32});
      cuda::index_put<true, float>(without_first(got), ref(src), ref(offsets));
      if (!first.defined()) first = got.clone();
      CHECK(same_bits(got, first));
      // Pieces of 64 and some 50 of them: sums of about 64 after at most 114 roundings of half an epsilon each.
      CHECK(support::difference(got.to(Dtype::f64), exact, 64) < 114 * 0x1p-24);
    });
  }

  TEST_CASE("bad destinations among long runs are left out") {
    const Tensor index = mixed_runs({200, 1, 150}, 400), src = sample({index.numel()}, Dtype::f32, 2);
    Tensor got = zeros({3}, {Dtype::f32}), lines = zeros({3}, {Dtype::f32}),
           offsets = zeros(index.shape(), {Dtype::i64});
    cuda::index_offsets<int64_t>(mut_ref(offsets), ref(index), "test", 0, 3, 1, true);
    CHECK(cuda_emulator::take_fault());
    cuda::index_put<true, float>(without_first(got), ref(src), ref(offsets));
    cuda::scatter<true, float, int64_t>(mut_ref(lines), ref(index), ref(src), 0, "test");
    CHECK(cuda_emulator::take_fault());
    std::vector<float> expected(3, 0);
    const std::vector<int64_t> to = index.to_vector<int64_t>();
    const std::vector<float> from = src.to_vector<float>();
    for (size_t i = 0; i < to.size(); ++i)
      if (to[i] >= 0) expected[static_cast<size_t>(to[i])] += from[i];
    CHECK(got.to_vector<float>() == expected);
    CHECK(lines.to_vector<float>() == expected);
  }

  TEST_CASE("gather") {
    for (const Dtype d : kOfEachSize)
      for (const Dtype i : {Dtype::i64, Dtype::i32})
        for (int dim = 0; dim < 3; ++dim) {
          const Tensor x = support::scattered(sample({6, 7, 8}, d)), index = sample_index({5, 6, 6}, 0, 6, i);
          Tensor expected = empty(index.shape(), {d}), got = support::channels_last(expected);
          kernels::gather({}, mut_ref(expected), ref(x), ref(index), dim, "test");
          dispatch_index(i, "test", [&]<class I> {
            dispatch_size(d, [&]<class T> { cuda::gather<T, I>(mut_ref(got), ref(x), ref(index), dim, "test"); });
          });
          CHECK(same_bits(got, expected));
        }
    const Tensor x = sample({4}, Dtype::f32);
    Tensor y = empty({2}, {Dtype::f32});
    cuda::gather<uint32_t, int64_t>(mut_ref(y), ref(x), ref(tensor({int64_t{4}, int64_t{3}})), 0, "gather");
    CHECK(cuda_emulator::take_fault()->index == 4);
    CHECK(y.to_vector<float>()[1] == x.to_vector<float>()[3]);
  }

  TEST_CASE("scatter, short and long lines") {
    for (int dim = 0; dim < 3; ++dim)
      for (const int64_t n : {1, 5, 64, 65, 300}) {
        CAPTURE(n);
        Shape shape{3, 4, 5};
        shape[dim] = n;
        const Tensor index = support::scattered(sample_index(shape, 0, 7)),
                     narrow = sample_index(shape, 0, 7, Dtype::i32);
        for (const Dtype d : kOfEachSize)
          check_scatter(sample({7, 7, 7}, d), index, support::scattered(sample(shape, d, 2)), dim, false);
        for (const Dtype d : kAdded)
          check_scatter(support::scattered(sample({7, 7, 7}, d)), narrow, sample(shape, d, 2), dim, true);
      }
  }

  TEST_CASE("scatter: a bad index is reported and left out") {
    for (const int64_t n : {3, 100}) {
      Tensor index = zeros({n}, {Dtype::i64}), x = zeros({5}, {Dtype::f32});
      static_cast<int64_t*>(index.mut_raw_data())[1] = 5;
      cuda::scatter<true, float, int64_t>(mut_ref(x), ref(index), ref(ones({n}, {Dtype::f32})), 0, "scatter_add");
      const auto fault = cuda_emulator::take_fault();
      REQUIRE(fault);
      CHECK(fault->index == 5);
      CHECK(x.to_vector<float>() == std::vector<float>{static_cast<float>(n - 1), 0, 0, 0, 0});
    }
  }

  TEST_CASE("a bool that must not be true is reported with the op's words") {
    Tensor bad = zeros({1000}, {Dtype::boolean});
    cuda::refuse_any(ref(bad), "div", "integer division by zero");
    CHECK_FALSE(cuda_emulator::take_fault());
    bad[777].fill_(true);
    cuda::refuse_any(ref(bad), "div", "integer division by zero");
    const auto fault = cuda_emulator::take_fault();
    REQUIRE(fault.has_value());
    CHECK(fault->op == "div");
    CHECK(fault->what == "integer division by zero");
  }

  TEST_CASE("one_hot") {
    for (const Dtype d : {Dtype::i64, Dtype::i32}) {
      const Tensor index = sample_index({3, 31}, 0, 33, d);
      Tensor expected = empty({3, 31, 33}, {Dtype::i64}), got = empty({3, 31, 33}, {Dtype::i64});
      kernels::one_hot({}, mut_ref(expected), ref(index));
      dispatch_index(d, "one_hot", [&]<class I> { cuda::one_hot<I>(mut_ref(got), ref(index)); });
      CHECK(same_bits(got, expected));
    }
    CHECK_FALSE(cuda_emulator::take_fault());
    Tensor none = empty({1, 0}, {Dtype::i64});
    cuda::one_hot<int64_t>(mut_ref(none), ref(zeros({1}, {Dtype::i64})));
    CHECK(cuda_emulator::take_fault()->size == 0);
  }

  TEST_CASE("nonzero") {
    for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32, Dtype::u8,
                          Dtype::boolean, Dtype::i8, Dtype::i16, Dtype::u16})
      for (const Shape& shape :
           {Shape{}, Shape{0}, Shape{1}, Shape{33}, Shape{3, 5, 73}, Shape{1025}, Shape{9, 1111}}) {
        Tensor x = sample(shape, d);
        if (d != Dtype::boolean) x = x * sample(shape, Dtype::boolean, 7).to(d);
        if (x.numel() > 1) x = support::scattered(x);
        Tensor count = empty({}, {Dtype::i64}), got = empty({}, {Dtype::i64});
        kernels::count_nonzero({}, mut_ref(count), ref(x));
        dispatch_all(d, "nonzero", [&]<class T> { cuda::count_nonzero<T>(mut_ref(got), ref(x)); });
        CHECK(same_bits(got, count));
        Tensor expected = empty({count.item<int64_t>(), x.rank()}, {Dtype::i64}), rows = expected.clone();
        kernels::nonzero({}, mut_ref(expected), ref(x));
        dispatch_all(d, "nonzero", [&]<class T> { cuda::nonzero<T>(mut_ref(rows), ref(x)); });
        CHECK(same_bits(rows, expected));
      }
  }

  TEST_CASE("many chunks, in any order of threads and blocks") {
    const Tensor x = sample({300000}, Dtype::boolean);
    Tensor count = empty({}, {Dtype::i64}), got = empty({}, {Dtype::i64});
    kernels::count_nonzero({}, mut_ref(count), ref(x));
    Tensor expected = empty({count.item<int64_t>(), 1}, {Dtype::i64}), rows = expected.clone();
    kernels::nonzero({}, mut_ref(expected), ref(x));
    cuda::nonzero<bool>(mut_ref(rows), ref(x));
    CHECK(same_bits(rows, expected));
    const Tensor few = sample({3000}, Dtype::boolean);
    kernels::count_nonzero({}, mut_ref(count), ref(few));
    cuda_emulator::for_each_schedule([&] {
      cuda::count_nonzero<bool>(mut_ref(got), ref(few));
      CHECK(same_bits(got, count));
    });
  }
}
