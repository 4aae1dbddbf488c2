// Linear algebra in a build without a BLAS: the slots say so (blas/lapack.cpp fills them elsewhere).
#include "weft/backends/cpu/register.h"

#ifndef WEFT_HAS_BLAS

#include "weft/core/kernels/linalg.h"

namespace weft::cpu {
namespace {

template <class... A> void no_lapack(A...) {
  raise<NotSupported>("linalg: this build has no LAPACK; build with WEFT_BLAS=ON, which brings OpenBLAS's");
}

}  // namespace

void register_linalg() {
  const DtypeSet real(Dtype::f32, Dtype::f64);
  kernels::lu_factor.set(DeviceType::cpu, no_lapack, real);
  kernels::lu_solve.set(DeviceType::cpu, no_lapack, real);
  kernels::inverse.set(DeviceType::cpu, no_lapack, real);
  kernels::triangular_solve.set(DeviceType::cpu, no_lapack, real);
  kernels::cholesky.set(DeviceType::cpu, no_lapack, real);
  kernels::qr.set(DeviceType::cpu, no_lapack, real);
  kernels::svd.set(DeviceType::cpu, no_lapack, real);
  kernels::eigh.set(DeviceType::cpu, no_lapack, real);
  kernels::lstsq.set(DeviceType::cpu, no_lapack, real);
}

}  // namespace weft::cpu

#endif
