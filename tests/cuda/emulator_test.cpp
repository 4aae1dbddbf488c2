// The emulation itself: that correct kernels come out right in every order, and that each kind of mistake is found.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "support/sanitizers.h"
#include "support/throws.h"
#include "weft/backends/cuda/packs.cuh"

namespace {

using namespace weft::cuda;
using cuda_emulator::for_each_schedule;

std::string mistake_of(auto&& f) { return support::message_of<cuda_emulator::Error>(f); }
bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

/// What a child process writes to stderr while it runs f. For sanitizers, which end a process.
std::string report_of(auto&& f) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  std::fflush(nullptr);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], 2);
    close(ends[0]);
    f();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return (WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : "died: ") + text;
}

// ---- Kernels without a mistake.

__global__ void numbers_kernel(int* out) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z),
                 block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += static_cast<int>(block * 1000 + thread);
}

/// Reverses each block's part twice through shared memory; `barriers` false leaves the barriers out.
__global__ void reverse_kernel(float* out, const float* in, bool barriers) {
  WEFT_SHARED(first, float[256]);
  WEFT_DYN_SHARED(float, second);
  const unsigned t = threadIdx.x, n = blockDim.x, i = blockIdx.x * n + t;
  first[t] = in[i];
  if (barriers) __syncthreads();
  second[t] = first[n - 1 - t];
  if (barriers) __syncthreads();
  out[i] = second[n - 1 - t] + 1;
}

struct WarpResults {
  int up, down, exclusive_or, broadcast, group, ballot, votes, any, all;
};
__global__ void warp_kernel(WarpResults* out) {
  const int t = static_cast<int>(threadIdx.x), l = t % 32;
  WarpResults r;
  r.up = __shfl_up_sync(kAllLanes, t, 3);
  r.down = __shfl_down_sync(kAllLanes, t, 5, 8);
  r.exclusive_or = __shfl_xor_sync(kAllLanes, t, 9, 16);
  r.broadcast = __shfl_sync(kAllLanes, t, 2, 4);
  r.group = l < 16 ? __shfl_xor_sync(0x0000ffffu, t, 15) : __shfl_sync(0xffff0000u, t, 20);
  __syncwarp();
  r.ballot = static_cast<int>(__ballot_sync(kAllLanes, t % 3 == 0));
  r.any = __any_sync(kAllLanes, t == 40) * 2 + __all_sync(kAllLanes, t < 64);
  r.votes = __syncthreads_count(t % 5 == 0);
  r.all = __syncthreads_or(t == 7) * 4 + __syncthreads_or(0) * 2 + __syncthreads_and(t >= 0);
  out[t] = r;
}

__global__ void atomics_kernel(int* i, unsigned* u, unsigned long long* w, float* f) {
  const int t = static_cast<int>(threadIdx.x + blockIdx.x * blockDim.x);
  atomicAdd(i, t);
  atomicMax(i + 1, t);
  atomicMin(i + 2, -t);
  atomicCAS(i + 3, 0, t + 1);
  atomicAdd(u, 1);
  atomicOr(u + 1, 1u << (t % 7));
  atomicAdd(w, 1ull << 33);
  atomicAdd(f, 0.5f);
}

/// The block that comes last adds up what all wrote.
__global__ void last_block_kernel(int* total, int* parts, unsigned* arrived) {
  WEFT_SHARED(last, bool);
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = static_cast<int>(blockIdx.x) + 1;
    __threadfence();
    last = atomicAdd(arrived, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x) return;
  __threadfence();
  for (unsigned b = 0; b < gridDim.x; ++b) *total += parts[b];
}

// ---- Mistakes.

__global__ void half_a_warp_kernel(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(kAllLanes, x[threadIdx.x], 1);
}
__global__ void two_shuffles_kernel(float* x) {
  if (threadIdx.x % 2) x[threadIdx.x] = __shfl_xor_sync(kAllLanes, 1.f, 1);
  else x[threadIdx.x] = __shfl_xor_sync(kAllLanes, 2.f, 1);
}
__global__ void masks_kernel(float* x) { x[threadIdx.x] = __shfl_xor_sync(threadIdx.x ? kAllLanes : 0xffffu, 1.f, 1); }
__global__ void foreign_lane_kernel(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_sync(0xffffu, 1.f, 20);
}
__global__ void not_in_mask_kernel(float* x) { x[threadIdx.x] = __shfl_sync(0xfffeu, 1.f, 1); }
__global__ void some_at_barrier_kernel(float* x) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  x[threadIdx.x] = 0;
}
__global__ void two_barriers_kernel(float* x) {
  if (threadIdx.x < 32) {
    __syncthreads();
    x[0] = 1;
  } else {
    __syncthreads();
    x[1] = 1;
  }
}
__global__ void too_much_shared_kernel(float* x) {
  WEFT_SHARED(a, float[8 << 10]);
  WEFT_SHARED(b, float[8 << 10]);
  a[threadIdx.x] = b[threadIdx.x] = *x;
}
__global__ void shared_overrun_kernel(float* out, unsigned at) {
  WEFT_SHARED(a, float[32]);
  float* p = a;
  if (threadIdx.x == 0) p[at] = 1;
  __syncthreads();
  out[threadIdx.x] = a[threadIdx.x];
}
__global__ void copy_pack_kernel(float* y, const float* x) { store(y, 0, load<4>(x, 0)); }
__global__ void write_kernel(float* out, int64_t at) {
  if (threadIdx.x == 0) out[at] = 1;
}
__global__ void unwritten_kernel(float* out) {
  WEFT_SHARED(a, float[32]);
  if (threadIdx.x < 31) a[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = a[threadIdx.x];
}
__global__ void same_place_kernel(float* out) { *out = static_cast<float>(blockIdx.x); }

/// The numbers 0, 1, ..., and what a kernel makes of them.
std::vector<float> reversed_twice(bool barriers) {
  std::vector<float> in(3 * 256), out(in.size());
  std::iota(in.begin(), in.end(), 0.f);
  launch(reverse_kernel, 3, 256, 256 * sizeof(float), out.data(), in.data(), barriers);
  return out;
}
int wrong_of(const std::vector<float>& out) {
  int wrong = 0;
  for (size_t i = 0; i < out.size(); ++i) wrong += out[i] != static_cast<float>(i) + 1;
  return wrong;
}

}  // namespace

