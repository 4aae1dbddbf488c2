// A module is a value handle over a shared state: ordered parameters, buffers, children and the training mode.
// Registering returns the handle, so that it is a member initialiser; copies share the state as tensors do.
// Knows tensors and StateDict; knows no layer and no file format.
#pragma once

#include <concepts>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "weft/core/state_dict.h"
#include "weft/nn/parameter.h"

namespace weft::nn {

class Module;
namespace detail {
class CloneScope;
class AnyModule;
class LazyShapes;
class OptionBox;
/// What runs before a call may replace its input, what runs after it its result: an undefined Tensor leaves it.
using PreHook = std::function<Tensor(const Module&, const Tensor& input)>;
using PostHook = std::function<Tensor(const Module&, const Tensor& input, const Tensor& output)>;
struct Hooks {
  std::vector<std::pair<int64_t, PreHook>> before;
  std::vector<std::pair<int64_t, PostHook>> after;
};
}  // namespace detail

/// A dotted name and its tensor.
using NamedTensor = std::pair<std::string, Tensor>;

/// What `load_state_dict` did not use or did not find (only without `strict`).
struct LoadResult {
  std::vector<std::string> missing_keys, unexpected_keys;  ///< names, in the order of the module and of the dict
};

/// Base of every module. Derive, and register members where they are declared:
///     struct Net : nn::Module {
///       nn::Linear fc = add("fc", nn::Linear(4, 2));
///       nn::Parameter scale = param("scale", ones({2}));
///       Tensor operator()(const Tensor& x) { return fc(x) * scale; }
///     };
/// Assigning a module to another, `net = other`, makes it a handle of the other's state, its parameters and members
/// with it. A member that is assigned a new module, `net.fc = nn::Linear(8, 3)`, is replaced among the parameters, the
/// state dict and the children of net too; copies of net that were made before call their own members as before.
/// State-dict order: own parameters, own buffers, then the children, each in order of registration.
class WEFT_API Module {
 public:
  struct State;

  /// Without a name of the library: prints its own class name. Training mode.
  Module();
  /// A copy shares the state; inside `clone` it takes the clone's.
  Module(const Module& o);
  Module& operator=(const Module& o);
  virtual ~Module() = default;

  /// The class name that printing shows: "Conv2d".
  std::string name() const;
  /// The mode that `train` and `eval` set; true at first.
  bool is_training() const;
  /// Training or evaluation mode, of this module and all below. Trainability stays as it is.
  Module& train(Only<bool> on = true);
  Module& eval() { return train(false); }
  /// Sets requires_grad of every parameter. The mode stays as it is.
  Module& requires_grad(Only<bool> on = true);
  /// requires_grad with PyTorch's name.
  Module& requires_grad_(Only<bool> on = true) { return requires_grad(on); }
  /// Moves parameters, gradients and buffers. Every handle of them sees the change.
  Module& to(Device device);
  /// Casts floating parameters, gradients and buffers; others stay. DtypeError unless `dtype` is floating.
  Module& to(Dtype dtype);
  /// Forgets all gradients, or zeroes them where they are.
  void zero_grad(Only<bool> set_to_none = true);

  /// All parameters, each once, in state-dict order.
  std::vector<Tensor> parameters() const;
  /// With their dotted names, "conv1.weight".
  std::vector<NamedTensor> named_parameters() const;
  /// All buffers, each once, persistent or not, in state-dict order.
  std::vector<Tensor> buffers() const;
  std::vector<NamedTensor> named_buffers() const;
  /// Direct children in order of registration, as handles, and with their own names.
  std::vector<Module> children() const;
  std::vector<std::pair<std::string, Module>> named_children() const;
  /// This module (name "") and all below, each once, parents first.
  std::vector<Module> modules() const;
  /// With their dotted names; "" for this module.
  std::vector<std::pair<std::string, Module>> named_modules() const;
  /// This module as M, or as a class derived from M; empty where it is none. Handles keep the type that `add` or a
  /// container got:
  ///     for (nn::Module& child : net.children())
  ///       if (auto bn = child.as<nn::BatchNorm2d>()) bn->options->momentum = 0.01;
  template <std::derived_from<Module> M> std::optional<M> as() const {
    if (const M* typed = dynamic_cast<const M*>(this)) return *typed;
    return of_object<M>();
  }
  /// All M among `modules()`, as handles of that type: options that are changed through one are the module's.
  ///     for (auto& bn : net.modules<nn::BatchNorm2d>()) bn.eval().requires_grad(false);
  template <std::derived_from<Module> M> std::vector<M> modules() const {
    std::vector<M> out;
    const auto found = [&](const Module& m) {
      for (const M& each : out)
        if (m.is_same(each)) return;
      if (std::optional<M> typed = m.as<M>()) out.push_back(std::move(*typed));
    };
    found(*this);
    for (const Module* m : objects()) found(*m);
    return out;
  }
  /// Puts make(module) in the place of every M below that is a child of a container, and returns how many there were;
  /// what is inside an M goes with it. ValueError where an M is a member of a class (only the class can replace what it
  /// calls), and where a new module contains its container. Nothing is changed then, nor where `make` throws.
  ///     net.replace<nn::ReLU>([](const nn::ReLU&) { return nn::GELU(); });
  template <std::derived_from<Module> M, class Make> int64_t replace(Make make);
  /// The parameter or buffer of that dotted name. ValueError otherwise.
  Tensor get(std::string_view name) const;
  /// The parameter of that dotted name; the buffer; the module, "" for this one. ValueError otherwise.
  Tensor get_parameter(std::string_view name) const;
  Tensor get_buffer(std::string_view name) const;
  Module get_submodule(std::string_view name) const;
  /// Calls f for all modules below and then for this one.
  Module& apply(const std::function<void(Module&)>& f);

