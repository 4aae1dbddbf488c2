// Convolution by its definition: loops over every index, sums in f64. What every fast path is compared with.
#pragma once

#include <vector>

#include "weft/core/conv_params.h"

namespace weft::test {

/// One visit (x index, w index, y index) per product that a convolution consists of, in row-major logical order of the
/// three tensors.
template <class F>
void for_each_product(const Shape& x, const Shape& w, const Shape& y, const ConvParams& p, const F& visit) {
  const int axes = x.size() - 2;
  int64_t in = 1, out = 1, taps = 1;
  for (int i = 0; i < axes; ++i) in *= x[i + 2], out *= y[i + 2], taps *= w[i + 2];
  const int64_t o_per_group = w[0] / p.groups;
  for (int64_t n = 0; n < y[0]; ++n)
    for (int64_t o = 0; o < y[1]; ++o)
      for (int64_t at = 0; at < out; ++at)
        for (int64_t tap = 0; tap < taps; ++tap) {
          int64_t rest_y = at, rest_k = tap, step = 1, source = 0;
          bool inside = true;
          for (int i = axes - 1; i >= 0; --i) {
            const int64_t s = rest_y % y[i + 2] * p.stride[i] + rest_k % w[i + 2] * p.dilation[i] - p.padding_lo[i];
            rest_y /= y[i + 2], rest_k /= w[i + 2];
            inside = inside && s >= 0 && s < x[i + 2];
            source += s * step;
            step *= x[i + 2];
          }
          if (!inside) continue;
          for (int64_t c = 0; c < w[1]; ++c)
            visit((n * x[1] + o / o_per_group * w[1] + c) * in + source, (o * w[1] + c) * taps + tap,
                  (n * y[1] + o) * out + at);
        }
}

/// y, x_grad or w_grad (the one that is empty on entry is computed from the other two).
inline std::vector<double> reference_conv(const std::vector<double>& x, const std::vector<double>& w,
                                          const std::vector<double>& g, const Shape& xs, const Shape& ws,
                                          const Shape& ys, const ConvParams& p) {
  const Shape& shape = x.empty() ? xs : w.empty() ? ws : ys;
  std::vector<double> result(static_cast<size_t>(shape.numel()));
  for_each_product(xs, ws, ys, p, [&](int64_t i, int64_t j, int64_t k) {
    if (x.empty()) result[static_cast<size_t>(i)] += w[static_cast<size_t>(j)] * g[static_cast<size_t>(k)];
    else if (w.empty()) result[static_cast<size_t>(j)] += x[static_cast<size_t>(i)] * g[static_cast<size_t>(k)];
    else result[static_cast<size_t>(k)] += x[static_cast<size_t>(i)] * w[static_cast<size_t>(j)];
  });
  return result;
}

}  // namespace weft::test
