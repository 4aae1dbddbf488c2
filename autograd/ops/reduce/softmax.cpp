#include "weft/autograd/ops/reduce/softmax.h"

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"

namespace weft {
namespace {
using namespace detail;

Tensor softmax_op(const char* name, const Tensor& in, int64_t dim_in, std::optional<Dtype> dtype, bool log) {
  check_defined(name, in);
  Tensor x = dtype ? cast(in, *dtype) : autocast(CastPolicy::fp32, in);
  WEFT_CHECK(x.is_floating(), DtypeError, name, ": expects a floating dtype, got ", x.dtype(),
             "; give a floating dtype");
  const int dim = wrap_dim(name, dim_in, x.rank());
  Tensor y = empty_like(x);
  kernels::softmax(x.device(), mut_ref(y), ref(x), dim, log);
  if (!recording(x)) return unrecorded(name, std::move(y));
  return record(name, y, {x}, [y = Saved::output(y), dim, log](BackwardCtx& c) -> Grads {
    Tensor p = c.get(y);
    const Tensor& g = c.grad();
    if (!c.create_graph()) {
      Tensor r = empty_like(p);
      kernels::softmax_grad(p.device(), mut_ref(r), ref(g), ref(p), dim, log);
      return {r};
    }
    if (log) return {g - exp(p) * sum(g, dim, true)};
    Tensor gp = g * p;
    return {gp - p * sum(gp, dim, true)};
  });
}
}  // namespace

Tensor softmax(const Tensor& x, Int dim, std::optional<Dtype> dtype) {
  return softmax_op("softmax", x, dim, dtype, false);
}
Tensor softmin(const Tensor& x, Int dim, std::optional<Dtype> dtype) {
  const OpName op("softmin");
  return softmax(neg(x), dim, dtype);
}
Tensor log_softmax(const Tensor& x, Int dim, std::optional<Dtype> dtype) {
  return softmax_op("log_softmax", x, dim, dtype, true);
}

}  // namespace weft
