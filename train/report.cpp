#include "weft/train/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>

#include "weft/io/file.h"
#include "weft/io/image.h"
#include "weft/train/log.h"

namespace weft::training {

namespace {

using Points = std::vector<LogPoint>;

constexpr double kWidth = 460, kHeight = 260, kLeft = 58, kRight = 24, kTop = 12, kBottom = 28;
constexpr size_t kMostPoints = 400;  // of a curve: more than that are averaged, a pixel shows no more
constexpr int kColours = 6;          // of curves, in the style sheet

constexpr const char* kStyle = R"(
:root { --ink: #1b1f24; --soft: #667080; --line: #d9dde3; --page: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #98a2b0; --line: #39404a; --page: #16191d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 2em auto;
  max-width: 980px; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin: 1.6em 0 .4em; }
.row { display: flex; flex-wrap: wrap; gap: 16px 24px; } figure { margin: 0; max-width: 100%; }
figcaption { color: var(--soft); font-size: .9em; } svg { max-width: 100%; height: auto; }
img { max-width: 100%; min-width: 128px; image-rendering: pixelated; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; padding: .8em; font-size: .86em; }
text { font-size: 11px; fill: var(--soft); } .grid { stroke: var(--line); }
path, circle { fill: none; stroke-width: 1.7; stroke-linejoin: round; } b { font-weight: 600; }
.c0 { stroke: #2f6fde; color: #2f6fde; }
.c1 { stroke: #e0662b; color: #e0662b; }
.c2 { stroke: #2a9d6e; color: #2a9d6e; }
.c3 { stroke: #b04fc4; color: #b04fc4; }
.c4 { stroke: #c29a16; color: #c29a16; }
.c5 { stroke: #d23c5a; color: #d23c5a; }
)";

std::string html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else if (c == '"') out += "&quot;";
    else out += c;
  }
  return out;
}

std::string base64(const std::vector<std::byte>& bytes) {
  constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    unsigned v = 0;
    for (size_t k = 0; k < 3; ++k) v = v << 8 | (i + k < bytes.size() ? std::to_integer<unsigned>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kDigits[v >> (18 - 6 * k) & 63];
  }
  return out;
}

std::string short_number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", x);
  return text;
}

/// Means of neighbours, where there are too many points.
Points thinned(const Points& all) {
  if (all.size() <= kMostPoints) return all;
  Points out;
  for (size_t i = 0; i < kMostPoints; ++i) {
    const size_t begin = i * all.size() / kMostPoints, end = (i + 1) * all.size() / kMostPoints;
    double sum = 0;
    for (size_t k = begin; k < end; ++k) sum += all[k].value;
    out.push_back({all[(begin + end) / 2].step, sum / static_cast<double>(end - begin)});
  }
  return out;
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void add(double x) {
    if (std::isfinite(x)) low = std::min(low, x), high = std::max(high, x);
  }
  /// Not empty, also for one value or none.
  void widen() {
    if (low > high) low = 0, high = 1;
    if (low == high) low -= std::max(std::abs(low) * 0.1, 1e-12), high += std::max(std::abs(high) * 0.1, 1e-12);
  }
};

/// About five round numbers of a range, at least `least` apart.
std::vector<double> ticks_of(const Range& r, double least = 0) {
  const double raw = (r.high - r.low) / 5, power = std::pow(10, std::floor(std::log10(raw))), part = raw / power;
  const double step = std::max(least, power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10));
  std::vector<double> out;
  const double first = std::ceil(r.low / step);
  for (int i = 0; i < 12 && (first + i) * step <= r.high; ++i) out.push_back((first + i) * step + 0.0);  // no -0
  return out;
}

/// Curves that share a chart.
std::string chart(const std::string& title, const std::vector<std::pair<std::string, Points>>& curves) {
  Range x, y;
  std::string caption, drawn;
  for (const auto& [name, points] : curves)
    for (const LogPoint& p : points) x.add(static_cast<double>(p.step)), y.add(p.value);
  x.widen(), y.widen();
  const auto at_x = [&](double v) { return kLeft + (v - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight); };
  const auto at_y = [&](double v) { return kTop + (y.high - v) / (y.high - y.low) * (kHeight - kTop - kBottom); };
  char text[256];
  for (const double v : ticks_of(y)) {
    std::snprintf(text, sizeof text,
                  "<line class='grid' x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f'/><text x='%.1f' y='%.1f' "
                  "text-anchor='end'>%s</text>\n",
                  kLeft, kWidth - kRight, at_y(v), at_y(v), kLeft - 6, at_y(v) + 4, short_number(v).c_str());
    drawn += text;
  }
  for (const double v : ticks_of(x, 1)) {
    std::snprintf(text, sizeof text, "<text x='%.1f' y='%.1f' text-anchor='middle'>%s</text>\n", at_x(v), kHeight - 8,
                  short_number(v).c_str());
    drawn += text;
  }
  for (size_t i = 0; i < curves.size(); ++i) {
    const auto& [name, points] = curves[i];
    std::string path;
    bool down = false;  // NaN and infinities leave a gap
    for (const LogPoint& p : thinned(points)) {
      const bool finite = std::isfinite(p.value);
      if (finite) {
        std::snprintf(text, sizeof text, down ? "L%.1f %.1f" : "M%.1f %.1f", at_x(static_cast<double>(p.step)),
                      at_y(p.value));
        path += text;
      }
      down = finite;
    }
    const std::string colour = "c" + std::to_string(static_cast<int>(i) % kColours);
    drawn += "<path class='" + colour + "' d='" + path + "'/>\n";
    if (points.size() == 1 && std::isfinite(points[0].value)) {
      std::snprintf(text, sizeof text, "' cx='%.1f' cy='%.1f' r='3'/>\n", at_x(static_cast<double>(points[0].step)),
                    at_y(points[0].value));
      drawn += "<circle class='" + colour + text;
    }
    caption += (i ? ", " : "") + std::string("<b class='") + colour + "'>" + html(name) + "</b> " +
               short_number(points.back().value) + " at step " + std::to_string(points.back().step);
  }
  std::snprintf(text, sizeof text, "<svg viewBox='0 0 %.0f %.0f' width='%.0f' height='%.0f' role='img' aria-label=\"",
                kWidth, kHeight, kWidth, kHeight);
  return "<figure>\n" + (text + html(title)) + "\">\n" + drawn + "</svg>\n<figcaption>" + caption +
         "</figcaption>\n</figure>\n";
}

/// The fields of a CSV line; quotes as CsvLog writes them.
std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') out.back() += line[++i];
    else if (line[i] == '"') quoted = !quoted;
    else if (line[i] == ',' && !quoted) out.emplace_back();
    else out.back() += line[i];
  }
  return out;
}

}  // namespace

