// Statistics of samples: covariance, two reductions at once, differences and integrals along an axis.
// The reductions themselves are in reduce.h.
#pragma once

#include "weft/autograd/ops/reduce/reduce.h"

namespace weft {

/// Results of std_mean and var_mean.
WEFT_RESULT(StdMean, std, mean);
WEFT_RESULT(VarMean, var, mean);
/// std and mean, or var and mean, over the same axes. Floating only. Options and gradients as in `std` and `var`.
/// Equivalent: torch.std_mean, torch.var_mean.
WEFT_API StdMean std_mean(const Tensor& x, const DimList& dims = {}, const VarOptions& o = {});
WEFT_API VarMean var_mean(const Tensor& x, const DimList& dims = {}, const VarOptions& o = {});
template <Boolean B> StdMean std_mean(const Tensor& x, const B& unbiased) {
  return std_mean(x, {}, VarOptions{bool(unbiased) ? 1.0 : 0.0});
}
template <Boolean B> VarMean var_mean(const Tensor& x, const B& unbiased) {
  return var_mean(x, {}, VarOptions{bool(unbiased) ? 1.0 : 0.0});
}

/// What aminmax gives.
WEFT_RESULT(MinMax, min, max);
/// amin and amax along `dim`, or of everything; NaN wins and equal extremes share the gradient. ShapeError for no
/// elements. Equivalent: torch.aminmax.
WEFT_API MinMax aminmax(const Tensor& x, std::optional<Int> dim = {}, Only<bool> keepdim = false);

/// Options of cov.
struct CovOptions {
  double correction = 1;  ///< the divisor is max(0, number of observations - correction)
  Tensor fweights = {};   ///< [observations] integers: how often each observation counts
  Tensor aweights = {};   ///< [observations] floating: its importance
};
/// Covariances of the rows. x: [variables, observations] -> [variables, variables]; a vector or a number is one
/// variable, whose variance is the result, []. With weights w = fweights aweights and V = sum w the mean is sum(w x) /
/// V and the divisor V - correction sum(w aweights) / V. Integers go to the default dtype. The weights' signs are read
/// on the host: waits for their device. Errors: ShapeError beyond rank 2 and for weights of another length, DtypeError
/// for bool, ValueError for negative weights and those that sum to 0. Equivalent: torch.cov.
[[nodiscard]] WEFT_API Tensor cov(const Tensor& x, const CovOptions& o = {});
/// cov_ij / sqrt(cov_ii cov_jj), within [-1, 1]. Shapes and errors as `cov`'s. Equivalent: torch.corrcoef.
[[nodiscard]] WEFT_API Tensor corrcoef(const Tensor& x);

/// Options of diff.
struct DiffOptions {
  Tensor prepend = {}, append = {};  ///< put before and after x along the axis first; of x's rank and other sizes
};
/// Differences of neighbours along `dim`, n times over: the axis becomes n shorter. bool: are they different?
/// ValueError for negative n. Equivalent: torch.diff.
[[nodiscard]] WEFT_API Tensor diff(const Tensor& x, Int n = 1, Int dim = -1, const DiffOptions& o = {});

/// Integral along `dim` by the trapezoid rule, sum of (y_i + y_{i+1}) / 2 times dx; the axis goes. Integers give the
/// default dtype. DtypeError for bool. Equivalent: torch.trapezoid.
[[nodiscard]] WEFT_API Tensor trapezoid(const Tensor& y, double dx = 1, Int dim = -1);
/// The same at places x: a vector of the axis's size, or a tensor that broadcasts with y.
[[nodiscard]] WEFT_API Tensor trapezoid(const Tensor& y, const Tensor& x, Int dim = -1);

/// Each slice x.select(dim, i) whose p-norm exceeds maxnorm, scaled down to it (times maxnorm / (norm + 1e-7)).
/// Floating, rank >= 2. ValueError unless p > 0 and maxnorm >= 0. Equivalent: torch.renorm.
[[nodiscard]] WEFT_API Tensor renorm(const Tensor& x, double p, Int dim, double maxnorm);

}  // namespace weft
