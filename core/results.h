// Results of several tensors. One can be taken apart in every way that users know:
//     r.values            auto [values, indices] = r;
//     std::get<0>(r)      std::tie(values, indices) = r;
// Knows Tensor.
#pragma once

#include <tuple>

#include "weft/core/tensor.h"

/// A struct of tensors of these names, in this order, made of braces: WEFT_RESULT(ValuesIndices, values, indices);
#define WEFT_RESULT(Name, ...)                                                     \
  struct Name {                                                                    \
    ::weft::Tensor __VA_ARGS__;                                                    \
    auto elements() { return std::tie(__VA_ARGS__); }                              \
    auto elements() const { return std::tie(__VA_ARGS__); }                        \
    operator decltype(std::tie(__VA_ARGS__))() { return elements(); }              \
    operator decltype(std::make_tuple(__VA_ARGS__))() const { return elements(); } \
  }

namespace weft::detail {
template <class R>
concept Result = requires(R r) {
  std::get<0>(r.elements());
};
}  // namespace weft::detail

// PyTorch's C++ programs read results by std::get: it is looked up in std alone. Of a temporary it gives a Tensor and
// no reference, which would dangle.
namespace std {
/// Tensor I of a result.
template <size_t I, weft::detail::Result R> weft::Tensor& get(R& r) { return get<I>(r.elements()); }
template <size_t I, weft::detail::Result R> const weft::Tensor& get(const R& r) { return get<I>(r.elements()); }
template <size_t I, weft::detail::Result R>
requires(!is_reference_v<R>) weft::Tensor get(R&& r) { return get<I>(r.elements()); }
}  // namespace std
