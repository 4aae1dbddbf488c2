// Weight standardisation against the CPU's kernels.
#include "weft/backends/cuda/weight.cuh"
#include "cuda/against_cpu.h"

namespace {

using namespace weft;
using namespace support;

Tensor rows(const Shape& s, Dtype d, uint64_t seed, double mean = 0) {
  Tensor x = empty(s, d);
  kernels::normal(DeviceType::cpu, mut_ref(x), Generator(seed).state(), mean, 1.0);
  return x;
}

void check_standardize(int64_t R, int64_t n, Dtype d, double floor, bool in_place) {
  CAPTURE(R);
  CAPTURE(n);
  CAPTURE(d);
  CAPTURE(floor);
  const Dtype c = compute_dtype(d);
  const Tensor w = rows({R, n}, d, 1, 1), g = rows({R, n}, d, 2), gain = rows({R}, c, 3, 1);
  const StandardizeParams p{static_cast<double>(n - 1), static_cast<double>(n), floor};
  struct Result {
    Tensor out, mean, rho, dw, dgain, only;
  };
  const auto run = [&](bool emulated, const Tensor* mean, const Tensor* rho) {
    Result r;
    r.out = in_place ? twin(w) : unwritten({R, n}, d), r.dw = unwritten({R, n}, d);
    for (Tensor* t : {&r.mean, &r.rho, &r.dgain, &r.only}) *t = unwritten({R}, c);
    Tensor none;
    const auto forward = emulated ? cuda::standardize_weight : kernels::standardize_weight.get(DeviceType::cpu);
    const auto backward = emulated ? cuda::standardize_weight_backward
                                   : kernels::standardize_weight_backward.get(DeviceType::cpu);
    forward(mut_ref(r.out), mut_ref(r.mean), mut_ref(r.rho), in_place ? ref(r.out) : ref(w), ref(gain), p);
    // both backwards from one forward's statistics
    const Tensor &m = mean ? *mean : r.mean, &s = rho ? *rho : r.rho;
    backward(mut_ref(r.dw), mut_ref(r.dgain), ref(g), ref(w), ref(m), ref(s), ref(gain), p);
    backward(mut_ref(none), mut_ref(r.only), ref(g), ref(w), ref(m), ref(s), ref(gain), p);
    return r;
  };
  const Result b = run(false, nullptr, nullptr), a = run(true, &b.mean, &b.rho);
  // sums of at most 4096 (CPU) f32 numbers in different orders
  const double t = d == Dtype::f64 ? 1e-12 : 1e-5, rounding = is_half(d) ? epsilon(d) : 0;
  CHECK(difference(a.mean, b.mean) <= t);
  CHECK(difference(a.rho, b.rho) <= t);
  CHECK(difference(a.out, b.out) <= 3 * t + rounding);
  CHECK(difference(a.dw, b.dw) <= 10 * t + rounding);
  CHECK(difference(a.dgain, b.dgain) <= 10 * t);
  CHECK(same_bits(a.dgain, a.only));
}

}  // namespace

TEST_SUITE("cuda weight") {
  TEST_CASE("standardised weights and their gradients agree with the CPU") {
    for (const Dtype d : kFloats)
      for (const int64_t n : {2, 31, 33, 64, 1023, 1025, 8200}) {
        check_standardize(3, n, d, 1e-4, false);
        if (n < 64) check_standardize(33, n, d, 1e-4, true);
        if (n < 64) check_standardize(1, n, d, 1e9, false);  // all rows on the floor
      }
  }
  TEST_CASE("no rows") {
    Tensor none = zeros({0, 4}), stats = zeros({0});
    cuda::standardize_weight(mut_ref(none), mut_ref(stats), mut_ref(stats), ref(none), ref(stats), {3, 4, 1e-4});
    CHECK(none.numel() == 0);
  }
}
