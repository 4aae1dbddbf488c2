// Intrusive reference counting: one word per object, no control block.
// Knows nothing of tensors.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace weft {

/// Base of shared objects. The count starts at 0; the first Ref makes it 1.
class RefCounted {
 public:
  RefCounted() = default;
  /// A copy of an object has a count of its own.
  RefCounted(const RefCounted&) {}
  RefCounted& operator=(const RefCounted&) { return *this; }
  /// Number of references, for `unique` and statistics.
  uint32_t use_count() const { return count_.load(std::memory_order_acquire); }
  /// One more reference.
  void retain() const { count_.fetch_add(1, std::memory_order_relaxed); }
  /// The same, unless the last reference has gone: then false, and the object is on its way out.
  bool retain_if_alive() const {
    uint32_t n = count_.load(std::memory_order_relaxed);
    while (n != 0 && !count_.compare_exchange_weak(n, n + 1, std::memory_order_acquire, std::memory_order_relaxed)) {}
    return n != 0;
  }
  /// True when this was the last reference: the caller destroys the object.
  [[nodiscard]] bool drop() const { return count_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

 protected:
  ~RefCounted() = default;

 private:
  mutable std::atomic<uint32_t> count_{0};
};

/// Shared pointer to a RefCounted. Destroys through `destroy(T*)`, found by ADL, so that a type can decide how
/// (nodes of a graph go through a queue, not through recursion).
template <class T> class Ref {
 public:
  Ref() = default;
  /// Null; a reference more, to p or to what o names; a moved-from Ref is null.
  Ref(std::nullptr_t) {}
  explicit Ref(T* p) : p_(p) {
    if (p_) p_->retain();
  }
  Ref(const Ref& o) : Ref(o.p_) {}
  Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> Ref(const Ref<U>& o) : Ref(static_cast<T*>(o.get())) {}
  /// Drops what was named, names what o names.
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() {
    if (p_ && p_->drop()) destroy(p_);
  }
  /// The pointer; null where there is none.
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  /// Is it not null?
  explicit operator bool() const { return p_ != nullptr; }
  /// Is this the only reference? False for null.
  bool unique() const { return p_ && p_->use_count() == 1; }
  friend bool operator==(const Ref& a, const Ref& b) { return a.p_ == b.p_; }

 private:
  T* p_ = nullptr;
};

/// A new T(a...), with one reference.
template <class T, class... A> Ref<T> make_ref(A&&... a) { return Ref<T>(new T(std::forward<A>(a)...)); }

}  // namespace weft
