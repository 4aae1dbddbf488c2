// Moves bytes from rank to rank. What collectives are made of; must not know tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "weft/core/export.h"

namespace weft::comm {

/// One rank's end. Messages of one sender, receiver and tag arrive in the order in which they were sent. Calls come
/// from several threads. Errors: CommError, of any call, once the connection is of no more use.
class WEFT_API Transport {
 public:
  Transport(int rank, int size) : rank_(rank), size_(size) {}
  virtual ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  int rank() const { return rank_; }
  int size() const { return size_; }
  /// This rank's number among those of its machine, and how many those are.
  virtual int local_rank() const { return rank_; }
  virtual int local_size() const { return size_; }
  /// Where a rank runs, for messages: "" or " on HOST".
  virtual std::string place(int /*rank*/) const { return {}; }

  /// The largest tag.
  virtual int64_t most_tag() const { return INT32_MAX; }

  /// Begins to send n bytes, at most kMost, which may change once it is done.
  virtual int64_t send(int to, int tag, const void* p, size_t n) = 0;
  /// Begins to receive at most n bytes.
  virtual int64_t receive(int from, int tag, void* p, size_t n) = 0;
  /// Has it ended? Then its number stands for nothing more. Does not wait.
  virtual bool done(int64_t number) = 0;
  /// Gives it up, after a failure.
  virtual void cancel(int64_t number) noexcept = 0;
  /// Waits a little for something to happen; `turns` calls found nothing so far. Off the group's own thread, which
  /// shares its core with computation, it may keep the core at first.
  virtual void idle(int turns, bool own_thread) = 0;

  /// Tells all ranks that this one cannot go on.
  virtual void announce(const std::string& what) noexcept = 0;
  /// What a rank announced, or "".
  virtual std::string failure() = 0;
  /// Will nothing more come from that rank?
  virtual bool has_left(int rank) = 0;

  /// How long the end of the process waits for the other ranks, but never less than it would have from the start.
  virtual void end_within(double /*seconds*/) {}

  static constexpr size_t kMost = size_t{1} << 30;  ///< bytes of one message

 private:
  int rank_, size_;
};

}  // namespace weft::comm
