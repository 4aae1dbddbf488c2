// A vector with room for N elements inside: no heap for the usual case.
// Knows nothing of tensors.
#pragma once

#include <initializer_list>
#include <memory>
#include <new>
#include <utility>

namespace weft {

/// std::vector's interface, as far as it is used. Sizes are int.
template <class T, int N> class SmallVec {
 public:
  SmallVec() = default;
  /// N elements lie inside the object; more of them, on the heap. Indices are not checked.
  SmallVec(std::initializer_list<T> v) {
    reserve(static_cast<int>(v.size()));
    for (const T& x : v) push_back(x);
  }
  explicit SmallVec(int n) { resize(n); }
  SmallVec(const SmallVec& o) {
    reserve(o.n_);
    for (const T& x : o) push_back(x);
  }
  SmallVec(SmallVec&& o) noexcept { take(o); }
  /// Copies or moves all elements; those that were there are destroyed.
  SmallVec& operator=(const SmallVec& o) {
    if (this != &o) {
      SmallVec copy(o);
      reset();
      take(copy);
    }
    return *this;
  }
  SmallVec& operator=(SmallVec&& o) noexcept {
    if (this != &o) {
      reset();
      take(o);
    }
    return *this;
  }
  ~SmallVec() { reset(); }

  /// As std::vector's.
  int size() const { return n_; }
  bool empty() const { return n_ == 0; }
  T* begin() { return p_; }
  T* end() { return p_ + n_; }
  const T* begin() const { return p_; }
  const T* end() const { return p_ + n_; }
  T* data() { return p_; }
  const T* data() const { return p_; }
  T& operator[](int i) { return p_[i]; }
  const T& operator[](int i) const { return p_[i]; }
  T& back() { return p_[n_ - 1]; }
  void push_back(T x) {
    if (n_ == cap_) reserve(2 * cap_);
    new (p_ + n_++) T(std::move(x));
  }
  void pop_back() { std::destroy_at(p_ + --n_); }
  void resize(int n) {
    reserve(n);
    while (n_ < n) new (p_ + n_++) T();
    while (n_ > n) pop_back();
  }
  void clear() {
    std::destroy_n(p_, n_);
    n_ = 0;
  }
  void reserve(int cap) {
    if (cap <= cap_) return;
    T* q = static_cast<T*>(::operator new(sizeof(T) * static_cast<size_t>(cap), std::align_val_t(alignof(T))));
    std::uninitialized_move_n(p_, n_, q);
    int n = n_;
    reset();
    p_ = q;
    n_ = n;
    cap_ = cap;
  }

 private:
  T* local() { return reinterpret_cast<T*>(room_); }
  void reset() {
    clear();
    if (p_ != local()) ::operator delete(p_, std::align_val_t(alignof(T)));
    p_ = local();
    cap_ = N;
  }
  void take(SmallVec& o) {
    if (o.p_ != o.local()) {
      p_ = std::exchange(o.p_, o.local());
      cap_ = std::exchange(o.cap_, N);
      n_ = std::exchange(o.n_, 0);
    } else {
      std::uninitialized_move_n(o.p_, o.n_, p_);
      n_ = o.n_;
      o.clear();
    }
  }
  alignas(T) unsigned char room_[sizeof(T) * N];
  T* p_ = local();
  int n_ = 0;
  int cap_ = N;
};

}  // namespace weft
