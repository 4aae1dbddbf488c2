// Separable resampling of planes and volumes, axis by axis from the last one on.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <tuple>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/layer/resize.h"
#include "weft/core/factory.h"
#include "weft/core/fn/integer.h"
#include "weft/core/kernels/picture.h"
#include "weft/core/parallel.h"
#include "weft/data/transform_detail.h"

namespace weft::data {
namespace detail {
namespace {

double sinc(double x) { return x == 0 ? 1 : std::sin(std::numbers::pi * x) / (std::numbers::pi * x); }

double cubic(double u, double a) {
  if (u < 1) return ((a + 2) * u - (a + 3)) * u * u + 1;
  return u < 2 ? (((u - 5) * u + 8) * u - 4) * a : 0;
}

double kernel(Interpolation mode, double x) {
  const double u = std::abs(x);
  switch (mode) {
    case Interpolation::box: return x > -0.5 && x <= 0.5 ? 1 : 0;
    case Interpolation::bicubic: return cubic(u, -0.5);  // Pillow's
    case Interpolation::lanczos: return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    default: return u < 1 ? 1 - u : 0;
  }
}

double radius(Interpolation mode) {
  switch (mode) {
    case Interpolation::box: return 0.5;
    case Interpolation::bicubic: return 2;
    case Interpolation::lanczos: return 3;
    default: return 1;
  }
}

constexpr int kLanes = 8;  // 16-bit weights that are multiplied together

/// For each output index: where its inputs begin, how many they are, and their weights (`width` apart, whole lanes,
/// filled up with zeros). Bytes have weights of 16 bits, in units of 2^-precision.
struct Taps {
  int64_t width = 0;
  int precision = 0;
  std::vector<int64_t> begin, count;
  std::vector<float> real;
  std::vector<int16_t> fixed;

  Taps(int64_t in, int64_t out, Interpolation mode, bool antialias) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double widen = antialias ? std::max(scale, 1.0) : 1, support = radius(mode) * widen;
    width = fn::ceil_div(2 * static_cast<int64_t>(std::ceil(support)) + 1, kLanes) * kLanes;
    std::vector<double> weight(static_cast<size_t>(width * out));
    double most = 0;
    for (int64_t i = 0; i < out; ++i) {
      const double centre = scale * (static_cast<double>(i) + 0.5);
      double* w = weight.data() + i * width;
      if (mode == Interpolation::bicubic && !antialias) add_cubic(w, centre - 0.5, in);
      else add(w, centre, support, widen, in, mode);
      for (int64_t k = 0; k < count.back(); ++k) most = std::max(most, w[k]);
    }
    while (precision < 22 && 0.5 + most * (1 << (precision + 1)) < 1 << 15) ++precision;
    for (const double w : weight) {
      real.push_back(static_cast<float>(w));
      fixed.push_back(static_cast<int16_t>(std::lround(w * (1 << precision))));
    }
  }

  /// The inputs of the outputs [first, last): from where to where.
  std::pair<int64_t, int64_t> reach(int64_t first, int64_t last) const {
    const auto a = static_cast<size_t>(first), b = static_cast<size_t>(last - 1);
    return {begin[a], begin[b] + count[b]};
  }
  /// Those of the outputs [first, last) alone, of inputs that begin `shift` later.
  void cut(int64_t first, int64_t last, int64_t shift) {
    const auto keep = [&](auto& v, int64_t step) {
      v.erase(v.begin() + last * step, v.end());
      v.erase(v.begin(), v.begin() + first * step);
    };
    keep(begin, 1), keep(count, 1), keep(real, width), keep(fixed, width);
    for (int64_t& b : begin) b -= shift;
  }

  /// The kernel's values at the inputs that it reaches, with a sum of 1.
  void add(double* w, double centre, double support, double widen, int64_t in, Interpolation mode) {
    const int64_t first = std::max(static_cast<int64_t>(centre - support + 0.5), int64_t{0});
    const int64_t n = std::min(static_cast<int64_t>(centre + support + 0.5), in) - first;
    double sum = 0;
    for (int64_t k = 0; k < n; ++k) sum += w[k] = kernel(mode, (static_cast<double>(k + first) - centre + 0.5) / widen);
    for (int64_t k = 0; k < n && sum != 0; ++k) w[k] /= sum;
    begin.push_back(first);
    count.push_back(n);
  }

