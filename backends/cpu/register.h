// The registering functions of the CPU backend's parts, called once by register.cpp.
#pragma once

namespace weft::cpu {

void register_conv_slots();  ///< convolutions
void register_gemm_slots();  ///< matrix products
void register_services();    ///< memory, copies, threads
void register_shape();       ///< cat, triangles
void register_index();       ///< nonzero, one_hot
void register_sort();
void register_rnn_slots();  ///< recurrent layers

}  // namespace weft::cpu
