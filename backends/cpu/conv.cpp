#include "weft/backends/cpu/conv.h"

#include <vector>

#include "weft/backends/cpu/conv_direct.h"
#include "weft/backends/cpu/conv_policy.h"
#include "weft/backends/cpu/copy.h"
#include "weft/backends/cpu/gemm.h"
#include "weft/backends/cpu/register.h"
#include "weft/backends/cpu/winograd.h"
#include "weft/core/fn/integer.h"
#include "weft/core/parallel.h"

namespace weft::cpu {

ConvWindows windows(const ConvProblem& p) {
  ConvWindows r{p.n, p.c, p.o, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}};
  for (int i = 0; i < p.axes; ++i) {
    const int a = 3 - p.axes + i;
    r.in[a] = p.in[i], r.out[a] = p.out[i], r.kernel[a] = p.kernel[i];
    r.stride[a] = p.stride[i], r.lo[a] = p.lo[i], r.dilation[a] = p.dilation[i];
  }
  return r;
}

const void* channels_last(const TensorRef& t, Scratch& scratch) {
  return dense_channels_last(t, t.dtype, scratch, copy_cpu);
}

void channel_sums(void* sums, const void* x, int64_t rows, int64_t channels, Dtype dtype) {
  dispatch_floating(dtype, "conv_weight_grad", [&]<class T> {
    // Blocks of rows are summed in the compute type, their sums in f64; each thread has a row of sums of its own.
    constexpr int64_t kBlock = 256;
    const int64_t blocks = fn::ceil_div(rows, kBlock);
    const int64_t pieces = rows * channels < kSerialBelow ? 1 : std::min<int64_t>(num_threads(), blocks);
    using C = compute_t<T>;
    Scratch total(static_cast<size_t>(pieces * channels) * (sizeof(double) + sizeof(C)));
    double* totals = total.as<double>();
    C* partials = reinterpret_cast<C*>(totals + pieces * channels);
    parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece) {
        double* t = totals + piece * channels;
        C* s = partials + piece * channels;
        for (int64_t c = 0; c < channels; ++c) t[c] = 0;
        for (int64_t b = blocks * piece / pieces; b < blocks * (piece + 1) / pieces; ++b) {
          for (int64_t c = 0; c < channels; ++c) s[c] = 0;
          for (int64_t r = b * kBlock; r < std::min(rows, (b + 1) * kBlock); ++r) {
            const T* row = static_cast<const T*>(x) + r * channels;
#pragma omp simd
            for (int64_t c = 0; c < channels; ++c) s[c] += static_cast<C>(row[c]);
          }
          for (int64_t c = 0; c < channels; ++c) t[c] += static_cast<double>(s[c]);
        }
      }
    });
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (int64_t piece = 0; piece < pieces; ++piece) sum += totals[piece * channels + c];
      static_cast<T*>(sums)[c] = T(static_cast<C>(sum));
    }
  });
}

void add_channel_bias(void* y, const void* bias, int64_t rows, int64_t channels, Dtype dtype) {
  dispatch_floating(dtype, "conv", [&]<class T> {
    const T* b = static_cast<const T*>(bias);
    parallel_for(rows, std::max<int64_t>(1, kSerialBelow / channels), [&](int64_t begin, int64_t end) {
      using C = compute_t<T>;
      for (int64_t r = begin; r < end; ++r) {
        T* row = static_cast<T*>(y) + r * channels;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) row[c] = T(static_cast<C>(row[c]) + static_cast<C>(b[c]));
      }
    });
  });
}

// By engines that cannot: of f32 and f64, the halves are widened.
void finish_rows(void* y, int64_t rows, int64_t channels, Dtype dtype, const ConvFinish& f) {
  dispatch_floating(dtype, "conv_fused", [&]<class T> {
    using C = compute_t<T>;
    const C *scale = f.scale.as<C>(), *bias = static_cast<const C*>(f.bias);
    const T* residual = static_cast<const T*>(f.residual);
    parallel_for(rows, std::max<int64_t>(1, kSerialBelow / channels), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t c = 0; c < channels; ++c) {
          T& at = static_cast<T*>(y)[r * channels + c];
          C v = static_cast<C>(at) * (scale ? scale[c] : C(1)) + (bias ? bias[c] : C(0));
          if (residual) v += static_cast<C>(residual[r * channels + c]);
          if (f.epilogue.activation != Activation::none && v <= C(0))
            v = f.epilogue.activation == Activation::relu ? C(0) : v * C(f.epilogue.slope);
          at = T(v);
        }
    });
  });
}

