#include "weft/autograd/ops/layer/pool.h"

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/layer/feature_layout.h"
#include "weft/autograd/ops/layer/resample.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

using fn::PoolAxis;
using fn::PoolGeometry;

/// x as a batch: [C, spatial...] gets a first axis, which `restore` takes away again.
struct Batched {
  Tensor x;
  bool added;
  Batched(const char* op, const Tensor& in, int D) : x(in), added(in.rank(op) == D + 1) {
    WEFT_CHECK(in.rank() == D + 1 || in.rank() == D + 2, ShapeError, op, ": input ", in.shape(), " has rank ",
               in.rank(), "; expected ", D + 2, " (or ", D + 1, " for one sample)");
    for (int i = 1; i <= D; ++i)
      WEFT_CHECK(in.shape()[-i] > 0, ShapeError, op, ": input ", in.shape(), " has an empty spatial axis");
    WEFT_CHECK(in.shape()[-D - 1] > 0, ShapeError, op, ": input ", in.shape(), " has no channels");
    if (added) x = in.unsqueeze(0);
  }
  Tensor restore(const Tensor& y) const { return added ? y.squeeze(0) : y; }
};

Shape volume_shape(int64_t N, int64_t C, const PoolGeometry& p, bool input) {
  Shape s{N, C};
  for (const PoolAxis& a : p.axis) s.push_back(input ? a.in : a.out);
  return s;
}
/// [N, C, D, H, W] back to `rank` axes.
Tensor flat_volume(const Tensor& v, int rank) {
  Shape s{v.size(0), v.size(1)};
  for (int i = 7 - rank; i < 5; ++i) s.push_back(v.size(i));
  return v.reshape(s);
}

template <int D, class Options>
PoolGeometry geometry(const char* op, const Tensor& x, const Options& o, const Dims<D>& dilation) {
  PoolGeometry g;
  for (int i = 0; i < D; ++i) {
    PoolAxis& a = g.axis[3 - D + i];
    a = {x.size(2 + i), 1, o.kernel_size[i], o.stride[i], o.padding[i], o.padding_hi[i], dilation[i], false};
    if (a.stride == kKernelSize) a.stride = a.kernel;
    if (a.pad_hi == -1) a.pad_hi = a.pad_lo;
    WEFT_CHECK(a.kernel > 0 && a.stride > 0 && a.dilation > 0, ValueError, op,
               ": kernel_size, stride and dilation must be positive, got ", a.kernel, ", ", a.stride, " and ",
               a.dilation);
    for (int64_t v : {a.kernel, a.stride, a.dilation, a.pad_lo, a.pad_hi})
      WEFT_CHECK(v <= INT32_MAX, ValueError, op, ": ", v, " is too large for a size, stride, padding or dilation");
    const int64_t extent = (a.kernel - 1) * a.dilation + 1;
    WEFT_CHECK(a.pad_lo >= 0 && a.pad_hi >= 0 && a.pad_lo <= extent / 2 && a.pad_hi <= extent / 2, ValueError, op,
               ": padding ", a.pad_lo, a.pad_hi != a.pad_lo ? str(" and ", a.pad_hi) : "",
               " must be at least 0 and at most half of the kernel's extent ", extent);
    const int64_t room = a.in + a.pad_lo + a.pad_hi - extent;
    a.out = (o.ceil_mode ? fn::ceil_div(room, a.stride) : fn::floor_div(room, a.stride)) + 1;
    if (o.ceil_mode && (a.out - 1) * a.stride >= a.in + a.pad_lo) --a.out;  // the last window must begin inside
    WEFT_CHECK(a.out >= 1, ShapeError, op, ": input ", x.shape(), " is too small for kernel_size ", a.kernel,
               " with padding ", a.pad_lo, " and dilation ", a.dilation, ": the output size would be ", a.out);
  }
  return g;
}

