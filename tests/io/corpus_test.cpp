// The fuzzers' seeds, and what fuzzing has found since, through every reader: nothing but an IoError (or, of
// a dtype that weft lacks, a NotSupported) comes out.
#include <algorithm>

#include "io/io_test.h"
#include "weft/io/cifar.h"
#include "weft/io/idx.h"
#include "weft/io/image.h"
#include "weft/io/npy.h"
#include "weft/io/safetensors.h"
#include "weft/io/volume.h"

using namespace io_test;

namespace {

/// Counts the files of a folder that `read` takes and those that it refuses.
template <class F> std::pair<int, int> read_all(const std::string& folder, const F& read) {
  int taken = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::data_file("fuzz/corpus/" + folder))) {
    std::string content = read_file(entry.path());
    INFO(entry.path().string());
    try {
      read(bytes_of(content));
      ++taken;
    } catch (const IoError& e) {
      CHECK(std::string(e.what()).starts_with("seed: "));
      ++refused;
    } catch (const NotSupported& e) {
      CHECK(std::string(e.what()).starts_with("seed: "));
      ++refused;
    }
  }
  return {taken, refused};
}

}  // namespace

TEST_SUITE_BEGIN("corpus");

TEST_CASE("corpus: every seed is read or refused") {
  auto check = [](std::pair<int, int> n, int taken) {
    CHECK_EQ(n.first, taken);
    CHECK_GT(n.second, 0);
  };
  check(read_all("safetensors", [](auto b) { (void)io::load_safetensors(b, "seed", {.widen = true}); }), 6);
  check(read_all("npy", [](auto b) { (void)io::load_npy(b, "seed", {.widen = true}); }), 8);
  check(read_all("npz", [](auto b) { (void)io::load_npz(b, "seed", {.widen = true}); }), 3);
  check(read_all("idx", [](auto b) { (void)io::read_idx({b, "seed"}); }), 8);
  check(read_all("cifar", [](auto b) { (void)io::read_cifar10({b, "seed"}); }), 1);
  check(read_all("cifar", [](auto b) { (void)io::read_cifar100({b, "seed"}); }), 1);
  check(read_all("nifti", [](auto b) { (void)io::read_volume(b, "seed"); }), 6);
#if defined(WEFT_HAS_TIFF)
  check(read_all("tiff", [](auto b) { (void)io::read_volume(b, "seed"); }), 10);
#endif
#if defined(WEFT_HAS_IMAGE)
  check(read_all("png", [](auto b) { (void)io::read_image(b, "seed"); }), 18);
  check(read_all("png", [](auto b) { (void)io::read_labels(b, "seed"); }), 7);
  check(read_all("jpeg", [](auto b) { (void)io::read_image(b, "seed"); }), 15);
#endif
}

TEST_SUITE_END();
