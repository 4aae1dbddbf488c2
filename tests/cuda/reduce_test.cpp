// Reductions against the CPU's, over any axes of any layout.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "support/strided.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/backends/cuda/reduce.cuh"
#include "weft/core/kernels.h"
#include "weft/core/map.h"

namespace {

using namespace weft;
using cuda_emulator::for_each_schedule;

Shape kept_shape(const Tensor& x, uint32_t dims) {
  Shape s = x.shape();
  for (int i = 0; i < x.rank(); ++i)
    if (dims >> i & 1) s[i] = 1;
  return s;
}
/// By the CUDA kernel.
template <class F, class C> Tensor reduced(const Tensor& x, uint32_t dims, Dtype dtype, const F& f = {}) {
  Tensor y = empty(kept_shape(x, dims), {dtype});
  cuda::run_reduce_functor<F, C>(mut_ref(y), ref(x), dims, f);
  return y;
}
/// By the CPU's, in f64 where the result is a number with rounding.
template <class F> Tensor expected(const Tensor& x, uint32_t dims, Dtype dtype, const F& f = {}) {
  Tensor y = empty(kept_shape(x, dims), {dtype});
  kernels::reduce.of<F>()(Device(), mut_ref(y), ref(x), dims, &f);
  return y;
}
double distance(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Dtype::f64).contiguous(), y = b.to(Dtype::f64).contiguous();
  REQUIRE(x.shape() == y.shape());
  double most = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double p = x.data<double>()[i], q = y.data<double>()[i];
    if (std::isnan(p) && std::isnan(q)) continue;
    const double d = p == q ? 0 : std::abs(p - q);
    if (!(d <= most)) most = d;
  }
  return most;
}
bool agree(const Tensor& a, const Tensor& b) { return distance(a, b) == 0; }

/// Shapes and layouts that reach every kernel: rows of all lengths, columns of all widths, parts, gaps, broadcast axes.
void for_each_case(const std::function<void(const Tensor&, uint32_t)>& f) {
  for (const int64_t n : {0, 1, 2, 5, 31, 33, 255, 1023, 1025}) {
    f(randn({n}), 1);
    f(randn({3, n}), 2);
    f(randn({n, 3}), 1);
    f(randn({n, 37}), 1);
    f(randn({n, 2}), 2);
  }
  f(randn({40000}), 1);       // parts of a row
  f(randn({2, 9001}), 2);     //
  f(randn({9001, 3}), 1);     // parts of columns
  f(randn({9001, 70}), 1);    //
  f(randn({}), 0);            // rank 0
  f(randn({3, 0, 5}), 2);     // no elements
  f(randn({4, 5, 6, 7}), 0);  // nothing to reduce
  for (uint32_t dims : {1u, 2u, 5u, 9u, 10u, 13u, 15u}) {
    f(randn({4, 5, 6, 7}), dims);
    f(support::channels_last(randn({4, 5, 6, 7})), dims);
    f(support::scattered(randn({4, 5, 6, 7})), dims);
    f(randn({4, 1, 6, 1}).expand({4, 5, 6, 7}), dims);
  }
}

}  // namespace

TEST_SUITE_BEGIN("cuda reduce");

TEST_CASE("sums, any axes, any layout") {
  for_each_case([](const Tensor& x, uint32_t dims) {
    CAPTURE(x.shape());
    CAPTURE(dims);
    const Tensor wide = x.to(Dtype::f64);
    // at most kRun additions in one chain, then merges: 64 roundings are a generous bound
    const double size = *expected<fn::SumAbs>(wide, (1u << x.rank()) - 1, Dtype::f64).data<double>();
    CHECK(distance(reduced<fn::Sum, float>(x, dims, Dtype::f32), expected<fn::Sum>(wide, dims, Dtype::f64)) <=
          64 * 6e-8 * size);
    CHECK(distance(reduced<fn::Sum, double>(wide, dims, Dtype::f64), expected<fn::Sum>(wide, dims, Dtype::f64)) <=
          64 * 1.2e-16 * size);
    CHECK(agree(reduced<fn::Max, float>(x, dims, Dtype::f32), expected<fn::Max>(x, dims, Dtype::f32)));
    const Tensor i = kernels::map<fn::Round>(x * 10).to(Dtype::i32);
    CHECK(agree(reduced<fn::Sum, int64_t>(i, dims, Dtype::i64), expected<fn::Sum>(i, dims, Dtype::i64)));
    CHECK(agree(reduced<fn::All, int64_t>(i, dims, Dtype::boolean), expected<fn::All>(i, dims, Dtype::boolean)));
  });
}

