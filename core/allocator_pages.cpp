// Arenas: where free blocks and holes between used ones can be one range of addresses, and what is free goes back in
// pages.
#include <algorithm>

#include "weft/core/allocator.h"
#include "weft/core/fn/integer.h"

namespace weft {
namespace {

char* up(char* p, size_t step) { return p + (step - reinterpret_cast<uintptr_t>(p) % step) % step; }
char* down(char* p, size_t step) { return p - reinterpret_cast<uintptr_t>(p) % step; }
size_t length(const char* a, const char* b) { return b > a ? static_cast<size_t>(b - a) : 0; }

}  // namespace

/// Where a request needs the least new memory. It begins or ends where a run of blocks that are not used does, or
/// begins at one of the run's blocks, or at the end of an arena.
CachingAllocator::Window CachingAllocator::best_window(size_t size) const {
  const size_t page = source_.page;
  Window best;
  const auto consider = [&](size_t arena, Block* first, char* from) {
    Window w{from, from + size, arena};
    for (Block* b = first;; b = b->after) {
      if (b->state == State::used) return;
      if (b->state == State::hole)
        w.missing += length(std::max(b->data, down(from, page)), std::min(b->end(), up(w.to, page)));
      if (b->end() >= w.to) break;
      if (!b->after) {
        if (arenas_[arena].closed) return;
        w.beyond = length(b->end(), up(w.to, page));
        break;
      }
    }
    if (!best.from || w.missing + w.beyond < best.missing + best.beyond) best = w;
  };
  for (size_t i = 0; i < arenas_.size(); ++i)
    for (Block *b = arenas_[i].first, *run = nullptr; b; b = b->after) {
      if (b->state == State::used) {
        run = nullptr;
        continue;
      }
      if (!run) run = b;
      consider(i, b, b->data);
      if (b->after && b->after->state != State::used) continue;
      if (length(run->data, b->end()) < size) continue;
      Block* first = b;  // the last bytes of the run
      while (first->data > b->end() - size) first = first->before;
      consider(i, first, b->end() - size);
    }
  // an arena that ends with a used block grows behind it
  for (size_t i = 0; i < arenas_.size(); ++i)
    if (const size_t beyond = fn::round_up(size, page); !arenas_[i].closed && arenas_[i].last->state == State::used)
      if (!best.from || beyond < best.missing + best.beyond) {
        char* end = arenas_[i].last->end();
        best = {end, end + size, i, 0, beyond};
      }
  return best;
}

/// Gives the window memory, and `more` bytes behind it where it ends the arena.
CachingAllocator::Extended CachingAllocator::fill(const Window& w, size_t more) {
  const size_t page = source_.page;
  Block* b = arenas_[w.arena].first;
  while (b->end() <= w.from && b->after) b = b->after;
  for (; b && b->data < w.to; b = b->after) {
    if (b->state != State::hole) continue;
    need_spares(3);
    char *from = std::max(b->data, down(w.from, page)), *to = std::min(b->end(), up(w.to, page));
    const Extended result = source_.extend(from, length(from, to));
    if (result == Extended::taken) b->state = State::used;  // lost
    if (result != Extended::yes) return result;
    stats_.reserved += length(from, to);
    ++stats_.system_allocations;
    if (from > b->data) b = cut(b, length(b->data, from));
    if (to < b->end()) cut(b, length(from, to));
    b = merge(b, State::free);
  }
  if (w.beyond == 0) return Extended::yes;
  need_spares(1);
  Arena& arena = arenas_[w.arena];
  size_t bytes = w.beyond + more;
  Extended result = source_.extend(arena.last->end(), bytes);
  if (result != Extended::yes && more) result = source_.extend(arena.last->end(), bytes = w.beyond);
  if (result == Extended::taken) arena.closed = true;
  if (result != Extended::yes) return result;
  stats_.reserved += bytes;
  ++stats_.system_allocations;
  b = spare();
  b->data = arena.last->end();
  b->size = bytes;
  b->state = State::used;
  b->before = arena.last;
  arena.last = arena.last->after = b;
  merge(b, State::free);
  return Extended::yes;
}

CachingAllocator::Extended CachingAllocator::new_arena(size_t bytes) {
  need_spares(1);
  arenas_.reserve(arenas_.size() + 1);
  void* p = source_.allocate(bytes);
  if (!p) return Extended::no_memory;
  stats_.reserved += bytes;
  ++stats_.system_allocations;
  Block* b = spare();
  b->data = static_cast<char*>(p);
  b->size = bytes;
  arenas_.push_back({b, b});
  insert_free(b);
  return Extended::yes;
}

/// Gives whole pages of free blocks back, large blocks first, but none of the window's. Returns how many bytes.
size_t CachingAllocator::give_back(size_t bytes, const Window& w) noexcept {
  const size_t page = source_.page;
  size_t given = 0;
  for (auto it = free_.end(); given < bytes && it != free_.begin();) {
    --it;
    Block* b = *it;
    if (b->size < page) break;
    if (b->data < w.to && w.from < b->end()) continue;
    char *from = up(b->data, page), *to = down(b->end(), page);
    if (from >= to) continue;
    try {
      need_spares(2);
    } catch (...) { break; }
    if (bytes - given < length(from, to)) from = to - fn::round_up(bytes - given, page);
    ++it;
    erase_free(b);
    source_.release(from, length(from, to));
    stats_.reserved -= length(from, to);
    given += length(from, to);
    Block* hole = b;
    if (from > b->data) {
      hole = cut(b, length(b->data, from));
      insert_free(b);
    }
    if (to < hole->end()) insert_free(cut(hole, length(from, to)));
    merge(hole, State::hole);
  }
  return given;
}

/// Before `missing` bytes are taken for a request of `size`.
void CachingAllocator::keep_bound(size_t size, size_t missing, const Window& w) noexcept {
  most_used_ = std::max(most_used_, in_use() + size);
  if (most_used_ > trimmed_at_ + trimmed_at_ / 64) share_ = kShare;
  if (stats_.reserved + missing <= allowed()) return;
  if (give_back(stats_.reserved + missing - allowed(), w) == 0) return;
  if (most_used_ > trimmed_at_ + trimmed_at_ / 64) trimmed_at_ = most_used_;
  else ++share_;
}

/// Small blocks whose whole slab is free become free memory again.
void CachingAllocator::sweep_slabs() noexcept {
  const auto slab_of = [&](void* p) { return std::prev(slabs_.upper_bound(static_cast<char*>(p))); };
  const auto next = [](void* p) -> void*& { return *static_cast<void**>(p); };
  for (void* bin : bins_)
    for (void* p = bin; p; p = next(p)) ++slab_of(p)->second.free;
  for (void*& bin : bins_) {
    void** link = &bin;
    while (void* p = *link) {
      const Slab& s = slab_of(p)->second;
      if (s.free == s.blocks) *link = next(p);
      else link = &next(p);
    }
  }
  for (auto it = slabs_.begin(); it != slabs_.end();) {
    Slab& s = it->second;
    if (s.free < s.blocks) {
      s.free = 0;
      ++it;
      continue;
    }
    bin_bytes_ -= s.blocks * class_size(s.c);
    carved_[s.c] -= s.bytes;
    free_large(it->first);
    it = slabs_.erase(it);
  }
}

/// Makes a free block of `size` bytes, or OutOfMemory.
void CachingAllocator::grow(size_t size, size_t requested) {
  const size_t page = source_.page, most_before = most_used_;
  if (bin_bytes_ > kFloor && bin_bytes_ > in_use() / 16) sweep_slabs();
  for (bool emptied = false; free_.lower_bound(size) == free_.end();) {
    const Window w = best_window(size);
    const size_t missing = w.from ? w.missing + w.beyond : fn::round_up(size, page);
    keep_bound(size, missing, w);
    Extended result = Extended::no_memory;
    if (fits(missing)) {
      // a little more than asked for, so that a program's first step is not all system calls
      const size_t held = stats_.reserved + missing;
      size_t more = held < allowed() ? std::min({stats_.reserved / 8, kSegment, allowed() - held}) / page * page : 0;
      if (!fits(missing + more)) more = 0;
      if (w.from) result = fill(w, more);
      else if (result = new_arena(missing + more); result != Extended::yes && more) result = new_arena(missing);
    }
    if (result != Extended::no_memory) continue;
    most_used_ = most_before;  // what was not given is not used
    sweep_slabs();
    give_back(SIZE_MAX, {});
    if (emptied) fail(requested);
    emptied = true;
  }
}

}  // namespace weft
