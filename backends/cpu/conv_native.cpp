#include <cstring>

#include "weft/backends/cpu/conv.h"
#include "weft/backends/cpu/gemm.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

// All three directions are products of a matrix of gathered windows, made a chunk of rows at a time:
//   forward      windows of x  [n out..., taps c]  times w  [taps c, o]
//   input grad   windows of g  [n in..., taps o]   times w' [taps o, c]   (each input position looks up the outputs it fed)
//   weight grad  windows of x' [taps c, n out...]  times g  [n out..., o]
// The halves are widened to f32 first, and rounded once at the end.
namespace weft::cpu::native {
namespace {

// t converted to `dtype` in channels-last order.
const void* converted(const TensorRef& t, Dtype dtype, Scratch& scratch) {
  if (t.dtype == dtype) return channels_last(t, scratch);
  int64_t strides[kMaxRank], step = t.shape[1];
  strides[1] = 1;
  for (int i = t.rank - 1; i >= 2; --i) strides[i] = step, step *= t.shape[i];
  strides[0] = step;
  scratch.reset(static_cast<size_t>(t.numel) * itemsize(dtype));
  MutTensorRef dst;
  static_cast<TensorRef&>(dst) = t;
  dst.strides = strides;
  dst.dtype = dtype;
  dst.data = dst.mut = scratch.as();
  kernels::copy(DeviceType::cpu, dst, t);
  return scratch.as();
}

// The weight [o, c/groups, taps...] as [taps..., first, second], with (first, second) = (c, o) or (o, c).
void arrange_weight(const MutTensorRef& dst, const TensorRef& w, bool channels_first, bool back) {
  int64_t shape[kMaxRank], from[kMaxRank], to[kMaxRank];
  const int taps = w.rank - 2;
  int64_t step = w.shape[0] * w.shape[1];
  for (int i = taps - 1; i >= 0; --i) {
    shape[i] = w.shape[i + 2];
    from[i] = w.strides[i + 2];
    to[i] = step;
    step *= shape[i];
  }
  const int first = channels_first ? 1 : 0;
  shape[taps] = w.shape[first], from[taps] = w.strides[first], to[taps] = w.shape[1 - first];
  shape[taps + 1] = w.shape[1 - first], from[taps + 1] = w.strides[1 - first], to[taps + 1] = 1;
  TensorRef plain{w.data, shape, from, w.rank, w.dtype, w.numel, 0, nullptr};
  MutTensorRef arranged;
  static_cast<TensorRef&>(arranged) = {dst.data, shape, to, w.rank, dst.dtype, w.numel, 0, nullptr};
  arranged.mut = dst.mut;
  if (!back) return kernels::copy(DeviceType::cpu, arranged, plain);
  MutTensorRef target;
  static_cast<TensorRef&>(target) = plain;
  target.mut = const_cast<void*>(w.data);
  kernels::copy(DeviceType::cpu, target, arranged);
}

MutTensorRef memory(void* data, Dtype dtype) {
  MutTensorRef r;
  r.data = r.mut = data;
  r.dtype = dtype;
  return r;
}

// How the rows of a window matrix find their elements. `transposed`: rows are input positions, elements outputs.
struct Windows {
  const ConvProblem& p;
  bool transposed;
  int64_t channels;     // of the gathered tensor
  int64_t group_width;  // channels per group of it

  const int64_t* row_sizes() const { return transposed ? p.in : p.out; }
  const int64_t* sizes() const { return transposed ? p.out : p.in; }
  int64_t rows() const { return p.n * (transposed ? p.in_size() : p.out_size()); }
  int64_t width() const { return p.taps() * group_width; }

  // Position along one axis that row index i sees at tap k, or -1.
  int64_t source(int axis, int64_t i, int64_t k) const {
    if (!transposed) {
      const int64_t at = i * p.stride[axis] + k * p.dilation[axis] - p.lo[axis];
      return at >= 0 && at < p.in[axis] ? at : -1;
    }
    const int64_t at = i + p.lo[axis] - k * p.dilation[axis];
    if (at < 0 || at % p.stride[axis] != 0) return -1;
    return at / p.stride[axis] < p.out[axis] ? at / p.stride[axis] : -1;
  }