  /// Handles of all parameters and persistent buffers (no copies): `conv1.weight`, ...
  StateDict state_dict() const;
  /// Copies the entries in, converting dtype and device. Missing, unexpected and misshapen entries are collected into
  /// one ValueError that names every key, and nothing is changed then. Without `strict` only a wrong shape is an
  /// error.
  LoadResult load_state_dict(const StateDict& dict, Only<bool> strict = true);

  /// Calls hook(module, x) before every call of this module; x is its first input, undefined where that is no Tensor.
  /// A Tensor that the hook returns replaces x. Returns a handle for remove_hook. Copies of the module have the hook,
  /// clones too. Layers of the library run hooks; a class of one's own runs them where its operator() goes through
  /// `nn::call` (nn/call.h), and never otherwise: a container that calls it then throws a ValueError.
  template <class F> int64_t register_forward_pre_hook(F hook) {
    return add_pre_hook([hook = std::move(hook)](const Module& m, const Tensor& x) mutable -> Tensor {
      if constexpr (std::is_void_v<std::invoke_result_t<F&, const Module&, const Tensor&>>) return hook(m, x), Tensor();
      else return hook(m, x);
    });
  }
  /// Calls hook(module, x, y) after every call; y is the result or its member `output`, undefined where there is
  /// none. A Tensor that the hook returns replaces y. Which classes run it: see register_forward_pre_hook.
  template <class F> int64_t register_forward_hook(F hook) {
    return add_hook([hook = std::move(hook)](const Module& m, const Tensor& x, const Tensor& y) mutable -> Tensor {
      if constexpr (std::is_void_v<std::invoke_result_t<F&, const Module&, const Tensor&, const Tensor&>>)
        return hook(m, x, y), Tensor();
      else return hook(m, x, y);
    });
  }
  /// ValueError if the module has no hook of that handle.
  void remove_hook(int64_t handle);

  /// What all copies share, for code that walks over modules. It can be changed through a const handle.
  State& state() const { return *state_; }
  /// Are both handles of one module?
  bool is_same(const Module& o) const { return state_ == o.state_; }

 protected:
  /// The printed name, and what is printed between the parentheses. Classes that derive from a layer of the library
  /// print their own C++ name; `set_name` gives another.
  explicit Module(std::string name, std::string extra = "");
  void set_name(std::string name);
  /// `options` is asked at each printing and stands behind `extra`.
  void set_extra(std::string extra, std::function<std::string()> options = {});

  /// Registers a trainable leaf and returns it. An undefined tensor is not registered. ValueError: a taken or illegal
  /// name, or a tensor that was computed from others.
  /// With `trainable` off, or for integers, it does not require grad.
  Parameter param(std::string name, const Tensor& value, Only<bool> trainable = true) {
    return put_param(std::move(name), value, nullptr, trainable);
  }
  /// The same for another module's parameter, or for this one's under a second name: both are tied.
  template <std::derived_from<ModuleTensor> P> Parameter param(std::string name, const P& value) {
    return put_param(std::move(name), value, &value, value.requires_grad());
  }
  /// Registers state that is not trained. Only persistent buffers are in the state dict.
  Buffer buffer(std::string name, const Tensor& value, Only<bool> persistent = true) {
    return put_buffer(std::move(name), value, nullptr, persistent);
  }
  template <std::derived_from<ModuleTensor> P>
  Buffer buffer(std::string name, const P& value, Only<bool> persistent = true) {
    return put_buffer(std::move(name), value, &value, persistent);
  }
  /// `param`, `buffer` and `add` with PyTorch's names.
  template <class T> Parameter register_parameter(std::string name, const T& value, Only<bool> requires_grad = true) {
    if constexpr (std::derived_from<T, ModuleTensor>) return param(std::move(name), value);
    else return param(std::move(name), value, requires_grad);
  }
  template <class T> Buffer register_buffer(std::string name, const T& value, Only<bool> persistent = true) {
    return buffer(std::move(name), value, persistent);
  }
  template <std::derived_from<Module> M> M register_module(std::string name, M child) {
    return add(std::move(name), std::move(child));
  }
  /// Lets every handle of a buffer name t.
  static void set_buffer(const Buffer& b, const Tensor& t) { b.replace(t); }
  /// Registers a child and returns it.
  template <std::derived_from<Module> M> M add(std::string name, M child);
  /// `at`: the place among the children; -1 is the end.
  void register_child(std::string name, std::shared_ptr<detail::AnyModule> held, int64_t at = -1);
  /// The index-th child of a module.
  using Place = std::pair<Module, size_t>;
  /// Children that are `wanted`, but for those below others.
  std::vector<Place> places(const std::function<bool(const Module&)>& wanted) const;
  /// Puts other children there, under the same names. ValueError, and nothing is changed, for one that contains its
  /// parent.
  static void put(const std::vector<Place>& at, std::vector<std::shared_ptr<detail::AnyModule>> held);

