// Random fills have the CPU's bits, at any size and alignment.
#include "weft/backends/cuda/random.cuh"
#include "cuda/against_cpu.h"

namespace {

using namespace weft;
using namespace support;

constexpr Generator::State kFrom{0x123456789abcdefull, 0xfffffffeull};  // the counter's words carry soon

/// Runs `emulated` and `cpu` on outputs of n elements that begin `offset` elements into their memory.
template <class E, class C> bool same_fill(Dtype d, int64_t n, int64_t offset, const E& emulated, const C& cpu) {
  Tensor a = unwritten({n + offset + 3}, d), b = twin(a);
  Tensor ya = a.slice(0, offset, offset + n), yb = b.slice(0, offset, offset + n);
  emulated(mut_ref(ya));
  cpu(mut_ref(yb));
  return same_bits(a, b);  // what lies before and behind stays
}

template <class E, class C> void check_fill(std::initializer_list<Dtype> dtypes, const E& emulated, const C& cpu) {
  for (const Dtype d : dtypes)
    for (const int64_t n : {0, 1, 2, 3, 4, 5, 31, 33, 1023, 1025, 70001})
      for (const int64_t offset : {0, 1}) {
        CAPTURE(d);
        CAPTURE(n);
        CAPTURE(offset);
        CHECK(same_fill(d, n, offset, emulated, cpu));
      }
}

}  // namespace

TEST_SUITE("cuda random") {
  TEST_CASE("uniform has the CPU's bits") {
    check_fill(
        {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16},
        [](const MutTensorRef& y) { cuda::uniform(y, kFrom, -1.5, 2.25); },
        [](const MutTensorRef& y) { kernels::uniform(DeviceType::cpu, y, kFrom, -1.5, 2.25); });
  }

  TEST_CASE("normal has the CPU's bits") {
    check_fill(
        {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16},
        [](const MutTensorRef& y) { cuda::normal(y, kFrom, 0.5, 3); },
        [](const MutTensorRef& y) { kernels::normal(DeviceType::cpu, y, kFrom, 0.5, 3.0); });
  }

  TEST_CASE("randint has the CPU's bits: 32-bit and 64-bit ranges, all of 2^64") {
    struct Range {
      int64_t low;
      uint64_t range;
    };
    for (const Range r : {Range{-7, 19}, Range{0, uint64_t{1} << 32}, Range{-5, (uint64_t{1} << 40) + 1},
                          Range{std::numeric_limits<int64_t>::min(), 0}}) {
      CAPTURE(r.range);
      check_fill(
          {Dtype::i64, Dtype::i32, Dtype::u8, Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::boolean,
           Dtype::i8, Dtype::i16, Dtype::u16},
          [&](const MutTensorRef& y) { cuda::randint(y, kFrom, r.low, r.range); },
          [&](const MutTensorRef& y) { kernels::randint(DeviceType::cpu, y, kFrom, r.low, r.range); });
    }
  }

  TEST_CASE("bernoulli has the CPU's bits, never and always included") {
    for (const double p : {0.0, 0.3, 1.0}) {
      CAPTURE(p);
      check_fill(
          {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32, Dtype::u8, Dtype::boolean,
           Dtype::i8, Dtype::i16, Dtype::u16},
          [&](const MutTensorRef& y) { cuda::bernoulli(y, kFrom, p); },
          [&](const MutTensorRef& y) { kernels::bernoulli(DeviceType::cpu, y, kFrom, p); });
    }
  }

  TEST_CASE("dropout has the CPU's bits") {
    for (const double keep : {0.0, 0.75, 1.0})
      for (const Dtype d : kFloats)
        for (const int64_t n : {0, 1, 3, 1025})
          for (const int64_t offset : {0, 1}) {
            CAPTURE(keep);
            CAPTURE(d);
            CAPTURE(n);
            Generator generator(3);
            const Tensor x = randn({n + 1}, d, &generator).slice(0, offset, offset + n);
            Tensor a = unwritten({n}, d), b = unwritten({n}, d);
            cuda::dropout(mut_ref(a), ref(x), kFrom, keep, 1.25);
            kernels::dropout(DeviceType::cpu, mut_ref(b), ref(x), kFrom, keep, 1.25);
            CHECK(same_bits(a, b));
          }
  }
}
