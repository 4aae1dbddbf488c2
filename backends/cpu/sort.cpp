// Sorting along an axis: positions in sorted order.
#include <algorithm>
#include <vector>

#include "weft/backends/cpu/register.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace {

template <class T>
struct Item {
  T value;
  int64_t at;
};

// NaN is the largest; equal elements keep their order, which makes the order total and any algorithm stable.
template <class T>
bool less(const Item<T>& a, const Item<T>& b) {
  if (a.value < b.value) return true;
  if (b.value < a.value) return false;
  if (a.value != b.value) {
    const bool an = a.value != a.value, bn = b.value != b.value;
    if (an != bn) return bn;
  }
  return a.at < b.at;
}
template <class T>
bool greater(const Item<T>& a, const Item<T>& b) {
  if (b.value < a.value) return true;
  if (a.value < b.value) return false;
  if (a.value != b.value) {
    const bool an = a.value != a.value, bn = b.value != b.value;
    if (an != bn) return an;
  }
  return a.at < b.at;
}

template <class T>
void sort_typed(const MutTensorRef& out, const TensorRef& x, int dim, bool descending) {
  using C = compute_t<T>;
  const int64_t n = x.shape[dim], k = out.shape[dim], lines = x.numel / n;
  parallel_for(lines, kSerialBelow / 8 / n + 1, [&](int64_t begin, int64_t end) {
    thread_local std::vector<Item<C>> items;  // kept: no allocation in a steady loop
    items.resize(static_cast<size_t>(n));
    for (int64_t line = begin; line < end; ++line) {
      int64_t rest = line, from = 0, to = 0;
      for (int i = x.rank - 1; i >= 0; --i) {
        if (i == dim) continue;
        from += rest % x.shape[i] * x.strides[i];
        to += rest % x.shape[i] * out.strides[i];
        rest /= x.shape[i];
      }
      const T* s = x.as<T>() + from;
      for (int64_t i = 0; i < n; ++i) items[static_cast<size_t>(i)] = {static_cast<C>(s[i * x.strides[dim]]), i};
      auto order = descending ? greater<C> : less<C>;
      if (k == n) std::sort(items.begin(), items.end(), order);
      else if (k > n / 8) std::nth_element(items.begin(), items.begin() + k, items.end(), order), std::sort(items.begin(), items.begin() + k, order);
      else std::partial_sort(items.begin(), items.begin() + k, items.end(), order);
      int64_t* d = out.as_mut<int64_t>() + to;
      for (int64_t i = 0; i < k; ++i) d[i * out.strides[dim]] = items[static_cast<size_t>(i)].at;
    }
  });
}

void sort_indices_kernel(const MutTensorRef& out, const TensorRef& x, int dim, bool descending) {
  if (out.numel == 0) return;
  dispatch_all(x.dtype, "sort", [&]<class T> { sort_typed<T>(out, x, dim, descending); });
}

}  // namespace

void register_sort() { kernels::sort_indices.set(DeviceType::cpu, sort_indices_kernel); }

}  // namespace weft::cpu
