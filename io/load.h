// What the readers of tensors in files share: how to load, and what a file says of a tensor.
// Knows no format.
#pragma once

#include <string>

#include "weft/core/shape.h"

namespace weft::io {

/// Options of all readers of tensors.
struct LoadOptions {
  /// Integers are widened exactly: i8, i16 and u16 (which keep their dtype otherwise) to i32, u32 to i64, and u64 to
  /// i64 where all values fit. Without it the last two, for which weft has no dtype, are as foreign as 8-bit floats,
  /// complex numbers and text: a file of many opens, and asking for such a one is NotSupported, by name.
  bool widen = false;
};

/// A tensor as its file describes it.
struct TensorInfo {
  std::string name;   ///< in the file
  Shape shape;        ///< in the file's order of axes; the first varies slowest
  std::string dtype;  ///< in the format's words: `F8_E4M3`, `I16` (safetensors), `<i2`, `|S3` (numpy)
};

}  // namespace weft::io
