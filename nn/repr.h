// Values as Python prints them, for the printed form of modules. Internal: not part of the public headers.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "weft/core/shape.h"
#include "weft/nn/option.h"

namespace weft::nn::detail {

/// 0.1, 1e-05, 2.0
std::string py(double x);
inline std::string py(int64_t x) { return std::to_string(x); }
inline std::string py(bool x) { return x ? "True" : "False"; }
/// (3,), (2, 3)
std::string py(const Shape& s);
template <int D> std::string py(const Dims<D>& d) { return py(Shape(d)); }
template <class T> std::string py(const std::optional<T>& x) { return x ? py(*x) : "None"; }
/// 2 where all are equal, else (2, 3): how PyTorch prints an argument that was given as one number.
template <int D> std::string py_short(const Dims<D>& d) {
  for (int i = 1; i < D; ++i)
    if (d[i] != d[0]) return py(Shape(d));
  return py(d[0]);
}

/// Prints text and options, each as it is then: `shown(", eps=", eps)`.
inline std::string part(const char* text) { return text; }
template <class T> std::string part(const Option<T>& o) { return py(*o); }
inline const char* kept(const char* text) { return text; }
template <class T> Option<T> kept(const Option<T>& o) { return o.share(); }
template <class... P> std::function<std::string()> shown(const P&... parts) {
  return [... parts = kept(parts)] { return (part(parts) + ...); };
}

/// ValueError for an option that the parameters were made for, if it is another one now.
template <class T> void check_unchanged(const Module& m, const char* option, const T& now, const T& made_for) {
  WEFT_CHECK(now == made_for, ValueError, m.name(), ": options.", option, " is ", py(now),
             ", but the parameters were made for ", py(made_for), "; make a new layer");
}

}  // namespace weft::nn::detail
