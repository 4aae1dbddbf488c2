#include "weft/core/dtype.h"

#include <ostream>

namespace weft {

const char* name(Dtype d) {
  constexpr const char* names[kDtypes] = {"f32", "f64", "bf16", "f16", "i64", "i32", "u8", "bool"};
  return names[static_cast<int>(d)];
}

std::ostream& operator<<(std::ostream& os, Dtype d) { return os << name(d); }

namespace detail {
void bad_dtype(Dtype d, const char* op, const char* allowed) {
  raise<DtypeError>(op, ": dtype ", d, " is not supported here; expected ", allowed);
}
}  // namespace detail

Dtype promote(Dtype a, Dtype b) {
  if (a == b) return a;
  // bool < u8 < i32 < i64 < halves < f32 < f64; two different halves meet in f32
  constexpr int order[kDtypes] = {5, 6, 4, 4, 3, 2, 1, 0};
  int oa = order[static_cast<int>(a)], ob = order[static_cast<int>(b)];
  if (oa == ob) return Dtype::f32;
  return oa > ob ? a : b;
}

std::ostream& operator<<(std::ostream& os, const Scalar& s) {
  if (s.is_bool()) return os << (s.to_int64() ? "true" : "false");
  if (s.is_integer()) return os << s.to_int64();
  return os << s.to_double();
}

}  // namespace weft
