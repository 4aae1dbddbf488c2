// Modules that hold other modules: Sequential, ModuleList, ModuleDict. They hold any callable module by type erasure,
// and grow. Knows Module only, no layer.
#pragma once

#include <initializer_list>
#include <iterator>

#include "weft/nn/module.h"

namespace weft::nn {

/// A function of one tensor as a layer; containers make it of a lambda. A lambda that needs parameters captures them
/// as they are (nn::Parameter), so that `clone` follows; they belong to the module that registered them.
class WEFT_API Lambda : public Module {
 public:
  explicit Lambda(std::function<Tensor(const Tensor&)> f);
  Tensor operator()(const Tensor& x) const;
  std::function<Tensor(const Tensor&)> f;
};

/// A child of a container, whatever its class: `as<M>()` gives it as such.
class WEFT_API AnyLayer : public Module {
 public:
  explicit AnyLayer(const State::Child& c) : Module(c.module), held_(c.held) {}
  AnyLayer(const AnyLayer& o);
  AnyLayer& operator=(const AnyLayer&) & = default;
  template <std::derived_from<Module> M> void operator=(const M&) && {
    static_assert(sizeof(M) == 0, "net[i] is a handle that ends here: net.replace(i, layer) puts a layer into net");
  }
  /// ValueError for one that does not map a tensor to a tensor, or has hooks that its call does not run.
  Tensor operator()(const Tensor& x) const;
  /// The child as what it was added as.
  const std::shared_ptr<detail::AnyModule>& held() const { return held_; }

 private:
  std::shared_ptr<detail::AnyModule> held_;  // the child stays callable when its container gives it away
};

namespace detail {
template <class F>
concept Function = !std::derived_from<F, Module> && requires(F & f, const Tensor& x) {
  { f(x) } -> std::convertible_to<Tensor>;
};
template <class M> auto as_module(M m) {
  if constexpr (std::derived_from<M, Module>) return m;
  else return Lambda(std::move(m));
}
/// What containers take: modules, and functions that become a Lambda.
template <class M>
concept Child = std::derived_from<M, Module> || Function<M>;
template <class M>
concept ChildLayer = Layer<M> || Function<M>;
}  // namespace detail

/// What the containers share: children by position and by name. `for (nn::AnyLayer layer : net) x = layer(x);`
class WEFT_API Container : public Module {
 public:
  /// Input iterator over the children, as AnyLayer.
  class Iterator {
   public:
    using value_type = AnyLayer;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(const State* s, size_t at) : state_(s), at_(at) {}
    AnyLayer operator*() const {
      WEFT_CHECK(at_ < state_->children.size(), ValueError, "Container: it lost children while a loop ran over it");
      return AnyLayer(state_->children[at_]);
    }
    Iterator& operator++() { return ++at_, *this; }
    Iterator operator++(int) { return std::exchange(*this, Iterator(state_, at_ + 1)); }
    bool operator==(const Iterator&) const = default;

   private:
    const State* state_ = nullptr;
    size_t at_ = 0;
  };

  /// Number of children.
  int64_t size() const { return static_cast<int64_t>(state().children.size()); }
  bool empty() const { return size() == 0; }
  /// For loops over the children. ValueError when children are taken out during the loop, and the loop goes beyond the
  /// end.
  Iterator begin() const { return {&state(), 0}; }
  Iterator end() const { return {&state(), state().children.size()}; }
  /// ValueError for an index out of range; -1 is the last.
  AnyLayer operator[](int64_t index) const { return AnyLayer(child(index)); }
  /// The child as what it was added as, or as a base of that. ValueError for another type or an index out of range.
  template <std::derived_from<Module> M> M& at(int64_t index) const { return typed<M>(child(index)); }
  /// Calls one child.
  Tensor call(int64_t index, const Tensor& x) const { return AnyLayer(child(index))(x); }
  /// Takes a child out and returns it. Children whose names are their positions get new ones, here and in `insert`,
  /// unless another child has that name. A ModuleDict's names stay.
  AnyLayer pop(int64_t index = -1);
  /// `pop` without the child; all children go.
  void erase(int64_t index) { (void)pop(index); }
  void clear() { state().children.clear(); }
  using Module::replace;
  /// Puts a module in the place of a child, under its name. ValueError for one that contains this container.
  template <detail::Child M> void replace(int64_t index, M module) {
    put({Place(*this, place(index))}, {held(detail::as_module(std::move(module)))});
  }

 protected:
  /// `name`: the class name that is printed.
  explicit Container(std::string name);
  /// m as a container keeps its children.
  template <class M> static std::shared_ptr<detail::AnyModule> held(const M& m) {
    if constexpr (std::same_as<M, AnyLayer>) return m.held();
    else return std::make_shared<detail::Called<M>>(m);
  }
  /// Appends a child. ValueError for a name that is taken or illegal.
  template <detail::Child M> void add_child(std::string name, M module) {
    register_child(std::move(name), held(detail::as_module(std::move(module))));
  }
  /// Puts a child before that of `index`; children named by position are renamed.
  template <detail::Child M> void insert_before(int64_t index, M module) {
    insert_held(index, held(detail::as_module(std::move(module))));
  }
  /// A child with its name. Layers: it must map a tensor to a tensor.
  template <bool Layers> struct Named {
    template <class M>
    requires(Layers ? detail::ChildLayer<M> : detail::Child<M>) Named(std::string name, M module)
        : name(std::move(name)), child(held(detail::as_module(std::move(module)))) {}
    std::string name;
    std::shared_ptr<detail::AnyModule> child;
  };
  template <bool Layers> void add_named(std::initializer_list<Named<Layers>> list) {
    for (const auto& [name, child] : list) register_child(name, child);
  }
  /// Appends the children of another container (handles, no copies); by name or by position.
  void extend_with(const Container& o, bool by_name);
  /// The child of that index (-1 is the last) or name, and its place. ValueError where there is none.
  const State::Child& child(int64_t index) const { return state().children[place(index)]; }
  const State::Child& child(std::string_view name) const { return state().children[place(name)]; }
  size_t place(int64_t index) const;
  size_t place(std::string_view name) const;
  /// Has a child that name?
  bool is_taken(const std::string& name) const;
  /// The first number from `from` on that is no child's name.
  std::string free_name(int64_t from) const;
  template <class M> M& typed(const State::Child& c) const {
    M* m = dynamic_cast<M*>(&c.held->module());
    WEFT_CHECK(m, ValueError, name(), ": module ", c.name, " is a ", c.module.name(), ", not of the type asked for");
    return *m;
  }

