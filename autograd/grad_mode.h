// Whether ops are recorded, and with which dtype they compute: per-thread switches with guards.
#pragma once

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
};
WEFT_API ThreadMode& thread_mode();

template <bool On> class GradGuard {
 public:
  GradGuard() : before_(thread_mode().grad) { thread_mode().grad = On; }
  ~GradGuard() { thread_mode().grad = before_; }
  GradGuard(const GradGuard&) = delete;
  GradGuard& operator=(const GradGuard&) = delete;

 private:
  bool before_;
};
}  // namespace detail

inline bool grad_enabled() { return detail::thread_mode().grad; }

/// While it lives, nothing is recorded on this thread.
class [[nodiscard]] NoGrad : detail::GradGuard<false> {};
/// While it lives, ops are recorded again (inside a NoGrad).
class [[nodiscard]] EnableGrad : detail::GradGuard<true> {};
/// `set_grad_enabled` as a guard.
class [[nodiscard]] GradMode {
 public:
  explicit GradMode(bool on) : before_(detail::thread_mode().grad) { detail::thread_mode().grad = on; }
  ~GradMode() { detail::thread_mode().grad = before_; }
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool before_;
};

// The names of PyTorch's C++ frontend.
using NoGradGuard = NoGrad;
using AutoGradMode = GradMode;

/// While it lives, an op whose result or gradient holds the first NaN throws an Error that names the op. An infinity is
/// legal: masks are made of it.
class [[nodiscard]] AnomalyMode {
 public:
  explicit AnomalyMode(bool on = true) : before_(detail::thread_mode().anomaly) { detail::thread_mode().anomaly = on; }
  ~AnomalyMode() { detail::thread_mode().anomaly = before_; }
  AnomalyMode(const AnomalyMode&) = delete;
  AnomalyMode& operator=(const AnomalyMode&) = delete;

 private:
  bool before_;
};

/// While it lives, convolutions and matrix products on that device compute in `dtype` (bf16 or f16), and losses, norms
/// and sums in f32. Each op states its own policy. The casts are recorded. `enabled = false` switches it off inside.
class [[nodiscard]] Autocast {
 public:
  WEFT_API explicit Autocast(Dtype dtype = Dtype::bf16, Device device = {}, bool enabled = true);
  WEFT_API ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  detail::ThreadMode before_;
};

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
