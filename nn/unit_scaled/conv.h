// Unit-scaled convolution layers. Scales are those of the ops (functional.h), arguments, checks and printing those of
// nn::Conv.
#pragma once

#include "weft/autograd/mup.h"
#include "weft/nn/conv.h"
#include "weft/nn/unit_scaled/functional.h"

namespace weft::unit_scaled {

/// Options of unit_scaled::Conv: nn::ConvOptions with bias off by default, and the two at the end.
template <int D, class Kernel = Dims<D>> struct ConvLayerOptions {
  ByName by_name = {};
  Kernel kernel_size = Kernel();
  Dims<D> stride = 1;
  Padding<D> padding = 0;  ///< numbers only
  Dims<D> dilation = 1;
  int64_t groups = 1;
  bool bias = false;
  Choice<nn::PaddingMode> padding_mode = nn::PaddingMode::zeros;
  Choice<Constraint> constraint = Constraint::to_output_scale;  ///< how the scales become one
  Choice<MupType> weight_mup_type = MupType::weight;            ///< a tag of the weight, read once
};

/// Options of unit_scaled::ConvTranspose, likewise.
template <int D, class Kernel = Dims<D>> struct ConvTransposeLayerOptions {
  ByName by_name = {};
  Kernel kernel_size = Kernel();
  Dims<D> stride = 1;
  Padding<D> padding = 0;  ///< numbers only
  Dims<D> output_padding = 0;
  int64_t groups = 1;
  bool bias = false;
  Dims<D> dilation = 1;
  Choice<nn::PaddingMode> padding_mode = nn::PaddingMode::zeros;
  Choice<Constraint> constraint = Constraint::to_output_scale;  ///< how the scales become one
  Choice<MupType> weight_mup_type = MupType::weight;            ///< a tag of the weight, read once
};

/// nn::Conv with the scales of unit_scaled::conv1d. weight ~ N(0, 1), bias 0. In another padding mode than zeros the
/// input is padded once, by that mode (the original pads twice, ignores `constraint` and cannot be printed). Prints the
/// constraint unless it is the default. ValueError for padding in words, an unfit constraint and a mup type that is
/// none.
template <int D> class WEFT_API Conv : public nn::ConvOf<nn::ConvBase, ConvLayerOptions<D>> {
 public:
  Conv(int64_t in_channels, int64_t out_channels, const ConvLayerOptions<D>& o);
  Conv(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size,
       const ConvLayerOptions<D, nn::Given>& o = {});
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  /// First values: weight ~ N(0, 1), bias 0.
  void reset_parameters();
};
using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using Conv3d = Conv<3>;

/// nn::ConvTranspose with the scales of unit_scaled::conv_transpose1d (not in the original).
template <int D> class WEFT_API ConvTranspose : public nn::ConvOf<nn::ConvBase, ConvTransposeLayerOptions<D>> {
 public:
  ConvTranspose(int64_t in_channels, int64_t out_channels, const ConvTransposeLayerOptions<D>& o);
  ConvTranspose(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size,
                const ConvTransposeLayerOptions<D, nn::Given>& o = {});
  Tensor operator()(const Tensor& x, const std::optional<Shape>& output_size = {}) const {
    return nn::call(*this, x, output_size);
  }
  Tensor forward(const Tensor& x, const std::optional<Shape>& output_size) const;
  /// First values: weight ~ N(0, 1), bias 0.
  void reset_parameters();
};
using ConvTranspose1d = ConvTranspose<1>;
using ConvTranspose2d = ConvTranspose<2>;
using ConvTranspose3d = ConvTranspose<3>;

namespace detail {
/// weight ~ N(0, 1), bias 0.
WEFT_API void reset(const Tensor& weight, const Tensor& bias);
/// Tags weight and, if there is one, bias. ValueError in the name of `layer` for the type none.
WEFT_API void set_types(const std::string& layer, const Tensor& weight, MupType type, const Tensor& bias);
}  // namespace detail

}  // namespace weft::unit_scaled