template <int D> PoolGeometry adaptive_geometry(const char* op, const Tensor& x, const OutputSize<D>& size) {
  PoolGeometry g;
  for (int i = 0; i < D; ++i) {
    PoolAxis& a = g.axis[3 - D + i];
    a.in = x.size(2 + i);
    a.out = size[i].value_or(a.in);
    WEFT_CHECK(a.out >= 0, ShapeError, op, ": output size ", a.out, " is negative");
    WEFT_CHECK(a.out <= INT32_MAX, ShapeError, op, ": output size ", a.out, " is too large");
    a.adaptive = true;
    for (int64_t k = 0; k < a.out; ++k) a.kernel = std::max(a.kernel, a.last(k));
  }
  return g;
}

// Max pooling on volumes ----------------------------------------------------------------------------------------------

Tensor pool_gather(const Tensor& x, const Tensor& taps, const PoolGeometry& g);

/// [N, C, out] -> [N, C, in]: each element goes where its window's winner is.
Tensor pool_scatter(const Tensor& grad, const Tensor& taps, const PoolGeometry& g) {
  const Tensor v = grad.contiguous(MemoryFormat::channels_last);
  Tensor dx = empty(volume_shape(v.size(0), v.size(1), g, true), v.options(), MemoryFormat::channels_last);
  if (v.numel() > 0) kernels::max_pool_scatter(v.device(), mut_ref(dx), ref(v), ref(taps), g);
  else dx.zero_();
  return record("max_pool_backward", dx, {v},
                [taps, g](BackwardCtx& c) -> Grads { return {pool_gather(c.grad(), taps, g)}; });
}
/// [N, C, in] -> [N, C, out]: each window's winner.
Tensor pool_gather(const Tensor& x, const Tensor& taps, const PoolGeometry& g) {
  const Tensor v = x.contiguous(MemoryFormat::channels_last);
  Tensor y = empty(volume_shape(v.size(0), v.size(1), g, false), v.options(), MemoryFormat::channels_last);
  if (y.numel() > 0) kernels::max_pool_gather(v.device(), mut_ref(y), ref(v), ref(taps), g);
  return record("max_pool_gather", y, {v},
                [taps, g](BackwardCtx& c) -> Grads { return {pool_scatter(c.grad(), taps, g)}; });
}

Pooled max_pool(const char* op, const Tensor& x, const PoolGeometry& g, bool with_indices) {
  WEFT_CHECK(x.dtype() != Dtype::boolean, DtypeError, op, ": input is bool; expected numbers");
  if (const Dtype d = x.dtype(); is_short(d)) {
    Pooled r = max_pool(op, x.to(compute_dtype(d)), g, with_indices);
    r.output = r.output.to(d);
    return r;
  }
  const Tensor v = detail::volume(x);
  Tensor y = empty(volume_shape(v.size(0), v.size(1), g, false), v.options(), MemoryFormat::channels_last);
  Tensor taps;
  if (with_indices || (grad_enabled() && v.requires_grad()))
    taps = empty(y.shape(), {g.taps() <= 256 ? Dtype::u8 : Dtype::i32, v.device()}, MemoryFormat::channels_last);
  if (y.numel() > 0) kernels::max_pool(v.device(), mut_ref(y), mut_ref(taps), ref(v), g);
  Pooled r;
  if (with_indices) {
    r.indices = empty(y.shape(), {Dtype::i64, v.device()}, MemoryFormat::channels_last);
    if (y.numel() > 0) kernels::max_pool_indices(v.device(), mut_ref(r.indices), ref(taps), g);
    r.indices = flat_volume(r.indices, x.rank());
  }
  y = record(op, y, {v}, [taps, g](BackwardCtx& c) -> Grads { return {pool_scatter(c.grad(), taps, g)}; });
  r.output = flat_volume(y, x.rank());
  return r;
}

