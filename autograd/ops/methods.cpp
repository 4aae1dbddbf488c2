// The members of Tensor that are ops (core/tensor_methods.h): each is the free function, or writes the function's
// result here.
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/in_place.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/bitwise.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/special.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/index/index_write.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce/order_statistics.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/autograd/ops/reduce/search.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/autograd/ops/reduce/statistics.h"
#include "weft/autograd/ops/shape/as_strided.h"
#include "weft/autograd/ops/shape/diagonal.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/ops/shape/stack.h"

namespace weft {

using Methods = TensorMethods;
using Dim = std::optional<Int>;
using Type = std::optional<Dtype>;

Tensor Methods::add(const Tensor& y, Scalar alpha) const { return weft::add(self(), y, alpha); }
Tensor Methods::add(Scalar y, Scalar alpha) const { return weft::add(self(), y, alpha); }
Tensor Methods::sub(const Tensor& y, Scalar alpha) const { return weft::sub(self(), y, alpha); }
Tensor Methods::sub(Scalar y, Scalar alpha) const { return weft::sub(self(), y, alpha); }
Tensor Methods::mul(const Tensor& y) const { return weft::mul(self(), y); }
Tensor Methods::mul(Scalar y) const { return weft::mul(self(), y); }
Tensor Methods::div(const Tensor& y) const { return weft::div(self(), y); }
Tensor Methods::div(Scalar y) const { return weft::div(self(), y); }
Tensor Methods::div(const Tensor& y, const Choice<RoundingMode>& rounding_mode) const {
  return weft::div(self(), y, rounding_mode);
}
Tensor Methods::div(Scalar y, const Choice<RoundingMode>& rounding_mode) const {
  return weft::div(self(), y, rounding_mode);
}
Tensor Methods::floor_divide(const Tensor& y) const { return weft::floor_divide(self(), y); }
Tensor Methods::floor_divide(Scalar y) const { return weft::floor_divide(self(), y); }
Tensor Methods::pow(const Tensor& y) const { return weft::pow(self(), y); }
Tensor Methods::pow(Scalar y) const { return weft::pow(self(), y); }
Tensor Methods::fmod(const Tensor& y) const { return weft::fmod(self(), y); }
Tensor Methods::fmod(Scalar y) const { return weft::fmod(self(), y); }
Tensor Methods::remainder(const Tensor& y) const { return weft::remainder(self(), y); }
Tensor Methods::remainder(Scalar y) const { return weft::remainder(self(), y); }
Tensor Methods::maximum(const Tensor& y) const { return weft::maximum(self(), y); }
Tensor Methods::minimum(const Tensor& y) const { return weft::minimum(self(), y); }
Tensor Methods::atan2(const Tensor& x) const { return weft::atan2(self(), x); }
Tensor Methods::lerp(const Tensor& end, const Tensor& weight) const { return weft::lerp(self(), end, weight); }
Tensor Methods::lerp(const Tensor& end, double weight) const { return weft::lerp(self(), end, weight); }
Tensor Methods::addcmul(const Tensor& a, const Tensor& b, Scalar value) const {
  return weft::addcmul(self(), a, b, value);
}
Tensor Methods::addcdiv(const Tensor& a, const Tensor& b, Scalar value) const {
  return weft::addcdiv(self(), a, b, value);
}
Tensor Methods::where(const Tensor& condition, const Tensor& y) const { return weft::where(condition, self(), y); }
Tensor Methods::where(const Tensor& condition, Scalar y) const { return weft::where(condition, self(), y); }

Tensor Methods::eq(const Tensor& y) const { return weft::eq(self(), y); }
Tensor Methods::eq(Scalar y) const { return weft::eq(self(), y); }
Tensor Methods::ne(const Tensor& y) const { return weft::ne(self(), y); }
Tensor Methods::ne(Scalar y) const { return weft::ne(self(), y); }
Tensor Methods::lt(const Tensor& y) const { return weft::lt(self(), y); }
Tensor Methods::lt(Scalar y) const { return weft::lt(self(), y); }
Tensor Methods::le(const Tensor& y) const { return weft::le(self(), y); }
Tensor Methods::le(Scalar y) const { return weft::le(self(), y); }
Tensor Methods::gt(const Tensor& y) const { return weft::gt(self(), y); }
Tensor Methods::gt(Scalar y) const { return weft::gt(self(), y); }
Tensor Methods::ge(const Tensor& y) const { return weft::ge(self(), y); }
Tensor Methods::ge(Scalar y) const { return weft::ge(self(), y); }
Tensor Methods::logical_and(const Tensor& y) const { return weft::logical_and(self(), y); }
Tensor Methods::logical_or(const Tensor& y) const { return weft::logical_or(self(), y); }
Tensor Methods::logical_xor(const Tensor& y) const { return weft::logical_xor(self(), y); }
bool Methods::allclose(const Tensor& y, double rtol, double atol, Only<bool> equal_nan) const {
  return weft::allclose(self(), y, rtol, atol, equal_nan);
}
bool Methods::equal(const Tensor& y) const { return weft::equal(self(), y); }

Tensor Methods::isclose(const Tensor& y, double rtol, double atol, Only<bool> equal_nan) const {
  return weft::isclose(self(), y, rtol, atol, equal_nan);
}
Tensor Methods::bitwise_and(const Tensor& y) const { return weft::bitwise_and(self(), y); }
Tensor Methods::bitwise_or(const Tensor& y) const { return weft::bitwise_or(self(), y); }
Tensor Methods::bitwise_xor(const Tensor& y) const { return weft::bitwise_xor(self(), y); }
Tensor Methods::bitwise_not() const { return weft::bitwise_not(self()); }
Tensor Methods::bitwise_left_shift(const Tensor& y) const { return weft::bitwise_left_shift(self(), y); }
Tensor Methods::bitwise_left_shift(Scalar y) const { return weft::bitwise_left_shift(self(), y); }
Tensor Methods::bitwise_right_shift(const Tensor& y) const { return weft::bitwise_right_shift(self(), y); }
Tensor Methods::bitwise_right_shift(Scalar y) const { return weft::bitwise_right_shift(self(), y); }

Tensor Methods::abs() const { return weft::abs(self()); }
Tensor Methods::neg() const { return weft::neg(self()); }
Tensor Methods::sign() const { return weft::sign(self()); }
Tensor Methods::square() const { return weft::square(self()); }
Tensor Methods::sqrt() const { return weft::sqrt(self()); }
Tensor Methods::rsqrt() const { return weft::rsqrt(self()); }
Tensor Methods::reciprocal() const { return weft::reciprocal(self()); }
Tensor Methods::exp() const { return weft::exp(self()); }
Tensor Methods::expm1() const { return weft::expm1(self()); }
Tensor Methods::log() const { return weft::log(self()); }
Tensor Methods::log2() const { return weft::log2(self()); }
Tensor Methods::log10() const { return weft::log10(self()); }
Tensor Methods::log1p() const { return weft::log1p(self()); }
Tensor Methods::sin() const { return weft::sin(self()); }
Tensor Methods::cos() const { return weft::cos(self()); }
Tensor Methods::tan() const { return weft::tan(self()); }
Tensor Methods::asin() const { return weft::asin(self()); }
Tensor Methods::acos() const { return weft::acos(self()); }
Tensor Methods::atan() const { return weft::atan(self()); }
Tensor Methods::sinh() const { return weft::sinh(self()); }
Tensor Methods::cosh() const { return weft::cosh(self()); }
Tensor Methods::tanh() const { return weft::tanh(self()); }
Tensor Methods::erfc() const { return weft::erfc(self()); }
Tensor Methods::exp2() const { return weft::exp2(self()); }
Tensor Methods::erf() const { return weft::erf(self()); }
Tensor Methods::floor() const { return weft::floor(self()); }
Tensor Methods::ceil() const { return weft::ceil(self()); }
Tensor Methods::trunc() const { return weft::trunc(self()); }
Tensor Methods::round(Int decimals) const { return weft::round(self(), decimals); }
Tensor Methods::frac() const { return weft::frac(self()); }
Tensor Methods::clamp(std::optional<Scalar> min, std::optional<Scalar> max) const {
  return weft::clamp(self(), min, max);
}
Tensor Methods::clamp(const Tensor& min, const Tensor& max) const { return weft::clamp(self(), min, max); }
Tensor Methods::clip(std::optional<Scalar> min, std::optional<Scalar> max) const {
  return weft::clamp(self(), min, max);
}
Tensor Methods::clamp_min(Scalar min) const { return weft::clamp(self(), min); }
Tensor Methods::clamp_max(Scalar max) const { return weft::clamp(self(), {}, max); }
Tensor Methods::isnan() const { return weft::isnan(self()); }
Tensor Methods::isinf() const { return weft::isinf(self()); }
Tensor Methods::isfinite() const { return weft::isfinite(self()); }
Tensor Methods::logical_not() const { return weft::logical_not(self()); }
Tensor Methods::relu() const { return weft::relu(self()); }
Tensor Methods::sigmoid() const { return weft::sigmoid(self()); }
Tensor Methods::logit(std::optional<double> eps) const { return weft::logit(self(), eps); }
Tensor Methods::erfinv() const { return weft::erfinv(self()); }
Tensor Methods::lgamma() const { return weft::lgamma(self()); }
Tensor Methods::digamma() const { return weft::digamma(self()); }
Tensor Methods::nan_to_num(double nan, std::optional<double> posinf, std::optional<double> neginf) const {
  return weft::nan_to_num(self(), nan, posinf, neginf);
}

Tensor Methods::sum(const DimList& dims, Only<bool> keepdim, Type dtype) const {
  return weft::sum(self(), dims, keepdim, dtype);
}
Tensor Methods::nansum(const DimList& dims, Only<bool> keepdim, Type dtype) const {
  return weft::nansum(self(), dims, keepdim, dtype);
}
Tensor Methods::mean(const DimList& dims, Only<bool> keepdim, Type dtype) const {
  return weft::mean(self(), dims, keepdim, dtype);
}
Tensor Methods::prod(const DimList& dims, Only<bool> keepdim, Type dtype) const {
  return weft::prod(self(), dims, keepdim, dtype);
}
Tensor Methods::var(const DimList& dims) const { return weft::var(self(), dims); }
Tensor Methods::var(const DimList& dims, const VarOptions& o) const { return weft::var(self(), dims, o); }
Tensor Methods::var(const DimList& dims, Only<bool> unbiased, Only<bool> keepdim) const {
  return weft::var(self(), dims, unbiased, keepdim);
}
Tensor Methods::std(const DimList& dims) const { return weft::std(self(), dims); }
Tensor Methods::std(const DimList& dims, const VarOptions& o) const { return weft::std(self(), dims, o); }
Tensor Methods::std(const DimList& dims, Only<bool> unbiased, Only<bool> keepdim) const {
  return weft::std(self(), dims, unbiased, keepdim);
}
Tensor Methods::amax(const DimList& dims, Only<bool> keepdim) const { return weft::amax(self(), dims, keepdim); }
Tensor Methods::amin(const DimList& dims, Only<bool> keepdim) const { return weft::amin(self(), dims, keepdim); }
Tensor Methods::max() const { return weft::max(self()); }
Tensor Methods::min() const { return weft::min(self()); }
ValuesIndices Methods::max(Int dim, Only<bool> keepdim) const { return weft::max(self(), dim, keepdim); }
ValuesIndices Methods::min(Int dim, Only<bool> keepdim) const { return weft::min(self(), dim, keepdim); }
Tensor Methods::argmax(Dim dim, Only<bool> keepdim) const { return weft::argmax(self(), dim, keepdim); }
Tensor Methods::argmin(Dim dim, Only<bool> keepdim) const { return weft::argmin(self(), dim, keepdim); }
Tensor Methods::norm(Only<double> p, const DimList& dims, Only<bool> keepdim) const {
  return weft::norm(self(), p, dims, keepdim);
}
Tensor Methods::norm(const Choice<NamedNorm>& p, const DimList& dims, Only<bool> keepdim) const {
  return weft::norm(self(), p, dims, keepdim);
}
Tensor Methods::logsumexp(const DimList& dims, Only<bool> keepdim) const {
  return weft::logsumexp(self(), dims, keepdim);
}
Tensor Methods::any(const DimList& dims, Only<bool> keepdim) const { return weft::any(self(), dims, keepdim); }
Tensor Methods::all(const DimList& dims, Only<bool> keepdim) const { return weft::all(self(), dims, keepdim); }
Tensor Methods::count_nonzero(const DimList& dims) const { return weft::count_nonzero(self(), dims); }
Tensor Methods::softmax(Int dim, Type dtype) const { return weft::softmax(self(), dim, dtype); }
Tensor Methods::log_softmax(Int dim, Type dtype) const { return weft::log_softmax(self(), dim, dtype); }
Tensor Methods::cumsum(Int dim, Type dtype) const { return weft::cumsum(self(), dim, dtype); }
Tensor Methods::cumprod(Int dim, Type dtype) const { return weft::cumprod(self(), dim, dtype); }
ValuesIndices Methods::sort(Int dim, Only<bool> descending) const { return weft::sort(self(), dim, descending); }
Tensor Methods::argsort(Int dim, Only<bool> descending) const { return weft::argsort(self(), dim, descending); }
ValuesIndices Methods::topk(Int k, Int dim, Only<bool> largest, Only<bool> sorted) const {
  return weft::topk(self(), k, dim, largest, sorted);
}

Tensor Methods::median() const { return weft::median(self()); }
ValuesIndices Methods::median(Int dim, Only<bool> keepdim) const { return weft::median(self(), dim, keepdim); }
Tensor Methods::quantile(double q, Dim dim, Only<bool> keepdim) const {
  return weft::quantile(self(), q, dim, keepdim);
}
Tensor Methods::quantile(const Tensor& q, Dim dim, Only<bool> keepdim) const {
  return weft::quantile(self(), q, dim, keepdim);
}
ValuesIndices Methods::kthvalue(Int k, Int dim, Only<bool> keepdim) const {
  return weft::kthvalue(self(), k, dim, keepdim);
}
ValuesIndices Methods::mode(Int dim, Only<bool> keepdim) const { return weft::mode(self(), dim, keepdim); }
ValuesIndices Methods::cummax(Int dim) const { return weft::cummax(self(), dim); }
ValuesIndices Methods::cummin(Int dim) const { return weft::cummin(self(), dim); }
Tensor Methods::bincount(const Tensor& weights, Int minlength) const {
  return weft::bincount(self(), weights, minlength);
}
Tensor Methods::bincount() const { return weft::bincount(self()); }
Tensor Methods::diff(Int n, Int dim) const { return weft::diff(self(), n, dim); }
Tensor Methods::multinomial(Int num_samples, Only<bool> replacement) const {
  return weft::multinomial(self(), num_samples, replacement);
}

Tensor Methods::matmul(const Tensor& b) const { return weft::matmul(self(), b); }
Tensor Methods::mm(const Tensor& b) const { return weft::mm(self(), b); }
Tensor Methods::bmm(const Tensor& b) const { return weft::bmm(self(), b); }
Tensor Methods::mv(const Tensor& x) const { return weft::mv(self(), x); }
Tensor Methods::dot(const Tensor& y) const { return weft::dot(self(), y); }
Tensor Methods::outer(const Tensor& y) const { return weft::outer(self(), y); }
Tensor Methods::addmm(const Tensor& a, const Tensor& b, Scalar beta, Scalar alpha) const {
  return weft::addmm(self(), a, b, beta, alpha);
}

Tensor Methods::index_select(Int dim, const Tensor& index) const { return weft::index_select(self(), dim, index); }
Tensor Methods::index_add(Int dim, const Tensor& index, const Tensor& src, Scalar alpha) const {
  return weft::index_add(self(), dim, index, src, alpha);
}
Tensor Methods::gather(Int dim, const Tensor& index) const { return weft::gather(self(), dim, index); }
Tensor Methods::scatter(Int dim, const Tensor& index, const Tensor& src) const {
  return weft::scatter(self(), dim, index, src);
}
Tensor Methods::scatter(Int dim, const Tensor& index, Scalar value) const {
  return weft::scatter(self(), dim, index, value);
}
Tensor Methods::scatter_add(Int dim, const Tensor& index, const Tensor& src) const {
  return weft::scatter_add(self(), dim, index, src);
}
Tensor Methods::index_put(const std::vector<Index>& at, Scalar value) const {
  return weft::index_put(self(), at, value);
}
Tensor Methods::index_put(const std::vector<Index>& at, const Tensor& values, Only<bool> accumulate) const {
  return weft::index_put(self(), at, values, accumulate);
}
Tensor Methods::take_along_dim(const Tensor& indices, Dim dim) const {
  return weft::take_along_dim(self(), indices, dim);
}
Tensor Methods::masked_fill(const Tensor& mask, Scalar value) const { return weft::masked_fill(self(), mask, value); }
Tensor Methods::masked_fill(const Tensor& mask, const Tensor& value) const {
  return weft::masked_fill(self(), mask, value);
}
Tensor Methods::masked_select(const Tensor& mask) const { return weft::masked_select(self(), mask); }
Tensor Methods::masked_scatter(const Tensor& mask, const Tensor& src) const {
  return weft::masked_scatter(self(), mask, src);
}
Tensor Methods::index_fill(Int dim, const Tensor& index, Scalar value) const {
  return weft::index_fill(self(), dim, index, value);
}
Tensor Methods::index_copy(Int dim, const Tensor& index, const Tensor& src) const {
  return weft::index_copy(self(), dim, index, src);
}
Tensor Methods::argwhere() const { return weft::argwhere(self()); }
Tensor Methods::nonzero() const { return weft::nonzero(self()); }

std::vector<Tensor> Methods::unbind(Int dim) const { return weft::unbind(self(), dim); }
Tensor Methods::flip(const Shape& dims) const { return weft::flip(self(), dims); }
Tensor Methods::roll(const Shape& shifts, const Shape& dims) const { return weft::roll(self(), shifts, dims); }
Tensor Methods::roll(Int shift) const { return weft::roll(self(), shift); }
Tensor Methods::repeat(const Shape& repeats) const { return weft::repeat(self(), repeats); }
Tensor Methods::tile(const Shape& dims) const { return weft::tile(self(), dims); }
Tensor Methods::repeat_interleave(Int repeats) const { return weft::repeat_interleave(self(), repeats); }
Tensor Methods::repeat_interleave(Int repeats, Int dim) const { return weft::repeat_interleave(self(), repeats, dim); }
Tensor Methods::tril(Int diagonal) const { return weft::tril(self(), diagonal); }
Tensor Methods::triu(Int diagonal) const { return weft::triu(self(), diagonal); }
Tensor Methods::diag(Int diagonal) const { return weft::diag(self(), diagonal); }
Tensor Methods::trace() const { return weft::trace(self()); }
Tensor Methods::broadcast_to(const Shape& shape) const { return weft::broadcast_to(self(), shape); }
Tensor Methods::fliplr() const { return weft::fliplr(self()); }
Tensor Methods::flipud() const { return weft::flipud(self()); }

namespace {
// Writes f(x), made without a record, into x. `others`: what f reads beside x.
template <class F> Tensor& written(const char* op, Tensor& x, std::initializer_list<const Tensor*> others, const F& f) {
  const OpName name(op);
  detail::check_in_place(op, x);
  for (const Tensor* o : others) detail::check_in_place(op, x, o);
  NoGrad no_grad;
  const Tensor y = f(std::as_const(x));
  detail::check_in_place_dtype(op, x.dtype(), y.is_floating(), y.dtype() == Dtype::boolean);
  WEFT_CHECK(y.shape() == x.shape(), ShapeError, "the result ", y.shape(), " does not fit the shape ", x.shape(),
             " that is written");
  return x.copy_(y);
}
}  // namespace

Tensor& operator&=(Tensor& x, const Tensor& y) {
  return written("&=", x, {&y}, [&](const Tensor& x) { return bitwise_and(x, y); });
}
Tensor& operator|=(Tensor& x, const Tensor& y) {
  return written("|=", x, {&y}, [&](const Tensor& x) { return bitwise_or(x, y); });
}
Tensor& operator^=(Tensor& x, const Tensor& y) {
  return written("^=", x, {&y}, [&](const Tensor& x) { return bitwise_xor(x, y); });
}
Tensor& Methods::pow_(const Tensor& y) {
  return written("pow_", self(), {&y}, [&](const Tensor& x) { return weft::pow(x, y); });
}
Tensor& Methods::pow_(Scalar y) {
  return written("pow_", self(), {}, [&](const Tensor& x) { return weft::pow(x, y); });
}
Tensor& Methods::remainder_(const Tensor& y) {
  return written("remainder_", self(), {&y}, [&](const Tensor& x) { return weft::remainder(x, y); });
}
Tensor& Methods::remainder_(Scalar y) {
  return written("remainder_", self(), {}, [&](const Tensor& x) { return weft::remainder(x, y); });
}
Tensor& Methods::lerp_(const Tensor& end, const Tensor& weight) {
  return written("lerp_", self(), {&end, &weight}, [&](const Tensor& x) { return weft::lerp(x, end, weight); });
}
Tensor& Methods::lerp_(const Tensor& end, double weight) {
  return written("lerp_", self(), {&end}, [&](const Tensor& x) { return weft::lerp(x, end, weight); });
}
Tensor& Methods::addcmul_(const Tensor& a, const Tensor& b, Scalar value) {
  return written("addcmul_", self(), {&a, &b}, [&](const Tensor& x) { return weft::addcmul(x, a, b, value); });
}
Tensor& Methods::addcdiv_(const Tensor& a, const Tensor& b, Scalar value) {
  return written("addcdiv_", self(), {&a, &b}, [&](const Tensor& x) { return weft::addcdiv(x, a, b, value); });
}
Tensor& Methods::abs_() { return written("abs_", self(), {}, weft::abs); }
Tensor& Methods::neg_() { return written("neg_", self(), {}, weft::neg); }
Tensor& Methods::square_() { return written("square_", self(), {}, weft::square); }
Tensor& Methods::sqrt_() { return written("sqrt_", self(), {}, weft::sqrt); }
Tensor& Methods::rsqrt_() { return written("rsqrt_", self(), {}, weft::rsqrt); }
Tensor& Methods::reciprocal_() { return written("reciprocal_", self(), {}, weft::reciprocal); }
Tensor& Methods::exp_() { return written("exp_", self(), {}, weft::exp); }
Tensor& Methods::log_() { return written("log_", self(), {}, weft::log); }
Tensor& Methods::tanh_() { return written("tanh_", self(), {}, weft::tanh); }
Tensor& Methods::sigmoid_() { return written("sigmoid_", self(), {}, weft::sigmoid); }
Tensor& Methods::relu_() { return written("relu_", self(), {}, weft::relu); }
Tensor& Methods::floor_() { return written("floor_", self(), {}, weft::floor); }
Tensor& Methods::ceil_() { return written("ceil_", self(), {}, weft::ceil); }
Tensor& Methods::round_(Int decimals) {
  return written("round_", self(), {}, [&](const Tensor& x) { return weft::round(x, decimals); });
}
Tensor& Methods::clamp_(std::optional<Scalar> min, std::optional<Scalar> max) {
  return written("clamp_", self(), {}, [&](const Tensor& x) { return weft::clamp(x, min, max); });
}
Tensor& Methods::clamp_min_(Scalar min) { return clamp_(min); }
Tensor& Methods::clamp_max_(Scalar max) { return clamp_({}, max); }
Tensor& Methods::logical_not_() { return written("logical_not_", self(), {}, weft::logical_not); }
Tensor& Methods::masked_fill_(const Tensor& mask, Scalar value) {
  return written("masked_fill_", self(), {}, [&](const Tensor& x) { return weft::masked_fill(x, mask, value); });
}
Tensor& Methods::masked_fill_(const Tensor& mask, const Tensor& value) {
  return written("masked_fill_", self(), {&value}, [&](const Tensor& x) { return weft::masked_fill(x, mask, value); });
}
Tensor& Methods::index_put_(const std::vector<Index>& at, const Tensor& values, Only<bool> accumulate) {
  return written("index_put_", self(), {&values},
                 [&](const Tensor& x) { return weft::index_put(x, at, values, accumulate); });
}
Tensor& Methods::index_put_(const std::vector<Index>& at, Scalar value) {
  return written("index_put_", self(), {}, [&](const Tensor& x) { return weft::index_put(x, at, value); });
}
Tensor& Methods::index_fill_(Int dim, const Tensor& index, Scalar value) {
  return written("index_fill_", self(), {}, [&](const Tensor& x) { return weft::index_fill(x, dim, index, value); });
}
Tensor& Methods::index_copy_(Int dim, const Tensor& index, const Tensor& src) {
  return written("index_copy_", self(), {&src}, [&](const Tensor& x) { return weft::index_copy(x, dim, index, src); });
}
Tensor& Methods::masked_scatter_(const Tensor& mask, const Tensor& src) {
  return written("masked_scatter_", self(), {&src},
                 [&](const Tensor& x) { return weft::masked_scatter(x, mask, src); });
}
Tensor& Methods::index_add_(Int dim, const Tensor& index, const Tensor& src, Scalar alpha) {
  return written("index_add_", self(), {&src},
                 [&](const Tensor& x) { return weft::index_add(x, dim, index, src, alpha); });
}
Tensor& Methods::scatter_(Int dim, const Tensor& index, const Tensor& src) {
  return written("scatter_", self(), {&src}, [&](const Tensor& x) { return weft::scatter(x, dim, index, src); });
}
Tensor& Methods::scatter_(Int dim, const Tensor& index, Scalar value) {
  return written("scatter_", self(), {}, [&](const Tensor& x) { return weft::scatter(x, dim, index, value); });
}
Tensor& Methods::scatter_add_(Int dim, const Tensor& index, const Tensor& src) {
  return written("scatter_add_", self(), {&src},
                 [&](const Tensor& x) { return weft::scatter_add(x, dim, index, src); });
}
Tensor& Methods::cumsum_(Int dim) {
  return written("cumsum_", self(), {}, [&](const Tensor& x) { return weft::cumsum(x, dim); });
}
Tensor Methods::nanmean(const DimList& dims, Only<bool> keepdim, Type dtype) const {
  return weft::nanmean(self(), dims, keepdim, dtype);
}
Tensor Methods::max(const Tensor& y) const { return weft::max(self(), y); }
Tensor Methods::min(const Tensor& y) const { return weft::min(self(), y); }
Tensor Methods::take(const Tensor& index) const { return weft::take(self(), index); }
Tensor Methods::swapaxes(Int dim0, Int dim1) const { return self().transpose(dim0, dim1); }
Tensor Methods::as_strided(const Shape& size, const Shape& stride, std::optional<Int> storage_offset) const {
  return weft::as_strided(self(), size, stride, storage_offset);
}
Tensor& Methods::uniform_(double from, double to) { return weft::uniform_(self(), from, to); }
Tensor& Methods::normal_(double mean, double std) { return weft::normal_(self(), mean, std); }
Tensor& Methods::exponential_(double lambd) { return weft::exponential_(self(), lambd); }
Tensor& Methods::random_(Int from, Int to) {
  return written("random_", self(), {}, [&](const Tensor& x) { return randint_like(x, from, to); });
}
Tensor& Methods::bernoulli_(double p) { return weft::bernoulli_(self(), p); }

}  // namespace weft
