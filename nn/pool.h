// Pooling layers, 1, 2 and 3 spatial axes. Formulas and errors are those of the ops (autograd/ops/layer/pool.h).
#pragma once

#include "weft/autograd/ops/layer/pool.h"
#include "weft/nn/call.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// The greatest element of each window: `MaxPool2d({.kernel_size = 3, .stride = 2, .padding = 1})`, or in PyTorch's
/// order `MaxPool2d(2)`, `MaxPool2d(3, 2, 1)`. Different kernel sizes alone are `MaxPool2d({.kernel_size = {3, 2}})`.
/// ValueError for kernel sizes and strides below 1; so in AvgPool, LPPool and MaxUnpool.
template <int D> class WEFT_API MaxPool : public Module {
 public:
  explicit MaxPool(const MaxPoolOptions<D>& o);
  explicit MaxPool(const Dims<D>& kernel_size, const Dims<D>& stride = kKernelSize, const Dims<D>& padding = 0)
      : MaxPool(MaxPoolOptions<D>{.kernel_size = kernel_size, .stride = stride, .padding = padding}) {}
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  /// With where each maximum lies, for unpooling.
  Pooled with_indices(const Tensor& x) const;
  Option<MaxPoolOptions<D>> options;
};
using MaxPool1d = MaxPool<1>;
using MaxPool2d = MaxPool<2>;
using MaxPool3d = MaxPool<3>;

/// The mean of each window.
template <int D> class WEFT_API AvgPool : public Module {
 public:
  explicit AvgPool(const AvgPoolOptions<D>& o);
  explicit AvgPool(const Dims<D>& kernel_size, const Dims<D>& stride = kKernelSize, const Dims<D>& padding = 0)
      : AvgPool(AvgPoolOptions<D>{.kernel_size = kernel_size, .stride = stride, .padding = padding}) {}
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  Option<AvgPoolOptions<D>> options;
};
using AvgPool1d = AvgPool<1>;
using AvgPool2d = AvgPool<2>;
using AvgPool3d = AvgPool<3>;

/// The mean of windows that divide each axis into output_size parts; std::nullopt keeps an axis.
template <int D> class WEFT_API AdaptiveAvgPool : public Module {
 public:
  explicit AdaptiveAvgPool(const OutputSize<D>& output_size);
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  Option<OutputSize<D>> output_size;
};
using AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
using AdaptiveAvgPool2d = AdaptiveAvgPool<2>;
using AdaptiveAvgPool3d = AdaptiveAvgPool<3>;

/// The greatest element of such windows.
template <int D> class WEFT_API AdaptiveMaxPool : public Module {
 public:
  explicit AdaptiveMaxPool(const OutputSize<D>& output_size);
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  /// With where each maximum lies: its place in the input's spatial axes, flattened.
  Pooled with_indices(const Tensor& x) const;
  Option<OutputSize<D>> output_size;
};
using AdaptiveMaxPool1d = AdaptiveMaxPool<1>;
using AdaptiveMaxPool2d = AdaptiveMaxPool<2>;
using AdaptiveMaxPool3d = AdaptiveMaxPool<3>;

/// The p-norm of each window: `LPPool2d({.norm_type = 2, .kernel_size = 3})`.
template <int D> class WEFT_API LPPool : public Module {
 public:
  explicit LPPool(const LpPoolOptions<D>& o);
  LPPool(double norm_type, const Dims<D>& kernel_size, const Dims<D>& stride = 0)
      : LPPool({.norm_type = norm_type, .kernel_size = kernel_size, .stride = stride}) {}
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  Option<LpPoolOptions<D>> options;
};
using LPPool1d = LPPool<1>;
using LPPool2d = LPPool<2>;
using LPPool3d = LPPool<3>;

/// Puts maxima back where MaxPool::with_indices found them, zeros elsewhere.
template <int D> class WEFT_API MaxUnpool : public Module {
 public:
  explicit MaxUnpool(const MaxUnpoolOptions<D>& o);
  explicit MaxUnpool(const Dims<D>& kernel_size, const Dims<D>& stride = 0, const Dims<D>& padding = 0)
      : MaxUnpool(MaxUnpoolOptions<D>{.kernel_size = kernel_size, .stride = stride, .padding = padding}) {}
  Tensor operator()(const Tensor& x, const Tensor& indices, const std::optional<Shape>& output_size = {}) const {
    return nn::call(*this, x, indices, output_size);
  }
  Tensor forward(const Tensor& x, const Tensor& indices, const std::optional<Shape>& output_size) const;
  Option<MaxUnpoolOptions<D>> options;
};
using MaxUnpool1d = MaxUnpool<1>;
using MaxUnpool2d = MaxUnpool<2>;
using MaxUnpool3d = MaxUnpool<3>;

/// Max pooling with windows at random places: `FractionalMaxPool2d({.kernel_size = 3, .output_ratio = 0.5})`, in
/// training and evaluation alike. Given samples are a buffer `_random_samples`. ValueError unless exactly one of
/// output_size and output_ratio is given, and for ratios outside (0, 1).
template <int D> class WEFT_API FractionalMaxPool : public Module {
 public:
  explicit FractionalMaxPool(const FractionalMaxPoolOptions<D>& o);
  FractionalMaxPool(const Dims<D>& kernel_size, const Dims<D>& output_size)
      : FractionalMaxPool({.kernel_size = kernel_size, .output_size = output_size}) {}
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  /// With where each maximum lies, for unpooling.
  Pooled with_indices(const Tensor& x) const;
  Option<FractionalMaxPoolOptions<D>> options;  ///< its random_samples are the buffer's

 private:
  FractionalMaxPoolOptions<D> current() const;
  Buffer random_samples_;
};
/// x: [N, C, H, W] or [C, H, W].
using FractionalMaxPool2d = FractionalMaxPool<2>;
/// x: [N, C, D, H, W] or [C, D, H, W].
using FractionalMaxPool3d = FractionalMaxPool<3>;

}  // namespace weft::nn
