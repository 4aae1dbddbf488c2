#include "weft/autograd/ops/reduce/statistics.h"

#include <algorithm>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/refuse.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft {

StdMean std_mean(const Tensor& x, const DimList& dims, const VarOptions& o) {
  const OpName op("std_mean");
  return {std(x, dims, o), mean(x, dims, o.keepdim)};
}

VarMean var_mean(const Tensor& x, const DimList& dims, const VarOptions& o) {
  const OpName op("var_mean");
  return {var(x, dims, o), mean(x, dims, o.keepdim)};
}

MinMax aminmax(const Tensor& x, std::optional<Int> dim, Only<bool> keepdim) {
  const OpName op("aminmax");
  const DimList dims = dim ? DimList(*dim) : DimList();
  return {amin(x, dims, keepdim), amax(x, dims, keepdim)};
}

namespace {

// One weight per observation, none negative.
void check_weights(const char* what, const Tensor& w, const Tensor& x, int64_t observations) {
  WEFT_CHECK(w.rank() <= 1 && w.numel() == observations, ShapeError, what, " is ", w.shape(), " for ", observations,
             " observations");
  WEFT_CHECK(w.device() == x.device(), DeviceError, what, " is on ", w.device(), ", x on ", x.device());
  detail::refuse_any("cov", lt(w.detach(), 0), str(what, " has a negative element").c_str());
}

}  // namespace

Tensor cov(const Tensor& x, const CovOptions& o) {
  const OpName op("cov");
  WEFT_CHECK(x.rank() <= 2, ShapeError, "expects at most 2 dimensions, got ", x.shape());
  WEFT_CHECK(x.dtype() != Dtype::boolean, DtypeError, "not defined for bool; convert with to(dtype)");
  Dtype dtype = x.is_floating() ? x.dtype() : default_dtype();
  if (o.aweights.defined()) dtype = promote(dtype, o.aweights.dtype());
  const Dtype wide = compute_dtype(dtype);
  const Tensor rows = (x.rank() < 2 ? x.reshape({1, x.numel()}) : x).to(wide);
  const int64_t n = rows.size(1);
  Tensor w;
  if (o.fweights.defined()) {
    WEFT_CHECK(!o.fweights.is_floating() && o.fweights.dtype() != Dtype::boolean, DtypeError, "fweights is ",
               o.fweights.dtype(), "; expected integers");
    check_weights("fweights", o.fweights, x, n);
    w = o.fweights.reshape({n}).to(wide);
  }
  Tensor importance;
  if (o.aweights.defined()) {
    WEFT_CHECK(o.aweights.is_floating(), DtypeError, "aweights is ", o.aweights.dtype(), "; expected a floating dtype");
    check_weights("aweights", o.aweights, x, n);
    importance = o.aweights.reshape({n}).to(wide);
    w = w.defined() ? w * importance : importance;
  }
  // Twice: far from zero the first mean is rounded by as much as the rows differ.
  const auto centred = [](const Tensor& r, const auto& mean_of) {
    const Tensor d = r - mean_of(r);
    return d - mean_of(d);
  };
  Tensor c;
  if (!w.defined()) {
    const Tensor d = centred(rows, [](const Tensor& r) { return mean(r, 1, true); });
    c = mm(d, d.t()) / std::max(0.0, static_cast<double>(n) - o.correction);
  } else {
    const Tensor total = sum(w);
    detail::refuse_any(op, eq(total.detach(), 0), "the weights sum to 0");
    const Tensor d = centred(rows, [&](const Tensor& r) { return sum(r * w, 1, true) / total; });
    const Tensor less = importance.defined() ? sum(w * importance) / total * o.correction
                                             : detail::number(o.correction, w.options());
    c = mm(d, (d * w).t()) / clamp(total - less, 0);
  }
  return c.squeeze().to(dtype);
}

Tensor corrcoef(const Tensor& x) {
  const OpName op("corrcoef");
  const Tensor c = cov(x.to(compute_dtype(x.dtype())));
  const Dtype dtype = x.is_floating() ? x.dtype() : c.dtype();
  if (c.rank() == 0) return (c / c).to(dtype);
  const Tensor deviation = sqrt(c.diagonal());
  return clamp(c / deviation.unsqueeze(1) / deviation.unsqueeze(0), -1, 1).to(dtype);
}

