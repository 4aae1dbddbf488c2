#include "weft/autograd/record.h"

#include "weft/core/map.h"

namespace weft {

Saved Saved::input(const Tensor& x, const char* what) {
  Saved s;
  if (!grad_enabled() || !x.defined()) return s;
  s.tensor_ = x;
  s.what_ = what;
  s.stamp_ = Stamp(x);
  return s;
}

Saved Saved::output(const Tensor& y, uint32_t index) {
  check_defined("Saved::output", y);
  Saved s;
  if (!grad_enabled()) return s;
  s.tensor_ = Tensor(y.impl()->detached());
  s.what_ = "output";
  s.stamp_ = Stamp(y);
  s.output_index_ = index;
  s.is_output_ = true;
  return s;
}

void BackwardCtx::raise_index(const char* what, int i, int count) const {
  raise<ValueError>(node_.name(), ": its backward asks for ", what, " ", i, ", but it has ", count, " ", what,
                    count == 1 ? "" : "s");
}

Tensor BackwardCtx::destination(int i) const {
  if (!places_ || !needs(i) || !node_.edges[i].node->is_leaf()) return {};
  return (*places_)(node_.edges[i].node.get());
}

const Tensor& BackwardCtx::grad(int i) {
  if (!has_grad(i)) {
    const Node::Output& o = node_.outputs[i];
    grads_[i] = zeros(o.shape, {o.dtype, o.device});
  }
  return grads_[i];
}
Tensor BackwardCtx::get(const Saved& s) const {
  const Tensor& x = s.tensor_;
  if (!x.defined()) return x;
  const Stamp now(x);
  WEFT_CHECK(
      now.storage == s.stamp_.storage, Error, node_.name(), ": the contents of ", s.what_, " saved for backward, now ",
      x.shape(), " ", x.dtype(),
      ", were swapped for others (swap_contents, a module's to(), averages of weights); run the forward pass again");
  WEFT_CHECK(now.version == s.stamp_.version, Error, node_.name(), ": ", s.what_, " ", x.shape(),
             " saved for backward was modified in place (version ", now.version, ", expected ", s.stamp_.version,
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

void check_anomaly(const char* name, const Tensor& y) {
  if (thread_mode().in_formula || !y.defined() || !y.is_floating() || y.numel() == 0) return;
  Tensor nan = kernels::map<fn::Isnan>(y);
  Tensor any = empty(Shape::filled(y.rank(), 1), {Dtype::boolean, y.device()});
  fn::Any f;
  kernels::reduce.of<fn::Any>()(y.device(), mut_ref(any), ref(nan), (1u << y.rank()) - 1, &f);
  WEFT_CHECK(!any.item<bool>(), Error, name, ": the result of shape ", y.shape(),
             " holds a NaN (anomaly mode); look at this op's inputs");
}

}  // namespace detail
}  // namespace weft
