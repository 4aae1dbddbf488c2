#include "weft/optim/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"

namespace weft::optim {

namespace {

constexpr double kSufficientDecrease = 1e-4, kCurvature = 0.9, kLeastCurvature = 1e-10;

double scalar_product(const Tensor& a, const Tensor& b) { return sum(a * b).item<double>(); }

/// One flat p-norm, without a temporary.
double flat_norm(const Tensor& x, double p) {
  if (x.numel() == 0) return 0;
  Tensor out = empty({}, {Dtype::f64, x.device()});
  Tensor scratch = empty({(x.numel() + fn::kNormChunk - 1) / fn::kNormChunk}, {Dtype::f64, x.device()});
  fn::FlatEntry e{const_cast<void*>(x.raw_data()), x.numel(), x.dtype()};
  kernels::multi_norm(x.device(), mut_ref(out), mut_ref(scratch), {&e, 1}, p);
  return out.item<double>();
}
double largest(const Tensor& x) { return flat_norm(x, std::numeric_limits<double>::infinity()); }

/// Where the cubic through two points with their slopes is least, within [lo, hi].
double cubic_minimum(double x1, double f1, double g1, double x2, double f2, double g2, double lo, double hi) {
  double d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2);
  double square = d1 * d1 - g1 * g2;
  if (!(square >= 0)) return (lo + hi) / 2;
  double d2 = std::sqrt(square);
  double at = x1 <= x2 ? x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
                       : x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2));
  return std::min(std::max(at, lo), hi);
}

}  // namespace

void LBFGSOptions::check() const {
  WEFT_CHECK(max_iter >= 0 && history_size > 0, ValueError, "LBFGS: invalid max_iter ", max_iter, " or history_size ",
             history_size);
}

LBFGS::LBFGS(ParamList params, LBFGSOptions o) : OptimizerOf(std::move(params), o) {
  for (const Slot& s : slots_)
    WEFT_CHECK(s.param.dtype() == slots_[0].param.dtype() && s.param.device() == slots_[0].param.device(), ValueError,
               "LBFGS: the parameters must share dtype and device");
}

void LBFGS::step() { raise<ValueError>("LBFGS: step needs a closure that computes the loss and its gradients"); }

Tensor LBFGS::flat_zeros() const {
  int64_t n = 0;
  for (const Slot& s : slots_) n += s.param.numel();
  return zeros({n}, slots_.empty() ? TensorOptions() : slots_[0].param.options());
}

Tensor LBFGS::gather_grad() const {
  Tensor flat = flat_zeros();
  int64_t at = 0;
  for (const Slot& s : slots_) {
    Tensor g = s.param.grad();
    if (g.defined()) flat.narrow(0, at, s.param.numel()).view(s.param.shape()).copy_(g.detach());
    at += s.param.numel();
  }
  return options().maximize ? flat.mul_(-1.0) : flat;
}

void LBFGS::move(double t, const Tensor& d) {
  int64_t at = 0;
  for (Slot& s : slots_) {
    s.param.add_(d.narrow(0, at, s.param.numel()).view(s.param.shape()), t);
    at += s.param.numel();
  }
}

/// Loss and gradient at x + t d, x being where the parameters are; they stay there.
class LBFGS::Evaluator {
 public:
  Evaluator(LBFGS& opt, const std::function<Tensor()>& closure) : opt_(opt), closure_(closure) {}
  Tensor loss() const {
    EnableGrad guard;
    ++opt_.evaluations_;
    return closure_();
  }
  double value(const Tensor& loss) const {
    return opt_.options().maximize ? -loss.item<double>() : loss.item<double>();
  }
  Point operator()(double t, const Tensor& d) const {
    std::vector<Tensor> before;
    for (const Slot& s : opt_.slots_) before.push_back(s.param.detach().clone());
    opt_.move(t, d);
    Point p;
    p.t = t;
    p.f = value(loss());
    p.g = opt_.gather_grad();
    p.slope = scalar_product(p.g, d);
    for (size_t i = 0; i < before.size(); ++i) opt_.slots_[i].param.copy_(before[i]);
    return p;
  }

 private:
  LBFGS& opt_;
  const std::function<Tensor()>& closure_;
};

