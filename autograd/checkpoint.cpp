#include "weft/autograd/checkpoint.h"

#include <memory>
#include <unordered_set>

#include "weft/autograd/ops/elementwise/format.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/generator.h"

namespace weft {
namespace {

struct Recomputation {
  Segment fn;
  size_t count = 0;            // of inputs
  std::vector<Tensor> leaves;  // that fn uses besides its inputs: parameters
  Generator::State random;
  detail::ThreadMode mode;
  std::optional<SimulateFormat::Formats> formats;
};

// The modes and random numbers of the first run, for as long as it lives.
class Replay {
 public:
  explicit Replay(const Recomputation& run)
      : mode_(detail::thread_mode()),
        formats_(std::exchange(SimulateFormat::current(), run.formats)),
        random_(default_generator().state()) {
    detail::thread_mode() = run.mode;
    detail::thread_mode().grad = true;
    detail::thread_mode().anomaly = mode_.anomaly;
    detail::thread_mode().in_formula = false;
    detail::thread_mode().backward_depth = mode_.backward_depth;
    default_generator().set_state(run.random);
  }
  ~Replay() {
    detail::thread_mode() = mode_;
    SimulateFormat::current() = formats_;
    default_generator().set_state(random_);
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

 private:
  detail::ThreadMode mode_;
  std::optional<SimulateFormat::Formats> formats_;
  Generator::State random_;
};

// Leaves of the calling segment: what is recorded inside never reaches the graph outside.
std::vector<Tensor> as_leaves(const std::vector<Tensor>& inputs) {
  std::vector<Tensor> x;
  for (const Tensor& t : inputs) {
    x.push_back(t.defined() ? t.detach() : t);
    if (t.defined() && t.requires_grad()) x.back().set_requires_grad();
  }
  return x;
}

// The leaves that the graph of `outputs` ends in, but for `known`, in the order of their discovery.
std::vector<Tensor> find_leaves(const std::vector<Tensor>& outputs, const std::vector<Tensor>& known, uint64_t begin) {
  std::unordered_set<const Node*> seen;
  std::vector<const Node*> stack;
  std::vector<Tensor> leaves;
  const auto visit = [&](const Node* n) {
    if (n && seen.insert(n).second) stack.push_back(n);
  };
  for (const Tensor& x : known)
    if (x.defined() && x.requires_grad()) seen.insert(detail::edge_to(x).node.get());
  for (const Tensor& y : outputs)
    if (y.requires_grad()) visit(detail::edge_to(y).node.get());
  while (!stack.empty()) {
    const Node* n = stack.back();
    stack.pop_back();
    if (n->is_leaf()) {
      TensorImpl* owner = static_cast<const AutogradMeta*>(n)->owner;
      if (owner) leaves.emplace_back(Ref<TensorImpl>(owner));
      continue;
    }
    WEFT_CHECK(n->sequence() > begin, ValueError, "checkpoint: the function uses a result of ", n->name(),
               " that is not among its inputs; pass it as an input");
    for (const Edge& e : n->edges) visit(e.node.get());
  }
  return leaves;
}

// (inputs, upstream gradients) -> gradients of the wanted inputs, then of the leaves; zeros where nothing arrives.
std::vector<Tensor> gradients(const Recomputation& run, const std::vector<bool>& wanted,
                              const std::vector<Tensor>& args) {
  const bool create_graph = grad_enabled();
  std::vector<Tensor> x(args.begin(), args.begin() + static_cast<std::ptrdiff_t>(run.count)), sources;
  for (size_t i = 0; i < run.count; ++i)
    if (wanted[i]) sources.push_back(x[i]);
  for (size_t i = 0; i < run.leaves.size(); ++i)
    if (wanted[run.count + i]) sources.push_back(run.leaves[i]);

  std::vector<Tensor> ys;
  {
    const Replay replay(run);
    ys = run.fn(x);
  }
  WEFT_CHECK(ys.size() == args.size() - run.count, ValueError, "checkpoint: the function gave ",
             args.size() - run.count, " outputs in the forward pass and ", ys.size(), " when it was run again");
  std::vector<Tensor> outputs, upstream;
  for (size_t k = 0; k < ys.size(); ++k) {
    const Tensor& g = args[run.count + k];
    if (!g.defined() || !ys[k].requires_grad()) continue;
    outputs.push_back(ys[k]);
    upstream.push_back(g);
  }
  ys.clear();
  std::vector<Tensor> g(sources.size());
  if (!outputs.empty())
    g = grad(outputs, sources, {.create_graph = create_graph, .allow_unused = true, .grad_outputs = upstream});
  for (size_t i = 0; i < g.size(); ++i)
    if (!g[i].defined()) g[i] = zeros_like(sources[i]);
  return g;
}

}  // namespace

std::vector<Tensor> checkpoint(const Segment& fn, const std::vector<Tensor>& inputs) {
  WEFT_CHECK(fn, ValueError, "checkpoint: the function is empty");
  if (!grad_enabled()) return fn(inputs);
  auto run = std::make_shared<Recomputation>();
  run->fn = fn;
  run->count = inputs.size();
  run->random = default_generator().state();
  run->mode = detail::thread_mode();
  run->formats = SimulateFormat::current();

  // The first run is recorded, so that the parameters inside are found, and then forgotten.
  std::vector<Tensor> ys;
  {
    const AutogradMeta begin;
    const std::vector<Tensor> x = as_leaves(inputs);
    ys = fn(x);
    run->leaves = find_leaves(ys, x, begin.sequence());
    for (Tensor& y : ys) y = y.detach();
  }
  std::vector<Tensor> all = inputs;
  for (Tensor& t : all)
    if (!t.defined()) t = zeros({});  // a place on the tape that wants nothing
  all.insert(all.end(), run->leaves.begin(), run->leaves.end());
  if (!detail::any_requires_grad(all.data(), all.size())) return ys;

  std::vector<Saved> saved(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].defined()) saved[i] = Saved::input(inputs[i]);
  auto backward = [run, saved, outputs = ys.size()](BackwardCtx& c) -> Grads {
    std::vector<Tensor> args(run->count);
    std::vector<bool> wanted;
    for (size_t i = 0; i < run->count + run->leaves.size(); ++i) wanted.push_back(c.needs(static_cast<int>(i)));
    for (size_t i = 0; i < run->count; ++i)
      if (saved[i].defined()) args[i] = c.get(saved[i]);
    for (size_t k = 0; k < outputs; ++k)
      args.push_back(c.has_grad(static_cast<int>(k)) ? c.grad(static_cast<int>(k)) : Tensor());
    const Segment segment = [run, wanted](const std::vector<Tensor>& a) { return gradients(*run, wanted, a); };
    // Under create_graph the gradients are a checkpointed segment of their own: every order of derivative recomputes.
    const std::vector<Tensor> g = c.create_graph() ? checkpoint(segment, args) : segment(as_leaves(args));
    Grads out(static_cast<int>(wanted.size()));
    size_t next = 0;
    for (size_t i = 0; i < wanted.size(); ++i)
      if (wanted[i]) out[static_cast<int>(i)] = g[next++];
    return out;
  };
  detail::put_on_tape("checkpoint", ys.data(), ys.size(), all.data(), all.size(), std::move(backward));
  return ys;
}

}  // namespace weft
