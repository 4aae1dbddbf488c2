// Unit-scaled layers but convolutions. Scales are those of the ops (functional.h), printing is that of the nn layer of
// the name. Weights begin as N(0, 1), biases as 0; parameters carry u-muP's tags (autograd/mup.h), which the optimisers
// of unit_scaled read.
#pragma once

#include "weft/autograd/mup.h"
#include "weft/nn/containers.h"
#include "weft/nn/dropout.h"
#include "weft/nn/linear.h"
#include "weft/nn/norm.h"
#include "weft/nn/unit_scaled/functional.h"

namespace weft::unit_scaled {

/// Options of unit_scaled::Linear.
struct LinearLayerOptions {
  bool bias = false;                                            ///< adds [out]
  Choice<Constraint> constraint = Constraint::to_output_scale;  ///< how the scales become one
  Choice<MupType> weight_mup_type = MupType::weight;            ///< a tag of the weight, read once
};
/// unit_scaled::linear: x [..., in_features] -> [..., out_features]. ValueError for an unfit constraint and a mup type
/// that is none.
class WEFT_API Linear : public nn::Module {
 public:
  Linear(int64_t in_features, int64_t out_features, LinearLayerOptions o = {})
      : Linear("Linear", in_features, out_features, o) {}
  /// PyTorch's short form: `Linear(4, 2, true)` has a bias.
  template <std::same_as<bool> B>
  Linear(int64_t in_features, int64_t out_features, B bias) : Linear(in_features, out_features, {.bias = bias}) {}
  Tensor operator()(const Tensor& x) const;
  /// First values: weight ~ N(0, 1), bias 0.
  void reset_parameters();
  /// Sizes of the last axis of x and of the result.
  int64_t in_features, out_features;
  nn::Option<Choice<Constraint>> constraint;
  nn::Parameter weight, bias;  ///< bias undefined without

