// The one Tensor type: a handle over shape, strides and shared storage.
// Knows autograd only as an opaque pointer; recording members are defined in autograd/.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "weft/core/accessor.h"
#include "weft/core/device.h"
#include "weft/core/dtype.h"
#include "weft/core/profile.h"
#include "weft/core/ref.h"
#include "weft/core/shape.h"
#include "weft/core/storage.h"
#include "weft/core/tensor_methods.h"

namespace weft {

class Tensor;
class AutogradMeta;  // autograd/node.h
class Stream;        // core/stream.h
/// How a Ref ends a record (autograd/).
WEFT_API void destroy(AutogradMeta* m);

/// What a Tensor handle points to. Plain data; `contiguous` is kept true to shape and strides.
struct TensorImpl : RefCounted {
  Ref<Storage> storage;        ///< shared by views
  Shape shape;                 ///< logical: [N, C, ...]
  Strides strides;             ///< in elements, one for each axis
  int64_t offset = 0;          // in elements
  int64_t numel = 0;           ///< product of shape
  Dtype dtype = Dtype::f32;    ///< of the elements
  bool contiguous = true;      ///< row-major without gaps
  bool is_view = false;        // made as a view of another tensor
  Ref<AutogradMeta> autograd;  // null until something asks for gradients

  // defined in autograd/: the record goes with the tensor
  WEFT_API TensorImpl(Ref<Storage> storage, const Shape& shape, const Strides& strides, int64_t offset, Dtype dtype);
  /// Same view of the same storage, without autograd.
  WEFT_API Ref<TensorImpl> detached() const;
  WEFT_API ~TensorImpl();
};
/// How a Ref ends an impl.
inline void destroy(TensorImpl* t) { delete t; }

/// Order of the elements in memory, for `contiguous()` and factories.
enum class MemoryFormat : uint8_t { contiguous, channels_last, preserve };

/// The dtype of floating tensors that are made without one, of integers with real numbers and of layers' parameters:
/// f32 unless `set_default_dtype` gave another (floating, else DtypeError), for the whole process.
WEFT_API Dtype default_dtype();
WEFT_API void set_default_dtype(Dtype dtype);

/// Dtype, device and trainability of a new tensor: `zeros({2, 3}, Dtype::f64)`, `zeros({2}, {Dtype::f64, device})`,
/// `TensorOptions().dtype(Dtype::f64).device("cuda").requires_grad(true)`.
class TensorOptions {
 public:
  TensorOptions() = default;
  TensorOptions(Dtype t) : dtype_(t), dtype_given_(true) {}
  TensorOptions(Device d) : device_(d), device_given_(true) {}
  TensorOptions(DeviceType d) : TensorOptions(Device(d)) {}
  TensorOptions(const char* device) : TensorOptions(Device(device)) {}
  template <std::same_as<std::nullptr_t> N> TensorOptions(N) = delete;  // and not of 0
  TensorOptions(Dtype t, Device d) : dtype_(t), device_(d), dtype_given_(true), device_given_(true) {}
  TensorOptions(Device d, Dtype t) : TensorOptions(t, d) {}

  /// What was asked for, else the default: default_dtype(), the CPU, false.
  Dtype dtype() const { return dtype_given_ ? dtype_ : default_dtype(); }
  /// The dtype that was asked for, else `natural`: that of the values, where a factory takes values.
  Dtype dtype_or(Dtype natural) const { return dtype_given_ ? dtype_ : natural; }
  /// The device, that or `natural` where none was asked for, and whether gradients were.
  Device device() const { return device_; }
  Device device_or(Device natural) const { return device_given_ ? device_ : natural; }
  bool requires_grad() const { return requires_grad_; }

  /// These options with one of them set.
  TensorOptions dtype(Dtype t) const {
    return with([&](TensorOptions& o) { o.dtype_ = t, o.dtype_given_ = true; });
  }
  TensorOptions device(Device d) const {
    return with([&](TensorOptions& o) { o.device_ = d, o.device_given_ = true; });
  }
  TensorOptions device(DeviceType d, int index) const { return device(Device(d, index)); }
  TensorOptions requires_grad(Only<bool> on) const {
    return with([&](TensorOptions& o) { o.requires_grad_ = on; });
  }

