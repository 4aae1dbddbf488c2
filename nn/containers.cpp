#include "weft/nn/containers.h"

#include "weft/nn/call.h"

#include <algorithm>

namespace weft::nn {

Lambda::Lambda(std::function<Tensor(const Tensor&)> f) : Module("Lambda"), f(std::move(f)) {}

namespace {
/// A child's call. ValueError where it does not run the hooks that the child has.
Tensor call_child(detail::AnyModule& held, const Tensor& x) {
  const Module::State& s = held.module().state();
  if (!s.hooks) return held.call(x);
  const auto heard = [&] { return __atomic_load_n(&s.heard, __ATOMIC_RELAXED); };
  const uint32_t before = heard();
  Tensor y = held.call(x);
  WEFT_CHECK(heard() != before, ValueError, held.module().name(),
             ": it has hooks, but its operator() does not run them; compute in nn::call(*this, x, [&](const Tensor& x) "
             "{ ... })");
  return y;
}
}  // namespace

Tensor AnyLayer::operator()(const Tensor& x) const { return call_child(*held_, x); }

AnyLayer::AnyLayer(const AnyLayer& o) : Module(o), held_(o.held_) {
  if (is_same(o)) return;
  held_ = o.held_->clone();  // a CloneScope is open
  state().remember(held_);
}

Container::Container(std::string name) : Module(std::move(name)) { state().container = true; }

size_t Container::place(int64_t index) const {
  const int64_t at = index < 0 ? index + size() : index;
  WEFT_CHECK(at >= 0 && at < size(), ValueError, name(), ": index ", index, " is out of range for ", size(),
             " modules");
  return static_cast<size_t>(at);
}

size_t Container::place(std::string_view name) const {
  const std::vector<State::Child>& all = state().children;
  const auto it = std::find_if(all.begin(), all.end(), [&](const State::Child& c) { return c.name == name; });
  WEFT_CHECK(it != all.end(), ValueError, this->name(), ": no module named '", name, "'");
  return static_cast<size_t>(it - all.begin());
}

AnyLayer Container::pop(int64_t index) {
  const size_t at = place(index);
  const AnyLayer out((*this)[index]);
  state().children.erase(state().children.begin() + static_cast<std::ptrdiff_t>(at));
  for (size_t i = at; i < state().children.size(); ++i) renumber(i, i + 1);
  return out;
}

void Container::insert_held(int64_t index, std::shared_ptr<detail::AnyModule> held) {
  const int64_t at = index < 0 ? index + size() : index;
  WEFT_CHECK(at >= 0 && at <= size(), ValueError, name(), ": index ", index, " is out of range for ", size(),
             " modules");
  register_child(std::to_string(size()), std::move(held), at);
  std::string& name = state().children[static_cast<size_t>(at)].name;
  name.clear();
  for (size_t i = state().children.size() - 1; i > static_cast<size_t>(at); --i) renumber(i, i - 1);
  name = free_name(at);
}

std::string Container::free_name(int64_t from) const {
  while (is_taken(std::to_string(from))) ++from;
  return std::to_string(from);
}

void Container::renumber(size_t i, size_t former) {
  std::string& name = state().children[i].name;
  if (!state().keyed && name == std::to_string(former) && !is_taken(std::to_string(i))) name = std::to_string(i);
}

bool Container::is_taken(const std::string& name) const {
  const std::vector<State::Child>& all = state().children;
  return std::any_of(all.begin(), all.end(), [&](const State::Child& c) { return c.name == name; });
}

void Container::extend_with(const Container& o, bool by_name) {
  const std::vector<State::Child> added = o.state().children;  // a copy: o may be this
  for (const State::Child& c : added) register_child(by_name ? c.name : free_name(size()), c.held);
}

Tensor Sequential::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& in) {
    std::vector<std::shared_ptr<detail::AnyModule>> layers;  // a hook may change the container
    layers.reserve(state().children.size());
    for (const State::Child& c : state().children) layers.push_back(c.held);
    Tensor y = in;
    for (const auto& layer : layers) y = call_child(*layer, y);
    return y;
  });
}

ModuleList::ModuleList() : Container("ModuleList") { state().list_repr = true; }

bool ModuleDict::contains(std::string_view name) const { return is_taken(std::string(name)); }

std::vector<std::string> ModuleDict::keys() const {
  std::vector<std::string> out;
  for (const State::Child& c : state().children) out.push_back(c.name);
  return out;
}

Tensor Lambda::operator()(const Tensor& x) const { return nn::call(*this, x, f); }

}  // namespace weft::nn
