// Collectives as messages between ranks.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "weft/core/error.h"
#include "weft/distributed/exchange.h"
#include "weft/distributed/queued.h"
#include "weft/distributed/reduce_ranks.h"

namespace weft::comm {
namespace {

// all_reduce in one circle: up to so many bytes everybody sends everything to everybody; above, each rank reduces its
// share of a piece while the shares of the pieces before go round. Pieces grow with the ranks, so that shares do not
// shrink.
constexpr size_t kSmall = 4096;
constexpr size_t piece_bytes(int ranks, bool overlaps = false) {
  return std::max(size_t{1} << (overlaps ? 22 : 19), static_cast<size_t>(ranks) << 16);
}

using Range = std::pair<int64_t, int64_t>;  // of elements: first, one past the last
int64_t length(Range r) { return r.second - r.first; }

/// Ranks of a group that exchange shares in one stage of all_reduce, and which of them this one is.
struct Circle {
  std::vector<int> ranks;
  int me = 0;
  /// Which part of a range one of the circle has.
  Range share(Range of, int i) const {
    const auto edge = [&](int64_t k) { return of.first + length(of) * k / static_cast<int64_t>(ranks.size()); };
    return {edge(i), edge(i + 1)};
  }
  /// Calls f(number in the circle, rank) for all others, the next one first.
  template <class F> void for_others(const F& f) const {
    const auto n = static_cast<int>(ranks.size());
    for (int k = 1; k < n; ++k) f((me + k) % n, ranks[static_cast<size_t>((me + k) % n)]);
  }
};

/// Numbers of contexts that this process has seen, over all transports.
std::atomic<int> g_contexts{0};

class OverTransport final : public Queued {
 public:
  OverTransport(Members members, int rank)
      : Queued(rank, static_cast<int>(members.ranks.size())),
        members_(std::move(members)),
        seen_(members_.ranks.size()),
        circles_(circles()) {}
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
    head_ = {.number = pair ? 0 : ++number_,
             .count = c.count,
             .peer = c.kind == Collective::broadcast || pair ? c.peer : 0,
             .kind = c.kind,
             .dtype = c.dtype,
             .op = c.op,
             .content = c.content,
             .shape = {c.shape.size()}};
    std::copy(c.shape.begin(), c.shape.end(), head_.shape.begin() + 1);
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
          Exchange x = exchange(kOwnStreams + c.tag);
          x.send(c.peer, c.in, bytes(c, c.count));
          x.finish();
          break;
        }
        case Collective::recv: {
          Exchange x = exchange(kOwnStreams + c.tag);
          x.receive(c.peer, c.out, bytes(c, c.count));
          x.finish();
          break;
        }
      }
    } catch (const std::exception& e) {
      failure_ = e.what();
      members_.transport->announce(failure_);
      for (std::vector<char>* room : {&partial_, &rooms_[0], &rooms_[1]}) keep(std::move(*room));
      throw;
    }
  }

  Exchange exchange(int stream = 0) { return {members_, head_, stream, timeout, seen_}; }
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
  void reduce(const Call& c, void* to, const Parts& parts, int64_t n) const {
    dispatch_all(c.dtype, name(c.kind), [&]<class T> {
      using A = std::conditional_t<is_half_v<T>, float, T>;
      reduce_ranks<T, A>(static_cast<T*>(to), parts, n, c.op, static_cast<size_t>(size()));
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
    std::vector<char>& room = rooms_[0];
    room.resize(bytes(c, n) * static_cast<size_t>(size()));
    Parts parts(static_cast<size_t>(size()));
    for (int r = 0; r < size(); ++r)
      parts[static_cast<size_t>(r)] = r == rank() ? own : room.data() + bytes(c, n) * static_cast<size_t>(r);
    return parts;
  }
  static char* writable(const void* p) { return static_cast<char*>(const_cast<void*>(p)); }

  void reduce_scatter(const Call& c) {
    const int64_t step = std::max<int64_t>(1, static_cast<int64_t>(piece_bytes(size()) / itemsize(c.dtype)) / size());
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
    if (c.count == 0 || size() == 1 || (circles_.size() == 1 && bytes(c, c.count) <= kSmall)) {
      const Parts parts = arrivals(c, c.count, c.in);
      Exchange x = exchange();
      for_others([&](int r) {
        x.receive(r, writable(parts[static_cast<size_t>(r)]), bytes(c, c.count));
        x.send(r, c.in, bytes(c, c.count));
      });
      x.finish();
      return reduce(c, c.out, parts, c.count);
    }
    in_pieces(c);
  }

  /// Where ranks of several machines stand in blocks of equal size, a power of two, shares are reduced in each machine
  /// first: its link carries each byte once. The pairs that are added are the same. Otherwise all are one circle.
  std::vector<Circle> circles() const {
    Circle all, machine, others;
    all.me = rank();
    std::vector<std::string> places;
    for (int r = 0; r < size(); ++r) {
      all.ranks.push_back(r);
      places.push_back(members_.transport->place(members_.ranks[static_cast<size_t>(r)]));
    }
    const int in_machine = static_cast<int>(std::count(places.begin(), places.end(), places[0]));
    if (in_machine == size() || in_machine == 1 || !std::has_single_bit(static_cast<unsigned>(in_machine)) ||
        size() % in_machine != 0)
      return {all};
    for (int r = 0; r < size(); ++r)
      if (places[static_cast<size_t>(r)] != places[static_cast<size_t>(r / in_machine * in_machine)] ||
          std::count(places.begin(), places.end(), places[static_cast<size_t>(r)]) != in_machine)
        return {all};
    for (int i = 0; i < in_machine; ++i) machine.ranks.push_back(rank() / in_machine * in_machine + i);
    for (int i = rank() % in_machine; i < size(); i += in_machine) others.ranks.push_back(i);
    machine.me = rank() % in_machine, others.me = rank() / in_machine;
    return {machine, others};
  }

  /// Each circle in turn reduces its shares, then in falling order gives the results back. A piece is a stage further
  /// than the next one, so that all stages go on at once.
  void in_pieces(const Call& c) {
    const auto depth = circles_.size(), stages = 2 * depth;
    const int64_t step = static_cast<int64_t>(piece_bytes(size(), c.overlaps) / itemsize(c.dtype));
    const auto pieces = static_cast<size_t>((c.count - 1) / step + 1);
    // What of a piece the ranks of a circle share out.
    const auto range = [&](size_t piece, size_t circle) {
      const int64_t begin = static_cast<int64_t>(piece) * step;
      Range r{begin, std::min(begin + step, c.count)};
      for (size_t i = 0; i < circle; ++i) r = circles_[i].share(r, circles_[i].me);
      return r;
    };
    // Sums of a machine, of two pieces in turn, in the dtype in which they are added.
    const Dtype sums = is_half(c.dtype) ? Dtype::f32 : c.dtype;
    const size_t share_bytes = (static_cast<size_t>(step) / circles_[0].ranks.size() + 1) * itemsize(sums);
    partial_.resize(depth > 1 ? 2 * share_bytes : 0);
    const auto partial = [&](size_t piece) { return partial_.data() + piece % 2 * share_bytes; };
    for (size_t turn = 0; turn + 1 < pieces + stages; ++turn) {
      Exchange x = exchange();
      std::array<Parts, 2> parts;
      const auto at_work = [&](size_t stage) { return turn >= stage && turn - stage < pieces; };
      for (size_t stage = 0; stage < stages; ++stage) {
        if (!at_work(stage)) continue;
        const size_t piece = turn - stage, at = std::min(stage, stages - 1 - stage);
        const Range whole = range(piece, at);
        if (stage >= depth) give_back(x, c, circles_[at], whole, static_cast<int>(stage));
        else if (at == 0) parts[0] = collect(x, in(c, whole.first), c.dtype, 0, whole);
        else parts[1] = collect(x, partial(piece), sums, 1, whole);
      }
      x.finish();
      for (size_t at = 0; at < depth; ++at) {
        if (!at_work(at)) continue;
        const Range mine = circles_[at].share(range(turn - at, at), circles_[at].me);
        if (depth == 1) {
          reduce(c, out(c, mine.first), parts[0], length(mine));
          continue;
        }
        dispatch_all(c.dtype, name(c.kind), [&]<class T> {
          using A = std::conditional_t<is_half_v<T>, float, T>;
          const auto ranks = static_cast<size_t>(size());
          if (at == 0)
            reduce_ranks<T, A>(reinterpret_cast<A*>(partial(turn)), parts[0], length(mine),
                               c.op == ReduceOp::mean ? ReduceOp::sum : c.op, ranks);
          else reduce_ranks<A, A>(reinterpret_cast<T*>(out(c, mine.first)), parts[1], length(mine), c.op, ranks);
        });
      }
    }
  }
  /// This rank's share of a range from all ranks of a circle, to whom theirs go. `from`: the range's elements.
  Parts collect(Exchange& x, const char* from, Dtype d, size_t at, Range whole) {
    const Circle& circle = circles_[at];
    const auto size_of = [&](int64_t n) { return static_cast<size_t>(n) * itemsize(d); };
    const auto place = [&](int i) { return from + size_of(circle.share(whole, i).first - whole.first); };
    const size_t mine = size_of(length(circle.share(whole, circle.me)));
    rooms_[at].resize(mine * circle.ranks.size());
    Parts parts(circle.ranks.size(), place(circle.me));
    circle.for_others([&](int i, int r) {
      char* theirs = rooms_[at].data() + mine * static_cast<size_t>(i);
      parts[static_cast<size_t>(i)] = theirs;
      x.receive(r, theirs, mine, static_cast<int>(at));
      x.send(r, place(i), size_of(length(circle.share(whole, i))), static_cast<int>(at));
    });
    return parts;
  }
  /// The result's shares to all ranks of a circle.
  void give_back(Exchange& x, const Call& c, const Circle& circle, Range whole, int stream) const {
    const Range mine = circle.share(whole, circle.me);
    circle.for_others([&](int i, int r) {
      const Range theirs = circle.share(whole, i);
      x.receive(r, out(c, theirs.first), bytes(c, length(theirs)), stream);
      x.send(r, out(c, mine.first), bytes(c, length(mine)), stream);
    });
  }

  Members members_;
  std::vector<std::string> seen_;           // of each rank, the last call that was heard of
  std::array<std::vector<char>, 2> rooms_;  // for what the ranks of a circle send
  std::vector<char> partial_;               // sums of a machine
  std::vector<Circle> circles_;
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
