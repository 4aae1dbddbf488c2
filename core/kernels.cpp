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

KernelFamily<UnarySig, fn::UnaryOps> unary;
KernelFamily<BinarySig, fn::BinaryOps> binary;
KernelFamily<TernarySig, fn::TernaryOps> ternary;
KernelFamily<ReduceSig, fn::ReduceOps> reduce;
Kernel<void(const MutTensorRef&, const MutTensorRef&, const TensorRef&, int, bool)> arg_extreme{"max"};
Kernel<void(const MutTensorRef&, const TensorRef&, int, bool)> cumsum{"cumsum"};
Kernel<void(const MutTensorRef&, const TensorRef&, int)> cumprod{"cumprod"};
Kernel<void(const MutTensorRef&, const TensorRef&, int, bool)> softmax{"softmax"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, int, bool)> softmax_grad{"softmax_grad"};
KernelFamily<StepSig, fn::OptimOps> optim_step;
Kernel<void(const MutTensorRef&, const MutTensorRef&, std::span<const fn::FlatEntry>, double)> multi_norm{"multi_norm"};
Kernel<void(std::span<const fn::FlatEntry>, const TensorRef&, double)> multi_clip{"multi_clip"};
Kernel<void(std::span<const fn::FlatEntry>, double)> multi_clamp{"multi_clamp"};
Kernel<void(const MutTensorRef&, const TensorRef&)> copy{"copy"};
Kernel<void(const MutTensorRef&, const Scalar&)> fill{"fill"};
Kernel<void(const ElementPlan&, void*, const void*, const void*, const void*, Dtype)> where{"where"};

Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&)> matmul{"matmul"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const TensorRef&)> norm_stats{"norm_stats"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&, const TensorRef&,
            const TensorRef&, const TensorRef&, const NormParams&)>
    norm_apply{"norm_apply"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const MutTensorRef&, const MutTensorRef&, const TensorRef&,
            const TensorRef&, const TensorRef&, const TensorRef&, const NormParams&)>
    norm_forward{"norm_forward"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&,
            const TensorRef&, const TensorRef&, const TensorRef&, const TensorRef&, const NormParams&)>
    norm_backward_reduce{"norm_backward_reduce"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&,
            const TensorRef&, const TensorRef&, const TensorRef&, const TensorRef&, const TensorRef&, const TensorRef&,
            const TensorRef&, const NormParams&)>
    norm_backward_apply{"norm_backward_apply"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const MutTensorRef&, const MutTensorRef&, const TensorRef&,
            const TensorRef&, const TensorRef&, const TensorRef&, const TensorRef&, const TensorRef&, const TensorRef&,
            const NormParams&)>
    norm_backward{"norm_backward"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const MutTensorRef&, const TensorRef&, const TensorRef&,
            const TensorRef&, double)>
    layer_norm{"layer_norm"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const MutTensorRef&, const TensorRef&, const TensorRef&,
            const TensorRef&, const TensorRef&, const TensorRef&)>
    layer_norm_backward{"layer_norm_backward"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const TensorRef&, const fn::PoolGeometry&)> max_pool{"max_pool"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, const fn::PoolGeometry&)> max_pool_scatter{
    "max_pool_scatter"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, const fn::PoolGeometry&)> max_pool_gather{
    "max_pool_gather"};
Kernel<void(const MutTensorRef&, const TensorRef&, const fn::PoolGeometry&)> max_pool_indices{"max_pool_indices"};
Kernel<void(const MutTensorRef&, const TensorRef&, const fn::SampleGeometry&, bool)> resample{"resample"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const MutTensorRef&, const TensorRef&, const TensorRef&,
            const TensorRef&, const CrossEntropyParams&)>
    cross_entropy{"cross_entropy"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&, const TensorRef&,
            const TensorRef&, const CrossEntropyParams&)>
    cross_entropy_backward{"cross_entropy_backward"};
Kernel<void(const MutTensorRef&, const TensorRef*, int, int)> cat{"cat"};
Kernel<void(const MutTensorRef&, const TensorRef&, const PadParams&)> pad{"pad"};
Kernel<void(const MutTensorRef&, const TensorRef&, const PadParams&)> pad_backward{"pad_backward"};
Kernel<void(const MutTensorRef&, const TensorRef&, int64_t, bool)> triangle{"triangle"};
Kernel<void(const MutTensorRef&, const TensorRef&, const IndexAxis&)> index_offsets{"index_offsets"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&)> index_get{"index_get"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, bool)> index_put{"index_put"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, int, const char*)> gather{"gather"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, int, bool, const char*)> scatter{"scatter"};
Kernel<void(const MutTensorRef&, const TensorRef&)> count_nonzero{"count_nonzero"};
Kernel<void(const MutTensorRef&, const TensorRef&)> nonzero{"nonzero"};
Kernel<void(const MutTensorRef&, const TensorRef&)> one_hot{"one_hot"};
Kernel<void(const MutTensorRef&, const TensorRef&, int, bool)> sort_indices{"sort_indices"};
Kernel<void(const MutTensorRef&, const TensorRef&, const SlidingBlocks&)> unfold{"unfold"};
Kernel<void(const MutTensorRef&, const TensorRef&, const SlidingBlocks&)> fold{"fold"};
Kernel<void(const MutTensorRef&, Generator::State, double, double)> uniform{"uniform"};
Kernel<void(const MutTensorRef&, Generator::State, double, double)> normal{"normal"};
Kernel<void(const MutTensorRef&, Generator::State, int64_t, uint64_t)> randint{"randint"};
Kernel<void(const MutTensorRef&, Generator::State, double)> bernoulli{"bernoulli"};
Kernel<void(const MutTensorRef&, const TensorRef&, Generator::State, double, double)> dropout{"dropout"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&, const ConvParams&)> conv{"conv"};
Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&, const ConvParams&)>
    conv_input_grad{"conv_input_grad"};
Kernel<void(const MutTensorRef&, const MutTensorRef&, const TensorRef&, const TensorRef&, const ConvParams&)>
    conv_weight_grad{"conv_weight_grad"};

}  // namespace kernels
}  // namespace weft
