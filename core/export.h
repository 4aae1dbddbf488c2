// Symbol visibility and the marks for code that compiles for CPU and GPU alike.
// Knows nothing else of weft.
#pragma once

/// Marks what leaves libweft; everything else is hidden.
#define WEFT_API __attribute__((visibility("default")))

/// Marks functions that CPU and GPU run.
#if defined(__CUDACC__)
#define WEFT_HD __host__ __device__
#else
#define WEFT_HD
#endif

/// Hot loops are compiled once per instruction set; everything they inline lives in an inline namespace of that name,
/// so that the linker cannot mix the copies.
#ifndef WEFT_ISA
#define WEFT_ISA isa_base
#endif

/// Inlined also where the compiler would not.
#define WEFT_INLINE inline __attribute__((always_inline))

/// Before a loop, in kernels: all of its turns one behind the other, so that arrays that it numbers stay in registers;
/// or no two.
#if defined(__CUDA_ARCH__)
#define WEFT_UNROLL _Pragma("unroll")
#define WEFT_NO_UNROLL _Pragma("unroll 1")
#else
#define WEFT_UNROLL
#define WEFT_NO_UNROLL
#endif
