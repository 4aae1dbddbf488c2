// Optimiser steps, one element at a time, and the table that a multi-tensor step walks.
// Scalar arithmetic only: the CPU's loops and the CUDA kernels share it. The rules are PyTorch's.
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/fn/traits.h"

namespace weft::fn {

/// One tensor of a multi-tensor step. All of its arrays have the same (dense) order of elements. Arithmetic and state
/// are in compute_t of `dtype`; the halves have an f32 master copy, for the others `master` is `param`.
struct StepEntry {
  void* param = nullptr;
  const void* grad = nullptr;
  void* master = nullptr;
  void* state[3] = {};
  int64_t numel = 0;
  double scale[3] = {};  ///< what depends on the tensor's own step count; see the functors
  int32_t hyper = 0;     ///< index of its hyper-parameters
  Dtype dtype = Dtype::f32;
};

/// A flat array of a list that is reduced or changed as one.
struct FlatEntry {
  void* data = nullptr;
  int64_t numel = 0;
  Dtype dtype = Dtype::f32;
};

// A functor holds the hyper-parameters of a group and updates one element: parameter p, gradient g, state s, t, u.
// `states` has a bit per state array in use.

/// p -= lr (g + wd p).
struct Sgd {
  static constexpr const char* name = "sgd";
  static constexpr unsigned states = 0;
  double lr, momentum, weight_decay;
  bool nesterov, maximize;
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T&, T&, T&, const double*) const {
    g = maximize ? -g : g;
    p -= T(lr) * (g + T(weight_decay) * p);
  }
};
/// b = momentum b + (1 - dampening) g, then p -= lr b (nesterov: lr (g + momentum b)). scale: the two factors, (0, 1)
/// in the first step.
struct SgdMomentum : Sgd {
  static constexpr const char* name = "sgd_momentum";
  static constexpr unsigned states = 1;
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T& b, T&, T&, const double* scale) const {
    g = (maximize ? -g : g) + T(weight_decay) * p;
    b = T(scale[0]) * b + T(scale[1]) * g;
    p -= T(lr) * (nesterov ? g + T(momentum) * b : b);
  }
};

/// m, v: running means of g and g^2. scale: lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t). Decoupled decay (AdamW) is in
/// `keep` = 1 - lr wd; Adam's own in weight_decay.
struct Adam {
  static constexpr const char* name = "adam";
  static constexpr unsigned states = 3;
  double beta1, beta2, eps, weight_decay, keep;
  bool maximize;
  /// Updates both means and returns the gradient that went into them.
  template <class T> WEFT_HD WEFT_INLINE T moments(T& p, T g, T& m, T& v) const {
    p *= T(keep);
    g = (maximize ? -g : g) + T(weight_decay) * p;
    m += T(1 - beta1) * (g - m);
    v = T(beta2) * v + T(1 - beta2) * g * g;
    return g;
  }
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T& m, T& v, T&, const double* scale) const {
    moments(p, g, m, v);
    p -= T(scale[0]) * (m / (fn::sqrt(v) * T(scale[1]) + T(eps)));
  }
};
/// With the running maximum w of v in the root (Reddi et al. 2018).
struct AdamAmsgrad : Adam {
  static constexpr const char* name = "adam_amsgrad";
  static constexpr unsigned states = 7;
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T& m, T& v, T& w, const double* scale) const {
    moments(p, g, m, v);
    w = w < v || v != v ? v : w;
    p -= T(scale[0]) * (m / (fn::sqrt(w) * T(scale[1]) + T(eps)));
  }
};

