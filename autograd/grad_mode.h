// Whether ops are recorded, with which dtype they compute, how convolutions do: per-thread switches.
#pragma once

#include <utility>

#include "weft/core/conv_params.h"
#include "weft/core/device.h"
#include "weft/core/dtype.h"
#include "weft/core/tensor.h"

namespace weft {

namespace detail {
struct ThreadMode {
  bool grad = true;
  bool anomaly = false;
  bool autocast = false;
  bool in_formula = false;  // a backward formula runs
  int backward_depth = 0;   // of backwards inside of formulas
  Dtype autocast_dtype = Dtype::bf16;
  DeviceType autocast_device = DeviceType::cpu;
  ConvAlgorithm conv_algorithm = ConvAlgorithm::winograd;
};
WEFT_API ThreadMode& thread_mode();

/// Holds one switch of the calling thread while it lives.
template <bool ThreadMode::*kSwitch> class SwitchGuard {
 public:
  explicit SwitchGuard(Only<bool> on) : before_(std::exchange(thread_mode().*kSwitch, on)) {}
  ~SwitchGuard() { thread_mode().*kSwitch = before_; }
  SwitchGuard(const SwitchGuard&) = delete;
  SwitchGuard& operator=(const SwitchGuard&) = delete;

 private:
  bool before_;
};
}  // namespace detail

/// Are ops recorded on this thread?
inline bool grad_enabled() { return detail::thread_mode().grad; }

/// `set_grad_enabled` as a guard: while it lives, ops are recorded on this thread, or not.
class [[nodiscard]] GradMode : detail::SwitchGuard<&detail::ThreadMode::grad> {
 public:
  explicit GradMode(Only<bool> on) : SwitchGuard(on) {}
};
/// While it lives, nothing is recorded on this thread.
class [[nodiscard]] NoGrad : GradMode {
 public:
  NoGrad() : GradMode(false) {}
};
/// While it lives, ops are recorded again (inside a NoGrad).
class [[nodiscard]] EnableGrad : GradMode {
 public:
  EnableGrad() : GradMode(true) {}
};

/// The names of PyTorch's C++ frontend.
using NoGradGuard = NoGrad;
using AutoGradMode = GradMode;

/// While it lives, an op whose result or gradient holds the first NaN throws an Error that names the op. An infinity is
/// legal: masks are made of it.
class [[nodiscard]] AnomalyMode : detail::SwitchGuard<&detail::ThreadMode::anomaly> {
 public:
  explicit AnomalyMode(Only<bool> on = true) : SwitchGuard(on) {}
};

/// While it lives, convolutions and matrix products on that device compute in `dtype` (bf16 or f16), and losses, norms
/// and sums in f32. Each op states its own policy. The casts are recorded. `enabled = false` switches it off inside.
class [[nodiscard]] Autocast {
 public:
  WEFT_API explicit Autocast(Dtype dtype = Dtype::bf16, Device device = {}, Only<bool> enabled = true);
  WEFT_API ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  detail::ThreadMode before_;
};

/// How this thread's f32 convolutions are computed on a CPU from now on: "winograd" (the default) lets those that it
/// pays for go through Winograd's transforms, "direct" makes all of them sums of products. The derivatives of a
/// convolution keep its algorithm, whatever thread they run on; `checkpoint` and `run_threads` hand it on. What each
/// costs in time and rounding errors: docs/guide/numbers.md.
inline void set_float32_conv_algorithm(Choice<ConvAlgorithm> algorithm) {
  detail::thread_mode().conv_algorithm = algorithm;
}
/// This thread's algorithm.
inline ConvAlgorithm float32_conv_algorithm() { return detail::thread_mode().conv_algorithm; }

/// How an op takes part in autocast.
enum class CastPolicy : uint8_t {
  lower,   ///< inputs go to the autocast dtype: conv, matmul, linear
  fp32,    ///< half inputs go to f32: losses, softmax, norms' statistics, exp, pow, sums
  widest,  ///< inputs go to the widest of theirs: cat, stack
};
namespace detail {
WEFT_API Tensor autocast_to(CastPolicy policy, const Tensor& x);
}
/// x in the dtype that `policy` asks for; x itself outside of autocast.
inline Tensor autocast(CastPolicy policy, const Tensor& x) {
  return detail::thread_mode().autocast && x.defined() ? detail::autocast_to(policy, x) : x;
}

}  // namespace weft
