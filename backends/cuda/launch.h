// How kernels are started, and what host and device code may ask of the card. Kernel headers (*.cuh) know CUDA through
// this file alone: nvcc compiles them for the card, the host compiler over an emulation of a block's threads for the
// tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "weft/core/fn/integer.h"

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#include "weft/backends/cuda/services.h"

/// Shared memory of a block, in kernels: WEFT_SHARED(sums, float[32]); WEFT_DYN_SHARED(float, tile).
#define WEFT_SHARED(name, ...) __shared__ std::type_identity_t<__VA_ARGS__> name
#define WEFT_DYN_SHARED(T, name)                                  \
  extern __shared__ __align__(128) unsigned char weft_dynamic_[]; \
  T* name = reinterpret_cast<T*>(weft_dynamic_)

namespace weft::cuda {

/// In the emulation: fails where a P may not lie.
template <class P> __device__ void check_aligned(const void*) {}

/// Starts a kernel on the calling thread's current stream; `arguments`: where each of them lies. In launch.cu: what
/// needs no types of the kernel's is compiled once.
void start_kernel(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, void** arguments);

/// The same, with arguments that are converted to the kernel's parameter types.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, A&&... a) {
  const auto start = [&](P... values) {
    void* at[] = {&values..., nullptr};
    start_kernel(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, at);
  };
  start(static_cast<P>(std::forward<A>(a))...);
}

}  // namespace weft::cuda

#else
#include WEFT_CUDA_EMULATOR  // a test names its stand-in for the card
#endif

namespace weft::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;
/// Threads of a block unless a kernel has a reason.
inline constexpr int kBlock = 256;

using fn::ceil_div;

/// Blocks for a loop over n items, `per_block` at a time, that strides by the grid: enough to fill the card several
/// times.
inline unsigned grid_for(int64_t n, int64_t per_block = kBlock) {
  const int64_t wanted = ceil_div(n, per_block), most = int64_t{multiprocessors()} * 16;
  return static_cast<unsigned>(wanted < 1 ? 1 : (wanted < most ? wanted : most));
}

}  // namespace weft::cuda
