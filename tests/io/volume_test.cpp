// Volumes against the values of tifffile and nibabel (scripts/volume_values.py made both), and what is refused.
#include "weft/io/volume.h"

#include "io/io_test.h"
#include "support/ops.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/io/image.h"
#include "weft/io/npy.h"

using namespace io_test;
using support::message_of;
using support::says;

namespace {

std::string volume_file(const std::string& name) { return test::data_file("io/data/" + name); }
std::string nifti_seed(const std::string& name) { return test::data_file("fuzz/corpus/nifti/" + name); }

/// Compares the volumes volume_KIND* with their values; their number.
int compare_all(const std::string& kind) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(volume_file(""))) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("volume_" + kind) || name.ends_with(".npy")) continue;
    INFO(name);
    const Tensor x = io::read_volume(entry.path().string()).data,
                 expected = io::load_npy(volume_file(name.substr(0, name.find('.')) + ".npy"));
    CHECK(x.is_contiguous());
    CHECK_EQ(x.shape(), expected.rank() == 2 ? expected.unsqueeze(0).shape() : expected.shape());
    CHECK(identical(x.reshape(expected.shape()), expected));
    // The same from memory.
    const std::string bytes = read_file(entry.path().string());
    CHECK(identical(io::read_volume(bytes_of(bytes), "memory").data, x));
    ++files;
  }
  return files;
}

template <class E = IoError> std::string refused_volume(const std::string& path) {
  return message_of<E>([&] { (void)io::read_volume(path); });
}

}  // namespace

TEST_SUITE_BEGIN("volumes");

TEST_CASE("volume: NIfTI-1 as nibabel, every dtype, byte order, scale and number of axes") {
  CHECK_EQ(compare_all("nifti"), 20);
  using Spacing = std::array<double, 3>;
  CHECK_EQ(io::read_volume(volume_file("volume_nifti_big_endian.nii")).spacing, Spacing{3.0, 0.75, 0.5});
  CHECK_EQ(io::read_volume(volume_file("volume_nifti_gzip.nii.gz")).spacing, Spacing{4.0, 2.5, 1.5});
  CHECK_EQ(io::read_volume(volume_file("volume_nifti_flat.nii")).data.shape(), Shape{1, 5, 7});
  CHECK_EQ(io::read_volume(volume_file("volume_nifti_times.nii")).data.shape(), Shape{5, 2, 3, 4});
  CHECK_EQ(io::read_volume(volume_file("volume_nifti_vectors.nii")).data.shape(), Shape{3, 2, 3, 4});
}

TEST_CASE("volume: NIfTI's scale can be left out, and labels never see it") {
  const std::string path = volume_file("volume_nifti_scaled.nii");
  CHECK_EQ(io::read_volume(path).data.dtype(), Dtype::f32);
  const Tensor stored = io::read_volume(path, {.scaled = false}).data;
  CHECK_EQ(stored.dtype(), Dtype::i16);
  CHECK(identical(io::read_volume_labels(path), stored.to(Dtype::i64)));
  says(message_of<IoError>([] { (void)io::read_volume_labels(volume_file("volume_nifti_f4.nii")); }),
       "volume_nifti_f4.nii: voxel 0 is ");
  Folder folder;
  io::save_npy(tensor({0, 1, 2, 255}, Shape{1, 2, 2}, Dtype::f32), folder / "whole.npy");
  CHECK_EQ(io::read_volume_labels(folder / "whole.npy").to_vector<int64_t>(), std::vector<int64_t>{0, 1, 2, 255});
}

TEST_CASE("volume: NIfTI headers that lie, and what weft does not read") {
  says(refused_volume(nifti_seed("truncated.nii")), "truncated.nii: is truncated: it has 629 of 632 bytes");
  says(refused_volume(nifti_seed("header.nii")), "header.nii: is truncated: it has 200 of 348 bytes");
  says(refused_volume(nifti_seed("truncated.nii.gz")), "truncated.nii.gz: is truncated: its gzip data does not end");
  says(refused_volume(nifti_seed("checksum.nii.gz")), "checksum.nii.gz: is damaged: incorrect data check");
  says(refused_volume(nifti_seed("giant.nii.gz")), "impossible in its");
  says(refused_volume(nifti_seed("negative.nii")), "negative.nii: has the size -7 in its dimension 1");
  says(refused_volume(nifti_seed("offset.nii")), "its data begins at byte 1e+30");
  says(refused_volume(nifti_seed("datatype.nii")), "has the unknown NIfTI datatype 3");
  says(refused_volume(nifti_seed("analyze.hdr")), "analyze.hdr: is no NIfTI-1 file: its magic is '");
  says(refused_volume<NotSupported>(nifti_seed("giant.nii")), "volumes have three axes and channels, or times");
  says(refused_volume<NotSupported>(nifti_seed("pair.hdr")), "pair.hdr: is the header of a pair");
  says(refused_volume<NotSupported>(volume_file("refused_nifti_2.nii")), "is NIfTI-2; weft reads NIfTI-1");
  says(refused_volume<NotSupported>(volume_file("refused_nifti_complex.nii")), "stores complex numbers (datatype 32)");
  says(refused_volume<NotSupported>(volume_file("refused_nifti_rgb.nii")), "stores colours (datatype 128)");
  says(refused_volume<NotSupported>(volume_file("refused_nifti_axes.nii")), "is of [2, 3, 4, 2, 2]; volumes");
  says(refused_volume(test::data_file("fuzz/corpus/idx/u8.idx.gz")), "u8.idx.gz: is gzipped, but no NIfTI-1 file");
}

#if defined(WEFT_HAS_TIFF)