// Rows and columns that may be read in packs, with ends that fill none, and the same a few elements on, where they may
// not. Sums of integers are exact; so are these of halves.
TEST_CASE("packs of every size") {
  for (const Dtype d : {Dtype::f32, Dtype::bf16, Dtype::f16, Dtype::f64, Dtype::i64, Dtype::i16, Dtype::u8})
    for (const Shape& s : {Shape{4097}, Shape{3, 64}, Shape{3, 8200}, Shape{5000, 64}, Shape{70, 24}, Shape{9, 264},
                           Shape{4, 17, 48}, Shape{4100, 16}})
      for (const int64_t skip : {0, 3}) {
        CAPTURE(d);
        CAPTURE(s);
        CAPTURE(skip);
        const Tensor all = kernels::map<fn::Round>(rand({s.numel() + skip}) * 3).to(d),
                     x = all.narrow(0, skip, s.numel()).reshape(s), wide = x.to(Dtype::f64);
        for (uint32_t dims = 1; dims < 1u << x.rank(); ++dims) {
          CAPTURE(dims);
          const Tensor e = expected<fn::Sum>(wide, dims, Dtype::f64);
          if (is_integral(d)) CHECK(agree(reduced<fn::Sum, int64_t>(x, dims, Dtype::i64), e));
          else if (d == Dtype::f64) CHECK(agree(reduced<fn::Sum, double>(x, dims, Dtype::f64), e));
          else CHECK(agree(reduced<fn::Sum, float>(x, dims, Dtype::f32), e));
        }
      }
}

TEST_CASE("every functor, in every order of threads") {
  for_each_schedule([] {
    for (const Tensor& plain : {randn({5, 1500}), randn({9001})}) {
      const Tensor x = plain * 0.1 + 1;  // products stay small, p-norms are defined
      const uint32_t dims = 1u << (x.rank() - 1);
      const Tensor wide = x.to(Dtype::f64);
      const auto near = [&]<class F>(const F& f = {}) {
        const Tensor e = expected<F>(wide, dims, Dtype::f64, f), y = reduced<F, float>(x, dims, Dtype::f32, f);
        CAPTURE(F::name);
        // f32 results of 1500 terms: relative to the result, a few times sqrt(n) roundings for the product
        for (int64_t i = 0; i < e.numel(); ++i) {
          const double want = e.data<double>()[i];
          CHECK(std::abs(y.data<float>()[i] - want) <= 1e-5 * std::abs(want));
        }
        CHECK(distance(reduced<F, double>(wide, dims, Dtype::f64, f), e) <= 1e-11 * (1 + distance(e, e * 0)));
      };
      near.operator()<fn::Sum>();
      near.operator()<fn::NanSum>();
      near.operator()<fn::Mean>({.count = 1500});
      near.operator()<fn::Max>();
      near.operator()<fn::Min>();
      near.operator()<fn::SumAbs>();
      near.operator()<fn::Norm2>();
      near.operator()<fn::SumSquares>();
      near.operator()<fn::NormP>({.p = 3});
      near.operator()<fn::NormP>({.p = 0});
      const Tensor few = x.narrow(x.rank() - 1, 0, 70);
      CHECK(distance(reduced<fn::Prod, float>(few, dims, Dtype::f32),
                     expected<fn::Prod>(few.to(Dtype::f64), dims, Dtype::f64)) <= 1e-3);
    }
  });
}