template <int D> Pooled max_pool_of(const char* op, const Tensor& in, const MaxPoolOptions<D>& o, bool with_indices) {
  const Batched b(op, in, D);
  Pooled r = max_pool(op, b.x, geometry<D>(op, b.x, o, o.dilation), with_indices);
  return {b.restore(r.output), with_indices ? b.restore(r.indices) : Tensor()};
}
template <int D>
Pooled adaptive_max_of(const char* op, const Tensor& in, const OutputSize<D>& size, bool with_indices) {
  const Batched b(op, in, D);
  Pooled r = max_pool(op, b.x, adaptive_geometry<D>(op, b.x, size), with_indices);
  return {b.restore(r.output), with_indices ? b.restore(r.indices) : Tensor()};
}

// Average pooling: a linear map per axis ------------------------------------------------------------------------------

Tensor average(const char* op, const Tensor& x, const PoolGeometry& p, bool count_include_pad,
               std::optional<int64_t> divisor) {
  WEFT_CHECK(x.is_floating(), DtypeError, op, ": input is ", x.dtype(), "; expected a floating dtype");
  WEFT_CHECK(!divisor || *divisor != 0, ValueError, op, ": divisor_override must not be 0");
  fn::SampleGeometry g;
  for (int i = 0; i < 3; ++i) {
    fn::SampleAxis& a = g.axis[i];
    a.in = p.axis[i].in, a.out = p.axis[i].out;
    a.sampling = fn::Sampling::average;
    a.pool = p.axis[i];
    a.count_include_pad = count_include_pad;
    if (divisor) a.divisor = i == 2 ? static_cast<double>(*divisor) : 1;
  }
  return detail::resample(op, x, g);
}
template <int D> Tensor average_of(const char* op, const Tensor& in, const AvgPoolOptions<D>& o) {
  const Batched b(op, in, D);
  return b.restore(average(op, b.x, geometry<D>(op, b.x, o, Dims<D>(1)), o.count_include_pad, o.divisor_override));
}
template <int D> Tensor adaptive_average_of(const char* op, const Tensor& in, const OutputSize<D>& size) {
  const Batched b(op, in, D);
  return b.restore(average(op, b.x, adaptive_geometry<D>(op, b.x, size), true, std::nullopt));
}

// Of other poolings ---------------------------------------------------------------------------------------------------

template <int D> Tensor lp_pool_of(const char* op, const Tensor& x, const LpPoolOptions<D>& o) {
  check_defined(op, x);
  WEFT_CHECK(o.norm_type != 0, ValueError, op, ": norm_type must not be 0");
  Dims<D> stride = o.stride;
  for (int i = 0; i < D; ++i)
    if (stride[i] == 0) stride[i] = o.kernel_size[i];
  const Tensor m = average_of<D>(op, pow(x, o.norm_type),
                                 {.kernel_size = o.kernel_size, .stride = stride, .ceil_mode = o.ceil_mode});
  // the choice keeps the root's infinite slope at 0 out of the gradient
  return pow(where(ne(m, 0), m, 0) * static_cast<double>(Shape(o.kernel_size).numel()), 1 / o.norm_type);
}

template <int D>
Tensor max_unpool_of(const char* op, const Tensor& in, const Tensor& indices, const MaxUnpoolOptions<D>& o,
                     const std::optional<Shape>& output_size) {
  const OpName name(op);
  const Batched b(op, in, D);
  WEFT_CHECK(indices.shape(op) == in.shape(), ShapeError, "indices ", indices.shape(),
             " do not have the input's shape ", in.shape());
  WEFT_CHECK(!indices.is_floating(), DtypeError, "indices are ", indices.dtype(), "; expected ", kIndexDtypes);
  Shape size;
  for (int i = 0; i < D; ++i) {
    const int64_t stride = o.stride[i] == 0 ? o.kernel_size[i] : o.stride[i];
    WEFT_CHECK(o.kernel_size[i] > 0 && stride > 0 && o.padding[i] >= 0, ValueError,
               "kernel_size and stride must be positive and padding not negative, got ", o.kernel_size[i], ", ", stride,
               " and ", o.padding[i]);
    size.push_back((b.x.size(2 + i) - 1) * stride - 2 * o.padding[i] + o.kernel_size[i]);
    WEFT_CHECK(output_size || size[i] >= 0, ShapeError, "padding ", o.padding[i], " leaves nothing of input ",
               in.shape());
    if (!output_size) continue;
    WEFT_CHECK(output_size->size() >= D && output_size->size() <= D + 2, ValueError, "output_size ", *output_size,
               " must have ", D, " axes, or those of the whole result");
    const int64_t given = (*output_size)[i - D];
    WEFT_CHECK(given > size[i] - stride && given < size[i] + stride, ValueError, "output_size ", *output_size,
               " is not valid: axis ", i, " must be between ", size[i] - stride, " and ", size[i] + stride,
               " (both excluded)");
    size[i] = given;
  }
  return b.restore(max_unpool(b.x, b.added ? indices.unsqueeze(0) : indices, size));
}

