// Options of the schema that functions and modules share.
#pragma once

#include "golden/args.h"
#include "weft/autograd/ops/layer/pool.h"
#include "weft/autograd/ops/layer/resize.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/shape/pad.h"

namespace golden {

/// `reduction`; weft::ValueError for a word that is none, as a library that took words would say it.
inline weft::Reduction reduction(const Args& a) {
  const std::string word = a.word("reduction", "mean");
  if (word == "none") return weft::Reduction::none;
  if (word == "mean") return weft::Reduction::mean;
  if (word == "sum") return weft::Reduction::sum;
  if (word == "batchmean") return weft::Reduction::batchmean;
  throw weft::ValueError("reduction: unknown word " + word);
}

inline weft::PadMode pad_mode(const std::string& word) {
  if (word == "constant") return weft::PadMode::constant;
  if (word == "reflect") return weft::PadMode::reflect;
  if (word == "replicate") return weft::PadMode::replicate;
  if (word == "circular") return weft::PadMode::circular;
  throw weft::ValueError("pad: unknown mode " + word);
}

/// `dim` of a softmax; without it what PyTorch takes (and warns of).
inline int64_t softmax_dim(const Args& a, const weft::Tensor& x) {
  if (a.has("dim")) return a.integer("dim");
  return x.rank() == 0 || x.rank() == 1 || x.rank() == 3 ? 0 : 1;
}

/// A list of one pair per axis?
inline bool is_pairs(const Value& v) { return v.is_list() && !v.list.empty() && v.list.at(0).is_list(); }

/// Both ends of `[[lo, hi], ...]`.
template <int D> void read_pairs(const Value& v, Dims<D>& lo, Dims<D>& hi) {
  if (v.list.size() != D) throw weft::ValueError("padding: expected " + std::to_string(D) + " pairs, got " + v.text());
  for (int i = 0; i < D; ++i) {
    const std::vector<int64_t> pair = v.list.at(static_cast<size_t>(i)).as_ints();
    if (pair.size() != 2) throw weft::ValueError("padding: not a list of pairs: " + v.text());
    lo[i] = pair[0], hi[i] = pair[1];
  }
}

template <int D> void read_pool_padding(const Args& a, Dims<D>& lo, Dims<D>& hi) {
  const Value& v = a.value("padding");
  if (is_pairs(v)) {
    read_pairs<D>(v, lo, hi);
  } else {
    lo = a.dims<D>("padding", Dims<D>(0));
  }
}

template <int D> weft::MaxPoolOptions<D> max_pool_options(const Args& a) {
  weft::MaxPoolOptions<D> o{.kernel_size = a.dims<D>("kernel_size")};
  if (const auto stride = a.opt_dims<D>("stride")) o.stride = *stride;
  read_pool_padding<D>(a, o.padding, o.padding_hi);
  o.dilation = a.dims<D>("dilation", Dims<D>(1));
  o.ceil_mode = a.boolean("ceil_mode", false);
  return o;
}

template <int D> weft::AvgPoolOptions<D> avg_pool_options(const Args& a) {
  weft::AvgPoolOptions<D> o{.kernel_size = a.dims<D>("kernel_size")};
  if (const auto stride = a.opt_dims<D>("stride")) o.stride = *stride;
  read_pool_padding<D>(a, o.padding, o.padding_hi);
  o.ceil_mode = a.boolean("ceil_mode", false);
  o.count_include_pad = a.boolean("count_include_pad", true);
  o.divisor_override = a.opt_integer("divisor_override");
  return o;
}

/// `output_size` of adaptive pooling: one number or one per axis, null keeps an axis.
template <int D> weft::OutputSize<D> output_size(const Args& a) {
  const Value& v = a.value("output_size");
  std::array<std::optional<int64_t>, D> size;
  if (v.is_list() && v.list.size() != 1 && v.list.size() != D)
    throw weft::ValueError("output_size: expected 1 or " + std::to_string(D) + " numbers, got " + v.text());
  for (size_t i = 0; i < D; ++i) {
    const Value& e = !v.is_list() ? v : v.list.size() == 1 ? v.list.at(0) : v.list.at(i);
    if (!e.is_null()) size[i] = e.as_int();
  }
  return weft::OutputSize<D>(size);
}

inline weft::InterpolateOptions interpolate_options(const Args& a) {
  weft::InterpolateOptions o;
  o.size = a.opt_ints("size").value_or(Shape{});
  if (a.has("scale_factor")) {
    const Value& v = a.value("scale_factor");
    std::vector<double> factors;
    if (v.is_list())
      for (const Value& e : v.list) factors.push_back(e.as_double());
    else factors.push_back(v.as_double());
    o.scale_factor = weft::ScaleFactor(factors);
  }
  o.mode = weft::interpolate_mode(a.word("mode", "nearest"));
  o.align_corners = a.opt_boolean("align_corners");
  o.recompute_scale_factor = a.boolean("recompute_scale_factor", false);
  o.antialias = a.boolean("antialias", false);
  return o;
}

}  // namespace golden
