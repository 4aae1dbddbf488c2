#include "loss.h"

#include <cmath>

using namespace weft;

Tensor squares(const Tensor& x) { return sum(square(x)); }

Tensor total_variation(const Tensor& x) {
  return mean(abs(x.slice(2, 1) - x.slice(2, 0, -1))) + mean(abs(x.slice(3, 1) - x.slice(3, 0, -1)));
}

double feature_scale(const char* picture, const Tensor& features) {
  double s = squares(features).item<double>();
  WEFT_CHECK(s > 0 && std::isfinite(s), ValueError, "the features of the ", picture, " picture have the size ", s,
             ", nothing to measure against; are these the right weights?");
  return s;
}

StyleTarget::StyleTarget(const Vgg& vgg, const Tensor& style) {
  NoGrad guard;
  for (const auto& [tap, f] : vgg(style)) {
    Tensor g = gram_matrix(f);
    grams_.push_back({tap, g, feature_scale("style", g)});
  }
}

Tensor StyleTarget::relative_error(const Taps& taps) const {
  Tensor sum;
  for (const Gram& g : grams_) {
    const Tensor now = gram_matrix(taps.at(g.tap));
    Tensor s = squares(now - g.target) /
               (g.scale * static_cast<double>(grams_.size()) * static_cast<double>(now.size(0)));
    sum = sum.defined() ? sum + s : s;
  }
  return sum;
}

Tensor StyleTarget::error(const Taps& taps) const {
  Tensor sum;
  for (const Gram& g : grams_) {
    Tensor s = mean(square(gram_matrix(taps.at(g.tap)) - g.target));
    sum = sum.defined() ? sum + s : s;
  }
  return sum;
}
