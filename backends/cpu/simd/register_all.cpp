#include "weft/backends/cpu/simd/register.h"

namespace weft::cpu::WEFT_ISA {

void register_all();
void register_all() {
  register_unary();
  register_binary();
  register_copy();
  register_reduce();
  register_scan();
  register_softmax();
  register_gemm();
  register_conv_direct();
  register_conv_few();
  register_winograd();
  register_winograd_streamed();
  register_norm();
  register_row_norm();
  register_weight();
  register_pool();
  register_resize();
  register_loss();
  register_optim();
  register_index();
  register_pad();
  register_fold();
  register_random();
  register_encoding();
  register_format();
  register_picture();
  register_rnn();
}

}  // namespace weft::cpu::WEFT_ISA
