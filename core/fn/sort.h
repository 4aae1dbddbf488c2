// Sorting as comparison of whole words: the order of a value as an unsigned integer, and items of such a key and a
// position. Knows no tensors.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "weft/core/export.h"

namespace weft::fn {

/// The order of T as unsigned integers: NaN is the largest, both zeros are one.
template <class T> WEFT_HD WEFT_INLINE auto sort_key(T v) {
  if constexpr (std::is_floating_point_v<T>) {
    using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    constexpr U sign = U{1} << (8 * sizeof(T) - 1);
    if (v != v) return static_cast<U>(~U{0});
    const U bits = std::bit_cast<U>(v == T(0) ? T(0) : v);
    return static_cast<U>((bits & sign) != 0 ? ~bits : bits | sign);
  } else if constexpr (sizeof(T) == 8) {
    return static_cast<uint64_t>(v) ^ uint64_t { 1 } << 63;
  } else if constexpr (sizeof(T) == 4) {
    return static_cast<uint32_t>(v) ^ uint32_t { 1 } << 31;
  } else {
    return static_cast<uint32_t>(v);
  }
}

/// Whether a key of T is that of NaN.
template <class T, class Key> WEFT_HD WEFT_INLINE bool is_nan_key(Key key) {
  return std::is_floating_point_v<T> && key == static_cast<Key>(~Key{0});
}

// The position is part of an item's order, which makes it total and any algorithm stable.

/// Key and position in one word, for keys of 32 bits and positions below 2^32.
struct NarrowItem {
  uint64_t word;
  static WEFT_HD WEFT_INLINE NarrowItem make(uint64_t key, int64_t at) {
    return {key << 32 | static_cast<uint64_t>(at)};
  }
  static WEFT_HD WEFT_INLINE NarrowItem last() { return {~uint64_t{0}}; }
  WEFT_HD WEFT_INLINE uint32_t key() const { return static_cast<uint32_t>(word >> 32); }
  WEFT_HD WEFT_INLINE int64_t at() const { return static_cast<int64_t>(word & 0xffffffffu); }
  WEFT_HD WEFT_INLINE bool operator<(const NarrowItem& o) const { return word < o.word; }
};
struct WideItem {
  uint64_t value;
  int64_t position;
  static WEFT_HD WEFT_INLINE WideItem make(uint64_t key, int64_t at) { return {key, at}; }
  static WEFT_HD WEFT_INLINE WideItem last() { return {~uint64_t{0}, INT64_MAX}; }
  WEFT_HD WEFT_INLINE uint64_t key() const { return value; }
  WEFT_HD WEFT_INLINE int64_t at() const { return position; }
  WEFT_HD WEFT_INLINE bool operator<(const WideItem& o) const {
    return value != o.value ? value < o.value : position < o.position;
  }
};

/// The item of value v at position `at`.
template <class Item, class T> WEFT_HD WEFT_INLINE Item sort_item(T v, int64_t at, bool descending) {
  auto key = sort_key(v);
  if (descending) key = static_cast<decltype(key)>(~key);
  return Item::make(key, at);
}

}  // namespace weft::fn
