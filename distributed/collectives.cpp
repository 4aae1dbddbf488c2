// Collectives as messages between ranks. Each message begins with what its sender is doing, so that ranks that do
// different things hear of it.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <list>
#include <mutex>

#include "weft/core/error.h"
#include "weft/distributed/queued.h"
#include "weft/distributed/reduce_ranks.h"
#include "weft/distributed/transport.h"

namespace weft::comm {
namespace {

using Clock = std::chrono::steady_clock;

// The first message of a pair has this much of the content with it, so that a small call takes one message.
constexpr size_t kInline = 8192;
// all_reduce: up to so many bytes everybody sends everything to everybody; above, each rank reduces its share of a
// piece while the shares of the piece before go round.
constexpr size_t kSmall = 4096, kPiece = size_t{1} << 19;

// How long what a rank sent before it left may take.
constexpr std::chrono::milliseconds kLastMessages{500};

/// What a rank is doing, at the head of its messages.
struct Head {
  uint64_t number;  // of the group's collectives, or 0
  int64_t count;
  int32_t peer;
  Collective kind;
  Dtype dtype;
  ReduceOp op;
  uint8_t unused;

  bool operator==(const Head&) const = default;
};
std::string text(const Head& h, bool numbered = false) {
  const Call c{.kind = h.kind, .dtype = h.dtype, .op = h.op, .count = h.count, .peer = h.peer};
  return numbered && h.number ? str(comm::text(c), " (call ", h.number, " of the group)") : comm::text(c);
}

/// The ranks of a group within a transport, and the tags that are theirs.
struct Members {
  std::shared_ptr<Transport> transport;
  std::vector<int> ranks;  // in the transport
  int context = 0;         // of the group; tags of groups that share ranks differ
};
// A stream of messages between two ranks has two tags, for their first messages and for what follows. A context's first
// two streams are the collectives', the others the users' tags.
constexpr int kStreams = 2 + 256;

/// Numbers of contexts that this process has seen, over all transports.
std::atomic<int> g_contexts{0};

struct Message {
  int rank = 0, tag = 0;
  bool sends = false, headed = false;
  char* at = nullptr;  // what follows the first message
  size_t left = 0;
  int64_t pending = -1;
  std::vector<char> first;
};

/// Memory of a failed call, for ever: MPI may yet write into what was posted.
template <class Memory> void keep(Memory memory) {
  static auto* kept = new std::list<Memory>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  kept->push_back(std::move(memory));
}

/// Messages that go on at once.
class Exchange {
 public:
  Exchange(Transport& t, const Members& m, const Head& head, int stream, double seconds, std::vector<std::string>& seen)
      : transport_(t),
        members_(m),
        head_(head),
        tag_(2 * (m.context * kStreams + stream)),
        seconds_(seconds),
        seen_(seen) {}
  ~Exchange() {  // messages left over: the call failed
    if (messages_.empty()) return;
    for (const Message& m : messages_)
      if (m.pending >= 0) transport_.cancel(m.pending);
    keep(std::move(messages_));
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void send(int to, const void* p, size_t n, int stream = 0) {
    Message& m = messages_.emplace_back();
    m.rank = to, m.tag = tag_ + 2 * stream, m.sends = true, m.at = static_cast<char*>(const_cast<void*>(p)), m.left = n;
    const size_t first = std::min(n, kInline);
    m.first.resize(sizeof head_ + first);
    std::memcpy(m.first.data(), &head_, sizeof head_);
    if (first) std::memcpy(m.first.data() + sizeof head_, p, first);
    m.at += first, m.left -= first;
    m.pending = transport_.send(global(to), m.tag, m.first.data(), m.first.size());
  }
  void receive(int from, void* p, size_t n, int stream = 0) {
    Message& m = messages_.emplace_back();
    m.rank = from, m.tag = tag_ + 2 * stream, m.at = static_cast<char*>(p), m.left = n;
    m.first.resize(sizeof head_ + kInline);
    m.pending = transport_.receive(global(from), m.tag, m.first.data(), m.first.size());
  }
  /// Returns when all have ended.
  void finish() {
    const Clock::time_point begin = Clock::now();
    int turns = 0;
    while (!messages_.empty()) {
      bool moved = false;
      for (auto m = messages_.begin(); m != messages_.end();) {
        if (!transport_.done(m->pending)) {
          ++m;
          continue;
        }
        moved = true;
        m->pending = -1;
        if (!m->sends && !m->headed) read_head(*m);
        if (m->left == 0) m = messages_.erase(m);
        else go_on(*m), ++m;
      }
      if (moved) {
        turns = 0;
        continue;
      }
      if (turns > 100) look(Clock::now() - begin);
      transport_.idle(turns++, is_own_thread());
    }
  }

 private:
  int global(int rank) const { return members_.ranks[static_cast<size_t>(rank)]; }

  void go_on(Message& m) {
    const size_t n = std::min(m.left, Transport::kMost);
    m.pending = m.sends ? transport_.send(global(m.rank), m.tag + 1, m.at, n)
                        : transport_.receive(global(m.rank), m.tag + 1, m.at, n);
    m.at += n, m.left -= n;
  }
  void read_head(Message& m) {
    Head theirs;
    std::memcpy(&theirs, m.first.data(), sizeof theirs);
    seen_[static_cast<size_t>(m.rank)] = text(theirs, true);
    Head expected = head_;
    if (head_.kind == Collective::recv) expected.kind = Collective::send, expected.peer = theirs.peer;
    if (theirs != expected) {
      const bool first = me() < m.rank;  // the same text on both sides
      const bool numbered = theirs.number != expected.number;
      raise<CommError>(name(head_.kind), ": rank ", first ? me() : m.rank, " calls ",
                       text(first ? head_ : theirs, numbered), " but rank ", first ? m.rank : me(), " ",
                       text(first ? theirs : head_, numbered),
                       "; every rank must call the same collectives in the same order");
    }
    const size_t first = std::min(m.left, kInline);
    if (first) std::memcpy(m.at, m.first.data() + sizeof theirs, first);
    m.at += first, m.left -= first;
    m.headed = true;
  }
  int me() const {
    return static_cast<int>(std::find(members_.ranks.begin(), members_.ranks.end(), transport_.rank()) -
                            members_.ranks.begin());
  }
  /// Is there still something to wait for?
  void look(Clock::duration waited) {
    const std::string failure = transport_.failure();
    WEFT_CHECK(failure.empty(), CommError, name(head_.kind), ": ", failure);
    for (const Message& m : messages_) {
      if (!transport_.has_left(global(m.rank))) continue;
      // The last that it sent may be on its way.
      if (left_ == Clock::time_point()) left_ = Clock::now();
      WEFT_CHECK(Clock::now() - left_ < kLastMessages, CommError, name(head_.kind), ": rank ", m.rank,
                 " has returned while rank ", me(), " waits in ", text(head_),
                 "; every rank must call the same collectives");
      break;
    }
    if (std::chrono::duration<double>(waited).count() < seconds_) return;
    const Message* late = &messages_.front();
    for (const Message& m : messages_)
      if (!m.sends && !m.headed) {
        late = &m;
        break;
      }
    const std::string& seen = seen_[static_cast<size_t>(late->rank)];
    raise<CommError>(name(head_.kind), ": rank ", late->rank, " of ", members_.ranks.size(),
                     transport_.place(global(late->rank)),
                     late->headed || late->sends ? " began but did not end " : " did not reach ", text(head_, true),
                     " in ", seconds_, " s; ", seen.empty() ? "nothing was heard of it" : "last seen at " + seen,
                     " (a longer wait: TimeoutScope, or timeout in InitOptions)");
  }

  Transport& transport_;
  const Members& members_;
  Head head_;
  int tag_;
  double seconds_;
  std::vector<std::string>& seen_;
  std::list<Message> messages_;
  Clock::time_point left_;  // when a rank was first seen to have left
};

class OverTransport final : public Queued {
 public:
  OverTransport(Members members, int rank)
      : Queued(rank, static_cast<int>(members.ranks.size())),
        members_(std::move(members)),
        seen_(members_.ranks.size()) {}
  ~OverTransport() override { stop(); }
  int local_rank() const override { return members_.transport->local_rank(); }
  int local_size() const override { return members_.transport->local_size(); }

