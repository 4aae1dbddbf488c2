// Trades time for memory: forgets a segment's activations and computes them again in backward.
// Knows the tape; knows no op.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/autograd/engine.h"

namespace weft {

/// A segment: takes tensors, gives tensors.
using Segment = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

/// Runs `fn(inputs)` without keeping what its backward needs; backward runs `fn` again. Parameters that `fn` uses get
/// their gradients as always, through backward() and grad(), of any order. The recomputation sees the random numbers
/// (this thread's generator), the autocast mode and the algorithm of f32 convolutions of the first run. Side effects of
/// `fn` (running statistics) happen twice. Errors: ValueError if `fn` uses a tensor with history that is not among
/// `inputs`, or gives another number of outputs the second time. Source: torch.utils.checkpoint.
WEFT_API std::vector<Tensor> checkpoint(const Segment& fn, const std::vector<Tensor>& inputs);

/// The same for a function of tensors that gives one tensor: `checkpoint([&](const Tensor& x) { return block(x); },
/// x)`.
template <class F, class... T>
requires(std::is_same_v<T, Tensor>&&...) && std::is_invocable_r_v<Tensor, F&, const Tensor&, const T&...> Tensor
    checkpoint(F fn, const Tensor& first, const T&... rest) {
  const Segment segment = [fn](const std::vector<Tensor>& x) mutable {
    const auto call = [&]<size_t... I>(std::index_sequence<I...>) { return std::vector<Tensor>{fn(x[I]...)}; };
    return call(std::index_sequence_for<Tensor, T...>());
  };
  return checkpoint(segment, {first, rest...})[0];
}

}  // namespace weft
