#include "weft/core/kernels/format.h"
#include "weft/backends/cpu/simd/philox.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"

namespace weft::cpu::WEFT_ISA {
namespace {

// y = x rounded, n elements; offset(i) is what to add to the bits of element i.
template <class T, class F> void round_run(T* y, const T* x, int64_t n, const fn::FpFormat& format, const F& offset) {
  const fn::FpFormat f = format;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) put(y[i], f(static_cast<float>(x[i]), offset(i)));
}

void quantise_kernel(const MutTensorRef& out, const TensorRef& in, const TensorRef& bits, const fn::FpFormat& format,
                     Generator::State from) {
  dispatch_floating(out.dtype, "quantise", [&]<class T> {
    T* y = out.as_mut<T>();
    const T* x = in.as<T>();
    const fn::FpFormat f = format;
    if (f.random > 0 && !bits.defined()) {
      for_each_tile<1>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
        round_run(y + first, x + first, count, f, [=](int64_t i) { return f.offset_of_word(w[i]); });
      });
      return;
    }
    const int32_t* r = f.random > 0 ? bits.as<int32_t>() : nullptr;
    parallel_for(out.numel, kGrain, [=](int64_t begin, int64_t end) {
      if (r) {
        round_run(y + begin, x + begin, end - begin, f,
                  [=](int64_t i) { return f.offset(static_cast<uint32_t>(r[begin + i])); });
      } else {
        round_run(y + begin, x + begin, end - begin, f, [=](int64_t) { return f.base; });
      }
    });
  });
}

}  // namespace

void register_format() { kernels::quantise.set(DeviceType::cpu, quantise_kernel); }

}  // namespace weft::cpu::WEFT_ISA
