// The kernel table: one slot per op, indexed by device type. Ops call slots; backends fill them.
// Adding a kernel: its line here, its definition in kernels.cpp, one `set` in each backend that has it.
// Kernels get raw references and preallocated outputs; they never allocate results and never see autograd.
#pragma once

#include <vector>

#include "weft/core/conv_params.h"
#include "weft/core/element_plan.h"
#include "weft/core/fn/binary.h"
#include "weft/core/fn/im2col.h"
#include "weft/core/fn/optim.h"
#include "weft/core/fn/pad.h"
#include "weft/core/fn/reduce.h"
#include "weft/core/fn/resize.h"
#include "weft/core/fn/ternary.h"
#include "weft/core/fn/unary.h"
#include "weft/core/generator.h"
#include "weft/core/kernel_call.h"
#include "weft/core/loss_params.h"
#include "weft/core/norm_params.h"
#include "weft/core/recording.h"

namespace weft {

namespace detail {
WEFT_API void ensure_backends();          ///< registers the CPU backend once
WEFT_API void activate_device(Device d);  ///< the calling thread's kernels go there from now on
}  // namespace detail

template <class Sig> class Kernel;

/// What all slots share: a name and one kernel per device type. Slots know each other, so that a table of them can be
/// printed and a device can take another's kernels.
class WEFT_API KernelSlot {
 public:
  KernelSlot(const KernelSlot&) = delete;
  KernelSlot& operator=(const KernelSlot&) = delete;
  /// The op's name, for errors and tables.
  const char* name() const { return name_; }
  /// Is there a kernel for that kind of device?
  bool has(DeviceType d) const { return fn_[static_cast<int>(d)] != nullptr; }
  /// The dtypes that a device's kernel takes; none without a kernel.
  DtypeSet dtypes(DeviceType d) const { return has(d) ? takes_ & only_[static_cast<int>(d)] : DtypeSet(); }
  /// `to` runs what `from` runs (a device whose memory the other's kernels can reach).
  void share(DeviceType from, DeviceType to) {
    fn_[static_cast<int>(to)] = fn_[static_cast<int>(from)];
    only_[static_cast<int>(to)] = only_[static_cast<int>(from)];
  }
  /// Does an elementwise kernel write bools, whatever it reads?
  bool gives_bool() const { return gives_bool_; }
  /// Size of the functor that kernels of a family are given a pointer to.
  size_t functor_bytes() const { return functor_bytes_; }
  /// Every slot there is.
  static const std::vector<KernelSlot*>& all();

