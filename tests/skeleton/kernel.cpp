// The CPU's kernel. In backends/cpu/simd/ the file is compiled once per instruction set, in the namespace WEFT_ISA. No
// symbol may be weak (no std containers; inline functions need WEFT_INLINE): scripts/check_isa_symbols.py tells.
#include "skeleton/kernel.h"
#include "weft/core/fn/axes.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

template <class T> void line_shares_typed(const MutTensorRef& y, const TensorRef& x, int dim) {
  using C = compute_t<T>;
  const int64_t length = x.rank ? x.shape[dim] : 1, sy = x.rank ? y.strides[dim] : 0, sx = x.rank ? x.strides[dim] : 0;
  const auto lines = fn::axes_of<2>(y.shape, {y.strides, x.strides}, y.rank, dim);  // the other axes

  const fn::LineShare f;
  parallel_for(lines.count(), kSerialBelow / length + 1, [&](int64_t begin, int64_t end) {
    lines.walk(begin, end, lines.rank, 2, [&](const int64_t* at) {
      T* to = y.as_mut<T>() + at[0];
      const T* from = x.as<T>() + at[1];
      C sum = 0;
      for (int64_t i = 0; i < length; ++i) sum = f.step(sum, static_cast<C>(from[i * sx]));
      for (int64_t i = 0; i < length; ++i) to[i * sy] = static_cast<T>(f.finish(sum, static_cast<C>(from[i * sx])));
    });
  });
}

void line_shares_kernel(const MutTensorRef& y, const TensorRef& x, int dim) {
  if (x.numel == 0) return;
  dispatch_floating(x.dtype, "line_shares", [&]<class T> { line_shares_typed<T>(y, x, dim); });
}

}  // namespace

void register_line_shares() { kernels::line_shares.set(DeviceType::cpu, line_shares_kernel); }

}  // namespace weft::cpu::WEFT_ISA
