#include "evaluate.h"

#include <algorithm>
#include <cstdio>

#include "drawing.h"

using namespace weft;

std::string Evaluation::str() const {
  char text[96];
  std::snprintf(text, sizeof text, "pixel accuracy %.4f, Dice %.4f, IoU %.4f", matrix.accuracy(), dice(), iou());
  return text;
}

Evaluation evaluate(Model& model, const Stack& stack, const Tensor& membrane, const TileOptions& o,
                    const std::function<bool()>& keep_going, const TileProgress& progress) {
  NoGrad guard;
  constexpr int64_t kLongest = 512;  // pixels of a picture
  Evaluation e;
  const int64_t depth = stack.shape()[0];
  std::vector<int64_t> shown = {depth / 3};
  if (depth > 1) shown.push_back(std::max(depth / 3 + 1, 2 * depth / 3));
  std::vector<Tensor> rows;
  predict_volume(
      model, stack, o,
      [&](int64_t z, const Tensor& p) {
        const Tensor truth = membrane.narrow(0, z, p.size(0)).contiguous();
        e.matrix.update((p > 0.5).to(Dtype::u8), truth);
        for (const int64_t s : shown) {
          if (s < z || s >= z + p.size(0)) continue;
          const Tensor slice = stack.read(s, 1).select(0, 0), found = middle_of(p.select(0, s - z), kLongest);
          const Tensor grey = grey_picture(middle_of(slice, kLongest), model.mean, model.std);
          rows.push_back(beside({grey, draw_membranes(grey, found),
                                 draw_agreement(grey, found, middle_of(truth.select(0, s - z), kLongest))}));
        }
        return !keep_going || keep_going();
      },
      progress);
  if (!rows.empty()) e.picture = below(rows);
  return e;
}
