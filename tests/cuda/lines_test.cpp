// Kernels along one axis, against the CPU's: running sums and products, softmax, cross-entropy; and what they are made
// of.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "cuda/against_cpu.h"
#include "support/strided.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/backends/cuda/loss.cuh"
#include "weft/backends/cuda/scan.cuh"
#include "weft/backends/cuda/softmax.cuh"
#include "weft/core/kernels/order.h"
#include "weft/core/map.h"

namespace {

using namespace weft;
using cuda_emulator::for_each_schedule;
using support::difference;

/// Lines of all lengths, along and across memory, with gaps.
void for_each_case(const std::function<void(const Tensor&, int)>& f) {
  for (const int64_t n : {0, 1, 2, 7, 31, 33, 1023, 1025}) {
    f(randn({n}), 0);
    f(randn({5, n}), 1);
    f(randn({n, 5}), 0);
    f(randn({n, 40}), 0);
    f(support::scattered(randn({5, n})), 1);
    f(support::scattered(randn({n, 5})), 0);
  }
  f(randn({}), 0);
  f(randn({2, 20000}), 1);
  f(randn({3, 4, 5, 6}), 1);
  f(support::channels_last(randn({3, 4, 5, 6})), 1);
  f(support::channels_last(randn({3, 4, 5, 6})), 3);
}

__global__ void scan_kernel(int* out, int* totals) {
  WEFT_SHARED(shared, int[32]);
  int total;
  // not commutative: the order of the arguments shows
  const auto later = [](int, int b) { return b; };
  out[threadIdx.x] = cuda::block_scan(
      static_cast<int>(threadIdx.x), -1, [&](int a, int b) { return b < 0 ? a : later(a, b); }, shared, total);
  totals[threadIdx.x] = total;
}
__global__ void reduce_kernel(double* out, int lanes) {
  WEFT_SHARED(shared, double[32]);
  const double v = threadIdx.x + 1;
  out[threadIdx.x] = lanes == 0 ? cuda::block_reduce(v, cuda::AddValues(), shared)
                                : cuda::warp_reduce(v, cuda::AddValues(), lanes);
}

}  // namespace

TEST_SUITE_BEGIN("cuda lines");

TEST_CASE("block and warp: totals and running totals") {
  for_each_schedule([] {
    for (const int threads : {32, 64, 256, 1024}) {
      std::vector<int> out(static_cast<size_t>(threads)), totals(out.size());
      cuda::launch(scan_kernel, 1, threads, 0, out.data(), totals.data());
      std::vector<double> sums(out.size());
      cuda::launch(reduce_kernel, 1, threads, 0, sums.data(), 0);
      for (int t = 0; t < threads; ++t) {
        CHECK(out[static_cast<size_t>(t)] == t - 1);
        CHECK(totals[static_cast<size_t>(t)] == threads - 1);
        CHECK(sums[static_cast<size_t>(t)] == threads * (threads + 1) / 2);
      }
      for (const int lanes : {1, 4, 32}) {
        cuda::launch(reduce_kernel, 1, threads, 0, sums.data(), lanes);
        for (int t = 0; t < threads; ++t) {
          const int first = t / lanes * lanes;
          CHECK(sums[static_cast<size_t>(t)] == lanes * first + lanes * (lanes + 1) / 2);
        }
      }
    }
  });
}

