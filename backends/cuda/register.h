// The parts of the plugin that weft_register calls, one per family of kernels.
#pragma once

namespace weft::cuda {

/// Registers the backend; says what is missing, null when there is a card.
const char* register_services();

void register_unary_0();
void register_unary_1();
void register_binary_0();
void register_binary_1();
void register_ternary();
void register_copy();
void register_random();
void register_format();
void register_optim();
void register_shape();
void register_index();
void register_index_sums();
void register_sort();
void register_gemm();
void register_conv();
void register_reduce();
void register_scan();
void register_softmax();
void register_loss();
void register_norm();
void register_row_norm();
void register_weight();
void register_pool();
void register_resample();
void register_encoding();
void register_rnn();
void register_attention();
void register_attention_grad();

}  // namespace weft::cuda