 private:
  template <class F> TensorOptions with(const F& change) const {
    TensorOptions o = *this;
    change(o);
    return o;
  }
  Dtype dtype_ = Dtype::f32;
  Device device_;
  bool dtype_given_ = false, device_given_ = false, requires_grad_ = false;
};

/// No bound of a Slice, or a new axis in `index`, as in Python: `Slice(None, 2)`.
inline constexpr std::nullopt_t None = std::nullopt;
/// A range of an axis as in Python, `start:stop:step`; empty bounds reach the end. step >= 1.
struct Slice {
  std::optional<int64_t> start, stop;  ///< bounds; negative ones count from the end
  int64_t step;                        ///< distance of the elements
  Slice(std::optional<Int> start = {}, std::optional<Int> stop = {}, Int step = 1)
      : start(start), stop(stop), step(step) {}
};
/// A new axis of size 1 in `index`.
struct NewAxis {};
/// All axes not named otherwise in `index`.
struct Ellipsis {};
/// Options of backward.
struct BackwardOptions {
  bool retain_graph = false;  ///< keep the graph for another backward
  /// Record the gradients' own graph (implies retain_graph). A leaf's grad() then leads back to the leaf: the two keep
  /// each other alive until zero_grad(). grad() makes no such circle.
  bool create_graph = false;
};

namespace detail {
/// ValueError: `op` was given an undefined Tensor.
[[noreturn]] WEFT_API void raise_undefined(const char* op);
/// NotSupported where t's values are only recorded (core/recording.h). `what` asks for them.
WEFT_API void refuse_recorded(const Tensor& t, const char* what);
template <class P> constexpr void refuse_plain_handle() {
  static_assert(sizeof(P) == 0,
                "a Tensor made of a module's parameter or buffer does not follow nn::clone: declare a member or an "
                "element of a vector as nn::Parameter (nn::Buffer), a local as `const Tensor& w = layer.weight;`, and "
                "write layer.weight.tensor() where a plain handle is meant");
}
}  // namespace detail

/// An n-dimensional array on a device, and a node of the tape when gradients are asked for. Copies share everything;
/// `clone()` copies the elements. A default-made or moved-from Tensor is undefined: `defined()` is
/// false, and anything else is a ValueError.
class WEFT_API Tensor : public TensorMethods {
 public:
  Tensor() = default;
  explicit Tensor(Ref<TensorImpl> impl) : impl_(std::move(impl)) {}
  Tensor(const Tensor&) = default;
  Tensor(Tensor&&) noexcept = default;
  ~Tensor() = default;
  /// A variable names another tensor from then on.
  Tensor& operator=(const Tensor&) & = default;
  Tensor& operator=(Tensor&&) & noexcept = default;
  /// A temporary that views another tensor is written to: `x[0] = y`, `x[1][2] = 5`. In place, as copy_ and fill_.
  /// ValueError for a copy, which nobody sees: `x[mask] = y` is `x.index_put_({mask}, y)`.
  void operator=(const Tensor& y) &&;
  template <class T>
  requires std::is_arithmetic_v<T>
  void operator=(T y) && { assign(y); }
  /// A module's parameter or buffer as a plain Tensor does not compile: `nn::clone` could not follow that handle.
  template <class P>
  requires requires { typename P::OfModule; }
  Tensor(const P&) { detail::refuse_plain_handle<P>(); }
  template <class P>
  requires requires { typename P::OfModule; }
  Tensor& operator=(const P&) & { return detail::refuse_plain_handle<P>(), *this; }

