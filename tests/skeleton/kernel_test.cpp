// The skeleton kernel against a naive loop in f64, on the CPU and on the emulation of a card.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "skeleton/kernel.cuh"
#include "support/strided.h"
#include "weft/core/factory.h"

namespace {

using namespace weft;

std::vector<double> naive(const Tensor& x, int dim) {
  const Tensor last = x.to(Dtype::f64).movedim(dim, -1).contiguous();
  const int64_t n = last.size(-1);
  std::vector<double> y = last.to_vector<double>();
  for (size_t line = 0; line < y.size(); line += static_cast<size_t>(n)) {
    double sum = 0;
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) sum += std::abs(y[line + i]);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) y[line + i] = sum == 0 ? 0 : y[line + i] / sum;
  }
  return y;
}

/// A sum of n positive numbers has a relative error of at most n roundings; a result is at most 1 in size, and is
/// rounded once to its dtype.
double tolerance(Dtype d, int64_t n) {
  const double result = d == Dtype::f64 ? 0x1p-52 : d == Dtype::f32 ? 0x1p-23 : d == Dtype::f16 ? 0x1p-10 : 0x1p-7;
  return result + static_cast<double>(n) * (d == Dtype::f64 ? 0x1p-53 : 0x1p-24);
}

void check(DeviceType device, const Tensor& x, int dim) {
  CAPTURE(x.shape());
  CAPTURE(x.strides());
  CAPTURE(dim);
  Tensor y = empty_strided(x.shape(), contiguous_strides(x.shape()), {x.dtype(), x.device()});
  kernels::line_shares.get(device)(mut_ref(y), ref(x), dim);
  const std::vector<double> want = naive(x, dim),
                            got = y.to(Dtype::f64).movedim(dim, -1).contiguous().to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(got[i] - want[i]));
  CHECK(worst <= tolerance(x.dtype(), x.size(dim)));
}

void check_all(DeviceType device) {
  for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16})
    for (const int64_t n : {1, 31, 33, 1023, 1025}) {
      check(device, randn({5, n}).to(d), 1);
      check(device, randn({n, 40}).to(d), 0);
      check(device, support::scattered(randn({3, n}).to(d)), 1);
    }
  check(device, support::channels_last(randn({2, 3, 4, 5})), 1);
  check(device, zeros({2, 3}), 1);
  check(device, empty({2, 0}), 1);
}

}  // namespace

TEST_SUITE_BEGIN("cuda skeleton");

TEST_CASE("the CPU's kernel gives a naive loop's numbers") {
  cpu::WEFT_ISA::register_line_shares();
  check_all(DeviceType::cpu);
}

TEST_CASE("the CUDA kernel does, whatever order the threads run in") {
  kernels::line_shares.set(DeviceType::cuda, cuda::line_shares);
  cuda_emulator::for_each_schedule([] { check_all(DeviceType::cuda); });
}

TEST_SUITE_END();
