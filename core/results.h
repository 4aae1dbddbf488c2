// Results of several tensors. One can be taken apart in every way that users know:
//     r.values            auto [values, indices] = r;
//     std::get<0>(r)      std::tie(values, indices) = r;
// Knows Tensor.
#pragma once

#include <tuple>
#include <utility>

#include "weft/core/tensor.h"

// A struct of tensors in this order, made of braces.
#define WEFT_RESULT2(Name, first, second)                                                   \
  struct Name {                                                                             \
    ::weft::Tensor first, second;                                                           \
    template <int I> auto& element() {                                                      \
      if constexpr (I == 0) return first;                                                   \
      else return second;                                                                   \
    }                                                                                       \
    operator std::tuple<::weft::Tensor&, ::weft::Tensor&>() { return {first, second}; }     \
    operator std::tuple<::weft::Tensor, ::weft::Tensor>() const { return {first, second}; } \
  }
#define WEFT_RESULT3(Name, first, second, third)                                                                   \
  struct Name {                                                                                                    \
    ::weft::Tensor first, second, third;                                                                           \
    template <int I> auto& element() {                                                                             \
      if constexpr (I == 0) return first;                                                                          \
      else if constexpr (I == 1) return second;                                                                    \
      else return third;                                                                                           \
    }                                                                                                              \
    operator std::tuple<::weft::Tensor&, ::weft::Tensor&, ::weft::Tensor&>() { return {first, second, third}; }    \
    operator std::tuple<::weft::Tensor, ::weft::Tensor, ::weft::Tensor>() const { return {first, second, third}; } \
  }

namespace weft::detail {
template <class R>
concept Result = requires(R r) {
  r.template element<0>();
};
}  // namespace weft::detail

// PyTorch's C++ programs read results by std::get: it is looked up in std alone. Of a temporary it gives a Tensor and
// no reference, which would dangle.
namespace std {
template <size_t I, weft::detail::Result R> weft::Tensor& get(R& r) {
  return r.template element<static_cast<int>(I)>();
}
template <size_t I, weft::detail::Result R> const weft::Tensor& get(const R& r) {
  return const_cast<R&>(r).template element<static_cast<int>(I)>();
}
template <size_t I, weft::detail::Result R>
requires(!is_reference_v<R>) weft::Tensor get(R&& r) { return r.template element<static_cast<int>(I)>(); }
}  // namespace std
