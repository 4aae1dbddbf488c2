// Writes in place: copy_, fill_, arithmetic, compound assignment, and what they check.
#include "weft/autograd/in_place.h"

#include <cmath>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/core/fn/axes.h"
#include "weft/core/map.h"

namespace weft {
namespace {
/// Do two places of x name one element? Where the steps do not tell, the places are counted.
bool overlaps_itself(const Tensor& x) {
  if (x.is_contiguous() || x.numel() < 2) return false;
  const auto [apart, reach] = detail::steps_of(x.shape(), x.strides());
  if (apart) return false;
  if (x.numel() > reach + 1) return true;
  for (int i = 0; i < x.rank(); ++i)
    if (x.strides()[i] == 0 && x.shape()[i] > 1) return true;
  int order[kMaxRank];
  const int n = fn::memory_order(order, x.strides().data(), x.rank());
  std::vector<bool> seen(static_cast<size_t>(reach) + 1);
  int64_t at[kMaxRank] = {}, offset = 0;
  for (int64_t k = 0; k < x.numel(); ++k) {
    if (seen[static_cast<size_t>(offset)]) return true;
    seen[static_cast<size_t>(offset)] = true;
    for (int i = n - 1; i >= 0; --i) {
      const int64_t stride = x.strides()[order[i]];
      offset += stride;
      if (++at[i] < x.shape()[order[i]]) break;
      offset -= at[i] * stride;
      at[i] = 0;
    }
  }
  return false;
}

/// Bytes from the first element's to beyond the last one's.
std::pair<const char*, const char*> extent(const Tensor& x) {
  const char* begin = static_cast<const char*>(x.raw_data());
  int64_t reach = 1;
  for (int i = 0; i < x.rank(); ++i) reach += (x.shape()[i] - 1) * x.strides()[i];
  return {begin, begin + reach * static_cast<int64_t>(itemsize(x.dtype()))};
}

/// `from`, to be read while x is written: itself if each element of it is read where that very place is written, or if
/// they have no memory in common; else a copy. Its shape broadcasts to x's.
Tensor readable(const Tensor& from, const Tensor& x) {
  if (x.numel() == 0 || from.device() != x.device()) return from;
  const auto [a, a_end] = extent(from);
  const auto [b, b_end] = extent(x);
  if (a_end <= b || b_end <= a) return from;
  bool same = a == b && from.dtype() == x.dtype() && from.shape() == x.shape();
  for (int i = 0; same && i < x.rank(); ++i) same = x.shape()[i] == 1 || from.strides()[i] == x.strides()[i];
  return same ? from : from.detach().clone();
}

bool recorded(const Tensor& x, const Tensor* other = nullptr) {
  return grad_enabled() && (x.requires_grad() || (other && other->requires_grad()));
}
}  // namespace

detail::Steps detail::steps_of(const Shape& shape, const Strides& strides) {
  Steps s;
  int order[kMaxRank];
  for (int i = fn::memory_order(order, strides.data(), shape.size()) - 1; i >= 0; --i) {
    const int64_t size = shape[order[i]], stride = strides[order[i]];
    if (size <= 1) continue;
    s.apart = s.apart && stride > s.reach;
    s.reach += (size - 1) * stride;
  }
  return s;
}

void detail::check_in_place(const char* op, const Tensor& x, const Tensor* other) {
  check_defined(op, x);
  if (other) check_defined(op, *other);
  WEFT_CHECK(
      !recorded(x, other), Error, op, ": an in-place change of a tensor ", x.shape(),
      " that takes part in a graph cannot be recorded; use the form without the underscore, or do it under NoGrad");
  WEFT_CHECK(!overlaps_itself(x), ValueError, op, ": elements of the tensor ", x.shape(), " with strides ", x.strides(),
             " share memory (it was expanded or unfolded); clone() it first");
}
void detail::check_in_place_dtype(const char* op, Dtype x, bool y_floating, bool y_bool) {
  WEFT_CHECK(is_floating(x) || (!y_floating && (y_bool || x != Dtype::boolean)), DtypeError, op, ": a tensor of ", x,
             " cannot hold the result, ", y_floating ? "a real number" : "an integer",
             "; the out-of-place form gives a new tensor");
}
using detail::check_in_place;
using detail::check_in_place_dtype;

Tensor& Tensor::copy_(const Tensor& src) {
  check_in_place("copy_", *this, &src);
  Tensor from = src.shape() == shape() ? src.detach() : src.detach().expand(shape());
  from = from.device() != device() ? from.to(device()) : readable(from, *this);
  kernels::copy(device(), mut_ref(*this), ref(from));
  return *this;
}

Tensor& Tensor::fill_(Scalar value) {
  const OpName op("fill_");
  check_in_place(op, *this);
  detail::check_holds(op, value, dtype());
  kernels::fill(device(), mut_ref(*this), value);
  return *this;
}

namespace {
template <class F> void binary_in_place(const char* op, Tensor& x, const Tensor& y, const F& f) {
  check_in_place(op, x, &y);
  check_in_place_dtype(op, x.dtype(), y.is_floating(), y.dtype() == Dtype::boolean);
  Tensor o = y.dtype() == x.dtype() ? y : y.detach().to(x.dtype());
  WEFT_CHECK(broadcast_shapes(op, x.shape(), o.shape()) == x.shape(), ShapeError, op, ": ", o.shape(),
             " does not broadcast to the shape ", x.shape(), " that is written");
  kernels::detail::check_same_device(op, x, o);
  o = readable(o, x);
  ElementPlan plan;
  const Tensor* in[] = {&x, &o};
  make_plan(plan, x, in, 2);
  void* p = x.mut_raw_data();
  kernels::binary.of<F>()(x.device(), plan, p, p, o.raw_data(), x.dtype(), &f);
}
}  // namespace

Tensor& Tensor::add_(const Tensor& o, Scalar alpha) {
  const OpName op("add_");
  if (alpha.is_floating()) check_in_place_dtype(op, at().dtype, true, false);
  if (alpha.to_double() == 1) binary_in_place(op, *this, o, fn::Add{});
  else binary_in_place(op, *this, o, fn::AddScaled{alpha});
  return *this;
}
Tensor& Tensor::mul_(const Tensor& o) {
  binary_in_place("mul_", *this, o, fn::Mul{});
  return *this;
}
namespace {
// A number in x's dtype, once x can take it.
Tensor operand(const char* op, const Tensor& x, Scalar s) {
  check_defined(op, x);
  check_in_place_dtype(op, x.dtype(), s.is_floating(), s.is_bool());
  return detail::number(s, x.options());
}
}  // namespace

Tensor& Tensor::add_(Scalar s, Scalar alpha) { return add_(operand("add_", *this, s), alpha); }
Tensor& Tensor::mul_(Scalar s) { return mul_(operand("mul_", *this, s)); }
Tensor& TensorMethods::sub_(const Tensor& y, Scalar alpha) {
  const OpName op("sub_");
  Tensor& x = self();
  WEFT_CHECK(x.dtype(op) != Dtype::boolean, DtypeError, "bool has no subtraction; use logical_xor");
  if (alpha.is_floating()) check_in_place_dtype(op, x.dtype(), true, false);
  if (alpha.to_double() == 1) binary_in_place(op, x, y, fn::Sub{});
  else binary_in_place(op, x, y, fn::AddScaled{-alpha});
  return x;
}
Tensor& TensorMethods::sub_(Scalar y, Scalar alpha) { return sub_(operand("sub_", self(), y), alpha); }
Tensor& TensorMethods::div_(const Tensor& y) {
  const OpName op("div_");
  check_in_place_dtype(op, self().dtype(op), true, false);
  binary_in_place(op, self(), y, fn::Div{});
  return self();
}
Tensor& TensorMethods::div_(Scalar y) {
  const OpName op("div_");
  check_in_place_dtype(op, self().dtype(op), true, false);
  return div_(operand(op, self(), y));
}

namespace {
// A temporary is worth writing to only if something else sees its elements.
void check_seen(const char* op, const Tensor& x) {
  WEFT_CHECK(!x.is_unique(), ValueError, op, ": the left side is a temporary copy of shape ", x.shape("operator="),
             ", which nothing else sees; name the tensor that is to change, as in x.index_put_({mask}, y)");
}
// What `x op= y` names while it is recorded.
Tensor rebound(const char* op, const Tensor& x, Tensor result) {
  const char form = op[0];
  WEFT_CHECK(!x.is_leaf() || !x.requires_grad(), ValueError, op, ": the tensor ", x.shape(),
             " is a leaf that requires grad; write x = x ", form, " y for a new tensor, or change it under NoGrad");
  WEFT_CHECK(!x.impl()->is_view || x.impl()->storage.unique(), ValueError, op, ": the tensor ", x.shape(),
             " is a view, and what it views would not change while this is recorded; write x = x ", form,
             " y for a new tensor, or index_put for a changed copy of the whole");
  WEFT_CHECK(result.shape() == x.shape(), ShapeError, op, ": the result ", result.shape(), " does not have the shape ",
             x.shape(), "; write x = x ", form, " y");
  check_in_place_dtype(op, x.dtype(), result.is_floating(), result.dtype() == Dtype::boolean);
  return result.to(x.dtype());
}
void check_temporary(const char* op, const Tensor& x, const Tensor* y = nullptr) {
  check_defined(op, x);
  WEFT_CHECK(!recorded(x, y), ValueError, op, ": a temporary of shape ", x.shape(),
             " cannot be changed while this is recorded; write y = index_put(x, {...}, values), or do it under NoGrad");
  check_seen(op, x);
}
}  // namespace

Tensor& Tensor::operator+=(const Tensor& y) & {
  return recorded(*this, &y) ? *this = rebound("+=", *this, weft::add(*this, y)) : add_(y);
}
Tensor& Tensor::operator-=(const Tensor& y) & {
  return recorded(*this, &y) ? *this = rebound("-=", *this, weft::sub(*this, y)) : sub_(y);
}
Tensor& Tensor::operator*=(const Tensor& y) & {
  return recorded(*this, &y) ? *this = rebound("*=", *this, weft::mul(*this, y)) : mul_(y);
}
Tensor& Tensor::operator/=(const Tensor& y) & {
  return recorded(*this, &y) ? *this = rebound("/=", *this, weft::div(*this, y)) : div_(y);
}
Tensor& Tensor::operator+=(Scalar y) & {
  return recorded(*this) ? *this = rebound("+=", *this, weft::add(*this, y)) : add_(y);
}
Tensor& Tensor::operator-=(Scalar y) & {
  return recorded(*this) ? *this = rebound("-=", *this, weft::sub(*this, y)) : sub_(y);
}
Tensor& Tensor::operator*=(Scalar y) & {
  return recorded(*this) ? *this = rebound("*=", *this, weft::mul(*this, y)) : mul_(y);
}
Tensor& Tensor::operator/=(Scalar y) & {
  return recorded(*this) ? *this = rebound("/=", *this, weft::div(*this, y)) : div_(y);
}
void Tensor::operator+=(const Tensor& y) && { check_temporary("+=", *this, &y), add_(y); }
void Tensor::operator-=(const Tensor& y) && { check_temporary("-=", *this, &y), sub_(y); }
void Tensor::operator*=(const Tensor& y) && { check_temporary("*=", *this, &y), mul_(y); }
void Tensor::operator/=(const Tensor& y) && { check_temporary("/=", *this, &y), div_(y); }
void Tensor::operator+=(Scalar y) && { check_temporary("+=", *this), add_(y); }
void Tensor::operator-=(Scalar y) && { check_temporary("-=", *this), sub_(y); }
void Tensor::operator*=(Scalar y) && { check_temporary("*=", *this), mul_(y); }
void Tensor::operator/=(Scalar y) && { check_temporary("/=", *this), div_(y); }

void Tensor::operator=(const Tensor& y) && { check_temporary("=", *this, &y), copy_(y); }
void Tensor::assign(Scalar y) { check_temporary("=", *this), fill_(y); }

}  // namespace weft
