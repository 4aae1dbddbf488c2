// How an op puts itself on the tape: `record(name, y, inputs, backward)`.
// Public: a custom differentiable function is written in just this way.
#pragma once

#include <algorithm>
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
  /// Was a tensor given? False for an optional input that there is none of.
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
  BackwardCtx(Node& node, SmallVec<Tensor, 1>& grads, bool create_graph, const std::function<bool(const Node*)>* wanted,
              const std::function<Tensor(const Node*)>* places = nullptr)
      : node_(node), grads_(grads), create_graph_(create_graph), wanted_(wanted), places_(places) {}
  // An output or input that the op does not have is a ValueError that names the op.
  /// Gradient of output i; zeros if none arrived.
  const Tensor& grad(int i = 0);
  /// Did a gradient of output i arrive?
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
  /// Where the gradient of input i is wanted: contiguous memory of the input's shape, which the formula may write to
  /// and return instead of a tensor of its own. Undefined: nowhere.
  Tensor destination(int i) const;
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
  const std::function<Tensor(const Node*)>* places_;
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

/// What `record` does, for inputs and outputs wherever they lie.
template <class F>
void put_on_tape(const char* name, Tensor* ys, size_t m, const Tensor* inputs, size_t n, F&& backward) {
  const ThreadMode& mode = thread_mode();
  if (mode.anomaly) [[unlikely]]
    for (size_t i = 0; i < m; ++i) check_anomaly(name, ys[i]);
  if (!mode.grad || !any_requires_grad(inputs, n)) return;
  if (std::none_of(ys, ys + m, [](const Tensor& y) { return y.is_floating(); })) return;
  Ref<Node> node(new OpNode<std::decay_t<F>>(name, std::forward<F>(backward)));
  attach(node, inputs, n, ys, m);
}

}  // namespace detail

/// Puts y on the tape as the result of op `name` on `inputs`, if grad mode is on and one of them requires grad; returns
/// y. `backward(BackwardCtx&) -> Grads` gives one gradient per input, in order, each of that input's shape (sum_to
/// helps after broadcasting); it is made of ops, so that it can be differentiated again. y must be fresh or a view of
/// an input. What the formula needs of y it saves as Saved::output(y): a formula that holds y itself is never released.
template <class F> Tensor record(const char* name, Tensor y, std::initializer_list<Tensor> inputs, F&& backward) {
  detail::put_on_tape(name, &y, 1, inputs.begin(), inputs.size(), std::forward<F>(backward));
  return y;
}
/// The same for a list of inputs known at run time.
template <class F> Tensor record(const char* name, Tensor y, const std::vector<Tensor>& inputs, F&& backward) {
  detail::put_on_tape(name, &y, 1, inputs.data(), inputs.size(), std::forward<F>(backward));
  return y;
}
/// The same for an op with several outputs; outputs that are not floating stay off the tape.
template <class F>
std::vector<Tensor> record_n(const char* name, std::vector<Tensor> ys, std::initializer_list<Tensor> inputs,
                             F&& backward) {
  detail::put_on_tape(name, ys.data(), ys.size(), inputs.begin(), inputs.size(), std::forward<F>(backward));
  return ys;
}

}  // namespace weft
