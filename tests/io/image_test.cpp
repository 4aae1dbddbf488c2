#include "weft/io/image.h"

#include <cmath>

#include "io/io_test.h"
#include "weft/autograd/ops/elementwise/binary.h"

#if defined(WEFT_HAS_IMAGE)

using namespace io_test;

namespace {

std::string seed(const std::string& name) { return test::data_file("fuzz/corpus/" + name); }

/// The pictures under corpus/png hold 40 y + 10 x + 5 c, of 5 x 4 pixels.
int64_t pixel(int64_t i, int64_t channels) {
  int64_t c = i % channels, x = i / channels % 5, y = i / channels / 5;
  return 40 * y + 10 * x + 5 * c;
}

template <class F> bool all_equal(const Tensor& x, const F& expected) {
  std::vector<int64_t> v = x.to_vector<int64_t>();
  for (size_t i = 0; i < v.size(); ++i)
    if (v[i] != expected(static_cast<int64_t>(i))) return false;
  return x.numel() > 0;
}

Tensor native(const std::string& name, int bits = 8) {
  return io::read_image(seed(name), {.channels = 0, .bits = bits});
}

std::string refused(const std::string& name, const io::ReadImageOptions& o = {}) {
  return refusal([&] { (void)io::read_image(seed(name), o); });
}

}  // namespace

TEST_SUITE_BEGIN("image");

TEST_CASE("png: grey, colour, palette, alpha, interlaced, 1 to 16 bits") {
  Tensor x = native("png/grey8.png");
  CHECK_EQ(x.shape(), Shape{4, 5, 1});
  CHECK_EQ(x.dtype(), Dtype::u8);
  CHECK(all_equal(x, [](int64_t i) { return pixel(i, 1); }));
  CHECK(all_equal(native("png/grey1.png"), [](int64_t i) { return 255 * (pixel(i, 1) / 10 % 2); }));
  CHECK(all_equal(native("png/grey2.png"), [](int64_t i) { return 85 * (pixel(i, 1) / 10 % 4); }));
  for (const char* name : {"png/rgb8.png", "png/interlaced.png"}) {
    CHECK_EQ(native(name).shape(), Shape{4, 5, 3});
    CHECK(all_equal(native(name), [](int64_t i) { return pixel(i, 3); }));
  }
  // 16 bits hold 257 v + 3: v when rounded to 8
  CHECK(all_equal(native("png/grey16.png"), [](int64_t i) { return pixel(i, 1); }));
  CHECK(all_equal(native("png/rgb16.png"), [](int64_t i) { return pixel(i, 3); }));
  CHECK_EQ(native("png/rgb16.png", 16).dtype(), Dtype::i32);
  CHECK(all_equal(native("png/rgb16.png", 16), [](int64_t i) { return 257 * pixel(i, 3) + 3; }));
  CHECK(all_equal(native("png/rgb8.png", 16), [](int64_t i) { return 257 * pixel(i, 3); }));

  const uint8_t palette[4][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {10, 20, 30}};
  CHECK(all_equal(native("png/palette.png"), [&](int64_t i) { return palette[pixel(i / 3, 1) / 10 % 4][i % 3]; }));
  CHECK_EQ(native("png/palette_alpha2.png").shape(), Shape{4, 5, 4});
  CHECK(all_equal(native("png/palette_alpha2.png"), [&](int64_t i) {
    int64_t entry = pixel(i / 4, 1) / 10 % 4;
    return i % 4 == 3 ? (entry == 1 ? 0 : 255) : palette[entry][i % 4];
  }));
  CHECK_EQ(native("png/grey_alpha8.png").shape(), Shape{4, 5, 2});
}

