#include "weft/backends/cuda/register.h"
#include "weft/backends/cuda/unary.cuh"

namespace weft::cuda {

void register_unary_0() { register_unary_part<0>(); }

}  // namespace weft::cuda