  /// Queries. On an undefined Tensor they throw a ValueError in the name of the function that asks: leave `from` alone.
  bool defined() const { return static_cast<bool>(impl_); }
  explicit operator bool() const = delete;  // use defined() or item<bool>()
  const Shape& shape(const char* from = __builtin_FUNCTION()) const { return at(from).shape; }
  /// Size of one axis; negative counts from the end.
  int64_t size(Int dim) const;
  const Strides& strides(const char* from = __builtin_FUNCTION()) const { return at(from).strides; }  ///< in elements
  int64_t stride(Int dim) const;
  int rank(const char* from = __builtin_FUNCTION()) const { return at(from).shape.size(); }
  int64_t dim(const char* from = __builtin_FUNCTION()) const { return rank(from); }  ///< PyTorch's name of rank
  /// PyTorch's name of shape.
  const Shape& sizes(const char* from = __builtin_FUNCTION()) const { return shape(from); }
  int64_t element_size() const { return static_cast<int64_t>(itemsize(at().dtype)); }  ///< bytes of one element
  /// Number of elements, their dtype and device, their bytes without gaps; a new tensor's options; row-major without
  /// gaps?
  int64_t numel(const char* from = __builtin_FUNCTION()) const { return at(from).numel; }
  Dtype dtype(const char* from = __builtin_FUNCTION()) const { return at(from).dtype; }
  Device device(const char* from = __builtin_FUNCTION()) const { return at(from).storage->device(); }
  size_t nbytes() const { return static_cast<size_t>(at().numel) * itemsize(at().dtype); }
  TensorOptions options(const char* from = __builtin_FUNCTION()) const { return {dtype(from), device()}; }
  bool is_contiguous(const char* from = __builtin_FUNCTION()) const { return at(from).contiguous; }
  /// Rank >= 3 and stored with axis 1 fastest (what 2-d and 3-d features are in).
  bool is_channels_last() const;
  /// Strides are a permutation of a contiguous tensor's: no gaps, no overlap.
  bool is_dense() const;
  /// is_contiguous, or is_channels_last for any other format.
  bool is_contiguous(MemoryFormat format) const {
    return format == MemoryFormat::contiguous ? is_contiguous() : is_channels_last();
  }
  /// Of the dtype, and of the device.
  bool is_floating(const char* from = __builtin_FUNCTION()) const { return weft::is_floating(dtype(from)); }
  bool is_cpu(const char* from = __builtin_FUNCTION()) const { return device(from).type == DeviceType::cpu; }
  bool is_cuda(const char* from = __builtin_FUNCTION()) const { return device(from).type == DeviceType::cuda; }
  /// PyTorch's names of rank, dtype and is_floating
  int64_t ndimension(const char* from = __builtin_FUNCTION()) const { return rank(from); }
  Dtype scalar_type(const char* from = __builtin_FUNCTION()) const { return dtype(from); }
  bool is_floating_point(const char* from = __builtin_FUNCTION()) const { return is_floating(from); }
  TensorImpl* impl() const { return impl_.get(); }  ///< null: undefined
  /// Same handle target.
  bool is_same(const Tensor& o) const { return impl_ == o.impl_; }
  /// This handle is the only one of its impl, and its impl the only one of its storage: safe to overwrite.
  bool is_unique() const { return impl_.unique() && impl_->storage.unique(); }

