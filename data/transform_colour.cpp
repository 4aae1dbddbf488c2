#include "weft/data/transform_colour.h"

#include <numeric>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/core/factory.h"
#include "weft/data/transform_detail.h"

namespace weft::data {

namespace {

/// f(image) in the name of `op`; a volume [C, D, H, W] is shown as a picture [C, D H, W].
template <class F> void change_image(const char* op, View& v, const F& f) {
  if (!v.image.defined()) return;
  detail::check_view(op, v);
  const OpName name(op);
  const Shape shape = v.image.shape();
  if (shape.size() == 3) v.image = f(v.image);
  else v.image = f(v.image.reshape({shape[0], shape[1] * shape[2], shape[3]})).reshape(shape);
}

/// Of one number: that one.
Range sigmas(const Range& r) { return {r.around ? r.high : r.low, r.high}; }

bool nothing(const Range& r, double neutral) { return r.low == neutral && r.high == neutral; }

}  // namespace

void ColorJitter::check() const {
  detail::check_range("ColorJitter", "brightness", brightness.about_one(), 0, 1e6);
  detail::check_range("ColorJitter", "contrast", contrast.about_one(), 0, 1e6);
  detail::check_range("ColorJitter", "saturation", saturation.about_one(), 0, 1e6);
  detail::check_range("ColorJitter", "hue", hue, -0.5, 0.5);
}
void ColorJitter::operator()(View& v, Generator& g) const {
  check();
  std::array<int, 4> order{0, 1, 2, 3};
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[g.below(i)]);
  const Range ranges[4] = {brightness.about_one(), contrast.about_one(), saturation.about_one(), hue};
  double factor[4];
  for (size_t i = 0; i < 4; ++i) factor[i] = ranges[i].draw(g);
  change_image("ColorJitter", v, [&](Tensor x) {
    for (const int i : order) {
      if (nothing(ranges[i], i == 3 ? 0 : 1)) continue;
      if (i == 0) x = functional::adjust_brightness(x, factor[i]);
      if (i == 1) x = functional::adjust_contrast(x, factor[i]);
      if (i == 2) x = functional::adjust_saturation(x, factor[i]);
      if (i == 3) x = functional::adjust_hue(x, factor[i]);
    }
    return x;
  });
}
std::string ColorJitter::str() const {
  return detail::described("ColorJitter", "brightness", brightness.about_one(), "contrast", contrast.about_one(),
                           "saturation", saturation.about_one(), "hue", hue);
}

void RandomGrayscale::check() const { detail::check_probability("RandomGrayscale", p); }
void RandomGrayscale::operator()(View& v, Generator& g) const {
  check();
  if (g.uniform() < p)
    change_image("RandomGrayscale", v, [](const Tensor& x) { return functional::rgb_to_grayscale(x, x.size(-3)); });
}
std::string RandomGrayscale::str() const { return detail::described("RandomGrayscale", "p", p); }

void RandomGamma::check() const { detail::check_range("RandomGamma", "gamma", gamma.about_one(), 0, 1e3); }
void RandomGamma::operator()(View& v, Generator& g) const {
  check();
  const double drawn = gamma.about_one().draw(g);
  change_image("RandomGamma", v, [&](const Tensor& x) { return functional::adjust_gamma(x, drawn, gain); });
}
std::string RandomGamma::str() const {
  return detail::described("RandomGamma", "gamma", gamma.about_one(), "gain", gain);
}

void GaussianBlur::check() const {
  WEFT_CHECK(kernel_size[0] > 0 && kernel_size[0] % 2 == 1 &&
                 (kernel_size[1] == 0 || (kernel_size[1] > 0 && kernel_size[1] % 2 == 1)),
             ValueError, "GaussianBlur: kernel_size is [", kernel_size[0], ", ", kernel_size[1],
             "]; expected odd positive numbers");
  detail::check_range("GaussianBlur", "sigma", sigmas(sigma), 1e-6, 1e6);
}
void GaussianBlur::operator()(View& v, Generator& g) const {
  check();
  if (!v.image.defined()) return;
  detail::check_view("GaussianBlur", v);
  const OpName name("GaussianBlur");
  const double drawn = sigmas(sigma).draw(g);
  v.image = functional::gaussian_blur(v.image, {kernel_size[0], kernel_size[1] ? kernel_size[1] : kernel_size[0]},
                                      {drawn, drawn});
}
std::string GaussianBlur::str() const {
  return detail::described("GaussianBlur", "kernel_size", kernel_size, "sigma", sigmas(sigma));
}

