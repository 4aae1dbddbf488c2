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
  ByName by_name = {};
  Kernel kernel_size = Kernel();
  Dims<D> stride = 1;
  Padding<D> padding = 0;
  Dims<D> dilation = 1;
  int64_t groups = 1;
  bool bias = true;
  Choice<PaddingMode> padding_mode = PaddingMode::zeros;
};

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

/// What all convolution layers share. Attributes are resolved: one entry per axis, "same" as numbers.
class WEFT_API ConvBase : public Module {
 public:
  int64_t in_channels, out_channels;
  Shape kernel_size;
  ConvParams params;  ///< stride, padding_lo, padding_hi, dilation, groups
  Shape output_padding;
  bool transposed;
  PaddingMode padding_mode;
  Parameter weight;  ///< [out, in/groups, kernel...], transposed: [in, out/groups, kernel...]
  Parameter bias;    ///< [out], undefined without

  /// U(-b, b) for weight, then bias; b = 1 / sqrt(weight[0].numel()).
  void reset_parameters();

 protected:
  // The options of a layer of any rank, before checks.
  struct Config {
    std::string name;  // "Conv2d"
    int64_t in_channels, out_channels;
    Shape kernel_size;
    ConvParams params;
    bool bias;
    std::string padding_text;
    PaddingMode padding_mode = PaddingMode::zeros;
    bool transposed = false;
    Shape output_padding = Shape::filled(kernel_size.size(), 0);
    bool lazy = false;  // in_channels is 0, not known yet, and the parameters have no elements
  };
  explicit ConvBase(const Config& c);
  template <int D, class Options>
  static Config config(const char* family, int64_t in, int64_t out, const Dims<D>& kernel_size, const Options& o) {
    Config c{.name = weft::str(family, D, "d"),
             .in_channels = in,
             .out_channels = out,
             .kernel_size = kernel_size,
             .params = conv_params(o),
             .bias = o.bias,
             .padding_text = o.padding.text};
    if constexpr (requires { o.padding_mode; }) c.padding_mode = o.padding_mode;
    if constexpr (requires { o.output_padding; }) {
      c.transposed = true;
      c.output_padding = o.output_padding;
    }
    return c;
  }
  /// The convolution of x with `w` in weight's place, and `b` in bias's.
  Tensor convolve(const Tensor& x, const Tensor& w) const { return convolve(x, w, bias); }
  Tensor convolve(const Tensor& x, const Tensor& w, const Tensor& b) const;
  Tensor convolve_transposed(const Tensor& x, const Tensor& w, const std::optional<Shape>& output_size) const {
    return convolve_transposed(x, w, bias, output_size);
  }
  Tensor convolve_transposed(const Tensor& x, const Tensor& w, const Tensor& b,
                             const std::optional<Shape>& output_size) const;
  static Shape weight_shape(const Config& c);
  /// What is printed between the parentheses.
  static std::string extra_text(const Config& c);
  /// First values: see reset_parameters.
  static void reset(const Tensor& weight, const Tensor& bias);

 private:
  void check(const Config& c);
  PadMode mode_ = PadMode::constant;
  ConvParams unpadded_;  // for modes other than zeros: the input is padded first
  Shape pads_;
};

/// Cross-correlation: `Conv2d(3, 8, {.kernel_size = 3, .padding = 1})`, `Conv2d(3, 8, 3, {.padding = 1})`, or with
/// stride and padding in PyTorch's order `Conv2d(3, 8, 3, 1, 1)`. x: [N, C, spatial...] or [C, spatial...]. ValueError
/// for bad arguments, ShapeError for inputs that do not fit. Modes other than zeros pad a copy, 3 to 7 % of a layer's
/// time.
template <int D> class WEFT_API Conv : public ConvBase {
 public:
  Conv(int64_t in_channels, int64_t out_channels, const ConvOptions<D>& o)
      : ConvBase(config("Conv", in_channels, out_channels, o.kernel_size, o)) {}
  Conv(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size, const ConvOptions<D, Given>& o = {})
      : ConvBase(config("Conv", in_channels, out_channels, kernel_size, o)) {}
  Conv(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size, const Dims<D>& stride,
       const Padding<D>& padding = 0)
      : Conv(in_channels, out_channels, kernel_size, {.stride = stride, .padding = padding}) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return convolve(x, weight); });
  }
};
using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using Conv3d = Conv<3>;

/// The gradient of Conv with respect to its input, as a layer: output (L - 1) stride - 2 padding + dilation (k - 1) +
/// output_padding + 1.
template <int D> class WEFT_API ConvTranspose : public ConvBase {
 public:
  ConvTranspose(int64_t in_channels, int64_t out_channels, const ConvTransposeOptions<D>& o)
      : ConvBase(config("ConvTranspose", in_channels, out_channels, o.kernel_size, o)) {}
  ConvTranspose(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size,
                const ConvTransposeOptions<D, Given>& o = {})
      : ConvBase(config("ConvTranspose", in_channels, out_channels, kernel_size, o)) {}
  ConvTranspose(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size, const Dims<D>& stride,
                const Padding<D>& padding = 0)
      : ConvTranspose(in_channels, out_channels, kernel_size, {.stride = stride, .padding = padding}) {}
  /// output_size: spatial sizes (or all sizes) of the result, instead of output_padding. ValueError where it cannot be
  /// had.
  Tensor operator()(const Tensor& x, const std::optional<Shape>& output_size = {}) const {
    return nn::call(*this, x, [&](const Tensor& x) { return convolve_transposed(x, weight, output_size); });
  }
};
using ConvTranspose1d = ConvTranspose<1>;
using ConvTranspose2d = ConvTranspose<2>;
using ConvTranspose3d = ConvTranspose<3>;

}  // namespace weft::nn
