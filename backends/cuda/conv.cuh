// Convolution as products: windows are gathered a chunk of rows at a time and multiplied by the weights; where the
// windows lie in memory already (1x1, stride 1) the features are multiplied as they are. Results do not depend on
// timing.
#pragma once

#include "weft/backends/cuda/conv_kernels.cuh"
#include "weft/backends/cuda/gemm.cuh"

namespace weft::cuda {

/// Elements of a chunk of columns: large enough to fill the card, small beside the features of a deep network.
inline constexpr int64_t kColumnElements = int64_t{1} << 25;

/// t in channels-last order: its own memory if it is stored so, else a copy.
inline const void* channels_last(const TensorRef& t, Scratch& scratch) {
  return dense_channels_last(t, t.dtype, scratch, move);
}
inline const void* contiguous(const TensorRef& t, Scratch& scratch) {
  return dense_contiguous(t, t.dtype, scratch, move);
}

/// Orders of the weight [o, c of a group, taps...] in memory.
enum class WeightOrder { o_taps_c, group_taps_o_c, taps_o };

inline const void* arranged_weight(const TensorRef& w, int64_t groups, WeightOrder order, Scratch& scratch) {
  // seen as [groups, o of a group, c, taps...]
  int64_t shape[kMaxRank + 1], from[kMaxRank + 1], to[kMaxRank + 1], taps = 1;
  shape[0] = groups, shape[1] = w.shape[0] / groups, shape[2] = w.shape[1];
  from[0] = w.strides[0] * shape[1], from[1] = w.strides[0], from[2] = w.strides[1];
  for (int i = 2; i < w.rank; ++i) shape[i + 1] = w.shape[i], from[i + 1] = w.strides[i], taps *= w.shape[i];
  const int64_t group_o = shape[1], c = shape[2];
  int64_t step = order == WeightOrder::o_taps_c ? c : order == WeightOrder::group_taps_o_c ? group_o * c : w.shape[0];
  for (int i = w.rank; i >= 3; --i) to[i] = step, step *= shape[i];
  if (order == WeightOrder::o_taps_c) to[0] = group_o * taps * c, to[1] = taps * c, to[2] = 1;
  else if (order == WeightOrder::group_taps_o_c) to[0] = taps * group_o * c, to[1] = c, to[2] = 1;
  else to[0] = group_o, to[1] = 1, to[2] = 1;  // c is 1
  return dense(seen_as(w, shape, from, w.rank + 1), to, w.dtype, scratch, move);
}

inline const char* element(const void* p, int64_t at, Dtype d) {
  return static_cast<const char*>(p) + at * static_cast<int64_t>(itemsize(d));
}
inline char* element(void* p, int64_t at, Dtype d) {
  return static_cast<char*>(p) + at * static_cast<int64_t>(itemsize(d));
}

/// out[row, channel] += bias[channel].
inline void add_bias(void* out, const void* bias, int64_t rows, int64_t channels, Dtype dtype) {
  Gemm g;
  g.m = rows, g.n = channels, g.out = out, g.out_row = channels, g.bias = bias, g.out_dtype = dtype;
  g.epilogue = Epilogue::bias;
  finish(g);
}

/// Weights as [groups, taps * channels, out channels of a group].
struct WeightView {
  const void* data;
  int64_t row, col, group;  // strides
};
/// out [rows, out_channels] = windows of `source` times weights.
inline void windows_times_weights(void* out, int64_t out_channels, const void* source, int64_t rows, const Windows& w,
                                  bool plain, const WeightView& weights, const void* bias, Dtype dtype,
                                  int64_t column_elements) {
  const int64_t group_width = w.width() / w.groups, group_out = out_channels / w.groups;
  const int64_t most = column_elements / w.width(), chunk = plain || rows <= most ? rows : most < 1 ? 1 : most;
  Scratch columns(plain ? 0 : static_cast<size_t>(chunk * w.width()) * itemsize(dtype));
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t count = rows - first < chunk ? rows - first : chunk;
    if (!plain) gather_windows(columns.as(), source, dtype, w, first, count);
    Gemm g;
    g.batch = w.groups, g.m = count, g.n = group_out, g.k = group_width;
    g.a = plain ? source : columns.as();
    g.a_row = w.width(), g.a_batch = group_width;
    g.b = weights.data, g.b_row = weights.row, g.b_col = weights.col, g.b_batch = weights.group;
    g.out = element(out, first * out_channels, dtype), g.out_row = out_channels, g.out_batch = group_out;
    g.dtype = g.out_dtype = dtype;
    if (bias && w.groups == 1) {
      g.bias = bias;
      g.epilogue = Epilogue::bias;
    }
    gemm(g);
  }
  if (bias && w.groups > 1) add_bias(out, bias, rows, out_channels, dtype);
}

