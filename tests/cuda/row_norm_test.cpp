// Layer norm and RMS norm against the CPU's kernels.
#include "weft/backends/cuda/row_norm.cuh"
#include "cuda/against_cpu.h"

namespace {

using namespace weft;
using namespace support;

Tensor normal(const Shape& s, Dtype d, uint64_t seed, double mean = 0) {
  Tensor x = empty(s, d);
  kernels::normal(DeviceType::cpu, mut_ref(x), Generator(seed).state(), mean, 1.0);
  return x;
}

struct Result {
  Tensor y, mean, inv, dx, dw, db;
};

void check_rows(int64_t M, int64_t D, Dtype d, bool rms, bool weight, bool bias, double mean_of_x = 5) {
  CAPTURE(M);
  CAPTURE(D);
  CAPTURE(d);
  CAPTURE(rms);
  const Dtype c = compute_dtype(d);
  const Tensor x = normal({M, D}, d, 1, mean_of_x), g = normal({M, D}, d, 2);
  Tensor none;
  const Tensor w = weight ? normal({D}, c, 3, 1) : none, b = bias ? normal({D}, c, 4) : none;
  const auto run = [&](bool emulated, const Tensor* mean, const Tensor* inv) {
    Result r;
    for (Tensor* t : {&r.y, &r.dx}) *t = unwritten({M, D}, d);
    for (Tensor* t : {&r.mean, &r.inv}) *t = unwritten({M}, Dtype::f64);
    for (Tensor* t : {&r.dw, &r.db}) *t = unwritten({D}, c);
    const auto forward = emulated ? cuda::layer_norm : kernels::layer_norm.get(DeviceType::cpu);
    const auto backward = emulated ? cuda::layer_norm_backward : kernels::layer_norm_backward.get(DeviceType::cpu);
    forward(mut_ref(r.y), mut_ref(rms ? none : r.mean), mut_ref(r.inv), ref(x), ref(w), ref(b), 1e-5);
    // both backwards from one forward's statistics
    backward(mut_ref(r.dx), mut_ref(weight ? r.dw : none), mut_ref(bias ? r.db : none), ref(g), ref(x),
             rms ? ref(none) : ref(mean ? *mean : r.mean), ref(inv ? *inv : r.inv), ref(w));
    return r;
  };
  const Result b1 = run(false, nullptr, nullptr), a = run(true, &b1.mean, &b1.inv);
  // sums of at most 4096 (CPU) f32 numbers in different orders; a single column is noise over sqrt(eps)
  const double t = d == Dtype::f64 ? 1e-12 : 1e-5, rounding = is_half(d) ? epsilon(d) : 0;
  const double scale = D == 1 && !rms ? 300 : 1;
  if (!rms) CHECK(difference(a.mean, b1.mean) <= t);
  CHECK(difference(a.inv, b1.inv) <= t * scale);
  CHECK(difference(a.y, b1.y) <= (3 * t + rounding) * scale);
  CHECK(difference(a.dx, b1.dx, scale) <= 10 * t + rounding);
  const double rows = std::sqrt(static_cast<double>(M));
  if (weight) CHECK(difference(a.dw, b1.dw, rows) <= 10 * t);
  if (bias) CHECK(difference(a.db, b1.db, rows) <= t);
}

}  // namespace

