#include "batches.h"

#include <cmath>

#include "model_file.h"

using namespace weft;

Batch MakeBatch::operator()(const std::vector<data::Example>& samples) const {
  Generator& random = default_generator();
  const double scale = o_.scale.draw(random), down = random.uniform(), right = random.uniform();
  const bool whole = o_.crop.height == 0;
  std::vector<Tensor> images, targets;
  Tensor presence = zeros({std::ssize(samples), o_.classes});
  for (const data::Example& e : samples) {
    const int64_t H = e.data.size(1), W = e.data.size(2);
    const data::Size out{whole ? H : o_.crop.height, whole ? W : o_.crop.width};
    const auto unscaled = [&](int64_t n) { return std::max<int64_t>(1, std::llround(static_cast<double>(n) / scale)); };
    const int64_t h = unscaled(out.height), w = unscaled(out.width);
    // where the picture is smaller than the piece it lies in the middle, and what is around it does not count
    const auto place = [](int64_t have, int64_t want, double u) {
      return have < want ? (have - want) / 2 : static_cast<int64_t>(u * static_cast<double>(have - want + 1));
    };
    const int64_t top = place(H, h, down), left = place(W, w, right);
    Tensor image = data::functional::crop(e.data, top, left, h, w);
    Tensor target = h > H || w > W
                        ? data::functional::crop(e.target - o_.ignore_index, top, left, h, w) + o_.ignore_index
                        : data::functional::crop(e.target, top, left, h, w);
    if (h != out.height || w != out.width) {
      image = data::functional::resize(image, out);
      target = data::functional::resize(target, out, {.interpolation = data::Interpolation::nearest_exact});
    }
    if (random.uniform() < o_.flip) {
      image = data::functional::horizontal_flip(image);
      target = data::functional::horizontal_flip(target);
    }
    target = target.contiguous();
    float* present = presence.mut_data<float>() + std::ssize(targets) * o_.classes;
    for (const int64_t label : std::span(target.data<int64_t>(), static_cast<size_t>(target.numel())))
      if (label >= 0 && label < o_.classes) present[label] = 1;
    images.push_back(image);
    targets.push_back(target);
  }
  Tensor image = normalised(stack(images));
  if (o_.jitter > 0) {
    const int64_t N = image.size(0);
    image = image * (rand({N, 1, 1, 1}) * (2 * o_.jitter) + (1 - o_.jitter)) +
            (rand({N, 3, 1, 1}) * (2 * o_.jitter) - o_.jitter);
  }
  return {image, stack(targets), presence};
}