TEST_CASE("png: channels are converted as asked, dropped alpha is laid over white") {
  CHECK(all_equal(io::read_image(seed("png/grey8.png")), [](int64_t i) { return pixel(i / 3, 1); }));
  CHECK(all_equal(io::read_image(seed("png/grey8.png"), {.channels = 4}),
                  [](int64_t i) { return i % 4 == 3 ? 255 : pixel(i / 4, 1); }));
  constexpr int alpha[5] = {255, 0, 128, 255, 255};
  for (const char* name : {"png/rgba8.png", "png/rgba16.png"}) {
    std::vector<int64_t> v = io::read_image(seed(name)).to_vector<int64_t>();
    REQUIRE_EQ(v.size(), 60);
    for (size_t i = 0; i < v.size(); ++i) {
      int64_t at = static_cast<int64_t>(i), a = alpha[at / 3 % 5];
      double source = static_cast<double>(pixel(at / 3 * 4 + at % 3, 4));
      double expected = (source * static_cast<double>(a) + 255.0 * static_cast<double>(255 - a)) / 255;
      CHECK_LE(std::abs(static_cast<double>(v[i]) - expected), 1);  // libpng's integer arithmetic
    }
  }
  Tensor grey = io::read_image(seed("png/rgb8.png"), {.channels = 1});
  CHECK_EQ(grey.shape(), Shape{4, 5, 1});
  CHECK(all_equal(io::read_image(seed("png/rgb_trns.png")).select(0, 0).select(0, 0), [](int64_t) { return 255; }));
}

TEST_CASE("image: what was written is read again") {
  Folder folder;
  for (int64_t channels : {1, 2, 3, 4}) {
    std::vector<uint8_t> v(static_cast<size_t>(7 * 9 * channels));
    for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<uint8_t>(i * 37);
    Tensor x = tensor(v, Shape{7, 9, channels});
    io::write_image(x, folder / "x.PNG");
    CHECK(identical(io::read_image(folder / "x.PNG", {.channels = 0}), x));
    Tensor wide = x.to(Dtype::i32);
    for (int64_t i = 0; i < wide.numel(); ++i) wide.mut_data<int32_t>()[i] *= 250;
    io::write_image(wide, folder / "w.png");
    CHECK(identical(io::read_image(folder / "w.png", {.channels = 0, .bits = 16}), wide));
  }
  Tensor smooth = tensor(std::vector<uint8_t>(48, 90), Shape{4, 4, 3});
  io::write_image(smooth, folder / "x.jpeg");
  for (int64_t v : io::read_image(folder / "x.jpeg").to_vector<int64_t>()) CHECK_LE(std::abs(v - 90), 1);
  io::write_image(tensor(std::vector<uint8_t>(16, 90), Shape{4, 4}), folder / "g.jpg");
  CHECK_EQ(io::read_image(folder / "g.jpg", {.channels = 0}).shape(), Shape{4, 4, 1});

  CHECK_THROWS_AS(io::write_image(smooth, folder / "x.gif"), ValueError);
  CHECK_THROWS_AS(io::write_image(smooth.to(Dtype::f32), folder / "x.png"), DtypeError);
  CHECK_THROWS_AS(io::write_image(zeros({4}, Dtype::u8), folder / "x.png"), ShapeError);
  CHECK_THROWS_AS(io::write_image(zeros({0, 4, 3}, Dtype::u8), folder / "x.png"), ShapeError);
  CHECK_THROWS_AS(io::write_image(zeros({4, 4, 4}, Dtype::u8), folder / "x.jpg"), ValueError);
  CHECK_THROWS_AS(io::write_image(full({1, 1, 1}, 70000, Dtype::i32), folder / "x.png"), ValueError);
  CHECK_THROWS_AS(io::write_image(smooth, folder / "no/x.png"), IoError);
}