TEST_SUITE_BEGIN("cuda emulator");

TEST_CASE("every thread of every block runs once") {
  for_each_schedule([] {
    std::vector<int> out(2 * 3 * 2 * 30, 0), expected(out.size());
    launch(numbers_kernel, dim3(2, 3, 2), dim3(5, 3, 2), 0, out.data());
    for (size_t i = 0; i < out.size(); ++i) expected[i] = static_cast<int>(i / 30 * 1000 + i % 30);
    CHECK(out == expected);
  });
}

TEST_CASE("barriers and shared memory") {
  for_each_schedule([] { CHECK(wrong_of(reversed_twice(true)) == 0); });
}

TEST_CASE("warp operations, with widths and masks") {
  for_each_schedule([] {
    std::vector<WarpResults> out(64);
    launch(warp_kernel, 1, 64, 0, out.data());
    for (int t = 0; t < 64; ++t) {
      CAPTURE(t);
      const int l = t % 32;
      const WarpResults& r = out[static_cast<size_t>(t)];
      CHECK(r.up == (l >= 3 ? t - 3 : t));
      CHECK(r.down == (t % 8 + 5 < 8 ? t + 5 : t));
      CHECK(r.exclusive_or == (t ^ 9));
      CHECK(r.broadcast == t / 4 * 4 + 2);
      CHECK(r.group == (l < 16 ? (t ^ 15) : t / 32 * 32 + 20));
      unsigned thirds = 0;
      for (int k = 0; k < 32; ++k) thirds |= static_cast<unsigned>((t / 32 * 32 + k) % 3 == 0) << k;
      CHECK(static_cast<unsigned>(r.ballot) == thirds);
      CHECK(r.any == (t >= 32 ? 3 : 1));
      CHECK(r.votes == 13);
      CHECK(r.all == 5);
    }
  });
}

TEST_CASE("atomics") {
  for_each_schedule([] {
    int i[4] = {0, -1, 1, 0};
    unsigned u[2] = {};
    unsigned long long w = 0;
    float f = 0;
    launch(atomics_kernel, 3, 100, 0, i, u, &w, &f);
    CHECK(i[0] == 299 * 300 / 2);
    CHECK(i[1] == 299);
    CHECK(i[2] == -299);
    CHECK(i[3] != 0);
    CHECK(u[0] == 300);
    CHECK(u[1] == 0x7f);
    CHECK(w == 300ull << 33);
    CHECK(f == 150);
  });
}

TEST_CASE("a block sees through a fence what others wrote") {
  for_each_schedule([] {
    std::vector<int> parts(20, 0);
    int total = 0;
    unsigned arrived = 0;
    launch(last_block_kernel, 20, 64, 0, &total, parts.data(), &arrived);
    CHECK(total == 210);
  });
}

TEST_CASE("a divergent shuffle is found") {
  std::vector<float> x(64, 0.f);
  for_each_schedule([&] {
    const std::string text = mistake_of([&] { launch(half_a_warp_kernel, 1, 32, 0, x.data()); });
    CHECK(has(text, "16 threads at __shfl_xor_sync (emulator_test.cpp:"));
    CHECK(has(text, "16 threads exited (first: 16)"));
    CHECK(has(mistake_of([&] { launch(two_shuffles_kernel, 1, 32, 0, x.data()); }), "different operations"));
    CHECK(has(mistake_of([&] { launch(masks_kernel, 1, 32, 0, x.data()); }), "lanes give different masks"));
    CHECK(has(mistake_of([&] { launch(foreign_lane_kernel, 1, 32, 0, x.data()); }),
              "reads a lane that is not in the mask"));
    CHECK(has(mistake_of([&] { launch(not_in_mask_kernel, 1, 32, 0, x.data()); }), "not in its mask"));
    CHECK(has(mistake_of([&] { launch(masks_kernel, 1, 48, 0, x.data()); }), "mask"));
  });
}

