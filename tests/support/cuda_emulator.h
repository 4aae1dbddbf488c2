// Runs kernels of the CUDA backend on the CPU: what backends/cuda/launch.h and services.h promise kernel headers,
// without CUDA. One fiber per thread of a block, one block after the other, on one OS thread and in an order that is
// the same every time. It proves kernels and is never a backend.
//
// Found here, as an Error that says who waits where: barriers and warp operations that some threads never reach or that
// differ among them, masks that differ, shuffles from lanes outside the mask, launches and shared memory beyond the
// limits, operands of asynchronous copies and of ldmatrix that are not aligned or not in shared memory, copies that
// nobody waits for. A warp runs as far as it can before the next one starts, so a missing barrier gives wrong results
// in some order; all memory starts as NaN. An asynchronous copy fills its destination with NaN when it starts and reads
// its source when it is waited for: the card may do either at any time between. Under the address sanitizer every
// overrun is found at its line (elsewhere writes past the end of shared and scratch memory are), under the thread
// sanitizer every race, also between blocks.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/backends/cuda/fault.h"
#include "weft/backends/cuda/services.h"

// ---- CUDA's words. Shared memory has macros of its own (below): plain __shared__ is not known and does not compile.
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned vx = 1, unsigned vy = 1, unsigned vz = 1) : x(vx), y(vy), z(vz) {}
};
struct uint3 {
  unsigned x, y, z;
};

// ---- What tests ask of the emulation.
namespace cuda_emulator {

/// A kernel that does what no kernel may do.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// In which order warps, their lanes and blocks run. Shuffled: another order at every turn, from `seed`.
enum class Order { forward, reverse, shuffled };
struct Schedule {
  Order order = Order::forward;
  uint64_t seed = 1;
};
/// That of the following launches.
void set_schedule(Schedule s);

/// Calls f() under several schedules, ends with the usual one.
template <class F> void for_each_schedule(F&& f) {
  struct Restore {
    ~Restore() { set_schedule({}); }
  } restore;
  for (const Schedule s :
       {Schedule{}, Schedule{Order::reverse, 1}, Schedule{Order::shuffled, 1}, Schedule{Order::shuffled, 2}}) {
    set_schedule(s);
    f();
  }
}

/// What kernels have reported through weft::cuda::fault() since the last call.
struct TakenFault {
  std::string op, what;
  int64_t dim, index, size;
};
std::optional<TakenFault> take_fault();
/// Called by a thread that comes to a system-wide fence: what the host could see just then. Null: nothing.
void on_system_fence(void (*look)());

/// Launches since the start of the program.
int64_t launches();

// ---- What the words below are made of.

/// A place in a kernel where threads wait for each other.
struct Site {
  const char* operation;
  const char* file;
  int line;
};

const uint3& thread_index();
const uint3& block_index();
const dim3& block_size();
const dim3& grid_size();
unsigned lane();
[[noreturn]] void fail(const char* what, const Site& at);

/// Waits for all threads of the block; the number of those with `predicate`.
int block_barrier(bool predicate, const Site& at);
/// Waits for the lanes of `mask`; what each of them brought.
struct Lanes {
  uint64_t value[32];
};
/// `together` is called once, when all have come, before any goes on.
Lanes exchange(unsigned mask, uint64_t value, const Site& at, void (*together)(const Lanes&) = nullptr);
/// The block's variable of this name: all threads get the same memory. `name` null: the launch's dynamic memory.
void* shared_memory(const void* name, size_t bytes);

unsigned thread_number();
/// These bytes are the block's shared memory.
bool is_shared(const void* p, size_t bytes);

// What backends/cuda/mma.cuh is made of where there is no card; see there.
inline constexpr Site kMma{"mma", "mma.cuh", 0}, kLdmatrix{"ldmatrix", "mma.cuh", 0},
    kCpAsync{"cp.async", "mma.cuh", 0};
/// Element type of the operands of a product.
enum class MmaType : uint8_t { bf16, f16, tf32 };
void mma(MmaType type, float* d, const uint32_t* a, const uint32_t* b);
void ldmatrix(uint32_t* to, int matrices, bool transposed, const void* row);
void start_copy(void* to, const void* from, int bytes, int given);
void commit_copies();
void wait_for_copies(int most_groups);
/// Of the calling thread, when it begins and when it ends.
void forget_copies();
bool copies_under_way();

/// Starts a kernel: body(arguments) for every thread.
void run(dim3 grid, dim3 block, size_t shared_bytes, void (*body)(void*), void* arguments);

/// The value that lane `from` brought; the caller's own unless `valid`.
template <class T> T shuffle(unsigned mask, T v, unsigned from, bool valid, const Site& at) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "shuffles move 4 or 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &v, sizeof v);
  const Lanes all = exchange(mask, bits, at);
  if (!valid) return v;
  if (from > 31 || !(mask >> from & 1)) fail("reads a lane that is not in the mask", at);
  T r;
  std::memcpy(&r, &all.value[from], sizeof r);
  return r;
}
inline unsigned ballot(unsigned mask, bool predicate, const Site& at) {
  const Lanes all = exchange(mask, predicate, at);
  unsigned r = 0;
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1) r |= static_cast<unsigned>(all.value[i]) << i;
  return r;
}

