// Simulation of small number formats: tensors keep their dtype and take only the values that the format has.
// Knows the ops that a SimulateFormat changes (linear, convolutions) only by their asking for it.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "weft/core/choice.h"
#include "weft/core/generator.h"
#include "weft/core/tensor.h"

namespace weft {

/// How a number between two values of a format is rounded.
enum class FPRounding : uint8_t {
  stochastic,    ///< up or down, with the probabilities that keep the mean
  nearest,       ///< ties towards zero (as the library unit_scaling)
  nearest_even,  ///< ties to even (as hardware)
};
constexpr auto mode_words(FPRounding) {
  return make_words("FPFormat: rounding", "stochastic", "nearest", "nearest_even");
}
/// "stochastic", "nearest" or "nearest_even". ValueError that names it otherwise.
WEFT_API FPRounding fp_rounding(std::string_view word);

/// A floating format: sign, exponent bits with bias 2^(exponent_bits - 1), mantissa bits. It has subnormals and neither
/// infinities nor NaN; larger numbers saturate. FPFormat(4, 3) and FPFormat(5, 2) have the ranges of the "FNUZ" fp8
/// formats; OCP's E4M3, up to 448, is another format. The formula is unit_scaling's, bit for bit on f32; there NaN
/// becomes a number and other dtypes are misread, here not.
class WEFT_API FPFormat {
 public:
  /// srbits: how many of the bits that go are compared with random ones (stochastic only); 0: all. ValueError unless
  /// 2 <= exponent_bits <= 7, 0 <= mantissa_bits <= 22 and 0 <= srbits <= 23 - mantissa_bits.
  FPFormat(Int exponent_bits, Int mantissa_bits, Choice<FPRounding> rounding = FPRounding::stochastic, Int srbits = 0);
  int64_t exponent_bits, mantissa_bits;
  FPRounding rounding;
  int64_t srbits;

  /// 2^(2^(E-1) - 1) (2 - 2^-M)
  double max_absolute_value() const;
  /// 2^(1 - 2^(E-1))
  double min_absolute_normal() const;
  /// The same times 2^-M.
  double min_absolute_subnormal() const;
  /// "E4M3-SR"; RN for nearest, RNE for nearest_even.
  std::string name() const;
};
/// Prints the name.
WEFT_API std::ostream& operator<<(std::ostream& os, const FPFormat& f);

/// x rounded to the format, by way of f32; NaN stays NaN, -0 stays -0. Not recorded. x: any shape, floating. Stochastic
/// rounding takes random numbers from `g` (this thread's generator by default), or, in their stead, the integers of
/// `bits`: i32, of x's shape, in [0, 2^srbits).
WEFT_API Tensor quantise(const Tensor& x, const FPFormat& f, const Tensor& bits = {}, Generator* g = nullptr);
/// quantise(x); the gradient passes unchanged.
WEFT_API Tensor quantise_fwd(const Tensor& x, const FPFormat& f, Generator* g = nullptr);
/// x; its gradient is quantised, with random numbers of the thread that runs backward (second derivatives pass
/// unchanged).
WEFT_API Tensor quantise_bwd(const Tensor& x, const FPFormat& f);

/// While it lives, linear and all convolutions of this thread (and with them every Linear, Conv and ConvTranspose
/// layer, plain, weight-standardised or unit-scaled) round input and weight to `forward`, and the gradient of their
/// output to `backward`; the bias stays as it is. What is recorded under it keeps that behaviour: backward() may run
/// later. The inner of two holds.
///     SimulateFormat fp8 = simulate_fp8();
///     Tensor loss = criterion(net(x), target);
class [[nodiscard]] SimulateFormat {
 public:
  WEFT_API SimulateFormat(const FPFormat& forward, const FPFormat& backward);
  WEFT_API ~SimulateFormat();
  SimulateFormat(const SimulateFormat&) = delete;
  SimulateFormat& operator=(const SimulateFormat&) = delete;

  /// Of activations and weights, and of gradients.
  struct Formats {
    FPFormat forward, backward;  ///< of activations and weights; of gradients
  };
  /// The formats that hold on this thread.
  WEFT_API static std::optional<Formats>& current();

 private:
  std::optional<Formats> before_;
};
/// FPFormat(4, 3) forward and FPFormat(5, 2) backward.
inline SimulateFormat simulate_fp8(Choice<FPRounding> rounding = FPRounding::stochastic, Int srbits = 0) {
  return {FPFormat(4, 3, rounding, srbits), FPFormat(5, 2, rounding, srbits)};
}

namespace detail {
/// op(x, w) under the current SimulateFormat, which does not hold inside; there must be one.
template <class F> Tensor simulated(const Tensor& x, const Tensor& w, const F& op) {
  struct Off {
    std::optional<SimulateFormat::Formats> formats = std::exchange(SimulateFormat::current(), std::nullopt);
    ~Off() { SimulateFormat::current() = formats; }
  } off;
  const auto& [forward, backward] = *off.formats;
  return quantise_bwd(op(quantise_fwd(x, forward), quantise_fwd(w, forward)), backward);
}
}  // namespace detail

}  // namespace weft
