#include "weft/core/kernels.h"

#include <string>

namespace weft {
namespace {
std::vector<KernelSlot*>& slots() {
  static std::vector<KernelSlot*> list;
  return list;
}
}  // namespace

KernelSlot::KernelSlot(const char* name) : name_(name) { slots().push_back(this); }

const std::vector<KernelSlot*>& KernelSlot::all() {
  detail::ensure_backends();
  return slots();
}

void KernelSlot::fail(DeviceType d) const {
  std::string list;
  for (int i = 0; i < kDeviceTypes; ++i)
    if (fn_[i]) list += (list.empty() ? "" : ", ") + std::string(weft::name(static_cast<DeviceType>(i)));
  raise<NotSupported>(name_, ": no ", weft::name(d), " kernel (available: ", list.empty() ? "none" : list,
                      "); move the tensors with to(device)");
}

namespace kernels {

// Each has the signature that kernels.h declares it with.
decltype(unary) unary;
decltype(binary) binary;
decltype(ternary) ternary;
decltype(reduce) reduce;
decltype(arg_extreme) arg_extreme{"max"};
decltype(cumsum) cumsum{"cumsum"};
decltype(cumprod) cumprod{"cumprod"};
decltype(softmax) softmax{"softmax"};
decltype(softmax_grad) softmax_grad{"softmax_grad"};
decltype(optim_step) optim_step;
decltype(multi_norm) multi_norm{"multi_norm"};
decltype(multi_clip) multi_clip{"multi_clip"};
decltype(multi_clamp) multi_clamp{"multi_clamp"};
decltype(copy) copy{"copy"};
decltype(fill) fill{"fill"};
decltype(where) where{"where"};

decltype(matmul) matmul{"matmul"};
decltype(norm_stats) norm_stats{"norm_stats"};
decltype(norm_apply) norm_apply{"norm_apply"};
decltype(norm_forward) norm_forward{"norm_forward"};
decltype(norm_backward_reduce) norm_backward_reduce{"norm_backward_reduce"};
decltype(norm_backward_apply) norm_backward_apply{"norm_backward_apply"};
decltype(norm_backward) norm_backward{"norm_backward"};
decltype(layer_norm) layer_norm{"layer_norm"};
decltype(layer_norm_backward) layer_norm_backward{"layer_norm_backward"};
decltype(max_pool) max_pool{"max_pool"};
decltype(max_pool_scatter) max_pool_scatter{"max_pool_scatter"};
decltype(max_pool_gather) max_pool_gather{"max_pool_gather"};
decltype(max_pool_indices) max_pool_indices{"max_pool_indices"};
decltype(resample) resample{"resample"};
decltype(cross_entropy) cross_entropy{"cross_entropy"};
decltype(cross_entropy_backward) cross_entropy_backward{"cross_entropy_backward"};
decltype(cat) cat{"cat"};
decltype(pad) pad{"pad"};
decltype(pad_backward) pad_backward{"pad_backward"};
decltype(triangle) triangle{"triangle"};
decltype(index_offsets) index_offsets{"index_offsets"};
decltype(index_get) index_get{"index_get"};
decltype(index_put) index_put{"index_put"};
decltype(gather) gather{"gather"};
decltype(scatter) scatter{"scatter"};
decltype(count_nonzero) count_nonzero{"count_nonzero"};
decltype(nonzero) nonzero{"nonzero"};
decltype(one_hot) one_hot{"one_hot"};
decltype(sort_indices) sort_indices{"sort_indices"};
decltype(unfold) unfold{"unfold"};
decltype(fold) fold{"fold"};
decltype(uniform) uniform{"uniform"};
decltype(normal) normal{"normal"};
decltype(randint) randint{"randint"};
decltype(bernoulli) bernoulli{"bernoulli"};
decltype(dropout) dropout{"dropout"};
decltype(conv) conv{"conv"};
decltype(conv_input_grad) conv_input_grad{"conv_input_grad"};
decltype(conv_weight_grad) conv_weight_grad{"conv_weight_grad"};

}  // namespace kernels
}  // namespace weft
