// HDF5 against h5py's values (scripts/volume_values.py made both).
#include "weft/io/hdf5.h"

#include "io/io_test.h"
#include "support/ops.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/io/npy.h"
#include "weft/io/volume.h"

#if defined(WEFT_HAS_HDF5)

#include <thread>

using namespace io_test;
using support::message_of;
using support::says;

namespace {

std::string hdf5_file(const std::string& name) { return test::data_file("io/data/" + name); }

}  // namespace

TEST_SUITE_BEGIN("hdf5");

TEST_CASE("hdf5: every dtype, byte order and layout as h5py") {
  const io::Hdf5File file(hdf5_file("volumes.h5"));
  const StateDict expected = io::load_npz(hdf5_file("volumes.npz"), {.widen = true});
  CHECK_EQ(file.datasets().size(), expected.size());
  for (const io::TensorInfo& t : file.datasets()) {
    INFO(t.name);
    std::string key = t.name;
    std::replace(key.begin(), key.end(), '/', '.');
    const Tensor x = file.load(t.name, {.widen = true});
    CHECK_EQ(t.shape, x.shape());
    CHECK(identical(x, expected.at(key)));
  }
  CHECK_EQ(file.load("plain/u2").dtype(), Dtype::u16);
  CHECK_EQ(file.load("big/f2").dtype(), Dtype::f16);
  CHECK_EQ(file.load("mask").dtype(), Dtype::boolean);
  CHECK_EQ(file.load("number").shape(), Shape{});
  CHECK_EQ(file.datasets()[0].name, "big/f2");
  CHECK_EQ(file.datasets()[0].dtype, "f2");
  says(message_of<NotSupported>([&] { (void)file.load("plain/u4"); }), "load it with {.widen = true} to get i64");
  const StateDict all = file.load();
  CHECK_EQ(all.size() + all.foreign.size(), expected.size());
  CHECK_EQ(all.foreign.size(), 2);
}

TEST_CASE("hdf5: parts of a dataset") {
  const io::Hdf5File file(hdf5_file("volumes.h5"));
  const Tensor whole = file.load("packed");
  CHECK(identical(file.load("packed", {1, 2, 3}, {3, 4, 2}), whole.narrow(0, 1, 3).narrow(1, 2, 4).narrow(2, 3, 2)));
  CHECK_EQ(file.load("packed", {5, 0, 0}, {0, 6, 7}).shape(), Shape{0, 6, 7});
  CHECK_EQ(message_of<ShapeError>([&] {
             (void)file.load("packed", {1, 0, 0}, {5, 1, 1});
           }),
           hdf5_file("volumes.h5") +
               ": dataset 'packed' is of [5, 6, 7]; the part that begins at [1, 0, 0] and is of [5, 1, 1] does not lie "
               "in it");
  CHECK_THROWS_AS((void)file.load("packed", {-1, 0, 0}, {1, 1, 1}), ShapeError);
  CHECK_THROWS_AS((void)file.load("packed", {0, 0}, {1, 1}), ShapeError);
}

TEST_CASE("hdf5: what cannot be read is named") {
  const io::Hdf5File file(hdf5_file("one_volume.h5"));
  auto refused = [&](const char* name) { return message_of<Error>([&] { (void)file.load(name); }); };
  says(refused("notes"), "one_volume.h5: dataset 'notes' has the dtype text");
  says(refused("pairs"), "dataset 'pairs' has the dtype a compound");
  says(refused("waves"), "dataset 'waves' has the dtype a compound");
  says(refused("giant"), "dataset 'giant' claims to be of [1048576, 1048576, 16, 1, 1], impossible in its 0 bytes");
  says(refused("lzf"), "its dataset 'lzf' cannot be read: required filter 'lzf' is not registered");
  says(refused("none"), "one_volume.h5: has no dataset 'none'; datasets() lists what it has");
  CHECK(file.contains("notes"));
  CHECK_FALSE(file.contains("none"));
  auto opened = [](const std::string& path) { return message_of<IoError>([&] { (void)io::Hdf5File(path); }); };
  says(opened(hdf5_file("truncated.h5")), "truncated.h5: cannot be opened as HDF5: truncated file");
  says(opened(hdf5_file("nearest.npy")), "nearest.npy: is no HDF5 file: it is a .npy array");
  says(opened("/nowhere/a.h5"), "/nowhere/a.h5: cannot be opened");
}

TEST_CASE("hdf5: volumes") {
  const Tensor x = io::read_volume(hdf5_file("one_volume.h5")).data;
  CHECK(identical(x, arange(24).reshape({2, 3, 4})));
  CHECK(identical(io::read_volume_labels(hdf5_file("one_volume.h5")), x));
  const std::string many = hdf5_file("volumes.h5");
  CHECK_EQ(io::read_volume(many, {.dataset = "plain/u2"}).data.dtype(), Dtype::u16);
  says(message_of<IoError>([&] { (void)io::read_volume(many); }), "volumes.h5: has 16 datasets of 3 or 4 axes (big/f2");
  says(message_of<IoError>([&] { (void)io::read_volume(many, {.dataset = "mask"}); }),
       "volumes.h5: dataset 'mask' is of [3, 5]; a volume has 3 axes");
}

TEST_SUITE_END();

TEST_SUITE_BEGIN("hdf5, threads");

TEST_CASE("hdf5: one file and several files on several threads") {
  const io::Hdf5File file(hdf5_file("volumes.h5"));
  const Tensor expected = file.load("packed");
  std::vector<std::thread> threads;
  std::vector<int> right(3);
  for (size_t t = 0; t < right.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i)
        right[t] += identical(t == 0 ? io::Hdf5File(hdf5_file("volumes.h5")).load("packed") : file.load("packed"),
                              expected);
    });
  for (std::thread& t : threads) t.join();
  CHECK_EQ(right, std::vector<int>{20, 20, 20});
}

TEST_SUITE_END();

#endif
