// Host memory that devices copy from and to by themselves, kept for the next who asks. Knows no CUDA.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "weft/core/fn/integer.h"

namespace weft::cuda {

/// A block that was freed is given out again when all copies from and to it are done: `used` puts a mark behind each.
class PinnedCache {
 public:
  struct Queue {
    int device;
    void* stream;
    bool operator==(const Queue&) const = default;
  };
  /// What the devices do. Only `allocate` may throw.
  struct Source {
    std::function<void*(size_t)> allocate;  ///< null when there is no more
    std::function<void(void*)> release;
    std::function<void*(const Queue&)> mark;             ///< a mark in the queue; null where that failed
    std::function<bool(void* mark, bool wait)> reached;  ///< has the queue got there? Waits for it if told
    std::function<void(const Queue&, void* mark)> end;
    std::function<void(const Queue&)> wait;  ///< for all that is in the queue
  };
  /// Most bytes that wait for their queues before the caller waits for the oldest.
  static constexpr size_t kMostWaiting = size_t{256} << 20;

  explicit PinnedCache(Source source) : source_(std::move(source)) {}

  /// At least so many bytes, aligned as the source's; null when there are no more.
  void* allocate(size_t bytes) {
    if (bytes > SIZE_MAX / 2) return nullptr;
    std::lock_guard lock(mutex_);
    const size_t size = size_of(bytes);
    std::list<Block>& fit = free_[size];
    sweep();
    while (fit.empty() && waiting_bytes_ + size > kMostWaiting && !waiting_.empty()) finish_oldest();
    if (fit.empty()) {
      void* p = source_.allocate(size);
      if (!p) {
        while (!waiting_.empty()) finish_oldest();
        release_free();
        p = source_.allocate(size);
      }
      if (!p) return nullptr;
      try {
        std::list<Block> fresh{{static_cast<char*>(p), size, &fit, {}}};
        blocks_.emplace(static_cast<char*>(p), fresh.begin());
        fit.splice(fit.begin(), fresh);
      } catch (...) {
        source_.release(p);
        throw;
      }
    }
    used_.splice(used_.begin(), fit, fit.begin());
    return used_.front().data;
  }
  /// Something was put into the queue that reads or writes at `p`, inside of a block or of nobody's.
  void used(const void* p, const Queue& q) noexcept {
    std::lock_guard lock(mutex_);
    Block* b = block_of(p);
    if (!b) return;
    const auto old = std::find_if(b->marks.begin(), b->marks.end(), [&](const Mark& m) { return m.queue == q; });
    void* const mark = source_.mark(q);
    if (!mark) return source_.wait(q);
    if (old != b->marks.end()) {
      source_.end(q, std::exchange(old->mark, mark));
      return;
    }
    try {
      b->marks.push_back({q, mark});
    } catch (const std::bad_alloc&) {
      source_.end(q, mark);
      source_.wait(q);
    }
  }
  /// A graph that was captured reads or writes there whenever it runs: nobody else may have the block.
  void keep(const void* p) {
    std::lock_guard lock(mutex_);
    if (Block* b = block_of(p)) b->kept = true;
  }
  void deallocate(void* p) noexcept {
    std::lock_guard lock(mutex_);
    const auto b = blocks_.find(static_cast<char*>(p))->second;
    if (b->kept) return;
    if (b->marks.empty()) return b->home->splice(b->home->begin(), used_, b);
    waiting_.splice(waiting_.end(), used_, b);
    waiting_bytes_ += b->size;
  }
  /// Is it in a block that was given out?
  bool owns(const void* p) {
    std::lock_guard lock(mutex_);
    return block_of(p) != nullptr;
  }
  /// Gives back what is not in use and not being copied.
  void empty() noexcept {
    std::lock_guard lock(mutex_);
    sweep();
    release_free();
  }

 private:
  struct Mark {
    Queue queue;
    void* mark;
  };
  struct Block {
    char* data;
    size_t size;
    std::list<Block>* home;   // where it lies when it is free
    std::vector<Mark> marks;  // behind the last copy of each queue
    bool kept = false;
  };

  /// Pages, in four steps per doubling.
  static size_t size_of(size_t bytes) {
    constexpr size_t kPage = 4096;
    return fn::round_up(std::max(bytes, kPage), std::max(kPage, std::bit_floor(std::max(bytes, kPage)) / 4));
  }
  Block* block_of(const void* p) {
    auto at = blocks_.upper_bound(static_cast<char*>(const_cast<void*>(p)));
    if (at == blocks_.begin()) return nullptr;
    Block& b = *std::prev(at)->second;
    return static_cast<const char*>(p) < b.data + b.size ? &b : nullptr;
  }
  bool finish(Block& b, bool wait) {
    std::erase_if(b.marks, [&](const Mark& m) {
      const bool yes = source_.reached(m.mark, wait) || wait;
      if (yes) source_.end(m.queue, m.mark);
      return yes;
    });
    if (!b.marks.empty()) return false;
    waiting_bytes_ -= b.size;
    b.home->splice(b.home->begin(), waiting_, waiting_.begin());
    return true;
  }
  void sweep() {
    while (!waiting_.empty() && finish(waiting_.front(), false)) {}
  }
  void finish_oldest() { (void)finish(waiting_.front(), true); }
  void release_free() {
    for (auto& [size, list] : free_)
      for (; !list.empty(); list.pop_front()) {
        blocks_.erase(list.front().data);
        source_.release(list.front().data);
      }
  }

  std::mutex mutex_;
  Source source_;
  std::map<size_t, std::list<Block>> free_;  // by size
  std::list<Block> used_, waiting_;          // waiting: in the order of deallocation
  std::map<char*, std::list<Block>::iterator> blocks_;
  size_t waiting_bytes_ = 0;
};

}  // namespace weft::cuda
