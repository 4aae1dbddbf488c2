#include "weft/core/allocator.h"

#include <algorithm>
#include <bit>

#include "weft/core/error.h"

namespace weft {
namespace {

void*& next_of(void* block) { return *static_cast<void**>(block); }

size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

}  // namespace

CachingAllocator::~CachingAllocator() {
  for (Block* b : free_) delete b;
  for (auto& [data, b] : used_) delete b;
}

// 64, 128, ..., 512, then four steps per doubling up to kSmallLimit.
int CachingAllocator::class_of(size_t bytes) {
  size_t units = (std::max<size_t>(bytes, 1) + 63) / 64;
  if (units <= 8) return static_cast<int>(units) - 1;
  int top = std::bit_width(units - 1) - 1;  // 2^top <= units - 1
  size_t quarter = size_t{1} << (top - 2);
  return 8 + (top - 3) * 4 + static_cast<int>((units - 1 - (size_t{1} << top)) / quarter);
}

size_t CachingAllocator::class_size(int c) {
  if (c < 8) return 64 * (static_cast<size_t>(c) + 1);
  int top = (c - 8) / 4 + 3;
  return 64 * ((size_t{1} << top) + (size_t{1} << (top - 2)) * static_cast<size_t>((c - 8) % 4 + 1));
}

void* CachingAllocator::allocate(size_t bytes) {
  std::lock_guard lock(mutex_);
  bool small = bytes <= kSmallLimit;
  int c = small ? class_of(bytes) : 0;
  size_t size = small ? class_size(c) : round_up(bytes, kLargeStep);
  void* p = small ? pop_small(c, bytes) : take_large(size, bytes);
  stats_.active += size;
  stats_.peak_active = std::max(stats_.peak_active, stats_.active);
  ++stats_.allocations;
  return p;
}

void CachingAllocator::deallocate(void* p, size_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  if (bytes <= kSmallLimit) {
    int c = class_of(bytes);
    push_small(c, p);
    stats_.active -= class_size(c);
  } else {
    free_large(p);
    stats_.active -= round_up(bytes, kLargeStep);
  }
}

void CachingAllocator::push_small(int c, void* p) {
  if (!source_.host_memory) return lists_[c].push_back(p);
  next_of(p) = bins_[c];
  bins_[c] = p;
}

void* CachingAllocator::pop_small(int c, size_t requested) {
  if (!has_small(c)) {
    size_t size = class_size(c);
    char* slab = static_cast<char*>(take_large(kSlab, requested));
    if (!source_.host_memory)
      lists_[c].reserve(lists_[c].capacity() + kSlab / size);  // so that freeing never allocates
    for (size_t n = kSlab / size; n-- > 0;) push_small(c, slab + n * size);
  }
  void* p;
  if (source_.host_memory) {
    p = bins_[c];
    bins_[c] = next_of(p);
  } else {
    p = lists_[c].back();
    lists_[c].pop_back();
  }
  return p;
}

void* CachingAllocator::take(int c, int count) {
  std::lock_guard lock(mutex_);
  void* list = nullptr;
  for (int i = 0; i < count; ++i) {
    if (list && !bins_[c]) break;  // one is needed, more are welcome
    void* p = pop_small(c, class_size(c));
    next_of(p) = list;
    list = p;
  }
  return list;
}

void CachingAllocator::give(int c, void* list) noexcept {
  std::lock_guard lock(mutex_);
  while (list) {
    void* p = list;
    list = next_of(p);
    push_small(c, p);
  }
}

void* CachingAllocator::take_large(size_t size, size_t requested) {
  Block* b;
  auto it = free_.lower_bound(size);
  if (it != free_.end()) {
    b = *it;
    free_.erase(it);
  } else {
    b = new_segment(size, requested);
  }
  if (b->size >= size + kLeastRest) {
    Block* rest = new Block{b->data + size, b->size - size, true, b, b->after};
    if (b->after) b->after->before = rest;
    b->after = rest;
    b->size = size;
    free_.insert(rest);
  }
  b->free = false;
  used_.emplace(b->data, b);
  return b->data;
}

void CachingAllocator::free_large(void* p) noexcept {
  auto it = used_.find(p);
  Block* b = it->second;
  used_.erase(it);
  auto absorb = [&](Block* left, Block* right) {
    left->size += right->size;
    left->after = right->after;
    if (right->after) right->after->before = left;
    delete right;
  };
  if (b->after && b->after->free) {
    free_.erase(b->after);
    absorb(b, b->after);
  }
  if (b->before && b->before->free) {
    Block* left = b->before;
    free_.erase(left);
    absorb(left, b);
    b = left;
  }
  b->free = true;
  free_.insert(b);
}

CachingAllocator::Block* CachingAllocator::new_segment(size_t size, size_t requested) {
  size_t bytes = std::max(kSegment, round_up(size, kSlab));
  auto fits = [&](size_t n) { return !stats_.limit || stats_.reserved + n <= stats_.limit; };
  if (!fits(bytes)) {
    bytes = round_up(size, kSlab);
    if (!fits(bytes)) release_free_segments();
  }
  void* p = fits(bytes) ? source_.allocate(bytes) : nullptr;
  if (!p && fits(bytes)) {
    release_free_segments();
    bytes = round_up(size, kSlab);
    p = source_.allocate(bytes);
  }
  if (!p)
    raise<OutOfMemory>(device_, ": out of memory: ", requested, " bytes requested; active ", stats_.active, ", cached ",
                       stats_.reserved - std::min(stats_.reserved, stats_.active), ", limit ",
                       stats_.limit ? std::to_string(stats_.limit) : "none",
                       "; use smaller batches, free tensors, or raise set_memory_limit");
  stats_.reserved += bytes;
  ++stats_.system_allocations;
  return new Block{static_cast<char*>(p), bytes};
}

void CachingAllocator::release_free_segments() noexcept {
  for (auto it = free_.begin(); it != free_.end();) {
    Block* b = *it;
    if (b->before || b->after) {
      ++it;
      continue;
    }
    it = free_.erase(it);
    source_.release(b->data, b->size);
    stats_.reserved -= b->size;
    delete b;
  }
}

void CachingAllocator::empty_cache() {
  std::lock_guard lock(mutex_);
  release_free_segments();
}

void CachingAllocator::set_limit(size_t bytes) {
  std::lock_guard lock(mutex_);
  stats_.limit = bytes;
}

MemoryStats CachingAllocator::stats() const {
  std::lock_guard lock(mutex_);
  MemoryStats s = stats_;
  s.cached = s.reserved - std::min(s.reserved, s.active);
  return s;
}

void CachingAllocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak_active = stats_.active;
}

}  // namespace weft
