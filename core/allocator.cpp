#include "weft/core/allocator.h"

#include <algorithm>
#include <bit>
#include <memory>

#include "weft/core/error.h"
#include "weft/core/fn/integer.h"

namespace weft {
namespace {

void*& next_of(void* block) { return *static_cast<void**>(block); }

}  // namespace

CachingAllocator::~CachingAllocator() {
  if (!source_.page) {
    for (Block* b : free_) delete b;
    for (auto& [data, b] : used_) delete b;
  }
  for (const Arena& a : arenas_)
    for (Block *b = a.first, *next; b; b = next) {
      next = b->after;
      delete b;
    }
  while (Block* b = spare()) delete b;
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

/// Every class that a multiple of 512 falls into has such a size, too.
size_t CachingAllocator::padded(size_t bytes) const {
  return source_.alignment == kAlignment ? bytes : fn::round_up(std::max<size_t>(bytes, 1), source_.alignment);
}

void* CachingAllocator::allocate(size_t requested) {
  std::lock_guard lock(mutex_);
  if (requested > SIZE_MAX / 2) fail(requested);
  const size_t bytes = padded(requested);
  bool small = bytes <= kSmallLimit;
  int c = small ? class_of(bytes) : 0;
  size_t size = small ? class_size(c) : fn::round_up(bytes, kLargeStep);
  void* p = small ? pop_small(c, requested) : take_large(size, requested);
  stats_.active += size;
  stats_.peak_active = std::max(stats_.peak_active, stats_.active);
  most_used_ = std::max(most_used_, in_use());
  ++stats_.allocations;
  return p;
}

void CachingAllocator::deallocate(void* p, size_t requested) noexcept {
  std::lock_guard lock(mutex_);
  const size_t bytes = padded(requested);
  if (bytes <= kSmallLimit) {
    int c = class_of(bytes);
    push_small(c, p);
    stats_.active -= class_size(c);
  } else {
    free_large(p);
    stats_.active -= fn::round_up(bytes, kLargeStep);
  }
}

void CachingAllocator::push_small(int c, void* p) {
  bin_bytes_ += class_size(c);
  if (!source_.host_memory) return lists_[c].push_back(p);
  next_of(p) = bins_[c];
  bins_[c] = p;
}

// Few blocks at first, for most classes are used little, and what is linked is touched. More where a class is used much.
size_t CachingAllocator::slab_bytes(int c) const {
  if (!source_.page) return kSlab;
  const size_t size = class_size(c), least = std::clamp(16 * size, kLargeStep, 4 * kLargeStep);
  const size_t blocks = std::max<size_t>(1, std::max(least, std::min(kSlab, carved_[c] / 8)) / size);
  return fn::round_up(blocks * size, kLargeStep);
}

void* CachingAllocator::pop_small(int c, size_t requested) {
  if (!has_small(c)) {
    const size_t size = class_size(c), bytes = slab_bytes(c), blocks = bytes / size;
    char* slab = static_cast<char*>(take_large(bytes, requested));
    try {
      if (!source_.host_memory) lists_[c].reserve(lists_[c].capacity() + blocks);  // so that freeing never allocates
      if (source_.page) slabs_.emplace(slab, Slab{c, blocks, bytes});
    } catch (...) {
      free_large(slab);
      throw;
    }
    carved_[c] += bytes;
    for (size_t n = blocks; n-- > 0;) push_small(c, slab + n * size);
  }
  void* p;
  if (source_.host_memory) {
    p = bins_[c];
    bins_[c] = next_of(p);
  } else {
    p = lists_[c].back();
    lists_[c].pop_back();
  }
  bin_bytes_ -= class_size(c);
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
  most_used_ = std::max(most_used_, in_use());
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

// Blocks. Whatever needs the heap comes before the first change; freeing needs none.

void CachingAllocator::need_spares(int n) {
  while (spare_count_ < n) {
    auto b = std::make_unique<Block>();
    FreeSet one;
    one.insert(b.get());
    b->node = one.extract(one.begin());
    recycle(b.release());
  }
}

CachingAllocator::Block* CachingAllocator::spare() noexcept {
  if (!spares_) return nullptr;
  Block* b = spares_;
  spares_ = b->after;
  b->after = nullptr;
  --spare_count_;
  return b;
}

void CachingAllocator::recycle(Block* b) noexcept {
  b->before = nullptr;
  b->after = spares_;
  spares_ = b;
  ++spare_count_;
}

/// b keeps its first `size` bytes; the rest, of the same state, is a block behind it. Needs a spare.
CachingAllocator::Block* CachingAllocator::cut(Block* b, size_t size) noexcept {
  Block* rest = spare();
  rest->data = b->data + size;
  rest->size = b->size - size;
  rest->state = b->state;
  rest->before = b;
  rest->after = b->after;
  if (b->after) b->after->before = rest;
  b->after = rest;
  b->size = size;
  for (Arena& a : arenas_)
    if (a.last == b) a.last = rest;
  return rest;
}

void CachingAllocator::absorb(Block* left, Block* right) noexcept {
  left->size += right->size;
  left->after = right->after;
  if (right->after) right->after->before = left;
  for (Arena& a : arenas_)
    if (a.last == right) a.last = left;
  recycle(right);
}

void CachingAllocator::insert_free(Block* b) noexcept {
  b->state = State::free;
  b->node.value() = b;
  free_.insert(std::move(b->node));
  free_bytes_ += b->size;
}

void CachingAllocator::erase_free(Block* b) noexcept {
  b->node = free_.extract(free_.find(b));
  free_bytes_ -= b->size;
}

/// b becomes free or a hole, one with its neighbours of the same kind.
CachingAllocator::Block* CachingAllocator::merge(Block* b, State state) noexcept {
  const auto same = [&](Block* other) {
    if (!other || other->state != state) return false;
    if (state == State::free) erase_free(other);
    return true;
  };
  if (same(b->after)) absorb(b, b->after);
  if (same(b->before)) {
    b = b->before;
    absorb(b, b->after);
  }
  b->state = state;
  if (state == State::free) insert_free(b);
  return b;
}

void* CachingAllocator::take_large(size_t size, size_t requested) {
  auto it = free_.lower_bound(size);
  if (it == free_.end()) {
    if (source_.page) grow(size, requested);
    else new_segment(size, requested);
    it = free_.lower_bound(size);
  }
  need_spares(1);
  Block* b = *it;
  used_.emplace(b->data, b);
  erase_free(b);
  b->state = State::used;
  // free neighbours merge: where memory is one range, even a small rest finds its way back
  const size_t least = source_.page ? std::min(kLeastRest, std::max(kLargeStep, size / 16)) : kLeastRest;
  if (b->size >= size + least) insert_free(cut(b, size));
  return b->data;
}

void CachingAllocator::free_large(void* p) noexcept {
  auto it = used_.find(p);
  Block* b = it->second;
  used_.erase(it);
  merge(b, State::free);
}

void CachingAllocator::fail(size_t requested) const {
  raise<OutOfMemory>(device_, ": out of memory: ", requested, " bytes requested; active ", stats_.active, ", cached ",
                     stats_.reserved - std::min(stats_.reserved, stats_.active), ", limit ",
                     stats_.limit ? std::to_string(stats_.limit) : "none",
                     "; use smaller batches, free tensors, or raise set_memory_limit");
}

// Segments

void CachingAllocator::new_segment(size_t size, size_t requested) {
  need_spares(1);
  size_t bytes = std::max(kSegment, fn::round_up(size, kSlab));
  if (!fits(bytes)) {
    bytes = fn::round_up(size, kSlab);
    if (!fits(bytes)) release_free_segments();
  }
  void* p = fits(bytes) ? source_.allocate(bytes) : nullptr;
  if (!p && fits(bytes)) {
    release_free_segments();
    bytes = fn::round_up(size, kSlab);
    p = source_.allocate(bytes);
  }
  if (!p) fail(requested);
  stats_.reserved += bytes;
  ++stats_.system_allocations;
  Block* b = spare();
  b->data = static_cast<char*>(p);
  b->size = bytes;
  insert_free(b);
}

void CachingAllocator::release_free_segments() noexcept {
  for (auto it = free_.begin(); it != free_.end();) {
    Block* b = *it++;
    if (b->before || b->after) continue;
    erase_free(b);
    source_.release(b->data, b->size);
    stats_.reserved -= b->size;
    recycle(b);
  }
}

void CachingAllocator::empty_cache() {
  std::lock_guard lock(mutex_);
  if (!source_.page) return release_free_segments();
  sweep_slabs();
  give_back(SIZE_MAX, {});
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
  most_used_ = in_use();
  trimmed_at_ = 0;
  share_ = kShare;
}

}  // namespace weft
