#include "weft/backends/cuda/upload.cuh"

#include "weft/backends/cuda/runtime.h"
#include "weft/backends/cuda/transfer.h"

namespace weft::cuda {

Upload::Upload(const void* host, size_t bytes) : memory_(bytes) {
  if (bytes <= CarriedBytes::kMost || capture_of(static_cast<cudaStream_t>(stream()))) carry(memory_.as(), host, bytes);
  else upload_bytes(memory_.as(), host, bytes);
}

}  // namespace weft::cuda
