#include "weft/nn/gram.h"

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/nn/call.h"

namespace weft {
namespace {

/// x^T x / n for x: [B, N, C] -> [B, C, C]. The gradient x (g + g^T) / n is one product, where that of a plain
/// matmul of x with itself would be two and their sum.
Tensor self_product(const Tensor& in, double n) {
  const Tensor x = autocast(CastPolicy::lower, in);
  Tensor y;
  {
    NoGrad guard;
    y = matmul(x.transpose(1, 2), x) / n;
  }
  return record("gram_matrix", std::move(y), {x}, [x = Saved::input(x), n](BackwardCtx& c) -> Grads {
    const Tensor& g = c.grad();
    return {matmul(c.get(x), (g + g.transpose(1, 2)) / n)};
  });
}

}  // namespace

Tensor gram_matrix(const Tensor& input) {
  WEFT_CHECK(input.rank() == 4, ShapeError, "gram_matrix: expected a 4-d input [B, C, H, W], got ", input.shape());
  // Sums of halves overflow f16: scaled before they are rounded.
  const Tensor x = input.to(compute_dtype(input.dtype()));
  const int64_t B = x.size(0), C = x.size(1), pixels = x.size(2) * x.size(3);
  // Views for either layout: no transposed copy of the features.
  const Tensor rows = x.is_channels_last() ? x.permute({0, 2, 3, 1}).reshape({B, pixels, C})
                                           : x.reshape({B, C, pixels}).transpose(1, 2);
  return self_product(rows, static_cast<double>(C * pixels)).to(input.dtype());
}

Tensor nn::GramMatrix::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return gram_matrix(x); });
}

}  // namespace weft
