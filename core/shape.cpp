#include "weft/core/shape.h"

#include <algorithm>
#include <ostream>

namespace weft {

void Shape::insert(int at, int64_t x) {
  push_back(0);
  for (int i = n_ - 1; i > at; --i) v_[i] = v_[i - 1];
  v_[at] = x;
}

void Shape::erase(int at) {
  for (int i = at; i + 1 < n_; ++i) v_[i] = v_[i + 1];
  --n_;
}

bool Shape::contains(int64_t x) const { return std::find(begin(), end(), x) != end(); }

std::ostream& operator<<(std::ostream& os, const Shape& s) {
  os << '[';
  for (int i = 0; i < s.size(); ++i) os << (i ? ", " : "") << s[i];
  return os << ']';
}

Strides contiguous_strides(const Shape& shape) {
  Strides s;
  s.resize(shape.size());
  int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    s[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return s;
}

Strides channels_last_strides(const Shape& shape) {
  WEFT_CHECK(shape.size() >= 3, ShapeError, "channels_last: needs at least 3 dimensions, got ", shape);
  Strides s;
  s.resize(shape.size());
  int64_t step = 1;
  auto put = [&](int i) {
    s[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  };
  put(1);
  for (int i = shape.size() - 1; i >= 2; --i) put(i);
  put(0);
  return s;
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  Shape out = a.size() >= b.size() ? a : b;
  const Shape& other = a.size() >= b.size() ? b : a;
  int shift = out.size() - other.size();
  for (int i = 0; i < other.size(); ++i) {
    int64_t &o = out[shift + i], s = other[i];
    if (o == s || s == 1) continue;
    WEFT_CHECK(o == 1, ShapeError, op, ": shapes ", a, " and ", b, " cannot be broadcast together (axis ", shift + i,
               ": ", o, " and ", s, ")");
    o = s;
  }
  return out;
}

int wrap_dim(const char* op, int64_t dim, int rank) {
  int64_t r = std::max(rank, 1);
  WEFT_CHECK(dim >= -r && dim < r, ShapeError, op, ": dim ", dim, " is out of range for ", rank,
             " dimensions (expected ", -r, " to ", r - 1, ")");
  return static_cast<int>(dim < 0 ? dim + r : dim);
}

int64_t checked_numel(const char* op, const Shape& shape) {
  int64_t n = 1;
  for (int64_t s : shape) {
    WEFT_CHECK(s >= 0, ShapeError, op, ": negative size in shape ", shape);
    WEFT_CHECK(!__builtin_mul_overflow(n, s, &n) && n < kTooManyElements, ShapeError, op, ": shape ", shape,
               " has too many elements");
  }
  return n;
}

}  // namespace weft