/// Reads, changes and writes at once: fibers are never interrupted, but races with plain accesses must show.
template <class T, class F> T atomic_update(T* p, F&& change) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  auto* at = reinterpret_cast<Bits*>(p);
  Bits old = __atomic_load_n(at, __ATOMIC_RELAXED);
  T before;
  std::memcpy(&before, &old, sizeof before);
  const T after = change(before);
  Bits bits;
  std::memcpy(&bits, &after, sizeof bits);
  __atomic_store_n(at, bits, __ATOMIC_RELAXED);
  return before;
}
void fence();
void system_fence();

}  // namespace cuda_emulator

#define threadIdx (::cuda_emulator::thread_index())
#define blockIdx (::cuda_emulator::block_index())
#define blockDim (::cuda_emulator::block_size())
#define gridDim (::cuda_emulator::grid_size())
#define warpSize 32

/// Fresh for every block: its own allocation, full of NaN.
#define WEFT_SHARED(name, ...)                                   \
  static const char weft_shared_##name = 0;                      \
  auto& name = *static_cast<std::type_identity_t<__VA_ARGS__>*>( \
      ::cuda_emulator::shared_memory(&weft_shared_##name, sizeof(std::type_identity_t<__VA_ARGS__>)))
#define WEFT_DYN_SHARED(T, name) T* name = static_cast<T*>(::cuda_emulator::shared_memory(nullptr, 0))

// Where an operation stands in the kernel: the default argument is evaluated there.
#define WEFT_SITE(operation) const ::cuda_emulator::Site& at = {operation, __builtin_FILE(), __builtin_LINE()}

// ---- Barriers and warp operations.
inline void __syncthreads(WEFT_SITE("__syncthreads")) { cuda_emulator::block_barrier(false, at); }
inline int __syncthreads_count(int p, WEFT_SITE("__syncthreads_count")) {
  return cuda_emulator::block_barrier(p != 0, at);
}
inline int __syncthreads_or(int p, WEFT_SITE("__syncthreads_or")) {
  return cuda_emulator::block_barrier(p != 0, at) != 0;
}
inline int __syncthreads_and(int p, WEFT_SITE("__syncthreads_and")) {
  return cuda_emulator::block_barrier(p == 0, at) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, WEFT_SITE("__syncwarp")) { cuda_emulator::exchange(mask, 0, at); }

template <class T> T __shfl_sync(unsigned mask, T v, int from, int width = 32, WEFT_SITE("__shfl_sync")) {
  const unsigned l = cuda_emulator::lane(), w = static_cast<unsigned>(width);
  return cuda_emulator::shuffle(mask, v, l / w * w + static_cast<unsigned>(from) % w, true, at);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32, WEFT_SITE("__shfl_up_sync")) {
  const unsigned l = cuda_emulator::lane(), w = static_cast<unsigned>(width);
  return cuda_emulator::shuffle(mask, v, l - by, l % w >= by, at);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32, WEFT_SITE("__shfl_down_sync")) {
  const unsigned l = cuda_emulator::lane(), w = static_cast<unsigned>(width);
  return cuda_emulator::shuffle(mask, v, l + by, l % w + by < w, at);
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, WEFT_SITE("__shfl_xor_sync")) {
  const unsigned l = cuda_emulator::lane(), w = static_cast<unsigned>(width), from = l ^ static_cast<unsigned>(bits);
  return cuda_emulator::shuffle(mask, v, from, from / w <= l / w, at);  // a group may read those before it
}
inline unsigned __ballot_sync(unsigned mask, int p, WEFT_SITE("__ballot_sync")) {
  return cuda_emulator::ballot(mask, p != 0, at);
}
inline int __any_sync(unsigned mask, int p, WEFT_SITE("__any_sync")) {
  return cuda_emulator::ballot(mask, p != 0, at) != 0;
}
inline int __all_sync(unsigned mask, int p, WEFT_SITE("__all_sync")) {
  return cuda_emulator::ballot(mask, p != 0, at) == mask;
}
#undef WEFT_SITE

inline void __threadfence() { cuda_emulator::fence(); }
inline void __threadfence_system() { cuda_emulator::system_fence(); }
inline void __threadfence_block() { cuda_emulator::fence(); }

// ---- Atomics, for the types that the card has.
namespace cuda_emulator {
template <class T, class... U>
concept OneOf = (std::is_same_v<T, U> || ...);
using Wide = unsigned long long;
}  // namespace cuda_emulator
template <class T>
requires cuda_emulator::OneOf<T, int, unsigned, cuda_emulator::Wide, float, double> T
atomicAdd(T* p, std::type_identity_t<T> v) {
  return cuda_emulator::atomic_update(p, [v](T o) { return static_cast<T>(o + v); });
}
template <class T>
requires cuda_emulator::OneOf<T, int, unsigned> T atomicSub(T* p, std::type_identity_t<T> v) {
  return cuda_emulator::atomic_update(p, [v](T o) { return static_cast<T>(o - v); });
}
template <class T>
requires cuda_emulator::OneOf<T, int, unsigned, cuda_emulator::Wide, long long> T atomicMax(T* p,
                                                                                            std::type_identity_t<T> v) {
  return cuda_emulator::atomic_update(p, [v](T o) { return o > v ? o : v; });
}
template <class T>
requires cuda_emulator::OneOf<T, int, unsigned, cuda_emulator::Wide, long long> T atomicMin(T* p,
                                                                                            std::type_identity_t<T> v) {
  return cuda_emulator::atomic_update(p, [v](T o) { return o < v ? o : v; });
}
template <class T>
requires cuda_emulator::OneOf<T, int, unsigned, cuda_emulator::Wide> T atomicOr(T* p, std::type_identity_t<T> v) {
  return cuda_emulator::atomic_update(p, [v](T o) { return o | v; });
}
template <class T>
requires cuda_emulator::OneOf<T, int, unsigned, cuda_emulator::Wide> T atomicAnd(T* p, std::type_identity_t<T> v) {
  return cuda_emulator::atomic_update(p, [v](T o) { return o & v; });
}
template <class T>
requires cuda_emulator::OneOf<T, int, unsigned, cuda_emulator::Wide, float> T atomicExch(T* p,
                                                                                         std::type_identity_t<T> v) {
  return cuda_emulator::atomic_update(p, [v](T) { return v; });
}
template <class T>
requires cuda_emulator::OneOf<T, int, unsigned, cuda_emulator::Wide> T atomicCAS(T* p, std::type_identity_t<T> expected,
                                                                                 std::type_identity_t<T> v) {
  return cuda_emulator::atomic_update(p, [=](T o) { return o == expected ? v : o; });
}

// ---- Single instructions.
template <class T> T __ldg(const T* p) { return *p; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((uint64_t{a} * b) >> 32); }

// ---- The host's side.
namespace weft::cuda {

/// A card ends a kernel that reads or writes P where none can lie; here the sanitizers say nothing of it.
template <class P> void check_aligned(const void* at) {
  if (reinterpret_cast<uintptr_t>(at) % alignof(P) != 0)
    cuda_emulator::fail("is at an address that is no multiple of its size", {"a pack", "", 0});
}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, A&&... a) {
  static_assert((std::is_trivially_copyable_v<P> && ...), "a kernel's arguments are copied as bytes");
  static_assert((size_t{0} + ... + sizeof(P)) <= 4096, "a kernel's arguments take at most 4 KB");
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;
  } call{kernel, std::tuple<P...>(static_cast<P>(std::forward<A>(a))...)};
  cuda_emulator::run(
      grid, block, shared_bytes,
      [](void* p) {
        const Call& c = *static_cast<const Call*>(p);
        std::apply(c.kernel, c.arguments);
      },
      &call);
}

}  // namespace weft::cuda
