#include "photos.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

using namespace weft;
namespace fs = std::filesystem;

namespace {

Tensor square_of(const Tensor& image, int64_t y, int64_t x, int64_t side, int64_t size) {
  Tensor piece = image.narrow(0, y, side).narrow(1, x, side).contiguous();
  return side == size ? piece : io::resize_image(piece, size, size, io::ResizeFilter::area);
}

Tensor middle(const Tensor& image, int64_t size) {
  const int64_t side = std::min(image.size(0), image.size(1));
  return square_of(image, (image.size(0) - side) / 2, (image.size(1) - side) / 2, side, size);
}

/// Other light and other colours: saturation, a turn of the hue, a gain for each channel, contrast, brightness. x: [1,
/// 3, H, W].
Tensor recoloured(const Tensor& x, Generator& g) {
  auto between = [&](double low, double high) { return low + (high - low) * g.uniform(); };
  const double saturation = between(0.4, 1.5), turn = g.uniform() < 0.3 ? between(-3.1, 3.1) : between(-0.3, 0.3);
  // In luma and two differences; the turn is in their plane
  const double c = saturation * std::cos(turn), s = saturation * std::sin(turn);
  const double luma[3] = {0.299, 0.587, 0.114};
  std::vector<float> matrix(9);
  for (int i = 0; i < 3; ++i) {
    const double gain = between(0.8, 1.2);
    for (int j = 0; j < 3; ++j) {
      const double grey = luma[j], own = (i == j ? 1 : 0) - grey;
      const double side = ((j == (i + 1) % 3) - (j == (i + 2) % 3)) / std::sqrt(3.0);
      matrix[static_cast<size_t>(3 * i + j)] = static_cast<float>(gain * (grey + c * own + s * side));
    }
  }
  const double contrast = between(0.7, 1.3), brightness = between(-30, 30);
  Tensor y = matmul(tensor(matrix, Shape{3, 3}), x.reshape({3, -1})).reshape(x.shape());
  return clamp((y - 127.5) * contrast + (127.5 + brightness), 0, 255);
}

Tensor random_piece(const Tensor& image, int64_t size, Generator& g) {
  const int64_t h = image.size(0), w = image.size(1), most = std::min(h, w);
  // From the whole photo to pieces that are a little enlarged
  const double least = std::min<double>(0.8 * static_cast<double>(size), static_cast<double>(most));
  const auto side = static_cast<int64_t>(least * std::pow(static_cast<double>(most) / least, g.uniform()));
  const auto y = static_cast<int64_t>(g.below(static_cast<uint64_t>(h - side + 1))),
             x = static_cast<int64_t>(g.below(static_cast<uint64_t>(w - side + 1)));
  Tensor piece = io::image_to_batch(square_of(image, y, x, side, size)).contiguous();
  if (g.uniform() < 0.5) piece = flip(piece, {3});
  return recoloured(piece, g);
}

}  // namespace

std::string stem(const std::string& path) { return fs::path(path).stem().string(); }

Tensor load_square(const std::string& path, int64_t size, bool squash) {
  Tensor image = io::read_image(path);
  return io::image_to_batch(squash ? io::resize_image(image, size, size) : middle(image, size));
}

Photos::Photos(const std::vector<std::string>& files, int64_t size, bool augment) : size_(size), augment_(augment) {
  for (const std::string& f : files) images_.push_back(io::read_image(f));
}

Tensor Photos::get(int64_t i, Generator& g) const {
  const Tensor& image = images_[static_cast<size_t>(i)];
  if (!augment_) return io::image_to_batch(middle(image, size_)).squeeze(0);
  // Each norm multiplies the gradient of a plain piece (night sky) by up to 1 / sqrt(eps); twenty of them give infinity
  constexpr int kTries = 20;
  Tensor piece = random_piece(image, size_, g);
  for (int k = 1; k < kTries && var(piece).item<double>() <= 64; ++k) piece = random_piece(image, size_, g);
  return piece.squeeze(0);
}
