// The CUDA backend's host code, compiled for cards that are made up.
#undef WEFT_CUDA_EMULATOR
#define WEFT_CUDA_EMULATOR "support/fake_card/launch.h"
#include "weft/backends/cuda/device_graph.cu"
#include "weft/backends/cuda/errors.cu"
#include "weft/backends/cuda/memory.cu"
#include "weft/backends/cuda/services.cu"
#include "weft/backends/cuda/transfer.cu"
#include "weft/backends/cuda/upload.cu"
