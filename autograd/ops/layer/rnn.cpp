#include "weft/autograd/ops/layer/rnn.h"

#include <algorithm>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/format.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/core/kernels/rnn.h"
#include "weft/core/map.h"

namespace weft {
namespace {

constexpr const char* kNames[] = {"rnn_tanh", "rnn_relu", "lstm", "gru"};

void check(RnnKind kind, const Tensor& x, const RnnState& s, const RnnWeights& w) {
  const char* name = kNames[static_cast<int>(kind)];
  check_defined(name, x, s.h, w.w_ih, w.w_hh);
  WEFT_CHECK(x.is_floating(), DtypeError, name, ": input is ", x.dtype(), "; expected a floating dtype");
  const int64_t rows = w.w_hh.size(0), H = rows / rnn_gates(kind), N = x.size(-2);
  const int64_t out = w.w_hr.defined() ? w.w_hr.size(0) : H;
  WEFT_CHECK(w.w_ih.rank() == 2 && w.w_hh.rank() == 2 && rows == H * rnn_gates(kind) && w.w_ih.size(0) == rows &&
                 w.w_hh.size(1) == out && w.b_ih.defined() == w.b_hh.defined() &&
                 (!w.b_ih.defined() || (w.b_ih.shape() == Shape{rows} && w.b_hh.shape() == Shape{rows})),
             ShapeError, name, ": weights ", w.w_ih.shape(), " and ", w.w_hh.shape(), " and their biases do not fit ",
             rnn_gates(kind), " gates");
  WEFT_CHECK(!w.w_hr.defined() || (kind == RnnKind::lstm && w.w_hr.shape() == Shape{out, H}), ShapeError, name,
             ": a projection must be [P, H] and lstm's");
  WEFT_CHECK(x.size(-1) == w.w_ih.size(1), ShapeError, name, ": input ", x.shape(), " has ", x.size(-1),
             " features but weight ", w.w_ih.shape(), " expects ", w.w_ih.size(1));
  WEFT_CHECK((s.h.shape() == Shape{N, out}), ShapeError, name, ": hidden state ", s.h.shape(), " should be ",
             Shape{N, out});
  if (kind != RnnKind::lstm) return;
  check_defined(name, s.c);
  WEFT_CHECK((s.c.shape() == Shape{N, H}), ShapeError, name, ": cell state ", s.c.shape(), " should be ", Shape{N, H});
  WEFT_CHECK(s.c.dtype() == s.h.dtype(), DtypeError, name, ": cell state is ", s.c.dtype(), " but hidden state is ",
             s.h.dtype());
}

/// What the input gives to the gates, with all biases that are only added to it.
Tensor input_gates(RnnKind kind, const Tensor& x, const RnnWeights& w) {
  const bool fold = w.b_ih.defined() && kind != RnnKind::gru;
  return linear(x, w.w_ih, fold ? w.b_ih + w.b_hh : w.b_ih);
}

/// One step from the input's part of the gates, as ops.
RnnState step(RnnKind kind, const Tensor& gx, const RnnState& s, const RnnWeights& w) {
  const Tensor gh = linear(s.h, w.w_hh, kind == RnnKind::gru ? w.b_hh : Tensor());
  if (kind == RnnKind::tanh) return {tanh(gx + gh)};
  if (kind == RnnKind::relu) return {relu(gx + gh)};
  const int64_t H = gh.size(1) / rnn_gates(kind);
  if (kind == RnnKind::lstm) {
    const Tensor a = gx + gh;
    const auto gate = [&](int64_t k) { return a.narrow(1, k * H, H); };
    const Tensor c = sigmoid(gate(1)) * s.c + sigmoid(gate(0)) * tanh(gate(2)), h = sigmoid(gate(3)) * tanh(c);
    return {w.w_hr.defined() ? linear(h, w.w_hr) : h, c};
  }
  const Tensor rz = sigmoid(gx.narrow(1, 0, 2 * H) + gh.narrow(1, 0, 2 * H));
  const Tensor n = tanh(gx.narrow(1, 2 * H, H) + rz.narrow(1, 0, H) * gh.narrow(1, 2 * H, H));
  return {n + rz.narrow(1, H, H) * (s.h - n)};
}

/// All steps as ops.
RnnSequence steps(RnnKind kind, const Tensor& gx, const RnnState& first, const RnnWeights& w, bool reverse) {
  std::vector<Tensor> slices = unbind(gx), outputs;
  if (reverse) std::reverse(slices.begin(), slices.end());
  RnnState s = first;
  for (const Tensor& g : slices) {
    s = step(kind, g, s, w);
    outputs.push_back(s.h);
  }
  if (reverse) std::reverse(outputs.begin(), outputs.end());
  return {stack(outputs), s};
}

// The same as one node: the steps are one kernel, and the gradient of w_hh one product
// ------------------------------------------

/// Gradients of gx, h0, c0, w_hh, b_hh without graph.
Grads backward_steps(RnnKind kind, bool reverse, BackwardCtx& ctx, const Tensor& y, const Tensor& kept,
                     const Tensor& h0, const Tensor& c0, const Tensor& w_hh) {
  const int64_t T = y.size(0), N = y.size(1), H = y.size(2), rows = w_hh.size(0);
  Tensor dgx = empty({T, N, rows}, y.options()), dgh = kind == RnnKind::gru ? empty_like(dgx) : Tensor(),
         dh = ctx.needs(1) ? empty({N, H}, y.options()) : Tensor(), dc;
  if (kind == RnnKind::lstm) {
    dc = empty({N, H}, TensorOptions{compute_dtype(y.dtype()), y.device()});
    dc.copy_(ctx.grad(1));
  }
  kernels::rnn_backward(y.device(), mut_ref(dgx), mut_ref(dgh), mut_ref(dh), mut_ref(dc), ref(ctx.grad(0).contiguous()),
                        ref(y), ref(kept), ref(h0), ref(c0), ref(w_hh), kind, reverse);
  const Tensor all = (dgh.defined() ? dgh : dgx).reshape({T * N, rows});
  Grads g(5);
  g[0] = dgx, g[1] = dh, g[2] = dc;
  if (ctx.needs(3)) {
    const Tensor first = h0.unsqueeze(0), rest = y.narrow(0, reverse ? 1 : 0, T - 1);
    g[3] = mm(all.t(), (reverse ? cat({rest, first}) : cat({first, rest})).reshape({T * N, H}));
  }
  if (ctx.needs(4)) g[4] = sum(all, 0);
  return g;
}

/// x itself as a new place on the tape, so that a gradient with respect to it goes no further.
Tensor alias(const Tensor& x) {
  return record("alias", x.detach(), {x}, [](BackwardCtx& c) -> Grads { return {c.grad()}; });
}

/// The same gradients as ops: the steps are run again, recorded.
Grads backward_recorded(RnnKind kind, bool reverse, BackwardCtx& ctx, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> x = inputs, sources;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!x[i].defined()) continue;
    x[i] = alias(x[i]);
    if (ctx.needs(static_cast<int>(i))) sources.push_back(x[i]);
  }
  const RnnSequence s = steps(kind, x[0], {x[1], x[2]}, {.w_ih = {}, .w_hh = x[3], .b_hh = x[4]}, reverse);
  std::vector<Tensor> outputs, upstream;
  for (int k = 0; k < (kind == RnnKind::lstm ? 2 : 1); ++k) {
    if (!ctx.has_grad(k)) continue;
    outputs.push_back(k == 0 ? s.output : s.state.c);
    upstream.push_back(ctx.grad(k));
  }
  const std::vector<Tensor> g = grad(outputs, sources,
                                     {.create_graph = true, .allow_unused = true, .grad_outputs = upstream});
  Grads all(static_cast<int>(x.size()));
  size_t next = 0;
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i].defined() && ctx.needs(static_cast<int>(i))) all[static_cast<int>(i)] = g[next++];
  return all;
}

}  // namespace

