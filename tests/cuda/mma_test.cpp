// Tensor-core products, their loads and asynchronous copies: layouts beside plain products, and mistakes that are found.
#include <doctest/doctest.h>

#include <bit>
#include <string>
#include <vector>

#include "support/same_bits.h"
#include "support/throws.h"
#include "weft/backends/cuda/mma.cuh"

namespace {

using namespace weft;
using namespace weft::cuda;
using cuda_emulator::for_each_schedule;

std::string mistake_of(auto&& f) { return support::message_of<cuda_emulator::Error>(f); }
bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

template <class T> std::vector<T> numbers(int64_t n, uint64_t seed) {
  const std::vector<float> v = support::sample({n}, Dtype::f32, seed).to_vector<float>();
  return std::vector<T>(v.begin(), v.end());
}
/// c + a [16, K] b [K, 8], row-major. Numbers of `numbers` have no rounding in it.
template <class T> std::vector<float> product(const std::vector<T>& a, const std::vector<T>& b, std::vector<float> c) {
  const size_t depth = b.size() / 8;
  for (size_t i = 0; i < 16; ++i)
    for (size_t j = 0; j < 8; ++j)
      for (size_t k = 0; k < depth; ++k)
        c[i * 8 + j] += static_cast<float>(a[i * depth + k]) * static_cast<float>(b[k * 8 + j]);
  return c;
}

/// What ldmatrix reads a row of.
struct alignas(16) Rows {
  uint16_t halves[8];
};

template <class T> __device__ uint32_t pair_of(T low, T high) { return low.bits | uint32_t{high.bits} << 16; }

/// As the figures of the PTX ISA have it; `swapped`: with two registers of a in each other's place.
template <class T> __global__ void halves_kernel(float* c, const T* a, const T* b, bool swapped) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  uint32_t left[4], right[2];
  float sums[4];
  for (int i = 0; i < 4; ++i) {
    const int j = swapped && (i == 1 || i == 2) ? 3 - i : i;
    const T* at = a + (g + j % 2 * 8) * 16 + 2 * t + j / 2 * 8;
    left[i] = pair_of(at[0], at[1]);
    sums[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  }
  for (int i = 0; i < 2; ++i) right[i] = pair_of(b[(2 * t + i * 8) * 8 + g], b[(2 * t + i * 8 + 1) * 8 + g]);
  mma_16x8x16<T>(sums, left, right);
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

/// The same by ldmatrix: a and b row-major in shared memory.
template <class T> __global__ void loaded_kernel(float* c, const T* a, const T* b) {
  WEFT_DYN_SHARED(T, shared);
  for (int i = static_cast<int>(threadIdx.x); i < 256; i += kWarp) shared[i] = a[i];
  for (int i = static_cast<int>(threadIdx.x); i < 128; i += kWarp) shared[256 + i] = b[i];
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  uint32_t left[4], right[2];
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  ldmatrix(left, shared + lane % 16 * 16 + lane / 16 * 8);
  ldmatrix<true>(right, shared + 256 + lane % 16 * 8);
  mma_16x8x16<T>(sums, left, right);
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

__global__ void tf32_kernel(float* c, const float* a, const float* b) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  uint32_t left[4], right[2];
  float sums[4];
  for (int i = 0; i < 4; ++i) {
    left[i] = std::bit_cast<uint32_t>(a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
    sums[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  }
  for (int i = 0; i < 2; ++i) right[i] = std::bit_cast<uint32_t>(b[(t + i * 4) * 8 + g]);
  mma_16x8x8_tf32(sums, left, right);
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

/// out[lane][i] of N matrices [8, 8] of 16 bits that lie one behind the other.
template <int N, bool Transposed> __global__ void load_kernel(uint32_t* out, const uint16_t* in) {
  WEFT_SHARED(shared, Rows[32]);
  auto* const numbers = reinterpret_cast<uint16_t*>(shared);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < N * 64; i += kWarp) numbers[i] = in[i];
  __syncwarp();
  uint32_t r[N];
  ldmatrix<Transposed>(r, lane < 8 * N ? numbers + lane * 8 : nullptr);
  for (int i = 0; i < N; ++i) out[lane * N + i] = r[i];
}
template <int N, bool Transposed> void check_load() {
  CAPTURE(N);
  CAPTURE(Transposed);
  std::vector<uint16_t> in(N * 64);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<uint16_t>(i * 7 + 1);
  std::vector<uint32_t> out(32 * N);
  launch(load_kernel<N, Transposed>, 1, 32, 0, out.data(), in.data());
  int wrong = 0;
  for (size_t lane = 0; lane < 32; ++lane)
    for (size_t i = 0; i < N; ++i)
      for (size_t h = 0; h < 2; ++h) {
        const size_t row = lane / 4, column = lane % 4 * 2 + h;
        const uint32_t expected = in[i * 64 + (Transposed ? column * 8 + row : row * 8 + column)];
        wrong += (out[lane * N + i] >> 16 * h & 0xffffu) != expected;
      }
  CHECK(wrong == 0);
}

enum class Flaw { none, early, few_stages, no_commit, no_barrier };
/// Sums of tiles of 64 numbers by 64 threads that read each other's, with three stages.
template <Flaw F> __global__ void staged_kernel(float* out, const float* in, int tiles, int numbers) {
  constexpr int kStages = F == Flaw::few_stages ? 2 : 3;
  WEFT_SHARED(stage, float[kStages][64]);
  const int t = static_cast<int>(threadIdx.x);
  const auto start = [&](int tile) {
    const int left = numbers - tile * 64 - t * 4;
    if (tile < tiles && t < 16)
      copy_async<16>(&stage[tile % kStages][t * 4], in + (left > 0 ? tile * 64 + t * 4 : 0),
                     left >= 4  ? 16
                     : left > 0 ? left * 4
                                : 0);
    if (F != Flaw::no_commit) commit_copies();
  };
  start(0);
  start(1);
  float sum = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    wait_for_copies<F == Flaw::early ? 2 : 1>();
    if (F != Flaw::no_barrier) __syncthreads();
    start(tile + 2);
    sum += stage[tile % kStages][63 - t];
  }
  wait_for_copies<0>();
  out[t] = sum;
}
template <Flaw F> bool staged(int numbers) {
  const int tiles = (numbers + 63) / 64;
  std::vector<float> in(static_cast<size_t>(numbers)), out(64), expected(64, 0.f);
  for (size_t i = 0; i < in.size(); ++i) {
    in[i] = static_cast<float>(i);
    expected[63 - i % 64] += in[i];
  }
  launch(staged_kernel<F>, 1, 64, 0, out.data(), in.data(), tiles, numbers);
  return out == expected;
}

enum class Misuse { row_address, row_memory, copy_address, copy_memory, copy_given, not_waited, some_lanes };
__global__ void misuse_kernel(Misuse what, const float* in, float* out) {
  WEFT_SHARED(shared, Rows[32]);
  auto* const bytes = reinterpret_cast<char*>(shared);
  uint32_t r[1], a[4] = {}, b[2] = {};
  float d[4] = {};
  if (what == Misuse::row_address) ldmatrix(r, bytes + 8);
  if (what == Misuse::row_memory) ldmatrix(r, in);
  if (what == Misuse::copy_address) copy_async<16>(bytes, in + 1);
  if (what == Misuse::copy_memory) copy_async<16>(out, in);
  if (what == Misuse::copy_given) copy_async<8>(bytes, in, 9);
  if (what == Misuse::not_waited) copy_async<4>(bytes + 4 * threadIdx.x, in);
  if (what == Misuse::some_lanes && threadIdx.x < 8) mma_16x8x8_tf32(d, a, b);
}

}  // namespace

TEST_SUITE("cuda mma") {
  TEST_CASE("products of halves") {
    const auto check = [&]<class T>(T) {
      const std::vector<T> a = numbers<T>(256, 1), b = numbers<T>(128, 2);
      const std::vector<float> c = numbers<float>(128, 3), expected = product(a, b, c);
      std::vector<float> plain = c, loaded = c, swapped = c;
      launch(halves_kernel<T>, 1, 32, 0, plain.data(), a.data(), b.data(), false);
      CHECK(plain == expected);
      launch(loaded_kernel<T>, 1, 32, 384 * sizeof(T), loaded.data(), a.data(), b.data());
      CHECK(loaded == expected);
      launch(halves_kernel<T>, 1, 32, 0, swapped.data(), a.data(), b.data(), true);
      CHECK(swapped != expected);
    };
    for_each_schedule([&] {
      check(bf16(0));
      check(f16(0));
    });
  }

  TEST_CASE("products of TF32 numbers, whose last 13 bits are not read") {
    for_each_schedule([] {
      std::vector<float> a = numbers<float>(128, 1), b = numbers<float>(64, 2);
      const std::vector<float> c = numbers<float>(128, 3), expected = product(a, b, c);
      std::vector<float> sums = c;
      launch(tf32_kernel, 1, 32, 0, sums.data(), a.data(), b.data());
      CHECK(sums == expected);
      for (float& v : a) v = std::bit_cast<float>(std::bit_cast<uint32_t>(v) | (v != 0 ? 0x1fffu : 0u));
      sums = c;
      launch(tf32_kernel, 1, 32, 0, sums.data(), a.data(), b.data());
      CHECK(sums == expected);
    });
  }

  TEST_CASE("rounding to TF32") {
    const auto rounded = [](float v) { return std::bit_cast<float>(to_tf32(std::bit_cast<uint32_t>(v))); };
    CHECK(rounded(1 + 0x1p-10f) == 1 + 0x1p-10f);
    CHECK(rounded(1 + 0x1p-11f) == 1 + 0x1p-10f);  // a half goes away from 0
    CHECK(rounded(-1 - 0x1p-11f) == -1 - 0x1p-10f);
    CHECK(rounded(1 + 0x1.ffp-12f) == 1);
    CHECK(rounded(INFINITY) == INFINITY);
    CHECK(std::isnan(rounded(NAN)));
  }

  TEST_CASE("ldmatrix of one, two and four matrices, plain and transposed") {
    for_each_schedule([] {
      check_load<1, false>();
      check_load<1, true>();
      check_load<2, false>();
      check_load<2, true>();
      check_load<4, false>();
      check_load<4, true>();
    });
  }

  TEST_CASE("asynchronous copies in three stages, the last one in part") {
    for_each_schedule([] {
      for (const int numbers : {1, 64, 67, 130, 639, 640}) CHECK(staged<Flaw::none>(numbers));
    });
  }

#if !defined(WEFT_WITH_TSAN)  // it would end the program
  TEST_CASE("too early a wait, too few stages, a missing commit and a missing barrier are found") {
    for_each_schedule([] {
      CHECK_FALSE(staged<Flaw::early>(640));
      CHECK_FALSE(staged<Flaw::no_barrier>(640));
      CHECK_FALSE(staged<Flaw::few_stages>(640));
      CHECK(has(mistake_of([] { (void)staged<Flaw::no_commit>(640); }), "before its copies have arrived"));
    });
  }
#endif

  TEST_CASE("operands that the card does not take are found") {
    alignas(16) float in[8] = {}, out[8];
    const auto text = [&](Misuse what) { return mistake_of([&] { launch(misuse_kernel, 1, 32, 0, what, in, out); }); };
    CHECK(has(text(Misuse::row_address), "ldmatrix (mma.cuh:0): the address of a row is not a multiple of 16"));
    CHECK(has(text(Misuse::row_memory), "a row is not in shared memory"));
    CHECK(has(text(Misuse::copy_address), "cp.async (mma.cuh:0): an address is not a multiple of the size"));
    CHECK(has(text(Misuse::copy_memory), "the destination is not in shared memory"));
    CHECK(has(text(Misuse::copy_given), "more bytes are given than the copy has"));
    CHECK(has(text(Misuse::not_waited), "the thread ends before its copies have arrived"));
    CHECK(has(text(Misuse::some_lanes), "8 threads at mma"));
  }
}
