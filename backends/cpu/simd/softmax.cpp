// softmax and log-softmax: line by line where the axis is contiguous, many lines side by side where another axis is.
#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/convert.h"
#include "weft/backends/cpu/simd/lines.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/integer.h"
#include "weft/core/kernels.h"

namespace weft::cpu::WEFT_ISA {
namespace {

constexpr int64_t kWidth = 256;   // lines side by side
constexpr int64_t kPiece = 1024;  // of a line, whose sum is added to the others in f64
constexpr int64_t kSteps = 64;    // the same for lines side by side: one sum takes them in turns

template <class C> C greatest(const C* x, int64_t n) {
  C m = fn::lowest<C>();
#pragma omp simd reduction(max : m)
  for (int64_t i = 0; i < n; ++i) m = x[i] > m ? x[i] : m;  // a NaN comes back through the sum
  return m;
}

/// One line; y may be x.
template <class C> void softmax_line(C* y, const C* x, int64_t n, bool log) {
  const C m = greatest(x, n);
  double total = 0;
  for (int64_t b = 0; b < n; b += kPiece) {
    const int64_t e = n - b < kPiece ? n : b + kPiece;
    C s = 0;
    if (log) {
#pragma omp simd reduction(+ : s)
      for (int64_t i = b; i < e; ++i) s += fn::exp(x[i] - m);
    } else {
#pragma omp simd reduction(+ : s)
      for (int64_t i = b; i < e; ++i) {
        const C v = fn::exp(x[i] - m);
        y[i] = v;
        s += v;
      }
    }
    total += static_cast<double>(s);
  }
  if (log) {
    const C shift = fn::log(static_cast<C>(total));
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] - m - shift;
  } else {
    const C scale = static_cast<C>(1 / total);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] *= scale;
  }
}

template <class C> void grad_line(C* d, const C* g, const C* y, int64_t n, bool log) {
  double total = 0;
  for (int64_t b = 0; b < n; b += kPiece) {
    const int64_t e = n - b < kPiece ? n : b + kPiece;
    C s = 0;
    if (log) {
#pragma omp simd reduction(+ : s)
      for (int64_t i = b; i < e; ++i) s += g[i];
    } else {
#pragma omp simd reduction(+ : s)
      for (int64_t i = b; i < e; ++i) s += g[i] * y[i];
    }
    total += static_cast<double>(s);
  }
  const C s = static_cast<C>(total);
  if (log) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) d[i] = g[i] - fn::exp(y[i]) * s;
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) d[i] = (g[i] - s) * y[i];
  }
}

/// total += s, s = 0.
template <class C> void add_sums(double* total, C* s, int64_t width) {
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) {
    total[j] += static_cast<double>(s[j]);
    s[j] = 0;
  }
}

/// `width` lines side by side: element i of line j is at [i * width + j]. y may be x.
template <class C> void softmax_lines(C* y, const C* x, int64_t n, int64_t width, bool log) {
  C m[kWidth], s[kWidth];
  double total[kWidth];
  for (int64_t j = 0; j < width; ++j) m[j] = fn::lowest<C>(), s[j] = 0, total[j] = 0;
  for (int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) m[j] = x[i * width + j] > m[j] ? x[i * width + j] : m[j];
  }
  for (int64_t i = 0; i < n; ++i) {
    const C* p = x + i * width;
    C* q = y + i * width;
    if (log) {
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) s[j] += fn::exp(p[j] - m[j]);
    } else {
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) {
        const C v = fn::exp(p[j] - m[j]);
        q[j] = v;
        s[j] += v;
      }
    }
    if (i % kSteps == kSteps - 1) add_sums(total, s, width);
  }
  add_sums(total, s, width);
#pragma omp simd
  for (int64_t j = 0; j < width; ++j) s[j] = log ? fn::log(static_cast<C>(total[j])) : static_cast<C>(1 / total[j]);
  for (int64_t i = 0; i < n; ++i) {
    const C* p = x + i * width;
    C* q = y + i * width;
    if (log) {
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) q[j] = p[j] - m[j] - s[j];
    } else {
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) q[j] *= s[j];
    }
  }
}
template <class C> void grad_lines(C* d, const C* g, const C* y, int64_t n, int64_t width, bool log) {
  C s[kWidth];
  double total[kWidth];
  for (int64_t j = 0; j < width; ++j) s[j] = 0, total[j] = 0;
  for (int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) s[j] += log ? g[i * width + j] : g[i * width + j] * y[i * width + j];
    if (i % kSteps == kSteps - 1) add_sums(total, s, width);
  }
  add_sums(total, s, width);
  for (int64_t j = 0; j < width; ++j) s[j] = static_cast<C>(total[j]);
  for (int64_t i = 0; i < n; ++i) {
    if (log) {
#pragma omp simd
      for (int64_t j = i * width; j < (i + 1) * width; ++j) d[j] = g[j] - fn::exp(y[j]) * s[j - i * width];
    } else {
#pragma omp simd
      for (int64_t j = i * width; j < (i + 1) * width; ++j) d[j] = (g[j] - s[j - i * width]) * y[j];
    }
  }
}

