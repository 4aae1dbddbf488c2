#include "weft/autograd/engine.h"
#include "weft/autograd/ops/layer/norm.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

/// layer_norm (centered) and rms_norm.
Tensor row_norm(const char* name, const Tensor& input, const Shape& normalized, const Tensor& weight,
                const Tensor& bias, double eps, bool centered) {
  WEFT_CHECK(input.is_floating(name), DtypeError, name, ": input is ", input.dtype(), "; expected a floating dtype");
  const int k = normalized.size(), lead = input.rank() - k;
  WEFT_CHECK(k >= 1 && lead >= 0 && input.shape().slice(lead) == normalized, ShapeError, name, ": input ",
             input.shape(), " does not end in normalized_shape ", normalized);
  for (const Tensor& p : {weight, bias})
    WEFT_CHECK(!p.defined() || p.shape() == normalized, ShapeError, name, ": weight or bias ", p.shape(),
               " does not have the normalized_shape ", normalized);
  const Dtype t = compute_dtype(input.dtype());
  const Tensor x = input.contiguous();
  const Tensor w = weight.defined() ? weight.to(t).contiguous() : weight,
               b = bias.defined() ? bias.to(t).contiguous() : bias;
  const Device device = x.device();
  const TensorOptions stats{Dtype::f64, x.device()};
  const int64_t M = input.shape().slice(0, lead).numel();
  Tensor y = empty_like(x), mean = centered ? empty({M}, stats) : Tensor(), inv = empty({M}, stats);
  if (x.numel() > 0) kernels::layer_norm(device, mut_ref(y), mut_ref(mean), mut_ref(inv), ref(x), ref(w), ref(b), eps);
  return record(name, y, {x, w, b},
                [x = Saved::input(x), w = Saved::input(w, "weight"), has_bias = b.defined(), normalized, mean, inv,
                 lead, eps, centered, device](BackwardCtx& c) -> Grads {
                  const Tensor xs = c.get(x), ws = w.defined() ? c.get(w) : Tensor();
                  if (c.create_graph()) {
                    detail::NormComposite o{.centered = centered, .eps = eps};
                    for (int i = lead; i < xs.rank(); ++i) o.dims.push_back(i);
                    const detail::NormGrads r = detail::norm_composite(c.grad(), xs, ws, {}, {}, o);
                    return {r.x, r.weight, has_bias ? sum_to(c.grad(), normalized) : Tensor()};
                  }
                  const Tensor g = c.grad().contiguous();
                  const TensorOptions sums{compute_dtype(xs.dtype()), xs.device()};
                  Tensor dx = c.needs(0) ? empty_like(xs) : Tensor(), dw, db;
                  if (ws.defined() && c.needs(1)) dw = zeros(normalized, sums);
                  if (has_bias && c.needs(2)) db = zeros(normalized, sums);
                  if (xs.numel() > 0)
                    kernels::layer_norm_backward(device, mut_ref(dx), mut_ref(dw), mut_ref(db), ref(g), ref(xs),
                                                 ref(mean), ref(inv), ref(ws));
                  return {dx, dw, db};
                });
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight, const Tensor& bias,
                  double eps) {
  return row_norm("layer_norm", x, normalized_shape, weight, bias, eps, true);
}

Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight, std::optional<double> eps) {
  const OpName op("rms_norm");
  const double e = eps ? *eps : (x.dtype(op) == Dtype::f64 ? 0x1p-52 : 0x1p-23);
  return row_norm(op, x, normalized_shape, weight, {}, e, false);
}

}  // namespace weft
