// Residual encoding against the CPU's kernels.
#include "weft/backends/cuda/encoding.cuh"
#include "cuda/against_cpu.h"
#include "weft/core/kernels/encoding.h"

namespace {

using namespace weft;
using namespace support;

Tensor numbers(const Shape& s, Dtype d, uint64_t seed, double mean = 0) {
  Tensor x = empty(s, d);
  kernels::normal(DeviceType::cpu, mut_ref(x), Generator(seed).state(), mean, 1.0);
  return x;
}

struct Encoded {
  Tensor y, x_grad, codewords_grad, scale_grad;
};

void check_encoding(int64_t B, int64_t N, int64_t D, int64_t K, Dtype d, bool planes = false) {
  CAPTURE(B);
  CAPTURE(N);
  CAPTURE(D);
  CAPTURE(K);
  CAPTURE(d);
  const Dtype c = compute_dtype(d);
  const Tensor x = planes ? numbers({B, D, N}, d, 1, 3).transpose(1, 2) : numbers({B, N, D}, d, 1, 3),
               codewords = numbers({K, D}, c, 2, 3), g = numbers({B, K, D}, d, 4);
  const Tensor scale = full({K}, -0.5 / static_cast<double>(D), c);
  const auto run = [&](bool emulated) {
    Encoded r{unwritten({B, K, D}, d), empty_like(x), unwritten({K, D}, c), unwritten({K}, c)};
    const auto forward = emulated ? cuda::encode : kernels::encode.get(DeviceType::cpu);
    const auto backward = emulated ? cuda::encode_backward : kernels::encode_backward.get(DeviceType::cpu);
    forward(mut_ref(r.y), ref(x), ref(codewords), ref(scale));
    backward(mut_ref(r.x_grad), mut_ref(r.codewords_grad), mut_ref(r.scale_grad), ref(g), ref(x), ref(codewords),
             ref(scale));
    return r;
  };
  const Encoded a = run(true), b = run(false);
  // f32 sums over D and N in different orders; a scale gradient adds N K products of size D
  const double t = d == Dtype::f64 ? 1e-12 : 2e-5, rounding = is_half(d) ? epsilon(d) : 0,
               many = std::sqrt(static_cast<double>(B * N));
  CHECK(difference(a.y, b.y, many) <= t + rounding);
  CHECK(difference(a.x_grad, b.x_grad) <= t + rounding);
  CHECK(difference(a.codewords_grad, b.codewords_grad, many) <= t);
  CHECK(difference(a.scale_grad, b.scale_grad, many * static_cast<double>(D)) <= t);
}

}  // namespace

TEST_SUITE("cuda encoding") {
  TEST_CASE("agrees with the CPU at awkward sizes") {
    for (const Dtype d : kFloats)
      for (const int64_t N : {1, 31, 33, 70})
        for (const int64_t K : {1, 3, 33})
          for (const int64_t D : {1, 17, 33}) check_encoding(2, N, D, K, d, N % 2 == 0);
    check_encoding(1, 40, 65, 140, Dtype::f64);  // assignments in scratch memory
    check_encoding(3, 33, 40, 5, Dtype::f32, true);
  }

  TEST_CASE("several pieces, the same under any schedule") {
    const Tensor x = numbers({300, 3, 2}, Dtype::f32, 1), codewords = numbers({4, 2}, Dtype::f32, 2),
                 scale = full({4}, -0.5), g = numbers({300, 4, 2}, Dtype::f32, 3);
    check_encoding(1, 1025, 3, 4, Dtype::f32);
    Tensor none, grad = unwritten({4, 2}, Dtype::f32), scale_grad = unwritten({4}, Dtype::f32), first;
    cuda_emulator::for_each_schedule([&] {
      cuda::encode_backward(mut_ref(none), mut_ref(grad), mut_ref(scale_grad), ref(g), ref(x), ref(codewords),
                            ref(scale));
      if (!first.defined()) first = twin(grad);
      CHECK(same_bits(grad, first));
    });
    cuda::encode_backward(mut_ref(none), mut_ref(none), mut_ref(scale_grad), ref(g), ref(x), ref(codewords),
                          ref(scale));
  }
}
