#include "evaluate.h"

#include <cstdio>
#include <iostream>

#include "pictures.h"

using namespace weft;

namespace {

/// Of score maps [C, h, w] interpolated to H x W, the class with the largest at each pixel; row by row, so that no map
/// of the photo's size is needed for each class.
Tensor best_at(const Tensor& scores, int64_t H, int64_t W) {
  const Tensor s = scores.permute({1, 2, 0}).contiguous();  // classes side by side
  const int64_t h = s.size(0), w = s.size(1), C = s.size(2);
  Tensor labels = empty({H, W}, Dtype::i64);
  const float* from = s.data<float>();
  int64_t* to = labels.mut_data<int64_t>();
  struct At {
    int64_t low, high;
    float part;
  };
  const auto at = [](int64_t i, int64_t n, int64_t N) {
    const double x = std::clamp((static_cast<double>(i) + 0.5) * static_cast<double>(n) / static_cast<double>(N) - 0.5,
                                0.0, static_cast<double>(n - 1));
    const auto low = static_cast<int64_t>(x);
    return At{low, std::min(low + 1, n - 1), static_cast<float>(x - static_cast<double>(low))};
  };
  parallel_for(H, 16, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(w * C));
    for (int64_t y = begin; y < end; ++y) {
      const At v = at(y, h, H);
      for (int64_t i = 0; i < w * C; ++i)
        row[static_cast<size_t>(i)] = std::lerp(from[v.low * w * C + i], from[v.high * w * C + i], v.part);
      for (int64_t x = 0; x < W; ++x) {
        const At u = at(x, w, W);
        const float *a = row.data() + u.low * C, *b = row.data() + u.high * C;
        int64_t best = 0;
        float most = std::lerp(a[0], b[0], u.part);
        for (int64_t c = 1; c < C; ++c)
          if (const float value = std::lerp(a[c], b[c], u.part); value > most) most = value, best = c;
        to[y * W + x] = best;
      }
    }
  });
  return labels;
}

}  // namespace

Tensor scores_of(EncNetLite& net, const Tensor& x, const RunOn& on) {
  NoGrad guard;
  const bool training = net.is_training();
  net.eval();
  std::optional<Autocast> autocast;
  if (on.dtype != Dtype::f32) autocast.emplace(on.dtype, on.device);
  Tensor scores = net(x.to(on.device)).scores.to(Dtype::f32).to(Device());
  net.train(training);
  return scores;
}

training::ConfusionMatrix evaluate(EncNetLite& net, const Classes& classes, const Pictures& pictures, const RunOn& on,
                                   bool skip) {
  constexpr size_t kBatch = 8;
  training::ConfusionMatrix matrix(classes.size(), {.ignore_index = classes.ignore_index, .names = classes.names});
  std::vector<Tensor> images, targets;
  const auto count = [&] {
    if (images.empty()) return;
    matrix.update(scores_of(net, normalised(stack(images)), on), stack(targets));
    images.clear(), targets.clear();
  };
  io::Progress bar("evaluate", pictures.size());
  for (int64_t i = 0; i < pictures.size(); ++i) {
    try {
      const data::Example e = pictures.get(i);
      if (images.size() == kBatch || (!images.empty() && images[0].shape() != e.data.shape())) count();
      images.push_back(e.data);
      targets.push_back(e.target);
    } catch (const IoError& error) {
      if (!skip) throw;
      std::cerr << "segmentation: skipped: " << error.what() << '\n';
    }
    bar.update(i + 1);
  }
  count();
  return matrix;
}

Tensor labels_of(EncNetLite& net, const Tensor& photo, int64_t side, const RunOn& on) {
  Tensor x = photo.permute({2, 0, 1});
  if (side > 0 && std::min(x.size(1), x.size(2)) != side) x = scaled({x.contiguous()}, {side}).data;
  return best_at(scores_of(net, normalised(x.unsqueeze(0)), on).squeeze(0), photo.size(0), photo.size(1));
}

Tensor examples_sheet(EncNetLite& net, const Classes& classes, const Pictures& pictures, int64_t rows, const RunOn& on,
                      bool skip_damaged) {
  std::vector<std::vector<Tensor>> sheet_rows;
  std::vector<Tensor> seen;
  const int64_t n = std::min(rows, pictures.size());
  int64_t height = 0, width = 0;
  for (int64_t i = 0; i < n; ++i) {
    data::Example e;
    try {
      e = pictures.get(i * pictures.size() / n);
    } catch (const IoError&) {
      if (!skip_damaged) throw;
      continue;
    }
    Tensor photo = e.data.permute({1, 2, 0}).contiguous(), truth = e.target;
    Tensor labels = labels_of(net, photo, 0, on);
    if (sheet_rows.empty()) {  // the first one's size, at least 240 pixels wide, is that of all
      const int64_t times = std::max<int64_t>(1, (239 + photo.size(1)) / photo.size(1));
      height = photo.size(0) * times, width = photo.size(1) * times;
    }
    const auto fit = [&](const Tensor& t) { return io::resize_image(t, height, width, io::ResizeFilter::nearest); };
    photo = io::resize_image(photo, height, width), truth = fit(truth), labels = fit(labels);
    sheet_rows.push_back({photo, coloured(truth, classes), coloured(labels, classes)});
    seen.push_back(where(lt(truth, classes.size()), truth, labels).reshape({-1}));
    seen.push_back(labels.reshape({-1}));
  }
  WEFT_CHECK(!seen.empty(), IoError, "none of ", n, " held-out pictures can be read");
  const Tensor pictures_part = sheet(sheet_rows);
  return sheet({{pictures_part}, {legend(cat(seen), classes, pictures_part.size(1))}});
}

std::string summary(const training::ConfusionMatrix& matrix) {
  char text[80];
  std::snprintf(text, sizeof text, "mIoU %.4f, pixel accuracy %.4f", matrix.mean_iou(), matrix.accuracy());
  return text;
}
