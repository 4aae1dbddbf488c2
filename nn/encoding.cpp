#include "weft/nn/encoding.h"

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/encoding.h"
#include "weft/autograd/ops/index.h"
#include "weft/autograd/ops/matmul.h"
#include "weft/autograd/ops/reduce.h"
#include "weft/autograd/ops/select.h"
#include "weft/autograd/ops/shape.h"
#include "weft/autograd/ops/softmax.h"
#include "weft/autograd/ops/unary.h"
#include "weft/core/factory.h"
#include "weft/nn/init.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

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
Tensor Encoding::forward(const Tensor& x) const { return encode(features("Encoding", x, D, layout), codewords, scale); }

EncodingDrop::EncodingDrop(int64_t D, int64_t K, EncodingOptions o) : Encoding(D, K, o) {
  state().name = "EncodingDrop";
}
Tensor EncodingDrop::forward(const Tensor& x) const {
  Tensor noise = full({K}, -0.5, codewords.options());
  if (is_training()) init::uniform_(noise, -1, 0);
  return encode(features("EncodingDrop", x, D, layout), codewords, noise);
}

EncodingCosine::EncodingCosine(int64_t D, int64_t K, EncodingOptions o)
    : Module("EncodingCosine", encoding_text(D, K)), D(D), K(K), layout(o.layout) {
  check_sizes("EncodingCosine", D, K);
  codewords = param("codewords", empty({K, D}));
  const double bound = init::default_bound(K * D);
  init::uniform_(codewords, -bound, bound);
}
Tensor EncodingCosine::forward(const Tensor& x) const {
  const Tensor f = features("EncodingCosine", x, D, layout);
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

namespace {

int64_t conv_channels(int64_t out, const UpsampleConv2dOptions& o) {
  WEFT_CHECK(o.scale_factor > 0, ValueError, "UpsampleConv2d: scale_factor must be positive, got ", o.scale_factor);
  WEFT_CHECK(o.groups > 0 && out % o.groups == 0, ValueError,
             "UpsampleConv2d: out_channels must be divisible by groups, got ", out, " and ", o.groups);
  return out * o.scale_factor * o.scale_factor;
}

}  // namespace

UpsampleConv2d::UpsampleConv2d(int64_t in_channels, int64_t out, const UpsampleConv2dOptions& o)
    : ConvBase(config("UpsampleConv", in_channels, conv_channels(out, o), o.kernel_size, o)),
      scale_factor(o.scale_factor) {
  out_channels = out;
  std::string text = weft::str(in_channels, ", ", out, ", kernel_size=", py(kernel_size),
                               ", stride=", py(params.stride), ", padding=", py(params.padding_lo),
                               ", scale_factor=", scale_factor);
  if (params.groups != 1) text += ", groups=" + py(params.groups);
  if (!o.bias) text += ", bias=False";
  set_extra(text);
  reset_parameters();
}
void UpsampleConv2d::reset_parameters() {
  // of all inputs, also where groups see a part of them
  const double bound = init::default_bound(in_channels * kernel_size[0] * kernel_size[1]);
  init::uniform_(weight, -bound, bound);
  if (bias.defined()) init::uniform_(bias, -bound, bound);
}
Tensor UpsampleConv2d::forward(const Tensor& x) const { return pixel_shuffle(convolve(x, weight), scale_factor); }

Normalize::Normalize(double p, int64_t dim)
    : Module("Normalize", weft::str("p=", py(p), ", dim=", dim)), p(p), dim(dim) {}
Tensor Normalize::forward(const Tensor& x) const { return x / clamp(vector_norm(x, p, dim, true), 1e-8); }

View::View(const Shape& size) : Module("View", py(size)), size(size) {}
Sum::Sum(int64_t dim, bool keep_dim)
    : Module("Sum", weft::str("dim=", dim, ", keep_dim=", py(keep_dim))), dim(dim), keep_dim(keep_dim) {}
Tensor Sum::forward(const Tensor& x) const { return sum(x, dim, keep_dim); }
Mean::Mean(int64_t dim, bool keep_dim)
    : Module("Mean", weft::str("dim=", dim, ", keep_dim=", py(keep_dim))), dim(dim), keep_dim(keep_dim) {}
Tensor Mean::forward(const Tensor& x) const { return mean(x, dim, keep_dim); }
Tensor GlobalAvgPool2d::forward(const Tensor& x) const {
  WEFT_CHECK(x.rank() == 4, ShapeError, "GlobalAvgPool2d: expected [B, C, H, W], got ", x.shape());
  return mean(x, {2, 3});
}

SegmentationLosses::SegmentationLosses(SegmentationLossesOptions o)
    : Module("SegmentationLosses"), options(std::move(o)) {
  WEFT_CHECK(!options->se_loss || options->nclass > 0, ValueError, "SegmentationLosses: se_loss needs nclass, got ",
             options->nclass);
}
Tensor SegmentationLosses::loss(const Tensor& pred, const Tensor& se, const Tensor& aux, const Tensor& target) const {
  const CrossEntropyOptions o{.weight = options->weight, .ignore_index = options->ignore_index};
  Tensor total = cross_entropy(pred, target, o);
  if (aux.defined()) total = total + cross_entropy(aux, target, o) * options->aux_weight;
  if (!se.defined()) return total;
  Tensor presence;
  {
    NoGrad guard;
    // labels outside [0, nclass) fall into a last column that is cut off
    const Tensor labels = target.reshape({target.size(0), -1}).to(Dtype::i64);
    const Tensor counted = where(logical_and(ge(labels, 0), lt(labels, options->nclass)), labels, options->nclass);
    presence = scatter(zeros({target.size(0), options->nclass + 1}, se.options()), 1, counted, 1)
                   .narrow(1, 0, options->nclass);
  }
  return total + binary_cross_entropy_with_logits(se, presence, {.weight = options->weight}) * options->se_weight;
}
Tensor SegmentationLosses::forward(const Tensor& pred, const Tensor& target) const {
  WEFT_CHECK(!options->se_loss && !options->aux, ValueError,
             "SegmentationLosses: with se_loss or aux more inputs are expected than pred and target");
  return loss(pred, {}, {}, target);
}
Tensor SegmentationLosses::forward(const Tensor& pred, const Tensor& other, const Tensor& target) const {
  WEFT_CHECK(options->se_loss != options->aux, ValueError,
             "SegmentationLosses: three inputs go with either se_loss or aux, not with ",
             options->aux ? "both" : "neither");
  return loss(pred, options->se_loss ? other : Tensor(), options->aux ? other : Tensor(), target);
}
Tensor SegmentationLosses::forward(const Tensor& pred, const Tensor& se, const Tensor& aux,
                                   const Tensor& target) const {
  WEFT_CHECK(options->se_loss && options->aux, ValueError, "SegmentationLosses: four inputs need se_loss and aux");
  return loss(pred, se, aux, target);
}

LabelSmoothing::LabelSmoothing(double smoothing)
    : Module("LabelSmoothing", weft::str("smoothing=", py(smoothing))), smoothing(smoothing) {
  WEFT_CHECK(smoothing >= 0 && smoothing <= 1, ValueError, "LabelSmoothing: smoothing must be in [0, 1], got ",
             smoothing);
}
Tensor LabelSmoothing::forward(const Tensor& x, const Tensor& target) const {
  WEFT_CHECK(x.rank() == 2, ShapeError, "LabelSmoothing: expected logits [N, C], got ", x.shape());
  return cross_entropy(x, target, {.label_smoothing = smoothing});
}

}  // namespace weft::nn
