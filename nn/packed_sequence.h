// Batches of sequences of different lengths: as a list, padded to one length, or packed without padding
// (torch.nn.utils.rnn). Knows tensors only; the layers that take packed sequences are in rnn.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft::nn {

/// Sequences without padding: step 0 of all of them, longest first, then step 1 of those that have one, and so on. Made
/// by pack_padded_sequence and pack_sequence; the recurrent layers take and give it. As
/// torch.nn.utils.rnn.PackedSequence.
struct WEFT_API PackedSequence {
  Tensor data;         ///< [sum of lengths, ...]
  Tensor batch_sizes;  ///< [T] i64, on the CPU: how many sequences have step t; positive and never rising
  /// [B] i64, both or none: the b-th longest sequence is the caller's number sorted_indices[b]; and the inverse.
  /// Undefined: the caller's sequences come longest first.
  Tensor sorted_indices = {}, unsorted_indices = {};
  /// The data on `device` or as `dtype`; batch_sizes stays on the CPU and the indices go with the data.
  PackedSequence to(Device device) const;
  PackedSequence to(Dtype dtype) const;
};

/// Options of pack_padded_sequence.
struct PackPaddedOptions {
  bool batch_first = false;  ///< x is [B, T, ...] instead of [T, B, ...]
  bool enforce_sorted =
      true;  ///< lengths must not rise; off: sequences are sorted by length, equal ones keep their order
};
/// The first lengths[b] steps of each sequence b of a padded batch. x: [T, B, ...] of any dtype, lengths: [B] integers
/// in 1..T, read on the host. One copy of the rows that are kept; its gradient is 0 at the padding. ShapeError for
/// another rank, no elements or another number of lengths; ValueError for lengths out of range, or rising with
/// enforce_sorted.
[[nodiscard]] WEFT_API PackedSequence pack_padded_sequence(const Tensor& x, const Tensor& lengths,
                                                           const PackPaddedOptions& o = {});
/// A list of sequences [L_b, ...], packed.
[[nodiscard]] WEFT_API PackedSequence pack_sequence(const std::vector<Tensor>& sequences,
                                                    Only<bool> enforce_sorted = true);

/// Options of pad_packed_sequence.
struct PadPackedOptions {
  bool batch_first = false;                            ///< the result is [B, T, ...] instead of [T, B, ...]
  double padding_value = 0;                            ///< what stands behind the shorter sequences
  std::optional<int64_t> total_length = std::nullopt;  ///< T of the result; the longest sequence's unless given
};
/// Result of pad_packed_sequence.
struct PaddedSequence {
  Tensor output;   ///< [T, B, ...], or [B, T, ...] with batch_first
  Tensor lengths;  ///< [B] i64, on the CPU
};
/// Packed sequences in the caller's order again, each with padding behind it. ValueError for a total_length below the
/// longest.
[[nodiscard]] WEFT_API PaddedSequence pad_packed_sequence(const PackedSequence& sequence,
                                                          const PadPackedOptions& o = {});
/// Packed sequences as a list in the caller's order.
[[nodiscard]] WEFT_API std::vector<Tensor> unpack_sequence(const PackedSequence& sequence);

/// Where pad_sequence puts the padding.
enum class PaddingSide : uint8_t { right, left };
constexpr auto mode_words(PaddingSide) { return make_words("pad_sequence: padding_side", "right", "left"); }
/// Options of pad_sequence.
struct PadSequenceOptions {
  bool batch_first = false;                               ///< the result is [B, T, ...] instead of [T, B, ...]
  double padding_value = 0;                               ///< what the padding holds
  Choice<PaddingSide> padding_side = PaddingSide::right;  ///< behind the sequences, or before them
};
/// Sequences [L_b, ...] side by side, padded to the longest: [T, B, ...], or [B, T, ...] with batch_first. The dtype is
/// the first one's. ValueError for an empty list, ShapeError for sequences that differ beyond their first axis.
[[nodiscard]] WEFT_API Tensor pad_sequence(const std::vector<Tensor>& sequences, const PadSequenceOptions& o = {});
/// The inverse of pad_sequence: views of the first lengths[b] steps of each sequence of a padded batch [T, B, ...]. A
/// length beyond T counts as T. ShapeError unless there is one length for each sequence.
[[nodiscard]] WEFT_API std::vector<Tensor> unpad_sequence(const Tensor& x, const Tensor& lengths,
                                                          Only<bool> batch_first = false);

namespace detail {
/// The batch sizes on the host. ShapeError or ValueError, in the name of `op`, for parts that do not fit one another.
std::vector<int64_t> checked_batch_sizes(const std::string& op, const PackedSequence& s);
}  // namespace detail

namespace utils::rnn {
using nn::pack_padded_sequence;
using nn::pack_sequence;
using nn::pad_packed_sequence;
using nn::pad_sequence;
}  // namespace utils::rnn

}  // namespace weft::nn
