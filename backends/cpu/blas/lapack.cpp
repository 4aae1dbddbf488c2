// Linear algebra by LAPACK, matrix by matrix. Batches of small matrices go to the threads, each call serial; large
// matrices come one after the other, and the library uses the threads inside.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>

#include "weft/backends/cpu/blas/lapack_calls.h"
#include "weft/backends/cpu/register.h"
#include "weft/core/kernels/linalg.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace lapack {
namespace {

constexpr int64_t kThreadedSide = 192;  // of a matrix that LAPACK's own threads are worth waking for
constexpr Int kSmall = 16;              // up to this side a call costs more than the factors

template <class T> using Scratch = std::unique_ptr<T[]>;
template <class T> Scratch<T> scratch(int64_t n) {
  return Scratch<T>(new T[static_cast<size_t>(std::max<int64_t>(n, 1))]);
}

template <class F> void dispatch_real(Dtype d, F&& f) {
  weft::detail::dispatch_types<float, double>(d, "linalg", std::forward<F>(f));
}

// f(begin, end) over the batch; `side`: of a matrix.
template <class F> void each_matrix(int64_t batch, int64_t side, const F& f) {
  if (side >= kThreadedSide && batch < num_threads()) return f(int64_t{0}, batch);
  parallel_for(batch, std::max<int64_t>(1, kSerialBelow / (side * side * side + 1)), f);
}

// The size that a query left in work[0]; f32 cannot hold every integer.
template <class T> Int asked_size(T first) {
  const double size = std::ceil(static_cast<double>(first) * (1 + std::numeric_limits<T>::epsilon()));
  WEFT_CHECK(size < INT32_MAX, NotSupported, "linalg: LAPACK asks for ", size,
             " elements of working memory, and counts to 2^31 - 1");
  return std::max<Int>(1, static_cast<Int>(size));
}

// Right-looking elimination with row pivots, as getrf does it, for matrices that fit into registers and L1.
template <class T> Int small_getrf(Int n, T* a, Int* pivots) {
  Int info = 0;
  for (Int j = 0; j < n; ++j) {
    T* column = a + j * n;
    Int p = j;
    for (Int i = j + 1; i < n; ++i)
      if (std::abs(column[i]) > std::abs(column[p])) p = i;
    pivots[j] = p + 1;
    if (column[p] == 0) {
      if (info == 0) info = j + 1;
      continue;
    }
    if (p != j)
      for (Int c = 0; c < n; ++c) std::swap(a[j + c * n], a[p + c * n]);
    const T pivot = column[j];
    for (Int i = j + 1; i < n; ++i) column[i] /= pivot;
    for (Int c = j + 1; c < n; ++c) {
      const T factor = a[j + c * n];
      for (Int i = j + 1; i < n; ++i) a[i + c * n] -= column[i] * factor;
    }
  }
  return info;
}

template <class T> void small_getrs(bool transposed, Int n, Int columns, const T* lu, const Int* pivots, T* x) {
  for (Int c = 0; c < columns; ++c, x += n) {
    if (transposed) {  // U^T, then L^T, then the swaps backwards
      for (Int i = 0; i < n; ++i) {
        for (Int k = 0; k < i; ++k) x[i] -= lu[k + i * n] * x[k];
        x[i] /= lu[i + i * n];
      }
      for (Int i = n - 1; i >= 0; --i)
        for (Int k = i + 1; k < n; ++k) x[i] -= lu[k + i * n] * x[k];
      for (Int i = n - 1; i >= 0; --i) std::swap(x[i], x[pivots[i] - 1]);
    } else {
      for (Int i = 0; i < n; ++i) std::swap(x[i], x[pivots[i] - 1]);
      for (Int k = 0; k < n; ++k)
        for (Int i = k + 1; i < n; ++i) x[i] -= lu[i + k * n] * x[k];
      for (Int k = n - 1; k >= 0; --k) {
        x[k] /= lu[k + k * n];
        for (Int i = 0; i < k; ++i) x[i] -= lu[i + k * n] * x[k];
      }
    }
  }
}

template <class T> Int factor(Int m, Int n, T* a, Int* pivots) {
  return m == n && n <= kSmall ? small_getrf(n, a, pivots) : getrf(m, n, a, pivots);
}

void lu_factor(const MutTensorRef& a, const MutTensorRef& pivots, const MutTensorRef& info) {
  const Int m = static_cast<Int>(a.size(2)), n = static_cast<Int>(a.size(1)), k = std::min(m, n);
  dispatch_real(a.dtype, [&]<class T> {
    each_matrix(a.size(0), std::max(m, n), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b)
        info.as_mut<Int>()[b] = factor(m, n, a.as_mut<T>() + b * m * n, pivots.as_mut<Int>() + b * k);
    });
  });
}

