// Looking values up and counting them: places in a sorted sequence, membership, closeness, runs, histograms.
// Nothing is recorded.
#pragma once

#include "weft/core/choice.h"
#include "weft/core/results.h"
#include "weft/core/tensor.h"

namespace weft {

/// Options of searchsorted and bucketize.
struct SearchOptions {
  bool out_int32 = false;  ///< i32 in place of i64
  bool right = false;      ///< the place behind equal elements; otherwise before them (PyTorch's side)
  Tensor sorter = {};      ///< searchsorted: i64, the order in which the sequence is sorted, of its shape
};
/// Where each value would be put into the sorted sequence (rising along the last axis): the number of elements that are
/// less, or (`right`) not greater. A NaN goes to the end. sorted_sequence: [n] with values of any shape, or [..., n]
/// with values [..., m]. -> values' shape, i64. ShapeError where they do not fit.
[[nodiscard]] WEFT_API Tensor searchsorted(const Tensor& sorted_sequence, const Tensor& values,
                                           const SearchOptions& o = {});
[[nodiscard]] WEFT_API Tensor searchsorted(const Tensor& sorted_sequence, Scalar value, const SearchOptions& o = {});
/// The index of each element's bucket, where `boundaries` ([n], rising) part the buckets. As searchsorted.
[[nodiscard]] WEFT_API Tensor bucketize(const Tensor& x, const Tensor& boundaries, const SearchOptions& o = {});
[[nodiscard]] WEFT_API Tensor bucketize(Scalar x, const Tensor& boundaries, const SearchOptions& o = {});

/// Options of isin.
struct IsinOptions {
  bool assume_unique = false;  ///< ignored; PyTorch has it
  bool invert = false;         ///< true for elements that are none of test_elements
};
/// Whether each element is one of test_elements. -> bool, of elements' shape. NaN equals none.
[[nodiscard]] WEFT_API Tensor isin(const Tensor& elements, const Tensor& test_elements, const IsinOptions& o = {});
[[nodiscard]] WEFT_API Tensor isin(const Tensor& elements, Scalar test_element, const IsinOptions& o = {});
[[nodiscard]] WEFT_API Tensor isin(Scalar element, const Tensor& test_elements, const IsinOptions& o = {});

/// |x - y| <= atol + rtol |y|, element by element, in f64; equal infinities are close, NaNs only with `equal_nan`.
/// bool. DtypeError for two dtypes; ValueError for a negative tolerance.
[[nodiscard]] WEFT_API Tensor isclose(const Tensor& x, const Tensor& y, double rtol = 1e-5, double atol = 1e-8,
                                      Only<bool> equal_nan = false);

/// The result of unique: the different elements or slices, once each; where in `output` each element (x's shape) or
/// slice ([n]) is, i64; how often each of `output` was there, i64. What the options do not ask for is undefined.
WEFT_RESULT(UniqueResult, output, inverse_indices, counts);
/// Options of unique and unique_consecutive: what else to return.
struct UniqueOptions {
  bool return_inverse = false;
  bool return_counts = false;
  std::optional<Int> dim = std::nullopt;  ///< whole slices along it are compared; none: elements in row-major order
};
/// The different elements in rising order, or the different slices along `dim` in lexicographic order (one sort for
/// each element of a slice). A NaN equals nothing. Waits for the device. Equivalent: torch.unique.
[[nodiscard]] WEFT_API UniqueResult unique(const Tensor& x, const UniqueOptions& o = {});
/// As unique, but only equal neighbours become one, and the order stays. Equivalent: torch.unique_consecutive.
[[nodiscard]] WEFT_API UniqueResult unique_consecutive(const Tensor& x, const UniqueOptions& o = {});

/// How often each of 0, 1, ... is in x ([n], integers, none negative): i64 [max(x) + 1], at least `minlength`.
/// With weights ([n]) their sums, in order, f32 for f32 and f64 otherwise. Waits for the device.
[[nodiscard]] WEFT_API Tensor bincount(const Tensor& x, const Tensor& weights = {}, Int minlength = 0);
/// Options of histc.
struct HistcOptions {
  int64_t bins = 100;       ///< number of parts
  double min = 0, max = 0;  ///< where equal: x's least and greatest element, 1 less and more if those are equal
};
/// How many elements are in each of `bins` equal parts of [min, max], the last of which has its right end; those
/// outside and NaNs are left out. [bins], of x's floating dtype. ValueError for a range that is not finite, bins < 1 or
/// max < min.
[[nodiscard]] WEFT_API Tensor histc(const Tensor& x, const HistcOptions& o = {});
[[nodiscard]] inline Tensor histc(const Tensor& x, Only<int64_t> bins, double min = 0, double max = 0) {
  return histc(x, HistcOptions{bins, min, max});
}

}  // namespace weft
