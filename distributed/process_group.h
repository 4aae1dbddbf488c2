// Ranks that work together, and how they exchange tensors.
// Knows tensors and communicators; must not know layers, nor how ranks are started (init.h, thread_group.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "weft/core/choice.h"
#include "weft/core/tensor.h"
#include "weft/distributed/communicator.h"

namespace weft {

/// One rank's end of a group of `size()` ranks; copies are the same end. Every rank calls the same collectives in the
/// same order, with tensors of one shape and dtype where nothing else is said. Any strides; what the group cannot reach
/// (a tensor on a card, ranks that exchange host memory) goes through the host.
///
/// What returns a tensor is recorded: backward exchanges gradients in the same way, so every rank runs it, and the
/// gradient is that of the sum of all ranks' losses. The engine keeps the ranks' order: it runs nodes in falling order
/// of their making. Where one rank's x requires a gradient, all ranks' must. What ends in `_` is not recorded.
///
/// Sums are added in pairs of ranks, ((0 + 1) + (2 + 3)) + ..., the same bits on every rank and for any cut of the data
/// into calls; f16 and bf16 are added in f32 and rounded once. Calls block. Between CUDA devices NCCL adds, in an order
/// of its own: the same bits on every rank, but not for every cut; a call goes to the calling thread's stream and the
/// host goes on, but for barrier.
///
/// Errors: CommError where ranks disagree (it names both calls), where another rank failed or left, or was not heard of
/// within the timeout (it says where it was seen last); afterwards the group is of no more use, and the
/// failed call's result is undefined.
class WEFT_API ProcessGroup {
 public:
  /// This process alone: collectives return what they are given.
  ProcessGroup() = default;
  explicit ProcessGroup(std::shared_ptr<comm::Communicator> communicator);
  /// This rank's number, from 0; the number of ranks.
  int rank() const { return communicator_ ? communicator_->rank() : 0; }
  int size() const { return communicator_ ? communicator_->size() : 1; }
  /// The number among the ranks of this machine: which card is this rank's.
  int local_rank() const { return communicator_ ? communicator_->local_rank() : 0; }
  int local_size() const { return communicator_ ? communicator_->local_size() : 1; }
  /// The group of the ranks that give the same colour, in the order of their keys, then ranks. Every rank calls it; one
  /// with a colour below 0 is alone in its own. One split at a time in a process.
  [[nodiscard]] ProcessGroup split(int colour, int key = 0) const;
  /// Seconds that a call waits for the other ranks; 600 unless `init_process_group` or a TimeoutScope says otherwise.
  double timeout() const;
  void set_timeout(double seconds) const;

  /// Every rank's x made one, element by element: sum, mean, min, max, product. mean takes floating dtypes. Ranks that
  /// tie in min or max share the gradient.
  [[nodiscard]] Tensor all_reduce(const Tensor& x, Choice<ReduceOp> op = ReduceOp::sum) const;
  /// The same in place, not recorded.
  void all_reduce_(Tensor& x, Choice<ReduceOp> op = ReduceOp::sum) const;
  /// Every rank's x in rank order: [size(), x's shape...].
  [[nodiscard]] Tensor all_gather(const Tensor& x) const;
  /// Every rank's x, joined along the first axis, in which they may differ.
  [[nodiscard]] Tensor all_gather_cat(const Tensor& x) const;
  /// x [size(), ...]: part r of every rank's x made one, for rank r: [...].
  [[nodiscard]] Tensor reduce_scatter(const Tensor& x, Choice<ReduceOp> op = ReduceOp::sum) const;
  /// x [size(), ...] -> y with y[r] = rank r's x[rank()].
  [[nodiscard]] Tensor all_to_all(const Tensor& x) const;
  /// x of rank `root`. ValueError for a root outside of the group.
  [[nodiscard]] Tensor broadcast(const Tensor& x, int root = 0) const;
  void broadcast_(Tensor& x, int root = 0) const;
  /// Returns when every rank has called it.
  void barrier() const;

  /// To one rank, which calls recv or recv_ with a tensor of the same size and dtype; messages of one tag (0 to 255)
  /// arrive in order. Two ranks that send to each other at once split their calls: one sends first. Returns 0, [].
  /// Where x requires a gradient, the receiver's `like` must too; backward of that 0, `group.send(x, 1).backward()`,
  /// waits for the gradient that the receiver's backward sends. NotSupported: second derivatives.
  Tensor send(const Tensor& x, int to, int tag = 0) const;
  /// What comes, of the shape, dtype and device of `like`; recorded where `like` requires a gradient, which is 0.
  [[nodiscard]] Tensor recv(const Tensor& like, int from, int tag = 0) const;
  /// Writes into x.
  void recv_(Tensor& x, int from, int tag = 0) const;

  /// Every rank's text, in rank order; any bytes, any lengths.
  std::vector<std::string> all_gather(const std::string& text) const;
  /// The text of rank `root`.
  std::string broadcast(const std::string& text, int root = 0) const;

  /// Starts an all_reduce_ of a contiguous tensor that the group reaches; wait() of the result ends it, and x is not
  /// touched until then. The group's own thread exchanges the messages.
  [[nodiscard]] std::shared_ptr<comm::Work> start_all_reduce_(Tensor& x, Choice<ReduceOp> op = ReduceOp::sum) const;
  /// Can the group read and write memory of such a device?
  bool reaches(DeviceType d) const { return !communicator_ || communicator_->reaches(d); }

 private:
  Tensor reachable(const Tensor& x) const;
  Tensor made(comm::Call c, const Tensor& x, const Shape& shape) const;
  void run_in_place(comm::Call c, Tensor& x) const;
  Tensor own_part(ReduceOp op, const Tensor& g, const Tensor& x, const Tensor& y) const;
  void check_pair(const char* op, const Tensor& x, int other, int tag) const;
  void give(const Tensor& x, int to, int tag, comm::Content content) const;
  Tensor take(const Tensor& like, int from, int tag, comm::Content content) const;
  std::shared_ptr<comm::Communicator> communicator_;  // null: alone
};

/// While it lives, calls of the group wait longer (or shorter): for a rank that saves or evaluates while others wait.
/// Not of groups that were split from it before, but for DistributedDataParallel's own.
class WEFT_API TimeoutScope {
 public:
  TimeoutScope(ProcessGroup group, double seconds) : group_(std::move(group)), before_(group_.timeout()) {
    group_.set_timeout(seconds);
  }
  ~TimeoutScope() { group_.set_timeout(before_); }
  TimeoutScope(const TimeoutScope&) = delete;
  TimeoutScope& operator=(const TimeoutScope&) = delete;

 private:
  ProcessGroup group_;
  double before_;
};

}  // namespace weft
