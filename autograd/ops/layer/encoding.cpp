#include "weft/autograd/ops/layer/encoding.h"

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/core/factory.h"
#include "weft/core/kernels/encoding.h"
#include "weft/core/map.h"

namespace weft {
namespace {

void check_features(const char* op, const Tensor& x, const Tensor& codewords) {
  check_defined(op, x, codewords);
  WEFT_CHECK(x.rank() == 3, ShapeError, op, ": expected features [B, N, D], got ", x.shape());
  WEFT_CHECK(codewords.rank() == 2 && codewords.size(1) == x.size(2), ShapeError, op, ": codewords ", codewords.shape(),
             " do not fit features ", x.shape(), "; expected [K, ", x.size(2), "]");
  kernels::detail::check_same_device(op, x, codewords);
}
void check_scale(const char* op, const Tensor& codewords, const Tensor& scale) {
  WEFT_CHECK(scale.shape(op) == Shape{codewords.size(0)}, ShapeError, op, ": scale ", scale.shape(),
             " must have one number for each of the codewords ", codewords.shape());
  kernels::detail::check_same_device(op, codewords, scale);
}

// |x - c|^2 does not change when both move together, but the form with products cancels badly where both are far from
// the origin: everything is measured from the mean codeword. A constant, as no derivative depends on it.
Tensor centre_of(const Tensor& codewords) {
  NoGrad guard;
  return mean(codewords, 0);
}

/// |x_i - c_k|^2 of centred x and c.
Tensor distances(const Tensor& x, const Tensor& c) {
  return sum(square(x), -1, true) - matmul(x, c.t()) * 2 + sum(square(c), 1);
}

Tensor gather_residuals(const Tensor& a, const Tensor& x, const Tensor& c) {
  return matmul(a.transpose(1, 2), x) - sum(a, 1).unsqueeze(-1) * c;
}

}  // namespace

Tensor scaled_l2(const Tensor& x, const Tensor& codewords, const Tensor& scale) {
  const OpName op("scaled_l2");
  check_features(op, x, codewords);
  check_scale(op, codewords, scale);
  const Tensor centre = centre_of(codewords);
  return distances(x - centre, codewords - centre) * scale;
}

Tensor aggregate(const Tensor& a, const Tensor& x, const Tensor& codewords) {
  const OpName op("aggregate");
  check_features(op, x, codewords);
  WEFT_CHECK(a.shape(op) == Shape({x.size(0), x.size(1), codewords.size(0)}), ShapeError, "weights ", a.shape(),
             " do not fit features ", x.shape(), " and codewords ", codewords.shape(), "; expected [B, N, K]");
  const Tensor centre = centre_of(codewords);
  return gather_residuals(a, x - centre, codewords - centre);
}

namespace {

/// The gradients of encode, made of ops.
Grads encode_composite(BackwardCtx& ctx, const Tensor& g, const Tensor& features, const Tensor& codewords,
                       const Tensor& s) {
  const Tensor centre = centre_of(codewords), c = codewords - centre, x = features - centre;
  const Tensor d2 = distances(x, c), a = softmax(d2 * s, -1);
  const Tensor ga = matmul(x, g.transpose(1, 2)) - sum(g * c, -1).unsqueeze(1);
  const Tensor gl = a * (ga - sum(a * ga, -1, true)), w = gl * s * 2;  // [B, N, K]
  Grads grads(3);
  if (ctx.needs(0)) grads[0] = matmul(a, g) + sum(w, -1, true) * x - matmul(w, c);
  if (ctx.needs(1))
    grads[1] = sum(sum(w, 1).unsqueeze(-1) * c - sum(a, 1).unsqueeze(-1) * g - matmul(w.transpose(1, 2), x), 0);
  if (ctx.needs(2)) grads[2] = sum(gl * d2, {0, 1});
  return grads;
}

}  // namespace

Tensor encode(const Tensor& x, const Tensor& codewords, const Tensor& scale) {
  const OpName op("encode");
  check_features(op, x, codewords);
  check_scale(op, codewords, scale);
  WEFT_CHECK(is_floating(x.dtype()), DtypeError, "features are ", x.dtype(), "; expected a floating dtype");
  const Dtype compute = compute_dtype(x.dtype());
  const Device device = x.device();
  const Tensor c = codewords.to(compute).contiguous(), s = scale.to(compute).contiguous();
  const bool nothing = x.numel() == 0 || c.numel() == 0;
  const Shape shape{x.size(0), c.size(0), x.size(2)};
  Tensor y = nothing ? zeros(shape, x.options()) : empty(shape, x.options());
  if (!nothing) kernels::encode(device, mut_ref(y), ref(x), ref(c), ref(s));
  // The assignment is made again, from what is kept anyway.
  auto backward = [xs = Saved::input(x), cs = Saved::input(c, "codewords"), ss = Saved::input(s, "scale"), compute,
                   device, nothing](BackwardCtx& ctx) -> Grads {
    const Tensor x = ctx.get(xs), c = ctx.get(cs), s = ctx.get(ss);
    if (ctx.create_graph() && !nothing) return encode_composite(ctx, ctx.grad().to(compute), x.to(compute), c, s);
    const Tensor g = ctx.grad().contiguous();
    Tensor x_grad = ctx.needs(0) ? empty_like(x) : Tensor(), c_grad = ctx.needs(1) ? empty_like(c) : Tensor(),
           s_grad = ctx.needs(2) ? empty_like(s) : Tensor();
    if (nothing) {
      for (Tensor* t : {&x_grad, &c_grad, &s_grad})
        if (t->defined()) t->zero_();
    } else {
      kernels::encode_backward(device, mut_ref(x_grad), mut_ref(c_grad), mut_ref(s_grad), ref(g), ref(x), ref(c),
                               ref(s));
    }
    return {x_grad, c_grad, s_grad};
  };
  return record(op, std::move(y), {x, c, s}, std::move(backward));
}

Tensor pairwise_cosine(const Tensor& x, const Tensor& codewords, Only<bool> normalize) {
  const OpName op("pairwise_cosine");
  check_features("pairwise_cosine", x, codewords);
  if (!normalize) return matmul(x, codewords.t());
  const auto unit = [](const Tensor& v) { return v / clamp(vector_norm(v, 2, -1, true), 1e-8); };
  return matmul(unit(x), unit(codewords).t());
}

}  // namespace weft