inline void conv(const MutTensorRef& y, const TensorRef& x, const TensorRef& w, const TensorRef& bias,
                 const ConvParams& params, int64_t column_elements = kColumnElements) {
  const ConvGeometry p(x, w, y, params);
  Scratch features, weights, vector;
  const void* from = channels_last(x, features);
  const void* b = contiguous(bias, vector);
  if (p.depthwise()) {
    const void* arranged = arranged_weight(w, p.groups, WeightOrder::taps_o, weights);
    dispatch_floating(y.dtype, "conv", [&]<class T> {
      for_each_number(y.numel, DepthwiseForward<T>{y.as_mut<T>(), static_cast<const T*>(from),
                                                   static_cast<const T*>(arranged), static_cast<const T*>(b), p});
    });
    return;
  }
  const int64_t width = p.taps() * p.group_c();
  const WeightView view{arranged_weight(w, p.groups, WeightOrder::o_taps_c, weights), 1, width, p.group_o() * width};
  windows_times_weights(y.mut, p.o, from, p.n * p.out_size(), Windows::of_input(p), p.plain(), view, b, y.dtype,
                        column_elements);
}

/// Columns of whole images by a product, spread over the inputs that they came from: no multiplication by the zeros
/// that a stride puts between gradients.
inline void spread_input_grad(void* x_grad, const void* g, const void* weights, const ConvGeometry& p, Dtype dtype,
                              int64_t column_elements) {
  const int64_t group_width = p.taps() * p.group_c(), width = group_width * p.groups, image = p.out_size() * width;
  const int64_t most = column_elements / image, images = most < 1 ? 1 : most < p.n ? most : p.n;
  const Dtype wide = compute_dtype(dtype);
  Scratch columns(static_cast<size_t>(images * image) * itemsize(wide));
  for (int64_t first = 0; first < p.n; first += images) {
    const int64_t count = p.n - first < images ? p.n - first : images;
    Gemm product;
    product.batch = p.groups, product.m = count * p.out_size(), product.n = group_width, product.k = p.group_o();
    product.a = element(g, first * p.out_size() * p.o, dtype), product.a_row = p.o, product.a_batch = p.group_o();
    product.b = weights, product.b_row = group_width, product.b_batch = p.group_o() * group_width;
    product.out = columns.as(), product.out_row = width, product.out_batch = group_width;
    product.dtype = dtype, product.out_dtype = wide;
    gemm(product);
    dispatch_floating(dtype, "conv", [&]<class T> {
      T* to = static_cast<T*>(x_grad) + first * p.in_size() * p.c;
      for_each_number(count * p.in_size() * p.c, SpreadColumns<T>{to, columns.as<compute_t<T>>(), p});
    });
  }
}

