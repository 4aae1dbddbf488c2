// The style pictures that the project draws itself: a kilim of woven threads, a glass mosaic, painted waves.
#include "styles.h"

#include <array>
#include <filesystem>
#include <iostream>

#include "painters.h"

namespace {

constexpr float kPi = 3.14159265f;

/// Threads over and under each other: weft-faced kilim with nested diamonds.
void woven(Canvas& canvas) {
  static constexpr Colour kYarn[] = {{.72f, .13f, .11f}, {.95f, .80f, .48f}, {.09f, .17f, .36f}, {.88f, .45f, .12f},
                                     {.07f, .42f, .44f}, {.96f, .91f, .80f}, {.47f, .07f, .19f}};
  constexpr float kPitch = 11, kLow = 7;  // between warp threads, between weft threads
  canvas.fill([](float x, float y) {
    // Hands pull unevenly
    float px = x + 5 * (noise(x / 60, y / 60, 1) - 0.5f), py = y + 7 * (noise(x / 70, y / 70, 2) - 0.5f);
    float u = px / kPitch, v = py / kLow;
    int i = static_cast<int>(std::floor(u)), j = static_cast<int>(std::floor(v));
    bool over = (i + j) % 2 == 0;  // the weft lies over the warp

    // What the weft shows is decided a knot at a time, so that diamonds have steps
    float kx = std::abs(std::fmod((static_cast<float>(i) + 0.5f) * kPitch + 512, 172.f) - 86),
          ky = (static_cast<float>(j) + 0.5f) * kLow;
    float row = std::floor(ky / 172), inside = std::abs(std::fmod(ky, 172.f) - 86);
    int ring = static_cast<int>((kx + inside) / 21);
    Colour yarn = kYarn[static_cast<size_t>(ring + 2 * static_cast<int>(row)) % std::size(kYarn)];
    yarn = yarn * (0.86f + 0.28f * hashed(j, ring, 3)) +
           Colour{.05f, .04f, .03f} * (noise(px / 25, static_cast<float>(j), 4) - 0.5f);

    float across = 2 * (v - std::floor(v)) - 1, position = u - std::floor(u);
    float round = std::sqrt(std::max(0.f, 1 - across * across * 0.92f)), bulge = std::sin(kPi * position);
    float twist = std::sin(2 * kPi * (px / 4.2f + across * 0.8f));  // plies of the yarn
    float light = over ? 0.45f + 0.5f * round + 0.22f * bulge - 0.18f * across : 0.30f + 0.35f * round - 0.12f * across;
    light *= 1 + 0.09f * twist * round + 0.16f * (noise(px / 1.7f, py / 1.1f, 5) - 0.5f);
    float warp = smooth(0.30f, 0.10f, std::abs(position - 0.5f)) * (over ? 0 : 1);
    return mix(yarn * light, Colour{.86f, .80f, .68f} * (0.55f + 0.4f * bulge), 0.55f * warp);
  });
}

/// Tesserae of coloured glass in dark grout, laid along suns.
void mosaic(Canvas& canvas) {
  static constexpr Colour kGlass[] = {{.99f, .86f, .35f}, {.95f, .55f, .12f}, {.82f, .18f, .13f},
                                      {.42f, .08f, .30f}, {.10f, .13f, .45f}, {.06f, .36f, .66f},
                                      {.10f, .62f, .66f}, {.60f, .85f, .70f}, {.97f, .95f, .82f}};
  static constexpr float kSuns[][3] = {
      {150, 170, 150}, {400, 90, 110}, {370, 370, 170}, {90, 430, 120}};  // x, y, radius
  constexpr float kTile = 15;
  auto design = [](float x, float y) {
    float best = 1e9f, angle = 0;
    for (const auto& s : kSuns) {
      float d = std::hypot(x - s[0], y - s[1]) / s[2];
      if (d < best) best = d, angle = std::atan2(y - s[1], x - s[0]);
    }
    float rays = 0.10f * std::sin(12 * angle) * smooth(0.25f, 0.6f, best);
    return along(kGlass, std::min(1.f, best * 0.85f + rays));
  };
  canvas.fill([&](float x, float y) {
    int ci = static_cast<int>(std::floor(x / kTile)), cj = static_cast<int>(std::floor(y / kTile));
    float first = 1e9f, second = 1e9f, sx = 0, sy = 0;
    int si = 0, sj = 0;
    for (int j = cj - 2; j <= cj + 2; ++j)
      for (int i = ci - 2; i <= ci + 2; ++i) {
        float shift = 0.5f * static_cast<float>(j & 1);  // laid like bricks, not quite straight
        float qx = (static_cast<float>(i) + 0.5f + shift + 0.55f * (hashed(i, j, 1) - 0.5f)) * kTile;
        float qy = (static_cast<float>(j) + 0.5f + 0.55f * (hashed(i, j, 2) - 0.5f)) * kTile;
        float d = std::hypot(x - qx, y - qy);
        if (d < first) second = first, first = d, sx = qx, sy = qy, si = i, sj = j;
        else second = std::min(second, d);
      }
    Colour glass = design(sx, sy);
    if (hashed(si, sj, 3) > 0.93f) glass = Colour{.98f, .82f, .42f};  // gold leaf here and there
    float bevel = ((x - sx) * -0.6f + (y - sy) * -0.8f) / kTile;      // light from the upper left
    float light = 0.80f + 0.34f * hashed(si, sj, 4) + 0.42f * bevel + 0.20f * (noise(x / 3, y / 3, 5) - 0.5f);
    Colour grout = Colour{.13f, .11f, .12f} * (0.8f + 0.5f * noise(x / 2, y / 2, 6));
    return mix(grout, glass * light, smooth(1.6f, 3.4f, second - first));
  });
}

/// Brush strokes that follow swells and whirls.
void waves(Canvas& canvas) {
  static constexpr Colour kSea[] = {{.03f, .07f, .22f}, {.05f, .18f, .45f}, {.08f, .38f, .62f}, {.25f, .62f, .70f},
                                    {.85f, .93f, .88f}, {.98f, .88f, .55f}, {.93f, .58f, .18f}};
  static constexpr float kWhirls[][3] = {
      {130, 120, 85}, {365, 165, 110}, {220, 370, 95}, {450, 420, 70}};  // x, y, radius
  auto height = [](float x, float y) {                                   // strokes follow its level lines
    float h = y + 26 * std::sin(x / 55 + y / 90) + 14 * std::sin(x / 27 - y / 60 + 1);
    for (const auto& w : kWhirls) {
      float d = std::hypot(x - w[0], y - w[1]) / w[2];
      h += w[2] * 1.9f * std::exp(-d * d);
    }
    return h;
  };
  auto colour = [&](float x, float y, int stroke) {
    float h = height(x, y), t = 0.5f + 0.5f * std::sin(h / 17 + 1.5f * (noise(x / 80, y / 80, 1) - 0.5f));
    return along(kSea, 0.86f * t * (0.55f + 0.45f * noise(x / 120, y / 120, 2)) + 0.17f * hashed(stroke, 1, 3));
  };
  canvas.fill([&](float x, float y) { return colour(x, y, 0) * 0.6f; });
  for (int stroke = 0; stroke < 7000; ++stroke) {
    float x = 540 * hashed(stroke, 0, 4) - 14, y = 540 * hashed(stroke, 0, 5) - 14;
    float width = 2.2f + 2.6f * hashed(stroke, 0, 6);
    Colour paint = colour(x, y, stroke) * (0.86f + 0.3f * hashed(stroke, 0, 7));
    int length = 14 + static_cast<int>(26 * hashed(stroke, 0, 8));
    for (int step = 0; step < length; ++step) {
      float gx = height(x + 0.5f, y) - height(x - 0.5f, y), gy = height(x, y + 0.5f) - height(x, y - 0.5f),
            g = std::hypot(gx, gy) + 1e-3f;
      float nx = gx / g, ny = gy / g, reach = width * canvas.scale();
      for (float a = -reach; a <= reach; a += 0.5f) {  // one row of bristles across the stroke
        int px = static_cast<int>(std::lround(x * canvas.scale() + nx * a)),
            py = static_cast<int>(std::lround(y * canvas.scale() + ny * a));
        if (px < 0 || py < 0 || px >= canvas.size || py >= canvas.size) continue;
        float s = a / reach, bristle = noise(s * 5, static_cast<float>(step) / 14, static_cast<uint32_t>(stroke));
        float cover = smooth(1, 0.75f, std::abs(s)) * smooth(0, 3, static_cast<float>(std::min(step, length - step))) *
                      (0.55f + 0.45f * bristle);
        Colour& c = canvas.pixel[static_cast<size_t>(py * canvas.size + px)];
        c = mix(c, paint * (0.80f + 0.36f * bristle - 0.10f * s), cover);
      }
      x -= ny;
      y += nx;
    }
  }
}

}  // namespace

