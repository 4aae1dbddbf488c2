// Rounding to a number format has the CPU's bits, random ones included.
#include "weft/backends/cuda/format.cuh"
#include "cuda/against_cpu.h"
#include "weft/core/kernels/format.h"

namespace {

using namespace weft;
using namespace support;

constexpr Generator::State kFrom{0x123456789abcdefull, 0xfffffffeull};  // the counter's words carry soon

}  // namespace

TEST_SUITE("cuda format") {
  TEST_CASE("quantise has the CPU's bits: to nearest, stochastic, with given bits") {
    const fn::FpFormat formats[] = {
        {4, 3, 0, false}, {5, 2, 0, true}, {4, 3, 20, false}, {2, 0, 3, false}, {7, 22, 1, false}};
    for (const fn::FpFormat& f : formats)
      for (const Dtype d : kFloats)
        for (const int64_t n : {0, 1, 3, 31, 1025})
          for (const int64_t offset : {0, 1})
            for (const bool given : {false, true}) {
              CAPTURE(f.drop);
              CAPTURE(f.random);
              CAPTURE(d);
              CAPTURE(n);
              Generator generator(3);
              const Tensor x = randn({n + 1}, d, &generator).slice(0, offset, offset + n);
              const Tensor bits = given ? randint(0, 1 << 23, {n}, Dtype::i32, &generator) : Tensor();
              Tensor a = unwritten({n}, d), b = unwritten({n}, d);
              cuda::quantise(mut_ref(a), ref(x), ref(bits), f, kFrom);
              kernels::quantise(DeviceType::cpu, mut_ref(b), ref(x), ref(bits), f, kFrom);
              CHECK(same_bits(a, b));
            }
  }
}
