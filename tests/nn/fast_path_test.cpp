// Kernels made for speed at sizes around their vectors and blocks, in every layout: f32 and halves against f64, whose
// values the op table compares with plain loops.
#include <cmath>
#include <functional>

#include "support/here.h"
#include "support/ops.h"
#include "support/strided.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/layer/encoding.h"
#include "weft/autograd/ops/layer/weight.h"
#include "weft/nn/gram.h"

using namespace weft;

namespace {

/// Fixed parameters of a call: N(0, scale^2), rounded to the dtype under test and then widened to that of x.
struct Params {
  Dtype rounded;
  Tensor of(const Tensor& x, const Shape& shape, double scale = 1) const {
    Generator g(7);
    return (here::randn(shape, Dtype::f64, &g) * scale).to(rounded).to(x.dtype());
  }
};

struct Path {
  const char* name;
  std::function<Tensor(const Tensor& x, const Params& p)> call;  ///< x: [2, C, 7, 6]
  double half_units =
      4;  ///< error allowed in halves, in eps of (1 + |value|): one rounding, and those of what it is made of
};

/// 1 / sqrt(n): what keeps a sum of n products around 1.
double fan(int64_t n) { return 1 / std::sqrt(static_cast<double>(n)); }

std::vector<Path> convolution_paths() {
  return {
      {"conv2d",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return conv2d(x, p.of(x, {5, c, 3, 3}, fan(9 * c)), p.of(x, {5}), {.padding = 1});
       }},
      {"conv2d, strided and dilated",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return conv2d(x, p.of(x, {17, c, 2, 3}, fan(6 * c)), {}, {.stride = {1, 2}, .padding = 2, .dilation = 2});
       }},
      {"conv2d 1x1",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return conv2d(x, p.of(x, {c, c, 1, 1}, fan(c)), p.of(x, {c}));
       }},
      {"conv2d, each channel alone",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return conv2d(x, p.of(x, {2 * c, 1, 3, 3}, fan(9)), {}, {.padding = 1, .groups = c});
       }},
      {"conv1d of wide rows",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return conv1d(x.flatten(2), p.of(x, {8, c, 5}, fan(5 * c)), {}, {.stride = 2, .padding = 3});
       }},
      {"conv_transpose2d",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return conv_transpose2d(x, p.of(x, {c, 3, 3, 3}, fan(3 * c)), p.of(x, {3}),
                                 {.stride = 2, .padding = 1, .output_padding = 1});
       }},
      {"conv_transpose2d, kernel as stride",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return conv_transpose2d(x, p.of(x, {c, c, 2, 2}, fan(c)), {}, {.stride = 2});
       }},
      {"conv_transpose2d, each channel alone",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return conv_transpose2d(x, p.of(x, {c, 1, 3, 3}, fan(9)), {}, {.groups = c, .dilation = 2});
       }},
  };
}

std::vector<Path> feature_paths() {
  using Mode = InterpolateMode;
  return {
      {"max_pool2d",
       [](const Tensor& x, const Params&) { return max_pool2d(x, {.kernel_size = 3, .stride = 2, .padding = 1}); }},
      {"max_pool2d, dilated",
       [](const Tensor& x, const Params&) { return max_pool2d(x, {.kernel_size = 2, .stride = 1, .dilation = 3}); }},
      {"avg_pool2d",
       [](const Tensor& x, const Params&) {
         return avg_pool2d(x, {.kernel_size = 3, .stride = 1, .padding = 1, .count_include_pad = false});
       }},
      {"adaptive_avg_pool2d",
       [](const Tensor& x, const Params&) {
         return adaptive_avg_pool2d(x, {3, 4});
       }},
      {"global average", [](const Tensor& x, const Params&) { return adaptive_avg_pool2d(x, 1); }},
      // statistics, their differences and their gradients are rounded apart
      {"batch_norm",
       [](const Tensor& x, const Params& p) {
         const Shape c{x.size(1)};
         return batch_norm(x, {}, {}, p.of(x, c), p.of(x, c), {.training = true, .activation = Activation::leaky_relu});
       },
       16},
      {"instance_norm", [](const Tensor& x, const Params&) { return instance_norm(x); }, 16},
      {"group_norm",
       [](const Tensor& x, const Params& p) { return group_norm(x, 1, p.of(x, {x.size(1)}), p.of(x, {x.size(1)})); },
       16},
      {"layer_norm of channels",
       [](const Tensor& x, const Params&) {
         return layer_norm(x.permute({0, 2, 3, 1}), {x.size(1)}, {}, {}, 0.1);
       },
       16},
      {"rms_norm of rows",
       [](const Tensor& x, const Params&) {
         return rms_norm(x, {7, 6}, {}, 0.1);
       },
       16},
      {"softmax of channels", [](const Tensor& x, const Params&) { return softmax(x, 1); }},
      {"pad, reflected",
       [](const Tensor& x, const Params&) {
         return pad(x, {2, 1, 3, 0}, PadMode::reflect);
       }},
      {"pad, around",
       [](const Tensor& x, const Params&) {
         return pad(x, {1, 0, 0, 4}, PadMode::circular);
       }},
      {"nearest", [](const Tensor& x, const Params&) { return interpolate(x, {.scale_factor = 2}); }},
      {"bilinear",
       [](const Tensor& x, const Params&) {
         return interpolate(x, {.size = {5, 11}, .mode = Mode::bilinear});
       }},
      {"bicubic",
       [](const Tensor& x, const Params&) {
         return interpolate(x, {.size = {9, 4}, .mode = Mode::bicubic});
       },
       8},
      {"pixel_shuffle",
       [](const Tensor& x, const Params&) {
         return pixel_shuffle(cat({x, x * 2, x * 3, x * 4}, 1), 2);
       }},
  };
}

