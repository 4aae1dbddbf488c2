#include "weft/nn/lazy_conv.h"

#include "weft/core/factory.h"

namespace weft::nn {

/// How a lazy convolution gets its shapes. Copies of the module share it; it holds no tensor.
class LazyConvBase::Shapes : public detail::LazyShapes {
 public:
  Shapes(int64_t out_channels, const ConvGeometry& g) : out_channels_(out_channels), geometry_(g) {}

  Shape shape(const std::string& name, const Shape& weight) const override {
    return name == "bias" ? Shape{out_channels_} : weight_shape(in_channels(weight), out_channels_, geometry_);
  }
  void materialize(Module::State& s, const Shape& weight) const override {
    for (const auto& [name, t] : s.params) {
      Tensor here = t.tensor(), data = empty(shape(name, weight), t.options());
      here.swap_contents(data);
    }
    reset(s.params[0].tensor, geometry_.bias ? s.params[1].tensor.tensor() : Tensor());
    s.name = s.name.substr(4);  // "LazyConv2d"
    s.extra = weft::str(in_channels(weight), ", ", out_channels_);
  }

 private:
  /// The input channels of a weight of that shape; 0 where it cannot be this layer's.
  int64_t in_channels(const Shape& weight) const {
    if (weight.size() < 2) return 0;
    const int64_t groups = geometry_.params.groups;
    const int64_t in = geometry_.transposed ? weight[0] : weight[1] * groups;
    return in % groups == 0 ? in : 0;
  }
  int64_t out_channels_;
  ConvGeometry geometry_;
};

LazyConvBase::LazyConvBase(std::string name, int64_t in_channels, int64_t out_channels, const ConvGeometry& g)
    : ConvBase(std::move(name), in_channels, out_channels, g, true), groups_(g.params.groups) {
  state().lazy = std::make_shared<Shapes>(out_channels, g);
}

void LazyConvBase::materialize_for(const Tensor& x) {
  if (in_channels != 0) return;
  if (!is_materialized()) {
    const int axes = kernel_size.size();
    check_conv_input(name(), x, axes);
    const int64_t channels = x.size(x.rank() - axes - 1);
    WEFT_CHECK(channels > 0 && channels % groups_ == 0, ValueError, name(),
               ": in_channels must be positive and divisible by groups, got ", channels, " and ", groups_,
               " from input ", x.shape());
    Shape weight_like{transposed ? channels : out_channels, transposed ? out_channels : channels / groups_};
    detail::materialize(state(), weight_like);
  }
  in_channels = transposed ? weight.size(0) : weight.size(1) * groups_;
}

}  // namespace weft::nn
