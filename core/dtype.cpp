#include "weft/core/dtype.h"

#include <ostream>

namespace weft {

const char* name(Dtype d) { return traits(d).name; }

std::ostream& operator<<(std::ostream& os, Dtype d) { return os << name(d); }

std::ostream& operator<<(std::ostream& os, DtypeSet set) {
  int left = std::popcount(set.bits);
  for (int i = 0; i < kDtypes; ++i)
    if (set.has(static_cast<Dtype>(i))) os << kDtypeTraits[i].name << (--left > 1 ? ", " : left == 1 ? " or " : "");
  return os;
}

namespace detail {
void bad_dtype(Dtype d, const char* op, DtypeSet expected) {
  raise<DtypeError>(op, ": dtype ", d, " is not supported here; expected ", expected);
}
}  // namespace detail

Dtype promote(Dtype a, Dtype b) {
  const DtypeTraits &ta = traits(a), &tb = traits(b);
  if (a == b) return a;
  if (ta.kind == tb.kind) return ta.size == tb.size ? Dtype::f32 : ta.size > tb.size ? a : b;  // equal: bf16 and f16
  if (is_floating(a) || b == Dtype::boolean) return a;
  if (is_floating(b) || a == Dtype::boolean) return b;
  const Dtype with_sign = is_signed_integer(a) ? a : b;
  const size_t unsigned_size = traits(is_signed_integer(a) ? b : a).size;
  if (traits(with_sign).size > unsigned_size) return with_sign;
  return unsigned_size == 1 ? Dtype::i16 : unsigned_size == 2 ? Dtype::i32 : Dtype::i64;
}

std::ostream& operator<<(std::ostream& os, const Scalar& s) {
  if (s.is_bool()) return os << (s.to_int64() ? "true" : "false");
  if (s.is_integer()) return os << s.to_int64();
  return os << s.to_double();
}

namespace detail {
void raise_too_large(uint64_t number) {
  raise<ValueError>("scalar: ", number, " does not fit i64; give a real number");
}
void raise_unfit(const char* op, const Scalar& value, char kind, size_t bytes) {
  raise<ValueError>(op, ": ", kind == 'b' ? "bf" : std::string(1, kind), 8 * bytes, " cannot hold the value ", value);
}
}  // namespace detail

}  // namespace weft
