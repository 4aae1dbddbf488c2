// A table of what a model does to an input: ops in their order, with the layers whose parameters they use.
// Reads the tape of one recorded forward pass; no layer knows of it.
#pragma once

#include <functional>
#include <iosfwd>
#include <tuple>

#include "weft/core/factory.h"
#include "weft/nn/module.h"

namespace weft::nn {

struct Summary {
  struct Row {
    std::string layer;   ///< dotted name of the module whose parameters the op uses; empty: none
    std::string type;    ///< that module's class
    std::string op;      ///< conv2d, relu, ...
    Shape output;        ///< shape of its (first) result
    int64_t params = 0;  ///< elements of the parameters that are used here first
    int64_t macs = 0;    ///< multiplications with addition, of products and convolutions
  };
  std::vector<Row> rows;
  int64_t params = 0;     ///< of the model, used or not
  int64_t trainable = 0;  ///< of those, what requires grad
  int64_t buffers = 0;
  int64_t macs = 0;
};
/// As a table.
WEFT_API std::ostream& operator<<(std::ostream& os, const Summary& s);

namespace detail {
WEFT_API Summary summarize(const Module& m, const Tensor& x,
                           const std::function<std::vector<Tensor>(const Tensor&)>& call);
WEFT_API TensorOptions input_options(const Module& m);

inline std::vector<Tensor> outputs_of(Tensor y) { return {std::move(y)}; }
inline std::vector<Tensor> outputs_of(std::vector<Tensor> y) { return y; }
template <class... T> std::vector<Tensor> outputs_of(const std::tuple<T...>& y) {
  return std::apply([](const auto&... t) { return std::vector<Tensor>{t...}; }, y);
}
template <class A, class B> std::vector<Tensor> outputs_of(const std::pair<A, B>& y) { return {y.first, y.second}; }
}  // namespace detail

/// Calls model(x) once in evaluation mode and lists the recorded ops that led to the outputs. Views, casts and what computes a weight
/// from parameters are not listed (their parameters count where the weight is used), nor what ran under NoGrad. Modes and
/// trainability are put back; the tape and its memory are gone afterwards. MACs are those of convolutions, matrix products and `encode`.
///     std::cout << nn::summary(model, {1, 3, 224, 224});
template <std::derived_from<Module> M> Summary summary(M& model, const Tensor& x) {
  return detail::summarize(model, x, [&](const Tensor& in) { return detail::outputs_of(model(in)); });
}
/// The same for zeros of that shape, in dtype and on the device of the first parameter.
template <std::derived_from<Module> M> Summary summary(M& model, const Shape& input) {
  return summary(model, zeros(input, detail::input_options(model)));
}

}  // namespace weft::nn