// The two-loop recursion: d = -H g.
void LBFGS::update_direction(const Tensor& g) {
  if (iterations_ == 1) {
    d_ = neg(g);
    history_.clear();
    h_ = 1;
    return;
  }
  Tensor y = g - previous_grad_;
  Tensor s = d_ * t_;
  double ys = scalar_product(y, s);
  if (ys > kLeastCurvature) {
    if (static_cast<int64_t>(history_.size()) == options().history_size) history_.pop_front();
    h_ = ys / scalar_product(y, y);
    history_.push_back({std::move(y), std::move(s), 1 / ys});
  }
  std::vector<double> alpha(history_.size());
  Tensor q = neg(g);
  for (size_t i = history_.size(); i-- > 0;) {
    alpha[i] = scalar_product(history_[i].s, q) * history_[i].rho;
    q.add_(history_[i].y, -alpha[i]);
  }
  q.mul_(h_);
  for (size_t i = 0; i < history_.size(); ++i)
    q.add_(history_[i].s, alpha[i] - scalar_product(history_[i].y, q) * history_[i].rho);
  d_ = q;
}

/// Strong Wolfe conditions along d_ from (0, f, g): brackets a good step, then zooms. Returns the number of
/// evaluations.
int64_t LBFGS::search(Evaluator& at, Point& best, const Tensor& g, double f, double slope,
                      int64_t max_evaluations) const {
  const double longest = largest(d_), tolerance = options().tolerance_change;
  Point now = at(t_, d_), before{0, f, g, slope};
  int64_t evaluations = 1, rounds = 0;
  auto too_high = [&](const Point& p) { return p.f > f + kSufficientDecrease * p.t * slope; };
  auto flat_enough = [&](const Point& p) { return std::fabs(p.slope) <= -kCurvature * slope; };

  Point bracket[2];
  bool done = false;
  while (true) {
    if (rounds >= max_evaluations) {
      bracket[0] = {0, f, g, slope};
      bracket[1] = now;
      break;
    }
    if (too_high(now) || (rounds > 1 && now.f >= before.f)) {
      bracket[0] = before;
      bracket[1] = now;
      break;
    }
    if (flat_enough(now)) {
      bracket[0] = bracket[1] = now;
      done = true;
      break;
    }
    if (now.slope >= 0) {
      bracket[0] = before;
      bracket[1] = now;
      break;
    }
    double next = cubic_minimum(before.t, before.f, before.slope, now.t, now.f, now.slope,
                                now.t + 0.01 * (now.t - before.t), now.t * 10);
    before = std::move(now);
    now = at(next, d_);
    ++evaluations;
    ++rounds;
  }

  bool insufficient = false;
  int low = bracket[0].f <= bracket[1].f ? 0 : 1;
  while (!done && rounds < max_evaluations) {
    double lo = std::min(bracket[0].t, bracket[1].t), hi = std::max(bracket[0].t, bracket[1].t);
    if ((hi - lo) * longest < tolerance) break;
    double t = cubic_minimum(bracket[0].t, bracket[0].f, bracket[0].slope, bracket[1].t, bracket[1].f, bracket[1].slope,
                             lo, hi);
    // A trial too near an end for the second time goes a tenth of the bracket inside.
    const double margin = 0.1 * (hi - lo);
    if (std::min(hi - t, t - lo) < margin) {
      if (insufficient || t >= hi || t <= lo) {
        t = std::fabs(t - hi) < std::fabs(t - lo) ? hi - margin : lo + margin;
        insufficient = false;
      } else {
        insufficient = true;
      }
    } else {
      insufficient = false;
    }
    now = at(t, d_);
    ++evaluations;
    ++rounds;
    Point &best_end = bracket[low], &other = bracket[1 - low];
    if (too_high(now) || now.f >= best_end.f) {
      other = std::move(now);
      low = bracket[0].f <= bracket[1].f ? 0 : 1;
    } else {
      if (flat_enough(now)) done = true;
      else if (now.slope * (other.t - best_end.t) >= 0) other = best_end;
      best_end = std::move(now);
    }
  }
  best = bracket[low];
  return evaluations;
}

