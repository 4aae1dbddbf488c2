// Kernels that make indices or one-hot rows, and the report of a bad index.
#include <cstring>

#include "weft/backends/cpu/index_error.h"
#include "weft/backends/cpu/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu {

void bad_index(const char* op, int64_t value, int64_t dim, int64_t size) {
  raise<ValueError>(op, ": index ", value, " is out of range for axis ", dim, " of size ", size);
}

void bad_target(const TensorRef& target, int64_t classes, int64_t ignore_index) {
  Shape shape;
  for (int i = 0; i < target.rank; ++i) shape.push_back(target.shape[i]);
  raise_target("cross_entropy", target.as<int64_t>(), shape, classes, ignore_index);
}

namespace {

// Calls use(coordinates) for every element that is not zero, in row-major order.
template <class F> void for_each_nonzero(const TensorRef& x, const F& use) {
  dispatch_all(x.dtype, "nonzero", [&]<class T> {
    const T* data = x.as<T>();
    int64_t index[kMaxRank] = {}, at = 0;
    for (int64_t k = 0; k < x.numel; ++k) {
      if (static_cast<compute_t<T>>(data[at]) != compute_t<T>(0)) use(index);
      for (int i = x.rank - 1; i >= 0; --i) {
        at += x.strides[i];
        if (++index[i] < x.shape[i]) break;
        at -= index[i] * x.strides[i];
        index[i] = 0;
      }
    }
  });
}

void count_nonzero_kernel(const MutTensorRef& count, const TensorRef& x) {
  int64_t n = 0;
  for_each_nonzero(x, [&](const int64_t*) { ++n; });
  *count.as_mut<int64_t>() = n;
}

void nonzero_kernel(const MutTensorRef& out, const TensorRef& x) {
  int64_t* y = out.as_mut<int64_t>();
  for_each_nonzero(x, [&](const int64_t* index) {
    for (int i = 0; i < x.rank; ++i) *y++ = index[i];
  });
}

void one_hot_kernel(const MutTensorRef& out, const TensorRef& index) {
  if (index.numel == 0) return;
  const int64_t classes = out.size(-1);
  int64_t* y = out.as_mut<int64_t>();
  std::memset(y, 0, static_cast<size_t>(out.numel) * sizeof(int64_t));
  dispatch_index(index.dtype, "one_hot", [&]<class I> {
    const I* in = index.as<I>();
    for (int64_t k = 0; k < index.numel; ++k) {
      if (in[k] < 0 || in[k] >= classes)
        raise<ValueError>("one_hot: class ", int64_t{in[k]}, " is out of range for ", classes, " classes");
      y[k * classes + in[k]] = 1;
    }
  });
}

void refuse_any_kernel(const TensorRef& bad, const char* op, const char* what) {
  const bool* v = bad.as<bool>();
  if (std::find(v, v + bad.numel, true) != v + bad.numel) raise<ValueError>(op, ": ", what);
}

}  // namespace

void register_index() {
  kernels::count_nonzero.set(DeviceType::cpu, count_nonzero_kernel);
  kernels::nonzero.set(DeviceType::cpu, nonzero_kernel);
  kernels::one_hot.set(DeviceType::cpu, one_hot_kernel);
  kernels::refuse_any.set(DeviceType::cpu, refuse_any_kernel);
}

}  // namespace weft::cpu
