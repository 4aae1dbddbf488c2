// Convolutions take what follows them into their epilogue: batch norm with fixed statistics, a residual, an activation.
#include <algorithm>
#include <optional>

#include "weft/core/dense_copy.h"
#include "weft/core/fn/unary.h"
#include "weft/core/graph.h"
#include "weft/core/kernels.h"

namespace weft::detail {
namespace {

template <class Sig> auto& args_of(const Kernel<Sig>&, GraphCall& c) { return static_cast<CallOf<Sig>&>(*c.call).args; }

/// out = act(scale conv(x, w) + bias + residual), while it is put together.
struct Fused {
  KeptRef<MutTensorRef> out;
  KeptRef<TensorRef> x, w, scale, bias, residual;
  ConvParams params;
  ConvEpilogue epilogue;
  Use out_use, x_use, w_use, scale_use, bias_use, residual_use;
  size_t residual_at = 0;  // the call that reads it
  bool active = false;     // has its activation: the end

  GraphCall call(Device device) const {
    using Call = CallOf<void(const MutTensorRef&, const TensorRef&, const TensorRef&, const TensorRef&,
                             const TensorRef&, const TensorRef&, const ConvParams&, const ConvEpilogue&)>;
    GraphCall c;
    c.call = std::make_unique<Call>(kernels::conv_fused, device, 0, out.ref, x.ref, w.ref, scale.ref, bias.ref,
                                    residual.ref, params, epilogue);
    for (const Use& u : {out_use, x_use, w_use, scale_use, bias_use, residual_use})
      if (u.block >= 0) c.uses.push_back(u);
    return c;
  }
};

double value(const TensorRef& t, int64_t i) {
  return t.dtype == Dtype::f64 ? t.as<double>()[i] : static_cast<double>(t.as<float>()[i]);
}
/// Contiguous numbers of the compute dtype that the host can read?
bool is_row(const TensorRef& t, int64_t n) {
  return !t.defined() || (t.rank == 1 && t.numel == n && (n == 1 || t.stride(0) == 1) &&
                          (t.dtype == Dtype::f32 || t.dtype == Dtype::f64));
}

class Fuser {
 public:
  Fuser(std::vector<GraphCall>& calls, std::vector<Block>& blocks, bool same_bits)
      : calls_(calls), blocks_(blocks), same_bits_(same_bits) {}

  void run() {
    if (!same_bits_) activate_before_cat();
    for (size_t i = 0; i < calls_.size(); ++i) {
      if (calls_[i].call->slot != &kernels::conv || calls_[i].call->device.type != DeviceType::cpu) continue;
      Fused f = begin(calls_[i]);
      if (same_bits_ && f.out.ref.dtype == Dtype::f64) continue;  // whose epilogue adds the bias last
      size_t at = i;
      bool changed = false;
      while (const std::optional<size_t> next = only_reader(at, f.out_use)) {
        if (!unchanged_between(i, *next, f) || !absorb(f, *next)) break;
        at = *next;
        changed = true;
        done_.push_back(at);
      }
      if (!changed) continue;
      const Device device = calls_[i].call->device;
      std::erase(done_, at);
      done_.push_back(i);
      calls_[at] = f.call(device);
    }
    std::sort(done_.begin(), done_.end(), std::greater<>());
    for (const size_t i : done_) calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(i));
  }

 private:
  // relu(cat(a, b)) is cat(relu(a), relu(b)), whose parts convolutions may take in.
  void activate_before_cat() {
    for (size_t i = 0; i < calls_.size(); ++i) {
      if (calls_[i].call->slot != &kernels::cat) continue;
      const std::optional<size_t> next = only_reader(i, calls_[i].uses[0]);
      if (!next || !activates(calls_[*next])) continue;
      auto& [out, list, count, dim] = args_of(kernels::cat, calls_[i]);
      const bool known = std::all_of(list.refs.begin(), list.refs.end(),
                                     [](const TensorRef& r) { return r.numel > 0; });
      if (!known || out.ref.numel != calls_[*next].call->plan()->numel || !all_from_convolutions(i)) continue;
      auto& unary = static_cast<CallOf<kernels::UnarySig>&>(*calls_[*next].call);
      calls_[i].uses[0] = calls_[*next].uses[0];
      std::vector<GraphCall> parts;
      for (size_t k = 0; k < list.refs.size(); ++k) {
        Use& use = calls_[i].uses[k + 1];
        GraphCall part;
        part.call = unary.clone();
        ElementPlan& plan = std::get<0>(static_cast<CallOf<kernels::UnarySig>&>(*part.call).args);
        plan.numel = plan.shape[0] = list.refs[k].numel;
        const Use from = use;
        Block made = blocks_[static_cast<size_t>(use.block)];
        use.block = static_cast<int>(blocks_.size());
        blocks_.push_back(std::move(made));
        part.uses = {{use.block, 0, true}, from};
        parts.push_back(std::move(part));
      }
      calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(*next));
      calls_.insert(calls_.begin() + static_cast<std::ptrdiff_t>(i), std::make_move_iterator(parts.begin()),
                    std::make_move_iterator(parts.end()));
      i += parts.size();
    }
  }
  static bool activates(const GraphCall& c) {
    const ElementPlan* plan = c.call->plan();
    return plan && plan->contiguous() &&
           (c.call->slot == &kernels::unary.of<fn::Relu>() || c.call->slot == &kernels::unary.of<fn::LeakyRelu>());
  }
  // Are the inputs of the cat results of convolutions, all of each, and needed by nothing else?
  bool all_from_convolutions(size_t cat) const {
    const std::vector<Use>& uses = calls_[cat].uses;
    for (size_t k = 1; k < uses.size(); ++k) {
      size_t writers = 0, readers = 0;
      for (const GraphCall& c : calls_)
        for (const Use& u : c.uses) {
          if (u.block != uses[k].block) continue;
          if (u.written && c.call->slot == &kernels::conv && u.offset == uses[k].offset) ++writers;
          else ++readers;
        }
      if (writers != 1 || readers != 1 || blocks_[static_cast<size_t>(uses[k].block)].kind != Block::temporary ||
          uses[k].offset != 0)
        return false;
    }
    return true;
  }

