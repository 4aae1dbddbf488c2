// The ops that are also members of Tensor, so that calls chain: `x.sum(1).sqrt()`. The list is closed: a new op needs
// none. Each member is the free function of its name with this tensor as the first argument; the function's doc is the
// member's. Knows the arguments' types by name only; autograd/ops/methods.cpp has the definitions.
#pragma once

#include <optional>
#include <vector>

#include "weft/core/choice.h"
#include "weft/core/dim_list.h"
#include "weft/core/dtype.h"

namespace weft {

class Tensor;
class Index;
struct VarOptions;
struct ValuesIndices;
enum class RoundingMode : uint8_t;
enum class NamedNorm : uint8_t;

/// Base of Tensor: the members that are ops.
class WEFT_API TensorMethods {
 public:
  /// Arithmetic: the functions of autograd/ops/elementwise/binary.h, select.h
  [[nodiscard]] Tensor add(const Tensor& y, Scalar alpha = 1) const;
  [[nodiscard]] Tensor add(Scalar y, Scalar alpha = 1) const;
  [[nodiscard]] Tensor sub(const Tensor& y, Scalar alpha = 1) const;
  [[nodiscard]] Tensor sub(Scalar y, Scalar alpha = 1) const;
  [[nodiscard]] Tensor mul(const Tensor& y) const;
  [[nodiscard]] Tensor mul(Scalar y) const;
  [[nodiscard]] Tensor div(const Tensor& y) const;
  [[nodiscard]] Tensor div(Scalar y) const;
  [[nodiscard]] Tensor div(const Tensor& y, const Choice<RoundingMode>& rounding_mode) const;
  [[nodiscard]] Tensor div(Scalar y, const Choice<RoundingMode>& rounding_mode) const;
  [[nodiscard]] Tensor floor_divide(const Tensor& y) const;
  [[nodiscard]] Tensor floor_divide(Scalar y) const;
  [[nodiscard]] Tensor pow(const Tensor& y) const;
  [[nodiscard]] Tensor pow(Scalar y) const;
  [[nodiscard]] Tensor fmod(const Tensor& y) const;
  [[nodiscard]] Tensor fmod(Scalar y) const;
  [[nodiscard]] Tensor remainder(const Tensor& y) const;
  [[nodiscard]] Tensor remainder(Scalar y) const;
  [[nodiscard]] Tensor maximum(const Tensor& y) const;
  [[nodiscard]] Tensor minimum(const Tensor& y) const;
  [[nodiscard]] Tensor atan2(const Tensor& x) const;
  [[nodiscard]] Tensor lerp(const Tensor& end, const Tensor& weight) const;
  [[nodiscard]] Tensor lerp(const Tensor& end, double weight) const;
  [[nodiscard]] Tensor addcmul(const Tensor& a, const Tensor& b, Scalar value = 1) const;
  [[nodiscard]] Tensor addcdiv(const Tensor& a, const Tensor& b, Scalar value = 1) const;
  /// where(condition, *this, y).
  [[nodiscard]] Tensor where(const Tensor& condition, const Tensor& y) const;
  [[nodiscard]] Tensor where(const Tensor& condition, Scalar y) const;

  /// Comparison: the functions of autograd/ops/elementwise/binary.h
  [[nodiscard]] Tensor eq(const Tensor& y) const;
  [[nodiscard]] Tensor eq(Scalar y) const;
  [[nodiscard]] Tensor ne(const Tensor& y) const;
  [[nodiscard]] Tensor ne(Scalar y) const;
  [[nodiscard]] Tensor lt(const Tensor& y) const;
  [[nodiscard]] Tensor lt(Scalar y) const;
  [[nodiscard]] Tensor le(const Tensor& y) const;
  [[nodiscard]] Tensor le(Scalar y) const;
  [[nodiscard]] Tensor gt(const Tensor& y) const;
  [[nodiscard]] Tensor gt(Scalar y) const;
  [[nodiscard]] Tensor ge(const Tensor& y) const;
  [[nodiscard]] Tensor ge(Scalar y) const;
  [[nodiscard]] Tensor logical_and(const Tensor& y) const;
  [[nodiscard]] Tensor logical_or(const Tensor& y) const;
  [[nodiscard]] Tensor logical_xor(const Tensor& y) const;
  [[nodiscard]] bool allclose(const Tensor& y, double rtol = 1e-5, double atol = 1e-8,
                              Only<bool> equal_nan = false) const;
  [[nodiscard]] bool equal(const Tensor& y) const;

