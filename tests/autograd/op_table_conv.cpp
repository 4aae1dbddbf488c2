// Rows of the op table: convolutions in all ranks, and the three linear ops behind them.
#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;
using weft::ConvParams;

ConvParams params(int rank, int64_t stride = 1, int64_t lo = 0, int64_t hi = 0, int64_t dilation = 1,
                  int64_t groups = 1) {
  ConvParams p;
  p.stride = Shape::filled(rank, stride);
  p.padding_lo = Shape::filled(rank, lo);
  p.padding_hi = Shape::filled(rank, hi);
  p.dilation = Shape::filled(rank, dilation);
  p.groups = groups;
  return p;
}

Shape output_shape(const Shape& x, const Shape& w, const ConvParams& p) {
  Shape y = {x[0], w[0]};
  for (int i = 0; i < x.rank() - 2; ++i)
    y.push_back((x[i + 2] + p.padding_lo[i] + p.padding_hi[i] - p.dilation[i] * (w[i + 2] - 1) - 1) / p.stride[i] + 1);
  return y;
}

/// Calls f(y index, x index, w index) for every product that a convolution sums.
void for_each_product(const Shape& x, const Shape& w, const ConvParams& p,
                      const std::function<void(const Index&, const Index&, const Index&)>& f) {
  const Shape y = output_shape(x, w, p);
  support::for_each_index(y, [&](const Index& o) {
    support::for_each_index(w.slice(1), [&](const Index& k) {
      const int64_t per_group = w[0] / p.groups;
      Index xi = {o[0], o[1] / per_group * w[1] + k[0]}, wi = {o[1]};
      wi.insert(wi.end(), k.begin(), k.end());
      for (int d = 0; d < x.rank() - 2; ++d) {
        const auto at = static_cast<size_t>(d);
        xi.push_back(o[at + 2] * p.stride[d] + k[at + 1] * p.dilation[d] - p.padding_lo[d]);
        if (xi.back() < 0 || xi.back() >= x[d + 2]) return;
      }
      f(o, xi, wi);
    });
  });
}

struct Geometry {
  const char* label;
  Shape x, w;
  ConvParams p;
};

std::vector<Geometry> geometries() {
  return {{"1d", {1, 2, 5}, {2, 2, 3}, params(1, 2, 1, 1)},
          {"1d dilated", {2, 1, 6}, {1, 1, 2}, params(1, 1, 0, 1, 2)},
          {"2d", {1, 2, 4, 3}, {2, 2, 3, 2}, params(2, 1, 1, 0)},
          {"2d strided groups", {1, 4, 4, 4}, {4, 2, 2, 2}, params(2, 2, 0, 0, 1, 2)},
          {"2d depthwise", {1, 3, 4, 4}, {3, 1, 3, 3}, params(2, 1, 1, 1, 1, 3)},
          {"2d 1x1", {2, 2, 2, 2}, {3, 2, 1, 1}, params(2)},
          {"2d 3x3", {1, 2, 4, 4}, {2, 2, 3, 3}, params(2, 1, 1, 1)},
          {"2d empty batch", {0, 2, 3, 3}, {2, 2, 2, 2}, params(2)},
          {"3d", {1, 2, 3, 3, 2}, {2, 2, 2, 2, 2}, params(3, 1, 1, 0)}};
}

