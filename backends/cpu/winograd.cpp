#include "weft/backends/cpu/winograd.h"

#include <utility>

#include "weft/backends/cpu/packed_weights.h"
#include "weft/core/fn/integer.h"

namespace weft::cpu::winograd {

Kernels kernels;

int64_t packed_size(const Problem& p) {
  // panels of 32 outputs; every instruction set reads the same size
  return 36 * p.kd * p.c * fn::round_up(p.o, 32);
}

namespace {

Problem problem_of(const ConvProblem& p) {
  const bool deep = p.axes == 3;
  const int h = p.axes - 2, w = p.axes - 1;
  return {p.n,
          p.c,
          p.o,
          deep ? p.in[0] : 1,
          p.in[h],
          p.in[w],
          deep ? p.out[0] : 1,
          p.out[h],
          p.out[w],
          deep ? p.kernel[0] : 1,
          deep ? p.lo[0] : 0,
          p.lo[h],
          p.lo[w]};
}

// The problem whose forward is the input gradient: channels exchanged, windows turned, padding to full overlap less lo.
Problem turned(const Problem& p) {
  return {p.n, p.o, p.c, p.od, p.oh, p.ow, p.d, p.h, p.w, p.kd, p.kd - 1 - p.pad_d, 2 - p.pad_h, 2 - p.pad_w};
}

WeightStrides strides_of(const TensorRef& w) {
  const int r = w.rank;
  return {w.strides[0], w.strides[1], r == 5 ? w.strides[2] : 0, w.strides[r - 2], w.strides[r - 1]};
}

std::shared_ptr<Scratch> transformed(const TensorRef& w, const WeightStrides& s, const Problem& p, bool rotate) {
  const int layout = layout_number({'w', rotate, p.c, p.o, p.kd, s.o, s.c, s.kd, s.kh, s.kw});
  return packed(w, layout, static_cast<size_t>(packed_size(p)) * sizeof(float), [&](const void* from, void* to) {
    kernels.pack(static_cast<float*>(to), static_cast<const float*>(from), s, p, rotate);
  });
}

}  // namespace

bool takes(const ConvProblem& p) {
  if (!kernels.run || p.dtype != Dtype::f32 || p.groups != 1 || p.axes < 2 || p.axes > 3 || !p.regular()) return false;
  if (!p.all(p.stride, 1) || !p.all(p.dilation, 1) || p.n == 0 || p.c == 0 || p.o == 0) return false;
  for (int i = 0; i < p.axes; ++i) {
    const bool plane = i >= p.axes - 2;
    if (p.kernel[i] != 3 && (plane || p.kernel[i] != 1)) return false;
    if (p.lo[i] >= p.kernel[i] || p.hi[i] >= p.kernel[i] || p.in[i] == 0 || p.out[i] == 0) return false;
  }
  return true;
}

void forward(void* y, const TensorRef& x, const TensorRef& w, const void* bias, const ConvProblem& p) {
  const Problem q = problem_of(p);
  Scratch copy;
  const auto* source = static_cast<const float*>(channels_last(x, copy));
  const auto weights = transformed(w, strides_of(w), q, false);
  kernels.run(static_cast<float*>(y), source, weights->as<float>(), static_cast<const float*>(bias), q);
}

void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p) {
  const Problem q = turned(problem_of(p));
  Scratch copy;
  const auto* source = static_cast<const float*>(channels_last(g, copy));
  WeightStrides s = strides_of(w);
  std::swap(s.o, s.c);
  const auto weights = transformed(w, s, q, true);
  kernels.run(static_cast<float*>(x_grad), source, weights->as<float>(), nullptr, q);
}

void weight_grad(void* w_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p) {
  const Problem q = problem_of(p);
  Scratch x_copy, g_copy;
  const WeightStrides contiguous{q.c * q.kd * 9, q.kd * 9, 9, 3, 1};
  kernels.weight_grad(static_cast<float*>(w_grad), contiguous, static_cast<const float*>(channels_last(x, x_copy)),
                      static_cast<const float*>(channels_last(g, g_copy)), q);
}

}  // namespace weft::cpu::winograd
