#include "weft/autograd/engine.h"

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "weft/autograd/ops/binary.h"
#include "weft/core/factory.h"
#include "weft/core/map.h"

namespace weft {
namespace {

Tensor add_grads(Tensor a, const Tensor& b, bool recorded);

struct Later {
  bool operator()(const Node* a, const Node* b) const { return a->sequence() < b->sequence(); }
};

// One run over a graph. Gradients wait in the nodes they are for; a heap gives the youngest node next, so that every
// consumer of a tensor has run before its producer.
class Run {
 public:
  Run(bool create_graph, bool retain_graph)
      : create_graph_(create_graph), retain_graph_(retain_graph || create_graph) {}
  ~Run() {
    for (Node* n : heap_) forget(n);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// Collects gradients of these instead of accumulating into leaves; restricts the walk to nodes that lead there.
  void capture(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs, bool allow_unused);
  void seed(const Tensor& output, const Tensor& gradient) { arrive(detail::edge_to(output), gradient, "backward"); }
  void execute();
  Tensor captured(size_t i) { return captured_[i]; }

 private:
  struct Target {
    Node* node;
    uint32_t index;
  };
  struct Arrived {
    Tensor g;
    const char* from = "";  // the op that gave the first of them
  };
  static void forget(Node* n) {
    n->pending.clear();
    n->queued = false;
  }
  bool is_wanted(const Node* n) const { return !restricted_ || wanted_.count(n); }
  void arrive(const Edge& e, Tensor g, const char* from);
  void run_node(Node& n);
  void check_leaf(AutogradMeta& leaf, Arrived& a);
  void finish_leaf(AutogradMeta& leaf, Arrived& a);
  void apply_hooks(Node& n, SmallVec<Tensor, 1>& grads);

  bool create_graph_, retain_graph_, restricted_ = false;
  std::vector<Node*> heap_;
  std::vector<Ref<Node>> alive_;  // the heap's nodes: an edge may be the last to hold one
  std::unordered_map<AutogradMeta*, Arrived> leaves_;
  std::vector<AutogradMeta*> leaf_order_;
  std::vector<Ref<Node>> leaf_refs_;
  std::unordered_set<const Node*> wanted_;
  std::vector<Target> targets_;
  std::vector<Tensor> captured_;
};

[[noreturn]] void raise_unused(size_t i, const Tensor& x) {
  raise<ValueError>("grad: the outputs do not depend on input ", i, " of shape ", x.shape(),
                    "; pass allow_unused if that is meant");
}

void check_gradient(const char* from, const Tensor& g, const Shape& expected) {
  WEFT_CHECK(g.shape() == expected, ShapeError, from, ": its backward gave a gradient of shape ", g.shape(),
             " for an input of shape ", expected, "; sum_to() undoes broadcasting");
}

void Run::capture(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs, bool allow_unused) {
  restricted_ = true;
  captured_.resize(inputs.size());
  std::unordered_set<const Node*> goals;
  for (const Tensor& x : inputs) {
    check_defined("grad", x);
    Edge e = detail::edge_to(x);
    WEFT_CHECK(e.node, ValueError, "grad: an input of shape ", x.shape(),
               " does not require grad; call set_requires_grad() first");
    targets_.push_back({e.node.get(), e.index});
    goals.insert(e.node.get());
  }
  // all nodes that can be reached, oldest first: a node is wanted when it is a goal or leads to a wanted one
  std::vector<const Node*> nodes, stack;
  std::unordered_set<const Node*> seen;
  auto push = [&](const Node* n) {
    if (n && seen.insert(n).second) stack.push_back(n);
  };
  for (const Tensor& y : outputs) push(detail::edge_to(y).node.get());
  while (!stack.empty()) {
    const Node* n = stack.back();
    stack.pop_back();
    nodes.push_back(n);
    for (const Edge& e : n->edges) push(e.node.get());
  }
  std::sort(nodes.begin(), nodes.end(), [](const Node* a, const Node* b) { return a->sequence() < b->sequence(); });
  // leaves are made late (their record appears with the first op that asks): take them before everything else
  std::stable_partition(nodes.begin(), nodes.end(), [](const Node* n) { return n->is_leaf(); });
  for (const Node* n : nodes) {
    bool wanted = goals.count(n) > 0;
    for (const Edge& e : n->edges) wanted = wanted || (e.node && wanted_.count(e.node.get()));
    if (wanted) wanted_.insert(n);
  }
  // before the run, which frees the graph
  for (size_t i = 0; !allow_unused && i < inputs.size(); ++i)
    if (!wanted_.count(targets_[i].node)) raise_unused(i, inputs[i]);
}

void Run::arrive(const Edge& e, Tensor g, const char* from) {
  Node* n = e.node.get();
  if (!n || !g.defined() || !is_wanted(n)) return;
  if (g.dtype() != e.dtype) g = g.to(e.dtype);
  if (n->is_leaf()) {
    auto* leaf = static_cast<AutogradMeta*>(n);
    auto [it, fresh] = leaves_.try_emplace(leaf);
    if (fresh) {
      leaf_order_.push_back(leaf);
      leaf_refs_.push_back(e.node);
      it->second = {std::move(g), from};
    } else {
      check_gradient(from, g, it->second.g.shape());
      it->second.g = add_grads(std::move(it->second.g), g, create_graph_);
    }
    return;
  }
  check_gradient(from, g, n->outputs[static_cast<int>(e.index)].shape);
  if (!n->queued) {
    n->queued = true;
    n->pending.resize(std::max(1, n->outputs.size()));
    alive_.push_back(e.node);
    heap_.push_back(n);
    std::push_heap(heap_.begin(), heap_.end(), Later());
  }
  Tensor& slot = n->pending[static_cast<int>(e.index)];
  slot = slot.defined() ? add_grads(std::move(slot), g, create_graph_) : std::move(g);
}

void Run::apply_hooks(Node& n, SmallVec<Tensor, 1>& grads) {
  if (!n.hooks) return;
  for (size_t i = 0; i < n.hooks->size();) {
    const GradHook h = (*n.hooks)[i];  // shares its state with the original, which may remove itself
    Tensor& g = grads[static_cast<int>(h.index)];
    Tensor changed = g.defined() ? h.call(g) : Tensor();
    if (i < n.hooks->size() && (*n.hooks)[i].handle == h.handle && (*n.hooks)[i].index == h.index) ++i;
    if (!changed.defined()) continue;
    WEFT_CHECK(changed.shape() == g.shape(), ShapeError, "hook: a hook on the output of ", n.name(), " returned shape ",
               changed.shape(), ", expected ", g.shape());
    WEFT_CHECK(changed.dtype() == g.dtype(), DtypeError, "hook: a hook on the output of ", n.name(), " returned ",
               changed.dtype(), ", expected ", g.dtype());
    g = changed;
  }
}

void Run::run_node(Node& n) {
  SmallVec<Tensor, 1> grads = std::move(n.pending);
  forget(&n);
  apply_hooks(n, grads);
  for (size_t i = 0; i < targets_.size(); ++i)
    if (targets_[i].node == &n) captured_[i] = grads[static_cast<int>(targets_[i].index)];
  if (restricted_) {
    // a goal's own producers run only if another goal is among them
    bool leads_on = false;
    for (const Edge& e : n.edges) leads_on = leads_on || (e.node && wanted_.count(e.node.get()));
    if (!leads_on) return;
  }
  WEFT_CHECK(!n.released(), Error, n.name(),
             ": its part of the graph was freed by an earlier backward; pass retain_graph to that one");
  Grads out;
  {
    std::function<bool(const Node*)> wanted = [this](const Node* m) { return is_wanted(m); };
    BackwardCtx ctx(n, grads, create_graph_, restricted_ ? &wanted : nullptr);
    try {
      out = n.backward(ctx);
    } catch (const Error& e) {
      // keeps the type where it tells something; the text names the op either way
      std::string text = str(e.what(), " (while computing the gradient of ", n.name(), ")");
      if (dynamic_cast<const ShapeError*>(&e)) throw ShapeError(text);
      if (dynamic_cast<const DtypeError*>(&e)) throw DtypeError(text);
      if (dynamic_cast<const NotSupported*>(&e)) throw NotSupported(text);
      if (dynamic_cast<const OutOfMemory*>(&e)) throw OutOfMemory(text);
      if (dynamic_cast<const CommError*>(&e)) throw CommError(text);
      throw Error(text);
    }
  }
  WEFT_CHECK(out.size() == n.edges.size(), Error, n.name(), ": its backward returned ", out.size(), " gradients for ",
             n.edges.size(), " inputs");
  if (!retain_graph_) n.release();
  grads.clear();
  for (int i = 0; i < out.size(); ++i) {
    if (!n.edges[i].node || !out[i].defined()) continue;
    if (detail::thread_mode().anomaly) detail::check_finite(n.name(), out[i]);
    arrive(n.edges[i], std::move(out[i]), n.name());
  }
}

// What can go wrong with a leaf's gradient, before the first leaf changes (a single one without hooks: when it does).
void Run::check_leaf(AutogradMeta& leaf, Arrived& a) {
  {
    std::lock_guard lock(leaf.mutex);
    if (leaf.owner) check_gradient(a.from, a.g, leaf.owner->shape);
  }
  if (!leaf.hooks) return;
  SmallVec<Tensor, 1> one(1);
  one[0] = std::move(a.g);
  apply_hooks(leaf, one);
  a.g = std::move(one[0]);
}

void Run::finish_leaf(AutogradMeta& leaf, Arrived& a) {
  Tensor& g = a.g;
  bool target = false;
  for (size_t i = 0; i < targets_.size(); ++i)
    if (targets_[i].node == &leaf) captured_[i] = g, target = true;
  if (target || restricted_) return;
  Tensor owner;  // outlives the lock, which its destructor takes
  std::lock_guard lock(leaf.mutex);
  if (!leaf.owner) return;  // nobody can ask for it any more
  check_gradient(a.from, g, leaf.owner->shape);
  if (leaf.grad.defined()) {
    // given away only where the sum goes into its own memory: a sum that finds none leaves the old gradient
    const bool in_place = leaf.grad.is_unique() && kernels::detail::same_layout(leaf.grad, g);
    leaf.grad = add_grads(in_place ? std::move(leaf.grad) : Tensor(leaf.grad), g, create_graph_);
  } else {
    owner = Tensor(Ref<TensorImpl>(leaf.owner));
    // steal what nobody else holds and what has the leaf's layout; otherwise copy into that layout
    bool fits = g.is_unique() && (create_graph_ || kernels::detail::same_layout(g, owner));
    if (fits || create_graph_) {
      leaf.grad = std::move(g);
    } else {
      Tensor own = empty_like(owner);
      kernels::copy(own.device(), mut_ref(own), ref(g));
      leaf.grad = own;
    }
  }
  if (!leaf.post_hooks) return;
  owner = Tensor(Ref<TensorImpl>(leaf.owner));
  for (size_t i = 0; i < leaf.post_hooks->size(); ++i) {
    const auto hook = (*leaf.post_hooks)[i];  // it may register another
    hook(owner);
  }
}

void Run::execute() {
  // formulas run in full precision; their casts follow the inputs
  detail::ThreadMode& mode = detail::thread_mode();
  GradMode recording(create_graph_);
  struct Restore {
    detail::ThreadMode& m;
    bool autocast;
    ~Restore() { m.autocast = autocast; }
  } restore{mode, mode.autocast};
  mode.autocast = false;

  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), Later());
    Node* n = heap_.back();
    heap_.pop_back();
    run_node(*n);
  }
  const bool several = restricted_ || leaf_order_.size() > 1;
  for (AutogradMeta* leaf : leaf_order_)
    if (several || leaf->hooks) check_leaf(*leaf, leaves_[leaf]);
  for (AutogradMeta* leaf : leaf_order_) finish_leaf(*leaf, leaves_[leaf]);
}

