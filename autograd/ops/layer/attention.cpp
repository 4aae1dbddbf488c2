#include "weft/autograd/ops/layer/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "weft/autograd/checkpoint.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

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
              const AttentionOptions& o) {
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
  if (o.dropout_p > 0) weights = dropout(weights, o.dropout_p);
  if (query.dtype() == Dtype::f16) weights = weights.to(Dtype::f16);
  const Tensor y = matmul(weights, value);
  return blind.defined() ? where(blind, 0.0, y) : y;
}

// Above this many scores they are computed in pieces, and again in backward.
constexpr int64_t kManyScores = int64_t(1) << 22, kScoresAtOnce = int64_t(1) << 20;

int64_t count_scores(const Tensor& query, const Tensor& key) {
  return query.shape().slice(0, query.rank() - 1).numel() * key.size(-2);
}

/// The same without keeping the scores: the leading axes from `axis` on are cut until pieces have few enough of them.
Tensor attend_in_pieces(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask, double scale,
                        const AttentionOptions& o, int axis = 0) {
  const int64_t scores = count_scores(query, key);
  if (axis == query.rank() - 2 || scores <= kScoresAtOnce) {
    const AttentionOptions rest{.dropout_p = o.dropout_p, .is_causal = o.is_causal};
    const auto run = [rest, scale](const std::vector<Tensor>& x) {
      return std::vector<Tensor>{attend(x[0], x[1], x[2], x[3], scale, rest)};
    };
    return checkpoint(run, {query, key, value, mask})[0];
  }
  const int dim = axis - query.rank();  // the same for all of them
  const int64_t n = query.size(dim), step = std::max<int64_t>(1, kScoresAtOnce / (scores / n));
  const auto size = [&](const Tensor& x) { return x.defined() && x.rank() >= -dim ? x.size(dim) : 1; };
  bool fits = n > step;
  for (const Tensor& x : {key, value, mask}) fits = fits && (size(x) == n || size(x) == 1);
  if (!fits) return attend_in_pieces(query, key, value, mask, scale, o, axis + 1);
  std::vector<Tensor> y;
  for (int64_t at = 0; at < n; at += step) {
    const auto cut = [&](const Tensor& x) { return size(x) > 1 ? x.narrow(dim, at, std::min(step, n - at)) : x; };
    y.push_back(attend_in_pieces(cut(query), cut(key), cut(value), cut(mask), scale, o, axis + 1));
  }
  return cat(y, dim);
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key_in, const Tensor& value_in,
                                    const AttentionOptions& o) {
  const OpName op("scaled_dot_product_attention");
  WEFT_CHECK(query.rank() >= 2 && key_in.rank() >= 2 && value_in.rank() >= 2, ShapeError, "query ", query.shape(),
             ", key ", key_in.shape(), " and value ", value_in.shape(), " need at least 2 axes");
  WEFT_CHECK(!o.is_causal || !o.attn_mask.defined(), ValueError, "attn_mask must not be given with is_causal");
  WEFT_CHECK(!o.attn_mask.defined() || o.attn_mask.dtype() == Dtype::boolean || o.attn_mask.is_floating(), DtypeError,
             "attn_mask is ", o.attn_mask.dtype(), "; expected bool or a floating dtype");
  Tensor key = key_in, value = value_in;
  if (o.enable_gqa) {
    WEFT_CHECK(query.rank() >= 3 && key.rank() >= 3 && value.rank() >= 3 && key.size(-3) > 0 && value.size(-3) > 0 &&
                   query.size(-3) % key.size(-3) == 0 && query.size(-3) % value.size(-3) == 0,
               ShapeError, "the heads of key ", key.shape(), " and value ", value.shape(),
               " must divide those of query ", query.shape());
    key = repeat_heads(key, query.size(-3) / key.size(-3));
    value = repeat_heads(value, query.size(-3) / value.size(-3));
  }
  WEFT_CHECK(query.size(-1) == key.size(-1) && key.size(-2) == value.size(-2), ShapeError, "query ", query.shape(),
             ", key ", key.shape(), " and value ", value.shape(),
             " do not fit; expected [..., L, E], [..., S, E], [..., S, V]");
  const double scale = o.scale.value_or(1 / std::sqrt(static_cast<double>(query.size(-1))));
  if (count_scores(query, key) > kManyScores) return attend_in_pieces(query, key, value, o.attn_mask, scale, o);
  return attend(query, key, value, o.attn_mask, scale, o);
}

}  // namespace weft
