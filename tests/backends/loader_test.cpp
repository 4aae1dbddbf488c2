// The CUDA plugin is there, or one sentence says why not, and everything else works. Each state of the machine is seen
// by a process of its own, as a plugin is loaded once.
#include <doctest/doctest.h>

#include <dlfcn.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "support/child.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/backends/cuda/abi.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;

namespace {

std::filesystem::path library() {
  Dl_info here{};
  REQUIRE(dladdr(reinterpret_cast<void*>(&weft::device_count), &here) != 0);
  return std::filesystem::canonical(here.dli_fname);
}

/// What a process that starts with this WEFT_CUDA_PLUGIN says of CUDA.
std::string said(const std::string& plugin) {
  return support::said_by_process("WEFT_REQUIRE_CUDA= WEFT_CUDA_PLUGIN='" + plugin + "'",
                                  "cuda is there or one sentence says why not", "why");
}

}  // namespace

TEST_SUITE("loader") {
  TEST_CASE("cuda is there or one sentence says why not") {
    const std::string why = message_of<DeviceError>([] { (void)Device("cuda"); });
    std::cout << "why: [" << why << "]\n";
    CHECK_THROWS_AS(Device("cuda:99"), DeviceError);
    if (why.empty()) {
      CHECK(device_count(DeviceType::cuda) > 0);
      CHECK(default_device() == Device(DeviceType::cuda));
    } else {
      CHECK(why.rfind("cuda: ", 0) == 0);
      CHECK(why.find('\n') == std::string::npos);
      CHECK(message_of<DeviceError>([] { (void)zeros({2}, Device(DeviceType::cuda)); }) == "zeros: " + why);
      CHECK(message_of<DeviceError>([] { (void)Device("cuda:1"); }) == why);
      CHECK(message_of<DeviceError>([] { (void)ones({2}).pin_memory(); }) == "pin_memory: " + why);
      CHECK(device_count(DeviceType::cuda) == 0);
      CHECK_FALSE(has_backend(DeviceType::cuda));
      CHECK(default_device() == Device());
    }
    Tensor x = ones({3}).set_requires_grad();
    sum(x * x).backward();
    CHECK(x.grad().to_vector<float>() == std::vector<float>(3, 2));
  }

  TEST_CASE("memory of a device is not pinned") {
    if (!has_backend(DeviceType::cuda)) return;
    const Tensor x = arange(5).pin_memory();
    CHECK(x.to_vector<int64_t>() == std::vector<int64_t>{0, 1, 2, 3, 4});
    CHECK(x.to(Device("cuda"), true).to_vector<int64_t>() == x.to_vector<int64_t>());
    CHECK(message_of<DeviceError>([&] { (void)x.to(Device("cuda")).pin_memory(); }).find("only memory of the CPU") !=
          std::string::npos);
  }

  TEST_CASE("the plugin can be turned off, be missing, be no plugin, or be another version's") {
    CHECK(said("0") == "cuda: turned off by WEFT_CUDA_PLUGIN=0");
    CHECK(said("/nowhere/libweft_cuda.so") ==
          "cuda: there is no /nowhere/libweft_cuda.so; build weft with the CUDA toolkit (-DWEFT_CUDA=ON)");
    const std::string self = library().string();
    CHECK(said(self) == "cuda: " + self + " has no weft_register; it is no plugin of weft");
    const std::filesystem::path text = std::filesystem::temp_directory_path() / "weft_no_library.so";
    std::ofstream(text) << "not a library";
    CHECK(said(text.string()).rfind("cuda: " + text.string(), 0) == 0);
    std::filesystem::remove(text);
    const std::filesystem::path other = library().parent_path() / "libweft_test_plugin.so";
    REQUIRE(std::filesystem::exists(other));
    CHECK(said(other.string()) ==
          str("cuda: this plugin was built for another version of weft, not for ABI ", cuda::kAbi));
  }

  TEST_CASE("without a driver the plugin says so") {
    const std::filesystem::path plugin = library().parent_path() / cuda::kPluginName;
    if (!std::filesystem::exists(plugin) || std::filesystem::exists("/dev/nvidiactl")) return;
    CHECK(said(plugin.string()) == "cuda: there is no NVIDIA driver on this machine");
  }
}
