#include "weft/distributed/communicator.h"

#include "weft/core/backend.h"
#include "weft/core/error.h"
#include "weft/distributed/transport.h"

namespace weft::comm {

Transport::~Transport() = default;
Work::~Work() = default;
Communicator::~Communicator() = default;

const char* name(Collective c) {
  switch (c) {
    case Collective::barrier: return "barrier";
    case Collective::broadcast: return "broadcast";
    case Collective::all_reduce: return "all_reduce";
    case Collective::all_gather: return "all_gather";
    case Collective::reduce_scatter: return "reduce_scatter";
    case Collective::all_to_all: return "all_to_all";
    case Collective::send: return "send";
    case Collective::recv: return "recv";
  }
  return "?";
}

std::string text(const Call& c, uint64_t number) {
  std::string s = name(c.kind);
  if (c.kind != Collective::barrier) s += str(" of ", c.count, " ", c.dtype);
  if (c.kind == Collective::all_reduce || c.kind == Collective::reduce_scatter) {
    constexpr const char* kOps[] = {"", " (mean)", " (min)", " (max)", " (product)"};
    s += kOps[static_cast<int>(c.op)];
  }
  if (c.kind == Collective::broadcast || c.kind == Collective::recv) s += str(" from rank ", c.peer);
  if (c.kind == Collective::send) s += str(" to rank ", c.peer);
  if (c.content != Content::value) s += c.content == Content::recorded ? " (recorded)" : " (a gradient)";
  if (number != 0) s += str(" (call ", number, " of the group)");
  return s;
}

std::shared_ptr<Work> finished() {
  struct Finished final : Work {
    void wait() override {}
    bool done() const override { return true; }
  };
  return std::make_shared<Finished>();
}

namespace {

class Alone final : public Communicator {
 public:
  Alone() : Communicator(0, 1) {}
  bool reaches(DeviceType) const override { return true; }
  std::shared_ptr<Communicator> split(int colour, int /*key*/) override { return colour < 0 ? nullptr : alone(); }
  void run(const Call& c) override {
    WEFT_CHECK(c.kind != Collective::send && c.kind != Collective::recv, ValueError, name(c.kind),
               ": a group of one rank has nobody to talk to");
    if (c.count > 0 && c.out != c.in)
      backend(c.device.type)
          .copy(c.out, c.device, c.in, c.device, static_cast<size_t>(c.count) * itemsize(c.dtype), false);
  }
  std::shared_ptr<Work> start(Call c) override {
    run(c);
    return finished();
  }
};

}  // namespace

std::shared_ptr<Communicator> alone() { return std::make_shared<Alone>(); }

}  // namespace weft::comm
