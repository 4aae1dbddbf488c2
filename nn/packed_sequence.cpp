#include "weft/nn/packed_sequence.h"

#include <algorithm>
#include <numeric>

#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft::nn {

namespace {

std::vector<int64_t> host_integers(const std::string& op, const char* what, const Tensor& t) {
  check_defined(op.c_str(), t);
  WEFT_CHECK(!t.is_floating() && t.dtype() != Dtype::boolean, DtypeError, op, ": ", what, " is ", t.dtype(),
             "; expected integers");
  WEFT_CHECK(t.rank() == 1, ShapeError, op, ": ", what, " must have one axis, got ", t.shape());
  return t.to_vector<int64_t>();
}

std::vector<int64_t> counted(int64_t n) {
  std::vector<int64_t> v(static_cast<size_t>(n));
  std::iota(v.begin(), v.end(), int64_t{0});
  return v;
}

/// Rows of all parts together, each [n, ...], at the places of a batch [T, B, ...], or [B, T, ...] with batch_first.
/// `row_of(t, b)` below 0: padding.
template <class RowOf>
Tensor laid_out(std::vector<Tensor> parts, int64_t T, int64_t B, bool batch_first, double padding_value,
                const RowOf& row_of) {
  Shape one = parts[0].shape(), shape{batch_first ? B : T, batch_first ? T : B};
  one[0] = 1;
  for (int i = 1; i < one.size(); ++i) shape.push_back(one[i]);
  parts.push_back(full(one, padding_value, parts[0].options()));
  const Tensor all = cat(parts);
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(T * B));
  for (int64_t i = 0; i < shape[0]; ++i)
    for (int64_t j = 0; j < shape[1]; ++j) {
      const int64_t row = batch_first ? row_of(j, i) : row_of(i, j);
      rows.push_back(row < 0 ? all.size(0) - 1 : row);
    }
  return index_select(all, 0, tensor(rows).to(all.device())).reshape(shape);
}

PackedSequence with_data(const PackedSequence& s, const Tensor& data) {
  const auto there = [&](const Tensor& t) { return t.defined() ? t.to(data.device()) : t; };
  return {data, s.batch_sizes, there(s.sorted_indices), there(s.unsorted_indices)};
}

}  // namespace

std::vector<int64_t> detail::checked_batch_sizes(const std::string& op, const PackedSequence& s) {
  check_defined(op.c_str(), s.data, s.batch_sizes);
  const std::vector<int64_t> sizes = host_integers(op, "batch_sizes", s.batch_sizes);
  const bool falling = std::is_sorted(sizes.rbegin(), sizes.rend());
  WEFT_CHECK(!sizes.empty() && falling && sizes.back() > 0, ValueError, op,
             ": batch_sizes must be positive and never rise; make packed sequences with pack_padded_sequence");
  const int64_t rows = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  WEFT_CHECK(s.data.rank() > 0 && s.data.size(0) == rows, ShapeError, op, ": data ", s.data.shape(), " should have ",
             rows, " rows, the sum of batch_sizes");
  WEFT_CHECK(s.sorted_indices.defined() == s.unsorted_indices.defined(), ValueError, op,
             ": sorted_indices and unsorted_indices must both be given or both not");
  for (const Tensor& t : {s.sorted_indices, s.unsorted_indices})
    WEFT_CHECK(!t.defined() || t.shape() == Shape{sizes[0]}, ShapeError, op, ": indices ", t.shape(),
               " should have shape ", Shape{sizes[0]});
  return sizes;
}

PackedSequence PackedSequence::to(Device device) const { return with_data(*this, data.to(device)); }
PackedSequence PackedSequence::to(Dtype dtype) const { return with_data(*this, data.to(dtype)); }

PackedSequence pack_padded_sequence(const Tensor& x, const Tensor& lengths, const PackPaddedOptions& o) {
  constexpr const char* op = "pack_padded_sequence";
  WEFT_CHECK(x.rank() >= 2, ShapeError, op, ": input must be ", o.batch_first ? "[B, T, ...]" : "[T, B, ...]", ", got ",
             x.shape());
  WEFT_CHECK(x.numel() > 0, ShapeError, op, ": cannot pack an empty tensor, got ", x.shape());
  const std::vector<int64_t> length = host_integers(op, "lengths", lengths);
  const int64_t T = x.size(o.batch_first ? 1 : 0), B = x.size(o.batch_first ? 0 : 1);
  WEFT_CHECK(static_cast<int64_t>(length.size()) == B, ShapeError, op, ": ", length.size(), " lengths for input ",
             x.shape(), " with batch_size=", B);
  for (const int64_t n : length)
    WEFT_CHECK(n > 0 && n <= T, ValueError, op, ": length of all samples has to be greater than 0 and at most ", T,
               ", but found ", n);
  std::vector<int64_t> order = counted(B);
  const auto of = [&](int64_t b) { return length[static_cast<size_t>(b)]; };
  const auto longer = [&](int64_t a, int64_t b) { return of(a) > of(b); };
  if (!o.enforce_sorted) std::stable_sort(order.begin(), order.end(), longer);
  WEFT_CHECK(std::is_sorted(order.begin(), order.end(), longer), ValueError, op,
             ": lengths must be sorted in decreasing order when enforce_sorted is true; set .enforce_sorted = false");

  std::vector<int64_t> rows, sizes;
  for (int64_t t = 0; t < of(order[0]); ++t) {
    const size_t before = rows.size();
    for (const int64_t b : order) {
      if (of(b) <= t) break;
      rows.push_back(o.batch_first ? b * T + t : t * B + b);
    }
    sizes.push_back(static_cast<int64_t>(rows.size() - before));
  }
  PackedSequence s{index_select(x.flatten(0, 1), 0, tensor(rows).to(x.device())), tensor(sizes)};
  if (o.enforce_sorted) return s;
  std::vector<int64_t> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i) inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  s.sorted_indices = tensor(order).to(x.device());
  s.unsorted_indices = tensor(inverse).to(x.device());
  return s;
}

