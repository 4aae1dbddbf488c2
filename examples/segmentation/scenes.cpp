#include "scenes.h"

#include "scene_world.h"

namespace {

/// A house on one side of the street, from z0 to z1.
struct House {
  float z0, z1, height;
  Colour wall, trim;
  float floor_height, window_step, window_width;
  bool shop, brick;
  uint32_t salt;
};
/// What closes the gap before a house.
struct Gap {
  float z0, z1, height;
  bool hedge;
  Colour paint;
  uint32_t salt;
};
struct Side {
  float wall = 8;  ///< |X| of the fronts
  std::vector<House> houses;
  std::vector<Gap> gaps;
};

struct Street {
  Camera camera;
  Weather weather;
  float road_left = 5, road_right = 4, centre = 0;
  float pavement[2] = {2, 2};
  Side side[2];  // left, right
  float end = 110;
  Colour asphalt, paving, marks;
  float dash = 3, crossing = -1, tile = 0.8f;
  bool edge_lines = true, far_trees = false;
  uint32_t salt = 0;
};

constexpr float kFar = 140;

Colour wall_colour(Dice& dice) {
  const Colour kWalls[] = {{0.62f, 0.34f, 0.26f}, {0.72f, 0.62f, 0.48f}, {0.80f, 0.78f, 0.72f}, {0.55f, 0.53f, 0.50f},
                           {0.84f, 0.74f, 0.56f}, {0.48f, 0.30f, 0.26f}, {0.68f, 0.70f, 0.72f}, {0.74f, 0.56f, 0.46f}};
  const float bright = dice.in(0.75f, 1.1f);
  const Colour c = kWalls[dice.below(8)] * bright;
  return {c.r * dice.in(0.95f, 1.05f), c.g * dice.in(0.95f, 1.05f), c.b * dice.in(0.95f, 1.05f)};
}
Colour leaf_colour(Dice& dice, float autumn) {
  const Colour green = mix({0.20f, 0.36f, 0.12f}, {0.38f, 0.48f, 0.18f}, dice.in(0, 1));
  const Colour yellow = mix({0.62f, 0.42f, 0.10f}, {0.56f, 0.24f, 0.10f}, dice.in(0, 1));
  return mix(green, yellow, autumn * dice.in(0.4f, 1));
}
Colour car_colour(Dice& dice) {
  const Colour kPaints[] = {{0.85f, 0.85f, 0.86f}, {0.12f, 0.12f, 0.13f}, {0.45f, 0.46f, 0.48f}, {0.55f, 0.08f, 0.08f},
                            {0.10f, 0.18f, 0.42f}, {0.62f, 0.63f, 0.62f}, {0.16f, 0.30f, 0.22f}, {0.80f, 0.66f, 0.18f},
                            {0.30f, 0.33f, 0.38f}, {0.72f, 0.36f, 0.14f}};
  return kPaints[dice.below(10)] * dice.in(0.85f, 1.1f);
}
Colour cloth_colour(Dice& dice) { return {dice.in(0.06f, 0.8f), dice.in(0.06f, 0.7f), dice.in(0.06f, 0.8f)}; }

Weather draw_weather(Dice& dice) {
  Weather w;
  w.side = dice.chance(0.5f) ? 1.f : -1.f;
  const int kind = dice.below(10);
  if (kind < 4) {  // a clear day
    w.zenith = mix({0.22f, 0.42f, 0.78f}, {0.40f, 0.58f, 0.85f}, dice.in(0, 1));
    w.horizon = mix({0.72f, 0.82f, 0.92f}, {0.86f, 0.88f, 0.90f}, dice.in(0, 1));
    w.sun = {1.12f, 1.06f, 0.95f}, w.ambient = Colour{0.42f, 0.46f, 0.54f} * dice.in(0.8f, 1.1f);
    w.clouds = dice.in(0, 0.7f), w.fog = dice.in(0.001f, 0.006f);
  } else if (kind < 7) {  // overcast, or rain
    const float grey = dice.in(0.62f, 0.92f);
    w.zenith = Colour{0.92f, 0.95f, 1.0f} * (grey * 0.9f), w.horizon = Colour{1, 1, 1.01f} * grey;
    w.sun = Colour{0.78f, 0.79f, 0.82f} * dice.in(0.75f, 1), w.ambient = w.sun * 0.8f;
    w.clouds = dice.in(0.2f, 1), w.fog = dice.in(0.004f, 0.018f), w.wet = dice.chance(0.5f) ? dice.in(0.3f, 0.9f) : 0;
  } else if (kind < 9) {  // a low sun
    w.zenith = mix({0.30f, 0.40f, 0.66f}, {0.42f, 0.44f, 0.62f}, dice.in(0, 1));
    w.horizon = mix({0.96f, 0.78f, 0.54f}, {0.92f, 0.66f, 0.52f}, dice.in(0, 1));
    w.sun = {1.15f, 0.90f, 0.62f}, w.ambient = Colour{0.40f, 0.38f, 0.46f} * dice.in(0.75f, 1);
    w.clouds = dice.in(0, 0.8f), w.fog = dice.in(0.003f, 0.010f);
  } else {  // dusk
    w.zenith = {0.12f, 0.16f, 0.32f}, w.horizon = mix({0.42f, 0.36f, 0.46f}, {0.58f, 0.42f, 0.36f}, dice.in(0, 1));
    w.sun = Colour{0.46f, 0.44f, 0.52f} * dice.in(0.75f, 1.05f), w.ambient = w.sun * 0.7f;
    w.clouds = dice.in(0, 0.7f), w.fog = dice.in(0.002f, 0.008f), w.lamps = true;
  }
  return w;
}

Street draw_street(Dice& dice) {
  Street s;
  s.salt = static_cast<uint32_t>(dice.below(1 << 30));
  s.weather = draw_weather(dice);
  s.camera = {.height = dice.in(1.25f, 1.9f), .focal = dice.in(0.85f, 1.35f), .bend = 0};
  if (dice.chance(0.45f)) s.camera.bend = dice.in(-0.0022f, 0.0022f);
  s.centre = dice.in(-2.2f, 0.6f);  // the camera keeps to one side of the street, mostly
  const float half = dice.in(3.2f, 6.5f);
  s.road_left = s.centre - half, s.road_right = s.centre + half;
  for (float& p : s.pavement) p = dice.in(1.6f, 4.8f);
  s.asphalt = Colour{1, 1, 1.03f} * dice.in(0.26f, 0.46f);
  s.paving = mix(Colour{0.62f, 0.60f, 0.57f} * dice.in(0.75f, 1.15f), {0.60f, 0.46f, 0.40f},
                 dice.chance(0.25f) ? 0.7f : 0.f);
  s.marks = Colour{0.88f, 0.88f, 0.84f} * dice.in(0.8f, 1.05f);
  s.dash = dice.chance(0.75f) ? dice.in(2, 4) : 0;
  s.edge_lines = dice.chance(0.5f);
  s.tile = dice.in(0.5f, 1.2f);
  if (dice.chance(0.22f)) s.crossing = dice.in(6, 18);
  s.end = dice.in(55, 130);
  s.far_trees = dice.chance(0.45f);
  const float town = dice.in(0, 1);  // 0: the edge of a village, 1: a city
  for (int k = 0; k < 2; ++k) {
    Side& side = s.side[k];
    side.wall = std::fabs(k ? s.road_right : s.road_left) + s.pavement[k] + (dice.chance(0.3f) ? dice.in(0.5f, 4) : 0);
    const float density = std::clamp(town + dice.in(-0.35f, 0.35f), 0.05f, 1.f);
    float z = dice.in(-6, 3);
    while (z < s.end + 20) {
      if (!dice.chance(0.25f + 0.72f * density)) {
        const float length = dice.in(3, 16) * (1.3f - density);
        const bool hedge = dice.chance(0.62f);
        side.gaps.push_back({z, z + length, hedge ? dice.in(1.2f, 5.5f) : dice.in(1.0f, 2.0f), hedge,
                             hedge ? leaf_colour(dice, 0.2f) : Colour{0.45f, 0.36f, 0.28f} * dice.in(0.7f, 1.4f),
                             static_cast<uint32_t>(dice.below(1 << 30))});
        z += length;
        continue;
      }
      const float length = dice.in(6, 20);
      const float floors = 1 + std::floor(dice.in(0.6f, 1.6f) + density * dice.in(0, 4.5f));
      House h{.z0 = z,
              .z1 = z + length,
              .height = 0,
              .wall = wall_colour(dice),
              .trim = {},
              .floor_height = dice.in(2.8f, 3.7f),
              .window_step = dice.in(1.7f, 3.2f),
              .window_width = dice.in(0.4f, 0.65f),
              .shop = dice.chance(0.35f * density),
              .brick = dice.chance(0.45f),
              .salt = static_cast<uint32_t>(dice.below(1 << 30))};
      h.height = floors * h.floor_height + dice.in(0.4f, 1.6f);
      h.trim = mix(h.wall, dice.chance(0.5f) ? Colour{0.9f, 0.9f, 0.88f} : Colour{0.25f, 0.2f, 0.18f}, 0.6f);
      side.houses.push_back(h);
      z += length + (dice.chance(0.3f) ? 0.f : 0.02f);
    }
  }
  return s;
}

/// What stands along the street, without an order.
std::vector<Thing> draw_things(const Street& s, Dice& dice) {
  std::vector<Thing> things;
  const auto salt = [&] { return static_cast<uint32_t>(dice.below(1 << 30)); };
  const auto add = [&](Thing::Kind kind, float X, float Z, float size, int facing, Colour paint, Colour other = {}) {
    things.push_back({kind, X, Z, size, facing, paint, other, salt()});
  };
  // traffic: the near side goes away from the camera
  for (float Z = dice.in(5, 26); Z < 80; Z += dice.in(7, 40))
    add(dice.chance(0.2f) ? Thing::van : Thing::car, std::lerp(s.centre, s.road_right, dice.in(0.35f, 0.55f)), Z,
        dice.in(0.95f, 1.1f), 1, car_colour(dice));
  for (float Z = dice.in(5, 22); Z < 80; Z += dice.in(7, 34))
    add(dice.chance(0.2f) ? Thing::van : Thing::car, std::lerp(s.centre, s.road_left, dice.in(0.35f, 0.55f)), Z,
        dice.in(0.95f, 1.1f), -1, car_colour(dice));
  const float autumn = dice.chance(0.25f) ? 1.f : 0.1f;
  const bool fenced[2] = {dice.chance(0.22f), dice.chance(0.22f)};
  const float trees = dice.in(0, 1), people = dice.in(0, 1) * dice.in(0.3f, 1.2f);
  const Colour grey = Colour{1, 1, 1} * dice.in(0.12f, 0.5f);
  for (int k = 0; k < 2; ++k) {
    const float sign = k ? 1.f : -1.f, kerb = k ? s.road_right : s.road_left, width = s.pavement[k];
    if (dice.chance(0.5f))  // parked
      for (float Z = dice.in(4, 14); Z < 60; Z += dice.in(5.4f, 9))
        if (dice.chance(0.65f))
          add(dice.chance(0.12f) ? Thing::van : Thing::car, kerb - sign * 1.05f, Z, dice.in(0.95f, 1.08f),
              dice.chance(0.75f) ? k * 2 - 1 : 1 - k * 2, car_colour(dice));
    if (trees > 0.3f)
      for (float Z = dice.in(4, 14); Z < 90; Z += dice.in(6, 16))
        if (dice.chance(trees))
          add(Thing::tree, kerb + sign * dice.in(0.5f, std::max(0.7f, width)), Z, dice.in(0.6f, 1.4f), 1,
              leaf_colour(dice, autumn));
    for (float Z = dice.in(5, 20); Z < 90; Z += dice.in(14, 26))
      add(Thing::lamp, kerb + sign * 0.4f, Z, dice.in(0.8f, 1.25f), k ? -1 : 1, grey);
    for (float Z = dice.in(4, 26); Z < 60; Z += dice.in(9, 38))
      add(dice.chance(0.22f) ? Thing::traffic_light : Thing::sign, kerb + sign * dice.in(0.3f, 0.7f), Z,
          dice.in(0.85f, 1.2f), k ? -1 : 1, grey);
    for (float Z = dice.in(3.5f, 12); Z < 50; Z += dice.in(1, 16) / (0.25f + people))
      add(Thing::person, kerb + sign * dice.in(0.4f, std::max(0.6f, width - 0.2f)), Z, dice.in(0.82f, 1.08f),
          dice.chance(0.5f) ? 1 : -1, cloth_colour(dice), cloth_colour(dice) * 0.6f);
    if (dice.chance(0.45f))
      for (float Z = dice.in(5, 25); Z < 45; Z += dice.in(12, 40))
        add(Thing::cyclist, kerb - sign * dice.in(0.5f, 1.1f), Z, 1, k ? 1 : -1, cloth_colour(dice),
            cloth_colour(dice) * 0.6f);
    if (fenced[k]) {
      const bool bars = dice.chance(0.7f);
      const float size = dice.in(0.8f, 1.1f), from = dice.in(3, 14), to = from + dice.in(10, 50);
      const Colour paint = bars ? grey : Colour{0.5f, 0.4f, 0.3f};
      for (float Z = from; Z < to; Z += 2) add(Thing::fence, kerb + sign * 0.2f, Z, size, bars ? 1 : -1, paint);
    }
  }
  if (s.crossing > 0 && people > 0.3f)
    for (int i = dice.below(4); i > 0; --i)
      add(Thing::person, dice.in(s.road_left, s.road_right), s.crossing + dice.in(0.5f, 2.5f), dice.in(0.85f, 1.08f),
          dice.chance(0.5f) ? 1 : -1, cloth_colour(dice), cloth_colour(dice) * 0.6f);
  std::sort(things.begin(), things.end(), [](const Thing& a, const Thing& b) { return a.Z > b.Z; });
  return things;
}

struct Seen {
  Colour colour;
  Label label;
};

/// A front at s metres along it and Y metres up.
Colour facade(const House& h, const Weather& w, float s, float Y) {
  Colour wall = h.wall * (0.92f + 0.12f * noise(s, Y, h.salt));
  if (h.brick) wall = wall * (0.93f + 0.1f * hashed(static_cast<int>(s * 4), static_cast<int>(Y * 8), h.salt));
  if (Y > h.height - 0.35f) return h.trim;
  const float level = std::floor(Y / h.floor_height), up = Y - level * h.floor_height;
  const bool ground = level == 0, shop = h.shop && ground;
  const float step = shop ? 2.2f * h.window_step : h.window_step;
  const float count = std::max(1.f, std::floor((h.z1 - h.z0) / step)), pitch = (h.z1 - h.z0) / count;
  const int window = static_cast<int>(s / pitch);
  const float across = std::fabs(s / pitch - static_cast<float>(window) - 0.5f);
  const float half = 0.5f * (shop ? 0.86f : h.window_width), low = shop ? 0.4f : 0.95f,
              high = h.floor_height - (shop ? 0.8f : 0.45f);
  if (shop && up > high && up < high + 0.5f)
    return mix(h.trim, Colour{hashed(1, 1, h.salt), hashed(2, 1, h.salt), hashed(3, 1, h.salt)}, 0.7f);
  const bool door = ground && !shop && window % 3 == static_cast<int>(h.salt % 3);
  if (across < half && up > (door ? 0.f : low) && up < high) {
    if (across > half - 0.035f || up > high - 0.08f) return h.trim;
    if (door) return Colour{0.3f, 0.22f, 0.18f} * (0.6f + hashed(window, 5, h.salt));
    const float kind = hashed(window, static_cast<int>(level) + 40, h.salt);
    if (w.lamps && kind > 0.55f) return Colour{2.0f, 1.6f, 0.95f};
    const Colour glass = mix({0.10f, 0.12f, 0.15f}, w.zenith * 0.75f, 0.2f + 0.5f * kind);
    return kind > 0.8f ? mix(glass, {0.75f, 0.72f, 0.66f}, 0.6f) : glass;  // curtains
  }
  if (across < half + 0.06f && std::fabs(up - low + 0.06f) < 0.06f && !door) return h.trim;  // sill
  return wall;
}

/// The Z at which a ray to x meets the surface |X| = wall of a side; negative: never.
float wall_distance(const Camera& c, float x, float X) {
  const float slope = x / c.focal;
  if (std::fabs(c.bend) < 1e-6f) return slope * X > 0 ? X / slope : -1;
  const float d = slope * slope - 4 * c.bend * X;
  if (d < 0) return -1;
  const float root = std::sqrt(d), a = (slope - root) / (2 * c.bend), b = (slope + root) / (2 * c.bend);
  if (a > 0 && b > 0) return std::min(a, b);
  return std::max(a, b);
}

const House* house_at(const Side& side, float Z) {
  for (const House& h : side.houses)
    if (Z >= h.z0 && Z < h.z1) return &h;
  return nullptr;
}

Colour sky_at(const Street& s, float x, float y) {
  const Weather& w = s.weather;
  const float up = std::clamp(-y, 0.f, 1.f);
  Colour c = mix(w.horizon, w.zenith, smooth(0, 0.62f, up));
  if (w.clouds > 0) {
    const float far = 0.18f + up;
    const float cover = smooth(0.62f - 0.28f * w.clouds, 0.86f - 0.2f * w.clouds,
                               cloudy(1.6f * x / far, 1.1f / far, s.salt));
    c = mix(c, mix(w.horizon, {0.98f, 0.98f, 0.98f}, 0.5f) * (w.lamps ? 0.6f : 1.f), cover * 0.85f);
  }
  const float glow = smooth(0.7f, 0, std::hypot(x - 0.55f * w.side, y + 0.22f));
  return c + w.sun * (0.25f * glow * (1 - 0.7f * w.clouds));
}

/// Houses or trees at the end of the street.
bool skyline(const Street& s, float x, float y, Seen& seen) {
  const float height = s.far_trees
                           ? 0.015f + 0.05f * cloudy(9 * x, 0.5f, s.salt + 5) + 0.012f * noise(60 * x, 1, s.salt + 6)
                           : 0.03f + 0.10f * hashed(static_cast<int>(std::floor(11 * x)), 2, s.salt + 5);
  if (-y > height || y > 0.02f) return false;
  if (s.far_trees) {
    seen = {s.weather.seen(Colour{0.24f, 0.33f, 0.16f} * (0.7f + 0.6f * noise(70 * x, 70 * y, s.salt + 7)), 0.5f, kFar),
            kTree};
  } else {
    const bool window = hashed(static_cast<int>(std::floor(110 * x)), static_cast<int>(std::floor(80 * y)),
                               s.salt + 8) > 0.6f;
    const float tone = 0.45f + 0.35f * hashed(static_cast<int>(std::floor(11 * x)), 3, s.salt + 5);
    seen = {s.weather.seen(Colour{tone, tone * 0.95f, tone * 0.9f} * (window ? 0.7f : 1.f), 0.5f, kFar), kBuilding};
  }
  return true;
}

/// The fronts of one side, what closes its gaps, and the gables behind them.
bool side_at(const Street& s, int k, float x, float y, Seen& seen, float& distance) {
  const Side& side = s.side[k];
  const float X = k ? side.wall : -side.wall, Z = wall_distance(s.camera, x, X);
  if (Z <= 0.3f || Z > s.end) return false;
  const float Y = s.camera.height - y * Z / s.camera.focal, lit = s.weather.side * X < 0 ? 0.9f : 0.12f;
  if (Y < 0) return false;
  if (const House* h = house_at(side, Z)) {
    if (Y > h->height) return false;
    seen = {s.weather.seen(facade(*h, s.weather, Z - h->z0, Y), lit, Z), kBuilding};
    distance = Z;
    return true;
  }
  for (const Gap& g : side.gaps) {
    if (Z < g.z0 || Z >= g.z1) continue;
    const float top = g.hedge
                          ? g.height * (0.7f + 0.45f * cloudy(0.7f * Z, 0.3f, g.salt) + 0.06f * noise(6 * Z, 2, g.salt))
                          : g.height;
    if (Y < top) {
      const Colour c = g.hedge ? g.paint * (0.5f + 0.75f * cloudy(2.5f * Z, 2.5f * Y, g.salt))
                               : g.paint * (std::fmod(Z, 0.4f) < 0.06f ? 0.6f : 1.f);
      seen = {s.weather.seen(c, 0.3f + 0.5f * lit, Z), g.hedge ? kTree : kFence};
      distance = Z;
      return true;
    }
    // the gable of the next house, if the ray meets it
    for (const House& h : side.houses) {
      if (h.z0 < Z - 0.1f) continue;
      const float across = std::fabs(x * h.z0 / s.camera.focal - s.camera.bend * h.z0 * h.z0);
      const float up = s.camera.height - y * h.z0 / s.camera.focal;
      if (across < side.wall || across > side.wall + 9 || h.z0 > s.end) return false;
      const float roof = h.height + 1.5f * smooth(4.5f, 0, std::fabs(across - side.wall - 4.5f));
      if (up > roof) return false;
      const Colour c = h.wall * (0.85f + 0.15f * noise(across, up, h.salt + 4));
      seen = {s.weather.seen(c, 0.35f, h.z0), kBuilding};
      distance = h.z0;
      return true;
    }
  }
  return false;
}

Seen ground_at(const Street& s, float x, float y) {
  const Camera& c = s.camera;
  const float Z = std::min(c.focal * c.height / std::max(y, 1e-4f), 400.f), X = x * Z / c.focal - c.bend * Z * Z;
  const Weather& w = s.weather;
  // shadows of the houses on the sun's side
  const int sunny = w.side > 0 ? 1 : 0;
  const House* h = house_at(s.side[sunny], Z);
  const float from_wall = s.side[sunny].wall - w.side * X;
  float lit = h && w.clouds < 0.8f ? smooth(-0.3f, 0.3f, from_wall - 0.55f * h->height) : 0.9f;
  lit = 0.1f + 0.8f * lit;
  const float detail = smooth(30, 6, Z);  // what is fine is not seen from afar
  const float grain = 1 + detail * (0.22f * (noise(X * 14, Z * 9, s.salt) - 0.5f)) +
                      0.22f * (cloudy(X * 0.6f, Z * 0.25f, s.salt + 1) - 0.5f);
  if (X > s.road_left && X < s.road_right) {
    Colour surface = s.asphalt * grain;
    const float blur = 0.02f + 0.0035f * Z;
    const auto line = [&](float at, float half) { return smooth(half + blur, half - blur * 0.5f, std::fabs(X - at)); };
    float mark = 0;
    if (s.dash > 0 && std::fmod(Z, 2.6f * s.dash) < s.dash) mark = line(s.centre, 0.08f);
    if (s.edge_lines) mark = std::max({mark, line(s.road_left + 0.3f, 0.06f), line(s.road_right - 0.3f, 0.06f)});
    if (s.crossing > 0 && Z > s.crossing && Z < s.crossing + 3 && std::fmod(X + 40, 1.1f) < 0.55f) mark = 1;
    surface = mix(surface, s.marks, mark * (0.65f + 0.3f * noise(X * 6, Z * 6, s.salt + 2)) * smooth(90, 30, Z));
    surface = surface * (1 - 0.25f * smooth(0.35f, 0, std::min(X - s.road_left, s.road_right - X)));  // the gutter
    Colour seen = w.seen(surface, lit, Z);
    if (w.wet > 0) {
      const float mirror = w.wet * smooth(3, 30, Z) * (0.35f + 0.5f * cloudy(X * 0.8f, Z * 0.2f, s.salt + 3));
      seen = mix(seen * (1 - 0.3f * w.wet), sky_at(s, x, -0.8f * y), mirror);
    }
    return {seen, kRoad};
  }
  const float kerb = std::min(std::fabs(X - s.road_left), std::fabs(X - s.road_right));
  Colour surface = s.paving * grain;
  if (kerb < 0.14f) surface = mix(surface, {0.78f, 0.77f, 0.74f}, 0.7f);
  else {
    const float joint = std::min(std::fabs(std::remainder(X, s.tile)), std::fabs(std::remainder(Z, s.tile)));
    surface = surface * (1 - 0.22f * detail * smooth(0.035f, 0.01f, joint));
    surface = surface * (0.95f + 0.1f * detail *
                                     hashed(static_cast<int>(std::floor(X / s.tile)),
                                            static_cast<int>(std::floor(Z / s.tile)), s.salt));
  }
  return {w.seen(surface * (1 - 0.25f * w.wet), lit, Z), kPavement};
}

Seen world_at(const Street& s, float x, float y) {
  Seen seen{};
  float distance = 0;
  Seen best{};
  float nearest = 1e9f;
  for (int k = 0; k < 2; ++k)
    if (side_at(s, k, x, y, seen, distance) && distance < nearest) best = seen, nearest = distance;
  if (nearest < 1e9f) return best;
  if (y > 0 && s.camera.focal * s.camera.height / y < s.end + 30) return ground_at(s, x, y);
  if (skyline(s, x, y, seen)) return seen;
  if (y > 0) return ground_at(s, x, y);
  return {sky_at(s, x, y), kSky};
}

/// Samples to pixels, and what a camera does to light.
weft::data::Example developed(const SceneCanvas& canvas, int64_t height, int64_t width, const Weather& weather,
                              Dice& dice) {
  constexpr int S = SceneCanvas::kSamples;
  const float exposure = dice.in(0.85f, 1.15f), gamma = dice.in(0.85f, 1.15f), grain = dice.in(0.005f, 0.03f);
  const float vignette = dice.in(0, 0.3f), soft = dice.in(0, 0.3f);
  const Colour tint = {dice.in(0.95f, 1.05f), dice.in(0.97f, 1.03f), dice.in(0.95f, 1.05f)};
  const auto salt = static_cast<uint32_t>(dice.below(1 << 30));
  const float rain = weather.wet > 0.5f ? dice.in(0, 0.2f) : 0;
  weft::Tensor picture = weft::empty({3, height, width}, weft::Dtype::u8),
               mask = weft::empty({height, width}, weft::Dtype::i64);
  uint8_t* to = picture.mut_data<uint8_t>();
  int64_t* labels = mask.mut_data<int64_t>();
  const auto pixel = [&](int y, int x) {
    Colour sum;
    for (int i = 0; i < S * S; ++i)
      sum = sum + canvas.colour[canvas.at(std::clamp(y, 0, static_cast<int>(height) - 1) * S + i / S,
                                          std::clamp(x, 0, static_cast<int>(width) - 1) * S + i % S)];
    return sum * (1.f / static_cast<float>(S * S));
  };
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      std::array<float, kVoidLabel + 1> votes{};
      for (int i = 0; i < S * S; ++i) {
        const uint8_t l = canvas.label[canvas.at(y * S + i / S, x * S + i % S)];
        // masks that people draw have thin things whole
        votes[l] += l == kPole || l == kSign || l == kPerson || l == kCyclist || l == kFence ? 1.6f : 1.f;
      }
      labels[y * width + x] = std::max_element(votes.begin(), votes.end()) - votes.begin();
      Colour c = mix(pixel(y, x), (pixel(y, x - 1) + pixel(y, x + 1) + pixel(y - 1, x) + pixel(y + 1, x)) * 0.25f,
                     soft);
      const float u = static_cast<float>(x) / static_cast<float>(width) - 0.5f,
                  v = static_cast<float>(y) / static_cast<float>(height) - 0.5f;
      c = c * tint * (exposure * (1 - vignette * 2 * (u * u + v * v)));
      if (rain > 0 && hashed(x + y / 5, y / 9, salt + 9) > 0.985f) c = mix(c, {0.85f, 0.87f, 0.9f}, rain);
      const float values[3] = {c.r, c.g, c.b};
      for (int k = 0; k < 3; ++k) {
        float value = std::pow(std::clamp(values[k], 0.f, 1.5f), gamma);
        value = value > 0.8f ? 0.8f + 0.2f * std::tanh((value - 0.8f) / 0.25f) : value;  // film does not clip at once
        value += grain * (hashed(x, y, salt + static_cast<uint32_t>(k)) + hashed(y, x, salt + 5) - 1);
        to[(k * height + y) * width + x] = static_cast<uint8_t>(std::clamp(value, 0.f, 1.f) * 255 + 0.5f);
      }
    }
  return {picture, mask};
}

}  // namespace

weft::data::Example draw_scene(uint64_t number, int64_t height, int64_t width) {
  Dice dice(number);
  const Street street = draw_street(dice);
  const std::vector<Thing> things = draw_things(street, dice);
  SceneCanvas canvas(height, width, dice.in(0.36f, 0.5f), dice.in(0.36f, 0.64f));
  for (int row = 0; row < canvas.rows; ++row)
    for (int column = 0; column < canvas.columns; ++column) {
      const Seen seen = world_at(street, canvas.x(column), canvas.y(row));
      canvas.set(row, column, seen.colour, seen.label);
    }
  for (const Thing& thing : things) draw_thing(canvas, street.camera, street.weather, thing);
  return developed(canvas, height, width, street.weather, dice);
}