 protected:
  /// For classes that print another name.
  Linear(const char* name, int64_t in_features, int64_t out_features, const LinearLayerOptions& o);
};
/// Options of LinearReadout: Linear's with other defaults.
struct LinearReadoutLayerOptions {
  bool bias = false;
  Choice<Constraint> constraint = Constraint::none;
  Choice<MupType> weight_mup_type = MupType::output;
};
/// The last layer of a network: linear_readout, weight tagged "output".
class WEFT_API LinearReadout : public Linear {
 public:
  LinearReadout(int64_t in_features, int64_t out_features, LinearReadoutLayerOptions o = {})
      : Linear("LinearReadout", in_features, out_features, {o.bias, o.constraint, o.weight_mup_type}) {}
  Tensor operator()(const Tensor& x) const;
};

/// unit_scaled::gelu: gelu(mult x) / mult, scaled.
class WEFT_API GELU : public nn::Module {
 public:
  explicit GELU(const GeluOptions& o = {});
  Tensor operator()(const Tensor& x) const;
  nn::Option<GeluOptions> options;
};
/// unit_scaled::silu: x sigmoid(mult x), scaled.
class WEFT_API SiLU : public nn::Module {
 public:
  explicit SiLU(const SiluOptions& o = {});
  Tensor operator()(const Tensor& x) const;
  nn::Option<SiluOptions> options;
};
/// unit_scaled::softmax: softmax(mult x) along `dim`, scaled.
class WEFT_API Softmax : public nn::Module {
 public:
  explicit Softmax(int64_t dim, const SoftmaxOptions& o = {});
  Tensor operator()(const Tensor& x) const;
  nn::Option<int64_t> dim;
  nn::Option<SoftmaxOptions> options;
};
/// unit_scaled::dropout with probability p in training; its factor sqrt(1 - p) is there in evaluation, too.
class WEFT_API Dropout : public nn::Dropout {
 public:
  explicit Dropout(double p = 0.5) : nn::Dropout(p) {}
  Tensor operator()(const Tensor& x) const;
};

/// Options of unit_scaled::LayerNorm.
struct LayerNormOptions {
  double eps = 1e-5;                ///< added to the variance
  bool elementwise_affine = false;  ///< with weight and bias
  bool bias = true;                 ///< with elementwise_affine
};
/// unit_scaled::layer_norm over the last axes. weight (tagged "norm") begins as 1.
class WEFT_API LayerNorm : public nn::LayerNorm {
 public:
  explicit LayerNorm(const Shape& normalized_shape, const LayerNormOptions& o = {});
  explicit LayerNorm(int64_t size, const LayerNormOptions& o = {}) : LayerNorm(Shape{size}, o) {}
  Tensor operator()(const Tensor& x) const;
};
/// Options of unit_scaled::RMSNorm.
struct RMSNormOptions {
  double eps = 1e-5;                ///< added to the mean square
  bool elementwise_affine = false;  ///< with a weight
};
/// unit_scaled::rms_norm over the last axes. weight (tagged "norm") begins as 1.
class WEFT_API RMSNorm : public nn::RMSNorm {
 public:
  explicit RMSNorm(const Shape& normalized_shape, const RMSNormOptions& o = {});
  explicit RMSNorm(int64_t size, const RMSNormOptions& o = {}) : RMSNorm(Shape{size}, o) {}
  Tensor operator()(const Tensor& x) const;
};

/// unit_scaled::embedding: rows of weight ~ N(0, 1). padding_idx alone is carried over from nn::Embedding's options.
class WEFT_API Embedding : public nn::Embedding {
 public:
  Embedding(int64_t num_embeddings, int64_t embedding_dim, std::optional<int64_t> padding_idx = {});
  Tensor operator()(const Tensor& index) const;
};

/// unit_scaled::cross_entropy. Errors at construction: mult, reduction, weight, label_smoothing (see there).
class WEFT_API CrossEntropyLoss : public nn::Module {
 public:
  explicit CrossEntropyLoss(const CrossEntropyOptions& o = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  nn::Option<CrossEntropyOptions> options;
};

namespace detail {
/// Tags every parameter below m with the number of m's children. ValueError, and nothing is changed, for a parameter
/// without a type or with a depth already.
WEFT_API void set_depth(const nn::Module& m);
}  // namespace detail

/// A stack of layers of one kind, u-muP's "depth": an optimiser divides the learning rate of all parameters in it by
/// the square root of the number of its layers. ValueError for a parameter without a mup type, and for a stack in a
/// stack.
class WEFT_API DepthSequential : public nn::Sequential {
 public:
  template <nn::Layer... M>
  requires(sizeof...(M) > 0) explicit DepthSequential(M... layers) : Sequential(std::move(layers)...) {
    state().name = "DepthSequential";
    detail::set_depth(*this);
  }
  template <nn::Layer M> explicit DepthSequential(std::vector<M> layers) {
    for (M& m : layers) Sequential::push_back(std::move(m));
    state().name = "DepthSequential";
    detail::set_depth(*this);
  }
  // the depth is that of construction
  template <class... A> void push_back(A&&...) = delete;
  template <class... A> void append(A&&...) = delete;
  template <class... A> void insert(A&&...) = delete;
  template <class... A> void extend(A&&...) = delete;
};
/// The same for modules whose owner calls them.
class WEFT_API DepthModuleList : public nn::ModuleList {
 public:
  template <std::derived_from<nn::Module>... M>
  requires(sizeof...(M) > 0) explicit DepthModuleList(M... modules) : ModuleList(std::move(modules)...) {
    state().name = "DepthModuleList";
    detail::set_depth(*this);
  }
  template <std::derived_from<nn::Module> M> explicit DepthModuleList(std::vector<M> modules) {
    for (M& m : modules) ModuleList::push_back(std::move(m));
    state().name = "DepthModuleList";
    detail::set_depth(*this);
  }
  template <class... A> void push_back(A&&...) = delete;
  template <class... A> void append(A&&...) = delete;
  template <class... A> void insert(A&&...) = delete;
  template <class... A> void extend(A&&...) = delete;
};

}  // namespace weft::unit_scaled
