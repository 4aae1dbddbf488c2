// A model's forward pass, or a whole step of training, as a list of kernels that runs without the model: no tape, no
// dispatch, no memory taken but for the results. core/recording.h notes the kernels, core/graph.h runs them.
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

/// How `capture` takes a function.
struct CaptureOptions {
  /// The function is a step of training: what it reads and writes of before (parameters, gradients, running statistics)
  /// is read and written by every run, and it is not computed ahead.
  bool training = false;
};

/// What `capture` makes. Copies share everything; any number of threads may call it at the same time (steps of training
/// wait for each other).
class WEFT_API Captured {
 public:
  /// Tensors in, tensors out.
  using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
  Captured(const Module* model, Function f, std::vector<Tensor> example, CaptureOptions o = {});

  /// Like the model under NoGrad, to rounding: the result is on no tape. Inputs of other shapes, dtypes, devices or
  /// strides than before are captured then; the eight that were used last are kept. So is the whole anew after a
  /// parameter, a buffer or another tensor that the model reads was written to. NotSupported while a module is in
  /// training mode. Inside of another capture the function itself is called. A step of training is captured anew when
  /// it meets other gradients than it went on from, parameters that were moved or frozen, or another optimiser.
  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs) const;
  /// One input, one result. ValueError where the function gives another number. `captured({x})` is a list of one.
  template <std::derived_from<Tensor> T> Tensor operator()(const T& x) const { return one(x); }
  Tensor forward(const Tensor& x) const { return one(x); }

  /// The kernels of the graph that was used last, a line each.
  std::string str() const;
  /// Bytes that one run of it takes, beside inputs, results, constants and graphs of the device.
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
///     model.eval();
///     nn::Captured fast = nn::capture(model, example);
///     Tensor y = fast(x);
/// NotSupported, naming the culprit: for a module in training mode, tensors that are written to and were there before,
/// random numbers of another generator than the thread's or drawn on the host, and where the model asks for values that
/// depend on the input (`item`, `data`, `to_vector`, `nonzero`, masks as indices, integer division). What it decides by
/// sizes and by its own state is decided once for each shape; what it does on other threads is not captured. Tensors
/// that it keeps of a pass that was refused have no values. A NaN that reaches an activation inside of a convolution
/// may become 0.
template <class M>
requires std::derived_from<M, Module> && std::convertible_to<std::invoke_result_t<M&, const Tensor&>, Tensor> Captured
capture(const M& model, const Tensor& example) {
  return Captured(&model, [m = model](const std::vector<Tensor>& x) mutable { return std::vector<Tensor>{m(x.at(0))}; },
                  {example});
}
/// Any function of tensors, of one or several: what it holds must outlive the result.
///     nn::capture([&](const std::vector<Tensor>& x) { return std::vector<Tensor>{net(x[0], x[1])}; }, {a, b});
/// With `training` a whole step, which each call does once (capture itself does none):
///     nn::Captured step = nn::capture(
///         [&](const std::vector<Tensor>& in) {
///           opt.zero_grad();
///           Tensor loss = cross_entropy(net(in[0]), in[1]);
///           loss.backward();
///           opt.step();
///           return std::vector<Tensor>{loss};
///         },
///         {x, y}, {.training = true});
/// Forward and backward run as kernels. Steps of optimisers and of schedules, and updates of averages, are called as
/// they stand, so that rates may change. Gradients have the values of the last call; other tensors that change are
/// results, or are written to where they were before (ValueError for a function that keeps one). Random numbers go on
/// from the calling thread's generator, as they do without capture. Refused, beside what is refused in evaluations:
/// values of parameters and gradients on the host (GradScaler, ReduceLROnPlateau, L-BFGS), collectives of a
/// ProcessGroup, `manual_seed`, changes of contents (Module::to). ValueError for an input that is memory which the step
/// writes to.
inline Captured capture(Captured::Function f, std::vector<Tensor> example, CaptureOptions o = {}) {
  return Captured(nullptr, std::move(f), std::move(example), o);
}
inline Captured capture(Captured::Function f, TensorBraces example, CaptureOptions o = {}) {
  return Captured(nullptr, std::move(f), listed(example), o);
}

}  // namespace weft::nn