  /// A pointer to the first element, to read. Elements are in stride order, see strides(). DtypeError for another type
  /// than the tensor's, DeviceError for memory that the host cannot read.
  template <class T> const T* data() const {
    check_type(dtype_v<T>);
    return static_cast<const T*>(raw_data());
  }
  /// The only ways to a writable pointer: they bump the version that saved tensors are checked against.
  template <class T> T* mut_data() {
    check_type(dtype_v<T>);
    return static_cast<T*>(mut_raw_data());
  }
  /// Any dtype, any device.
  const void* raw_data() const {
    return static_cast<const char*>(at().storage->data()) + at().offset * static_cast<int64_t>(itemsize(at().dtype));
  }
  void* mut_raw_data() {
    at().storage->bump();
    return const_cast<void*>(raw_data());
  }
  /// PyTorch's names of data and mut_data. `data_ptr` reads only.
  template <class T> const T* data_ptr() const { return data<T>(); }
  template <class T> T* mutable_data_ptr() { return mut_data<T>(); }
  /// `a[i][j]` over the elements of a tensor of rank N; indices are not checked. DtypeError, ShapeError, DeviceError.
  template <class T, int N> TensorAccessor<const T, N> accessor() const& {
    check_accessor(N);
    return {data<T>(), impl_->shape.data(), impl_->strides.data()};
  }
  template <class T, int N> TensorAccessor<T, N> mutable_accessor() & {
    check_accessor(N);
    return {mut_data<T>(), impl_->shape.data(), impl_->strides.data()};
  }
  // A temporary's elements would be gone: give the tensor a name first.
  template <class T, int N> void accessor() && = delete;
  template <class T, int N> void mutable_accessor() && = delete;
  /// Grows with every write, of all views together.
  uint32_t version() const { return at().storage->version(); }
  /// The value of a one-element tensor, converted. Waits for the device.
  template <class T> T item() const { return detail::fitting<T>("item", item()); }
  /// The same as a Scalar. ShapeError for both unless there is one element.
  Scalar item() const;
  /// All elements in logical row-major order, converted as by item(), on the host.
  template <class T> std::vector<T> to_vector() const;

