#include "weft/nn/padding.h"

#include "weft/nn/repr.h"

namespace weft::nn {

namespace {

constexpr const char* class_name(PadMode mode) {
  switch (mode) {
    case PadMode::reflect: return "ReflectionPad";
    case PadMode::replicate: return "ReplicationPad";
    case PadMode::circular: return "CircularPad";
    default: return "ZeroPad";
  }
}

void check_rank(const Module& m, int d, const Tensor& x) {
  WEFT_CHECK(x.rank() == d + 1 || x.rank() == d + 2, ShapeError, m.name(), ": expected ", d + 1, "D or ", d + 2,
             "D input, got ", x.shape());
}

}  // namespace

template <PadMode Mode, int D>
Pad<Mode, D>::Pad(const Dims<2 * D>& padding) : Module(weft::str(class_name(Mode), D, "d")), padding(padding) {
  set_extra("", detail::shown(this->padding));
}
template <PadMode Mode, int D> Tensor Pad<Mode, D>::forward(const Tensor& x) const {
  // as in PyTorch, zeros go round any tensor with enough axes
  if (Mode != PadMode::constant) check_rank(*this, D, x);
  return pad(x, Shape(*padding), Mode);
}

template <int D>
ConstantPad<D>::ConstantPad(const Dims<2 * D>& padding, double value)
    : Module(weft::str("ConstantPad", D, "d")), padding(padding), value(value) {
  set_extra("", detail::shown("padding=", this->padding, ", value=", this->value));
}
template <int D> Tensor ConstantPad<D>::forward(const Tensor& x) const {
  return pad(x, Shape(*padding), PadMode::constant, *value);
}

template class Pad<PadMode::reflect, 1>;
template class Pad<PadMode::reflect, 2>;
template class Pad<PadMode::reflect, 3>;
template class Pad<PadMode::replicate, 1>;
template class Pad<PadMode::replicate, 2>;
template class Pad<PadMode::replicate, 3>;
template class Pad<PadMode::circular, 1>;
template class Pad<PadMode::circular, 2>;
template class Pad<PadMode::circular, 3>;
template class Pad<PadMode::constant, 1>;
template class Pad<PadMode::constant, 2>;
template class Pad<PadMode::constant, 3>;
template class ConstantPad<1>;
template class ConstantPad<2>;
template class ConstantPad<3>;

}  // namespace weft::nn
