#include "weft/backends/cuda/launch.h"

namespace weft::cuda {

void start_kernel(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes, void** arguments) {
  check_launch(cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, static_cast<cudaStream_t>(stream())),
               kernel);
}

}  // namespace weft::cuda
