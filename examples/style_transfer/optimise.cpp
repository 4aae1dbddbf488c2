#include "optimise.h"

#include <chrono>
#include <cmath>
#include <functional>
#include <iostream>

#include "../common/interrupt.h"
#include "loss.h"

using namespace weft;

namespace {

/// What the picture is measured against.
class Target {
 public:
  Target(const Vgg& vgg, const Tensor& content, const Tensor& style, const OptimiseOptions& o)
      : vgg_(vgg), o_(o), style_(vgg, style) {
    NoGrad guard;
    features_ = vgg(content, kContentTap).at(kContentTap);
    features_scale_ = feature_scale("content", features_);
  }

  Tensor operator()(const Tensor& x, Losses& parts) const {
    auto taps = vgg_(x);
    Tensor content = squares(taps.at(kContentTap) - features_) / features_scale_, style = style_.relative_error(taps);
    Tensor total = content * o_.content_weight + style * o_.style_weight;
    if (o_.tv_weight > 0) total = total + total_variation(x) * o_.tv_weight;
    parts = {total.item<double>(), content.item<double>() * o_.content_weight, style.item<double>() * o_.style_weight};
    return total;
  }

 private:
  const Vgg& vgg_;
  const OptimiseOptions& o_;
  StyleTarget style_;
  Tensor features_;
  double features_scale_;
};

/// For L-BFGS, which knows no bounds, the picture is a sigmoid of what is optimised, a little wider than 0..255 so that
/// black and white keep a gradient.
constexpr double kLow = -8, kRange = 271;
Tensor bounded(const Tensor& z) { return sigmoid(z) * kRange + kLow; }
Tensor unbounded(const Tensor& x) {
  Tensor s = (x - kLow) / kRange;
  return log(s / (1 - s));
}

struct Interrupted {};

}  // namespace

Optimised optimise(const Vgg& vgg, const Tensor& content, const Tensor& style, const OptimiseOptions& o) {
  Target target(vgg, content, style, o);
  bool adam = o.optimizer == "adam";
  Tensor x = (adam ? content : unbounded(content)).clone();
  auto picture = [&] { return adam ? clamp(x.detach(), 0, 255) : bounded(x.detach()); };
  x.set_requires_grad();

  InterruptFlag flag;
  Optimised result;
  io::Progress bar("optimise", o.steps);
  auto start = std::chrono::steady_clock::now();
  auto save_step = [&](int64_t done) {
    try {
      save_picture(picture(), numbered(o.out, done));
    } catch (const Error& e) { std::cerr << "style_transfer: " << e.what() << "; going on\n"; }
  };
  auto evaluate = [&] {
    Losses parts;
    Tensor loss = target(adam ? x : bounded(x), parts);
    WEFT_CHECK(std::isfinite(parts.total), ValueError, "optimise: the loss is ", parts.total, " at step ",
               result.losses.size() + 1, " (content ", parts.content, ", style ", parts.style,
               "); lower --lr or the weights");
    loss.backward();
    result.losses.push_back(parts);
    auto done = static_cast<int64_t>(result.losses.size());
    if (bar.shown()) bar.update(done, "loss " + str(parts.total));
    if (o.every > 0 && done % o.every == 0) save_step(done);
    if (flag.raised()) throw Interrupted();
    return loss;
  };
  try {
    if (adam) {
      optim::Adam opt({x}, {.lr = o.lr > 0 ? o.lr : 5});
      for (int64_t i = 0; i < o.steps; ++i) {
        opt.zero_grad();
        evaluate();
        opt.step();
        NoGrad guard;
        x.copy_(clamp(x, 0, 255));
      }
    } else {
      optim::LBFGS opt({x}, {.lr = o.lr > 0 ? o.lr : 1,
                             .max_iter = o.steps,
                             .max_eval = o.steps,
                             .tolerance_grad = 0,
                             .tolerance_change = 0,
                             .history_size = 20,
                             .line_search_fn = "strong_wolfe"});
      opt.step([&] {
        opt.zero_grad();
        return evaluate();
      });
    }
  } catch (const Interrupted&) {}
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.picture = picture();
  return result;
}
