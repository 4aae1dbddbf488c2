// The deep copy of a module tree. The tree of states is copied first; then copying the user's object, under the
// scope, lets its modules, parameters and options name the copy, through their copy constructors.
#include <unordered_map>
#include <utility>
#include <vector>

#include "weft/autograd/node.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn::detail {

namespace {
thread_local CloneScope* current_scope = nullptr;
}

struct CloneScope::Impl {
  std::unordered_map<const Module::State*, std::shared_ptr<Module::State>> states;
  std::unordered_map<const TensorImpl*, ModuleTensor> tensors;
  struct Copied {
    Ref<OptionBox> original, copy;  // the original is kept, so that its address stays its own
  };
  std::unordered_map<const OptionBox*, Copied> options;
  std::unordered_map<const TensorImpl*, Tensor> given;  // what stands in for a tensor; with `shares`, others stay
};

namespace {

Tensor deep_copy(const Tensor& t) {
  Tensor out = t.detach().clone();
  if (t.requires_grad()) out.set_requires_grad(true);
  if (t.impl()->autograd && t.impl()->autograd->param_info)
    weft::detail::meta(out).param_info = std::make_unique<AutogradMeta::ParamInfo>(*t.impl()->autograd->param_info);
  return out;
}

}  // namespace

/// First pass: every state with its tensors, without children.
void CloneScope::copy_states(const Module& m) {
  if (impl_->states.contains(&m.state())) return;
  const Module::State& from = m.state();
  auto s = std::make_shared<Module::State>();
  static_cast<Settings&>(*s) = from;
  impl_->states.emplace(&from, s);
  const auto copy = [&](const Tensor& t) -> const ModuleTensor& {
    auto it = impl_->tensors.find(t.impl());
    if (it != impl_->tensors.end()) return it->second;
    const auto given = impl_->given.find(t.impl());
    const Tensor made = given != impl_->given.end() ? given->second : shares_ ? t : deep_copy(t);
    return impl_->tensors.try_emplace(t.impl(), ModuleTensor(made)).first->second;
  };
  for (const Module::State::ParamEntry& p : from.params) {
    const ModuleTensor& t = copy(p.tensor);
    s->params.push_back({p.name, Parameter(t.tensor(), &t)});
    s->params.back().tensor.owner_ = s.get();
  }
  for (const Module::State::BufferEntry& b : from.buffers) {
    const ModuleTensor& t = copy(b.tensor);
    s->buffers.push_back({b.name, Buffer(t.tensor(), &t), b.persistent});
    s->buffers.back().tensor.owner_ = s.get();
  }
  for (const Module::State::Child& c : from.children) copy_states(c.module);
}

/// Second pass: children and what prints options are copied under the scope, so that they name their clones.
void CloneScope::open() {
  before_ = std::exchange(current_scope, this);
  try {
    for (auto& [from, s] : impl_->states) {
      s->options_text = from->options_text;
      for (const Module::State::Child& c : from->children) {
        std::shared_ptr<AnyModule> held = c.held->clone();
        held->module().state().remember(held);
        held->module().state_->remember_parent(s);
        s->children.push_back({c.name, c.module, std::move(held)});
      }
    }
  } catch (...) {
    current_scope = before_;
    throw;
  }
}

CloneScope::CloneScope(const Module& root) : impl_(std::make_unique<Impl>()) {
  copy_states(root);
  open();
}

CloneScope::CloneScope(const Module& root, const std::vector<NamedTensor>& given)
    : impl_(std::make_unique<Impl>()), shares_(true) {
  std::unordered_map<std::string, const TensorImpl*> own;
  for (const auto& [name, t] : root.state_dict()) own.emplace(name, t.impl());  // with both keys of a tied pair
  for (const auto& [name, t] : root.named_buffers()) own.emplace(name, t.impl());
  std::unordered_map<const TensorImpl*, std::string> by;
  for (const auto& [name, t] : given) {
    const auto it = own.find(name);
    WEFT_CHECK(it != own.end(), ValueError, "with_tensors: ", root.name(), " has no parameter or buffer '", name, "'");
    const auto [first, added] = impl_->given.try_emplace(it->second, t);
    WEFT_CHECK(added || first->second.impl() == t.impl(), ValueError, "with_tensors: '", name, "' and '",
               by[it->second], "' are one tensor of ", root.name(), " but two are given");
    by.try_emplace(it->second, name);
  }
  copy_states(root);
  open();
}

CloneScope::~CloneScope() { current_scope = before_; }
CloneScope* CloneScope::current() { return current_scope; }

std::shared_ptr<Module::State> CloneScope::find(const Module::State* s) const {
  const auto it = impl_->states.find(s);
  return it == impl_->states.end() ? nullptr : it->second;
}
const ModuleTensor* CloneScope::find(const ModuleTensor& t) const {
  const auto it = impl_->tensors.find(t.impl());
  return it == impl_->tensors.end() ? nullptr : &it->second;
}
Ref<OptionBox> CloneScope::own(const Ref<OptionBox>& shared) {
  if (shares_) return shared;
  const auto it = impl_->options.find(shared.get());
  if (it != impl_->options.end()) return it->second.copy;
  const Ref<OptionBox> copy = shared->copy();
  impl_->options[copy.get()] = {copy, copy};  // copies of the copy stay as they are
  impl_->options[shared.get()] = {shared, copy};
  return copy;
}

AnyModule::~AnyModule() = default;
Tensor AnyModule::call(const Tensor&) {
  raise<ValueError>(
      module().name(),
      ": is not a layer of one tensor that a container holds; take it with at<M>() or as<M>() and call that");
}

}  // namespace weft::nn::detail
