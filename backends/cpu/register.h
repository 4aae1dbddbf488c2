// The registering functions of the CPU backend's parts, called once by register.cpp.
#pragma once

#include <string>

#include "weft/core/export.h"

namespace weft::cpu {

void register_chain_slot();  ///< chains of elementwise calls
void register_conv_slots();  ///< convolutions
void register_gemm_slots();  ///< matrix products
void make_allocator();       ///< of host memory; before all that holds a lock while it allocates
void register_services();    ///< memory, copies, threads; last, for from then on other threads use the backend
void register_shape();       ///< cat, triangles
void register_index();       ///< nonzero, one_hot, refuse_any
void register_sort();
void register_running();  ///< running statistics
void register_search();
void register_rnn_slots();  ///< recurrent layers
void register_linalg();     ///< linear algebra

/// The instruction set that weft's own kernels run with: "v4" (AVX-512), "v3" (AVX2) or "base". The environment's
/// WEFT_MAX_ISA bounds it, as ONEDNN_MAX_CPU_ISA and OPENBLAS_CORETYPE bound theirs. ValueError for an unknown name,
/// NotSupported where nothing is left.
WEFT_API std::string instruction_set();

}  // namespace weft::cpu
