// Random tensors: each reserves what it draws of a generator and lets a kernel fill it.
#include <limits>
#include <numeric>

#include "weft/core/draw.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

using detail::blocks;
using detail::choose;

Tensor fill_uniform(Tensor y, Generator* g) {
  WEFT_CHECK(y.is_floating(), DtypeError, "dtype ", y.dtype(),
             " is not supported here; expected a floating one, or use randint");
  kernels::uniform(y.device(), mut_ref(y), choose(g).reserve(blocks(y.numel(), y.dtype() == Dtype::f64)), 0, 1);
  return y;
}

Tensor fill_normal(Tensor y, Generator* g) {
  WEFT_CHECK(y.is_floating(), DtypeError, "dtype ", y.dtype(), " is not supported here; expected a floating one");
  kernels::normal(y.device(), mut_ref(y), choose(g).reserve(blocks(y.numel(), y.dtype() == Dtype::f64)), 0, 1);
  return y;
}

}  // namespace

Tensor rand(const Shape& shape, const TensorOptions& o, Generator* g) {
  const OpName op("rand");
  return fill_uniform(empty(shape, o), g);
}
Tensor randn(const Shape& shape, const TensorOptions& o, Generator* g) {
  const OpName op("randn");
  return fill_normal(empty(shape, o), g);
}
Tensor rand_like(const Tensor& x, const TensorOptions& o, Generator* g) {
  const OpName op("rand_like");
  return fill_uniform(empty_like(x, o), g);
}
Tensor randn_like(const Tensor& x, const TensorOptions& o, Generator* g) {
  const OpName op("randn_like");
  return fill_normal(empty_like(x, o), g);
}
Tensor randint_like(const Tensor& x, Int low, Int high, const TensorOptions& o, Generator* g) {
  const OpName op("randint_like");
  return randint(low, high, x.shape(), detail::options_like(x, o), g);
}

Tensor randint(Int low, Int high, const Shape& shape, const TensorOptions& options, Generator* g) {
  const OpName op("randint");
  const TensorOptions o = options.dtype(options.dtype_or(Dtype::i64));
  WEFT_CHECK(low < high, ValueError, "the range [", low, ", ", high, ") is empty");
  dispatch_all(o.dtype(), op, [&]<class T> {
    if constexpr (std::is_integral_v<T>)
      WEFT_CHECK(low >= static_cast<int64_t>(std::numeric_limits<T>::min()) &&
                     high - 1 <= static_cast<int64_t>(std::numeric_limits<T>::max()),
                 ValueError, "the range [", low, ", ", high, ") does not fit ", o.dtype());
  });
  Tensor y = empty(shape, o);
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  const bool wide = range > (uint64_t{1} << 32);
  kernels::randint(y.device(), mut_ref(y), choose(g).reserve(blocks(y.numel(), wide)), low, range);
  return y;
}

Tensor randperm(Int n, const TensorOptions& o, Generator* g) {
  const OpName op("randperm");
  WEFT_CHECK(n >= 0, ValueError, "n must not be negative, got ", n);
  const Dtype dtype = o.dtype_or(Dtype::i64);
  for (int64_t last : {n - 1, n - 2})  // of two neighbours one is odd
    WEFT_CHECK(n < 2 || dtype == Dtype::i64 || full({}, last, Dtype::i64).to(dtype).item<int64_t>() == last, ValueError,
               dtype, " cannot hold the numbers below ", n);
  Tensor y = empty({n}, Dtype::i64);
  auto* p = y.mut_data<int64_t>();
  std::iota(p, p + n, int64_t{0});
  Generator& from = choose(g);
  for (int64_t i = n - 1; i > 0; --i) std::swap(p[i], p[from.below(static_cast<uint64_t>(i) + 1)]);
  y = y.to(dtype).to(o.device());
  return o.requires_grad() ? y.set_requires_grad() : y;
}

}  // namespace weft
