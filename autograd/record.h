// How an op puts itself on the tape: `record(name, y, inputs, backward)`.
// Public: a custom differentiable function is written in just this way.
#pragma once

#include <optional>
#include <type_traits>
#include <vector>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/node.h"
#include "weft/core/stamp.h"

namespace weft {

/// A tensor kept for backward, with the version it had. Reading it after an in-place change, or after its contents were
/// swapped, throws, naming op and tensor.
class WEFT_API Saved {
 public:
  Saved() = default;
  Saved(const Tensor& x, const char* what = "input") : Saved(input(x, what)) {}
  /// An input of the op, or anything made before it.
  static Saved input(const Tensor& x, const char* what = "input");
  /// The op's own output number `index` (kept without a reference cycle).
  static Saved output(const Tensor& y, uint32_t index = 0);
  bool defined() const { return tensor_.defined(); }

 private:
  friend class BackwardCtx;
  Tensor tensor_;
  const char* what_ = "input";
  Stamp stamp_;
  uint32_t output_index_ = 0;
  bool is_output_ = false;
};

/// What a backward formula sees.
class WEFT_API BackwardCtx {
 public:
  BackwardCtx(Node& node, SmallVec<Tensor, 1>& grads, bool create_graph, const std::function<bool(const Node*)>* wanted)
      : node_(node), grads_(grads), create_graph_(create_graph), wanted_(wanted) {}
  // An output or input that the op does not have is a ValueError that names the op.
  /// Gradient of output i; zeros if none arrived.
  const Tensor& grad(int i = 0);
  bool has_grad(int i = 0) const {
    if (i < 0 || i >= grads_.size()) [[unlikely]]
      raise_index("output", i, grads_.size());
    return grads_[i].defined();
  }
  /// The same, given away: an op may then write its result over it (`kernels::map2(std::move(g), ...)`).
  Tensor take_grad(int i = 0) {
    grad(i);
    return std::move(grads_[i]);
  }
  /// Is the gradient of input i wanted? Ask before costly work.
  bool needs(int i) const {
    if (i < 0 || i >= node_.edges.size()) [[unlikely]]
      raise_index("input", i, node_.edges.size());
    const Edge& e = node_.edges[i];
    return e.node && (!wanted_ || (*wanted_)(e.node.get()));
  }
  /// The saved tensor, after its version check.
  Tensor get(const Saved& s) const;
  /// The formulas are being recorded (second derivatives are wanted): use the composite form, not the fused kernel.
  bool create_graph() const { return create_graph_; }

 private:
  [[noreturn]] void raise_index(const char* what, int i, int count) const;
  Node& node_;
  SmallVec<Tensor, 1>& grads_;
  bool create_graph_;
  const std::function<bool(const Node*)>* wanted_;
};

namespace detail {

template <class F> class OpNode final : public Node {
 public:
  template <class G> OpNode(const char* name, G&& f) : Node(name), f_(std::in_place, std::forward<G>(f)) {}
  Grads backward(BackwardCtx& ctx) override { return (*f_)(ctx); }
  void release() override { f_.reset(); }

 private:
  std::optional<F> f_;
};

WEFT_API bool any_requires_grad(const Tensor* inputs, size_t n);
WEFT_API void attach(const Ref<Node>& node, const Tensor* inputs, size_t n, Tensor* outputs, size_t m);
/// Anomaly mode: throws for a NaN. Silent inside of formulas, whose parts may hold what a mask then takes away.
WEFT_API void check_anomaly(const char* name, const Tensor& y);

}  // namespace detail

/// Puts y on the tape as the result of op `name` on `inputs`, if grad mode is on and one of them requires grad; returns
/// y. `backward(BackwardCtx&) -> Grads` gives one gradient per input, in order, each of that input's shape (sum_to
/// helps after broadcasting); it is made of ops, so that it can be differentiated again. y must be fresh or a view of
/// an input. What the formula needs of y it saves as Saved::output(y): a formula that holds y itself is never released.
template <class F> Tensor record(const char* name, Tensor y, std::initializer_list<Tensor> inputs, F&& backward) {
  const detail::ThreadMode& mode = detail::thread_mode();
  if (mode.anomaly) [[unlikely]]
    detail::check_anomaly(name, y);
  if (mode.grad && detail::any_requires_grad(inputs.begin(), inputs.size()) && is_floating(y.dtype())) {
    Ref<Node> node(new detail::OpNode<std::decay_t<F>>(name, std::forward<F>(backward)));
    detail::attach(node, inputs.begin(), inputs.size(), &y, 1);
  }
  return y;
}
/// The same for a list of inputs known at run time.
template <class F> Tensor record(const char* name, Tensor y, const std::vector<Tensor>& inputs, F&& backward) {
  const detail::ThreadMode& mode = detail::thread_mode();
  if (mode.anomaly) [[unlikely]]
    detail::check_anomaly(name, y);
  if (mode.grad && detail::any_requires_grad(inputs.data(), inputs.size()) && is_floating(y.dtype())) {
    Ref<Node> node(new detail::OpNode<std::decay_t<F>>(name, std::forward<F>(backward)));
    detail::attach(node, inputs.data(), inputs.size(), &y, 1);
  }
  return y;
}
/// The same for an op with several outputs; outputs that are not floating stay off the tape.
template <class F>
std::vector<Tensor> record_n(const char* name, std::vector<Tensor> ys, std::initializer_list<Tensor> inputs,
                             F&& backward) {
  const detail::ThreadMode& mode = detail::thread_mode();
  if (mode.anomaly) [[unlikely]]
    for (const Tensor& y : ys) detail::check_anomaly(name, y);
  if (mode.grad && detail::any_requires_grad(inputs.begin(), inputs.size())) {
    Ref<Node> node(new detail::OpNode<std::decay_t<F>>(name, std::forward<F>(backward)));
    detail::attach(node, inputs.begin(), inputs.size(), ys.data(), ys.size());
  }
  return ys;
}

}  // namespace weft
