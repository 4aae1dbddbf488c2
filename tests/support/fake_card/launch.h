// Kernels on cards that are made up: put into the current stream, and run thread by thread when its turn comes. For
// kernels whose threads do not meet; the others have the emulation (support/cuda_emulator.h).
#pragma once

#include <cstdlib>
#include <tuple>
#include <utility>

#include "support/fake_card/cuda_runtime.h"
#include "weft/backends/cuda/services.h"

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __grid_constant__

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned vx = 1, unsigned vy = 1, unsigned vz = 1) : x(vx), y(vy), z(vz) {}
};
inline dim3 threadIdx{0, 0, 0};
inline const dim3 blockIdx{0, 0, 0}, gridDim;
inline dim3 blockDim;

namespace weft::cuda {

/// One block, along one axis.
template <class... P, class... A> void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t, A&&... a) {
  if (grid.x != 1) std::abort();
  fake_card::launch(static_cast<cudaStream_t>(stream()),
                    [kernel, block, values = std::tuple<P...>(static_cast<P>(std::forward<A>(a))...)] {
                      blockDim = block;
                      for (threadIdx.x = 0; threadIdx.x < block.x; ++threadIdx.x) std::apply(kernel, values);
                    });
}

}  // namespace weft::cuda
