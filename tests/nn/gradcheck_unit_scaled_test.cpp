// Unit-scaled layers at random sizes: each gradient is the derivative times one constant, and so is each derivative of
// a gradient.
#include "nn/layer_table.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/nn/unit_scaled/unit_scaled.h"

using namespace weft;
using namespace weft::test;
namespace us = weft::unit_scaled;

namespace {

using Function = std::function<Tensor(const Tensors&)>;

/// <u, y> for fixed u, on the host.
double projected(const Tensor& y, const std::vector<double>& u) {
  const std::vector<double> v = y.to_vector<double>();
  double s = 0;
  for (size_t i = 0; i < v.size(); ++i) s += u[i] * v[i];
  return s;
}

/// The gradients of <u, f(x)>, where f is drawn again as it was before.
Tensors gradients_of(const Function& f, const Tensors& x, const Tensor& u, bool create_graph) {
  manual_seed(1);
  const EnableGrad on;
  Tensors leaves;
  for (const Tensor& t : x)
    if (t.requires_grad()) leaves.push_back(t);
  const Tensor y = f(x);
  if (!y.requires_grad()) return Tensors(leaves.size());
  return grad({y}, leaves, {.create_graph = create_graph, .allow_unused = true, .grad_outputs = {u}});
}

/// The constants between gradients and derivatives, one for each leaf; 0 where both are 0. All are positive.
std::vector<double> constants(const Function& f, const Tensors& x, const Tensor& u) {
  const Tensors g = gradients_of(f, x, u, false);
  const std::vector<double> weights = u.to_vector<double>();
  std::vector<double> out;
  const NoGrad off;
  for (size_t i = 0, k = 0; i < x.size(); ++i) {
    if (!x[i].requires_grad()) continue;
    const Tensor& gradient = g[k++];
    std::vector<double> at = x[i].to_vector<double>(), numeric(at.size()), analytic(at.size());
    if (gradient.defined()) analytic = gradient.to_vector<double>();
    Tensors moved = x;
    for (size_t e = 0; e < at.size(); ++e) {
      const double v = at[e];
      const auto value = [&](double t) {
        at[e] = t;
        moved[i] = here::tensor(at, x[i].shape());
        manual_seed(1);
        return projected(f(moved), weights);
      };
      numeric[e] = (value(v + 1e-6) - value(v - 1e-6)) / 2e-6;
      at[e] = v;
    }
    double both = 0, square = 0, most = 0;
    for (size_t e = 0; e < at.size(); ++e) {
      both += analytic[e] * numeric[e], square += numeric[e] * numeric[e];
      most = std::max(most, std::abs(analytic[e]));
    }
    const double c = square > 1e-14 ? both / square : 0;
    CHECK(c >= 0);
    // a central difference of numbers around 1 has an error of 1e-10 by rounding and as much by the third derivative
    for (size_t e = 0; e < at.size(); ++e) CHECK(std::abs(analytic[e] - c * numeric[e]) <= 1e-7 * (1 + most));
    out.push_back(c);
  }
  return out;
}

struct UnitRow {
  std::string name;
  std::function<LayerCase(Draw&)> make;
  bool exact;  ///< output and input gradient have one scale: the gradient is the derivative
};

template <int D> void add_unit_convolutions(std::vector<UnitRow>& t, const char* conv, const char* transpose) {
  t.push_back({conv,
               [](Draw& d) {
                 const int64_t groups = d.from(1, 2);
                 us::ConvLayerOptions<D> o{.kernel_size = d.dims<D>(1, 2), .stride = d.dims<D>(1, 2)};
                 o.padding = d.from(0, 1), o.groups = groups, o.bias = d.coin();
                 o.padding_mode = d.pick({"zeros", "circular"});
                 return layer_case(us::Conv<D>(groups, groups * d.from(1, 2), o), d,
                                   d.leaf(d.features(groups, D, 2, D == 3 ? 2 : 3)));
               },
               true});
  t.push_back({transpose,
               [](Draw& d) {
                 us::ConvTransposeLayerOptions<D> o{.kernel_size = d.dims<D>(1, 2), .stride = d.dims<D>(1, 2)};
                 o.bias = d.coin();
                 return layer_case(us::ConvTranspose<D>(2, d.from(1, 2), o), d, d.leaf(d.features(2, D, 1, 2)));
               },
               true});
}

std::vector<UnitRow> unit_layers() {
  std::vector<UnitRow> t;
  add_unit_convolutions<1>(t, "Conv1d", "ConvTranspose1d");
  add_unit_convolutions<2>(t, "Conv2d", "ConvTranspose2d");
  add_unit_convolutions<3>(t, "Conv3d", "ConvTranspose3d");
  const auto matrix = [](Draw& d) { return d.leaf({d.from(1, 3), d.from(2, 4)}); };
  t.push_back({"Linear",
               [](Draw& d) {
                 return layer_case(us::Linear(3, d.from(1, 4), {.bias = d.coin()}), d, d.leaf({d.from(1, 4), 3}));
               },
               true});
  t.push_back(
      {"LinearReadout",
       [](Draw& d) {
         return layer_case(us::LinearReadout(3, d.from(1, 4), {.bias = d.coin()}), d, d.leaf({d.from(1, 4), 3}));
       },
       false});
  t.push_back({"GELU",
               [=](Draw& d) {
                 return layer_case(us::GELU({.mult = d.pick({0.5, 2.0})}), d, matrix(d));
               },
               true});
  t.push_back({"SiLU",
               [=](Draw& d) {
                 return layer_case(us::SiLU({.mult = d.pick({0.5, 2.0})}), d, matrix(d));
               },
               true});
  t.push_back({"Softmax", [=](Draw& d) { return layer_case(us::Softmax(d.from(0, 1)), d, matrix(d)); }, true});
  t.push_back({"Dropout", [=](Draw& d) { return layer_case(us::Dropout(0.4), d, matrix(d)); }, true});
  t.push_back({"LayerNorm",
               [](Draw& d) {
                 const int64_t n = d.from(3, 5);
                 return layer_case(us::LayerNorm(n, {.elementwise_affine = d.coin()}), d, d.leaf({d.from(1, 3), n}));
               },
               true});
  t.push_back({"RMSNorm",
               [](Draw& d) {
                 const int64_t n = d.from(2, 5);
                 return layer_case(us::RMSNorm(n, {.elementwise_affine = d.coin()}), d, d.leaf({d.from(1, 3), n}));
               },
               true});
  t.push_back({"Embedding",
               [](Draw& d) {
                 const Tensor index = d.classes({d.from(1, 6)}, 4);
                 return layer_case(us::Embedding(4, d.from(1, 3)), d, {},
                                   [index](auto& m, const Tensors&) { return m(index); });
               },
               false});
  t.push_back({"CrossEntropyLoss",
               [](Draw& d) {
                 const int64_t n = d.from(1, 4), c = d.from(2, 4);
                 const Reduction r = d.pick({Reduction::mean, Reduction::sum});
                 return layer_case(us::CrossEntropyLoss({.reduction = r}), d, {d.leaf({n, c})},
                                   [at = d.classes({n}, c)](auto& m, const Tensors& x) { return m(x[0], at); });
               },
               false});
  return t;
}

}  // namespace

