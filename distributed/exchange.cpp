#include "weft/distributed/exchange.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "weft/core/error.h"

namespace weft::comm {
namespace {

// The first message of a pair has this much of the content with it, so that a small call takes one message.
constexpr size_t kInline = 8192;
// How long what a rank sent before it left may take.
constexpr std::chrono::milliseconds kLastMessages{500};

std::string text(const Head& h, bool numbered = false, bool shaped = false) {
  if (shaped) return text(h, numbered) + str(" ", Shape({h.shape.data() + 1, static_cast<size_t>(h.shape[0])}));
  return comm::text(
      {.kind = h.kind, .dtype = h.dtype, .op = h.op, .count = h.count, .peer = h.peer, .content = h.content},
      numbered ? h.number : 0);
}

}  // namespace

void keep(std::vector<char> memory) {
  static auto* kept = new std::list<std::vector<char>>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  kept->push_back(std::move(memory));
}

Exchange::Exchange(const Members& m, const Head& head, int stream, double seconds, std::vector<std::string>& seen)
    : members_(m),
      transport_(*m.transport),
      head_(head),
      tag_(2 * (m.context * kStreams + stream)),
      seconds_(seconds),
      seen_(seen) {}
Exchange::~Exchange() {  // messages left over: the call failed
  for (Message& m : messages_) {
    if (m.pending >= 0) transport_.cancel(m.pending);
    keep(std::move(m.first));
  }
}

void Exchange::send(int to, const void* p, size_t n, int stream) {
  Message& m = messages_.emplace_back();
  m.rank = to, m.tag = tag_ + 2 * stream, m.sends = true, m.at = static_cast<char*>(const_cast<void*>(p)), m.left = n;
  const size_t first = std::min(n, kInline);
  m.first.resize(sizeof head_ + first);
  std::memcpy(m.first.data(), &head_, sizeof head_);
  if (first) std::memcpy(m.first.data() + sizeof head_, p, first);
  m.at += first, m.left -= first;
  m.pending = transport_.send(global(to), m.tag, m.first.data(), m.first.size());
}

void Exchange::receive(int from, void* p, size_t n, int stream) {
  Message& m = messages_.emplace_back();
  m.rank = from, m.tag = tag_ + 2 * stream, m.at = static_cast<char*>(p), m.left = n;
  m.first.resize(sizeof head_ + kInline);
  m.pending = transport_.receive(global(from), m.tag, m.first.data(), m.first.size());
}

void Exchange::finish() {
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

void Exchange::go_on(Message& m) {
  const size_t n = std::min(m.left, Transport::kMost);
  m.pending = m.sends ? transport_.send(global(m.rank), m.tag + 1, m.at, n)
                      : transport_.receive(global(m.rank), m.tag + 1, m.at, n);
  m.at += n, m.left -= n;
}

void Exchange::read_head(Message& m) {
  Head theirs;
  std::memcpy(&theirs, m.first.data(), sizeof theirs);
  seen_[static_cast<size_t>(m.rank)] = text(theirs, true);
  Head expected = head_;
  if (head_.kind == Collective::recv) expected.kind = Collective::send, expected.peer = theirs.peer;
  if (theirs != expected) {
    const bool first = me() < m.rank;  // the same text on both sides
    const bool numbered = theirs.number != expected.number;
    const bool shaped = theirs.count == expected.count && theirs.shape != expected.shape;
    raise<CommError>(name(head_.kind), ": rank ", first ? me() : m.rank, " calls ",
                     text(first ? head_ : theirs, numbered, shaped), " but rank ", first ? m.rank : me(), " ",
                     text(first ? theirs : head_, numbered, shaped),
                     "; every rank must call the same collectives in the same order");
  }
  const size_t first = std::min(m.left, kInline);
  if (first) std::memcpy(m.at, m.first.data() + sizeof theirs, first);
  m.at += first, m.left -= first;
  m.headed = true;
}

int Exchange::me() const {
  return static_cast<int>(std::find(members_.ranks.begin(), members_.ranks.end(), transport_.rank()) -
                          members_.ranks.begin());
}

/// Is there still something to wait for?
void Exchange::look(Clock::duration waited) {
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
  // Who only sends does not hear whether the other has begun; in a collective it has, or its own message would be due.
  const char* how = head_.kind == Collective::send ? " did not receive "
                    : late->headed || late->sends  ? " began but did not end "
                                                   : " did not reach ";
  const std::string& seen = seen_[static_cast<size_t>(late->rank)];
  raise<CommError>(name(head_.kind), ": rank ", late->rank, " of ", members_.ranks.size(),
                   transport_.place(global(late->rank)), how, text(head_, true), " in ", seconds_, " s; ",
                   seen.empty() ? "nothing was heard of it" : "last seen at " + seen,
                   " (a longer wait: TimeoutScope, or timeout in InitOptions)");
}

}  // namespace weft::comm
