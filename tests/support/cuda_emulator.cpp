#include "support/cuda_emulator.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <vector>

#include "support/fiber.h"
#include "support/sanitizers.h"

// What fibers call is WEFT_NOT_TRACED and touches plain arrays only.
namespace cuda_emulator {
namespace {

using support::acquire;
using support::Fiber;
using support::release;

constexpr unsigned kWarp = 32, kEveryLane = 0xffffffffu, kMostThreads = 1024, kMostShared = 64;
constexpr size_t kMostSharedBytes = 48 * 1024;  // more needs an attribute of the kernel that nobody sets

enum class State : uint8_t { ready, at_barrier, at_warp_operation, exited };

/// Runs threads, one after the other; `idle`: may be given one.
struct Worker {
  Fiber fiber;
  bool idle = false;
};

struct Thread {
  Worker* worker = nullptr;
  State state = State::exited;
  unsigned number = 0;
  uint3 index{};
  Site site{};                 // where it waits
  unsigned mask = 0;           // with whom
  uint64_t brought = 0;        // to an exchange,
  const Lanes* all = nullptr;  // and what everybody brought
  void (*together)(const Lanes&) = nullptr;
};

struct Warp {
  Lanes exchanged[kWarp];  // by the lowest lane of the mask
};

struct Variable {
  const void* name;
  unsigned char* memory;
  size_t bytes;
};

struct Machine {
  Worker* worker = nullptr;  // [kMostThreads], made on first use and never destroyed
  Thread thread[kMostThreads];
  Warp warp[kMostThreads / kWarp];
  Fiber host;
  Thread* current = nullptr;
  unsigned threads = 0;
  uint3 block{};
  dim3 block_size, grid_size;
  void (*body)(void*) = nullptr;
  void* arguments = nullptr;

  unsigned waiting = 0, exited = 0;          // threads
  int votes = 0, result = 0;                 // of the barrier
  char start, end, meeting, memory, fences;  // the thread sanitizer's tags

  Variable variable[kMostShared];
  unsigned variables = 0;
  size_t dynamic_bytes = 0, shared_bytes = 0;
  std::vector<void*> garbage;
  std::vector<std::pair<const unsigned char*, size_t>> scratch;  // what is live

  const char* wrong = nullptr;  // what a thread did
  Site wrong_at{};

