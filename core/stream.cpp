#include "weft/core/stream.h"

#include "weft/core/backend.h"
#include "weft/core/error.h"

namespace weft {

Stream::Stream(Device device) : device_(device) {
  Backend& b = backend(device.type);
  handle_ = std::shared_ptr<void>(b.new_stream(device.index), [&b, i = device.index](void* s) {
    if (s) b.free_stream(i, s);
  });
}

Stream Stream::current(Device device) {
  return {device, std::shared_ptr<void>(backend(device.type).current_stream(device.index), [](void*) {})};
}

void Stream::synchronize() const {
  backend(device_.type).synchronize_stream(device_.index, handle());
  check_device(device_);
}

void Stream::wait(const Event& event) const {
  WEFT_CHECK(event.device().type == device_.type, DeviceError, "Stream::wait: the stream is on ", device_,
             " but the event on ", event.device());
  backend(device_.type).wait_event(device_.index, handle(), event.handle());
}

StreamGuard::StreamGuard(const Stream& stream) : stream_(stream) {
  Backend& b = backend(stream.device().type);
  before_ = b.current_stream(stream.device().index);
  b.set_stream(stream.device().index, stream.handle());
}
StreamGuard::~StreamGuard() { backend(stream_.device().type).set_stream(stream_.device().index, before_); }

Event::Event(Device device) : device_(device) {
  Backend& b = backend(device.type);
  handle_ = std::shared_ptr<void>(b.new_event(device.index), [&b, i = device.index](void* e) { b.free_event(i, e); });
}
void Event::record(const Stream& stream) {
  WEFT_CHECK(stream.device() == device_, DeviceError, "Event::record: the event is on ", device_, " but the stream on ",
             stream.device());
  backend(device_.type).record_event(device_.index, handle(), stream.handle());
}
void Event::record() { record(Stream::current(device_)); }
bool Event::done() const { return backend(device_.type).event_done(device_.index, handle()); }
void Event::synchronize() const {
  backend(device_.type).synchronize_event(device_.index, handle());
  check_device(device_);
}
double Event::elapsed_ms(const Event& start) const {
  return backend(device_.type).elapsed_ms(start.handle(), handle());
}

}  // namespace weft
