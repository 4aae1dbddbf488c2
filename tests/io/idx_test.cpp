// IDX and CIFAR's files: values, gzip, and what is refused.
#include "weft/io/idx.h"
#include "io/io_test.h"
#include "support/says.h"
#include "weft/io/cifar.h"

using namespace io_test;
using support::says;

namespace {

std::string idx_seed(const std::string& name) { return test::data_file("fuzz/corpus/idx/" + name); }

std::string refused_idx(const std::string& name) {
  return refusal([&] { (void)io::read_idx(idx_seed(name)); });
}

}  // namespace

TEST_SUITE_BEGIN("idx");

TEST_CASE("idx: every type, big-endian as it is") {
  const std::pair<const char*, Dtype> files[] = {
      {"i1", Dtype::i8}, {"i2", Dtype::i16}, {"i4", Dtype::i32}, {"f4", Dtype::f32}, {"f8", Dtype::f64}};
  for (const auto& [name, dtype] : files) {
    const Tensor x = io::read_idx(idx_seed(std::string(name) + ".idx"));
    CHECK(identical(x, tensor({-3, -2, -1, 0, 1, 2}, Shape{2, 3}, dtype)));
  }
  const Tensor x = io::read_idx(idx_seed("u8.idx"));
  CHECK_EQ(x.dtype(), Dtype::u8);
  CHECK_EQ(x.shape(), Shape{3, 4, 5});
  const std::string bytes = read_file(idx_seed("u8.idx"));
  CHECK_EQ(std::memcmp(x.raw_data(), bytes.data() + 16, 60), 0);
}

TEST_CASE("idx: gzipped, in one piece and in two") {
  CHECK(identical(io::read_idx(idx_seed("u8.idx.gz")), io::read_idx(idx_seed("u8.idx"))));
  CHECK_EQ(io::read_idx(idx_seed("joined.idx.gz")).to_vector<int64_t>(), std::vector<int64_t>{'a', 'b', 'c', 'd'});
  const std::string whole = read_file(idx_seed("u8.idx.gz"));
  auto refused = [&](const std::string& bytes) {
    return refusal([&] { (void)io::read_idx({bytes_of(bytes), "x.gz"}); });
  };
  says(refused(whole.substr(0, whole.size() - 12)), "x.gz: is truncated: its gzip data does not end");
  std::string damaged = whole;
  damaged[damaged.size() - 6] ^= 1;  // in the checksum
  says(refused(damaged), "x.gz: is damaged: incorrect data check");
}

TEST_CASE("idx: a header that lies gets a sentence") {
  says(refused_idx("truncated.idx"), "truncated.idx: is truncated: it has 75 of 76 bytes");
  says(refused_idx("longer.idx"), "longer.idx: has 1 bytes behind its [3, 4, 5] of u8");
  says(refused_idx("giant.idx"), "giant.idx: has the impossible shape [4294967295, 4294967295, 4294967295]");
  says(refused_idx("giant.idx.gz"), "giant.idx.gz: claims 2147483655 bytes, impossible in its");
  says(refused_idx("code.idx"), "code.idx: is no IDX file");
  says(refused_idx("rank.idx"), "has 13 dimensions; 1 to 12 are offered");
  says(refusal([] { (void)io::read_idx(test::data_file("fuzz/corpus/npy/f4.npy")); }), "f4.npy: is no IDX file");
  says(refusal([] { (void)io::read_idx({bytes_of(""), "none"}); }), "none: is truncated: it has 0 of 4 bytes");
  says(refusal([] { (void)io::read_idx("/nowhere/train"); }), "/nowhere/train: cannot be opened");
}

TEST_CASE("cifar: pictures and labels, one or two") {
  const std::string ten = test::data_file("fuzz/corpus/cifar/cifar10.bin"),
                    hundred = test::data_file("fuzz/corpus/cifar/cifar100.bin");
  const io::CifarBatch a = io::read_cifar10(ten), b = io::read_cifar100(hundred);
  CHECK_EQ(a.images.shape(), Shape{1, 3, 32, 32});
  CHECK_EQ(a.images.dtype(), Dtype::u8);
  CHECK_EQ(a.labels.to_vector<int64_t>(), std::vector<int64_t>{7});
  CHECK_FALSE(a.coarse_labels.defined());
  CHECK_EQ(a.images.to_vector<int64_t>()[1000], 1000 % 256);
  CHECK(identical(a.images, b.images));
  CHECK_EQ(b.labels.to_vector<int64_t>(), std::vector<int64_t>{99});
  CHECK_EQ(b.coarse_labels.to_vector<int64_t>(), std::vector<int64_t>{19});
  const std::string record = read_file(ten);
  const io::CifarBatch two = io::read_cifar10({bytes_of(record + "\3" + record.substr(1)), "two"});
  CHECK_EQ(two.labels.to_vector<int64_t>(), std::vector<int64_t>{7, 3});
  CHECK(identical(two.images.select(0, 1), a.images.select(0, 0)));
}

TEST_CASE("cifar: what is no such file is refused") {
  auto refused = [](const char* name) {
    return refusal([&] { (void)io::read_cifar10(test::data_file(std::string("fuzz/corpus/") + name)); });
  };
  says(refused("cifar/label.bin"), "label.bin: picture 0 has the label 10 of 10");
  says(refused("cifar/truncated.bin"), "truncated.bin: is no CIFAR file of records of 3073 bytes: it has 3072 bytes");
  says(refused("npy/f4.npy"), "and is a .npy array");
  says(refusal([] {
         (void)io::read_cifar100({bytes_of("\24\1" + std::string(3072, 'x')), "x"});
       }),
       "x: picture 0 has the label 20 of 20");
}

TEST_SUITE_END();
