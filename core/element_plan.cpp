#include "weft/core/element_plan.h"

#include "weft/core/factory.h"
#include "weft/core/map.h"

namespace weft {

Tensor empty_for(const Shape& shape, Dtype dtype, const Tensor* const* in, int count) {
  for (int k = 0; k < count; ++k) {
    const Tensor& x = *in[k];
    if (x.shape() != shape) continue;
    if (x.is_contiguous()) break;
    if (x.is_dense()) return empty_strided(shape, x.strides(), {dtype, x.device()});
  }
  return empty(shape, {dtype, in[0]->device()});
}

void make_plan(ElementPlan& p, const Tensor& out, const Tensor* const* in, int count) {
  if (detail::Recording* r = detail::recording()) [[unlikely]]
    for (int k = 0; k < count; ++k) r->know(*in[k]);
  p.operands = count + 1;
  p.numel = out.numel();
  p.rank = 1;
  p.shape[0] = out.numel();
  // the usual cases: everything has out's shape and dense strides, or one element
  bool plain = out.is_dense();
  for (int k = 0; plain && k < count; ++k) {
    const Tensor& x = *in[k];
    if (x.numel() == 1) p.strides[k + 1][0] = out.numel() == 1 ? 1 : 0;
    else if (kernels::detail::same_layout(x, out)) p.strides[k + 1][0] = 1;
    else plain = false;
  }
  p.strides[0][0] = 1;
  if (plain) return;

  const int rank = out.rank();
  int64_t strides[kMaxRank][ElementPlan::kMaxOperands];
  auto load = [&](int k, const Tensor& x) {
    int shift = rank - x.rank();
    for (int i = 0; i < rank; ++i) strides[i][k] = i < shift || x.shape()[i - shift] == 1 ? 0 : x.strides()[i - shift];
  };
  load(0, out);
  for (int k = 0; k < count; ++k) load(k + 1, *in[k]);

  int order[kMaxRank];
  const int n = fn::memory_order(order, out.strides().data(), rank);
  p.rank = 0;
  for (int a = 0; a < n; ++a) p.append(out.shape()[order[a]], strides[order[a]], p.operands);
  p.at_least_one(1, p.operands);
}

namespace kernels::detail {

void check_same_device(const char* op, const Tensor& a, const Tensor& b) {
  WEFT_CHECK(a.device() == b.device(), DeviceError, op, ": tensors are on different devices: ", a.device(), " and ",
             b.device(), "; move one with to(device)");
}

bool same_layout(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return false;
  if (a.is_contiguous() && b.is_contiguous()) return true;
  for (int i = 0; i < a.rank(); ++i)
    if (a.shape()[i] != 1 && a.strides()[i] != b.strides()[i]) return false;
  return a.is_dense();
}

void plain_plan(ElementPlan& p, int operands, int64_t numel) {
  p.operands = operands;
  p.rank = 1;
  p.numel = numel;
  p.shape[0] = numel;
  for (int k = 0; k < operands; ++k) p.strides[k][0] = 1;
}

}  // namespace kernels::detail
}  // namespace weft
