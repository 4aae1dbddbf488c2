// What a drawn street is made of: chance, colours, noise, a camera, a canvas with labels.
// Knows no house and no car. Lengths are metres; X goes to the right, Y up, Z away from the camera.
#pragma once

#include <weft/weft.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

/// CamVid's classes, and void.
enum Label : uint8_t {
  kSky,
  kBuilding,
  kPole,
  kRoad,
  kPavement,
  kTree,
  kSign,
  kFence,
  kCar,
  kPerson,
  kCyclist,
  kVoidLabel
};

class Dice {
 public:
  explicit Dice(uint64_t seed) : generator_(seed) {}
  float in(float low, float high) { return low + (high - low) * static_cast<float>(generator_.uniform()); }
  bool chance(float p) { return in(0, 1) < p; }
  int below(int n) { return static_cast<int>(generator_.below(static_cast<uint64_t>(n))); }

 private:
  weft::Generator generator_;
};

/// RGB, 0..1.
struct Colour {
  float r = 0, g = 0, b = 0;
};
inline Colour operator*(Colour c, float s) { return {c.r * s, c.g * s, c.b * s}; }
inline Colour operator*(Colour a, Colour b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
inline Colour operator+(Colour a, Colour b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
inline Colour mix(Colour a, Colour b, float t) { return a * (1 - t) + b * t; }
inline float smooth(float low, float high, float x) {
  const float t = std::clamp((x - low) / (high - low), 0.f, 1.f);
  return t * t * (3 - 2 * t);
}

/// A number in 0..1 for each grid point, the same on every machine.
inline float hashed(int x, int y, uint32_t salt) {
  uint32_t h = static_cast<uint32_t>(x) * 0x8da6b343u ^ static_cast<uint32_t>(y) * 0xd8163841u ^ salt * 0xcb1ab31fu;
  h = (h ^ h >> 16) * 0x7feb352du;
  h = (h ^ h >> 15) * 0x846ca68bu;
  return static_cast<float>((h ^ h >> 16) >> 8) * 0x1p-24f;
}
/// Smooth noise in 0..1 with features of size 1.
inline float noise(float x, float y, uint32_t salt) {
  const float fx = std::floor(x), fy = std::floor(y), u = smooth(0, 1, x - fx), v = smooth(0, 1, y - fy);
  const int i = static_cast<int>(fx), j = static_cast<int>(fy);
  return std::lerp(std::lerp(hashed(i, j, salt), hashed(i + 1, j, salt), u),
                   std::lerp(hashed(i, j + 1, salt), hashed(i + 1, j + 1, salt), u), v);
}
/// The same with finer and finer detail.
inline float cloudy(float x, float y, uint32_t salt) {
  return 0.5f * noise(x, y, salt) + 0.3f * noise(2.1f * x, 2.1f * y, salt + 1) +
         0.2f * noise(4.3f * x, 4.3f * y, salt + 2);
}

/// The light and the weather of a scene.
struct Weather {
  Colour zenith, horizon, sun, ambient;  ///< of the sky, of what the sun reaches, and of shade
  float side = 1;                        ///< the sun stands to the right (1) or to the left (-1)
  float clouds = 0, fog = 0, wet = 0;
  bool lamps = false;
  /// What is seen of a surface at that distance: `lit` 0 (shade) to 1.
  Colour seen(Colour surface, float lit, float distance) const {
    return mix(surface * mix(ambient, sun, lit), horizon, 1 - std::exp(-fog * distance));
  }
};

/// Where points of the street are in the picture; in units of its height, y down from the horizon.
struct Camera {
  float height = 1.5f, focal = 1, bend = 0;
  float x_of(float X, float Z) const { return focal * (X + bend * Z * Z) / Z; }
  float y_of(float Y, float Z) const { return focal * (height - Y) / Z; }
};

/// Samples of the picture, kSamples^2 to a pixel.
class SceneCanvas {
 public:
  static constexpr int kSamples = 2;
  SceneCanvas(int64_t height, int64_t width, float horizon, float middle)
      : rows(static_cast<int>(height) * kSamples),
        columns(static_cast<int>(width) * kSamples),
        colour(static_cast<size_t>(rows) * static_cast<size_t>(columns)),
        label(colour.size(), kVoidLabel),
        horizon_(horizon),
        middle_(middle * static_cast<float>(width) / static_cast<float>(height)) {}
  float x(int column) const { return (static_cast<float>(column) + 0.5f) / static_cast<float>(rows) - middle_; }
  float y(int row) const { return (static_cast<float>(row) + 0.5f) / static_cast<float>(rows) - horizon_; }
  int column(float x) const { return static_cast<int>(std::floor((x + middle_) * static_cast<float>(rows))); }
  int row(float y) const { return static_cast<int>(std::floor((y + horizon_) * static_cast<float>(rows))); }
  size_t at(int row, int column) const {
    return static_cast<size_t>(row) * static_cast<size_t>(columns) + static_cast<size_t>(column);
  }
  void set(int row, int column, Colour c, Label l) {
    colour[at(row, column)] = c;
    label[at(row, column)] = l;
  }
  /// Calls draw(row, column, x, y) for the samples of a rectangle of the picture.
  template <class F> void over(float x0, float x1, float y0, float y1, const F& draw) {
    const int left = std::max(0, column(x0)), right = std::min(columns - 1, column(x1));
    const int top = std::max(0, row(y0)), bottom = std::min(rows - 1, row(y1));
    for (int r = top; r <= bottom; ++r)
      for (int c = left; c <= right; ++c) draw(r, c, x(c), y(r));
  }

  int rows, columns;
  std::vector<Colour> colour;
  std::vector<uint8_t> label;

 private:
  float horizon_, middle_;
};

/// What stands on a street, at its foot.
struct Thing {
  enum Kind : uint8_t { car, van, person, cyclist, tree, lamp, sign, traffic_light, fence } kind = car;
  float X = 0, Z = 10;
  float size = 1;  ///< a factor of the usual height
  int facing = 1;  ///< 1: away from the camera, -1: towards it
  Colour paint, other;
  uint32_t salt = 0;  ///< of its shape
};
void draw_thing(SceneCanvas& canvas, const Camera& camera, const Weather& weather, const Thing& thing);