TEST_CASE("jpeg: kinds and orientations") {
  // quadrants red, green / blue, white of 24 x 16 pixels
  const int colours[4][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 255}};
  std::vector<std::string> names = {"rgb", "rgb444", "progressive"};
  for (int i = 1; i <= 8; ++i) names.push_back("orientation" + std::to_string(i));
  for (const std::string& name : names) {
    INFO(name);
    Tensor x = io::read_image(seed("jpeg/" + name + ".jpg"));
    REQUIRE_EQ(x.shape(), Shape{16, 24, 3});
    for (int q = 0; q < 4; ++q)
      for (int c = 0; c < 3; ++c)  // the middles of the quadrants: far from the edges' ringing
        CHECK_LE(std::abs(x[q / 2 * 8 + 4][q % 2 * 12 + 6][c].item<int>() - colours[q][c]), 12);
  }
  CHECK_EQ(io::read_image(seed("jpeg/grey.jpg"), {.channels = 0}).shape(), Shape{16, 24, 1});
  CHECK_EQ(io::read_image(seed("jpeg/grey.jpg")).shape(), Shape{16, 24, 3});
  CHECK_EQ(io::read_image(seed("jpeg/rgb.jpg"), {.channels = 1}).shape(), Shape{16, 24, 1});
  CHECK_EQ(io::read_image(seed("jpeg/exif_offset.jpg")).shape(), Shape{16, 24, 3});
}

TEST_CASE("jpeg: decoded at a half, a quarter or an eighth of its size") {
  const Folder folder;
  const Tensor slope = (arange(70).reshape({70, 1, 1}) + arange(99).reshape({1, 99, 1})).expand({70, 99, 3});
  io::write_image(slope.to(Dtype::u8), folder / "slope.jpg", {.quality = 100});
  for (const int64_t by : {2, 4, 8}) {
    const Tensor x = io::read_image(folder / "slope.jpg", {.reduce_to = 70 / by});
    REQUIRE_EQ(x.shape(), Shape{(70 + by - 1) / by, (99 + by - 1) / by, 3});
    // The mean of by x by pixels of a plane is that of its corners; two levels for the rounding of JPEG itself.
    for (const int64_t i : {int64_t{0}, 70 / by - 1})
      for (const int64_t j : {int64_t{0}, 99 / by - 1})
        CHECK(std::abs(x[i][j][1].item<double>() - static_cast<double>(by * (i + j) + by - 1)) <= 2);
  }
  CHECK_EQ(io::read_image(folder / "slope.jpg", {.reduce_to = 36}).shape(), Shape{70, 99, 3});
  CHECK_EQ(io::read_image(folder / "slope.jpg", {.reduce_to = 1}).shape(), Shape{9, 13, 3});
  CHECK_THROWS_AS((void)io::read_image(folder / "slope.jpg", {.reduce_to = -1}), ValueError);
}

TEST_CASE("image: what is wrong with a file is said, with its name") {
  CHECK(refused("none.png").find("none.png: cannot be opened") != std::string::npos);
  CHECK(refused("safetensors/two").find("two: is neither PNG nor JPEG") != std::string::npos);
  CHECK(refused("png/truncated.png").find("truncated.png: is no valid PNG: the file is truncated") !=
        std::string::npos);
  CHECK(refused("png/crc.png").find("is no valid PNG") != std::string::npos);
  CHECK(refused("png/no_palette.png").find("is no valid PNG") != std::string::npos);
  CHECK(refused("png/huge.png").find("is 60000 x 60000 pixels, more than") != std::string::npos);
  CHECK(refused("png/huge.png", {.max_pixels = INT64_MAX}).find("impossible in its") != std::string::npos);
  CHECK(refused("jpeg/truncated.jpg").find("truncated.jpg: is no valid JPEG: ") != std::string::npos);
  CHECK(refused("jpeg/huge.jpg").find("is 65500 x 65500 pixels") != std::string::npos);
  CHECK(refused("jpeg/huge.jpg", {.max_pixels = INT64_MAX}).find("impossible in its") != std::string::npos);
  CHECK(refused("png/rgb8.png", {.max_pixels = 19}).find("5 x 4 pixels, more than the 19") != std::string::npos);
  CHECK_THROWS_AS((void)io::read_image(seed("png/rgb8.png"), {.channels = 2}), ValueError);
  CHECK_THROWS_AS((void)io::read_image(seed("png/rgb8.png"), {.bits = 1}), ValueError);
  CHECK_THROWS_AS((void)io::read_image(seed("jpeg/rgb.jpg"), {.channels = 4}), ValueError);
  CHECK_THROWS_AS((void)io::read_image(seed("jpeg/rgb.jpg"), {.bits = 16}), ValueError);
}

