// What several ranks sent becomes one, in rank order. Must not know how it came.
#pragma once

#include <algorithm>
#include <bit>
#include <type_traits>

#include "weft/core/dtype.h"
#include "weft/core/fn/integer.h"
#include "weft/distributed/communicator.h"

namespace weft::comm {

/// a op b. A NaN stays; of bools the sum is "or", the product "and".
template <class A> A combine(ReduceOp op, A a, A b) {
  constexpr bool is_bool = std::is_same_v<A, bool>;
  switch (op) {
    case ReduceOp::min: return b < a || (b != b && a == a) ? b : a;
    case ReduceOp::max: return a < b || (b != b && a == a) ? b : a;
    case ReduceOp::product:
      if constexpr (is_bool) return a && b;
      else return fn::mul(a, b);
    default:
      if constexpr (is_bool) return a || b;
      else return fn::add(a, b);
  }
}

/// out[i] = parts[0][i] op parts[1][i] op ..., i < n, added up as A. `out` may be one of the parts.
template <class T, class A> void reduce_ranks(T* out, const std::vector<const void*>& parts, int64_t n, ReduceOp op) {
  constexpr int64_t kBlock = 512;
  A sum[kBlock];
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = std::min(kBlock, n - at);
    for (size_t r = 0; r < parts.size(); ++r) {
      const T* from = static_cast<const T*>(parts[r]) + at;
      if (r == 0)
        for (int64_t i = 0; i < m; ++i) sum[i] = static_cast<A>(from[i]);
      else if (op == ReduceOp::sum || op == ReduceOp::mean)
        for (int64_t i = 0; i < m; ++i) sum[i] = combine(ReduceOp::sum, sum[i], static_cast<A>(from[i]));
      else
        for (int64_t i = 0; i < m; ++i) sum[i] = combine(op, sum[i], static_cast<A>(from[i]));
    }
    if constexpr (std::is_floating_point_v<A>)
      if (op == ReduceOp::mean) {
        const auto ranks = static_cast<A>(parts.size());
        if (std::has_single_bit(parts.size()))  // the same bits, and faster
          for (int64_t i = 0; i < m; ++i) sum[i] *= 1 / ranks;
        else
          for (int64_t i = 0; i < m; ++i) sum[i] /= ranks;
      }
    for (int64_t i = 0; i < m; ++i) out[at + i] = static_cast<T>(sum[i]);
  }
}

}  // namespace weft::comm
