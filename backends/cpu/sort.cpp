// Sorting along an axis: positions in sorted order, the most frequent element.
#include <algorithm>

#include "weft/backends/cpu/register.h"
#include "weft/backends/cpu/scratch.h"
#include "weft/core/fn/axes.h"
#include "weft/core/fn/sort.h"
#include "weft/core/kernels/order.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace {

template <class T, class Item> void sort_typed(const MutTensorRef& out, const TensorRef& x, int dim, bool descending) {
  const int64_t n = x.shape[dim], k = out.shape[dim], lines = x.numel / n;
  const auto axes = fn::axes_of<2>(x.shape, {x.strides, out.strides}, x.rank, dim);
  parallel_for(lines, kSerialBelow / 8 / n + 1, [&](int64_t begin, int64_t end) {
    const Scratch memory(static_cast<size_t>(n) * sizeof(Item));
    Item* const items = memory.as<Item>();
    for (int64_t line = begin; line < end; ++line) {
      int64_t at[2];
      axes.offsets(line, at);
      const T* s = x.as<T>() + at[0];
      for (int64_t i = 0; i < n; ++i)
        items[i] = fn::sort_item<Item>(static_cast<compute_t<T>>(s[i * x.strides[dim]]), i, descending);
      Item *const cut = items + k, *const stop = items + n;
      if (k <= n / 16) {  // a heap of a few beats the quick selection's passes
        std::partial_sort(items, cut, stop);
      } else {
        if (k < n) std::nth_element(items, cut, stop);
        std::sort(items, cut);
      }
      int64_t* d = out.as_mut<int64_t>() + at[1];
      for (int64_t i = 0; i < k; ++i) d[i * out.strides[dim]] = items[i].at();
    }
  });
}

void sort_indices_kernel(const MutTensorRef& out, const TensorRef& x, int dim, bool descending) {
  if (out.numel == 0) return;
  dispatch_all(x.dtype, "sort", [&]<class T> {
    if constexpr (sizeof(T) <= 4)
      if (x.shape[dim] <= int64_t{UINT32_MAX}) return sort_typed<T, fn::NarrowItem>(out, x, dim, descending);
    sort_typed<T, fn::WideItem>(out, x, dim, descending);
  });
}

template <class T> void mode_typed(const MutTensorRef& out, const TensorRef& x, int dim) {
  using C = compute_t<T>;
  using Key = decltype(fn::sort_key(C()));
  const int64_t n = x.shape[dim], lines = x.numel / n, stride = x.strides[dim];
  const auto axes = fn::axes_of<2>(x.shape, {x.strides, out.strides}, x.rank, dim);
  parallel_for(lines, kSerialBelow / 8 / n + 1, [&](int64_t first, int64_t last) {
    const Scratch memory(static_cast<size_t>(n) * sizeof(Key));
    Key* const keys = memory.as<Key>();
    axes.walk(first, last, axes.rank, 2, [&](const int64_t* at) {
      const T* s = x.as<T>() + at[0];
      for (int64_t i = 0; i < n; ++i) keys[i] = fn::sort_key(static_cast<C>(s[i * stride]));
      std::sort(keys, keys + n);
      Key most = keys[0];
      int64_t longest = 0;
      for (int64_t begin = 0, end; begin < n && !(longest > 0 && fn::is_nan_key<C>(keys[begin])); begin = end) {
        for (end = begin + 1; end < n && keys[end] == keys[begin];) ++end;
        if (end - begin > longest) longest = end - begin, most = keys[begin];
      }
      int64_t place = fn::is_nan_key<C>(most) ? 0 : n - 1;
      while (fn::sort_key(static_cast<C>(s[place * stride])) != most) --place;
      out.as_mut<int64_t>()[at[1]] = place;
    });
  });
}
void mode_kernel(const MutTensorRef& out, const TensorRef& x, int dim) {
  dispatch_all(x.dtype, "mode", [&]<class T> { mode_typed<T>(out, x, dim); });
}

}  // namespace

void register_sort() {
  kernels::sort_indices.set(DeviceType::cpu, sort_indices_kernel);
  kernels::mode.set(DeviceType::cpu, mode_kernel);
}

}  // namespace weft::cpu
