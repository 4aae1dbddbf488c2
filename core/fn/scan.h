// What running sums, products and extremes carry from element to element. f32, halves: a plain f64; f64: short sums on
// a compensated one; integers: themselves. The same arithmetic on CPU and CUDA.
#pragma once

#include <type_traits>

#include "weft/core/dtype.h"
#include "weft/core/export.h"
#include "weft/core/fn/integer.h"

namespace weft::fn {
inline namespace WEFT_ISA {

/// The type that a scan of T is carried in.
template <class T> using scan_t = std::conditional_t<std::is_floating_point_v<compute_t<T>>, double, compute_t<T>>;

/// Running sum of elements of T.
template <class T> struct RunningSum {
  scan_t<T> total = 0;
  WEFT_HD WEFT_INLINE scan_t<T> push(scan_t<T> v) { return total = add(total, v); }
};
/// f64 has no wider type: kShort elements are summed by themselves, and such sums with what each addition rounds away
/// (Knuth, "The Art of Computer Programming" 2, 4.2.2), so that errors do not grow with the length.
template <> struct RunningSum<double> {
  static constexpr int kShort = 16;
  double carry = 0, lost = 0, near = 0;
  int count = 0;

  WEFT_HD WEFT_INLINE double push(double v) {
    near += v;
    const double y = carry + (near + lost);
    if (++count == kShort) settle();
    return y;
  }

 private:
  WEFT_HD WEFT_INLINE void settle() {
    const double sum = carry + near, part = sum - carry, rounded = (carry - (sum - part)) + (near - part);
    lost += rounded == rounded ? rounded : 0;  // NaN behind an infinity
    carry = sum;
    near = 0;
    count = 0;
  }
};

/// Running product of elements of T.
template <class T> struct RunningProduct {
  scan_t<T> total = 1;
  WEFT_HD WEFT_INLINE scan_t<T> push(scan_t<T> v) { return total = mul(total, v); }
};

/// Whether an element becomes the running greatest (smallest): the later of equals does, and after a NaN only a NaN.
template <bool Largest, class C> WEFT_HD WEFT_INLINE bool takes_over(C now, C before) {
  const bool wins = Largest ? now >= before : now <= before;
  return (now != now) | ((before == before) & wins);
}
/// A value and its place in the line; a negative place: none yet.
template <class C> struct Placed {
  C value;
  int64_t at;
};
/// The running extreme of two parts of a line from theirs, in any order.
template <bool Largest, class C> WEFT_HD WEFT_INLINE Placed<C> later_extreme(const Placed<C>& a, const Placed<C>& b) {
  // chosen number by number: a choice of objects would keep them in memory on a card
  const bool ordered = a.at <= b.at;
  const C before = ordered ? a.value : b.value, now = ordered ? b.value : a.value;
  const int64_t before_at = ordered ? a.at : b.at, now_at = ordered ? b.at : a.at;
  const bool later = before_at < 0 || takes_over<Largest>(now, before);
  return {later ? now : before, later ? now_at : before_at};
}

}  // namespace WEFT_ISA
}  // namespace weft::fn
