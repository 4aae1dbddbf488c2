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

/// x[i] = w[i] op x[i], i < n. mean adds.
template <class A> __attribute__((noinline)) void combine_all(A* x, const A* w, int64_t n, ReduceOp op) {
  const auto each = [&]<ReduceOp kOp> {
    for (int64_t i = 0; i < n; ++i) x[i] = combine(kOp, w[i], x[i]);
  };
  switch (op) {
    case ReduceOp::min: return each.template operator()<ReduceOp::min>();
    case ReduceOp::max: return each.template operator()<ReduceOp::max>();
    case ReduceOp::product: return each.template operator()<ReduceOp::product>();
    default: return each.template operator()<ReduceOp::sum>();
  }
}

/// out[i] = ((parts[0][i] op parts[1][i]) op (parts[2][i] op parts[3][i])) op ..., i < n, in A: a part counts alone
/// where it has no neighbour. `out` may be one of the parts. mean divides by `ranks`, which the parts are sums of.
template <class T, class A, class Out>
void reduce_ranks(Out* out, const std::vector<const void*>& parts, int64_t n, ReduceOp op, size_t ranks) {
  constexpr int64_t kBlock = 256;
  A waiting[24][kBlock];  // [d]: 2^d parts made one, whose neighbours are to come
  A x[kBlock];
  const bool adds = op == ReduceOp::sum || op == ReduceOp::mean;
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t m = std::min(kBlock, n - at);
    for (size_t i = 0; i < parts.size(); ++i) {
      const T* part = static_cast<const T*>(parts[i]) + at;
      size_t depth = 0;
      if (std::is_floating_point_v<A> && adds && i % 2 == 0 && i + 1 < parts.size()) {  // the same, in one pass
        const T* next = static_cast<const T*>(parts[++i]) + at;
        for (int64_t k = 0; k < m; ++k) x[k] = combine(ReduceOp::sum, static_cast<A>(part[k]), static_cast<A>(next[k]));
        depth = 1;
      } else {
        for (int64_t k = 0; k < m; ++k) x[k] = static_cast<A>(part[k]);
      }
      for (; i >> depth & 1; ++depth) combine_all(x, waiting[depth], m, op);
      if (i + 1 < parts.size()) std::copy_n(x, m, waiting[depth]);
      else  // the last one: with all that still wait
        for (++depth; i >> depth != 0; ++depth)
          if (i >> depth & 1) combine_all(x, waiting[depth], m, op);
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
