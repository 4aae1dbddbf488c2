#include "weft/nn/linear.h"

#include "weft/autograd/ops/index/embedding.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/init.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

Linear::Linear(int64_t in_features, int64_t out_features, LinearOptions o)
    : Module("Linear", weft::str("in_features=", in_features, ", out_features=", out_features, ", bias=", py(o.bias))),
      in_features(in_features),
      out_features(out_features) {
  WEFT_CHECK(in_features >= 0 && out_features >= 0, ValueError,
             "Linear: in_features and out_features must not be negative, got ", in_features, " and ", out_features);
  weight = param("weight", empty({out_features, in_features}));
  if (o.bias) bias = param("bias", empty({out_features}));
  reset_parameters();
}

void Linear::reset_parameters() {
  double bound = init::default_bound(in_features);
  init::uniform_(weight, -bound, bound);
  if (bias.defined()) init::uniform_(bias, -bound, bound);
}

Tensor Linear::forward(const Tensor& x) const { return linear(x, weight, bias); }

Bilinear::Bilinear(int64_t in1_features, int64_t in2_features, int64_t out_features, BilinearOptions o)
    : Module("Bilinear", weft::str("in1_features=", in1_features, ", in2_features=", in2_features,
                                   ", out_features=", out_features, ", bias=", py(o.bias))),
      in1_features(in1_features),
      in2_features(in2_features),
      out_features(out_features) {
  WEFT_CHECK(in1_features > 0, ValueError, "Bilinear: in1_features must be positive, got ", in1_features);
  double bound = init::default_bound(in1_features);
  weight = param("weight", empty({out_features, in1_features, in2_features}));
  init::uniform_(weight, -bound, bound);
  if (o.bias) {
    bias = param("bias", empty({out_features}));
    init::uniform_(bias, -bound, bound);
  }
}

Tensor Bilinear::forward(const Tensor& a, const Tensor& b) const { return bilinear(a, b, weight, bias); }

namespace {

/// Checks the table's sizes; a padding row below 0 counts from the end.
void check_table(const Module& m, int64_t rows, int64_t features, std::optional<int64_t>& row) {
  WEFT_CHECK(rows >= 0 && features >= 0, ValueError, m.name(),
             ": num_embeddings and embedding_dim must not be negative, got ", rows, " and ", features);
  if (!row) return;
  WEFT_CHECK(*row >= -rows && *row < rows, ValueError, m.name(), ": padding_idx ", *row, " is not a row of ", rows);
  if (*row < 0) *row += rows;
}
template <class Options> std::string renorm_text(const Options& o) {
  return (o.max_norm ? ", max_norm=" + py(*o.max_norm) : "") +
         (o.norm_type != 2 ? ", norm_type=" + py(o.norm_type) : "") +
         (o.scale_grad_by_freq ? ", scale_grad_by_freq=True" : "");
}
void init_rows(const Tensor& weight, std::optional<int64_t> padding) {
  init::normal_(weight);
  if (padding) init::zeros_(weight.detach().select(0, *padding));
}
const Tensor& checked_table(const char* name, const Tensor& t) {
  WEFT_CHECK(t.defined() && t.rank() == 2 && t.is_floating(), ShapeError, name,
             ": from_pretrained needs a floating matrix [num_embeddings, embedding_dim], got ",
             t.defined() ? weft::str(t.dtype(), " ", t.shape()) : "an undefined tensor");
  return t;
}

}  // namespace

// Checks, and what is printed.
void Embedding::begin() {
  check_table(*this, num_embeddings, embedding_dim, options->padding_idx);
  set_extra(weft::str(num_embeddings, ", ", embedding_dim), [options = options.share()] {
    return (options->padding_idx ? ", padding_idx=" + py(*options->padding_idx) : "") + renorm_text(*options);
  });
}

Embedding::Embedding(int64_t num_embeddings, int64_t embedding_dim, EmbeddingOptions o)
    : Module("Embedding"), num_embeddings(num_embeddings), embedding_dim(embedding_dim), options(o) {
  begin();
  weight = param("weight", empty({num_embeddings, embedding_dim}));
  init_rows(weight, options->padding_idx);
}

Embedding::Embedding(const Tensor& embeddings, bool freeze, EmbeddingOptions o)
    : Module("Embedding"),
      num_embeddings(checked_table("Embedding", embeddings).size(0)),
      embedding_dim(embeddings.size(1)),
      options(o) {
  begin();
  weight = param("weight", embeddings.detach());
  weight.set_requires_grad(!freeze);
}

Tensor Embedding::forward(const Tensor& x) const {
  if (options->max_norm) embedding_renorm_(weight, x, *options->max_norm, options->norm_type);
  return embedding(x, weight, {.padding_idx = options->padding_idx, .scale_grad_by_freq = options->scale_grad_by_freq});
}

void EmbeddingBag::begin() {
  check_table(*this, num_embeddings, embedding_dim, options->padding_idx);
  set_extra(weft::str(num_embeddings, ", ", embedding_dim), [options = options.share()] {
    return weft::str(renorm_text(*options), ", mode='", options->mode.text(), "'",
                     options->padding_idx ? ", padding_idx=" + py(*options->padding_idx) : "");
  });
}

EmbeddingBag::EmbeddingBag(int64_t num_embeddings, int64_t embedding_dim, EmbeddingBagOptions o)
    : Module("EmbeddingBag"), num_embeddings(num_embeddings), embedding_dim(embedding_dim), options(o) {
  begin();
  weight = param("weight", empty({num_embeddings, embedding_dim}));
  init_rows(weight, options->padding_idx);
}

EmbeddingBag::EmbeddingBag(const Tensor& embeddings, bool freeze, EmbeddingBagOptions o)
    : Module("EmbeddingBag"),
      num_embeddings(checked_table("EmbeddingBag", embeddings).size(0)),
      embedding_dim(embeddings.size(1)),
      options(o) {
  begin();
  weight = param("weight", embeddings.detach());
  weight.set_requires_grad(!freeze);
}

Tensor EmbeddingBag::forward(const Tensor& x, const Tensor& offsets, const Tensor& per_sample_weights) const {
  if (options->max_norm) embedding_renorm_(weight, x, *options->max_norm, options->norm_type);
  return embedding_bag(x, weight, offsets,
                       {.mode = options->mode,
                        .per_sample_weights = per_sample_weights,
                        .include_last_offset = options->include_last_offset,
                        .padding_idx = options->padding_idx,
                        .scale_grad_by_freq = options->scale_grad_by_freq});
}

Flatten::Flatten(Only<int64_t> start_dim, int64_t end_dim) : Module("Flatten"), start_dim(start_dim), end_dim(end_dim) {
  set_extra("", detail::shown("start_dim=", this->start_dim, ", end_dim=", this->end_dim));
}

Unflatten::Unflatten(int64_t dim, const Shape& unflattened_size)
    : Module("Unflatten"), dim(dim), unflattened_size(unflattened_size) {
  set_extra("", detail::shown("dim=", this->dim, ", unflattened_size=", this->unflattened_size));
}

Tensor Linear::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor Bilinear::operator()(const Tensor& a, const Tensor& b) const { return nn::call(*this, a, b); }
Tensor Embedding::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor EmbeddingBag::operator()(const Tensor& x, const Tensor& offsets, const Tensor& per_sample_weights) const {
  return nn::call(*this, x, offsets, per_sample_weights);
}
Tensor Identity::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return x; });
}
Tensor Flatten::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return x.flatten(start_dim, end_dim); });
}
Tensor Unflatten::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return x.unflatten(dim, unflattened_size); });
}

}  // namespace weft::nn
