// What several ranks sent becomes one: neighbours first, then pairs of them, ... Must not know how it came.
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

/// out[i] = ((parts[0][i] op parts[1][i]) op (parts[2][i] op parts[3][i])) op ..., i < n, in A: a part counts alone
/// where it has no neighbour. `out` may be one of the parts. mean divides by `ranks`, which the parts are sums of.
template <class T, class A, class Out>
void reduce_ranks(Out* out, const std::vector<const void*>& parts, int64_t n, ReduceOp op, size_t ranks) {
  constexpr int64_t kBlock = 256;
  A waiting[24][kBlock];  // [d]: 2^(d+1) parts made one, whose neighbours are to come
  A x[kBlock];
  const size_t pairs = (parts.size() + 1) / 2;
  const ReduceOp add = op == ReduceOp::mean ? ReduceOp::sum : op;
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = std::min(kBlock, n - at);
    const auto join = [&](size_t depth) {
      const A* w = waiting[depth];
      if (add == ReduceOp::sum)
        for (int64_t i = 0; i < m; ++i) x[i] = combine(ReduceOp::sum, w[i], x[i]);
      else
        for (int64_t i = 0; i < m; ++i) x[i] = combine(add, w[i], x[i]);
    };
    for (size_t pair = 0; pair < pairs; ++pair) {
      const T* a = static_cast<const T*>(parts[2 * pair]) + at;
      if (2 * pair + 1 == parts.size()) {
        for (int64_t i = 0; i < m; ++i) x[i] = static_cast<A>(a[i]);
      } else {
        const T* b = static_cast<const T*>(parts[2 * pair + 1]) + at;
        if (add == ReduceOp::sum)
          for (int64_t i = 0; i < m; ++i) x[i] = combine(ReduceOp::sum, static_cast<A>(a[i]), static_cast<A>(b[i]));
        else
          for (int64_t i = 0; i < m; ++i) x[i] = combine(add, static_cast<A>(a[i]), static_cast<A>(b[i]));
      }
      size_t depth = 0;
      for (; pair >> depth & 1; ++depth) join(depth);
      if (pair + 1 < pairs) std::copy_n(x, m, waiting[depth]);
      else  // the last one: with all that still wait
        for (++depth; pair >> depth != 0; ++depth)
          if (pair >> depth & 1) join(depth);
    }
    if constexpr (std::is_floating_point_v<A>)
      if (op == ReduceOp::mean) {
        const auto count = static_cast<A>(ranks);
        if (std::has_single_bit(ranks))  // the same bits, and faster
          for (int64_t i = 0; i < m; ++i) x[i] *= 1 / count;
        else
          for (int64_t i = 0; i < m; ++i) x[i] /= count;
      }
    for (int64_t i = 0; i < m; ++i) out[at + i] = static_cast<Out>(x[i]);
  }
}

}  // namespace weft::comm
