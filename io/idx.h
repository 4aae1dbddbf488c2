// IDX, the format of MNIST and its kin: one array of numbers behind a header of a few bytes.
// Knows tensors only; a file that lies about itself is refused before anything is allocated for it.
#pragma once

#include "weft/core/tensor.h"
#include "weft/io/input_output.h"

namespace weft::io {

/// Reads an IDX file, gzipped or not, of u8, i8, i16, i32, f32 or f64 in the shape of its header. IoError names the
/// file and what is wrong with it. Format: Y. LeCun, C. Cortes, C. Burges, The MNIST database.
WEFT_API Tensor read_idx(const Input& from);

}  // namespace weft::io
