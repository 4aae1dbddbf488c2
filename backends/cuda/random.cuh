// Random numbers: the CPU's bits (normal in f64 as far as the two mathematical libraries agree).
#pragma once

#include "weft/backends/cuda/random_fill.cuh"
#include "weft/core/tensor_ref.h"

namespace weft::cuda {

template <class T> struct UniformFill {
  using C = compute_t<T>;
  static constexpr int kElements = sizeof(C) == 8 ? 2 : 4;
  static constexpr bool kReads = false;
  C low, range;
  WEFT_HD WEFT_INLINE void operator()(const fn::PhiloxBlock& w, T (&y)[kElements]) const {
    if constexpr (kElements == 2) {
      y[0] = low + range * fn::uniform01(w.w0, w.w1);
      y[1] = low + range * fn::uniform01(w.w2, w.w3);
    } else {
      y[0] = T(low + range * static_cast<float>(fn::uniform_as<T>(w.w0)));
      y[1] = T(low + range * static_cast<float>(fn::uniform_as<T>(w.w1)));
      y[2] = T(low + range * static_cast<float>(fn::uniform_as<T>(w.w2)));
      y[3] = T(low + range * static_cast<float>(fn::uniform_as<T>(w.w3)));
    }
  }
};

template <class T> struct NormalFill {
  using C = compute_t<T>;
  static constexpr int kElements = sizeof(C) == 8 ? 2 : 4;
  static constexpr bool kReads = false;
  C mean, std;
  WEFT_HD WEFT_INLINE void pair(C u, C v, T& first, T& second) const {
    C a, b;
    fn::box_muller(u, v, a, b);
    first = T(mean + std * a);
    second = T(mean + std * b);
  }
  WEFT_HD WEFT_INLINE void operator()(const fn::PhiloxBlock& w, T (&y)[kElements]) const {
    if constexpr (kElements == 2) {
      pair(fn::uniform01(w.w0, w.w1), fn::uniform01(w.w2, w.w3), y[0], y[1]);
    } else {
      pair(fn::uniform01(w.w0), fn::uniform01(w.w1), y[0], y[1]);
      pair(fn::uniform01(w.w2), fn::uniform01(w.w3), y[2], y[3]);
    }
  }
};

/// low + [0, range) from 32 bits, or from 64 (range 0: all of them).
template <class T, bool Wide> struct IntegerFill {
  static constexpr int kElements = Wide ? 2 : 4;
  static constexpr bool kReads = false;
  int64_t low;
  uint64_t range;
  WEFT_HD WEFT_INLINE T value(uint64_t r) const {
    const auto v = static_cast<int64_t>(static_cast<uint64_t>(low) + r);
    if constexpr (std::is_same_v<T, bool>) return v != 0;
    else if constexpr (is_half_v<T>) return T(static_cast<float>(v));
    else return static_cast<T>(v);
  }
  WEFT_HD WEFT_INLINE T wide(uint32_t high, uint32_t low_word) const {
    const uint64_t word = uint64_t{high} << 32 | low_word;
    return value(range == 0 ? word : fn::bounded(word, range));
  }
  WEFT_HD WEFT_INLINE void operator()(const fn::PhiloxBlock& w, T (&y)[kElements]) const {
    if constexpr (Wide) {
      y[0] = wide(w.w0, w.w1);
      y[1] = wide(w.w2, w.w3);
    } else {
      y[0] = value(fn::bounded(w.w0, range));
      y[1] = value(fn::bounded(w.w1, range));
      y[2] = value(fn::bounded(w.w2, range));
      y[3] = value(fn::bounded(w.w3, range));
    }
  }
};

template <class T> struct BernoulliFill {
  static constexpr int kElements = 4;
  static constexpr bool kReads = false;
  fn::Keep keep;
  WEFT_HD WEFT_INLINE T value(uint32_t w) const { return !keep.none && w <= keep.last ? T(1) : T(0); }
  WEFT_HD WEFT_INLINE void operator()(const fn::PhiloxBlock& w, T (&y)[4]) const {
    y[0] = value(w.w0);
    y[1] = value(w.w1);
    y[2] = value(w.w2);
    y[3] = value(w.w3);
  }
};

template <class T> struct DropoutFill {
  using C = compute_t<T>;
  static constexpr int kElements = 4;
  static constexpr bool kReads = true;
  uint32_t last;
  C scale;  // 0 where nothing is kept
  WEFT_HD WEFT_INLINE T value(uint32_t w, T x) const { return T(w <= last ? static_cast<C>(x) * scale : C(0)); }
  WEFT_HD WEFT_INLINE void operator()(const fn::PhiloxBlock& w, T (&y)[4]) const { fill_by_word(*this, w, y); }
};

inline void uniform(const MutTensorRef& out, Generator::State from, double low, double high) {
  dispatch_floating(out.dtype, "uniform", [&]<class T> {
    using C = compute_t<T>;
    run_random<UniformFill<T>, T>(out.as_mut<T>(), nullptr, out.numel, from,
                                  {static_cast<C>(low), static_cast<C>(high - low)});
  });
}

inline void normal(const MutTensorRef& out, Generator::State from, double mean, double std) {
  dispatch_floating(out.dtype, "normal", [&]<class T> {
    using C = compute_t<T>;
    run_random<NormalFill<T>, T>(out.as_mut<T>(), nullptr, out.numel, from,
                                 {static_cast<C>(mean), static_cast<C>(std)});
  });
}

inline void randint(const MutTensorRef& out, Generator::State from, int64_t low, uint64_t range) {
  const bool wide = range == 0 || range > (uint64_t{1} << 32);
  dispatch_all(out.dtype, "randint", [&]<class T> {
    if (wide) run_random<IntegerFill<T, true>, T>(out.as_mut<T>(), nullptr, out.numel, from, {low, range});
    else run_random<IntegerFill<T, false>, T>(out.as_mut<T>(), nullptr, out.numel, from, {low, range});
  });
}

inline void bernoulli(const MutTensorRef& out, Generator::State from, double p) {
  dispatch_all(out.dtype, "bernoulli", [&]<class T> {
    run_random<BernoulliFill<T>, T>(out.as_mut<T>(), nullptr, out.numel, from, {fn::Keep(p)});
  });
}

inline void dropout(const MutTensorRef& y, const TensorRef& x, Generator::State from, double p, double scale) {
  const fn::Keep keep(p);
  dispatch_floating(y.dtype, "dropout", [&]<class T> {
    using C = compute_t<T>;
    run_random<DropoutFill<T>, T>(y.as_mut<T>(), x.as<T>(), y.numel, from,
                                  {keep.last, keep.none ? C(0) : static_cast<C>(scale)});
  });
}

}  // namespace weft::cuda
