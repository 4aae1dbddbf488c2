// Cars, people, trees, lamps, signs and fences.
#include "scene_world.h"

namespace {

/// What a thing shows at a point of itself; a label of void: nothing, what is behind it is seen.
struct Spot {
  Label label = kVoidLabel;
  Colour colour = {};
  bool through = false;  ///< the label counts, but what is behind is seen, as between the bars of a fence
};

bool in_circle(float u, float v, float u0, float v0, float r) {
  return (u - u0) * (u - u0) + (v - v0) * (v - v0) < r * r;
}
/// Within r of the line from (u0, v0) to (u1, v1).
bool on_line(float u, float v, float u0, float v0, float u1, float v1, float r) {
  const float du = u1 - u0, dv = v1 - v0;
  const float t = std::clamp(((u - u0) * du + (v - v0) * dv) / (du * du + dv * dv + 1e-9f), 0.f, 1.f);
  return in_circle(u, v, u0 + t * du, v0 + t * dv, r);
}
float thing_number(const Thing& t, int which) { return hashed(which, 7, t.salt); }

constexpr Colour kTyre = {0.05f, 0.05f, 0.05f}, kGlass = {0.10f, 0.13f, 0.17f}, kMetal = {0.42f, 0.43f, 0.44f};
constexpr float kCarLength = 4.2f, kVanLength = 5.2f;

float car_height(const Thing& t) { return (t.kind == Thing::van ? 2.15f : 1.45f) * t.size; }
float car_width(const Thing& t) { return (t.kind == Thing::van ? 0.98f : 0.88f); }

/// A car from behind or from the front.
Spot car_end(const Thing& t, float u, float v) {
  const float top = car_height(t), half = car_width(t), a = std::fabs(u), belt = t.kind == Thing::van ? 1.15f : 0.88f;
  if (v < 0.34f && a > 0.52f && a < 0.8f) return {kCar, kTyre};
  if (v < 0.22f) return {};
  if (v < belt) {
    if (a > half - 0.06f * smooth(0.6f, 0.22f, v)) return {};
    if (v < 0.34f) return {kCar, t.paint * 0.35f};
    if (v > 0.58f && v < 0.78f && a > half - 0.26f)
      return {kCar, t.facing > 0 ? Colour{0.75f, 0.06f, 0.05f} : Colour{0.95f, 0.95f, 0.88f}};
    if (v > 0.42f && v < 0.55f && a < 0.26f) return {kCar, {0.85f, 0.83f, 0.62f}};
    if (t.facing < 0 && v > 0.56f && v < 0.72f && a < 0.42f) return {kCar, {0.08f, 0.08f, 0.09f}};
    return {kCar, t.paint * (0.8f + 0.25f * (v - 0.3f))};
  }
  const float edge = half - (t.kind == Thing::van ? 0.08f : 0.30f) * (v - belt) / (top - belt) - 0.04f;
  if (v > top || a > edge) return {};
  const bool glass = v > belt + 0.06f && v < top - (t.kind == Thing::van ? 0.35f : 0.10f) && a < edge - 0.09f;
  return {kCar, glass ? mix(kGlass, {0.5f, 0.58f, 0.66f}, 0.5f * smooth(belt, top, v)) : t.paint * 0.95f};
}

/// The same from its side: s from 0 (near) to its length.
Spot car_side(const Thing& t, float s, float v) {
  const float length = t.kind == Thing::van ? kVanLength : kCarLength, top = car_height(t);
  for (const float wheel : {0.85f, length - 0.85f}) {
    if (in_circle(s, v, wheel, 0.32f, 0.18f)) return {kCar, kMetal};
    if (in_circle(s, v, wheel, 0.32f, 0.33f)) return {kCar, kTyre};
  }
  if (v < 0.24f || s < 0 || s > length) return {};
  const float belt = t.kind == Thing::van ? 1.15f : 0.90f;
  if (v < belt) return {kCar, t.paint * (v < 0.36f ? 0.4f : v > belt - 0.05f ? 1.1f : 0.75f)};
  const float up = (v - belt) / (top - belt);
  // seen from behind the steep end is near, from the front the bonnet is
  float near = t.kind == Thing::van ? 0.05f : 0.25f + 0.35f * up,
        far = t.kind == Thing::van ? 1.0f + 0.3f * up : 1.15f + 0.6f * up;
  if (t.facing < 0) std::swap(near, far);
  if (v > top || s < near || s > length - far) return {};
  const bool glass = up > 0.12f && up < 0.85f && s > near + 0.15f && s < length - far - 0.15f &&
                     std::fabs(std::fmod(s, 1.25f) - 0.6f) < 0.54f;
  return {kCar, glass ? kGlass : t.paint * 0.85f};
}

Spot body(const Thing& t, float u, float v, float lean, Label label) {
  const Colour skin = mix({0.93f, 0.76f, 0.64f}, {0.36f, 0.23f, 0.16f}, thing_number(t, 1));
  const Colour hair = mix({0.07f, 0.05f, 0.04f}, {0.62f, 0.46f, 0.26f}, thing_number(t, 2) * thing_number(t, 3));
  const float shift = lean * (v - 0.9f);
  u -= shift;
  if (in_circle(u, v, 0, 1.64f, 0.12f)) return {label, v > 1.66f || t.facing > 0 ? hair : skin};
  if (v > 0.82f && v < 1.50f && std::fabs(u) < 0.17f + 0.06f * smooth(0.9f, 1.4f, v) - 0.1f * smooth(1.42f, 1.5f, v))
    return {label, t.paint * (0.9f + 0.2f * thing_number(t, static_cast<int>(20 * v)))};
  return {};
}

Spot person(const Thing& t, float u, float v) {
  v /= t.size;
  if (const Spot spot = body(t, u, v, 0, kPerson); spot.label != kVoidLabel) return spot;
  const float step = 0.05f + 0.17f * thing_number(t, 4);
  for (const float side : {-1.f, 1.f}) {
    if (on_line(u, v, side * 0.09f, 0.86f, side * step, 0.05f, 0.085f)) return {kPerson, v < 0.09f ? kTyre : t.other};
    if (on_line(u, v, side * 0.21f, 1.38f, side * (0.23f + 0.4f * step), 0.88f, 0.055f))
      return {kPerson, t.paint * 0.85f};
  }
  return {};
}

Spot cyclist(const Thing& t, float u, float v) {
  if (thing_number(t, 5) < 0.5f) {  // along the street
    if (const Spot spot = body(t, u, v - 0.12f, 0, kCyclist); spot.label != kVoidLabel) return spot;
    for (const float side : {-1.f, 1.f})
      if (on_line(u, v, side * 0.11f, 0.98f, side * 0.13f, 0.35f + 0.12f * side, 0.075f)) return {kCyclist, t.other};
    if (std::fabs(u) < 0.045f && v < 0.68f) return {kCyclist, kTyre};
    if (v > 0.98f && v < 1.04f && std::fabs(u) < 0.3f) return {kCyclist, kTyre};
    return {};
  }
  const float s = u * static_cast<float>(t.facing);
  if (const Spot spot = body(t, s + 0.12f, v - 0.1f, 0.45f, kCyclist); spot.label != kVoidLabel) return spot;
  if (on_line(s, v, 0.16f, 1.38f, 0.45f, 1.05f, 0.05f)) return {kCyclist, t.paint};
  if (on_line(s, v, -0.12f, 0.95f, 0.13f, 0.62f, 0.08f) || on_line(s, v, 0.13f, 0.62f, 0.02f, 0.25f, 0.06f))
    return {kCyclist, t.other};
  for (const float wheel : {-0.52f, 0.52f}) {
    if (in_circle(s, v, wheel, 0.34f, 0.35f)) return {kCyclist, kTyre, in_circle(s, v, wheel, 0.34f, 0.29f)};
  }
  if (on_line(s, v, -0.52f, 0.34f, 0.40f, 0.8f, 0.035f) || on_line(s, v, 0.52f, 0.34f, 0.42f, 1.05f, 0.035f) ||
      on_line(s, v, -0.15f, 0.9f, 0.0f, 0.3f, 0.035f))
    return {kCyclist, t.paint * 0.7f};
  return {};
}

Spot tree(const Thing& t, float u, float v, float sun_side) {
  const float top = 6.5f * t.size, trunk = top * (0.25f + 0.12f * thing_number(t, 1)),
              width = top * (0.26f + 0.14f * thing_number(t, 2));
  // a crown of overlapping balls with ragged edges
  const float ragged = 0.75f + 0.5f * noise(3 * u / t.size, 3 * v / t.size, t.salt) +
                       0.16f * noise(9 * u, 9 * v, t.salt + 1);
  float inside = 0;
  for (int i = 0; i < 7; ++i) {
    const float cu = (thing_number(t, 10 + i) - 0.5f) * 1.3f * width,
                cv = trunk + (0.22f + 0.62f * thing_number(t, 20 + i)) * (top - trunk);
    const float r = width * (0.42f + 0.3f * thing_number(t, 30 + i)) * ragged;
    inside = std::max(inside, 1 - ((u - cu) * (u - cu) + (v - cv) * (v - cv)) / (r * r));
  }
  if (inside > 0) {
    const float leaf = noise(5 * u, 5 * v, t.salt + 3),
                from_sun = smooth(-1, 1, sun_side * u / width + 0.6f * (v - trunk) / (top - trunk));
    return {kTree, t.paint * (0.45f + 0.45f * leaf + 0.5f * from_sun)};
  }
  if (v < trunk + 0.3f * (top - trunk) && std::fabs(u) < (0.10f + 0.10f * smooth(0.5f, 0, v)) * t.size)
    return {kTree, Colour{0.30f, 0.23f, 0.17f} * (0.7f + 0.5f * noise(20 * u, 3 * v, t.salt))};
  return {};
}

Spot lamp(const Thing& t, float u, float v, bool lit) {
  const float top = 6.2f * t.size, arm = static_cast<float>(t.facing) * 1.1f;
  if (std::fabs(u) < 0.07f + 0.05f * smooth(1, 0, v) && v < top) return {kPole, t.paint};
  if (on_line(u, v, 0, top, arm, top + 0.25f, 0.05f)) return {kPole, t.paint};
  if (std::fabs(u - arm) < 0.32f && std::fabs(v - top - 0.2f) < 0.09f)
    return {kPole, lit ? Colour{1.6f, 1.4f, 0.9f} : Colour{0.75f, 0.75f, 0.72f}};
  return {};
}

Spot sign(const Thing& t, float u, float v) {
  const float centre = 2.35f * t.size, r = 0.36f;
  const int shape = static_cast<int>(4 * thing_number(t, 1));
  const float dv = v - centre, d = std::hypot(u, dv);
  const Colour red = {0.78f, 0.08f, 0.08f}, white = {0.93f, 0.93f, 0.92f}, blue = {0.10f, 0.28f, 0.68f};
  if (t.facing > 0 && thing_number(t, 9) < 0.2f) {  // from behind
    if (d < r) return {kSign, kMetal};
  } else if (shape == 0) {
    if (d < r) return {kSign, d > 0.72f * r ? red : std::fabs(dv) < 0.1f && std::fabs(u) < 0.16f ? kTyre : white};
  } else if (shape == 1) {
    const float edge = (r - dv) * 0.58f;
    if (dv < r && dv > -0.75f * r && std::fabs(u) < edge)
      return {kSign, std::fabs(u) > edge - 0.09f || dv < -0.75f * r + 0.08f ? red
                     : std::fabs(u) < 0.035f                                ? kTyre
                                                                            : white};
  } else if (shape == 2) {
    if (d < r) return {kSign, d > 0.88f * r || on_line(u, dv, -0.15f, 0, 0.15f, 0, 0.05f) ? white : blue};
  } else if (std::fabs(u) < 0.8f * r && std::fabs(dv) < 1.1f * r) {
    const bool border = std::fabs(u) > 0.7f * r || std::fabs(dv) > r;
    const Colour paint = thing_number(t, 2) < 0.5f ? blue : Colour{0.85f, 0.68f, 0.10f};
    return {kSign, border ? white : noise(9 * u, 9 * dv, t.salt) > 0.66f ? white : paint};
  }
  if (std::fabs(u) < 0.05f && v < centre) return {kPole, kMetal};
  return {};
}

Spot traffic_light(const Thing& t, float u, float v) {
  const float low = 2.4f * t.size, high = low + 0.95f;
  if (v > low && v < high && std::fabs(u) < 0.19f) {
    const int on = static_cast<int>(3 * thing_number(t, 1));
    for (int i = 0; i < 3; ++i)
      if (in_circle(u, v, 0, low + 0.19f + 0.28f * static_cast<float>(i), 0.11f)) {
        const std::array<Colour, 3> lights = {{{0.1f, 0.95f, 0.4f}, {1.0f, 0.75f, 0.1f}, {1.0f, 0.15f, 0.1f}}};
        return {kSign, lights[static_cast<size_t>(i)] * (i == on ? 1.1f : 0.22f)};
      }
    return {kSign, {0.06f, 0.06f, 0.07f}};
  }
  if (std::fabs(u) < 0.06f && v < low) return {kPole, t.paint};
  return {};
}

/// Two metres of a fence along the street: s from 0 to 2.
Spot fence(const Thing& t, float s, float v) {
  const float top = 1.15f * t.size;
  if (v > top || s < 0 || s > 2) return {};
  if (t.facing > 0) {  // bars
    const bool bar = std::fabs(std::fmod(s, 0.25f) - 0.125f) < 0.03f || v > top - 0.08f || std::fabs(v - 0.15f) < 0.04f;
    return {kFence, t.paint, !bar};
  }
  return {
      kFence,
      t.paint * (std::fmod(s, 0.34f) < 0.05f ? 0.55f : 0.9f + 0.2f * hashed(static_cast<int>(s / 0.34f), 3, t.salt))};
}

}  // namespace

