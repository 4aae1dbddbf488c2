// Pooling over 1, 2 or 3 spatial axes. x [N, C, spatial...] or unbatched [C, spatial...]; results are stored
// channels-last. Errors: ShapeError for a rank that does not fit or an output without elements; ValueError for padding
// above half the kernel.
#pragma once

#include <optional>

#include "weft/autograd/ops/layer/conv_options.h"
#include "weft/autograd/ops/layer/resize.h"
#include "weft/core/generator.h"
#include "weft/core/results.h"

namespace weft {

/// A pool's stride that is its kernel's size: the default. 0 is refused.
inline constexpr int64_t kKernelSize = INT64_MIN;

/// Windows of max pooling. Output size: floor((in + padding - dilation (kernel_size - 1) - 1) / stride) + 1, both
/// sides' padding together; ceil instead of floor with ceil_mode.
template <int D> struct MaxPoolOptions {
  ByName by_name = {};
  Dims<D> kernel_size;           ///< of the window; required
  Dims<D> stride = kKernelSize;  ///< steps of the window
  Dims<D> padding = 0;           ///< of -inf, before and after each axis
  Dims<D> padding_hi = -1;       ///< after each axis, where that differs; -1: as padding
  Dims<D> dilation = 1;          ///< distance of the window's elements
  bool ceil_mode = false;        ///< windows may hang over the end
};
/// Windows of average pooling; sizes as for max pooling.
template <int D> struct AvgPoolOptions {
  ByName by_name = {};
  Dims<D> kernel_size;            ///< of the window; required
  Dims<D> stride = kKernelSize;   ///< steps of the window
  Dims<D> padding = 0;            ///< of zeros, before and after each axis
  Dims<D> padding_hi = -1;        ///< as for MaxPoolOptions
  bool ceil_mode = false;         ///< windows may hang over the end
  bool count_include_pad = true;  ///< divide by the window's size, padding included; otherwise by its elements in x
  std::optional<Int> divisor_override = std::nullopt;  ///< divide by this instead; not 0
};
/// A pooled tensor, and (i64) where each maximum lies in its channel's flattened volume.
WEFT_RESULT(Pooled, output, indices);

/// The greatest element of each window; the gradient goes to the first of equals in row-major order. NaN wins.
WEFT_API Tensor max_pool1d(const Tensor& x, const MaxPoolOptions<1>& o);
WEFT_API Tensor max_pool2d(const Tensor& x, const MaxPoolOptions<2>& o);
WEFT_API Tensor max_pool3d(const Tensor& x, const MaxPoolOptions<3>& o);
WEFT_API Pooled max_pool1d_with_indices(const Tensor& x, const MaxPoolOptions<1>& o);
WEFT_API Pooled max_pool2d_with_indices(const Tensor& x, const MaxPoolOptions<2>& o);
WEFT_API Pooled max_pool3d_with_indices(const Tensor& x, const MaxPoolOptions<3>& o);
/// PyTorch's order of arguments: `max_pool2d(x, 2)`, `max_pool2d(x, 3, 2, 1)`.
inline Tensor max_pool1d(const Tensor& x, const Dims<1>& kernel_size, const Dims<1>& stride = kKernelSize,
                         const Dims<1>& padding = 0) {
  return max_pool1d(x, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
inline Tensor max_pool2d(const Tensor& x, const Dims<2>& kernel_size, const Dims<2>& stride = kKernelSize,
                         const Dims<2>& padding = 0) {
  return max_pool2d(x, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
inline Tensor max_pool3d(const Tensor& x, const Dims<3>& kernel_size, const Dims<3>& stride = kKernelSize,
                         const Dims<3>& padding = 0) {
  return max_pool3d(x, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
inline Pooled max_pool1d_with_indices(const Tensor& x, const Dims<1>& kernel_size, const Dims<1>& stride = kKernelSize,
                                      const Dims<1>& padding = 0) {
  return max_pool1d_with_indices(x, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
inline Pooled max_pool2d_with_indices(const Tensor& x, const Dims<2>& kernel_size, const Dims<2>& stride = kKernelSize,
                                      const Dims<2>& padding = 0) {
  return max_pool2d_with_indices(x, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
inline Pooled max_pool3d_with_indices(const Tensor& x, const Dims<3>& kernel_size, const Dims<3>& stride = kKernelSize,
                                      const Dims<3>& padding = 0) {
  return max_pool3d_with_indices(x, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}

/// The mean of each window.
WEFT_API Tensor avg_pool1d(const Tensor& x, const AvgPoolOptions<1>& o);
WEFT_API Tensor avg_pool2d(const Tensor& x, const AvgPoolOptions<2>& o);
WEFT_API Tensor avg_pool3d(const Tensor& x, const AvgPoolOptions<3>& o);
/// PyTorch's order of arguments.
inline Tensor avg_pool1d(const Tensor& x, const Dims<1>& kernel_size, const Dims<1>& stride = kKernelSize,
                         const Dims<1>& padding = 0) {
  return avg_pool1d(x, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
inline Tensor avg_pool2d(const Tensor& x, const Dims<2>& kernel_size, const Dims<2>& stride = kKernelSize,
                         const Dims<2>& padding = 0) {
  return avg_pool2d(x, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
inline Tensor avg_pool3d(const Tensor& x, const Dims<3>& kernel_size, const Dims<3>& stride = kKernelSize,
                         const Dims<3>& padding = 0) {
  return avg_pool3d(x, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}

/// Windows of lp_pool*d, and the norm's order.
template <int D> struct LpPoolOptions {
  double norm_type;        ///< p; not 0
  Dims<D> kernel_size;     ///< of the window; required
  Dims<D> stride = 0;      ///< 0: kernel_size
  bool ceil_mode = false;  ///< windows may hang over the end
};
/// (sum over each window of x^norm_type)^(1 / norm_type); the gradient is 0 where the sum is. A window that hangs over
/// the end (ceil_mode) counts as the mean of what it has times its full size, as in PyTorch.
WEFT_API Tensor lp_pool1d(const Tensor& x, const LpPoolOptions<1>& o);
WEFT_API Tensor lp_pool2d(const Tensor& x, const LpPoolOptions<2>& o);
WEFT_API Tensor lp_pool3d(const Tensor& x, const LpPoolOptions<3>& o);
/// PyTorch's order of arguments.
inline Tensor lp_pool1d(const Tensor& x, double norm_type, const Dims<1>& kernel_size, const Dims<1>& stride = 0) {
  return lp_pool1d(x, {.norm_type = norm_type, .kernel_size = kernel_size, .stride = stride});
}
inline Tensor lp_pool2d(const Tensor& x, double norm_type, const Dims<2>& kernel_size, const Dims<2>& stride = 0) {
  return lp_pool2d(x, {.norm_type = norm_type, .kernel_size = kernel_size, .stride = stride});
}
inline Tensor lp_pool3d(const Tensor& x, double norm_type, const Dims<3>& kernel_size, const Dims<3>& stride = 0) {
  return lp_pool3d(x, {.norm_type = norm_type, .kernel_size = kernel_size, .stride = stride});
}

/// The windows of the max pooling that is inverted.
template <int D> struct MaxUnpoolOptions {
  ByName by_name = {};
  Dims<D> kernel_size;  ///< of the window; required
  Dims<D> stride = 0;   ///< 0: kernel_size
  Dims<D> padding = 0;  ///< as of the max pooling
};
/// Partial inverse of max_pool*d with the same options: max_unpool to the size (in - 1) stride - 2 padding +
/// kernel_size, or to `output_size` (of the spatial axes, or the whole shape), which may differ from that by less than
/// a stride. ValueError otherwise.
WEFT_API Tensor max_unpool1d(const Tensor& x, const Tensor& indices, const MaxUnpoolOptions<1>& o,
                             const std::optional<Shape>& output_size = {});
WEFT_API Tensor max_unpool2d(const Tensor& x, const Tensor& indices, const MaxUnpoolOptions<2>& o,
                             const std::optional<Shape>& output_size = {});
WEFT_API Tensor max_unpool3d(const Tensor& x, const Tensor& indices, const MaxUnpoolOptions<3>& o,
                             const std::optional<Shape>& output_size = {});
/// PyTorch's order of arguments.
inline Tensor max_unpool1d(const Tensor& x, const Tensor& indices, const Dims<1>& kernel_size,
                           const Dims<1>& stride = 0, const Dims<1>& padding = 0) {
  return max_unpool1d(x, indices, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
inline Tensor max_unpool2d(const Tensor& x, const Tensor& indices, const Dims<2>& kernel_size,
                           const Dims<2>& stride = 0, const Dims<2>& padding = 0) {
  return max_unpool2d(x, indices, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
inline Tensor max_unpool3d(const Tensor& x, const Tensor& indices, const Dims<3>& kernel_size,
                           const Dims<3>& stride = 0, const Dims<3>& padding = 0) {
  return max_unpool3d(x, indices, {.kernel_size = kernel_size, .stride = stride, .padding = padding});
}
/// Puts each element of x [N, C, spatial...] where `indices` (as max_pool*_with_indices gave them) says, zeros
/// elsewhere; the result has the spatial sizes `output_size`. Where indices repeat, one of their elements stays.
/// ValueError for one out of range.
WEFT_API Tensor max_unpool(const Tensor& x, const Tensor& indices, const Shape& output_size);

/// Options of fractional_max_pool*d: either output_size or output_ratio.
template <int D> struct FractionalMaxPoolOptions {
  ByName by_name = {};
  Dims<D> kernel_size;            ///< of the window; required
  Dims<D> output_size = 0;        ///< of the spatial axes; 0: from output_ratio
  ScaleFactor output_ratio = {};  ///< sizes floor(ratio in), one ratio for all axes or one for each
  /// [N, C, D] in [0, 1), x's dtype: where the windows lie, for axes (W, H) or (D, H, W); more samples than N are left
  /// unread. Drawn unless given.
  Tensor random_samples = {};
};
/// The greatest element of each of output_size windows whose starts are spread over an axis at random: with a = (in -
/// kernel) / (out - 1) and a sample u, window i begins at floor((i + u) a) - floor(u a), the last at in - kernel. The
/// gradient goes to the first of equals; NaN wins. A pass over the output for each element of the kernel. As torch's
/// fractional_max_pool2d, 3d (Graham 2014). ValueError for neither or bad sizes; ShapeError where out + kernel - 1 >
/// in, or for samples of another shape. `g` defaults to this thread's generator.
[[nodiscard]] WEFT_API Tensor fractional_max_pool2d(const Tensor& x, const FractionalMaxPoolOptions<2>& o,
                                                    Generator* g = nullptr);
[[nodiscard]] WEFT_API Tensor fractional_max_pool3d(const Tensor& x, const FractionalMaxPoolOptions<3>& o,
                                                    Generator* g = nullptr);
[[nodiscard]] WEFT_API Pooled fractional_max_pool2d_with_indices(const Tensor& x, const FractionalMaxPoolOptions<2>& o,
                                                                 Generator* g = nullptr);
[[nodiscard]] WEFT_API Pooled fractional_max_pool3d_with_indices(const Tensor& x, const FractionalMaxPoolOptions<3>& o,
                                                                 Generator* g = nullptr);

/// Sizes of an adaptive pooling's result; an empty one keeps the input's size.
template <int D> class OutputSize {
 public:
  template <Integer I> OutputSize(I all) { v_.fill(static_cast<int64_t>(all)); }
  OutputSize(const std::array<std::optional<int64_t>, D>& v) : v_(v) {}
  template <detail::ConvertsTo<std::optional<Int>>... I>
  requires(sizeof...(I) == D && D > 1) OutputSize(I... i) : v_{std::optional<Int>(i)...} {}
  /// The size of axis i, or empty.
  const std::optional<int64_t>& operator[](int i) const { return v_[static_cast<size_t>(i)]; }
  friend bool operator==(const OutputSize&, const OutputSize&) = default;

 private:
  std::array<std::optional<int64_t>, D> v_;
};
/// The mean or maximum of `output_size` windows along each axis: window i is [floor(i in / out), ceil((i + 1) in /
/// out)). -> [N, C, output_size...].
WEFT_API Tensor adaptive_avg_pool1d(const Tensor& x, const OutputSize<1>& output_size);
WEFT_API Tensor adaptive_avg_pool2d(const Tensor& x, const OutputSize<2>& output_size);
WEFT_API Tensor adaptive_avg_pool3d(const Tensor& x, const OutputSize<3>& output_size);
WEFT_API Tensor adaptive_max_pool1d(const Tensor& x, const OutputSize<1>& output_size);
WEFT_API Tensor adaptive_max_pool2d(const Tensor& x, const OutputSize<2>& output_size);
WEFT_API Tensor adaptive_max_pool3d(const Tensor& x, const OutputSize<3>& output_size);
WEFT_API Pooled adaptive_max_pool1d_with_indices(const Tensor& x, const OutputSize<1>& output_size);
WEFT_API Pooled adaptive_max_pool2d_with_indices(const Tensor& x, const OutputSize<2>& output_size);
WEFT_API Pooled adaptive_max_pool3d_with_indices(const Tensor& x, const OutputSize<3>& output_size);

}  // namespace weft
