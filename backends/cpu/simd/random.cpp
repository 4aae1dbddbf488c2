#include "weft/backends/cpu/simd/philox.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu::WEFT_ISA {
namespace {

void uniform_kernel(const MutTensorRef& out, Generator::State from, double low, double high) {
  dispatch_floating(out.dtype, "uniform", [&]<class T> {
    T* y = out.as_mut<T>();
    if constexpr (std::is_same_v<T, double>) {
      for_each_tile<2>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
        for (int64_t i = 0; i < count; ++i) y[first + i] = low + (high - low) * fn::uniform01(w[2 * i], w[2 * i + 1]);
      });
    } else {
      const float a = static_cast<float>(low), range = static_cast<float>(high - low);
      for_each_tile<1>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) put(y[first + i], a + range * static_cast<float>(fn::uniform_as<T>(w[i])));
      });
    }
  });
}

void normal_kernel(const MutTensorRef& out, Generator::State from, double mean, double std) {
  dispatch_floating(out.dtype, "normal", [&]<class T> {
    T* y = out.as_mut<T>();
    using C = compute_t<T>;
    constexpr int words = std::is_same_v<T, double> ? 2 : 1;
    const C m = static_cast<C>(mean), s = static_cast<C>(std);
    for_each_tile<words>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
      // elements 2i and 2i + 1 share a pair of uniforms; the tile holds whole pairs
      alignas(64) C z[kTile];
      const int64_t pairs = (count + 1) / 2;
#pragma omp simd
      for (int64_t i = 0; i < pairs; ++i) {
        C u, v;
        if constexpr (words == 2) {
          u = fn::uniform01(w[4 * i], w[4 * i + 1]);
          v = fn::uniform01(w[4 * i + 2], w[4 * i + 3]);
        } else {
          u = fn::uniform01(w[2 * i]);
          v = fn::uniform01(w[2 * i + 1]);
        }
        C a, b;
        fn::box_muller(u, v, a, b);
        z[2 * i] = a;
        z[2 * i + 1] = b;
      }
      for (int64_t i = 0; i < count; ++i) put(y[first + i], m + s * z[i]);
    });
  });
}

void randint_kernel(const MutTensorRef& out, Generator::State from, int64_t low, uint64_t range) {
  const bool wide = range == 0 || range > (uint64_t{1} << 32);
  dispatch_all(out.dtype, "randint", [&]<class T> {
    T* y = out.as_mut<T>();
    auto store = [=](int64_t i, uint64_t r) {
      const int64_t v = static_cast<int64_t>(static_cast<uint64_t>(low) + r);
      if constexpr (std::is_same_v<T, bool>) y[i] = v != 0;
      else put(y[i], v);
    };
    if (wide) {
      for_each_tile<2>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
        for (int64_t i = 0; i < count; ++i) {
          const uint64_t word = uint64_t{w[2 * i]} << 32 | w[2 * i + 1];
          store(first + i, range == 0 ? word : fn::bounded(word, range));
        }
      });
    } else {
      for_each_tile<1>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
        for (int64_t i = 0; i < count; ++i) store(first + i, fn::bounded(w[i], range));
      });
    }
  });
}

void bernoulli_kernel(const MutTensorRef& out, Generator::State from, double p) {
  const fn::Keep keep(p);
  dispatch_all(out.dtype, "bernoulli", [&]<class T> {
    T* y = out.as_mut<T>();
    const T one = keep.none ? T(0) : T(1), zero = T(0);
    const uint32_t last = keep.last;
    for_each_tile<1>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
      T* d = y + first;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) d[i] = w[i] <= last ? one : zero;
    });
  });
}

void dropout_kernel(const MutTensorRef& out, const TensorRef& in, Generator::State from, double p, double scale) {
  const fn::Keep keep(p);
  dispatch_floating(out.dtype, "dropout", [&]<class T> {
    T* y = out.as_mut<T>();
    const T* x = in.as<T>();
    using C = compute_t<T>;
    const C s = keep.none ? C(0) : static_cast<C>(scale);
    const uint32_t last = keep.last;
    for_each_tile<1>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
      const T* a = x + first;
      T* d = y + first;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) {
        const C v = static_cast<C>(a[i]) * s;  // always loaded: a choice of values, not of branches
        put(d[i], w[i] <= last ? v : C(0));
      }
    });
  });
}

}  // namespace

void register_random() {
  kernels::uniform.set(DeviceType::cpu, uniform_kernel);
  kernels::normal.set(DeviceType::cpu, normal_kernel);
  kernels::randint.set(DeviceType::cpu, randint_kernel);
  kernels::bernoulli.set(DeviceType::cpu, bernoulli_kernel);
  kernels::dropout.set(DeviceType::cpu, dropout_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