void draw_thing(SceneCanvas& canvas, const Camera& camera, const Weather& weather, const Thing& t) {
  if (t.Z < 1.5f) return;
  const auto put = [&](int row, int column, const Spot& spot, float lit, float Z) {
    if (spot.label == kVoidLabel) return;
    if (spot.through) canvas.label[canvas.at(row, column)] = spot.label;
    else canvas.set(row, column, weather.seen(spot.colour, lit, Z), spot.label);
  };
  const float scale = camera.focal / t.Z, x = camera.x_of(t.X, t.Z), foot = camera.y_of(0, t.Z);
  const bool is_car = t.kind == Thing::car || t.kind == Thing::van;

  // what stands on the ground darkens it
  const float shade_width = is_car ? car_width(t) + 0.25f : t.kind == Thing::tree ? 1.6f * t.size : 0.35f;
  if (t.kind != Thing::fence)
    canvas.over(x - shade_width * scale, x + shade_width * scale, foot - 0.25f * scale, foot + 0.12f * scale,
                [&](int row, int column, float px, float py) {
                  const float u = (px - x) / (shade_width * scale), v = (py - foot) / (0.2f * scale);
                  const uint8_t below = canvas.label[canvas.at(row, column)];
                  if (below == kRoad || below == kPavement) {
                    Colour& c = canvas.colour[canvas.at(row, column)];
                    c = c * (1 - 0.5f * smooth(1, 0.3f, u * u + v * v));
                  }
                });

  if (is_car || t.kind == Thing::fence) {
    // the side that can be seen is the one towards the middle of the street
    const float length = t.kind == Thing::fence ? 2 : t.kind == Thing::van ? kVanLength : kCarLength;
    const float height = t.kind == Thing::fence ? 1.15f * t.size : car_height(t);
    const float bent = t.X + camera.bend * t.Z * t.Z, inner = is_car ? bent - std::copysign(car_width(t), bent) : bent;
    const float near = camera.focal * inner / t.Z, far = camera.focal * inner / (t.Z + length);
    if (std::fabs(inner) > 0.05f && inner * bent > 0)
      canvas.over(std::min(near, far), std::max(near, far), camera.y_of(height, t.Z), foot,
                  [&](int row, int column, float px, float py) {
                    const float Z = camera.focal * inner / px, v = camera.height - py * Z / camera.focal;
                    if (v < 0) return;
                    const float lit = weather.side * inner < 0 ? 0.85f : 0.2f;
                    put(row, column, is_car ? car_side(t, Z - t.Z, v) : fence(t, Z - t.Z, v), lit, Z);
                  });
    if (t.kind == Thing::fence) return;
  }

  const float reach = t.kind == Thing::tree ? 4.5f * t.size : t.kind == Thing::lamp ? 1.6f : 1.1f;
  const float top = t.kind == Thing::tree || t.kind == Thing::lamp ? 8.5f * t.size : 3.6f * t.size;
  canvas.over(x - reach * scale, x + reach * scale, camera.y_of(top, t.Z), foot,
              [&](int row, int column, float px, float py) {
                const float u = (px - x) / scale, v = (foot - py) / scale;
                float lit = 0.55f + 0.35f * smooth(-0.3f, 0.3f, weather.side * u);
                Spot spot;
                switch (t.kind) {
                  case Thing::car:
                  case Thing::van: spot = car_end(t, u, v), lit = 0.55f; break;
                  case Thing::person: spot = person(t, u, v); break;
                  case Thing::cyclist: spot = cyclist(t, u, v); break;
                  case Thing::tree: spot = tree(t, u, v, weather.side); break;
                  case Thing::lamp: spot = lamp(t, u, v, weather.lamps); break;
                  case Thing::sign: spot = sign(t, u, v), lit = 0.7f; break;
                  case Thing::traffic_light: spot = traffic_light(t, u, v); break;
                  case Thing::fence: break;
                }
                put(row, column, spot, lit, t.Z);
              });
}
