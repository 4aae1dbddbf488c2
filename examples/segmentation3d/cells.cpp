#include "cells.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

using namespace weft;

namespace {

using Point = std::array<double, 3>;  // z, y, x in pixels

constexpr double kSlice = 4;         // pixels between slices
constexpr double kBlurred = 9;       // pixels from a border in which the slice's thickness shows
constexpr double kElongated = 0.45;  // cells are long along the slices' axis by 1 / this

/// A number in [0, 1) of a place and a use, the same in every call.
double chance(uint64_t seed, int64_t a, int64_t b, int64_t c, int64_t use) {
  uint64_t h = seed * 0x9E3779B97F4A7C15u;
  for (const int64_t v : {a, b, c, use}) {
    h ^= static_cast<uint64_t>(v) + 0x9E3779B97F4A7C15u + (h << 6) + (h >> 2);
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    h ^= h >> 31;
  }
  return static_cast<double>(h >> 11) * 0x1.0p-53;
}

/// Smooth noise of about -1 to 1 that changes over `length` pixels.
class Noise {
 public:
  Noise(const Shape& size, double length, Generator& g) : height_(size[1]), width_(size[2]) {
    const auto points = [&](int64_t n, double pixels) {
      return std::max<int64_t>(2, std::lround(static_cast<double>(n) * pixels / length) + 1);
    };
    const Tensor lattice = randn({points(size[0], kSlice), points(size[1], 1), points(size[2], 1)}, {}, &g);
    field_ = data::functional::resize3d(lattice, {size[0], size[1], size[2]}, data::Interpolation::bilinear, false);
    values_ = field_.data<float>();
  }
  double at(int64_t z, int64_t y, int64_t x) const { return values_[(z * height_ + y) * width_ + x]; }
  const Tensor& field() const { return field_; }

 private:
  int64_t height_, width_;
  Tensor field_;
  const float* values_;
};

/// One point in each box of a lattice, at a random place; some boxes have none.
class Scatter {
 public:
  struct Dot {
    bool there = false;
    Point at{};
    std::array<int64_t, 3> box{};
  };
  /// size: of the volume in pixels; points lie up to `beyond` outside of it. share(a, b, c): of boxes that have one.
  template <class F>
  Scatter(const Point& size, double beyond, double side, uint64_t seed, const F& share)
      : seed_(seed), side_(side), first_(-static_cast<int64_t>(std::ceil(beyond / side))) {
    for (size_t i = 0; i < 3; ++i) count_[i] = static_cast<int64_t>(std::ceil((size[i] + beyond) / side)) + 1 - first_;
    for (int64_t a = first_; a < first_ + count_[0]; ++a)
      for (int64_t b = first_; b < first_ + count_[1]; ++b)
        for (int64_t c = first_; c < first_ + count_[2]; ++c) {
          Dot& dot = dots_.emplace_back();
          dot.box = {a, b, c};
          dot.there = of(dot, 0) < share(a, b, c);
          for (size_t i = 0; i < 3; ++i)
            dot.at[i] = (static_cast<double>(dot.box[i]) + of(dot, static_cast<int64_t>(i) + 1)) * side;
        }
  }
  /// A number in [0, 1) of a dot.
  double of(const Dot& dot, int64_t use) const { return chance(seed_, dot.box[0], dot.box[1], dot.box[2], use); }
  /// f(dot) of all dots in the boxes up to `rings` around p.
  template <class F> void around(const Point& p, int64_t rings, const F& f) const {
    std::array<int64_t, 3> low{}, high{};
    for (size_t i = 0; i < 3; ++i) {
      const int64_t middle = static_cast<int64_t>(std::floor(p[i] / side_)) - first_;
      low[i] = std::max<int64_t>(0, middle - rings);
      high[i] = std::min(count_[i] - 1, middle + rings);
    }
    for (int64_t a = low[0]; a <= high[0]; ++a)
      for (int64_t b = low[1]; b <= high[1]; ++b) {
        const Dot* row = dots_.data() + (a * count_[1] + b) * count_[2];
        for (int64_t c = low[2]; c <= high[2]; ++c)
          if (row[c].there) f(row[c]);
      }
  }

