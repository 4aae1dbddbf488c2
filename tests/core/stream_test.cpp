// Streams and events: what holds on every device, also where there are no queues.
#include "weft/core/stream.h"
#include "support/here.h"
#include "support/lent_device.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/core/backend.h"

using namespace weft;
using support::device;

TEST_SUITE("streams") {
  DEVICE_TEST_CASE("ops go to the current stream, and what waits for an event sees what was before it") {
    const Stream side(device());
    CHECK(side.device() == device());
    const Tensor x = here::full({1000}, 3);
    Event ready(device()), done(device());
    ready.record();
    side.wait(ready);
    Tensor y;
    {
      const StreamGuard guard(side);
      CHECK(Stream::current(device()).handle() == side.handle());
      y = x * x;
      done.record();
    }
    CHECK(Stream::current(device()).handle() == nullptr);  // the default stream again
    Stream::current(device()).wait(done);
    y.record_stream(Stream::current(device()));
    x.record_stream(side);
    CHECK(sum(y).item<float>() == 9000);
    side.synchronize();
    CHECK(done.done());
  }

  DEVICE_TEST_CASE("guards nest and give back what was current") {
    void* const before = Stream::current(device()).handle();
    const Stream a(device()), b(device());
    {
      const StreamGuard outer(a);
      {
        const StreamGuard inner(b);
        CHECK(Stream::current(device()).handle() == b.handle());
      }
      CHECK(Stream::current(device()).handle() == a.handle());
    }
    CHECK(Stream::current(device()).handle() == before);
  }

  DEVICE_TEST_CASE("events measure time and can be recorded again") {
    Event start(device()), end(device());
    start.record();
    Tensor x = here::ones({1 << 16});
    for (int i = 0; i < 10; ++i) x = x + 1;
    end.record();
    end.synchronize();
    CHECK(end.done());
    const double first = end.elapsed_ms(start);
    CHECK(first >= 0);
    CHECK(first < 60e3);
    end.record(Stream::current(device()));
    end.synchronize();
    CHECK(end.elapsed_ms(start) >= first);
  }

  DEVICE_TEST_CASE("a copy that does not block is there when the device was waited for") {
    const Tensor x = here::arange(1000).to(Dtype::f32);
    const Tensor y = x.to(Device(), true);
    synchronize(device());
    CHECK(y.to_vector<float>()[999] == 999);
  }

  TEST_CASE("streams and events of different devices do not mix") {
    support::counting();
    const Device cpu, other(DeviceType::custom);
    Event event(cpu);
    CHECK(support::message_of<DeviceError>([&] { event.record(Stream(other)); }) ==
          "Event::record: the event is on cpu but the stream on custom:0");
    CHECK(support::message_of<DeviceError>([&] { Stream(other).wait(event); }) ==
          "Stream::wait: the stream is on custom:0 but the event on cpu");
    CHECK(support::message_of<DeviceError>([&] { ones({2}).record_stream(Stream(other)); }) ==
          "record_stream: the tensor is on cpu but the stream on custom:0");
  }
}
