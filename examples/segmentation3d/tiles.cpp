#include "tiles.h"

#include <algorithm>
#include <cmath>

using namespace weft;

namespace {

constexpr int64_t kMultiple = 4;  // of H and W, for two poolings
int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// A tile for that many voxels: deep first, since most stacks are flat, then square.
std::array<int64_t, 3> choose_tile(const Shape& volume, const TileOptions& o, int64_t voxels) {
  std::array<int64_t, 3> tile = o.tile;
  constexpr int64_t kDepth = 48;
  if (tile[0] == 0) tile[0] = std::min(volume[0], std::max(kDepth, 2 * o.overlap[0]));
  const auto side = static_cast<int64_t>(std::sqrt(static_cast<double>(voxels / tile[0])));
  for (const int axis : {1, 2})
    if (tile[static_cast<size_t>(axis)] == 0)
      tile[static_cast<size_t>(axis)] = std::max(side / kMultiple * kMultiple,
                                                 rounded_up(2 * o.overlap[static_cast<size_t>(axis)] + 8, kMultiple));
  for (size_t axis = 0; axis < 3; ++axis) tile[axis] = std::min(tile[axis], volume[static_cast<int>(axis)]);
  return tile;
}

class Runner {
 public:
  Runner(Model& model, const Stack& stack, const TileOptions& o)
      : model_(model), stack_(stack), o_(o), size_(stack.shape()), padded_(size_) {
    for (const int axis : {1, 2}) padded_[axis] = rounded_up(size_[axis], kMultiple);
  }
  const Shape& padded() const { return padded_; }

  /// Network input f32 [1, 1, d, h, w] of a block of the padded volume: beyond the last row and column the last stands.
  Tensor input(const Shape& start, const Shape& size) const {
    Shape inside = size;
    for (const int axis : {1, 2}) inside[axis] = std::min(size[axis], size_[axis] - start[axis]);
    Tensor x = (stack_.read(start, inside) - model_.mean) / model_.std;
    const int64_t right = size[2] - inside[2], down = size[1] - inside[1];
    if (right > 0 || down > 0) x = pad(x.unsqueeze(0), {0, right, 0, down}, PadMode::replicate).squeeze(0);
    return x.unsqueeze(0).unsqueeze(0);
  }
  /// Logits in f32 of inputs.
  Tensor run(const Tensor& x) const {
    std::optional<Autocast> autocast;
    if (o_.dtype != Dtype::f32) autocast.emplace(o_.dtype, o_.device);
    return model_.net(x.to(o_.device)).to(Device()).to(Dtype::f32);
  }
  Tensor probability(const Shape& start, const Shape& size) const { return sigmoid(run(input(start, size)))[0][0]; }

  /// The norms' statistics, of blocks that are spread evenly and hold `voxels` in all.
  void measure(int64_t voxels) {
    model_.net.norms().from = NormStatistics::From::measured;
    if (padded_.numel() <= voxels) {
      run(input({0, 0, 0}, padded_));
    } else {
      const Shape block = {std::min<int64_t>(16, padded_[0]), std::min<int64_t>(128, padded_[1]),
                           std::min<int64_t>(128, padded_[2])};
      const int64_t count = std::clamp<int64_t>(voxels / block.numel(), 1, 64);
      std::vector<Tensor> blocks;
      for (int64_t i = 0; i < count; ++i) {
        // steps of irrational ratio along H and W visit all of the plane; along D they go forward
        const double t = (static_cast<double>(i) + 0.5) / static_cast<double>(count);
        const auto place = [&](int axis, double part) {
          const auto room = static_cast<double>(padded_[axis] - block[axis]);
          return static_cast<int64_t>(part * room) / (axis ? kMultiple : 1) * (axis ? kMultiple : 1);
        };
        const auto turn = [&](double ratio) { return std::fmod(0.5 + static_cast<double>(i) * ratio, 1.0); };
        blocks.push_back(input({place(0, t), place(1, turn(0.7548776662)), place(2, turn(0.5698402910))}, block));
      }
      run(cat(blocks, 0));
    }
    model_.net.norms().from = NormStatistics::From::kept;
  }

 private:
  Model& model_;
  const Stack& stack_;
  const TileOptions& o_;
  Shape size_, padded_;
};

}  // namespace

