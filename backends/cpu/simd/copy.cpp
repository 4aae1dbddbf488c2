#include "weft/backends/cpu/simd/convert.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/axes.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

using CopyAxes = fn::Axes<2>;  // of dst and src

CopyAxes copy_axes(const TensorRef& dst, const TensorRef& src) {
  CopyAxes axes = fn::axes_of<2>(dst.shape, {dst.strides, src.strides}, dst.rank);
  axes.at_least_one(1);
  return axes;
}

/// The destination's fastest axis is slow in the source and another one is fast there: tiles keep both sides in cache.
bool copy_transposed(const CopyAxes& p, char* dst, const char* src, int size) {
  const auto& [to, from] = p.strides;
  const int j = p.rank - 1;
  if (to[j] != 1 || from[j] <= 1 || p.shape[j] < 4) return false;
  int i = -1;
  for (int a = 0; a < j; ++a)
    if (from[a] == 1 && p.shape[a] >= 4) i = a;
  if (i < 0) return false;
  CopyAxes outer;
  for (int a = 0; a < j; ++a)
    if (a != i) outer.append(p.shape[a], {to[a], from[a]});
  constexpr int64_t kTile = 64;
  const int64_t rows = p.shape[i], columns = p.shape[j], to_row = to[i], from_column = from[j];
  const int64_t ti = fn::ceil_div(rows, kTile), tj = fn::ceil_div(columns, kTile);
  const int64_t per_tile = std::min(rows, kTile) * std::min(columns, kTile);
  parallel_for(outer.count() * ti * tj, kSerialBelow / per_tile + 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t i0 = t / tj % ti * kTile, j0 = t % tj * kTile;
      int64_t at[2];
      outer.offsets(t / tj / ti, at);
      transpose_2d(dst + (at[0] + i0 * to_row + j0) * size, to_row, src + (at[1] + i0 + j0 * from_column) * size,
                   from_column, std::min(kTile, rows - i0), std::min(kTile, columns - j0), size);
    }
  });
  return true;
}

void copy_kernel(const MutTensorRef& dst, const TensorRef& src) {
  if (dst.numel == 0) return;
  const CopyAxes p = copy_axes(dst, src);
  char* to = static_cast<char*>(dst.mut);
  const char* from = static_cast<const char*>(src.data);
  const int64_t dsize = static_cast<int64_t>(itemsize(dst.dtype)), ssize = static_cast<int64_t>(itemsize(src.dtype));
  const int j = p.rank - 1, i = j - 1;
  const int64_t length = p.shape[j], dj = p.strides[0][j], sj = p.strides[1][j];
  if (p.rank == 1) {
    parallel_for(length, kSerialBelow, [&](int64_t begin, int64_t end) {
      convert(to + begin * dj * dsize, dj, dst.dtype, from + begin * sj * ssize, sj, src.dtype, end - begin);
    });
    return;
  }
  if (dst.dtype == src.dtype && copy_transposed(p, to, from, static_cast<int>(dsize))) return;
  // planes of the two innermost axes, in pieces of rows
  const int64_t di = p.strides[0][i], si = p.strides[1][i];
  parallel_for(p.count() / length, kSerialBelow / length + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end;) {
      const int64_t rest = p.shape[i] - r % p.shape[i], n = std::min(rest, end - r);
      int64_t at[2];
      p.offsets(r, at, j);
      char* d = to + at[0] * dsize;
      const char* s = from + at[1] * ssize;
      if (dst.dtype == src.dtype) {
        move_2d(d, di, dj, s, si, sj, n, length, static_cast<int>(dsize));
      } else {
        for (int64_t k = 0; k < n; ++k)
          convert(d + k * di * dsize, dj, dst.dtype, s + k * si * ssize, sj, src.dtype, length);
      }
      r += n;
    }
  });
}

void fill_kernel(const MutTensorRef& dst, const Scalar& value) {
  if (dst.numel == 0) return;
  alignas(8) unsigned char v[8] = {};
  switch (dst.dtype) {
    case Dtype::f32: *reinterpret_cast<float*>(v) = static_cast<float>(value.to_double()); break;
    case Dtype::f64: *reinterpret_cast<double*>(v) = value.to_double(); break;
    case Dtype::bf16: *reinterpret_cast<bf16*>(v) = bf16(static_cast<float>(value.to_double())); break;
    case Dtype::f16: *reinterpret_cast<f16*>(v) = f16(static_cast<float>(value.to_double())); break;
    case Dtype::i64: *reinterpret_cast<int64_t*>(v) = value.to_int64(); break;
    case Dtype::i32: *reinterpret_cast<int32_t*>(v) = static_cast<int32_t>(value.to_int64()); break;
    case Dtype::u8: *v = static_cast<uint8_t>(value.to_int64()); break;
    case Dtype::boolean: *v = value.to_double() != 0; break;
    case Dtype::i8: *v = static_cast<uint8_t>(value.to_int64()); break;
    case Dtype::i16:
    case Dtype::u16: *reinterpret_cast<uint16_t*>(v) = static_cast<uint16_t>(value.to_int64()); break;
  }
  int64_t zero[kMaxRank] = {};
  copy_kernel(dst, ref(v, dst.dtype, dst.shape, zero, dst.rank));
}

}  // namespace

void register_copy() {
  kernels::copy.set(DeviceType::cpu, copy_kernel);
  kernels::fill.set(DeviceType::cpu, fill_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
