// Running statistics of normalisation: a few numbers a channel.
#include "weft/backends/cpu/register.h"
#include "weft/core/fn/norm.h"
#include "weft/core/kernels/norm.h"

namespace weft::cpu {
namespace {

void update_one(const MutTensorRef& running, const TensorRef& now, double momentum, double scale) {
  if (!running.defined()) return;
  const int64_t C = running.numel;
  const fn::RunningStep step{now.as<double>(), C > 0 ? now.numel / C : 0, C, 1 - momentum, momentum * scale};
  dispatch_floating(running.dtype, "update_running", [&]<class T> {
    for (int64_t c = 0; c < C; ++c) {
      T& to = running.as_mut<T>()[c * running.stride(0)];
      to = static_cast<T>(step(static_cast<double>(static_cast<compute_t<T>>(to)), c));
    }
  });
}

void update_running(const MutTensorRef& running_mean, const MutTensorRef& running_var, const TensorRef& mean,
                    const TensorRef& m2, double momentum, double scale) {
  update_one(running_mean, mean, momentum, 1);
  update_one(running_var, m2, momentum, scale);
}

}  // namespace

void register_running() { kernels::update_running.set(DeviceType::cpu, update_running); }

}  // namespace weft::cpu
