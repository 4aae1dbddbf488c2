// What leaves the CPU backend: its services and its kernels, of the best instruction set that this machine has.
#include "weft/backends/cpu/register.h"

#include "weft/core/backend.h"

namespace weft {
namespace cpu {

#if WEFT_HAVE_ISA_base
namespace isa_base {
void register_all();
}
#endif
#if WEFT_HAVE_ISA_v3
namespace isa_v3 {
void register_all();
}
#endif
#if WEFT_HAVE_ISA_v4
namespace isa_v4 {
void register_all();
}
#endif

namespace {

void register_simd() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#if WEFT_HAVE_ISA_v4
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"))
    return isa_v4::register_all();
#endif
#if WEFT_HAVE_ISA_v3
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return isa_v3::register_all();
#endif
#endif
#if WEFT_HAVE_ISA_base
  isa_base::register_all();
#endif
}

}  // namespace
}  // namespace cpu

void register_cpu_backend() {
  cpu::register_simd();
  cpu::register_conv_slots();
  cpu::register_gemm_slots();
  cpu::register_services();
  cpu::register_shape();
  cpu::register_index();
  cpu::register_sort();
  cpu::register_rnn_slots();
}

}  // namespace weft