  std::shared_ptr<Communicator> split(int colour, int key) override {
    // colour, key, the contexts that the rank knows of
    std::vector<std::array<int64_t, 3>> all(members_.ranks.size());
    const std::array<int64_t, 3> mine{colour, key, g_contexts.load()};
    run({.kind = Collective::all_gather, .dtype = Dtype::i64, .count = 3, .in = mine.data(), .out = all.data()});
    int context = 0;
    for (const auto& one : all) context = std::max(context, static_cast<int>(one[2]) + 1);
    int known = g_contexts.load();
    while (known < context && !g_contexts.compare_exchange_weak(known, context)) {}
    std::vector<int> order;
    for (int r = 0; r < size(); ++r)
      if (all[static_cast<size_t>(r)][0] == colour) order.push_back(r);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return all[static_cast<size_t>(a)][1] < all[static_cast<size_t>(b)][1]; });
    if (colour < 0) return nullptr;
    WEFT_CHECK(int64_t{2} * (context + 1) * kStreams <= members_.transport->most_tag(), CommError,
               "split: this is group ", context, " of the process, and the messages' tags end at ",
               members_.transport->most_tag(), "; make groups once and keep them");
    Members part{members_.transport, {}, context};
    for (const int r : order) part.ranks.push_back(members_.ranks[static_cast<size_t>(r)]);
    const auto at = std::find(order.begin(), order.end(), rank()) - order.begin();
    auto made = std::make_shared<OverTransport>(std::move(part), static_cast<int>(at));
    made->timeout = timeout.load();
    return made;
  }

