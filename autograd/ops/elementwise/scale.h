// Unit scaling's one mechanism: factors of a value and of its gradient that need not agree, and the rules that tie
// them. Knows no layer; nn/unit_scaled has the ops and layers made of it.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft::unit_scaled {

/// y = scale x; the gradient passes unchanged. x: floating. Halves are multiplied by the f32 factor and rounded once.
WEFT_API Tensor scale_fwd(const Tensor& x, double scale);
/// y = x (a view); the gradient is multiplied by `scale`, and so are second derivatives on their way through x.
WEFT_API Tensor scale_bwd(const Tensor& x, double scale);

/// How the scales of an op's output and of its inputs' gradients become one. Where forward and backward scale differ,
/// the gradient is not that of the loss: harmless while x has one use, wrong by a factor in a branch.
enum class Constraint : uint8_t {
  none,                 ///< each keeps its own
  gmean,                ///< their geometric mean
  hmean,                ///< their harmonic mean
  amean,                ///< their arithmetic mean
  to_output_scale,      ///< the output's
  to_grad_input_scale,  ///< the gradient's (ops of one input)
  to_left_grad_scale,   ///< the left input's gradient's (ops of two inputs)
  to_right_grad_scale,  ///< the right input's
};
constexpr auto mode_words(Constraint) {
  return make_words("unit_scaled: constraint", "none", "gmean", "hmean", "amean", "to_output_scale",
                    "to_grad_input_scale", "to_left_grad_scale", "to_right_grad_scale");
}
/// The constraint of that name, none for "" too. ValueError that names it otherwise.
WEFT_API Constraint constraint(std::string_view word);
/// The word of a constraint.
inline std::string_view name(Constraint c) { return Choice(c).text(); }
/// ValueError in the name of `op` if c is not for that many scales (output, then inputs' gradients).
WEFT_API void check_constraint(const char* op, Constraint c, size_t scales);
/// Ties the scales: output first, then gradients of the inputs. Errors as check_constraint.
WEFT_API void apply_constraint(const char* op, Constraint c, std::span<double> scales);

namespace detail {
/// y = forward x, with the gradient backward g: scale_fwd and scale_bwd at once.
WEFT_API Tensor scaled(const char* op, const Tensor& x, double forward, double backward);
}  // namespace detail

}  // namespace weft::unit_scaled
