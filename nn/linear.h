// Layers on the last axis and on indices, and those that only change shapes.
#pragma once

#include "weft/autograd/ops/index/embedding.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// Options of Linear.
struct LinearOptions {
  bool bias = true;  ///< adds [out]
};
/// y = x W^T + b. x: [..., in_features] -> [..., out_features]. weight [out, in] and bias [out] begin as U(+-1 /
/// sqrt(in)). ValueError for negative sizes.
class WEFT_API Linear : public Module {
 public:
  Linear(int64_t in_features, int64_t out_features, LinearOptions o = {});
  /// PyTorch's short form: `Linear(4, 2, false)` has no bias.
  template <std::same_as<bool> B>
  Linear(int64_t in_features, int64_t out_features, B bias) : Linear(in_features, out_features, {.bias = bias}) {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  /// First values, as above.
  void reset_parameters();
  /// Sizes of the last axis of x and of the result.
  int64_t in_features, out_features;
  Parameter weight, bias;  ///< bias undefined without
};

/// Options of Bilinear.
struct BilinearOptions {
  bool bias = true;  ///< adds [out]
};
/// y_o = a^T W_o b + bias_o. a: [..., in1], b: [..., in2] -> [..., out]. weight [out, in1, in2] and bias [out] begin as
/// U(+-1 / sqrt(in1)).
class WEFT_API Bilinear : public Module {
 public:
  Bilinear(int64_t in1_features, int64_t in2_features, int64_t out_features, BilinearOptions o = {});
  /// PyTorch's short form: `Bilinear(4, 3, 2, false)` has no bias.
  template <std::same_as<bool> B>
  Bilinear(int64_t in1_features, int64_t in2_features, int64_t out_features, B bias)
      : Bilinear(in1_features, in2_features, out_features, {.bias = bias}) {}
  Tensor operator()(const Tensor& a, const Tensor& b) const;
  Tensor forward(const Tensor& a, const Tensor& b) const;
  int64_t in1_features, in2_features, out_features;
  Parameter weight, bias;  ///< bias undefined without
};

/// Options of Embedding.
struct EmbeddingOptions {
  std::optional<int64_t> padding_idx =
      std::nullopt;                               ///< a row of zeros that is not trained; negative counts from the end
  std::optional<double> max_norm = std::nullopt;  ///< rows that are looked up are scaled down to this norm, in place
  double norm_type = 2;                           ///< of max_norm: the p of the norm
  bool scale_grad_by_freq = false;                ///< a row's gradient is divided by how often it was looked up
};
/// Rows of weight [num_embeddings, embedding_dim], N(0, 1) at first. x: i64 or i32 [...] -> [..., embedding_dim].
/// ValueError for negative sizes, a padding_idx that is no row, and indices that are none.
class WEFT_API Embedding : public Module {
 public:
  Embedding(int64_t num_embeddings, int64_t embedding_dim, EmbeddingOptions o = {});
  /// PyTorch's short form: `Embedding(100, 16, 0)` has padding_idx 0.
  template <std::integral I>
  Embedding(int64_t num_embeddings, int64_t embedding_dim, I padding_idx)
      : Embedding(num_embeddings, embedding_dim, {.padding_idx = padding_idx}) {}
  /// A layer over `embeddings` [V, D] itself, no copy; trained unless frozen. ShapeError for another rank.
  static Embedding from_pretrained(const Tensor& embeddings, Only<bool> freeze = true, EmbeddingOptions o = {}) {
    return {embeddings, freeze, o};
  }
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  int64_t num_embeddings, embedding_dim;
  Option<EmbeddingOptions> options;
  Parameter weight;

 private:
  Embedding(const Tensor& embeddings, bool freeze, EmbeddingOptions o);
  void begin();
};

/// Options of EmbeddingBag.
struct EmbeddingBagOptions {
  std::optional<double> max_norm = std::nullopt;      ///< as for Embedding
  double norm_type = 2;                               ///< as for Embedding
  bool scale_grad_by_freq = false;                    ///< as for Embedding
  Choice<BagMode> mode = BagMode::mean;               ///< sum, mean or max of a bag's rows
  bool include_last_offset = false;                   ///< offsets end with the end of the last bag
  std::optional<int64_t> padding_idx = std::nullopt;  ///< a row that no bag counts, and that is not trained
};
/// The sum, mean or maximum of rows of weight for each bag of indices: embedding_bag. x: [B, n], or [n] with offsets
/// [B] -> [B, D]. Errors as Embedding's.
class WEFT_API EmbeddingBag : public Module {
 public:
  EmbeddingBag(int64_t num_embeddings, int64_t embedding_dim, EmbeddingBagOptions o = {});
  /// As Embedding::from_pretrained.
  static EmbeddingBag from_pretrained(const Tensor& embeddings, Only<bool> freeze = true, EmbeddingBagOptions o = {}) {
    return {embeddings, freeze, o};
  }
  Tensor operator()(const Tensor& x, const Tensor& offsets = {}, const Tensor& per_sample_weights = {}) const;
  Tensor forward(const Tensor& x, const Tensor& offsets, const Tensor& per_sample_weights) const;
  int64_t num_embeddings, embedding_dim;
  Option<EmbeddingBagOptions> options;
  Parameter weight;

 private:
  EmbeddingBag(const Tensor& embeddings, bool freeze, EmbeddingBagOptions o);
  void begin();
};

/// y = x.
class WEFT_API Identity : public Module {
 public:
  Identity() : Module("Identity") {}
  Tensor operator()(const Tensor& x) const;
};

/// Options of Flatten.
struct FlattenOptions {
  int64_t start_dim = 1, end_dim = -1;  ///< first and last axis, both joined
};
/// Axes start_dim to end_dim as one. [N, C, H, W] -> [N, C H W].
class WEFT_API Flatten : public Module {
 public:
  explicit Flatten(Only<int64_t> start_dim = 1, int64_t end_dim = -1);
  explicit Flatten(const FlattenOptions& o) : Flatten(o.start_dim, o.end_dim) {}
  Tensor operator()(const Tensor& x) const;
  Option<int64_t> start_dim, end_dim;
};

/// Axis `dim` as several of sizes unflattened_size, of which one may be -1.
class WEFT_API Unflatten : public Module {
 public:
  Unflatten(int64_t dim, const Shape& unflattened_size);
  Tensor operator()(const Tensor& x) const;
  Option<int64_t> dim;
  Option<Shape> unflattened_size;
};

}  // namespace weft::nn