std::vector<Path> product_paths() {
  return {
      {"standardize_weight",
       [](const Tensor& x, const Params& p) { return standardize_weight(x, p.of(x, {2}), WSVariant::nfnet); }, 16},
      {"encode",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return encode(x.flatten(2).transpose(1, 2), p.of(x, {5, c}), p.of(x, {5}, 0.5 / static_cast<double>(c))) / 8;
       },
       16},
      {"gram_matrix", [](const Tensor& x, const Params&) { return gram_matrix(x) * static_cast<double>(x.size(1)); },
       8},
      {"attention",
       [](const Tensor& x, const Params&) {
         const Tensor rows = x.flatten(2).transpose(1, 2).unsqueeze(1);  // [2, 1, 42, C]
         return scaled_dot_product_attention(rows, rows * 0.5, rows);
       },
       64},  // scores of up to 8 are rounded before exp
      {"linear",
       [](const Tensor& x, const Params& p) {
         const int64_t c = x.size(1);
         return linear(x.permute({0, 2, 3, 1}), p.of(x, {c, c}, fan(c)), p.of(x, {c}));
       }},
  };
}

/// Value and input gradient in one dtype and layout.
std::pair<Tensor, Tensor> run_path(const Path& path, Tensor x, const Params& p) {
  x.set_requires_grad();
  const Tensor y = path.call(x, p);
  Generator g(9);
  const Tensor u = here::randn(y.shape(), Dtype::f64, &g).to(p.rounded).to(y.dtype());
  return {y.detach(), grad({y}, {x}, {.grad_outputs = {u}})[0]};
}

/// Empty if all are within tolerance (1 + |want|).
std::string far_off(const Tensor& got, const Tensor& want, double tolerance) {
  if (got.shape() != want.shape()) return str("shape ", got.shape(), ", expected ", want.shape());
  const std::vector<double> g = got.to_vector<double>(), w = want.to_vector<double>();
  for (size_t i = 0; i < g.size(); ++i)
    if (!(std::abs(g[i] - w[i]) <= tolerance * (1 + std::abs(w[i]))))
      return str("element ", i, " is ", g[i], ", expected ", w[i], " (tolerance ", tolerance, ")");
  return "";
}

void check_paths(const std::vector<Path>& paths) {
  const std::pair<Dtype, double> dtypes[] = {{Dtype::f32, 0x1p-23}, {Dtype::bf16, 0x1p-7}, {Dtype::f16, 0x1p-10}};
  const std::function<Tensor(const Tensor&)> layouts[] = {[](const Tensor& t) { return t.clone(); },
                                                          support::channels_last, support::scattered};
  for (const Path& path : paths)
    for (const int64_t c : {1, 3, 8, 16, 17, 64, 65})
      for (const auto& [d, eps] : dtypes) {
        if (d != Dtype::f32 && c != 3 && c != 17 && c != 64) continue;
        Generator g(3);
        const Tensor x = here::randn({2, c, 7, 6}, Dtype::f64, &g).to(d);
        const Params p{d};
        const auto want = run_path(path, x.to(Dtype::f64).clone(), p);
        for (size_t l = 0; l < 3; ++l) {
          const std::string where = str(path.name, ", ", c, " channels, ", name(d), ", layout ", l);
          INFO(where);
          const auto got = run_path(path, layouts[l](x), p);
          CHECK(got.first.dtype() == d);
          // f32 sums up to 600 products in another order; a gradient in halves passes one rounding more
          const double units = d == Dtype::f32 ? 64 * support::slack() : path.half_units;
          const std::string value = far_off(got.first, want.first, units * eps),
                            gradient = far_off(got.second, want.second, 2 * units * eps);
          CHECK_MESSAGE(value.empty(), value);
          CHECK_MESSAGE(gradient.empty(), "gradient: ", gradient);
        }
      }
}

}  // namespace

TEST_SUITE("fast paths") {
  DEVICE_TEST_CASE("convolutions at awkward sizes, in every layout and dtype") { check_paths(convolution_paths()); }
  DEVICE_TEST_CASE("pools, norms, pads and resizing at awkward sizes, in every layout and dtype") {
    check_paths(feature_paths());
  }
  DEVICE_TEST_CASE("products, encodings and attention at awkward sizes, in every layout and dtype") {
    check_paths(product_paths());
  }
}
