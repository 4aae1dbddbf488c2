// Colours, blur and values, without chance. Bytes go through tables and loops that cut as torchvision's f32 does;
// floats through ops.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/bitwise.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/conv.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/ops/shape/stack.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/data/transform_detail.h"

namespace weft::data {
namespace detail {

Tensor gaussian_window(int64_t kernel_size, double sigma, Dtype dtype) {
  const double half = static_cast<double>(kernel_size - 1) / 2;
  const Tensor at = linspace(-half, half, kernel_size, Dtype::f64);
  return softmax(at * at * (-0.5 / (sigma * sigma)), 0).to(dtype);
}

Tensor blur_axis(const Tensor& x, int64_t axis, int64_t kernel_size, double sigma) {
  const int64_t n = x.size(axis), half = kernel_size / 2;
  if (kernel_size == 1) return x;
  const Tensor padded = pad_axis(x, axis, half, half, PaddingMode::reflect).movedim(axis, -1);
  const Tensor w = gaussian_window(kernel_size, sigma, x.dtype()).to(x.device()).reshape({1, 1, 1, kernel_size});
  Shape shape = padded.shape();
  shape[x.rank() - 1] = n;
  const Tensor rows = padded.reshape({1, 1, -1, n + 2 * half});
  return conv2d(rows, w).reshape(shape).movedim(-1, axis);
}

}  // namespace detail

namespace functional {
namespace {

/// As `a * b + c` in one rounding: the product of two floats is exact in f64.
float fused(float a, float b, float c) {
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(c));
}

uint8_t cut(float v) { return static_cast<uint8_t>(std::clamp(v, 0.0f, 255.0f)); }

float grey_of(const uint8_t* p, int64_t plane) {
  return fused(p[2 * plane], 0.114f, fused(p[plane], 0.587f, static_cast<float>(p[0]) * 0.2989f));
}

/// factor v + (1 - factor) other, as torchvision's bytes.
uint8_t blend(uint8_t v, float other, double factor) {
  return cut(fused(other, static_cast<float>(1 - factor), static_cast<float>(v) * static_cast<float>(factor)));
}
Tensor blend(const Tensor& x, const Tensor& other, double factor) {
  return clamp(x * factor + other * (1 - factor), 0, 1);
}

int64_t check_colours(const char* op, const Tensor& x) {
  WEFT_CHECK(x.rank() == 3 || x.rank() == 4, ShapeError, op, ": expected [C, H, W] or [N, C, H, W], got ", x.shape());
  const int64_t c = x.size(-3);
  WEFT_CHECK(c == 1 || c == 3, ShapeError, op, ": expected 1 or 3 channels, got ", c, " of ", x.shape());
  WEFT_CHECK(x.is_floating() || x.dtype() == Dtype::u8, DtypeError, op, ": expected u8 or floats, got ", x.dtype());
  WEFT_CHECK(x.is_floating() || x.is_cpu(), NotSupported, op, ": u8 is only for the CPU; convert to floats");
  return c;
}

void check_factor(const char* op, double factor) {
  WEFT_CHECK(factor >= 0 && factor < 1e9, ValueError, op, ": the factor is ", factor, "; expected 0 or more");
}

/// f(byte) of every byte.
template <class F> Tensor map_bytes(const Tensor& x, const F& f) {
  std::array<uint8_t, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = f(static_cast<uint8_t>(i));
  const Tensor in = x.contiguous();
  Tensor y = empty(in.shape(), Dtype::u8);
  const auto* from = in.data<uint8_t>();
  auto* to = y.mut_data<uint8_t>();
  weft::parallel_for(in.numel(), kSerialBelow, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) to[i] = table[from[i]];
  });
  return y;
}

/// f(pixel of x, pixel of the result, distance of channels from, and to) for each pixel of [N, C, H, W].
template <class T, class F> Tensor map_pixels(const Tensor& x, int64_t channels, const F& f) {
  const Tensor in = x.contiguous();
  Shape shape = x.shape();
  shape[x.rank() - 3] = channels;
  Tensor y = empty(shape, x.dtype());
  const int64_t plane = x.size(-1) * x.size(-2), c = x.size(-3);
  const T* from = in.data<T>();
  T* to = y.mut_data<T>();
  weft::parallel_for(x.numel() / std::max(c, int64_t{1}), kSerialBelow / 8, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i)
      f(from + i / plane * c * plane + i % plane, to + i / plane * channels * plane + i % plane, plane);
  });
  return y;
}

Tensor grey(const Tensor& x) {
  const auto c = unbind(x, -3);
  return (c[0] * 0.2989 + c[1] * 0.587 + c[2] * 0.114).unsqueeze(-3);
}

/// The most of an integer dtype.
double highest(Dtype d) {
  switch (d) {
    case Dtype::u8: return 255;
    case Dtype::i8: return 127;
    case Dtype::i16: return 32767;
    case Dtype::u16: return 65535;
    case Dtype::i32: return 2147483647;
    case Dtype::i64: return 9223372036854775807.0;
    default: raise<DtypeError>("to_dtype: ", d, " has no scale");
  }
}