void GaussianNoise::check() const {
  WEFT_CHECK(sigma >= 0, ValueError, "GaussianNoise: sigma is ", sigma, "; expected 0 or more");
}
void GaussianNoise::operator()(View& v, Generator& g) const {
  check();
  change_image("GaussianNoise", v, [&](const Tensor& x) {
    const bool bytes = x.dtype() == Dtype::u8;
    WEFT_CHECK(bytes || x.is_floating(), DtypeError, "GaussianNoise: expected u8 or floats, got ", x.dtype());
    const double range = bytes ? 255 : 1;
    const Tensor drawn = randn(x.shape(), {bytes ? Dtype::f32 : x.dtype(), x.device()}, &g);
    const Tensor noise = drawn * (sigma * range) + mean * range;
    const Tensor y = bytes ? x.to(Dtype::i32) + noise.to(Dtype::i32) : x + noise;
    return (clip ? clamp(y, 0, range) : y).to(x.dtype());
  });
}
std::string GaussianNoise::str() const {
  return detail::described("GaussianNoise", "mean", mean, "sigma", sigma, "clip", clip);
}

void Normalize::check() const {
  WEFT_CHECK(!mean.empty() && !std.empty(), ValueError, "Normalize: ", mean.size(), " means and ", std.size(), " stds");
  for (const double s : std) WEFT_CHECK(s != 0, ValueError, "Normalize: a std is 0");
}
void Normalize::operator()(View& v, Generator&) const {
  check();
  WEFT_CHECK(!v.image.defined() || v.image.is_floating(), DtypeError, "Normalize: expected floats, got ",
             v.image.dtype(), "; put ToFloat before it");
  change_image("Normalize", v, [&](const Tensor& x) { return functional::normalize(x, mean, std); });
}
bool detail::to_float_and_normalize(const AnyTransform& first, const AnyTransform& second, View& v) {
  const Normalize* normalize = second.as<Normalize>();
  const Tensor& x = v.image;
  if (!first.as<ToFloat>() || !normalize || !x.defined() || x.rank() != 3 || x.dtype() != Dtype::u8 || !x.is_cpu())
    return false;
  const int64_t channels = x.size(0), height = x.size(1), width = x.size(2);
  const auto fits = [&](const std::vector<double>& each) { return each.size() == 1 || std::ssize(each) == channels; };
  if (!fits(normalize->mean) || !fits(normalize->std)) return false;  // Normalize says so
  check_view("Normalize", v);
  // The value of each byte in each channel, by the functions themselves.
  const Tensor bytes = functional::to_dtype(arange(256).to(Dtype::u8), Dtype::f32, true).expand({channels, 1, 256});
  const Tensor table = functional::normalize(bytes, normalize->mean, normalize->std).contiguous();
  const float* values = table.data<float>();
  const bool pixels = channels > 1 && x.stride(0) == 1;
  Tensor y = pixels ? empty({height, width, channels}).permute({2, 0, 1}) : empty(x.shape());
  const auto* in = x.data<uint8_t>();
  float* out = y.mut_data<float>();
  const Strides &s = x.strides(), &t = y.strides();
  for (int64_t i = 0; i < height; ++i) {
    const uint8_t* p = in + i * s[1];
    float* q = out + i * t[1];
    if (pixels && channels == 3 && s[2] == 3) {
      for (int64_t j = 0; j < 3 * width; j += 3) {
        q[j] = values[p[j]];
        q[j + 1] = values[256 + p[j + 1]];
        q[j + 2] = values[512 + p[j + 2]];
      }
      continue;
    }
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t j = 0; j < width; ++j) q[c * t[0] + j * t[2]] = values[c * 256 + p[c * s[0] + j * s[2]]];
  }
  v.image = y;
  return true;
}
std::string Normalize::str() const { return detail::described("Normalize", "mean", mean, "std", std); }

void ToDtype::operator()(View& v, Generator&) const {
  if (v.image.defined()) v.image = functional::to_dtype(v.image, dtype, scale);
}
std::string ToDtype::str() const { return detail::described("ToDtype", "dtype", weft::str(dtype), "scale", scale); }

void ToFloat::operator()(View& v, Generator&) const {
  if (v.image.defined()) v.image = functional::to_dtype(v.image, Dtype::f32, true);
}
std::string ToFloat::str() const { return "ToFloat()"; }

}  // namespace weft::data