  /// PyTorch's plain cubic kernel: a = -0.75, and the edge's pixel stands for those beyond.
  void add_cubic(double* w, double at, int64_t in) {
    const auto before = static_cast<int64_t>(std::floor(at)) - 1;
    const int64_t first = std::clamp(before, int64_t{0}, in - 1);
    for (int64_t j = before; j < before + 4; ++j)
      w[std::clamp(j, int64_t{0}, in - 1) - first] += cubic(std::abs(static_cast<double>(j) - at), -0.75);
    begin.push_back(first);
    count.push_back(std::min(before + 4, in) - first);
  }
};

/// One output of `inner` neighbours.
void each(const float* p, float* y, const float* w, int64_t n, int64_t inner) {
  for (int64_t c = 0; c < inner; ++c) {
    float sum = 0;
    for (int64_t k = 0; k < n; ++k) sum += w[k] * p[k * inner + c];
    y[c] = sum;
  }
}

/// The same of 16 neighbours, whose sums stay in registers.
void sixteen(const float* p, float* y, const float* w, int64_t n, int64_t inner) {
  float sum[16] = {};
  for (int64_t k = 0; k < n; ++k, p += inner)
    for (int c = 0; c < 16; ++c) sum[c] += w[k] * p[c];
  std::copy_n(sum, 16, y);
}

/// in: [rows, length, inner] -> out: [rows, taps.begin.size(), inner], weighted sums along the middle axis.
void resample(const float* in, float* out, int64_t rows, int64_t length, int64_t inner, const Taps& taps) {
  const auto out_length = static_cast<int64_t>(taps.begin.size());
  const int64_t grain = std::max<int64_t>(1, kSerialBelow / (inner * taps.width));
  weft::parallel_for(rows * out_length, grain, [&](int64_t b, int64_t e) {
    for (int64_t r = b; r < e; ++r) {
      const int64_t i = r % out_length, n = taps.count[static_cast<size_t>(i)];
      const float* w = taps.real.data() + i * taps.width;
      const float* p = in + (r / out_length * length + taps.begin[static_cast<size_t>(i)]) * inner;
      float* y = out + r * inner;
      int64_t c = 0;
      for (; c + 16 <= inner; c += 16) sixteen(p + c, y + c, w, n, inner);
      if (c == inner) continue;
      if (inner >= 16) sixteen(p + inner - 16, y + inner - 16, w, n, inner);
      else each(p, y, w, n, inner);
    }
  });
}

/// How much lies before and behind an axis of a contiguous tensor.
int64_t product(const Shape& s, int64_t from, int64_t to) {
  int64_t n = 1;
  for (int64_t i = from; i < to; ++i) n *= s[static_cast<int>(i)];
  return n;
}

/// x: contiguous, u8 or f32.
Tensor resample_axis(const Tensor& x, int64_t axis, const Taps& taps) {
  Shape shape = x.shape();
  shape[static_cast<int>(axis)] = std::ssize(taps.begin);
  const int64_t rows = product(shape, 0, axis), inner = product(shape, axis + 1, shape.size());
  Tensor y = empty({rows, shape[static_cast<int>(axis)], inner}, x.dtype());
  if (x.dtype() == Dtype::u8) {
    const Tensor lines = x.reshape({rows, x.size(axis), inner});
    kernels::resample_bytes(x.device(), mut_ref(y), ref(lines),
                            {taps.begin.data(), taps.count.data(), taps.fixed.data(), taps.width, taps.precision});
  } else {
    resample(x.data<float>(), y.mut_data<float>(), rows, x.size(axis), inner, taps);
  }
  return y.reshape(shape);
}

}  // namespace

Tensor resample_axis(const Tensor& in, int64_t axis, int64_t size, Interpolation mode, bool antialias) {
  const Tensor x = in.contiguous();
  return x.size(axis) == size ? x : resample_axis(x, axis, Taps(x.size(axis), size, mode, antialias));
}

Tensor resize_part(const Tensor& x, Size to, const Part& part, Interpolation mode, bool antialias) {
  const bool pixels = x.size(0) > 1 && x.stride(0) == 1;
  Tensor y = pixels ? x.permute({1, 2, 0}) : x;
  const int64_t h = pixels ? 0 : 1, height = y.size(h), width = y.size(h + 1), part_end = part.top + part.size.height;
  std::optional<Taps> down;
  int64_t first = part.top, last = part_end;  // the rows that the part is made of
  if (height != to.height) {
    down.emplace(height, to.height, mode, antialias);
    std::tie(first, last) = down->reach(part.top, part_end);
    down->cut(part.top, part_end, first);
  }
  y = y.narrow(h, first, last - first);
  if (width == to.width) {
    y = y.narrow(h + 1, part.left, part.size.width);
  } else {
    Taps taps(width, to.width, mode, antialias);
    taps.cut(part.left, part.left + part.size.width, 0);
    y = resample_axis(y.contiguous(), h + 1, taps);
  }
  if (down) y = resample_axis(y.contiguous(), h, *down);
  return pixels ? y.permute({2, 0, 1}) : y;
}

Tensor nearest_axis(const Tensor& x, int64_t axis, int64_t size, bool exact) {
  const int64_t n = x.size(axis);
  if (n == size) return x;
  // in f32, as PyTorch
  const float scale = static_cast<float>(n) / static_cast<float>(size), half = exact ? 0.5f : 0.0f;
  std::vector<int64_t> from;
  for (int64_t i = 0; i < size; ++i)
    from.push_back(std::min(static_cast<int64_t>(std::floor((static_cast<float>(i) + half) * scale)), n - 1));
  return index_select(x, axis, tensor(from).to(x.device()));
}

}  // namespace detail

