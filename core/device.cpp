#include "weft/core/device.h"

#include <charconv>
#include <ostream>

#include "weft/core/backend.h"
#include "weft/core/error.h"

namespace weft {

const char* name(DeviceType t) {
  constexpr const char* names[kDeviceTypes] = {"cpu", "cuda", "custom"};
  return names[static_cast<int>(t)];
}

Device::Device(std::string_view text) {
  std::string_view kind = text.substr(0, text.find(':'));
  bool known = false;
  for (int i = 0; i < kDeviceTypes; ++i)
    if (kind == name(static_cast<DeviceType>(i))) type = static_cast<DeviceType>(i), known = true;
  WEFT_CHECK(known, ValueError, "device: unknown device \"", text, "\"; expected cpu, cuda or cuda:N");
  if (kind.size() == text.size()) {
    if (type == DeviceType::cuda) backend(type);  // says what is missing
    return;
  }
  std::string_view number = text.substr(kind.size() + 1);
  int n = -1;
  auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), n);
  WEFT_CHECK(ec == std::errc() && end == number.data() + number.size() && n >= 0 && n < 128, ValueError,
             "device: bad index in \"", text, "\"; expected a number from 0 to 127 after the colon");
  index = static_cast<int8_t>(n);
  if (type != DeviceType::cuda) return;
  const int count = backend(type).device_count();
  WEFT_CHECK(n < count, DeviceError, "device: there is no \"", text, "\"; this machine has ", count,
             count == 1 ? " CUDA device" : " CUDA devices");
}

std::string str(const Device& d) {
  std::string s = name(d.type);
  return d.type == DeviceType::cpu ? s : s + ":" + std::to_string(d.index);
}

std::ostream& operator<<(std::ostream& os, const Device& d) { return os << str(d); }

Device default_device() {
  return has_backend(DeviceType::cuda) && backend(DeviceType::cuda).device_count() > 0 ? Device(DeviceType::cuda)
                                                                                       : Device();
}

}  // namespace weft
