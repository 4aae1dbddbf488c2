#include "weft/autograd/ops/elementwise/format.h"

#include <cmath>
#include <ostream>

#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels/format.h"

namespace weft {

FPRounding fp_rounding(std::string_view word) { return Choice<FPRounding>(word); }

FPFormat::FPFormat(Int e, Int m, Choice<FPRounding> r, Int s)
    : exponent_bits(e), mantissa_bits(m), rounding(r), srbits(s) {
  WEFT_CHECK(e >= 2 && e <= 7, ValueError, "FPFormat: exponent_bits must be in [2, 7], got ", e);
  WEFT_CHECK(m >= 0 && m <= 22, ValueError, "FPFormat: mantissa_bits must be in [0, 22], got ", m);
  WEFT_CHECK(s == 0 || r == FPRounding::stochastic, ValueError, "FPFormat: srbits ", s,
             " is for stochastic rounding only");
  WEFT_CHECK(s >= 0 && s <= 23 - m, ValueError, "FPFormat: srbits must be in [0, ", 23 - m, "], the bits that ", m,
             " mantissa bits drop, got ", s);
}

double FPFormat::max_absolute_value() const {
  const int bias = 1 << (exponent_bits - 1);
  return std::ldexp(2 - std::ldexp(1.0, -static_cast<int>(mantissa_bits)), bias - 1);
}
double FPFormat::min_absolute_normal() const { return std::ldexp(1.0, 1 - (1 << (exponent_bits - 1))); }
double FPFormat::min_absolute_subnormal() const {
  return std::ldexp(min_absolute_normal(), -static_cast<int>(mantissa_bits));
}
std::string FPFormat::name() const {
  constexpr const char* rounded[] = {"SR", "RN", "RNE"};
  return str("E", exponent_bits, "M", mantissa_bits, "-", rounded[static_cast<int>(rounding)]);
}
std::ostream& operator<<(std::ostream& os, const FPFormat& f) { return os << f.name(); }

Tensor quantise(const Tensor& in, const FPFormat& f, const Tensor& bits, Generator* g) {
  const OpName op("quantise");
  WEFT_CHECK(in.is_floating(), DtypeError, "dtype ", in.dtype(), " is not supported here; expected a floating one");
  const bool stochastic = f.rounding == FPRounding::stochastic, draws = stochastic && !bits.defined();
  Tensor x = in.detach(), r;
  if (bits.defined()) {
    WEFT_CHECK(stochastic, ValueError, "bits are for stochastic rounding only, the format is ", f);
    WEFT_CHECK(bits.dtype() == Dtype::i32, DtypeError, "bits must be i32, got ", bits.dtype());
    WEFT_CHECK(bits.shape() == x.shape(), ShapeError, "bits ", bits.shape(), " must have the shape of x ", x.shape());
    WEFT_CHECK(bits.device() == x.device(), DeviceError, "bits are on ", bits.device(), " and x is on ", x.device());
    r = bits.contiguous();
  }
  if (bits.defined() || !x.is_dense()) x = x.contiguous();
  Tensor y = empty_like(x);
  const int64_t random = !stochastic ? 0 : (f.srbits ? f.srbits : 23 - f.mantissa_bits);
  const fn::FpFormat format(static_cast<int>(f.exponent_bits), static_cast<int>(f.mantissa_bits),
                            static_cast<int>(random), f.rounding == FPRounding::nearest_even);
  Generator::State from;
  if (draws) from = (g ? *g : default_generator()).reserve(static_cast<uint64_t>((x.numel() + 3) / 4));
  kernels::quantise(x.device(), mut_ref(y), ref(x), ref(r), format, from);
  return y;
}

Tensor quantise_fwd(const Tensor& x, const FPFormat& f, Generator* g) {
  return record("quantise_fwd", quantise(x, f, {}, g), {x}, [](BackwardCtx& c) -> Grads { return {c.grad()}; });
}

Tensor quantise_bwd(const Tensor& x, const FPFormat& f) {
  const OpName op("quantise_bwd");
  WEFT_CHECK(x.is_floating(), DtypeError, "dtype ", x.dtype(), " is not supported here; expected a floating one");
  return record(op, x.detach(), {x}, [f](BackwardCtx& c) -> Grads { return {quantise_fwd(c.grad(), f)}; });
}

std::optional<SimulateFormat::Formats>& SimulateFormat::current() {
  thread_local std::optional<Formats> formats;
  return formats;
}
SimulateFormat::SimulateFormat(const FPFormat& forward, const FPFormat& backward)
    : before_(std::exchange(current(), Formats{forward, backward})) {}
SimulateFormat::~SimulateFormat() { current() = before_; }

}  // namespace weft
