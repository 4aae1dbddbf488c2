#include <cstring>

#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

template <class T> void unfold_typed(const MutTensorRef& columns, const TensorRef& x, const SlidingBlocks& b) {
  const int64_t C = x.shape[1], taps = b.kernel[0] * b.kernel[1], L = b.out[0] * b.out[1];
  T* y = columns.as_mut<T>();
  const T* from = x.as<T>();
  parallel_for(x.shape[0] * C * taps, kSerialBelow / L + 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t tap = at % taps, c = at / taps % C, n = at / taps / C;
      const int64_t ki = tap / b.kernel[1], kj = tap % b.kernel[1];
      const T* image = from + n * x.strides[0] + c * x.strides[1];
      int64_t x0, x1;
      fn::block_range(b, 1, kj, x0, x1);
      for (int64_t oy = 0; oy < b.out[0]; ++oy) {
        T* d = y + at * L + oy * b.out[1];
        const int64_t iy = fn::block_source(b, 0, oy, ki);
        if (iy < 0 || iy >= b.size[0]) {
          std::memset(d, 0, static_cast<size_t>(b.out[1]) * sizeof(T));
          continue;
        }
        for (int64_t ox = 0; ox < x0; ++ox) d[ox] = 0;
        const int64_t step = b.stride[1] * x.strides[3];
        const T* s = image + iy * x.strides[2] + fn::block_source(b, 1, 0, kj) * x.strides[3];
        if (step == 1)
          for (int64_t ox = x0; ox < x1; ++ox) d[ox] = s[ox];
        else
          for (int64_t ox = x0; ox < x1; ++ox) d[ox] = s[ox * step];
        for (int64_t ox = x1; ox < b.out[1]; ++ox) d[ox] = 0;
      }
    }
  });
}

void unfold_kernel(const MutTensorRef& columns, const TensorRef& x, const SlidingBlocks& b) {
  if (columns.numel == 0) return;
  dispatch_size(x.dtype, [&]<class T> { unfold_typed<T>(columns, x, b); });
}

// One image row at a time collects its taps in a fixed order: no two threads write one element.
template <class T> void fold_typed(const MutTensorRef& x, const TensorRef& columns, const SlidingBlocks& b) {
  const int64_t taps = b.kernel[0] * b.kernel[1], L = b.out[0] * b.out[1], H = b.size[0], W = b.size[1];
  T* out = x.as_mut<T>();
  const T* from = columns.as<T>();
  parallel_for(x.numel / W, kSerialBelow / (W * taps) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t plane = row / H, iy = row % H;
      T* d = out + row * W;
      std::memset(d, 0, static_cast<size_t>(W) * sizeof(T));
      for (int64_t ki = 0; ki < b.kernel[0]; ++ki) {
        const int64_t top = iy + b.padding[0] - ki * b.dilation[0];
        if (top < 0 || top % b.stride[0] != 0 || top / b.stride[0] >= b.out[0]) continue;
        for (int64_t kj = 0; kj < b.kernel[1]; ++kj) {
          const T* s = from + (plane * taps + ki * b.kernel[1] + kj) * L + top / b.stride[0] * b.out[1];
          int64_t x0, x1;
          fn::block_range(b, 1, kj, x0, x1);
          const int64_t left = fn::block_source(b, 1, 0, kj), step = b.stride[1];
          if (step == 1) {
#pragma omp simd
            for (int64_t ox = x0; ox < x1; ++ox) d[left + ox] += s[ox];
          } else {
            for (int64_t ox = x0; ox < x1; ++ox) d[left + ox * step] += s[ox];
          }
        }
      }
    }
  });
}

void fold_kernel(const MutTensorRef& x, const TensorRef& columns, const SlidingBlocks& b) {
  if (x.numel == 0) return;
  detail::dispatch_types<float, double>(x.dtype, "fold", [&]<class T> { fold_typed<T>(x, columns, b); });
}

}  // namespace

void register_fold() {
  kernels::unfold.set(DeviceType::cpu, unfold_kernel);
  kernels::fold.set(DeviceType::cpu, fold_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
