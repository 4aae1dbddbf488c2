#include <cstring>

#include "weft/backends/cpu/conv.h"
#include "weft/backends/cpu/copy.h"
#include "weft/backends/cpu/gemm.h"
#include "weft/core/fn/integer.h"
#include "weft/core/parallel.h"

// All three directions are products of a matrix of gathered windows, made a chunk of rows at a time:
//   forward      windows of x  [n out..., taps c]  times w  [taps c, o]
//   input grad   windows of g  [n in..., taps o]   times w' [taps o, c]   (each input position looks up the outputs it
//   fed) weight grad  windows of x' [taps c, n out...]  times g  [n out..., o]
// The halves are widened to f32 first, and rounded once at the end.
namespace weft::cpu::native {
namespace {

// t converted to `dtype` in channels-last order.
const void* converted(const TensorRef& t, Dtype dtype, Scratch& scratch) {
  return dense_channels_last(t, dtype, scratch, copy_cpu);
}

// The weight [o, c/groups, taps...] as [taps..., first, second], with (first, second) = (c, o) or (o, c).
// `memory` has the arranged one; `back`: it is the source.
void arrange_weight(void* memory, Dtype dtype, const TensorRef& w, bool channels_first, bool back) {
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
  const MutTensorRef arranged = mut_ref(memory, dtype, shape, to, w.rank);
  const MutTensorRef plain = mut_ref(const_cast<void*>(w.data), w.dtype, shape, from, w.rank);
  if (back) copy_cpu(plain, arranged);
  else copy_cpu(arranged, plain);
}

// How the rows of a window matrix find their elements. `transposed`: rows are input positions, elements outputs.
struct Windows {
  const ConvProblem& p;
  bool transposed;
  int64_t channels;     // of the gathered tensor
  int64_t group_width;  // channels per group of it

  const auto& row_sizes() const { return transposed ? p.in : p.out; }
  const auto& sizes() const { return transposed ? p.out : p.in; }
  int64_t rows() const { return p.n * (transposed ? p.in_size() : p.out_size()); }
  int64_t width() const { return p.taps() * group_width; }

  // Position along one axis that row index i sees at tap k, or -1.
  int64_t source(int axis, int64_t i, int64_t k) const {
    return transposed ? p.fed_output(axis, i, k) : p.seen_input(axis, i, k);
  }

  template <class C> void gather(C* to, const C* from, int64_t group, int64_t first, int64_t count) const {
    const int64_t taps = p.taps();
    const int64_t run = group_width;
    parallel_for(count, std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, taps * run)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = begin; r < end; ++r) {
                     int64_t position[ConvProblem::kMostAxes], rest = first + r;
                     for (int i = p.axes - 1; i >= 0; --i) position[i] = fn::take_digit(rest, row_sizes()[i]);
                     C* row = to + r * taps * run;
                     for (int64_t tap = 0; tap < taps; ++tap, row += run) {
                       int64_t k = tap, at = 0, step = 1;
                       bool inside = true;
                       for (int i = p.axes - 1; i >= 0 && inside; --i) {
                         const int64_t s = source(i, position[i], fn::take_digit(k, p.kernel[i]));
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
  const bool direct = p.plain(), same = out_dtype == dtype_v<C>;
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
      const int64_t shape[1] = {count * out_channels}, one[1] = {1};
      void* to = static_cast<char*>(out) + first * out_channels * static_cast<int64_t>(itemsize(out_dtype));
      copy_cpu(mut_ref(to, out_dtype, shape, one, 1), ref(wide.as(), dtype_v<C>, shape, one, 1));
    }
  }
}

// The weights of each group in turn, arranged for a product with windows of c (or, turned around, of o).
template <class C> void arranged_groups(Scratch& to, const TensorRef& w, int64_t groups, bool channels_first) {
  to.reset(static_cast<size_t>(w.numel) * sizeof(C));
  int64_t shape[kMaxRank];
  for (int i = 0; i < w.rank; ++i) shape[i] = w.shape[i];
  shape[0] /= groups;
  for (int64_t i = 0; i < groups; ++i) {
    const TensorRef part = seen_as(w, shape, w.strides, w.rank, i * shape[0] * w.strides[0]);
    arrange_weight(to.as<C>() + i * part.numel, dtype_v<C>, part, channels_first, false);
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
      const int64_t one[1] = {1};
      b = static_cast<const C*>(dense_contiguous(ref(bias, p.dtype, &p.o, one, 1), dtype_v<C>, wide_bias, copy_cpu));
    }
    windows_times_weights<C>(y, p.dtype, p.o, Windows{p, false, p.c, p.group_c()}, from, weights.as<C>(), b);
  });
}

void input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p) {
  dispatch_compute(p.dtype, [&]<class C> {
    Scratch features, weights;
    const C* from = static_cast<const C*>(converted(g, dtype_v<C>, features));
    arranged_groups<C>(weights, w, p.groups, false);
    windows_times_weights<C>(x_grad, p.dtype, p.c, Windows{p, true, p.o, p.group_o()}, from, weights.as<C>(), nullptr);
  });
}

void weight_grad(void* w_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p) {
  dispatch_compute(p.dtype, [&]<class C> {
    Scratch features, gradients;
    const C* from = static_cast<const C*>(converted(x, dtype_v<C>, features));
    const C* grads = static_cast<const C*>(converted(g, dtype_v<C>, gradients));
    const Windows windows{p, false, p.c, p.group_c()};
    const int64_t rows = windows.rows(), width = windows.width(), per_group = p.o / p.groups;
    const bool direct = p.plain();
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
    Shape shape = weight_shape(p);
    shape[0] = per_group;
    const Strides strides = contiguous_strides(shape);
    const TensorRef whole = ref(w_grad, p.dtype, shape.data(), strides.data(), shape.rank());
    for (int64_t group = 0; group < p.groups; ++group)
      arrange_weight(sums.as<C>() + group * whole.numel, dtype_v<C>,
                     seen_as(whole, shape.data(), strides.data(), shape.rank(), group * whole.numel), true, true);
  });
}

}  // namespace weft::cpu::native