TEST_CASE("volume: TIFF as tifffile, every dtype, strips and tiles, compressions") {
  CHECK_EQ(compare_all("tiff"), 26);
  const io::Volume imagej = io::read_volume(volume_file("volume_tiff_imagej.tif"));
  CHECK_EQ(imagej.spacing, std::array<double, 3>{1.5, 0.5, 0.25});
}

TEST_CASE("volume: TIFFs that lie, and what weft does not read") {
  const auto seed = [](const std::string& name) { return test::data_file("fuzz/corpus/tiff/" + name); };
  says(refused_volume(seed("truncated.tif")), "truncated.tif: ");
  says(refused_volume(seed("giant.tif")), "giant.tif: claims 2147483647 x 2147483647 pixels of 16 bits, impossible");
  says(refused_volume(seed("giant_tiles.tif")), "giant_tiles.tif: claims 37 x 20 pixels of 16 bits, impossible");
  says(refused_volume(seed("loop.tif")), "loop.tif: its page 1 cannot be read: ");
  says(refused_volume(volume_file("refused_tiff_sizes.tif")),
       "refused_tiff_sizes.tif: its page 1 is 7 x 4 pixels of 8 bits, the first 7 x 5 of 8");
  says(refused_volume<NotSupported>(volume_file("refused_tiff_colour.tif")), "has 3 samples a pixel");
  says(refused_volume<NotSupported>(volume_file("refused_tiff_complex.tif")), "has complex numbers of 64 bits");
  says(refused_volume<NotSupported>(volume_file("refused_tiff_bits.tif")), "has unsigned integers of 1 bits");
}

TEST_CASE("volume: a folder of TIFF slices") {
  Folder folder;
  for (const char* name : {"a1.tif", "a2.tiff"})
    std::filesystem::copy_file(volume_file("refused_tiff_sizes.tif"), folder / name);
  says(refused_volume(folder.path.string()), "a1.tif: its page 1 is");
  Folder wrong;
  std::filesystem::copy_file(volume_file("volume_tiff_u1.tif"), wrong / "0.tif");
  says(refused_volume(wrong.path.string()), "0.tif: has 4 pages, and is one slice of many");
}

#endif

TEST_CASE("volume: .npy of three and four axes") {
  Folder folder;
  const Tensor x = arange(24).reshape({2, 3, 4});
  io::save_npy(x, folder / "a.npy");
  const io::Volume v = io::read_volume(folder / "a.npy");
  CHECK(identical(v.data, x));
  CHECK_EQ(v.spacing, std::array<double, 3>{1, 1, 1});
  io::save_npy(x.to(Dtype::u8), folder / "b.npy");
  CHECK_EQ(io::read_volume(folder / "b.npy").data.dtype(), Dtype::u8);
  io::save_npy(x.reshape({1, 2, 3, 4}), folder / "c.npy");
  CHECK_EQ(io::read_volume(folder / "c.npy").data.shape(), Shape{1, 2, 3, 4});
  io::save_npy(x.reshape({6, 4}), folder / "d.npy");
  says(refused_volume(folder / "d.npy"), "d.npy: is of [6, 4]; a volume has 3 axes, or 4 with channels");
  says(refused_volume(test::data_file("fuzz/corpus/npy/truncated.npy")), "truncated.npy: ");
  write_file(folder / "e.npy", "");
  says(refused_volume(folder / "e.npy"), "e.npy: is empty");
  write_file(folder / "f.npy", "nothing that is known");
  says(refused_volume(folder / "f.npy"), "f.npy: is no volume (.npy, NIfTI-1, TIFF)");
  says(refused_volume(folder / "g.npy"), "g.npy: cannot be opened");
}

#if defined(WEFT_HAS_IMAGE)

TEST_CASE("volume: a folder of slices, in the order of their numbers") {
  Folder folder;
  for (int i : {10, 2, 1})
    io::write_labels(full({2, 3}, i, Dtype::i64), folder / ("slice" + std::to_string(i) + ".png"));
  write_file(folder / "notes.txt", "no slice");
  const Tensor x = io::read_volume(folder.path.string()).data;
  CHECK_EQ(x.dtype(), Dtype::u8);
  CHECK_EQ(x.shape(), Shape{3, 2, 3});
  CHECK_EQ(x.select(2, 0).select(1, 0).to_vector<int64_t>(), std::vector<int64_t>{1, 2, 10});
  CHECK(identical(io::read_volume_labels(folder.path.string()), x.to(Dtype::i64)));

  io::write_labels(zeros({3, 3}, Dtype::i64), folder / "slice3.png");
  says(refused_volume(folder.path.string()), "slice3.png: is u8 [3, 3], the first slice slice1.png u8 [2, 3]");
  io::write_image(zeros({2, 3}, Dtype::i32), folder / "slice3.png");
  says(refused_volume(folder.path.string()), "slice3.png: is u16 [2, 3], the first slice slice1.png u8 [2, 3]");
  io::write_image(zeros({2, 3, 3}, Dtype::u8), folder / "slice3.png");
  says(refused_volume(folder.path.string()), "slice3.png: holds colours");
  Folder none;
  says(refused_volume(none.path.string()), ": there are no slices (.png, .jpg, .jpeg, .tif, .tiff) in it");

  Folder wide;
  io::write_image(tensor({0, 256, 65535, 7}, Shape{2, 2}, Dtype::i32), wide / "0.png");
  const Tensor y = io::read_volume(wide.path.string()).data;
  CHECK_EQ(y.dtype(), Dtype::u16);
  CHECK_EQ(y.to_vector<int64_t>(), std::vector<int64_t>{0, 256, 65535, 7});
}

#endif

TEST_SUITE_END();
