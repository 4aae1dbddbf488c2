// Options of convolutions, which ops and layers share: padding, stride, dilation, groups; and what is checked of them.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "weft/core/conv_params.h"
#include "weft/core/tensor.h"

namespace weft {

/// First field of options that are given by name only, so that `{3, 5}` means two sizes and not the first two fields.
struct ByName {};

/// Padding: one number, one for each axis, a pair (before, after) for each axis, "valid" (none) or "same" (output as
/// large as the input at stride 1; the odd element of an even kernel goes to the end). The op or layer checks the text.
///     .padding = 1    .padding = {1, 2}    .padding = {{0, 1}, {2, 1}}    .padding = "same"
template <int D> class Padding {
 public:
  template <Integer I> Padding(I all) : lo(all), hi(all) {}
  template <Integer... I>
  requires(sizeof...(I) == D && D > 1) Padding(I... i) : lo(i...), hi(i...) {}
  Padding(const Dims<D>& d) : lo(d), hi(d) {}
  Padding(std::initializer_list<std::pair<int64_t, int64_t>> pairs) : Padding(std::span(pairs.begin(), pairs.size())) {}
  Padding(std::span<const std::pair<int64_t, int64_t>> pairs) : lo(0), hi(0) {
    WEFT_CHECK(pairs.size() == D, ValueError, "padding: ", pairs.size(), " pairs for ", D, " axes");
    for (int i = 0; i < D; ++i) std::tie(lo[i], hi[i]) = pairs[static_cast<size_t>(i)];
  }
  template <class S>
  requires(detail::ConvertsTo<S, std::string_view> && !std::integral<S>) Padding(const S& word)
      : lo(0), hi(0), text(std::string_view(word)) {}

  Dims<D> lo, hi;    ///< before and after each axis; 0 with a word
  std::string text;  ///< empty for numbers
};

/// Options of a convolution with D spatial axes. Each size stands for all axes, or there is one for each; groups
/// divides the channels of input and output.
template <int D> struct ConvOptions {
  ByName by_name = {};
  Dims<D> stride = 1;      ///< steps of the window
  Padding<D> padding = 0;  ///< of zeros, before and after each axis, or "same" or "valid"
  Dims<D> dilation = 1;    ///< distance of the kernel's elements
  int64_t groups = 1;      ///< of channels that do not mix
};
/// Options of a transposed convolution. `padding` crops the result, numbers only; output_padding enlarges its end, by
/// less than stride or dilation.
template <int D> struct ConvTransposeOptions {
  ByName by_name = {};
  Dims<D> stride = 1;          ///< steps of the kernel over the result
  Padding<D> padding = 0;      ///< cropped off both ends
  Dims<D> output_padding = 0;  ///< added to the end
  int64_t groups = 1;          ///< of channels that do not mix
  Dims<D> dilation = 1;        ///< distance of the kernel's elements
};

/// Puts the numbers that padding's `text` stands for into p.padding_lo and p.padding_hi. ValueError in the name of `op`
/// for a word other than "same" and "valid", and for "same" unless all strides are 1.
WEFT_API void resolve_padding(std::string_view op, std::string_view text, const Shape& kernel, ConvParams& p);
/// ValueError for any text: transposed and unit-scaled convolutions take numbers only.
WEFT_API void refuse_padding_text(std::string_view op, std::string_view text);
/// Options of an op or a layer as kernels take them, numbers as given.
template <class Options> ConvParams conv_params(const Options& o) {
  return {o.stride, o.padding.lo, o.padding.hi, o.dilation, o.groups};
}

/// Sizes >= 1, padding >= 0, groups >= 1, one entry for each axis; otherwise a ValueError that names `op` and the
/// argument.
WEFT_API void check_conv_params(const char* op, const ConvParams& p, int axes);
/// ShapeError unless x has `axes` spatial axes behind its channels, with or without a batch.
WEFT_API void check_conv_input(std::string_view op, const Tensor& x, int axes);

}  // namespace weft
