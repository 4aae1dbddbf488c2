#include "weft/nn/unit_scaled/conv.h"

#include "weft/nn/init.h"

namespace weft::unit_scaled {

void detail::reset(const Tensor& weight, const Tensor& bias) {
  nn::init::normal_(weight);
  if (bias.defined()) nn::init::zeros_(bias);
}

void detail::set_types(const std::string& layer, const Tensor& weight, MupType type, const Tensor& bias) {
  WEFT_CHECK(type != MupType::none, ValueError, layer, ": weight_mup_type must be weight, bias, norm or output");
  set_mup_info(weight, {type});
  if (bias.defined()) set_mup_info(bias, {MupType::bias});
}

namespace {

// What both do once they have their tensors.
template <class Options> Constraint finish(nn::ConvBase& layer, const Options& o) {
  refuse_padding_text(layer.name(), o.padding.text);
  check_constraint(layer.name().c_str(), o.constraint, 2);
  detail::set_types(layer.name(), layer.weight, o.weight_mup_type, layer.bias);
  if (o.constraint != Constraint::to_output_scale)
    layer.state().extra += str(", constraint=", o.constraint == Constraint::none ? "None" : o.constraint.text());
  detail::reset(layer.weight, layer.bias);
  return o.constraint;
}

}  // namespace

template <int D>
Conv<D>::Conv(int64_t in_channels, int64_t out_channels, const ConvLayerOptions<D>& o)
    : ConvBase(config("Conv", in_channels, out_channels, o.kernel_size, o)), constraint(finish(*this, o)) {}
template <int D>
Conv<D>::Conv(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size,
              const ConvLayerOptions<D, nn::Given>& o)
    : ConvBase(config("Conv", in_channels, out_channels, kernel_size, o)), constraint(finish(*this, o)) {}

template <int D> void Conv<D>::reset_parameters() { detail::reset(weight, bias); }

template <int D> Tensor Conv<D>::forward(const Tensor& x) const {
  return detail::scaled_conv(detail::conv_scales(name().c_str(), x.shape(), weight.shape(), params, constraint), x,
                             weight, bias,
                             [&](const Tensor& xs, const Tensor& w, const Tensor& b) { return convolve(xs, w, b); });
}

template <int D>
ConvTranspose<D>::ConvTranspose(int64_t in_channels, int64_t out_channels, const ConvTransposeLayerOptions<D>& o)
    : ConvBase(config("ConvTranspose", in_channels, out_channels, o.kernel_size, o)), constraint(finish(*this, o)) {}
template <int D>
ConvTranspose<D>::ConvTranspose(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size,
                                const ConvTransposeLayerOptions<D, nn::Given>& o)
    : ConvBase(config("ConvTranspose", in_channels, out_channels, kernel_size, o)), constraint(finish(*this, o)) {}

template <int D> void ConvTranspose<D>::reset_parameters() { detail::reset(weight, bias); }

template <int D> Tensor ConvTranspose<D>::forward(const Tensor& x, const std::optional<Shape>& output_size) const {
  const Shape out = output_size && output_size->size() >= D
                        ? output_size->slice(output_size->size() - D)
                        : detail::conv_transpose_output(x.shape(), weight.shape(), params, output_padding);
  return detail::scaled_conv(
      detail::conv_transpose_scales(name().c_str(), x.shape(), weight.shape(), params, out, constraint), x, weight,
      bias,
      [&](const Tensor& xs, const Tensor& w, const Tensor& b) { return convolve_transposed(xs, w, b, output_size); });
}

template class Conv<1>;
template class Conv<2>;
template class Conv<3>;
template class ConvTranspose<1>;
template class ConvTranspose<2>;
template class ConvTranspose<3>;

}  // namespace weft::unit_scaled
