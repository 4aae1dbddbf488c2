#include "weft/autograd/grad_mode.h"

#include "weft/autograd/record.h"
#include "weft/core/stream.h"

namespace weft {
namespace {

/// x in `dtype`. Of a parameter the values are kept until it changes: at once in inference, from the second use on in
/// training. They are the same memory then, whose packed forms backends keep.
Tensor lowered(const Tensor& x, Dtype dtype) {
  if (x.dtype() == dtype) return x;
  if (!x.is_leaf() || !x.requires_grad()) return x.to(dtype);
  AutogradMeta& m = detail::meta(x);
  const Stamp now(x);
  void* const stream = Stream::current(x.device()).handle();
  const auto is_current = [&] {
    return m.lowered && m.lowered->of == now && m.lowered->dtype == dtype && m.lowered->stream == stream;
  };
  Tensor values;
  {
    const MutexLock lock(m.mutex);
    if (is_current() && m.lowered->values.defined() && m.lowered->made == Stamp(m.lowered->values))
      values = m.lowered->values;
  }
  if (!values.defined()) {
    values = x.detach().to(dtype);
    const MutexLock lock(m.mutex);
    const bool keep = !grad_enabled() || is_current();
    if (!m.lowered) m.lowered = std::make_unique<AutogradMeta::Lowered>();
    *m.lowered = {now, dtype, stream, keep ? values : Tensor(), Stamp(values)};
  }
  if (!grad_enabled()) return values;
  return record("to", values.detach(), {x}, [](BackwardCtx& c) -> Grads { return {c.take_grad()}; });
}

}  // namespace

namespace detail {
ThreadMode& thread_mode() {
  thread_local ThreadMode mode;
  return mode;
}

Tensor autocast_to(CastPolicy policy, const Tensor& x) {
  const ThreadMode& m = thread_mode();
  if (!x.is_floating() || x.device().type != m.autocast_device) return x;
  if (policy == CastPolicy::lower) return x.dtype() == Dtype::f64 ? x : lowered(x, m.autocast_dtype);
  if (policy == CastPolicy::fp32) return is_half(x.dtype()) ? x.to(Dtype::f32) : x;
  return x;
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
