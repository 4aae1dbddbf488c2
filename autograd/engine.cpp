#include "weft/autograd/engine.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "weft/autograd/deep_stack.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/core/factory.h"
#include "weft/core/map.h"
#include "weft/core/profile.h"
#include "weft/core/recording.h"

namespace weft {
namespace {

void check_addable(const Tensor& a, const Tensor& b, const char* from);
Tensor add_grads(Tensor a, const Tensor& b, bool recorded, const char* from);

constexpr int kMaxDepth = 10'000;    // of backwards that run inside of formulas and hooks
constexpr int kLevelsPerStack = 32;  // then the next ones get a stack of their own

// Where the gradients of a node wait: a small table from its address, from which a node goes as it runs.
class Places {
 public:
  /// The entry of n: -1 if it is new.
  int& operator[](const Node* n) {
    if (2 * (count_ + 1) > table_.size()) grow();
    size_t i = find(n);
    if (!table_[i].node) table_[i] = {n, -1}, ++count_;
    return table_[i].place;
  }
  void erase(const Node* n) {
    size_t hole = find(n);
    for (size_t i = hole;;) {  // what was pushed along by n moves back
      i = (i + 1) & (table_.size() - 1);
      if (!table_[i].node) break;
      const size_t home = slot(table_[i].node);
      if (((i - home) & (table_.size() - 1)) >= ((i - hole) & (table_.size() - 1))) table_[hole] = table_[i], hole = i;
    }
    table_[hole] = {};
    --count_;
  }

 private:
  struct Entry {
    const Node* node = nullptr;
    int place = -1;
  };
  size_t slot(const Node* n) const {
    return (reinterpret_cast<uintptr_t>(n) * 0x9e3779b97f4a7c15u >> 20) & (table_.size() - 1);
  }
  size_t find(const Node* n) const {
    size_t i = slot(n);
    while (table_[i].node && table_[i].node != n) i = (i + 1) & (table_.size() - 1);
    return i;
  }
  void grow() {
    std::vector<Entry> old(2 * table_.size());
    old.swap(table_);
    for (const Entry& e : old)
      if (e.node) table_[find(e.node)] = e;
  }
  std::vector<Entry> table_ = std::vector<Entry>(32);
  size_t count_ = 0;
};

// One run over a graph. Gradients wait here, not in the nodes: runs of other threads, and runs inside of formulas, may
// be on the same graph. A heap gives the youngest node next, so that every consumer of a tensor has run before its
// producer.
class Run {
 public:
  Run(bool create_graph, bool retain_graph)
      : create_graph_(create_graph), retain_graph_(retain_graph || create_graph) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// Collects gradients of these instead of accumulating into leaves; restricts the walk to nodes that lead there.
  void capture(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs, bool allow_unused);
  void seed(const Tensor& output, const Tensor& gradient) { arrive(detail::edge_to(output), gradient, "backward"); }
  void execute();
  Tensor captured(size_t i) { return captured_[i]; }

 private:
  struct Waiting {
    Ref<Node> node;  // an edge may be the last to hold it
    SmallVec<Tensor, 1> grads;
  };
  struct Next {
    uint64_t sequence;
    int place;
    bool operator<(const Next& o) const { return sequence < o.sequence; }
  };
  struct Arrived {
    Ref<Node> node;
    Tensor g;
    const char* from = "";  // the op that gave the first of them
    bool checked = false;   // hooks have seen it
    bool taken = false;     // by the leaf's watch
    AutogradMeta& leaf() const { return static_cast<AutogradMeta&>(*node); }
  };
  struct Target {
    uint32_t index;
    size_t place;  // in captured_
  };
  bool is_wanted(const Node* n) const { return !restricted_ || wanted_.count(n); }
  void arrive(const Edge& e, Tensor g, const char* from);
  void walk();
  void run_node(Node& n, SmallVec<Tensor, 1> grads);
  Grads run_formula(Node& n, SmallVec<Tensor, 1>& grads);
  bool keep(const Node& n, const Tensor* grads, int count);
  void count_uses();
  Tensor place_of(const Node* leaf);
  void tell_watch(Arrived& a);
  void check_leaf(Arrived& a);
  void finish_leaf(Arrived& a);
  void finish_taken(Arrived& a);
  void end_watches(bool failed);
  void apply_hooks(Node& n, SmallVec<Tensor, 1>& grads);

