// Padding layers: reflection, replication, circular, constant and zero, 1 to 3 spatial axes.
#pragma once

#include "weft/autograd/ops/shape/pad.h"
#include "weft/nn/call.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// Pads the last D axes of x [N, C, spatial...] or [C, spatial...]. padding: one number for all sides, or two for each
/// axis from the last on: {left, right, top, bottom, front, back}; negative ones crop. ShapeError for another rank, and
/// for reflections that do not fit.
template <PadMode Mode, int D> class WEFT_API Pad : public Module {
 public:
  explicit Pad(const Dims<2 * D>& padding);
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  Option<Dims<2 * D>> padding;
};
/// The mirror image without the edge: padding below the axis' size. By the number of spatial axes.
using ReflectionPad1d = Pad<PadMode::reflect, 1>;
using ReflectionPad2d = Pad<PadMode::reflect, 2>;
using ReflectionPad3d = Pad<PadMode::reflect, 3>;
/// The edge's element.
using ReplicationPad1d = Pad<PadMode::replicate, 1>;
using ReplicationPad2d = Pad<PadMode::replicate, 2>;
using ReplicationPad3d = Pad<PadMode::replicate, 3>;
/// The other end's elements: padding up to the axis' size.
using CircularPad1d = Pad<PadMode::circular, 1>;
using CircularPad2d = Pad<PadMode::circular, 2>;
using CircularPad3d = Pad<PadMode::circular, 3>;
/// Zeros.
using ZeroPad1d = Pad<PadMode::constant, 1>;
using ZeroPad2d = Pad<PadMode::constant, 2>;
using ZeroPad3d = Pad<PadMode::constant, 3>;

/// Pads with a number.
template <int D> class WEFT_API ConstantPad : public Module {
 public:
  ConstantPad(const Dims<2 * D>& padding, double value);
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  Option<Dims<2 * D>> padding;
  Option<double> value;
};
using ConstantPad1d = ConstantPad<1>;
using ConstantPad2d = ConstantPad<2>;
using ConstantPad3d = ConstantPad<3>;

}  // namespace weft::nn
