#include "support/devices.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>
#include <string>

#include "support/lent_device.h"
#include "weft/core/backend.h"
#include "weft/core/error.h"

namespace support {
namespace {

using weft::Device;
using weft::DeviceType;

Device t_device;

// A driver leaves a trace in the file system. Looking for it spares a thousand test processes the loading of CUDA.
bool may_have_cuda() {
  for (const char* file : {"/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia/version"})
    if (std::filesystem::exists(file)) return true;
  return false;
}

std::vector<Device> find_devices() {
  std::vector<Device> found;
  const auto add = [&](const std::string& name) {
    if (name == "custom") lend_cpu();
    const Device d(name);  // says what is missing
    for (const Device& other : found)
      if (other == d) return;
    found.push_back(d);
  };
  if (const char* named = std::getenv("WEFT_TEST_DEVICES"); named && *named) {
    const std::string list = named;
    for (size_t at = 0; at <= list.size();) {
      const size_t end = std::min(list.find(',', at), list.size());
      add(list.substr(at, end - at));
      at = end + 1;
    }
  } else {
    add("cpu");
    if (may_have_cuda() && weft::has_backend(DeviceType::cuda)) add("cuda");
  }
  const char* require = std::getenv("WEFT_REQUIRE_CUDA");
  if (require && std::string(require) == "1") add("cuda");
  return found;
}

struct On {
  explicit On(Device d) { t_device = d; }
  ~On() { t_device = Device(); }
};

}  // namespace

const std::vector<Device>& devices() {
  static const std::vector<Device> list = find_devices();
  return list;
}

Device device() { return t_device; }

// Both sides of a comparison with the CPU's bound are within it of the exact sum; a card's f32 sums run in other groups
// (thread, warp, block) and cuBLAS splits long products, so that their rounding errors add up along another tree.
double slack() { return t_device.type == DeviceType::cuda ? 4 : 1; }

void not_supported(const std::string& what) {
  static std::set<std::string> said;
  if (said.insert(what).second) std::cout << "not supported on " << t_device << ": " << what << std::endl;
}

void on_each_device(void (*test)()) {
  for (const Device& d : devices()) {
    const std::string name = weft::str(d);
    SUBCASE(name.c_str()) {
      const On scope(d);
      try {
        test();
      } catch (const weft::NotSupported& e) {
        if (d.type == DeviceType::cpu) throw;
        not_supported(e.what());
      }
      weft::synchronize(d);  // what a kernel has to report belongs to this test
    }
  }
}

}  // namespace support
