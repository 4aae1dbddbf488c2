#include "weft/nn/gram.h"

#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/matmul.h"

namespace weft {

Tensor gram_matrix(const Tensor& x) {
  WEFT_CHECK(x.rank() == 4, ShapeError, "gram_matrix: expected a 4-d input [B, C, H, W], got ", x.shape());
  const int64_t B = x.size(0), C = x.size(1), pixels = x.size(2) * x.size(3);
  const double scale = 1 / static_cast<double>(C * pixels);
  // Sums of halves overflow f16: scaled before they are rounded.
  Tensor wide = x.to(compute_dtype(x.dtype()));
  Tensor g;
  if (wide.is_channels_last()) {
    Tensor rows = wide.permute({0, 2, 3, 1}).reshape({B, pixels, C});  // a view: no transposed copy of the features
    g = matmul(rows.transpose(1, 2), rows);
  } else {
    Tensor rows = wide.reshape({B, C, pixels});
    g = matmul(rows, rows.transpose(1, 2));
  }
  return (g * scale).to(x.dtype());
}

}  // namespace weft
