#include "weft/nn/lazy.h"

#include "weft/core/factory.h"
#include "weft/nn/init.h"

namespace weft::nn {

namespace {

void give(const ModuleTensor& t, Tensor value) {
  Tensor here = t.tensor();
  here.swap_contents(value);
}

std::string linear_text(int64_t in, int64_t out, bool bias) {
  return weft::str("in_features=", in, ", out_features=", out, ", bias=", bias ? "True" : "False");
}

class LinearShapes : public detail::LazyShapes {
 public:
  explicit LinearShapes(int64_t out) : out_(out) {}
  Shape shape(const std::string& name, const Shape& weight) const override {
    return name == "bias" ? Shape{out_} : Shape{out_, weight.size() == 2 ? weight[1] : 0};
  }
  void materialize(Module::State& s, const Shape& weight) const override {
    const double bound = init::default_bound(weight[1]);
    for (const auto& [name, t] : s.params) {
      give(t, empty(shape(name, weight), t.options()));
      init::uniform_(t, -bound, bound);
    }
    s.name = "Linear";
    s.extra = linear_text(weight[1], out_, s.params.size() == 2);
  }

 private:
  int64_t out_;
};

/// Weights and statistics have one number for each channel; the first of them tells how many.
class NormShapes : public detail::LazyShapes {
 public:
  Shape shape(const std::string& name, const Shape& first) const override {
    if (name == "num_batches_tracked") return {};
    return {first.size() == 1 ? first[0] : 0};
  }
  void materialize(Module::State& s, const Shape& first) const override {
    for (const auto& [name, t] : s.params)
      give(t, name == "weight" ? ones(first, t.options()) : zeros(first, t.options()));
    for (const Module::State::BufferEntry& b : s.buffers)
      if (b.tensor.rank() == 1)
        give(b.tensor, b.name == "running_var" ? ones(first, b.tensor.options()) : zeros(first, b.tensor.options()));
    s.name = s.name.substr(4);  // "LazyBatchNorm2d"
    s.extra = std::to_string(first[0]);
  }
};

}  // namespace

LazyLinear::LazyLinear(int64_t out, LinearOptions o) : Linear(0, 0, o) {
  WEFT_CHECK(out >= 0, ValueError, "LazyLinear: out_features must not be negative, got ", out);
  out_features = out;
  state().name = "LazyLinear";
  set_extra(linear_text(0, out, o.bias));
  state().lazy = std::make_shared<LinearShapes>(out);
}

Tensor LazyLinear::operator()(const Tensor& x) {
  if (!is_materialized()) {
    WEFT_CHECK(x.rank() > 0, ShapeError, "LazyLinear: input must have at least one axis, got ", x.shape());
    detail::materialize(state(), {out_features, x.size(-1)});
  }
  in_features = weight.size(1);
  return Linear::operator()(x);
}

template <class Norm> LazyNorm<Norm>::LazyNorm(Options o) : Norm(0, o) {
  this->state().name = "Lazy" + this->name();
  if (this->weight.defined() || this->running_mean.defined()) this->state().lazy = std::make_shared<NormShapes>();
}

template <class Norm> void LazyNorm<Norm>::materialize_for(const Tensor& x) {
  const bool stateless = !this->weight.defined() && !this->running_mean.defined();
  if (this->num_features != 0 && !stateless) return;
  const std::string name = this->state().name;
  const int batched = name[name.size() - 2] - '0' + 2;  // "LazyBatchNorm2d" takes [N, C, H, W]
  const bool instance = std::is_same_v<Options, InstanceNormOptions>, fits = x.rank() == batched;
  if (!fits && !(x.rank() == batched - 1 && (instance || batched == 3))) return;  // the plain layer refuses it
  const int64_t channels = x.size(fits || !instance ? 1 : 0);
  if (!is_materialized()) detail::materialize(this->state(), {channels});
  else if (name.starts_with("Lazy")) this->state().name = name.substr(4);
  this->num_features = stateless
                           ? channels
                           : (this->weight.defined() ? this->weight.tensor() : this->running_mean.tensor()).numel();
}

template class LazyNorm<BatchNorm1d>;
template class LazyNorm<BatchNorm2d>;
template class LazyNorm<BatchNorm3d>;
template class LazyNorm<InstanceNorm1d>;
template class LazyNorm<InstanceNorm2d>;
template class LazyNorm<InstanceNorm3d>;

}  // namespace weft::nn