  /// The functions of autograd/ops/reduce/search.h and elementwise/bitwise.h.
  [[nodiscard]] Tensor isclose(const Tensor& y, double rtol = 1e-5, double atol = 1e-8,
                               Only<bool> equal_nan = false) const;
  [[nodiscard]] Tensor bitwise_and(const Tensor& y) const;
  [[nodiscard]] Tensor bitwise_or(const Tensor& y) const;
  [[nodiscard]] Tensor bitwise_xor(const Tensor& y) const;
  [[nodiscard]] Tensor bitwise_not() const;
  [[nodiscard]] Tensor bitwise_left_shift(const Tensor& y) const;
  [[nodiscard]] Tensor bitwise_left_shift(Scalar y) const;
  [[nodiscard]] Tensor bitwise_right_shift(const Tensor& y) const;
  [[nodiscard]] Tensor bitwise_right_shift(Scalar y) const;

  /// Of single elements: the functions of autograd/ops/elementwise/unary.h, activation.h, special.h
  [[nodiscard]] Tensor abs() const;
  [[nodiscard]] Tensor neg() const;
  [[nodiscard]] Tensor sign() const;
  [[nodiscard]] Tensor square() const;
  [[nodiscard]] Tensor sqrt() const;
  [[nodiscard]] Tensor rsqrt() const;
  [[nodiscard]] Tensor reciprocal() const;
  [[nodiscard]] Tensor exp() const;
  [[nodiscard]] Tensor expm1() const;
  [[nodiscard]] Tensor log() const;
  [[nodiscard]] Tensor log2() const;
  [[nodiscard]] Tensor log10() const;
  [[nodiscard]] Tensor log1p() const;
  [[nodiscard]] Tensor sin() const;
  [[nodiscard]] Tensor cos() const;
  [[nodiscard]] Tensor tan() const;
  [[nodiscard]] Tensor asin() const;
  [[nodiscard]] Tensor acos() const;
  [[nodiscard]] Tensor atan() const;
  [[nodiscard]] Tensor sinh() const;
  [[nodiscard]] Tensor cosh() const;
  [[nodiscard]] Tensor tanh() const;
  [[nodiscard]] Tensor erf() const;
  [[nodiscard]] Tensor erfc() const;
  [[nodiscard]] Tensor exp2() const;
  [[nodiscard]] Tensor floor() const;
  [[nodiscard]] Tensor ceil() const;
  [[nodiscard]] Tensor trunc() const;
  [[nodiscard]] Tensor round(Int decimals = 0) const;
  [[nodiscard]] Tensor frac() const;
  [[nodiscard]] Tensor clamp(std::optional<Scalar> min, std::optional<Scalar> max = {}) const;
  [[nodiscard]] Tensor clamp(const Tensor& min, const Tensor& max) const;
  [[nodiscard]] Tensor clip(std::optional<Scalar> min, std::optional<Scalar> max = {}) const;
  [[nodiscard]] Tensor clamp_min(Scalar min) const;
  [[nodiscard]] Tensor clamp_max(Scalar max) const;
  [[nodiscard]] Tensor isnan() const;
  [[nodiscard]] Tensor isinf() const;
  [[nodiscard]] Tensor isfinite() const;
  [[nodiscard]] Tensor logical_not() const;
  [[nodiscard]] Tensor relu() const;
  [[nodiscard]] Tensor sigmoid() const;
  [[nodiscard]] Tensor logit(std::optional<double> eps = {}) const;
  [[nodiscard]] Tensor erfinv() const;
  [[nodiscard]] Tensor lgamma() const;
  [[nodiscard]] Tensor digamma() const;
  [[nodiscard]] Tensor nan_to_num(double nan = 0, std::optional<double> posinf = {},
                                  std::optional<double> neginf = {}) const;

