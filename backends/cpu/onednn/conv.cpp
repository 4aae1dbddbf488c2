#include "weft/backends/cpu/conv.h"

#include <bit>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

#include "weft/backends/cpu/conv_policy.h"
#include "weft/backends/cpu/onednn/engine.h"
#include "weft/backends/cpu/packed_weights.h"
#include "weft/core/fork.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::onednn {
namespace {

using desc = dnnl::memory::desc;
using dims = dnnl::memory::dims;
using dnnl::prop_kind;

// What a problem compiles to. `weights` brings the user's weight into the primitive's layout, or back from it.
struct Plan {
  bool supported = false;
  Compiled conv, weights, source, gradient;
  int layout = 0;  // of the packed weights
  size_t weights_bytes = 0, source_bytes = 0, gradient_bytes = 0;
};

Key key_of(char kind, const ConvProblem& p, const TensorRef& w, bool bias) {
  Key key(kind);
  key.add(static_cast<int64_t>(p.dtype))
      .add(num_threads())
      .add(bias)
      .add(p.axes)
      .add(p.n)
      .add(p.c)
      .add(p.o)
      .add(p.groups);
  for (const int64_t* v : {p.in, p.out, p.kernel, p.stride, p.lo, p.hi, p.dilation}) key.add(v, p.axes);
  key.add(w.strides, w.rank);
  return key;
}

struct Descs {
  dims stride, dilation, lo, hi;
  desc x, y, w_user, w_any, bias;

  Descs(const ConvProblem& p, const int64_t* w_strides, std::optional<Dtype> bias_dtype = {}) {
    const auto type = data_type(p.dtype);
    using tag = dnnl::memory::format_tag;
    const tag last = p.axes == 1 ? tag::nwc : p.axes == 2 ? tag::nhwc : tag::ndhwc;
    dims x_dims{p.n, p.c}, y_dims{p.n, p.o}, w_dims, w_steps;
    if (p.groups > 1) {
      w_dims = {p.groups, p.o / p.groups, p.c / p.groups};
      w_steps = {w_strides[0] * (p.o / p.groups), w_strides[0], w_strides[1]};
    } else {
      w_dims = {p.o, p.c};
      w_steps = {w_strides[0], w_strides[1]};
    }
    for (int i = 0; i < p.axes; ++i) {
      x_dims.push_back(p.in[i]), y_dims.push_back(p.out[i]), w_dims.push_back(p.kernel[i]),
          w_steps.push_back(w_strides[i + 2]);
      stride.push_back(p.stride[i]), dilation.push_back(p.dilation[i] - 1), lo.push_back(p.lo[i]),
          hi.push_back(high(p, i));
    }
    x = desc(x_dims, type, last);
    y = desc(y_dims, type, last);
    w_user = desc(w_dims, type, w_steps);
    w_any = desc(w_dims, type, tag::any);
    bias = desc(dims{p.o}, bias_dtype ? data_type(*bias_dtype) : type, tag::a);
  }
  static desc any_of(const desc& d) { return desc(d.get_dims(), d.get_data_type(), dnnl::memory::format_tag::any); }