  // Views: same storage, recorded; a tensor of their own even where nothing changes
  /// One size may be -1. A view where strides allow, a copy otherwise.
  [[nodiscard]] Tensor reshape(const Shape& shape) const;
  template <Integer... I>
  requires(sizeof...(I) > 1) [[nodiscard]] Tensor reshape(I... sizes) const { return reshape(listed(sizes...)); }
  /// reshape to o's shape.
  [[nodiscard]] Tensor reshape_as(const Tensor& o) const;
  /// As reshape, but a ShapeError where a copy would be needed.
  [[nodiscard]] Tensor view(const Shape& shape) const;
  template <Integer... I>
  requires(sizeof...(I) > 1) [[nodiscard]] Tensor view(I... sizes) const { return view(listed(sizes...)); }
  /// view of o's shape.
  [[nodiscard]] Tensor view_as(const Tensor& o) const { return view(o.shape()); }
  /// Axis i of the result is axis dims[i].
  [[nodiscard]] Tensor permute(const Shape& dims) const;
  template <Integer... I>
  requires(sizeof...(I) > 1) [[nodiscard]] Tensor permute(I... dims) const { return permute(listed(dims...)); }
  /// Two axes exchanged.
  [[nodiscard]] Tensor transpose(Int dim0, Int dim1) const;
  /// Transpose of a matrix; rank 0 and 1 unchanged.
  [[nodiscard]] Tensor t() const;
  /// All axes in reverse order.
  [[nodiscard]] Tensor T() const;
  /// The last two axes exchanged. ShapeError below rank 2.
  [[nodiscard]] Tensor mT() const;
  /// Elements start, start+step, ... below stop. Bounds as in Python.
  [[nodiscard]] Tensor slice(Int dim, std::optional<Int> start = {}, std::optional<Int> stop = {}, Int step = 1) const;
  /// Index `index` of an axis, which goes: [.., n, ..] -> [.., ..].
  [[nodiscard]] Tensor select(Int dim, Int index) const;
  /// select on the first axis.
  template <Integer I>
  requires ByValue<I>
  [[nodiscard]] Tensor operator[](I index) const { return select(0, index); }
  template <Integer I>
  requires std::is_class_v<I>
  [[nodiscard]] Tensor operator[](const I& index) const { return select(0, index); }
  /// x.index({at}): a mask, an index tensor or a Slice.
  [[nodiscard]] Tensor operator[](const Tensor& at) const;
  /// slice of the first axis. Braces make none: rows 0 and 2 are x.index({{0, 2}}), rows 0 and 1 x[Slice(0, 2)].
  template <std::same_as<Slice> S> [[nodiscard]] Tensor operator[](const S& at) const {
    return slice(0, at.start, at.stop, at.step);
  }
  /// `length` elements from `start` on along an axis. Negative starts count from the end.
  [[nodiscard]] Tensor narrow(Int dim, Int start, Int length) const;
  /// Sizes of 1 grow without copying; -1 keeps a size; new axes come in front.
  [[nodiscard]] Tensor expand(const Shape& shape) const;
  template <Integer... I>
  requires(sizeof...(I) > 1) [[nodiscard]] Tensor expand(I... sizes) const { return expand(listed(sizes...)); }
  /// expand to o's shape.
  [[nodiscard]] Tensor expand_as(const Tensor& o) const;
  /// Without dims all axes of size 1 go; with dims those of them that have size 1.
  [[nodiscard]] Tensor squeeze() const;
  [[nodiscard]] Tensor squeeze(const Shape& dims) const;
  /// A new axis of size 1 at `dim`; -1 is behind the last.
  [[nodiscard]] Tensor unsqueeze(Int dim) const;
  /// Axes start_dim to end_dim as one; rank 0 becomes [1]. unflatten: the reverse, one of the sizes may be -1.
  [[nodiscard]] Tensor flatten(Int start_dim = 0, Int end_dim = -1) const;
  [[nodiscard]] Tensor unflatten(Int dim, const Shape& sizes) const;
  /// Axis source[i] becomes axis destination[i]; the others keep their order.
  [[nodiscard]] Tensor movedim(const Shape& source, const Shape& destination) const;
  /// Pieces of `size` along dim, the last one smaller if it does not divide. ValueError for more than 2^24 of them.
  template <Integer I> [[nodiscard]] std::vector<Tensor> split(I size, Int dim = 0) const { return pieces(size, dim); }
  /// Pieces of those sizes, which sum to the axis' size.
  [[nodiscard]] std::vector<Tensor> split(const Shape& sizes, Int dim = 0) const;
  /// At most `chunks` pieces of one size, the last one smaller if it does not divide.
  [[nodiscard]] std::vector<Tensor> chunk(Int chunks, Int dim = 0) const;
  /// Windows of `size` every `step` along dim, as a new last axis.
  [[nodiscard]] Tensor unfold(Int dim, Int size, Int step) const;
  /// The diagonal number `offset` of the matrices in axes dim0 and dim1, as a new last axis.
  [[nodiscard]] Tensor diagonal(Int offset = 0, Int dim0 = 0, Int dim1 = 1) const;
  /// numpy's indexing: `x.index({1, Slice(0, 5), Ellipsis(), mask})`. Views for integers and slices, copies for lists
  /// and tensors.
  [[nodiscard]] Tensor index(const std::vector<Index>& at) const;

