// A module is a value handle over a shared state: ordered parameters, buffers, children and the training mode.
// Registering returns the handle, so that it is a member initialiser; copies share the state as tensors do.
// Knows tensors and StateDict; knows no layer and no file format.
#pragma once

#include <concepts>
#include <cstring>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "weft/core/state_dict.h"

namespace weft::nn {

class Module;
namespace detail {
class CloneScope;
class AnyModule;
class LazyShapes;
}  // namespace detail

using NamedTensor = std::pair<std::string, Tensor>;

/// What `load_state_dict` did not use or did not find (only without `strict`).
struct LoadResult {
  std::vector<std::string> missing, unexpected;
};

/// Base of every module. Derive, and register members where they are declared:
///     struct Net : nn::Module {
///       nn::Linear fc = add("fc", nn::Linear(4, 2));
///       Tensor scale = param("scale", ones({2}));
///       Tensor operator()(const Tensor& x) { return fc(x) * scale; }
///     };
/// State-dict order: own parameters, own buffers, then the children, each in order of registration.
class WEFT_API Module {
 public:
  struct State;

  Module();
  /// A copy shares the state; inside `clone` it takes the clone's.
  Module(const Module& o);
  Module& operator=(const Module&) = default;
  ~Module() = default;

  /// The class name that printing shows: "Conv2d".
  const std::string& name() const;
  bool is_training() const;
  /// Training or evaluation mode, of this module and all below. Trainability stays as it is.
  Module& train(bool on = true);
  Module& eval() { return train(false); }
  /// Sets requires_grad of every parameter. The mode stays as it is.
  Module& requires_grad(bool on = true);
  /// Moves parameters, gradients and buffers. Every handle of them sees the change.
  Module& to(Device device);
  /// Casts floating parameters, gradients and buffers; others stay. DtypeError unless `dtype` is floating.
  Module& to(Dtype dtype);
  /// Forgets all gradients, or zeroes them where they are.
  void zero_grad(bool set_to_none = true);

  /// All parameters, each once, in state-dict order.
  std::vector<Tensor> parameters() const;
  std::vector<NamedTensor> named_parameters() const;
  std::vector<Tensor> buffers() const;
  std::vector<NamedTensor> named_buffers() const;
  std::vector<Module> children() const;
  std::vector<std::pair<std::string, Module>> named_children() const;
  /// This module (name "") and all below, each once, parents first.
  std::vector<Module> modules() const;
  std::vector<std::pair<std::string, Module>> named_modules() const;
  /// The parameter or buffer of that dotted name. ValueError otherwise.
  Tensor get(std::string_view name) const;
  /// Calls f for all modules below and then for this one.
  Module& apply(const std::function<void(Module&)>& f);

  /// Handles of all parameters and persistent buffers (no copies): `conv1.weight`, ...
  StateDict state_dict() const;
  /// Copies the entries in, converting dtype and device. Missing, unexpected and misshapen entries are collected into one
  /// ValueError that names every key, and nothing is changed then. Without `strict` only a wrong shape is an error.
  LoadResult load_state_dict(const StateDict& dict, bool strict = true);

  State& state() const { return *state_; }
  bool is_same(const Module& o) const { return state_ == o.state_; }

 protected:
  /// The printed name, and what is printed between the parentheses. Classes that derive from a layer of the library print
  /// their own C++ name; `set_name` gives another.
  explicit Module(std::string name, std::string extra = "");
  void set_name(std::string name);
  void set_extra(std::string extra);

  /// Registers a trainable leaf and returns it. An undefined tensor is not registered. ValueError: a taken or illegal
  /// name, or a tensor that was computed from others.
  Tensor param(std::string name, Tensor value);
  /// Registers state that is not trained. Only persistent buffers are in the state dict.
  Tensor buffer(std::string name, Tensor value, bool persistent = true);
  /// Registers a child and returns it.
  template <std::derived_from<Module> M> M add(std::string name, M child) {
    child.name_from(typeid(M));
    register_child(std::move(name), child, nullptr);
    return child;
  }
  void register_child(std::string name, const Module& child, std::shared_ptr<detail::AnyModule> callable);