Tensor LBFGS::step(const std::function<Tensor()>& closure) {
  WEFT_CHECK(closure, ValueError, "LBFGS: the closure is empty");
  NoGrad guard;
  std::vector<Tensor> before;
  for (const Slot& s : slots_) before.push_back(s.param.detach().clone());
  // none of these is written in place
  const auto state = std::make_tuple(history_, d_, previous_grad_, iterations_, t_, h_);
  try {
    return iterate(closure);
  } catch (...) {
    for (size_t i = 0; i < before.size(); ++i) slots_[i].param.copy_(before[i]);
    std::tie(history_, d_, previous_grad_, iterations_, t_, h_) = state;
    throw;
  }
}

Tensor LBFGS::iterate(const std::function<Tensor()>& closure) {
  const LBFGSOptions& o = options();
  const int64_t max_eval = o.max_eval >= 0 ? o.max_eval : o.max_iter * 5 / 4;
  Evaluator at(*this, closure);
  const Tensor first = at.loss();
  double f = at.value(first);
  int64_t evaluations = 1;
  Tensor g = gather_grad();
  if (largest(g) <= o.tolerance_grad) return first;

  for (int64_t iteration = 1; iteration <= o.max_iter; ++iteration) {
    ++iterations_;
    update_direction(g);
    previous_grad_ = g;
    const double previous_f = f;
    t_ = iterations_ == 1 ? std::min(1.0, 1 / flat_norm(g, 1)) * o.lr : o.lr;
    const double slope = scalar_product(g, d_);
    if (slope > -o.tolerance_change) break;

    bool flat = false;
    if (o.line_search_fn == LineSearch::strong_wolfe) {
      Point best;
      evaluations += search(at, best, g, f, slope, max_eval - evaluations);
      f = best.f;
      g = best.g;
      t_ = best.t;
      move(t_, d_);
      flat = largest(g) <= o.tolerance_grad;
    } else {
      move(t_, d_);
      if (iteration != o.max_iter) {  // where the next step() begins anyway
        f = at.value(at.loss());
        g = gather_grad();
        flat = largest(g) <= o.tolerance_grad;
        ++evaluations;
      }
    }
    if (evaluations >= max_eval || flat || largest(d_) * std::fabs(t_) <= o.tolerance_change ||
        std::fabs(f - previous_f) < o.tolerance_change)
      break;
  }
  return first;
}

void LBFGS::save_extra(StateDict& dict) const {
  dict.metadata["iterations"] = std::to_string(iterations_);
  dict.metadata["evaluations"] = std::to_string(evaluations_);
  dict.metadata["t"] = number_text(t_);
  dict.metadata["h"] = number_text(h_);
  dict.metadata["history"] = std::to_string(history_.size());
  if (iterations_ == 0) return;
  dict.insert("d", d_);
  dict.insert("previous_grad", previous_grad_);
  for (size_t i = 0; i < history_.size(); ++i) {
    dict.insert(weft::str("history.", i, ".y"), history_[i].y);
    dict.insert(weft::str("history.", i, ".s"), history_[i].s);
    dict.metadata[weft::str("history.", i, ".rho")] = number_text(history_[i].rho);
  }
}

std::function<void()> LBFGS::load_extra(StateReader& in) {
  const Tensor like = flat_zeros();
  const int64_t iterations = in.count("iterations"), evaluations = in.count("evaluations");
  const double t = in.number("t"), h = in.number("h");
  Tensor d, previous;
  std::deque<Pair> history;
  if (iterations > 0) {
    d = in.tensor("d", like, like.dtype());
    previous = in.tensor("previous_grad", like, like.dtype());
    // A wrong count ends at the first pair that is not there.
    for (int64_t i = 0, pairs = in.count("history"); i < pairs; ++i) {
      auto key = [&](const char* part) { return weft::str("history.", i, ".", part); };
      history.push_back(
          {in.tensor(key("y"), like, like.dtype()), in.tensor(key("s"), like, like.dtype()), in.number(key("rho"))});
      if (!in.dict().contains(key("y"))) break;
    }
  }
  return [=, this] {
    d_ = d;
    previous_grad_ = previous;
    history_ = history;
    iterations_ = iterations;
    evaluations_ = evaluations;
    t_ = t;
    h_ = h;
  };
}

template class OptimizerOf<LBFGSOptions>;

}  // namespace weft::optim
