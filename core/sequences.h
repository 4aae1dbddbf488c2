// Sequences of numbers and of index pairs, beside arange and linspace (factory.h). None is recorded.
// Knows Tensor only.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// base^start to base^stop in `steps` values whose exponents are evenly spaced, both ends included; a single value is
/// base^start. Computed in f64 and then rounded, integers cut. ValueError for negative steps, DtypeError for bool.
/// Equivalent: torch.logspace.
WEFT_API Tensor logspace(double start, double stop, Int steps, double base = 10, const TensorOptions& o = {});
/// [2, n]: rows and columns of the elements of a [row, col] matrix on and below (tril) or on and above (triu) the
/// diagonal number `offset`, in row-major order. i64, or i32 if asked for (else DtypeError). ValueError for negative
/// sizes. Equivalent: torch.tril_indices, torch.triu_indices.
WEFT_API Tensor tril_indices(Int row, Int col, Int offset = 0, const TensorOptions& o = Dtype::i64);
WEFT_API Tensor triu_indices(Int row, Int col, Int offset = 0, const TensorOptions& o = Dtype::i64);

}  // namespace weft
