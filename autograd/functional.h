// Derivatives of functions as functions: torch.autograd.functional.
// The templates turn what is given into lists; what they call is in functional.cpp.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/autograd/engine.h"

namespace weft {

// f takes a Tensor or a std::vector<Tensor>, as the inputs are given, and returns one or the other. It must use its
// arguments, which are handles of their own: no graph of the caller's is walked, no leaf's grad() is touched.

/// Options of jacobian, hessian, vjp and jvp.
struct FunctionalOptions {
  /// Record the result, so that it can be differentiated again (by the inputs given, too). Else it is detached.
  bool create_graph = false;
  /// An output that does not depend on an input is a ValueError; else its derivative is zero.
  bool strict = false;
};

/// What the functions below call.
namespace functional {
using Tensors = std::vector<Tensor>;
using Call = std::function<Tensors(const Tensors&)>;
/// f(inputs), and v^T J or J v.
struct Product {
  Tensors outputs, product;  ///< f's results; v^T J like the inputs, or J v like the results
};
/// The functions below, on lists: blocks by output and input.
WEFT_API std::vector<Tensors> jacobian(const Call& f, const Tensors& inputs, const FunctionalOptions& o);
WEFT_API std::vector<Tensors> hessian(const Call& f, const Tensors& inputs, const FunctionalOptions& o);
WEFT_API Product vjp(const Call& f, const Tensors& inputs, const Tensors& v, const FunctionalOptions& o);
WEFT_API Product jvp(const Call& f, const Tensors& inputs, const Tensors& v, const FunctionalOptions& o);

template <class F>
concept OfTensor = std::is_invocable_v<const F&, const Tensor&>;
template <class F>
concept OfTensors = std::is_invocable_v<const F&, const Tensors&>;
/// What f returns for an In: Tensor or Tensors.
template <class F, class In> using Out = std::decay_t<std::invoke_result_t<const F&, const In&>>;

/// A list of one, or the list itself; and back: `unlist<Tensor>` gives the first.
inline Tensors list(Tensor x) { return {std::move(x)}; }
inline Tensors list(Tensors x) { return x; }
template <class T> T unlist(Tensors x) {
  if constexpr (std::is_same_v<T, Tensor>) return std::move(x[0]);
  else return x;
}
/// f as a function from list to list, for inputs of type In.
template <class In, class F> Call on_lists(const F& f) {
  static_assert(std::is_same_v<Out<F, In>, Tensor> || std::is_same_v<Out<F, In>, Tensors>,
                "the function must return a weft::Tensor or a std::vector<weft::Tensor>");
  return [&f](const Tensors& x) -> Tensors { return list(f(unlist<In>(x))); };
}
}  // namespace functional

/// dy/dx of shape [y's shape, x's shape]. One tensor in and one out give a Tensor; several in, or several out, a vector
/// with an entry per input, or per output; several in and several out a vector per output with an entry per input.
template <functional::OfTensor F> auto jacobian(const F& f, const Tensor& input, const FunctionalOptions& o = {}) {
  std::vector<std::vector<Tensor>> rows = functional::jacobian(functional::on_lists<Tensor>(f), {input}, o);
  std::vector<Tensor> per_output;
  for (std::vector<Tensor>& row : rows) per_output.push_back(std::move(row[0]));
  return functional::unlist<functional::Out<F, Tensor>>(std::move(per_output));
}
template <functional::OfTensors F>
auto jacobian(const F& f, const std::vector<Tensor>& inputs, const FunctionalOptions& o = {}) {
  using In = std::vector<Tensor>;
  std::vector<In> rows = functional::jacobian(functional::on_lists<In>(f), inputs, o);
  if constexpr (std::is_same_v<functional::Out<F, In>, Tensor>) return std::move(rows[0]);
  else return rows;
}

/// Second derivatives of an f that returns one tensor of one element: [x's shape, x's shape]; for several inputs entry
/// [i][j] of shape [x_i's shape, x_j's shape]. ValueError for another f.
template <functional::OfTensor F> Tensor hessian(const F& f, const Tensor& input, const FunctionalOptions& o = {}) {
  return functional::hessian(functional::on_lists<Tensor>(f), {input}, o)[0][0];
}
template <functional::OfTensors F>
std::vector<std::vector<Tensor>> hessian(const F& f, const std::vector<Tensor>& inputs,
                                         const FunctionalOptions& o = {}) {
  return functional::hessian(functional::on_lists<std::vector<Tensor>>(f), inputs, o);
}

/// {f(inputs), v^T J}: `auto [y, g] = vjp(f, x, v);`. v is like the outputs (it may be left out for one output of one
/// element), the product like the inputs. Errors: ShapeError, ValueError if v does not fit.
template <functional::OfTensor F, class V = std::vector<Tensor>>
auto vjp(const F& f, const Tensor& input, const V& v = {}, const FunctionalOptions& o = {}) {
  auto r = functional::vjp(functional::on_lists<Tensor>(f), {input}, functional::list(v), o);
  return std::pair(functional::unlist<functional::Out<F, Tensor>>(std::move(r.outputs)), std::move(r.product[0]));
}
template <functional::OfTensors F, class V = std::vector<Tensor>>
auto vjp(const F& f, const std::vector<Tensor>& inputs, const V& v = {}, const FunctionalOptions& o = {}) {
  using In = std::vector<Tensor>;
  auto r = functional::vjp(functional::on_lists<In>(f), inputs, functional::list(v), o);
  return std::pair(functional::unlist<functional::Out<F, In>>(std::move(r.outputs)), std::move(r.product));
}

/// {f(inputs), J v}: v is like the inputs (it may be left out for one input of one element), the product like the
/// outputs. Made by two backwards: v^T J is linear in v, and its gradient is J. Errors as vjp's.
template <functional::OfTensor F, class V = std::vector<Tensor>>
auto jvp(const F& f, const Tensor& input, const V& v = {}, const FunctionalOptions& o = {}) {
  using Y = functional::Out<F, Tensor>;
  auto r = functional::jvp(functional::on_lists<Tensor>(f), {input}, functional::list(v), o);
  return std::pair(functional::unlist<Y>(std::move(r.outputs)), functional::unlist<Y>(std::move(r.product)));
}
template <functional::OfTensors F, class V = std::vector<Tensor>>
auto jvp(const F& f, const std::vector<Tensor>& inputs, const V& v = {}, const FunctionalOptions& o = {}) {
  using Y = functional::Out<F, std::vector<Tensor>>;
  auto r = functional::jvp(functional::on_lists<std::vector<Tensor>>(f), inputs, functional::list(v), o);
  return std::pair(functional::unlist<Y>(std::move(r.outputs)), functional::unlist<Y>(std::move(r.product)));
}

}  // namespace weft
