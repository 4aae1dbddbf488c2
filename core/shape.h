// Small inline vectors of integers: shapes, strides and lists of dims, without heap.
// Knows nothing of tensors.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <vector>

#include "weft/core/choice.h"
#include "weft/core/error.h"

namespace weft {

/// Most dimensions a tensor can have.
inline constexpr int kMaxRank = 12;

/// Up to kMaxRank integers: the sizes of a tensor (row-major logical order), its strides in elements, or a
/// list of dims. Copies are cheap and nothing is allocated.
class WEFT_API Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> v) { assign(v.begin(), v.size()); }
  /// One entry: `zeros(3)`, `x.view(-1)`.
  template <Integer I>
  requires ByValue<I> Shape(I one) : n_(1) { v_[0] = static_cast<int64_t>(one); }
  template <Integer I>
  requires std::is_class_v<I> Shape(const I& one) : n_(1) { v_[0] = static_cast<int64_t>(one); }
  Shape(std::span<const int64_t> v) { assign(v.data(), v.size()); }
  Shape(const std::vector<int64_t>& v) { assign(v.data(), v.size()); }
  template <std::integral I>
  requires(!std::same_as<I, bool>) Shape(const std::vector<I>& v) : Shape(std::vector<int64_t>(v.begin(), v.end())) {}
  Shape(const Shape& o) { assign(o.v_, static_cast<size_t>(o.n_)); }
  Shape& operator=(const Shape& o) {
    assign(o.v_, static_cast<size_t>(o.n_));
    return *this;
  }
  /// n times `value`.
  static Shape filled(int n, int64_t value) {
    Shape s;
    s.resize(n, value);
    return s;
  }

  /// Number of entries.
  int size() const { return n_; }
  int rank() const { return n_; }
  /// Has it no entries?
  bool empty() const { return n_ == 0; }
  /// Python's indexing: -1 is the last. Unchecked beyond that.
  int64_t operator[](int i) const { return v_[i < 0 ? i + n_ : i]; }
  int64_t& operator[](int i) { return v_[i < 0 ? i + n_ : i]; }
  /// The entries in memory, unchecked.
  const int64_t* data() const { return v_; }
  int64_t* data() { return v_; }
  const int64_t* begin() const { return v_; }
  const int64_t* end() const { return v_ + n_; }
  int64_t* begin() { return v_; }
  int64_t* end() { return v_ + n_; }
  int64_t front() const { return v_[0]; }
  int64_t back() const { return v_[n_ - 1]; }

  /// Adds an entry. ShapeError beyond kMaxRank entries, here and in `resize` and `insert`.
  void push_back(int64_t x) {
    WEFT_CHECK(n_ < kMaxRank, ShapeError, "tensor: more than ", kMaxRank, " dimensions are not supported");
    v_[n_++] = x;
  }
  void pop_back() { --n_; }
  void resize(int n, int64_t fill = 0) {
    WEFT_CHECK(n <= kMaxRank, ShapeError, "tensor: more than ", kMaxRank, " dimensions are not supported");
    for (int i = n_; i < n; ++i) v_[i] = fill;
    n_ = n;
  }
  /// Puts x before entry `at`; removes entry `at`. Unchecked positions.
  void insert(int at, int64_t x);
  void erase(int at);
  /// The `count` entries from `from` on (default: to the end).
  Shape slice(int from, int count = -1) const {
    return Shape(std::span<const int64_t>(v_ + from, static_cast<size_t>(count < 0 ? n_ - from : count)));
  }
  /// Is x one of the entries?
  bool contains(int64_t x) const;

  /// Product of all entries; 1 for rank 0.
  int64_t numel() const {
    int64_t p = 1;
    for (int i = 0; i < n_; ++i) p *= v_[i];
    return p;
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.n_ != b.n_) return false;
    for (int i = 0; i < a.n_; ++i)
      if (a.v_[i] != b.v_[i]) return false;
    return true;
  }
  /// The entries as a vector.
  std::vector<int64_t> vec() const { return {begin(), end()}; }

 private:
  void assign(const int64_t* p, size_t n) {
    WEFT_CHECK(n <= static_cast<size_t>(kMaxRank), ShapeError, "tensor: more than ", kMaxRank,
               " dimensions are not supported, got ", n);
    n_ = static_cast<int>(n);
    for (size_t i = 0; i < n; ++i) v_[i] = p[i];
  }
  int n_ = 0;
  int64_t v_[kMaxRank];
};

/// A Shape that holds strides, in elements.
using Strides = Shape;

/// No tensor has as many elements: 2^59 of 8 bytes are past any memory, so that byte counts cannot overflow either.
inline constexpr int64_t kTooManyElements = int64_t{1} << 59;

namespace detail {
/// The entries of `head`, then those of `tail`.
inline Shape joined(Shape head, const Shape& tail) {
  for (int64_t n : tail) head.push_back(n);
  return head;
}
}  // namespace detail

/// Prints as `[2, 3]`.
WEFT_API std::ostream& operator<<(std::ostream& os, const Shape& s);

/// Row-major strides of a contiguous tensor.
WEFT_API Strides contiguous_strides(const Shape& shape);
/// Channels-last strides: axis 1 fastest, then the last axis to the third, then the batch. Rank >= 3.
WEFT_API Strides channels_last_strides(const Shape& shape);
/// Shape of a broadcast of both (numpy's rule); a ShapeError that names `op` and both shapes otherwise.
WEFT_API Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);
/// Axis in [0, rank) for a possibly negative `dim`; an error that names `op` otherwise. Rank 0 counts as 1.
WEFT_API int wrap_dim(const char* op, int64_t dim, int rank);
/// Checked numel: a ShapeError if a size is negative or the product overflows.
WEFT_API int64_t checked_numel(const char* op, const Shape& shape);

/// D sizes of an option (kernel, stride, ...): accepts `3` for all of them, or D numbers `{3, 5}`. It has no
/// default, so that an option that is required and forgotten does not compile.
template <int D> class Dims {
 public:
  template <Integer I> Dims(I all) { v_.fill(static_cast<int64_t>(all)); }
  template <Integer... I>
  requires(sizeof...(I) == D && D > 1) Dims(I... i) : v_{static_cast<int64_t>(i)...} {}
  Dims(const std::array<int64_t, D>& v) : v_(v) {}
  /// The size for axis i, unchecked.
  int64_t operator[](int i) const { return v_[static_cast<size_t>(i)]; }
  int64_t& operator[](int i) { return v_[static_cast<size_t>(i)]; }
  auto begin() const { return v_.begin(); }
  auto end() const { return v_.end(); }
  /// The D sizes.
  operator Shape() const { return Shape(std::span<const int64_t>(v_.data(), D)); }
  friend bool operator==(const Dims&, const Dims&) = default;

 private:
  std::array<int64_t, D> v_;
};

}  // namespace weft
