// Makes new tensors. None is recorded.
// Knows Tensor and the generator; kernels fill.
#pragma once

#include <iterator>
#include <new>

#include "weft/core/choice.h"
#include "weft/core/generator.h"
#include "weft/core/tensor.h"

namespace weft {

/// Uninitialised. `preserve` counts as contiguous.
WEFT_API Tensor empty(const Shape& shape, const TensorOptions& o = {}, MemoryFormat format = MemoryFormat::contiguous);
/// Uninitialised, with these strides (in elements).
WEFT_API Tensor empty_strided(const Shape& shape, const Strides& strides, const TensorOptions& o = {});
/// Elements 0, or 1.
WEFT_API Tensor zeros(const Shape& shape, const TensorOptions& o = {});
WEFT_API Tensor ones(const Shape& shape, const TensorOptions& o = {});
/// The dtype is the value's unless one is given: bool, i64 or the default dtype. ValueError for a value that the dtype
/// cannot hold.
WEFT_API Tensor full(const Shape& shape, Scalar value, const TensorOptions& o = {});
/// Of x's shape, dtype and device, with x's dense strides; the options change dtype and device. empty_like:
/// uninitialised.
WEFT_API Tensor empty_like(const Tensor& x, const TensorOptions& o = {});
WEFT_API Tensor zeros_like(const Tensor& x, const TensorOptions& o = {});
WEFT_API Tensor ones_like(const Tensor& x, const TensorOptions& o = {});
WEFT_API Tensor full_like(const Tensor& x, Scalar value, const TensorOptions& o = {});  ///< errors as full's
/// A rank-0 tensor; dtype and errors as full's.
WEFT_API Tensor scalar(Scalar value);
WEFT_API Tensor scalar(Scalar value, const TensorOptions& o);
/// start, start+step, ... below stop; i64 for integers, else the default dtype, unless one is given.
WEFT_API Tensor arange(Scalar start, Scalar stop, Scalar step, const TensorOptions& o);
WEFT_API Tensor arange(Scalar start, Scalar stop, Scalar step = 1);
WEFT_API Tensor arange(Scalar start, Scalar stop, const TensorOptions& o);
WEFT_API Tensor arange(Scalar stop);
WEFT_API Tensor arange(Scalar stop, const TensorOptions& o);
/// `steps` evenly spaced values from start to stop, both included.
WEFT_API Tensor linspace(double start, double stop, Int steps, const TensorOptions& o = {});
/// Ones on the diagonal, [n, m] or [n, n], else zeros.
WEFT_API Tensor eye(Int n, Only<int64_t> m, const TensorOptions& o = {});
inline Tensor eye(Int n, const TensorOptions& o = {}) { return eye(n, -1, o); }

/// U[0, 1), N(0, 1), integers in [low, high), a permutation of 0..n-1. `g` defaults to this thread's generator.
WEFT_API Tensor rand(const Shape& shape, const TensorOptions& o = {}, Generator* g = nullptr);
WEFT_API Tensor randn(const Shape& shape, const TensorOptions& o = {}, Generator* g = nullptr);
WEFT_API Tensor randint(Int low, Int high, const Shape& shape, const TensorOptions& o = Dtype::i64,
                        Generator* g = nullptr);
/// Integers in [0, high).
inline Tensor randint(Int high, const Shape& shape, const TensorOptions& o = Dtype::i64, Generator* g = nullptr) {
  return randint(0, high, shape, o, g);
}
/// A permutation of 0..n-1. ValueError for negative n.
WEFT_API Tensor randperm(Int n, const TensorOptions& o = Dtype::i64, Generator* g = nullptr);
/// Sizes without braces: `zeros(2, 3)`.
template <Integer... I>
requires(sizeof...(I) > 1) Tensor empty(I... sizes) { return empty(Shape{static_cast<int64_t>(sizes)...}); }
template <Integer... I>
requires(sizeof...(I) > 1) Tensor zeros(I... sizes) { return zeros(Shape{static_cast<int64_t>(sizes)...}); }
template <Integer... I>
requires(sizeof...(I) > 1) Tensor ones(I... sizes) { return ones(Shape{static_cast<int64_t>(sizes)...}); }
template <Integer... I>
requires(sizeof...(I) > 1) Tensor rand(I... sizes) { return rand(Shape{static_cast<int64_t>(sizes)...}); }
template <Integer... I>
requires(sizeof...(I) > 1) Tensor randn(I... sizes) { return randn(Shape{static_cast<int64_t>(sizes)...}); }

/// The same draws of x's shape, dtype and device; the options change dtype and device. randint_like: integers in
/// [low, high), or in [0, high).
WEFT_API Tensor rand_like(const Tensor& x, const TensorOptions& o = {}, Generator* g = nullptr);
WEFT_API Tensor randn_like(const Tensor& x, const TensorOptions& o = {}, Generator* g = nullptr);
inline Tensor rand_like(const Tensor& x, Generator* g) { return rand_like(x, {}, g); }
inline Tensor randn_like(const Tensor& x, Generator* g) { return randn_like(x, {}, g); }
WEFT_API Tensor randint_like(const Tensor& x, Int low, Int high, const TensorOptions& o = {}, Generator* g = nullptr);
inline Tensor randint_like(const Tensor& x, Int high, const TensorOptions& o = {}, Generator* g = nullptr) {
  return randint_like(x, 0, high, o, g);
}

namespace detail {
WEFT_API Tensor from_host(const void* data, int64_t count, Dtype dtype, const Shape& shape, const TensorOptions& o);
/// A rank-0 tensor of a dtype that need not hold the value: converted as elements are (numbers in expressions).
WEFT_API Tensor number(Scalar value, const TensorOptions& o);
/// The options, with x's dtype and device where they name none.
WEFT_API TensorOptions options_like(const Tensor& x, const TensorOptions& o);
/// ValueError, in the name of `op`, if the dtype cannot hold the value: integers out of range, NaN in integers, finite
/// values that become infinite. Fractions are cut, as PyTorch does.
WEFT_API void check_holds(const char* op, Scalar value, Dtype dtype);
/// The same for all elements of x. Where no element can fail, nothing is read.
WEFT_API void check_all_hold(const char* op, const Tensor& x, Dtype dtype);
/// Elements of the memory that shape and strides reach. ValueError for a negative stride, ShapeError beyond 2^59
/// elements.
WEFT_API int64_t strided_extent(const char* op, const Shape& shape, const Strides& strides);

/// A container whose elements lie side by side, or vector<bool>.
template <class C> using element_t = std::iter_value_t<decltype(std::begin(std::declval<const C&>()))>;
template <class C>
concept Numbers = HasDtype<element_t<C>> &&
    (std::contiguous_iterator<decltype(std::begin(std::declval<const C&>()))> || std::same_as<C, std::vector<bool>>);

/// Numbers in braces and the shape of the braces, in row-major order.
template <class T> struct Nested {
  static constexpr bool kBool = std::is_same_v<T, bool>, kInteger = std::is_integral_v<T>;
  using Host = std::conditional_t<kBool, uint8_t, std::conditional_t<kInteger, int64_t, double>>;
  std::vector<Host> values;
  Shape shape;
  template <class List> explicit Nested(const std::initializer_list<List>& list) { add(list, 0); }
  void add(T v, int) {
    if constexpr (kInteger && !kBool && std::is_unsigned_v<T> && sizeof(T) == sizeof(int64_t))
      WEFT_CHECK(v <= T{INT64_MAX}, ValueError, "tensor: ", v, " does not fit i64; give a real number");
    values.push_back(static_cast<Host>(v));
  }
  template <class List> void add(const std::initializer_list<List>& list, int depth) {
    const auto n = static_cast<int64_t>(list.size());
    if (depth == shape.size()) shape.push_back(n);
    WEFT_CHECK(shape[depth] == n, ShapeError, "tensor: lists of ", shape[depth], " and of ", n,
               " elements at one depth of the braces");
    for (const auto& e : list) add(e, depth + 1);
  }
  Tensor tensor(const Shape& as, const TensorOptions& o) const {
    const TensorOptions to = o.dtype(o.dtype_or(kBool ? Dtype::boolean : kInteger ? Dtype::i64 : default_dtype()));
    return from_host(values.data(), static_cast<int64_t>(values.size()), kBool ? Dtype::boolean : dtype_v<Host>, as,
                     to);
  }
};
}  // namespace detail

/// Copies host elements, row-major: `tensor(values, {2, 2})`, `tensor(values, Dtype::i64)`. `values`: a vector, an
/// array, a span of numbers. Dtype from their type unless given. ShapeError if they do not fill the shape.
template <detail::Numbers Values> Tensor tensor(const Values& values, const Shape& shape, const TensorOptions& o = {}) {
  const auto count = static_cast<int64_t>(std::size(values));
  if constexpr (std::is_same_v<Values, std::vector<bool>>) {
    const std::vector<uint8_t> bytes(values.begin(), values.end());
    return detail::from_host(bytes.data(), count, Dtype::boolean, shape, o);
  } else {
    return detail::from_host(std::data(values), count, dtype_v<detail::element_t<Values>>, shape, o);
  }
}
/// The same as a vector, [number of values].
template <detail::Numbers Values> Tensor tensor(const Values& values, const TensorOptions& o = {}) {
  return tensor(values, Shape{static_cast<int64_t>(std::size(values))}, o);
}
/// Vectors of vectors, [number of vectors, their length]. ShapeError if their lengths differ.
template <detail::Numbers Row> Tensor tensor(const std::vector<Row>& rows, const TensorOptions& o = {}) {
  const size_t width = rows.empty() ? 0 : std::size(rows[0]);
  std::vector<detail::element_t<Row>> values;
  values.reserve(rows.size() * width);
  for (const Row& row : rows) {
    WEFT_CHECK(std::size(row) == width, ShapeError, "tensor: rows of ", width, " and of ", std::size(row), " elements");
    values.insert(values.end(), std::begin(row), std::end(row));
  }
  return tensor(values, Shape{static_cast<int64_t>(rows.size()), static_cast<int64_t>(width)}, o);
}
/// Numbers in braces, `tensor({1, 2, 3})`, `tensor({0.5, 1.0}, {2, 1}, Dtype::f64)`, `tensor({{1, 2}, {3, 4}})`, or one
/// number, of rank 0: i64 for integers, bool for bools, the default dtype for real numbers of any C++ type, unless a
/// dtype is given. ValueError for a value that the dtype cannot hold, ShapeError for lists of different lengths.
template <class T>
requires std::is_arithmetic_v<T> Tensor tensor(std::initializer_list<T> values, const Shape& shape,
                                               const TensorOptions& o = {}) {
  return detail::Nested<T>(values).tensor(shape, o);
}
template <class T>
requires std::is_arithmetic_v<T> Tensor tensor(std::initializer_list<T> values, const TensorOptions& o = {}) {
  return tensor(values, Shape{static_cast<int64_t>(values.size())}, o);
}
template <class T>
requires std::is_arithmetic_v<T> Tensor tensor(T value, const TensorOptions& o = {}) {
  return tensor({value}, Shape(), o);
}
template <class T>
requires std::is_arithmetic_v<T> Tensor tensor(std::initializer_list<std::initializer_list<T>> values,
                                               const TensorOptions& o = {}) {
  const detail::Nested<T> n(values);
  return n.tensor(n.shape, o);
}
template <class T>
requires std::is_arithmetic_v<T> Tensor
tensor(std::initializer_list<std::initializer_list<std::initializer_list<T>>> values, const TensorOptions& o = {}) {
  const detail::Nested<T> n(values);
  return n.tensor(n.shape, o);
}

/// Wraps memory that somebody else owns, without a copy; `release` runs when the last tensor on it goes.
WEFT_API Tensor from_blob(void* data, const Shape& shape, const TensorOptions& o = {},
                          std::function<void()> release = {});
/// The same with strides, in elements. Strides of 0 or that overlap are allowed; negative ones are a ValueError.
WEFT_API Tensor from_blob(void* data, const Shape& shape, const Strides& strides, const TensorOptions& o = {},
                          std::function<void()> release = {});
/// PyTorch's order, with a deleter that gets the pointer.
inline Tensor from_blob(void* data, const Shape& shape, std::function<void(void*)> deleter,
                        const TensorOptions& o = {}) {
  return from_blob(data, shape, o, [data, f = std::move(deleter)] { f(data); });
}
inline Tensor from_blob(void* data, const Shape& shape, const Strides& strides, std::function<void(void*)> deleter,
                        const TensorOptions& o = {}) {
  return from_blob(data, shape, strides, o, [data, f = std::move(deleter)] { f(data); });
}

template <class T> std::vector<T> Tensor::to_vector() const {
  weft::detail::check_all_hold("to_vector", *this, dtype_v<T>);
  Tensor x = detach().to(Device()).to(dtype_v<T>).contiguous();
  try {
    if constexpr (std::is_same_v<T, bool>) {
      const bool* p = static_cast<const bool*>(x.raw_data());
      return std::vector<bool>(p, p + numel());
    } else {
      const T* p = x.data<T>();
      return std::vector<T>(p, p + numel());
    }
  } catch (const std::bad_alloc&) { weft::detail::heap_exhausted(static_cast<size_t>(numel()) * sizeof(T)); }
}

}  // namespace weft
