#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/io/image.h"

namespace weft::io {

namespace {

double lanczos3(double x) {
  if (x == 0) return 1;
  if (x <= -3 || x >= 3) return 0;
  double p = std::numbers::pi * x;
  return 3 * std::sin(p) * std::sin(p / 3) / (p * p);
}

/// For each output index: where its inputs begin, how many they are, and their weights (`taps` apart).
struct Plan {
  int64_t taps = 0;
  std::vector<int64_t> begin, count;
  std::vector<float> weight;

  Plan(int64_t in, int64_t out, ResizeFilter filter) {
    double scale = static_cast<double>(in) / static_cast<double>(out), widen = std::max(scale, 1.0);
    double radius = (filter == ResizeFilter::area ? 0.5 : 3.0) * widen;
    taps = 2 * static_cast<int64_t>(std::ceil(radius)) + 2;
    weight.resize(static_cast<size_t>(taps * out));
    std::vector<double> values(static_cast<size_t>(taps));
    for (int64_t i = 0; i < out; ++i) {
      double centre = (static_cast<double>(i) + 0.5) * scale, low = centre - radius, high = centre + radius, sum = 0;
      int64_t first = std::max<int64_t>(0, static_cast<int64_t>(std::floor(low)));
      int64_t last = std::min(in, static_cast<int64_t>(std::ceil(high)));
      for (int64_t k = first; k < last; ++k) {
        double at = static_cast<double>(k);
        double v = filter == ResizeFilter::area ? std::min(at + 1, high) - std::max(at, low)
                                                : lanczos3((at + 0.5 - centre) / widen);
        sum += values[static_cast<size_t>(k - first)] = v;
      }
      for (int64_t k = 0; k < last - first; ++k)
        weight[static_cast<size_t>(i * taps + k)] = static_cast<float>(values[static_cast<size_t>(k)] / sum);
      begin.push_back(first);
      count.push_back(last - first);
    }
  }
};

/// in: [rows, length, inner] -> out: [rows, plan.begin.size(), inner], weighted sums along the middle axis.
void resample(const float* in, float* out, int64_t rows, int64_t length, int64_t inner, const Plan& plan) {
  int64_t out_length = static_cast<int64_t>(plan.begin.size());
  parallel_for(rows * out_length, std::max<int64_t>(1, kSerialBelow / (inner * plan.taps)), [&](int64_t b, int64_t e) {
    for (int64_t r = b; r < e; ++r) {
      int64_t i = r % out_length;
      const float* w = plan.weight.data() + i * plan.taps;
      const float* p = in + (r / out_length * length + plan.begin[static_cast<size_t>(i)]) * inner;
      float* y = out + r * inner;
      for (int64_t c = 0; c < inner; ++c) y[c] = 0;
      for (int64_t k = 0; k < plan.count[static_cast<size_t>(i)]; ++k, p += inner)
        for (int64_t c = 0; c < inner; ++c) y[c] += w[k] * p[c];
    }
  });
}

/// x: [H, W, ...]. The pixel under the centre of output i, (i + 0.5) in / out, in exact arithmetic.
Tensor nearest(const Tensor& x, int64_t height, int64_t width) {
  int64_t h = x.size(0), w = x.size(1);
  Shape shape = x.shape();
  shape[0] = height;
  shape[1] = width;
  Tensor y = empty(shape, x.dtype());
  size_t pixel = x.nbytes() / static_cast<size_t>(h * w);
  const auto* in = static_cast<const std::byte*>(x.raw_data());
  auto* out = static_cast<std::byte*>(y.mut_raw_data());
  for (int64_t i = 0; i < height; ++i)
    for (int64_t j = 0; j < width; ++j, out += pixel) {
      int64_t u = (2 * i + 1) * h / (2 * height), v = (2 * j + 1) * w / (2 * width);
      std::memcpy(out, in + static_cast<size_t>(u * w + v) * pixel, pixel);
    }
  return y;
}

}  // namespace

Tensor resize_image(const Tensor& image, int64_t height, int64_t width, Choice<ResizeFilter> filter) {
  bool copies = filter == ResizeFilter::nearest;
  WEFT_CHECK((image.rank() == 3 || (copies && image.rank() == 2)) && image.numel() > 0, ShapeError,
             "resize_image: expected [H, W, C]", copies ? " or [H, W]" : "", ", got ", image.shape(),
             !copies && image.rank() == 2 ? "; ResizeFilter::nearest takes [H, W]" : "");
  WEFT_CHECK(height > 0 && width > 0 && height <= 1 << 20 && width <= 1 << 20, ValueError, "resize_image: cannot make ",
             height, " x ", width, " pixels");
  if (copies) return nearest(image.detach().to(Device()).contiguous(), height, width);
  WEFT_CHECK(image.dtype() == Dtype::u8 || image.dtype() == Dtype::f32, DtypeError,
             "resize_image: expected u8 or f32, got ", image.dtype(), "; ResizeFilter::nearest takes every dtype");
  int64_t h = image.size(0), w = image.size(1), channels = image.size(2);
  Tensor x = image.detach().to(Dtype::f32).contiguous();
  Tensor wide = empty({h, width, channels}), y = empty({height, width, channels});
  resample(x.data<float>(), wide.mut_data<float>(), h, w, channels, Plan(w, width, filter));
  resample(wide.data<float>(), y.mut_data<float>(), 1, h, width * channels, Plan(h, height, filter));
  return image.dtype() == Dtype::f32 ? y : batch_to_image(y.permute({2, 0, 1}));
}

}  // namespace weft::io
