// The pair of ops behind all indexing by tensors: pick the elements that some axes' index tensors name, and its
// adjoint. Internal: not part of the public headers.
#pragma once

#include "weft/core/tensor.h"

namespace weft::detail {

/// Index tensors for some axes of a base tensor, broadcast together. The result has the broadcast shape's axes in place
/// of the indexed ones, at position `at` among the axes that are left.
struct Lookup {
  const char* op;
  Shape base;                   // shape of the tensor that is indexed
  Shape dims;                   // indexed axes
  Shape shape;                  // of the broadcast index tensors
  int at = 0;                   // first of `dims` if they are neighbours, else 0 (numpy's rule)
  bool wrap;                    // negative indices count from the end
  std::vector<Tensor> indices;  // contiguous, of `shape`, i64 or i32

  Lookup(const char* op, const Shape& base, const Shape& dims, const std::vector<Tensor>& indices, bool wrap);
  Shape result() const;
};

/// x, or a tensor of rank 0 as a line of one element. Recorded.
inline Tensor at_least_1d(const Tensor& x) { return x.rank() == 0 ? x.reshape({1}) : x; }

/// The picked elements. Recorded.
Tensor lookup(const Tensor& x, const Lookup& l);
/// Zeros of l.base with g added at the looked-up places, in order. Recorded.
Tensor lookup_adjoint(const Tensor& g, const Lookup& l);
/// Puts or adds src (of l.result(), y's dtype) into y, in place and unrecorded.
void lookup_put(Tensor& y, const Lookup& l, const Tensor& src, bool accumulate);

}  // namespace weft::detail
