// What all oneDNN kernels share: engine, stream, checks, and the cache of compiled primitives.
// No dnnl type leaves backends/cpu/onednn.
#pragma once

#include <dnnl.hpp>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weft/backends/cpu/scratch.h"
#include "weft/core/dtype.h"
#include "weft/core/error.h"

namespace weft::cpu::onednn {

static_assert(DNNL_VERSION_MAJOR == 3, "weft needs oneDNN 3");

const dnnl::engine& engine();
/// Of the calling thread; primitives run at once on a CPU, so nothing ever waits.
dnnl_stream_t stream();
void check(dnnl_status_t status, const char* what);
dnnl::memory::data_type data_type(Dtype d);

/// Identifies a primitive: kind, dtypes, sizes, strides, attributes. Equal keys mean the same primitive.
class Key {
 public:
  explicit Key(int64_t kind) { add(kind); }
  Key(const Key& o) { *this = o; }
  Key& operator=(const Key& o) {
    n_ = o.n_;
    hash_ = o.hash_;
    for (int i = 0; i < n_; ++i) v_[i] = o.v_[i];
    return *this;
  }
  Key& add(int64_t v) {
    WEFT_ASSERT(n_ < kMost);
    v_[n_++] = v;
    hash_ = (hash_ ^ static_cast<uint64_t>(v)) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 29;
    return *this;
  }
  Key& add(const int64_t* v, int n) {
    for (int i = 0; i < n; ++i) add(v[i]);
    return *this;
  }
  uint64_t hash() const { return hash_; }
  friend bool operator==(const Key& a, const Key& b) {
    if (a.hash_ != b.hash_ || a.n_ != b.n_) return false;
    for (int i = 0; i < a.n_; ++i)
      if (a.v_[i] != b.v_[i]) return false;
    return true;
  }

 private:
  static constexpr int kMost = 72;
  int n_ = 0;
  uint64_t hash_ = 0;
  int64_t v_[kMost];
};
struct KeyHash {
  size_t operator()(const Key& k) const { return k.hash(); }
};

/// A primitive with its memory objects; only the pointers change from call to call.
class Compiled {
 public:
  Compiled() = default;
  /// `args` names the arguments in the order in which `run` gets their pointers. Counted by primitive_stats.
  using Args = std::vector<std::pair<int, dnnl::memory::desc>>;
  template <class Desc> Compiled(const Desc& desc, const Args& args) {
    init(dnnl::primitive(desc.get()), desc.scratchpad_desc(), args);
  }
  explicit operator bool() const { return !args_.empty(); }
  void run(std::initializer_list<const void*> pointers) const { run(pointers.begin(), pointers.size()); }
  void run(const void* const* pointers, size_t count) const;

 private:
  void init(dnnl::primitive p, const dnnl::memory::desc& scratchpad, const Args& args);
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memory_;
  std::vector<dnnl_exec_arg_t> args_;
  size_t scratchpad_ = 0;
};

/// A copy between two layouts (and dtypes); empty when they are the same.
Compiled make_reorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to);
/// Attributes with which every primitive is made.
dnnl::primitive_attr attributes();

/// Calls `make`, with oneDNN's exceptions as weft's.
template <class Make> auto guarded(const Make& make) {
  try {
    return make();
  } catch (const dnnl::error& e) {
    check(e.status, e.what());
    throw;  // an error is no success
  }
}

/// The least recently used of more than kCapacity values goes. One per thread: nothing is locked, and memory objects
/// are used again.
template <class T> class Lru {
 public:
  static constexpr size_t kCapacity = 1024;
  template <class Make> T& get(const Key& key, const Make& make) {
    if (auto it = index_.find(key); it != index_.end()) {
      order_.splice(order_.begin(), order_, it->second);
      return it->second->second;
    }
    T made = guarded(make);
    order_.emplace_front(key, std::move(made));
    index_.emplace(key, order_.begin());
    if (order_.size() > kCapacity) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    return order_.front().second;
  }

 private:
  std::list<std::pair<Key, T>> order_;
  std::unordered_map<Key, typename std::list<std::pair<Key, T>>::iterator, KeyHash> index_;
};

}  // namespace weft::cpu::onednn
