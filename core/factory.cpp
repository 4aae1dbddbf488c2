#include "weft/core/factory.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "weft/core/backend.h"
#include "weft/core/kernels.h"
#include "weft/core/tensor_ref.h"

namespace weft {
namespace {

std::atomic<Dtype> g_default_dtype{Dtype::f32};

Tensor make(const Shape& shape, const Strides& strides, int64_t elements, const TensorOptions& o) {
  auto storage = make_ref<Storage>(static_cast<size_t>(elements) * itemsize(o.dtype()), o.device());
  return Tensor(make_ref<TensorImpl>(std::move(storage), shape, strides, 0, o.dtype()));
}

/// y as the options want it at the end.
Tensor finished(Tensor y, const TensorOptions& o) {
  if (o.requires_grad()) y.set_requires_grad();
  return y;
}

Dtype natural_dtype(const Scalar& v) {
  return v.is_bool() ? Dtype::boolean : v.is_integer() ? Dtype::i64 : default_dtype();
}

Tensor filled(const Shape& shape, Scalar value, const TensorOptions& o) {
  Tensor y = empty(shape, o);
  if (y.numel() == 1 && o.device().type == DeviceType::cpu) {  // scalars of expressions: no kernel call
    void* p = y.mut_raw_data();
    dispatch_all(o.dtype(), "full", [&]<class T> { *static_cast<T*>(p) = value.to<T>(); });
  } else {
    kernels::fill(o.device(), mut_ref(y), value);
  }
  return finished(y, o);
}

}  // namespace

Dtype default_dtype() { return g_default_dtype.load(std::memory_order_relaxed); }
void set_default_dtype(Dtype dtype) {
  WEFT_CHECK(is_floating(dtype), DtypeError, "set_default_dtype: ", dtype, " is not floating");
  g_default_dtype.store(dtype, std::memory_order_relaxed);
}

Tensor empty(const Shape& shape, const TensorOptions& o, MemoryFormat format) {
  int64_t n = checked_numel("empty", shape);
  const bool last = format == MemoryFormat::channels_last;
  return finished(make(shape, last ? channels_last_strides(shape) : contiguous_strides(shape), n, o), o);
}

int64_t detail::strided_extent(const char* op, const Shape& shape, const Strides& strides) {
  int64_t last = 0;
  for (int i = 0; i < shape.size(); ++i) {
    WEFT_CHECK(strides[i] >= 0, ValueError, op, ": negative stride in ", strides);
    int64_t reach = 0;
    WEFT_CHECK(!__builtin_mul_overflow(std::max<int64_t>(shape[i] - 1, 0), strides[i], &reach) &&
                   !__builtin_add_overflow(last, reach, &last) && last < kTooManyElements,
               ShapeError, op, ": shape ", shape, " with strides ", strides, " takes too much memory");
  }
  return checked_numel(op, shape) ? last + 1 : 0;
}

Tensor empty_strided(const Shape& shape, const Strides& strides, const TensorOptions& o) {
  WEFT_CHECK(shape.size() == strides.size(), ShapeError, "empty_strided: shape ", shape, " and strides ", strides,
             " differ in length");
  return finished(make(shape, strides, detail::strided_extent("empty_strided", shape, strides), o), o);
}

TensorOptions detail::options_like(const Tensor& x, const TensorOptions& o) {
  return TensorOptions(o.dtype_or(x.dtype()), o.device_or(x.device())).requires_grad(o.requires_grad());
}

Tensor empty_like(const Tensor& x, const TensorOptions& options) {
  const OpName op("empty_like");
  const TensorOptions o = detail::options_like(x, options);
  if (x.is_contiguous() || !x.is_dense()) return empty(x.shape(), o);
  return finished(make(x.shape(), x.strides(), x.numel(), o), o);
}

Tensor full(const Shape& shape, Scalar value, const TensorOptions& o) {
  const OpName op("full");
  const TensorOptions to = o.dtype(o.dtype_or(natural_dtype(value)));
  detail::check_holds(op, value, to.dtype());
  return filled(shape, value, to);
}
Tensor detail::number(Scalar value, const TensorOptions& o) { return filled({}, value, o); }
Tensor zeros(const Shape& shape, const TensorOptions& o) {
  const OpName op("zeros");
  return filled(shape, 0, o);
}
Tensor ones(const Shape& shape, const TensorOptions& o) {
  const OpName op("ones");
  return filled(shape, 1, o);
}
Tensor full_like(const Tensor& x, Scalar value, const TensorOptions& o) {
  const OpName op("full_like");
  detail::check_holds(op, value, o.dtype_or(x.dtype()));
  Tensor y = empty_like(x, o);
  kernels::fill(y.device(), mut_ref(y), value);
  return y;
}
Tensor zeros_like(const Tensor& x, const TensorOptions& o) {
  const OpName op("zeros_like");
  return full_like(x, 0, o);
}
Tensor ones_like(const Tensor& x, const TensorOptions& o) {
  const OpName op("ones_like");
  return full_like(x, 1, o);
}
Tensor Tensor::new_empty(const Shape& shape, const TensorOptions& o) const {
  const OpName op("new_empty");
  return empty(shape, detail::options_like(*this, o));
}
Tensor Tensor::new_zeros(const Shape& shape, const TensorOptions& o) const {
  const OpName op("new_zeros");
  return zeros(shape, detail::options_like(*this, o));
}
Tensor Tensor::new_ones(const Shape& shape, const TensorOptions& o) const {
  const OpName op("new_ones");
  return ones(shape, detail::options_like(*this, o));
}
Tensor Tensor::new_full(const Shape& shape, Scalar value, const TensorOptions& o) const {
  const OpName op("new_full");
  return full(shape, value, detail::options_like(*this, o));
}

Tensor scalar(Scalar v) { return full({}, v); }
Tensor scalar(Scalar v, const TensorOptions& o) { return full({}, v, o); }

namespace detail {
void check_holds(const char* op, Scalar value, Dtype dtype) {
  dispatch_all(dtype, op, [&]<class T> { (void)fitting<T>(op, value); });
}

void check_all_hold(const char* op, const Tensor& x, Dtype dtype) {
  // f16 alone does not reach as far as integers do
  const bool wider = promote(x.dtype(), dtype) == dtype && (dtype != Dtype::f16 || x.is_floating());
  if (wider || dtype == Dtype::boolean) return;
  const auto check = [&]<class From> {
    const Tensor values = x.detach().to(Device()).to(dtype_v<From>).contiguous();
    const std::span<const From> list(values.data<From>(), static_cast<size_t>(values.numel()));
    dispatch_all(dtype, op, [&]<class T> {
      for (From v : list) (void)fitting<T>(op, v);
    });
  };
  if (x.is_floating()) check.template operator()<double>();
  else check.template operator()<int64_t>();
}

Tensor from_host(const void* data, int64_t count, Dtype dtype, const Shape& shape, const TensorOptions& o) {
  WEFT_CHECK(checked_numel("tensor", shape) == count, ShapeError, "tensor: ", count, " values do not fill shape ",
             shape);
  Tensor y = empty(shape, dtype);
  std::copy_n(static_cast<const char*>(data), y.nbytes(), static_cast<char*>(y.mut_raw_data()));
  check_all_hold("tensor", y, o.dtype_or(dtype));
  return finished(y.to(o.dtype_or(dtype)).to(o.device()), o);
}

// Built on the host in f64 or i64 and converted once: exact, and the same on every device.
template <class T, class F> Tensor from_function(int64_t n, const Shape& shape, const TensorOptions& o, F f) {
  Tensor y = empty(shape, dtype_v<T>);
  T* p = y.mut_data<T>();
  for (int64_t i = 0; i < n; ++i) p[i] = f(i);
  return finished(y.to(o.dtype()).to(o.device()), o);
}
}  // namespace detail

Tensor arange(Scalar start, Scalar stop, Scalar step, const TensorOptions& options) {
  const OpName op("arange");
  WEFT_CHECK(step.to_double() != 0, ValueError, "step must not be 0");
  double span = (stop.to_double() - start.to_double()) / step.to_double();
  WEFT_CHECK(span >= 0 && span < 1e15, ValueError, "from ", start, " to ", stop, " in steps of ", step, " has no end");
  const bool integers = !start.is_floating() && !stop.is_floating() && !step.is_floating();
  const TensorOptions o = options.dtype(options.dtype_or(integers ? Dtype::i64 : default_dtype()));
  if (integers) {
    const int64_t a = start.to_int64(), s = step.to_int64();
    const auto from = static_cast<uint64_t>(a), to = static_cast<uint64_t>(stop.to_int64()),
               by = static_cast<uint64_t>(s), span_ = s > 0 ? to - from : from - to, step_ = s > 0 ? by : -by;
    const auto n = static_cast<int64_t>(span_ / step_ + (span_ % step_ != 0 ? 1 : 0));
    return detail::from_function<int64_t>(
        n, {n}, o, [=](int64_t i) { return static_cast<int64_t>(from + static_cast<uint64_t>(i) * by); });
  }
  int64_t n = static_cast<int64_t>(std::ceil(span));
  return detail::from_function<double>(
      n, {n}, o, [a = start.to_double(), s = step.to_double()](int64_t i) { return a + static_cast<double>(i) * s; });
}
Tensor arange(Scalar start, Scalar stop, Scalar step) { return arange(start, stop, step, TensorOptions()); }
Tensor arange(Scalar start, Scalar stop, const TensorOptions& o) { return arange(start, stop, 1, o); }
Tensor arange(Scalar stop) { return arange(0, stop); }
Tensor arange(Scalar stop, const TensorOptions& o) { return arange(0, stop, 1, o); }

Tensor linspace(double start, double stop, Int steps, const TensorOptions& o) {
  const OpName op("linspace");
  WEFT_CHECK(steps >= 0, ValueError, "steps must not be negative, got ", steps);
  return detail::from_function<double>(steps, {steps}, o, [=](int64_t i) {
    double step = steps > 1 ? (stop - start) / static_cast<double>(steps - 1) : 0;
    return 2 * i < steps ? start + step * static_cast<double>(i) : stop - step * static_cast<double>(steps - 1 - i);
  });
}

Tensor eye(Int n, Only<int64_t> columns, const TensorOptions& o) {
  int64_t m = columns;
  const OpName op("eye");
  WEFT_CHECK(m >= -1, ValueError, "m must not be negative, got ", m);
  if (m < 0) m = n;
  Tensor y = zeros({n, m}, TensorOptions(o.dtype()));
  int64_t count = std::min<int64_t>(n, m);
  dispatch_all(o.dtype(), op, [&]<class T> {
    T* p = y.mut_data<T>();
    for (int64_t i = 0; i < count; ++i) p[i * m + i] = Scalar(1).to<T>();
  });
  return finished(y.to(o.device()), o);
}

Tensor from_blob(void* data, const Shape& shape, const Strides& strides, const TensorOptions& o,
                 std::function<void()> release) {
  const int64_t n = checked_numel("from_blob", shape);
  WEFT_CHECK(shape.size() == strides.size(), ShapeError, "from_blob: shape ", shape, " and strides ", strides,
             " differ in length");
  WEFT_CHECK(data || n == 0, ValueError, "from_blob: the pointer is null, but shape ", shape, " has ", n, " elements");
  const int64_t elements = detail::strided_extent("from_blob", shape, strides);
  auto storage = make_ref<Storage>(data, static_cast<size_t>(elements) * itemsize(o.dtype()), o.device(),
                                   std::move(release));
  return finished(Tensor(make_ref<TensorImpl>(std::move(storage), shape, strides, 0, o.dtype())), o);
}
Tensor from_blob(void* data, const Shape& shape, const TensorOptions& o, std::function<void()> release) {
  (void)checked_numel("from_blob", shape);
  return from_blob(data, shape, contiguous_strides(shape), o, std::move(release));
}

}  // namespace weft
