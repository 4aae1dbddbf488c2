// A model's forward pass as a list of kernels that runs without the model: no tape, no dispatch, no memory taken but
// for the results. core/recording.h notes the kernels, core/graph.h runs them.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "weft/core/tensor_list.h"
#include "weft/nn/module.h"

namespace weft::nn {

/// What `capture` makes. Copies share everything; any number of threads may call it at the same time.
class WEFT_API Captured {
 public:
  /// Tensors in, tensors out.
  using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
  Captured(const Module* model, Function f, std::vector<Tensor> example);

  /// Like the model under NoGrad, to rounding: the result is on no tape. Inputs of other shapes, dtypes, devices or
  /// strides than before are captured then; the eight that were used last are kept. So is the whole anew after a
  /// parameter, a buffer or another tensor that the model reads was written to. NotSupported while a module is in
  /// training mode. Inside of another capture the function itself is called.
  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs) const;
  /// One input, one result. ValueError where the function gives another number. `captured({x})` is a list of one.
  template <std::derived_from<Tensor> T> Tensor operator()(const T& x) const { return one(x); }
  Tensor forward(const Tensor& x) const { return one(x); }

  /// The kernels of the graph that was used last, a line each.
  std::string str() const;
  /// Bytes that one run of it takes, beside inputs, results and constants.
  size_t memory() const;

 private:
  struct State;
  Tensor one(const Tensor& x) const;
  std::shared_ptr<State> state_;
};

/// Captures an evaluation of `model` for tensors like `example`: each later call runs the kernels of one forward pass.
/// What does not depend on the input is computed now, batch norm is folded into convolutions, an activation and a
/// residual are added where a convolution stores its sums, memory is planned once. Autocast and the algorithm of
/// convolutions are those of the thread that calls capture. Hooks run while a pass is recorded, never later.
///     nn::Captured fast = nn::capture(model.eval(), example);
///     Tensor y = fast(x);
/// NotSupported, naming the culprit: for a module in training mode, random draws, tensors that are written to and were
/// there before, and where the model asks for values that depend on the input (`item`, `data`, `to_vector`, `nonzero`,
/// masks as indices, integer division). What it decides by sizes and by its own state is decided once for each shape;
/// what it does on other threads is not captured. Tensors that it keeps of a pass that was refused have no values. A
/// NaN that reaches an activation inside of a convolution may become 0.
template <class M>
requires std::derived_from<M, Module> && std::convertible_to<std::invoke_result_t<M&, const Tensor&>, Tensor> Captured
capture(const M& model, const Tensor& example) {
  return Captured(&model, [m = model](const std::vector<Tensor>& x) mutable { return std::vector<Tensor>{m(x.at(0))}; },
                  {example});
}
/// Any function of tensors, of one or several: what it holds must outlive the result.
///     nn::capture([&](const std::vector<Tensor>& x) { return std::vector<Tensor>{net(x[0], x[1])}; }, {a, b});
inline Captured capture(Captured::Function f, TensorBraces example) {
  return Captured(nullptr, std::move(f), listed(example));
}

}  // namespace weft::nn
