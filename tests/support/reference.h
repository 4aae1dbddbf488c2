// Naive f64 arrays and the obvious loops that kernels are compared with.
// Owns clarity, not speed; knows Tensor only to convert from it.
#pragma once

#include <functional>
#include <vector>

#include "weft/core/factory.h"

namespace support {

using weft::Shape;
using weft::Tensor;

/// A contiguous row-major array of doubles.
struct Array {
  Shape shape;
  std::vector<double> v;

  Array() = default;
  explicit Array(std::initializer_list<int64_t> s, double fill = 0) : Array(Shape(s), fill) {}
  explicit Array(const Shape& s, double fill = 0) : shape(s), v(static_cast<size_t>(s.numel()), fill) {}
  explicit Array(const Tensor& t) : shape(t.shape()), v(t.to_vector<double>()) {}

  int64_t numel() const { return static_cast<int64_t>(v.size()); }
  int64_t size(int axis) const { return shape[axis]; }
  /// Row-major position of an index.
  size_t position(const std::vector<int64_t>& index) const {
    int64_t p = 0;
    for (int i = 0; i < shape.rank(); ++i) p = p * shape[i] + index[static_cast<size_t>(i)];
    return static_cast<size_t>(p);
  }
  double& at(const std::vector<int64_t>& index) { return v[position(index)]; }
  double at(const std::vector<int64_t>& index) const { return v[position(index)]; }
};

/// Calls f with every index of `shape`, in row-major order.
inline void for_each_index(const Shape& shape, const std::function<void(const std::vector<int64_t>&)>& f) {
  std::vector<int64_t> index(static_cast<size_t>(shape.rank()), 0);
  for (int64_t e = 0, n = shape.numel(); e < n; ++e) {
    f(index);
    for (int i = shape.rank() - 1; i >= 0; --i) {
      if (++index[static_cast<size_t>(i)] < shape[i]) break;
      index[static_cast<size_t>(i)] = 0;
    }
  }
}

/// An array made index by index.
inline Array generate(const Shape& shape, const std::function<double(const std::vector<int64_t>&)>& f) {
  Array y(shape);
  size_t e = 0;
  for_each_index(shape, [&](const std::vector<int64_t>& i) { y.v[e++] = f(i); });
  return y;
}

/// The element that broadcasting puts at `index` of a larger shape.
inline double broadcast_at(const Array& x, const std::vector<int64_t>& index) {
  std::vector<int64_t> i(index.end() - x.shape.rank(), index.end());
  for (int a = 0; a < x.shape.rank(); ++a)
    if (x.shape[a] == 1) i[static_cast<size_t>(a)] = 0;
  return x.at(i);
}

inline Array map(const Array& x, const std::function<double(double)>& f) {
  Array y(x.shape);
  for (size_t i = 0; i < x.v.size(); ++i) y.v[i] = f(x.v[i]);
  return y;
}

inline Array map(const Array& x, const Array& y, const std::function<double(double, double)>& f) {
  return generate(weft::broadcast_shapes("reference", x.shape, y.shape),
                  [&](const auto& i) { return f(broadcast_at(x, i), broadcast_at(y, i)); });
}

/// Reduces `axes` (all if empty): f gets the elements of one cell in row-major order.
inline Array reduce(const Array& x, std::vector<int64_t> axes, bool keepdim,
                    const std::function<double(const std::vector<double>&)>& f) {
  std::vector<bool> gone(static_cast<size_t>(x.shape.rank()), axes.empty());
  for (int64_t a : axes) gone[static_cast<size_t>(a < 0 ? a + x.shape.rank() : a)] = true;
  Shape full = x.shape, out;
  for (int a = 0; a < x.shape.rank(); ++a) {
    if (gone[static_cast<size_t>(a)]) full[a] = 1;
    if (!gone[static_cast<size_t>(a)] || keepdim) out.push_back(full[a]);
  }
  Array cells(full);
  std::vector<std::vector<double>> members(cells.v.size());
  for_each_index(x.shape, [&](std::vector<int64_t> i) {
    const double v = x.at(i);
    for (size_t a = 0; a < i.size(); ++a)
      if (gone[a]) i[a] = 0;
    members[cells.position(i)].push_back(v);
  });
  for (size_t c = 0; c < cells.v.size(); ++c) cells.v[c] = f(members[c]);
  cells.shape = out;
  return cells;
}

}  // namespace support