TEST_CASE("a barrier that some threads do not reach is found") {
  std::vector<float> x(64, 0.f);
  for_each_schedule([&] {
    const std::string text = mistake_of([&] { launch(some_at_barrier_kernel, 2, 64, 0, x.data()); });
    CHECK(has(text, "40 threads at __syncthreads (emulator_test.cpp:"));
    CHECK(has(text, "24 threads exited (first: 40)"));
    CHECK(has(mistake_of([&] { launch(two_barriers_kernel, 1, 64, 0, x.data()); }), "different barriers: 32 threads"));
  });
  // and the machine is as good as new
  CHECK(wrong_of(reversed_twice(true)) == 0);
}

TEST_CASE("a missing barrier is found") {
#if defined(WEFT_WITH_TSAN)
  const std::string text = report_of([] { reversed_twice(false); });
  CHECK(has(text, "data race"));
  CHECK(has(text, "reverse_kernel"));
  // two blocks that write one element
  CHECK(has(report_of([] {
              float x = 0;
              launch(same_place_kernel, 2, 32, 0, &x);
            }),
            "data race"));
#else
  int wrong = 0;
  for_each_schedule([&] { wrong += wrong_of(reversed_twice(false)) > 0; });
  CHECK(wrong == 4);  // in every order
  // two blocks that write one element: its value depends on the order
  float first = -1, second = -1;
  launch(same_place_kernel, 2, 32, 0, &first);
  cuda_emulator::set_schedule({cuda_emulator::Order::reverse});
  launch(same_place_kernel, 2, 32, 0, &second);
  cuda_emulator::set_schedule({});
  CHECK(first != second);
#endif
}

TEST_CASE("memory that nobody wrote is NaN, in every block") {
  std::vector<float> out(32);
  for (int blocks : {1, 3}) {
    launch(unwritten_kernel, blocks, 32, 0, out.data());
    CHECK(out[30] == 1);
    CHECK(out[31] != out[31]);
  }
  const Scratch scratch(4 * sizeof(double));
  for (int i = 0; i < 4; ++i) CHECK(scratch.as<double>()[i] != scratch.as<double>()[i]);
}

TEST_CASE("overruns are found") {
  std::vector<float> out(32);
#if defined(WEFT_WITH_ASAN)
  CHECK(has(report_of([&] { launch(shared_overrun_kernel, 1, 32, 0, out.data(), 32); }), "heap-buffer-overflow"));
  const std::string text = report_of([&] { launch(write_kernel, 1, 32, 0, out.data(), 32); });
  CHECK(has(text, "heap-buffer-overflow"));
  CHECK(has(text, "write_kernel"));
  CHECK(has(report_of([] {
              const Scratch scratch(12);
              launch(write_kernel, 1, 32, 0, scratch.as<float>(), 3);
            }),
            "heap-buffer-overflow"));
#else
  CHECK(has(mistake_of([&] { launch(shared_overrun_kernel, 1, 32, 0, out.data(), 32); }), "past the end of shared"));
  CHECK(has(mistake_of([] {
              const Scratch scratch(12);
              launch(write_kernel, 1, 32, 0, scratch.as<float>(), 3);
            }),
            "past the end of scratch"));
#endif
  launch(shared_overrun_kernel, 1, 32, 0, out.data(), 31);
  CHECK(out[31] == 1);
}

TEST_CASE("a pack that lies where no pack can is found") {
  alignas(16) float x[8] = {};
  CHECK(has(mistake_of([&] { launch(copy_pack_kernel, 1, 1, 0, x + 4, x + 1); }), "no multiple of its size"));
  CHECK(has(mistake_of([&] { launch(copy_pack_kernel, 1, 1, 0, x + 2, x); }), "no multiple of its size"));
  CHECK(mistake_of([&] { launch(copy_pack_kernel, 1, 1, 0, x + 4, x); }) == "");
}

TEST_CASE("limits of a launch") {
  std::vector<float> x(1, 0.f);
  const auto with = [&](dim3 grid, dim3 block, size_t shared) {
    return mistake_of([&] { launch(write_kernel, grid, block, shared, x.data(), 0); });
  };
  CHECK(has(with(1, 1025, 0), "block of (1025, 1, 1)"));
  CHECK(has(with(1, dim3(1, 1, 65), 0), "block of"));
  CHECK(has(with(1, 0, 0), "block of"));
  CHECK(has(with(0, 32, 0), "grid of (0, 1, 1)"));
  CHECK(has(with(dim3(1, 65536), 32, 0), "grid of"));
  CHECK(has(with(1, 32, (99 << 10) + 1), "shared memory"));
  CHECK(with(1, 1024, 99 << 10) == "");
  CHECK(has(mistake_of([&] { launch(too_much_shared_kernel, 1, 32, 0, x.data()); }), "too much"));
}

TEST_SUITE_END();
