// Numbers as they lie in a file, of dtypes and byte orders that weft may not have. Internal to io.
// Knows no format.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "weft/core/state_dict.h"
#include "weft/io/file.h"
#include "weft/io/load.h"

namespace weft::io {

/// An element type of a format.
struct Stored {
  enum class Integer { none, u32, u64 };  // what weft has no dtype for
  std::string text;                       // the format's word, for messages
  size_t bits = 0;                        // of an element; 0: unknown
  std::optional<Dtype> dtype;             // what it becomes; nothing when weft cannot hold it
  Integer widened = Integer::none;
  bool swapped = false;  // big-endian
  bool complex = false;

  /// For messages: weft's name where it has the dtype.
  std::string shown() const;
  static Stored held(std::string text, Dtype dtype);
  static Stored integer(std::string text, Integer from);
};

/// The tensor at `offset`, in row-major order; the caller has checked that it lies inside. NotSupported, beginning with
/// `what`, when weft has no such dtype, or has a wider one and `widen` is off.
Tensor read_stored(const Source& source, size_t offset, const Shape& shape, const Stored& stored,
                   const std::string& what, bool widen);

/// All of a file's tensors, by `load(i)` of each of `infos`; those that raise NotSupported are `foreign`.
template <class F> StateDict load_all(const std::vector<TensorInfo>& infos, const F& load) {
  StateDict dict;
  for (size_t i = 0; i < infos.size(); ++i) {
    const TensorInfo& t = infos[i];
    try {
      dict.insert(t.name, load(i));
    } catch (const NotSupported& error) { dict.foreign[t.name] = {t.shape, t.dtype, error.what()}; }
  }
  return dict;
}

/// Bytes of a shape's elements of `bits` bits; false when a size is negative, or the product does not fit or ends
/// inside a byte.
bool checked_bytes(const Shape& shape, size_t bits, size_t& bytes);

/// NotSupported when the dict has foreign tensors: they would be lost.
void refuse_foreign(const StateDict& dict, const char* op);

/// What a file is that is not what was expected, and what reads it: "a PNG picture; io::read_image reads it". Empty
/// when unknown.
std::string recognised(Bytes bytes);

}  // namespace weft::io