TEST_CASE("running sums and products") {
  for_each_case([](const Tensor& x, int dim) {
    CAPTURE(x.shape());
    CAPTURE(x.strides());
    CAPTURE(dim);
    const Tensor i = kernels::map<fn::Round>(x * 9).to(Dtype::i64);
    for (const bool reverse : {false, true}) {
      Tensor y = empty(x.shape(), {Dtype::i64}), e = empty(x.shape(), {Dtype::i64});
      kernels::cumsum(Device(), mut_ref(e), ref(i), dim, reverse);
      cuda::run_scan<int64_t>(mut_ref(y), ref(i), dim, reverse, cuda::AddScan());
      CHECK(difference(y, e) == 0);
    }
    const Tensor near_one = x * 0.01 + 1;
    Tensor y = empty_like(near_one), e = empty(x.shape(), {Dtype::f64});
    const Tensor wide = near_one.to(Dtype::f64);
    kernels::cumprod(Device(), mut_ref(e), ref(wide), dim);
    cuda::run_scan<float>(mut_ref(y), ref(near_one), dim, false, cuda::MulScan());
    CHECK(difference(y, e) <= 2e-7);  // 1025 factors in f64, rounded to f32
  });
  for_each_schedule([] {
    const Tensor x = kernels::map<fn::Round>(randn({70000}) * 9).to(Dtype::i32), wide = x.to(Dtype::i64);
    Tensor y = empty_like(x), e = empty_like(wide);
    kernels::cumsum(Device(), mut_ref(e), ref(wide), 0, true);
    cuda::run_scan<int32_t>(mut_ref(y), ref(x), 0, true, cuda::AddScan());  // in parts
    CHECK(difference(y, e) == 0);
  });
  for (const Shape& s : {Shape{70000}, Shape{300, 4100}}) {  // in parts, and a thread for each line
    const Tensor x = full(s, 0.1), wide = x.to(Dtype::f64);
    Tensor y = empty_like(x), y64 = empty_like(wide), e = empty_like(wide);
    kernels::cumsum(Device(), mut_ref(e), ref(wide), 0, false);
    cuda::run_scan<float>(mut_ref(y), ref(x), 0, false, cuda::AddScan());
    cuda::run_scan<double>(mut_ref(y64), ref(wide), 0, false, cuda::AddScan());
    CHECK(difference(y, e) <= 0x1p-23);
    CHECK(difference(y64, e) <= 40 * 0x1p-52);
  }
  const Tensor h = randn({33, 40}).to(Dtype::bf16);
  Tensor y = empty_like(h), e = empty_like(h);
  kernels::cumsum(Device(), mut_ref(e), ref(h), 0, false);
  cuda::run_scan<bf16>(mut_ref(y), ref(h), 0, false, cuda::AddScan());
  CHECK(difference(y, e) <= 0.004);  // f64 sums in another order may round to the neighbour
}

TEST_CASE("running extremes: ties, NaNs, every dtype") {
  const auto check = [](const Tensor& x, int dim) {
    CAPTURE(x.shape());
    CAPTURE(x.strides());
    CAPTURE(x.dtype());
    CAPTURE(dim);
    for (const bool largest : {true, false}) {
      Tensor v = support::unwritten(x.shape(), x.dtype()), ev = empty_like(x);
      Tensor i = support::unwritten(x.shape(), Dtype::i64), ei = empty(x.shape(), {Dtype::i64});
      kernels::running_extreme(Device(), mut_ref(ev), mut_ref(ei), ref(x), dim, largest);
      dispatch_all(x.dtype(), "test", [&]<class T> {
        if (largest) cuda::run_running_extreme<T, true>(mut_ref(v), mut_ref(i), ref(x), dim);
        else cuda::run_running_extreme<T, false>(mut_ref(v), mut_ref(i), ref(x), dim);
      });
      CHECK(difference(v, ev) == 0);
      CHECK(support::same_bits(i, ei));
    }
  };
  for_each_case([&](const Tensor& x, int dim) {
    Tensor y = kernels::map<fn::Round>(x * 3);
    check(y, dim);  // a NaN in the middle of memory
    if (y.numel() > 0 && y.is_contiguous()) y.mut_data<float>()[y.numel() / 2] = NAN;
    check(y, dim);
  });
  for (int d = 0; d < kDtypes; ++d)
    for (const int dim : {0, 1}) check(support::sample({70, 41}, static_cast<Dtype>(d)), dim);
  for_each_schedule([&] {
    Tensor x = support::sample({2, 70000}, Dtype::f32);  // in parts
    check(x, 1);
    for (const int64_t at : {30000, 50000}) x.mut_data<float>()[at] = NAN;
    check(x, 1);
  });
}