void lu_solve(const MutTensorRef& x, const TensorRef& lu, const TensorRef& pivots, bool transposed) {
  const Int n = static_cast<Int>(x.size(2)), columns = static_cast<Int>(x.size(1));
  dispatch_real(x.dtype, [&]<class T> {
    each_matrix(x.size(0), n, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        T* to = x.as_mut<T>() + b * n * columns;
        const T* from = lu.as<T>() + b * n * n;
        const Int* swaps = pivots.as<Int>() + b * n;
        if (n <= kSmall) small_getrs(transposed, n, columns, from, swaps, to);
        else getrs(transposed, n, columns, from, swaps, to);
      }
    });
  });
}

void inverse(const MutTensorRef& a, const MutTensorRef& info) {
  const Int n = static_cast<Int>(a.size(2));
  dispatch_real(a.dtype, [&]<class T> {
    T first = 0;
    getri(n, static_cast<T*>(nullptr), nullptr, &first, -1);
    const Int size = n <= kSmall ? n * n : asked_size(first);
    each_matrix(a.size(0), n, [&](int64_t begin, int64_t end) {
      const auto pivots = scratch<Int>(n);
      const auto work = scratch<T>(size);
      for (int64_t b = begin; b < end; ++b) {
        T* matrix = a.as_mut<T>() + b * n * n;
        Int& state = info.as_mut<Int>()[b];
        state = factor(n, n, matrix, pivots.get());
        if (state != 0) continue;
        if (n <= kSmall) {
          std::copy(matrix, matrix + n * n, work.get());
          std::fill(matrix, matrix + n * n, T(0));
          for (Int i = 0; i < n; ++i) matrix[i + i * n] = 1;
          small_getrs(false, n, n, work.get(), pivots.get(), matrix);
        } else {
          state = getri(n, matrix, pivots.get(), work.get(), size);
        }
      }
    });
  });
}

void triangular_solve(const MutTensorRef& x, const TensorRef& a, const TriangleParams& p) {
  const Int m = static_cast<Int>(x.size(1)), n = static_cast<Int>(x.size(2)), k = p.left ? m : n;
  dispatch_real(x.dtype, [&]<class T> {
    each_matrix(x.size(0), k, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b)
        trsm(p.left ? CblasLeft : CblasRight, p.upper ? CblasUpper : CblasLower,
             p.transposed ? CblasTrans : CblasNoTrans, p.unit ? CblasUnit : CblasNonUnit, m, n, a.as<T>() + b * k * k,
             x.as_mut<T>() + b * m * n);
    });
  });
}

