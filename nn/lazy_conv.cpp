#include "weft/nn/lazy_conv.h"

#include "weft/core/factory.h"

namespace weft::nn {

/// How a lazy convolution gets its shapes. Copies of the module share it; it holds no tensor.
class LazyConvBase::Shapes : public detail::LazyShapes {
 public:
  explicit Shapes(const Config& c) : config_(c) {}

  Shape shape(const std::string& name, const Shape& weight) const override {
    return name == "bias" ? Shape{config_.out_channels} : weight_shape(with(weight));
  }
  void materialize(Module::State& s, const Shape& weight) const override {
    const Config c = with(weight);
    for (const auto& [name, t] : s.params) {
      Tensor here = t.tensor(), data = empty(shape(name, weight), t.options());
      here.swap_contents(data);
    }
    reset(s.params[0].tensor, c.bias ? s.params[1].tensor.tensor() : Tensor());
    s.name = s.name.substr(4);  // "LazyConv2d"
    s.extra = extra_text(c);
  }
  /// The configuration with the input channels of a weight of that shape; 0 where it cannot be this layer's.
  Config with(const Shape& weight) const {
    Config c = config_;
    if (weight.size() < 2) return c;
    c.in_channels = c.transposed ? weight[0] : weight[1] * c.params.groups;
    if (c.in_channels % c.params.groups != 0) c.in_channels = 0;
    return c;
  }

 private:
  Config config_;
};

LazyConvBase::LazyConvBase(Config c)
    : ConvBase([&] {
        c.lazy = true;
        return c;
      }()) {
  state().lazy = std::make_shared<Shapes>(c);
}

void LazyConvBase::materialize_for(const Tensor& x) {
  if (in_channels != 0) return;
  if (!is_materialized()) {
    const int axes = kernel_size.size();
    check_conv_input(name(), x, axes);
    const int64_t channels = x.size(x.rank() - axes - 1);
    WEFT_CHECK(channels > 0 && channels % params.groups == 0, ValueError, name(),
               ": in_channels must be positive and divisible by groups, got ", channels, " and ", params.groups,
               " from input ", x.shape());
    Shape weight_like{transposed ? channels : out_channels, transposed ? out_channels : channels / params.groups};
    detail::materialize(state(), weight_like);
  }
  in_channels = transposed ? weight.size(0) : weight.size(1) * params.groups;
}

}  // namespace weft::nn
