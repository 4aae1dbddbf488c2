// LAPACK's routines for f32 and f64 by one name. They are declared here: the library has no header of its own for them.
// Each returns LAPACK's info. Matrices are by columns; `work` of size -1 asks for the size, into work[0].
#pragma once

#include <cblas.h>

#include <cstddef>

extern "C" {

// The lengths of text arguments follow behind the others: gfortran counts on them.
#define WEFT_LAPACK(T, p)                                                                                              \
  void p##getrf_(const blasint*, const blasint*, T*, const blasint*, blasint*, blasint*);                              \
  void p##getri_(const blasint*, T*, const blasint*, const blasint*, T*, const blasint*, blasint*);                    \
  void p##getrs_(const char*, const blasint*, const blasint*, const T*, const blasint*, const blasint*, T*,            \
                 const blasint*, blasint*, size_t);                                                                    \
  void p##potrf_(const char*, const blasint*, T*, const blasint*, blasint*, size_t);                                   \
  void p##geqrf_(const blasint*, const blasint*, T*, const blasint*, T*, T*, const blasint*, blasint*);                \
  void p##orgqr_(const blasint*, const blasint*, const blasint*, T*, const blasint*, const T*, T*, const blasint*,     \
                 blasint*);                                                                                            \
  void p##gesdd_(const char*, const blasint*, const blasint*, T*, const blasint*, T*, T*, const blasint*, T*,          \
                 const blasint*, T*, const blasint*, blasint*, blasint*, size_t);                                      \
  void p##syevd_(const char*, const char*, const blasint*, T*, const blasint*, T*, T*, const blasint*, blasint*,       \
                 const blasint*, blasint*, size_t, size_t);                                                            \
  void p##gels_(const char*, const blasint*, const blasint*, const blasint*, T*, const blasint*, T*, const blasint*,   \
                T*, const blasint*, blasint*, size_t);                                                                 \
  void p##gelsy_(const blasint*, const blasint*, const blasint*, T*, const blasint*, T*, const blasint*, blasint*,     \
                 const T*, blasint*, T*, const blasint*, blasint*);                                                    \
  void p##gelsd_(const blasint*, const blasint*, const blasint*, T*, const blasint*, T*, const blasint*, T*, const T*, \
                 blasint*, T*, const blasint*, blasint*, blasint*);                                                    \
  void p##gelss_(const blasint*, const blasint*, const blasint*, T*, const blasint*, T*, const blasint*, T*, const T*, \
                 blasint*, T*, const blasint*, blasint*);
WEFT_LAPACK(float, s)
WEFT_LAPACK(double, d)
#undef WEFT_LAPACK
}

namespace weft::cpu::lapack {

using Int = blasint;

#define WEFT_LAPACK(T, p)                                                                                          \
  inline Int getrf(Int m, Int n, T* a, Int* pivots) {                                                              \
    Int info = 0;                                                                                                  \
    p##getrf_(&m, &n, a, &m, pivots, &info);                                                                       \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int getri(Int n, T* a, const Int* pivots, T* work, Int size) {                                            \
    Int info = 0;                                                                                                  \
    p##getri_(&n, a, &n, pivots, work, &size, &info);                                                              \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int getrs(bool transposed, Int n, Int columns, const T* lu, const Int* pivots, T* x) {                    \
    Int info = 0;                                                                                                  \
    p##getrs_(transposed ? "T" : "N", &n, &columns, lu, &n, pivots, x, &n, &info, 1);                              \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int potrf(bool upper, Int n, T* a) {                                                                      \
    Int info = 0;                                                                                                  \
    p##potrf_(upper ? "U" : "L", &n, a, &n, &info, 1);                                                             \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int geqrf(Int m, Int n, T* a, T* tau, T* work, Int size) {                                                \
    Int info = 0;                                                                                                  \
    p##geqrf_(&m, &n, a, &m, tau, work, &size, &info);                                                             \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int orgqr(Int m, Int n, Int k, T* a, const T* tau, T* work, Int size) {                                   \
    Int info = 0;                                                                                                  \
    p##orgqr_(&m, &n, &k, a, &m, tau, work, &size, &info);                                                         \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int gesdd(char job, Int m, Int n, T* a, T* s, T* u, T* vt, Int vt_rows, T* work, Int size, Int* iwork) {  \
    Int info = 0;                                                                                                  \
    p##gesdd_(&job, &m, &n, a, &m, s, u, &m, vt, &vt_rows, work, &size, iwork, &info, 1);                          \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int syevd(bool vectors, bool upper, Int n, T* a, T* w, T* work, Int size, Int* iwork, Int isize) {        \
    Int info = 0;                                                                                                  \
    p##syevd_(vectors ? "V" : "N", upper ? "U" : "L", &n, a, &n, w, work, &size, iwork, &isize, &info, 1, 1);      \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int gels(Int m, Int n, Int columns, T* a, T* b, Int rows, T* work, Int size) {                            \
    Int info = 0;                                                                                                  \
    p##gels_("N", &m, &n, &columns, a, &m, b, &rows, work, &size, &info, 1);                                       \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int gelsy(Int m, Int n, Int columns, T* a, T* b, Int rows, Int* jpvt, T rcond, Int* rank, T* work,        \
                   Int size) {                                                                                     \
    Int info = 0;                                                                                                  \
    p##gelsy_(&m, &n, &columns, a, &m, b, &rows, jpvt, &rcond, rank, work, &size, &info);                          \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int gelsd(Int m, Int n, Int columns, T* a, T* b, Int rows, T* s, T rcond, Int* rank, T* work, Int size,   \
                   Int* iwork) {                                                                                   \
    Int info = 0;                                                                                                  \
    p##gelsd_(&m, &n, &columns, a, &m, b, &rows, s, &rcond, rank, work, &size, iwork, &info);                      \
    return info;                                                                                                   \
  }                                                                                                                \
  inline Int gelss(Int m, Int n, Int columns, T* a, T* b, Int rows, T* s, T rcond, Int* rank, T* work, Int size) { \
    Int info = 0;                                                                                                  \
    p##gelss_(&m, &n, &columns, a, &m, b, &rows, s, &rcond, rank, work, &size, &info);                             \
    return info;                                                                                                   \
  }
WEFT_LAPACK(float, s)
WEFT_LAPACK(double, d)
#undef WEFT_LAPACK

// x (m x n, by rows) = op(a)^-1 x or x op(a)^-1
inline void trsm(CBLAS_SIDE side, CBLAS_UPLO uplo, CBLAS_TRANSPOSE op, CBLAS_DIAG diag, Int m, Int n, const float* a,
                 float* x) {
  cblas_strsm(CblasRowMajor, side, uplo, op, diag, m, n, 1, a, side == CblasLeft ? m : n, x, n);
}
inline void trsm(CBLAS_SIDE side, CBLAS_UPLO uplo, CBLAS_TRANSPOSE op, CBLAS_DIAG diag, Int m, Int n, const double* a,
                 double* x) {
  cblas_dtrsm(CblasRowMajor, side, uplo, op, diag, m, n, 1, a, side == CblasLeft ? m : n, x, n);
}

}  // namespace weft::cpu::lapack