void cholesky(const MutTensorRef& a, const MutTensorRef& info, bool upper) {
  const Int n = static_cast<Int>(a.size(2));
  dispatch_real(a.dtype, [&]<class T> {
    each_matrix(a.size(0), n, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        T* matrix = a.as_mut<T>() + b * n * n;
        Int bad = potrf(!upper, n, matrix);  // rows are LAPACK's columns
        for (Int i = 0; i < n && bad == 0; ++i)
          if (std::isnan(matrix[i * n + i])) bad = i + 1;  // OpenBLAS goes on with NaN
        info.as_mut<Int>()[b] = bad;
        for (Int i = 0; i < n; ++i) {
          if (upper) std::fill(matrix + i * n, matrix + i * n + i, T(0));
          else std::fill(matrix + i * n + i + 1, matrix + i * n + n, T(0));
        }
      }
    });
  });
}

void qr(const MutTensorRef& q, const MutTensorRef& r, const MutTensorRef& a) {
  const Int m = static_cast<Int>(a.size(2)), n = static_cast<Int>(a.size(1)), least = std::min(m, n);
  const Int rows = static_cast<Int>(r.size(2)), columns = q.defined() ? static_cast<Int>(q.size(1)) : least;
  dispatch_real(a.dtype, [&]<class T> {
    T first = 0, second = 0;
    geqrf(m, n, static_cast<T*>(nullptr), nullptr, &first, -1);
    orgqr(m, columns, least, static_cast<T*>(nullptr), nullptr, &second, -1);
    const Int size = asked_size(std::max(first, second));
    each_matrix(a.size(0), std::max(m, n), [&](int64_t begin, int64_t end) {
      const auto tau = scratch<T>(least);
      const auto work = scratch<T>(size);
      for (int64_t b = begin; b < end; ++b) {
        T *matrix = a.as_mut<T>() + b * m * n, *triangle = r.as_mut<T>() + b * rows * n;
        geqrf(m, n, matrix, tau.get(), work.get(), size);
        for (Int j = 0; j < n; ++j) {
          const Int filled = std::min(j + 1, least);
          std::copy(matrix + j * m, matrix + j * m + filled, triangle + j * rows);
          std::fill(triangle + j * rows + filled, triangle + (j + 1) * rows, T(0));
        }
        if (!q.defined()) continue;
        T* basis = q.as_mut<T>() + b * m * columns;
        std::copy(matrix, matrix + m * least, basis);
        std::fill(basis + m * least, basis + m * columns, T(0));
        orgqr(m, columns, least, basis, tau.get(), work.get(), size);
      }
    });
  });
}

// The rows of a are LAPACK's columns: its matrix is a^T = v s u^T.
void svd(const MutTensorRef& u, const MutTensorRef& s, const MutTensorRef& vh, const MutTensorRef& a,
         const MutTensorRef& info) {
  const Int m = static_cast<Int>(a.size(2)), n = static_cast<Int>(a.size(1)), least = std::min(m, n);
  const bool vectors = u.defined();
  const Int u_columns = vectors ? static_cast<Int>(u.size(2)) : 1, v_rows = vectors ? static_cast<Int>(vh.size(1)) : 1;
  const char job = !vectors ? 'N' : u_columns == n && v_rows == m ? 'A' : 'S';
  dispatch_real(a.dtype, [&]<class T> {
    T first = 0;
    Int none = 0;
    gesdd(job, m, n, static_cast<T*>(nullptr), nullptr, nullptr, nullptr, u_columns, &first, -1, &none);
    const Int size = asked_size(first);
    each_matrix(a.size(0), std::max(m, n), [&](int64_t begin, int64_t end) {
      const auto work = scratch<T>(size);
      const auto iwork = scratch<Int>(int64_t{8} * least);
      for (int64_t b = begin; b < end; ++b)
        info.as_mut<Int>()[b] = gesdd(job, m, n, a.as_mut<T>() + b * m * n, s.as_mut<T>() + b * least,
                                      vectors ? vh.as_mut<T>() + b * v_rows * m : nullptr,
                                      vectors ? u.as_mut<T>() + b * n * u_columns : nullptr, u_columns, work.get(),
                                      size, iwork.get());
    });
  });
}