PackedSequence pack_sequence(const std::vector<Tensor>& sequences, Only<bool> enforce_sorted) {
  const Tensor padded = pad_sequence(sequences);
  std::vector<int64_t> lengths;
  for (const Tensor& s : sequences) lengths.push_back(s.size(0));
  return pack_padded_sequence(padded, tensor(lengths), {.enforce_sorted = enforce_sorted});
}

PaddedSequence pad_packed_sequence(const PackedSequence& s, const PadPackedOptions& o) {
  constexpr const char* op = "pad_packed_sequence";
  const std::vector<int64_t> sizes = detail::checked_batch_sizes(op, s);
  const int64_t longest = static_cast<int64_t>(sizes.size()), T = o.total_length.value_or(longest), B = sizes[0];
  WEFT_CHECK(T >= longest, ValueError, op,
             ": expected total_length to be at least the length of the longest sequence, ", longest, ", but got ", T);
  const std::vector<int64_t> place = s.unsorted_indices.defined()
                                         ? host_integers(op, "unsorted_indices", s.unsorted_indices)
                                         : counted(B);
  for (const int64_t p : place)
    WEFT_CHECK(p >= 0 && p < B, ValueError, op, ": unsorted_indices hold ", p, " for a batch of ", B);
  std::vector<int64_t> begins(sizes.size()), lengths(place.size());
  std::exclusive_scan(sizes.begin(), sizes.end(), begins.begin(), int64_t{0});
  for (size_t b = 0; b < place.size(); ++b)
    lengths[b] = std::count_if(sizes.begin(), sizes.end(), [&](int64_t n) { return n > place[b]; });
  const auto row_of = [&](int64_t t, int64_t b) {
    const auto at = static_cast<size_t>(b);
    return t < lengths[at] ? begins[static_cast<size_t>(t)] + place[at] : -1;
  };
  return {laid_out({s.data}, T, B, o.batch_first, o.padding_value, row_of), tensor(lengths)};
}

std::vector<Tensor> unpack_sequence(const PackedSequence& s) {
  const PaddedSequence padded = pad_packed_sequence(s, {.batch_first = true});
  return unpad_sequence(padded.output, padded.lengths, true);
}

Tensor pad_sequence(const std::vector<Tensor>& sequences, const PadSequenceOptions& o) {
  WEFT_CHECK(!sequences.empty(), ValueError, "pad_sequence: received an empty list of sequences");
  std::vector<Tensor> parts;
  std::vector<int64_t> begins;
  int64_t rows = 0, T = 0;
  for (const Tensor& s : sequences) {
    const Tensor& first = sequences[0];
    WEFT_CHECK(s.rank("pad_sequence") > 0 && s.rank() == first.rank() && s.shape().slice(1) == first.shape().slice(1),
               ShapeError, "pad_sequence: sequences must be [L, ...] and agree beyond L, got ", first.shape(), " and ",
               s.shape());
    parts.push_back(s.to(first.dtype()));
    begins.push_back(rows);
    rows += s.size(0);
    T = std::max(T, s.size(0));
  }
  const bool left = o.padding_side == PaddingSide::left;
  const auto row_of = [&](int64_t t, int64_t b) {
    const auto at = static_cast<size_t>(b);
    const int64_t n = parts[at].size(0), step = left ? t - (T - n) : t;
    return step >= 0 && step < n ? begins[at] + step : -1;
  };
  return laid_out(parts, T, static_cast<int64_t>(parts.size()), o.batch_first, o.padding_value, row_of);
}

std::vector<Tensor> unpad_sequence(const Tensor& x, const Tensor& lengths, Only<bool> batch_first) {
  WEFT_CHECK(x.rank() >= 2, ShapeError, "unpad_sequence: input must be ", batch_first ? "[B, T, ...]" : "[T, B, ...]",
             ", got ", x.shape());
  const std::vector<int64_t> length = host_integers("unpad_sequence", "lengths", lengths);
  const std::vector<Tensor> whole = unbind(x, batch_first ? 0 : 1);
  WEFT_CHECK(length.size() == whole.size(), ShapeError, "unpad_sequence: ", length.size(), " lengths for input ",
             x.shape(), " with batch_size=", whole.size());
  std::vector<Tensor> parts;
  for (size_t b = 0; b < whole.size(); ++b)
    parts.push_back(whole[b].narrow(0, 0, std::clamp<int64_t>(length[b], 0, whole[b].size(0))));
  return parts;
}

}  // namespace weft::nn