 private:
  void insert_held(int64_t index, std::shared_ptr<detail::AnyModule> held);
  /// Child i, whose name may be its former position, takes its present one.
  void renumber(size_t i, size_t former);
};

/// Calls its layers in order. Names are "0", "1", ... unless given; a number that is taken is left out. A function of a
/// tensor is a layer, too. A call goes on with the layers that it began with, whatever hooks do to the container.
///     Sequential net(Conv2d(3, 8, {.kernel_size = 3}), [](const Tensor& x) { return relu(x); }, Linear(8, 2));
class WEFT_API Sequential : public Container {
 public:
  Sequential() : Container("Sequential") {}
  template <detail::ChildLayer... M>
  requires(sizeof...(M) > 0) explicit Sequential(M... layers) : Sequential() { (push_back(std::move(layers)), ...); }
  /// `Sequential({{"conv", Conv2d(3, 8, 3)}, {"act", ReLU()}})`.
  explicit Sequential(std::initializer_list<Named<true>> layers) : Sequential() { add_named(layers); }
  template <detail::ChildLayer M> Sequential& push_back(M layer) {
    return push_back(free_name(size()), std::move(layer));
  }
  template <detail::ChildLayer M> Sequential& append(M layer) { return push_back(std::move(layer)); }
  template <detail::ChildLayer M> Sequential& push_back(std::string name, M layer) {
    add_child(std::move(name), std::move(layer));
    return *this;
  }
  /// Before the child of that index; size() is the end.
  template <detail::ChildLayer M> Sequential& insert(int64_t index, M layer) {
    insert_before(index, std::move(layer));
    return *this;
  }
  /// Appends another container's layers: handles, no copies.
  Sequential& extend(const Container& o) { return extend_with(o, false), *this; }
  /// The result of the last layer; x where there is none.
  Tensor operator()(const Tensor& x) const;
};

/// Modules by position; what is called and how is the owner's business.
class WEFT_API ModuleList : public Container {
 public:
  ModuleList();
  template <detail::Child... M>
  requires(sizeof...(M) > 0) explicit ModuleList(M... modules) : ModuleList() { (push_back(std::move(modules)), ...); }
  /// Appends a module, named by its position, and returns the list. `insert` puts it before the child of that index;
  /// size() is the end.
  template <detail::Child M> ModuleList& push_back(M module) {
    add_child(free_name(size()), std::move(module));
    return *this;
  }
  template <detail::Child M> ModuleList& append(M module) { return push_back(std::move(module)); }
  template <detail::Child M> ModuleList& insert(int64_t index, M module) {
    insert_before(index, std::move(module));
    return *this;
  }
  ModuleList& extend(const Container& o) { return extend_with(o, false), *this; }
};

/// Modules by name, in order of insertion.
class WEFT_API ModuleDict : public Container {
 public:
  ModuleDict() : Container("ModuleDict") { state().keyed = true; }
  /// `ModuleDict({{"a", Linear(4, 4)}, {"b", ReLU()}})`.
  explicit ModuleDict(std::initializer_list<Named<false>> modules) : ModuleDict() { add_named(modules); }
  /// Appends a module. ValueError for a name that is taken or illegal.
  template <detail::Child M> ModuleDict& insert(std::string name, M module) {
    add_child(std::move(name), std::move(module));
    return *this;
  }
  /// Appends another's modules under their names: handles, no copies. ValueError for a name that is taken.
  ModuleDict& extend(const ModuleDict& o) { return extend_with(o, true), *this; }
  /// Is there a module of that name? All names, in their order.
  bool contains(std::string_view name) const;
  std::vector<std::string> keys() const;
  using Container::at;
  using Container::erase;
  using Container::pop;
  using Container::replace;
  using Container::operator[];
  /// By name. ValueError where there is none.
  AnyLayer operator[](std::string_view name) const { return AnyLayer(child(name)); }
  /// The module of that name as what it was added as. ValueError otherwise.
  /// By name, as the container's own of an index. ValueError where there is none.
  template <std::derived_from<Module> M> M& at(std::string_view name) const { return typed<M>(child(name)); }
  Tensor call(std::string_view name, const Tensor& x) const { return AnyLayer(child(name))(x); }
  AnyLayer pop(std::string_view name) { return Container::pop(static_cast<int64_t>(place(name))); }
  void erase(std::string_view name) { (void)pop(name); }
  template <detail::Child M> void replace(std::string_view name, M module) {
    Container::replace(static_cast<int64_t>(place(name)), std::move(module));
  }
};

}  // namespace weft::nn
