// Ops that move elements without arithmetic: joining, repeating, flipping, cutting, and the views of Tensor as free
// functions. Must not know of indices (index.h) or of padding (pad.h).
#pragma once

#include "weft/core/choice.h"
#include "weft/core/tensor.h"
#include "weft/core/tensor_list.h"

namespace weft {

// The views of Tensor as functions.
/// The member functions of Tensor with these names, whose docs have shapes and errors (core/tensor.h).
inline Tensor reshape(const Tensor& x, const Shape& shape) { return x.reshape(shape); }
inline Tensor permute(const Tensor& x, const Shape& dims) { return x.permute(dims); }
inline Tensor transpose(const Tensor& x, Int dim0, Int dim1) { return x.transpose(dim0, dim1); }
inline Tensor flatten(const Tensor& x, Int start_dim = 0, Int end_dim = -1) { return x.flatten(start_dim, end_dim); }
inline Tensor unflatten(const Tensor& x, Int dim, const Shape& sizes) { return x.unflatten(dim, sizes); }
inline Tensor squeeze(const Tensor& x) { return x.squeeze(); }
inline Tensor squeeze(const Tensor& x, const Shape& dims) { return x.squeeze(dims); }
inline Tensor unsqueeze(const Tensor& x, Int dim) { return x.unsqueeze(dim); }
inline Tensor expand(const Tensor& x, const Shape& shape) { return x.expand(shape); }
inline Tensor select(const Tensor& x, Int dim, Int index) { return x.select(dim, index); }
inline Tensor narrow(const Tensor& x, Int dim, Int start, Int length) { return x.narrow(dim, start, length); }
inline Tensor movedim(const Tensor& x, const Shape& source, const Shape& destination) {
  return x.movedim(source, destination);
}
inline Tensor diagonal(const Tensor& x, Int offset = 0, Int dim1 = 0, Int dim2 = 1) {
  return x.diagonal(offset, dim1, dim2);
}
template <Integer I> std::vector<Tensor> split(const Tensor& x, I size, Int dim = 0) { return x.split(size, dim); }
inline std::vector<Tensor> split(const Tensor& x, const Shape& sizes, Int dim = 0) { return x.split(sizes, dim); }
inline std::vector<Tensor> chunk(const Tensor& x, Int chunks, Int dim = 0) { return x.chunk(chunks, dim); }
/// Tensor::unfold: windows along one axis (`unfold` is im2col, in fold.h).
inline Tensor tensor_unfold(const Tensor& x, Int dim, Int size, Int step) {
  const OpName op("tensor_unfold");
  return x.unfold(dim, size, step);
}

/// The tensors side by side along `dim`; all other sizes agree. The dtype is the promoted one; channels-last stays
/// channels-last. Tensors of shape [0] count for nothing. Errors: an empty list, sizes that differ elsewhere.
[[nodiscard]] WEFT_API Tensor cat(const std::vector<Tensor>& tensors, Int dim = 0);
[[nodiscard]] inline Tensor cat(TensorBraces tensors, Int dim = 0) { return cat(listed(tensors), dim); }
/// The tensors, all of one shape, along a new axis `dim`.
[[nodiscard]] WEFT_API Tensor stack(const std::vector<Tensor>& tensors, Int dim = 0);
[[nodiscard]] inline Tensor stack(TensorBraces tensors, Int dim = 0) { return stack(listed(tensors), dim); }

/// The slices along `dim`, without that axis: views. Their gradients meet in one tensor.
[[nodiscard]] WEFT_API std::vector<Tensor> unbind(const Tensor& x, Int dim = 0);

/// x with its elements reversed along `dims`: a copy.
[[nodiscard]] WEFT_API Tensor flip(const Tensor& x, const Shape& dims);
/// x shifted by shifts[i] places towards higher indices along dims[i]; elements beyond the end come in at the front.
[[nodiscard]] WEFT_API Tensor roll(const Tensor& x, const Shape& shifts, const Shape& dims);
/// The same over all elements in row-major order.
[[nodiscard]] WEFT_API Tensor roll(const Tensor& x, Int shift);

/// x repeated repeats[i] times along axis i, as a whole; missing axes of x come in front.
[[nodiscard]] WEFT_API Tensor repeat(const Tensor& x, const Shape& repeats);
/// As repeat, but where `dims` is the shorter list, its missing entries in front are 1.
[[nodiscard]] WEFT_API Tensor tile(const Tensor& x, const Shape& dims);
/// Each element `repeats` times in a row along `dim`.
[[nodiscard]] WEFT_API Tensor repeat_interleave(const Tensor& x, Int repeats, Int dim);
/// The same over all elements in row-major order.
[[nodiscard]] WEFT_API Tensor repeat_interleave(const Tensor& x, Int repeats);
/// Element i along `dim` repeats[i] times; repeats: integers of rank 1.
[[nodiscard]] WEFT_API Tensor repeat_interleave(const Tensor& x, const Tensor& repeats, Int dim);

/// Order of a grid's axes: that of a matrix, or with the first two swapped (numpy's default).
enum class MeshIndexing : uint8_t { ij, xy };
constexpr auto mode_words(MeshIndexing) { return make_words("meshgrid: indexing", "ij", "xy"); }
/// Grids of coordinates: result k has the shape of all sizes and varies along axis k. Views.
/// ShapeError for tensors of rank 2 and above.
[[nodiscard]] WEFT_API std::vector<Tensor> meshgrid(const std::vector<Tensor>& tensors,
                                                    Choice<MeshIndexing> indexing = MeshIndexing::ij);
[[nodiscard]] inline std::vector<Tensor> meshgrid(TensorBraces tensors,
                                                  Choice<MeshIndexing> indexing = MeshIndexing::ij) {
  return meshgrid(listed(tensors), indexing);
}

/// The elements on and below (tril), on and above (triu) the diagonal of the last two axes; zero elsewhere.
[[nodiscard]] WEFT_API Tensor tril(const Tensor& x, Int diagonal = 0);
[[nodiscard]] WEFT_API Tensor triu(const Tensor& x, Int diagonal = 0);

/// x: [.., C r^2, H, W] -> [.., C, H r, W r]: channel c r^2 + i r + j becomes pixel (i, j) of each r x r block.
/// ShapeError below rank 3 and for channels that r^2 does not divide.
[[nodiscard]] WEFT_API Tensor pixel_shuffle(const Tensor& x, Int upscale_factor);
/// The inverse of pixel_shuffle: [.., C, H r, W r] -> [.., C r^2, H, W]. ShapeError for sizes that r does not divide.
[[nodiscard]] WEFT_API Tensor pixel_unshuffle(const Tensor& x, Int downscale_factor);
/// x: [N, C, ...] -> channel k (C / groups) + i becomes channel i groups + k. ValueError unless groups divides C.
[[nodiscard]] WEFT_API Tensor channel_shuffle(const Tensor& x, Int groups);

namespace detail {
/// Uninitialised and dense, with its axes in memory in the order that x has them in, be x dense or a part of something
/// (contiguous if x is expanded or of another rank).
WEFT_API Tensor empty_ordered(const Shape& shape, Dtype dtype, const Tensor& x);
/// x without gradient if it is dense, else a dense copy in its order of axes.
WEFT_API Tensor dense_ordered(const Tensor& x);
}  // namespace detail

}  // namespace weft
