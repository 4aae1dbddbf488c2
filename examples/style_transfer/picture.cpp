#include "picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

using namespace weft;

Tensor load_picture(const std::string& path, int64_t size) {
  Tensor image = io::read_image(path);
  double scale = static_cast<double>(size) / static_cast<double>(std::max(image.size(0), image.size(1)));
  auto scaled = [&](int64_t n) { return std::max<int64_t>(8, std::lround(static_cast<double>(n) * scale) / 8 * 8); };
  return io::image_to_batch(io::resize_image(image, scaled(image.size(0)), scaled(image.size(1))));
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

  std::ofstream svg(path);
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
  WEFT_CHECK(svg.flush(), IoError, path, ": cannot be written");
}
