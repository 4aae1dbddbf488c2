// Handles of a module's parameters and buffers. They read as Tensors, and copying one under `clone` gives the clone's
// tensor, wherever the handle sits. All handles of one tensor form a ring, so that `tie` reaches each of them. Knows
// Tensor and the scope of a clone; knows no module.
#pragma once

#include <concepts>

#include "weft/core/tensor.h"

namespace weft::nn {

class Module;
class ModuleTensor;
class Parameter;
namespace detail {
class CloneScope;
template <class T> constexpr void refuse_assignment() {
  static_assert(
      sizeof(T) == 0,
      "a parameter or buffer is not assigned a Tensor: copy_() under NoGrad sets its values, param(name, tensor) "
      "and buffer(name, tensor) register a new one, stand_in(tensor) is for this handle alone");
}
}  // namespace detail

/// A's tensor for b too: every handle of b, copies of its module included, names it from now on. `parameters()` lists
/// the tensor once, the state dict has both keys; `clone`, `to` and loading keep the tie. Loading refuses two values
/// for them, but takes that of the last key without `strict`. Plain Tensors that were taken of b before, an optimiser's
/// say, stay as they are. ValueError for undefined ones, and for another shape, dtype or device.
///     nn::tie(embedding.weight, decoder.weight);
WEFT_API void tie(const Parameter& a, const Parameter& b);

/// What Parameter and Buffer share.
class WEFT_API ModuleTensor : public Tensor {
 public:
  using OfModule = void;  // no plain Tensor is made of one by accident, see Tensor

  ModuleTensor() = default;
  /// The same tensor; inside `clone` the clone's.
  ModuleTensor(const ModuleTensor& o);
  ModuleTensor(ModuleTensor&& o) noexcept;
  /// For whole modules, `net = other`, whose handles go along, and for handles that are undefined or name that tensor
  /// already. ValueError otherwise: a lone assignment would leave the module's state as it is; `tie` is meant.
  ModuleTensor& operator=(const ModuleTensor& o);
  /// Moves a handle: `weight = param("weight", w)`, and what containers do. ValueError, as for copies, where this
  /// names a tensor of a module and o one of another module or none. Neighbours in memory may always move up.
  ModuleTensor& operator=(ModuleTensor&& o);
  ~ModuleTensor() { leave(); }

  /// A plain handle, which `clone` and `tie` do not follow.
  const Tensor& tensor() const { return *this; }
  /// Lets this handle alone name t: for wrappers that compute a layer's weight in a copy of the layer.
  void stand_in(const Tensor& t);

  /// In place, as add_ and its like, which refuse where this would be recorded: the handle stays its module's.
  ModuleTensor& operator+=(const Tensor& y);
  ModuleTensor& operator-=(const Tensor& y);
  ModuleTensor& operator*=(const Tensor& y);
  ModuleTensor& operator/=(const Tensor& y);
  ModuleTensor& operator+=(Scalar y);
  ModuleTensor& operator-=(Scalar y);
  ModuleTensor& operator*=(Scalar y);
  ModuleTensor& operator/=(Scalar y);
  /// Would part this handle from its module; `detach()` gives a plain Tensor.
  Tensor& detach_() = delete;

 protected:
  /// A handle of t, in the ring of `o` if there is one.
  explicit ModuleTensor(const Tensor& t, const ModuleTensor* o = nullptr);

 private:
  friend class Module;
  friend class detail::CloneScope;
  friend WEFT_API void tie(const Parameter& a, const Parameter& b);
  void join(const ModuleTensor& o);
  void leave() noexcept;
  void take_place(ModuleTensor& o) noexcept;
  void take(ModuleTensor&& o) noexcept;
  /// Whether this names a tensor of modules, none of which has the tensor of o.
  bool would_leave_its_module(const ModuleTensor& o) const;
  /// Lets all handles of the ring name t.
  void replace(const Tensor& t) const;

  // The other handles of this tensor, in a circle; null: none.
  mutable const ModuleTensor *next_ = nullptr, *before_ = nullptr;
  const void* owner_ = nullptr;  // of the handle that a module's state has: the state
};

/// A trainable tensor of a module, made by `param`. Declare what holds one as Parameter: a member,
/// `std::vector<nn::Parameter>`, `std::optional<nn::Parameter>`. Functions take it as `const Tensor&`.
class WEFT_API Parameter : public ModuleTensor {
 public:
  Parameter() = default;
  template <std::same_as<Tensor> T> Parameter& operator=(const T&) { return detail::refuse_assignment<T>(), *this; }

 private:
  friend class Module;
  friend class detail::CloneScope;
  explicit Parameter(const Tensor& t, const ModuleTensor* o = nullptr) : ModuleTensor(t, o) {}
};

/// The same for state that is not trained, made by `buffer`.
class WEFT_API Buffer : public ModuleTensor {
 public:
  Buffer() = default;
  template <std::same_as<Tensor> T> Buffer& operator=(const T&) { return detail::refuse_assignment<T>(), *this; }

 private:
  friend class Module;
  friend class detail::CloneScope;
  explicit Buffer(const Tensor& t, const ModuleTensor* o = nullptr) : ModuleTensor(t, o) {}
};

namespace detail {
/// A module is assigned: handles of the tensors `from` may take those of `to`.
class WEFT_API Reassigned {
 public:
  static void note(const Module& from, const Module& to);
  /// Whether `from` and `to` lie in two modules that were assigned last, at the same place.
  static bool covers(const void* from, const void* to);
  static bool allows(const Tensor& from, const Tensor& to);
};
}  // namespace detail

}  // namespace weft::nn