TileAxis::TileAxis(int64_t n, int64_t tile, int64_t overlap, int64_t reach, int64_t multiple)
    : size_(std::min(tile, n)) {
  WEFT_CHECK(overlap >= 0 && (overlap < tile || tile >= n), ValueError, "tiles of ", tile, " cannot overlap by ",
             overlap, "; larger tiles or a smaller overlap can");
  const int64_t step = std::max(multiple, (tile - overlap) / multiple * multiple);
  for (int64_t at = 0;; at += step) {
    begins_.push_back(std::min(at, n - size_));
    if (at + size_ >= n) break;
  }
  const int64_t margin = std::min(reach, overlap * 7 / 16), ramp = std::max<int64_t>(1, overlap - 2 * margin);
  const auto raw = [&](int64_t edge) {
    return std::clamp((static_cast<double>(edge - margin) + 0.5) / static_cast<double>(ramp), 0.0, 1.0);
  };
  std::vector<double> total(static_cast<size_t>(n), 0);
  std::vector<std::vector<double>> all;
  for (const int64_t begin : begins_) {
    std::vector<double>& w = all.emplace_back();
    for (int64_t i = 0; i < size_; ++i) {
      const double before = begin == 0 ? 1 : raw(i), behind = begin + size_ == n ? 1 : raw(size_ - 1 - i);
      w.push_back(std::min(before, behind));
      total[static_cast<size_t>(begin + i)] += w.back();
    }
  }
  for (size_t t = 0; t < all.size(); ++t) {
    std::vector<float> w;
    for (size_t i = 0; i < all[t].size(); ++i)
      w.push_back(static_cast<float>(all[t][i] / total[static_cast<size_t>(begins_[t]) + i]));
    weights_.push_back(tensor(w, Shape{size_}));
  }
}

int64_t bytes_per_voxel(const UNet3d& net) { return 40 * net.width + 60; }

bool predict_volume(Model& model, const Stack& stack, const TileOptions& o, const SlabSink& sink,
                    const TileProgress& progress) {
  NoGrad guard;
  // whatever happens: the next volume has its own statistics
  const struct Reset {
    NormStatistics& norms;
    ~Reset() { norms.from = NormStatistics::From::input; }
  } reset{model.net.norms()};
  Runner runner(model, stack, o);
  const Shape &size = stack.shape(), &padded = runner.padded();
  const int64_t voxels = std::max<int64_t>(1, o.memory / bytes_per_voxel(model.net));
  const bool whole = padded.numel() <= voxels && o.tile == std::array<int64_t, 3>{};
  const std::array<int64_t, 3> tile = whole ? std::array<int64_t, 3>{padded[0], padded[1], padded[2]}
                                            : choose_tile(padded, o, voxels);
  const auto axis = [&](size_t i) {
    return TileAxis(padded[static_cast<int>(i)], tile[i], o.overlap[i], UNet3d::reach()[i], i ? kMultiple : 1);
  };
  const TileAxis depth = axis(0), height = axis(1), width = axis(2);
  const int64_t total = depth.count() * height.count() * width.count();
  if (total > 1) runner.measure(voxels);

  Tensor sums;  // [slices from `emitted` to the end of the last tile, H, W]
  int64_t done = 0, emitted = 0;
  for (int64_t k = 0; k < depth.count(); ++k) {
    const int64_t z = depth.begin(k), end = z + depth.size();
    Tensor grown = zeros({end - emitted, padded[1], padded[2]});
    if (sums.defined()) grown.narrow(0, 0, sums.size(0)).copy_(sums);
    sums = grown;
    const Tensor wz = depth.weights(k).reshape({-1, 1, 1});
    for (int64_t i = 0; i < height.count(); ++i)
      for (int64_t j = 0; j < width.count(); ++j) {
        const Tensor p = runner.probability({z, height.begin(i), width.begin(j)},
                                            {depth.size(), height.size(), width.size()});
        sums.narrow(0, z - emitted, depth.size())
            .narrow(1, height.begin(i), height.size())
            .narrow(2, width.begin(j), width.size())
            .add_(p * wz * height.weights(i).reshape({-1, 1}) * width.weights(j));
        if (progress) progress(++done, total);
      }
    const int64_t ready = (k + 1 < depth.count() ? depth.begin(k + 1) : size[0]) - emitted;
    const Tensor slab = sums.narrow(0, 0, ready).narrow(1, 0, size[1]).narrow(2, 0, size[2]);
    if (!sink(emitted, slab)) return false;
    emitted += ready;
    sums = sums.narrow(0, ready, sums.size(0) - ready);
  }
  return true;
}
