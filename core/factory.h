// Makes new tensors. None is recorded.
// Knows Tensor and the generator; kernels fill.
#pragma once

#include <new>

#include "weft/core/generator.h"
#include "weft/core/tensor.h"

namespace weft {

/// Uninitialised. `preserve` counts as contiguous.
WEFT_API Tensor empty(const Shape& shape, const TensorOptions& o = {}, MemoryFormat format = MemoryFormat::contiguous);
/// Uninitialised, with these strides (in elements).
WEFT_API Tensor empty_strided(const Shape& shape, const Strides& strides, const TensorOptions& o = {});
/// Uninitialised, of x's shape, dtype and device; x's dense strides are kept.
WEFT_API Tensor empty_like(const Tensor& x);
WEFT_API Tensor empty_like(const Tensor& x, Dtype dtype);
WEFT_API Tensor zeros(const Shape& shape, const TensorOptions& o = {});
WEFT_API Tensor ones(const Shape& shape, const TensorOptions& o = {});
/// The dtype is the value's unless one is given: bool, i64 or f32. ValueError for a value that the dtype cannot hold.
WEFT_API Tensor full(const Shape& shape, Scalar value, const TensorOptions& o = {});
WEFT_API Tensor zeros_like(const Tensor& x);
WEFT_API Tensor ones_like(const Tensor& x);
WEFT_API Tensor full_like(const Tensor& x, Scalar value);  ///< errors as full's
/// A rank-0 tensor; dtype and errors as full's.
WEFT_API Tensor scalar(Scalar value);
WEFT_API Tensor scalar(Scalar value, const TensorOptions& o);
/// start, start+step, ... below stop; i64 for integers, else f32, unless a dtype is given.
WEFT_API Tensor arange(Scalar start, Scalar stop, Scalar step, const TensorOptions& o);
WEFT_API Tensor arange(Scalar start, Scalar stop, Scalar step = 1);
WEFT_API Tensor arange(Scalar stop);
/// `steps` evenly spaced values from start to stop, both included.
WEFT_API Tensor linspace(double start, double stop, int64_t steps, const TensorOptions& o = {});
WEFT_API Tensor eye(int64_t n, int64_t m = -1, const TensorOptions& o = {});

/// U[0, 1), N(0, 1), integers in [low, high), a permutation of 0..n-1. `g` defaults to this thread's generator.
WEFT_API Tensor rand(const Shape& shape, const TensorOptions& o = {}, Generator* g = nullptr);
WEFT_API Tensor randn(const Shape& shape, const TensorOptions& o = {}, Generator* g = nullptr);
WEFT_API Tensor randint(int64_t low, int64_t high, const Shape& shape, const TensorOptions& o = Dtype::i64,
                        Generator* g = nullptr);
WEFT_API Tensor randperm(int64_t n, const TensorOptions& o = Dtype::i64, Generator* g = nullptr);
WEFT_API Tensor rand_like(const Tensor& x, Generator* g = nullptr);
WEFT_API Tensor randn_like(const Tensor& x, Generator* g = nullptr);

namespace detail {
WEFT_API Tensor from_host(const void* data, int64_t count, Dtype dtype, const Shape& shape, const TensorOptions& o);
/// A rank-0 tensor of a dtype that need not hold the value: converted as elements are (numbers in expressions).
WEFT_API Tensor number(Scalar value, const TensorOptions& o);
/// ValueError, in the name of `op`, if the dtype cannot hold the value: integers out of range, NaN in integers, finite
/// values that become infinite. Fractions are cut, as PyTorch does.
WEFT_API void check_holds(const char* op, Scalar value, Dtype dtype);
}  // namespace detail
/// Copies host elements, row-major: `tensor(values, {2, 2})`. Dtype from T unless given.
template <class T> Tensor tensor(std::span<const T> values, const Shape& shape, std::optional<TensorOptions> o = {}) {
  return detail::from_host(values.data(), static_cast<int64_t>(values.size()), dtype_v<T>, shape,
                           o.value_or(TensorOptions()));
}
template <class T>
Tensor tensor(const std::vector<T>& values, std::optional<Shape> shape = {}, std::optional<TensorOptions> o = {}) {
  if constexpr (std::is_same_v<T, bool>) {
    std::vector<uint8_t> bytes(values.begin(), values.end());
    return detail::from_host(bytes.data(), static_cast<int64_t>(bytes.size()), Dtype::boolean,
                             shape.value_or(Shape{static_cast<int64_t>(bytes.size())}), o.value_or(TensorOptions()));
  } else {
    return tensor(std::span<const T>(values), shape.value_or(Shape{static_cast<int64_t>(values.size())}), o);
  }
}
/// Values in braces, `tensor({1, 2, 3})`, `tensor({0.5, 1.0}, {2, 1}, Dtype::f64)`: i64 for integers, bool for bools, f32 for
/// real numbers of any C++ type, unless a dtype is given. ValueError for a value that it cannot hold.
template <class T>
requires std::is_arithmetic_v<T> Tensor tensor(std::initializer_list<T> values, std::optional<Shape> shape = {},
                                               std::optional<TensorOptions> o = {}) {
  using Host =
      std::conditional_t<std::is_same_v<T, bool>, bool, std::conditional_t<std::is_integral_v<T>, int64_t, double>>;
  const TensorOptions given = o.value_or(TensorOptions());
  const Dtype natural = std::is_same_v<Host, double> ? Dtype::f32 : dtype_v<Host>, dtype = given.dtype_or(natural);
  for (T v : values) detail::check_holds("tensor", v, dtype);
  return tensor(std::vector<Host>(values.begin(), values.end()), shape, TensorOptions(dtype, given.device));
}
/// Wraps memory that somebody else owns, without a copy; `release` runs when the last tensor on it goes.
WEFT_API Tensor from_blob(void* data, const Shape& shape, const TensorOptions& o, std::function<void()> release = {});

template <class T> std::vector<T> Tensor::to_vector() const {
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
