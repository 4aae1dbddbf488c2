// Convolution and its gradients: as one product of matrices where the windows lie in memory as they are (1x1, stride
// 1), by own kernels else. Results do not depend on timing.
#pragma once

#include <algorithm>

#include "weft/backends/cuda/conv_direct.cuh"
#include "weft/backends/cuda/conv_few.cuh"
#include "weft/backends/cuda/conv_gemm.cuh"
#include "weft/backends/cuda/conv_narrow.cuh"
#include "weft/backends/cuda/gemm.h"
#include "weft/core/backend.h"
#include "weft/core/dense_copy.h"

namespace weft::cuda {

/// Calls f.operator()<T, How>().
template <class F> void dispatch_arithmetic(Dtype d, F&& f) {
  dispatch_floating(d, "conv", [&]<class T> {
    if constexpr (is_half_v<T>) return f.template operator()<T, Arithmetic::halves>();
    else {
      if constexpr (std::is_same_v<T, float>)
        if (tf32_allowed()) return f.template operator()<T, Arithmetic::tf32>();
      f.template operator()<T, Arithmetic::fma>();
    }
  });
}

/// Calls f.operator()<T>() for f32 and f64.
template <class F> void dispatch_wide(Dtype d, const F& f) {
  d == Dtype::f64 ? f.template operator()<double>() : f.template operator()<float>();
}

/// Bytes that are copied at once of an image with so many channels in a group; what fills fewer units is not multiplied.
inline int unit_of(const ConvGeometry& p, int64_t channels, Dtype d) {
  return itemsize(d) == 2 && channels <= 4 && p.axes <= 2 ? 8 : 16;
}

/// Axes of a tensor, from the outermost to the innermost of the memory that is wanted.
struct AxisOrder {
  int64_t shape[kMaxRank], strides[kMaxRank];
  int rank = 0;
  void add(int64_t size, int64_t stride) { shape[rank] = size, strides[rank++] = stride; }
  /// The spatial axes of t.
  void add_spatial(const TensorRef& t) {
    for (int i = 2; i < t.rank; ++i) add(t.shape[i], t.strides[i]);
  }
};

struct ZeroWords {
  uint64_t* words;
  __device__ void operator()(uint32_t i) const { words[i] = 0; }
};

/// Numbers in dense memory, the innermost axis rounded up to whole units by zeros.
struct Packed {
  const void* data;
  int64_t inner, units;  // of the innermost axis: numbers, units
};
inline Packed packed(const TensorRef& t, const AxisOrder& axes, int unit, Scratch& scratch) {
  const auto item = static_cast<int64_t>(itemsize(t.dtype));
  const int64_t inner = axes.shape[axes.rank - 1], padded = fn::round_up(inner * item, unit) / item;
  const TensorRef seen = seen_as(t, axes.shape, axes.strides, axes.rank);
  int64_t to[kMaxRank], step = padded;
  to[axes.rank - 1] = 1;
  for (int i = axes.rank - 2; i >= 0; --i) to[i] = step, step *= axes.shape[i];
  Packed r{t.data, padded, padded * item / unit};
  if (padded == inner && has_strides(seen, to) &&
      reinterpret_cast<uintptr_t>(t.data) % static_cast<unsigned>(unit) == 0)
    return r;
  scratch.reset(static_cast<size_t>(step * item));
  if (padded != inner) {
    const int64_t words = step * item / 8, most = int64_t{1} << 30;  // a unit is whole words
    for (int64_t first = 0; first < words; first += most)
      for_each_narrow<ZeroWords>(std::min(words - first, most), {scratch.as<uint64_t>() + first});
  }
  move(mut_ref(scratch.as(), t.dtype, axes.shape, to, axes.rank), seen);
  r.data = scratch.as();
  return r;
}
/// [n, spatial, group, channel].
inline Packed packed_image(const TensorRef& t, int64_t groups, int unit, Scratch& scratch) {
  AxisOrder axes;
  const int64_t channels = t.shape[1] / groups;
  axes.add(t.shape[0], t.strides[0]);
  axes.add_spatial(t);
  axes.add(groups, t.strides[1] * channels);
  axes.add(channels, t.strides[1]);
  return packed(t, axes, unit, scratch);
}
/// [o, taps, c], or (`back`) [group, c, taps, o of the group].
inline Packed packed_weight(const TensorRef& w, int64_t groups, bool back, int unit, Scratch& scratch) {
  AxisOrder axes;
  const int64_t group_o = w.shape[0] / groups;
  if (back) {
    axes.add(groups, w.strides[0] * group_o);
    axes.add(w.shape[1], w.strides[1]);
  } else {
    axes.add(w.shape[0], w.strides[0]);
  }
  axes.add_spatial(w);
  if (back) axes.add(group_o, w.strides[0]);
  else axes.add(w.shape[1], w.strides[1]);
  return packed(w, axes, unit, scratch);
}
/// [group, taps, c, o of the group], or (`back`) [group, taps, o of the group, c].
inline Packed packed_narrow(const TensorRef& w, int64_t groups, bool back, Scratch& scratch) {
  AxisOrder axes;
  const int64_t group_o = w.shape[0] / groups;
  axes.add(groups, w.strides[0] * group_o);
  axes.add_spatial(w);
  if (!back) axes.add(w.shape[1], w.strides[1]);
  axes.add(group_o, w.strides[0]);
  if (back) axes.add(w.shape[1], w.strides[1]);
  return packed(w, axes, 32, scratch);
}
/// [taps, o] of a depthwise convolution's.
inline Packed packed_depthwise(const TensorRef& w, Scratch& scratch) {
  AxisOrder axes;
  axes.add_spatial(w);
  axes.add(w.shape[0], w.strides[0]);
  return packed(w, axes, static_cast<int>(itemsize(w.dtype)), scratch);
}

/// out[i] = sum of parts [i].
template <class T> struct SumParts {
  T* out;
  const compute_t<T>* sums;
  int64_t part, parts;
  __device__ void operator()(uint32_t number) const {
    compute_t<T> sum = sums[number];
    for (int64_t k = 1; k < parts; ++k) sum += sums[k * part + number];
    out[number] = static_cast<T>(sum);
  }
};

/// out, at the positions of w's rows: windows of `images` images times weights (+ bias). `whole`: these are all of out.
/// Parts of k add up in f32, too, not in halves.
template <class T, Arithmetic How, int Unit>
void windows_times_weights(T* out, int64_t out_channels, int64_t groups, const Packed& source, const Packed& weights,
                           const void* bias, const Windows& w, int64_t images, int64_t all_taps, bool whole,
                           const ConvPlan& plan) {
  using C = compute_t<T>;
  const int64_t k = w.tap_count() * source.units;
  WEFT_CHECK(out_channels * all_taps * source.units < int64_t{1} << 31, NotSupported,
             "conv: a weight takes 16 GiB or more");
  ConvProduct p{};
  p.windows = w;
  p.b = weights.data, p.bias = bias;
  p.n = static_cast<int32_t>(out_channels / groups);
  p.units = divisor_of(source.units);
  p.taps = static_cast<uint32_t>(w.tap_count()), p.all_taps = static_cast<uint32_t>(all_taps);
  p.stages = static_cast<int32_t>(ceil_div(k * Unit, 64));
  p.out_pitch = out_channels, p.out_group = p.n;
  const int64_t most = w.images_at_once(images, plan.images);
  for (int64_t first = 0; first < images; first += most) {
    const int64_t count = images - first < most ? images - first : most, elements = count * w.to_image * out_channels;
    T* const to = out + first * w.to_image * out_channels;
    p.m = p.rows = static_cast<int32_t>(count * w.image_rows());
    p.a = static_cast<const char*>(source.data) + first * w.image * Unit;
    p.out = to;
    const auto aligned = [&](int64_t item) { return p.n * item % 16 == 0; };
    const ConvPlan chosen = choose_plan<T, Unit, true>(plan, p, groups,
                                                       whole && elements < int64_t{1} << 31 && aligned(sizeof(C)));
    p.parts = chosen.parts > 1;
    p.aligned = aligned(sizeof(T)) && reinterpret_cast<uintptr_t>(to) % 16 == 0;
    Scratch sums(p.parts ? static_cast<size_t>(chosen.parts * elements) * sizeof(C) : 0);
    if (p.parts) p.out = sums.as(), p.out_part = elements;
    start_product<T, How, Unit, true>(p, groups, chosen);
    if (p.parts) for_each_narrow<SumParts<T>>(elements, {to, sums.as<C>(), elements, chosen.parts});
  }
}
template <class T, Arithmetic How>
void by_unit(int unit, T* out, int64_t out_channels, int64_t groups, const Packed& source, const Packed& weights,
             const void* bias, const Windows& w, int64_t images, int64_t all_taps, bool whole, const ConvPlan& plan) {
  const Windows turned = innermost_last(w);
  const bool few = !plan.m && few_windows_gain(dtype_of<T>::value, out_channels / groups, turned, source.units, unit,
                                               images * groups);
  const auto run = [&]<int Unit> {
    if (few)
      few_windows_times_weights<T, Unit / static_cast<int>(sizeof(T))>(out, out_channels, groups, source.data,
                                                                       weights.data, bias, source.units, turned, images,
                                                                       all_taps, plan.images);
    else
      windows_times_weights<T, How, Unit>(out, out_channels, groups, source, weights, bias, w, images, all_taps, whole,
                                          plan);
  };
  if constexpr (is_half_v<T>)
    if (unit == 8) return run.template operator()<8>();
  run.template operator()<16>();
}

/// out [m, n] = a b of one group, as the library does it.
inline Gemm matrix_product(void* out, int64_t m, int64_t n, int64_t k, Dtype dtype) {
  Gemm g;
  g.m = m, g.n = n, g.k = k;
  g.out = out, g.out_row = n;
  g.dtype = g.out_dtype = dtype;
  return g;
}
inline void add_bias(Gemm& g, const void* bias) {
  g.bias = bias;
  if (bias) g.epilogue = Epilogue::bias;
}

/// Channels that are read at once where every channel has its own filter.
template <class T, class F> void dispatch_width(bool same, int64_t channels, const void* x, const void* y, F&& f) {
  constexpr int V = sizeof(T) < 8 ? 16 / static_cast<int>(sizeof(T)) : 1;  // two of f64 would spill
  const bool wide = same && channels % V == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0 &&
                    reinterpret_cast<uintptr_t>(y) % 16 == 0;
  if (wide) f.template operator()<V>();
  else f.template operator()<1>();
}

/// Calls f(windows) for every set of input positions whose gradient has the same taps.
template <class F> void for_each_phase(const ConvGeometry& p, int64_t pixel_units, F&& f) {
  int64_t first[3];
  const auto end = [&](int axis) { return std::min(p.stride[axis], p.in[axis]); };
  for (first[0] = 0; first[0] < end(0); ++first[0])
    for (first[1] = 0; first[1] < end(1); ++first[1])
      for (first[2] = 0; first[2] < end(2); ++first[2]) f(Windows::of_gradient(p, first, pixel_units));
}

inline void conv(const MutTensorRef& y, const TensorRef& x, const TensorRef& w, const TensorRef& bias,
                 const ConvParams& params, const ConvPlan& plan = {}) {
  const ConvGeometry p(x, w, y, params);
  const Dtype dtype = y.dtype;
  Scratch features, weights, vector;
  const void* b = dense_contiguous(bias, dtype, vector, move);
  const int item = static_cast<int>(itemsize(dtype));
  if (p.depthwise()) {
    const void *from = packed_image(x, 1, item, features).data, *f = packed_depthwise(w, weights).data;
    dispatch_floating(dtype, "conv", [&]<class T> {
      dispatch_width<T>(p.o == p.c, p.c, from, y.data, [&]<int V> {
        depthwise_as<T, V>(y.as_mut<T>(), p.o, static_cast<const T*>(from), static_cast<const T*>(f),
                           static_cast<const T*>(b), Windows::of_input(p, p.c / V), p.n, p.o / p.c, 1, plan.images);
      });
    });
    return;
  }
  if (p.plain() && p.groups == 1 && !plan.m) {
    Gemm g = matrix_product(y.mut, p.n * p.out_size(), p.o, p.c, dtype);
    g.a = packed_image(x, 1, item, features).data, g.a_row = p.c;
    g.b = packed_weight(w, 1, false, item, weights).data, g.b_row = 1, g.b_col = p.c;
    add_bias(g, b);
    return gemm(g);
  }
  if (const Windows windows = innermost_last(Windows::of_input(p, p.c));
      !plan.m && narrow_windows_gain(dtype, p.group_o(), p.group_c(), windows)) {
    const void *from = packed_image(x, 1, item, features).data, *f = packed_narrow(w, p.groups, false, weights).data;
    return dispatch_wide(dtype, [&]<class T> {
      narrow_windows_times_weights<T>(y.as_mut<T>(), p.o, p.groups, from, f, b, p.group_c(), windows, p.n, p.taps(),
                                      plan.images);
    });
  }
  const int unit = unit_of(p, p.group_c(), dtype);
  const Packed from = packed_image(x, p.groups, unit, features), f = packed_weight(w, p.groups, false, unit, weights);
  dispatch_arithmetic(dtype, [&]<class T, Arithmetic How> {
    by_unit<T, How>(unit, y.as_mut<T>(), p.o, p.groups, from, f, b, Windows::of_input(p, p.groups * from.units), p.n,
                    p.taps(), true, plan);
  });
}

inline void conv_input_grad(const MutTensorRef& x_grad, const TensorRef& g, const TensorRef& w, const TensorRef& bias,
                            const ConvParams& params, const ConvPlan& plan = {}) {
  const ConvGeometry p(x_grad, w, g, params);
  const Dtype dtype = x_grad.dtype;
  Scratch gradients, weights, vector;
  const void* b = dense_contiguous(bias, dtype, vector, move);
  const int item = static_cast<int>(itemsize(dtype));
  if (p.depthwise()) {
    const void *from = packed_image(g, 1, item, gradients).data, *f = packed_depthwise(w, weights).data;
    dispatch_floating(dtype, "conv", [&]<class T> {
      dispatch_width<T>(p.o == p.c, p.c, from, x_grad.data, [&]<int V> {
        for_each_phase(p, p.o / V, [&](const Windows& windows) {
          depthwise_as<T, V>(x_grad.as_mut<T>(), p.c, static_cast<const T*>(from), static_cast<const T*>(f),
                             static_cast<const T*>(b), windows, p.n, 1, p.o / p.c, plan.images);
        });
      });
    });
    return;
  }
  if (p.plain() && p.groups == 1 && !plan.m) {
    Gemm product = matrix_product(x_grad.mut, p.n * p.in_size(), p.c, p.o, dtype);
    product.a = packed_image(g, 1, item, gradients).data, product.a_row = p.o;
    product.b = packed_weight(w, 1, false, item, weights).data, product.b_row = p.c;
    add_bias(product, b);
    return gemm(product);
  }
  const int64_t corner[3] = {};
  if (!plan.m &&
      narrow_windows_gain(dtype, p.group_c(), p.group_o(), innermost_last(Windows::of_gradient(p, corner, p.o)))) {
    const void *from = packed_image(g, 1, item, gradients).data, *f = packed_narrow(w, p.groups, true, weights).data;
    return dispatch_wide(dtype, [&]<class T> {
      for_each_phase(p, p.o, [&](const Windows& windows) {
        narrow_windows_times_weights<T>(x_grad.as_mut<T>(), p.c, p.groups, from, f, b, p.group_o(),
                                        innermost_last(windows), p.n, p.taps(), plan.images);
      });
    });
  }
  const int unit = unit_of(p, p.group_o(), dtype);
  const Packed from = packed_image(g, p.groups, unit, gradients), f = packed_weight(w, p.groups, true, unit, weights);
  dispatch_arithmetic(dtype, [&]<class T, Arithmetic How> {
    for_each_phase(p, p.groups * from.units, [&](const Windows& windows) {
      by_unit<T, How>(unit, x_grad.as_mut<T>(), p.c, p.groups, from, f, b, windows, p.n, p.taps(), p.unit_stride(),
                      plan);
    });
  });
}

/// out [o, c, taps] = sums over parts of [part, o, tap, c], whose c is padded.
template <class T> struct StoreWeightGrad {
  T* out;
  const compute_t<T>* sums;
  int64_t part, parts, padded;
  fn::FastDivisor taps, channels;
  __device__ void operator()(uint32_t number) const {
    uint32_t o = number;
    const int64_t tap = fn::take_digit(o, taps), c = fn::take_digit(o, channels);
    const auto* from = sums + (int64_t{o} * taps.divisor + tap) * padded + c;
    compute_t<T> sum = from[0];
    for (int64_t k = 1; k < parts; ++k) sum += from[k * part];
    out[number] = static_cast<T>(sum);
  }
};
template <class T>
void store_weight_grad(T* w_grad, const compute_t<T>* sums, int64_t part, int64_t parts, int64_t padded,
                       const ConvGeometry& p) {
  for_each_narrow<StoreWeightGrad<T>>(
      p.o * p.taps() * p.group_c(), {w_grad, sums, part, parts, padded, divisor_of(p.taps()), divisor_of(p.group_c())});
}

template <class T, Arithmetic How, int Unit>
void sum_weight_grad(T* w_grad, const Packed& x, const Packed& g, const ConvGeometry& geometry, const ConvPlan& wish) {
  using C = compute_t<T>;
  const int64_t groups = geometry.groups;
  ConvProduct p{};
  p.windows = Windows::of_input(geometry, groups * x.units);
  p.m = static_cast<int32_t>(geometry.group_o()), p.n = static_cast<int32_t>(geometry.taps() * x.inner);
  p.units = divisor_of(x.units);
  p.taps = static_cast<uint32_t>(geometry.taps());
  p.a_units = static_cast<uint32_t>(g.units), p.a_pitch = static_cast<uint32_t>(groups * g.units);
  p.out_pitch = p.n, p.out_group = int64_t{p.m} * p.n, p.out_part = groups * p.out_group;
  p.parts = p.aligned = true;
  const auto set_images = [&](int64_t images) {
    p.rows = static_cast<int32_t>(images * p.windows.image_rows());
    p.stages = ceil_div(p.rows, static_cast<int32_t>(64 / sizeof(T)));
  };
  const int64_t most = p.windows.images_at_once(geometry.n, wish.images, groups * g.units);
  set_images(most);
  const ConvPlan plan = choose_plan<T, Unit, false>(wish, p, groups, true);
  const int64_t turns = geometry.n > most ? ceil_div(geometry.n, most) : 1;
  Scratch sums(static_cast<size_t>(turns * plan.parts * p.out_part) * sizeof(C));
  for (int64_t turn = 0; turn < turns; ++turn) {
    const int64_t first = turn * most, left = geometry.n - first;
    set_images(left < most ? left : most);
    p.a = static_cast<const char*>(g.data) + first * p.windows.image_rows() * p.a_pitch * 16;
    p.b = static_cast<const char*>(x.data) + first * p.windows.image * Unit;
    p.out = sums.as<C>() + turn * plan.parts * p.out_part;
    start_product<T, How, Unit, false>(p, groups, plan);
  }
  store_weight_grad(w_grad, sums.as<C>(), p.out_part, turns * plan.parts, x.inner, geometry);
}

/// The same of few channels a group, whose g is not padded.
template <class T, int Unit>
void sum_few_weight_grad(T* w_grad, const Packed& x, const Packed& g, const ConvGeometry& geometry, int64_t wish) {
  using C = compute_t<T>;
  constexpr int V = Unit / static_cast<int>(sizeof(T));
  const int64_t groups = geometry.groups, taps = geometry.taps(), columns = groups * taps * x.units,
                part = geometry.o * taps * x.inner;
  const Windows w = innermost_last(Windows::of_input(geometry, groups * x.units));
  const int64_t most = w.images_at_once(geometry.n, wish), turns = std::max<int64_t>(ceil_div(geometry.n, most), 1),
                per_line = ceil_div(int64_t{w.rows[2].divisor}, kFewSegment),
                image_segments = int64_t{w.rows[0].divisor} * w.rows[1].divisor * per_line,
                segments = std::max<int64_t>(std::min(most, geometry.n) * image_segments, 1),
                wanted = ceil_div(int64_t{multiprocessors()} * 8 * kBlock,
                                  std::max<int64_t>(columns, 1)),  // 8 blocks on each
      per_part = ceil_div(segments, std::min(wanted, segments)), parts = ceil_div(segments, per_part);
  Scratch sums(static_cast<size_t>(turns * parts * part) * sizeof(C));
  for (int64_t turn = 0; turn < turns; ++turn) {
    const int64_t first = turn * most, images = std::min(geometry.n - first, most);
    dispatch_few(geometry.group_o(), [&]<int R> {
      for_each_narrow(
          parts * columns,
          FewWeightGrad<T, V, R>{w, static_cast<const T*>(x.data) + first * w.image * V,
                                 static_cast<const T*>(g.data) + first * w.image_rows() * geometry.o,
                                 sums.as<C>() + turn * parts * part, divisor_of(x.units), divisor_of(taps),
                                 divisor_of(groups), divisor_of(per_line),
                                 static_cast<uint32_t>(images * image_segments), static_cast<uint32_t>(per_part),
                                 static_cast<uint32_t>(geometry.o), static_cast<int32_t>(geometry.group_o())});
    });
  }
  store_weight_grad(w_grad, sums.as<C>(), part, turns * parts, x.inner, geometry);
}

inline void conv_weight_grad(const MutTensorRef& w_grad, const MutTensorRef& bias_grad, const TensorRef& x,
                             const TensorRef& g, const ConvParams& params, const ConvPlan& plan = {}) {
  const ConvGeometry p(x, w_grad, g, params);
  const Dtype dtype = w_grad.dtype;
  const int item = static_cast<int>(itemsize(dtype));
  const bool depthwise = p.depthwise(), plain = p.plain() && p.groups == 1 && !plan.m;
  Scratch features, gradients;
  const int64_t groups = depthwise ? 1 : p.groups;
  const int unit = unit_of(p, p.group_c(), dtype);
  const bool few = !depthwise && !plain && !plan.m &&
                   few_weight_grad_gains(dtype, p.group_o(), p.taps(), ceil_div(p.group_c() * item, unit), unit);
  const Packed grads = packed_image(g, groups, depthwise || plain || few ? item : 16, gradients);
  if (bias_grad.defined())
    dispatch_floating(dtype, "conv", [&]<class T> {
      const int64_t pitch = groups * grads.inner, at_once = Windows::of_input(p, 1).images_at_once(p.n, plan.images);
      sum_rows(bias_grad.as_mut<T>(), p.o, 1, p.n, p.out_size(), at_once, [&](int64_t first) {
        return GradientTerm<T>{static_cast<const T*>(grads.data) + first * p.out_size() * pitch,
                               static_cast<uint32_t>(p.o / groups), static_cast<uint32_t>(grads.inner),
                               static_cast<uint32_t>(pitch)};
      });
    });
  if (depthwise) {
    const void* from = packed_image(x, 1, item, features).data;
    dispatch_floating(dtype, "conv", [&]<class T> {
      const Windows w = Windows::of_input(p, p.c);
      sum_rows(w_grad.as_mut<T>(), p.o, p.taps(), p.n, p.out_size(), w.images_at_once(p.n, plan.images),
               [&](int64_t first) {
                 return DepthwiseTerm<T>{static_cast<const T*>(from) + first * w.image,
                                         static_cast<const T*>(grads.data) + first * p.out_size() * p.o, w,
                                         static_cast<uint32_t>(p.o), static_cast<uint32_t>(p.o / p.c)};
               });
    });
    return;
  }
  if (plain) {
    Gemm product = matrix_product(w_grad.mut, p.o, p.c, p.n * p.out_size(), dtype);
    product.a = grads.data, product.a_row = 1, product.a_col = p.o;
    product.b = packed_image(x, 1, item, features).data, product.b_row = p.c;
    return gemm(product);
  }
  const Packed from = packed_image(x, p.groups, unit, features);
  dispatch_arithmetic(dtype, [&]<class T, Arithmetic How> {
    const auto run = [&]<int Unit> {
      if (few) sum_few_weight_grad<T, Unit>(w_grad.as_mut<T>(), from, grads, p, plan.images);
      else sum_weight_grad<T, How, Unit>(w_grad.as_mut<T>(), from, grads, p, plan);
    };
    if constexpr (is_half_v<T>)
      if (unit == 8) return run.template operator()<8>();
    run.template operator()<16>();
  });
}

}  // namespace weft::cuda
