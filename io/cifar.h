// The binary files of CIFAR-10 and CIFAR-100: pictures of 32 x 32 with one label or two.
// Knows tensors only.
#pragma once

#include "weft/core/tensor.h"
#include "weft/io/input_output.h"

namespace weft::io {

/// What a file holds.
struct CifarBatch {
  Tensor images;         ///< u8 [n, 3, 32, 32]
  Tensor labels;         ///< i64 [n]: the class, of CIFAR-100 the fine one
  Tensor coarse_labels;  ///< i64 [n], of CIFAR-100 only
};

/// Reads such a file. IoError for a size that is no number of records and for labels beyond 9, or 99
/// and 19. Format: A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html
WEFT_API CifarBatch read_cifar10(const Input& from);
WEFT_API CifarBatch read_cifar100(const Input& from);

}  // namespace weft::io
