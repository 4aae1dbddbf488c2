// Modules that hold other modules: Sequential, ModuleList, ModuleDict. They hold any callable module by type erasure.
// Knows Module only, no layer.
#pragma once

#include "weft/nn/module.h"

namespace weft::nn {

/// A module that maps one tensor to one tensor.
template <class M>
concept Layer = std::derived_from<M, Module> && requires(M m, const Tensor& x) {
  { m(x) } -> std::convertible_to<Tensor>;
};

namespace detail {

/// A module of any type, to be called or cast back.
class WEFT_API AnyModule {
 public:
  virtual ~AnyModule();
  virtual Tensor call(const Tensor& x) = 0;
  virtual std::shared_ptr<AnyModule> clone(const CloneScope& scope) const = 0;

 protected:
  template <class M> static void give_name(const M& m) { m.name_from(typeid(M)); }
};

template <std::derived_from<Module> M> class AnyModuleOf final : public AnyModule {
 public:
  explicit AnyModuleOf(M m) : module(std::move(m)) { give_name(module); }
  Tensor call(const Tensor& x) override {
    if constexpr (Layer<M>) return module(x);
    else raise<ValueError>(module.name(), ": is not a layer of one tensor; take it with at<M>() and call that");
  }
  std::shared_ptr<AnyModule> clone(const CloneScope& scope) const override {
    return std::make_shared<AnyModuleOf>(copy_members(module, scope));
  }
  M module;
};

}  // namespace detail

/// What the containers share: children by position and by name.
class WEFT_API Container : public Module {
 public:
  int64_t size() const { return static_cast<int64_t>(state().children.size()); }
  bool empty() const { return size() == 0; }
  /// The child as what it was added as. ValueError for another type or an index out of range; -1 is the last.
  template <std::derived_from<Module> M> M& at(int64_t index) const {
    const State::Child& c = child(index);
    auto* holder = dynamic_cast<detail::AnyModuleOf<M>*>(c.callable.get());
    WEFT_CHECK(holder, ValueError, name(), ": module ", c.name, " is a ", c.module.name(),
               ", not of the type asked for");
    return holder->module;
  }
  /// Calls one child.
  Tensor call(int64_t index, const Tensor& x) const { return child(index).callable->call(x); }

 protected:
  explicit Container(std::string name) : Module(std::move(name)) {}
  template <std::derived_from<Module> M> void put(std::string name, M module) {
    auto holder = std::make_shared<detail::AnyModuleOf<M>>(std::move(module));
    register_child(std::move(name), holder->module, holder);
  }
  const State::Child& child(int64_t index) const;
  const State::Child& child(std::string_view name) const;
};

/// Calls its layers in order. Names are "0", "1", ... unless given.
///     Sequential net(Conv2d(3, 8, {.kernel_size = 3}), ReLU(), Linear(8, 2));
class WEFT_API Sequential : public Container {
 public:
  Sequential() : Container("Sequential") {}
  template <Layer... M>
  requires(sizeof...(M) > 0) explicit Sequential(M... layers) : Sequential() { (push_back(std::move(layers)), ...); }
  template <Layer M> Sequential& push_back(M layer) { return push_back(std::to_string(size()), std::move(layer)); }
  template <Layer M> Sequential& push_back(std::string name, M layer) {
    put(std::move(name), std::move(layer));
    return *this;
  }
  Tensor operator()(const Tensor& x) const;
};

/// Modules by position; what is called and how is the owner's business.
class WEFT_API ModuleList : public Container {
 public:
  ModuleList();
  template <std::derived_from<Module>... M>
  requires(sizeof...(M) > 0) explicit ModuleList(M... modules) : ModuleList() { (push_back(std::move(modules)), ...); }
  template <std::derived_from<Module> M> ModuleList& push_back(M module) {
    put(std::to_string(size()), std::move(module));
    return *this;
  }
};

/// Modules by name, in order of insertion.
class WEFT_API ModuleDict : public Container {
 public:
  ModuleDict() : Container("ModuleDict") {}
  template <std::derived_from<Module> M> ModuleDict& insert(std::string name, M module) {
    put(std::move(name), std::move(module));
    return *this;
  }
  bool contains(std::string_view name) const;
  std::vector<std::string> keys() const;
  using Container::at;
  /// The module of that name as what it was added as. ValueError otherwise.
  template <std::derived_from<Module> M> M& at(std::string_view name) const {
    return Container::at<M>(&child(name) - state().children.data());
  }
  Tensor call(std::string_view name, const Tensor& x) const { return child(name).callable->call(x); }
};

}  // namespace weft::nn
