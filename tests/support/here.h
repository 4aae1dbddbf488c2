// Tensors on the device of the running test: weft's factories by their names, as `here::zeros({2, 2})`.
// What is made from host values goes through the host, so that it is the same everywhere.
#pragma once

#include <vector>

#include "support/devices.h"
#include "weft/core/factory.h"

namespace here {

using support::on;
using weft::Dtype;
using weft::Scalar;
using weft::Shape;
using weft::Tensor;

inline Tensor empty(const Shape& shape, Dtype dtype = Dtype::f32,
                    weft::MemoryFormat format = weft::MemoryFormat::contiguous) {
  return weft::empty(shape, on(dtype), format);
}
inline Tensor zeros(const Shape& shape, Dtype dtype = Dtype::f32) { return weft::zeros(shape, on(dtype)); }
inline Tensor ones(const Shape& shape, Dtype dtype = Dtype::f32) { return weft::ones(shape, on(dtype)); }
inline Tensor full(const Shape& shape, Scalar value, Dtype dtype = Dtype::f32) {
  return weft::full(shape, value, on(dtype));
}
inline Tensor rand(const Shape& shape, Dtype dtype = Dtype::f32, weft::Generator* g = nullptr) {
  return weft::rand(shape, on(dtype), g);
}
inline Tensor randn(const Shape& shape, Dtype dtype = Dtype::f32, weft::Generator* g = nullptr) {
  return weft::randn(shape, on(dtype), g);
}
inline Tensor randint(int64_t low, int64_t high, const Shape& shape, Dtype dtype = Dtype::i64,
                      weft::Generator* g = nullptr) {
  return weft::randint(low, high, shape, on(dtype), g);
}
inline Tensor randperm(int64_t n, Dtype dtype = Dtype::i64, weft::Generator* g = nullptr) {
  return weft::randperm(n, on(dtype), g);
}
inline Tensor eye(int64_t n, int64_t m = -1, Dtype dtype = Dtype::f32) { return weft::eye(n, m, on(dtype)); }
inline Tensor linspace(double start, double stop, int64_t steps, Dtype dtype = Dtype::f32) {
  return weft::linspace(start, stop, steps, on(dtype));
}
template <class... A> Tensor arange(A... a) { return support::here(weft::arange(a...)); }
template <class... A> Tensor scalar(A... a) { return support::here(weft::scalar(a...)); }

template <class T> Tensor tensor(const std::vector<T>& values) { return support::here(weft::tensor(values)); }
template <class T> Tensor tensor(const std::vector<T>& values, const Shape& shape) {
  return support::here(weft::tensor(values, shape));
}
// T's own dtype: gradients are checked in f64
template <class T>
requires std::is_arithmetic_v<T> Tensor tensor(std::initializer_list<T> values) {
  return here::tensor(std::vector<T>(values));
}
template <class T>
requires std::is_arithmetic_v<T> Tensor tensor(std::initializer_list<T> values, const Shape& shape) {
  return here::tensor(std::vector<T>(values), shape);
}

/// A layer whose parameters and buffers are there.
template <class M> M module(M m) {
  m.to(support::device());
  return m;
}

}  // namespace here
