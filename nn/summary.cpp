#include "weft/nn/summary.h"

#include <algorithm>
#include <iomanip>
#include <limits>
#include <ostream>
#include <unordered_map>
#include <unordered_set>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/node.h"
#include "weft/nn/call.h"

namespace weft::nn {

namespace {

/// Evaluation mode and requires_grad everywhere, so that the whole pass is recorded; both as before at the end.
class RecordAll {
 public:
  explicit RecordAll(const Module& m) {
    for (const Module& each : m.modules()) modes_.emplace_back(each, each.is_training());
    for (const Tensor& p : m.parameters())
      if (p.is_floating()) trainable_.emplace_back(p, p.requires_grad());
    for (auto& [module, on] : modes_) module.state().training = false;
    for (auto& [p, on] : trainable_) p.set_requires_grad(true);
  }
  ~RecordAll() {
    for (auto& [module, on] : modes_) module.state().training = on;
    for (auto& [p, on] : trainable_) p.set_requires_grad(on);
  }

 private:
  std::vector<std::pair<Module, bool>> modes_;
  std::vector<std::pair<Tensor, bool>> trainable_;
  EnableGrad guard_;
};

/// Where a parameter lives.
struct Owner {
  std::string path, type;
};
std::unordered_map<const TensorImpl*, Owner> owners(const Module& m) {
  std::unordered_map<const TensorImpl*, Owner> out;
  for (const auto& [path, module] : m.named_modules())
    for (const auto& [name, p] : module.state().params) out.try_emplace(p.impl(), Owner{path, module.name()});
  return out;
}

/// Which modules were called when, in numbers of the tape's nodes.
class CallTimes : public CallObserver {
 public:
  void enter(const Module& m) override {
    open_.push_back(calls_.size());
    calls_.push_back({&m.state(), now(), std::numeric_limits<uint64_t>::max()});
  }
  void leave(const Module&) noexcept override {
    calls_[open_.back()].end = now();
    open_.pop_back();
  }
  /// The innermost module in whose call a node was made, or null.
  const Module::State* at(uint64_t sequence) const {
    for (auto call = calls_.rbegin(); call != calls_.rend(); ++call)
      if (call->begin < sequence && sequence < call->end) return call->module;
    return nullptr;
  }

