#include "weft/autograd/ops/layer/attention.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "weft/autograd/checkpoint.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/format.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/backend.h"
#include "weft/core/draw.h"
#include "weft/core/factory.h"
#include "weft/core/kernels/attention.h"

namespace weft {
namespace {

// Made of ops
// -----------

/// [..., H, S, E] with each head repeated `times` times in place.
Tensor repeat_heads(const Tensor& x, int64_t times) {
  if (times == 1) return x;
  Shape grown = x.shape(), flat = x.shape();
  grown.insert(x.rank() - 2, times);
  flat[-3] *= times;
  return x.unsqueeze(-3).expand(grown).reshape(flat);
}

constexpr double kNever = -std::numeric_limits<double>::infinity();

/// q k^T scale. Two rows of some hundreds make a product that f16 does not hold: there it stays in f32.
Tensor score(const Tensor& query, const Tensor& key, double scale) {
  const detail::ThreadMode& mode = detail::thread_mode();
  const auto in_f16 = [&](const Tensor& x) {
    const bool lowered = mode.autocast && x.device().type == mode.autocast_device && x.dtype() != Dtype::f64;
    return (lowered ? mode.autocast_dtype : x.dtype()) == Dtype::f16;
  };
  if (!in_f16(query) || !in_f16(key)) return matmul(query * scale, key.transpose(-2, -1));
  const Autocast off(Dtype::f16, query.device(), false);
  return matmul(query.to(Dtype::f32) * scale, key.to(Dtype::f32).transpose(-2, -1));
}

/// softmax(q k^T scale + mask) v with heads repeated and shapes checked.
Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask, double scale,
              const AttentionOptions& o, Generator* g = nullptr) {
  Tensor scores = score(query, key, scale), blind;
  if (o.is_causal) {
    const int64_t L = query.size(-2), S = key.size(-2);
    const TensorOptions index{Dtype::i64, query.device()};
    scores = where(ge(arange(0, L, 1, index).unsqueeze(1), arange(0, S, 1, index)), scores, kNever);
  } else if (mask.defined()) {
    // rows that see nothing: any finite mask, so that no NaN arises
    const bool choice = mask.dtype() == Dtype::boolean;
    const Tensor seen = choice ? mask : ne(mask.detach(), kNever);
    blind = logical_not(any(seen, -1, true));
    scores = choice ? where(mask, scores, where(blind, 0.0, kNever).to(scores.dtype()))
                    : scores + where(blind, 0.0, mask);
  }
  Tensor weights = softmax(scores, -1);
  if (o.dropout_p > 0) weights = dropout(weights, o.dropout_p, true, g);
  if (is_half(query.dtype())) weights = weights.to(query.dtype());
  const Tensor y = matmul(weights, value);
  return blind.defined() ? where(blind, 0.0, y) : y;
}

constexpr int64_t kScoresAtOnce = int64_t{1} << 20;  // on a CPU, and at least

/// Scores of a piece: on a CPU what its caches hold. On a card a sixteenth of its free memory, as a power of two, for a
/// piece takes several times its scores; with dropout of all its memory, for a piece's random numbers must not depend
/// on what else is there.
int64_t scores_at_once(const Tensor& query, bool drops) {
  const Device d = query.device();
  if (d.type == DeviceType::cpu) return kScoresAtOnce;
  const MemoryStats stats = memory_stats(d);
  const size_t all = stats.limit ? stats.limit : device_properties(d).total_memory, used = drops ? 0 : stats.active;
  const size_t free = all > used ? all - used : 0;
  return std::max(kScoresAtOnce, static_cast<int64_t>(std::bit_floor(free / 16 / itemsize(query.dtype()))));
}
/// Above so many times that, scores are computed in pieces, and again in backward.
constexpr int64_t kManyPieces = 4;

int64_t count_scores(const Tensor& query, const Tensor& key) {
  return query.shape().slice(0, query.rank() - 1).numel() * key.size(-2);
}

/// The same without keeping the scores: the leading axes from `axis` on are cut until pieces have few enough of them.
Tensor attend_in_pieces(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask, double scale,
                        const AttentionOptions& o, int64_t at_once, int axis = 0) {
  const int64_t scores = count_scores(query, key);
  if (axis == query.rank() - 2 || scores <= at_once) {
    const AttentionOptions rest{.dropout_p = o.dropout_p, .is_causal = o.is_causal};
    const auto run = [rest, scale](const std::vector<Tensor>& x) {
      return std::vector<Tensor>{attend(x[0], x[1], x[2], x[3], scale, rest)};
    };
    return checkpoint(run, {query, key, value, mask})[0];
  }
  const int dim = axis - query.rank();  // the same for all of them
  const int64_t n = query.size(dim), step = std::max<int64_t>(1, at_once / (scores / n));
  const auto size = [&](const Tensor& x) { return x.defined() && x.rank() >= -dim ? x.size(dim) : 1; };
  bool fits = n > step;
  for (const Tensor& x : {key, value, mask}) fits = fits && (size(x) == n || size(x) == 1);
  if (!fits) return attend_in_pieces(query, key, value, mask, scale, o, at_once, axis + 1);
  std::vector<Tensor> y;
  for (int64_t at = 0; at < n; at += step) {
    const auto cut = [&](const Tensor& x) { return size(x) > 1 ? x.narrow(dim, at, std::min(step, n - at)) : x; };
    y.push_back(attend_in_pieces(cut(query), cut(key), cut(value), cut(mask), scale, o, at_once, axis + 1));
  }
  return cat(y, dim);
}

/// `g`: of dropout, in one piece; this thread's generator unless given.
Tensor attend_by_ops(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask, double scale,
                     const AttentionOptions& o, Generator* g = nullptr) {
  const int64_t scores = count_scores(query, key);
  if (!g && scores > kManyPieces * kScoresAtOnce) {
    const int64_t at_once = scores_at_once(query, o.dropout_p > 0);
    if (scores > kManyPieces * at_once) return attend_in_pieces(query, key, value, mask, scale, o, at_once);
  }
  return attend(query, key, value, mask, scale, o, g);
}

// As one kernel
// -------------

/// Memory for a tensor like x with `features` of them, its heads inside of its rows where x has them so.
Tensor empty_heads(const Tensor& x, int64_t features) {
  const bool inside = x.stride(1) < x.stride(2);
  Shape shape{x.size(0), x.size(inside ? 2 : 1), x.size(inside ? 1 : 2), features};
  const Tensor y = empty(shape, x.options());
  return inside ? y.transpose(1, 2) : y;
}

/// Gradients of q, k and v, which are as the kernels take them.
Grads fused_gradients(BackwardCtx& c, const std::vector<Tensor>& x, const Tensor& mask, const Tensor& y,
                      const Tensor& lse, const AttentionParams& p) {
  if (c.create_graph()) {  // a segment of ops, which their derivatives run again
    const bool wanted[] = {c.needs(0), c.needs(1), c.needs(2)};
    const auto run = [=](const std::vector<Tensor>& in) {
      const int64_t times = in[0].size(1) / in[1].size(1);
      Generator g;
      g.set_state(p.from);  // the weights' random numbers are the kernel's
      const Tensor again = attend_by_ops(in[0], repeat_heads(in[1], times), repeat_heads(in[2], times), mask, p.scale,
                                         {.dropout_p = 1 - p.keep, .is_causal = p.causal}, p.keep < 1 ? &g : nullptr);
      std::vector<Tensor> sources;
      for (size_t i = 0; i < 3; ++i)
        if (wanted[i]) sources.push_back(in[i]);
      return grad({again}, sources, {.create_graph = true, .grad_outputs = {in[3]}});
    };
    const std::vector<Tensor> found = checkpoint(run, {x[0], x[1], x[2], c.grad()});
    Grads grads(3);
    auto next = found.begin();
    for (int i = 0; i < 3; ++i)
      if (wanted[i]) grads[i] = *next++;
    return grads;
  }
  Grads grads(3);
  MutTensorRef to[3];
  for (int i = 0; i < 3; ++i) {
    if (c.needs(i)) grads[i] = empty_heads(x[static_cast<size_t>(i)], x[static_cast<size_t>(i)].size(3));
    to[i] = mut_ref(grads[i]);
  }
  kernels::attention_backward(y.device(), to[0], to[1], to[2], ref(c.grad()), ref(y), ref(lse), ref(x[0]), ref(x[1]),
                              ref(x[2]), ref(mask), p);
  return grads;
}

/// q, k, v, mask as the kernels take them.
Tensor attend_fused(const char* op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                    const AttentionParams& p) {
  Tensor y = empty_heads(q, v.size(3)), lse = empty(q.shape().slice(0, 3), TensorOptions{Dtype::f32, q.device()});
  kernels::attention(y.device(), mut_ref(y), mut_ref(lse), ref(q), ref(k), ref(v), ref(mask), p);
  return record(
      op, y, {q, k, v},
      [=, q = Saved(q, "query"), k = Saved(k, "key"), v = Saved(v, "value"),
       mask = mask.defined() ? Saved(mask, "attn_mask") : Saved(), y = Saved::output(y)](BackwardCtx& c) -> Grads {
        return fused_gradients(c, {c.get(q), c.get(k), c.get(v)}, mask.defined() ? c.get(mask) : Tensor(), c.get(y),
                               lse, p);
      });
}

/// Axis i of x, counted from the end; 1 where it has none.
int64_t size_from_end(const Tensor& x, int i) { return i <= x.rank() ? x.size(-i) : 1; }

/// The result of the device's kernel; undefined where it has none, or none for these operands.
Tensor try_fused(const char* op, const Tensor& query, const Tensor& key, const Tensor& value, double scale,
                 const AttentionOptions& o) {
  const DtypeSet takes = kernels::attention.dtypes(query.device().type);
  if (takes.bits == 0 || !(scale > 0 && std::isfinite(scale)) || o.dropout_p >= 1 || SimulateFormat::current())
    return {};
  Tensor q = autocast(CastPolicy::lower, query), k = autocast(CastPolicy::lower, key),
         v = autocast(CastPolicy::lower, value), mask = o.attn_mask;
  Shape result = q.shape(), shape = result;
  while (shape.size() < 4) shape.insert(0, 1);
  const int64_t samples = shape.slice(0, shape.size() - 3).numel();
  const int64_t H = size_from_end(q, 3), G = size_from_end(k, 3), L = q.size(-2), S = k.size(-2), V = v.size(-1);
  bool fits = takes.has(q.dtype()) && k.dtype() == q.dtype() && v.dtype() == q.dtype() && size_from_end(v, 3) == G &&
              (G == 1 || G == H || o.enable_gqa) && q.numel() > 0 && k.numel() > 0 && v.numel() > 0 &&
              std::max(q.size(-1), V) <= kMostHeadFeatures && std::max(samples, H * std::max(L, S)) < int64_t{1} << 30;
  if (mask.defined()) fits = fits && mask.dtype() != Dtype::f64 && !(grad_enabled() && mask.requires_grad());
  const auto arrange = [&](Tensor& x, int64_t heads, int64_t rows, int64_t cols) {
    shape[-3] = heads, shape[-2] = rows, shape[-1] = cols;
    fits = fits && x.device() == q.device() && x.rank() <= result.size();
    for (int i = 1; fits && i <= x.rank(); ++i) fits = x.size(-i) == shape[-i] || x.size(-i) == 1;
    if (fits && x.shape() != shape) x = x.expand(shape);
    if (fits && shape.size() > 4) x = x.reshape({samples, heads, rows, cols});
  };
  arrange(k, G, S, q.size(-1));
  arrange(v, G, S, V);
  if (mask.defined()) arrange(mask, H, L, S);
  arrange(q, H, L, q.size(-1));
  if (!fits) return {};
  AttentionParams p{.scale = scale, .causal = o.is_causal};
  if (o.dropout_p > 0) {
    p.keep = 1 - o.dropout_p;
    p.from = default_generator().reserve(detail::blocks(samples * H * L * S));
  }
  result[-1] = V;
  return attend_fused(op, q, k, v, mask, p).reshape(result);
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const AttentionOptions& o) {
  const OpName op("scaled_dot_product_attention");
  WEFT_CHECK(query.rank() >= 2 && key.rank() >= 2 && value.rank() >= 2, ShapeError, "query ", query.shape(), ", key ",
             key.shape(), " and value ", value.shape(), " need at least 2 axes");
  WEFT_CHECK(!o.is_causal || !o.attn_mask.defined(), ValueError, "attn_mask must not be given with is_causal");
  WEFT_CHECK(!o.attn_mask.defined() || o.attn_mask.dtype() == Dtype::boolean || o.attn_mask.is_floating(), DtypeError,
             "attn_mask is ", o.attn_mask.dtype(), "; expected bool or a floating dtype");
  const auto heads = [](const Tensor& x) { return x.rank() > 2 ? x.size(-3) : 0; };
  WEFT_CHECK(!o.enable_gqa || (heads(key) > 0 && heads(value) > 0 && query.rank() > 2 &&
                               heads(query) % heads(key) == 0 && heads(query) % heads(value) == 0),
             ShapeError, "the heads of key ", key.shape(), " and value ", value.shape(), " must divide those of query ",
             query.shape());
  WEFT_CHECK(query.size(-1) == key.size(-1) && key.size(-2) == value.size(-2), ShapeError, "query ", query.shape(),
             ", key ", key.shape(), " and value ", value.shape(),
             " do not fit; expected [..., L, E], [..., S, E], [..., S, V]");
  const double scale = o.scale.value_or(1 / std::sqrt(static_cast<double>(query.size(-1))));
  if (const Tensor y = try_fused(op, query, key, value, scale, o); y.defined()) return y;
  const auto repeated = [&](const Tensor& x) { return o.enable_gqa ? repeat_heads(x, heads(query) / heads(x)) : x; };
  return attend_by_ops(query, repeated(key), repeated(value), o.attn_mask, scale, o);
}

}  // namespace weft
