// The registering functions of the hot kernels; every instruction set has its own copy of each.
#pragma once

#include "weft/core/export.h"

namespace weft::cpu::WEFT_ISA {

void register_unary();
void register_binary();
void register_copy();
void register_reduce();
void register_scan();
void register_softmax();
void register_gemm();
void register_conv_direct();
void register_conv_few();
void register_winograd();
void register_winograd_streamed();
void register_norm();
void register_row_norm();
void register_weight();
void register_pool();
void register_resize();
void register_loss();
void register_optim();
void register_index();
void register_pad();
void register_fold();
void register_random();
void register_encoding();
void register_format();
void register_picture();
void register_rnn();

}  // namespace weft::cpu::WEFT_ISA
