// The caching allocator under every backend: size-class bins for small blocks, best fit with splitting and merging in
// large segments. What is freed stays cached, so that a steady-state step asks the system for nothing.
// Knows no device: a Source gives and takes segments.
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

class CachingAllocator {
 public:
  /// Where segments come from. allocate returns null when there is no more.
  struct Source {
    std::function<void*(size_t)> allocate;
    std::function<void(void*, size_t)> release;
    bool host_memory = true;  ///< free blocks may be linked through their own first words
  };
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kSmallLimit = size_t{1} << 20;   // larger blocks are cut from segments one by one
  static constexpr size_t kSlab = size_t{2} << 20;         // small blocks of a class are carved from slabs of this size
  static constexpr size_t kSegment = size_t{32} << 20;     // least segment: a huge-page multiple
  static constexpr size_t kLargeStep = size_t{64} << 10;   // large sizes are rounded to this
  static constexpr size_t kLeastRest = size_t{512} << 10;  // a smaller rest is not split off
  static constexpr int kClasses = 52;

  CachingAllocator(std::string device, Source source) : device_(std::move(device)), source_(std::move(source)) {}
  /// Forgets its blocks; what is handed out or cached stays with the system.
  WEFT_API ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  /// kAlignment-aligned, uninitialised. OutOfMemory, after the cache was emptied and tried again.
  WEFT_API void* allocate(size_t bytes);
  /// `bytes` as given to allocate.
  WEFT_API void deallocate(void* p, size_t bytes) noexcept;
  WEFT_API void empty_cache();
  WEFT_API void set_limit(size_t bytes);
  WEFT_API MemoryStats stats() const;
  WEFT_API void reset_peak();

  // For caches in front of this one (one per thread): the bin of a small size, its block size, and whole lists of blocks.
  WEFT_API static int class_of(size_t bytes);
  WEFT_API static size_t class_size(int c);
  /// Takes up to `count` blocks of class c, linked through their first word (host memory only). Not counted as active.
  WEFT_API void* take(int c, int count);
  WEFT_API void give(int c, void* list) noexcept;

 private:
  struct Block {
    char* data;
    size_t size;
    bool free = false;
    Block *before = nullptr, *after = nullptr;  // neighbours in the segment
  };
  struct BySize {
    using is_transparent = void;
    bool operator()(const Block* a, const Block* b) const {
      return a->size != b->size ? a->size < b->size : a->data < b->data;
    }
    bool operator()(const Block* a, size_t s) const { return a->size < s; }
    bool operator()(size_t s, const Block* b) const { return s < b->size; }
  };
  void* take_large(size_t size, size_t requested);
  void free_large(void* p) noexcept;
  void* pop_small(int c, size_t requested);
  void push_small(int c, void* p);
  bool has_small(int c) const { return bins_[c] || !lists_[c].empty(); }
  Block* new_segment(size_t size, size_t requested);
  void release_free_segments() noexcept;

  mutable std::mutex mutex_;
  std::string device_;
  Source source_;
  void* bins_[kClasses] = {};           // free small blocks of host memory
  std::vector<void*> lists_[kClasses];  // and of other memory
  std::set<Block*, BySize> free_;
  std::unordered_map<void*, Block*> used_;
  MemoryStats stats_;
};

}  // namespace weft
