#include "weft/backends/cpu/winograd.h"

#include <utility>

#include "weft/backends/cpu/conv_policy.h"
#include "weft/backends/cpu/packed_weights.h"
#include "weft/core/fn/integer.h"

namespace weft::cpu::winograd {

Kernels kernels;

int64_t packed_size(const Problem& p) {
  // Panels of 32 outputs; every instruction set reads the same size. A cache line more: planes that are a power of two
  // apart would share one set of the cache.
  return 36 * p.kd * (p.c * fn::round_up(p.o, 32) + 16);
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
          p.lo[w],
          p.dilation[h],
          p.dilation[w]};
}

// The problem whose forward is the input gradient: channels exchanged, windows turned, padding to full overlap less lo.
Problem turned(const Problem& p) {
  return {p.n,
          p.o,
          p.c,
          p.od,
          p.oh,
          p.ow,
          p.d,
          p.h,
          p.w,
          p.kd,
          p.kd - 1 - p.pad_d,
          2 * p.step_h - p.pad_h,
          2 * p.step_w - p.pad_w,
          p.step_h,
          p.step_w};
}

WeightStrides strides_of(const TensorRef& w) {
  const int r = w.rank;
  return {w.strides[0], w.strides[1], r == 5 ? w.strides[2] : 0, w.strides[r - 2], w.strides[r - 1]};
}

// A problem whose weight lies with strides s.
void run(void* y, const TensorRef& x, const TensorRef& w, const WeightStrides& s, const ConvFinish& f, const Problem& p,
         bool rotate, bool streamed) {
  Scratch copy;
  const auto* source = static_cast<const float*>(channels_last(x, copy));
  const Finish finish{static_cast<const float*>(f.bias), static_cast<const float*>(f.residual), f.epilogue.activation,
                      static_cast<float>(f.epilogue.slope)};
  if (streamed)
    return kernels.run_streamed(static_cast<float*>(y), source, w.as<float>(), f.scale.as<float>(), s, rotate, finish,
                                p);
  const int layout = layout_number({'w', rotate, p.c, p.o, p.kd, s.o, s.c, s.kd, s.kh, s.kw});
  bool fresh = false;
  const auto weights = packed(w, f.scale, layout, static_cast<size_t>(packed_size(p)) * sizeof(float),
                              [&](const void* from, void* to) {
                                kernels.pack(static_cast<float*>(to), static_cast<const float*>(from), s, p, rotate);
                                fresh = true;
                              });
  kernels.run(static_cast<float*>(y), source, weights->as<float>(), finish, p, fresh);
}

}  // namespace

bool takes(const ConvProblem& p) {
  if (!kernels.run || p.dtype != Dtype::f32 || p.groups != 1 || p.axes < 2 || p.axes > 3 || !p.regular()) return false;
  if (!p.all(p.stride, 1) || (p.axes == 3 && p.dilation[0] != 1) || p.n == 0 || p.c == 0 || p.o == 0) return false;
  for (int i = 0; i < p.axes; ++i) {
    const bool plane = i >= p.axes - 2;
    if (p.kernel[i] != 3 && (plane || p.kernel[i] != 1)) return false;
    const int64_t overlap = (p.kernel[i] - 1) * p.dilation[i];
    if (p.lo[i] > overlap || p.hi[i] > overlap || p.in[i] == 0 || p.out[i] < p.dilation[i]) return false;
  }
  return true;
}

void forward(void* y, const TensorRef& x, const TensorRef& w, const ConvFinish& finish, const ConvProblem& p) {
  run(y, x, w, strides_of(w), finish, problem_of(p), false, policy::winograd_streamed(p));
}

void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p) {
  WeightStrides s = strides_of(w);
  std::swap(s.o, s.c);
  run(x_grad, g, w, s, {.bias_dtype = Dtype::f32}, turned(problem_of(p)), true, policy::winograd_streamed(p));
}

void weight_grad(void* w_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p) {
  const Problem q = problem_of(p);
  Scratch x_copy, g_copy;
  kernels.weight_grad(static_cast<float*>(w_grad), static_cast<const float*>(channels_last(x, x_copy)),
                      static_cast<const float*>(channels_last(g, g_copy)), q);
}

}  // namespace weft::cpu::winograd
