// Which instruction set weft's own kernels run with. The choice is made once in a process, so that each is seen by one
// of its own.
#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>

#include "support/throws.h"
#include "weft/backends/cpu/register.h"
#include "weft/core/error.h"

using namespace weft;
using support::message_of;

namespace {

/// What a process that starts with this WEFT_MAX_ISA says of its instruction set.
std::string said(const std::string& most) {
  const std::string self = std::filesystem::canonical("/proc/self/exe").string();
  const std::string command = "WEFT_MAX_ISA='" + most + "' '" + self + "' -tc='an instruction set is chosen' 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char buffer[512];
  while (fgets(buffer, sizeof buffer, pipe)) text += buffer;
  const int status = pclose(pipe);
  INFO(text);
  CHECK(WIFEXITED(status));
  const size_t at = text.find("isa: [");
  REQUIRE(at != std::string::npos);
  return text.substr(at + 6, text.find("]\n", at) - at - 6);
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