/// Adam's step with factor scale[0] where the variance of its root is tractable; scale[1] times m before.
struct RAdam : Adam {
  static constexpr const char* name = "radam";
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T& m, T& v, T&, const double* scale) const {
    moments(p, g, m, v);
    p -= scale[1] != 0 ? T(scale[1]) * m : T(scale[0]) * (m / (fn::sqrt(v) + T(eps)));
  }
};
/// Adam with Nesterov's look ahead. scale: factors of g and of m, 1 / sqrt(1 - beta2^t).
struct NAdam : Adam {
  static constexpr const char* name = "nadam";
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T& m, T& v, T&, const double* scale) const {
    g = moments(p, g, m, v);
    p -= (T(scale[0]) * g + T(scale[1]) * m) / (fn::sqrt(v) * T(scale[2]) + T(eps));
  }
};
/// u: decayed maximum of |g|. scale[0]: lr / (1 - beta1^t).
struct Adamax {
  static constexpr const char* name = "adamax";
  static constexpr unsigned states = 3;
  double beta1, beta2, eps, weight_decay;
  bool maximize;
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T& m, T& u, T&, const double* scale) const {
    g = (maximize ? -g : g) + T(weight_decay) * p;
    m += T(1 - beta1) * (g - m);
    const T before = T(beta2) * u, now = fn::abs(g) + T(eps);
    u = before != before || before > now ? before : now;
    p -= T(scale[0]) * (m / u);
  }
};

/// v: running mean of g^2; centred: minus the square of the running mean a of g; b: momentum buffer.
template <bool Centered, bool Momentum> struct RmsProp {
  static constexpr const char* name = "rmsprop";
  static constexpr unsigned states = 1 | (Centered ? 2 : 0) | (Momentum ? 4 : 0);
  double lr, alpha, eps, weight_decay, momentum;
  bool maximize;
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T& v, T& a, T& b, const double*) const {
    g = (maximize ? -g : g) + T(weight_decay) * p;
    v = T(alpha) * v + T(1 - alpha) * g * g;
    T mean_square = v;
    if constexpr (Centered) {
      a += T(1 - alpha) * (g - a);
      mean_square = v - a * a;
    }
    T d = g / (fn::sqrt(mean_square) + T(eps));
    if constexpr (Momentum) {
      b = T(momentum) * b + d;
      d = b;
    }
    p -= T(lr) * d;
  }
};

/// s: sum of g^2. scale[0]: lr / (1 + (t - 1) lr_decay).
struct Adagrad {
  static constexpr const char* name = "adagrad";
  static constexpr unsigned states = 1;
  double eps, weight_decay;
  bool maximize;
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T& s, T&, T&, const double* scale) const {
    g = (maximize ? -g : g) + T(weight_decay) * p;
    s += g * g;
    p -= T(scale[0]) * (g / (fn::sqrt(s) + T(eps)));
  }
};

/// v, a: running means of g^2 and of the squared steps.
struct Adadelta {
  static constexpr const char* name = "adadelta";
  static constexpr unsigned states = 3;
  double lr, rho, eps, weight_decay;
  bool maximize;
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T& v, T& a, T&, const double*) const {
    g = (maximize ? -g : g) + T(weight_decay) * p;
    v = T(rho) * v + T(1 - rho) * g * g;
    const T d = fn::sqrt(a + T(eps)) / fn::sqrt(v + T(eps)) * g;
    a = T(rho) * a + T(1 - rho) * d * d;
    p -= T(lr) * d;
  }
};

/// No optimiser: p moves towards g, an average of weights towards the weights. scale[0]: 1 - decay.
struct Ema {
  static constexpr const char* name = "ema";
  static constexpr unsigned states = 0;
  template <class T> WEFT_HD WEFT_INLINE void operator()(T& p, T g, T&, T&, T&, const double* scale) const {
    p += T(scale[0]) * (g - p);
  }
};

using OptimOps = TypeList<Sgd, SgdMomentum, Adam, AdamAmsgrad, RAdam, NAdam, Adamax, RmsProp<false, false>,
                          RmsProp<true, false>, RmsProp<false, true>, RmsProp<true, true>, Adagrad, Adadelta, Ema>;

/// Elements that one partial sum of a norm covers: fixed, so that the result does not depend on the number of threads.
inline constexpr int64_t kNormChunk = 65536;

}  // namespace weft::fn