  Schedule schedule;
  int64_t launches = 0;
  void (*look)() = nullptr;
};
Machine g;

std::string at(const Site& s) {
  const char* name = std::strrchr(s.file, '/');
  return std::string(s.operation) + " (" + (name ? name + 1 : s.file) + ":" + std::to_string(s.line) + ")";
}
WEFT_NOT_TRACED bool same(const Site& a, const Site& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0) &&
         std::strcmp(a.operation, b.operation) == 0;
}

[[noreturn]] void raise(const std::string& what) {
  throw Error("block (" + std::to_string(g.block.x) + ", " + std::to_string(g.block.y) + ", " +
              std::to_string(g.block.z) + "): " + what);
}
/// Who is where.
std::string whereabouts() {
  std::string r;
  std::vector<bool> told(g.threads);
  for (unsigned i = 0; i < g.threads; ++i) {
    if (told[i]) continue;
    const Thread& t = g.thread[i];
    unsigned count = 0;
    for (unsigned j = i; j < g.threads; ++j) {
      const Thread& u = g.thread[j];
      if (u.state != t.state || (t.state != State::exited && !same(u.site, t.site)) ||
          (t.state == State::at_warp_operation && u.mask != t.mask))
        continue;
      told[j] = true;
      ++count;
    }
    if (!r.empty()) r += ", ";
    r += std::to_string(count) + (count == 1 ? " thread " : " threads ") +
         (t.state == State::exited ? "exited" : "at " + at(t.site)) + " (first: " + std::to_string(i) + ")";
  }
  return r;
}

// ---- On the fibers.

/// Lets the scheduler go on; returns when this thread's turn comes.
WEFT_NOT_TRACED void yield_turn() { Fiber::switch_to(g.current->worker->fiber, g.host); }

/// A fiber runs one thread of each block, for ever.
WEFT_NOT_TRACED void fiber_main() {
  support::fiber_arrived();
  for (;;) {
    acquire(&g.start);
    forget_copies();
    g.body(g.arguments);
    if (copies_under_way()) fail("the thread ends before its copies have arrived", kCpAsync);
    release(&g.end);
    g.current->state = State::exited;
    ++g.exited;
    yield_turn();
  }
}

// ---- The scheduler, on the host's stack.

void permute(unsigned* order, unsigned n, std::mt19937_64& random) {
  std::iota(order, order + n, 0u);
  if (g.schedule.order == Order::reverse) std::reverse(order, order + n);
  if (g.schedule.order == Order::shuffled)
    for (unsigned i = n; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
}

WEFT_NOT_TRACED void resume(Thread& t) {
  g.current = &t;
  Fiber::switch_to(g.host, t.worker->fiber);
  g.current = nullptr;
}

/// Tells the thread sanitizer that these threads have met. Done in their names by the scheduler: what a thread does
/// after the meeting must not be ordered with others that have not gone on yet.
WEFT_NOT_TRACED void meet([[maybe_unused]] Thread* first, [[maybe_unused]] unsigned count,
                          [[maybe_unused]] unsigned mask) {
#if defined(WEFT_WITH_TSAN)
  for (int round = 0; round < 2; ++round)
    for (unsigned k = 0; k < count; ++k) {
      if (count <= kWarp && !(mask >> k & 1)) continue;
      Fiber::pose_as(first[k].worker->fiber);
      if (round == 0) release(&g.meeting);
      else acquire(&g.meeting);
    }
  Fiber::pose_as(g.host);
#endif
}

/// Lets lanes go whose exchange is complete.
WEFT_NOT_TRACED bool complete_exchanges(unsigned warp) {
  bool any = false;
  Thread* const lanes = g.thread + warp * kWarp;
  const unsigned count = std::min(kWarp, g.threads - warp * kWarp);
  for (unsigned l = 0; l < count; ++l) {
    if (lanes[l].state != State::at_warp_operation) continue;
    const unsigned mask = lanes[l].mask;
    unsigned here = 0;
    for (unsigned k = 0; k < count; ++k)
      if (lanes[k].state == State::at_warp_operation && lanes[k].mask == mask) here |= 1u << k;
    if (here != mask) continue;
    Lanes& all = g.warp[warp].exchanged[l];
    for (unsigned k = 0; k < count; ++k) {
      if (!(mask >> k & 1)) continue;
      if (!same(lanes[k].site, lanes[l].site)) raise("lanes of one mask are at different operations: " + whereabouts());
      all.value[k] = lanes[k].brought;
      lanes[k].all = &all;
      lanes[k].state = State::ready;
    }
    if (lanes[l].together) lanes[l].together(all);
    meet(lanes, count, mask);
    any = true;
  }
  return any;
}

/// Runs a warp as far as it goes; false if it could not move.
bool run_warp(unsigned warp, std::mt19937_64& random) {
  bool moved = false;
  for (bool more = true; more;) {
    more = false;
    unsigned order[kWarp];
    permute(order, kWarp, random);
    for (const unsigned l : order) {
      const unsigned i = warp * kWarp + l;
      if (i >= g.threads || g.thread[i].state != State::ready) continue;
      resume(g.thread[i]);
      moved = true;
      if (g.wrong) raise("thread " + std::to_string(i) + ": " + at(g.wrong_at) + ": " + g.wrong);
    }
    more = complete_exchanges(warp);
  }
  return moved;
}

bool complete_barrier() {
  if (g.waiting != g.threads) return false;
  for (unsigned i = 0; i < g.threads; ++i) {
    if (!same(g.thread[i].site, g.thread[0].site)) raise("threads wait at different barriers: " + whereabouts());
    g.thread[i].state = State::ready;
  }
  meet(g.thread, g.threads, kEveryLane);
  g.result = g.votes;
  g.votes = 0;
  g.waiting = 0;
  return true;
}

void check_guards();

WEFT_NOT_TRACED void run_block(uint64_t number, std::mt19937_64& random) {
  g.waiting = g.exited = 0;
  g.votes = 0;
  for (unsigned i = 0; i < g.threads; ++i) {
    Thread& t = g.thread[i];
    t.number = i;
    t.index = {i % g.block_size.x, i / g.block_size.x % g.block_size.y, i / (g.block_size.x * g.block_size.y)};
    t.state = State::ready;
    // Another worker in each block: the thread sanitizer would take threads of the same number for one.
    t.worker = &g.worker[(i + number) % g.threads];
    if (!t.worker->idle) t.worker->fiber.prepare(fiber_main);
    t.worker->idle = true;
  }
  const unsigned warps = (g.threads + kWarp - 1) / kWarp;
  unsigned order[kMostThreads / kWarp];
  while (g.exited < g.threads) {
    bool moved = false;
    permute(order, warps, random);
    for (unsigned w = 0; w < warps; ++w) moved = run_warp(order[w], random) || moved;
    moved = complete_barrier() || moved;
    if (!moved && g.exited < g.threads) raise("threads wait for ever: " + whereabouts());
  }
  check_guards();
}

// ---- Memory.

#if defined(WEFT_WITH_ASAN)
constexpr size_t kGuardBytes = 0;  // it sees more
#else
constexpr size_t kGuardBytes = 64;
#endif
constexpr unsigned char kFresh = 0xff, kGuardByte = 0xa5;

WEFT_NOT_TRACED unsigned char* allocate(size_t bytes) {
  void* p = nullptr;
  if (posix_memalign(&p, 256, bytes + kGuardBytes + (bytes == 0)) != 0) throw std::bad_alloc();
  std::memset(p, kFresh, bytes);
  std::memset(static_cast<unsigned char*>(p) + bytes, kGuardByte, kGuardBytes);
  return static_cast<unsigned char*>(p);
}
WEFT_NOT_TRACED bool intact(const unsigned char* p, size_t bytes) {
  for (size_t i = bytes; i < bytes + kGuardBytes; ++i)
    if (p[i] != kGuardByte) return false;
  return true;
}

void check_guards() {
  for (unsigned i = 0; i < g.variables; ++i)
    if (!intact(g.variable[i].memory, g.variable[i].bytes)) raise("wrote past the end of shared memory");
  for (const auto& [p, bytes] : g.scratch)
    if (!intact(p, bytes)) raise("wrote past the end of scratch memory");
}
/// Under the thread sanitizer a block's memory stays until the launch ends: freeing it would order the blocks.
void drop_shared() {
  for (unsigned i = 0; i < g.variables; ++i) {
#if defined(WEFT_WITH_TSAN)
    g.garbage.push_back(g.variable[i].memory);
#else
    std::free(g.variable[i].memory);
#endif
  }
  g.variables = 0;
  g.shared_bytes = 0;
}

/// Leaves a launch: its threads' work becomes the host's past, and threads that did not finish are given up.
struct Finish {
  WEFT_NOT_TRACED ~Finish() {
    for (unsigned i = 0; i < g.threads; ++i) {
      Worker* w = g.thread[i].worker;
      if (!w || g.thread[i].state == State::exited) continue;
      w->idle = false;
      Fiber::pose_as(w->fiber);
      release(&g.end);
      Fiber::pose_as(g.host);
    }
    acquire(&g.end);
    drop_shared();
    for (void* p : g.garbage) std::free(p);
    g.garbage.clear();
    g.threads = 0;
    g.wrong = nullptr;
  }
};

void check_launch(dim3 grid, dim3 block, size_t shared_bytes) {
  const auto triple = [](dim3 d) {
    return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
  };
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (g.threads) throw Error("launch: from a kernel");
  if (threads == 0 || threads > kMostThreads || block.z > 64)
    throw Error("launch: a block of " + triple(block) + " threads is not possible");
  if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    throw Error("launch: a grid of " + triple(grid) + " blocks is not possible");
  if (shared_bytes > kMostSharedBytes)
    throw Error("launch: " + std::to_string(shared_bytes) + " bytes of shared memory are more than " +
                std::to_string(kMostSharedBytes));
}

}  // namespace

void set_schedule(Schedule s) { g.schedule = s; }
int64_t launches() { return g.launches; }

WEFT_NOT_TRACED const uint3& thread_index() { return g.current->index; }
WEFT_NOT_TRACED const uint3& block_index() { return g.block; }
WEFT_NOT_TRACED const dim3& block_size() { return g.block_size; }
WEFT_NOT_TRACED const dim3& grid_size() { return g.grid_size; }
WEFT_NOT_TRACED unsigned lane() { return g.current->number % kWarp; }

WEFT_NOT_TRACED void fail(const char* what, const Site& site) {
  g.wrong = what;
  g.wrong_at = site;
  yield_turn();
  std::abort();  // never resumed
}

WEFT_NOT_TRACED int block_barrier(bool predicate, const Site& site) {
  Thread& me = *g.current;
  me.site = site;
  me.state = State::at_barrier;
  ++g.waiting;
  g.votes += predicate;
  yield_turn();
  return g.result;
}

WEFT_NOT_TRACED Lanes exchange(unsigned mask, uint64_t value, const Site& site, void (*together)(const Lanes&)) {
  Thread& me = *g.current;
  const unsigned warp = me.number / kWarp, l = me.number % kWarp;
  if (!(mask >> l & 1)) fail("the calling lane is not in its mask", site);
  for (unsigned k = 0; k < kWarp; ++k) {
    const unsigned i = warp * kWarp + k;
    if (i >= g.threads) {
      if (mask >> k & 1) fail("the mask names lanes that the block does not have", site);
      continue;
    }
    const Thread& other = g.thread[i];
    if (other.state == State::at_warp_operation && other.mask != mask && (other.mask & mask))
      fail("lanes give different masks", site);
  }
  me.site = site;
  me.mask = mask;
  me.brought = value;
  me.together = together;
  me.state = State::at_warp_operation;
  yield_turn();
  Lanes r;
  const volatile uint64_t* all = me.all->value;  // a memcpy would be traced
  for (unsigned k = 0; k < kWarp; ++k) r.value[k] = all[k];
  return r;
}

WEFT_NOT_TRACED void* shared_memory(const void* name, size_t bytes) {
  for (unsigned i = 0; i < g.variables; ++i)
    if (g.variable[i].name == name) {
      acquire(&g.memory);
      return g.variable[i].memory;
    }
  if (!name) bytes = g.dynamic_bytes;
  constexpr Site site{"shared memory", "", 0};
  if ((g.shared_bytes += bytes) > kMostSharedBytes || g.variables == kMostShared) fail("too much for a block", site);
  // In the host's name: the thread that comes first must not hand what it did so far to the others.
  Fiber::pose_as(g.host);
  unsigned char* p = allocate(bytes);
  release(&g.memory);
  Fiber::pose_as(g.current->worker->fiber);
  acquire(&g.memory);
  g.variable[g.variables++] = {name, p, bytes};
  return p;
}

WEFT_NOT_TRACED unsigned thread_number() { return g.current->number; }

WEFT_NOT_TRACED bool is_shared(const void* p, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(p);
  for (unsigned i = 0; i < g.variables; ++i) {
    const Variable& v = g.variable[i];
    if (at >= v.memory && at + bytes <= v.memory + v.bytes) return true;
  }
  return false;
}

WEFT_NOT_TRACED void fence() {
  acquire(&g.fences);
  release(&g.fences);
}

WEFT_NOT_TRACED void system_fence() {
  fence();
  if (g.look) g.look();
}
void on_system_fence(void (*look)()) { g.look = look; }

WEFT_NOT_TRACED void run(dim3 grid, dim3 block, size_t shared_bytes, void (*body)(void*), void* arguments) {
  check_launch(grid, block, shared_bytes);
  if (!g.worker) g.worker = new Worker[kMostThreads];
  g.host.adopt_current();
  g.threads = block.x * block.y * block.z;
  const Finish finish;
  g.block_size = block;
  g.grid_size = grid;
  g.dynamic_bytes = shared_bytes;
  g.body = body;
  g.arguments = arguments;
  ++g.launches;
  release(&g.start);
  std::mt19937_64 random(g.schedule.seed);
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  for (uint64_t k = 0; k < blocks; ++k) {
    const uint64_t b = g.schedule.order == Order::forward ? k : blocks - 1 - k;
    g.block = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
               static_cast<unsigned>(b / (uint64_t{grid.x} * grid.y))};
    run_block(b, random);
    drop_shared();
  }
}

}  // namespace cuda_emulator

