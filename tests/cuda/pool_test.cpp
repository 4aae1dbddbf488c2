// Max pooling, resizing and average pooling: the CPU's bits, forward and back.
#include "weft/backends/cuda/pool.cuh"
#include "cuda/against_cpu.h"
#include "weft/backends/cuda/resample.cuh"

namespace {

using namespace weft;
using namespace support;

Tensor volume(int64_t N, int64_t C, const int64_t (&size)[3], Dtype d, uint64_t seed) {
  Tensor x = empty({N, C, size[0], size[1], size[2]}, d, MemoryFormat::channels_last);
  if (is_floating(d)) kernels::normal(DeviceType::cpu, mut_ref(x), Generator(seed).state(), 0.0, 1.0);
  else kernels::randint(DeviceType::cpu, mut_ref(x), Generator(seed).state(), int64_t{0}, uint64_t{9});  // ties
  return x;
}
Tensor room(int64_t N, int64_t C, const int64_t (&size)[3], Dtype d) {
  return unwritten({N, C, size[0], size[1], size[2]}, d, MemoryFormat::channels_last);
}

fn::PoolAxis window(int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  fn::PoolAxis a{.in = in, .kernel = kernel, .stride = stride, .pad_lo = pad, .pad_hi = pad, .dilation = dilation};
  a.out = (in + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  return a;
}
fn::PoolAxis adaptive(int64_t in, int64_t out) {
  fn::PoolAxis a{.in = in, .out = out, .adaptive = true};
  a.kernel = 0;
  for (int64_t o = 0; o < out; ++o) a.kernel = std::max(a.kernel, a.last(o));
  return a;
}
const fn::PoolGeometry kPools[] = {
    {{{}, {}, window(31, 3, 2, 1, 1)}},
    {{{}, window(9, 3, 2, 1, 1), window(12, 3, 2, 1, 1)}},
    {{{}, window(7, 2, 1, 0, 3), window(13, 3, 2, 1, 2)}},
    {{window(5, 2, 2, 1, 1), window(6, 3, 3, 0, 1), window(4, 1, 1, 0, 1)}},
    {{{}, adaptive(7, 3), adaptive(5, 8)}},
    {{window(4, 4, 1, 0, 1), window(9, 9, 1, 0, 1), window(9, 9, 1, 0, 1)}},  // 324 taps: not a byte
};

fn::SampleAxis resized(int64_t in, int64_t out, fn::Sampling s, bool corners) {
  return {.in = in,
          .out = out,
          .sampling = s,
          .align_corners = corners,
          .scale = corners ? (out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0)
                           : static_cast<double>(in) / static_cast<double>(out)};
}
fn::SampleAxis averaged(const fn::PoolAxis& p, bool count_include_pad, double divisor) {
  return {.in = p.in,
          .out = p.out,
          .sampling = fn::Sampling::average,
          .pool = p,
          .count_include_pad = count_include_pad,
          .divisor = divisor};
}

void check_resample(const fn::SampleGeometry& g, Dtype d, int64_t C) {
  CAPTURE(d);
  CAPTURE(C);
  int64_t in[3], out[3];
  for (int i = 0; i < 3; ++i) in[i] = g.axis[i].in, out[i] = g.axis[i].out;
  for (const bool adjoint : {false, true}) {
    if (adjoint && !is_floating(d)) continue;
    CAPTURE(adjoint);
    const Tensor x = volume(2, C, adjoint ? out : in, d, 1);
    Tensor a = room(2, C, adjoint ? in : out, d), b = twin(a);
    cuda::resample(mut_ref(a), ref(x), g, adjoint);
    kernels::resample(DeviceType::cpu, mut_ref(b), ref(x), g, adjoint);
    // the same numbers in the same order; -0 and 0 may differ
    CHECK(difference(a, b) == 0);
  }
}

}  // namespace

TEST_SUITE("cuda pool") {
  TEST_CASE("max pooling, its gradient, its gather and its indices have the CPU's bits") {
    for (const fn::PoolGeometry& p : kPools)
      for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32, Dtype::u8})
        for (const int64_t C : {1, 3, 16, 33}) {
          if (p.taps() > 300 && C > 3) continue;
          CAPTURE(d);
          CAPTURE(C);
          CAPTURE(p.axis[2].in);
          const int64_t in[3] = {p.axis[0].in, p.axis[1].in, p.axis[2].in},
                        out[3] = {p.axis[0].out, p.axis[1].out, p.axis[2].out};
          Tensor x = volume(2, C, in, d, 1);
          if (d == Dtype::f32) x.mut_data<float>()[7 * C] = std::numeric_limits<float>::quiet_NaN();
          const Dtype taps = p.taps() <= 256 ? Dtype::u8 : Dtype::i32;
          Tensor a = room(2, C, out, d), b = twin(a), ta = room(2, C, out, taps), tb = twin(ta);
          cuda::max_pool(mut_ref(a), mut_ref(ta), ref(x), p);
          kernels::max_pool(DeviceType::cpu, mut_ref(b), mut_ref(tb), ref(x), p);
          Tensor alone = empty_like(a);
          cuda::max_pool(mut_ref(alone), {}, ref(x), p);
          CHECK(same_bits(alone, a));
          kernels::max_pool(DeviceType::cpu, mut_ref(alone), {}, ref(x), p);
          CHECK(same_bits(alone, b));
          CHECK(same_bits(a, b));
          CHECK(same_bits(ta, tb));
          Tensor ia = room(2, C, out, Dtype::i64), ib = twin(ia);
          cuda::max_pool_indices(mut_ref(ia), ref(ta), p);
          kernels::max_pool_indices(DeviceType::cpu, mut_ref(ib), ref(ta), p);
          CHECK(same_bits(ia, ib));
          if (!is_floating(d)) continue;
          Tensor ga = room(2, C, out, d), gb = twin(ga);
          cuda::max_pool_gather(mut_ref(ga), ref(x), ref(ta), p);
          kernels::max_pool_gather(DeviceType::cpu, mut_ref(gb), ref(x), ref(ta), p);
          CHECK(same_bits(ga, gb));
          const Tensor g = volume(2, C, out, d, 2);
          Tensor da = room(2, C, in, d), db = twin(da);
          cuda::max_pool_scatter(mut_ref(da), ref(g), ref(ta), p);
          kernels::max_pool_scatter(DeviceType::cpu, mut_ref(db), ref(g), ref(ta), p);
          CHECK(same_bits(da, db));
        }
  }

  TEST_CASE("resizing and its adjoint agree with the CPU") {
    const Dtype dtypes[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::u8};
    using enum fn::Sampling;
    for (const fn::Sampling s : {nearest, nearest_exact, linear, cubic, linear_antialias, cubic_antialias})
      for (const bool corners : {false, true})
        for (const Dtype d : dtypes) {
          if (corners && (s == nearest || s == nearest_exact)) continue;
          check_resample(
              {{resized(1, 1, fn::Sampling::nearest, false), resized(7, 12, s, corners), resized(9, 4, s, corners)}}, d,
              3);
          check_resample({{resized(3, 5, s, corners), resized(5, 3, s, corners), resized(1, 4, s, corners)}}, d, 5);
        }
    // enough outputs for packs of channels
    for (const Dtype d : {Dtype::f32, Dtype::bf16})
      check_resample({{resized(1, 1, fn::Sampling::nearest, false), resized(20, 33, fn::Sampling::linear, false),
                       resized(21, 40, fn::Sampling::linear, false)}},
                     d, 32);
  }

  TEST_CASE("average pooling and its adjoint agree with the CPU") {
    for (const fn::PoolGeometry& p : kPools)
      for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16})
        for (const double divisor : {0.0, 3.0})
          for (const bool pad : {false, true})
            check_resample({{averaged(p.axis[0], pad, 0), averaged(p.axis[1], pad, 0),
                             averaged(p.axis[2], pad, p.axis[2].adaptive ? 0 : divisor)}},
                           d, 4);
  }

  TEST_CASE("averages over huge windows are summed in pieces, as the CPU's") {
    for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16})
      for (const int64_t n : {511, 512, 513, 1300}) {
        CAPTURE(n);
        check_resample({{averaged({}, true, 0), averaged(window(2, 2, 1, 0, 1), true, 0),
                         averaged(window(n, n, 1, 0, 1), true, 0)}},
                       d, 3);
        check_resample({{averaged(window(n, n, 1, 0, 1), true, 0), averaged({}, true, 0),
                         averaged(window(3, 3, 1, 0, 1), true, 0)}},
                       d, 3);
      }
    check_resample({{averaged(window(32, 32, 1, 0, 1), true, 0), averaged(window(32, 32, 1, 0, 1), true, 0),
                     averaged(window(600, 600, 1, 0, 1), true, 0)}},
                   Dtype::f32, 1);
  }

  TEST_CASE("nothing to pool") {
    const fn::PoolGeometry p{{{}, {}, window(4, 2, 2, 0, 1)}};
    const int64_t in[3] = {1, 1, 4}, out[3] = {1, 1, 2};
    const int64_t before = cuda_emulator::launches();
    const Tensor x = volume(0, 3, in, Dtype::f32, 1);
    Tensor y = room(0, 3, out, Dtype::f32), taps = room(0, 3, out, Dtype::u8);
    cuda::max_pool(mut_ref(y), mut_ref(taps), ref(x), p);
    cuda::resample(mut_ref(y), ref(x), {}, false);
    CHECK(cuda_emulator::launches() == before);
  }
}
