#include "weft/core/fn/scan.h"
#include "weft/backends/cpu/simd/lines.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/axes.h"
#include "weft/core/kernels/order.h"

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

// Lines side by side: each row of elements from the one before it, in vectors.
template <class T, bool Largest>
void extreme_row(T* __restrict__ v, int64_t* __restrict__ at, const T* __restrict__ before,
                 const int64_t* __restrict__ before_at, const T* __restrict__ x, int64_t row, int64_t count) {
  using C = compute_t<T>;
  for (int64_t j = 0; j < count; ++j) {
    const bool take = fn::takes_over<Largest>(static_cast<C>(x[j]), static_cast<C>(before[j]));
    v[j] = take ? x[j] : before[j];
    at[j] = take ? row : before_at[j];
  }
}
constexpr int64_t kLeastRow = 16, kMostRow = 512;

template <class T, bool Largest>
void running_extreme_typed(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim) {
  using C = compute_t<T>;
  const auto axes = fn::axes_of<3>(x.shape, {x.strides, values.strides, indices.strides}, x.rank, dim);
  const int64_t n = x.rank ? x.shape[dim] : 1, lines = x.numel / n;
  const int64_t sx = x.rank ? x.strides[dim] : 0, sv = x.rank ? values.strides[dim] : 0,
                si = x.rank ? indices.strides[dim] : 0;
  T* const v0 = values.as_mut<T>();
  int64_t* const i0 = indices.as_mut<int64_t>();
  const bool unit = axes.inner(0) == 1 && axes.inner(1) == 1 && axes.inner(2) == 1;
  if (unit && axes.inner_size() >= kLeastRow) {
    const int64_t width = axes.inner_size(), row = std::clamp(fn::ceil_div(lines, num_threads()), kLeastRow, kMostRow),
                  pieces = fn::ceil_div(width, row);
    parallel_for(lines / width * pieces, kSerialBelow / (std::min(row, width) * n) + 1, [&](int64_t b, int64_t e) {
      for (int64_t k = b; k < e; ++k) {
        const int64_t from = k % pieces * row, count = std::min(row, width - from);
        int64_t at[3];
        axes.offsets(k / pieces, at, axes.rank - 1);
        const T* in = x.as<T>() + at[0] + from;
        T* v = v0 + at[1] + from;
        int64_t* place = i0 + at[2] + from;
        std::copy_n(in, count, v);
        std::fill_n(place, count, int64_t{0});
        for (int64_t i = 1; i < n; ++i, v += sv, place += si)
          extreme_row<T, Largest>(v + sv, place + si, v, place, in + i * sx, i, count);
      }
    });
    return;
  }
  parallel_for(lines, kSerialBelow / n + 1, [&](int64_t b, int64_t e) {
    axes.walk(b, e, axes.rank, 3, [&](const int64_t* at) {
      const T* in = x.as<T>() + at[0];
      T *v = v0 + at[1], best = in[0];
      int64_t *place = i0 + at[2], best_at = 0;
      for (int64_t i = 0; i < n; ++i) {
        const T now = in[i * sx];
        if (fn::takes_over<Largest>(static_cast<C>(now), static_cast<C>(best))) best = now, best_at = i;
        v[i * sv] = best;
        place[i * si] = best_at;
      }
    });
  });
}
void running_extreme_kernel(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim,
                            bool largest) {
  if (x.numel == 0) return;
  for_number_types(x.dtype, [&]<class T> {
    largest ? running_extreme_typed<T, true>(values, indices, x, dim)
            : running_extreme_typed<T, false>(values, indices, x, dim);
  });
}

}  // namespace

void register_scan() {
  kernels::cumsum.set(DeviceType::cpu, cumsum_kernel);
  kernels::cumprod.set(DeviceType::cpu, cumprod_kernel);
  kernels::arg_extreme.set(DeviceType::cpu, arg_extreme_kernel);
  kernels::running_extreme.set(DeviceType::cpu, running_extreme_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
