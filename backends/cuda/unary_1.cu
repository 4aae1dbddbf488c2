#include "weft/backends/cuda/register.h"
#include "weft/backends/cuda/unary.cuh"

namespace weft::cuda {

void register_unary_1() { register_unary_part<1>(); }

}  // namespace weft::cuda