 private:
  friend class detail::CloneScope;
  friend class detail::AnyModule;
  template <std::derived_from<Module> M> friend std::ostream& operator<<(std::ostream& os, const M& m);
  /// Users' classes are called by their C++ name, also those derived from a layer of the library.
  void name_from(const std::type_info& type) const;
  /// Puts a module that no other has into this one's place among the children of its parents.
  void replace_among_children(const Module& o);
  std::ostream& print(std::ostream& os) const;
  Parameter put_param(std::string name, const Tensor& value, const ModuleTensor* tied, bool trainable);
  Buffer put_buffer(std::string name, const Tensor& value, const ModuleTensor* tied, bool persistent);
  int64_t add_pre_hook(detail::PreHook hook);
  int64_t add_hook(detail::PostHook hook);
  /// This module as an M among what it was added as.
  template <class M> std::optional<M> of_object() const;
  /// All below as what they were added as; a module is there for each of its places.
  std::vector<const Module*> objects() const;

  std::shared_ptr<State> state_;
};

namespace detail {
/// What the copies of a module share, but for its tensors and children.
struct Settings {
  std::string name;      ///< of the library's class, or what a constructor gave; may be empty
  std::string own_name;  ///< of the user's class, or what `set_name` gave; printed in place of `name` unless empty
  std::string extra;     ///< printed between the parentheses
  bool training = true;
  bool list_repr = false;  ///< equal neighbours are printed once, as PyTorch's ModuleList
  bool container = false;  ///< calls its children through `held`, so that they can be replaced
  bool keyed = false;      ///< a container whose children's names are never positions
  /// Entries that old checkpoints lack, and own keys that they have though the module does not.
  std::vector<std::string> may_miss, ignored;
  /// Set while the parameters wait, without elements, for the shapes of an input or of a state dict.
  std::shared_ptr<const LazyShapes> lazy;
  std::shared_ptr<const Hooks> hooks;  ///< null: none
  mutable uint32_t heard = 0;          ///< calls that ran hooks and told observers
};
}  // namespace detail

namespace detail {
WEFT_API uint64_t next_state_id();
}
/// What the copies of a module share.
struct Module::State : detail::Settings {
  const uint64_t id = detail::next_state_id();  ///< never used again
  /// A parameter and its own name, without dots.
  struct ParamEntry {
    std::string name;
    Parameter tensor;
  };
  /// A buffer, likewise.
  struct BufferEntry {
    std::string name;
    Buffer tensor;
    bool persistent;  ///< in the state dict
  };
  /// A child module, likewise.
  struct Child {
    std::string name;
    Module module;
    std::shared_ptr<detail::AnyModule> held;  ///< the child as what it was added as

    Child(std::string name, const Module& module, std::shared_ptr<detail::AnyModule> held)
        : name(std::move(name)), module(module), held(std::move(held)) {}
    Child(const Child&) = default;
    Child(Child&&) = default;
    /// Not as modules are assigned: no handle follows a child that moves up in a list.
    Child& operator=(Child o) noexcept {
      name.swap(o.name);
      module.state_.swap(o.module.state_);
      held.swap(o.held);
      return *this;
    }
  };
  std::function<std::string()> options_text;  ///< printed behind `extra`, unless empty
  std::vector<ParamEntry> params;             ///< own ones, in order of registration, as the next two
  std::vector<BufferEntry> buffers;
  std::vector<Child> children;
  std::vector<std::weak_ptr<detail::AnyModule>> objects;  ///< this module as what it was added as, at each place
  std::vector<std::weak_ptr<State>> parents;              ///< whose children it was made