TEST_CASE("softmax and its gradient") {
  for_each_case([](const Tensor& plain, int dim) {
    CAPTURE(plain.shape());
    CAPTURE(plain.strides());
    CAPTURE(dim);
    const Tensor x = plain;
    const Tensor wide = x.to(Dtype::f64), g = randn(x.shape());
    for (const bool log : {false, true}) {
      CAPTURE(log);
      Tensor e = empty(x.shape(), {Dtype::f64}), y = empty(x.shape()), y64 = empty_like(e);
      kernels::softmax(Device(), mut_ref(e), ref(wide), dim, log);
      cuda::run_softmax<float>(mut_ref(y), ref(x), dim, log);
      cuda::run_softmax<double>(mut_ref(y64), ref(wide), dim, log);
      CHECK(difference(y, e) <= 3e-6);
      CHECK(difference(y64, e) <= 1e-14);
      const Tensor g64 = g.to(Dtype::f64);
      Tensor de = empty_like(e), d = empty(x.shape()), d64 = empty_like(e);
      kernels::softmax_grad(Device(), mut_ref(de), ref(g64), ref(e), dim, log);
      const Tensor y32 = e.to(Dtype::f32);
      cuda::run_softmax_grad<float>(mut_ref(d), ref(g), ref(y32), dim, log);
      cuda::run_softmax_grad<double>(mut_ref(d64), ref(g64), ref(e), dim, log);
      CHECK(difference(d, de) <= 3e-5);  // sums of up to 20000 terms of either sign
      CHECK(difference(d64, de) <= 1e-13);
    }
  });
}

// Around what a warp and a block keep of a row, in packs and without; rows that lie apart, and packs that a row's start
// or length forbids.
TEST_CASE("rows of softmax and its gradient") {
  const auto check = []<class T>(const Tensor& x, const Tensor& g) {
    CAPTURE(x.shape());
    CAPTURE(x.strides());
    CAPTURE(x.dtype());
    const Tensor wide = x.to(Dtype::f64), g64 = g.to(Dtype::f64);
    for (const bool log : {false, true}) {
      CAPTURE(log);
      Tensor e = empty(x.shape(), {Dtype::f64}), de = empty_like(e), y = support::unwritten(x.shape(), x.dtype()),
             d = support::unwritten(x.shape(), x.dtype());
      kernels::softmax(Device(), mut_ref(e), ref(wide), 1, log);
      cuda::run_softmax<T>(mut_ref(y), ref(x), 1, log);
      const Tensor given = e.to(x.dtype()), given64 = given.to(Dtype::f64);
      kernels::softmax_grad(Device(), mut_ref(de), ref(g64), ref(given64), 1, log);
      cuda::run_softmax_grad<T>(mut_ref(d), ref(g), ref(given), 1, log);
      const double rounding = is_half(x.dtype()) ? support::epsilon(x.dtype()) : 0;
      CHECK(difference(y, e) <= 3e-6 + rounding);
      CHECK(difference(d, de) <= 3e-5 + rounding);
    }
  };
  for (const int64_t n : {65, 72, 256, 260, 264, 1023, 1024, 1025, 1032, 4096, 4097, 4104, 9000})
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16})
      dispatch_floating(dtype, "test", [&]<class T> {
        const Tensor x = (randn({11, n}) * 3).to(dtype), g = randn({11, n}).to(dtype);
        check.operator()<T>(x, g);
        if (n > 1032) return;
        for (const auto& [first, more] : {std::pair{8, 8}, {3, 8}, {8, 9}}) {
          const Tensor apart = (randn({3, n + more}) * 3).to(dtype);
          check.operator()<T>(apart.narrow(1, first, n), g.narrow(0, 0, 3));
        }
      });
}

TEST_CASE("softmax of extremes, in every order of threads") {
  for_each_schedule([] {
    for (const int64_t n : {40, 200, 1001, 2000, 12000, 12001}) {
      Tensor x = randn({4, n});
      float* p = x.mut_data<float>();
      for (int64_t i = 0; i < n; ++i) p[i] = i == n / 2 ? 3 : -INFINITY;
      p[n + n / 3] = NAN;
      for (int64_t i = 2 * n; i < 3 * n; ++i) p[i] = 1e30f;
      for (int64_t i = 3 * n; i < 4 * n; ++i) p[i] = -INFINITY;
      for (const bool log : {false, true}) {
        Tensor y = empty({4, n}), e = empty({4, n});
        kernels::softmax(Device(), mut_ref(e), ref(x), 1, log);
        cuda::run_softmax<float>(mut_ref(y), ref(x), 1, log);
        CHECK(difference(y, e) <= 1e-6);
      }
    }
  });
}