 private:
  friend class detail::CloneScope;
  friend class detail::AnyModule;
  template <std::derived_from<Module> M> friend std::ostream& operator<<(std::ostream& os, const M& m);
  /// Users' classes are called by their C++ name, also those derived from a layer of the library.
  void name_from(const std::type_info& type) const;
  std::ostream& print(std::ostream& os) const;

  std::shared_ptr<State> state_;
};

/// What the copies of a module share.
struct Module::State {
  struct Buffer {
    std::string name;
    Tensor tensor;
    bool persistent;
  };
  struct Child {
    std::string name;
    Module module;
    std::shared_ptr<detail::AnyModule> callable;  ///< set by containers, which call their children
  };
  std::string name;      ///< of the library's class, or what a constructor gave; may be empty
  std::string own_name;  ///< of the user's class, or what `set_name` gave; printed in place of `name` unless empty
  std::string extra;     ///< printed between the parentheses
  bool training = true;
  bool list_repr = false;  ///< equal neighbours are printed once, as PyTorch's ModuleList
  std::vector<NamedTensor> params;
  std::vector<Buffer> buffers;
  std::vector<Child> children;
  /// Entries that old checkpoints lack, and own keys that they have though the module does not.
  std::vector<std::string> may_miss, ignored;
  /// Set while the parameters wait, without elements, for the shapes of an input or of a state dict.
  std::shared_ptr<const detail::LazyShapes> lazy;
};

namespace detail {

/// How a lazy module's parameters get their shapes. `first`: the shape that its first parameter has in a state dict.
class WEFT_API LazyShapes {
 public:
  virtual ~LazyShapes();
  /// The shape that parameter `name` must have then.
  virtual Shape shape(const std::string& name, const Shape& first) const = 0;
  /// Gives all parameters of s their shapes and first values.
  virtual void materialize(Module::State& s, const Shape& first) const = 0;
};
/// Once: s is lazy no longer.
WEFT_API void materialize(Module::State& s, const Shape& first);

/// While it lives, copying a module of the tree of `root` on this thread gives the module's clone.
class WEFT_API CloneScope {
 public:
  explicit CloneScope(const Module& root);
  ~CloneScope();
  CloneScope(const CloneScope&) = delete;
  CloneScope& operator=(const CloneScope&) = delete;
  /// Lets tensor handles inside an object that was copied under this scope name the clone's tensors.
  void relink(void* object, size_t size) const;
  static CloneScope* current();
  /// The clone of a state of the tree, or null.
  std::shared_ptr<Module::State> find(const Module::State* s) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  CloneScope* before_;
};

template <class M> M copy_members(const M& m, const CloneScope& scope) {
  // Made in zeroed memory: what a copy leaves unwritten (the unused end of a Shape) must not look like a handle.
  union Room {
    Room() { std::memset(static_cast<void*>(this), 0, sizeof *this); }
    ~Room() {}
    M object;
  } room;
  asm volatile("" : : "r"(&room) : "memory");  // the zeros count, though a constructor follows
  const std::unique_ptr<M, void (*)(M*)> copy(std::construct_at(&room.object, m), [](M* p) { std::destroy_at(p); });
  scope.relink(copy.get(), sizeof(M));
  return std::move(*copy);
}

}  // namespace detail

/// A deep copy with tensors of its own: same values, modes, trainability and tags, no gradients. Tensor members of
/// a user's class must be direct members (not inside a std::vector) to follow; modules may be anywhere.
template <std::derived_from<Module> M> [[nodiscard]] M clone(const M& m) {
  detail::CloneScope scope(m);
  return detail::copy_members(m, scope);
}

/// Prints as PyTorch prints modules.
template <std::derived_from<Module> M> std::ostream& operator<<(std::ostream& os, const M& m) {
  m.name_from(typeid(M));
  return m.print(os);
}

}  // namespace weft::nn