 private:
  // What the last window needs: trailing elements that none reaches are no padding.
  static int64_t high(const ConvProblem& p, int i) {
    const int64_t needed = (p.out[i] - 1) * p.stride[i] + p.dilation[i] * (p.kernel[i] - 1) + 1 - p.in[i] - p.lo[i];
    return std::max<int64_t>(0, std::min(needed, p.hi[i]));
  }
};

constexpr auto kDirect = dnnl::algorithm::convolution_direct;

dnnl::convolution_forward::primitive_desc forward_desc(const Descs& d, bool bias,
                                                       const dnnl::primitive_attr& attr = attributes()) {
  if (bias)
    return {engine(), prop_kind::forward_training, kDirect, d.x, d.w_any, d.bias, d.y, d.stride, d.dilation, d.lo, d.hi,
            attr};
  return {engine(), prop_kind::forward_training, kDirect, d.x, d.w_any, d.y, d.stride, d.dilation, d.lo, d.hi, attr};
}

// oneDNN's reference loops are slower than products over gathered windows.
template <class Desc> bool is_reference(const Desc& d) { return std::strncmp(d.impl_info_str(), "ref", 3) == 0; }

template <class Make> Plan compiled(const Make& make) {
  try {
    return make();
  } catch (const dnnl::error& e) {
    if (e.status == dnnl_unimplemented || e.status == dnnl_invalid_arguments) return {};
    throw;
  }
}

Lru<Plan>& plans() {
  thread_local Lru<Plan> cache;
  return cache;
}

std::mutex g_layouts_mutex;

// The same number for the same pair of layouts, whatever primitives they belong to.
int layout_id(const desc& from, const desc& to) {
  std::lock_guard lock(g_layouts_mutex);
  static auto* layouts = new std::vector<std::pair<desc, desc>>;
  for (size_t i = 0; i < layouts->size(); ++i)
    if ((*layouts)[i].first == from && (*layouts)[i].second == to) return static_cast<int>(i);
  layouts->emplace_back(from, to);
  return static_cast<int>(layouts->size()) - 1;
}

// How packed_weights gets from the user's layout to the primitive's.
void plan_packing(Plan& plan, const desc& user, const desc& packed) {
  plan.weights = make_reorder(user, packed);
  plan.layout = layout_id(user, packed);
  plan.weights_bytes = packed.get_size();
}

// A weight that overlaps itself (expanded) has no oneDNN layout.
bool dense(const TensorRef& w) {
  for (int i = 0; i < w.rank; ++i)
    if (w.shape[i] > 1 && w.strides[i] == 0) return false;
  return true;
}

// The weight as the primitive wants it; `keep` holds the memory.
const void* packed_weights(const TensorRef& w, const TensorRef& scale, const Plan& plan,
                           std::shared_ptr<Scratch>& keep) {
  if (!plan.weights && !scale.defined()) return w.data;
  keep = packed(w, scale, plan.layout, plan.weights_bytes, [&](const void* from, void* to) {
    if (plan.weights) plan.weights.run({from, to});
    else std::memcpy(to, from, plan.weights_bytes);
  });
  return keep->as();
}

dnnl::primitive_attr finishing(const Descs& d, const ConvFinish& f) {
  dnnl::primitive_attr attr = attributes();
  dnnl::post_ops ops;
  if (f.residual) ops.append_binary(dnnl::algorithm::binary_add, d.y);
  if (f.epilogue.activation != Activation::none)
    ops.append_eltwise(dnnl::algorithm::eltwise_relu, static_cast<float>(f.epilogue.slope), 0);
  attr.set_post_ops(ops);
  return attr;
}

}  // namespace

void prepare_for_fork() { weft::detail::hold_over_fork(g_layouts_mutex); }

bool forward(void* y, const TensorRef& x, const TensorRef& w, const ConvFinish& f, const ConvProblem& p) {
  if (!dense(w)) return false;
  Key key = key_of('f', p, w, f.bias != nullptr);
  key.add(static_cast<int64_t>(f.bias_dtype))
      .add(f.residual != nullptr)
      .add(static_cast<int64_t>(f.epilogue.activation))
      .add(std::bit_cast<int64_t>(f.epilogue.slope));
  const Plan& plan = plans().get(key, [&] {
    return compiled([&] {
      const Descs d(p, w.strides, f.bias_dtype);
      const auto primitive = forward_desc(d, f.bias != nullptr, finishing(d, f));
      Plan made;
      made.supported = !is_reference(primitive);
      if (!made.supported) return made;
      const desc packed = primitive.weights_desc();
      Compiled::Args args{{DNNL_ARG_SRC, d.x}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DST, d.y}};
      if (f.bias) args.emplace_back(DNNL_ARG_BIAS, d.bias);
      if (f.residual) args.emplace_back(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, d.y);
      made.conv = Compiled(primitive, args);
      plan_packing(made, d.w_user, packed);
      return made;
    });
  });
  if (!plan.supported) return false;
  Scratch copy;
  std::shared_ptr<Scratch> keep;
  const void* pointers[5] = {channels_last(x, copy), packed_weights(w, f.scale, plan, keep), y};
  size_t count = 3;
  if (f.bias) pointers[count++] = f.bias;
  if (f.residual) pointers[count++] = f.residual;
  plan.conv.run(pointers, count);
  return true;
}

