#include "weft/autograd/ops/attention.h"

#include <cmath>
#include <limits>

#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/matmul.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/select.h"
#include "weft/autograd/ops/softmax.h"
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

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key_in, const Tensor& value_in,
                                    const AttentionOptions& o) {
  constexpr const char* kName = "scaled_dot_product_attention";
  WEFT_CHECK(query.rank() >= 2 && key_in.rank() >= 2 && value_in.rank() >= 2, ShapeError, kName, ": query ",
             query.shape(), ", key ", key_in.shape(), " and value ", value_in.shape(), " need at least 2 axes");
  WEFT_CHECK(!o.is_causal || !o.attn_mask.defined(), ValueError, kName, ": attn_mask must not be given with is_causal");
  Tensor key = key_in, value = value_in;
  if (o.enable_gqa) {
    WEFT_CHECK(query.rank() >= 3 && key.rank() >= 3 && value.rank() >= 3 && key.size(-3) > 0 && value.size(-3) > 0 &&
                   query.size(-3) % key.size(-3) == 0 && query.size(-3) % value.size(-3) == 0,
               ShapeError, kName, ": the heads of key ", key.shape(), " and value ", value.shape(),
               " must divide those of query ", query.shape());
    key = repeat_heads(key, query.size(-3) / key.size(-3));
    value = repeat_heads(value, query.size(-3) / value.size(-3));
  }
  WEFT_CHECK(query.size(-1) == key.size(-1) && key.size(-2) == value.size(-2), ShapeError, kName, ": query ",
             query.shape(), ", key ", key.shape(), " and value ", value.shape(),
             " do not fit; expected [..., L, E], [..., S, E], [..., S, V]");
  const double scale = o.scale.value_or(1 / std::sqrt(static_cast<double>(query.size(-1))));
  Tensor scores = matmul(query * scale, key.transpose(-2, -1));
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  if (o.is_causal) {
    const int64_t L = query.size(-2), S = key.size(-2);
    const TensorOptions index{Dtype::i64, query.device()};
    scores = where(ge(arange(0, L, 1, index).unsqueeze(1), arange(0, S, 1, index)), scores, kNever);
  } else if (o.attn_mask.defined()) {
    scores = o.attn_mask.dtype() == Dtype::boolean ? where(o.attn_mask, scores, kNever) : scores + o.attn_mask;
  }
  Tensor weights = softmax(scores, -1);
  if (o.dropout_p > 0) weights = dropout(weights, o.dropout_p);
  return matmul(weights, value);
}

}  // namespace weft
