#include "picture.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace weft;

Tensor load_picture(const std::string& path, int64_t size) {
  Tensor image = io::read_image(path);
  const int64_t h = image.size(0), w = image.size(1), longest = std::max<int64_t>(8, size / 8 * 8);
  const double scale = static_cast<double>(longest) / static_cast<double>(std::max(h, w)) / 8;
  auto scaled = [&](int64_t n) { return 8 * std::max<int64_t>(1, std::lround(static_cast<double>(n) * scale)); };
  tell_aspect(path, image.shape(), scaled(h), scaled(w));
  return io::image_to_batch(io::resize_image(image, scaled(h), scaled(w)));
}

void tell_aspect(const std::string& path, const Shape& picture, int64_t height, int64_t width) {
  const double change = static_cast<double>(width * picture[0]) / static_cast<double>(height * picture[1]) - 1;
  if (std::abs(change) <= 0.01) return;
  std::fprintf(stderr, "style_transfer: %s is %lld x %lld; %lld x %lld, to which it is rounded, %s it by %.0f %%\n",
               path.c_str(), static_cast<long long>(picture[1]), static_cast<long long>(picture[0]),
               static_cast<long long>(width), static_cast<long long>(height), change > 0 ? "widens" : "narrows",
               100 * std::abs(change));
}

namespace {
/// A pipe or a device: written to, never replaced.
bool is_device(const std::filesystem::path& p) {
  std::error_code none;
  return std::filesystem::exists(p, none) && !std::filesystem::is_regular_file(p, none);
}
}  // namespace

void check_output(const std::string& path, const std::vector<std::string>& endings,
                  const std::vector<std::string>& inputs) {
  const std::filesystem::path p(path), folder = p.has_parent_path() ? p.parent_path() : ".";
  std::string ending = p.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  std::string all;
  for (size_t i = 0; i < endings.size(); ++i)
    all += (i == 0 ? "" : i + 1 == endings.size() ? " or " : ", ") + endings[i];
  WEFT_CHECK(endings.empty() || std::find(endings.begin(), endings.end(), ending) != endings.end(), IoError,
             "the name '", path, "' must end in ", all);
  std::error_code none;
  WEFT_CHECK(!std::filesystem::is_directory(p, none), IoError, path, ": is a folder");
  if (is_device(p)) return;
  for (const std::string& input : inputs)
    WEFT_CHECK(!std::filesystem::equivalent(p, input, none), IoError, path,
               ": is the picture that is read; name another file");
  WEFT_CHECK(std::filesystem::is_directory(folder, none), IoError, path, ": there is no folder ", folder.string());
  WEFT_CHECK(access(folder.c_str(), W_OK | X_OK) == 0, IoError, path, ": the folder ", folder.string(),
             " may not be written to");
}

void save_picture(const Tensor& x, const std::string& path) { io::write_image(io::batch_to_image(x), path); }

void save_side_by_side(const std::vector<Tensor>& pictures, const std::string& path) {
  int64_t height = pictures.back().size(2);
  std::vector<Tensor> row;
  for (const Tensor& p : pictures) {
    if (!row.empty()) row.push_back(full({height, 6, 3}, 255, Dtype::u8));
    row.push_back(
        io::resize_image(io::batch_to_image(p), height, std::max<int64_t>(1, p.size(3) * height / p.size(2))));
  }
  io::write_image(cat(row, 1), path);
}

std::string numbered(const std::string& path, int64_t step) {
  std::filesystem::path p(path);
  char number[32];
  std::snprintf(number, sizeof number, "-%04lld", static_cast<long long>(step));
  return p.parent_path() / (p.stem().string() + number + p.extension().string());
}

void save_curve(const std::vector<Losses>& rows, const std::string& path) {
  constexpr double kLeft = 60, kTop = 20, kWidth = 620, kHeight = 300;
  const std::array<std::pair<const char*, double Losses::*>, 3> series = {
      {{"total", &Losses::total}, {"content", &Losses::content}, {"style", &Losses::style}}};
  constexpr const char* kColours[] = {"#222222", "#2a6fbb", "#c4472b"};
  double low = INFINITY, high = 0;
  for (const Losses& r : rows)
    for (auto& [name, member] : series)
      if (r.*member > 0) low = std::min(low, r.*member), high = std::max(high, r.*member);
  if (high <= 0) low = high = 1;
  low = std::max(low, high * 1e-4);  // the content starts at 0
  double bottom = std::floor(std::log10(low)), top = std::max(bottom + 1, std::ceil(std::log10(high)));
  auto place_y = [&](double v) {
    return kTop + kHeight * (top - std::max(bottom, std::log10(std::max(v, 1e-300)))) / (top - bottom);
  };
  auto place_x = [&](size_t i) {
    return kLeft + kWidth * static_cast<double>(i) / static_cast<double>(std::max<size_t>(1, rows.size() - 1));
  };

  std::ostringstream svg;
  svg << "<svg xmlns='http://www.w3.org/2000/svg' width='720' height='370' font-family='sans-serif' font-size='12'>\n"
      << "<rect width='720' height='370' fill='white'/>\n";
  for (double d = bottom; d <= top; ++d)
    svg << "<path d='M" << kLeft << ' ' << place_y(std::pow(10, d)) << "h" << kWidth << "' stroke='#dddddd'/><text x='"
        << kLeft - 8 << "' y='" << place_y(std::pow(10, d)) + 4 << "' text-anchor='end'>" << std::pow(10, d)
        << "</text>\n";
  for (size_t k = 0; k < series.size(); ++k) {
    svg << "<polyline fill='none' stroke-width='2' stroke='" << kColours[k] << "' points='";
    for (size_t i = 0; i < rows.size(); ++i) svg << place_x(i) << ',' << place_y(rows[i].*series[k].second) << ' ';
    svg << "'/>\n<text x='" << kLeft + 150 * static_cast<double>(k) << "' y='360' fill='" << kColours[k] << "'>"
        << series[k].first << "</text>\n";
  }
  svg << "<text x='" << kLeft + kWidth << "' y='" << kTop + kHeight + 18 << "' text-anchor='end'>step " << rows.size()
      << "</text>\n</svg>\n";

  const std::string whole = std::filesystem::is_symlink(path) ? std::filesystem::weakly_canonical(path).string() : path;
  const std::string part = is_device(whole) ? whole : whole + ".part";
  std::ofstream file(part);
  bool done = static_cast<bool>((file << svg.str()).flush());
  file.close();
  if (part != whole) {
    done = done && std::rename(part.c_str(), whole.c_str()) == 0;
    if (!done) std::remove(part.c_str());
  }
  WEFT_CHECK(done, IoError, path, ": cannot be written");
}
