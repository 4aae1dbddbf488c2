// The CUDA backend's host code, compiled for cards that are made up.
#include "weft/backends/cuda/errors.cu"
#include "weft/backends/cuda/memory.cu"
#include "weft/backends/cuda/services.cu"
#include "weft/backends/cuda/transfer.cu"
