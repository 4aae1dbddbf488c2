// Ops as layers: normalisation by a norm, view, sum and mean (PyTorch-Encoding).
#pragma once

#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// x / max(|x|_p, 1e-8) along dim.
class WEFT_API Normalize : public Module {
 public:
  explicit Normalize(double p = 2, Int dim = 1);
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Option<double> p;
  Option<int64_t> dim;
};

/// x.view(size); one size may be -1.
class WEFT_API View : public Module {
 public:
  explicit View(const Shape& size);
  explicit View(std::initializer_list<int64_t> size) : View(Shape(size)) {}
  Tensor operator()(const Tensor& x) const;
  Option<Shape> size;
};

/// Sum over one axis.
class WEFT_API Sum : public Module {
 public:
  explicit Sum(Int dim, Only<bool> keep_dim = false);
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Option<int64_t> dim;
  Option<bool> keep_dim;
};
/// Mean over one axis.
class WEFT_API Mean : public Module {
 public:
  explicit Mean(Int dim, Only<bool> keep_dim = false);
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Option<int64_t> dim;
  Option<bool> keep_dim;
};
/// Mean over height and width. [B, C, H, W] -> [B, C].
class WEFT_API GlobalAvgPool2d : public Module {
 public:
  GlobalAvgPool2d() : Module("GlobalAvgPool2d") {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
};

}  // namespace weft::nn
