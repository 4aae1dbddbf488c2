#include "weft/core/fn/scan.h"
#include "weft/backends/cpu/simd/lines.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu::WEFT_ISA {
namespace {

template <class T, class Running> void scan_lines(const MutTensorRef& y, const TensorRef& x, int dim, bool reverse) {
  if (x.numel == 0) return;
  const Lines lines(x, dim);
  const int64_t first = reverse ? lines.length - 1 : 0, way = reverse ? -1 : 1;
  const int64_t sx = x.rank ? x.strides[dim] : 0, sy = x.rank ? y.strides[dim] : 0;
  parallel_for(lines.count, lines.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const T* in = x.as<T>() + lines.offset(k, x) + first * sx;
      T* out = y.as_mut<T>() + lines.offset(k, y) + first * sy;
      Running all;
      for (int64_t i = 0; i < lines.length; ++i)
        out[i * way * sy] = static_cast<T>(
            static_cast<compute_t<T>>(all.push(static_cast<compute_t<T>>(in[i * way * sx]))));
    }
  });
}

template <class F> void for_number_types(Dtype d, const F& f) {
  switch (d) {
    case Dtype::f32: return f.template operator()<float>();
    case Dtype::f64: return f.template operator()<double>();
    case Dtype::bf16: return f.template operator()<bf16>();
    case Dtype::f16: return f.template operator()<f16>();
    case Dtype::i64: return f.template operator()<int64_t>();
    case Dtype::i32: return f.template operator()<int32_t>();
    case Dtype::u8: return f.template operator()<uint8_t>();
    case Dtype::boolean: return f.template operator()<bool>();
    case Dtype::i8: return f.template operator()<int8_t>();
    case Dtype::i16: return f.template operator()<int16_t>();
    case Dtype::u16: return f.template operator()<uint16_t>();
  }
}

void cumsum_kernel(const MutTensorRef& y, const TensorRef& x, int dim, bool reverse) {
  for_number_types(x.dtype, [&]<class T> { scan_lines<T, fn::RunningSum<T>>(y, x, dim, reverse); });
}
void cumprod_kernel(const MutTensorRef& y, const TensorRef& x, int dim) {
  for_number_types(x.dtype, [&]<class T> { scan_lines<T, fn::RunningProduct<T>>(y, x, dim, false); });
}

template <class T>
void arg_extreme_typed(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim,
                       bool largest) {
  using C = compute_t<T>;
  const Lines lines(x, dim);
  const int64_t sx = x.rank ? x.strides[dim] : 0;
  parallel_for(lines.count, lines.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const T* in = x.as<T>() + lines.offset(k, x);
      C best = static_cast<C>(in[0]);
      int64_t at = 0;
      for (int64_t i = 1; i < lines.length && best == best; ++i) {
        const C v = static_cast<C>(in[i * sx]);
        if (v != v || (largest ? v > best : v < best)) {
          best = v;
          at = i;
        }
      }
      indices.as_mut<int64_t>()[lines.offset(k, indices)] = at;
      if (values.defined()) values.as_mut<T>()[lines.offset(k, values)] = static_cast<T>(best);
    }
  });
}
void arg_extreme_kernel(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim,
                        bool largest) {
  if (x.numel == 0) return;
  for_number_types(x.dtype, [&]<class T> { arg_extreme_typed<T>(values, indices, x, dim, largest); });
}

}  // namespace

void register_scan() {
  kernels::cumsum.set(DeviceType::cpu, cumsum_kernel);
  kernels::cumprod.set(DeviceType::cpu, cumprod_kernel);
  kernels::arg_extreme.set(DeviceType::cpu, arg_extreme_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
