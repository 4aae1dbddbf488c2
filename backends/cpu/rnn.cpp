#include "weft/backends/cpu/rnn.h"

#include "weft/backends/cpu/packed_weights.h"
#include "weft/backends/cpu/register.h"
#include "weft/core/kernels/rnn.h"

namespace weft::cpu {

RnnLoops rnn_loops;

namespace {

std::shared_ptr<Scratch> panels(const TensorRef& w, bool back, bool pairs) {
  const int64_t H = w.size(1), G = w.size(0) / H;
  return packed(w, layout_number({'r', back, pairs, G, H}), rnn_loops.packed_bytes(w.dtype, G, H, pairs),
                [&](const void* from, void* to) { rnn_loops.pack(to, from, w.dtype, G, H, back, pairs); });
}

void forward(const MutTensorRef& y, const MutTensorRef& c, const MutTensorRef& kept, const TensorRef& gx,
             const TensorRef& h0, const TensorRef& w, const TensorRef& bias, RnnKind kind, bool reverse) {
  if (y.numel == 0) return;
  const bool pairs = rnn_loops.takes_pairs(w.dtype, w.size(1));
  rnn_loops.forward(y, c, kept, gx, h0, panels(w, false, pairs)->as(), bias, kind, reverse, pairs);
}

void backward(const MutTensorRef& dgx, const MutTensorRef& dgh, const MutTensorRef& dh0, const MutTensorRef& dc,
              const TensorRef& g, const TensorRef& y, const TensorRef& kept, const TensorRef& h0, const TensorRef& c0,
              const TensorRef& w, RnnKind kind, bool reverse) {
  if (y.numel == 0) return;
  const bool pairs = rnn_loops.takes_pairs(w.dtype, w.size(1));
  rnn_loops.backward(dgx, dgh, dh0, dc, g, y, kept, h0, c0, panels(w, true, pairs)->as(), kind, reverse, pairs);
}

}  // namespace

void register_rnn_slots() {
  kernels::rnn.set(DeviceType::cpu, forward);
  kernels::rnn_backward.set(DeviceType::cpu, backward);
}

}  // namespace weft::cpu
