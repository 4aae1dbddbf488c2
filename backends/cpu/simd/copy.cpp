#include "weft/backends/cpu/simd/convert.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

/// Axes of dst by falling stride, merged where both sides allow.
struct CopyPlan {
  int rank = 0;
  int64_t shape[kMaxRank], dst[kMaxRank], src[kMaxRank];

  CopyPlan(const TensorRef& d, const TensorRef& s) {
    int order[kMaxRank], n = 0;
    for (int i = 0; i < d.rank; ++i) {
      if (d.shape[i] == 1) continue;
      int j = n++;
      for (; j > 0 && d.strides[order[j - 1]] < d.strides[i]; --j) order[j] = order[j - 1];
      order[j] = i;
    }
    for (int a = 0; a < n; ++a) {
      const int i = order[a];
      const int64_t size = d.shape[i];
      const bool merge = rank > 0 && dst[rank - 1] == d.strides[i] * size && src[rank - 1] == s.strides[i] * size;
      const int at = merge ? rank - 1 : rank++;
      shape[at] = merge ? shape[at] * size : size;
      dst[at] = d.strides[i];
      src[at] = s.strides[i];
    }
    if (rank == 0) {
      rank = 1;
      shape[0] = 1;
      dst[0] = src[0] = 1;
    }
  }
  /// Offsets of both sides at position `at` of all axes but those in `skip` (a mask).
  void offsets(int64_t at, unsigned skip, int64_t& d, int64_t& s) const {
    for (int i = rank - 1; i >= 0; --i) {
      if (skip >> i & 1) continue;
      const int64_t k = at % shape[i];
      at /= shape[i];
      d += k * dst[i];
      s += k * src[i];
    }
  }
  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= shape[i];
    return n;
  }
};

/// The destination's fastest axis is slow in the source and another one is fast there: tiles keep both sides in cache.
bool copy_transposed(const CopyPlan& p, char* dst, const char* src, int size) {
  const int j = p.rank - 1;
  if (p.dst[j] != 1 || p.src[j] <= 1 || p.shape[j] < 4) return false;
  int i = -1;
  for (int a = 0; a < j; ++a)
    if (p.src[a] == 1 && p.shape[a] >= 4) i = a;
  if (i < 0) return false;
  constexpr int64_t kTile = 64;
  const int64_t ti = (p.shape[i] + kTile - 1) / kTile, tj = (p.shape[j] + kTile - 1) / kTile;
  const int64_t outer = p.numel() / (p.shape[i] * p.shape[j]);
  const int64_t per_tile = std::min(p.shape[i], kTile) * std::min(p.shape[j], kTile);
  parallel_for(outer * ti * tj, kSerialBelow / per_tile + 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t i0 = t / tj % ti * kTile, j0 = t % tj * kTile;
      int64_t d = i0 * p.dst[i] + j0, s = i0 + j0 * p.src[j];
      p.offsets(t / tj / ti, 1u << i | 1u << j, d, s);
      transpose_2d(dst + d * size, p.dst[i], src + s * size, p.src[j], std::min(kTile, p.shape[i] - i0),
                   std::min(kTile, p.shape[j] - j0), size);
    }
  });
  return true;
}

void copy_kernel(const MutTensorRef& dst, const TensorRef& src) {
  if (dst.numel == 0) return;
  const CopyPlan p(dst, src);
  char* to = static_cast<char*>(dst.mut);
  const char* from = static_cast<const char*>(src.data);
  const int64_t dsize = static_cast<int64_t>(itemsize(dst.dtype)), ssize = static_cast<int64_t>(itemsize(src.dtype));
  if (p.rank == 1) {
    parallel_for(p.shape[0], kSerialBelow, [&](int64_t begin, int64_t end) {
      convert(to + begin * p.dst[0] * dsize, p.dst[0], dst.dtype, from + begin * p.src[0] * ssize, p.src[0], src.dtype,
              end - begin);
    });
    return;
  }
  if (dst.dtype == src.dtype && copy_transposed(p, to, from, static_cast<int>(dsize))) return;
  // planes of the two innermost axes, in pieces of rows
  const int j = p.rank - 1, i = j - 1;
  const int64_t rows = p.numel() / p.shape[j];
  parallel_for(rows, kSerialBelow / p.shape[j] + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end;) {
      const int64_t rest = p.shape[i] - r % p.shape[i], n = std::min(rest, end - r);
      int64_t d = 0, s = 0;
      p.offsets(r, 1u << j, d, s);
      if (dst.dtype == src.dtype) {
        move_2d(to + d * dsize, p.dst[i], p.dst[j], from + s * ssize, p.src[i], p.src[j], n, p.shape[j],
                static_cast<int>(dsize));
      } else {
        for (int64_t k = 0; k < n; ++k)
          convert(to + (d + k * p.dst[i]) * dsize, p.dst[j], dst.dtype, from + (s + k * p.src[i]) * ssize, p.src[j],
                  src.dtype, p.shape[j]);
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
  TensorRef src = dst;
  src.data = v;
  src.strides = zero;
  copy_kernel(dst, src);
}

}  // namespace

void register_copy() {
  kernels::copy.set(DeviceType::cpu, copy_kernel);
  kernels::fill.set(DeviceType::cpu, fill_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