TEST_SUITE("derivatives of layers") {
  DEVICE_TEST_CASE("unit-scaled layers at random sizes: constants times derivatives, to the second order") {
    for (const UnitRow& row : unit_layers())
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        INFO(row.name, ", seed ", seed);
        manual_seed(seed);
        Draw d(seed);
        const LayerCase c = row.make(d);
        const Function f = [&](const Tensors& x) { return c.call(x)[0]; };
        const Tensor u = d.leaf(f(c.inputs).shape(), -1, 1);
        const std::vector<double> first = constants(f, c.inputs, u.detach());
        // 0: everything was dropped. The constant is as exact as the differences.
        if (row.exact && first[0] != 0) CHECK(first[0] == doctest::Approx(1).epsilon(1e-5));
        // one gradient after the other, as a function of the inputs and of the upstream gradient
        for (size_t i = 0; i < first.size(); ++i) {
          CAPTURE(i);
          Tensors all = c.inputs;
          all.push_back(u);
          const Function gradient = [&](const Tensors& x) {
            Tensors inputs(x.begin(), x.end() - 1);
            for (size_t k = 0; k < inputs.size(); ++k)
              if (c.inputs[k].requires_grad() && !inputs[k].requires_grad()) inputs[k].set_requires_grad();
            return gradients_of(f, inputs, x.back(), true)[i];
          };
          (void)constants(gradient, all, d.values(gradient(all).shape(), -1, 1));
        }
      }
  }
}
