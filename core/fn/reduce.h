// Reductions: how a value enters an accumulator, how two accumulators merge, and what comes out.
//
//   struct Sum {
//     static constexpr const char* name = "sum"; static constexpr Domain domain = Domain::numeric;
//     template <class T> WEFT_HD T init() const;              // neutral element
//     template <class T> WEFT_HD T step(T acc, T x) const;    // one more value; T is the compute type
//     template <class T> WEFT_HD T merge(T a, T b) const;     // two partial results
//     template <class T> WEFT_HD T finish(T acc) const;
//   };
// Kernels may use several accumulators and merge them in a fixed order.
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/fn/traits.h"

namespace weft::fn {

/// What most reductions share: merging is the same as stepping, finishing does nothing.
template <class Self> struct PlainReduce {
  template <class T> WEFT_HD WEFT_INLINE T merge(T a, T b) const { return static_cast<const Self*>(this)->step(a, b); }
  template <class T> WEFT_HD WEFT_INLINE T finish(T a) const { return a; }
};

struct Sum : PlainReduce<Sum> {
  static constexpr const char* name = "sum";
  static constexpr Domain domain = Domain::numeric;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return T(0); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return add(a, x); }
};
/// The sum of what is not NaN.
struct NanSum : Sum {
  static constexpr const char* name = "nansum";
  static constexpr Domain domain = Domain::floating;
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return x != x ? a : a + x; }
};
/// sum / count
struct Mean {
  static constexpr const char* name = "mean";
  static constexpr Domain domain = Domain::floating;
  double count = 1;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return T(0); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return a + x; }
  template <class T> WEFT_HD WEFT_INLINE T merge(T a, T b) const { return a + b; }
  template <class T> WEFT_HD WEFT_INLINE T finish(T a) const { return a / T(count); }
};
struct Prod : PlainReduce<Prod> {
  static constexpr const char* name = "prod";
  static constexpr Domain domain = Domain::numeric;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return T(1); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return mul(a, x); }
};
/// NaN wins. An empty reduction is refused by the op.
struct Max : PlainReduce<Max> {
  static constexpr const char* name = "amax";
  static constexpr Domain domain = Domain::all;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return lowest<T>(); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return a != a || a > x ? a : x; }
};
struct Min : PlainReduce<Min> {
  static constexpr const char* name = "amin";
  static constexpr Domain domain = Domain::all;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return highest<T>(); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return a != a || a < x ? a : x; }
};
// | and & rather than || and &&: no branch for vector loops.
struct Any : PlainReduce<Any> {
  static constexpr const char* name = "any";
  static constexpr Domain domain = Domain::all;
  static constexpr bool predicate = true;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return T(0); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return T((a != T(0)) | (x != T(0))); }
};
struct All : PlainReduce<All> {
  static constexpr const char* name = "all";
  static constexpr Domain domain = Domain::all;
  static constexpr bool predicate = true;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return T(1); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return T((a != T(0)) & (x != T(0))); }
};
/// sum |x|
struct SumAbs {
  static constexpr const char* name = "norm";
  static constexpr Domain domain = Domain::floating;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return T(0); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return a + abs(x); }
  template <class T> WEFT_HD WEFT_INLINE T merge(T a, T b) const { return a + b; }
  template <class T> WEFT_HD WEFT_INLINE T finish(T a) const { return a; }
};
/// sqrt(sum x^2)
struct Norm2 {
  static constexpr const char* name = "norm";
  static constexpr Domain domain = Domain::floating;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return T(0); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const { return a + x * x; }
  template <class T> WEFT_HD WEFT_INLINE T merge(T a, T b) const { return a + b; }
  template <class T> WEFT_HD WEFT_INLINE T finish(T a) const { return sqrt(a); }
};
/// sum x^2
struct SumSquares : Norm2 {
  static constexpr const char* name = "sum_squares";
  template <class T> WEFT_HD WEFT_INLINE T finish(T a) const { return a; }
};
/// (sum |x|^p)^(1/p); p = 0 counts what is not zero.
struct NormP {
  static constexpr const char* name = "norm";
  static constexpr Domain domain = Domain::floating;
  double p = 2;
  template <class T> WEFT_HD WEFT_INLINE T init() const { return T(0); }
  template <class T> WEFT_HD WEFT_INLINE T step(T a, T x) const {
    return a + (p == 0 ? T(x != T(0)) : pow(abs(x), T(p)));
  }
  template <class T> WEFT_HD WEFT_INLINE T merge(T a, T b) const { return a + b; }
  template <class T> WEFT_HD WEFT_INLINE T finish(T a) const { return p == 0 ? a : pow(a, T(1 / p)); }
};

using ReduceOps = TypeList<Sum, NanSum, Mean, Prod, Max, Min, Any, All, SumAbs, Norm2, SumSquares, NormP>;

}  // namespace weft::fn
