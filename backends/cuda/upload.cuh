// Host bytes onto the device as a kernel's parameters: a graph that is captured keeps them, and nothing is staged.
#pragma once

#include <cstring>

#include "weft/backends/cuda/launch.h"

namespace weft::cuda {

/// What one launch carries.
struct CarriedBytes {
  static constexpr size_t kMost = 3840;  // all parameters of a kernel: 4 KB
  uint32_t word[kMost / 4];
};

/// A template: as a function it would have to be defined once.
template <int = 0>
__global__ void __launch_bounds__(kBlock)
    carry_kernel(unsigned char* to, const __grid_constant__ CarriedBytes from, uint32_t bytes) {
  const uint32_t words = bytes / 4;
  for (uint32_t i = threadIdx.x; i < words; i += kBlock) reinterpret_cast<uint32_t*>(to)[i] = from.word[i];
  const uint32_t last = words * 4 + threadIdx.x;
  if (last < bytes) to[last] = static_cast<unsigned char>(from.word[words] >> (8 * threadIdx.x));
}

/// `to` is aligned to 4 bytes.
inline void carry(void* to, const void* host, size_t bytes) {
  for (size_t at = 0; at < bytes; at += CarriedBytes::kMost) {
    const size_t n = bytes - at < CarriedBytes::kMost ? bytes - at : CarriedBytes::kMost;
    CarriedBytes c{};
    std::memcpy(c.word, static_cast<const char*>(host) + at, n);
    launch(carry_kernel<>, 1, kBlock, 0, static_cast<unsigned char*>(to) + at, c, static_cast<uint32_t>(n));
  }
}

}  // namespace weft::cuda
