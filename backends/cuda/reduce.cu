#include "weft/backends/cuda/reduce.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/dense_copy.h"
#include "weft/core/kernels.h"

namespace weft::cuda {
namespace {

template <class F> void reduce(const MutTensorRef& out, const TensorRef& x, uint32_t dims, const void* functor) {
  const F& f = *static_cast<const F*>(functor);
  // predicates look at x as it is; the others compute in the result's dtype
  const Dtype c = compute_dtype(fn::Predicate<F> ? x.dtype : out.dtype);
  const auto run = [&](const TensorRef& from) {
    dispatch_reduce(from.dtype, [&]<class C> {
      if constexpr (std::is_same_v<C, int64_t> && F::domain == fn::Domain::floating)
        weft::detail::bad_dtype(from.dtype, F::name, fn::dtypes_of<F>());
      else run_reduce_functor<F, C>(out, from, dims, f);
    });
  };
  if (compute_dtype(x.dtype) == c || (is_integral(x.dtype) && is_integral(c))) return run(x);
  if (c == Dtype::f64 && is_floating(x.dtype)) return run_reduce_functor<F, double>(out, x, dims, f);
  // Another dtype was asked for: convert first.
  const Scratch memory(static_cast<size_t>(x.numel) * itemsize(c));
  const Strides strides = contiguous_strides(shape_of(x));
  const MutTensorRef converted = mut_ref(memory.as<>(), c, x.shape, strides.data(), x.rank);
  if (x.numel > 0) kernels::copy.get(DeviceType::cuda)(converted, x);
  run(converted);
}

void arg_extreme(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim, bool largest) {
  dispatch_reduce(x.dtype, [&]<class C> { run_arg_extreme<C>(values, indices, x, dim, largest); });
}

}  // namespace

void register_reduce() {
  fn::ReduceOps::for_each([]<class F> { kernels::reduce.of<F>().set(DeviceType::cuda, reduce<F>); });
  kernels::arg_extreme.set(DeviceType::cuda, arg_extreme);
}

}  // namespace weft::cuda