 protected:
  using AnyFn = void (*)();
  KernelSlot(const char* name, DtypeSet takes);
  /// NotSupported that names the op and the devices that have a kernel.
  [[noreturn]] void fail(DeviceType d) const;
  const char* name_;                     ///< for errors
  AnyFn fn_[kDeviceTypes] = {};          ///< by DeviceType; null: none
  DtypeSet takes_, only_[kDeviceTypes];  ///< dtypes of the op; and those that a device's kernel is limited to
  bool gives_bool_ = false;
  size_t functor_bytes_ = 0;
};

namespace detail {
template <class... A> bool record_call(Recording& r, const Kernel<void(A...)>& k, Device d, A... a);
}

/// A slot: one load and an indirect call.
template <class... A> class Kernel<void(A...)> : public KernelSlot {
 public:
  /// A kernel of this slot.
  using Fn = void (*)(A...);
  explicit Kernel(const char* name = "", DtypeSet takes = kAllDtypes) : KernelSlot(name, takes) {}
  /// `only`: the dtypes that this device's kernel is limited to.
  void set(DeviceType d, Fn f, DtypeSet only = kAllDtypes) {
    fn_[static_cast<int>(d)] = reinterpret_cast<AnyFn>(f);
    only_[static_cast<int>(d)] = only;
  }
  /// The device's kernel, or null.
  Fn get(DeviceType d) const { return reinterpret_cast<Fn>(fn_[static_cast<int>(d)]); }
  /// Of a slot of a family.
  void describe(const char* name, DtypeSet takes, bool gives_bool, size_t functor_bytes) {
    name_ = name, takes_ = takes, gives_bool_ = gives_bool, functor_bytes_ = functor_bytes;
  }
  /// Runs the device's kernel, on that device. NotSupported where there is none.
  void operator()(Device d, A... a) const {
    Fn f = get(d.type);
    if (!f) [[unlikely]]
      fail(d.type);
    if (d.type != DeviceType::cpu) detail::activate_device(d);
    if (detail::observed()) [[unlikely]]
      return observe(d, f, a...);
    f(a...);
  }

 private:
  __attribute__((cold, noinline)) void observe(Device d, Fn f, A... a) const {
    if (detail::Recording* r = detail::Recording::current(); r && detail::record_call<A...>(*r, *this, d, a...)) return;
    detail::ProfileScope scope;
    if (const detail::ProfileListener* l = detail::profiling()) {
      detail::KernelCall call{*this, d};
      (call.add(a), ...);
      scope.enter(*l, l->kernel(call));
    }
    f(a...);
  }
};

/// One slot per functor of a list.
template <class Sig, class List> class KernelFamily {
 public:
  KernelFamily() {
    List::for_each([this]<class F> { of<F>().describe(F::name, fn::dtypes_of<F>(), fn::Predicate<F>, sizeof(F)); });
  }
  /// The slot of functor F.
  template <class F> Kernel<Sig>& of() { return slots_[fn::IndexOf<F, List>::value]; }
  /// Is it one of these?
  bool contains(const KernelSlot* slot) const { return slot >= &slots_[0] && slot <= &slots_[List::size - 1]; }
  /// The list.
  using Functors = List;

 private:
  Kernel<Sig> slots_[List::size];
};

namespace kernels {

// Elementwise. `f` points to the functor. Inputs share `dtype`; a null input pointer cannot occur.
using UnarySig = void(const ElementPlan&, void* y, const void* x, Dtype dtype, const void* f);
using BinarySig = void(const ElementPlan&, void* z, const void* x, const void* y, Dtype dtype, const void* f);
using TernarySig = void(const ElementPlan&, void* z, const void* a, const void* b, const void* c, Dtype dtype,
                        const void* f);
extern WEFT_API KernelFamily<UnarySig, fn::UnaryOps> unary;
extern WEFT_API KernelFamily<BinarySig, fn::BinaryOps> binary;
extern WEFT_API KernelFamily<TernarySig, fn::TernaryOps> ternary;

/// dst = convert(src), same shape, any strides, any dtypes.
extern WEFT_API Kernel<void(const MutTensorRef& dst, const TensorRef& src)> copy;
/// Every element = value.
extern WEFT_API Kernel<void(const MutTensorRef& dst, const Scalar& value)> fill;
/// z = cond ? x : y; cond bool, x and y and z of one dtype. Plan operands: z, cond, x, y.
extern WEFT_API Kernel<void(const ElementPlan&, void* z, const void* cond, const void* x, const void* y, Dtype)> where;

/// Reduces the axes of the bit mask `dims`. `out` has x's rank with 1 at those axes. `f` points to the functor.
using ReduceSig = void(const MutTensorRef& out, const TensorRef& x, uint32_t dims, const void* f);
extern WEFT_API KernelFamily<ReduceSig, fn::ReduceOps> reduce;
/// Greatest (`largest`) or smallest element along `dim` and its first index (i64); the first NaN wins. Both outputs
/// have x's rank with 1 at `dim`; `values` may be undefined. x not empty along dim; a rank-0 x gives index 0.
extern WEFT_API
    Kernel<void(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim, bool largest)>
        arg_extreme;
/// Running sums (from the end if `reverse`) and products along `dim`. y: x's shape and dtype.
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, int dim, bool reverse)> cumsum;
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, int dim)> cumprod;
/// y = softmax or (`log`) log-softmax of x along `dim`. Floating; y: x's shape and dtype.
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, int dim, bool log)> softmax;
/// dx from the gradient g and the output y: (g - sum(g y)) y, or g - exp(y) sum(g).
extern WEFT_API Kernel<void(const MutTensorRef& dx, const TensorRef& g, const TensorRef& y, int dim, bool log)>
    softmax_grad;