  // Uses are those of the operands that there are, in the order of the arguments.
  static Fused begin(GraphCall& c) {
    auto& [out, x, w, bias, params] = args_of(kernels::conv, c);
    const KeptRef<TensorRef> none{TensorRef{}};
    Fused f{out, x, w, none, bias, none, params, {}, c.uses[0], c.uses[1], c.uses[2], {}, {}, {}, 0, false};
    if (bias.ref.defined()) f.bias_use = c.uses[3];
    return f;
  }

  /// The one call after `at` that reads what call `at` writes, if nothing else does.
  std::optional<size_t> only_reader(size_t at, const Use& out) const {
    std::optional<size_t> found;
    if (blocks_[static_cast<size_t>(out.block)].kind != Block::temporary) return {};
    for (size_t k = 0; k < calls_.size(); ++k) {
      if (k == at || std::find(done_.begin(), done_.end(), k) != done_.end()) continue;
      for (const Use& u : calls_[k].uses) {
        if (u.block != out.block) continue;
        if (k < at || found || u.written || u.offset != out.offset) return {};
        found = k;
      }
    }
    return found;
  }

  /// Does nothing between the two calls write to what the convolution reads?
  bool unchanged_between(size_t from, size_t to, const Fused& f) const {
    for (size_t k = from + 1; k < to; ++k) {
      if (std::find(done_.begin(), done_.end(), k) != done_.end()) continue;
      for (const Use& u : calls_[k].uses)
        if (u.written && (u.block == f.x_use.block || u.block == f.w_use.block || u.block == f.bias_use.block ||
                          (k > f.residual_at && u.block == f.residual_use.block)))
          return false;
    }
    return true;
  }

  bool absorb(Fused& f, size_t at) {
    GraphCall& c = calls_[at];
    if (f.active) return false;
    const int out = c.uses[0].block;  // memory that the convolution reads is not written while it does
    for (const int read : {f.x_use.block, f.w_use.block, f.bias_use.block, f.residual_use.block})
      if (out == read) return false;
    const KernelSlot* slot = c.call->slot;
    if (slot == &kernels::norm_apply) return absorb_norm(f, at);
    const ElementPlan* plan = c.call->plan();
    if (!plan || !plan->contiguous() || plan->numel != f.out.ref.numel) return false;
    if (slot == &kernels::unary.of<fn::Relu>()) f.epilogue = {Activation::relu, 0};
    else if (same_bits_ && is_half(f.out.ref.dtype)) return false;
    else if (activates(c))
      f.epilogue = {Activation::leaky_relu, functor<fn::LeakyRelu>(kernels::unary.of<fn::LeakyRelu>(), c).slope};
    else if (slot == &kernels::binary.of<fn::Add>()) return absorb_sum(f, at);
    else return false;
    f.active = true;
    f.out_use = c.uses[0];
    return true;
  }

  template <class F, class Sig> static F functor(const Kernel<Sig>& k, GraphCall& c) {
    const auto& args = args_of(k, c);
    F f;
    std::copy_n(std::get<std::tuple_size_v<std::decay_t<decltype(args)>> - 1>(args).functor, sizeof(F),
                reinterpret_cast<std::byte*>(&f));
    return f;
  }

