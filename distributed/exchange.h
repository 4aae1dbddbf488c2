// Messages between ranks that go on at once. Each begins with what its sender is doing, so that ranks that do different
// things hear of it.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "weft/distributed/communicator.h"
#include "weft/distributed/seconds.h"
#include "weft/distributed/transport.h"

namespace weft::comm {

/// What a rank is doing, at the head of its messages.
struct Head {
  uint64_t number;  // of the group's collectives, or 0
  int64_t count;
  int32_t peer;
  Collective kind;
  Dtype dtype;
  ReduceOp op;
  Content content;
  std::array<int64_t, kMaxRank + 1> shape;  // the number of sizes, then they

  bool operator==(const Head&) const = default;
};
/// The ranks of a group within a transport, and the tags that are theirs.
struct Members {
  std::shared_ptr<Transport> transport;
  std::vector<int> ranks;  // in the transport
  int context = 0;         // of the group; tags of groups that share ranks differ
};
// A stream of messages between two ranks has two tags, for their first messages and for what follows. A context's first
// streams are the collectives', the others the users' tags.
constexpr int kOwnStreams = 4, kStreams = kOwnStreams + 256;

/// Memory of a failed call, for ever: MPI may yet write into what was posted.
void keep(std::vector<char> memory);

/// What one rank sends and receives in one stage of a call.
class Exchange {
 public:
  /// `seen`: of each rank, the last call that was heard of.
  Exchange(const Members& m, const Head& head, int stream, double seconds, std::vector<std::string>& seen);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void send(int to, const void* p, size_t n, int stream = 0);
  void receive(int from, void* p, size_t n, int stream = 0);
  /// Returns when all have ended. CommError where ranks do different things, or one failed, left or is late.
  void finish();

 private:
  struct Message {
    int rank = 0, tag = 0;
    bool sends = false, headed = false;
    char* at = nullptr;  // what follows the first message
    size_t left = 0;
    int64_t pending = -1;
    std::vector<char> first;
  };
  int global(int rank) const { return members_.ranks[static_cast<size_t>(rank)]; }
  int me() const;
  void go_on(Message& m);
  void read_head(Message& m);
  void look(Clock::duration waited);

  const Members& members_;
  Transport& transport_;
  Head head_;
  int tag_;
  double seconds_;
  std::vector<std::string>& seen_;
  std::list<Message> messages_;
  Clock::time_point left_;  // when a rank was first seen to have left
};

}  // namespace weft::comm
