// Landscapes and still lifes, drawn from a number: pictures to practise on that are no photos.
#include <array>

#include "painters.h"

namespace {

/// A row of chances for one scene.
struct Dice {
  uint32_t number;
  int next = 0;
  float operator()(float low = 0, float high = 1) {
    return low + (high - low) * hashed(next++, static_cast<int>(number), 900);
  }
};

float rough(float x, float y, uint32_t salt) {
  return 0.5f * noise(x, y, salt) + 0.25f * noise(2.1f * x, 2.1f * y, salt + 1) +
         0.15f * noise(4.3f * x, 4.3f * y, salt + 2) + 0.10f * noise(9 * x, 9 * y, salt + 3);
}
Colour any_colour(Dice& dice, float low, float high) { return {dice(low, high), dice(low, high), dice(low, high)}; }

void landscape(Canvas& canvas, Dice dice) {
  static constexpr Colour kSkies[][2] = {{{.25f, .48f, .80f}, {.80f, .88f, .94f}},
                                         {{.22f, .20f, .42f}, {.96f, .60f, .38f}},
                                         {{.55f, .60f, .66f}, {.86f, .86f, .84f}},
                                         {{.04f, .06f, .18f}, {.20f, .28f, .45f}}};
  const Colour* sky = kSkies[static_cast<size_t>(dice(0, 3.99f))];
  const uint32_t salt = 1000 + 50 * dice.number;
  const float horizon = dice(180, 340), sun_x = dice(60, 450), sun_y = dice(40, horizon), sun_r = dice(14, 40);
  const float cloudy = dice(0.35f, 0.7f);
  const bool water = dice() < 0.45f;
  Colour land = mix(Colour{.16f, .34f, .12f}, any_colour(dice, 0.1f, 0.7f), dice(0, 0.6f)),
         haze = mix(sky[1], land, 0.25f);
  struct House {
    float x, y, w, h;
    Colour wall, roof;
  };
  struct Tree {
    float x, y, r;
    Colour leaf;
  };
  std::vector<House> houses;
  std::vector<Tree> trees;
  for (int n = static_cast<int>(dice(0, 5)); n > 0; --n) {
    float w = dice(36, 110);
    houses.push_back({dice(-20, 480), dice(horizon + 20, 420), w, w * dice(0.6f, 2.2f), any_colour(dice, 0.25f, 0.95f),
                      any_colour(dice, 0.08f, 0.6f)});
  }
  for (int n = static_cast<int>(dice(2, 12)); n > 0; --n)
    trees.push_back({dice(0, 512), dice(horizon, 470), dice(14, 52),
                     mix(Colour{.10f, .28f, .10f}, any_colour(dice, 0.05f, 0.8f), dice(0, 0.5f))});
  auto by_depth = [](const auto& a, const auto& b) { return a.y < b.y; };
  std::sort(houses.begin(), houses.end(), by_depth);
  std::sort(trees.begin(), trees.end(), by_depth);

  auto above = [&](float x, float y) {  // sky and hills
    Colour c = mix(sky[0], sky[1], std::clamp(y / horizon, 0.f, 1.f));
    float cover = smooth(cloudy, cloudy + 0.25f, rough(x / 130, y / 55, salt));
    c = mix(c, mix(Colour{1, .98f, .95f}, sky[0], 0.5f * noise(x / 60, y / 30, salt + 9)), 0.85f * cover);
    float d = std::hypot(x - sun_x, y - sun_y);
    c = mix(c, Colour{1, .93f, .70f}, std::max(smooth(sun_r + 1, sun_r - 1, d), 0.5f * smooth(4 * sun_r, sun_r, d)));
    for (uint32_t k = 0; k < 3; ++k) {
      float depth = static_cast<float>(k + 1) / 3,
            top = horizon - 110 + 40 * static_cast<float>(k) +
                  70 * (rough(x / (90 + 40 * depth), 0, salt + 10 + 5 * k) - 0.4f);
      if (y > top)
        c = mix(haze, land, depth) * (0.75f + 0.5f * rough(x / 14 + y / 9, y / 7, salt + 30 + k)) +
            Colour{.05f, .05f, .05f} * smooth(top + 20, top, y);
    }
    return c;
  };
  canvas.fill([&](float x, float y) {
    Colour c = above(x, y);
    if (y > horizon) {
      float near = (y - horizon) / (512 - horizon), step = 3 + 22 * near;
      if (water) {
        float ripple = 10 * near * std::sin(y / (2 + 5 * near) + 5 * noise(x / 40, y / 8, salt + 41));
        c = mix(above(x + ripple, 2 * horizon - y + ripple), Colour{.08f, .20f, .28f}, 0.25f + 0.4f * near) *
            (0.85f + 0.3f * noise(x / 30, y / 3, salt + 42));
      } else {
        c = land * (0.6f + 0.4f * near + 0.7f * (rough(x / step, y / (0.4f * step), salt + 43) - 0.5f));
      }
    }
    for (const House& h : houses) {
      float u = (x - h.x) / h.w, v = (h.y - y) / h.h;
      if (u > 0 && u < 1 && v > 0 && v < 1) {
        c = h.wall * ((u < 0.62f ? 1.f : 0.68f) + 0.14f * (noise(x / 4, y / 4, salt + 44) - 0.5f));
        float a = u * 5 - std::floor(u * 5), b = (y - h.y) / 24 - std::floor((y - h.y) / 24);
        if (a > 0.3f && a < 0.75f && b > 0.25f && b < 0.75f && v > 0.1f)
          c = Colour{.10f, .13f, .18f} + sky[1] * (0.4f * b);
      } else if (float w = (v - 1) / 0.35f; w >= 0 && u > 0.5f * w - 0.06f && u < 1.06f - 0.5f * w) {
        c = h.roof * (0.8f + 0.3f * std::sin(y * 1.4f) + 0.2f * noise(x / 5, y / 5, salt + 45));
      }
    }
    for (const Tree& t : trees) {
      float trunk = t.r * 0.12f;
      if (std::abs(x - t.x) < trunk && y < t.y && y > t.y - 1.2f * t.r)
        c = Colour{.24f, .16f, .10f} * (1 - 0.4f * (x - t.x) / trunk);
      float dx = x - t.x, dy = y - (t.y - 1.9f * t.r), d = std::hypot(dx, dy) / t.r;
      if (d < 0.65f + 0.6f * rough(x / 9, y / 9, salt + 46))
        c = t.leaf * (0.55f + 0.9f * noise(x / 4, y / 4, salt + 47) - 0.35f * (dx + dy) / t.r);
    }
    return c;
  });
}

void still_life(Canvas& canvas, Dice dice) {
  const uint32_t salt = 1000 + 50 * dice.number;
  const Colour wall = any_colour(dice, 0.15f, 0.8f), table = any_colour(dice, 0.15f, 0.7f),
               cloth = any_colour(dice, 0.3f, 1);
  const float edge = dice(220, 330), check = dice(24, 60);
  struct Thing {
    int kind;
    float x, y, r, tall;
    Colour colour, stripe;
  };
  std::vector<Thing> things;
  for (int n = static_cast<int>(dice(4, 10)); n > 0; --n) {
    float r = dice(26, 80);
    things.push_back({static_cast<int>(dice(0, 3)), dice(20, 490), dice(edge + 10, 470), r, r * dice(1.5f, 3),
                      any_colour(dice, 0.05f, 1), any_colour(dice, 0.05f, 1)});
  }
  std::sort(things.begin(), things.end(), [](const Thing& a, const Thing& b) { return a.y < b.y; });
  canvas.fill([&](float x, float y) {
    Colour c = wall * (0.75f + 0.35f * rough(x / 160, y / 160, salt) + 0.2f * (x / 512 - 0.5f));
    if (y > edge) {
      float depth = 0.4f + (y - edge) / (512 - edge);
      int i = static_cast<int>(std::floor((x - 256) / (check * depth))),
          j = static_cast<int>(std::floor(4 * std::log(depth) * 3));
      c = ((i + j) & 1 ? table : mix(table, cloth, 0.7f)) * (0.7f + 0.5f * rough(x / 12, y / 60, salt + 1));
    }
    for (const Thing& t : things) {
      float sx = (x - t.x - 0.6f * t.r) / (1.3f * t.r), sy = (y - t.y) / (0.35f * t.r);  // shadow
      c = c * (1 - 0.5f * smooth(1.1f, 0.6f, std::hypot(sx, sy)));
      float u = (x - t.x) / t.r;
      if (t.kind == 0) {  // ball
        float v = (y - (t.y - 0.9f * t.r)) / t.r, d = std::hypot(u, v);
        if (d > 1) continue;
        float z = std::sqrt(1 - d * d), light = std::max(0.f, -0.5f * u - 0.6f * v + 0.62f * z);
        Colour skin = std::sin(6 * v + 3 * u * z) > 0.75f ? t.stripe : t.colour;
        c = skin * (0.25f + 0.85f * light) + Colour{1, 1, 1} * (0.6f * smooth(0.94f, 0.99f, light));
      } else {  // jar or box
        float up = (t.y - y) / t.tall, half = t.kind == 1 ? 0.55f + 0.25f * std::sin(3.1f * up + 0.4f) : 0.8f;
        if (up < 0 || up > 1 || std::abs(u) > half) continue;
        float side = u / half;
        float light = t.kind == 1 ? 0.35f + 0.7f * std::sqrt(std::max(0.f, 1 - (side + 0.3f) * (side + 0.3f) / 1.7f))
                                  : (side < 0.25f ? 1.f : 0.6f);
        Colour skin = std::fmod(up * 7 + 0.2f * side, 2.f) < 0.5f ? t.stripe : t.colour;
        c = skin * (light + 0.15f * (noise(x / 5, y / 5, salt + 3) - 0.5f));
        if (t.kind == 1)
          c = c + Colour{1, 1, 1} * (0.45f * smooth(0.12f, 0.03f, std::abs(side + 0.45f)) * smooth(0.1f, 0.3f, up));
      }
    }
    return c;
  });
}

}  // namespace

void scene(Canvas& canvas, uint32_t number) {
  if (number % 3 == 2) still_life(canvas, {number});
  else landscape(canvas, {number});
}
