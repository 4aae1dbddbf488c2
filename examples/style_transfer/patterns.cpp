// More styles in colour: marbled paper, leaded glass, dots.
#include <array>

#include "painters.h"

namespace {

/// Noise of several sizes, in 0..1.
float clouds(float x, float y, uint32_t salt) {
  float sum = 0, weight = 0.5f;
  for (uint32_t k = 0; k < 4; ++k, weight *= 0.5f, x *= 2.03f, y *= 2.03f) sum += weight * noise(x, y, salt + k);
  return sum / 0.9375f;
}

}  // namespace

void marble(Canvas& canvas) {
  static constexpr Colour kInk[] = {{.93f, .87f, .74f}, {.85f, .28f, .24f}, {.97f, .72f, .33f},
                                    {.10f, .42f, .47f}, {.55f, .80f, .74f}, {.16f, .12f, .30f}};
  canvas.fill([](float x, float y) {
    // Drops of paint that were pushed around twice
    float u = x + 95 * (clouds(x / 150, y / 150, 11) - 0.5f), v = y + 95 * (clouds(x / 150, y / 150, 23) - 0.5f);
    u += 46 * std::sin(v / 31 + 3 * clouds(u / 200, v / 200, 31));
    v += 30 * std::sin(u / 43);
    float t = 7.5f * clouds(u / 190, v / 190, 41) + 0.018f * v;
    float at = t * 2.6f, band = std::floor(at), within = at - band;
    size_t i = static_cast<size_t>(hashed(static_cast<int>(band), 5, 6) * 5.99f);
    Colour paint = kInk[i];
    paint = paint * (0.92f + 0.16f * noise(x / 2.2f, y / 2.2f, 51));
    float vein = smooth(0.13f, 0.03f, std::min(within, 1 - within));
    return mix(paint, Colour{.12f, .09f, .17f}, 0.85f * vein);
  });
}

void shards(Canvas& canvas) {
  static constexpr Colour kPane[] = {{.86f, .10f, .13f}, {.98f, .77f, .10f}, {.07f, .25f, .66f}, {.05f, .55f, .36f},
                                     {.95f, .45f, .08f}, {.42f, .12f, .52f}, {.60f, .85f, .93f}, {.98f, .95f, .85f}};
  constexpr float kPane_ = 44;
  canvas.fill([](float x, float y) {
    float wx = x + 10 * std::sin(y / 47), wy = y + 10 * std::sin(x / 53);
    int ci = static_cast<int>(std::floor(wx / kPane_)), cj = static_cast<int>(std::floor(wy / kPane_));
    float first = 1e9f, second = 1e9f, sx = 0, sy = 0;
    int si = 0, sj = 0;
    for (int j = cj - 2; j <= cj + 2; ++j)
      for (int i = ci - 2; i <= ci + 2; ++i) {
        float qx = (static_cast<float>(i) + hashed(i, j, 61)) * kPane_,
              qy = (static_cast<float>(j) + hashed(i, j, 62)) * kPane_;
        float d = std::abs(wx - qx) * 0.8f + std::abs(wy - qy) * 0.8f + 0.35f * std::hypot(wx - qx, wy - qy);
        if (d < first) second = first, first = d, sx = qx, sy = qy, si = i, sj = j;
        else second = std::min(second, d);
      }
    Colour glass = kPane[static_cast<size_t>(hashed(si, sj, 63) * 7.99f)];
    float light = 0.80f + 0.35f * ((sx - wx) + (sy - wy)) / kPane_ + 0.10f * (noise(x / 5, y / 5, 64) - 0.5f);
    return mix(Colour{.05f, .04f, .06f}, glass * light, smooth(2.2f, 4.2f, second - first));
  });
}

void dots(Canvas& canvas) {
  static constexpr Colour kPaint[] = {{.97f, .93f, .82f}, {.93f, .62f, .13f}, {.80f, .25f, .12f},
                                      {.20f, .62f, .66f}, {.95f, .83f, .40f}, {.88f, .45f, .55f}};
  static constexpr float kHoles[][2] = {{120, 130}, {390, 110}, {260, 290}, {90, 410}, {430, 400}};
  constexpr float kRing = 13;
  canvas.fill([](float x, float y) {
    float d = 1e9f, cx = 0, cy = 0;
    int hole = 0;
    for (int k = 0; k < 5; ++k) {
      float e = std::hypot(x - kHoles[k][0], y - kHoles[k][1]);
      if (e < d) d = e, cx = kHoles[k][0], cy = kHoles[k][1], hole = k;
    }
    Colour ground = mix(Colour{.10f, .05f, .05f}, Colour{.30f, .11f, .08f}, noise(x / 40, y / 40, 71));
    float ring = std::floor(d / kRing), radius = (ring + 0.5f) * kRing;
    float around = std::max(3.f, std::floor(6.2831853f * radius / 12.5f));
    float angle = std::atan2(y - cy, x - cx) / 6.2831853f * around, k = std::floor(angle);
    float a = (k + 0.5f) / around * 6.2831853f;
    float px = cx + radius * std::cos(a), py = cy + radius * std::sin(a);
    int ik = static_cast<int>(k), ir = static_cast<int>(ring);
    px += 1.6f * (hashed(ik, ir, 72) - 0.5f), py += 1.6f * (hashed(ik, ir, 73) - 0.5f);
    float size = 4.1f + 1.2f * hashed(ik, ir, 74), r = std::hypot(x - px, y - py);
    Colour paint = kPaint[static_cast<size_t>(ir / 2 + 2 * hole) % 6] * (0.86f + 0.22f * hashed(ik, ir, 75));
    paint = paint * (1.06f - 0.10f * ((x - px) + (y - py)) / size);
    return mix(paint, ground, smooth(size - 0.9f, size + 0.6f, r));
  });
}