// Matrix products and convolutions.
/// out = a b (+ bias). out: [B, M, N] with unit column stride, a: [B, M, K], b: [B, K, N], any strides (batch stride 0:
/// shared), bias: [N] or undefined. One dtype, any but bool; the halves accumulate in f32.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef& a, const TensorRef& b, const TensorRef& bias)>
    matmul;
/// Convolution and its two gradients, see autograd/ops/layer/conv.h. One floating dtype; x, g, w, bias: any strides,
/// outputs: out and x_grad channels-last, w_grad and bias_grad contiguous. bias, bias_grad may be undefined. Sizes are
/// the tensors', which need not be what `p` gives for a forward convolution (output padding). No empty output.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef& x, const TensorRef& w, const TensorRef& bias,
                            const ConvParams& p)>
    conv;
/// out = act(scale conv(x, w) + bias + residual); what captured models run. scale and bias: [O], of the compute dtype,
/// contiguous, constants; residual: like out, channels-last. Each of the three may be undefined.
extern WEFT_API
    Kernel<void(const MutTensorRef& out, const TensorRef& x, const TensorRef& w, const TensorRef& scale,
                const TensorRef& bias, const TensorRef& residual, const ConvParams& p, const ConvEpilogue& e)>
        conv_fused;
extern WEFT_API Kernel<void(const MutTensorRef& x_grad, const TensorRef& g, const TensorRef& w, const TensorRef& bias,
                            const ConvParams& p)>
    conv_input_grad;
extern WEFT_API Kernel<void(const MutTensorRef& w_grad, const MutTensorRef& bias_grad, const TensorRef& x,
                            const TensorRef& g, const ConvParams& p)>
    conv_weight_grad;

// Normalisation. x [N, C, S...] contiguous or channels-last; g, y, dx, residual in the same layout. Statistics are f64:
// [C], or [N, C] per sample. gamma and beta [C] are f32 or f64, or undefined.
/// Mean and sum of squared deviations.
extern WEFT_API Kernel<void(const MutTensorRef& mean, const MutTensorRef& m2, const TensorRef& x)> norm_stats;
/// y = act(gamma (x - mean) inv + beta [+ residual]).
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, const TensorRef& mean, const TensorRef& inv,
                            const TensorRef& gamma, const TensorRef& beta, const TensorRef& residual, const NormParams&)>
    norm_apply;
/// Both at once; inv = 1 / sqrt(m2 / n + eps).
extern WEFT_API Kernel<void(const MutTensorRef& y, const MutTensorRef& mean, const MutTensorRef& m2,
                            const MutTensorRef& inv, const TensorRef& x, const TensorRef& gamma, const TensorRef& beta,
                            const TensorRef& residual, const NormParams&)>
    norm_forward;
/// s1 = sum dy, s2 = sum dy xhat, with dy = g through the activation (see NormSource).
extern WEFT_API Kernel<void(const MutTensorRef& s1, const MutTensorRef& s2, const TensorRef& g, const TensorRef& x,
                            const TensorRef& y, const TensorRef& mean, const TensorRef& inv, const TensorRef& gamma,
                            const TensorRef& beta, const NormParams&)>
    norm_backward_reduce;
/// dx = scale dy - k1 - xhat k2, dresidual = dy (may be undefined).
extern WEFT_API Kernel<void(const MutTensorRef& dx, const MutTensorRef& dresidual, const TensorRef& g,
                            const TensorRef& x, const TensorRef& y, const TensorRef& mean, const TensorRef& inv,
                            const TensorRef& gamma, const TensorRef& beta, const TensorRef& scale, const TensorRef& k1,
                            const TensorRef& k2, const NormParams&)>
    norm_backward_apply;
/// Both at once, for the statistics of this very x.
extern WEFT_API
    Kernel<void(const MutTensorRef& dx, const MutTensorRef& dresidual, const MutTensorRef& s1, const MutTensorRef& s2,
                const TensorRef& g, const TensorRef& x, const TensorRef& y, const TensorRef& mean, const TensorRef& inv,
                const TensorRef& gamma, const TensorRef& beta, const NormParams&)>
        norm_backward;
