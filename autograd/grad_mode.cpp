#include "weft/autograd/grad_mode.h"

namespace weft {
namespace detail {
ThreadMode& thread_mode() {
  thread_local ThreadMode mode;
  return mode;
}
}  // namespace detail

Autocast::Autocast(Dtype dtype, Device device, Only<bool> enabled) : before_(detail::thread_mode()) {
  WEFT_CHECK(!enabled || is_half(dtype), DtypeError, "Autocast: dtype must be bf16 or f16, got ", dtype);
  detail::ThreadMode& m = detail::thread_mode();
  m.autocast = enabled;
  m.autocast_dtype = dtype;
  m.autocast_device = device.type;
}

Autocast::~Autocast() {
  detail::ThreadMode& m = detail::thread_mode();
  m.autocast = before_.autocast;
  m.autocast_dtype = before_.autocast_dtype;
  m.autocast_device = before_.autocast_device;
}

}  // namespace weft
