// Pictures against Pillow's values (scripts/picture_values.py made both): label maps, brightness, orientation, inks,
// nearest.
#include "io/io_test.h"
#include "support/ops.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/io/image.h"
#include "weft/io/npy.h"

#if defined(WEFT_HAS_IMAGE)

using namespace io_test;

namespace {

std::string file(const std::string& name) { return test::data_file("io/data/" + name); }
Tensor expected(const std::string& name) { return io::load_npy(file(name + ".npy")); }

int64_t difference(const Tensor& a, const Tensor& b) {
  std::vector<int64_t> x = a.to_vector<int64_t>(), y = b.to_vector<int64_t>();
  if (x.size() != y.size() || x.empty()) return INT64_MAX;
  int64_t most = 0;
  for (size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
  return most;
}

std::string refused_labels(const std::string& path) {
  return refusal([&] { (void)io::read_labels(path); });
}

}  // namespace

TEST_SUITE_BEGIN("label maps");

TEST_CASE("labels: the stored numbers of palettes and grey, 1 to 16 bits") {
  int pictures = 0;
  for (const auto& entry : std::filesystem::directory_iterator(file(""))) {
    const std::string name = entry.path().stem().string();
    if (!name.starts_with("labels_") || entry.path().extension() != ".png") continue;
    INFO(name);
    const Tensor x = io::read_labels(entry.path().string());
    CHECK_EQ(x.dtype(), Dtype::i64);
    CHECK(identical(x, expected(name)));
    ++pictures;
  }
  CHECK_EQ(pictures, 4 * 3 + 5);
}

TEST_CASE("labels: what would change a class is refused") {
  Folder folder;
  support::says(refused_labels(file("grey_rgb.png")), "grey_rgb.png: holds colours, not labels");
  support::says(refused_labels(file("grey_rgba_gamma.png")), "holds colours, not labels");
  support::says(refused_labels(test::data_file("fuzz/corpus/png/grey_alpha8.png")), "has an alpha channel");
  support::says(refused_labels(test::data_file("fuzz/corpus/jpeg/grey.jpg")), "grey.jpg: is a JPEG, whose compression");
  const std::string whole = read_file(file("labels_grey8.png"));
  write_file(folder / "cut.png", std::string_view(whole).substr(0, whole.size() - 40));
  support::says(refused_labels(folder / "cut.png"), "cut.png: is no valid PNG: the file is truncated");
  support::says(refused_labels(test::data_file("fuzz/corpus/png/huge.png")), "60000 x 60000 pixels");
  support::says(refused_labels(file("nearest.npy")),
                "is neither PNG nor JPEG: it is a .npy array; io::load_npy reads it");
  support::says(refusal([&] { (void)io::read_labels(file("labels_grey8.png"), 54); }),
                "11 x 5 pixels, more than the 54");
}

TEST_CASE("labels: what was written is read again, with its palette") {
  Folder folder;
  const std::string path = folder / "mask.png";
  std::vector<int64_t> v(7 * 9);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<int64_t>(i * 37 % 256);
  const Tensor x = tensor(v, Shape{7, 9});
  io::write_labels(x, path);
  CHECK(identical(io::read_labels(path), x));
  CHECK(identical(io::read_labels(bytes_of(read_file(path)), "mask"), x));
  for (Dtype d : {Dtype::i32, Dtype::u8}) {
    io::write_labels(x.to(d), path);
    CHECK(identical(io::read_labels(path), x));
  }
  io::write_labels(x.t(), path);
  CHECK(identical(io::read_labels(path), x.t()));
  const Tensor yes = tensor(std::vector<bool>{true, false, true}).reshape({1, 3});
  io::write_labels(yes, path);
  CHECK_EQ(io::read_labels(path).to_vector<int64_t>(), std::vector<int64_t>{1, 0, 1});

  // Pascal VOC's colours of background, aeroplane, bicycle, potted plant (16) and void (255)
  io::write_labels(tensor({0, 1, 2, 16, 255}, Shape{1, 5}, Dtype::i64), path);
  CHECK_EQ(io::read_image(path).to_vector<int64_t>(),
           std::vector<int64_t>{0, 0, 0, 128, 0, 0, 0, 128, 0, 0, 64, 0, 224, 224, 192});
  io::write_labels(tensor({1, 0, 2}, Shape{1, 3}, Dtype::i64), path, {{10, 20, 30}, {40, 50, 60}, {40, 50, 60}});
  CHECK_EQ(io::read_image(path).to_vector<int64_t>(), std::vector<int64_t>{40, 50, 60, 10, 20, 30, 40, 50, 60});
  CHECK_EQ(io::read_labels(path).to_vector<int64_t>(), std::vector<int64_t>{1, 0, 2});

  // More classes than a palette has colours: 16 bits of grey.
  const Tensor many = tensor({0, 256, 1000, 65535}, Shape{2, 2}, Dtype::i64);
  io::write_image(many.to(Dtype::i32), path);
  CHECK(identical(io::read_labels(path), many));
}

TEST_CASE("labels: what cannot be written is refused, and the file stays") {
  Folder folder;
  const std::string path = folder / "mask.png";
  write_file(path, "old");
  auto said = [&](const Tensor& x, const io::Palette& palette, const char* words) {
    support::says(support::message_of<ValueError>([&] { io::write_labels(x, path, palette); }), words);
  };
  said(tensor({0, 1, 2, 256}, Shape{2, 2}, Dtype::i64), {}, "the label 256 at [1, 1] is outside 0..255");
  said(tensor({0, -1, 2, 3}, Shape{2, 2}, Dtype::i64), {}, "the label -1 at [0, 1]");
  said(tensor({0, 1, 2, 3}, Shape{2, 2}, Dtype::i64), {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}}, "the label 3 at [1, 1]");
  said(zeros({2, 2}, Dtype::i64), io::Palette(257), "at most 256 colours, not 257");
  CHECK_THROWS_AS(io::write_labels(zeros({2, 2}), path), DtypeError);
  CHECK_THROWS_AS(io::write_labels(zeros({2, 2, 1}, Dtype::i64), path), ShapeError);
  CHECK_THROWS_AS(io::write_labels(zeros({0, 2}, Dtype::i64), path), ShapeError);
  CHECK_THROWS_AS(io::write_labels(zeros({2, 2}, Dtype::i64), folder / "mask.jpg"), ValueError);
  CHECK_EQ(read_file(path), "old");
  CHECK_EQ(folder.files(), 1);
}

