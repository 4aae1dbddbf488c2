#include "weft/nn/encoding.h"

#include "weft/autograd/ops/layer/encoding.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/init.h"

namespace weft::nn {

namespace {

void check_sizes(const char* name, int64_t D, int64_t K) {
  WEFT_CHECK(D > 0 && K > 0, ValueError, name, ": D and K must be positive, got D=", D, " and K=", K);
}

std::string encoding_text(int64_t D, int64_t K) { return weft::str("N x ", D, "=>", K, "x", D); }

/// The features of x as [B, N, D]; a view where memory allows.
Tensor features(const char* name, const Tensor& x, int64_t D, EncodingLayout layout) {
  WEFT_CHECK(x.rank() == 3 || x.rank() == 4, ShapeError, name,
             ": expected [B, D, H, W], [B, N, D] or [B, D, N] with D=", D, ", got ", x.shape());
  if (x.rank() == 4) {
    WEFT_CHECK(x.size(1) == D, ShapeError, name, ": input ", x.shape(), " has ", x.size(1),
               " channels, expected D=", D);
    return x.permute({0, 2, 3, 1}).reshape({x.size(0), x.size(2) * x.size(3), D});
  }
  const bool last = layout == EncodingLayout::bnd || (layout == EncodingLayout::automatic && x.size(2) == D);
  WEFT_CHECK(x.size(last ? 2 : 1) == D, ShapeError, name, ": input ", x.shape(),
             " has no axis of the features' size D=", D,
             layout == EncodingLayout::automatic ? "" : " where the layout says", "; axis 1 has ", x.size(1),
             ", axis 2 has ", x.size(2));
  return last ? x : x.transpose(1, 2);
}

}  // namespace

Encoding::Encoding(int64_t D, int64_t K, EncodingOptions o)
    : Module("Encoding", encoding_text(D, K)), D(D), K(K), layout(o.layout) {
  check_sizes("Encoding", D, K);
  codewords = param("codewords", empty({K, D}));
  scale = param("scale", empty({K}));
  reset_parameters();
}
void Encoding::reset_parameters() {
  const double bound = init::default_bound(K * D);
  init::uniform_(codewords, -bound, bound);
  init::uniform_(scale, -1, 0);
}
Tensor Encoding::forward(const Tensor& x) const {
  return encode(features("Encoding", x, D, *layout), codewords, scale);
}

EncodingDrop::EncodingDrop(int64_t D, int64_t K, EncodingOptions o) : Encoding(D, K, o) {
  state().name = "EncodingDrop";
}
Tensor EncodingDrop::forward(const Tensor& x) const {
  Tensor noise = full({K}, -0.5, codewords.options());
  if (is_training()) init::uniform_(noise, -1, 0);
  return encode(features("EncodingDrop", x, D, *layout), codewords, noise);
}

EncodingCosine::EncodingCosine(int64_t D, int64_t K, EncodingOptions o)
    : Module("EncodingCosine", encoding_text(D, K)), D(D), K(K), layout(o.layout) {
  check_sizes("EncodingCosine", D, K);
  codewords = param("codewords", empty({K, D}));
  const double bound = init::default_bound(K * D);
  init::uniform_(codewords, -bound, bound);
}
Tensor EncodingCosine::forward(const Tensor& x) const {
  const Tensor f = features("EncodingCosine", x, D, *layout);
  return aggregate(softmax(pairwise_cosine(f, codewords), -1), f, codewords);
}

Inspiration::Inspiration(int64_t C, int64_t B) : Module("Inspiration", weft::str("N x ", C)), C(C) {
  WEFT_CHECK(C > 0 && B > 0, ValueError, "Inspiration: C and B must be positive, got C=", C, " and B=", B);
  weight = param("weight", empty({1, C, C}));
  init::uniform_(weight, 0, 0.02);
  buffer("target", eye(C).unsqueeze(0).expand({B, C, C}).contiguous(), false);
}
Tensor Inspiration::target() const { return state().buffers[0].tensor.tensor(); }
void Inspiration::set_target(const Tensor& G) {
  WEFT_CHECK((G.rank() == 2 || G.rank() == 3) && G.size(-1) == C && G.size(-2) == C, ShapeError,
             "Inspiration: target must be [", C, ", ", C, "] or [B, ", C, ", ", C, "], got ", G.shape());
  set_buffer(state().buffers[0].tensor, G.rank() == 2 ? G.unsqueeze(0) : G);
}
Tensor Inspiration::forward(const Tensor& x) const {
  WEFT_CHECK(x.rank() == 4 && x.size(1) == C, ShapeError, "Inspiration: expected [B, ", C, ", H, W], got ", x.shape());
  const Tensor G = target().to(weight.dtype()).to(weight.device());
  WEFT_CHECK(G.size(0) == 1 || G.size(0) == x.size(0), ShapeError, "Inspiration: ", G.size(0),
             " targets do not fit a batch of ", x.size(0), "; set one, or one per sample");
  const Tensor P = matmul(weight, G);  // [1 or B, C, C]
  const int64_t B = x.size(0), pixels = x.size(2) * x.size(3);
  if (x.is_channels_last()) {  // pixels are rows: y = x P
    const Tensor rows = x.permute({0, 2, 3, 1}).reshape({B, pixels, C});
    return matmul(rows, P).reshape({B, x.size(2), x.size(3), C}).permute({0, 3, 1, 2});
  }
  return matmul(P.transpose(1, 2), x.reshape({B, C, pixels})).reshape(x.shape());
}

Tensor Encoding::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor EncodingDrop::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor EncodingCosine::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor Inspiration::operator()(const Tensor& x) const { return nn::call(*this, x); }

}  // namespace weft::nn