namespace {

void make_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  WEFT_CHECK(std::filesystem::is_directory(folder), IoError, "'", folder,
             "': cannot be made a folder: ", failed ? failed.message() : "something else has that name");
}

void save(const Canvas& canvas, const std::string& path) {
  weft::io::write_image(canvas.image(), path);
  std::cout << path << '\n';
}

struct Painter {
  const char* name;
  void (*paint)(Canvas&);
};
constexpr Painter kPainters[] = {{"woven", woven},   {"mosaic", mosaic}, {"waves", waves},
                                 {"marble", marble}, {"shards", shards}, {"dots", dots}};

void refuse_to_overwrite(const char* command, const std::vector<std::string>& paths) {
  std::vector<std::string> there;
  std::error_code none;
  for (const std::string& path : paths)
    if (std::filesystem::exists(path, none)) there.push_back(path);
  WEFT_CHECK(there.empty(), IoError, command, ": ", there[0],
             there.size() > 1 ? weft::str(" and ", there.size() - 1, " more are") : " is",
             " there already; --force overwrites, --out names another folder");
}

}  // namespace

void draw_styles(const std::string& folder, int64_t size, bool overwrite) {
  std::vector<std::string> paths;
  for (const Painter& p : kPainters) paths.push_back(folder + "/" + p.name + ".png");
  if (!overwrite) refuse_to_overwrite("styles", paths);
  make_folder(folder);
  for (size_t i = 0; i < paths.size(); ++i) {
    Canvas canvas(size);
    kPainters[i].paint(canvas);
    save(canvas, paths[i]);
  }
}

void draw_scenes(const std::string& folder, int64_t count, int64_t size, bool overwrite) {
  std::vector<std::string> paths;
  for (int64_t i = 0; i < count; ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "/scene-%03d.png", static_cast<int>(i));
    paths.push_back(folder + name);
  }
  if (!overwrite) refuse_to_overwrite("scenes", paths);
  make_folder(folder);
  for (size_t i = 0; i < paths.size(); ++i) {
    Canvas canvas(size);
    scene(canvas, static_cast<uint32_t>(i));
    save(canvas, paths[i]);
  }
}

weft::Tensor drawn_style(const std::string& name, int64_t size) {
  const std::string stem = std::filesystem::path(name).stem().string();
  for (const Painter& p : kPainters) {
    if (stem != p.name) continue;
    Canvas canvas(size);
    p.paint(canvas);
    return canvas.image();
  }
  return {};
}

std::vector<std::string> drawn_style_names() {
  std::vector<std::string> names;
  for (const Painter& p : kPainters) names.push_back(p.name);
  return names;
}