/// r, g, b in [0, 1] with the hue turned by `by` of the circle.
std::array<float, 3> turned(float r, float g, float b, float by) {
  const float most = std::max({r, g, b}), range = most - std::min({r, g, b});
  if (range == 0) return {r, g, b};
  const float s = range / most, rc = (most - r) / range, gc = (most - g) / range, bc = (most - b) / range;
  float h = most == r ? bc - gc : most == g ? rc + 2.0f - bc : gc + 4.0f - rc;
  h = std::fmod(h * (1.0f / 6) + 1.0f, 1.0f) + by;
  h -= std::floor(h);
  const float sector = std::floor(h * 6), f = h * 6 - sector, sf = s * f;
  const auto value = [&](float v) { return std::clamp(v * most, 0.0f, 1.0f); };
  const float q = value(1.0f - sf), t = value(sf + (1.0f - s)), p = value(1.0f - s);
  switch (static_cast<int>(sector) % 6) {
    case 0: return {most, t, p};
    case 1: return {q, most, p};
    case 2: return {p, most, t};
    case 3: return {p, q, most};
    case 4: return {t, p, most};
    default: return {most, p, q};
  }
}

constexpr float kByte = 1.0f / 255;
/// [0, 1] to a byte: floor(255.999 v).
uint8_t to_byte(float v) { return static_cast<uint8_t>(v * static_cast<float>(256 - 1e-3)); }

/// [C] or [1] as [C, 1, 1].
Tensor per_channel(const char* op, const char* what, const std::vector<double>& v, const Tensor& x) {
  const auto n = static_cast<int64_t>(v.size());
  WEFT_CHECK(n == 1 || n == x.size(-3), ShapeError, op, ": ", n, " values of ", what, " for ", x.size(-3),
             " channels of ", x.shape());
  return tensor(v, {n, 1, 1}, Dtype::f64).to(x.options());
}

}  // namespace

Tensor rgb_to_grayscale(const Tensor& x, int64_t channels) {
  WEFT_CHECK(channels == 1 || channels == 3, ValueError, "rgb_to_grayscale: channels is ", channels,
             "; expected 1 or 3");
  if (check_colours("rgb_to_grayscale", x) == 1) return channels == 1 ? x.clone() : cat({x, x, x}, -3);
  Tensor y;
  if (x.is_floating()) y = grey(x);
  else
    y = map_pixels<uint8_t>(
        x, 1, [](const uint8_t* p, uint8_t* q, int64_t plane) { *q = static_cast<uint8_t>(grey_of(p, plane)); });
  return channels == 1 ? y : cat({y, y, y}, -3);
}

Tensor adjust_brightness(const Tensor& x, double factor) {
  check_factor("adjust_brightness", factor);
  check_colours("adjust_brightness", x);
  if (x.is_floating()) return clamp(x * factor, 0, 1);
  return map_bytes(x, [&](uint8_t v) { return cut(static_cast<float>(v) * static_cast<float>(factor)); });
}

Tensor adjust_contrast(const Tensor& x, double factor) {
  check_factor("adjust_contrast", factor);
  const int64_t c = check_colours("adjust_contrast", x);
  if (x.is_floating()) return blend(x, mean(c == 3 ? grey(x) : x, {-3, -2, -1}, true), factor);
  if (x.rank() == 4) {
    std::vector<Tensor> each;
    for (int64_t i = 0; i < x.size(0); ++i) each.push_back(adjust_contrast(x[i], factor));
    return each.empty() ? x : stack(each);
  }
  const Tensor greys = rgb_to_grayscale(x).contiguous();
  const auto* p = greys.data<uint8_t>();
  int64_t sum = 0;
  for (int64_t i = 0; i < greys.numel(); ++i) sum += p[i];
  const auto middle = static_cast<float>(static_cast<double>(sum) /
                                         static_cast<double>(std::max(greys.numel(), int64_t{1})));
  return map_bytes(x, [&](uint8_t v) { return blend(v, middle, factor); });
}

Tensor adjust_saturation(const Tensor& x, double factor) {
  check_factor("adjust_saturation", factor);
  if (check_colours("adjust_saturation", x) == 1) return x;
  if (x.is_floating()) return blend(x, grey(x), factor);
  return map_pixels<uint8_t>(x, 3, [&](const uint8_t* p, uint8_t* q, int64_t plane) {
    const float g = std::floor(grey_of(p, plane));
    for (int64_t c = 0; c < 3; ++c) q[c * plane] = blend(p[c * plane], g, factor);
  });
}

