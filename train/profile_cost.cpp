// FLOP and bytes of a kernel's call, from its operands.
#include <algorithm>

#include "weft/core/kernels/encoding.h"
#include "weft/core/kernels/rnn.h"
#include "weft/train/profile_record.h"

namespace weft::training::detail {
namespace {

using weft::detail::KernelCall;

int64_t size_of(Dtype d) { return static_cast<int64_t>(itemsize(d)); }

/// Memory that a tensor covers: what it shows several times counts once.
int64_t bytes_of(const TensorRef& r) {
  if (!r.defined()) return 0;
  int64_t n = 1;
  for (int i = 0; i < r.rank; ++i)
    if (r.strides[i] != 0) n *= r.shape[i];
  return (r.numel == 0 ? 0 : n) * size_of(r.dtype);
}

/// Of an elementwise kernel's operand k.
int64_t elements_of(const ElementPlan& p, int k) {
  int64_t n = 1;
  for (int i = 0; i < p.rank; ++i)
    if (p.strides[k][i] != 0) n *= p.shape[i];
  return p.numel == 0 ? 0 : n;
}

template <class Family> bool is_in(const KernelSlot& slot, const Family& family) {
  const auto at = reinterpret_cast<uintptr_t>(&slot), begin = reinterpret_cast<uintptr_t>(&family);
  return at >= begin && at < begin + sizeof family;
}

KernelCost elementwise(const KernelCall& c) {
  const ElementPlan& p = *c.plan;
  const bool where = &c.slot == &kernels::where;
  KernelCost out;
  out.written = elements_of(p, 0) * (c.slot.gives_bool() ? 1 : size_of(c.dtype));
  for (int k = 1; k < p.operands; ++k) out.read += elements_of(p, k) * (where && k == 1 ? 1 : size_of(c.dtype));
  out.flop = where ? 0 : p.numel;
  return out;
}

int64_t flop_of(const KernelCall& c) {
  const auto numel = [&](int i) { return c.operands[i]->numel; };
  const auto per_row = [&](int i) { return numel(i) / std::max<int64_t>(c.operands[i]->shape[0], 1); };
  const KernelSlot* s = &c.slot;
  if (s == &kernels::matmul) return 2 * numel(0) * c.operands[1]->size(-1);
  if (s == &kernels::conv) return 2 * numel(0) * per_row(2);
  if (s == &kernels::conv_input_grad) return 2 * numel(1) * per_row(2);
  if (s == &kernels::conv_weight_grad) return 2 * numel(3) * per_row(0);
  if (s == &kernels::rnn || s == &kernels::rnn_backward) {
    const TensorRef &y = *c.operands[s == &kernels::rnn ? 0 : 5], &w = *c.operands[s == &kernels::rnn ? 5 : 9];
    return 2 * y.shape[0] * y.shape[1] * w.numel;
  }
  if (s == &kernels::encode) return 4 * numel(1) * c.operands[2]->shape[0];
  if (s == &kernels::norm_stats) return 4 * numel(2);
  if (s == &kernels::norm_apply) return (c.operands[6]->defined() ? 3 : 2) * numel(0);
  if (s == &kernels::norm_forward) return (c.operands[7]->defined() ? 7 : 6) * numel(0);
  if (s == &kernels::norm_backward_reduce) return 4 * numel(2);
  if (s == &kernels::norm_backward_apply) return 4 * numel(2);
  if (s == &kernels::norm_backward) return 8 * numel(4);
  if (s == &kernels::layer_norm) return 6 * numel(0);
  if (s == &kernels::layer_norm_backward) return 11 * numel(3);
  if (s == &kernels::softmax || s == &kernels::softmax_grad) return 4 * numel(0);
  if (s == &kernels::cross_entropy) return 4 * numel(3);
  if (s == &kernels::cross_entropy_backward) return 3 * numel(0);
  if (is_in(*s, kernels::reduce)) return numel(1);
  return 0;
}

}  // namespace

KernelCost cost_of(const KernelCall& c) {
  if (c.plan) return elementwise(c);
  KernelCost out;
  for (int i = 0; i < c.count; ++i) (c.written >> i & 1 ? out.written : out.read) += bytes_of(*c.operands[i]);
  for (int i = 0; i < c.listed; ++i) out.read += bytes_of(c.list[i]);
  // the tensor that offsets point into is given by one of its rows
  if (&c.slot == &kernels::index_get) out.read += bytes_of(*c.operands[0]) - bytes_of(*c.operands[1]);
  if (&c.slot == &kernels::index_put) out.written = bytes_of(*c.operands[1]);
  for (const fn::StepEntry& e : c.steps) {
    const int64_t own = e.numel * size_of(e.dtype), state = e.numel * (e.dtype == Dtype::f64 ? 8 : 4);
    int64_t both = own + (e.master && e.master != e.param ? state : 0);
    for (const void* s : e.state) both += s ? state : 0;
    out.read += both + own;
    out.written += both;
  }
  for (const fn::FlatEntry& e : c.flat) {
    out.read += e.numel * size_of(e.dtype);
    out.written += &c.slot == &kernels::multi_norm ? 0 : e.numel * size_of(e.dtype);
  }
  out.flop = flop_of(c);
  return out;
}

}  // namespace weft::training::detail
