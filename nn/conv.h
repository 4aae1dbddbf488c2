// Convolution layers of 1, 2 and 3 spatial axes, plain and transposed, with PyTorch's arguments, checks and printing.
// Arithmetic is the ops' (autograd/ops/layer/conv.h).
#pragma once

#include <optional>
#include <string>

#include "weft/autograd/ops/layer/conv_options.h"
#include "weft/autograd/ops/shape/pad.h"
#include "weft/core/choice.h"
#include "weft/nn/call.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

using weft::Padding;

/// Stands for a field of options whose value came before them as an argument of its own.
struct Given {};

/// What an input is padded with: zeros, or its own elements. In PadMode's order.
enum class PaddingMode : uint8_t { zeros, reflect, replicate, circular };
constexpr auto mode_words(PaddingMode) {
  return make_words("conv: padding_mode", "zeros", "reflect", "replicate", "circular");
}

/// The op's options and the layer's: `{.kernel_size = 3, .padding = 1}`, or behind a kernel size `3, {.padding = 1}`.
template <int D, class Kernel = Dims<D>> struct ConvOptions {
  ByName by_name = {};                                    ///< keeps positional arguments out: fields go by name
  Kernel kernel_size = Kernel();                          ///< sizes of the window; required
  Dims<D> stride = 1;                                     ///< steps of the window
  Padding<D> padding = 0;                                 ///< before and after each axis, or "same" or "valid"
  Dims<D> dilation = 1;                                   ///< distance of the window's elements
  int64_t groups = 1;                                     ///< divides both numbers of channels
  bool bias = true;                                       ///< adds one number to each output channel
  Choice<PaddingMode> padding_mode = PaddingMode::zeros;  ///< what the padding holds
};

/// Options of ConvTranspose; `.kernel_size` is required. In PyTorch's order: dilation behind bias.
template <int D, class Kernel = Dims<D>> struct ConvTransposeOptions {
  ByName by_name = {};
  Kernel kernel_size = Kernel();
  Dims<D> stride = 1;
  Padding<D> padding = 0;      ///< crops the result; numbers only
  Dims<D> output_padding = 0;  ///< enlarges the end of the result; below stride or dilation
  int64_t groups = 1;
  bool bias = true;
  Dims<D> dilation = 1;
  Choice<PaddingMode> padding_mode = PaddingMode::zeros;  ///< no other
};

/// The options of a convolution layer of any rank. From a layer's `geometry()`: "same" is numbers.
struct ConvGeometry {
  Shape kernel_size;                                            ///< one entry per spatial axis
  ConvParams params;                                            ///< stride, padding_lo, padding_hi, dilation, groups
  std::string padding_text = {};                                ///< "same" or "valid" where padding was given so
  PaddingMode padding_mode = PaddingMode::zeros;                ///< what the padding holds
  bool bias = true;                                             ///< is there one
  bool transposed = false;                                      ///< of a ConvTranspose
  Shape output_padding = Shape::filled(kernel_size.size(), 0);  ///< of a ConvTranspose; zeros else
};
/// The options of a layer of D axes as such; "same" stays text.
template <class Options> ConvGeometry conv_geometry(const Options& o) {
  ConvGeometry g{
      .kernel_size = o.kernel_size, .params = conv_params(o), .padding_text = o.padding.text, .bias = o.bias};
  if constexpr (requires { o.padding_mode; }) g.padding_mode = o.padding_mode;
  if constexpr (requires { o.output_padding; }) {
    g.transposed = true;
    g.output_padding = o.output_padding;
  }
  return g;
}

/// What all convolution layers share: channels and parameters.
class WEFT_API ConvBase : public Module {
 public:
  /// Channels of input and output.
  int64_t in_channels, out_channels;
  /// One entry per spatial axis.
  Shape kernel_size;
  /// ConvTranspose's arithmetic.
  bool transposed;
  Parameter weight;  ///< [out, in/groups, kernel...], transposed: [in, out/groups, kernel...]
  Parameter bias;    ///< [out], undefined without

  /// U(-b, b) for weight, then bias; b = 1 / sqrt(weight[0].numel()).
  void reset_parameters();

 protected:
  /// `lazy`: in_channels is 0, not known yet, and the parameters have no elements.
  ConvBase(std::string name, int64_t in_channels, int64_t out_channels, ConvGeometry g, bool lazy = false);
  /// Prints `text` behind the channels.
  void show(std::function<std::string()> text);
  /// What is printed of options.
  static std::string text(const ConvGeometry& g);
  /// With "same" as numbers. ValueError in the layer's name for options that it cannot have, or not any more.
  ConvGeometry resolved(ConvGeometry g) const;
  /// The convolution of x with `w` in weight's place, and `b` in bias's.
  Tensor convolve(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Tensor& b) const;
  /// The same as ConvTranspose does it; output_size as there.
  Tensor convolve_transposed(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Tensor& b,
                             const std::optional<Shape>& output_size) const;
  /// Of the parameter `weight`, for these options.
  static Shape weight_shape(int64_t in_channels, int64_t out_channels, const ConvGeometry& g);
  /// First values: see reset_parameters.
  static void reset(const Tensor& weight, const Tensor& bias);

