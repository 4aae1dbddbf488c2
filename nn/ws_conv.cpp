#include "weft/nn/ws_conv.h"

#include <mutex>

#include "weft/autograd/grad_mode.h"
#include "weft/core/factory.h"
#include "weft/core/recording.h"
#include "weft/core/stamp.h"
#include "weft/core/stream.h"
#include "weft/nn/init.h"

namespace weft::nn {

struct WSConvBase::Kept {
  /// What the weight was made of and, so that nobody reads it too early, the queue it was made in.
  struct Origin {
    Stamp weight, gain;
    const void *weight_data = nullptr, *gain_data = nullptr;
    WSVariant variant{};
    double eps = 0;
    void* queue = nullptr;
    bool operator==(const Origin&) const = default;
  };
  std::mutex mutex;
  Origin from;
  Tensor weight;
};

WSConvBase::WSConvBase(std::string name, int64_t in_channels, int64_t out_channels, const ConvGeometry& g,
                       Choice<WSVariant> variant)
    : ConvBase(std::move(name), in_channels, out_channels, g), variant(variant), kept_(std::make_shared<Kept>()) {
  WEFT_CHECK(weight.numel() > weight.shape()[0], ValueError, this->name(), ": weight ", weight.shape(),
             " has one element per row, which cannot be standardised");
  gain = param("gain", ones({weight.shape()[0]}));
  reset_parameters();
}

void WSConvBase::show(std::function<std::string()> text) {
  ConvBase::show([text = std::move(text), variant = variant.share()] {
    return text() + (*variant == WSVariant::nfnet ? ", variant=nfnet" : "");
  });
}

void WSConvBase::reset_parameters() {
  ConvBase::reset_parameters();
  init::kaiming_normal_(weight, {.nonlinearity = init::Nonlinearity::relu});
  init::ones_(gain);
}

Tensor WSConvBase::weight_for_call(double eps) const {
  if (weft::detail::recording()) return standardize_weight(eps);  // a capture must see what it is made of
  std::lock_guard lock(kept_->mutex);
  if (grad_enabled() && (weight.requires_grad() || gain.requires_grad())) {
    kept_->weight = Tensor();  // training: the memory is worth more
    return standardize_weight(eps);
  }
  const Device device = weight.device();
  const Kept::Origin now{.weight = Stamp(weight),
                         .gain = Stamp(gain),
                         .weight_data = weight.raw_data(),
                         .gain_data = gain.raw_data(),
                         .variant = *variant,
                         .eps = eps,
                         .queue = device.type == DeviceType::cpu ? nullptr : Stream::current(device).handle()};
  if (!kept_->weight.defined() || kept_->from != now) {
    kept_->weight = standardize_weight(eps);
    kept_->from = now;
  }
  return kept_->weight;
}

}  // namespace weft::nn