  /// Adds to `objects` or `parents`, and drops those that are gone.
  void remember(const std::shared_ptr<detail::AnyModule>& held);
  void remember_parent(const std::shared_ptr<State>& parent);
};

/// A module that maps one tensor to one tensor.
template <class M>
concept Layer = std::derived_from<M, Module> && requires(M m, const Tensor& x) {
  { m(x) } -> std::convertible_to<Tensor>;
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

/// While it lives, copying a module, a parameter or an option of the tree of `root` on this thread gives the clone's.
class WEFT_API CloneScope {
 public:
  explicit CloneScope(const Module& root);
  /// Tensors are shared with root, but for the given parameters and buffers. ValueError for an unknown name.
  CloneScope(const Module& root, const std::vector<NamedTensor>& given);
  ~CloneScope();
  CloneScope(const CloneScope&) = delete;
  CloneScope& operator=(const CloneScope&) = delete;
  static CloneScope* current();
  /// The clone of a state or a tensor of the tree, or null.
  std::shared_ptr<Module::State> find(const Module::State* s) const;
  const ModuleTensor* find(const ModuleTensor& t) const;
  /// The clone's copy of an option.
  Ref<OptionBox> own(const Ref<OptionBox>& shared);

 private:
  struct Impl;
  void copy_states(const Module& m);
  void open();
  std::unique_ptr<Impl> impl_;
  bool shares_ = false;
  CloneScope* before_ = nullptr;
};

/// A module of any type, to be called or cast back.
class WEFT_API AnyModule {
 public:
  virtual ~AnyModule();
  virtual Module& module() = 0;
  virtual bool is_callable() const { return false; }
  /// ValueError unless it is callable.
  virtual Tensor call(const Tensor& x);
  /// Another one of this one's class, with a copy of m; null if m is of another class.
  virtual std::shared_ptr<AnyModule> of(const Module& m) const = 0;
  /// Of a copy of the module. Under a CloneScope: of the clone.
  std::shared_ptr<AnyModule> clone() { return of(module()); }

 protected:
  static void give_name(const Module& m, const std::type_info& type) { m.name_from(type); }
};
/// A member of a class.
template <std::derived_from<Module> M> class Held : public AnyModule {
 public:
  explicit Held(const M& m) : object(m) { this->give_name(m, typeid(M)); }
  Module& module() override { return object; }
  std::shared_ptr<AnyModule> of(const Module& m) const override {
    const M* typed = dynamic_cast<const M*>(&m);
    return typed ? std::make_shared<Held>(*typed) : nullptr;
  }
  M object;
};
/// A child of a container.
template <std::derived_from<Module> M> class Called final : public Held<M> {
 public:
  using Held<M>::Held;
  bool is_callable() const override { return Layer<M>; }
  Tensor call(const Tensor& x) override {
    if constexpr (Layer<M>) return this->object(x);
    else return AnyModule::call(x);
  }
  std::shared_ptr<AnyModule> of(const Module& m) const override {
    const M* typed = dynamic_cast<const M*>(&m);
    return typed ? std::make_shared<Called>(*typed) : nullptr;
  }
};

}  // namespace detail

template <std::derived_from<Module> M> M Module::add(std::string name, M child) {
  register_child(std::move(name), std::make_shared<detail::Held<M>>(child));
  return child;
}

template <class M> std::optional<M> Module::of_object() const {
  for (const std::weak_ptr<detail::AnyModule>& object : state_->objects)
    if (const std::shared_ptr<detail::AnyModule> held = object.lock())
      if (const M* typed = dynamic_cast<const M*>(&held->module())) return *typed;
  return std::nullopt;
}
template <std::derived_from<Module> M, class Make> int64_t Module::replace(Make make) {
  using New = std::decay_t<std::invoke_result_t<Make&, const M&>>;
  const auto found = places([](const Module& m) { return dynamic_cast<const M*>(&m) != nullptr; });
  std::vector<M> old;  // `make` may change the tree
  for (const auto& [parent, i] : found)
    old.push_back(dynamic_cast<const M&>(parent.state().children[i].held->module()));
  std::vector<std::shared_ptr<detail::AnyModule>> made;
  for (const M& m : old) made.push_back(std::make_shared<detail::Called<New>>(make(m)));
  put(found, std::move(made));
  return static_cast<int64_t>(found.size());
}

/// A deep copy with tensors and options of its own: same values, modes, trainability and tags, no gradients. Handles
/// follow wherever they sit in a class, as long as they are modules, nn::Parameter and nn::Buffer.
template <std::derived_from<Module> M> [[nodiscard]] M clone(const M& m) {
  const detail::CloneScope scope(m);
  return M(m);
}

/// Prints as PyTorch prints modules.
template <std::derived_from<Module> M> std::ostream& operator<<(std::ostream& os, const M& m) {
  m.name_from(typeid(M));
  return m.print(os);
}

}  // namespace weft::nn
