#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

// One output element after the other, its inputs in row-major order of the reduced axes.
template <class F>
void reduce_kernel(const MutTensorRef& out, const TensorRef& x, uint32_t dims, const void* functor) {
  const F f = *static_cast<const F*>(functor);
  fn::dispatch_domain<F>(x.dtype, [&]<class T> {
    using C = compute_t<T>;
    using R = fn::result_t<F, T>;
    R* o = static_cast<R*>(out.mut);
    const T* in = x.as<T>();
    int64_t inner = 1;
    for (int i = 0; i < x.rank; ++i)
      if (dims >> i & 1) inner *= x.shape[i];
    parallel_for(out.numel, std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(inner, 1)), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        int64_t rest = k, at_out = 0, at_in = 0;
        for (int i = x.rank - 1; i >= 0; --i) {
          if (dims >> i & 1) continue;
          int64_t index = rest % x.shape[i];
          rest /= x.shape[i];
          at_out += index * out.strides[i];
          at_in += index * x.strides[i];
        }
        C acc = f.template init<C>();
        for (int64_t j = 0; j < inner; ++j) {
          int64_t r = j, at = at_in;
          for (int i = x.rank - 1; i >= 0; --i) {
            if (!(dims >> i & 1)) continue;
            at += r % x.shape[i] * x.strides[i];
            r /= x.shape[i];
          }
          acc = f.template step<C>(acc, static_cast<C>(in[at]));
        }
        o[at_out] = static_cast<R>(f.template finish<C>(acc));
      }
    });
  });
}

}  // namespace

void register_reduce() {
  fn::ReduceOps::for_each([]<class F> {
    kernels::reduce.of<F>().set(DeviceType::cpu, reduce_kernel<F>);
  });
}

}  // namespace weft::cpu::WEFT_ISA