 private:
  uint64_t seed_;
  double side_;
  int64_t first_;
  std::array<int64_t, 3> count_{};
  std::vector<Dot> dots_;
};

/// The nearest cell, its nearest neighbour and how far their border is, in pixels.
struct Cell {
  const Scatter::Dot *own = nullptr, *neighbour = nullptr;
  double border = 0;
};

double squared_distance(const Point& a, const Point& b) {
  double d = 0;
  for (size_t i = 0; i < 3; ++i) d += (a[i] - b[i]) * (a[i] - b[i]);
  return d;
}

Cell find_cell(const Scatter& seeds, const Point& p) {
  Cell cell;
  for (int64_t rings = 3; !cell.neighbour; ++rings) {
    double first = 1e18, second = 1e18;
    seeds.around(p, rings, [&](const Scatter::Dot& dot) {
      const double d = squared_distance(p, dot.at);
      if (d < first) second = first, first = d, cell.neighbour = cell.own, cell.own = &dot;
      else if (d < second) second = d, cell.neighbour = &dot;
    });
    if (!cell.neighbour) cell.own = nullptr;
  }
  const double first = squared_distance(p, cell.own->at), second = squared_distance(p, cell.neighbour->at);
  cell.border = (second - first) / (2 * std::sqrt(squared_distance(cell.own->at, cell.neighbour->at)));
  return cell;
}

double smooth(double x) {
  x = std::clamp(x, 0.0, 1.0);
  return x * x * (3 - 2 * x);
}

/// A volume's geometry, asked voxel by voxel.
class Tissue {
 public:
  Tissue(const Shape& size, uint64_t seed, Generator& g)
      : crowded_(0.4 + 0.4 * g.uniform()),
        seeds_(pixels(size), 140, 36, seed,
               // regions of small cells and regions of large ones
               [seed](int64_t a, int64_t b, int64_t c) {
                 return 0.09 + 0.75 * std::pow(chance(seed + 3, a >> 1, b >> 1, c >> 1, 5), 3.0);
               }),
        mitochondria_(pixels(size), 80, 64, seed + 1, [](int64_t, int64_t, int64_t) { return 0.7; }),
        vesicles_(pixels(size), 20, 12, seed + 2, [](int64_t, int64_t, int64_t) { return 0.85; }),
        bend_{Noise(size, 46, g), Noise(size, 46, g), Noise(size, 46, g)},
        ripple_{Noise(size, 15, g), Noise(size, 15, g)},
        thickness_(size, 30, g),
        clusters_(size, 60, g) {}

  struct Voxel {
    double grey;
    double border, half;  // pixels to the cell's border, and as far as a membrane reaches
  };
  /// `part` of the way to the next slice.
  Voxel at(int64_t z, int64_t y, int64_t x, double part) const {
    const Point here = {(static_cast<double>(z) + part) * kSlice, static_cast<double>(y), static_cast<double>(x)};
    Point bent = here;
    bent[0] *= kElongated;
    for (size_t i = 0; i < 3; ++i) bent[i] += 13 * bend_[i].at(z, y, x);
    for (size_t i = 1; i < 3; ++i) bent[i] += 2.4 * ripple_[i - 1].at(z, y, x);
    const Cell cell = find_cell(seeds_, bent);
    // of a face: the same from both sides
    const auto of_face = [&](int64_t use) { return seeds_.of(*cell.own, use) + seeds_.of(*cell.neighbour, use) - 1; };
    const double half = std::clamp(2.1 + 0.9 * of_face(60) + 0.5 * thickness_.at(z, y, x), 1.3, 4.2);
    const bool synapse = std::abs(of_face(61)) < 0.035 && thickness_.at(z, y, x) > -0.2;
    double grey = 166 + 36 * (seeds_.of(*cell.own, 62) - 0.5);
    grey = inside(here, cell, grey);
    const double dark = synapse ? 20 : 48 + 14 * of_face(63);
    const double reach = half * (synapse ? 1.6 : 1.0);
    grey += (dark - grey) * (1 - smooth((cell.border - 0.55 * reach) / (0.9 * reach)));
    return {grey, cell.border, half + 0.4};
  }