 private:
  struct Call {
    const Module::State* module;
    uint64_t begin, end;
  };
  static uint64_t now() { return AutogradMeta().sequence(); }
  std::vector<Call> calls_;
  std::vector<size_t> open_;
};

/// All ops behind the outputs, in the order in which they ran.
std::vector<const Node*> ops(const std::vector<Tensor>& outputs) {
  std::vector<const Node*> found;
  std::unordered_set<const Node*> seen;
  auto visit = [&](const Edge& e) {
    if (e.node && !e.node->is_leaf() && seen.insert(e.node.get()).second) found.push_back(e.node.get());
  };
  for (const Tensor& y : outputs)
    if (y.defined()) visit(weft::detail::edge_to(y));
  for (size_t i = 0; i < found.size(); ++i)
    for (const Edge& e : found[i]->edges) visit(e);
  std::sort(found.begin(), found.end(), [](const Node* a, const Node* b) { return a->sequence() < b->sequence(); });
  return found;
}

const TensorImpl* leaf_of(const Edge& e) {
  return e.node && e.node->is_leaf() ? static_cast<const AutogradMeta*>(e.node.get())->owner : nullptr;
}

/// The shape of what came along an edge; none where nothing was recorded.
std::optional<Shape> shape_of(const Edge& e) {
  if (const TensorImpl* leaf = leaf_of(e)) return leaf->shape;
  if (!e.node || e.node->is_leaf()) return {};
  return e.node->outputs[e.index].shape;
}

/// The result as the op's caller sees it: pools of one and two axes run as those of three.
Shape output_of(const Node& n) {
  const Shape& y = n.outputs[0].shape;
  const std::string_view name = n.name();
  const int extra = name.ends_with("1d") ? 2 : name.ends_with("2d") ? 1 : 0;
  if (y.size() != 5 || extra == 0) return y;
  Shape out{y[0], y[1]};
  for (int i = 2 + extra; i < 5; ++i) out.push_back(y[i]);
  return out;
}

int64_t macs_of(const Node& n) {
  const std::string_view name = n.name();
  const int64_t y = n.outputs[0].shape.numel();
  auto in = [&](int i) { return i < n.edges.size() ? shape_of(n.edges[i]) : std::nullopt; };
  if (name == "lstm" || name == "gru" || name == "rnn_tanh" ||
      name == "rnn_relu") {  // a product with w_hh in each step
    const auto w_hh = in(3);
    return w_hh && w_hh->size() == 2 ? n.outputs[0].shape[0] * n.outputs[0].shape[1] * w_hh->numel() : 0;
  }
  const auto a = in(0), b = in(1);
  if (!b || b->empty()) return 0;
  if (name.starts_with("conv_transpose")) return a ? a->numel() * (b->numel() / std::max<int64_t>((*b)[0], 1)) : 0;
  if (name.starts_with("conv")) return y * (b->numel() / std::max<int64_t>((*b)[0], 1));
  if (name == "linear") return y * b->back();
  for (const char* product : {"matmul", "mm", "bmm", "mv", "dot"})
    if (name == product) return y * (b->size() > 1 ? (*b)[b->size() - 2] : b->back());
  if (name == "encode") return a ? 2 * a->numel() * (*b)[0] : 0;  // distances, then weighted sums
  return 0;
}

bool is_plumbing(std::string_view op) {
  for (const char* name : {"reshape", "permute", "expand", "to", "as_strided", "slice", "select", "narrow", "squeeze",
                           "unsqueeze", "transpose", "diagonal", "view", "flatten", "clone", "contiguous", "split"})
    if (op == name) return true;
  return false;
}

}  // namespace

TensorOptions detail::input_options(const Module& m) {
  for (const Tensor& p : m.parameters())
    if (p.is_floating()) return p.options();
  return {};
}

Summary detail::summarize(const Module& m, const Tensor& x,
                          const std::function<std::vector<Tensor>(const Tensor&)>& call) {
  Summary out;
  for (const Tensor& p : m.parameters()) {
    out.params += p.numel();
    out.trainable += p.requires_grad() ? p.numel() : 0;
  }
  for (const Tensor& b : m.buffers()) out.buffers += b.numel();

  RecordAll scope(m);
  Tensor input = x.detach();
  if (input.is_floating()) input.set_requires_grad(true);
  CallTimes times;
  const std::vector<Tensor> outputs = call(input);
  std::unordered_map<const Module::State*, Owner> by_state;
  for (const auto& [path, module] : m.named_modules())
    by_state.try_emplace(&module.state(), Owner{path, module.name()});
  const auto owner = owners(m);
  std::unordered_set<const TensorImpl*> counted;
  // Ops on parameters alone compute a weight: what they use counts where the weight is used.
  std::unordered_map<const Node*, std::vector<const TensorImpl*>> derived;
  for (const Node* n : ops(outputs)) {
    bool only_parameters = std::string_view(n->name()) != "embedding";
    std::vector<const TensorImpl*> used;
    for (const Edge& e : n->edges) {
      const TensorImpl* leaf = leaf_of(e);
      auto weight = e.node ? derived.find(e.node.get()) : derived.end();
      if (leaf && owner.contains(leaf)) used.push_back(leaf);
      else if (weight != derived.end()) used.insert(used.end(), weight->second.begin(), weight->second.end());
      else if (e.node) only_parameters = false;
    }
    if (only_parameters) {
      derived[n] = std::move(used);
      continue;
    }
    Summary::Row row;
    row.op = n->name();
    if (used.empty() && is_plumbing(row.op)) continue;
    row.output = output_of(*n);
    row.macs = macs_of(*n);
    for (const TensorImpl* p : used) {
      if (row.type.empty()) {
        row.layer = owner.at(p).path;
        row.type = owner.at(p).type;
      }
      if (counted.insert(p).second) row.params += p->numel;
    }
    const auto ran = row.type.empty() ? by_state.find(times.at(n->sequence())) : by_state.end();
    if (ran != by_state.end() && !ran->second.path.empty()) {
      row.layer = ran->second.path;
      row.type = ran->second.type;
    }
    out.macs += row.macs;
    out.rows.push_back(std::move(row));
  }
  return out;
}

namespace {

std::string with_commas(int64_t n) {
  std::string s = std::to_string(n);
  for (size_t at = s.size(); at > 3; at -= 3) s.insert(at - 3, ",");
  return s;
}

}  // namespace

std::ostream& operator<<(std::ostream& os, const Summary& s) {
  std::vector<std::array<std::string, 5>> table = {{"Layer", "Op", "Output", "Parameters", "MACs"}};
  for (const Summary::Row& r : s.rows) {
    const std::string layer = r.type.empty() ? "" : r.layer.empty() ? r.type : r.layer + " (" + r.type + ")";
    table.push_back(
        {layer, r.op, weft::str(r.output), r.params ? with_commas(r.params) : "", r.macs ? with_commas(r.macs) : ""});
  }
  std::array<size_t, 5> width{};
  for (const auto& line : table)
    for (size_t i = 0; i < 5; ++i) width[i] = std::max(width[i], line[i].size());
  for (size_t row = 0; row < table.size(); ++row) {
    for (size_t i = 0; i < 5; ++i) {
      const std::string space(width[i] - table[row][i].size(), ' ');
      os << (i ? "  " : "") << (i < 3 ? table[row][i] + space : space + table[row][i]);  // numbers to the right
    }
    os << '\n';
    if (row == 0) os << std::string(width[0] + width[1] + width[2] + width[3] + width[4] + 8, '-') << '\n';
  }
  return os << "Parameters: " << with_commas(s.params) << ", trainable: " << with_commas(s.trainable)
            << ", in buffers: " << with_commas(s.buffers) << ", MACs: " << with_commas(s.macs) << '\n';
}

}  // namespace weft::nn