bool input_grad(void* x_grad, const TensorRef& g, const TensorRef& w, const ConvProblem& p) {
  if (!dense(w)) return false;
  const Key key = key_of('d', p, w, false);
  const Plan& plan = plans().get(key, [&] {
    return compiled([&] {
      const Descs d(p, w.strides);
      const dnnl::convolution_backward_data::primitive_desc primitive(
          engine(), kDirect, d.x, d.w_any, d.y, d.stride, d.dilation, d.lo, d.hi, forward_desc(d, false), attributes());
      Plan made;
      made.supported = !is_reference(primitive);
      if (!made.supported) return made;
      const desc packed = primitive.weights_desc();
      made.conv = Compiled(primitive, {{DNNL_ARG_DIFF_DST, d.y}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DIFF_SRC, d.x}});
      plan_packing(made, d.w_user, packed);
      return made;
    });
  });
  if (!plan.supported) return false;
  Scratch copy;
  std::shared_ptr<Scratch> keep;
  plan.conv.run({channels_last(g, copy), packed_weights(w, {}, plan, keep), x_grad});
  return true;
}

bool weight_grad(void* w_grad, void* bias_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p) {
  const Shape shape = weight_shape(p);
  const Strides strides = contiguous_strides(shape);
  const TensorRef w = ref(nullptr, p.dtype, shape.data(), strides.data(), shape.rank());
  const Key key = key_of('w', p, w, bias_grad != nullptr);
  const Plan& plan = plans().get(key, [&] {
    return compiled([&] {
      const Descs d(p, strides.data());
      const bool blocked = policy::blocked_weight_grad(p);
      const desc any_x = blocked ? Descs::any_of(d.x) : d.x, any_y = blocked ? Descs::any_of(d.y) : d.y;
      const auto hint = forward_desc(d, false);
      using backward = dnnl::convolution_backward_weights::primitive_desc;
      const auto primitive = bias_grad ? backward(engine(), kDirect, any_x, d.w_any, d.bias, any_y, d.stride,
                                                  d.dilation, d.lo, d.hi, hint, attributes())
                                       : backward(engine(), kDirect, any_x, d.w_any, any_y, d.stride, d.dilation, d.lo,
                                                  d.hi, hint, attributes());
      Plan made;
      made.supported = !is_reference(primitive);
      if (!made.supported) return made;
      const desc source = primitive.src_desc(), gradient = primitive.diff_dst_desc(),
                 packed = primitive.diff_weights_desc();
      made.conv = bias_grad
                      ? Compiled(primitive, {{DNNL_ARG_SRC, source},
                                             {DNNL_ARG_DIFF_DST, gradient},
                                             {DNNL_ARG_DIFF_WEIGHTS, packed},
                                             {DNNL_ARG_DIFF_BIAS, d.bias}})
                      : Compiled(
                            primitive,
                            {{DNNL_ARG_SRC, source}, {DNNL_ARG_DIFF_DST, gradient}, {DNNL_ARG_DIFF_WEIGHTS, packed}});
      made.source = make_reorder(d.x, source);
      made.gradient = make_reorder(d.y, gradient);
      made.weights = make_reorder(packed, d.w_user);
      made.source_bytes = source.get_size(), made.gradient_bytes = gradient.get_size(),
      made.weights_bytes = packed.get_size();
      return made;
    });
  });
  if (!plan.supported) return false;
  Scratch x_copy, g_copy, x_blocked(plan.source ? plan.source_bytes : 0),
      g_blocked(plan.gradient ? plan.gradient_bytes : 0), packed(plan.weights ? plan.weights_bytes : 0);
  const void *source = channels_last(x, x_copy), *gradient = channels_last(g, g_copy);
  if (plan.source) plan.source.run({source, x_blocked.as()}), source = x_blocked.as();
  if (plan.gradient) plan.gradient.run({gradient, g_blocked.as()}), gradient = g_blocked.as();
  void* result = plan.weights ? packed.as() : w_grad;
  if (bias_grad) plan.conv.run({source, gradient, result, bias_grad});
  else plan.conv.run({source, gradient, result});
  if (plan.weights) plan.weights.run({result, w_grad});
  return true;
}

}  // namespace weft::cpu::onednn