  /// Reductions: the functions of autograd/ops/reduce/reduce.h, softmax.h, scan.h, sort.h
  [[nodiscard]] Tensor sum(const DimList& dims = {}, Only<bool> keepdim = false, std::optional<Dtype> dtype = {}) const;
  template <std::same_as<Dtype> D> [[nodiscard]] Tensor sum(D dtype) const;
  [[nodiscard]] Tensor nansum(const DimList& dims = {}, Only<bool> keepdim = false,
                              std::optional<Dtype> dtype = {}) const;
  [[nodiscard]] Tensor mean(const DimList& dims = {}, Only<bool> keepdim = false,
                            std::optional<Dtype> dtype = {}) const;
  template <std::same_as<Dtype> D> [[nodiscard]] Tensor mean(D dtype) const;
  [[nodiscard]] Tensor nanmean(const DimList& dims = {}, Only<bool> keepdim = false,
                               std::optional<Dtype> dtype = {}) const;
  [[nodiscard]] Tensor prod(const DimList& dims = {}, Only<bool> keepdim = false,
                            std::optional<Dtype> dtype = {}) const;
  template <std::same_as<Dtype> D> [[nodiscard]] Tensor prod(D dtype) const;
  [[nodiscard]] Tensor var(const DimList& dims = {}) const;
  [[nodiscard]] Tensor var(const DimList& dims, const VarOptions& o) const;
  [[nodiscard]] Tensor var(const DimList& dims, Only<bool> unbiased, Only<bool> keepdim = false) const;
  template <Boolean B> [[nodiscard]] Tensor var(const B& unbiased) const;
  [[nodiscard]] Tensor std(const DimList& dims = {}) const;
  [[nodiscard]] Tensor std(const DimList& dims, const VarOptions& o) const;
  [[nodiscard]] Tensor std(const DimList& dims, Only<bool> unbiased, Only<bool> keepdim = false) const;
  template <Boolean B> [[nodiscard]] Tensor std(const B& unbiased) const;
  [[nodiscard]] Tensor amax(const DimList& dims = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor amin(const DimList& dims = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor max() const;
  [[nodiscard]] Tensor min() const;
  [[nodiscard]] Tensor max(const Tensor& y) const;
  [[nodiscard]] Tensor min(const Tensor& y) const;
  [[nodiscard]] ValuesIndices max(Int dim, Only<bool> keepdim = false) const;
  [[nodiscard]] ValuesIndices min(Int dim, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor argmax(std::optional<Int> dim = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor argmin(std::optional<Int> dim = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor norm(Only<double> p = 2, const DimList& dims = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor norm(const Choice<NamedNorm>& p, const DimList& dims = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor logsumexp(const DimList& dims, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor any(const DimList& dims = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor all(const DimList& dims = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor count_nonzero(const DimList& dims = {}) const;
  [[nodiscard]] Tensor softmax(Int dim, std::optional<Dtype> dtype = {}) const;
  [[nodiscard]] Tensor log_softmax(Int dim, std::optional<Dtype> dtype = {}) const;
  [[nodiscard]] Tensor cumsum(Int dim, std::optional<Dtype> dtype = {}) const;
  [[nodiscard]] Tensor cumprod(Int dim, std::optional<Dtype> dtype = {}) const;
  [[nodiscard]] ValuesIndices sort(Int dim = -1, Only<bool> descending = false) const;
  [[nodiscard]] Tensor argsort(Int dim = -1, Only<bool> descending = false) const;
  [[nodiscard]] ValuesIndices topk(Int k, Int dim = -1, Only<bool> largest = true, Only<bool> sorted = true) const;

  /// Order and counts: the functions of autograd/ops/reduce/order_statistics.h, scan.h, search.h, statistics.h, and
  /// autograd/ops/random.h
  [[nodiscard]] Tensor median() const;
  [[nodiscard]] ValuesIndices median(Int dim, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor quantile(double q, std::optional<Int> dim = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] Tensor quantile(const Tensor& q, std::optional<Int> dim = {}, Only<bool> keepdim = false) const;
  [[nodiscard]] ValuesIndices kthvalue(Int k, Int dim = -1, Only<bool> keepdim = false) const;
  [[nodiscard]] ValuesIndices mode(Int dim = -1, Only<bool> keepdim = false) const;
  [[nodiscard]] ValuesIndices cummax(Int dim) const;
  [[nodiscard]] ValuesIndices cummin(Int dim) const;
  [[nodiscard]] Tensor bincount(const Tensor& weights, Int minlength = 0) const;
  [[nodiscard]] Tensor bincount() const;
  [[nodiscard]] Tensor diff(Int n = 1, Int dim = -1) const;
  [[nodiscard]] Tensor multinomial(Int num_samples, Only<bool> replacement = false) const;

  /// Products: the functions of autograd/ops/linalg/matmul.h, and outer of autograd/ops/elementwise/binary.h
  [[nodiscard]] Tensor matmul(const Tensor& b) const;
  [[nodiscard]] Tensor mm(const Tensor& b) const;
  [[nodiscard]] Tensor bmm(const Tensor& b) const;
  [[nodiscard]] Tensor mv(const Tensor& x) const;
  [[nodiscard]] Tensor dot(const Tensor& y) const;
  [[nodiscard]] Tensor outer(const Tensor& y) const;
  [[nodiscard]] Tensor addmm(const Tensor& a, const Tensor& b, Scalar beta = 1, Scalar alpha = 1) const;

  /// Picking and placing: the functions of autograd/ops/index/index.h, index_write.h
  [[nodiscard]] Tensor index_select(Int dim, const Tensor& index) const;
  [[nodiscard]] Tensor index_add(Int dim, const Tensor& index, const Tensor& src, Scalar alpha = 1) const;
  [[nodiscard]] Tensor gather(Int dim, const Tensor& index) const;
  [[nodiscard]] Tensor scatter(Int dim, const Tensor& index, const Tensor& src) const;
  [[nodiscard]] Tensor scatter(Int dim, const Tensor& index, Scalar value) const;
  [[nodiscard]] Tensor scatter_add(Int dim, const Tensor& index, const Tensor& src) const;
  [[nodiscard]] Tensor index_put(const std::vector<Index>& at, Scalar value) const;
  [[nodiscard]] Tensor index_put(const std::vector<Index>& at, const Tensor& values,
                                 Only<bool> accumulate = false) const;
  [[nodiscard]] Tensor take_along_dim(const Tensor& indices, std::optional<Int> dim = {}) const;
  [[nodiscard]] Tensor masked_fill(const Tensor& mask, Scalar value) const;
  [[nodiscard]] Tensor masked_fill(const Tensor& mask, const Tensor& value) const;
  [[nodiscard]] Tensor masked_select(const Tensor& mask) const;
  [[nodiscard]] Tensor masked_scatter(const Tensor& mask, const Tensor& src) const;
  [[nodiscard]] Tensor index_fill(Int dim, const Tensor& index, Scalar value) const;
  [[nodiscard]] Tensor index_copy(Int dim, const Tensor& index, const Tensor& src) const;
  [[nodiscard]] Tensor take(const Tensor& index) const;
  [[nodiscard]] Tensor nonzero() const;
  [[nodiscard]] Tensor argwhere() const;

  /// Moves: the functions of autograd/ops/shape/shape.h, stack.h, diagonal.h, as_strided.h
  [[nodiscard]] std::vector<Tensor> unbind(Int dim = 0) const;
  [[nodiscard]] Tensor swapaxes(Int dim0, Int dim1) const;
  [[nodiscard]] Tensor as_strided(const Shape& size, const Shape& stride, std::optional<Int> storage_offset = {}) const;
  [[nodiscard]] Tensor flip(const Shape& dims) const;
  [[nodiscard]] Tensor roll(const Shape& shifts, const Shape& dims) const;
  [[nodiscard]] Tensor roll(Int shift) const;
  [[nodiscard]] Tensor repeat(const Shape& repeats) const;
  template <Integer... I>
  requires(sizeof...(I) > 1) [[nodiscard]] Tensor repeat(I... repeats) const;
  [[nodiscard]] Tensor tile(const Shape& dims) const;
  [[nodiscard]] Tensor repeat_interleave(Int repeats) const;
  [[nodiscard]] Tensor repeat_interleave(Int repeats, Int dim) const;
  [[nodiscard]] Tensor tril(Int diagonal = 0) const;
  [[nodiscard]] Tensor triu(Int diagonal = 0) const;
  [[nodiscard]] Tensor diag(Int diagonal = 0) const;
  [[nodiscard]] Tensor trace() const;
  [[nodiscard]] Tensor broadcast_to(const Shape& shape) const;
  [[nodiscard]] Tensor fliplr() const;
  [[nodiscard]] Tensor flipud() const;

  /// In place, as Tensor's own: only where no graph is recorded. The result must have this tensor's shape, and a dtype
  /// of no higher category (bool < integer < floating): ShapeError, DtypeError.
  Tensor& sub_(const Tensor& y, Scalar alpha = 1);
  Tensor& sub_(Scalar y, Scalar alpha = 1);
  Tensor& div_(const Tensor& y);
  Tensor& div_(Scalar y);
  Tensor& pow_(const Tensor& y);
  Tensor& pow_(Scalar y);
  Tensor& remainder_(const Tensor& y);
  Tensor& remainder_(Scalar y);
  Tensor& lerp_(const Tensor& end, const Tensor& weight);
  Tensor& lerp_(const Tensor& end, double weight);
  Tensor& addcmul_(const Tensor& a, const Tensor& b, Scalar value = 1);
  Tensor& addcdiv_(const Tensor& a, const Tensor& b, Scalar value = 1);
  Tensor& abs_();
  Tensor& neg_();
  Tensor& square_();
  Tensor& sqrt_();
  Tensor& rsqrt_();
  Tensor& reciprocal_();
  Tensor& exp_();
  Tensor& log_();
  Tensor& tanh_();
  Tensor& sigmoid_();
  Tensor& relu_();
  Tensor& floor_();
  Tensor& ceil_();
  Tensor& round_(Int decimals = 0);
  Tensor& clamp_(std::optional<Scalar> min, std::optional<Scalar> max = {});
  Tensor& clamp_min_(Scalar min);
  Tensor& clamp_max_(Scalar max);
  Tensor& logical_not_();
  Tensor& masked_fill_(const Tensor& mask, Scalar value);
  Tensor& masked_fill_(const Tensor& mask, const Tensor& value);
  Tensor& index_put_(const std::vector<Index>& at, const Tensor& values, Only<bool> accumulate = false);
  Tensor& index_put_(const std::vector<Index>& at, Scalar value);
  Tensor& index_fill_(Int dim, const Tensor& index, Scalar value);
  Tensor& index_copy_(Int dim, const Tensor& index, const Tensor& src);
  Tensor& masked_scatter_(const Tensor& mask, const Tensor& src);
  Tensor& index_add_(Int dim, const Tensor& index, const Tensor& src, Scalar alpha = 1);
  Tensor& scatter_(Int dim, const Tensor& index, const Tensor& src);
  Tensor& scatter_(Int dim, const Tensor& index, Scalar value);
  Tensor& scatter_add_(Int dim, const Tensor& index, const Tensor& src);
  Tensor& cumsum_(Int dim);
  Tensor& uniform_(double from = 0, double to = 1);
  Tensor& normal_(double mean = 0, double std = 1);
  Tensor& bernoulli_(double p = 0.5);
  Tensor& exponential_(double lambd = 1);
  /// Integers in [from, to).
  Tensor& random_(Int from, Int to);

 protected:
  TensorMethods() = default;

 private:
  const Tensor& self() const;
  Tensor& self();
};

}  // namespace weft
