// Reductions over any axes. `dims` is one axis, a list, or nothing for all; negative axes count from the end.
// keepdim leaves the reduced axes with size 1. An axis that is named twice or does not exist is an error.
// Sums (sum, nansum, mean, vector_norm, and the sums inside of var, std, logsumexp) of f32 and halves are within 4 ulp
// of the sum of absolute values in the result's dtype, for any axes and up to 1e7 elements; of f64 they are pairwise.
// What f32 cannot hold on the way is summed in f64: sums and norms overflow only where the result does.
#pragma once

#include <limits>

#include "weft/core/choice.h"
#include "weft/core/dim_list.h"
#include "weft/core/results.h"
#include "weft/core/tensor.h"

namespace weft {

/// Sum. Integers and bool give i64; `dtype` converts first. 0 for no elements.
WEFT_API Tensor sum(const Tensor& x, const DimList& dims = {}, Only<bool> keepdim = false,
                    std::optional<Dtype> dtype = {});
/// Sum of the elements that are not NaN. NaNs get the gradient 0. Integers and bool as in `sum`.
WEFT_API Tensor nansum(const Tensor& x, const DimList& dims = {}, Only<bool> keepdim = false,
                       std::optional<Dtype> dtype = {});
/// Arithmetic mean; NaN for no elements. DtypeError for integers without a floating `dtype`.
WEFT_API Tensor mean(const Tensor& x, const DimList& dims = {}, Only<bool> keepdim = false,
                     std::optional<Dtype> dtype = {});
/// Mean of the elements that are not NaN; NaN where there is none. Errors as in `mean`.
WEFT_API Tensor nanmean(const Tensor& x, const DimList& dims = {}, Only<bool> keepdim = false,
                        std::optional<Dtype> dtype = {});
/// Product. Integers and bool give i64. The gradient is exact at zeros.
WEFT_API Tensor prod(const Tensor& x, const DimList& dims = {}, Only<bool> keepdim = false,
                     std::optional<Dtype> dtype = {});

/// Of everything, converted first: `sum(x, Dtype::f64)`.
template <std::same_as<Dtype> D> Tensor sum(const Tensor& x, D dtype) { return sum(x, DimList(), false, dtype); }
template <std::same_as<Dtype> D> Tensor mean(const Tensor& x, D dtype) { return mean(x, DimList(), false, dtype); }
template <std::same_as<Dtype> D> Tensor prod(const Tensor& x, D dtype) { return prod(x, DimList(), false, dtype); }

/// Options of var and std.
struct VarOptions {
  double correction = 1;  ///< the divisor is max(0, n - correction): 1 unbiased, 0 population
  bool keepdim = false;   ///< leaves the reduced axes with size 1
};
/// Variance, in two passes: a mean far from zero costs no digits, and a constant of f32 or a half gives exactly 0.
/// Floating only.
WEFT_API Tensor var(const Tensor& x, const DimList& dims = {}, const VarOptions& o = {});
/// The same in PyTorch's older form: correction 1 (unbiased) or 0.
inline Tensor var(const Tensor& x, const DimList& dims, Only<bool> unbiased, Only<bool> keepdim = false) {
  return var(x, dims, VarOptions{bool(unbiased) ? 1.0 : 0.0, keepdim});
}
/// Of all elements: `var(x, false)`.
template <Boolean B> Tensor var(const Tensor& x, const B& unbiased) { return var(x, DimList(), unbiased); }
/// sqrt(var); its gradient at 0 is 0.
WEFT_API Tensor std(const Tensor& x, const DimList& dims = {}, const VarOptions& o = {});
/// As for var.
inline Tensor std(const Tensor& x, const DimList& dims, Only<bool> unbiased, Only<bool> keepdim = false) {
  return std(x, dims, VarOptions{bool(unbiased) ? 1.0 : 0.0, keepdim});
}
template <Boolean B> Tensor std(const Tensor& x, const B& unbiased) { return std(x, DimList(), unbiased); }

/// The greatest or smallest element. NaN wins. Equal extremes share the gradient. Where NaN won, the gradient is NaN;
/// in `max` and `min` of everything all NaNs share it. ShapeError for no elements.
WEFT_API Tensor amax(const Tensor& x, const DimList& dims = {}, Only<bool> keepdim = false);
WEFT_API Tensor amin(const Tensor& x, const DimList& dims = {}, Only<bool> keepdim = false);
WEFT_API Tensor max(const Tensor& x);
WEFT_API Tensor min(const Tensor& x);
/// maximum and minimum of two tensors (elementwise/binary.h).
WEFT_API Tensor max(const Tensor& x, const Tensor& y);
WEFT_API Tensor min(const Tensor& x, const Tensor& y);
/// Values picked along an axis and their positions there (i64). For max and min: the first of equals, or the first NaN.
/// The gradient goes to that element.
WEFT_RESULT(ValuesIndices, values, indices);
/// The greatest or smallest element along `dim`. ShapeError for an empty axis.
WEFT_API ValuesIndices max(const Tensor& x, Int dim, Only<bool> keepdim = false);
WEFT_API ValuesIndices min(const Tensor& x, Int dim, Only<bool> keepdim = false);
/// Index (i64) of the first greatest or smallest element along `dim`, or of the flattened tensor.
WEFT_API Tensor argmax(const Tensor& x, std::optional<Int> dim = {}, Only<bool> keepdim = false);
WEFT_API Tensor argmin(const Tensor& x, std::optional<Int> dim = {}, Only<bool> keepdim = false);

/// (sum |x|^ord)^(1/ord) for any ord: inf and -inf are the greatest and smallest |x|, 0 counts what is not 0. Floating
/// only.
WEFT_API Tensor vector_norm(const Tensor& x, double ord = 2, const DimList& dims = {}, Only<bool> keepdim = false,
                            std::optional<Dtype> dtype = {});
/// vector_norm with PyTorch's older name.
inline Tensor norm(const Tensor& x, Only<double> p = 2, const DimList& dims = {}, Only<bool> keepdim = false,
                   std::optional<Dtype> dtype = {}) {
  const OpName op("norm");
  return vector_norm(x, p, dims, keepdim, dtype);
}
/// Orders that have names: "fro" is 2, "inf" the greatest |x|.
enum class NamedNorm : uint8_t { fro, inf };
constexpr auto mode_words(NamedNorm) { return make_words("norm: p", "fro", "inf"); }
inline Tensor norm(const Tensor& x, Choice<NamedNorm> p, const DimList& dims = {}, Only<bool> keepdim = false,
                   std::optional<Dtype> dtype = {}) {
  const OpName op("norm");
  return vector_norm(x, p == NamedNorm::fro ? 2 : std::numeric_limits<double>::infinity(), dims, keepdim, dtype);
}
/// log(sum(exp(x))), without overflow.
WEFT_API Tensor logsumexp(const Tensor& x, const DimList& dims, Only<bool> keepdim = false);

/// Whether any, whether every element is not zero. -> bool.
WEFT_API Tensor any(const Tensor& x, const DimList& dims = {}, Only<bool> keepdim = false);
WEFT_API Tensor all(const Tensor& x, const DimList& dims = {}, Only<bool> keepdim = false);
/// Number of elements that are not zero. -> i64.
WEFT_API Tensor count_nonzero(const Tensor& x, const DimList& dims = {});

}  // namespace weft