/// Rows: x [M, D] contiguous; inv [M] and mean [M] (undefined: RMS norm) f64, w and b [D] of the compute dtype.
extern WEFT_API Kernel<void(const MutTensorRef& y, const MutTensorRef& mean, const MutTensorRef& inv,
                            const TensorRef& x, const TensorRef& w, const TensorRef& b, double eps)>
    layer_norm;
/// Any output may be undefined.
extern WEFT_API Kernel<void(const MutTensorRef& dx, const MutTensorRef& dw, const MutTensorRef& db, const TensorRef& g,
                            const TensorRef& x, const TensorRef& mean, const TensorRef& inv, const TensorRef& w)>
    layer_norm_backward;

// Pooling and resizing. All tensors [N, C, D, H, W], dense and channels-last.
/// The maximum of each window and the number of the tap that won (u8 or i32; undefined: nobody asks).
extern WEFT_API
    Kernel<void(const MutTensorRef& y, const MutTensorRef& taps, const TensorRef& x, const fn::PoolGeometry&)>
        max_pool;
/// dx = g where its window's winner is, 0 elsewhere.
extern WEFT_API Kernel<void(const MutTensorRef& dx, const TensorRef& g, const TensorRef& taps, const fn::PoolGeometry&)>
    max_pool_scatter;
/// y = x at each window's winner.
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, const TensorRef& taps, const fn::PoolGeometry&)>
    max_pool_gather;
/// i64 position of each winner in its channel's volume.
extern WEFT_API Kernel<void(const MutTensorRef& indices, const TensorRef& taps, const fn::PoolGeometry&)>
    max_pool_indices;
/// y = the linear maps of the three axes applied to x, or their adjoint.
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, const fn::SampleGeometry&, bool adjoint)>
    resample;

// Losses. logits [N, C, S...] contiguous or channels-last, target i64 [N, S...] contiguous, weight [C] of the compute
// dtype or undefined.
/// loss and lse (log-sum-exp) [N, S...] of the compute dtype; totals f64: sum of loss, sum of weights, scratch. The
/// kernel reports a target that is out of range.
extern WEFT_API
    Kernel<void(const MutTensorRef& loss, const MutTensorRef& lse, const MutTensorRef& totals, const TensorRef& logits,
                const TensorRef& target, const TensorRef& weight, const CrossEntropyParams&)>
        cross_entropy;
/// g: one per pixel, or one for all; in the compute dtype.
extern WEFT_API Kernel<void(const MutTensorRef& dx, const TensorRef& g, const TensorRef& lse, const TensorRef& logits,
                            const TensorRef& target, const TensorRef& weight, const CrossEntropyParams&)>
    cross_entropy_backward;

// Optimisers: one call for all tensors of a device.
/// A step for every entry of the table. `hypers`: array of the functor, see StepEntry::hyper.
using StepSig = void(std::span<const fn::StepEntry> table, const void* hypers);
extern WEFT_API KernelFamily<StepSig, fn::OptimOps> optim_step;
/// out (rank 0, f32 or f64) = p-norm of all elements together, 0 < p <= inf. scratch: f64, one per fn::kNormChunk
/// elements.
extern WEFT_API
    Kernel<void(const MutTensorRef& out, const MutTensorRef& scratch, std::span<const fn::FlatEntry>, double p)>
        multi_norm;
/// Every element *= min(1, max_norm / (norm + 1e-6)); norm of rank 0, f32 or f64, on the device.
extern WEFT_API Kernel<void(std::span<const fn::FlatEntry>, const TensorRef& norm, double max_norm)> multi_clip;
/// Every element = min(max(element, -limit), limit).
extern WEFT_API Kernel<void(std::span<const fn::FlatEntry>, double limit)> multi_clamp;

