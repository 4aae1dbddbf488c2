#include "weft/backends/cpu/conv_few.h"

#include <utility>

#include "weft/backends/cpu/conv.h"
#include "weft/backends/cpu/packed_weights.h"

namespace weft::cpu::few {

void (*run)(float*, const float*, const float*, const float*, const ConvWindows&) = nullptr;

namespace {

// Of the input gradient (stride 1): a convolution of g with the turned weight.
ConvWindows turned(const ConvProblem& p) {
  ConvWindows r = windows(p);
  std::swap(r.c, r.o);
  std::swap(r.in, r.out);
  for (int a = 0; a < 3; ++a) r.lo[a] = r.dilation[a] * (r.kernel[a] - 1) - r.lo[a];
  return r;
}

std::shared_ptr<Scratch> arranged(const TensorRef& w, const ConvWindows& k, bool back) {
  int64_t s[3] = {0, 0, 0};
  for (int i = 2; i < w.rank; ++i) s[5 - w.rank + i - 2] = w.strides[i];
  const int64_t so = w.strides[back ? 1 : 0], sc = w.strides[back ? 0 : 1];
  const int layout = layout_number(
      {'f', back, k.o, k.c, k.kernel[0], k.kernel[1], k.kernel[2], so, sc, s[0], s[1], s[2]});
  return packed(
      w, layout, static_cast<size_t>(k.taps() * k.o * k.c) * sizeof(float), [&](const void* from, void* target) {
        float* to = static_cast<float*>(target);
        for (int64_t z = 0; z < k.kernel[0]; ++z)
          for (int64_t y = 0; y < k.kernel[1]; ++y)
            for (int64_t x = 0; x < k.kernel[2]; ++x) {
              const float* tap = static_cast<const float*>(from);
              if (back)
                tap += (k.kernel[0] - 1 - z) * s[0] + (k.kernel[1] - 1 - y) * s[1] + (k.kernel[2] - 1 - x) * s[2];
              else tap += z * s[0] + y * s[1] + x * s[2];
              for (int64_t o = 0; o < k.o; ++o)
                for (int64_t c = 0; c < k.c; ++c) *to++ = tap[o * so + c * sc];
            }
      });
}

bool fits(const ConvProblem& p, int64_t from, int64_t to) {
  return p.dtype == Dtype::f32 && p.groups == 1 && p.axes <= 3 && to <= kMostOutputs && from % kChannelStep == 0 &&
         from <= 4096;
}

}  // namespace

bool takes_forward(const ConvProblem& p) { return fits(p, p.c, p.o); }
bool takes_input_grad(const ConvProblem& p) { return fits(p, p.o, p.c) && p.all(p.stride, 1) && p.regular(); }

void forward(void* y, const TensorRef& x, const TensorRef& w, const void* bias, const ConvProblem& p) {
  Scratch copy;
  const ConvWindows k = windows(p);
  run(static_cast<float*>(y), static_cast<const float*>(channels_last(x, copy)), arranged(w, k, false)->as<float>(),
      static_cast<const float*>(bias), k);
}

void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const void* bias, const ConvProblem& p) {
  Scratch copy;
  const ConvWindows k = turned(p);
  run(static_cast<float*>(x_grad), static_cast<const float*>(channels_last(g, copy)), arranged(w, k, true)->as<float>(),
      static_cast<const float*>(bias), k);
}

}  // namespace weft::cpu::few
