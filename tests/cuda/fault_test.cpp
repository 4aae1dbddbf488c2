// How kernels report what they must not follow, and what the host makes of it.
#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <string>

#include "weft/backends/cuda/fault.cuh"

namespace {

using namespace weft::cuda;
using cuda_emulator::for_each_schedule;

__global__ void fault_kernel(Fault* f, int32_t site) {
  if (threadIdx.x % 10 == 9) report_fault(f, site, threadIdx.x, 9);
}

Fault g_seen;

}  // namespace

TEST_SUITE_BEGIN("cuda fault");

TEST_CASE("a fault is told once") {
  CHECK_FALSE(cuda_emulator::take_fault().has_value());
  const int32_t site = fault_site("gather", 1);
  CHECK(site > 0);
  CHECK(fault_site("gather", 1) == site);
  CHECK(fault_site("gather", 2) != site);
  launch(fault_kernel, 2, 64, 0, fault(), site);
  const auto seen = cuda_emulator::take_fault();
  REQUIRE(seen.has_value());
  CHECK(seen->op == "gather");
  CHECK(seen->dim == 1);
  CHECK(seen->index == 9);
  CHECK(seen->size == 9);
  CHECK_FALSE(cuda_emulator::take_fault().has_value());
}

TEST_CASE("a fault is published when all of it is written, and by one thread") {
  for_each_schedule([] {
    *fault() = g_seen = {};
    cuda_emulator::on_system_fence([] {
      Fault& f = *fault();
      g_seen.claimed = std::atomic_ref(f.claimed), g_seen.published = std::atomic_ref(f.published);
      g_seen.index = f.index, g_seen.size = f.size;
    });
    launch(fault_kernel, 2, 64, 0, fault(), fault_site("gather", 1));
    cuda_emulator::on_system_fence(nullptr);
    CHECK(g_seen.claimed == 1);
    CHECK(g_seen.published == 0);  // the host would not have looked at it
    CHECK(g_seen.size == 9);
    CHECK(g_seen.index % 10 == 9);
    const auto seen = cuda_emulator::take_fault();
    REQUIRE(seen.has_value());
    CHECK(seen->index == g_seen.index);
    CHECK_FALSE(cuda_emulator::take_fault().has_value());
  });
}

TEST_CASE("the host leaves a fault alone that a kernel is still writing") {
  Fault f;
  f.claimed = 1, f.site = 3;
  CHECK_FALSE(take_fault(f).has_value());
  CHECK(f.claimed == 1);
  f.index = 5, f.size = 4, f.published = 1;
  const std::optional<Fault> seen = take_fault(f);
  REQUIRE(seen.has_value());
  CHECK((seen->site == 3 && seen->index == 5 && seen->size == 4));
  CHECK((f.claimed == 0 && f.published == 0));
}

TEST_CASE("a fault says its op's words, or the index") {
  FaultPlaces places;
  const int32_t div = places.number("div", "integer division by zero", 0), gather = places.number("gather", "", 1);
  CHECK(places.number("div", "integer division by zero", 0) == div);
  CHECK(div != gather);
  const auto text = [&](int32_t site) {
    Fault f;
    f.index = 7, f.size = 5;
    try {
      places[site].raise(f, 2);
    } catch (const weft::ValueError& e) { return std::string(e.what()); }
  };
  CHECK(text(div).rfind("div: integer division by zero (on cuda:2; ", 0) == 0);
  CHECK(text(gather).rfind("gather: index 7 is out of range for dimension 1 of size 5 (on cuda:2; ", 0) == 0);
}

TEST_SUITE_END();
