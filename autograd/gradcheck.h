// Checks gradient formulas against finite differences, in f64.
// Knows the engine; knows no op.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/autograd/engine.h"

namespace weft {

/// A function under test: takes a list of tensors and gives one tensor or a list of them.
class WEFT_API GradFn {
 public:
  template <class F>
  requires std::is_invocable_v < const F&, const std::vector<Tensor>
  & > GradFn(F f) {
    if constexpr (std::is_same_v<std::invoke_result_t<const F&, const std::vector<Tensor>&>, Tensor>)
      call_ = [f = std::move(f)](const std::vector<Tensor>& x) { return std::vector<Tensor>{f(x)}; };
    else call_ = std::move(f);
  }
  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs) const { return call_(inputs); }

 private:
  std::function<std::vector<Tensor>(const std::vector<Tensor>&)> call_;
};

/// Options of gradcheck and gradgradcheck.
struct GradcheckOptions {
  double eps = 1e-6;               ///< step of the central difference
  double atol = 1e-6;              ///< |analytic - numeric| <= atol + rtol * |numeric|
  double rtol = 1e-6;              ///< with atol
  bool raise = true;               ///< throw an Error that says what differs; otherwise return false
  const char* name = "gradcheck";  ///< stands in front of messages: the op's name
};

/// Compares the gradients of `fn` with central differences: for each input that requires grad, every element of
/// J^T u for a fixed pseudo-random u (so every entry of the Jacobian takes part). Also checked: the same call gives the
/// same bits twice (this thread's generator is reset before each call, so dropout may be checked), gradients have their
/// input's shape and dtype. Inputs that are perturbed are copies: `fn` must use its arguments, not captured tensors.
/// Errors: ValueError if no input requires grad, DtypeError if one that does is not f64; Error with op, input, element,
/// analytic and numeric value where they differ. Source: torch.autograd.gradcheck (fast mode).
WEFT_API bool gradcheck(const GradFn& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& o = {});

/// The same for the gradients themselves: gradcheck of (inputs, upstream gradients) -> gradients of the inputs, which
/// proves that the backward is differentiable and right to the second order.
WEFT_API bool gradgradcheck(const GradFn& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& o = {});

}  // namespace weft