namespace functional {
namespace {

/// x: [N, C, H, W], u8 or f32. Pictures stored pixel by pixel stay so.
Tensor resize_own(const Tensor& x, Size to, const ResizeOptions& o) {
  const bool pixels = x.size(1) > 1 && x.is_channels_last();
  Tensor y = pixels ? x.permute({0, 2, 3, 1}) : x;
  const int64_t h = pixels ? 1 : 2;
  y = detail::resample_axis(y, h + 1, to.width, o.interpolation, o.antialias);
  y = detail::resample_axis(y, h, to.height, o.interpolation, o.antialias);
  return pixels ? y.permute({0, 3, 1, 2}) : y;
}

}  // namespace

Size resized(Size picture, Size size, std::optional<int64_t> max_size) {
  const auto part = [](int64_t a, int64_t b, int64_t c) {
    return static_cast<int64_t>(static_cast<double>(a * b) / static_cast<double>(c));
  };
  WEFT_CHECK(size.width == 0 || !max_size, ValueError, "resize: max_size ", max_size.value_or(0),
             " is for one number, the shorter side, but the size is [", size.height, ", ", size.width, "]");
  Size to = size;
  if (size.width == 0) {
    const bool upright = picture.width <= picture.height;
    const int64_t shorter = upright ? picture.width : picture.height, longer = upright ? picture.height : picture.width;
    int64_t short_to = size.height, long_to = part(size.height, longer, shorter);
    if (max_size) {
      WEFT_CHECK(*max_size > size.height, ValueError, "resize: max_size ", *max_size,
                 " must be larger than the shorter side's ", size.height);
      if (long_to > *max_size) short_to = part(*max_size, short_to, long_to), long_to = *max_size;
    }
    to = upright ? Size{long_to, short_to} : Size{short_to, long_to};
  }
  WEFT_CHECK(to.height > 0 && to.width > 0, ValueError, "resize: cannot make ", to.height, " x ", to.width,
             " pixels of ", picture.height, " x ", picture.width);
  return to;
}

Tensor resize(const Tensor& x, Size size, const ResizeOptions& o) {
  WEFT_CHECK(x.rank() >= 2 && x.numel() > 0, ShapeError, "resize: expected [..., H, W], got ", x.shape());
  const Size from{x.size(-2), x.size(-1)}, to = resized(from, size, o.max_size);
  if (to == from) return x;
  const bool nearest = o.interpolation == Interpolation::nearest || o.interpolation == Interpolation::nearest_exact;
  WEFT_CHECK(
      o.antialias || nearest || o.interpolation == Interpolation::bilinear || o.interpolation == Interpolation::bicubic,
      ValueError, "resize: ", o.interpolation.text(), " has no form without antialias");
  Shape shape = x.shape();
  shape[x.rank() - 2] = to.height;
  shape[x.rank() - 1] = to.width;
  const int64_t channels = x.rank() == 2 ? 1 : x.size(-3);
  const Tensor v = x.rank() == 4   ? x
                   : x.rank() == 3 ? x.unsqueeze(0)
                                   : x.reshape({-1, channels, from.height, from.width});
  const Dtype d = x.dtype();
  if (nearest) {
    const bool exact = o.interpolation == Interpolation::nearest_exact;
    const Tensor rows = detail::nearest_axis(x, x.rank() - 2, to.height, exact);
    return detail::nearest_axis(rows, x.rank() - 1, to.width, exact);
  }
  const bool smooth = o.interpolation == Interpolation::bilinear || o.interpolation == Interpolation::bicubic;
  if (d == Dtype::u8 || !smooth) {
    WEFT_CHECK(x.is_cpu(), NotSupported, "resize: ", o.interpolation.text(), " of ", d, " is only for the CPU, got ",
               x.device(), "; convert to f32 and take bilinear or bicubic");
    const NoGrad no_grad;
    const Tensor y = resize_own(d == Dtype::u8 ? v.detach() : v.detach().to(Dtype::f32), to, o);
    return (y.dtype() == d || x.is_floating() ? y : round(y)).to(d).reshape(shape);
  }
  const InterpolateOptions options{.size = {to.height, to.width},
                                   .mode = o.interpolation == Interpolation::bicubic ? "bicubic" : "bilinear",
                                   .align_corners = false,
                                   .antialias = o.antialias};
  if (x.is_floating()) return interpolate(v, options).reshape(shape);
  return round(interpolate(v.to(Dtype::f32), options)).to(d).reshape(shape);
}

}  // namespace functional
}  // namespace weft::data
