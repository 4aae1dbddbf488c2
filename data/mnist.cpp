#include "weft/data/mnist.h"

#include "weft/autograd/ops/shape/shape.h"
#include "weft/io/cifar.h"
#include "weft/io/folder.h"
#include "weft/io/idx.h"

namespace weft::data {

namespace {

/// The first of the files that is there.
std::string first_file(const std::string& root, const std::vector<std::string>& folders, const std::string& name,
                       const std::vector<std::string>& endings) {
  for (const std::string& folder : folders)
    for (const std::string& ending : endings)
      if (std::string path = io::join_path(io::join_path(root, folder), name + ending); io::is_file(path)) return path;
  std::string places;
  for (size_t i = 1; i < folders.size(); ++i) places += (i > 1 ? ", " : "") + folders[i];
  raise<IoError>(root, ": there is no ", name, " in it or in ", places, " below it");
}

std::string mnist_file(const std::string& root, const std::string& name) {
  return first_file(root, {"", "raw", "MNIST/raw"}, name, {"", ".gz"});
}

Tensor mnist_images(const std::string& path) {
  const Tensor x = io::read_idx(path);
  WEFT_CHECK(x.dtype() == Dtype::u8 && x.rank() == 3, IoError, path, ": holds ", x.dtype(), " ", x.shape(),
             ", not pictures u8 [n, H, W]");
  return x.unsqueeze(1);
}

Tensor mnist_labels(const std::string& path, int64_t count) {
  const Tensor x = io::read_idx(path);
  WEFT_CHECK(x.dtype() == Dtype::u8 && x.rank() == 1, IoError, path, ": holds ", x.dtype(), " ", x.shape(),
             ", not labels u8 [n]");
  WEFT_CHECK(x.size(0) == count, IoError, path, ": holds ", x.size(0), " labels of ", count, " pictures");
  for (int64_t i = 0; i < count; ++i)
    WEFT_CHECK(x.data<uint8_t>()[i] < 10, IoError, path, ": picture ", i, " has the label ",
               static_cast<int>(x.data<uint8_t>()[i]), " of 10");
  return x.to(Dtype::i64);
}

TensorDataset read_mnist(const std::string& root, const std::string& part) {
  const Tensor images = mnist_images(mnist_file(root, part + "-images-idx3-ubyte"));
  return TensorDataset(images, mnist_labels(mnist_file(root, part + "-labels-idx1-ubyte"), images.size(0)));
}

TensorDataset read_cifar10(const std::string& root, bool train) {
  std::vector<Tensor> images, labels;
  for (int i = 1; i <= (train ? 5 : 1); ++i) {
    const std::string name = train ? str("data_batch_", i, ".bin") : "test_batch.bin";
    const io::CifarBatch part = io::read_cifar10(first_file(root, {"", "cifar-10-batches-bin"}, name, {""}));
    images.push_back(part.images);
    labels.push_back(part.labels);
  }
  return TensorDataset(cat(images), cat(labels));
}

TensorDataset read_cifar100(const std::string& root, const CIFAR100Options& o) {
  const std::string name = o.train ? "train.bin" : "test.bin";
  const io::CifarBatch all = io::read_cifar100(first_file(root, {"", "cifar-100-binary"}, name, {""}));
  return TensorDataset(all.images, o.coarse ? all.coarse_labels : all.labels);
}

}  // namespace

MNIST::MNIST(const std::string& root, Only<bool> train) : TensorDataset(read_mnist(root, train ? "train" : "t10k")) {}

CIFAR10::CIFAR10(const std::string& root, Only<bool> train) : TensorDataset(read_cifar10(root, train)) {}

const std::vector<std::string>& CIFAR10::classes() {
  static const std::vector<std::string> names = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                 "dog",      "frog",       "horse", "ship", "truck"};
  return names;
}

CIFAR100::CIFAR100(const std::string& root, const CIFAR100Options& o) : TensorDataset(read_cifar100(root, o)) {}

}  // namespace weft::data
