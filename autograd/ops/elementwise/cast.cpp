// Copies that keep the values: to another dtype, device or layout.
#include "weft/autograd/record.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"
#include "weft/core/stream.h"

namespace weft {
namespace {

Tensor copy_into(Tensor y, const Tensor& x) {
  kernels::copy(x.device(), mut_ref(y), ref(x));
  return y;
}

// The engine casts and a copy's gradient is the gradient, so all of these share one formula.
Tensor record_copy(const char* name, Tensor y, const Tensor& x) {
  return record(name, std::move(y), {x}, [](BackwardCtx& c) -> Grads { return {c.take_grad()}; });
}

/// x in `dtype`. Of a parameter the values are kept until it changes: at once in inference, from the second use on in
/// training. They are the same memory then, whose packed forms backends keep.
Tensor lowered(const Tensor& x, Dtype dtype) {
  if (x.dtype() == dtype) return x;
  if (!x.is_leaf() || !x.requires_grad()) return x.to(dtype);
  if (detail::recording()) return x.to(dtype);  // a capture must see what it is made of
  AutogradMeta& m = detail::meta(x);
  const Stamp now(x);
  void* const stream = backend(x.device().type).current_stream(x.device().index);
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
  return grad_enabled() ? record_copy("to", values.detach(), x) : values;
}

}  // namespace

Tensor Tensor::to(Dtype dtype) const {
  if (dtype == this->dtype()) return *this;
  return record_copy("to", copy_into(empty_like(*this, dtype), *this), *this);
}

Tensor detail::autocast_to(CastPolicy policy, const Tensor& x) {
  const ThreadMode& m = thread_mode();
  if (!x.is_floating() || x.device().type != m.autocast_device) return x;
  if (policy == CastPolicy::lower) return x.dtype() == Dtype::f64 ? x : lowered(x, m.autocast_dtype);
  if (policy == CastPolicy::fp32) return is_half(x.dtype()) ? x.to(Dtype::f32) : x;
  return x;
}

Tensor Tensor::to(Device device, Only<bool> non_blocking) const {
  if (device == this->device()) return *this;
  Tensor from = is_dense() ? *this : clone();
  Tensor y = empty_strided(from.shape(), from.strides(), {dtype(), device});
  if (detail::observed()) [[unlikely]]
    detail::refuse_recorded(from, "to(device)");
  Backend& b = backend(device.type == DeviceType::cpu ? this->device().type : device.type);
  b.copy(y.mut_raw_data(), device, from.raw_data(), this->device(), nbytes(), non_blocking && from.impl() == impl());
  if (device.type == DeviceType::cpu) check_device(this->device());
  return record("to", y, {*this}, [back = this->device()](BackwardCtx& c) -> Grads { return {c.grad().to(back)}; });
}

Tensor Tensor::pin_memory() const {
  const OpName op("pin_memory");
  WEFT_CHECK(device().type == DeviceType::cpu, DeviceError, "the tensor is on ", device(),
             "; only memory of the CPU can be pinned");
  Backend& b = backend(DeviceType::cuda);
  const size_t bytes = nbytes();
  void* p = b.allocate_pinned(bytes);
  Tensor y = from_blob(p, shape(), options(), [&b, p, bytes] { b.deallocate_pinned(p, bytes); });
  return record_copy(op, copy_into(std::move(y), *this), *this);
}

void Tensor::record_stream(const Stream& stream) const {
  WEFT_CHECK(stream.device() == device(), DeviceError, "record_stream: the tensor is on ", device(),
             " but the stream on ", stream.device());
  backend(device().type).record_stream(impl()->storage->data(), device().index, stream.handle());
}

Tensor Tensor::contiguous(MemoryFormat format) const {
  const OpName op("contiguous");
  if (format == MemoryFormat::preserve) return *this;
  bool last = format == MemoryFormat::channels_last;
  if (last ? is_channels_last() : is_contiguous()) return *this;
  return record_copy(op, copy_into(empty(shape(), options(), format), *this), *this);
}

Tensor Tensor::clone() const {
  const OpName op("clone");
  return record_copy(op, copy_into(empty_like(*this), *this), *this);
}

}  // namespace weft
