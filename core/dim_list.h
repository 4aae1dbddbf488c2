// The axes that a reduction takes: one, a list, or none for all.
// Knows shapes only.
#pragma once

#include <concepts>

#include "weft/core/shape.h"

namespace weft {

/// Axes of an op: `1`, `{0, -1}`, or `{}` for all of them. Negative axes count from the end.
class DimList {
 public:
  DimList() = default;
  template <Integer I>
  requires ByValue<I> DimList(I dim) : dims_{static_cast<int64_t>(dim)} {}
  template <Integer I>
  requires std::is_class_v<I> DimList(const I& dim) : dims_{static_cast<int64_t>(dim)} {}
  DimList(std::initializer_list<int64_t> dims) : dims_(dims) {}
  DimList(const Shape& dims) : dims_(dims) {}
  template <std::integral I>
  requires(!std::same_as<I, bool>) DimList(const std::vector<I>& dims) : dims_(dims) {}
  /// As given; empty: all axes.
  const Shape& dims() const { return dims_; }
  bool empty() const { return dims_.empty(); }
  /// Bit mask of the axes of a tensor of `rank`; all of them for an empty list. ValueError, in the name of `op`, for an
  /// axis that does not exist or is named twice.
  WEFT_API uint32_t mask(const char* op, int rank) const;

 private:
  Shape dims_;
};

}  // namespace weft
