#include "weft/backends/cuda/binary.cuh"
#include "weft/backends/cuda/register.h"

namespace weft::cuda {

void register_binary_1() { register_binary_part<1>(); }

}  // namespace weft::cuda