TEST_CASE("image: grey is 0.299 0.587 0.114 of the stored values, in PNG and JPEG, with a gamma and without") {
  for (const char* name :
       {"grey_rgb.png", "grey_rgb_gamma.png", "grey_rgba_gamma.png", "grey_smooth.jpg", "grey_blocks.jpg"}) {
    INFO(name);
    const Tensor x = io::read_image(file(name), {.channels = 1});
    CHECK_LE(difference(x, expected(std::filesystem::path(name).stem().string())), 1);
    // The same of the colours that read_image gives.
    const std::vector<int64_t> rgb = io::read_image(file(name)).to_vector<int64_t>(), grey = x.to_vector<int64_t>();
    for (size_t i = 0; i < grey.size(); ++i) {
      const double exact = 0.299 * static_cast<double>(rgb[3 * i]) + 0.587 * static_cast<double>(rgb[3 * i + 1]) +
                           0.114 * static_cast<double>(rgb[3 * i + 2]);
      CHECK_LE(std::abs(static_cast<double>(grey[i]) - exact), 1);
    }
  }
  const Tensor wide = io::read_image(file("grey_rgb16.png"), {.channels = 1, .bits = 16});
  CHECK_EQ(wide.dtype(), Dtype::i32);
  CHECK_LE(difference(wide, expected("grey_rgb16")), 1);
  const std::vector<int64_t> fine = wide.to_vector<int64_t>(),
                             coarse = io::read_image(file("grey_rgb16.png"), {.channels = 1}).to_vector<int64_t>();
  for (size_t i = 0; i < fine.size(); ++i) CHECK_LE(std::abs(coarse[i] - fine[i] / 257), 1);

  // A picture that is written as PNG and, all of one colour, as JPEG
  Folder folder;
  const Tensor flat = tensor({200, 30, 90}, Shape{1, 1, 3}, Dtype::u8).expand({16, 16, 3}).contiguous();
  io::write_image(flat, folder / "f.png");
  io::write_image(flat, folder / "f.jpg", {.quality = 100});
  const Tensor png = io::read_image(folder / "f.png", {.channels = 1});
  CHECK_EQ(png.to_vector<int64_t>(), std::vector<int64_t>(256, 88));  // 87.67
  CHECK_LE(difference(png, io::read_image(folder / "f.jpg", {.channels = 1})), 1);
}