std::map<std::string, std::vector<LogPoint>> read_csv_log(const std::string& path) {
  std::ifstream in(path);
  WEFT_CHECK(in, IoError, path, ": cannot be opened");
  std::map<std::string, Points> out;
  std::string line;
  WEFT_CHECK(std::getline(in, line) && line == "step,name,value,time", IoError, path, ": is no log of scalars");
  for (int64_t number = 2; std::getline(in, line) && !in.eof(); ++number) {  // a line without end was cut off
    const std::vector<std::string> fields = fields_of(line);
    char *step_end = nullptr, *value_end = nullptr;
    const int64_t step = std::strtoll(fields[0].c_str(), &step_end, 10);
    const double value = fields.size() == 4 ? std::strtod(fields[2].c_str(), &value_end) : 0;
    WEFT_CHECK(fields.size() == 4 && !*step_end && !*value_end, IoError, path, ": line ", number, " is '",
               io::printable(line), "'");
    out[fields[1]].push_back({step, value});
  }
  return out;
}

void write_report(const std::string& path, const std::string& csv_log, const ReportOptions& o) {
  std::map<std::string, std::vector<std::pair<std::string, Points>>> charts;
  for (auto& [name, points] : read_csv_log(csv_log)) {
    const size_t slash = name.rfind('/');
    charts[slash == std::string::npos ? name : name.substr(slash + 1)].emplace_back(name, points);
  }
  std::string page =
      "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>\n<meta name='viewport' "
      "content='width=device-width, initial-scale=1'>\n<title>" +
      html(o.title) + "</title>\n<style>" + kStyle + "</style></head><body>\n<h1>" + html(o.title) + "</h1>\n";
  if (!charts.empty()) page += "<h2>Curves</h2>\n<div class='row'>\n";
  for (const auto& [title, curves] : charts) page += chart(title, curves);
  if (!charts.empty()) page += "</div>\n";
  if (!o.pictures.empty()) page += "<h2>Pictures</h2>\n<div class='row'>\n";
  for (const auto& [caption, picture] : o.pictures)
    page += "<figure><img alt=\"" + html(caption) + "\" src='data:image/png;base64," + base64(io::png_bytes(picture)) +
            "'><figcaption>" + html(caption) + "</figcaption></figure>\n";
  if (!o.pictures.empty()) page += "</div>\n";
  for (const auto& [heading, text] : o.texts) page += "<h2>" + html(heading) + "</h2>\n<pre>" + html(text) + "</pre>\n";
  page += "</body></html>\n";
  io::AtomicFile file(path);
  file.write(page.data(), page.size());
  file.commit();
}

}  // namespace weft::training
