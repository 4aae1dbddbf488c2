// Halves that no engine takes: images are widened to f32 a few at a time, and the result is rounded once.
#include <algorithm>

#include "weft/backends/cpu/conv.h"
#include "weft/backends/cpu/copy.h"

namespace weft::cpu::wide {
namespace {

constexpr int64_t kChunkElements = 1 << 22;  // of the output, widened at a time

/// n images, each as `like` has it where that is contiguous, else channels-last.
struct Features {
  Shape shape;
  Strides strides;
  Features(const TensorRef& like, int64_t n) {
    for (int i = 0; i < like.rank; ++i) shape.push_back(i == 0 ? n : like.size(i));
    strides = contiguous_strides(shape);
    for (int i = 1; i < like.rank; ++i)
      if (like.size(i) > 1 && like.stride(i) != strides[i]) strides = channels_last_strides(shape);
  }
  TensorRef ref(const void* p, Dtype t = Dtype::f32) const {
    return weft::ref(p, t, shape.data(), strides.data(), shape.size());
  }
  MutTensorRef mut(void* p, Dtype t = Dtype::f32) const {
    return mut_ref(p, t, shape.data(), strides.data(), shape.size());
  }
};

TensorRef images(const TensorRef& t, const Shape& shape, int64_t first) {
  return seen_as(t, shape.data(), t.strides, t.rank, first * t.stride(0));
}

}  // namespace

void forward(const MutTensorRef& y, const TensorRef& x, const TensorRef& w, const ConvFinish& f,
             const ConvParams& params, const Engine& run) {
  const Shape w_shape = shape_of(w);
  const Strides w_strides = contiguous_strides(w_shape);
  Scratch weight(static_cast<size_t>(w.numel) * sizeof(float)), bias;
  copy_cpu(mut_ref(weight.as(), Dtype::f32, w_shape.data(), w_strides.data(), w.rank), w);
  ConvFinish finish = f;
  ConvParams direct = params;  // an infinity reaches what depends on it, as in the halves' own engines
  direct.algorithm = ConvAlgorithm::direct;
  const int64_t channels = y.size(1), one = 1;
  if (f.bias) finish.bias = dense_contiguous(ref(f.bias, f.bias_dtype, &channels, &one, 1), Dtype::f32, bias, copy_cpu);
  finish.bias_dtype = Dtype::f32;
  const int64_t n = y.size(0), chunk = std::clamp<int64_t>(kChunkElements / (y.numel / n), 1, n);
  const Features most_x(x, chunk), most_y(y, chunk);
  const int64_t y_size = most_y.shape.numel();
  Scratch from(static_cast<size_t>(most_x.shape.numel()) * sizeof(float)),
      to(static_cast<size_t>(y_size) * sizeof(float)),
      residual(f.residual ? static_cast<size_t>(y_size) * sizeof(float) : 0);
  for (int64_t first = 0; first < n; first += chunk) {
    const int64_t count = std::min(chunk, n - first);
    const Features of_x(x, count), of_y(y, count);
    copy_cpu(of_x.mut(from.as()), images(x, of_x.shape, first));
    const auto part = [&](const void* p) {
      return static_cast<const char*>(p) + static_cast<size_t>(first * (y.numel / n)) * itemsize(y.dtype);
    };
    if (f.residual) {
      copy_cpu(of_y.mut(residual.as()), of_y.ref(part(f.residual), y.dtype));
      finish.residual = residual.as();
    }
    run(of_y.mut(to.as()), of_x.ref(from.as()), ref(weight.as(), Dtype::f32, w_shape.data(), w_strides.data(), w.rank),
        finish, direct);
    copy_cpu(of_y.mut(const_cast<char*>(part(y.mut)), y.dtype), of_y.ref(to.as()));
  }
}

}  // namespace weft::cpu::wide