inline void conv_input_grad(const MutTensorRef& x_grad, const TensorRef& g, const TensorRef& w, const TensorRef& bias,
                            const ConvParams& params, int64_t column_elements = kColumnElements) {
  const ConvGeometry p(x_grad, w, g, params);
  const Dtype dtype = x_grad.dtype;
  const int64_t rows = p.n * p.in_size(), image_columns = p.out_size() * p.taps() * p.c;
  Scratch gradients, weights, vector;
  const void* from = channels_last(g, gradients);
  const void* b = contiguous(bias, vector);
  if (p.depthwise()) {
    const void* arranged = arranged_weight(w, p.groups, WeightOrder::taps_o, weights);
    dispatch_floating(dtype, "conv", [&]<class T> {
      for_each_number(x_grad.numel, DepthwiseInputGrad<T>{x_grad.as_mut<T>(), static_cast<const T*>(from),
                                                          static_cast<const T*>(arranged), p});
    });
  } else if (!p.unit_stride() && image_columns <= 4 * column_elements) {
    spread_input_grad(x_grad.mut, from, arranged_weight(w, p.groups, WeightOrder::o_taps_c, weights), p, dtype,
                      column_elements);
  } else {
    const void* arranged = arranged_weight(w, p.groups, WeightOrder::group_taps_o_c, weights);
    const WeightView view{arranged, p.group_c(), 1, p.taps() * p.group_o() * p.group_c()};
    return windows_times_weights(x_grad.mut, p.c, from, rows, Windows::of_gradient(p), p.plain(), view, b, dtype,
                                 column_elements);
  }
  if (b) add_bias(x_grad.mut, b, rows, p.c, dtype);
}

inline void conv_weight_grad(const MutTensorRef& w_grad, const MutTensorRef& bias_grad, const TensorRef& x,
                             const TensorRef& g, const ConvParams& params, int64_t column_elements = kColumnElements) {
  const ConvGeometry p(x, w_grad, g, params);
  const Dtype dtype = w_grad.dtype, wide = compute_dtype(dtype);
  const int64_t rows = p.n * p.out_size(), taps = p.taps();
  Scratch features, gradients;
  const void* from = channels_last(x, features);
  const void* grads = channels_last(g, gradients);
  if (bias_grad.defined())
    dispatch_floating(dtype, "conv", [&]<class T> {
      fn::Axes<1> walk;
      walk.append(p.o, {1});
      sum_rows(bias_grad.as_mut<T>(), walk, rows, p.o, GradientTerm<T>{static_cast<const T*>(grads), p.o});
    });
  if (p.depthwise()) {
    dispatch_floating(dtype, "conv", [&]<class T> {
      fn::Axes<1> walk;
      walk.append(taps, {1});
      walk.append(p.o, {taps});
      sum_rows(w_grad.as_mut<T>(), walk, rows, taps * p.o,
               DepthwiseTerm<T>{static_cast<const T*>(from), static_cast<const T*>(grads), p});
    });
    return;
  }
  const Windows w = Windows::of_input(p);
  const bool plain = p.plain(), in_place = taps == 1 && dtype == wide;
  const int64_t width = w.width(), group_width = width / p.groups, most = column_elements / width,
                chunk = plain || rows <= most ? rows
                        : most < 1            ? 1
                                              : most;
  Scratch columns(plain ? 0 : static_cast<size_t>(chunk * width) * itemsize(dtype));
  Scratch sums(in_place ? 0 : static_cast<size_t>(w_grad.numel) * itemsize(wide));
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t count = rows - first < chunk ? rows - first : chunk;
    if (!plain) gather_windows(columns.as(), from, dtype, w, first, count);
    Gemm product;
    product.batch = p.groups, product.m = p.group_o(), product.n = group_width, product.k = count;
    product.a = element(grads, first * p.o, dtype), product.a_row = 1, product.a_col = p.o,
    product.a_batch = p.group_o();
    product.b = plain ? from : columns.as(), product.b_row = width, product.b_batch = group_width;
    product.out = in_place ? w_grad.mut : sums.as(), product.out_row = group_width;
    product.out_batch = p.group_o() * group_width;
    product.dtype = dtype, product.out_dtype = wide;
    product.beta = first > 0 ? 1 : 0;
    gemm(product);
  }
  if (in_place) return;
  dispatch_floating(dtype, "conv", [&]<class T> {
    for_each_number(w_grad.numel, StoreWeightGrad<T>{w_grad.as_mut<T>(), sums.as<compute_t<T>>(), taps, p.group_c()});
  });
}

}  // namespace weft::cuda
