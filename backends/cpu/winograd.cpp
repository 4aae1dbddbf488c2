#include "weft/backends/cpu/winograd.h"

namespace weft::cpu::winograd {

Kernels kernels;

int64_t packed_size(const Problem& p) {
  // panels of 32 outputs; every instruction set reads the same size
  return 36 * p.kd * p.c * ((p.o + 31) / 32 * 32);
}

}  // namespace weft::cpu::winograd