  /// A sum with a tensor of the same layout: the residual.
  bool absorb_sum(Fused& f, size_t at) {
    GraphCall& c = calls_[at];
    const bool first = c.uses[1].block == f.out_use.block, second = c.uses[2].block == f.out_use.block;
    if (f.residual.ref.defined() || first == second) return false;
    auto& args = args_of(kernels::binary.of<fn::Add>(), c);
    const Use& other = c.uses[first ? 2 : 1];
    if (std::get<4>(args) != f.out.ref.dtype || other.block == c.uses[0].block) return false;
    set_residual(f, other, at);
    f.out_use = c.uses[0];
    return true;
  }
  static void set_residual(Fused& f, const Use& use, size_t at) {
    f.residual_at = at;
    f.residual = KeptRef<TensorRef>(f.out.ref);  // its pointer is set before each run
    f.residual.ref.storage = nullptr;
    f.residual_use = use;
  }

  bool absorb_norm(Fused& f, size_t at) {
    GraphCall& c = calls_[at];
    auto& [y, x, mean, inv, gamma, beta, residual, params] = args_of(kernels::norm_apply, c);
    const int64_t n = f.out.ref.size(1);
    if (same_bits_ || f.residual.ref.defined() || f.scale.ref.defined() || y.ref.dtype != f.out.ref.dtype) return false;
    if (!same_features(x.ref, f.out.ref) || !same_features(y.ref, f.out.ref)) return false;
    if (!is_row(mean.ref, n) || !is_row(inv.ref, n) || !is_row(gamma.ref, n) || !is_row(beta.ref, n)) return false;
    size_t k = 2;  // uses of the four, as far as they are there
    for (TensorRef* r : {&mean.ref, &inv.ref, &gamma.ref, &beta.ref})
      if (r->defined() && !readable(*r, c.uses[k++])) return false;
    if (c.uses[1].block != f.out_use.block) return false;  // it is the residual
    if (blocks_[static_cast<size_t>(f.w_use.block)].kind != Block::constant) return false;
    if (f.bias.ref.defined() && !readable(f.bias.ref, f.bias_use)) return false;
    if (residual.ref.defined() && c.uses[k].block == c.uses[0].block) return false;
    const Dtype t = compute_dtype(f.out.ref.dtype);
    std::vector<double> scale(static_cast<size_t>(n)), shift(scale);
    for (int64_t i = 0; i < n; ++i) {
      const double s = value(inv.ref, i) * (gamma.ref.defined() ? value(gamma.ref, i) : 1);
      const double b = f.bias.ref.defined() ? bias_value(f.bias.ref, i) : 0;
      scale[static_cast<size_t>(i)] = s;
      shift[static_cast<size_t>(i)] = (beta.ref.defined() ? value(beta.ref, i) : 0) + (b - value(mean.ref, i)) * s;
    }
    f.scale = constant(scale, t, f.scale_use);
    f.bias = constant(shift, t, f.bias_use);
    if (residual.ref.defined()) set_residual(f, c.uses[k], at);
    f.epilogue = {params.activation, params.activation == Activation::leaky_relu ? params.slope : 0};
    f.active = params.activation != Activation::none;
    f.out_use = c.uses[0];
    return true;
  }
  // The same shape in the same memory order: channels are the same axis.
  static bool same_features(const TensorRef& a, const TensorRef& b) {
    return shape_of(a) == shape_of(b) && has_strides(a, b.strides);
  }
  // Points r to a constant's values, which may have moved since they were recorded.
  bool readable(TensorRef& r, const Use& use) const {
    const Block& b = blocks_[static_cast<size_t>(use.block)];
    if (b.kind != Block::constant) return false;
    r.data = static_cast<const char*>(b.keep->data()) + use.offset;
    return true;
  }
  static double bias_value(const TensorRef& t, int64_t i) {
    double v = 0;
    dispatch_floating(t.dtype, "capture", [&]<class T> { v = static_cast<double>(t.as<T>()[i * t.stride(0)]); });
    return v;
  }

  KeptRef<TensorRef> constant(const std::vector<double>& values, Dtype t, Use& use) {
    const int64_t n = static_cast<int64_t>(values.size()), one = 1;
    Block b;
    b.bytes = values.size() * itemsize(t);
    b.keep = make_ref<Storage>(b.bytes, Device());
    void* to = b.keep->data();
    for (size_t i = 0; i < values.size(); ++i)
      if (t == Dtype::f64) static_cast<double*>(to)[i] = values[i];
      else static_cast<float*>(to)[i] = static_cast<float>(values[i]);
    use = {static_cast<int>(blocks_.size()), 0, false};
    TensorRef r = ref(to, t, &n, &one, 1);
    r.storage = b.keep.get();
    const KeptRef<TensorRef> kept(r);
    blocks_.push_back(std::move(b));
    return kept;
  }

  std::vector<GraphCall>& calls_;
  std::vector<Block>& blocks_;
  const bool same_bits_;
  std::vector<size_t> done_;  ///< calls that others have taken in
};

}  // namespace

void fuse(std::vector<GraphCall>& calls, std::vector<Block>& blocks, bool same_bits) {
  Fuser(calls, blocks, same_bits).run();
}

}  // namespace weft::detail
