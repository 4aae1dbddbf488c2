// What a process group asks of the ranks' connection: collectives over raw memory.
// The seam between ProcessGroup and MPI, threads or NCCL; must not know tensors.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "weft/core/choice.h"
#include "weft/core/device.h"
#include "weft/core/dtype.h"
#include "weft/core/export.h"
#include "weft/core/shape.h"

namespace weft {

/// How values of several ranks become one.
enum class ReduceOp : uint8_t { sum, mean, min, max, product };
constexpr auto mode_words(ReduceOp) { return make_words("all_reduce: op", "sum", "mean", "min", "max", "product"); }

namespace comm {

enum class Collective : uint8_t {
  barrier,
  broadcast,
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  send,
  recv,
};
WEFT_API const char* name(Collective c);

/// What send and recv move, in which both must agree: a gradient goes back only where it is awaited.
enum class Content : uint8_t {
  value,
  recorded,  ///< a value whose gradient will come back
  gradient,
};

/// What one rank asks for. `in` and `out` may be the same memory in all_reduce and broadcast.
struct Call {
  Collective kind = Collective::barrier;
  Dtype dtype = Dtype::f32;
  ReduceOp op = ReduceOp::sum;  ///< of all_reduce and reduce_scatter
  /// Elements of `in`; reduce_scatter and all_to_all: of each of its size() parts; recv: of `out`.
  int64_t count = 0;
  int peer = 0;  ///< root of broadcast; the other rank of send and recv
  int tag = 0;   ///< of send and recv
  Content content = Content::value;
  Shape shape;                ///< of collectives: what else must be the same on every rank
  const void* in = nullptr;   ///< this rank's elements
  void* out = nullptr;        ///< for the result
  Device device;              ///< where both lie
  bool overlaps = false;      ///< the caller computes meanwhile, on every rank: few turns matter more than short ones
  std::vector<int64_t> each;  ///< all_gather of unequal numbers: elements of every rank
};
/// "all_reduce of 4096 f32", "broadcast of 3 f32 from rank 1"; with a number "all_reduce of 4096 f32 (call 7 of the
/// group)".
WEFT_API std::string text(const Call& c, uint64_t number = 0);

/// A call that was started.
class WEFT_API Work {
 public:
  virtual ~Work();
  /// The caller's next ops have the result: on the CPU it is there when this returns, on a card the calling thread's
  /// stream waits for it. CommError if it never will be.
  virtual void wait() = 0;
  virtual bool done() const = 0;
};

/// Of a call that was over when `start` returned.
WEFT_API std::shared_ptr<Work> finished();

/// One rank's end of a group. Calls are carried out in the order in which they were made.
class WEFT_API Communicator {
 public:
  Communicator(int rank, int size) : rank_(rank), size_(size) {}
  virtual ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  int rank() const { return rank_; }
  int size() const { return size_; }
  virtual int local_rank() const { return rank_; }
  virtual int local_size() const { return size_; }

  /// The same as start(c)->wait().
  virtual void run(const Call& c) = 0;
  /// Begins it after what the calling thread's stream on the call's device was told before. The memory stays as it is
  /// until the work has been waited for.
  virtual std::shared_ptr<Work> start(Call c) = 0;
  /// Memory that calls read and write.
  virtual bool reaches(DeviceType d) const { return d == DeviceType::cpu; }
  /// The group of those ranks that give the same colour, in the order of their keys, then ranks. Null for a colour
  /// below 0. Every rank calls it.
  virtual std::shared_ptr<Communicator> split(int colour, int key) = 0;
  /// Seconds that a call waits for the other ranks.
  std::atomic<double> timeout = 600;

 private:
  int rank_, size_;
};

/// Is the calling thread a communicator's own, which carries out what was started?
WEFT_API bool is_own_thread();

class Transport;
/// Collectives as messages. Every sum is added in pairs of ranks, whatever the number of elements and their place; f16
/// and bf16 are added in f32 and rounded once.
WEFT_API std::shared_ptr<Communicator> over(std::shared_ptr<Transport> transport);
/// The group of this process alone.
WEFT_API std::shared_ptr<Communicator> alone();

}  // namespace comm
}  // namespace weft