  // As formulas ask for them.
  const std::function<bool(const Node*)> is_wanted_ = [this](const Node* n) { return is_wanted(n); };
  const std::function<Tensor(const Node*)> place_of_ = [this](const Node* leaf) { return place_of(leaf); };

  bool create_graph_, retain_graph_, restricted_ = false;
  Places places_;
  std::vector<Waiting> waiting_;
  std::vector<int> free_;
  std::vector<Next> heap_;
  Places leaf_places_;
  std::vector<Arrived> leaves_;
  std::unordered_set<const Node*> wanted_;
  std::unordered_map<const Node*, std::vector<Target>> targets_;
  std::vector<Tensor> captured_;
  std::unordered_map<const Node*, int> missing_;  // gradients that watched leaves still wait for
  std::vector<std::shared_ptr<LeafWatch>> watches_;
  size_t begun_ = 0;  // of them
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
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    check_defined("grad", x);
    Edge e = detail::edge_to(x);
    WEFT_CHECK(e.node, ValueError, "grad: an input of shape ", x.shape(),
               " does not require grad; call set_requires_grad() first");
    targets_[e.node.get()].push_back({e.index, i});
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
    bool wanted = targets_.count(n) > 0;
    for (const Edge& e : n->edges) wanted = wanted || (e.node && wanted_.count(e.node.get()));
    if (wanted) wanted_.insert(n);
  }
  // before the run, which frees the graph
  for (size_t i = 0; !allow_unused && i < inputs.size(); ++i)
    if (!wanted_.count(detail::edge_to(inputs[i]).node.get())) raise_unused(i, inputs[i]);
}

void Run::arrive(const Edge& e, Tensor g, const char* from) {
  Node* n = e.node.get();
  if (!n || !g.defined() || !is_wanted(n)) return;
  if (g.dtype() != e.dtype) g = g.to(e.dtype);
  if (n->is_leaf()) {
    int& place = leaf_places_[n];
    if (place < 0) {
      place = static_cast<int>(leaves_.size());
      leaves_.push_back({e.node, std::move(g), from});
    } else {
      Arrived& a = leaves_[static_cast<size_t>(place)];
      check_gradient(from, g, a.g.shape());
      a.g = add_grads(std::move(a.g), g, create_graph_, from);
    }
    if (!missing_.empty()) {
      const auto left = missing_.find(n);
      if (left != missing_.end() && --left->second == 0) tell_watch(leaves_[static_cast<size_t>(leaf_places_[n])]);
    }
    return;
  }
  check_gradient(from, g, n->outputs[static_cast<int>(e.index)].shape);
  int& place = places_[n];
  if (place < 0) {
    if (free_.empty()) {
      place = static_cast<int>(waiting_.size());
      waiting_.emplace_back();
    } else {
      place = free_.back();
      free_.pop_back();
    }
    Waiting& w = waiting_[static_cast<size_t>(place)];
    w.node = e.node;
    w.grads.resize(std::max(1, n->outputs.size()));
    heap_.push_back({n->sequence(), place});
    std::push_heap(heap_.begin(), heap_.end());
  }
  Tensor& slot = waiting_[static_cast<size_t>(place)].grads[static_cast<int>(e.index)];
  slot = slot.defined() ? add_grads(std::move(slot), g, create_graph_, from) : std::move(g);
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

// Keeps what was asked for; true if n was among that.
bool Run::keep(const Node& n, const Tensor* grads, int count) {
  if (!restricted_) return false;
  const auto it = targets_.find(&n);
  if (it == targets_.end()) return false;
  for (const Target& t : it->second) captured_[t.place] = grads[std::min(static_cast<int>(t.index), count - 1)];
  return true;
}

Grads Run::run_formula(Node& n, SmallVec<Tensor, 1>& grads) {
  struct Inside {
    Node& n;
    detail::ThreadMode& mode = detail::thread_mode();
    bool done = false;
    explicit Inside(Node& node) : n(node) {
      WEFT_CHECK(n.enter(), Error, n.name(),
                 ": its part of the graph was freed by an earlier backward; pass retain_graph to that one");
      mode.in_formula = true;
    }
    ~Inside() {
      mode.in_formula = false;
      n.leave(done);
    }
  } inside(n);
  BackwardCtx ctx(n, grads, create_graph_, restricted_ ? &is_wanted_ : nullptr,
                  missing_.empty() ? nullptr : &place_of_);
  Grads out;
  try {
    out = n.backward(ctx);
  } catch (Error& e) {
    constexpr const char* kDoing = "while computing the gradient of ";
    if (!std::strstr(e.what(), kDoing)) e.add_context(str(kDoing, n.name()));  // the innermost formula's is enough
    throw;
  }
  WEFT_CHECK(out.size() == n.edges.size(), Error, n.name(), ": its backward returned ", out.size(), " gradients for ",
             n.edges.size(), " inputs");
  inside.done = !retain_graph_;
  return out;
}

void Run::run_node(Node& n, SmallVec<Tensor, 1> grads) {
  const detail::ProfileScope profile = detail::profile_backward(n.name(), n.module());
  apply_hooks(n, grads);
  keep(n, grads.data(), grads.size());
  if (restricted_) {
    // a goal's own producers run only if another goal is among them
    bool leads_on = false;
    for (const Edge& e : n.edges) leads_on = leads_on || (e.node && wanted_.count(e.node.get()));
    if (!leads_on) return;
  }
  Grads out = run_formula(n, grads);
  grads.clear();
  for (int i = 0; i < out.size(); ++i) {
    if (!n.edges[i].node || !out[i].defined()) continue;
    if (detail::thread_mode().anomaly) detail::check_anomaly(n.name(), out[i]);
    arrive(n.edges[i], std::move(out[i]), n.name());
  }
}

// The tensor of a leaf whose lock the caller holds, and must release first: the tensor's destructor takes it. Undefined
// once the tensor is gone.
Tensor owner_locked(AutogradMeta& leaf) {
  if (!leaf.owner || !leaf.owner->retain_if_alive()) return {};
  Tensor owner{Ref<TensorImpl>(leaf.owner)};
  (void)leaf.owner->drop();  // `owner` has it now
  return owner;
}

Tensor owner_of(AutogradMeta& leaf) {
  const MutexLock lock(leaf.mutex);
  return owner_locked(leaf);
}

void run_post_hooks(AutogradMeta& leaf, Tensor& owner) {
  if (!leaf.post_hooks) return;
  for (size_t i = 0; i < leaf.post_hooks->size(); ++i) {
    const auto hook = (*leaf.post_hooks)[i];  // it may register another
    hook(owner);
  }
}

// How many gradients each watched leaf will get, if every formula gives all of its own.
void Run::count_uses() {
  std::unordered_set<const Node*> seen;
  std::vector<const Node*> stack;
  for (const Waiting& w : waiting_)
    if (w.node && seen.insert(w.node.get()).second) stack.push_back(w.node.get());
  while (!stack.empty()) {
    const Node* n = stack.back();
    stack.pop_back();
    for (const Edge& e : n->edges) {
      if (!e.node) continue;
      if (e.node->is_leaf()) {
        const auto& watch = static_cast<const AutogradMeta&>(*e.node).watch;
        if (!watch) continue;
        ++missing_[e.node.get()];
        if (std::find(watches_.begin(), watches_.end(), watch) == watches_.end()) watches_.push_back(watch);
      } else if (seen.insert(e.node.get()).second) {
        stack.push_back(e.node.get());
      }
    }
  }
  std::sort(watches_.begin(), watches_.end(), [](const auto& a, const auto& b) { return a->number < b->number; });
}

// Where a leaf's only gradient may be written.
Tensor Run::place_of(const Node* leaf) {
  const auto left = missing_.find(leaf);
  if (left == missing_.end() || left->second != 1 || leaf_places_[leaf] >= 0) return {};
  auto& meta = const_cast<AutogradMeta&>(static_cast<const AutogradMeta&>(*leaf));
  if (meta.hooks && !meta.hooks->empty()) return {};  // they may keep the gradient, or return another
  const Tensor owner = owner_of(meta);
  return owner.defined() ? meta.watch->place(owner) : Tensor();
}

void Run::tell_watch(Arrived& a) {
  check_leaf(a);
  const Tensor owner = owner_of(a.leaf());
  if (!owner.defined()) return;  // nobody can ask for it any more
  a.taken = a.leaf().watch->take(owner, a.g);
  if (a.taken) a.g = Tensor();
}

// What can go wrong with a leaf's gradient, before the first leaf changes.
void Run::check_leaf(Arrived& a) {
  if (a.checked) return;
  a.checked = true;
  AutogradMeta& leaf = a.leaf();
  Dtype dtype = a.g.dtype();
  Device device = a.g.device();
  {
    const MutexLock lock(leaf.mutex);
    if (leaf.owner) {
      check_gradient(a.from, a.g, leaf.owner->shape);
      dtype = leaf.owner->dtype;
      device = leaf.owner->storage->device();
    }
  }
  // the leaf may have gone elsewhere since the forward pass (a module's to)
  if (a.g.dtype() != dtype) a.g = a.g.to(dtype);
  if (a.g.device() != device) a.g = a.g.to(device);
  if (!leaf.hooks) return;
  SmallVec<Tensor, 1> one(1);
  one[0] = std::move(a.g);
  apply_hooks(leaf, one);
  a.g = std::move(one[0]);
}

void Run::finish_leaf(Arrived& a) {
  AutogradMeta& leaf = a.leaf();
  Tensor& g = a.g;
  if (keep(leaf, &g, 1) || restricted_) return;
  Tensor owner;  // outlives the lock, which its destructor takes
  {
    const MutexLock lock(leaf.mutex);
    owner = owner_locked(leaf);
    if (!owner.defined()) return;  // nobody can ask for it any more
    check_gradient(a.from, g, owner.shape());
    detail::Recording* const recording = detail::recording();
    if (recording) recording->touch(owner, leaf.grad, false);
    if (recording && leaf.grad.defined() && !create_graph_) {
      check_addable(leaf.grad, g, a.from);
      leaf.grad.add_(g);  // every run goes on from the same memory
    } else if (leaf.grad.defined()) {
      // given away only where the sum goes into its own memory: a sum that finds none leaves the old gradient
      const bool in_place = leaf.grad.is_unique() && kernels::detail::same_layout(leaf.grad, g);
      check_addable(leaf.grad, g, a.from);  // before the gradient leaves its place
      leaf.grad = add_grads(in_place ? std::move(leaf.grad) : Tensor(leaf.grad), g, create_graph_, a.from);
    } else {
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
  }
  run_post_hooks(leaf, owner);
}

// A leaf whose watch has accumulated its gradient.
void Run::finish_taken(Arrived& a) {
  Tensor owner = owner_of(a.leaf());
  if (owner.defined() && owner.grad().defined()) run_post_hooks(a.leaf(), owner);
}

// All of them, whatever one throws.
void Run::end_watches(bool failed) {
  std::exception_ptr first;
  while (begun_ > 0) {
    --begun_;
    try {
      watches_[watches_.size() - 1 - begun_]->finish(failed);
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  if (first && !failed) std::rethrow_exception(first);
}

void Run::walk() {
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end());
    const int place = heap_.back().place;
    heap_.pop_back();
    Waiting w = std::move(waiting_[static_cast<size_t>(place)]);
    free_.push_back(place);
    places_.erase(w.node.get());
    run_node(*w.node, std::move(w.grads));
  }
  const detail::ProfileScope profile = detail::profile_backward("accumulate_grad");
  for (Arrived& a : leaves_) check_leaf(a);
  if (!watches_.empty())  // formulas may have given less than was counted
    for (Arrived& a : leaves_)
      if (!a.taken && a.leaf().watch && missing_[&a.leaf()] != 0) tell_watch(a);
  for (Arrived& a : leaves_)
    if (!a.taken) finish_leaf(a);
}

void Run::execute() {
  // formulas run in full precision; their casts follow the inputs
  struct Modes {
    detail::ThreadMode& m = detail::thread_mode();
    const bool autocast = m.autocast, in_formula = m.in_formula;
    Modes() {
      m.autocast = m.in_formula = false;
      ++m.backward_depth;
    }
    ~Modes() {
      m.autocast = autocast;
      m.in_formula = in_formula;
      --m.backward_depth;
    }
  };
  const int depth = detail::thread_mode().backward_depth;
  WEFT_CHECK(depth <= kMaxDepth, Error, "backward: more than ", kMaxDepth,
             " backwards run inside of each other's formulas or hooks");
  const GradMode recording(create_graph_);
  const Modes modes;
  if (!restricted_ && LeafWatch::any()) count_uses();
  try {
    for (const auto& w : watches_) w->begin(), ++begun_;
    if (depth % kLevelsPerStack == kLevelsPerStack - 1) detail::on_new_stack([this] { walk(); });
    else walk();
  } catch (...) {
    watches_.resize(begun_);
    end_watches(true);
    throw;
  }
  end_watches(false);
  for (Arrived& a : leaves_)
    if (a.taken) finish_taken(a);
}

void check_addable(const Tensor& a, const Tensor& b, const char* from) {
  WEFT_CHECK(
      a.dtype() == b.dtype() && a.device() == b.device(), Error, from, ": its gradient ", b.shape(), " ", b.dtype(),
      " on ", b.device(), " cannot be added to one that is ", a.dtype(), " on ", a.device(),
      ": the tensor's contents were swapped (swap_contents, averages of weights) between forward and backward, or "
      "since that gradient; run the forward pass again, or clear the gradient with zero_grad()");
}

// a + b, over a's memory when nobody else holds it; `from` is the op that gave b.
Tensor add_grads(Tensor a, const Tensor& b, bool recorded, const char* from) {
  check_addable(a, b, from);
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
  WEFT_CHECK(!outputs.empty(), ValueError, "backward: no outputs are given");
  Run run(o.create_graph, o.retain_graph);
  for (size_t i = 0; i < outputs.size(); ++i)
    run.seed(outputs[i], seed_of("backward", outputs[i], gradients.empty() ? Tensor() : gradients[i]));
  run.execute();
}

void Tensor::backward(const Tensor& gradient, BackwardOptions o) const { weft::backward({*this}, {gradient}, o); }

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs, const GradOptions& o) {
  WEFT_CHECK(o.grad_outputs.empty() || o.grad_outputs.size() == outputs.size(), ValueError,
             "grad: ", o.grad_outputs.size(), " gradients for ", outputs.size(), " outputs");
  WEFT_CHECK(!outputs.empty(), ValueError, "grad: no outputs are given");
  WEFT_CHECK(!inputs.empty(), ValueError, "grad: no inputs are given; backward() fills the leaves");
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