  // The windows themselves lie in memory as they are needed.
  bool plain() const { return p.taps() == 1 && p.all(p.stride, 1) && p.all(p.lo, 0) && same_sizes(); }
  bool same_sizes() const {
    for (int i = 0; i < p.axes; ++i)
      if (p.in[i] != p.out[i]) return false;
    return true;
  }

  template <class C> void gather(C* to, const C* from, int64_t group, int64_t first, int64_t count) const {
    const int64_t taps = p.taps();
    const int64_t run = group_width;
    parallel_for(count, std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, taps * run)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = begin; r < end; ++r) {
                     int64_t position[ConvProblem::kMostAxes], rest = first + r;
                     for (int i = p.axes - 1; i >= 0; --i) {
                       position[i] = rest % row_sizes()[i];
                       rest /= row_sizes()[i];
                     }
                     C* row = to + r * taps * run;
                     for (int64_t tap = 0; tap < taps; ++tap, row += run) {
                       int64_t k = tap, at = 0, step = 1;
                       bool inside = true;
                       for (int i = p.axes - 1; i >= 0 && inside; --i) {
                         const int64_t s = source(i, position[i], k % p.kernel[i]);
                         k /= p.kernel[i];
                         inside = s >= 0;
                         at += s * step;
                         step *= sizes()[i];
                       }
                       if (!inside) {
                         std::memset(row, 0, static_cast<size_t>(run) * sizeof(C));
                         continue;
                       }
                       int64_t image = 1;
                       for (int i = 0; i < p.axes; ++i) image *= sizes()[i];
                       std::memcpy(row, from + (rest * image + at) * channels + group * run,
                                   static_cast<size_t>(run) * sizeof(C));
                     }
                   }
                 });
  }
};

constexpr int64_t kChunkElements = 1 << 19;

// out [rows, out_channels] = windows times weights, group by group.
template <class C>
void windows_times_weights(void* out, Dtype out_dtype, int64_t out_channels, const Windows& windows, const C* from,
                           const C* weights, const C* bias) {
  const ConvProblem& p = windows.p;
  const int64_t rows = windows.rows(), width = windows.width(), per_group = out_channels / p.groups;
  const bool direct = windows.plain(), same = out_dtype == dtype_v<C>;
  const int64_t chunk = direct && same ? rows : std::min(rows, std::max<int64_t>(64, kChunkElements / width));
  Scratch gathered(direct ? 0 : static_cast<size_t>(chunk * width) * sizeof(C));
  Scratch wide(same ? 0 : static_cast<size_t>(chunk * out_channels) * sizeof(C));
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t count = std::min(chunk, rows - first);
    C* target = same ? static_cast<C*>(out) + first * out_channels : wide.as<C>();
    for (int64_t group = 0; group < p.groups; ++group) {
      Gemm g;
      g.dtype = dtype_v<C>;
      g.m = count, g.n = per_group, g.k = width;
      if (direct) {
        g.a = from + first * windows.channels + group * windows.group_width;
        g.a_row = windows.channels;
      } else {
        windows.gather(gathered.as<C>(), from, group, first, count);
        g.a = gathered.as();
        g.a_row = width;
      }
      g.a_col = 1;
      g.b = weights + group * width * per_group;
      g.b_row = per_group, g.b_col = 1;
      g.bias = bias ? bias + group * per_group : nullptr;
      g.out = target + group * per_group;
      g.out_row = out_channels;
      gemm(g);
    }
    if (!same) {
      int64_t shape[1] = {count * out_channels}, one[1] = {1};
      MutTensorRef dst;
      static_cast<TensorRef&>(dst) = {nullptr, shape, one, 1, out_dtype, shape[0], 0, nullptr};
      dst.mut = static_cast<char*>(out) + first * out_channels * static_cast<int64_t>(itemsize(out_dtype));
      dst.data = dst.mut;
      kernels::copy(DeviceType::cpu, dst, {wide.as(), shape, one, 1, dtype_v<C>, shape[0], 0, nullptr});
    }
  }
}

// The weights of each group in turn, arranged for a product with windows of c (or, turned around, of o).
template <class C> void arranged_groups(Scratch& to, const TensorRef& w, int64_t groups, bool channels_first) {
  to.reset(static_cast<size_t>(w.numel) * sizeof(C));
  int64_t shape[kMaxRank];
  for (int i = 0; i < w.rank; ++i) shape[i] = w.shape[i];
  shape[0] /= groups;
  TensorRef part = w;
  part.shape = shape;
  part.numel = w.numel / groups;
  for (int64_t i = 0; i < groups; ++i) {
    part.data = static_cast<const char*>(w.data) +
                i * shape[0] * w.strides[0] * static_cast<int64_t>(itemsize(w.dtype));
    arrange_weight(memory(to.as<C>() + i * part.numel, dtype_v<C>), part, channels_first, false);
  }
}

