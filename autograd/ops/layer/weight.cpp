#include "weft/autograd/ops/layer/weight.h"

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels/weight.h"

namespace weft {
namespace {

int64_t row_length(const Tensor& w) { return w.shape().slice(1).numel(); }

void check_rows(const char* op, const Tensor& w, const Tensor& gain) {
  check_defined(op, w, gain);
  WEFT_CHECK(w.is_floating() && gain.is_floating(), DtypeError, op, ": weight is ", w.dtype(), ", gain ", gain.dtype(),
             "; expected floating dtypes");
  WEFT_CHECK(w.rank() >= 1 && gain.shape() == Shape{w.size(0)}, ShapeError, op, ": gain ", gain.shape(),
             " must have one element per row of weight ", w.shape());
  WEFT_CHECK(gain.device() == w.device(), DeviceError, op, ": gain is on ", gain.device(), " but weight on ",
             w.device());
  WEFT_CHECK(row_length(w) > 1, ValueError, op, ": weight ", w.shape(),
             " has fewer than two elements per row, which have no variance");
}

StandardizeParams params_of(const Tensor& w, WSVariant variant, double eps, double fan_in) {
  const int64_t n = row_length(w);
  return {static_cast<double>(variant == WSVariant::nfnet ? n : n - 1), fan_in, eps};
}

/// Rows of x as a matrix of the compute dtype.
Tensor rows_of(const Tensor& x) { return x.to(compute_dtype(x.dtype())).reshape({x.size(0), row_length(x)}); }

/// The gradients made of ops, for second derivatives.
Grads composite(const Tensor& grad, const Tensor& w, const Tensor& gain, const StandardizeParams& p) {
  const Tensor g = rows_of(grad), x = rows_of(w), centred = x - mean(x, 1, true);
  const Tensor product = sum(square(centred), 1, true) * (p.fan / p.divisor);
  const Tensor rho = rsqrt(clamp(product, p.floor)), along = sum(g * centred, 1, true);
  const Tensor scale = rho * gain.reshape({w.size(0), 1});
  const Tensor free = gt(product, p.floor).to(x.dtype()) * (p.fan / p.divisor);
  const Tensor dw = scale * (g - mean(g, 1, true)) - free * scale * square(rho) * along * centred;
  return {dw.reshape(w.shape()), (rho * along).reshape({w.size(0)})};
}

}  // namespace

Tensor standardize_weight(const Tensor& weight, const Tensor& gain, Choice<WSVariant> variant, double eps) {
  const OpName op("standardize_weight");
  check_rows(op, weight, gain);
  const Tensor w = weight.contiguous(), k = gain.to(compute_dtype(w.dtype())).contiguous();
  const StandardizeParams p = params_of(w, variant, eps,
                                        static_cast<double>(variant == WSVariant::nfnet ? row_length(w) : w.numel()));
  Tensor y = empty(w.shape(), w.options()), mean = empty({w.size(0)}, k.options()), rho = empty_like(mean);
  if (w.numel() > 0)
    kernels::standardize_weight(w.device(), mut_ref(y), mut_ref(mean), mut_ref(rho), ref(w), ref(k), p);
  return record(op, std::move(y), {w, k},
                [w = Saved::input(w, "weight"), k = Saved::input(k, "gain"), mean, rho, p](BackwardCtx& c) -> Grads {
                  const Tensor ws = c.get(w), ks = c.get(k);
                  if (c.create_graph()) return composite(c.grad(), ws, ks, p);
                  const Tensor g = c.grad().contiguous();
                  Tensor dw = c.needs(0) ? empty_like(ws) : Tensor(), dk = c.needs(1) ? empty_like(ks) : Tensor();
                  if (ws.numel() > 0)
                    kernels::standardize_weight_backward(ws.device(), mut_ref(dw), mut_ref(dk), ref(g), ref(ws),
                                                         ref(mean), ref(rho), ref(ks), p);
                  return {dw, dk};
                });
}

Tensor standardize_weight_(const Tensor& weight, const Tensor& gain, WSVariant variant, double eps, double fan_in) {
  const OpName op("standardize_weight_");
  check_rows(op, weight, gain);
  const StandardizeParams p = params_of(weight, variant, eps, fan_in);
  Tensor before, mean, rho, k;
  {
    NoGrad guard;
    before = weight.contiguous();
    k = gain.to(compute_dtype(weight.dtype())).contiguous();
    Tensor after = empty(before.shape(), before.options()), target = weight;
    mean = empty(k.shape(), k.options()), rho = empty_like(mean);
    if (after.numel() > 0)
      kernels::standardize_weight(weight.device(), mut_ref(after), mut_ref(mean), mut_ref(rho), ref(before), ref(k), p);
    if (gain.requires_grad() && before.raw_data() == weight.raw_data()) before = weight.clone();
    target.copy_(after);
  }
  if (!gain.requires_grad()) return weight;
  return record(op, weight.detach(), {weight, gain}, [before, mean, rho, k, p](BackwardCtx& c) -> Grads {
    if (!c.needs(1)) return {c.grad(), Tensor()};
    if (c.create_graph()) {
      const Shape column{before.size(0), 1};
      const Tensor xhat = (rows_of(before) - mean.reshape(column)) * rho.reshape(column);
      return {c.grad(), sum(rows_of(c.grad()) * xhat, 1)};
    }
    const Tensor g = c.grad().contiguous();
    Tensor none, dk = empty_like(rho);
    if (g.numel() > 0)
      kernels::standardize_weight_backward(g.device(), mut_ref(none), mut_ref(dk), ref(g), ref(before), ref(mean),
                                           ref(rho), ref(k), p);
    return {c.grad(), dk};
  });
}

}  // namespace weft
