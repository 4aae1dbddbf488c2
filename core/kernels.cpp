#include "weft/core/kernels.h"

#include <string>

namespace weft {
namespace detail {
void missing_kernel(const char* op, DeviceType device, uint32_t available) {
  std::string list;
  for (int i = 0; i < kDeviceTypes; ++i)
    if (available >> i & 1) list += (list.empty() ? "" : ", ") + std::string(name(static_cast<DeviceType>(i)));
  raise<NotSupported>(op, ": no ", name(device), " kernel (available: ", list.empty() ? "none" : list,
                      "); move the tensors with to(device)");
}
}  // namespace detail

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
Kernel<void(const MutTensorRef&, const TensorRef&)> copy{"copy"};
Kernel<void(const MutTensorRef&, const Scalar&)> fill{"fill"};
Kernel<void(const ElementPlan&, void*, const void*, const void*, const void*, Dtype)> where{"where"};

Kernel<void(const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&)> matmul{"matmul"};

}  // namespace kernels
}  // namespace weft