// Fractional max pooling ----------------------------------------------------------------------------------------------

/// Where the windows of an axis begin, for samples u [N, C]: [N, C, out] i64. Rounded in u's dtype step by step, as
/// PyTorch does.
Tensor window_starts(const Tensor& u, int64_t in, int64_t out, int64_t kernel) {
  Tensor last = full({u.size(0), u.size(1), 1}, in - kernel, {Dtype::i64, u.device()});
  if (out == 1) return last;
  const Tensor a = full({1}, in - kernel, u.options()) / full({1}, out - 1, u.options());
  const Tensor i = arange(0, out - 1, 1, {Dtype::i64, u.device()}).to(u.dtype()), first = u.unsqueeze(-1);
  return cat({((i + first) * a).to(Dtype::i64) - (first * a).to(Dtype::i64), last}, -1);
}

template <int D>
Pooled fractional_of(const char* op, const Tensor& in, const FractionalMaxPoolOptions<D>& o, bool with_indices,
                     Generator* generator) {
  const Batched b(op, in, D);
  const Tensor& x = b.x;
  WEFT_CHECK(x.is_floating(), DtypeError, op, ": input is ", x.dtype(), "; expected a floating dtype");
  WEFT_CHECK(o.output_size != Dims<D>(0) || o.output_ratio.size() == 1 || o.output_ratio.size() == D, ValueError, op,
             ": needs either an output_size or an output_ratio, of one number or ", D);
  const int64_t N = x.size(0), C = x.size(1);
  Dims<D> size = o.output_size;
  for (int i = 0; i < D; ++i) {
    const int64_t have = x.size(2 + i), kernel = o.kernel_size[i];
    if (o.output_size == Dims<D>(0)) size[i] = static_cast<int64_t>(static_cast<double>(have) * o.output_ratio[i]);
    WEFT_CHECK(kernel > 0 && size[i] > 0, ValueError, op, ": kernel_size and output_size must be greater than 0, got ",
               kernel, " and ", size[i], " for axis ", i, " of input ", in.shape());
    WEFT_CHECK(size[i] <= have && kernel <= have - size[i] + 1, ShapeError, op, ": kernel_size ", kernel,
               " is too large for axis ", i, " of input ", in.shape(), ": with output_size ", size[i], " at most ",
               have - size[i] + 1, " fits");
  }
  const Tensor u = o.random_samples.defined() ? o.random_samples.detach() : rand({N, C, D}, x.options(), generator);
  WEFT_CHECK(u.rank() == 3 && u.size(0) >= N && u.size(1) == C && u.size(2) == D, ShapeError, op, ": random_samples ",
             u.shape(), " should be ", Shape{N, C, D});
  WEFT_CHECK(u.dtype() == x.dtype(), DtypeError, op, ": random_samples are ", u.dtype(), " but the input is ",
             x.dtype());

  const Tensor flat = x.reshape({N, C, x.shape().slice(2).numel()});
  Shape pooled{N, C};
  for (const int64_t s : size) pooled.push_back(s);
  Tensor best_at;
  {
    const NoGrad off;
    // the first element of each window, and how far from it the others are
    Tensor first = zeros({1}, {Dtype::i64, x.device()});
    std::vector<int64_t> offsets{0};
    for (int i = 0; i < D; ++i) {
      const int64_t step = x.shape().slice(3 + i).numel(), sample = D == 2 ? 1 - i : i;
      Shape along{N, C};
      for (int k = 0; k < D; ++k) along.push_back(k == i ? size[k] : 1);
      const Tensor starts = window_starts(u.narrow(0, 0, N).select(2, sample), x.size(2 + i), size[i],
                                          o.kernel_size[i]);
      first = first + starts.reshape(along) * step;
      std::vector<int64_t> all;
      for (const int64_t before : offsets)
        for (int64_t k = 0; k < o.kernel_size[i]; ++k) all.push_back(before + k * step);
      offsets = std::move(all);
    }
    first = best_at = first.reshape({N, C, Shape(size).numel()});
    const Tensor values = flat.detach();
    Tensor best = gather(values, 2, first);
    for (size_t k = 1; k < offsets.size(); ++k) {
      const Tensor at = first + offsets[k], next = gather(values, 2, at),
                   better = logical_or(gt(next, best), isnan(next));
      best = where(better, next, best);
      best_at = where(better, at, best_at);
    }
  }
  const Tensor y = gather(flat, 2, best_at).reshape(pooled).contiguous(MemoryFormat::channels_last);
  return {b.restore(y), with_indices ? b.restore(best_at.reshape(pooled)) : Tensor()};
}

}  // namespace

