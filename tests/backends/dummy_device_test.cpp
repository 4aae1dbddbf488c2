// A device from outside: a backend that counts its calls and lends the CPU's kernels. What it needs is what any backend needs:
// the services of core/backend.h and its kernels in the slots.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>

#include "support/ops.h"
#include "weft/autograd/engine.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

using namespace weft;

namespace {

class CountingBackend final : public Backend {
 public:
  int device_count() const override { return 1; }
  std::string info(int) const override { return "counts and lends the CPU's kernels"; }
  void* allocate(size_t bytes, int) override {
    ++allocations;
    return std::aligned_alloc(64, (bytes + 64) / 64 * 64);
  }
  void deallocate(void* p, size_t, int) noexcept override {
    ++deallocations;
    std::free(p);
  }
  void copy(void* dst, Device, const void* src, Device, size_t bytes, bool) override {
    ++copies;
    std::memcpy(dst, src, bytes);
  }
  void synchronize(int) override {}
  MemoryStats memory_stats(int) const override { return {}; }
  void reset_peak_memory_stats(int) override {}
  void empty_cache(int) override {}
  void set_memory_limit(size_t, int) override {}

  int allocations = 0, deallocations = 0, copies = 0;
};

CountingBackend& counting() {
  static CountingBackend* b = [] {
    auto* made = new CountingBackend;
    register_backend(DeviceType::custom, made);
    return made;
  }();
  return *b;
}

}  // namespace

TEST_SUITE("backends") {
  TEST_CASE("a device that is not registered says so") {
    if (!has_backend(DeviceType::custom))
      CHECK_THROWS_WITH_AS(zeros({1}, Device("custom")), "device: no custom backend is registered in this process",
                           DeviceError);
  }

  TEST_CASE("a second device: memory, copies, kernels and gradients") {
    CountingBackend& b = counting();
    Device device("custom");
    {
      Tensor x = arange(6).to(Dtype::f32).reshape({2, 3}), moved = x.to(device);
      CHECK(moved.device() == device);
      CHECK(b.copies == 1);
      CHECK(moved.to(Device()).to_vector<float>() == x.to_vector<float>());

      // without kernels an op says which devices have one
      for (KernelSlot* slot : KernelSlot::all()) CHECK_FALSE(slot->has(DeviceType::custom));
      CHECK_THROWS_WITH_AS(moved + moved, "add: no custom kernel (available: cpu); move the tensors with to(device)",
                           NotSupported);
      CHECK_THROWS_AS(moved + x, DeviceError);

      for (KernelSlot* slot : KernelSlot::all()) slot->share(DeviceType::cpu, DeviceType::custom);
      moved.set_requires_grad();
      Tensor loss = sum(moved * moved);
      loss.backward();
      CHECK(loss.device() == device);
      CHECK(loss.item<double>() == 55);
      CHECK(moved.grad().device() == device);
      CHECK(moved.grad().to(Device()).to_vector<float>() == std::vector<float>{0, 2, 4, 6, 8, 10});
    }
    CHECK(b.allocations > 3);
    CHECK(b.allocations == b.deallocations);
  }

  TEST_CASE("every slot has a name and a CPU kernel") {
    CHECK(KernelSlot::all().size() > 80);
    for (KernelSlot* slot : KernelSlot::all()) {
      INFO(slot->name());
      CHECK(slot->name()[0] != '\0');
      CHECK(slot->has(DeviceType::cpu));
    }
  }
}
