#include "weft/autograd/ops/layer/resize.h"

#include <cmath>

#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/feature_layout.h"
#include "weft/autograd/ops/layer/pool.h"
#include "weft/autograd/ops/layer/resample.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace detail {
namespace {

Tensor resample_volume(const char* name, const Tensor& x, const fn::SampleGeometry& g, bool adjoint) {
  const Tensor v = x.contiguous(MemoryFormat::channels_last);
  Shape shape{v.size(0), v.size(1)};
  for (const fn::SampleAxis& a : g.axis) shape.push_back(adjoint ? a.in : a.out);
  Tensor y = empty(shape, v.options(), MemoryFormat::channels_last);
  if (y.numel() > 0) kernels::resample(v.device(), mut_ref(y), ref(v), g, adjoint);
  return record(name, y, {v},
                [name, g, adjoint](BackwardCtx& c) -> Grads { return {resample_volume(name, c.grad(), g, !adjoint)}; });
}

}  // namespace

Tensor resample(const char* name, const Tensor& x, const fn::SampleGeometry& g, bool adjoint) {
  if (const Dtype d = x.dtype(); is_short(d)) return resample(name, x.to(compute_dtype(d)), g, adjoint).to(d);
  const Tensor y = resample_volume(name, volume(x), g, adjoint);
  Shape s{y.size(0), y.size(1)};
  for (int i = 7 - x.rank(); i < 5; ++i) s.push_back(y.size(i));
  return y.reshape(s);
}

}  // namespace detail

namespace {
fn::Sampling sampling_of(const InterpolateOptions& o, bool smooth) {
  using enum fn::Sampling;
  if (o.mode == InterpolateMode::nearest_exact) return nearest_exact;
  if (o.mode == InterpolateMode::bicubic) return o.antialias ? cubic_antialias : cubic;
  if (smooth) return o.antialias ? linear_antialias : linear;
  return nearest;
}
}  // namespace

InterpolateMode interpolate_mode(std::string_view name) { return Choice<InterpolateMode>(name); }

Tensor interpolate(const Tensor& x, const InterpolateOptions& o) {
  const OpName op("interpolate");
  using enum InterpolateMode;
  const int D = x.rank() - 2;
  WEFT_CHECK(D >= 1 && D <= 3, ShapeError, "input ", x.shape(), " must be [N, C, spatial...] with 1 to 3 spatial axes");
  WEFT_CHECK(o.size.empty() != o.scale_factor.empty(), ValueError, "give either size or scale_factor");
  const size_t given = o.size.empty() ? o.scale_factor.size() : static_cast<size_t>(o.size.size());
  WEFT_CHECK(given == 1 || given == static_cast<size_t>(D), ShapeError, "size or scale_factor has ", given,
             " entries but input ", x.shape(), " has ", D, " spatial axes");
  const int wanted = o.mode == linear ? 1
                                      : (o.mode == bilinear || o.mode == bicubic ? 2 : (o.mode == trilinear ? 3 : D));
  WEFT_CHECK(wanted == D, ShapeError, "this mode needs ", wanted, " spatial axes but input ", x.shape(), " has ", D);
  const bool smooth = o.mode == linear || o.mode == bilinear || o.mode == trilinear || o.mode == bicubic;
  WEFT_CHECK(smooth || !o.align_corners, ValueError,
             "align_corners is only for linear, bilinear, trilinear and bicubic");
  WEFT_CHECK(!o.antialias || o.mode == bilinear || o.mode == bicubic, ValueError,
             "antialias is only for bilinear and bicubic");
  WEFT_CHECK(!o.recompute_scale_factor || o.size.empty(), ValueError,
             "recompute_scale_factor needs a scale_factor, not a size");
  WEFT_CHECK((!smooth && x.dtype() != Dtype::boolean) || x.is_floating() || x.dtype() == Dtype::u8, DtypeError,
             "input is ", x.dtype(), "; expected a floating dtype (or u8)");

  // the cubic kernel overshoots: bytes end at 0 and 255
  if (o.mode == bicubic && x.dtype() == Dtype::u8)
    return clamp(round(interpolate(x.to(Dtype::f32), o)), 0, 255).to(Dtype::u8);

  fn::SampleGeometry g;
  Shape out;
  for (int i = 0; i < D; ++i) {
    fn::SampleAxis& a = g.axis[3 - D + i];
    a.in = x.size(2 + i);
    const double factor = o.scale_factor.empty() ? 0 : o.scale_factor[i];
    WEFT_CHECK(!o.size.empty() || (factor > 0 && factor < 1e9), ValueError, "scale_factor ", factor,
               " must be a positive number");
    a.out = o.size.empty() ? static_cast<int64_t>(std::floor(static_cast<double>(a.in) * factor))
                           : o.size[o.size.size() == 1 ? 0 : i];
    WEFT_CHECK(a.in > 0 && a.out > 0, ShapeError, "sizes must be positive, but axis ", 2 + i, " goes from ", a.in,
               " to ", a.out);
    a.align_corners = o.align_corners.value_or(false);
    const bool by_factor = factor > 0 && !o.recompute_scale_factor;
    if (a.align_corners) a.scale = a.out > 1 ? static_cast<double>(a.in - 1) / static_cast<double>(a.out - 1) : 0;
    else if (by_factor) a.scale = 1 / factor;
    else if (smooth) a.scale = static_cast<double>(a.in) / static_cast<double>(a.out);
    else a.scale = static_cast<double>(static_cast<float>(a.in) / static_cast<float>(a.out));
    a.sampling = sampling_of(o, smooth);
    out.push_back(a.out);
  }
  if (o.mode == area) {
    if (D == 1) return adaptive_avg_pool1d(x, out[0]);
    if (D == 2) return adaptive_avg_pool2d(x, {out[0], out[1]});
    return adaptive_avg_pool3d(x, {out[0], out[1], out[2]});
  }
  return detail::resample(op, x, g);
}

}  // namespace weft
