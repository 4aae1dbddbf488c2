#include "weft/nn/capture.h"

#include <algorithm>
#include <list>
#include <map>
#include <mutex>

#include "weft/autograd/grad_mode.h"
#include "weft/core/factory.h"
#include "weft/core/graph.h"
#include "weft/core/stamp.h"

namespace weft::nn {
namespace {

constexpr size_t kMostGraphs = 8;

}  // namespace

struct Captured::State {
  /// What decides which graph a call gets.
  struct Signature {
    Shape shape;
    Strides strides;
    Dtype dtype;
    Device device;
    explicit Signature(const Tensor& x)
        : shape(x.shape()), strides(x.strides()), dtype(x.dtype()), device(x.device()) {}
    bool operator==(const Signature& o) const {
      return shape == o.shape && strides == o.strides && dtype == o.dtype && device == o.device;
    }
  };
  struct Entry {
    std::vector<Signature> of;
    std::shared_ptr<weft::detail::Graph> graph;
    std::vector<Stamp> stamps;   ///< of `tensors`, when it was captured
    std::vector<uint32_t> held;  ///< by how many graphs, each of the graph's states
  };

  Function f;
  std::vector<Tensor> tensors;  ///< parameters and buffers: their contents may be swapped
  std::vector<Module> modules;
  size_t inputs = 0;
  bool training = false;
  weft::detail::ThreadMode mode;
  std::mutex stepping;       ///< one step of training at a time
  std::mutex recording;      ///< one thread at a time records
  std::mutex mutex;          ///< of `entries`
  std::list<Entry> entries;  ///< the last used in front

  bool valid(const Entry& e) const {
    if (e.graph->stale(e.held)) return false;
    for (size_t i = 0; i < tensors.size(); ++i)
      if (e.stamps[i] != Stamp(tensors[i])) return false;
    return std::none_of(modules.begin(), modules.end(), [](const Module& m) { return m.is_training(); });
  }

  std::shared_ptr<weft::detail::Graph> find(const std::vector<Tensor>& inputs) {
    const std::lock_guard lock(mutex);
    const auto fits = [&](const Entry& e) {
      return std::equal(inputs.begin(), inputs.end(), e.of.begin(),
                        [](const Tensor& x, const Signature& s) { return s == Signature(x); });
    };
    for (auto it = entries.begin(); it != entries.end(); ++it) {
      if (!fits(*it)) continue;
      if (valid(*it)) {
        entries.splice(entries.begin(), entries, it);
        return it->graph;
      }
      if (training) continue;  // other gradients may come again
      entries.clear();
      break;
    }
    return nullptr;
  }

  /// Called when entries come or go.
  void count_holders() {
    std::map<const Storage*, uint32_t> graphs;
    for (const Entry& e : entries)
      for (const Storage* s : e.graph->states()) ++graphs[s];
    for (Entry& e : entries) {
      e.held.clear();
      for (const Storage* s : e.graph->states()) e.held.push_back(graphs[s]);
    }
  }

  std::shared_ptr<weft::detail::Graph> graph_for(const std::vector<Tensor>& inputs) {
    if (auto found = find(inputs)) return found;
    const std::lock_guard lock(recording);
    if (auto found = find(inputs)) return found;
    Entry e = record(inputs);
    const std::lock_guard list_lock(mutex);
    entries.push_front(std::move(e));
    if (entries.size() > kMostGraphs) entries.pop_back();
    count_holders();
    return entries.front().graph;
  }

  struct InMode {
    weft::detail::ThreadMode before = weft::detail::thread_mode();
    explicit InMode(const weft::detail::ThreadMode& mode) { weft::detail::thread_mode() = mode; }
    ~InMode() { weft::detail::thread_mode() = before; }
  };

  void check_mode() const {
    for (const Module& m : modules)
      WEFT_CHECK(!m.is_training(), NotSupported, "capture: ", m.name(),
                 " is in training mode; call eval() of the model first");
  }

  /// The function itself, as a part of another capture.
  std::vector<Tensor> inside(const std::vector<Tensor>& inputs) const {
    check_mode();
    const InMode in(mode);
    return f(inputs);
  }

  Entry record(const std::vector<Tensor>& inputs) {
    check_mode();
    Entry e;
    for (const Tensor& x : inputs) e.of.emplace_back(x);
    for (const Tensor& t : tensors) e.stamps.emplace_back(t);
    const InMode in(mode);
    std::vector<Tensor> plain;  // memory of their own: what else the function reads is no input
    for (const Tensor& x : inputs) plain.push_back(empty_strided(x.shape(), x.strides(), x.options()));
    using Of = weft::detail::Recording::Of;
    weft::detail::Recording r("capture", plain, training ? Of::training : Of::evaluation);
    std::vector<Tensor> results = f(plain);
    for (const Tensor& y : results) check_defined("capture", y);
    e.graph = std::make_shared<weft::detail::Graph>(r, std::move(results));
    return e;
  }
};

Captured::Captured(const Module* model, Function f, std::vector<Tensor> example, CaptureOptions o)
    : state_(std::make_shared<State>()) {
  state_->f = std::move(f);
  if (model) {
    state_->tensors = model->parameters();
    for (Tensor& b : model->buffers()) state_->tensors.push_back(std::move(b));
    state_->modules = model->modules();
  }
  state_->mode = weft::detail::thread_mode();
  state_->training = o.training;
  state_->mode.anomaly = false;
  if (!o.training) state_->mode.grad = false;
  state_->inputs = example.size();
  for (const Tensor& x : example) check_defined("capture", x);
  (void)state_->graph_for(example);
}

std::vector<Tensor> Captured::operator()(const std::vector<Tensor>& inputs) const {
  WEFT_CHECK(inputs.size() == state_->inputs, ValueError, "Captured: got ", inputs.size(),
             " inputs; it was captured with ", state_->inputs);
  for (const Tensor& x : inputs) check_defined("Captured", x);
  if (weft::detail::recording()) return state_->inside(inputs);
  std::unique_lock<std::mutex> one;
  if (state_->training) one = std::unique_lock(state_->stepping);
  return state_->graph_for(inputs)->run(inputs);
}

Tensor Captured::one(const Tensor& x) const {
  std::vector<Tensor> y = (*this)(std::vector<Tensor>{x});
  WEFT_CHECK(y.size() == 1, ValueError, "Captured: the function gives ", y.size(),
             " results; call it with a vector of inputs");
  return std::move(y[0]);
}

std::string Captured::str() const {
  const std::lock_guard lock(state_->mutex);
  return state_->entries.empty() ? "" : state_->entries.front().graph->str();
}

size_t Captured::memory() const {
  const std::lock_guard lock(state_->mutex);
  return state_->entries.empty() ? 0 : state_->entries.front().graph->bytes();
}

}  // namespace weft::nn
