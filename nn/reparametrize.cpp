#include "weft/nn/reparametrize.h"

#include <algorithm>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft::nn {

void detail::unregister(Module& m, const std::string& name) {
  Module::State& s = m.state();
  auto is_it = [&](const auto& e) { return e.name == name; };
  const size_t found = std::erase_if(s.params, is_it) + std::erase_if(s.buffers, is_it);
  WEFT_CHECK(found == 1, ValueError, m.name(), ": has no parameter or buffer '", name, "'");
}

namespace {

void check_weight(const char* op, const Tensor& w) {
  WEFT_CHECK(w.defined() && w.rank() > 0 && w.numel() > 0, ValueError, op,
             ": the layer has no weight of its own yet; a lazy one must see an input first");
}

/// |v| for each index of axis dim, kept as axes of 1; a scalar for all.
Tensor norm_except(const Tensor& v, std::optional<int64_t> dim) {
  if (!dim) return vector_norm(v);
  Shape others;
  for (int64_t i = 0; i < v.rank(); ++i)
    if (i != *dim) others.push_back(i);
  return others.empty() ? abs(v) : vector_norm(v, 2, others, true);
}

/// [rows, columns] with axis dim as the rows.
Tensor as_matrix(const Tensor& w, int64_t dim) { return w.movedim(dim, 0).flatten(1); }

Tensor normalized(const Tensor& x, double eps) {
  const Tensor wide = x.to(compute_dtype(x.dtype()));  // eps is less than f16 holds
  return (wide / clamp(vector_norm(wide), eps)).to(x.dtype());
}

}  // namespace

WeightNormRule::WeightNormRule(const Tensor& weight, std::optional<int64_t> dim) : dim(dim) {
  check_weight("weight_norm", weight);
  v.stand_in(weight);
  if (dim) this->dim = wrap_dim("weight_norm", *dim, weight.rank());
  NoGrad guard;
  g.stand_in(norm_except(v, this->dim));
}

Tensor WeightNormRule::weight(bool) const { return v * (g / norm_except(v, dim)); }

SpectralNormRule::SpectralNormRule(const Tensor& weight, const SpectralNormOptions& o) : options(o) {
  check_weight("spectral_norm", weight);
  WEFT_CHECK(weight.rank() > 1, ValueError, "spectral_norm: a weight ", weight.shape(), " is no matrix");
  WEFT_CHECK(o.n_power_iterations > 0, ValueError, "spectral_norm: n_power_iterations must be positive, got ",
             o.n_power_iterations);
  original.stand_in(weight);
  options->dim = wrap_dim("spectral_norm", o.dim.value_or(0), weight.rank());
  NoGrad guard;
  const int64_t rows = weight.size(*options->dim);
  u.stand_in(normalized(randn({rows}, weight.options()), o.eps));
  v.stand_in(normalized(randn({weight.numel() / rows}, weight.options()), o.eps));
}

Tensor SpectralNormRule::weight(bool training) const {
  const Tensor matrix = as_matrix(original, *options->dim);
  Tensor left = u.tensor(), right = v.tensor();
  if (training) {
    NoGrad guard;
    for (int64_t i = 0; i < options->n_power_iterations; ++i) {
      right = normalized(mv(matrix.t(), left), options->eps);
      left = normalized(mv(matrix, right), options->eps);
    }
    // The graph keeps left and right: the buffers may change in the next call.
    Tensor(u.tensor()).copy_(left);
    Tensor(v.tensor()).copy_(right);
  } else {
    left = u.clone();
    right = v.clone();
  }
  return original / dot(left, mv(matrix, right));
}

}  // namespace weft::nn
