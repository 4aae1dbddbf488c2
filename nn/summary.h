// A table of what a model does to an input: ops in their order, with the layers whose parameters they use.
// Reads the tape and the module calls of one recorded forward pass; no layer knows of it.
#pragma once

#include <functional>
#include <iosfwd>
#include <tuple>
#include <type_traits>
#include <vector>

#include "weft/core/factory.h"
#include "weft/nn/module.h"

namespace weft::nn {

/// What `summary` returns; prints as a table.
struct Summary {
  /// One op.
  struct Row {
    std::string
        layer;  ///< dotted name of the module whose parameters the op uses, else in whose call it ran; empty: none
    std::string type;    ///< that module's class
    std::string op;      ///< conv2d, relu, ...
    Shape output;        ///< shape of its (first) result
    int64_t params = 0;  ///< elements of the parameters that are used here first
    int64_t macs = 0;    ///< multiplications with addition, of products and convolutions
  };
  std::vector<Row> rows;  ///< in the order of the ops
  int64_t params = 0;     ///< of the model, used or not
  int64_t trainable = 0;  ///< of those, what requires grad
  int64_t buffers = 0;    ///< elements of the buffers
  int64_t macs = 0;       ///< of all rows
};
/// As a table.
WEFT_API std::ostream& operator<<(std::ostream& os, const Summary& s);

namespace detail {
WEFT_API Summary summarize(const Module& m, const Tensor& x,
                           const std::function<std::vector<Tensor>(const Tensor&)>& call);
WEFT_API TensorOptions input_options(const Module& m);

/// Stands for a field of any type, to count the fields of an aggregate.
struct AnyField {
  template <class T> operator T() const;
};
template <class T, size_t... I> constexpr bool has_fields(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), AnyField())...}; };
}
template <class T, size_t N = 8> constexpr size_t fields_of() {
  if constexpr (N == 0 || has_fields<T>(std::make_index_sequence<N>())) return N;
  else return fields_of<T, N - 1>();
}

/// All tensors in a result, in their order: in vectors, maps, tuples, optionals, and structs of up to 8 fields such as
/// LSTMResult. What holds none counts for nothing.
template <class Y> void collect(std::vector<Tensor>& out, const Y& y) {
  if constexpr (std::derived_from<Y, Tensor>) {
    out.push_back(y);
  } else if constexpr (requires { y.begin() != y.end(); }) {
    for (const auto& each : y) collect(out, each);
  } else if constexpr (requires { std::tuple_size<Y>::value; }) {
    std::apply([&](const auto&... each) { (collect(out, each), ...); }, y);
  } else if constexpr (requires {
                         { y.has_value() } -> std::same_as<bool>;
                         *y;
                       }) {
    if (y) collect(out, *y);
  } else if constexpr (std::is_aggregate_v<Y> && std::is_class_v<Y>) {
    constexpr size_t n = fields_of<Y>();
    auto all = [&](const auto&... each) { (collect(out, each), ...); };
    if constexpr (n == 1) {
      const auto& [a] = y;
      all(a);
    }
    if constexpr (n == 2) {
      const auto& [a, b] = y;
      all(a, b);
    }
    if constexpr (n == 3) {
      const auto& [a, b, c] = y;
      all(a, b, c);
    }
    if constexpr (n == 4) {
      const auto& [a, b, c, d] = y;
      all(a, b, c, d);
    }
    if constexpr (n == 5) {
      const auto& [a, b, c, d, e] = y;
      all(a, b, c, d, e);
    }
    if constexpr (n == 6) {
      const auto& [a, b, c, d, e, f] = y;
      all(a, b, c, d, e, f);
    }
    if constexpr (n == 7) {
      const auto& [a, b, c, d, e, f, g] = y;
      all(a, b, c, d, e, f, g);
    }
    if constexpr (n == 8) {
      const auto& [a, b, c, d, e, f, g, h] = y;
      all(a, b, c, d, e, f, g, h);
    }
  }
}
template <class Y> std::vector<Tensor> outputs_of(const Y& y) {
  std::vector<Tensor> out;
  collect(out, y);
  return out;
}
/// model(x); attention takes x as query, key and value.
template <class M> decltype(auto) call_with(M& model, const Tensor& x) {
  if constexpr (std::invocable<M&, const Tensor&>) return model(x);
  else return model(x, x, x);
}
}  // namespace detail

/// Calls model(x) once in evaluation mode and lists the recorded ops that led to the outputs. Views, casts and what
/// computes a weight from parameters are not listed (their parameters count where the weight is used), nor what ran
/// under NoGrad. Modes and trainability are put back; the tape and its memory are gone afterwards. MACs are those of
/// convolutions, matrix products, recurrent layers and `encode`. Results may be any structure of tensors, `LSTMResult`
/// or `AttentionResult` say; MultiheadAttention is called as self-attention, model(x, x, x).
///     std::cout << nn::summary(model, {1, 3, 224, 224});
template <std::derived_from<Module> M> Summary summary(M& model, const Tensor& x) {
  return detail::summarize(model, x,
                           [&](const Tensor& in) { return detail::outputs_of(detail::call_with(model, in)); });
}
/// The same for zeros of that shape, in dtype and on the device of the first parameter.
template <std::derived_from<Module> M> Summary summary(M&& model, const Shape& input) { return summary(model, input); }
template <std::derived_from<Module> M> Summary summary(M& model, const Shape& input) {
  return summary(model, zeros(input, detail::input_options(model)));
}

}  // namespace weft::nn