TEST_CASE("image: the EXIF orientation of a PNG, before and behind its data, of labels and 16 bits too") {
  for (int i = 1; i <= 8; ++i) {
    const std::string name = "exif_" + std::to_string(i);
    INFO(name);
    const Tensor x = expected(name);
    CHECK_EQ(x.shape(), i < 5 ? Shape{3, 4, 3} : Shape{4, 3, 3});
    CHECK(identical(io::read_image(file(name + ".png")), x));
    const Tensor wide = io::read_image(file(name + ".png"), {.bits = 16});
    CHECK_EQ(wide.dtype(), Dtype::i32);
    CHECK_EQ(difference(wide, x.to(Dtype::i32) * 257), 0);
    const Tensor grey = io::read_image(file(name + ".png"), {.channels = 1});
    CHECK_EQ(grey.shape(), Shape{x.size(0), x.size(1), 1});
  }
  // A label map of 2 x 1 with orientation 6 (a quarter turn to the right)
  Folder folder;
  io::write_labels(tensor({3, 7}, Shape{1, 2}, Dtype::i64), folder / "m.png");
  std::string png = read_file(folder / "m.png"), turned = read_file(file("exif_6.png"));
  const std::string chunk = turned.substr(turned.find("eXIf") - 4, 12 + 26);
  png.insert(png.find("IDAT") - 4, chunk);
  const Tensor labels = io::read_labels(bytes_of(png), "turned");
  CHECK_EQ(labels.shape(), Shape{2, 1});
  CHECK_EQ(labels.to_vector<int64_t>(), std::vector<int64_t>{3, 7});
  // A chunk with a wrong checksum is none.
  png[png.find("eXIf") + 4 + 18] = 8;
  CHECK_EQ(io::read_labels(bytes_of(png), "damaged").shape(), Shape{1, 2});
}

TEST_CASE("image: CMYK and YCCK JPEGs") {
  for (const char* name : {"cmyk", "ycck"}) {
    INFO(name);
    const std::string path = file(std::string(name) + ".jpg");
    const Tensor x = io::read_image(path);
    CHECK_EQ(x.shape(), Shape{16, 24, 3});
    CHECK_LE(difference(x, expected(name)), 2);  // another version of libjpeg may round the inks by one
    CHECK_EQ(io::read_image(path, {.channels = 0}).shape(), Shape{16, 24, 3});
    CHECK_EQ(io::read_image(path, {.channels = 1}).shape(), Shape{16, 24, 1});
    CHECK_THROWS_AS((void)io::read_image(path, {.channels = 4}), ValueError);
  }
}

TEST_CASE("resize: nearest by pixel centres, as Pillow, for every dtype and [H, W]") {
  const Tensor x = expected("nearest");
  for (auto [h, w] : {std::pair<int64_t, int64_t>{3, 4}, {14, 18}, {5, 13}, {1, 1}, {7, 9}, {10, 2}}) {
    const std::string name = str("nearest_", h, "x", w);
    INFO(name);
    CHECK(identical(io::resize_image(x, h, w, io::ResizeFilter::nearest), expected(name)));
    for (Dtype d : {Dtype::i64, Dtype::i32, Dtype::f32, Dtype::f64, Dtype::f16, Dtype::boolean})
      CHECK(identical(io::resize_image(x.to(d), h, w, io::ResizeFilter::nearest), expected(name).to(d)));
    const Tensor colours = io::resize_image(stack({x, x + 1, x + 2}, 2), h, w, io::ResizeFilter::nearest);
    CHECK(identical(colours.select(2, 2).contiguous(), expected(name) + 2));
  }
  // 7 -> 3 takes rows 1, 3, 5
  CHECK_EQ(io::resize_image(arange(7).reshape({7, 1}), 3, 1, io::ResizeFilter::nearest).to_vector<int64_t>(),
           std::vector<int64_t>{1, 3, 5});
  CHECK_EQ(io::resize_image(x.t(), 9, 7, io::ResizeFilter::nearest).to_vector<int64_t>(), x.t().to_vector<int64_t>());
  CHECK_THROWS_AS((void)io::resize_image(arange(4).reshape({2, 2, 1}), 3, 3), DtypeError);
  CHECK_THROWS_AS((void)io::resize_image(zeros({2, 2}), 3, 3), ShapeError);
  CHECK_THROWS_AS((void)io::resize_image(zeros({4}), 3, 3, io::ResizeFilter::nearest), ShapeError);
}

TEST_SUITE_END();

#endif
