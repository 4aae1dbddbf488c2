#include "weft/backends/cuda/binary.cuh"
#include "weft/backends/cuda/register.h"

namespace weft::cuda {

void register_binary_0() { register_binary_part<0>(); }

}  // namespace weft::cuda
