#include "weft/backends/cpu/packed_weights.h"

#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "weft/core/fork.h"
#include "weft/core/storage.h"

namespace weft::cpu {
namespace {

struct Entry {
  int64_t offset;
  int layout;
  uint32_t version;
  std::shared_ptr<Scratch> memory;
};

struct Cache {
  std::mutex mutex;
  std::unordered_map<uint64_t, std::vector<Entry>> entries;  // by storage id
  std::map<std::vector<int64_t>, int> layouts;
  uint64_t count = 0;
};

Cache& cache();

void release(uint64_t id) {
  std::vector<Entry> gone;  // freed outside of the lock
  std::lock_guard lock(cache().mutex);
  if (auto it = cache().entries.find(id); it != cache().entries.end()) {
    gone = std::move(it->second);
    cache().entries.erase(it);
  }
}

Cache& cache() {
  // Never destroyed: storages may end after static objects.
  static auto* c = [] {
    Storage::on_cached_release(release);
    auto* made = new Cache;
    weft::detail::hold_over_fork(made->mutex);
    return made;
  }();
  return *c;
}

}  // namespace

void make_packed_weights() { cache(); }

std::shared_ptr<Scratch> packed(const TensorRef& w, int layout, size_t bytes,
                                const std::function<void(const void*, void*)>& pack) {
  if (!w.storage) {
    auto memory = std::make_shared<Scratch>(bytes);
    pack(w.data, memory->as());
    return memory;
  }
  Cache& c = cache();
  const uint32_t version = w.storage->version();
  std::lock_guard lock(c.mutex);
  std::vector<Entry>& list = c.entries[w.storage->id()];
  Entry* found = nullptr;
  for (Entry& e : list)
    if (e.offset == w.offset && e.layout == layout) found = &e;
  const bool again = found && found->version == version;
  if (again && found->memory) return found->memory;
  if (!found) {
    w.storage->mark_cached();
    list.push_back({w.offset, layout, version, nullptr});
    found = &list.back();
  }
  std::shared_ptr<Scratch> memory = std::move(found->memory);
  // none yet, or another thread computes with the old ones
  if (!memory || memory.use_count() > 1) memory = std::make_shared<Scratch>(bytes);
  pack(w.data, memory->as());
  found->version = version;
  if (again) found->memory = memory;
  ++c.count;
  return memory;
}

std::shared_ptr<Scratch> packed(const TensorRef& w, const TensorRef& scale, int layout, size_t bytes,
                                const std::function<void(const void*, void*)>& pack) {
  if (!scale.defined()) return packed(w, layout, bytes, pack);
  const int id = w.storage ? layout_number({'s', layout, static_cast<int64_t>(w.storage->id()), w.offset}) : 0;
  TensorRef key = scale;
  if (!w.storage) key.storage = nullptr;
  return packed(key, id, bytes, [&](const void*, void* to) {
    Scratch scaled(static_cast<size_t>(w.numel) * itemsize(w.dtype));
    dispatch_floating(w.dtype, "conv_fused", [&]<class T> {
      using C = compute_t<T>;
      const int64_t step = std::max<int64_t>(1, w.stride(0)), rows = w.size(0);
      for (int64_t i = 0; i < w.numel; ++i)
        scaled.as<T>()[i] = T(static_cast<C>(w.as<T>()[i]) * scale.as<C>()[i / step % rows]);
    });
    pack(scaled.as(), to);
  });
}

int layout_number(std::initializer_list<int64_t> description) {
  Cache& c = cache();
  std::lock_guard lock(c.mutex);
  return c.layouts.emplace(description, (1 << 30) + static_cast<int>(c.layouts.size())).first->second;
}

uint64_t packed_count() {
  Cache& c = cache();
  std::lock_guard lock(c.mutex);
  return c.count;
}

}  // namespace weft::cpu
