// The caching allocator under every backend: size-class bins for small blocks, best fit with splitting and merging for
// large ones. What is freed stays cached, so that a steady-state step asks the system for nothing.
// Knows no device: a Source gives and takes memory, as segments apart from each other or as pages of growing arenas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "weft/core/backend.h"

namespace weft {

/// With segments, the cache holds what was ever taken until somebody asks for it. With pages, what is held stays within
/// 9/8 of the most that was in use at once, and 4 MiB: before more is taken, free pages elsewhere go back. Where a step
/// goes on giving pages back though no more is in use than before, its blocks need more room than that: the share grows
/// by 1/16 each time, so that a steady step soon asks the system for nothing, and starts anew when more is in use than
/// ever.
class CachingAllocator {
 public:
  enum class Extended : uint8_t { yes, no_memory, taken };
  static constexpr size_t kAlignment = 64;
  /// Where memory comes from. allocate returns null when there is no more.
  struct Source {
    std::function<void*(size_t)> allocate;
    std::function<void(void*, size_t)> release;
    bool host_memory = true;        ///< free blocks may be linked through their own first words
    size_t alignment = kAlignment;  ///< of blocks: 64 or 512, and no more than a segment has
    /// 0: segments. Otherwise `allocate` starts an arena with n * page bytes aligned to a page, `extend` adds pages at
    /// an address (its end, or where pages went back), and `release` takes any of its pages. `taken`: the addresses are
    /// somebody else's.
    size_t page = 0;
    std::function<Extended(void*, size_t)> extend = {};
  };
  static constexpr size_t kSmallLimit = size_t{1} << 20;   // larger blocks are cut from segments one by one
  static constexpr size_t kSlab = size_t{2} << 20;         // small blocks of a class are carved from slabs of this size
  static constexpr size_t kSegment = size_t{32} << 20;     // least segment: a huge-page multiple
  static constexpr size_t kLargeStep = size_t{64} << 10;   // large sizes are rounded to this
  static constexpr size_t kLeastRest = size_t{512} << 10;  // a smaller rest is not split off
  static constexpr size_t kFloor = size_t{4} << 20;        // held beyond the share of what is in use
  static constexpr size_t kShare = 2;                      // of it, in sixteenths
  static constexpr int kClasses = 52;

  CachingAllocator(std::string device, Source source) : device_(std::move(device)), source_(std::move(source)) {}
  /// Forgets its blocks; what is handed out or cached stays with the system.
  WEFT_API ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  /// Aligned as the source says, uninitialised. OutOfMemory, after the cache was emptied and tried again.
  WEFT_API void* allocate(size_t bytes);
  /// `bytes` as given to allocate.
  WEFT_API void deallocate(void* p, size_t bytes) noexcept;
  WEFT_API void empty_cache();
  WEFT_API void set_limit(size_t bytes);
  WEFT_API MemoryStats stats() const;
  WEFT_API void reset_peak();

  // For caches in front of this one (one per thread): the bin of a small size, its block size, and whole lists of
  // blocks.
  WEFT_API static int class_of(size_t bytes);
  WEFT_API static size_t class_size(int c);
  /// Takes up to `count` blocks of class c, linked through their first word (host memory only). Not counted as active.
  WEFT_API void* take(int c, int count);
  WEFT_API void give(int c, void* list) noexcept;

  /// Around fork(): the child's copy must not be one that another thread was changing.
  std::mutex& mutex() { return mutex_; }

 private:
  enum class State : uint8_t { used, free, hole };  // hole: addresses of an arena without memory
  struct Block;
  struct BySize {
    using is_transparent = void;
    bool operator()(const Block* a, const Block* b) const {
      return a->size != b->size ? a->size < b->size : a->data < b->data;
    }
    bool operator()(const Block* a, size_t s) const { return a->size < s; }
    bool operator()(size_t s, const Block* b) const { return s < b->size; }
  };
  using FreeSet = std::set<Block*, BySize>;
  struct Block {
    char* data = nullptr;
    size_t size = 0;
    State state = State::used;
    Block *before = nullptr, *after = nullptr;  // neighbours in the segment or arena
    FreeSet::node_type node = {};               // its place in free_ while it is not there: freeing needs no memory
    char* end() const { return data + size; }
  };
  struct Arena {
    Block *first, *last;
    bool closed = false;  // the addresses behind it are somebody else's
  };
  struct Slab {
    int c;
    size_t blocks, bytes;
    size_t free = 0;  // while counted
  };
  /// Addresses without used blocks that a request may lie at: [from, to). No block is named: giving memory back merges
  /// them.
  struct Window {
    char *from = nullptr, *to = nullptr;        // null: none, a new arena is needed
    size_t arena = 0, missing = 0, beyond = 0;  // bytes without memory, in holes and behind the arena's end
  };

  size_t padded(size_t bytes) const;
  void* take_large(size_t size, size_t requested);
  void free_large(void* p) noexcept;
  void* pop_small(int c, size_t requested);
  void push_small(int c, void* p);
  bool has_small(int c) const { return bins_[c] || !lists_[c].empty(); }
  size_t slab_bytes(int c) const;
  size_t in_use() const { return stats_.reserved - free_bytes_ - bin_bytes_; }
  bool fits(size_t n) const { return !stats_.limit || stats_.reserved + n <= stats_.limit; }

  // Blocks
  void need_spares(int n);
  Block* spare() noexcept;
  void recycle(Block* b) noexcept;
  Block* cut(Block* b, size_t size) noexcept;
  void insert_free(Block* b) noexcept;
  void erase_free(Block* b) noexcept;
  Block* merge(Block* b, State state) noexcept;
  void absorb(Block* left, Block* right) noexcept;

  // Asking the system
  [[noreturn]] void fail(size_t requested) const;
  void new_segment(size_t size, size_t requested);
  void release_free_segments() noexcept;
  void grow(size_t size, size_t requested);
  Window best_window(size_t size) const;
  Extended fill(const Window& w, size_t more);
  Extended new_arena(size_t bytes);
  size_t allowed() const { return most_used_ + most_used_ / 16 * share_ + kFloor; }
  void keep_bound(size_t size, size_t missing, const Window& w) noexcept;
  size_t give_back(size_t bytes, const Window& w) noexcept;
  void sweep_slabs() noexcept;

  mutable std::mutex mutex_;
  std::string device_;
  Source source_;
  void* bins_[kClasses] = {};           // free small blocks of host memory
  std::vector<void*> lists_[kClasses];  // and of other memory
  std::map<char*, Slab> slabs_;         // where there are pages
  FreeSet free_;
  std::unordered_map<void*, Block*> used_;
  std::vector<Arena> arenas_;
  Block* spares_ = nullptr;
  int spare_count_ = 0;
  size_t free_bytes_ = 0, bin_bytes_ = 0;  // of free_ and bins_
  size_t carved_[kClasses] = {};           // bytes of a class's slabs
  size_t most_used_ = 0, trimmed_at_ = 0, share_ = kShare;
  MemoryStats stats_;
};

}  // namespace weft
