// What the style pictures are drawn with: colours, palettes, smooth noise and a canvas of floats.
// Knows no picture.
#pragma once

#include <weft/weft.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

/// RGB in 0..1.
struct Colour {
  float r = 0, g = 0, b = 0;
};
inline Colour operator*(Colour c, float s) { return {c.r * s, c.g * s, c.b * s}; }
inline Colour operator+(Colour a, Colour b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
inline Colour mix(Colour a, Colour b, float t) { return a * (1 - t) + b * t; }
inline float smooth(float low, float high, float x) {
  float t = std::clamp((x - low) / (high - low), 0.f, 1.f);
  return t * t * (3 - 2 * t);
}

/// The colour at t in 0..1 along a list, blended.
inline Colour along(std::span<const Colour> palette, float t) {
  float at = std::clamp(t, 0.f, 1.f) * static_cast<float>(palette.size() - 1);
  size_t i = std::min(static_cast<size_t>(at), palette.size() - 2);
  return mix(palette[i], palette[i + 1], at - static_cast<float>(i));
}

/// A number in 0..1 for each grid point: the same on every machine.
inline float hashed(int x, int y, uint32_t salt = 0) {
  uint32_t h = static_cast<uint32_t>(x) * 0x9e3779b1u ^ static_cast<uint32_t>(y) * 0x85ebca77u ^
               (salt + 1) * 0xc2b2ae3du;
  h = (h ^ h >> 15) * 0x2c1b3c6du;
  h = (h ^ h >> 12) * 0x297a2d39u;
  return static_cast<float>((h ^ h >> 15) >> 8) * 0x1p-24f;
}
/// Smooth noise in 0..1 with features of size 1.
inline float noise(float x, float y, uint32_t salt = 0) {
  float fx = std::floor(x), fy = std::floor(y), u = smooth(0, 1, x - fx), v = smooth(0, 1, y - fy);
  int i = static_cast<int>(fx), j = static_cast<int>(fy);
  float top = std::lerp(hashed(i, j, salt), hashed(i + 1, j, salt), u);
  return std::lerp(top, std::lerp(hashed(i, j + 1, salt), hashed(i + 1, j + 1, salt), u), v);
}

/// A square picture; coordinates are in pixels of a 512-pixel canvas, whatever its size.
struct Canvas {
  int64_t size;
  std::vector<Colour> pixel;
  explicit Canvas(int64_t n) : size(n), pixel(static_cast<size_t>(n * n)) {}
  float scale() const { return static_cast<float>(size) / 512; }

  /// Sets every pixel to the mean of `colour(x, y)` at four points in it.
  template <class F> void fill(const F& colour) {
    weft::parallel_for(size, 1, [&](int64_t begin, int64_t end) {
      for (int64_t y = begin; y < end; ++y)
        for (int64_t x = 0; x < size; ++x) {
          Colour sum;
          for (int k = 0; k < 4; ++k)
            sum = sum + colour((static_cast<float>(x) + 0.25f + 0.5f * static_cast<float>(k % 2)) / scale(),
                               (static_cast<float>(y) + 0.25f + 0.5f * static_cast<float>(k / 2)) / scale());
          pixel[static_cast<size_t>(y * size + x)] = sum * 0.25f;
        }
    });
  }

  /// u8 [size, size, 3].
  weft::Tensor image() const {
    std::vector<uint8_t> bytes;
    for (const Colour& c : pixel)
      for (float v : {c.r, c.g, c.b}) bytes.push_back(static_cast<uint8_t>(std::clamp(v, 0.f, 1.f) * 255 + 0.5f));
    return weft::tensor(bytes, weft::Shape{size, size, 3});
  }
};
