#include "weft/nn/containers.h"

namespace weft::nn {

detail::AnyModule::~AnyModule() = default;

const Module::State::Child& Container::child(int64_t index) const {
  int64_t at = index < 0 ? index + size() : index;
  WEFT_CHECK(at >= 0 && at < size(), ValueError, name(), ": index ", index, " is out of range for ", size(),
             " modules");
  return state().children[static_cast<size_t>(at)];
}

const Module::State::Child& Container::child(std::string_view name) const {
  for (const State::Child& c : state().children)
    if (c.name == name) return c;
  raise<ValueError>(this->name(), ": no module named '", name, "'");
}

Tensor Sequential::operator()(const Tensor& x) const {
  Tensor y = x;
  for (const State::Child& c : state().children) y = c.callable->call(y);
  return y;
}

ModuleList::ModuleList() : Container("ModuleList") { state().list_repr = true; }

bool ModuleDict::contains(std::string_view name) const {
  for (const State::Child& c : state().children)
    if (c.name == name) return true;
  return false;
}

std::vector<std::string> ModuleDict::keys() const {
  std::vector<std::string> out;
  for (const State::Child& c : state().children) out.push_back(c.name);
  return out;
}

}  // namespace weft::nn