// a + b, over a's memory when nobody else holds it.
Tensor add_grads(Tensor a, const Tensor& b, bool recorded) {
  if (recorded) return a + b;
  return kernels::map2<fn::Add>(std::move(a), b);
}

Tensor seed_of(const char* op, const Tensor& y, const Tensor& given) {
  WEFT_CHECK(
      y.defined() && y.requires_grad(), ValueError, op,
      ": an output does not require grad; nothing was recorded (is grad mode off, or does no input require grad?)");
  if (!given.defined()) {
    WEFT_CHECK(y.numel() == 1, ShapeError, op, ": the output has shape ", y.shape(),
               "; only a one-element output can do without a given gradient");
    return ones_like(y);
  }
  WEFT_CHECK(given.shape() == y.shape(), ShapeError, op, ": gradient ", given.shape(),
             " does not have the output's shape ", y.shape());
  return given;
}

}  // namespace

void backward(const std::vector<Tensor>& outputs, const std::vector<Tensor>& gradients, BackwardOptions o) {
  WEFT_CHECK(gradients.empty() || gradients.size() == outputs.size(), ValueError, "backward: ", gradients.size(),
             " gradients for ", outputs.size(), " outputs");
  Run run(o.create_graph, o.retain_graph);
  for (size_t i = 0; i < outputs.size(); ++i)
    run.seed(outputs[i], seed_of("backward", outputs[i], gradients.empty() ? Tensor() : gradients[i]));
  run.execute();
}

void Tensor::backward(const Tensor& gradient, BackwardOptions o) const { weft::backward({*this}, {gradient}, o); }

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs, const GradOptions& o) {
  WEFT_CHECK(o.grad_outputs.empty() || o.grad_outputs.size() == outputs.size(), ValueError,
             "grad: ", o.grad_outputs.size(), " gradients for ", outputs.size(), " outputs");
  Run run(o.create_graph, o.retain_graph);
  run.capture(outputs, inputs, o.allow_unused);
  for (size_t i = 0; i < outputs.size(); ++i)
    run.seed(outputs[i], seed_of("grad", outputs[i], o.grad_outputs.empty() ? Tensor() : o.grad_outputs[i]));
  run.execute();
  std::vector<Tensor> result;
  for (size_t i = 0; i < inputs.size(); ++i) {
    result.push_back(run.captured(i));
    if (!o.allow_unused && !result.back().defined()) raise_unused(i, inputs[i]);
  }
  return result;
}

}  // namespace weft
