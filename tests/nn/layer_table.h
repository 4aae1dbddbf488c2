// A table of layers: how to make each one and its inputs at a random size; every row gets derivatives of both orders
// checked. Knows modules and gradcheck; the rows (gradcheck_*_test.cpp) know the layers.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nn/support.h"
#include "support/difference.h"
#include "support/here.h"
#include "support/misfits.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"
#include "weft/core/generator.h"
#include "weft/nn/capture.h"
#include "weft/nn/reparametrize.h"
#include "weft/nn/with_tensors.h"

namespace weft::test {

using Tensors = std::vector<Tensor>;

inline Shape joined(Shape a, const Shape& b) {
  for (const int64_t n : b) a.push_back(n);
  return a;
}

/// Random sizes, choices and values; the same for the same seed.
class Draw {
 public:
  explicit Draw(uint64_t seed) : engine_(seed) {}
  int64_t from(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine_() % static_cast<uint64_t>(high - low + 1));
  }
  bool coin() { return from(0, 1) == 1; }
  template <class T> T pick(std::initializer_list<T> v) { return v.begin()[engine_() % v.size()]; }
  template <int D> Dims<D> dims(int64_t low, int64_t high) {
    std::array<int64_t, D> a;
    for (int64_t& x : a) x = from(low, high);
    return Dims<D>(a);
  }
  /// [N, C, spatial...] with `axes` spatial sizes within [low, high].
  Shape features(int64_t channels, int axes, int64_t low, int64_t high) {
    Shape s{from(1, 2), channels};
    for (int i = 0; i < axes; ++i) s.push_back(from(low, high));
    return s;
  }
  /// f64 numbers in [low, high), no two closer than 0.9 (high - low) / n, none within 1e-3 of a multiple of 1/2:
  /// differences of 1e-6 meet no kink of a piecewise function and change no order. Numbers of another `phase` are apart
  /// from these, too.
  Tensor values(const Shape& shape, double low = -2, double high = 2, double phase = 0.25) {
    std::vector<double> v(static_cast<size_t>(shape.numel()));
    for (size_t i = 0; i < v.size(); ++i) {
      const double t = (static_cast<double>(i) + phase) / static_cast<double>(v.size());
      v[i] = low + (high - low) * t * (1.1 - 0.1 * t);  // not symmetric: none is the mean of all
      const double kink = std::round(2 * v[i]) / 2;
      if (std::abs(v[i] - kink) < 1e-3) v[i] = kink + 1e-3;
    }
    std::shuffle(v.begin(), v.end(), engine_);
    return here::tensor(v, shape);
  }
  /// The same as a leaf that requires grad.
  Tensor leaf(const Shape& shape, double low = -2, double high = 2, double phase = 0.25) {
    return values(shape, low, high, phase).set_requires_grad();
  }
  Tensor classes(const Shape& shape, int64_t count) {
    std::vector<int64_t> v(static_cast<size_t>(shape.numel()));
    for (int64_t& x : v) x = from(0, count - 1);
    return here::tensor(v, shape);
  }

 private:
  std::mt19937_64 engine_;
};

/// A layer ready to be checked: its inputs (those that are leaves, and its parameters behind them, are differentiated)
/// and its call.
struct LayerCase {
  Tensors inputs;
  std::function<Tensors(const Tensors&)> call;
};

struct LayerRow {
  std::string name;
  std::function<LayerCase(Draw&)> make;
  bool second = true;       ///< the gradient's own gradient is checked, too
  double tolerance = 1e-6;  ///< of the first derivative; ten times that of the second
};

inline Tensors list_of(Tensor y) { return {std::move(y)}; }
inline Tensors list_of(Tensors y) { return y; }

/// `call(layer, inputs)`, with the layer's parameters as inputs of their own. Parameters are moved away from the values
/// they begin with, zeros and ones among them.
template <class M, class F> LayerCase layer_case(M m, Draw& d, Tensors inputs, F call) {
  m.to(Dtype::f64);
  m.to(support::device());
  const size_t n = inputs.size();
  std::vector<std::string> names;
  for (const auto& [name, p] : m.named_parameters()) {
    names.push_back(name);
    inputs.push_back((p.detach() + d.values(p.shape(), -0.2, 0.2)).detach().set_requires_grad(p.requires_grad()));
  }
  return {std::move(inputs), [=](const Tensors& x) {
            std::vector<nn::NamedTensor> params;
            for (size_t i = 0; i < names.size(); ++i) params.emplace_back(names[i], x[n + i]);
            M other = nn::with_tensors(m, params);
            return list_of(call(other, x));
          }};
}
/// A layer of one tensor.
template <class M> LayerCase layer_case(M m, Draw& d, Tensor x) {
  return layer_case(std::move(m), d, {std::move(x)}, [](M& layer, const Tensors& t) -> Tensor { return layer(t[0]); });
}

