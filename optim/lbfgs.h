// L-BFGS: quasi-Newton steps from the last gradients, for full-batch problems (style transfer).
#pragma once

#include <deque>

#include "weft/core/choice.h"
#include "weft/optim/optimizer.h"

namespace weft::optim {

/// `strong_wolfe`: cubic line search with bracketing and zoom (Nocedal & Wright 2006, 3.5).
enum class LineSearch : uint8_t { none, strong_wolfe };
constexpr auto mode_words(LineSearch) { return make_words("LBFGS: line_search_fn", "none", "strong_wolfe"); }

/// Options of LBFGS.
struct WEFT_API LBFGSOptions {
  double lr = 1;                                         ///< length of a step, or where the line search begins
  int64_t max_iter = 20;                                 ///< iterations of one step()
  int64_t max_eval = -1;                                 ///< closure calls of one step(); -1: max_iter * 5 / 4
  double tolerance_grad = 1e-7;                          ///< stops when no element of the gradient is larger
  double tolerance_change = 1e-9;                        ///< stops when step or loss change less
  int64_t history_size = 100;                            ///< gradients and steps that the direction is made of
  Choice<LineSearch> line_search_fn = LineSearch::none;  ///< how the length of a step is found
  bool maximize = false;                                 ///< steps uphill

  /// As AdamOptionsOf's.
  static constexpr const char* name = "LBFGS";
  static constexpr StateNames state_names = {};
  /// "Not negative" holds of lr alone; `check` has the other bounds.
  static bool any_sign(std::string_view option) { return option != "lr"; }
  void check() const;
  template <class F> static void visit(LBFGSOptions& o, const F& f) {
    f("lr", o.lr), f("max_iter", o.max_iter), f("max_eval", o.max_eval), f("tolerance_grad", o.tolerance_grad);
    f("tolerance_change", o.tolerance_change), f("history_size", o.history_size);
    f("line_search", o.line_search_fn), f("maximize", o.maximize);
  }
};

extern template class WEFT_API OptimizerOf<LBFGSOptions>;

/// As PyTorch's LBFGS, iteration by iteration. One group; parameters of one dtype on one device.
///     opt.step([&] { opt.zero_grad(); Tensor loss = f(); loss.backward(); return loss; });
class WEFT_API LBFGS : public OptimizerOf<LBFGSOptions> {
 public:
  explicit LBFGS(ParamList params, LBFGSOptions o = {});
  LBFGS(ParamList params, LearningRate auto lr) : LBFGS(std::move(params), with_lr(lr)) {}
  /// Up to max_iter iterations. The closure clears the gradients, computes the loss and its gradients, and is called
  /// several times. Returns the loss of its first call. What it throws leaves parameters and state as they were before
  /// the step.
  Tensor step(const std::function<Tensor()>& closure) override;
  /// ValueError: it needs the closure.
  void step() override;
  /// Closure calls so far.
  int64_t evaluations() const { return evaluations_; }

 protected:
  void save_extra(StateDict& dict) const override;
  /// See Optimizer.
  std::function<void()> load_extra(StateReader& in) override;

 private:
  using OptimizerOf::add_group;  // there is one only
  using OptimizerOf::add_param_group;
  struct Pair {
    Tensor y, s;  // change of the gradient, and of the parameters
    double rho;
  };
  struct Point {
    double t = 0, f = 0;
    Tensor g;
    double slope = 0;
  };
  class Evaluator;

  Tensor iterate(const std::function<Tensor()>& closure);
  /// Zeros of all parameters' elements in one row.
  Tensor flat_zeros() const;
  Tensor gather_grad() const;
  void move(double t, const Tensor& d);
  void update_direction(const Tensor& g);
  int64_t search(Evaluator& at, Point& best, const Tensor& g, double f, double slope, int64_t max_evaluations) const;

  int64_t iterations_ = 0, evaluations_ = 0;
  std::deque<Pair> history_;
  Tensor d_, previous_grad_;
  double t_ = 0, h_ = 1;
};

}  // namespace weft::optim
