// The deep copy of a module tree. The tree of states is copied first; then copying the user's object, under the
// scope, makes its module members (through Module's copy constructor) and tensor members (relink) name the copy.
#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weft/autograd/node.h"
#include "weft/nn/containers.h"
#include "weft/nn/utils.h"

namespace weft::nn::detail {

namespace {
thread_local CloneScope* current_scope = nullptr;
thread_local const Substitution* current_substitution = nullptr;
}  // namespace

Substitution::Substitution(const Module& m, const std::vector<NamedTensor>& tensors) {
  std::unordered_map<std::string, Tensor> own;
  for (const auto& [name, t] : m.named_parameters()) own.emplace(name, t);
  for (const auto& [name, t] : m.named_buffers()) own.emplace(name, t);
  for (const auto& [name, t] : tensors) {
    const auto it = own.find(name);
    WEFT_CHECK(it != own.end(), ValueError, "with_tensors: ", m.name(), " has no parameter or buffer '", name, "'");
    given_[it->second.impl()] = t;
  }
  before_ = std::exchange(current_substitution, this);
}
Substitution::~Substitution() { current_substitution = before_; }
Tensor Substitution::of(const Tensor& t) const {
  const auto it = given_.find(t.impl());
  return it == given_.end() ? t : it->second;
}

struct CloneScope::Impl {
  std::unordered_map<const Module::State*, std::shared_ptr<Module::State>> states;
  std::unordered_map<const TensorImpl*, Tensor> tensors;
  std::unordered_map<const TensorImpl*, int64_t> references;  // to the originals, beside those of copied objects

  // Seven stale bytes behind a bool of 0 (the end of an option aggregate, an empty optional) make the word of an impl whose
  // address ends in a byte of 0. relink must leave that bool alone: the copy of such an impl gets such an address, too.
  static bool ends_in_zero(const Tensor& t) { return (reinterpret_cast<uintptr_t>(t.impl()) & 0xff) == 0; }
  static bool like(const Tensor& t, const Tensor& copy) { return !ends_in_zero(t) || ends_in_zero(copy); }
  template <class Make> static Tensor chosen(const Tensor& t, const Make& make) {
    std::vector<Tensor> others;  // held, so that the next has another address
    Tensor made = make();
    while (!like(t, made) && others.size() < 1024) others.push_back(std::exchange(made, make()));
    return made;
  }

  Tensor copy(const Tensor& t) {
    auto [it, fresh] = tensors.try_emplace(t.impl());
    if (fresh && current_substitution) {
      it->second = current_substitution->of(t);
      // a view of its own, whose address may be chosen
      if (!like(t, it->second)) it->second = chosen(t, [x = it->second] { return x.unsqueeze(0).squeeze(0); });
    } else if (fresh) {
      it->second = t.detach().clone();
      if (!like(t, it->second)) it->second = chosen(t, [x = it->second] { return x.detach(); });
      if (t.requires_grad()) it->second.set_requires_grad(true);
      if (t.impl()->autograd && t.impl()->autograd->param_info)
        weft::detail::meta(it->second).param_info = std::make_unique<AutogradMeta::ParamInfo>(
            *t.impl()->autograd->param_info);
    }
    return it->second;
  }

  /// First pass: every state, with its tensors; children still name the originals.
  void copy_state(const Module& m) {
    if (states.contains(&m.state())) return;
    auto s = std::make_shared<Module::State>(m.state());
    states.emplace(&m.state(), s);
    for (NamedTensor& p : s->params) p.second = copy(p.second);
    for (Module::State::Buffer& b : s->buffers) b.tensor = copy(b.tensor);
    for (const Module::State::Child& c : m.state().children) copy_state(c.module);
  }
};

CloneScope::CloneScope(const Module& root) : impl_(std::make_unique<Impl>()), before_(nullptr) {
  impl_->copy_state(root);
  for (const auto& [original, copy] : impl_->tensors)
    impl_->references[original] = original ? original->use_count() : 0;
  before_ = std::exchange(current_scope, this);
  // Second pass: a child is copied under the scope, so that it names its clone.
  try {
    for (auto& [original, s] : impl_->states) {
      s->children.clear();
      for (const Module::State::Child& c : original->children)
        s->children.push_back({c.name, c.module, c.callable ? c.callable->clone(*this) : nullptr});
    }
  } catch (...) {
    current_scope = before_;
    throw;
  }
}

CloneScope::~CloneScope() { current_scope = before_; }
CloneScope* CloneScope::current() { return current_scope; }

std::shared_ptr<Module::State> CloneScope::find(const Module::State* s) const {
  auto it = impl_->states.find(s);
  return it == impl_->states.end() ? nullptr : it->second;
}

void CloneScope::relink(void* object, size_t size) const {
  // A Tensor is one pointer to its impl: a word of the object that equals a registered parameter's is that handle, or what an
  // empty optional has kept of older bytes. Both get the clone's pointer, and as many references move as copying has made.
  static_assert(sizeof(Tensor) == sizeof(TensorImpl*) && alignof(Tensor) == alignof(TensorImpl*));
  char* bytes = static_cast<char*>(object);
  std::unordered_map<TensorImpl*, int64_t> words;
  for (size_t at = 0; at + sizeof(Tensor) <= size; at += alignof(Tensor)) {
    TensorImpl* word;
    std::memcpy(&word, bytes + at, sizeof word);
    auto it = impl_->tensors.find(word);
    if (!word || it == impl_->tensors.end() || it->second.impl() == word) continue;
    TensorImpl* clone = it->second.impl();
    std::memcpy(bytes + at, &clone, sizeof clone);
    ++words[word];
  }
  for (const auto& [original, n] : words) {
    int64_t& before = impl_->references[original];
    const int64_t handles = std::clamp<int64_t>(static_cast<int64_t>(original->use_count()) - before, 0, n);
    for (int64_t i = 0; i < handles; ++i) {
      if (const TensorImpl* clone = impl_->tensors[original].impl()) clone->retain();
      (void)original->drop();  // never the last: the original's state has one
    }
    before = static_cast<int64_t>(original->use_count());
  }
}

}  // namespace weft::nn::detail
