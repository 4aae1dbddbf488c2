#include "weft/backends/cuda/launch.h"

namespace weft::cuda {

// Every card has 99 KB of shared memory for a block, static one included, and gives more than these when asked.
constexpr size_t kSharedByDefault = size_t{48} << 10;

void start_kernel(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, void** arguments) {
  if (shared_bytes > kSharedByDefault)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
          "cudaFuncSetAttribute");
  check_launch(cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, static_cast<cudaStream_t>(stream())),
               kernel);
}

}  // namespace weft::cuda
