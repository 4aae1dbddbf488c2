// The registering functions of the CPU backend's parts, called once by register.cpp.
#pragma once

namespace weft::cpu {

void register_gemm_slots();  ///< matrix products
void register_services();  ///< memory, copies, threads

}  // namespace weft::cpu
