// Places of values in sorted lines. Compiled once: the searches wait for memory, not for arithmetic.
#include "weft/core/fn/search.h"

#include <algorithm>

#include "weft/backends/cpu/register.h"
#include "weft/core/kernels/order.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace {

/// Values that are searched in step: enough loads on their way to hide the memory's delay.
constexpr int kTogether = 16;

template <bool Right, int N, class T, class Out> void search_some(Out* out, const T* line, int64_t n, const T* values) {
  using C = compute_t<T>;
  C wanted[N];
  int64_t at[N];
  for (int k = 0; k < N; ++k) wanted[k] = static_cast<C>(values[k]);
  fn::places<Right>(at, line, n, wanted);
  for (int k = 0; k < N; ++k) out[k] = static_cast<Out>(at[k]);
}

template <bool Right, class T, class Out>
void search_lines(const MutTensorRef& out, const TensorRef& line, const TensorRef& values) {
  const int64_t n = line.size(-1), per_line = line.rank == 1 ? values.numel : values.size(-1);
  const T* v = values.as<T>();
  Out* places = out.as_mut<Out>();
  parallel_for(values.numel, kSerialBelow / 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t row = i / per_line, stop = std::min(end, (row + 1) * per_line);
      const T* s = line.as<T>() + row * n;
      for (; i + kTogether <= stop; i += kTogether) search_some<Right, kTogether>(places + i, s, n, v + i);
      for (; i < stop; ++i) search_some<Right, 1>(places + i, s, n, v + i);
    }
  });
}

void search_sorted_kernel(const MutTensorRef& out, const TensorRef& line, const TensorRef& values, bool right) {
  dispatch_index(out.dtype, "searchsorted", [&]<class Out> {
    dispatch_all(line.dtype, "searchsorted", [&]<class T> {
      right ? search_lines<true, T, Out>(out, line, values) : search_lines<false, T, Out>(out, line, values);
    });
  });
}

}  // namespace

void register_search() { kernels::search_sorted.set(DeviceType::cpu, search_sorted_kernel); }

}  // namespace weft::cpu