Tensor diff(const Tensor& x, Int n, Int dim, const DiffOptions& o) {
  const OpName op("diff");
  WEFT_CHECK(x.rank() > 0, ShapeError, "a rank-0 tensor has no neighbours");
  WEFT_CHECK(n >= 0, ValueError, "n must not be negative, got ", n);
  const int d = wrap_dim(op, dim, x.rank());
  std::vector<Tensor> parts;
  for (const Tensor& part : {o.prepend, x, o.append}) {
    if (!part.defined()) continue;
    WEFT_CHECK(part.rank() == x.rank(), ShapeError, "prepend and append must have the rank of ", x.shape(), ", got ",
               part.shape());
    parts.push_back(part);
  }
  Tensor y = parts.size() == 1 ? x : cat(parts, d);
  for (int64_t i = 0, steps = std::min<int64_t>(n, y.size(d)); i < steps; ++i) {
    const int64_t left = y.size(d) - 1;
    const Tensor next = y.narrow(d, 1, left), at = y.narrow(d, 0, left);
    y = y.dtype() == Dtype::boolean ? logical_xor(next, at) : next - at;
  }
  return y.is_same(x) ? x.clone() : y;
}

namespace {

void check_integrand(const Tensor& t, const char* what) {
  WEFT_CHECK(t.dtype() != Dtype::boolean, DtypeError, what, " is bool; convert with to(dtype)");
}

}  // namespace

Tensor trapezoid(const Tensor& y, double dx, Int dim) {
  const OpName op("trapezoid");
  WEFT_CHECK(y.rank() > 0, ShapeError, "a rank-0 tensor has no axis to integrate along");
  check_integrand(y, "y");
  const int d = wrap_dim(op, dim, y.rank());
  if (y.size(d) == 0) return sum(y, d, false, y.dtype());
  const int64_t n = y.size(d) - 1;
  return sum(y.narrow(d, 1, n) + y.narrow(d, 0, n), d) * (dx / 2);
}

Tensor trapezoid(const Tensor& y, const Tensor& x, Int dim) {
  const OpName op("trapezoid");
  check_defined(op, y, x);
  WEFT_CHECK(y.rank() > 0 && x.rank() > 0, ShapeError, "a rank-0 tensor has no axis to integrate along");
  check_integrand(y, "y");
  check_integrand(x, "x");
  const int d = wrap_dim(op, dim, y.rank());
  if (y.size(d) == 0) return sum(y, d, false, y.dtype());
  Tensor at = x;
  if (x.rank() == 1) {
    WEFT_CHECK(x.size(0) == y.size(d), ShapeError, x.size(0), " places for ", y.size(d), " values");
    Shape line = Shape::filled(y.rank(), 1);
    line[d] = x.size(0);
    at = x.reshape(line);
  } else if (x.rank() < y.rank()) {
    Shape shape = x.shape();
    while (shape.rank() < y.rank()) shape.insert(0, 1);
    at = x.reshape(shape);
  }
  const int e = wrap_dim(op, dim, at.rank());
  WEFT_CHECK(at.size(e) > 0, ShapeError, "x ", x.shape(), " has no places along axis ", e);
  const int64_t n = y.size(d) - 1, m = at.size(e) - 1;
  const Tensor steps = at.narrow(e, 1, m) - at.narrow(e, 0, m);
  return sum((y.narrow(d, 1, n) + y.narrow(d, 0, n)) * steps, dim) / 2.0;
}

Tensor renorm(const Tensor& x, double p, Int dim, double maxnorm) {
  const OpName op("renorm");
  WEFT_CHECK(x.rank() >= 2, ShapeError, "expects at least 2 dimensions, got ", x.shape());
  WEFT_CHECK(p > 0, ValueError, "p must be positive, got ", p);
  WEFT_CHECK(maxnorm >= 0, ValueError, "maxnorm must not be negative, got ", maxnorm);
  const int d = wrap_dim(op, dim, x.rank());
  Shape others;
  for (int i = 0; i < x.rank(); ++i)
    if (i != d) others.push_back(i);
  const Tensor wide = x.to(compute_dtype(x.dtype())), norms = vector_norm(wide, p, others, true);
  return (wide * where(gt(norms, maxnorm), maxnorm / (norms + 1e-7), 1)).to(x.dtype());
}

}  // namespace weft
