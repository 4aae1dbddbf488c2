// Names a device. Whether it is there is the backend registry's business.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include "weft/core/export.h"

namespace weft {

/// Kinds of devices. `custom` is the slot for a backend from outside.
enum class DeviceType : uint8_t { cpu, cuda, custom };
/// Number of kinds.
inline constexpr int kDeviceTypes = 3;

/// A device: `Device("cuda:1")`, `DeviceType::cpu`.
struct WEFT_API Device {
  DeviceType type = DeviceType::cpu;  ///< kind
  int8_t index = 0;                   ///< number among those of its kind
  constexpr Device() = default;
  constexpr Device(DeviceType t, int i = 0) : type(t), index(static_cast<int8_t>(i)) {}
  /// "cpu", "cuda", "cuda:1", "custom". ValueError for anything else, DeviceError that says what is missing for a CUDA
  /// device that is not there.
  Device(std::string_view text);
  Device(const char* text) : Device(text ? std::string_view(text) : std::string_view()) {}
  template <std::same_as<std::nullptr_t> N> Device(N) = delete;  // and not of 0
  friend bool operator==(const Device&, const Device&) = default;
};
/// "cpu", "cuda", "custom"; "cuda:1" of a device.
WEFT_API const char* name(DeviceType t);
WEFT_API std::string str(const Device& d);
WEFT_API std::ostream& operator<<(std::ostream& os, const Device& d);
/// cuda:0 if a CUDA device is there, else cpu.
WEFT_API Device default_device();

}  // namespace weft