/// Calls work(out, in, n, width) on lines along `dim` as compute type C: in place where memory has that form, through
/// buffers elsewhere. width > 1: that many lines side by side.
template <class C, int Inputs, class Work>
void for_lines(const MutTensorRef& out, const TensorRef* const* in, int dim, const Work& work) {
  if (out.numel == 0) return;
  constexpr Dtype c = dtype_v<C>;
  Lines lines(out, dim);
  const int64_t n = lines.length;
  auto stride = [&](const TensorRef& t) { return out.rank ? t.strides[dim] : 1; };
  // lines side by side along the axis that is fastest in the output
  int beside = -1;
  if (stride(out) != 1 && n > 1)
    for (int i = 0; i < lines.rank; ++i)
      if (out.strides[lines.axis[i]] == 1 && lines.shape[i] >= 8) beside = i;
  int64_t side = 1, blocks = 1;
  int side_axis = 0;
  if (beside >= 0) {
    side = lines.shape[beside];
    side_axis = lines.axis[beside];
    blocks = fn::ceil_div(side, kWidth);
    lines.count /= side;
    for (int i = beside; i + 1 < lines.rank; ++i)
      lines.shape[i] = lines.shape[i + 1], lines.axis[i] = lines.axis[i + 1];
    --lines.rank;
  }
  const int64_t widest = side < kWidth ? side : kWidth, bytes = n * widest * static_cast<int64_t>(sizeof(C));
  const int64_t grain = kSerialBelow / (n * widest) + 1, units = lines.count * blocks;
  const int64_t pieces = units <= grain ? 1 : std::min<int64_t>(num_threads(), fn::ceil_div(units, grain));
  const Scratch scratch(
      static_cast<size_t>(bytes * (Inputs + 1) * pieces));  // here: a thread of the team must not throw
  parallel_for(pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece)
      for (int64_t u = units * piece / pieces; u < units * (piece + 1) / pieces; ++u) {
        const int64_t from = u % blocks * kWidth, width = side - from < kWidth ? side - from : kWidth;
        char* const buffer = scratch.as<char>() + bytes * (Inputs + 1) * piece;
        auto place = [&](const TensorRef& t) {
          return static_cast<const char*>(t.data) +
                 (lines.offset(u / blocks, t) + (beside >= 0 ? from * t.strides[side_axis] : 0)) *
                     static_cast<int64_t>(itemsize(t.dtype));
        };
        const C* src[Inputs];
        for (int k = 0; k < Inputs; ++k) {
          const TensorRef& t = *in[k];
          const char* p = place(t);
          const int64_t s = stride(t), across = beside >= 0 ? t.strides[side_axis] : 0;
          if (t.dtype == c && (width == 1 ? s == 1 || n == 1 : across == 1 && s == width)) {
            src[k] = reinterpret_cast<const C*>(p);
            continue;
          }
          C* b = reinterpret_cast<C*>(buffer + bytes * k);
          const int64_t size = static_cast<int64_t>(itemsize(t.dtype));
          if (width == 1) convert(b, 1, c, p, s, t.dtype, n);
          else
            for (int64_t i = 0; i < n; ++i) convert(b + i * width, 1, c, p + i * s * size, across, t.dtype, width);
          src[k] = b;
        }
        char* p = const_cast<char*>(place(out));
        const int64_t s = stride(out);
        if (out.dtype == c && (width == 1 ? s == 1 || n == 1 : s == width)) {
          work(reinterpret_cast<C*>(p), src, n, width);
          continue;
        }
        C* b = reinterpret_cast<C*>(buffer + bytes * Inputs);
        work(b, src, n, width);
        const int64_t size = static_cast<int64_t>(itemsize(out.dtype));
        if (width == 1) convert(p, s, out.dtype, b, 1, c, n);
        else
          for (int64_t i = 0; i < n; ++i) convert(p + i * s * size, 1, out.dtype, b + i * width, 1, c, width);
      }
  });
}

template <class C> void softmax_typed(const MutTensorRef& y, const TensorRef& x, int dim, bool log) {
  const TensorRef* in[] = {&x};
  for_lines<C, 1>(y, in, dim, [log](C* out, const C* const* src, int64_t n, int64_t width) {
    if (width == 1) softmax_line(out, src[0], n, log);
    else softmax_lines(out, src[0], n, width, log);
  });
}
void softmax_kernel(const MutTensorRef& y, const TensorRef& x, int dim, bool log) {
  if (compute_dtype(x.dtype) == Dtype::f64) softmax_typed<double>(y, x, dim, log);
  else softmax_typed<float>(y, x, dim, log);
}

template <class C>
void softmax_grad_typed(const MutTensorRef& dx, const TensorRef& g, const TensorRef& y, int dim, bool log) {
  const TensorRef* in[] = {&g, &y};
  for_lines<C, 2>(dx, in, dim, [log](C* out, const C* const* src, int64_t n, int64_t width) {
    if (width == 1) grad_line(out, src[0], src[1], n, log);
    else grad_lines(out, src[0], src[1], n, width, log);
  });
}
void softmax_grad_kernel(const MutTensorRef& dx, const TensorRef& g, const TensorRef& y, int dim, bool log) {
  if (compute_dtype(y.dtype) == Dtype::f64) softmax_grad_typed<double>(dx, g, y, dim, log);
  else softmax_grad_typed<float>(dx, g, y, dim, log);
}

}  // namespace

void register_softmax() {
  kernels::softmax.set(DeviceType::cpu, softmax_kernel);
  kernels::softmax_grad.set(DeviceType::cpu, softmax_grad_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
