#include "weft/autograd/record.h"

#include "weft/core/map.h"

namespace weft {

Saved Saved::input(const Tensor& x, const char* what) {
  Saved s;
  if (!grad_enabled() || !x.defined()) return s;
  s.tensor_ = x;
  s.what_ = what;
  s.version_ = x.version();
  return s;
}

Saved Saved::output(const Tensor& y, uint32_t index) {
  check_defined("Saved::output", y);
  Saved s;
  if (!grad_enabled()) return s;
  s.tensor_ = Tensor(y.impl()->detached());
  s.what_ = "output";
  s.version_ = y.version();
  s.output_index_ = index;
  s.is_output_ = true;
  return s;
}

const Tensor& BackwardCtx::grad(int i) {
  Tensor& g = grads_[i];
  if (!g.defined()) {
    const Node::Output& o = node_.outputs[i];
    g = zeros(o.shape, {o.dtype, o.device});
  }
  return g;
}

Tensor BackwardCtx::get(const Saved& s) const {
  const Tensor& x = s.tensor_;
  if (!x.defined()) return x;
  WEFT_CHECK(x.version() == s.version_, Error, node_.name(), ": ", s.what_, " ", x.shape(),
             " saved for backward was modified in place (version ", x.version(), ", expected ", s.version_,
             "); clone it first");
  if (!s.is_output_ || !create_graph_) return x;
  Tensor y(x.impl()->detached());
  AutogradMeta& m = detail::meta(y);
  m.requires_grad = true;
  m.grad_node = Ref<Node>(&node_);
  m.output_index = s.output_index_;
  return y;
}

namespace detail {

void check_finite(const char* name, const Tensor& y) {
  if (!y.defined() || !y.is_floating() || y.numel() == 0) return;
  Tensor ok = kernels::map<fn::Isfinite>(y);
  Tensor all = empty(Shape::filled(y.rank(), 1), {Dtype::boolean, y.device()});
  fn::All f;
  kernels::reduce.of<fn::All>()(y.device(), mut_ref(all), ref(ok), (1u << y.rank()) - 1, &f);
  WEFT_CHECK(all.item<bool>(), Error, name, ": the result of shape ", y.shape(),
             " holds a NaN or an infinity (anomaly mode); look at this op's inputs");
}

}  // namespace detail
}  // namespace weft
