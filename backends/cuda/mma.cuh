// Tensor cores, and what feeds them: products of a warp, loads of their operands from shared memory, copies from global
// memory to shared memory that run beside the arithmetic. All lanes of a warp call mma and ldmatrix together. The words
// are those of the PTX ISA, whose figures say which lane holds what.
//
// A lane is g = lane / 4 and t = lane % 4. A register holds two halves (the lower index in the lower half) or one f32.
//   d [16, 8] f32:   d[i] is row g + 8 (i / 2), column 2 t + i % 2
//   a [16, 16] half: a[i] is row g + 8 (i % 2), columns 2 t + 8 (i / 2) and the next
//   b [16, 8] half:  b[i] is rows 2 t + 8 i and the next, column g
//   a [16, 8] tf32:  a[i] is row g + 8 (i % 2), column t + 4 (i / 2)
//   b [8, 8] tf32:   b[i] is row t + 4 i, column g
#pragma once

#include "weft/backends/cuda/launch.h"
#include "weft/core/dtype.h"

namespace weft::cuda {

#if defined(__CUDA_ARCH__)
__device__ WEFT_INLINE uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
#endif

/// d += a b, [16, 16] [16, 8] of halves T. Products are exact, sums f32.
template <class T>
__device__ WEFT_INLINE void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  static_assert(is_half_v<T>);
#if defined(__CUDA_ARCH__)
  if constexpr (std::is_same_v<T, bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif !defined(__CUDACC__)
  cuda_emulator::mma(std::is_same_v<T, bf16> ? cuda_emulator::MmaType::bf16 : cuda_emulator::MmaType::f16, d, a, b);
#endif
}

/// d += a b, [16, 8] [8, 8] of f32 numbers, of which 10 bits of the mantissa are read: see to_tf32.
__device__ WEFT_INLINE void mma_16x8x8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif !defined(__CUDACC__)
  cuda_emulator::mma(cuda_emulator::MmaType::tf32, d, a, b);
#endif
}
/// The bits of an f32 number, rounded to TF32; halves go away from 0.
__device__ WEFT_INLINE uint32_t to_tf32(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(__uint_as_float(bits)));
  return r;
#else
  return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u;
#endif
}

/// N = 1, 2 or 4 matrices of 8 rows of 16 bytes each. Lane 8 i + r gives the address of row r of matrix i, in shared
/// memory and a multiple of 16. to[i], of matrix i: 4 bytes of row g, the t-th; or (`Transposed`) the halves at column
/// g of rows 2 t and 2 t + 1.
template <bool Transposed = false, int N> __device__ WEFT_INLINE void ldmatrix(uint32_t (&to)[N], const void* row) {
  static_assert(N == 1 || N == 2 || N == 4);
#if defined(__CUDA_ARCH__)
  const uint32_t at = shared_address(row);
  if constexpr (N == 1 && !Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(to[0]) : "r"(at) : "memory");
  else if constexpr (N == 1)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(to[0]) : "r"(at) : "memory");
  else if constexpr (N == 2 && !Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1])
                 : "r"(at)
                 : "memory");
  else if constexpr (N == 2)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1])
                 : "r"(at)
                 : "memory");
  else if constexpr (!Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at)
                 : "memory");
#elif !defined(__CUDACC__)
  cuda_emulator::ldmatrix(to, N, Transposed, row);
#endif
}

/// Starts a copy of Bytes = 4, 8 or 16 bytes to shared memory: `given` of them, then zeros. Both addresses are
/// multiples of Bytes. Neither side may be touched before the calling thread has waited for the copy; others see it
/// after a barrier more. With 16 bytes L1 is left out.
template <int Bytes> __device__ WEFT_INLINE void copy_async(void* shared, const void* from, int given = Bytes) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
#if defined(__CUDA_ARCH__)
  const uint32_t to = shared_address(shared);
  if constexpr (Bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(given) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(Bytes), "r"(given)
                 : "memory");
#elif !defined(__CUDACC__)
  cuda_emulator::start_copy(shared, from, Bytes, given);
#endif
}
/// Ends a group of the copies that this thread has started (one without copies counts too).
__device__ WEFT_INLINE void commit_copies() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#elif !defined(__CUDACC__)
  cuda_emulator::commit_copies();
#endif
}
/// Waits until no more than the latest MostGroups groups of this thread are under way.
template <int MostGroups> __device__ WEFT_INLINE void wait_for_copies() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.wait_group %0;" ::"n"(MostGroups) : "memory");
#elif !defined(__CUDACC__)
  cuda_emulator::wait_for_copies(MostGroups);
#endif
}

}  // namespace weft::cuda
