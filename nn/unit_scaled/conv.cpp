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
template <class Layer> void finish(Layer& layer) {
  const auto& o = *layer.options;
  refuse_padding_text(layer.name(), o.padding.text);
  check_constraint(layer.name().c_str(), o.constraint, 2);
  detail::set_types(layer.name(), layer.weight, o.weight_mup_type, layer.bias);
  std::function<std::string()>& text = layer.state().options_text;
  text = [before = std::move(text), options = layer.options.share()] {
    const Choice<Constraint> c = options->constraint;
    if (c == Constraint::to_output_scale) return before();
    return str(before(), ", constraint=", c == Constraint::none ? "None" : c.text());
  };
  detail::reset(layer.weight, layer.bias);
}

template <int D> ConvLayerOptions<D> with_kernel(const Dims<D>& k, const ConvLayerOptions<D, nn::Given>& o) {
  return {{}, k, o.stride, o.padding, o.dilation, o.groups, o.bias, o.padding_mode, o.constraint, o.weight_mup_type};
}
template <int D>
ConvTransposeLayerOptions<D> with_kernel(const Dims<D>& k, const ConvTransposeLayerOptions<D, nn::Given>& o) {
  return {{},     k,          o.stride,       o.padding,    o.output_padding, o.groups,
          o.bias, o.dilation, o.padding_mode, o.constraint, o.weight_mup_type};
}
template <class Layer> nn::ConvGeometry numbers(const Layer& layer) {
  refuse_padding_text(layer.name(), layer.options->padding.text);
  return layer.geometry();
}

}  // namespace

template <int D>
Conv<D>::Conv(int64_t in_channels, int64_t out_channels, const ConvLayerOptions<D>& o)
    : Conv::ConvOf(str("Conv", D, "d"), in_channels, out_channels, o) {
  finish(*this);
}
template <int D>
Conv<D>::Conv(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size,
              const ConvLayerOptions<D, nn::Given>& o)
    : Conv(in_channels, out_channels, with_kernel(kernel_size, o)) {}

template <int D> void Conv<D>::reset_parameters() { detail::reset(this->weight, this->bias); }

template <int D> Tensor Conv<D>::forward(const Tensor& x) const {
  const nn::ConvGeometry g = numbers(*this);
  return detail::scaled_conv(
      detail::conv_scales(this->name().c_str(), x.shape(), this->weight.shape(), g.params, this->options->constraint),
      x, this->weight, this->bias,
      [&](const Tensor& xs, const Tensor& w, const Tensor& b) { return this->convolve(xs, w, b); });
}

template <int D>
ConvTranspose<D>::ConvTranspose(int64_t in_channels, int64_t out_channels, const ConvTransposeLayerOptions<D>& o)
    : ConvTranspose::ConvOf(str("ConvTranspose", D, "d"), in_channels, out_channels, o) {
  finish(*this);
}
template <int D>
ConvTranspose<D>::ConvTranspose(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size,
                                const ConvTransposeLayerOptions<D, nn::Given>& o)
    : ConvTranspose(in_channels, out_channels, with_kernel(kernel_size, o)) {}

template <int D> void ConvTranspose<D>::reset_parameters() { detail::reset(this->weight, this->bias); }

template <int D> Tensor ConvTranspose<D>::forward(const Tensor& x, const std::optional<Shape>& output_size) const {
  const nn::ConvGeometry g = this->geometry();
  const Shape& w = this->weight.shape();
  const Shape out = output_size && output_size->size() >= D
                        ? output_size->slice(output_size->size() - D)
                        : detail::conv_transpose_output(x.shape(), w, g.params, g.output_padding);
  return detail::scaled_conv(
      detail::conv_transpose_scales(this->name().c_str(), x.shape(), w, g.params, out, this->options->constraint), x,
      this->weight, this->bias, [&](const Tensor& xs, const Tensor& w, const Tensor& b) {
        return this->convolve_transposed(xs, w, b, output_size);
      });
}

template class Conv<1>;
template class Conv<2>;
template class Conv<3>;
template class ConvTranspose<1>;
template class ConvTranspose<2>;
template class ConvTranspose<3>;

}  // namespace weft::unit_scaled