 private:
  /// Cytoplasm with what swims in it.
  double inside(const Point& p, const Cell& cell, double grey) const {
    mitochondria_.around(p, 1, [&](const Scatter::Dot& dot) {
      const auto of = [&](int64_t use) { return mitochondria_.of(dot, use); };
      const double turn = of(20) * 3.14159, co = std::cos(turn), si = std::sin(turn);
      const Point d = {p[0] - dot.at[0], p[1] - dot.at[1], p[2] - dot.at[2]};
      const double along = co * d[1] + si * d[2], across = co * d[2] - si * d[1];
      const double long_half = 15 + 14 * of(21), short_half = 8 + 5 * of(22), high_half = 12 + 16 * of(23);
      const double e = std::sqrt(along * along / (long_half * long_half) + across * across / (short_half * short_half) +
                                 d[0] * d[0] / (high_half * high_half));
      // it keeps away from the cell's border
      const double in = std::max(e, 1.45 - cell.border / 11);
      if (in > 1.12) return;
      const double cristae = 0.5 + 0.5 * std::sin(across * 0.9 + 1.6 * std::sin(along * 0.25) + 6 * of(24));
      const double body = 118 + 12 * (of(25) - 0.5) - 26 * cristae;
      const double wall = std::exp(-(in - 1) * (in - 1) / 0.012);
      grey += (body - grey) * (1 - smooth((in - 0.92) / 0.16));
      grey += (78 - grey) * 0.75 * wall;
    });
    const double crowd = clusters_.at(static_cast<int64_t>(p[0] / kSlice), std::lround(p[1]), std::lround(p[2]));
    if (cell.border > 6)
      vesicles_.around(p, 1, [&](const Scatter::Dot& dot) {
        const double radius = 2.2 + 1.8 * vesicles_.of(dot, 40), d = std::sqrt(squared_distance(p, dot.at));
        if (vesicles_.of(dot, 41) > crowded_ + 0.4 * crowd || d > radius + 2) return;
        const double wall = std::exp(-(d - radius) * (d - radius) / 1.1);
        grey += d < radius - 1.2 ? 10.0 : -(45 + 55 * vesicles_.of(dot, 42)) * wall;
      });
    return grey;
  }

  static Point pixels(const Shape& size) {
    return {static_cast<double>(size[0]) * kSlice, static_cast<double>(size[1]), static_cast<double>(size[2])};
  }

  double crowded_;  // share of places with a vesicle
  Scatter seeds_, mitochondria_, vesicles_;
  std::array<Noise, 3> bend_;
  std::array<Noise, 2> ripple_;
  Noise thickness_, clusters_;
};

}  // namespace

Cells draw_cells(const Shape& size, uint64_t seed) {
  WEFT_CHECK(size.size() == 3 && size.numel() > 0, ShapeError, "draw_cells: the size must be [D, H, W], got ", size);
  NoGrad guard;
  Generator g(seed);
  const Tissue tissue(size, seed * 16 + 1, g);
  Tensor grey = empty(size), membrane = empty(size, Dtype::u8);
  float* greys = grey.mut_data<float>();
  uint8_t* labels = membrane.mut_data<uint8_t>();
  const int64_t height = size[1], width = size[2];
  parallel_for(size[0] * height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t x = 0; x < width; ++x) {
        // a slice is thick: a border that lies oblique in it looks blurred
        const auto at = [&](double part) { return tissue.at(row / height, row % height, x, part); };
        const Tissue::Voxel middle = at(0.25);
        const double grey = middle.border > kBlurred ? middle.grey : (at(0).grey + middle.grey + at(0.5).grey) / 3;
        greys[row * width + x] = static_cast<float>(grey);
        labels[row * width + x] = middle.border < middle.half;
      }
  });
  // each volume its own microscope
  const double grain = 10 + 16 * g.uniform(), noise = 22 + 20 * g.uniform(), blur = 0.7 + 0.5 * g.uniform();
  const auto along_slices = [&](double spread) { return randn({size[0], 1, 1}, {}, &g) * spread; };
  const Tensor texture = Noise(size, 2.6, g).field() * grain + Noise(size, 9, g).field() * 8.0 +
                         Noise(size, 90, g).field() * 8.0;
  Tensor image = data::functional::gaussian_blur3d(grey + texture, {0, blur, blur});
  image = image + data::functional::gaussian_blur3d(randn(size, {}, &g) * noise, {0, 0.6, 0.6});
  image = (image - 128) * (1 + along_slices(0.06)) + 128 + along_slices(5);
  return {clamp(round(image), 0, 255).to(Dtype::u8), membrane};
}
