// Tests that are written once and run on every device.
// Knows devices; must not know what is tested.
#pragma once

#include <doctest/doctest.h>

#include <vector>

#include "weft/core/tensor.h"

namespace support {

/// What DEVICE_TEST_CASE runs on: the devices that WEFT_TEST_DEVICES names ("cpu,cuda"), else the CPU and a CUDA device
/// if there is one. "custom" is the CPU under another name (support/lent_device.h): it shows that a test reaches its
/// device. With WEFT_REQUIRE_CUDA=1 a CUDA device is always among them, and a missing one fails every such test.
const std::vector<weft::Device>& devices();

/// The device that the running test is on; the CPU outside of DEVICE_TEST_CASE.
weft::Device device();
/// Options of a new tensor there: `zeros({2}, on(Dtype::f64))`.
inline weft::TensorOptions on(weft::Dtype dtype = weft::Dtype::f32) { return {dtype, device()}; }
/// x there.
inline weft::Tensor here(const weft::Tensor& x) { return x.defined() ? x.to(device()) : x; }

/// How much farther from the reference this device's f32 and f16 sums may be than the CPU's.
double slack();

/// Says once that `what` has no kernel on the running test's device.
void not_supported(const std::string& what);
/// Runs `test` once per device, each as a subcase. An op without a kernel ends the test on that device and is listed.
void on_each_device(void (*test)());

}  // namespace support

/// TEST_CASE whose body runs once per device. Its tensors are on `support::device()`.
#define DEVICE_TEST_CASE(name) WEFT_DEVICE_TEST_CASE_IMPLEMENT(DOCTEST_ANONYMOUS(weft_device_test_), name)
#define WEFT_DEVICE_TEST_CASE_IMPLEMENT(body, name)  \
  static void body();                                \
  TEST_CASE(name) { support::on_each_device(body); } \
  static void body()
