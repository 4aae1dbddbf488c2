// A second device beside the CPU: support/lent_device.h is a complete one.
#include <doctest/doctest.h>

#include <string_view>

#include "support/lent_device.h"
#include "support/ops.h"
#include "weft/autograd/engine.h"
#include "weft/core/factory.h"

using namespace weft;
using support::CountingBackend;
using support::counting;

TEST_SUITE("backends") {
  TEST_CASE("a device that is not registered says so") {
    if (!has_backend(DeviceType::custom))
      CHECK_THROWS_WITH_AS(zeros({1}, Device("custom")), "zeros: no custom backend is registered in this process",
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
      CHECK_THROWS_WITH_AS(moved + moved, doctest::Contains("add: no custom kernel (available: cpu"), NotSupported);
      CHECK_THROWS_AS(moved + x, DeviceError);

      support::lend_cpu();
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
    CHECK(b.active == 0);
  }

  TEST_CASE("every slot has a name and a CPU kernel, but for ops that are made of others there") {
    CHECK(KernelSlot::all().size() > 80);
    for (KernelSlot* slot : KernelSlot::all()) {
      INFO(slot->name());
      CHECK(slot->name()[0] != '\0');
      CHECK(slot->has(DeviceType::cpu) != std::string_view(slot->name()).starts_with("attention"));
    }
  }
}