Tensor fractional_max_pool2d(const Tensor& x, const FractionalMaxPoolOptions<2>& o, Generator* g) {
  return fractional_of<2>("fractional_max_pool2d", x, o, false, g).output;
}
Tensor fractional_max_pool3d(const Tensor& x, const FractionalMaxPoolOptions<3>& o, Generator* g) {
  return fractional_of<3>("fractional_max_pool3d", x, o, false, g).output;
}
Pooled fractional_max_pool2d_with_indices(const Tensor& x, const FractionalMaxPoolOptions<2>& o, Generator* g) {
  const OpName op("fractional_max_pool2d_with_indices");
  return fractional_of<2>("fractional_max_pool2d", x, o, true, g);
}
Pooled fractional_max_pool3d_with_indices(const Tensor& x, const FractionalMaxPoolOptions<3>& o, Generator* g) {
  const OpName op("fractional_max_pool3d_with_indices");
  return fractional_of<3>("fractional_max_pool3d", x, o, true, g);
}

Tensor lp_pool1d(const Tensor& x, const LpPoolOptions<1>& o) { return lp_pool_of<1>("lp_pool1d", x, o); }
Tensor lp_pool2d(const Tensor& x, const LpPoolOptions<2>& o) { return lp_pool_of<2>("lp_pool2d", x, o); }
Tensor lp_pool3d(const Tensor& x, const LpPoolOptions<3>& o) { return lp_pool_of<3>("lp_pool3d", x, o); }
Tensor max_unpool1d(const Tensor& x, const Tensor& indices, const MaxUnpoolOptions<1>& o,
                    const std::optional<Shape>& output_size) {
  return max_unpool_of<1>("max_unpool1d", x, indices, o, output_size);
}
Tensor max_unpool2d(const Tensor& x, const Tensor& indices, const MaxUnpoolOptions<2>& o,
                    const std::optional<Shape>& output_size) {
  return max_unpool_of<2>("max_unpool2d", x, indices, o, output_size);
}
Tensor max_unpool3d(const Tensor& x, const Tensor& indices, const MaxUnpoolOptions<3>& o,
                    const std::optional<Shape>& output_size) {
  return max_unpool_of<3>("max_unpool3d", x, indices, o, output_size);
}

