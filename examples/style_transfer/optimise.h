// Style transfer by optimising the picture itself (Gatys, Ecker and Bethge 2016).
// Knows nothing of the command line.
#pragma once

#include <string>

#include "picture.h"
#include "vgg.h"

struct OptimiseOptions {
  int64_t steps = 120;  ///< of Adam; evaluations of the loss with L-BFGS
  std::string optimizer = "adam";
  double lr = 0;  ///< 0: the optimiser's own (Adam 5, L-BFGS 1)
  double content_weight = 1, style_weight = 40, tv_weight = 0;
  int64_t every = 0;  ///< write the picture every so many steps
  std::string out = "out.png";
};

struct Optimised {
  weft::Tensor picture;  ///< [1, 3, H, W]
  std::vector<Losses> losses;
  double seconds;
};

/// Redraws `content` with the style of `style`, both [1, 3, H, W] with 0..255. Ctrl-C and SIGTERM end it early with the
/// picture so far.
Optimised optimise(const Vgg& vgg, const weft::Tensor& content, const weft::Tensor& style, const OptimiseOptions& o);
