// Index maths of padding: which input coordinate an output coordinate shows, and the reverse.
// One axis at a time; a backend loops over the axes. Knows no tensors.
#pragma once

#include <cstdint>

#include "weft/core/export.h"
#include "weft/core/small_vec.h"

namespace weft {

/// What stands beyond the ends: a value, the elements mirrored at the last one, the last one, the other end.
enum class WEFT_API PadMode : uint8_t { constant, reflect, replicate, circular };

namespace fn {

/// One axis: `size` input coordinates become `lo + size + hi`; negative lo or hi crop.
struct PadAxis {
  int64_t size = 1, lo = 0, hi = 0;
  WEFT_HD int64_t out() const { return size + lo + hi; }
  WEFT_HD bool changes() const { return lo != 0 || hi != 0; }
};

inline namespace WEFT_ISA {

/// Input coordinate that output coordinate o shows; -1: none (the constant).
/// reflect mirrors about the first and last element, circular wraps what a negative side left over.
WEFT_HD WEFT_INLINE int64_t pad_source(PadMode mode, const PadAxis& a, int64_t o) {
  int64_t i = o - a.lo;
  if (mode == PadMode::constant) return i >= 0 && i < a.size ? i : -1;
  if (mode == PadMode::replicate) return i < 0 ? 0 : (i >= a.size ? a.size - 1 : i);
  if (mode == PadMode::reflect) {
    if (i < 0) i = -i;
    return i >= a.size ? 2 * (a.size - 1) - i : i;
  }
  const int64_t first = a.lo < 0 ? -a.lo : 0, end = a.size + (a.hi < 0 ? a.hi : 0);
  return i < first ? i + (end - first) : (i >= end ? i - (end - first) : i);
}

/// The output coordinates that show input coordinate i: up to three ranges [begin[k], end[k]).
struct PadTargets {
  int64_t begin[3], end[3];
  int count = 0;
  WEFT_HD WEFT_INLINE void add(int64_t b, int64_t e, int64_t out) {
    if (b < 0) b = 0;
    if (e > out) e = out;
    if (b >= e) return;
    begin[count] = b;
    end[count++] = e;
  }
};
WEFT_HD WEFT_INLINE PadTargets pad_targets(PadMode mode, const PadAxis& a, int64_t i) {
  PadTargets t;
  const int64_t out = a.out(), o = i + a.lo;
  if (mode == PadMode::replicate) {
    t.add(i == 0 ? 0 : o, i == a.size - 1 ? out : o + 1, out);
  } else if (mode == PadMode::reflect) {
    if (i > 0) t.add(a.lo - i, a.lo - i + 1, out);
    t.add(o, o + 1, out);
    if (i < a.size - 1) t.add(2 * (a.size - 1) - i + a.lo, 2 * (a.size - 1) - i + a.lo + 1, out);
  } else if (mode == PadMode::constant) {
    t.add(o, o + 1, out);
  } else {
    const int64_t first = a.lo < 0 ? -a.lo : 0, end = a.size + (a.hi < 0 ? a.hi : 0), period = end - first;
    if (i < first || i >= end) return t;
    t.add(o - period, o - period + 1, out);
    t.add(o, o + 1, out);
    t.add(o + period, o + period + 1, out);
  }
  return t;
}

/// The next of all combinations of targets, the last axis fastest; range[i] is the range that position[i] is in.
/// After the last combination the positions are the first ones again, and the result is false.
WEFT_HD WEFT_INLINE bool next_targets(const PadTargets* targets, int rank, int64_t* position, int* range) {
  for (int i = rank - 1; i >= 0; --i) {
    if (++position[i] < targets[i].end[range[i]]) return true;
    if (++range[i] < targets[i].count) {
      position[i] = targets[i].begin[range[i]];
      return true;
    }
    range[i] = 0;
    position[i] = targets[i].begin[0];
  }
  return false;
}

}  // namespace WEFT_ISA
}  // namespace fn

/// Padding of a whole tensor, by axis; `value` is the constant.
struct PadParams {
  PadMode mode = PadMode::constant;
  double value = 0;
  int rank = 0;          ///< axes of the tensor
  fn::PadAxis axis[12];  ///< the first `rank` of them count
};

}  // namespace weft