  /// The elements converted; this tensor if it has that dtype. Recorded, as are all copies below.
  [[nodiscard]] Tensor to(Dtype dtype) const;
  /// A copy on `device`, or this tensor if it is there. `non_blocking`: a copy from or to pinned host memory is only
  /// put into the current stream; the source must stay as it is, the result on the CPU must not be read, until it is
  /// done.
  [[nodiscard]] Tensor to(Device device, Only<bool> non_blocking = false) const;
  [[nodiscard]] Tensor to(DeviceType device) const { return to(Device(device)); }
  [[nodiscard]] Tensor to(const char* device) const { return to(Device(device)); }
  /// A copy in host memory that CUDA devices read and write by themselves (pinned). On the CPU only.
  [[nodiscard]] Tensor pin_memory() const;
  /// The memory of this tensor, used by `stream` too, is not given to others before the stream is done with it.
  void record_stream(const Stream& stream) const;
  /// What the options leave open stays as it is. ValueError for requires_grad(true), as in PyTorch.
  [[nodiscard]] Tensor to(const TensorOptions& o) const {
    WEFT_CHECK(!o.requires_grad(), ValueError,
               "to: options with requires_grad(true) are not taken; call set_requires_grad() on the result");
    return to(o.dtype_or(dtype())).to(o.device_or(device()));
  }
  [[nodiscard]] Tensor to(Device device, Dtype dtype, Only<bool> non_blocking = false) const {
    return to(dtype).to(device, non_blocking);
  }
  /// contiguous(format)
  [[nodiscard]] Tensor to(MemoryFormat format) const { return contiguous(format); }
  [[nodiscard]] Tensor toType(Dtype dtype) const { return to(dtype); }  ///< PyTorch's C++ name
  /// In the dtype and on the device of `like`.
  [[nodiscard]] Tensor to(const Tensor& like) const { return to(like.dtype()).to(like.device()); }
  [[nodiscard]] Tensor type_as(const Tensor& like) const { return to(like); }
  /// On the CPU, or on the CUDA device of that number; this tensor if it is there.
  [[nodiscard]] Tensor cpu() const { return to(Device()); }
  [[nodiscard]] Tensor cuda(int index = 0) const { return to(Device(DeviceType::cuda, index)); }
  /// This tensor if it has that layout already, a copy otherwise.
  [[nodiscard]] Tensor contiguous(MemoryFormat format = MemoryFormat::contiguous) const;
  /// A dense copy, with its axes in memory in the order that this tensor has them in.
  [[nodiscard]] Tensor clone() const;
  /// Same elements, no gradient.
  [[nodiscard]] Tensor detach() const;

  /// New tensors of this one's dtype and device, unless the options say otherwise.
  [[nodiscard]] Tensor new_empty(const Shape& shape, const TensorOptions& o = {}) const;
  [[nodiscard]] Tensor new_zeros(const Shape& shape, const TensorOptions& o = {}) const;
  [[nodiscard]] Tensor new_ones(const Shape& shape, const TensorOptions& o = {}) const;
  /// ValueError for a value that the dtype cannot hold.
  [[nodiscard]] Tensor new_full(const Shape& shape, Scalar value, const TensorOptions& o = {}) const;

  /// In place: only where no graph is recorded (under NoGrad, or nothing involved requires grad). A source that
  /// overlaps this tensor is read before anything is written. ValueError where elements of this tensor share memory (it
  /// was expanded, ...).
  Tensor& copy_(const Tensor& src);
  Tensor& fill_(Scalar value);
  Tensor& zero_() { return fill_(0); }
  Tensor& add_(const Tensor& o, Scalar alpha = 1);
  Tensor& add_(Scalar s, Scalar alpha = 1);
  Tensor& mul_(const Tensor& o);
  Tensor& mul_(Scalar s);

  /// Compound assignment. In place where nothing is recorded; where it is, the variable names the result from then on,
  /// and other variables of the old tensor keep that. While recording it is an error on leaves that require grad, on
  /// views and on temporaries: their other names would not see the change. The result has this tensor's shape and
  /// dtype, or it is an error.
  Tensor& operator+=(const Tensor& y) &;
  Tensor& operator-=(const Tensor& y) &;
  Tensor& operator*=(const Tensor& y) &;
  Tensor& operator/=(const Tensor& y) &;
  Tensor& operator+=(Scalar y) &;
  Tensor& operator-=(Scalar y) &;
  Tensor& operator*=(Scalar y) &;
  Tensor& operator/=(Scalar y) &;
  void operator+=(const Tensor& y) &&;
  void operator-=(const Tensor& y) &&;
  void operator*=(const Tensor& y) &&;
  void operator/=(const Tensor& y) &&;
  void operator+=(Scalar y) &&;
  void operator-=(Scalar y) &&;
  void operator*=(Scalar y) &&;
  void operator/=(Scalar y) &&;

