// What leaves the CPU backend: its services and its kernels, of the best instruction set that this machine has.
#include "weft/backends/cpu/register.h"

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "weft/backends/cpu/packed_weights.h"
#include "weft/core/backend.h"
#include "weft/core/error.h"
#include "weft/core/kernels.h"

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

struct InstructionSet {
  const char* name;
  bool built;
  bool (*here)();
  void (*register_all)();
};

/// From the best to the plainest.
std::vector<InstructionSet> instruction_sets() {
  std::vector<InstructionSet> all;
#if defined(__x86_64__)
  __builtin_cpu_init();
  all.push_back({"v4", false,
                 [] {
                   return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512cd");
                 },
                 nullptr});
#if WEFT_HAVE_ISA_v4
  all.back().built = true;
  all.back().register_all = isa_v4::register_all;
#endif
  all.push_back(
      {"v3", false,
       [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"); },
       nullptr});
#if WEFT_HAVE_ISA_v3
  all.back().built = true;
  all.back().register_all = isa_v3::register_all;
#endif
#endif
  all.push_back({"base", false, [] { return true; }, nullptr});
#if WEFT_HAVE_ISA_base
  all.back().built = true;
  all.back().register_all = isa_base::register_all;
#endif
  return all;
}

std::string g_instruction_set;

/// The best that was built, that this machine has, and that WEFT_MAX_ISA allows.
void register_simd() {
  const std::vector<InstructionSet> all = instruction_sets();
  const char* named = std::getenv("WEFT_MAX_ISA");
  const std::string_view most = named ? named : "";
  bool allowed = most.empty();
  std::string names, built;
  for (const InstructionSet& s : all) {
    names += (names.empty() ? "" : ", ") + std::string(s.name);
    if (s.built) built += (built.empty() ? "" : ", ") + std::string(s.name);
    allowed = allowed || most == s.name;
  }
  WEFT_CHECK(allowed, ValueError, "WEFT_MAX_ISA: no instruction set '", most, "'; expected one of ", names);
  allowed = most.empty();
  for (const InstructionSet& s : all) {
    allowed = allowed || most == s.name;
    if (!allowed || !s.built || !s.here()) continue;
    g_instruction_set = s.name;
    return s.register_all();
  }
  raise<NotSupported>(
      "cpu: this build has kernels for ", built.empty() ? "no instruction set" : built,
      most.empty() ? "; this machine runs none of them" : str("; WEFT_MAX_ISA=", most, " allows none of them"),
      "; build with base in WEFT_ISAS");
}

}  // namespace

std::string instruction_set() {
  weft::detail::ensure_backends();
  return g_instruction_set;
}

}  // namespace cpu

void register_cpu_backend() {
  cpu::make_allocator();
  cpu::register_simd();
  cpu::register_chain_slot();
  cpu::register_conv_slots();
  cpu::register_gemm_slots();
  cpu::make_packed_weights();
  cpu::register_shape();
  cpu::register_index();
  cpu::register_sort();
  cpu::register_running();
  cpu::register_search();
  cpu::register_rnn_slots();
  cpu::register_linalg();
  cpu::register_services();
}

}  // namespace weft
