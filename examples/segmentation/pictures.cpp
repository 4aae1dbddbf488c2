#include "pictures.h"

#include <algorithm>
#include <cctype>
#include <cmath>

using namespace weft;

namespace {

using Rgb = std::array<uint8_t, 3>;
constexpr Rgb kInk = {40, 40, 40}, kPaper = {255, 255, 255}, kVoid = {56, 56, 56};

/// Seven rows of five bits each: a to z, 0 to 9, then . % - _
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789.%-_";
constexpr std::array<std::array<uint8_t, 7>, 40> kFont = {{
    {0, 0, 14, 1, 15, 17, 15},    {16, 16, 22, 25, 17, 17, 30}, {0, 0, 14, 16, 16, 17, 14},
    {1, 1, 13, 19, 17, 17, 15},   {0, 0, 14, 17, 31, 16, 14},   {6, 9, 8, 28, 8, 8, 8},
    {15, 17, 17, 17, 15, 1, 14},  {16, 16, 22, 25, 17, 17, 17}, {4, 0, 12, 4, 4, 4, 14},
    {2, 0, 6, 2, 2, 18, 12},      {16, 16, 18, 20, 24, 20, 18}, {12, 4, 4, 4, 4, 4, 14},
    {0, 0, 26, 21, 21, 17, 17},   {0, 0, 22, 25, 17, 17, 17},   {0, 0, 14, 17, 17, 17, 14},
    {30, 17, 17, 17, 30, 16, 16}, {15, 17, 17, 17, 15, 1, 1},   {0, 0, 22, 25, 16, 16, 16},
    {0, 0, 14, 16, 14, 1, 30},    {8, 8, 28, 8, 8, 9, 6},       {0, 0, 17, 17, 17, 19, 13},
    {0, 0, 17, 17, 17, 10, 4},    {0, 0, 17, 17, 21, 21, 10},   {0, 0, 17, 10, 4, 10, 17},
    {17, 17, 17, 17, 15, 1, 14},  {0, 0, 31, 2, 4, 8, 31},      {14, 17, 19, 21, 25, 17, 14},
    {4, 12, 4, 4, 4, 4, 14},      {14, 17, 1, 2, 4, 8, 31},     {31, 2, 4, 2, 1, 17, 14},
    {2, 6, 10, 18, 31, 2, 2},     {31, 16, 30, 1, 1, 17, 14},   {6, 8, 16, 30, 17, 17, 14},
    {31, 1, 2, 4, 8, 8, 8},       {14, 17, 17, 14, 17, 17, 14}, {14, 17, 17, 15, 1, 2, 12},
    {0, 0, 0, 0, 0, 12, 12},      {24, 25, 2, 4, 8, 19, 3},     {0, 0, 0, 31, 0, 0, 0},
    {0, 0, 0, 0, 0, 0, 31},
}};
constexpr std::string_view kBelowTheLine = "gpqy";
constexpr int64_t kLetterWidth = 6, kLetterHeight = 7;

/// A picture that is drawn on.
class Sheet {
 public:
  Sheet(int64_t height, int64_t width)
      : height_(height), width_(width), bytes_(full({height, width, 3}, 255, Dtype::u8)) {}
  void rectangle(int64_t top, int64_t left, int64_t height, int64_t width, Rgb colour) {
    uint8_t* p = bytes_.mut_data<uint8_t>();
    for (int64_t y = std::max<int64_t>(0, top); y < std::min(height_, top + height); ++y)
      for (int64_t x = std::max<int64_t>(0, left); x < std::min(width_, left + width); ++x)
        for (size_t c = 0; c < 3; ++c) p[(y * width_ + x) * 3 + static_cast<int64_t>(c)] = colour[c];
  }
  /// From (top, left) to the right or, where `upwards` is set, from (bottom, left) up.
  void text(int64_t top, int64_t left, const std::string& words, int64_t size, Rgb colour, bool upwards = false) {
    int64_t along = 0;
    for (const char c : words) {
      const size_t letter = kLetters.find(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
      const int64_t below = kBelowTheLine.find(c) == std::string_view::npos ? 0 : 2;
      if (letter != std::string_view::npos)
        for (int64_t y = 0; y < kLetterHeight; ++y)
          for (int64_t x = 0; x < 5; ++x) {
            if (!(kFont[letter][static_cast<size_t>(y)] >> (4 - x) & 1)) continue;
            const int64_t u = along + x, v = y + below;
            if (upwards) rectangle(top - (u + 1) * size, left + v * size, size, size, colour);
            else rectangle(top + v * size, left + u * size, size, size, colour);
          }
      along += kLetterWidth;
    }
  }
  const Tensor& picture() const { return bytes_; }

 private:
  int64_t height_, width_;
  Tensor bytes_;
};

int64_t text_width(const std::string& words, int64_t size) { return std::ssize(words) * kLetterWidth * size; }

Rgb colour_of(int64_t label, const Classes& classes) {
  return label >= 0 && label < classes.size() ? classes.palette[static_cast<size_t>(label)] : kVoid;
}

}  // namespace

Tensor coloured(const Tensor& labels, const Classes& classes) {
  const Tensor from = labels.contiguous();
  Tensor to = empty({labels.size(0), labels.size(1), 3}, Dtype::u8);
  const int64_t* label = from.data<int64_t>();
  uint8_t* p = to.mut_data<uint8_t>();
  for (int64_t i = 0; i < from.numel(); ++i) {
    const Rgb colour = colour_of(label[i], classes);
    std::copy(colour.begin(), colour.end(), p + 3 * i);
  }
  return to;
}

Tensor overlay(const Tensor& photo, const Tensor& labels, const Classes& classes) {
  const int64_t H = photo.size(0), W = photo.size(1), line = std::max<int64_t>(1, (H + W) / 1200);
  const Tensor colours = coloured(labels, classes), from = photo.contiguous(), map = labels.contiguous();
  Tensor out = empty({H, W, 3}, Dtype::u8);
  const uint8_t *a = from.data<uint8_t>(), *b = colours.data<uint8_t>();
  const int64_t* label = map.data<int64_t>();
  uint8_t* to = out.mut_data<uint8_t>();
  for (int64_t y = 0; y < H; ++y)
    for (int64_t x = 0; x < W; ++x) {
      const int64_t i = y * W + x;
      const bool border = (x + line < W && label[i] != label[i + line]) ||
                          (y + line < H && label[i] != label[i + line * W]);
      // the photo's light stays, its colour gives way
      const double light = 0.299 * a[3 * i] + 0.587 * a[3 * i + 1] + 0.114 * a[3 * i + 2];
      for (int64_t c = 0; c < 3; ++c) {
        const double shaded = 0.3 * light + 0.2 * a[3 * i + c] + 0.5 * b[3 * i + c];
        to[3 * i + c] = static_cast<uint8_t>(border ? 0.25 * shaded + 0.75 * 245 : shaded);
      }
    }
  return out;
}

Tensor sheet(const std::vector<std::vector<Tensor>>& rows) {
  constexpr int64_t kGap = 4;
  std::vector<Tensor> joined;
  for (const std::vector<Tensor>& row : rows) {
    std::vector<Tensor> cells;
    for (const Tensor& cell : row) {
      if (!cells.empty()) cells.push_back(full({cell.size(0), kGap, 3}, 255, Dtype::u8));
      cells.push_back(cell);
    }
    Tensor wide = cat(cells, 1);
    if (!joined.empty()) joined.push_back(full({kGap, wide.size(1), 3}, 255, Dtype::u8));
    joined.push_back(wide);
  }
  return cat(joined, 0);
}

Tensor legend(const Tensor& labels, const Classes& classes, int64_t width) {
  const int64_t size = std::max<int64_t>(1, width / 360), row = 14 * size, chip = 9 * size;
  const Tensor counts = bincount(labels.reshape({-1}), {}, classes.size());
  std::vector<int64_t> there;
  for (int64_t c = 0; c < classes.size(); ++c)
    if (counts[c].item<int64_t>() > 0) there.push_back(c);
  const auto walk = [&](const auto& draw) {
    int64_t top = 3 * size, left = 4 * size;
    for (const int64_t c : there) {
      const std::string& name = classes.names[static_cast<size_t>(c)];
      const int64_t needs = chip + 4 * size + text_width(name, size) + 6 * size;
      if (left > 4 * size && left + needs > width) top += row, left = 4 * size;
      draw(top, left, c, name);
      left += needs;
    }
    return top + row;
  };
  Sheet picture(walk([](auto...) {}), width);
  walk([&](int64_t top, int64_t left, int64_t c, const std::string& name) {
    picture.rectangle(top, left, chip, chip, kInk);
    picture.rectangle(top + size, left + size, chip - 2 * size, chip - 2 * size, colour_of(c, classes));
    picture.text(top + size, left + chip + 4 * size, name, size, kInk);
  });
  return picture.picture();
}

Tensor confusion_picture(const training::ConfusionMatrix& matrix, const Classes& classes) {
  constexpr int64_t kCell = 44, kSize = 2, kRowHeight = kLetterHeight * kSize;
  const int64_t C = classes.size();
  size_t longest = 5;
  for (const std::string& name : classes.names) longest = std::max(longest, name.size());
  const int64_t left = text_width(std::string(longest, 'x'), kSize) + 16, top = left - 4;
  Sheet picture(top + C * kCell + 12, left + C * kCell + 12);
  for (const auto& [line, words] : {std::pair{0, "truth:"}, {1, "rows"}, {2, "in %"}})
    picture.text(8 + line * (kRowHeight + 6), 8, words, kSize, {150, 150, 150});
  const std::vector<int64_t> count = matrix.counts().to_vector<int64_t>();
  for (int64_t r = 0; r < C; ++r) {
    const std::string& name = classes.names[static_cast<size_t>(r)];
    picture.text(top + r * kCell + (kCell - kRowHeight) / 2, left - 8 - text_width(name, kSize), name, kSize, kInk);
    picture.text(top - 8, left + r * kCell + (kCell - kRowHeight) / 2, name, kSize, kInk, true);
    double all = 0;
    for (int64_t c = 0; c < C; ++c) all += static_cast<double>(count[static_cast<size_t>(r * C + c)]);
    for (int64_t c = 0; c < C; ++c) {
      const double share = all > 0 ? static_cast<double>(count[static_cast<size_t>(r * C + c)]) / all : 0;
      // right ones are green, wrong ones red; small shares are to be seen, too
      const double strength = std::sqrt(share);
      const std::array<double, 3> full_colour = r == c ? std::array<double, 3>{38, 128, 72}
                                                       : std::array<double, 3>{196, 50, 44};
      Rgb colour{};
      for (size_t i = 0; i < 3; ++i) colour[i] = static_cast<uint8_t>(246 + (full_colour[i] - 246) * strength);
      picture.rectangle(top + r * kCell, left + c * kCell, kCell - 2, kCell - 2, all > 0 ? colour : kPaper);
      const std::string text = std::to_string(std::llround(100 * share));
      if (all > 0 && text != "0")
        picture.text(top + r * kCell + (kCell - 2 - kRowHeight) / 2,
                     left + c * kCell + (kCell - text_width(text, kSize)) / 2, text, kSize,
                     strength > 0.6 ? kPaper : kInk);
    }
  }
  return picture.picture();
}
