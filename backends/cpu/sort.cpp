// Sorting along an axis: positions in sorted order.
#include <algorithm>
#include <bit>

#include "weft/backends/cpu/register.h"
#include "weft/backends/cpu/scratch.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace {

// The order of T as unsigned integers: NaN is the largest, both zeros are one. Sorting then compares whole words.
template <class T> auto order_key(T v) {
  if constexpr (std::is_floating_point_v<T>) {
    using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    constexpr U sign = U{1} << (8 * sizeof(T) - 1);
    if (v != v) return static_cast<U>(~U{0});
    const U bits = std::bit_cast<U>(v == T(0) ? T(0) : v);
    return static_cast<U>(bits & sign ? ~bits : bits | sign);
  } else if constexpr (sizeof(T) == 8) {
    return static_cast<uint64_t>(v) ^ uint64_t { 1 } << 63;
  } else if constexpr (sizeof(T) == 4) {
    return static_cast<uint32_t>(v) ^ uint32_t { 1 } << 31;
  } else {
    return static_cast<uint32_t>(v);
  }
}

struct WideItem {
  uint64_t key;
  int64_t at;
  friend bool operator<(const WideItem& a, const WideItem& b) { return a.key != b.key ? a.key < b.key : a.at < b.at; }
};
// The narrow item is key and position in one word.
int64_t position(uint64_t item) { return static_cast<int64_t>(item & 0xffffffffu); }
int64_t position(const WideItem& item) { return item.at; }

// The position is part of the order, which makes it total and any algorithm stable.
template <class T, class Item> void sort_typed(const MutTensorRef& out, const TensorRef& x, int dim, bool descending) {
  const int64_t n = x.shape[dim], k = out.shape[dim], lines = x.numel / n;
  parallel_for(lines, kSerialBelow / 8 / n + 1, [&](int64_t begin, int64_t end) {
    const Scratch memory(static_cast<size_t>(n) * sizeof(Item));
    Item* const items = memory.as<Item>();
    for (int64_t line = begin; line < end; ++line) {
      int64_t rest = line, from = 0, to = 0;
      for (int i = x.rank - 1; i >= 0; --i) {
        if (i == dim) continue;
        from += rest % x.shape[i] * x.strides[i];
        to += rest % x.shape[i] * out.strides[i];
        rest /= x.shape[i];
      }
      const T* s = x.as<T>() + from;
      for (int64_t i = 0; i < n; ++i) {
        auto key = order_key(static_cast<compute_t<T>>(s[i * x.strides[dim]]));
        if (descending) key = static_cast<decltype(key)>(~key);
        Item& item = items[i];
        if constexpr (std::is_same_v<Item, uint64_t>) item = uint64_t{key} << 32 | static_cast<uint64_t>(i);
        else item = {uint64_t{key}, i};
      }
      Item *const cut = items + k, *const stop = items + n;
      if (k <= n / 16) {  // a heap of a few beats the quick selection's passes
        std::partial_sort(items, cut, stop);
      } else {
        if (k < n) std::nth_element(items, cut, stop);
        std::sort(items, cut);
      }
      int64_t* d = out.as_mut<int64_t>() + to;
      for (int64_t i = 0; i < k; ++i) d[i * out.strides[dim]] = position(items[i]);
    }
  });
}

void sort_indices_kernel(const MutTensorRef& out, const TensorRef& x, int dim, bool descending) {
  if (out.numel == 0) return;
  dispatch_all(x.dtype, "sort", [&]<class T> {
    if constexpr (sizeof(T) <= 4)
      if (x.shape[dim] <= int64_t{UINT32_MAX}) return sort_typed<T, uint64_t>(out, x, dim, descending);
    sort_typed<T, WideItem>(out, x, dim, descending);
  });
}

}  // namespace

void register_sort() { kernels::sort_indices.set(DeviceType::cpu, sort_indices_kernel); }

}  // namespace weft::cpu
