#include "optimise.h"

#include <chrono>
#include <cmath>
#include <csignal>
#include <functional>
#include <iostream>

using namespace weft;

namespace {

volatile std::sig_atomic_t g_interrupted = 0;

/// Ctrl-C sets a flag while this lives; a second one ends the program as usual.
struct InterruptFlag {
  InterruptFlag() {
    g_interrupted = 0;
    std::signal(SIGINT, [](int) {
      g_interrupted = 1;
      std::signal(SIGINT, SIG_DFL);
    });
  }
  ~InterruptFlag() { std::signal(SIGINT, SIG_DFL); }
};

/// Sum of squares.
Tensor squares(const Tensor& x) { return sum(square(x)); }

/// Mean absolute difference of neighbours.
Tensor total_variation(const Tensor& x) {
  return mean(abs(x.slice(2, 1) - x.slice(2, 0, -1))) + mean(abs(x.slice(3, 1) - x.slice(3, 0, -1)));
}

/// What the picture is measured against: content features, and a Gram matrix for each tap.
class Target {
 public:
  Target(const Vgg& vgg, const Tensor& content, const Tensor& style, const OptimiseOptions& o) : vgg_(vgg), o_(o) {
    NoGrad guard;
    features_ = vgg(content).at("relu2_2");
    features_scale_ = scale("content", features_);
    for (const auto& [tap, f] : vgg(style)) {
      Tensor g = gram_matrix(f);
      grams_.push_back({tap, g, scale("style", g)});
    }
  }

  /// Errors relative to the targets' own size, so that the weights mean the same for any pictures and network.
  Tensor operator()(const Tensor& x, Losses& parts) const {
    auto taps = vgg_(x);
    Tensor content = squares(taps.at("relu2_2") - features_) / features_scale_, style;
    for (const auto& g : grams_) {
      Tensor s = squares(gram_matrix(taps.at(g.tap)) - g.target) / (g.scale * static_cast<double>(grams_.size()));
      style = style.defined() ? style + s : s;
    }
    Tensor total = content * o_.content_weight + style * o_.style_weight;
    if (o_.tv_weight > 0) total = total + total_variation(x) * o_.tv_weight;
    parts = {total.item<double>(), content.item<double>() * o_.content_weight, style.item<double>() * o_.style_weight};
    return total;
  }

 private:
  static double scale(const char* picture, const Tensor& features) {
    double s = squares(features).item<double>();
    WEFT_CHECK(s > 0 && std::isfinite(s), ValueError, "optimise: the features of the ", picture,
               " picture have the size ", s, ", nothing to measure against; are these the right weights?");
    return s;
  }
  struct Gram {
    std::string tap;
    Tensor target;
    double scale;
  };
  const Vgg& vgg_;
  const OptimiseOptions& o_;
  Tensor features_;
  double features_scale_;
  std::vector<Gram> grams_;
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
    if (g_interrupted) throw Interrupted();
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
                             .line_search = optim::LineSearch::strong_wolfe});
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
