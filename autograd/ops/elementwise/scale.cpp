#include "weft/autograd/ops/elementwise/scale.h"

#include <cmath>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/record.h"
#include "weft/core/map.h"

namespace weft::unit_scaled {

Tensor detail::scaled(const char* op, const Tensor& x, double forward, double backward) {
  WEFT_CHECK(x.is_floating(op), DtypeError, op, ": dtype ", x.dtype(),
             " is not supported here; expected a floating one");
  if (forward == 1 && backward == 1) return x;
  Tensor y = forward == 1 ? x.detach() : kernels::map<fn::MulScalar>(x, {forward});
  return record(op, std::move(y), {x}, [backward](BackwardCtx& c) -> Grads {
    if (backward == 1) return {c.grad()};
    if (!c.create_graph()) return {kernels::map<fn::MulScalar>(c.take_grad(), {backward})};
    return {c.grad() * backward};
  });
}

Tensor scale_fwd(const Tensor& x, double scale) { return detail::scaled("scale_fwd", x, scale, 1); }
Tensor scale_bwd(const Tensor& x, double scale) { return detail::scaled("scale_bwd", x, 1, scale); }

Constraint constraint(std::string_view word) {
  return word.empty() ? Constraint::none : Constraint(Choice<Constraint>(word));
}

void check_constraint(const char* op, Constraint c, size_t scales) {
  const size_t wanted = c == Constraint::to_grad_input_scale   ? 2
                        : c == Constraint::to_left_grad_scale  ? 3
                        : c == Constraint::to_right_grad_scale ? 3
                                                               : scales;
  WEFT_CHECK(scales == wanted, ValueError, op, ": constraint '", name(c), "' is for ops of ", wanted - 1,
             " input(s) with a scale, here there are ", scales - 1);
}

void apply_constraint(const char* op, Constraint c, std::span<double> scales) {
  check_constraint(op, c, scales.size());
  if (c == Constraint::none || scales.empty()) return;
  const double n = static_cast<double>(scales.size());
  double product = 1, sum = 0, inverse = 0;
  for (double s : scales) product *= s, sum += s, inverse += 1 / s;
  double all = scales[0];
  switch (c) {
    case Constraint::gmean: all = std::pow(product, 1 / n); break;
    case Constraint::hmean: all = n / inverse; break;
    case Constraint::amean: all = sum / n; break;
    case Constraint::to_grad_input_scale:
    case Constraint::to_left_grad_scale: all = scales[1]; break;
    case Constraint::to_right_grad_scale: all = scales[2]; break;
    default: break;
  }
  for (double& s : scales) s = all;
}

}  // namespace weft::unit_scaled
