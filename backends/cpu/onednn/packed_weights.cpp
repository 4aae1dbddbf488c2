#include "weft/backends/cpu/onednn/packed_weights.h"

#include <mutex>

#include "weft/core/storage.h"

namespace weft::cpu::onednn {
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
  std::vector<std::pair<dnnl::memory::desc, dnnl::memory::desc>> layouts;
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
    return new Cache;
  }();
  return *c;
}

}  // namespace

int layout_id(const dnnl::memory::desc& from, const dnnl::memory::desc& to) {
  Cache& c = cache();
  std::lock_guard lock(c.mutex);
  for (size_t i = 0; i < c.layouts.size(); ++i)
    if (c.layouts[i].first == from && c.layouts[i].second == to) return static_cast<int>(i);
  c.layouts.emplace_back(from, to);
  return static_cast<int>(c.layouts.size()) - 1;
}

std::shared_ptr<Scratch> packed(const TensorRef& w, int layout, size_t bytes, const Compiled& reorder) {
  if (!w.storage) {
    auto memory = std::make_shared<Scratch>(bytes);
    reorder.run({w.data, memory->as()});
    return memory;
  }
  Cache& c = cache();
  const uint32_t version = w.storage->version();
  std::lock_guard lock(c.mutex);
  std::vector<Entry>& list = c.entries[w.storage->id()];
  Entry* found = nullptr;
  for (Entry& e : list)
    if (e.offset == w.offset && e.layout == layout) found = &e;
  if (found && found->version == version) return found->memory;
  if (!found) {
    w.storage->mark_cached();
    list.push_back({w.offset, layout, version, std::make_shared<Scratch>(bytes)});
    found = &list.back();
  } else if (found->memory.use_count() > 1) {
    found->memory = std::make_shared<Scratch>(bytes);  // another thread computes with the old ones
  }
  reorder.run({w.data, found->memory->as()});
  found->version = version;
  ++c.count;
  return found->memory;
}

uint64_t packed_count() {
  Cache& c = cache();
  std::lock_guard lock(c.mutex);
  return c.count;
}

}  // namespace weft::cpu::onednn
