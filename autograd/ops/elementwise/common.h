// Shared by the elementwise op blocks: type promotion, and the two usual forms of a recorded unary op.
// Internal: not part of the public headers.
#pragma once

#include "weft/autograd/engine.h"
#include "weft/core/map.h"

namespace weft::detail {

/// Dtype of a binary op's result, as PyTorch: a tensor of rank 0 raises only the category (bool < integer < floating)
/// of one with axes.
WEFT_API Dtype result_dtype(const Tensor& a, const Tensor& b);
/// With a C++ number: it raises the category only, to i64 or the default dtype.
WEFT_API Dtype result_dtype(const Tensor& a, const Scalar& s);

/// A number as a tensor of rank 0 that promotes with x as the number does. ValueError, in the name of `op`, for an
/// undefined x.
inline Tensor number_beside(const char* op, const Scalar& s, const Tensor& x) {
  check_defined(op, x);
  return number(s, {result_dtype(x, s), x.device()});
}

/// Refuses operands that do not broadcast or lie on two devices in the name of a composed op, before one of its parts
/// does so in another's.
inline void check_operands(const char* op, const Tensor& x, const Tensor& y) {
  check_defined(op, x, y);
  kernels::detail::check_same_device(op, x, y);
  if (x.shape() != y.shape()) (void)broadcast_shapes(op, x.shape(), y.shape());
}

inline Tensor cast(const Tensor& x, Dtype d) { return x.dtype() == d ? x : x.to(d); }
/// x, or x in the default dtype if it holds integers.
inline Tensor as_float(const Tensor& x) { return x.is_floating() ? x : x.to(default_dtype()); }
/// Will an op on these be recorded?
inline bool recording(const Tensor& x) { return grad_enabled() && x.requires_grad(); }
inline bool recording(const Tensor& x, const Tensor& y) {
  return grad_enabled() && (x.requires_grad() || y.requires_grad());
}
/// The result of an op that nothing will differentiate.
inline Tensor unrecorded(const char* name, Tensor y) {
  if (thread_mode().anomaly) [[unlikely]]
    check_anomaly(name, y);
  return y;
}

/// What the gradient of a function of one tensor reads.
enum class Reads : uint8_t { input, result };
/// y = F(x); the gradient is `formula(c, t)`, t the input or the result.
template <class F, Reads reads, class Formula> Tensor recorded(const Tensor& in, const F& f, Formula formula) {
  check_defined(F::name, in);
  Tensor x = as_float(in);
  Tensor y = kernels::map<F>(x, f);
  if (!recording(x)) return unrecorded(F::name, std::move(y));
  Saved saved = reads == Reads::input ? Saved(x) : Saved::output(y);
  return record(F::name, std::move(y), {x},
                [saved = std::move(saved), formula](BackwardCtx& c) -> Grads { return {formula(c, c.get(saved))}; });
}
/// A composite gradient `back(g, t)`, made of ops, as a formula.
template <class Back> auto composite(Back back) {
  return [back](BackwardCtx& c, const Tensor& t) { return back(c.grad(), t); };
}
/// The same with a fused kernel G(g, t) where the gradient is not differentiated again.
template <class G, class Back> auto fused_or(const G& fused, Back back) {
  return [fused, back](BackwardCtx& c, const Tensor& t) {
    return c.create_graph() ? back(c.grad(), t) : kernels::map2<G>(c.take_grad(), t, fused);
  };
}

/// y = F(x); the gradient is `back(g, x)`, made of ops.
template <class F, class Back> Tensor from_input(const Tensor& in, Back back, const F& f = {}) {
  return recorded<F, Reads::input>(in, f, composite(back));
}
/// y = F(x); the gradient is `back(g, y)`.
template <class F, class Back> Tensor from_output(const Tensor& in, Back back, const F& f = {}) {
  return recorded<F, Reads::result>(in, f, composite(back));
}
/// The same with a fused gradient kernel G(g, x) beside the composite `back`.
template <class F, class G, class Back>
Tensor from_input_fused(const Tensor& in, Back back, const F& f = {}, const G& fused = {}) {
  return recorded<F, Reads::input>(in, f, fused_or(fused, back));
}
template <class F, class G, class Back>
Tensor from_output_fused(const Tensor& in, Back back, const F& f = {}, const G& fused = {}) {
  return recorded<F, Reads::result>(in, f, fused_or(fused, back));
}
/// clamp and hardtanh between numbers; a NaN for a bound that is not there. The gradient at NaN is 0, or passes.
WEFT_API Tensor clamp_between(const char* op, const Tensor& x, double lo, double hi, bool nan_passes);
/// Piecewise constant functions: the gradient is zero.
template <class F> Tensor flat(const Tensor& x, const F& f = {}) {
  return record(F::name, kernels::map<F>(x, f), {x}, [](BackwardCtx& c) -> Grads { return {zeros_like(c.grad())}; });
}

}  // namespace weft::detail