void eigh(const MutTensorRef& a, const MutTensorRef& w, const MutTensorRef& info, bool upper, bool vectors) {
  const Int n = static_cast<Int>(a.size(2));
  dispatch_real(a.dtype, [&]<class T> {
    T first = 0;
    Int isize = 0;
    syevd(vectors, !upper, n, static_cast<T*>(nullptr), nullptr, &first, -1, &isize, -1);
    const Int size = asked_size(first);
    each_matrix(a.size(0), n, [&](int64_t begin, int64_t end) {
      const auto work = scratch<T>(size);
      const auto iwork = scratch<Int>(isize);
      for (int64_t b = begin; b < end; ++b)
        info.as_mut<Int>()[b] = syevd(vectors, !upper, n, a.as_mut<T>() + b * n * n, w.as_mut<T>() + b * n, work.get(),
                                      size, iwork.get(), isize);
    });
  });
}

void lstsq(const MutTensorRef& a, const MutTensorRef& b, const MutTensorRef& rank, const MutTensorRef& s,
           const MutTensorRef& info, double rcond, LstsqDriver driver) {
  const Int m = static_cast<Int>(a.size(2)), n = static_cast<Int>(a.size(1)), least = std::min(m, n);
  const Int rows = static_cast<Int>(b.size(2)), columns = static_cast<Int>(b.size(1));
  dispatch_real(a.dtype, [&]<class T> {
    const T bound = static_cast<T>(rcond);
    const auto call = [&](T* matrix, T* x, T* values, Int* found, T* work, Int size, Int* iwork) {
      switch (driver) {
        case LstsqDriver::gels: return gels(m, n, columns, matrix, x, rows, work, size);
        case LstsqDriver::gelsd: return gelsd(m, n, columns, matrix, x, rows, values, bound, found, work, size, iwork);
        case LstsqDriver::gelss: return gelss(m, n, columns, matrix, x, rows, values, bound, found, work, size);
        case LstsqDriver::gelsy: break;
      }
      if (iwork) std::fill(iwork, iwork + n, 0);  // every column is free to move
      return gelsy(m, n, columns, matrix, x, rows, iwork, bound, found, work, size);
    };
    T first = 0, value = 0;
    Int isize = 0, found = 0;
    const bool divides = driver == LstsqDriver::gelsd;
    call(nullptr, nullptr, &value, &found, &first, -1, divides ? &isize : nullptr);
    const Int size = asked_size(first);
    each_matrix(a.size(0), std::max(m, n), [&](int64_t begin, int64_t end) {
      const auto work = scratch<T>(size), values = scratch<T>(least);
      const auto iwork = scratch<Int>(divides ? isize : n);
      for (int64_t i = begin; i < end; ++i)
        info.as_mut<Int>()[i] = call(a.as_mut<T>() + i * m * n, b.as_mut<T>() + i * rows * columns,
                                     s.defined() ? s.as_mut<T>() + i * least : values.get(), rank.as_mut<Int>() + i,
                                     work.get(), size, iwork.get());
    });
  });
}

}  // namespace
}  // namespace lapack

void register_linalg() {
  const DtypeSet real(Dtype::f32, Dtype::f64);
  kernels::lu_factor.set(DeviceType::cpu, lapack::lu_factor, real);
  kernels::lu_solve.set(DeviceType::cpu, lapack::lu_solve, real);
  kernels::inverse.set(DeviceType::cpu, lapack::inverse, real);
  kernels::triangular_solve.set(DeviceType::cpu, lapack::triangular_solve, real);
  kernels::cholesky.set(DeviceType::cpu, lapack::cholesky, real);
  kernels::qr.set(DeviceType::cpu, lapack::qr, real);
  kernels::svd.set(DeviceType::cpu, lapack::svd, real);
  kernels::eigh.set(DeviceType::cpu, lapack::eigh, real);
  kernels::lstsq.set(DeviceType::cpu, lapack::lstsq, real);
}

}  // namespace weft::cpu