template <class F> void dispatch_compute(Dtype d, const F& f) {
  if (d == Dtype::f64) f.template operator()<double>();
  else f.template operator()<float>();
}

}  // namespace

void forward(void* y, const TensorRef& x, const TensorRef& w, const void* bias, const ConvProblem& p) {
  dispatch_compute(p.dtype, [&]<class C> {
    Scratch features, weights, wide_bias;
    const C* from = static_cast<const C*>(converted(x, dtype_v<C>, features));
    arranged_groups<C>(weights, w, p.groups, true);
    const C* b = static_cast<const C*>(bias);
    if (bias && p.dtype != dtype_v<C>) {
      int64_t shape[3] = {1, p.o, 1}, strides[3] = {p.o, 1, 1};
      b = static_cast<const C*>(converted({bias, shape, strides, 3, p.dtype, p.o, 0, nullptr}, dtype_v<C>, wide_bias));
    }
    windows_times_weights<C>(y, p.dtype, p.o, Windows{p, false, p.c, p.c / p.groups}, from, weights.as<C>(), b);
  });
}

void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p) {
  dispatch_compute(p.dtype, [&]<class C> {
    Scratch features, weights;
    const C* from = static_cast<const C*>(converted(g, dtype_v<C>, features));
    arranged_groups<C>(weights, w, p.groups, false);
    windows_times_weights<C>(x_grad, p.dtype, p.c, Windows{p, true, p.o, p.o / p.groups}, from, weights.as<C>(),
                             nullptr);
  });
}

void weight_grad(void* w_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p) {
  dispatch_compute(p.dtype, [&]<class C> {
    Scratch features, gradients;
    const C* from = static_cast<const C*>(converted(x, dtype_v<C>, features));
    const C* grads = static_cast<const C*>(converted(g, dtype_v<C>, gradients));
    const Windows windows{p, false, p.c, p.c / p.groups};
    const int64_t rows = windows.rows(), width = windows.width(), per_group = p.o / p.groups;
    const bool direct = windows.plain();
    const int64_t chunk = direct ? rows : std::min(rows, std::max<int64_t>(64, kChunkElements / width));
    Scratch gathered(direct ? 0 : static_cast<size_t>(chunk * width) * sizeof(C));
    Scratch sums(static_cast<size_t>(width * p.o) * sizeof(C));
    for (int64_t first = 0; first < rows; first += chunk)
      for (int64_t group = 0; group < p.groups; ++group) {
        Gemm product;
        product.dtype = dtype_v<C>;
        product.m = width, product.n = per_group, product.k = std::min(chunk, rows - first);
        if (direct) {
          product.a = from + first * p.c + group * windows.group_width;
          product.a_col = p.c;
        } else {
          windows.gather(gathered.as<C>(), from, group, first, product.k);
          product.a = gathered.as();
          product.a_col = width;
        }
        product.a_row = 1;
        product.b = grads + first * p.o + group * per_group;
        product.b_row = p.o, product.b_col = 1;
        product.out = sums.as<C>() + group * width * per_group;
        product.out_row = per_group;
        product.accumulate = first > 0;
        gemm(product);
      }
    // [taps, c, o] of each group back to [o, c, taps].
    int64_t shape[kMaxRank], strides[kMaxRank], step = 1;
    shape[0] = per_group, shape[1] = p.c / p.groups;
    for (int i = 0; i < p.axes; ++i) shape[i + 2] = p.kernel[i];
    for (int i = p.axes + 1; i >= 0; --i) strides[i] = step, step *= shape[i];
    for (int64_t group = 0; group < p.groups; ++group) {
      const char* target = static_cast<char*>(w_grad) + group * step * static_cast<int64_t>(itemsize(p.dtype));
      arrange_weight(memory(sums.as<C>() + group * step, dtype_v<C>),
                     {target, shape, strides, p.axes + 2, p.dtype, step, 0, nullptr}, true, true);
    }
  });
}

}  // namespace weft::cpu::native
