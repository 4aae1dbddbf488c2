#include "weft/nn/attention.h"

#include <cmath>
#include <limits>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/layer/attention.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/shape/pad.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/init.h"
#include "weft/nn/repr.h"

namespace weft::nn {

namespace {

/// PyTorch prints the output's layer under this name.
struct OutProjection : Linear {
  OutProjection(int64_t features, bool bias) : Linear(features, features, {.bias = bias}) {
    state().name = "NonDynamicallyQuantizableLinear";
  }
};

/// What is added to the scores: -inf where a bool mask holds.
Tensor added(const char* what, const Tensor& mask, Dtype dtype) {
  if (!mask.defined()) return mask;
  if (mask.dtype() == Dtype::boolean) return where(mask, -std::numeric_limits<double>::infinity(), 0.0).to(dtype);
  WEFT_CHECK(mask.is_floating(), DtypeError, "MultiheadAttention: ", what, " is ", mask.dtype(),
             "; expected bool or a floating dtype");
  return mask.to(dtype);
}

}  // namespace

MultiheadAttention::MultiheadAttention(int64_t embed_dim, int64_t num_heads, const MultiheadAttentionOptions& o)
    : Module("MultiheadAttention"),
      embed_dim(embed_dim),
      num_heads(num_heads),
      options(o),
      out_proj(add("out_proj", OutProjection(embed_dim, o.bias))) {
  WEFT_CHECK(embed_dim > 0 && num_heads > 0, ValueError, "MultiheadAttention: embed_dim ", embed_dim, " and num_heads ",
             num_heads, " must be greater than 0");
  WEFT_CHECK(embed_dim % num_heads == 0, ValueError, "MultiheadAttention: embed_dim ", embed_dim,
             " must be divisible by num_heads ", num_heads);
  const int64_t kdim = o.kdim.value_or(embed_dim), vdim = o.vdim.value_or(embed_dim);
  if (kdim == embed_dim && vdim == embed_dim) {
    in_proj_weight = param("in_proj_weight", empty({3 * embed_dim, embed_dim}));
  } else {
    q_proj_weight = param("q_proj_weight", empty({embed_dim, embed_dim}));
    k_proj_weight = param("k_proj_weight", empty({embed_dim, kdim}));
    v_proj_weight = param("v_proj_weight", empty({embed_dim, vdim}));
  }
  if (o.bias) in_proj_bias = param("in_proj_bias", empty({3 * embed_dim}));
  if (o.add_bias_kv) {
    bias_k = param("bias_k", empty({1, 1, embed_dim}));
    bias_v = param("bias_v", empty({1, 1, embed_dim}));
  }
  reset_parameters();
}

void MultiheadAttention::reset_parameters() {
  for (const Parameter* w : {&in_proj_weight, &q_proj_weight, &k_proj_weight, &v_proj_weight})
    if (w->defined()) init::xavier_uniform_(*w);
  if (in_proj_bias.defined()) {
    init::zeros_(in_proj_bias);
    init::zeros_(out_proj.bias);
  }
  for (const Parameter* b : {&bias_k, &bias_v})
    if (b->defined()) init::xavier_normal_(*b);
}

std::vector<Tensor> MultiheadAttention::project(const Tensor& query, const Tensor& key, const Tensor& value,
                                                bool same) const {
  const int64_t E = embed_dim;
  if (same && in_proj_weight.defined()) return linear(query, in_proj_weight, in_proj_bias).chunk(3, -1);
  const auto part = [&](const Tensor& all, int64_t i, int64_t n = 1) {
    return all.defined() ? all.narrow(0, i * E, n * E) : all;
  };
  if (!in_proj_weight.defined())
    return {linear(query, q_proj_weight, part(in_proj_bias, 0)), linear(key, k_proj_weight, part(in_proj_bias, 1)),
            linear(value, v_proj_weight, part(in_proj_bias, 2))};
  const Tensor q = linear(query, part(in_proj_weight, 0), part(in_proj_bias, 0));
  if (key.is_same(value)) {
    const std::vector<Tensor> kv = linear(key, part(in_proj_weight, 1, 2), part(in_proj_bias, 1, 2)).chunk(2, -1);
    return {q, kv[0], kv[1]};
  }
  return {q, linear(key, part(in_proj_weight, 1), part(in_proj_bias, 1)),
          linear(value, part(in_proj_weight, 2), part(in_proj_bias, 2))};
}

AttentionResult MultiheadAttention::forward(const Tensor& query, const Tensor& key, const Tensor& value,
                                            const MultiheadAttentionCall& call) const {
  check_defined("MultiheadAttention", query, key, value);
  WEFT_CHECK((query.rank() == 2 || query.rank() == 3) && key.rank() == query.rank() && value.rank() == query.rank(),
             ShapeError, "MultiheadAttention: query ", query.shape(), ", key ", key.shape(), " and value ",
             value.shape(), " should all be unbatched 2D or batched 3D tensors");
  detail::check_unchanged(*this, "bias", options->bias, in_proj_bias.defined());
  detail::check_unchanged(*this, "add_bias_kv", options->add_bias_kv, bias_k.defined());
  const bool batched = query.rank() == 3;
  const auto in_order = [&](const Tensor& x) {
    return !batched ? x.unsqueeze(1) : options->batch_first ? x.transpose(0, 1) : x;
  };
  const Tensor q_in = in_order(query), k_in = in_order(key), v_in = value.is_same(key) ? k_in : in_order(value);
  const int64_t L = q_in.size(0), N = q_in.size(1), heads = num_heads, d = embed_dim / heads;
  WEFT_CHECK(q_in.size(2) == embed_dim && k_in.size(2) == options->kdim.value_or(embed_dim) &&
                 v_in.size(2) == options->vdim.value_or(embed_dim),
             ShapeError, "MultiheadAttention: was expecting embedding dimensions ", embed_dim, ", ",
             options->kdim.value_or(embed_dim), " and ", options->vdim.value_or(embed_dim), ", but got query ",
             query.shape(), ", key ", key.shape(), " and value ", value.shape());
  WEFT_CHECK(k_in.size(0) == v_in.size(0) && k_in.size(1) == N && v_in.size(1) == N, ShapeError,
             "MultiheadAttention: query ", query.shape(), ", key ", key.shape(), " and value ", value.shape(),
             " do not fit");
  WEFT_CHECK(!call.is_causal || call.attn_mask.defined(), ValueError,
             "MultiheadAttention: need attn_mask if specifying the is_causal hint");

  std::vector<Tensor> p = project(q_in, k_in, v_in, query.is_same(key) && key.is_same(value));
  const Dtype dtype = p[0].dtype();
  const int64_t S = k_in.size(0);
  Tensor mask = added("attn_mask", call.attn_mask, dtype),
         padding = added("key_padding_mask", call.key_padding_mask, dtype);
  if (mask.defined()) {
    const Shape one{L, S}, each{N * heads, L, S};
    WEFT_CHECK(mask.shape() == one || mask.shape() == each, ShapeError, "MultiheadAttention: attn_mask ", mask.shape(),
               " should be ", one, " or ", each);
    if (mask.rank() == 3) mask = mask.reshape({N, heads, L, S});
  }
  if (padding.defined()) {
    WEFT_CHECK((padding.shape() == (batched ? Shape{N, S} : Shape{S})), ShapeError,
               "MultiheadAttention: key_padding_mask ", padding.shape(), " should be ",
               batched ? Shape{N, S} : Shape{S});
    padding = padding.reshape({N, 1, 1, S});
  }
  // a causal mask that nothing is added to is never read
  const bool causal = call.is_causal && !padding.defined() && !call.need_weights;
  if (causal) mask = Tensor();
  if (padding.defined()) mask = mask.defined() ? mask + padding : padding;

  const auto with = [&](const Tensor& bias_of_k, const Tensor& bias_of_v) {
    p[1] = cat({p[1], bias_of_k.to(dtype).expand({1, N, embed_dim})});
    p[2] = cat({p[2], bias_of_v.to(dtype).expand({1, N, embed_dim})});
    if (mask.defined()) mask = pad(mask, {0, 1});
  };
  if (bias_k.defined()) with(bias_k, bias_v);
  if (options->add_zero_attn) with(zeros({1, 1, embed_dim}, p[1].options()), zeros({1, 1, embed_dim}, p[2].options()));
  for (Tensor& x : p) x = x.unflatten(2, {heads, d}).permute({1, 2, 0, 3});  // [N, heads, L or S, d]

  AttentionResult r;
  const double drop = is_training() ? options->dropout : 0;
  Tensor y;
  if (call.need_weights) {
    Tensor scores = matmul(p[0] * (1 / std::sqrt(static_cast<double>(d))), p[1].transpose(-2, -1));
    if (mask.defined()) scores = scores + mask;
    const Tensor weights = dropout(softmax(scores, -1), drop);
    y = matmul(weights, p[2]);
    r.weights = call.average_attn_weights ? mean(weights, 1) : weights;
    if (!batched) r.weights = r.weights.squeeze(0);
  } else {
    y = scaled_dot_product_attention(p[0], p[1], p[2], {.attn_mask = mask, .dropout_p = drop, .is_causal = causal});
  }
  y = out_proj(y.permute({2, 0, 1, 3}).reshape({L, N, embed_dim}));
  r.output = !batched ? y.squeeze(1) : options->batch_first ? y.transpose(0, 1) : y;
  return r;
}

AttentionResult MultiheadAttention::operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                                               const MultiheadAttentionCall& call) const {
  return nn::call(*this, query, key, value, call);
}

}  // namespace weft::nn
