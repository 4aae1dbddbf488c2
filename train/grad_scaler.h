// Scales the loss, so that small gradients do not vanish in f16, and skips the steps in which large ones overflow.
// Knows optimisers as a list of parameters.
#pragma once

#include <map>
#include <optional>

#include "weft/optim/optimizer.h"

namespace weft::training {

/// Options of GradScaler; torch.amp's, with its defaults.
struct GradScalerOptions {
  double init_scale = 65536;       ///< the first scale
  double growth_factor = 2;        ///< of the scale, after `growth_interval` steps in a row without an overflow
  double backoff_factor = 0.5;     ///< of the scale, after an overflow
  int64_t growth_interval = 2000;  ///< steps
  bool enabled = true;             ///< false: scale 1, every step is taken
};

/// For training under `Autocast(Dtype::f16)` with parameters in f32; bf16 needs none.
///     scaler.scale(loss).backward();
///     scaler.unscale_(opt);                          // only where gradients are looked at, or clipped
///     optim::clip_grad_norm(model.parameters(), 1);
///     scaler.step(opt);
///     scaler.update();
/// Several optimisers may step between two updates. Equivalent: torch.amp.GradScaler. A part of a checkpoint.
class WEFT_API GradScaler {
 public:
  /// ValueError for a scale or factors that are not positive, a growth below 1, a backoff of 1 or more, an interval
  /// below 1.
  explicit GradScaler(const GradScalerOptions& o = {});
  /// loss * scale, recorded.
  [[nodiscard]] Tensor scale(const Tensor& loss) const;
  /// Divides the gradients of the optimiser's parameters by the scale, in place, and looks for infinities and NaN: one
  /// number per device is waited for. Error when it was done already, or the optimiser has stepped, since the last
  /// update; DtypeError for gradients in f16, which would lose here what the scale has saved.
  void unscale_(optim::Optimizer& opt);
  /// Unscales unless that is done, and steps where all gradients are finite. Gives whether it stepped. Error for a
  /// second step before `update`.
  bool step(optim::Optimizer& opt);
  /// Ends the iteration: the scale shrinks where a gradient was not finite, and grows after enough steps that were.
  /// With `new_scale` it is that. Error when nothing was unscaled.
  void update(std::optional<double> new_scale = std::nullopt);
  /// The present scale, 1 when disabled; what the options say.
  double get_scale() const { return o_.enabled ? scale_ : 1; }
  bool is_enabled() const { return o_.enabled; }
  /// `scale`, `growth_factor`, `backoff_factor`, f64, `growth_interval`, `growth_tracker`, i64; empty when disabled.
  StateDict state_dict() const;
  /// ValueError for what is missing or out of range; nothing is changed then. Ignored when disabled.
  void load_state_dict(const StateDict& dict);

 private:
  struct Stage {
    bool finite, stepped;
  };
  GradScalerOptions o_;
  double scale_;
  int64_t good_steps_ = 0;
  std::map<const optim::Optimizer*, Stage> stages_;  // since the last update
};

}  // namespace weft::training