// Shape, index, sort. Outputs are dense unless said otherwise.
/// out = the inputs side by side along axis dim; one dtype, any strides.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef* in, int count, int dim)> cat;
/// out = x padded; x dense, out's axes in memory in the same order.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef& x, const PadParams& p)> pad;
/// gx[i] = sum of g over the positions that show i; layouts as for pad. f32 or f64.
extern WEFT_API Kernel<void(const MutTensorRef& gx, const TensorRef& g, const PadParams& p)> pad_backward;
/// y[.., i, j] = x[.., i, j] where j - i <= diagonal (lower) or >= diagonal, else 0; y contiguous.
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, int64_t diagonal, bool lower)> triangle;
/// offsets[i] += index[i] * stride for contiguous i64 `offsets` and contiguous i64 or i32 `index`; ValueError names the
/// first index outside [0, size) ([-size, size) where `wrap`, counted from the end).
struct IndexAxis {
  const char* op;
  int64_t dim, size, stride;
  bool wrap;
};
extern WEFT_API Kernel<void(const MutTensorRef& offsets, const TensorRef& index, const IndexAxis& axis)> index_offsets;
/// out[b, r...] = x[offsets[b] + r . strides]; out [n, rest...] and x [rest...] with any strides.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef& x, const TensorRef& offsets)> index_get;
/// x[offsets[b] + r . strides] += src[b, r...] (= without `accumulate`), in the order of b. No halves when
/// accumulating.
extern WEFT_API Kernel<void(const MutTensorRef& x, const TensorRef& src, const TensorRef& offsets, bool accumulate)>
    index_put;
/// out[.., i, ..] = x[.., index[.., i, ..], ..] along axis dim; any strides; errors as index_offsets.
extern WEFT_API
    Kernel<void(const MutTensorRef& out, const TensorRef& x, const TensorRef& index, int dim, const char* op)>
        gather;
/// out[.., index[.., i, ..], ..] += src[.., i, ..] (= without `accumulate`), in the order of i. No halves when
/// accumulating.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef& index, const TensorRef& src, int dim,
                            bool accumulate, const char* op)>
    scatter;
/// Number of elements that are not zero, into a rank-0 i64.
extern WEFT_API Kernel<void(const MutTensorRef& count, const TensorRef& x)> count_nonzero;
/// Their coordinates in row-major order: out [count, rank] i64.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef& x)> nonzero;
/// out [.., classes] i64 contiguous: 1 at index [..], 0 elsewhere; errors as index_offsets.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef& index)> one_hot;
/// ValueError "<op>: <what>" if an element of the contiguous bools is true; errors as index_offsets.
extern WEFT_API Kernel<void(const TensorRef& bad, const char* op, const char* what)> refuse_any;
/// out (i64): along axis dim the positions of x's first out.size(dim) elements in sorted order; equal elements keep
/// their order, NaN counts as the largest.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef& x, int dim, bool descending)> sort_indices;
/// columns [N, C * kh * kw, L] contiguous from x [N, C, H, W] of any strides, zero outside (im2col).
extern WEFT_API Kernel<void(const MutTensorRef& columns, const TensorRef& x, const SlidingBlocks& b)> unfold;
/// Its adjoint: x contiguous, overlapping elements added (col2im). f32 or f64.
extern WEFT_API Kernel<void(const MutTensorRef& x, const TensorRef& columns, const SlidingBlocks& b)> fold;

// Random. Element i in memory order takes word i%4 of Philox block from.offset + i/4; 64-bit draws (f64, wide integers)
// take words 2(i%2) and 2(i%2)+1 of block from.offset + i/2. Outputs dense.
extern WEFT_API Kernel<void(const MutTensorRef& out, Generator::State from, double low, double high)> uniform;
extern WEFT_API Kernel<void(const MutTensorRef& out, Generator::State from, double mean, double std)> normal;
/// low + [0, range); range 0 stands for 2^64.
extern WEFT_API Kernel<void(const MutTensorRef& out, Generator::State from, int64_t low, uint64_t range)> randint;
/// 1 with probability p, else 0, in any dtype.
extern WEFT_API Kernel<void(const MutTensorRef& out, Generator::State from, double p)> bernoulli;
/// y = x * scale with probability keep, else 0; x dense, y of the same strides.
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, Generator::State from, double keep, double scale)>
    dropout;

}  // namespace kernels
}  // namespace weft

#include "weft/core/recorded_call.h"