namespace {

#if WEFT_HAS_ONEDNN
bool onednn_takes(const ConvProblem& p) {
  const bool has_dtype = p.dtype == Dtype::f32 || (p.dtype == Dtype::bf16 && onednn::has_avx512());
  return has_dtype && p.axes >= 1 && p.axes <= 3 && p.regular() && !policy::too_large(p);
}
#endif

// By an engine that finishes its sums itself; false: nothing was written.
bool fused_forward(void* y, const TensorRef& x, const TensorRef& w, const ConvFinish& f, const ConvProblem& p) {
  if (winograd::takes(p) && policy::winograd(p)) return winograd::forward(y, x, w, f, p), true;
#if WEFT_HAS_ONEDNN
  return onednn_takes(p) && !policy::own_forward(p) && onednn::forward(y, x, w, f, p);
#else
  return false;
#endif
}

bool has_no_gaps(const TensorRef& t) {
  int64_t last = 0;
  for (int i = 0; i < t.rank; ++i) last += (t.size(i) - 1) * t.stride(i);
  return last + 1 == t.numel;
}

void forward(const MutTensorRef& y, const TensorRef& x, const TensorRef& w, const ConvFinish& f,
             const ConvParams& params) {
  const ConvProblem p(x, w, y, params);
  const bool foldable = !f.scale.defined() || has_no_gaps(w);
  if (!few::takes_forward(p) && foldable && fused_forward(y.mut, x, w, f, p)) return;
  if (is_half(p.dtype) && p.n > 0) return wide::forward(y, x, w, f, params, forward);
  const void* bias = f.plain() ? f.bias : nullptr;
  if (few::takes_forward(p)) few::forward(y.mut, x, w, bias, p);
  else native::forward(y.mut, x, w, bias, p);
  if (!f.plain()) finish_rows(y.mut, p.n * p.out_size(), p.o, p.dtype, f);
}

void conv_kernel(const MutTensorRef& y, const TensorRef& x, const TensorRef& w, const TensorRef& bias,
                 const ConvParams& params) {
  Scratch copy;
  forward(y, x, w, {.bias = dense_contiguous(bias, bias.dtype, copy, copy_cpu), .bias_dtype = bias.dtype}, params);
}
void fused_kernel(const MutTensorRef& y, const TensorRef& x, const TensorRef& w, const TensorRef& scale,
                  const TensorRef& bias, const TensorRef& residual, const ConvParams& params, const ConvEpilogue& e) {
  Scratch copy;
  const void* b = dense_contiguous(bias, bias.dtype, copy, copy_cpu);
  forward(y, x, w, {b, bias.dtype, scale, residual.data, e}, params);
}

void input_grad_kernel(const MutTensorRef& x_grad, const TensorRef& g, const TensorRef& w, const TensorRef& bias,
                       const ConvParams& params) {
  const ConvProblem p(x_grad, w, g, params);
  Scratch copy;
  const void* b = dense_contiguous(bias, bias.dtype, copy, copy_cpu);
  if (few::takes_input_grad(p)) return few::input_grad(x_grad.mut, g, w, b, p);
  bool done = winograd::takes(p) && policy::winograd(p);
  if (done) winograd::input_grad(x_grad.mut, g, w, p);
#if WEFT_HAS_ONEDNN
  done = done || (onednn_takes(p) && !policy::own_input_grad(p) && onednn::input_grad(x_grad.mut, g, w, p));
#endif
  if (!done) native::input_grad(x_grad.mut, g, w, p);
  if (b) add_channel_bias(x_grad.mut, b, p.n * p.in_size(), p.c, p.dtype);
}

void weight_grad_kernel(const MutTensorRef& w_grad, const MutTensorRef& bias_grad, const TensorRef& x,
                        const TensorRef& g, const ConvParams& params) {
  const ConvProblem p(x, w_grad, g, params);
  if (winograd::takes(p) && policy::winograd_weight_grad(p)) {
    winograd::weight_grad(w_grad.mut, x, g, p);
  } else if (direct::takes(p) && policy::direct_weight_grad(p, direct::kernel.lanes)) {
    direct::weight_grad(w_grad.mut, x, g, p);
  } else {
#if WEFT_HAS_ONEDNN
    if (onednn_takes(p) && !policy::own_weight_grad(p, onednn::has_avx512()) &&
        onednn::weight_grad(w_grad.mut, bias_grad.mut, x, g, p))
      return;
#endif
    native::weight_grad(w_grad.mut, x, g, p);
  }
  if (bias_grad.defined()) {
    Scratch copy;
    channel_sums(bias_grad.mut, channels_last(g, copy), p.n * p.out_size(), p.o, p.dtype);
  }
}

}  // namespace

void register_conv_slots() {
#if WEFT_HAS_ONEDNN
  onednn::prepare_for_fork();
#endif
  kernels::conv.set(DeviceType::cpu, conv_kernel);
  kernels::conv_fused.set(DeviceType::cpu, fused_kernel);
  kernels::conv_input_grad.set(DeviceType::cpu, input_grad_kernel);
  kernels::conv_weight_grad.set(DeviceType::cpu, weight_grad_kernel);
}

}  // namespace weft::cpu