TEST_SUITE("cuda row norm") {
  TEST_CASE("layer norm and RMS norm agree with the CPU") {
    for (const Dtype d : kFloats)
      for (const bool rms : {false, true})
        for (const int64_t D : {1, 31, 33, 64, 1023, 1025, 8200}) {
          check_rows(3, D, d, rms, true, true);
          if (D < 64) check_rows(1, D, d, rms, false, false);
          if (D < 64) check_rows(33, D, d, rms, true, false);
          if (D < 64) check_rows(17, D, d, rms, false, true);
        }
  }

  TEST_CASE("a mean far from zero") {
    for (const int64_t D : {31, 64, 1025}) check_rows(5, D, Dtype::f32, false, true, true, 1e6);
  }

  // row_walk.cuh states the bounds. The lengths: a warp and a block with the row in registers, a block that reads anew,
  // each with and without packs.
  TEST_CASE("mean and spread keep to their bounds far from zero, after an outlier, and are exact for equal numbers") {
    enum { far_mean, outlier, equal };
    const double u = 0x1p-24, eps = 1e-5;
    for (const int64_t D : {2, 31, 512, 516, 1027, 4096, 4100, 70000})
      for (const int kind : {far_mean, outlier, equal}) {
        CAPTURE(D);
        CAPTURE(kind);
        Tensor x = normal({3, D}, Dtype::f32, 7, kind == far_mean ? 1e6 : 0);
        float* v = x.mut_data<float>();
        for (int64_t i = 0; i < 3 * D; ++i) {
          if (kind == outlier && i % D == 0) v[i] = 1e6f;
          if (kind == equal) v[i] = 1234567.125f * static_cast<float>(i / D);
        }
        const Tensor none;
        Tensor y = unwritten({3, D}, Dtype::f32), mean = unwritten({3}, Dtype::f64), inv = twin(mean);
        cuda::layer_norm(mut_ref(y), mut_ref(mean), mut_ref(inv), ref(x), ref(none), ref(none), eps);
        for (int64_t r = 0; r < 3; ++r) {
          const float* row = v + r * D;
          const double n = static_cast<double>(D), is = mean.data<double>()[r], by = inv.data<double>()[r];
          double m = 0, deviation = 0, m2 = 0;
          for (int64_t c = 0; c < D; ++c) m += row[c];
          m /= n;
          for (int64_t c = 0; c < D; ++c) deviation += std::fabs(row[c] - m), m2 += (row[c] - m) * (row[c] - m);
          if (kind == equal) {
            CHECK(is == row[0]);
            CHECK(by == static_cast<double>(1 / std::sqrt(static_cast<float>(eps))));
            CHECK(y.data<float>()[r * D + D - 1] == 0);
            continue;
          }
          CHECK(std::fabs(is - m) <= 50 * u * deviation / n);
          const double spread = 1 / (by * by) - eps;  // by has the errors of a root and a quotient, too
          CHECK(std::fabs(spread - m2 / n) <= (100 + 4) * u * (m2 / n + eps));
        }
      }
  }

  TEST_CASE("an infinite gradient stays infinite in the sums, as on the CPU") {
    Tensor g = normal({40, 3}, Dtype::f32, 1);
    g.mut_data<float>()[0] = std::numeric_limits<float>::infinity();
    const Tensor x = normal({40, 3}, Dtype::f32, 2), mean = zeros({40}, Dtype::f64), inv = ones({40}, Dtype::f64), none;
    Tensor nothing, dw = unwritten({3}, Dtype::f32), db = twin(dw);
    cuda::layer_norm_backward(mut_ref(nothing), mut_ref(dw), mut_ref(db), ref(g), ref(x), ref(mean), ref(inv),
                              ref(none));
    CHECK(db.data<float>()[0] == std::numeric_limits<float>::infinity());
    CHECK(std::isinf(dw.data<float>()[0]));
    CHECK(std::isfinite(db.data<float>()[1]));
  }

  TEST_CASE("many rows: gradients of weight and bias in several pieces, the same under any schedule") {
    check_rows(4100, 3, Dtype::f32, false, true, true);
    const int64_t M = 2100, D = 20;
    const Tensor x = normal({M, D}, Dtype::f32, 1), g = normal({M, D}, Dtype::f32, 2), none;
    const Tensor mean = zeros({M}, Dtype::f64), inv = ones({M}, Dtype::f64);
    Tensor dw = unwritten({D}, Dtype::f32), db = twin(dw), first, nothing;
    cuda_emulator::for_each_schedule([&] {
      cuda::layer_norm_backward(mut_ref(nothing), mut_ref(dw), mut_ref(db), ref(g), ref(x), ref(mean), ref(inv),
                                ref(none));
      if (!first.defined()) first = twin(dw);
      CHECK(same_bits(dw, first));
    });
  }

  TEST_CASE("no rows: the gradients of weight and bias are zero") {
    const Tensor x = zeros({0, 5}), none, rows = zeros({0}, Dtype::f64);
    Tensor y = zeros({0, 5}), dw = unwritten({5}, Dtype::f32), db = twin(dw), mean = zeros({0}, Dtype::f64),
           inv = zeros({0}, Dtype::f64);
    cuda::layer_norm(mut_ref(y), mut_ref(mean), mut_ref(inv), ref(x), ref(none), ref(none), 1e-5);
    cuda::layer_norm_backward(mut_ref(y), mut_ref(dw), mut_ref(db), ref(x), ref(x), ref(rows), ref(rows), ref(none));
    CHECK(same_bits(dw, zeros({5})));
    CHECK(same_bits(db, zeros({5})));
  }
}