/// Outputs and the gradients of a loss of them: a step of training without its optimiser.
inline Tensors step_of(const LayerCase& c, const Tensors& x) {
  const EnableGrad on;
  Tensors in, leaves;
  for (size_t i = 0; i < x.size(); ++i) {
    in.push_back(x[i].detach());
    if (c.inputs[i].requires_grad()) leaves.push_back(in[i].set_requires_grad());
  }
  Tensors out = c.call(in);
  Tensor loss = zeros({}, {Dtype::f64, support::device()});
  for (const Tensor& y : out)
    if (y.is_floating()) loss = loss + sum(y * y);
  if (!leaves.empty() && loss.requires_grad())
    for (const Tensor& g : grad({loss}, leaves, {.allow_unused = true}))
      if (g.defined()) out.push_back(g);
  for (Tensor& y : out) y = y.detach();
  return out;
}

/// A captured call gives the same, and so does a captured step. Only these are refused: they write into buffers (an
/// evaluation must not), look at what they have drawn, or talk to other ranks.
inline void check_captured(const LayerRow& row, const LayerCase& c) {
  static const std::set<std::string> write{"BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LazyBatchNorm2d",
                                           "SyncBatchNorm"};
  static const std::set<std::string> refused{"DistSyncBatchNorm", "FractionalMaxPool2d", "FractionalMaxPool3d"};
  const NoGrad off;
  Tensors plain;
  for (const Tensor& x : c.inputs) plain.push_back(x.detach());
  for (const bool training : {false, true}) {
    const nn::Captured::Function f = training ? [&](const Tensors& x) { return step_of(c, x); } : c.call;
    const std::string what = training ? "a step" : "an evaluation";
    INFO(what);
    manual_seed(1);
    const Tensors want = f(plain);
    try {
      const nn::Captured captured(nullptr, f, plain, {.training = training});
      manual_seed(1);
      const Tensors got = captured(plain);
      REQUIRE(got.size() == want.size());
      for (size_t i = 0; i < want.size(); ++i) CHECK(support::largest_difference(got[i], want[i]) < 1e-12);
    } catch (const NotSupported& e) {
      const std::string text = e.what();
      INFO(text);
      CHECK((refused.contains(row.name) || (!training && write.contains(row.name))));
    }
  }
}

/// Checks every row at three random sizes.
inline void check_layers(const std::vector<LayerRow>& rows) {
  for (const LayerRow& row : rows)
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      INFO(row.name, ", seed ", seed);
      manual_seed(seed);
      Draw d(seed);
      const LayerCase c = row.make(d);
      std::string shapes;
      for (const Tensor& t : c.inputs) shapes += weft::str(t.shape(), " ");
      INFO(shapes);
      check_captured(row, c);
      const double t = row.tolerance;
      CHECK(gradcheck(c.call, c.inputs, {.atol = t, .rtol = t, .name = row.name.c_str()}));
      if (row.second)
        CHECK(gradgradcheck(c.call, c.inputs, {.atol = 10 * t, .rtol = 10 * t, .name = row.name.c_str()}));
    }
}

/// Every input of every layer replaced by what does not fit: an Error, or a result, and parameters and buffers stay as
/// they were.
inline void check_layer_misfits(const std::vector<LayerRow>& rows) {
  for (const LayerRow& row : rows) {
    INFO(row.name);
    manual_seed(1);
    Draw d(1);
    const LayerCase c = row.make(d);
    std::vector<std::vector<double>> before;
    for (const Tensor& t : c.inputs) before.push_back(t.to_vector<double>());
    support::check_misfits(c.inputs, c.call);
    for (size_t i = 0; i < before.size(); ++i) CHECK(c.inputs[i].to_vector<double>() == before[i]);
  }
}

}  // namespace weft::test
