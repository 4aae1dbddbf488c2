#include "weft/optim/clip.h"

#include <cmath>

#include "weft/autograd/grad_mode.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"
#include "weft/core/recording.h"

namespace weft::optim {

namespace {

/// The gradients that are there, dense, as a table. A gradient with gaps is replaced by a dense copy first.
struct Table {
  std::vector<Tensor> grads;
  std::vector<fn::FlatEntry> entries;
  Device device;
  bool f64 = false;
  int64_t numel = 0;

  Table(const ParamList& params, bool write) {
    NoGrad guard;
    for (Tensor p : params) {
      Tensor g = p.grad();
      if (!g.defined()) continue;
      if (!g.is_dense()) {
        g = g.detach().clone().contiguous();
        if (write) p.set_grad(g);
      }
      if (entries.empty()) device = g.device();
      WEFT_CHECK(g.device() == device, DeviceError, "clip_grad: gradients are on ", device, " and ", g.device());
      if (auto* r = weft::detail::recording()) r->know(g);
      entries.push_back({write ? g.mut_raw_data() : const_cast<void*>(g.raw_data()), g.numel(), g.dtype()});
      f64 |= g.dtype() == Dtype::f64;
      numel += g.numel();
      grads.push_back(std::move(g));
    }
  }

  Tensor norm(double p) const {
    WEFT_CHECK(p > 0, ValueError, "grad_norm: norm_type must be positive, got ", p);
    Tensor out = zeros({}, {f64 ? Dtype::f64 : Dtype::f32, device});
    if (entries.empty()) return out;
    Tensor scratch = empty({(numel + fn::kNormChunk - 1) / fn::kNormChunk}, {Dtype::f64, device});
    kernels::multi_norm(device, mut_ref(out), mut_ref(scratch), entries, p);
    return out;
  }
};

}  // namespace

Tensor grad_norm(const ParamList& params, double norm_type) { return Table(params, false).norm(norm_type); }

Tensor clip_grad_norm(const ParamList& params, double max_norm, const ClipOptions& o) {
  WEFT_CHECK(max_norm >= 0, ValueError, "clip_grad_norm: max_norm must not be negative, got ", max_norm);
  Table table(params, true);
  Tensor norm = table.norm(o.norm_type);
  WEFT_CHECK(!o.error_if_nonfinite || std::isfinite(norm.item<double>()), Error,
             "clip_grad_norm: the norm of the gradients is ", norm.item<double>());
  if (!table.entries.empty()) kernels::multi_clip(table.device, table.entries, ref(norm), max_norm);
  return norm;
}

void clip_grad_value(const ParamList& params, double limit) {
  WEFT_CHECK(limit >= 0, ValueError, "clip_grad_value: the limit must not be negative, got ", limit);
  Table table(params, true);
  if (!table.entries.empty()) kernels::multi_clamp(table.device, table.entries, limit);
}

}  // namespace weft::optim
