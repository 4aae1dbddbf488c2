#include "weft/core/kernels.h"

#include <string>

#include "weft/core/element_chain.h"
#include "weft/core/kernels/attention.h"
#include "weft/core/kernels/encoding.h"
#include "weft/core/kernels/format.h"
#include "weft/core/kernels/linalg.h"
#include "weft/core/kernels/norm.h"
#include "weft/core/kernels/order.h"
#include "weft/core/kernels/picture.h"
#include "weft/core/kernels/rnn.h"
#include "weft/core/kernels/weight.h"

namespace weft {
namespace {
std::vector<KernelSlot*>& slots() {
  static std::vector<KernelSlot*> list;
  return list;
}
}  // namespace

std::atomic<const detail::ProfileListener*> detail::profile_listener{nullptr};
std::atomic<int> detail::observers{0};

KernelSlot::KernelSlot(const char* name, DtypeSet takes) : name_(name), takes_(takes) { slots().push_back(this); }

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
decltype(arg_extreme) arg_extreme{"max", kNumericDtypes};
decltype(cumsum) cumsum{"cumsum", kNumericDtypes};
decltype(cumprod) cumprod{"cumprod", kNumericDtypes};
decltype(running_extreme) running_extreme{"cummax"};
decltype(softmax) softmax{"softmax", kFloatingDtypes};
decltype(softmax_grad) softmax_grad{"softmax_grad", kFloatingDtypes};
decltype(optim_step) optim_step;
decltype(multi_norm) multi_norm{"multi_norm", kFloatingDtypes};
decltype(multi_clip) multi_clip{"multi_clip", kFloatingDtypes};
decltype(multi_clamp) multi_clamp{"multi_clamp", kFloatingDtypes};
decltype(copy) copy{"copy"};
decltype(fill) fill{"fill"};
decltype(where) where{"where"};

decltype(matmul) matmul{"matmul", kWideDtypes};
decltype(norm_stats) norm_stats{"norm_stats", kFloatingDtypes};
decltype(norm_apply) norm_apply{"norm_apply", kFloatingDtypes};
decltype(norm_forward) norm_forward{"norm_forward", kFloatingDtypes};
decltype(norm_backward_reduce) norm_backward_reduce{"norm_backward_reduce", kFloatingDtypes};
decltype(norm_backward_apply) norm_backward_apply{"norm_backward_apply", kFloatingDtypes};
decltype(norm_backward) norm_backward{"norm_backward", kFloatingDtypes};
decltype(update_running) update_running{"update_running", kFloatingDtypes};
decltype(layer_norm) layer_norm{"layer_norm", kFloatingDtypes};
decltype(layer_norm_backward) layer_norm_backward{"layer_norm_backward", kFloatingDtypes};
decltype(standardize_weight) standardize_weight{"standardize_weight", kFloatingDtypes};
decltype(standardize_weight_backward) standardize_weight_backward{"standardize_weight_backward", kFloatingDtypes};
decltype(max_pool) max_pool{"max_pool", kWideDtypes};
decltype(max_pool_scatter) max_pool_scatter{"max_pool_scatter", kFloatingDtypes};
decltype(max_pool_gather) max_pool_gather{"max_pool_gather", kFloatingDtypes};
decltype(max_pool_indices) max_pool_indices{"max_pool_indices", DtypeSet(Dtype::u8, Dtype::i32)};
decltype(resample) resample{"resample", kFloatingDtypes};
decltype(cross_entropy) cross_entropy{"cross_entropy", kFloatingDtypes};
decltype(cross_entropy_backward) cross_entropy_backward{"cross_entropy_backward", kFloatingDtypes};
decltype(cat) cat{"cat"};
decltype(pad) pad{"pad"};
decltype(pad_backward) pad_backward{"pad_backward", DtypeSet(Dtype::f32, Dtype::f64)};
decltype(triangle) triangle{"triangle"};
decltype(index_offsets) index_offsets{"index_offsets", kIndexDtypes};
decltype(index_get) index_get{"index_get"};
decltype(index_put) index_put{"index_put"};
decltype(gather) gather{"gather"};
decltype(scatter) scatter{"scatter"};
decltype(count_nonzero) count_nonzero{"count_nonzero"};
decltype(nonzero) nonzero{"nonzero"};
decltype(one_hot) one_hot{"one_hot", kIndexDtypes};
decltype(refuse_any) refuse_any{"refuse_any", DtypeSet(Dtype::boolean)};
decltype(sort_indices) sort_indices{"sort_indices"};
decltype(search_sorted) search_sorted{"searchsorted"};
decltype(mode) mode{"mode"};
decltype(unfold) unfold{"unfold"};
decltype(fold) fold{"fold", DtypeSet(Dtype::f32, Dtype::f64)};
decltype(uniform) uniform{"uniform", kFloatingDtypes};
decltype(normal) normal{"normal", kFloatingDtypes};
decltype(randint) randint{"randint", kNumericDtypes};
decltype(bernoulli) bernoulli{"bernoulli"};
decltype(dropout) dropout{"dropout", kFloatingDtypes};
decltype(encode) encode{"encode", kFloatingDtypes};
decltype(encode_backward) encode_backward{"encode_backward", kFloatingDtypes};
decltype(quantise) quantise{"quantise", kFloatingDtypes};
decltype(resample_bytes) resample_bytes{"resample_bytes", DtypeSet(Dtype::u8)};
constexpr DtypeSet kReal(Dtype::f32, Dtype::f64);
decltype(lu_factor) lu_factor{"lu_factor", kReal};
decltype(lu_solve) lu_solve{"lu_solve", kReal};
decltype(inverse) inverse{"inverse", kReal};
decltype(triangular_solve) triangular_solve{"triangular_solve", kReal};
decltype(cholesky) cholesky{"cholesky", kReal};
decltype(qr) qr{"qr", kReal};
decltype(svd) svd{"svd", kReal};
decltype(eigh) eigh{"eigh", kReal};
decltype(lstsq) lstsq{"lstsq", kReal};

decltype(attention) attention{"attention", kFloatingDtypes};
decltype(attention_backward) attention_backward{"attention_backward", kFloatingDtypes};
decltype(rnn) rnn{"rnn", kFloatingDtypes};
decltype(rnn_backward) rnn_backward{"rnn_backward", kFloatingDtypes};
decltype(conv) conv{"conv", kFloatingDtypes};
decltype(element_chain) element_chain{"element_chain"};
decltype(conv_fused) conv_fused{"conv_fused", kFloatingDtypes};
decltype(conv_input_grad) conv_input_grad{"conv_input_grad", kFloatingDtypes};
decltype(conv_weight_grad) conv_weight_grad{"conv_weight_grad", kFloatingDtypes};

}  // namespace kernels
}  // namespace weft