Tensor adjust_hue(const Tensor& x, double factor) {
  WEFT_CHECK(factor >= -0.5 && factor <= 0.5, ValueError, "adjust_hue: the factor is ", factor,
             "; expected a part of the circle in [-0.5, 0.5]");
  if (check_colours("adjust_hue", x) == 1) return x;
  const auto by = static_cast<float>(factor);
  if (x.dtype() == Dtype::u8)
    return map_pixels<uint8_t>(x, 3, [&](const uint8_t* p, uint8_t* q, int64_t plane) {
      const auto rgb = turned(p[0] * kByte, p[plane] * kByte, p[2 * plane] * kByte, by);
      for (int64_t c = 0; c < 3; ++c) q[c * plane] = to_byte(rgb[static_cast<size_t>(c)]);
    });
  const Tensor y = map_pixels<float>(x.detach().cpu().to(Dtype::f32), 3, [&](const float* p, float* q, int64_t plane) {
    const auto rgb = turned(p[0], p[plane], p[2 * plane], by);
    for (int64_t c = 0; c < 3; ++c) q[c * plane] = rgb[static_cast<size_t>(c)];
  });
  return y.to(x.options());
}

Tensor adjust_gamma(const Tensor& x, double gamma, double gain) {
  WEFT_CHECK(gamma >= 0, ValueError, "adjust_gamma: gamma is ", gamma, "; expected 0 or more");
  WEFT_CHECK(x.is_floating() || x.dtype() == Dtype::u8, DtypeError, "adjust_gamma: expected u8 or floats, got ",
             x.dtype());
  if (x.is_floating()) return gain == 1 ? pow(x, gamma) : clamp(pow(x, gamma) * gain, 0, 1);
  return map_bytes(x.cpu(),
                   [&](uint8_t v) {
                     float y = std::pow(static_cast<float>(v) * kByte, static_cast<float>(gamma));
                     if (gain != 1) y = std::clamp(y * static_cast<float>(gain), 0.0f, 1.0f);
                     return to_byte(y);
                   })
      .to(x.device());
}

Tensor gaussian_blur(const Tensor& x, std::array<int64_t, 2> kernel_size, std::array<double, 2> sigma) {
  WEFT_CHECK(x.rank() >= 2, ShapeError, "gaussian_blur: expected [..., H, W], got ", x.shape());
  for (const int64_t k : kernel_size)
    WEFT_CHECK(k > 0 && k % 2 == 1, ValueError, "gaussian_blur: kernel_size is [", kernel_size[0], ", ", kernel_size[1],
               "]; expected odd positive numbers");
  for (const double s : sigma)
    WEFT_CHECK(s > 0, ValueError, "gaussian_blur: sigma is [", sigma[0], ", ", sigma[1],
               "]; expected positive numbers");
  WEFT_CHECK(kernel_size[0] / 2 < x.size(-1) && kernel_size[1] / 2 < x.size(-2), ValueError,
             "gaussian_blur: kernel_size [", kernel_size[0], ", ", kernel_size[1], "] is too wide for a picture of ",
             x.size(-2), " x ", x.size(-1), ", whose edges are reflected");
  if (x.numel() == 0) return x;
  const bool real = x.dtype() == Dtype::f32 || x.dtype() == Dtype::f64;
  Tensor y = real ? x : x.to(Dtype::f32);
  y = detail::blur_axis(y, x.rank() - 1, kernel_size[0], sigma[0]);
  y = detail::blur_axis(y, x.rank() - 2, kernel_size[1], sigma[1]);
  return real ? y : (x.is_floating() ? y : round(y)).to(x.dtype());
}

Tensor gaussian_blur(const Tensor& x, int64_t kernel_size) {
  const double sigma = static_cast<double>(kernel_size) * 0.15 + 0.35;
  return gaussian_blur(x, {kernel_size, kernel_size}, {sigma, sigma});
}

Tensor normalize(const Tensor& x, const std::vector<double>& mean, const std::vector<double>& std) {
  WEFT_CHECK(x.is_floating(), DtypeError, "normalize: expected floats, got ", x.dtype(),
             "; convert with to_dtype first");
  WEFT_CHECK(x.rank() >= 3, ShapeError, "normalize: expected [..., C, H, W], got ", x.shape());
  for (const double s : std) WEFT_CHECK(s != 0, ValueError, "normalize: a std is 0");
  return (x - per_channel("normalize", "mean", mean, x)) / per_channel("normalize", "std", std, x);
}

Tensor to_dtype(const Tensor& x, Dtype dtype, Only<bool> scale) {
  const Dtype from = x.dtype();
  if (from == dtype || !scale || (weft::is_floating(from) && weft::is_floating(dtype))) return x.to(dtype);
  const double most = weft::is_floating(dtype) ? highest(from) : highest(dtype);
  if (weft::is_floating(dtype)) return x.to(dtype) * (1 / most);
  if (!weft::is_floating(from)) {
    const double ratio = (most + 1) / (highest(from) + 1);
    const auto by = static_cast<int64_t>(ratio >= 1 ? ratio : 1 / ratio);
    return ratio >= 1 ? x.to(dtype) * by : floor_divide(x, by).to(dtype);
  }
  WEFT_CHECK(!(from == Dtype::f32 && (dtype == Dtype::i32 || dtype == Dtype::i64)) && dtype != Dtype::i64, NotSupported,
             "to_dtype: ", dtype, " has more values than ", from, " can count");
  return (x * (most + 1 - 1e-3)).to(dtype);
}

}  // namespace functional
}  // namespace weft::data