  /// Is a gradient asked for, of it or of what it was made of?
  bool requires_grad() const;
  /// Leaves only. Returns *this.
  Tensor& set_requires_grad(Only<bool> on = true);
  Tensor& requires_grad_(Only<bool> on = true) { return set_requires_grad(on); }
  /// This variable names the same elements without gradient from then on.
  Tensor& detach_() { return *this = detach(); }
  /// Not made by a recorded op.
  bool is_leaf() const;
  /// The accumulated gradient; undefined if there is none.
  Tensor grad() const;
  /// Replaces the gradient. ShapeError unless g is undefined or has this tensor's shape, dtype and device.
  void set_grad(const Tensor& g);
  /// Forgets the gradient.
  void zero_grad() { set_grad(Tensor()); }
  /// Accumulates d(this)/d(leaf) into every leaf's grad(). `gradient` may be left out for a one-element tensor.
  void backward(const Tensor& gradient = {}, BackwardOptions o = {}) const;
  /// The same in PyTorch's order of arguments.
  void backward(const Tensor& gradient, Only<bool> retain_graph, Only<bool> create_graph = false) const {
    backward(gradient, BackwardOptions{retain_graph, create_graph});
  }
  /// Called with the gradient of this tensor; a defined result replaces it. Returns a handle for remove_hook. Hooks run
  /// in the order in which they were registered.
  int64_t register_hook(std::function<Tensor(const Tensor&)> hook);
  /// The same for a hook that only looks.
  template <class F>
  requires std::is_void_v<std::invoke_result_t<F&, const Tensor&>> int64_t register_hook(F hook) {
    if constexpr (std::is_constructible_v<bool, const F&> && !std::is_empty_v<F>)
      if (!hook) return register_hook(std::function<Tensor(const Tensor&)>());
    return register_hook(std::function<Tensor(const Tensor&)>([f = std::move(hook)](const Tensor& g) mutable {
      f(g);
      return Tensor();
    }));
  }
  /// ValueError if no hook of this tensor has that handle.
  void remove_hook(int64_t handle);
  /// Leaves: called after the gradient was accumulated.
  void register_post_accumulate_grad_hook(std::function<void(Tensor&)> hook);
  /// Non-leaves: keep grad() too, the sum over all backwards, after the hooks. ValueError without requires_grad.
  void retain_grad();

  /// Makes this impl share the other's contents (shape, storage, dtype): `to(device)` of a module and loading use it,
  /// so that every handle of a parameter sees the change. A backward that needs the old contents is refused.
  void swap_contents(Tensor& other);

 private:
  void check_type(Dtype d) const {
    WEFT_CHECK(at().dtype == d, DtypeError, "data: tensor is ", name(impl_->dtype), ", asked for as ", name(d));
    WEFT_CHECK(device().type != DeviceType::cuda, DeviceError, "data: tensor is on ", str(device()),
               ", which the host cannot read; copy it with to(\"cpu\")");
    if (detail::observed()) [[unlikely]]
      detail::refuse_recorded(*this, "data");
  }
  void check_accessor(int rank) const;
  void assign(Scalar y);
  std::vector<Tensor> pieces(Int size, Int dim) const;  // split
  template <class... I> static Shape listed(I... v) { return Shape{static_cast<int64_t>(v)...}; }
  /// What every query goes through.
  TensorImpl& at(const char* from = __builtin_FUNCTION()) const {
    if (!impl_) [[unlikely]]
      detail::raise_undefined(from);
    return *impl_;
  }
  Ref<TensorImpl> impl_;
};

/// One entry of `x.index({...})`: an integer, a Slice, NewAxis (or None), Ellipsis (or "..."), a list of integers, an
/// i64 or i32 tensor, or a mask of bool or u8. A bool is a mask of rank 0: a new axis of size 1 (true) or 0 (false).
class Index {
 public:
  /// What it is.
  enum class Kind : uint8_t { integer, slice, newaxis, ellipsis, list, tensor, boolean };