 private:
  using Parts = std::vector<const void*>;

  void perform(const Call& c) override {
    WEFT_CHECK(failure_.empty(), CommError, name(c.kind), ": the group failed before: ", failure_);
    const bool pair = c.kind == Collective::send || c.kind == Collective::recv;
    head_ = {
        pair ? 0 : ++number_, c.count, c.kind == Collective::broadcast || pair ? c.peer : 0, c.kind, c.dtype, c.op, 0};
    if (c.kind == Collective::all_gather && !c.each.empty()) head_.count = 0;  // differs, and is known
    try {
      switch (c.kind) {
        case Collective::barrier: barrier(); break;
        case Collective::broadcast: broadcast(c); break;
        case Collective::all_reduce: all_reduce(c); break;
        case Collective::all_gather: all_gather(c); break;
        case Collective::reduce_scatter: reduce_scatter(c); break;
        case Collective::all_to_all: all_to_all(c); break;
        case Collective::send: {
          Exchange x = exchange(2 + c.tag);
          x.send(c.peer, c.in, bytes(c, c.count));
          x.finish();
          break;
        }
        case Collective::recv: {
          Exchange x = exchange(2 + c.tag);
          x.receive(c.peer, c.out, bytes(c, c.count));
          x.finish();
          break;
        }
      }
    } catch (const std::exception& e) {
      failure_ = e.what();
      members_.transport->announce(failure_);
      keep(std::move(room_));
      throw;
    }
  }

  Exchange exchange(int stream = 0) { return {*members_.transport, members_, head_, stream, timeout, seen_}; }
  static size_t bytes(const Call& c, int64_t n) { return static_cast<size_t>(n) * itemsize(c.dtype); }
  static const char* in(const Call& c, int64_t at) { return static_cast<const char*>(c.in) + bytes(c, at); }
  static char* out(const Call& c, int64_t at) { return static_cast<char*>(c.out) + bytes(c, at); }
  static void copy(void* to, const void* from, size_t n) {
    if (n > 0 && to != from) std::memmove(to, from, n);
  }
  /// Calls f(rank) for all others, the next one first, so that not all turn to the same.
  template <class F> void for_others(const F& f) const {
    for (int i = 1; i < size(); ++i) f((rank() + i) % size());
  }
  static void reduce(const Call& c, void* to, const Parts& parts, int64_t n) {
    dispatch_all(c.dtype, name(c.kind), [&]<class T> {
      using A = std::conditional_t<is_half_v<T>, float, T>;
      reduce_ranks<T, A>(static_cast<T*>(to), parts, n, c.op);
    });
  }

