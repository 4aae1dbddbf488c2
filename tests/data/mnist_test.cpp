// MNIST and CIFAR from files as they are published.
#include "weft/data/mnist.h"

#include "io/io_test.h"
#include "support/ops.h"
#include "support/says.h"
#include "support/throws.h"

using namespace io_test;
using support::message_of;
using support::says;

namespace {

std::string idx_bytes(const std::vector<unsigned>& shape, const std::string& bytes) {
  std::string s{'\0', '\0', '\10', static_cast<char>(shape.size())};
  for (unsigned n : shape) s += {'\0', '\0', static_cast<char>(n >> 8), static_cast<char>(n)};
  return s + bytes;
}
std::string cifar_record(const std::string& labels, char pixel) { return labels + std::string(3072, pixel); }

}  // namespace

TEST_SUITE_BEGIN("mnist");

TEST_CASE("MNIST: pictures [1, H, W] and classes, from each of the places") {
  Folder folder;
  std::string pixels(2 * 28 * 28, '\0');
  pixels[28 * 28 + 3] = '\11';
  for (const char* place : {"", "raw/", "MNIST/raw/"}) {
    Folder root;
    std::filesystem::create_directories(root / place);
    write_file(root / (place + std::string("train-images-idx3-ubyte")), idx_bytes({2, 28, 28}, pixels));
    write_file(root / (place + std::string("train-labels-idx1-ubyte")), idx_bytes({2}, "\3\11"));
    const data::MNIST set(root.path.string());
    CHECK_EQ(set.size(), 2);
    const data::Example e = set.get(1);
    CHECK_EQ(e.data.dtype(), Dtype::u8);
    CHECK_EQ(e.data.shape(), Shape{1, 28, 28});
    CHECK_EQ(e.data.data<uint8_t>()[3], 9);
    CHECK(identical(e.target, scalar(9)));
    CHECK_EQ(set.data().shape(), Shape{2, 1, 28, 28});
    CHECK_EQ(set.target().to_vector<int64_t>(), std::vector<int64_t>{3, 9});
    says(message_of<IoError>([&] { (void)data::MNIST(root.path.string(), false); }),
         ": there is no t10k-images-idx3-ubyte in it or in raw, MNIST/raw below it");
  }
  std::filesystem::copy_file(test::data_file("fuzz/corpus/idx/u8.idx.gz"), folder / "t10k-images-idx3-ubyte.gz");
  write_file(folder / "t10k-labels-idx1-ubyte", idx_bytes({3}, "\1\2\3"));
  CHECK_EQ(data::MNIST(folder.path.string(), false).data().shape(), Shape{3, 1, 4, 5});
  write_file(folder / "t10k-labels-idx1-ubyte", idx_bytes({2}, "\1\2"));
  says(message_of<IoError>([&] { (void)data::MNIST(folder.path.string(), false); }),
       "t10k-labels-idx1-ubyte: holds 2 labels of 3 pictures");
  write_file(folder / "t10k-labels-idx1-ubyte", idx_bytes({3}, "\1\2\12"));
  says(message_of<IoError>([&] { (void)data::MNIST(folder.path.string(), false); }),
       "t10k-labels-idx1-ubyte: picture 2 has the label 10 of 10");
}

TEST_CASE("CIFAR: batches one behind the other, fine and coarse labels") {
  Folder folder;
  for (int i = 1; i <= 5; ++i)
    write_file(folder / str("data_batch_", i, ".bin"), cifar_record({static_cast<char>(i)}, static_cast<char>(10 * i)));
  write_file(folder / "test_batch.bin", cifar_record("\11", 'x') + cifar_record("\1", 'y'));
  const std::string root = folder.path.string();
  const data::CIFAR10 train(root), held_out(root, false);
  CHECK_EQ(train.size(), 5);
  CHECK_EQ(train.target().to_vector<int64_t>(), std::vector<int64_t>{1, 2, 3, 4, 5});
  CHECK(identical(train.get(3).data, full({3, 32, 32}, 40, Dtype::u8)));
  CHECK_EQ(held_out.target().to_vector<int64_t>(), std::vector<int64_t>{9, 1});
  CHECK_EQ(data::CIFAR10::classes()[9], "truck");
  write_file(folder / "data_batch_3.bin", "short");
  says(message_of<IoError>([&] { (void)data::CIFAR10(root); }), "data_batch_3.bin: is no CIFAR file");
  std::filesystem::remove(folder / "data_batch_3.bin");
  says(message_of<IoError>([&] { (void)data::CIFAR10(root); }), ": there is no data_batch_3.bin in it or in cifar-10");

  std::filesystem::create_directory(folder / "cifar-100-binary");
  write_file(folder / "cifar-100-binary/test.bin", cifar_record("\3\77", 'z'));
  CHECK_EQ(data::CIFAR100(root, {.train = false}).target().item<int64_t>(), 63);
  CHECK_EQ(data::CIFAR100(root, {.train = false, .coarse = true}).target().item<int64_t>(), 3);
}

TEST_SUITE_END();
