#include "weft/nn/module.h"

#include <algorithm>
#include <atomic>
#include <unordered_map>
#include <unordered_set>

#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"
#include "weft/core/recording.h"

namespace weft::nn {

namespace {

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

/// Calls f(prefix, state) for `root` and all below, parents first. A module tree is as deep as its source code.
template <class F> void walk(const Module& root, const std::string& prefix, const F& f) {
  f(prefix, root.state());
  for (const Module::State::Child& c : root.state().children) walk(c.module, joined(prefix, c.name), f);
}

/// The same without names: called in every training step.
template <class F> void visit(const Module& root, const F& f) {
  f(root.state());
  for (const Module::State::Child& c : root.state().children) visit(c.module, f);
}

/// As `Module::name`.
std::string shown(const Module::State& s) {
  return !s.own_name.empty() ? s.own_name : s.name.empty() ? "Module" : s.name;
}

void check_name(const Module::State& s, const std::string& name, const char* what) {
  WEFT_CHECK(!name.empty() && name.find('.') == std::string::npos, ValueError, shown(s), ": ", what, " name '", name,
             "' must not be empty or hold a dot");
  auto same = [&](const auto& e) { return e.name == name; };
  bool taken = std::any_of(s.params.begin(), s.params.end(), same) ||
               std::any_of(s.buffers.begin(), s.buffers.end(), same) ||
               std::any_of(s.children.begin(), s.children.end(), same);
  WEFT_CHECK(!taken, ValueError, shown(s), ": there is already a member named '", name, "'");
}

}  // namespace

uint64_t detail::next_state_id() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

Module::Module() : state_(std::make_shared<State>()) {}
Module::Module(std::string name, std::string extra) : Module() {
  state_->name = std::move(name);
  state_->extra = std::move(extra);
}
Module::Module(const Module& o) : state_(o.state_) {
  if (const detail::CloneScope* scope = detail::CloneScope::current())
    if (std::shared_ptr<State> s = scope->find(state_.get())) state_ = std::move(s);
}
Module& Module::operator=(const Module& o) {
  if (state_ != o.state_ && !state_->parents.empty()) replace_among_children(o);
  detail::Reassigned::note(*this, o);
  state_ = o.state_;
  return *this;
}

void Module::set_name(std::string name) { state_->own_name = std::move(name); }
void Module::set_extra(std::string extra, std::function<std::string()> options) {
  state_->extra = std::move(extra);
  state_->options_text = std::move(options);
}
bool Module::is_training() const {
  if (weft::detail::Recording* r = weft::detail::recording())  // what asks depends on it
    r->conditions.push_back([state = std::weak_ptr<State>(state_), before = state_->training] {
      const auto now = state.lock();
      return now && now->training == before;
    });
  return state_->training;
}

Parameter Module::put_param(std::string name, const Tensor& value, const ModuleTensor* tied, bool trainable) {
  check_name(*state_, name, "parameter");
  if (!value.defined()) return {};
  WEFT_CHECK(value.is_leaf(), ValueError, this->name(), ": parameter '", name,
             "' was computed from other tensors; register a leaf, or compute it in the call");
  Parameter p(value, tied);
  if (p.is_floating()) p.set_requires_grad(trainable);
  state_->params.push_back({std::move(name), Parameter(value, &p)});
  state_->params.back().tensor.owner_ = state_.get();
  return p;
}

Buffer Module::put_buffer(std::string name, const Tensor& value, const ModuleTensor* tied, bool persistent) {
  check_name(*state_, name, "buffer");
  if (!value.defined()) return {};
  Buffer b(value, tied);
  state_->buffers.push_back({std::move(name), Buffer(value, &b), persistent});
  state_->buffers.back().tensor.owner_ = state_.get();
  return b;
}

void Module::State::remember(const std::shared_ptr<detail::AnyModule>& held) {
  std::erase_if(objects, [&](const auto& o) { return o.expired() || o.lock() == held; });
  objects.push_back(held);
}

void Module::State::remember_parent(const std::shared_ptr<State>& parent) {
  std::erase_if(parents, [&](const auto& p) { return p.expired() || p.lock() == parent; });
  parents.push_back(parent);
}

namespace {

void check_no_cycle(const Module& parent, const std::string& name, const Module& child) {
  bool cycle = false;
  visit(child, [&](const Module::State& s) { cycle |= &s == &parent.state(); });
  WEFT_CHECK(!cycle, ValueError, parent.name(), ": module '", name, "' contains the module it is added to");
}

}  // namespace

void Module::register_child(std::string name, std::shared_ptr<detail::AnyModule> held, int64_t at) {
  const Module& child = held->module();
  check_name(*state_, name, "module");
  check_no_cycle(*this, name, child);
  child.state_->remember(held);
  child.state_->remember_parent(state_);
  std::vector<State::Child>& all = state_->children;
  all.insert(at < 0 ? all.end() : all.begin() + at, {std::move(name), child, std::move(held)});
}

void Module::replace_among_children(const Module& o) {
  const auto is_there = [](const auto& object) { return !object.expired(); };
  const std::vector<std::weak_ptr<detail::AnyModule>>& objects = o.state_->objects;
  if (std::any_of(objects.begin(), objects.end(), is_there)) return;  // another's member: whole modules are assigned
  const std::vector<std::weak_ptr<State>> parents = state_->parents;  // o may be all that keeps this state
  for (const std::weak_ptr<State>& weak : parents) {
    const std::shared_ptr<State> parent = weak.lock();
    if (!parent) continue;
    for (State::Child& c : parent->children) {
      if (c.module.state_ != state_) continue;
      visit(o, [&](const State& s) {
        WEFT_CHECK(&s != parent.get(), ValueError, shown(*parent), ": module '", c.name,
                   "' would contain the module it belongs to");
      });
      std::shared_ptr<detail::AnyModule> held = &c.held->module() == this ? c.held : c.held->of(o);
      WEFT_CHECK(held, ValueError, shown(*parent), ": module '", c.name, "' is a ", name(), ", not a ", o.name());
      c.module.state_ = o.state_;
      c.held = held;
      o.state_->remember(held);
      o.state_->remember_parent(parent);
    }
  }
}

std::vector<Module::Place> Module::places(const std::function<bool(const Module&)>& wanted) const {
  std::vector<Place> out;
  std::unordered_set<const State*> seen;
  const std::function<void(const Module&, const std::string&)> look = [&](const Module& m, const std::string& path) {
    const State& s = m.state();
    if (!seen.insert(&s).second) return;
    for (size_t i = 0; i < s.children.size(); ++i) {
      const std::string here = joined(path, s.children[i].name);
      if (!wanted(s.children[i].held->module())) {
        look(s.children[i].module, here);
        continue;
      }
      WEFT_CHECK(s.container, ValueError, "replace: '", here, "' is a member of ", m.name(),
                 ", which calls it by that member; declared as nn::Sequential, the member could change its layers");
      out.emplace_back(m, i);
    }
  };
  look(*this, "");
  return out;
}

void Module::put(const std::vector<Place>& at, std::vector<std::shared_ptr<detail::AnyModule>> held) {
  size_t done = 0;
  const auto swap_one = [&] {
    State::Child& child = at[done].first.state().children[at[done].second];
    child.module.state_ = held[done]->module().state_;
    child.held.swap(held[done]);
  };
  try {
    for (; done < at.size(); ++done) {
      const auto& [parent, index] = at[done];
      WEFT_CHECK(index < parent.state().children.size(), ValueError, parent.name(),
                 ": lost a module while it was replaced");
      check_no_cycle(parent, parent.state().children[index].name, held[done]->module());
      held[done]->module().state_->remember(held[done]);
      held[done]->module().state_->remember_parent(parent.state_);
      swap_one();
    }
  } catch (...) {
    while (done-- > 0) swap_one();
    throw;
  }
}

Module& Module::train(Only<bool> on) {
  visit(*this, [&](State& s) { s.training = on; });
  return *this;
}

Module& Module::requires_grad(Only<bool> on) {
  for (Tensor& p : parameters())
    if (p.is_floating()) p.set_requires_grad(on);
  return *this;
}

namespace {

/// Lets every handle of t see `convert(t)`; its gradient goes along.
template <class F> void convert_tensor(Tensor t, const F& convert) {
  Tensor g = t.grad();
  Tensor moved = convert(t.detach());
  // `to` gives the tensor itself when there is nothing to do
  if (moved.raw_data() != t.raw_data() || moved.dtype() != t.dtype() || moved.device() != t.device())
    t.swap_contents(moved);
  if (g.defined()) t.set_grad(convert(g.detach()));
}

}  // namespace

Module& Module::to(Device device) {
  NoGrad guard;
  auto move = [&](const Tensor& t) { return t.to(device); };
  for (const Tensor& t : parameters()) convert_tensor(t, move);
  for (const Tensor& t : buffers()) convert_tensor(t, move);
  return *this;
}

Module& Module::to(Dtype dtype) {
  WEFT_CHECK(is_floating(dtype), DtypeError, "to: a module's dtype must be floating, got ", dtype);
  NoGrad guard;
  auto cast = [&](const Tensor& t) { return t.is_floating() ? t.to(dtype) : t; };
  for (const Tensor& t : parameters()) convert_tensor(t, cast);
  for (const Tensor& t : buffers()) convert_tensor(t, cast);
  return *this;
}

void Module::zero_grad(Only<bool> set_to_none) {
  for (Tensor& p : parameters()) weft::detail::clear_grad(p, set_to_none);
}

std::vector<NamedTensor> Module::named_parameters() const {
  std::vector<NamedTensor> out;
  std::unordered_set<TensorImpl*> seen;
  walk(*this, "", [&](const std::string& prefix, const State& s) {
    for (const auto& [name, t] : s.params)
      if (seen.insert(t.impl()).second) out.emplace_back(joined(prefix, name), t.tensor());
  });
  return out;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> out;
  std::unordered_set<TensorImpl*> seen;
  visit(*this, [&](const State& s) {
    for (const auto& [name, t] : s.params)
      if (seen.insert(t.impl()).second) out.push_back(t.tensor());
  });
  return out;
}

std::vector<NamedTensor> Module::named_buffers() const {
  std::vector<NamedTensor> out;
  std::unordered_set<TensorImpl*> seen;
  walk(*this, "", [&](const std::string& prefix, const State& s) {
    for (const State::BufferEntry& b : s.buffers)
      if (seen.insert(b.tensor.impl()).second) out.emplace_back(joined(prefix, b.name), b.tensor.tensor());
  });
  return out;
}

std::vector<Tensor> Module::buffers() const {
  std::vector<Tensor> out;
  for (auto& [name, t] : named_buffers()) out.push_back(std::move(t));
  return out;
}

std::vector<std::pair<std::string, Module>> Module::named_children() const {
  std::vector<std::pair<std::string, Module>> out;
  for (const State::Child& c : state_->children) out.emplace_back(c.name, c.module);
  return out;
}

std::vector<Module> Module::children() const {
  std::vector<Module> out;
  for (const State::Child& c : state_->children) out.push_back(c.module);
  return out;
}

namespace {

void collect(const Module& m, const std::string& prefix, std::unordered_set<const Module::State*>& seen,
             std::vector<std::pair<std::string, Module>>& out) {
  if (!seen.insert(&m.state()).second) return;
  out.emplace_back(prefix, m);
  for (const Module::State::Child& c : m.state().children) collect(c.module, joined(prefix, c.name), seen, out);
}

}  // namespace

std::vector<std::pair<std::string, Module>> Module::named_modules() const {
  std::vector<std::pair<std::string, Module>> out;
  std::unordered_set<const State*> seen;
  collect(*this, "", seen, out);
  return out;
}

std::vector<const Module*> Module::objects() const {
  std::vector<const Module*> out;
  std::unordered_set<const State*> seen;
  const std::function<void(const State&)> look = [&](const State& s) {
    if (!seen.insert(&s).second) return;
    for (const State::Child& c : s.children) {
      out.push_back(&c.held->module());
      look(c.module.state());
    }
  };
  look(*state_);
  return out;
}

std::vector<Module> Module::modules() const {
  std::vector<Module> out;
  for (auto& [name, m] : named_modules()) out.push_back(std::move(m));
  return out;
}

namespace {

Tensor tensor_named(const Module& m, std::string_view name, bool params, bool buffers) {
  Tensor found;
  walk(m, "", [&](const std::string& prefix, const Module::State& s) {
    for (const auto& [key, t] : s.params)
      if (params && joined(prefix, key) == name) found = t.tensor();
    for (const Module::State::BufferEntry& b : s.buffers)
      if (buffers && joined(prefix, b.name) == name) found = b.tensor.tensor();
  });
  WEFT_CHECK(found.defined(), ValueError, m.name(), ": no ", params ? "parameter" : "buffer",
             params && buffers ? " or buffer" : "", " named '", name, "'");
  return found;
}

}  // namespace

Tensor Module::get(std::string_view name) const { return tensor_named(*this, name, true, true); }
Tensor Module::get_parameter(std::string_view name) const { return tensor_named(*this, name, true, false); }
Tensor Module::get_buffer(std::string_view name) const { return tensor_named(*this, name, false, true); }

Module Module::get_submodule(std::string_view name) const {
  const Module* here = this;
  for (std::string_view rest = name; !rest.empty();) {
    const std::string_view key = rest.substr(0, rest.find('.'));
    const auto& all = here->state_->children;
    const auto it = std::find_if(all.begin(), all.end(), [&](const State::Child& c) { return c.name == key; });
    WEFT_CHECK(it != all.end(), ValueError, this->name(), ": no module named '", name, "'");
    here = &it->module;
    rest.remove_prefix(std::min(rest.size(), key.size() + 1));
  }
  return *here;
}

Module& Module::apply(const std::function<void(Module&)>& f) {
  for (Module& c : children()) c.apply(f);
  f(*this);
  return *this;
}

StateDict Module::state_dict() const {
  StateDict out;
  walk(*this, "", [&](const std::string& prefix, const State& s) {
    for (const auto& [name, t] : s.params) out.insert(joined(prefix, name), t.tensor());
    for (const State::BufferEntry& b : s.buffers)
      if (b.persistent) out.insert(joined(prefix, b.name), b.tensor.tensor());
  });
  return out;
}

namespace {

/// Names that stand for one tensor of the module though their entries differ: a line for each.
std::string untied(const Module& root, const StateDict& dict) {
  std::unordered_map<TensorImpl*, std::pair<std::string, const Tensor*>> first;
  std::string out;
  for (const auto& [key, t] : root.state_dict()) {
    const Tensor* from = dict.find(key);
    if (!from || from->shape() != t.shape()) continue;
    auto [it, fresh] = first.try_emplace(t.impl(), key, from);
    if (fresh || it->second.second->is_same(*from)) continue;
    const Tensor a = it->second.second->detach(), b = from->detach().to(a.options());
    // NaN twice is the same
    if (any(logical_and(ne(a, b), logical_or(eq(a, a), eq(b, b)))).item<bool>())
      out += weft::str("\n  ", it->second.first, " and ", key, " are one tensor of the module, but differ in the dict");
  }
  return out;
}

}  // namespace

LoadResult Module::load_state_dict(const StateDict& dict, Only<bool> strict) {
  LoadResult result;
  std::string misshapen;
  std::vector<std::pair<Tensor, Tensor>> copies;
  std::vector<std::pair<State*, Shape>> waiting;
  std::unordered_set<std::string> known;
  walk(*this, "", [&](const std::string& prefix, State& s) {
    const auto first_name = [&] { return s.params.empty() ? s.buffers.front().name : s.params.front().name; };
    const Tensor* first = s.lazy ? dict.find(joined(prefix, first_name())) : nullptr;
    if (first && first->numel() == 0) first = nullptr;  // from a module that is lazy itself
    if (first) waiting.emplace_back(&s, first->shape());
    auto take = [&](const std::string& name, const Tensor& to) {
      const Shape shape = first ? s.lazy->shape(name, first->shape()) : to.shape();
      std::string key = joined(prefix, name);
      known.insert(key);
      const Tensor* from = dict.find(key);
      if (!from) {
        if (std::find(s.may_miss.begin(), s.may_miss.end(), name) == s.may_miss.end())
          result.missing_keys.push_back(key);
      } else if (from->shape() != shape) {
        misshapen += weft::str("\n  size mismatch for ", key, ": the dict has ", from->shape(), ", the module ", shape);
      } else {
        copies.emplace_back(to, *from);
      }
    };
    for (const auto& [name, t] : s.params) take(name, t);
    for (const State::BufferEntry& b : s.buffers)
      if (b.persistent) take(b.name, b.tensor);
    for (const std::string& name : s.ignored) known.insert(joined(prefix, name));
  });
  for (const auto& [key, t] : dict)
    if (!known.contains(key)) result.unexpected_keys.push_back(key);
  for (const auto& [key, t] : dict.foreign)
    if (!known.contains(key)) result.unexpected_keys.push_back(key);

  std::string wrong = misshapen;
  if (strict) wrong += untied(*this, dict);
  auto list = [&](const char* what, const std::vector<std::string>& keys) {
    if (keys.empty()) return;
    wrong += weft::str("\n  ", what, " ");
    for (size_t i = 0; i < keys.size(); ++i) wrong += (i ? ", " : "") + keys[i];
  };
  if (strict) {
    list("missing:", result.missing_keys);
    list("unexpected:", result.unexpected_keys);
  }
  WEFT_CHECK(wrong.empty(), ValueError, "load_state_dict: the dict does not fit ", name(), ":", wrong);

  NoGrad guard;
  for (auto& [s, shape] : waiting)
    if (s->lazy) detail::materialize(*s, shape);
  for (auto& [to, from] : copies)
    if (!to.is_same(from)) to.copy_(from.detach());
  return result;
}

detail::LazyShapes::~LazyShapes() = default;

void detail::materialize(Module::State& s, const Shape& first) {
  WEFT_CHECK(!weft::detail::recording(), NotSupported, s.name,
             ": its parameters have no size yet, and a capture cannot give them values; call the model once before");
  const std::shared_ptr<const LazyShapes> lazy = s.lazy;
  lazy->materialize(s, first);
  s.lazy.reset();
}

}  // namespace weft::nn
