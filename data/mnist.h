// MNIST and what is stored like it, and CIFAR-10 and CIFAR-100, in memory. Knows io's readers.
#pragma once

#include <string>
#include <vector>

#include "weft/data/datasets.h"

namespace weft::data {

/// The digits of MNIST (Fashion-MNIST, KMNIST): u8 [1, 28, 28] and a class i64 []. The IDX files, gzipped or not, as
/// they are published (train-images-idx3-ubyte, ...), in ROOT, ROOT/raw or ROOT/MNIST/raw. IoError for a missing file,
/// for pictures and labels of different numbers and labels beyond 9. Equivalent: torchvision.datasets.MNIST.
class WEFT_API MNIST : public TensorDataset {
 public:
  explicit MNIST(const std::string& root, Only<bool> train = true);
};

/// u8 [3, 32, 32] and a class i64 []. The binary files (data_batch_1.bin, ..., test_batch.bin) in ROOT or
/// ROOT/cifar-10-batches-bin. Equivalent: torchvision.datasets.CIFAR10, which reads the files of pickles.
class WEFT_API CIFAR10 : public TensorDataset {
 public:
  explicit CIFAR10(const std::string& root, Only<bool> train = true);
  /// airplane, ..., truck.
  static const std::vector<std::string>& classes();
};

/// Options of CIFAR100.
struct CIFAR100Options {
  bool train = true;    ///< train.bin; else test.bin
  bool coarse = false;  ///< the 20 groups instead of the 100 classes
};
/// The same of train.bin and test.bin, in ROOT or ROOT/cifar-100-binary.
class WEFT_API CIFAR100 : public TensorDataset {
 public:
  explicit CIFAR100(const std::string& root, const CIFAR100Options& o = {});
};

}  // namespace weft::data