TEST_CASE("all dtypes, halves are summed in f32 and rounded once") {
  const Tensor x = kernels::map<fn::Round>(randn({3, 700}) * 3);
  for (const Dtype d : {Dtype::bf16, Dtype::f16}) {
    const Tensor h = x.to(d);
    const Tensor e = expected<fn::Sum>(h, 2, d);
    CHECK(agree(reduced<fn::Sum, float>(h, 2, d), e));
  }
  for (const Dtype d : {Dtype::i64, Dtype::i32, Dtype::u8, Dtype::boolean, Dtype::i8, Dtype::i16, Dtype::u16}) {
    const Tensor i = kernels::map<fn::Abs>(x).to(d);
    CHECK(agree(reduced<fn::Max, int64_t>(i, 2, d), expected<fn::Max>(i, 2, d)));
    CHECK(agree(reduced<fn::Min, int64_t>(i, 1, d), expected<fn::Min>(i, 1, d)));
    CHECK(agree(reduced<fn::Any, int64_t>(i, 1, Dtype::boolean), expected<fn::Any>(i, 1, Dtype::boolean)));
    CHECK(agree(reduced<fn::Sum, int64_t>(i, 3, Dtype::i64), expected<fn::Sum>(i, 3, Dtype::i64)));
  }
}

TEST_CASE("a NaN wins, and nansum leaves it out") {
  Tensor x = randn({9001});
  x.mut_data<float>()[8000] = NAN;
  CHECK(std::isnan(*reduced<fn::Max, float>(x, 1, Dtype::f32).data<float>()));
  CHECK(std::isnan(*reduced<fn::Min, float>(x, 1, Dtype::f32).data<float>()));
  CHECK(distance(reduced<fn::NanSum, float>(x, 1, Dtype::f32), expected<fn::NanSum>(x, 1, Dtype::f32)) < 1e-2);
}

TEST_CASE("the number of launches follows the sizes") {
  const auto launches = [](const Tensor& x, uint32_t dims) {
    const int64_t before = cuda_emulator::launches();
    reduced<fn::Sum, float>(x, dims, Dtype::f32);
    return cuda_emulator::launches() - before;
  };
  CHECK(launches(randn({1000}), 1) == 1);
  CHECK(launches(randn({40000}), 1) == 2);
  CHECK(launches(randn({2000, 30}), 2) == 1);
  CHECK(launches(randn({0}), 1) == 1);
}

TEST_CASE("extremes and where they are: the first, or the first NaN") {
  const auto check = [](const Tensor& x, int dim, Dtype d) {
    cuda::dispatch_reduce(d, [&]<class C> {
      const uint32_t dims = x.rank() ? 1u << dim : 0;
      for (const bool largest : {true, false}) {
        Tensor v = empty(kept_shape(x, dims), {d}), i = empty(kept_shape(x, dims), {Dtype::i64});
        Tensor ev = empty(v.shape(), {d}), ei = empty(v.shape(), {Dtype::i64});
        kernels::arg_extreme(Device(), mut_ref(ev), mut_ref(ei), ref(x), dim, largest);
        cuda::run_arg_extreme<C>(mut_ref(v), mut_ref(i), ref(x), dim, largest);
        CHECK(agree(v, ev));
        CHECK(agree(i, ei));
        Tensor only = empty(v.shape(), {Dtype::i64});
        cuda::run_arg_extreme<C>({}, mut_ref(only), ref(x), dim, largest);
        CHECK(agree(only, ei));
      }
    });
  };
  for (const int64_t n : {1, 2, 31, 33, 1023, 1025}) {
    Tensor x = kernels::map<fn::Round>(randn({n, 5}) * 2);  // many equal ones
    check(x, 0, Dtype::f32);
    check(x.permute({1, 0}), 1, Dtype::f32);
    check(x.permute({1, 0}).contiguous(), 1, Dtype::f32);
    check(support::scattered(x), 0, Dtype::f32);
    if (n > 2) x.mut_data<float>()[n / 2 * 5 + 1] = x.mut_data<float>()[n / 3 * 5 + 1] = NAN;
    check(x, 0, Dtype::f32);
    check(x.to(Dtype::bf16), 0, Dtype::bf16);
    check(kernels::map<fn::Abs>(randn({n, 5})).to(Dtype::u8), 0, Dtype::u8);
  }
  check(randn({4, 5, 6}), 1, Dtype::f32);
  check(randn({30000}).to(Dtype::f64), 0, Dtype::f64);
  check(randn({}), 0, Dtype::f32);
  check(full({33, 2}, -INFINITY), 0, Dtype::f32);
}

TEST_SUITE_END();
