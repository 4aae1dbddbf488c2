// Results of several tensors. One can be taken apart in every way that users know:
//     r.values            auto [values, indices] = r;
//     std::get<0>(r)      std::tie(values, indices) = r;
// Knows Tensor.
#pragma once

#include <tuple>
#include <utility>

#include "weft/core/tensor.h"

namespace weft::detail {
/// Marks the structs of WEFT_RESULT2 and WEFT_RESULT3.
struct Result {};
template <class T>
concept ResultOf = std::is_base_of_v<Result, T>;
}  // namespace weft::detail

template <weft::detail::ResultOf T>
struct std::tuple_size<T> : std::integral_constant<std::size_t, std::tuple_size_v<typename T::tuple>> {};
template <std::size_t I, weft::detail::ResultOf T> struct std::tuple_element<I, T> { using type = weft::Tensor; };

// A std::tuple of tensors whose elements have names: each name refers to the element of its own object.
#define WEFT_RESULT_(Name)                                              \
  Name() = default;                                                     \
  Name(const Name& o) : tuple(o) {}                                     \
  Name(Name&& o) noexcept : tuple(std::move(static_cast<tuple&>(o))) {} \
  ~Name() = default;                                                    \
  Name& operator=(const Name& o) { return tuple::operator=(o), *this; } \
  Name& operator=(Name&& o) noexcept { return tuple::operator=(std::move(static_cast<tuple&>(o))), *this; }
#define WEFT_RESULT2(Name, first, second)                                            \
  struct Name : ::weft::detail::Result, std::tuple<::weft::Tensor, ::weft::Tensor> { \
    WEFT_RESULT_(Name)                                                               \
    Name(::weft::Tensor a, ::weft::Tensor b) : tuple(std::move(a), std::move(b)) {}  \
    ::weft::Tensor& first = std::get<0>(*this);                                      \
    ::weft::Tensor& second = std::get<1>(*this);                                     \
  }
#define WEFT_RESULT3(Name, first, second, third)                                                                    \
  struct Name : ::weft::detail::Result, std::tuple<::weft::Tensor, ::weft::Tensor, ::weft::Tensor> {                \
    WEFT_RESULT_(Name)                                                                                              \
    Name(::weft::Tensor a, ::weft::Tensor b, ::weft::Tensor c) : tuple(std::move(a), std::move(b), std::move(c)) {} \
    ::weft::Tensor& first = std::get<0>(*this);                                                                     \
    ::weft::Tensor& second = std::get<1>(*this);                                                                    \
    ::weft::Tensor& third = std::get<2>(*this);                                                                     \
  }
