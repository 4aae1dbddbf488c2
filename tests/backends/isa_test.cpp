// Which instruction set weft's own kernels run with. The choice is made once in a process, so that each is seen by one
// of its own.
#include <doctest/doctest.h>

#include <iostream>
#include <string>

#include "support/child.h"
#include "support/throws.h"
#include "weft/backends/cpu/register.h"
#include "weft/core/error.h"

using namespace weft;
using support::message_of;

namespace {

/// What a process that starts with this WEFT_MAX_ISA says of its instruction set.
std::string said(const std::string& most) {
  return support::said_by_process("WEFT_MAX_ISA='" + most + "'", "an instruction set is chosen", "isa", false);
}

}  // namespace

TEST_SUITE("isa") {
  TEST_CASE("an instruction set is chosen") {
    std::string chosen, why = message_of<Error>([&] { chosen = cpu::instruction_set(); });
    std::cout << "isa: [" << chosen << why << "]\n";
    CHECK((chosen == "v4" || chosen == "v3" || chosen == "base" || !why.empty()));
  }

  TEST_CASE("WEFT_MAX_ISA bounds the instruction set") {
    const std::string best = said("");
    CHECK(said("v4") == best);
    const std::string v3 = said("v3"), base = said("base");
    // Builds may leave out some.
    const std::string none = "cpu: this build has kernels for ",
                      rest = " allows none of them; build with base in WEFT_ISAS";
    CHECK((v3 == "v3" || v3 == "base" || (v3.starts_with(none) && v3.ends_with("WEFT_MAX_ISA=v3" + rest))));
    CHECK((base == "base" || (base.starts_with(none) && base.ends_with("WEFT_MAX_ISA=base" + rest))));
    if (best == "v3") CHECK(v3 == "v3");
  }

  TEST_CASE("an unknown name is an error") {
    for (const char* wrong : {"v5", "avx2", "V3", "v3 "}) {
      const std::string why = said(wrong);
      CHECK(why.starts_with("WEFT_MAX_ISA: no instruction set '" + std::string(wrong) + "'; expected one of "));
      CHECK(why.ends_with("base"));
    }
  }
}
