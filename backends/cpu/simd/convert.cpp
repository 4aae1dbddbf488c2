#include "weft/backends/cpu/simd/convert.h"

#include <cstring>

#include "weft/backends/cpu/simd/put.h"

namespace weft::cpu::WEFT_ISA {
namespace {

// A number that D cannot hold becomes whatever the processor makes of it, as everywhere in this field.
template <class D, class S> __attribute__((no_sanitize("float-cast-overflow"))) WEFT_INLINE void convert_to(D& d, S v) {
  using C = compute_t<S>;
  if constexpr (std::is_same_v<D, bool>) d = static_cast<C>(v) != C(0);
  else if constexpr (is_half_v<D>) put(d, static_cast<C>(v));
  else d = static_cast<D>(static_cast<C>(v));
}

template <class D, class S> void contiguous(void* dst, const void* src, int64_t n) {
  D* d = static_cast<D*>(dst);
  const S* s = static_cast<const S*>(src);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) convert_to(d[i], s[i]);
}

using Contiguous = void (*)(void*, const void*, int64_t);
template <class D> constexpr Contiguous to(Dtype s) {
  switch (s) {
    case Dtype::f32: return contiguous<D, float>;
    case Dtype::f64: return contiguous<D, double>;
    case Dtype::bf16: return contiguous<D, bf16>;
    case Dtype::f16: return contiguous<D, f16>;
    case Dtype::i64: return contiguous<D, int64_t>;
    case Dtype::i32: return contiguous<D, int32_t>;
    case Dtype::u8: return contiguous<D, uint8_t>;
    default: return contiguous<D, bool>;
  }
}
// The conversion of a pair; none for a short integer with anything but i32.
Contiguous pair(Dtype d, Dtype s) {
  switch (s) {
    case Dtype::i8: return d == Dtype::i32 ? contiguous<int32_t, int8_t> : nullptr;
    case Dtype::i16: return d == Dtype::i32 ? contiguous<int32_t, int16_t> : nullptr;
    case Dtype::u16: return d == Dtype::i32 ? contiguous<int32_t, uint16_t> : nullptr;
    default: break;
  }
  switch (d) {
    case Dtype::f32: return to<float>(s);
    case Dtype::f64: return to<double>(s);
    case Dtype::bf16: return to<bf16>(s);
    case Dtype::f16: return to<f16>(s);
    case Dtype::i64: return to<int64_t>(s);
    case Dtype::i32: return to<int32_t>(s);
    case Dtype::u8: return to<uint8_t>(s);
    case Dtype::boolean: return to<bool>(s);
    case Dtype::i8: return s == Dtype::i32 ? contiguous<int8_t, int32_t> : nullptr;
    case Dtype::i16: return s == Dtype::i32 ? contiguous<int16_t, int32_t> : nullptr;
    default: return s == Dtype::i32 ? contiguous<uint16_t, int32_t> : nullptr;
  }
}

template <class T>
void move_typed(T* d, int64_t di, int64_t dj, const T* s, int64_t si, int64_t sj, int64_t ni, int64_t nj) {
  for (int64_t i = 0; i < ni; ++i, d += di, s += si) {
    if (dj == 1 && sj == 0) {
      const T v = *s;
      for (int64_t j = 0; j < nj; ++j) d[j] = v;
    } else if (dj == 1 && sj == 1) {
      for (int64_t j = 0; j < nj; ++j) d[j] = s[j];
    } else {
      for (int64_t j = 0; j < nj; ++j) d[j * dj] = s[j * sj];
    }
  }
}

// 8 x 8 elements of 4 bytes: three rounds of shuffles, each exchanging halves of twice the width.
typedef uint32_t V8 __attribute__((vector_size(32)));
WEFT_INLINE V8 load8(const uint32_t* p) {
  V8 v;
  __builtin_memcpy(&v, p, 32);
  return v;
}
void transpose_8x8(uint32_t* d, int64_t di, const uint32_t* s, int64_t sj) {
  V8 a[8], b[8];
  for (int j = 0; j < 8; ++j) a[j] = load8(s + j * sj);
  for (int j = 0; j < 8; j += 2) {
    b[j] = __builtin_shufflevector(a[j], a[j + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    b[j + 1] = __builtin_shufflevector(a[j], a[j + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int j = 0; j < 8; j += 4)
    for (int k = 0; k < 2; ++k) {
      a[j + k] = __builtin_shufflevector(b[j + k], b[j + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      a[j + k + 2] = __builtin_shufflevector(b[j + k], b[j + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int k = 0; k < 4; ++k) {
    b[k] = __builtin_shufflevector(a[k], a[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    b[k + 4] = __builtin_shufflevector(a[k], a[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; ++i) __builtin_memcpy(d + i * di, &b[i], 32);
}

}  // namespace

void move_2d(void* dst, int64_t di, int64_t dj, const void* src, int64_t si, int64_t sj, int64_t ni, int64_t nj,
             int size) {
  auto run = [&]<class T>(T) { move_typed(static_cast<T*>(dst), di, dj, static_cast<const T*>(src), si, sj, ni, nj); };
  if (size == 4) run(uint32_t{});
  else if (size == 8) run(uint64_t{});
  else if (size == 2) run(uint16_t{});
  else run(uint8_t{});
}

void transpose_2d(void* dst, int64_t di, const void* src, int64_t sj, int64_t ni, int64_t nj, int size) {
  if (size != 4) return move_2d(dst, di, 1, src, 1, sj, ni, nj, size);
  uint32_t* d = static_cast<uint32_t*>(dst);
  const uint32_t* s = static_cast<const uint32_t*>(src);
  const int64_t i8 = ni & ~int64_t{7}, j8 = nj & ~int64_t{7};
  for (int64_t i = 0; i < i8; i += 8)
    for (int64_t j = 0; j < j8; j += 8) transpose_8x8(d + i * di + j, di, s + i + j * sj, sj);
  if (j8 < nj) move_typed(d + j8, di, 1, s + j8 * sj, 1, sj, i8, nj - j8);
  if (i8 < ni) move_typed(d + i8 * di, di, 1, s + i8, 1, sj, ni - i8, nj);
}

void convert(void* dst, int64_t ds, Dtype dd, const void* src, int64_t ss, Dtype sd, int64_t n) {
  const int dsize = static_cast<int>(itemsize(dd)), ssize = static_cast<int>(itemsize(sd));
  if (dd == sd) {
    if (ds == 1 && ss == 1) __builtin_memcpy(dst, src, static_cast<size_t>(n * dsize));
    else move_2d(dst, 0, ds, src, 0, ss, 1, n, dsize);
    return;
  }
  constexpr int64_t kPiece = 256;
  const Contiguous f = pair(dd, sd);
  if (!f) {  // through i32: a table of all pairs would be twice as large
    alignas(64) int32_t wide[kPiece];
    for (int64_t i = 0; i < n; i += kPiece) {
      const int64_t m = n - i < kPiece ? n - i : kPiece;
      convert(wide, 1, Dtype::i32, static_cast<const char*>(src) + i * ss * ssize, ss, sd, m);
      convert(static_cast<char*>(dst) + i * ds * dsize, ds, dd, wide, 1, Dtype::i32, m);
    }
    return;
  }
  if (ds == 1 && ss == 1) return f(dst, src, n);
  // through small contiguous buffers, so that the pairs need no strided form
  alignas(64) unsigned char from[kPiece * 8], into[kPiece * 8];
  for (int64_t i = 0; i < n; i += kPiece) {
    const int64_t m = n - i < kPiece ? n - i : kPiece;
    const void* s = static_cast<const char*>(src) + i * ss * ssize;
    void* d = static_cast<char*>(dst) + i * ds * dsize;
    if (ss != 1) {
      move_2d(from, 0, 1, s, 0, ss, 1, m, ssize);
      s = from;
    }
    if (ds == 1) {
      f(d, s, m);
    } else {
      f(into, s, m);
      move_2d(d, 0, ds, into, 0, 1, 1, m, dsize);
    }
  }
}

}  // namespace weft::cpu::WEFT_ISA