// ---- What kernels' host code asks for.
namespace weft::cuda {
namespace {

FaultPlaces g_places;
Fault g_fault{};

}  // namespace

void check(int e, const char* what) {
  if (e != 0) throw cuda_emulator::Error(std::string(what) + ": error " + std::to_string(e));
}
void* stream() { return nullptr; }
void refuse_capture(const char*) {}
int device() { return 0; }
int multiprocessors() { return 4; }

void Scratch::reset(size_t bytes) {
  auto& live = cuda_emulator::g.scratch;
  if (p_) {
    std::erase_if(live, [this](const auto& s) { return s.first == p_; });
    std::free(p_);
    p_ = nullptr;
  }
  bytes_ = bytes;
  device_ = cuda::device();
  if (bytes == 0) return;
  p_ = cuda_emulator::allocate(bytes);
  live.emplace_back(static_cast<const unsigned char*>(p_), bytes);
}

Upload::Upload(const void* host, size_t bytes) : memory_(bytes) {
  if (bytes) std::memcpy(memory_.as<>(), host, bytes);
}

Fault* fault() { return &g_fault; }
int32_t fault_site(const char* op, int64_t dim, const char* what) { return g_places.number(op, what, dim); }

}  // namespace weft::cuda

std::optional<cuda_emulator::TakenFault> cuda_emulator::take_fault() {
  using namespace weft::cuda;
  const std::optional<Fault> f = weft::cuda::take_fault(g_fault);
  if (!f) return std::nullopt;
  const FaultPlace place = g_places[f->site];
  return TakenFault{place.op, place.what, place.dim, f->index, f->size};
}
