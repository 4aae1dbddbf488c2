// Vectors and registers of the instruction set: what kernels size their tiles by.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include "weft/core/export.h"

namespace weft::cpu::WEFT_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64, kRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32, kRegisters = 16;
#else
inline constexpr int kVectorBytes = 16, kRegisters = 16;
#endif

/// Elements of a vector.
template <class C> inline constexpr int kLanesOf = kVectorBytes / static_cast<int>(sizeof(C));

/// A vector register of C, and the same at any address.
template <class C> struct VectorOf {
  typedef C Aligned __attribute__((vector_size(kVectorBytes)));
  typedef C Unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(C)), may_alias));
};
template <class C> using Vector = typename VectorOf<C>::Aligned;
template <class C> using VectorAt = typename VectorOf<C>::Unaligned;

}  // namespace weft::cpu::WEFT_ISA
