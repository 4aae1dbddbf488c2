#include "weft/optim/optimizer.h"

#include <algorithm>
#include <sstream>
#include <unordered_set>

#include "weft/autograd/engine.h"
#include "weft/core/factory.h"
#include "weft/core/recording.h"

namespace weft::optim {

Optimizer::~Optimizer() = default;
Optimizer::StepHook::~StepHook() = default;

Tensor Optimizer::step(const std::function<Tensor()>& closure) {
  WEFT_CHECK(closure, ValueError, "step: the closure is empty");
  Tensor loss;
  {
    EnableGrad guard;
    loss = closure();
  }
  step();
  return loss;
}

std::vector<Tensor> Optimizer::parameters() const {
  std::vector<Tensor> out;
  for (const Slot& s : slots_) out.push_back(s.param);
  return out;
}

void Optimizer::zero_grad(Only<bool> set_to_none) {
  for (Slot& s : slots_) weft::detail::clear_grad(s.param, set_to_none);
}

double Optimizer::momentum(int64_t) const { raise<NotSupported>("momentum: this optimiser has none"); }
void Optimizer::set_momentum(double, int64_t) { raise<NotSupported>("momentum: this optimiser has none"); }

void Optimizer::add_params(const std::vector<Tensor>& params, int32_t group) {
  std::unordered_set<TensorImpl*> seen;
  for (const Slot& s : slots_) seen.insert(s.param.impl());
  for (const Tensor& p : params) {
    WEFT_CHECK(p.defined(), ValueError, "optimiser: an undefined tensor among the parameters of group ", group);
    WEFT_CHECK(p.is_leaf(), ValueError, "optimiser: parameter ", p.shape(), " of group ", group,
               " is no leaf; it was computed from others");
    WEFT_CHECK(p.is_floating(), DtypeError, "optimiser: parameter ", p.shape(), " of group ", group, " is ", p.dtype());
    WEFT_CHECK(seen.insert(p.impl()).second, ValueError, "optimiser: parameter ", p.shape(), " of group ", group,
               " was given twice");
  }
  for (const Tensor& p : params) {
    slots_.emplace_back();
    slots_.back().param = p;
    slots_.back().group = group;
  }
}

// The table of a step

// A step that is captured: its numbers change from run to run, its gradients stay where they are.
bool Optimizer::deferred() {
  weft::detail::Recording* const r = weft::detail::recording();
  if (!r) return false;
  std::vector<Tensor> grads, writes;
  for (const Slot& s : slots_) {
    grads.push_back(s.param.grad());
    writes.insert(writes.end(), {s.param, s.master, s.state[0], s.state[1], s.state[2]});
  }
  const auto step_now = [this, grads] {
    for (size_t i = 0; i < slots_.size(); ++i) slots_[i].param.set_grad(grads[i]);
    step();
  };
  r->defer("optimiser step", grads, writes, step_now, [this, there = alive_.watch(), count = slots_.size()] {
    return !there.expired() && slots_.size() == count;
  });
  return true;
}

void Optimizer::begin() {
  forget();
  for (const Slot& s : slots_)
    WEFT_CHECK(s.param.is_dense() || !s.param.grad().defined(), ValueError, "step: parameter ", s.param.shape(),
               " with strides ", s.param.strides(), " has gaps; optimise the tensor that it is a view of");
}

void Optimizer::forget() {
  table_.clear();
  pending_.clear();
  converted_.clear();
}

// Changes nothing: a step that fails here can be tried again.
void Optimizer::prepare(Slot& s, unsigned states, double initial) {
  Tensor g = s.param.grad();
  if (!g.defined()) return;
  const Tensor& p = s.param;
  Tensor fit = detail::fitted(g, p, p.dtype());
  if (!fit.is_same(g)) converted_.push_back(fit);

  const Dtype compute = compute_dtype(p.dtype());
  Pending next{&s, s.state, s.master, states, false, p.device()};
  for (size_t i = 0; i < 3; ++i) {
    if (!(states >> i & 1)) continue;
    Tensor& t = next.state[i];
    if (!t.defined()) {
      t = empty_like(p, compute).fill_(initial);
      next.fresh = true;
    } else {
      t = detail::fitted(t, p, compute);
    }
  }
  if (compute != p.dtype()) {
    // Who wrote the parameter since (loaded a model, averaged weights) meant the new value: the master follows.
    if (!s.master.defined() || s.seen != Stamp(p)) next.master = empty_like(p, compute).copy_(p.detach());
    else next.master = detail::fitted(s.master, p, compute);
  }
  fn::StepEntry e;
  e.grad = fit.raw_data();
  e.numel = p.numel();
  e.hyper = s.group;
  e.dtype = p.dtype();
  table_.push_back(e);
  pending_.push_back(std::move(next));
}

void Optimizer::commit() {
  for (size_t i = 0; i < table_.size(); ++i) {
    Slot& s = *pending_[i].slot;
    fn::StepEntry& e = table_[i];
    s.state = std::move(pending_[i].state);
    s.master = std::move(pending_[i].master);
    for (size_t k = 0; k < 3; ++k)
      if (pending_[i].states >> k & 1) e.state[k] = s.state[k].mut_raw_data();
    e.param = s.param.mut_raw_data();
    e.master = s.param.dtype() == compute_dtype(s.param.dtype()) ? e.param : s.master.mut_raw_data();
    ++s.step;
  }
  for (const Pending& p : pending_) p.slot->seen = Stamp(p.slot->param);  // last: parameters may share a storage
}

void Optimizer::launch(size_t begin, size_t end, const void* hypers, StepKernel kernel) {
  // Neighbours on one device go together.
  for (size_t next = begin; begin < end; begin = next) {
    while (next < end && pending_[next].device == pending_[begin].device) ++next;
    kernel(pending_[begin].device, std::span<const fn::StepEntry>(table_).subspan(begin, next - begin), hypers);
  }
}

// Saving

namespace {

std::string state_key(size_t i, const char* name) { return weft::str("state.", i, ".", name); }
std::string option_key(int64_t group, const char* name) { return weft::str("group.", group, ".", name); }

}  // namespace

void Optimizer::visit_state(const Slot& s, const std::function<void(const char* name, const Tensor&)>& f) const {
  const StateNames names = state_names();
  if (s.step) f("step", scalar(s.step));
  for (size_t k = 0; k < 3; ++k)
    if (s.state[k].defined()) f(names[k], s.state[k]);
  if (s.master.defined()) f("master", s.master);
}

Optimizer::State Optimizer::state() const {
  State out;
  for (const Slot& s : slots_)
    visit_state(s, [&](const char* name, const Tensor& t) { out[s.param].emplace(name, t); });
  return out;
}

// A parameter's entries are listed as metadata `state.PARAMETER`, so that a missing one is seen whatever the options
// say.
StateDict Optimizer::state_dict() const {
  WEFT_CHECK(!hook_ || !*hook_->saved_by(), NotSupported,
             "state_dict: the optimiser has this rank's share of its state only; save ", hook_->saved_by());
  StateDict out;
  for (size_t i = 0; i < slots_.size(); ++i) {
    std::string list;
    visit_state(slots_[i], [&](const char* name, const Tensor& t) {
      out.insert(state_key(i, name), t);
      list += list.empty() ? name : weft::str(" ", name);
    });
    if (!list.empty()) out.metadata[weft::str("state.", i)] = list;
  }
  for (int64_t g = 0; g < num_groups(); ++g) {
    read_options(g, [&](const char* name, double& x) { out.metadata[option_key(g, name)] = number_text(x); });
    if (static_cast<size_t>(g) < initial_lr_.size() && initial_lr_[static_cast<size_t>(g)])
      out.metadata[option_key(g, "initial_lr")] = number_text(*initial_lr_[static_cast<size_t>(g)]);
  }
  out.metadata["parameters"] = std::to_string(slots_.size());
  out.metadata["groups"] = std::to_string(num_groups());
  save_extra(out);
  return out;
}

void Optimizer::load_state_dict(const StateDict& dict) {
  NoGrad guard;
  const auto shard = dict.metadata.find("zero_shard");
  WEFT_CHECK(shard == dict.metadata.end(), ValueError, "load_state_dict: the dict is shard ", shard->second,
             "; ZeroRedundancy::merge makes the whole state of all of them");
  StateReader in(dict, "the optimiser");
  auto same_count = [&](const char* what, size_t mine) {
    const int64_t saved = in.count(what);
    WEFT_CHECK(!dict.metadata.contains(what) || saved == static_cast<int64_t>(mine), ValueError,
               "load_state_dict: the dict has ", saved, " ", what, ", the optimiser ", mine);
  };
  same_count("parameters", slots_.size());
  same_count("groups", static_cast<size_t>(num_groups()));

  const StateNames names = state_names();
  std::vector<Slot> loaded(slots_);
  for (size_t i = 0; i < loaded.size(); ++i) {
    Slot& s = loaded[i];
    s.step = 0;
    s.state = {};
    s.master = {};
    auto list = dict.metadata.find(weft::str("state.", i));
    if (list == dict.metadata.end()) continue;
    std::istringstream words(list->second);
    for (std::string word; words >> word;) {
      const std::string key = state_key(i, word.c_str());
      auto name = std::find_if(names.begin(), names.end(), [&](const char* n) { return n && word == n; });
      if (word == "step") {
        Tensor step = in.tensor(key, scalar(int64_t(0)), Dtype::i64);
        if (step.defined()) s.step = step.item<int64_t>();
        if (s.step < 0) in.fault(weft::str(key, " is ", s.step));
      } else if (word == "master") {
        s.master = in.tensor(key, s.param, compute_dtype(s.param.dtype()));
      } else if (name != names.end()) {
        s.state[static_cast<size_t>(name - names.begin())] = in.tensor(key, s.param, compute_dtype(s.param.dtype()));
      } else {
        in.fault_of(key, " is unknown to this optimiser");
      }
    }
    if (!s.master.defined()) continue;
    // The master counts only with the parameter that was saved beside it.
    bool same = true;
    Tensor rounded = s.master.to(s.param.dtype());
    auto a = rounded.to_vector<double>(), b = s.param.to_vector<double>();
    for (size_t j = 0; j < a.size(); ++j) same &= a[j] == b[j] || a[j] != a[j];
    if (!same) s.master = Tensor();
    s.seen = Stamp(s.param);
  }

  std::vector<std::function<void()>> put_in_place;
  std::vector<std::optional<double>> initial;
  for (int64_t g = 0; g < num_groups(); ++g) {
    try {
      put_in_place.push_back(visit_options(g, [&](const char* name, double& x) {
        // What is missing leaves the option as it is: it is a fault already.
        const double saved = in.number(option_key(g, name));
        if (dict.metadata.contains(option_key(g, name))) x = saved;
      }));
    } catch (const ValueError& e) { in.fault(weft::str("group ", g, ": ", e.what())); }
    const std::string key = option_key(g, "initial_lr");
    initial.push_back(dict.metadata.contains(key) ? std::optional(in.number(key)) : std::nullopt);
  }
  put_in_place.push_back(load_extra(in));
  in.finish();
  for (const auto& put : put_in_place) put();
  slots_ = std::move(loaded);
  initial_lr_ = std::move(initial);
}

double Optimizer::initial_lr(int64_t group) const {
  const size_t g = static_cast<size_t>(group);
  return g < initial_lr_.size() && initial_lr_[g] ? *initial_lr_[g] : lr(group);
}

void Optimizer::keep_initial_lr() {
  initial_lr_.resize(static_cast<size_t>(num_groups()));
  for (int64_t g = 0; g < num_groups(); ++g) initial_lr_[static_cast<size_t>(g)] = initial_lr(g);
}

}  // namespace weft::optim
