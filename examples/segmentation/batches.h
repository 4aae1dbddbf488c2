// Batches to learn from: pieces of pictures, flipped, scaled and tinted by chance.
// Knows datasets' samples; no network.
#pragma once

#include <weft/weft.h>

#include <vector>

struct Batch {
  weft::Tensor image;     ///< f32 [N, 3, h, w], normalised
  weft::Tensor target;    ///< i64 [N, h, w]
  weft::Tensor presence;  ///< f32 [N, classes]: 1 where the class is anywhere in the piece
};

struct BatchOptions {
  int64_t classes = 11, ignore_index = 11;
  weft::data::Size crop = {112, 144};  ///< 0: whole pictures
  double flip = 0.5;                   ///< the probability
  weft::data::Range scale = {1, 1};    ///< of a batch's pictures before they are cropped
  double jitter = 0;                   ///< of brightness and colour: x U(1 - j, 1 + j) + U(-j, j) per channel
};

/// Makes a batch of whole pictures: one place of the piece and one scale for all of them. Draws from the thread's
/// generator, which a loader seeds for each sample.
class MakeBatch {
 public:
  explicit MakeBatch(const BatchOptions& o) : o_(o) {}
  Batch operator()(const std::vector<weft::data::Example>& samples) const;

 private:
  BatchOptions o_;
};
