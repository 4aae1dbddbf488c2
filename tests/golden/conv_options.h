// Options of convolution layers from a case's arguments.
#pragma once

#include "golden/modules.h"
#include "golden/words.h"
#include "weft/nn/conv.h"

namespace golden {

/// One number or exactly D of them: a list of one cannot be told from a number in C++, here it is refused.
template <int D> Dims<D> conv_dims(const Args& a, const std::string& name, std::optional<Dims<D>> otherwise = {}) {
  const Value& v = a.value(name);
  if (v.is_list() && v.list.size() != D)
    throw weft::ValueError(name + ": expected " + std::to_string(D) + " entries, got " + v.text());
  return a.dims<D>(name, otherwise);
}

template <int D> weft::nn::Padding<D> conv_padding(const Args& a) {
  const Value& v = a.value("padding");
  if (v.is_string()) return weft::nn::Padding<D>(v.string);
  weft::nn::Padding<D> p(0);
  if (!is_pairs(v)) return weft::nn::Padding<D>(conv_dims<D>(a, "padding", Dims<D>(0)));
  read_pairs<D>(v, p.lo, p.hi);
  return p;
}

/// The options that all of them have.
template <int D, class O> O conv_options(const Args& a) {
  O o{.kernel_size = conv_dims<D>(a, "kernel_size")};
  o.stride = conv_dims<D>(a, "stride", Dims<D>(1));
  o.padding = conv_padding<D>(a);
  o.dilation = conv_dims<D>(a, "dilation", Dims<D>(1));
  o.groups = a.integer("groups", 1);
  o.bias = a.boolean("bias", true);
  o.padding_mode = a.word("padding_mode", "zeros");
  return o;
}

template <int D> weft::nn::ConvTransposeOptions<D> transpose_options(const Args& a) {
  auto o = conv_options<D, weft::nn::ConvTransposeOptions<D>>(a);
  o.output_padding = conv_dims<D>(a, "output_padding", Dims<D>(0));
  return o;
}

/// A layer that is called with output_size.
template <class M> Built transposed_layer(M m) {
  return {m, [m](const std::vector<Tensor>& x, const Args& call) mutable {
            return std::vector<Tensor>{m(x.at(0), call.opt_ints("output_size"))};
          }};
}

}  // namespace golden
