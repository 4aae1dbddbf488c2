// docs/coverage.md says which op has a kernel for which dtypes on which device. The kernel slots say so themselves: the
// page is printed from them and must equal what is there. `make coverage` writes it.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "support/test_data.h"
#include "support/throws.h"
#include "weft/core/backend.h"
#include "weft/core/kernels.h"

using namespace weft;

namespace {

// "all", "floating", "numeric but f16", ...: the nearest of the usual sets and what it lacks, or the dtypes one by one.
std::string words(DtypeSet d) {
  const std::pair<const char*, DtypeSet> usual[] = {
      {"floating", kFloatingDtypes}, {"wide", kWideDtypes}, {"numeric", kNumericDtypes}, {"all", kAllDtypes}};
  if (d.bits == 0) return "-";
  std::string list;
  for (int i = 0; i < kDtypes; ++i)
    if (d.has(static_cast<Dtype>(i))) list += (list.empty() ? "" : " ") + std::string(name(static_cast<Dtype>(i)));
  for (const auto& [word, set] : usual) {
    if (d.bits == set.bits) return word;
    std::string missing;
    int count = 0;
    for (int i = 0; i < kDtypes; ++i)
      if (set.has(static_cast<Dtype>(i)) && !d.has(static_cast<Dtype>(i))) {
        missing += (count++ ? ", " : "") + std::string(name(static_cast<Dtype>(i)));
      }
    if ((d & set).bits == d.bits && count == 1) return std::string(word) + " but " + missing;
  }
  return list;
}

bool has_cuda_kernels() {
  (void)has_backend(DeviceType::cuda);  // registers kernels even where there is no card
  for (const KernelSlot* slot : KernelSlot::all())
    if (slot->has(DeviceType::cuda)) return true;
  return false;
}

std::string row(const KernelSlot& slot, const std::string& cuda) {
  return str("| ", slot.name(), " | ", words(slot.dtypes(DeviceType::cpu)), " | ", cuda, " |\n");
}

std::string page() {
  std::ostringstream out;
  size_t cpu = 0, cuda = 0;
  std::string table;
  for (const KernelSlot* slot : KernelSlot::all()) {
    cpu += slot->has(DeviceType::cpu), cuda += slot->has(DeviceType::cuda);
    table += row(*slot, words(slot->dtypes(DeviceType::cuda)));
  }
  out << "# Coverage: op x device x dtype\n\n"
         "Written by `make coverage` from the kernel slots (`core/kernels.h`); a test compares it with them. A dash: "
         "no kernel, and the op\n"
         "says so when it is called (`NotSupported`). Ops that are made of others (most losses, einsum, "
         "attention without one) need no kernel\n"
         "of their own. floating: f32 f64 bf16 f16; wide: floating and i64 i32 u8 (ops compute i8, i16 and u16 in "
         "i32); "
         "numeric: wide and\n"
         "i8 i16 u16; all: numeric and bool. No CUDA kernel has run on a card yet: see [gpu.md](gpu.md).\n\n"
      << KernelSlot::all().size() << " kernels: " << cpu << " on the CPU, " << cuda
      << " on CUDA.\n\n"
         "| kernel | cpu | cuda |\n|---|---|---|\n"
      << table;
  return out.str();
}

// The lines of the table, without the CUDA column: what a build without the plugin can tell.
std::vector<std::string> cpu_rows(const std::string& text) {
  std::vector<std::string> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind("| ", 0) == 0) rows.push_back(line.substr(0, line.rfind(" | ")));
  return rows;
}

}  // namespace

TEST_SUITE("coverage") {
  TEST_CASE("docs/coverage.md is what the kernel slots say") {
    const bool cuda = has_cuda_kernels();
    const std::string now = page();
    if (const char* file = std::getenv("WEFT_WRITE_COVERAGE")) {
      REQUIRE_MESSAGE(cuda, "the page has a CUDA column: build with the CUDA toolkit");
      std::ofstream(file) << now;
    }
    std::ifstream file(weft::test::data_file("../docs/coverage.md"));
    REQUIRE_MESSAGE(file.good(), "there is no docs/coverage.md; make coverage");
    std::stringstream written;
    written << file.rdbuf();
    if (cuda) {
      const bool same = written.str() == now;
      CHECK_MESSAGE(same, "docs/coverage.md is not what the kernel slots say; make coverage");
    } else {
      MESSAGE("the CUDA column is not checked: ", support::message_of<DeviceError>([] { (void)Device("cuda"); }));
      CHECK_MESSAGE(cpu_rows(written.str()) == cpu_rows(now),
                    "docs/coverage.md is not what the kernel slots say; make coverage");
    }
  }
}