Tensor max_pool1d(const Tensor& x, const MaxPoolOptions<1>& o) {
  return max_pool_of<1>("max_pool1d", x, o, false).output;
}
Tensor max_pool2d(const Tensor& x, const MaxPoolOptions<2>& o) {
  return max_pool_of<2>("max_pool2d", x, o, false).output;
}
Tensor max_pool3d(const Tensor& x, const MaxPoolOptions<3>& o) {
  return max_pool_of<3>("max_pool3d", x, o, false).output;
}
Pooled max_pool1d_with_indices(const Tensor& x, const MaxPoolOptions<1>& o) {
  const OpName op("max_pool1d_with_indices");
  return max_pool_of<1>("max_pool1d", x, o, true);
}
Pooled max_pool2d_with_indices(const Tensor& x, const MaxPoolOptions<2>& o) {
  const OpName op("max_pool2d_with_indices");
  return max_pool_of<2>("max_pool2d", x, o, true);
}
Pooled max_pool3d_with_indices(const Tensor& x, const MaxPoolOptions<3>& o) {
  const OpName op("max_pool3d_with_indices");
  return max_pool_of<3>("max_pool3d", x, o, true);
}

Tensor avg_pool1d(const Tensor& x, const AvgPoolOptions<1>& o) { return average_of<1>("avg_pool1d", x, o); }
Tensor avg_pool2d(const Tensor& x, const AvgPoolOptions<2>& o) { return average_of<2>("avg_pool2d", x, o); }
Tensor avg_pool3d(const Tensor& x, const AvgPoolOptions<3>& o) { return average_of<3>("avg_pool3d", x, o); }

Tensor max_unpool(const Tensor& x, const Tensor& indices, const Shape& output_size) {
  WEFT_CHECK(x.rank() >= 3 && indices.shape() == x.shape() && output_size.size() == x.rank() - 2, ShapeError,
             "max_unpool: input ", x.shape(), ", indices ", indices.shape(), " and output_size ", output_size,
             " do not fit");
  const Shape flat{x.size(0), x.size(1), output_size.numel()}, pooled{x.size(0), x.size(1), x.shape().slice(2).numel()};
  Shape shape{x.size(0), x.size(1)};
  for (int64_t s : output_size) shape.push_back(s);
  return scatter(zeros(flat, x.options()), 2, indices.reshape(pooled), x.reshape(pooled)).reshape(shape);
}

Tensor adaptive_avg_pool1d(const Tensor& x, const OutputSize<1>& s) {
  return adaptive_average_of<1>("adaptive_avg_pool1d", x, s);
}
Tensor adaptive_avg_pool2d(const Tensor& x, const OutputSize<2>& s) {
  return adaptive_average_of<2>("adaptive_avg_pool2d", x, s);
}
Tensor adaptive_avg_pool3d(const Tensor& x, const OutputSize<3>& s) {
  return adaptive_average_of<3>("adaptive_avg_pool3d", x, s);
}
Tensor adaptive_max_pool1d(const Tensor& x, const OutputSize<1>& s) {
  return adaptive_max_of<1>("adaptive_max_pool1d", x, s, false).output;
}
Tensor adaptive_max_pool2d(const Tensor& x, const OutputSize<2>& s) {
  return adaptive_max_of<2>("adaptive_max_pool2d", x, s, false).output;
}
Tensor adaptive_max_pool3d(const Tensor& x, const OutputSize<3>& s) {
  return adaptive_max_of<3>("adaptive_max_pool3d", x, s, false).output;
}
Pooled adaptive_max_pool1d_with_indices(const Tensor& x, const OutputSize<1>& s) {
  const OpName op("adaptive_max_pool1d_with_indices");
  return adaptive_max_of<1>("adaptive_max_pool1d", x, s, true);
}
Pooled adaptive_max_pool2d_with_indices(const Tensor& x, const OutputSize<2>& s) {
  const OpName op("adaptive_max_pool2d_with_indices");
  return adaptive_max_of<2>("adaptive_max_pool2d", x, s, true);
}
Pooled adaptive_max_pool3d_with_indices(const Tensor& x, const OutputSize<3>& s) {
  const OpName op("adaptive_max_pool3d_with_indices");
  return adaptive_max_of<3>("adaptive_max_pool3d", x, s, true);
}

}  // namespace weft