TEST_CASE("image: to a batch and back") {
  Tensor x = native("png/rgb8.png");
  Tensor b = io::image_to_batch(x);
  CHECK_EQ(b.shape(), Shape{1, 3, 4, 5});
  CHECK(b.is_channels_last());
  CHECK_EQ(b[0][2][3][4].item<float>(), 40 * 3 + 10 * 4 + 5 * 2);
  CHECK(identical(io::batch_to_image(b), x));
  Tensor odd = tensor({-3.f, 300.f, 1.5f, 2.5f, NAN, 7.4f}, Shape{1, 3, 1, 2});
  CHECK_EQ(io::batch_to_image(odd).to_vector<int64_t>(), std::vector<int64_t>{0, 2, 0, 255, 2, 7});
  CHECK_THROWS_AS((void)io::batch_to_image(zeros({2, 3, 4, 4})), ShapeError);
}

TEST_CASE("resize: constants stay, areas are averages, the identity is exact") {
  Tensor flat = full({6, 7, 3}, 80, Dtype::u8);
  for (auto filter : {io::ResizeFilter::area, io::ResizeFilter::lanczos}) {
    CHECK(all_equal(io::resize_image(flat, 3, 20, filter), [](int64_t) { return 80; }));
    Tensor x = native("png/rgb8.png");
    CHECK(identical(io::resize_image(x, 4, 5, filter), x));
  }
  Tensor x = tensor({1.f, 3.f, 5.f, 7.f, 2.f, 4.f, 6.f, 8.f}, Shape{2, 4, 1});
  CHECK_EQ(io::resize_image(x, 1, 2, io::ResizeFilter::area).to_vector<float>(), std::vector<float>{2.5f, 6.5f});
  // 3 -> 2: weights 1, 1/2 and 1/2, 1
  Tensor row = tensor({3.f, 6.f, 9.f}, Shape{1, 3, 1});
  std::vector<float> got = io::resize_image(row, 1, 2, io::ResizeFilter::area).to_vector<float>();
  CHECK_LT(std::abs(got[0] - 4), 1e-5f);  // f32 weights that sum to 1
  CHECK_LT(std::abs(got[1] - 8), 1e-5f);
  CHECK_THROWS_AS((void)io::resize_image(flat, 0, 4), ValueError);
}

TEST_CASE("resize: Lanczos as Pillow does it") {
  // Pillow's LANCZOS of the row 0, 50, 100, ..., 350 (f32) to 3 and to 12 pixels
  std::vector<float> v(8);
  for (size_t i = 0; i < 8; ++i) v[i] = 50.f * static_cast<float>(i);
  Tensor row = tensor(v, Shape{1, 8, 1});
  const std::vector<float> three = {40.5571f, 175.0000f, 309.4429f},
                           twelve = {-3.1797f,  18.5819f,  60.1405f,  93.0664f,  125.0000f, 157.4046f,
                                     192.5954f, 225.0000f, 256.9336f, 289.8595f, 331.4181f, 353.1797f};
  for (const auto& expected : {three, twelve}) {
    std::vector<float> got = io::resize_image(row, 1, static_cast<int64_t>(expected.size())).to_vector<float>();
    for (size_t i = 0; i < got.size(); ++i) CHECK_LT(std::abs(got[i] - expected[i]), 1e-3f);  // printed to 4 digits
  }
}

TEST_SUITE_END();

#endif