RnnState rnn_cell(RnnKind kind, const Tensor& x, const RnnState& state, const RnnWeights& w) {
  const OpName op("rnn_cell");
  WEFT_CHECK(x.rank(op) == 2, ShapeError, "input must be [N, I], got ", x.shape());
  check(kind, x, state, w);
  return step(kind, input_gates(kind, x, w), state, w);
}

RnnSequence rnn_layer(RnnKind kind, const Tensor& x, const RnnState& state, const RnnWeights& w, Only<bool> reverse) {
  const char* name = kNames[static_cast<int>(kind)];
  WEFT_CHECK(x.rank(name) == 3 && x.size(0) > 0, ShapeError, name,
             ": input must be [T, N, I] with at least one time step, got ", x.shape());
  check(kind, x, state, w);
  const Tensor gx = input_gates(kind, x, w);
  if (w.w_hr.defined() || SimulateFormat::current()) return steps(kind, gx, state, w, reverse);

  const auto lower = [](const Tensor& t) { return autocast(CastPolicy::lower, t); };
  const Tensor h0 = lower(state.h), c0 = lower(state.c), w_hh = lower(w.w_hh),
               b_hh = kind == RnnKind::gru ? lower(w.b_hh) : Tensor();
  for (const Tensor& t : {h0, w_hh, b_hh}) {
    if (!t.defined()) continue;
    WEFT_CHECK(t.dtype() == gx.dtype(), DtypeError, name, ": state and weights are not all ", gx.dtype(), ": one is ",
               t.dtype());
    kernels::detail::check_same_device(name, gx, t);
  }
  const int64_t T = x.size(0), N = x.size(1), H = h0.size(1);
  const bool keep = grad_enabled() &&
                    (gx.requires_grad() || h0.requires_grad() || w_hh.requires_grad() ||
                     (c0.defined() && c0.requires_grad()) || (b_hh.defined() && b_hh.requires_grad()));
  Tensor y = empty({T, N, H}, gx.options()), c, kept;
  {
    const NoGrad off;
    if (c0.defined()) {
      c = empty({N, H}, gx.options());
      c.copy_(c0);
    }
    if (keep && rnn_kept(kind)) kept = empty({T, N, rnn_kept(kind) * H}, gx.options());
    Tensor bias = b_hh;
    if (kind == RnnKind::gru && !bias.defined()) bias = zeros({w_hh.size(0)}, gx.options());
    const auto plain = [](const Tensor& t) { return t.defined() ? t.contiguous() : t; };
    kernels::rnn(gx.device(), mut_ref(y), mut_ref(c), mut_ref(kept), ref(plain(gx)), ref(plain(h0)), ref(plain(w_hh)),
                 ref(plain(bias)), kind, reverse);
  }
  std::vector<Tensor> ys{y};
  if (c.defined()) ys.push_back(c);
  if (keep) {
    const auto saved = [](const Tensor& t, const char* what) { return t.defined() ? Saved::input(t, what) : Saved(); };
    ys = record_n(name, std::move(ys), {gx, h0, c0, w_hh, b_hh},
                  [kind, reverse, kept, y = Saved::output(y), gx = saved(gx, "input gates"), h0 = saved(h0, "h"),
                   c0 = saved(c0, "c"), w_hh = saved(w_hh, "weight_hh"),
                   b_hh = saved(b_hh, "bias_hh")](BackwardCtx& ctx) -> Grads {
                    const auto get = [&](const Saved& t) { return t.defined() ? ctx.get(t) : Tensor(); };
                    if (ctx.create_graph())
                      return backward_recorded(kind, reverse, ctx, {get(gx), get(h0), get(c0), get(w_hh), get(b_hh)});
                    const auto plain = [&](const Saved& t) { return t.defined() ? ctx.get(t).contiguous() : Tensor(); };
                    return backward_steps(kind, reverse, ctx, ctx.get(y), kept, plain(h0), plain(c0), plain(w_hh));
                  });
  }
  const Tensor last = ys[0].select(0, reverse ? 0 : T - 1);
  return {ys[0], {last, c.defined() ? ys[1] : Tensor()}};
}

}  // namespace weft
