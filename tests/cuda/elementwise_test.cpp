// Index maths, elementwise kernels and copies, against the CPU's: the same bits.
#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <vector>

#include "cuda/against_cpu.h"
#include "support/strided.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/backends/cuda/copy.cuh"
#include "weft/core/map.h"

namespace {

using namespace weft;
using cuda_emulator::for_each_schedule;

constexpr int64_t kSizes[] = {0, 1, 31, 33, 1023, 1025, 20001};

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.contiguous(), y = b.contiguous();
  return x.shape() == y.shape() && x.dtype() == y.dtype() && std::memcmp(x.raw_data(), y.raw_data(), x.nbytes()) == 0;
}
/// As kernels::map, by the CUDA kernel.
template <class F, class T> Tensor unary(const Tensor& x, Tensor y) {
  ElementPlan plan;
  const Tensor* in[] = {&x};
  make_plan(plan, y, in, 1);
  const void* const data[] = {x.raw_data()};
  cuda::run_elementwise<F, fn::result_t<F, T>, T, 1>(plan, y.mut_raw_data(), data, F());
  return y;
}
template <class F, class T> Tensor unary(const Tensor& x) {
  return unary<F, T>(x, empty(x.shape(), {fn::result_dtype<F>(x.dtype())}));
}
template <class F, class T> Tensor binary(const Tensor& a, const Tensor& b) {
  ElementPlan plan;
  const Tensor* in[] = {&a, &b};
  Tensor y = empty(broadcast_shapes("test", a.shape(), b.shape()), {fn::result_dtype<F>(a.dtype())});
  make_plan(plan, y, in, 2);
  const void* const data[] = {a.raw_data(), b.raw_data()};
  cuda::run_elementwise<F, fn::result_t<F, T>, T, 2>(plan, y.mut_raw_data(), data, F());
  return y;
}

/// Every offset that a plan's parts reach, per operand, in the order of the parts.
std::vector<std::vector<int64_t>> walk(const ElementPlan& plan, int64_t most, int& parts) {
  std::vector<std::vector<int64_t>> at(2);
  parts = 0;
  cuda::for_each_part<2>(
      plan,
      [&](const fn::NarrowAxes<2>& axes, int64_t n, const int64_t* first) {
        ++parts;
        CHECK(n < most);
        for (int64_t i = 0; i < n; ++i) {
          uint32_t o[2];
          axes.offsets(static_cast<uint32_t>(i), o);
          for (size_t k = 0; k < 2; ++k) {
            CHECK(o[k] < most);
            at[k].push_back(first[k] + o[k]);
          }
        }
      },
      most);
  return at;
}

}  // namespace

TEST_SUITE_BEGIN("cuda elementwise");

