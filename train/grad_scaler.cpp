#include "weft/train/grad_scaler.h"

#include <cmath>
#include <limits>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/optim/clip.h"
#include "weft/train/numbers.h"

namespace weft::training {

namespace {

void check_options(const GradScalerOptions& o, double scale) {
  const auto positive = [](double x) { return x > 0 && std::isfinite(x); };
  WEFT_CHECK(positive(scale), ValueError, "GradScaler: the scale must be positive and finite, got ", scale);
  WEFT_CHECK(positive(o.growth_factor) && o.growth_factor >= 1, ValueError,
             "GradScaler: growth_factor must be at least 1, got ", o.growth_factor);
  WEFT_CHECK(positive(o.backoff_factor) && o.backoff_factor < 1, ValueError,
             "GradScaler: backoff_factor must be in (0, 1), got ", o.backoff_factor);
  WEFT_CHECK(o.growth_interval >= 1, ValueError, "GradScaler: growth_interval must be at least 1, got ",
             o.growth_interval);
}

}  // namespace

GradScaler::GradScaler(const GradScalerOptions& o) : o_(o), scale_(o.init_scale) { check_options(o, o.init_scale); }

Tensor GradScaler::scale(const Tensor& loss) const { return o_.enabled ? mul(loss, scale_) : loss; }

void GradScaler::unscale_(optim::Optimizer& opt) {
  if (!o_.enabled) return;
  if (const auto found = stages_.find(&opt); found != stages_.end())
    raise<Error>("GradScaler: ", found->second.stepped ? "the optimiser has stepped" : "the gradients are unscaled",
                 " already since the last update()");
  const NoGrad guard;
  std::vector<std::pair<Device, std::vector<Tensor>>> by_device;
  for (const Tensor& p : opt.parameters()) {
    const Tensor g = p.grad();
    if (!g.defined()) continue;
    WEFT_CHECK(
        g.dtype() != Dtype::f16, DtypeError, "GradScaler: the gradient ", g.shape(),
        " is f16, in which small values are lost; keep parameters in f32 and compute under Autocast(Dtype::f16)");
    auto at = by_device.begin();
    while (at != by_device.end() && at->first != p.device()) ++at;
    if (at == by_device.end()) at = by_device.insert(at, {p.device(), {}});
    at->second.push_back(p);
  }
  std::vector<Tensor> largest;
  for (const auto& [device, params] : by_device) {
    for (const Tensor& p : params) p.grad().mul_(1 / scale_);
    largest.push_back(optim::grad_norm(params, std::numeric_limits<double>::infinity()));
  }
  bool finite = true;
  for (const Tensor& x : largest) finite &= std::isfinite(x.item<double>());
  stages_[&opt] = {finite, false};
}

bool GradScaler::step(optim::Optimizer& opt) {
  if (!o_.enabled) return opt.step(), true;
  if (const auto found = stages_.find(&opt); found == stages_.end() || found->second.stepped) unscale_(opt);
  Stage& stage = stages_.at(&opt);
  if (stage.finite) opt.step();
  stage.stepped = true;
  return stage.finite;
}

void GradScaler::update(std::optional<double> new_scale) {
  if (!o_.enabled) return;
  if (new_scale) {
    check_options(o_, *new_scale);
    scale_ = *new_scale;
    stages_.clear();
    return;
  }
  WEFT_CHECK(!stages_.empty(), Error, "GradScaler: update() without a step() or unscale_() since the last one");
  bool finite = true;
  for (const auto& [opt, stage] : stages_) finite &= stage.finite;
  stages_.clear();
  if (!finite) {
    scale_ *= o_.backoff_factor;
    good_steps_ = 0;
  } else if (++good_steps_ >= o_.growth_interval) {
    // In f32, the dtype of the losses, an infinite scale would make every gradient infinite.
    if (const double grown = scale_ * o_.growth_factor; grown <= std::numeric_limits<float>::max()) scale_ = grown;
    good_steps_ = 0;
  }
}

StateDict GradScaler::state_dict() const {
  StateDict dict;
  if (!o_.enabled) return dict;
  dict = with_number(std::move(dict), "scale", scale_);
  dict = with_number(std::move(dict), "growth_factor", o_.growth_factor);
  dict = with_number(std::move(dict), "backoff_factor", o_.backoff_factor);
  dict = with_number(std::move(dict), "growth_interval", o_.growth_interval);
  return with_number(std::move(dict), "growth_tracker", good_steps_);
}

void GradScaler::load_state_dict(const StateDict& dict) {
  if (!o_.enabled) return;
  GradScalerOptions o = o_;
  const auto scale = number_of<double>(dict, "scale");
  o.growth_factor = number_of<double>(dict, "growth_factor");
  o.backoff_factor = number_of<double>(dict, "backoff_factor");
  o.growth_interval = number_of<int64_t>(dict, "growth_interval");
  const auto good_steps = number_of<int64_t>(dict, "growth_tracker");
  check_options(o, scale);
  WEFT_CHECK(good_steps >= 0, ValueError, "GradScaler: growth_tracker must not be negative, got ", good_steps);
  o_ = o, scale_ = scale, good_steps_ = good_steps;
  stages_.clear();
}

}  // namespace weft::training