  void barrier() {
    for (int step = 1; step < size(); step *= 2) {  // after the last one everybody has heard of everybody
      Exchange x = exchange();
      x.send((rank() + step) % size(), nullptr, 0);
      x.receive((rank() + size() - step) % size(), nullptr, 0);
      x.finish();
    }
  }
  void broadcast(const Call& c) {  // a tree: who has it sends it to who is `step` further
    barrier();                     // who sends only would not hear of another root
    const int from_root = (rank() + size() - c.peer) % size();
    const size_t n = bytes(c, c.count);
    if (from_root == 0) copy(c.out, c.in, n);
    int step = 1;
    while (step < size() && !(from_root & step)) step *= 2;
    if (from_root != 0) {
      Exchange x = exchange();
      x.receive((from_root - step + c.peer) % size(), c.out, n);
      x.finish();
    }
    Exchange x = exchange();
    for (step /= 2; step >= 1; step /= 2)
      if (from_root + step < size()) x.send((from_root + step + c.peer) % size(), c.out, n);
    x.finish();
  }
  void all_gather(const Call& c) {
    const auto count = [&](int r) { return c.each.empty() ? c.count : c.each[static_cast<size_t>(r)]; };
    std::vector<int64_t> begin(static_cast<size_t>(size()) + 1);
    for (int r = 0; r < size(); ++r) begin[static_cast<size_t>(r) + 1] = begin[static_cast<size_t>(r)] + count(r);
    Exchange x = exchange();
    for_others([&](int r) {
      x.receive(r, out(c, begin[static_cast<size_t>(r)]), bytes(c, count(r)));
      x.send(r, c.in, bytes(c, c.count));
    });
    copy(out(c, begin[static_cast<size_t>(rank())]), c.in, bytes(c, c.count));
    x.finish();
  }
  void all_to_all(const Call& c) {
    Exchange x = exchange();
    for_others([&](int r) {
      x.receive(r, out(c, c.count * r), bytes(c, c.count));
      x.send(r, in(c, c.count * r), bytes(c, c.count));
    });
    copy(out(c, c.count * rank()), in(c, c.count * rank()), bytes(c, c.count));
    x.finish();
  }
  /// Pointers to what each rank sent, this one's own among them; n elements each.
  Parts arrivals(const Call& c, int64_t n, const void* own) {
    room_.resize(bytes(c, n) * static_cast<size_t>(size()));
    Parts parts(static_cast<size_t>(size()));
    for (int r = 0; r < size(); ++r)
      parts[static_cast<size_t>(r)] = r == rank() ? own : room_.data() + bytes(c, n) * static_cast<size_t>(r);
    return parts;
  }
  static char* writable(const void* p) { return static_cast<char*>(const_cast<void*>(p)); }

  void reduce_scatter(const Call& c) {
    const int64_t step = std::max<int64_t>(1, static_cast<int64_t>(kPiece / itemsize(c.dtype)) / size());
    for (int64_t at = 0; at < std::max<int64_t>(c.count, 1); at += step) {
      const int64_t n = std::min(step, c.count - at);
      const Parts parts = arrivals(c, n, in(c, c.count * rank() + at));
      Exchange x = exchange();
      for_others([&](int r) {
        x.receive(r, writable(parts[static_cast<size_t>(r)]), bytes(c, n));
        x.send(r, in(c, c.count * r + at), bytes(c, n));
      });
      x.finish();
      reduce(c, out(c, at), parts, n);
    }
  }
  void all_reduce(const Call& c) {
    if (bytes(c, c.count) <= kSmall || size() == 1) {
      const Parts parts = arrivals(c, c.count, c.in);
      Exchange x = exchange();
      for_others([&](int r) {
        x.receive(r, writable(parts[static_cast<size_t>(r)]), bytes(c, c.count));
        x.send(r, c.in, bytes(c, c.count));
      });
      x.finish();
      return reduce(c, c.out, parts, c.count);
    }
    const int64_t step = static_cast<int64_t>(kPiece / itemsize(c.dtype)), pieces = (c.count - 1) / step + 1;
    for (int64_t piece = 0; piece <= pieces; ++piece) {
      Exchange x = exchange();
      if (piece > 0) {  // the reduced shares of the piece before go round
        const int64_t at = (piece - 1) * step, n = std::min(step, c.count - at);
        const auto edge = [&](int r) { return at + n * r / size(); };
        for_others([&](int r) {
          x.receive(r, out(c, edge(r)), bytes(c, edge(r + 1) - edge(r)), 1);
          x.send(r, out(c, edge(rank())), bytes(c, edge(rank() + 1) - edge(rank())), 1);
        });
      }
      if (piece == pieces) return x.finish();
      const int64_t at = piece * step, n = std::min(step, c.count - at);
      const auto edge = [&](int r) { return at + n * r / size(); };
      const int64_t share = edge(rank() + 1) - edge(rank());
      const Parts parts = arrivals(c, share, in(c, edge(rank())));
      for_others([&](int r) {
        x.receive(r, writable(parts[static_cast<size_t>(r)]), bytes(c, share));
        x.send(r, in(c, edge(r)), bytes(c, edge(r + 1) - edge(r)));
      });
      x.finish();
      reduce(c, out(c, edge(rank())), parts, share);
    }
  }

  Members members_;
  std::vector<std::string> seen_;  // of each rank, the last call that was heard of
  std::vector<char> room_;
  Head head_{};
  uint64_t number_ = 0;
  std::string failure_;
};

}  // namespace

std::shared_ptr<Communicator> over(std::shared_ptr<Transport> transport) {
  Members all{std::move(transport), {}, 0};
  for (int r = 0; r < all.transport->size(); ++r) all.ranks.push_back(r);
  const int rank = all.transport->rank();
  return std::make_shared<OverTransport>(std::move(all), rank);
}

}  // namespace weft::comm
