#include "weft/optim/optimizer.h"

#include <charconv>
#include <unordered_set>

#include "weft/core/factory.h"

namespace weft::optim {

Optimizer::~Optimizer() = default;

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

void Optimizer::zero_grad(bool set_to_none) {
  for (Slot& s : slots_) {
    Tensor g = s.param.grad();
    if (!g.defined()) continue;
    if (set_to_none) s.param.zero_grad();
    else if (g.requires_grad()) s.param.set_grad(zeros_like(g).detach());  // it belongs to a graph of its own
    else g.zero_();
  }
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

namespace {

/// Equal order of elements: strides agree where they matter.
bool same_order(const Tensor& a, const Tensor& b) {
  if (a.is_contiguous() && b.is_contiguous()) return true;
  for (int i = 0; i < a.rank(); ++i)
    if (a.shape()[i] > 1 && a.strides()[i] != b.strides()[i]) return false;
  return true;
}

/// t in the order of `like`, in `dtype` and on its device; t itself if it is.
Tensor fitted(const Tensor& t, const Tensor& like, Dtype dtype) {
  if (t.dtype() == dtype && t.device() == like.device() && same_order(t, like)) return t;
  Tensor out = empty_like(like, dtype);
  out.copy_(t.detach().to(like.device()));
  return out;
}

}  // namespace

void Optimizer::begin() {
  table_.clear();
  pending_.clear();
  converted_.clear();
}

void Optimizer::prepare(Slot& s, unsigned states, double initial) {
  Tensor g = s.param.grad();
  if (!g.defined()) return;
  Tensor& p = s.param;
  WEFT_CHECK(p.is_dense(), ValueError, "step: parameter ", p.shape(), " with strides ", p.strides(),
             " has gaps; optimise the tensor that it is a view of");
  Tensor fit = fitted(g, p, p.dtype());
  if (!fit.is_same(g)) converted_.push_back(fit);

  const Dtype compute = compute_dtype(p.dtype());
  bool fresh = false;
  fn::StepEntry e;
  for (int i = 0; i < 3; ++i) {
    if (!(states >> i & 1)) continue;
    Tensor& t = s.state[static_cast<size_t>(i)];
    if (!t.defined()) {
      t = empty_like(p, compute).fill_(initial);
      fresh = true;
    } else {
      t = fitted(t, p, compute);
    }
    e.state[i] = t.mut_raw_data();
  }
  e.param = p.mut_raw_data();
  if (compute == p.dtype()) {
    e.master = e.param;
  } else {
    // Who wrote the parameter since (loaded a model, averaged weights) meant the new value: the master follows.
    bool stale = s.seen != p.impl()->storage->id() || s.seen_version + 1 != p.version();
    if (!s.master.defined() || stale) s.master = empty_like(p, compute).copy_(p.detach());
    else s.master = fitted(s.master, p, compute);
    e.master = s.master.mut_raw_data();
  }
  e.grad = fit.raw_data();
  e.numel = p.numel();
  e.hyper = s.group;
  e.dtype = p.dtype();
  table_.push_back(e);
  pending_.push_back({&s, fresh, p.device()});
}

void Optimizer::launch(const void* hypers, void (*kernel)(Device, std::span<const fn::StepEntry>, const void*)) {
  bool one_device = true;
  for (const Pending& p : pending_) one_device &= p.device == pending_[0].device;
  if (one_device) {
    kernel(pending_[0].device, table_, hypers);
  } else {
    std::vector<bool> done(table_.size());
    for (size_t i = 0; i < table_.size(); ++i) {
      if (done[i]) continue;
      std::vector<fn::StepEntry> part;
      for (size_t j = i; j < table_.size(); ++j)
        if (pending_[j].device == pending_[i].device) {
          part.push_back(table_[j]);
          done[j] = true;
        }
      kernel(pending_[i].device, part, hypers);
    }
  }
  for (const Pending& p : pending_) {
    p.slot->seen = p.slot->param.impl()->storage->id();
    p.slot->seen_version = p.slot->param.version();
  }
  converted_.clear();
}

// Saving

namespace {

std::string number_text(double x) {
  char text[40];
  auto end = std::to_chars(text, text + sizeof text, x).ptr;
  return std::string(text, end);
}

std::string state_key(size_t i, const char* name) { return weft::str("state.", i, ".", name); }

}  // namespace

StateDict Optimizer::state_dict() const {
  StateDict out;
  auto names = state_names();
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& s = slots_[i];
    if (s.step) out.insert(state_key(i, "step"), scalar(s.step));
    for (size_t k = 0; k < 3; ++k)
      if (s.state[k].defined()) out.insert(state_key(i, names[k]), s.state[k]);
    if (s.master.defined()) out.insert(state_key(i, "master"), s.master);
  }
  for (int64_t g = 0; g < num_groups(); ++g)
    read_options(
        g, [&](const char* name, double& x) { out.metadata[weft::str("group.", g, ".", name)] = number_text(x); });
  out.metadata["parameters"] = std::to_string(slots_.size());
  out.metadata["groups"] = std::to_string(num_groups());
  save_extra(out);
  return out;
}

void Optimizer::load_state_dict(const StateDict& dict) {
  NoGrad guard;
  auto count = [&](const char* what, size_t mine) {
    auto it = dict.metadata.find(what);
    WEFT_CHECK(it != dict.metadata.end(), ValueError, "load_state_dict: not the state of an optimiser: no entry '",
               what, "'");
    WEFT_CHECK(it->second == std::to_string(mine), ValueError, "load_state_dict: the dict has ", it->second, " ", what,
               ", the optimiser ", mine);
  };
  count("parameters", slots_.size());
  count("groups", static_cast<size_t>(num_groups()));
  auto names = state_names();
  std::vector<Slot> loaded(slots_);
  for (size_t i = 0; i < loaded.size(); ++i) {
    Slot& s = loaded[i];
    const Dtype compute = compute_dtype(s.param.dtype());
    auto take = [&](const char* name) -> Tensor {
      const Tensor* t = name ? dict.find(state_key(i, name)) : nullptr;
      if (!t) return {};
      WEFT_CHECK(t->shape() == s.param.shape(), ValueError, "load_state_dict: ", state_key(i, name), " has shape ",
                 t->shape(), ", the parameter ", s.param.shape());
      return empty_like(s.param, compute).copy_(t->detach().to(s.param.device()));
    };
    for (size_t k = 0; k < 3; ++k) s.state[k] = take(names[k]);
    s.master = take("master");
    const Tensor* step = dict.find(state_key(i, "step"));
    s.step = step ? step->item<int64_t>() : 0;
    if (s.master.defined()) {
      // The master counts only with the parameter that was saved beside it.
      bool same = true;
      Tensor rounded = s.master.to(s.param.dtype());
      auto a = rounded.to_vector<double>(), b = s.param.to_vector<double>();
      for (size_t j = 0; j < a.size(); ++j) same &= a[j] == b[j] || a[j] != a[j];
      if (!same) s.master = Tensor();
      s.seen = s.param.impl()->storage->id();
      s.seen_version = s.param.version();
    }
  }
  std::vector<std::pair<int64_t, std::vector<double>>> options;
  for (int64_t g = 0; g < num_groups(); ++g) {
    std::vector<double> values;
    read_options(g, [&](const char* name, double& x) {
      auto it = dict.metadata.find(weft::str("group.", g, ".", name));
      WEFT_CHECK(it != dict.metadata.end(), ValueError, "load_state_dict: no option ", name, " of group ", g);
      const std::string& text = it->second;
      double value = x;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      WEFT_CHECK(error == std::errc() && end == text.data() + text.size(), ValueError, "load_state_dict: option ", name,
                 " of group ", g, " is '", text, "', not a number");
      values.push_back(value);
    });
    options.emplace_back(g, std::move(values));
  }
  load_extra(dict);
  slots_ = std::move(loaded);
  for (const auto& group : options) {  // no structured binding: clang 14 cannot capture one
    size_t at = 0;
    write_options(group.first, [&](const char*, double& x) { x = group.second[at++]; });
  }
}

}  // namespace weft::optim
