#include "weft/backends/cpu/simd/loops.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu::WEFT_ISA {
namespace {

// Axes of dst by falling stride, merged where both sides allow.
void copy_plan(ElementPlan& p, const TensorRef& dst, const TensorRef& src) {
  p.operands = 2;
  p.numel = dst.numel;
  int order[kMaxRank], n = 0;
  for (int i = 0; i < dst.rank; ++i) {
    if (dst.shape[i] == 1) continue;
    int j = n++;
    for (; j > 0 && dst.strides[order[j - 1]] < dst.strides[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
  p.rank = 0;
  for (int a = 0; a < n; ++a) {
    int i = order[a];
    int64_t size = dst.shape[i], sd = dst.strides[i], ss = src.strides[i];
    bool merge = p.rank > 0 && p.strides[0][p.rank - 1] == sd * size && p.strides[1][p.rank - 1] == ss * size;
    int at = merge ? p.rank - 1 : p.rank++;
    p.shape[at] = merge ? p.shape[at] * size : size;
    p.strides[0][at] = sd;
    p.strides[1][at] = ss;
  }
  if (p.rank == 0) {
    p.rank = 1;
    p.shape[0] = dst.numel;
    p.strides[0][0] = p.strides[1][0] = 1;
  }
}

template <class D, class S>
D convert(S v) {
  if constexpr (std::is_same_v<D, bool>) return static_cast<compute_t<S>>(v) != compute_t<S>(0);
  else if constexpr (std::is_same_v<D, bf16> || std::is_same_v<D, f16>) return D(static_cast<float>(static_cast<compute_t<S>>(v)));
  else return static_cast<D>(static_cast<compute_t<S>>(v));
}

template <class D, class S>
void copy_typed(const ElementPlan& p, void* dst, const void* src) {
  D* out = static_cast<D*>(dst);
  const S* in = static_cast<const S*>(src);
  const int64_t so = p.strides[0][p.rank - 1], si = p.strides[1][p.rank - 1];
  for_each_run<2>(p, [&](const int64_t* at, int64_t n) {
    D* o = out + at[0];
    const S* a = in + at[1];
    if (so == 1 && si == 1) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) o[i] = convert<D, S>(a[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) o[i * so] = convert<D, S>(a[i * si]);
    }
  });
}

void copy_kernel(const MutTensorRef& dst, const TensorRef& src) {
  if (dst.numel == 0) return;
  ElementPlan p;
  copy_plan(p, dst, src);
  if (dst.dtype == src.dtype) {
    dispatch_size(dst.dtype, [&]<class T> { copy_typed<T, T>(p, dst.mut, src.data); });
    return;
  }
  dispatch_all(dst.dtype, "copy", [&]<class D> {
    dispatch_all(src.dtype, "copy", [&]<class S> { copy_typed<D, S>(p, dst.mut, src.data); });
  });
}

void fill_kernel(const MutTensorRef& dst, const Scalar& value) {
  if (dst.numel == 0) return;
  ElementPlan p;
  copy_plan(p, dst, dst);
  dispatch_all(dst.dtype, "fill", [&]<class T> {
    const T v = value.to<T>();
    T* out = static_cast<T*>(dst.mut);
    const int64_t so = p.strides[0][p.rank - 1];
    for_each_run<1>(p, [&](const int64_t* at, int64_t n) {
      if (so == 1)
        for (int64_t i = 0; i < n; ++i) out[at[0] + i] = v;
      else
        for (int64_t i = 0; i < n; ++i) out[at[0] + i * so] = v;
    });
  });
}

}  // namespace

void register_copy() {
  kernels::copy.set(DeviceType::cpu, copy_kernel);
  kernels::fill.set(DeviceType::cpu, fill_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