std::vector<Op> convolutions() {
  Op conv{.name = "conv"}, input_grad{.name = "conv_input_grad"}, weight_grad{.name = "conv_weight_grad"};
  for (const Geometry& g : geometries()) {
    const Shape y = output_shape(g.x, g.w, g.p);
    conv.samples.push_back({g.label,
                            {uniform(g.x), uniform(g.w, -1, 1, 5), uniform({g.w[0]}, -1, 1, 9)},
                            [g](const Tensors& t) { return Tensors{weft::conv(t[0], t[1], t[2], g.p)}; },
                            [g, y](const Arrays& a) {
                              Array out = support::generate(y, [&](const Index& i) { return a[2].at({i[1]}); });
                              for_each_product(g.x, g.w, g.p, [&](const Index& o, const Index& x, const Index& w) {
                                out.at(o) += a[0].at(x) * a[1].at(w);
                              });
                              return Arrays{out};
                            }});
    input_grad.samples.push_back(
        {g.label,
         {uniform(y), uniform(g.w, -1, 1, 5)},
         [g](const Tensors& t) { return Tensors{weft::conv_input_grad(t[0], t[1], g.x, g.p)}; },
         [g](const Arrays& a) {
           Array out(g.x);
           for_each_product(g.x, g.w, g.p, [&](const Index& o, const Index& x, const Index& w) {
             out.at(x) += a[0].at(o) * a[1].at(w);
           });
           return Arrays{out};
         }});
    weight_grad.samples.push_back(
        {g.label,
         {uniform(g.x), uniform(y, -1, 1, 5)},
         [g](const Tensors& t) { return Tensors{weft::conv_weight_grad(t[0], t[1], g.w, g.p)}; },
         [g](const Arrays& a) {
           Array out(g.w);
           for_each_product(g.x, g.w, g.p, [&](const Index& o, const Index& x, const Index& w) {
             out.at(w) += a[0].at(x) * a[1].at(o);
           });
           return Arrays{out};
         }});
  }
  conv.faults = {{[] {
                    (void)weft::conv2d(here::ones({1, 5, 4, 4}), here::ones({8, 3, 3, 3}));
                  },
                  "conv2d: input has 5 channels but weight [8, 3, 3, 3] with groups=1 expects 3"},
                 {[] {
                    (void)weft::conv2d(here::ones({1, 3, 2, 4}), here::ones({8, 3, 3, 3}));
                  },
                  "conv2d: "},
                 {[] {
                    (void)weft::conv2d(here::ones({1, 3, 4, 4}), here::ones({8, 3, 3, 3}, Dtype::f64));
                  },
                  "conv2d: "},
                 {[] {
                    (void)weft::conv2d(here::ones({3, 4}), here::ones({8, 3, 3, 3}));
                  },
                  "conv2d: "},
                 {[] {
                    (void)weft::conv1d(here::ones({1, 3, 4}), here::ones({8, 3, 3}), here::ones({7}));
                  },
                  "conv1d: "}};
  std::vector<Op> t = {conv, input_grad, weight_grad};
  // The public forms: transposed convolution with output padding, unbatched input, "same".
  const ConvParams p = params(2, 2, 1, 1);
  t.push_back(
      {"conv_transpose2d",
       {{"output padding",
         {uniform({1, 2, 2, 3}), uniform({2, 2, 3, 3}, -1, 1, 5), uniform({2}, -1, 1, 9)},
         [](const Tensors& x) {
           return Tensors{weft::conv_transpose2d(x[0], x[1], x[2], {.stride = 2, .padding = 1, .output_padding = 1})};
         },
         [p](const Arrays& a) {
           const Shape out_shape = {1, 2, 4, 6};
           Array out = support::generate(out_shape, [&](const Index& i) { return a[2].at({i[1]}); });
           for_each_product(out_shape, {2, 2, 3, 3}, p, [&](const Index& o, const Index& x, const Index& w) {
             out.at(x) += a[0].at(o) * a[1].at(w);
           });
           return Arrays{out};
         }}},
       {{[] {
           (void)weft::conv_transpose2d(here::ones({1, 2, 2, 2}), here::ones({2, 2, 3, 3}), {}, {.output_padding = 1});
         },
         "conv_transpose2d: "}}});
  t.push_back({"conv1d",
               {{"unbatched, same",
                 {uniform({2, 5}), uniform({2, 2, 4}, -1, 1, 5)},
                 [](const Tensors& x) { return Tensors{weft::conv1d(x[0], x[1], {}, {.padding = "same"})}; },
                 [](const Arrays& a) {
                   Array out({1, 2, 5}), x = a[0];
                   x.shape = {1, 2, 5};
                   for_each_product(
                       {1, 2, 5}, {2, 2, 4}, params(1, 1, 1, 2),
                       [&](const Index& o, const Index& i, const Index& w) { out.at(o) += x.at(i) * a[1].at(w); });
                   out.shape = {2, 5};
                   return Arrays{out};
                 }}},
               {{[] {
                   (void)weft::conv1d(here::ones({2, 5}), here::ones({2, 2, 3}), {}, {.stride = 2, .padding = "same"});
                 },
                 "conv1d: "}}});
  // Up to two dozen products of numbers up to 2: an f16 rounds once at the end, its gradients too.
  for (Op& op : t) op.half_eps = 16;
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("convolutions") { check(convolutions()); }
}