  template <Integer I>
  requires ByValue<I> Index(I i) : kind_(Kind::integer), integer_(static_cast<int64_t>(i)) {}
  template <Integer I>
  requires std::is_class_v<I> Index(const I& i) : kind_(Kind::integer), integer_(static_cast<int64_t>(i)) {}
  template <Boolean B>
  requires ByValue<B> Index(B on) : kind_(Kind::boolean), integer_(on) {}
  template <Boolean B>
  requires std::is_class_v<B> Index(const B& on) : kind_(Kind::boolean), integer_(static_cast<bool>(on)) {}
  Index(const Slice& s) : kind_(Kind::slice), slice_(s) {}
  Index(NewAxis) : kind_(Kind::newaxis) {}
  Index(std::nullopt_t) : kind_(Kind::newaxis) {}
  Index(Ellipsis) : kind_(Kind::ellipsis) {}
  Index(const char* dots) : kind_(Kind::ellipsis) {
    WEFT_CHECK(detail::word_of(dots) == "...", ValueError, "index: the text '", detail::word_of(dots),
               "' is no index; expected \"...\"");
  }
  template <std::same_as<std::nullptr_t> N> Index(N) = delete;  // and not of 0
  Index(const Tensor& t) : kind_(Kind::tensor), tensor_(t) {}
  Index(std::vector<int64_t> list) : kind_(Kind::list), list_(std::move(list)) {}
  /// A list of integers: `x.index({{0, 2}})` is rows 0 and 2, `x.index({0, 2})` one element.
  template <std::integral T> Index(std::initializer_list<T> list) : kind_(Kind::list), list_(list.begin(), list.end()) {
    static_assert(!std::same_as<T, bool>, "a mask is a tensor: x.index({tensor({true, false})})");
  }

  /// What it is, and that: each is for its kind alone.
  Kind kind() const { return kind_; }
  int64_t integer() const { return integer_; }
  bool boolean() const { return integer_ != 0; }
  const Slice& slice() const { return slice_; }
  const std::vector<int64_t>& list() const { return list_; }
  const Tensor& tensor() const { return tensor_; }

 private:
  Kind kind_;
  int64_t integer_ = 0;
  Slice slice_;
  std::vector<int64_t> list_;
  Tensor tensor_;
};

/// ValueError that names `op` if one of the tensors is undefined. Queries of an undefined Tensor throw by themselves,
/// in the name of their caller: for functions that work for ops of other names.
template <class... T> void check_defined(const char* op, const T&... tensors) {
  if (!(tensors.defined() && ...)) [[unlikely]]
    detail::raise_undefined(op);
}

inline const Tensor& TensorMethods::self() const { return static_cast<const Tensor&>(*this); }
inline Tensor& TensorMethods::self() { return static_cast<Tensor&>(*this); }
template <std::same_as<Dtype> D> Tensor TensorMethods::sum(D dtype) const { return sum(DimList(), false, dtype); }
template <std::same_as<Dtype> D> Tensor TensorMethods::mean(D dtype) const { return mean(DimList(), false, dtype); }
template <std::same_as<Dtype> D> Tensor TensorMethods::prod(D dtype) const { return prod(DimList(), false, dtype); }
template <Boolean B> Tensor TensorMethods::var(const B& unbiased) const { return var(DimList(), unbiased); }
template <Boolean B> Tensor TensorMethods::std(const B& unbiased) const { return std(DimList(), unbiased); }
template <Integer... I>
requires(sizeof...(I) > 1) Tensor TensorMethods::repeat(I... repeats)
const { return repeat(Shape{static_cast<int64_t>(repeats)...}); }

/// Prints as PyTorch does (summarised when large).
WEFT_API std::ostream& operator<<(std::ostream& os, const Tensor& t);
/// Options of printing.
struct PrintOptions {
  int precision = 4;                              ///< digits behind the point
  int64_t threshold = 1000;                       ///< above this many elements only edges are printed
  int64_t edge_items = 3;                         ///< elements at each end of an axis that are printed then
  int line_width = 80;                            ///< characters
  std::optional<bool> scientific = std::nullopt;  ///< empty: decided by the values
};
WEFT_API void set_print_options(const PrintOptions& o);  ///< of this thread
/// The printed text; options as set for this thread.
WEFT_API std::string str(const Tensor& t);

}  // namespace weft