TEST_CASE("cross-entropy and its gradient") {
  const auto check = [](const Shape& shape, bool last, bool weighted, double smoothing, Dtype dtype) {
    CAPTURE(shape);
    CAPTURE(last);
    CAPTURE(weighted);
    CAPTURE(smoothing);
    dispatch_floating(dtype, "test", [&]<class T> {
      const int64_t C = shape[1];
      const Dtype ct = compute_dtype(dtype);
      Tensor x = (randn(shape) * 3).to(dtype);
      if (last && x.rank() > 2) x = support::channels_last(x);
      Shape pixels{shape[0]};
      for (int i = 2; i < shape.size(); ++i) pixels.push_back(shape[i]);
      Tensor target = randint(0, C, pixels, {Dtype::i64});
      if (target.numel() > 3) target.mut_data<int64_t>()[3] = -7;
      const Tensor w = weighted ? (kernels::map<fn::Abs>(randn({C})) + 0.1).to(ct) : Tensor();
      const CrossEntropyParams params{.ignore_index = -7, .label_smoothing = smoothing};
      Tensor loss = empty(pixels, {ct}), lse = empty(pixels, {ct}), totals = empty({3}, {Dtype::f64});
      Tensor eloss = empty(pixels, {ct}), else_ = empty(pixels, {ct}), etotals = empty({3}, {Dtype::f64});
      kernels::cross_entropy(Device(), mut_ref(eloss), mut_ref(else_), mut_ref(etotals), ref(x), ref(target), ref(w),
                             params);
      cuda::run_cross_entropy<T>(mut_ref(loss), mut_ref(lse), mut_ref(totals), ref(x), ref(target), ref(w), params);
      const double bound = ct == Dtype::f64 ? 1e-13 : 2e-6;
      CHECK(difference(lse, else_) <= bound);
      CHECK(difference(loss, eloss) <= 4 * bound);
      CHECK(difference(totals, etotals) <= 4 * bound);
      for (const bool each : {true, false}) {
        const Tensor g = each ? randn(pixels).to(ct) : full({}, 0.3, {ct});
        Tensor dx = empty_like(x), edx = empty_like(x);
        kernels::cross_entropy_backward(Device(), mut_ref(edx), ref(g), ref(else_), ref(x), ref(target), ref(w),
                                        params);
        cuda::run_cross_entropy_backward<T>(mut_ref(dx), ref(g), ref(else_), ref(x), ref(target), ref(w), params);
        CHECK(difference(dx, edx) <= (dtype == ct ? bound : 0.004));  // halves: a neighbour
      }
    });
  };
  for (const Shape& shape : {Shape{1, 1}, Shape{33, 10}, Shape{5, 1025}, Shape{70, 3}, Shape{2, 5, 7, 9},
                             Shape{3, 31, 33}, Shape{1, 70, 3, 3}, Shape{2, 1, 5}})
    for (const bool last : {false, true})
      for (const bool weighted : {false, true}) {
        check(shape, last, weighted, 0, Dtype::f32);
        check(shape, last, weighted, 0.2, Dtype::f64);
        check(shape, last, weighted, 0.1, Dtype::bf16);
      }
  for_each_schedule([&] { check({2, 40, 9}, false, true, 0.1, Dtype::f32); });
  CHECK_FALSE(cuda_emulator::take_fault().has_value());
}

TEST_CASE("a target that is out of range is reported and touches nothing") {
  for (const int64_t wrong : {int64_t{5}, int64_t{-1}, int64_t{1} << 40}) {
    const Tensor x = randn({4, 5, 3}), w = full({5}, 2.0), g = full({}, 1.0);
    Tensor target = zeros({4, 3}, {Dtype::i64});
    target.mut_data<int64_t>()[7] = wrong;
    Tensor loss = empty({4, 3}), lse = empty({4, 3}), totals = empty({3}, {Dtype::f64}), dx = empty_like(x);
    cuda::run_cross_entropy<float>(mut_ref(loss), mut_ref(lse), mut_ref(totals), ref(x), ref(target), ref(w), {});
    const auto fault = cuda_emulator::take_fault();
    REQUIRE(fault.has_value());
    CHECK(fault->op == "cross_entropy");
    CHECK(fault->dim == 1);
    CHECK(fault->index == wrong);
    CHECK(fault->size == 5);
    CHECK(totals.data<double>()[1] == 22);
    CHECK(totals.data<double>()[2] == 1);
    cuda::run_cross_entropy_backward<float>(mut_ref(dx), ref(g), ref(lse), ref(x), ref(target), ref(w), {});
    CHECK(dx.data<float>()[2 * 15 + 1] == 0);
  }
}

TEST_SUITE_END();