TEST_CASE("division by multiplication") {
  std::vector<uint32_t> numbers;
  for (uint32_t i = 0; i < 2000; ++i) numbers.push_back(i);
  for (int bit = 11; bit < 31; ++bit)
    for (uint32_t d = 0; d < 3; ++d) numbers.push_back((1u << bit) - 1 + d);
  for (uint32_t i = 1, x = 1; i < 500; ++i) numbers.push_back((x = x * 1664525u + 1013904223u) >> 1);
  numbers.push_back(0x7fffffffu);
  int64_t wrong = 0;
  for (const uint32_t d : numbers) {
    if (d == 0) continue;
    const fn::FastDivisor by(d);
    for (const uint32_t n : numbers) wrong += by.divide(n) != n / d;
    for (uint64_t n = d; n < 0x80000000u; n = n * 3 + d)  // around multiples
      for (uint64_t m : {n - n % d - 1, n - n % d, n - n % d + d - 1})
        wrong += m < 0x80000000u && by.divide(static_cast<uint32_t>(m)) != m / d;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a plan's parts cover it once, whatever the limit") {
  const Tensor x = empty({3, 5, 7, 2}).permute({2, 0, 3, 1}), y = empty({7, 3, 2, 5});
  ElementPlan plan;
  const Tensor* in[] = {&x};
  make_plan(plan, y, in, 1);
  int parts = 0;
  const auto whole = walk(plan, int64_t{1} << 31, parts);
  CHECK(parts == 1);
  CHECK(std::set<int64_t>(whole[1].begin(), whole[1].end()).size() == 210);
  for (const int64_t most : {200, 100, 64, 10, 2}) {
    CAPTURE(most);
    CHECK(walk(plan, most, parts) == whole);
    CHECK(parts > 1);
  }
}

TEST_CASE("unary functors give the CPU's bits") {
  for (const int64_t n : kSizes) {
    CAPTURE(n);
    const Tensor x = randn({n}) * 3;
    CHECK(same_bits(unary<fn::Tanh, float>(x), kernels::map<fn::Tanh>(x)));
    CHECK(same_bits(unary<fn::Isnan, float>(x), kernels::map<fn::Isnan>(x)));
    for (const Dtype d : {Dtype::f64, Dtype::bf16, Dtype::f16})
      dispatch_floating(d, "test", [&]<class T> {
        const Tensor h = x.to(d);
        CHECK(same_bits(unary<fn::Gelu, T>(h), kernels::map<fn::Gelu>(h)));
      });
    const Tensor i = (x * 100).to(Dtype::i32);
    CHECK(same_bits(unary<fn::Square, int32_t>(i), kernels::map<fn::Square>(i)));
  }
}

TEST_CASE("addresses that are not a multiple of a pack, gaps and permuted axes") {
  for_each_schedule([] {
    const Tensor x = randn({1026});
    for (int64_t from : {1, 2, 3}) {
      const Tensor part = x.narrow(0, from, 1021);
      CHECK(same_bits(unary<fn::Exp, float>(part), kernels::map<fn::Exp>(part)));
      Tensor out = zeros({1026});
      unary<fn::Exp, float>(x.narrow(0, 0, 1021), out.narrow(0, from, 1021));
      CHECK(same_bits(out.narrow(0, from, 1021), kernels::map<fn::Exp>(x.narrow(0, 0, 1021))));
      CHECK(out.data<float>()[from - 1] == 0);
    }
    const Tensor y = randn({3, 5, 7});
    CHECK(same_bits(unary<fn::Exp, float>(support::scattered(y)), kernels::map<fn::Exp>(y)));
    CHECK(same_bits(unary<fn::Exp, float>(y.permute({2, 0, 1})), kernels::map<fn::Exp>(y.permute({2, 0, 1}))));
  });
}

TEST_CASE("more elements than a launch takes are divided") {
  const cuda::ElementKernels<1> exps = {cuda::start_contiguous<fn::Exp, float, float, 1>,
                                        cuda::start_strided<fn::Exp, float, float, 1>, sizeof(float), sizeof(float),
                                        cuda::kPackOf<float, float>};
  const Tensor whole = randn({1, 1025}), column = randn({1025, 3}).narrow(1, 1, 1);
  for (const Tensor& x : {whole, column}) {
    Tensor y = empty(x.shape());
    ElementPlan plan;
    const Tensor* operands[] = {&x};
    make_plan(plan, y, operands, 1);
    const void* const in[] = {x.raw_data()};
    const fn::Exp f;
    const int64_t before = cuda_emulator::launches();
    cuda::run_elements<1>(plan, exps, y.mut_raw_data(), in, &f, 256);
    CHECK(cuda_emulator::launches() - before >= 5);
    CHECK(same_bits(y, kernels::map<fn::Exp>(x)));
  }
}

TEST_CASE("binary functors broadcast") {
  const Tensor a = randn({4, 1, 33}), b = randn({5, 33}), c = randn({4, 5, 1});
  CHECK(same_bits(binary<fn::Add, float>(a, b), kernels::map2<fn::Add>(a, b)));
  CHECK(same_bits(binary<fn::Pow, float>(kernels::map<fn::Abs>(b), c),
                  kernels::map2<fn::Pow>(kernels::map<fn::Abs>(b), c)));
  CHECK(same_bits(binary<fn::Lt, float>(a, c), kernels::map2<fn::Lt>(a, c)));
  const Tensor i = (a * 50).to(Dtype::i64), j = (b * 50).to(Dtype::i64);
  CHECK(same_bits(binary<fn::Maximum, int64_t>(i, j), kernels::map2<fn::Maximum>(i, j)));
}

TEST_CASE("special functions, bits and Poisson numbers give the CPU's bits") {
  const Tensor x = (randn({1025}) * 3).to(Dtype::f64), element = arange(0, 1025, 1, Dtype::f64);
  CHECK(same_bits(unary<fn::Lgamma, double>(x), kernels::map<fn::Lgamma>(x)));
  CHECK(same_bits(unary<fn::Digamma, double>(x), kernels::map<fn::Digamma>(x)));
  CHECK(same_bits(unary<fn::Erfinv, double>(x), kernels::map<fn::Erfinv>(x)));
  const Tensor rate = kernels::map<fn::Square>(x);  // on both sides of 10, where the way of drawing changes
  CHECK(same_bits(binary<fn::Poisson, double>(rate, element), kernels::map2<fn::Poisson>(rate, element)));
  const Tensor i = (x * 50).to(Dtype::i64), yes = kernels::map2<fn::Gt>(x, Scalar(0));
  CHECK(same_bits(binary<fn::BitwiseXor, int64_t>(i, element.to(Dtype::i64)),
                  kernels::map2<fn::BitwiseXor>(i, element.to(Dtype::i64))));
  CHECK(same_bits(unary<fn::BitwiseNot, bool>(yes), kernels::map<fn::BitwiseNot>(yes)));
}

TEST_CASE("copies between dtypes and strides, fills, where") {
  for (const int64_t n : kSizes) {
    const Tensor x = randn({n}) * 20;
    for (int from = 0; from < kDtypes; ++from)
      for (int to = 0; to < kDtypes; ++to) {
        const Tensor src = kernels::map<fn::Abs>(x).to(static_cast<Dtype>(from));
        Tensor dst = empty({n}, {static_cast<Dtype>(to)}), expected = empty({n}, {static_cast<Dtype>(to)});
        kernels::copy(Device(), mut_ref(expected), ref(src));
        dispatch_all(src.dtype(), "test", [&]<class T> {
          dispatch_all(dst.dtype(), "test", [&]<class R> { cuda::run_copy<R, T>(mut_ref(dst), ref(src)); });
        });
        CAPTURE(n);
        CAPTURE(from);
        CAPTURE(to);
        CHECK(same_bits(dst, expected));
      }
  }
  const Tensor x = support::scattered(randn({7, 1, 9}));
  Tensor y = support::channels_last(zeros({7, 1, 9}));
  cuda::run_copy<float, float>(mut_ref(y), ref(x));
  CHECK(same_bits(y, x));
  Tensor column = zeros({33, 3}), one = column.narrow(1, 1, 1);
  cuda::run_fill<float>(mut_ref(one), 5);
  for (int64_t i = 0; i < 99; ++i) CHECK(column.data<float>()[i] == (i % 3 == 1 ? 5 : 0));

  const Tensor cond = kernels::map2<fn::Gt>(randn({33, 1}), Scalar(0)), a = randn({5}), b = randn({33, 5});
  Tensor z = empty({33, 5}), expected = empty({33, 5});
  ElementPlan plan;
  const Tensor* in[] = {&cond, &a, &b};
  make_plan(plan, z, in, 3);
  cuda::run_where<uint32_t>(plan, z.mut_raw_data(), cond.raw_data(), a.raw_data(), b.raw_data());
  kernels::where(Device(), plan, expected.mut_raw_data(), cond.raw_data(), a.raw_data(), b.raw_data(), Dtype::f32);
  CHECK(same_bits(z, expected));
}

// Sizes around a tile, batches before and behind, more tiles than blocks.
TEST_CASE("copies between layouts go through tiles") {
  const auto check = []<class T>(const Tensor& x) {
    CAPTURE(x.shape());
    CAPTURE(x.strides());
    Tensor y = support::unwritten(x.shape(), x.dtype());
    cuda::run_copy<T, T>(mut_ref(y), ref(x));
    CHECK(support::same_bits(y, x));
  };
  for (const Dtype d : {Dtype::u8, Dtype::bf16, Dtype::f32, Dtype::i64})
    dispatch_all(d, "test", [&]<class T> {
      const auto values = [&](const Shape& s) { return (randn(s) * 100).to(d); };
      for (const int64_t n : {7, 8, 31, 33, 64, 100})
        for (const int64_t m : {8, 32, 65}) {
          check.operator()<T>(values({n, m}).transpose(0, 1));
          check.operator()<T>(values({3, n, m}).transpose(1, 2));
        }
      check.operator()<T>(values({2, 9, 3, 10}).permute({0, 3, 2, 1}));
      check.operator()<T>(values({9, 2, 33}).permute({2, 1, 0}));
      check.operator()<T>(values({40, 50}).narrow(0, 3, 33).narrow(1, 5, 34).transpose(0, 1));
      check.operator()<T>(support::channels_last(values({2, 40, 5, 7})));
    });
}

TEST_SUITE_END();