 private:
  void check(ConvGeometry& g, bool lazy) const;
  int64_t groups_;  // the weight was made for
  bool biased_;
};

/// A convolution layer's options, shared by its copies: `conv.options->stride = 2`. What parameters were made for
/// (kernel_size, groups, bias) stays; another value is refused by the next call. Base: ConvBase or derived from it.
template <std::derived_from<ConvBase> Base, class Options> class WEFT_API ConvOf : public Base {
 public:
  /// Shared by copies; see above.
  Option<Options> options;
  /// The options in force, one entry per axis. ValueError for options that the layer cannot have.
  ConvGeometry geometry() const { return this->resolved(conv_geometry(*options)); }

 protected:
  template <class... A>
  /// `rest`: what Base's constructor takes behind the geometry.
  ConvOf(std::string name, int64_t in_channels, int64_t out_channels, Options o, A... rest)
      : Base(std::move(name), in_channels, out_channels, conv_geometry(o), rest...), options(std::move(o)) {
    this->show([options = options.share()] { return Base::text(conv_geometry(*options)); });
  }
  /// The layer's convolution of x with `w` (and `b`) in the place of its parameters.
  Tensor convolve(const Tensor& x, const Tensor& w) const { return convolve(x, w, this->bias); }
  Tensor convolve(const Tensor& x, const Tensor& w, const Tensor& b) const {
    return Base::convolve(geometry(), x, w, b);
  }
  /// The same for transposed layers; output_size as ConvTranspose's.
  Tensor convolve_transposed(const Tensor& x, const Tensor& w, const std::optional<Shape>& output_size) const {
    return convolve_transposed(x, w, this->bias, output_size);
  }
  Tensor convolve_transposed(const Tensor& x, const Tensor& w, const Tensor& b,
                             const std::optional<Shape>& output_size) const {
    return Base::convolve_transposed(geometry(), x, w, b, output_size);
  }
};

namespace detail {
template <int D> ConvOptions<D> with_kernel(const Dims<D>& k, const ConvOptions<D, Given>& o) {
  return {{}, k, o.stride, o.padding, o.dilation, o.groups, o.bias, o.padding_mode};
}
template <int D> ConvTransposeOptions<D> with_kernel(const Dims<D>& k, const ConvTransposeOptions<D, Given>& o) {
  return {{}, k, o.stride, o.padding, o.output_padding, o.groups, o.bias, o.dilation, o.padding_mode};
}
}  // namespace detail

/// Cross-correlation: `Conv2d(3, 8, {.kernel_size = 3, .padding = 1})`, `Conv2d(3, 8, 3, {.padding = 1})`, or with
/// stride and padding in PyTorch's order `Conv2d(3, 8, 3, 1, 1)`. x: [N, C, spatial...] or [C, spatial...]. ValueError
/// for bad arguments, ShapeError for inputs that do not fit. Modes other than zeros pad a copy, 3 to 7 % of a layer's
/// time.
template <int D> class WEFT_API Conv : public ConvOf<ConvBase, ConvOptions<D>> {
 public:
  Conv(int64_t in_channels, int64_t out_channels, const ConvOptions<D>& o)
      : Conv::ConvOf(weft::str("Conv", D, "d"), in_channels, out_channels, o) {}
  Conv(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size, const ConvOptions<D, Given>& o = {})
      : Conv(in_channels, out_channels, detail::with_kernel(kernel_size, o)) {}
  Conv(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size, const Dims<D>& stride,
       const Padding<D>& padding = 0)
      : Conv(in_channels, out_channels, kernel_size, {.stride = stride, .padding = padding}) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return this->convolve(x, this->weight); });
  }
};
using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using Conv3d = Conv<3>;

/// The gradient of Conv with respect to its input, as a layer: output (L - 1) stride - 2 padding + dilation (k - 1) +
/// output_padding + 1.
template <int D> class WEFT_API ConvTranspose : public ConvOf<ConvBase, ConvTransposeOptions<D>> {
 public:
  ConvTranspose(int64_t in_channels, int64_t out_channels, const ConvTransposeOptions<D>& o)
      : ConvTranspose::ConvOf(weft::str("ConvTranspose", D, "d"), in_channels, out_channels, o) {}
  ConvTranspose(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size,
                const ConvTransposeOptions<D, Given>& o = {})
      : ConvTranspose(in_channels, out_channels, detail::with_kernel(kernel_size, o)) {}
  ConvTranspose(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size, const Dims<D>& stride,
                const Padding<D>& padding = 0)
      : ConvTranspose(in_channels, out_channels, kernel_size, {.stride = stride, .padding = padding}) {}
  /// output_size: spatial sizes (or all sizes) of the result, instead of output_padding. ValueError where it cannot be
  /// had.
  Tensor operator()(const Tensor& x, const std::optional<Shape>& output_size = {}) const {
    return nn::call(*this, x, [&](const Tensor& x) { return this->convolve_transposed(x, this->weight, output_size); });
  }
};
using ConvTranspose1d = ConvTranspose<1>;
using ConvTranspose2d = ConvTranspose<2>;
using ConvTranspose3d = ConvTranspose<3>;

}  // namespace weft::nn
