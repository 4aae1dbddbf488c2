#include "weft/autograd/ops/rnn.h"

#include <algorithm>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/activation.h"
#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/elementwise.h"
#include "weft/autograd/ops/matmul.h"
#include "weft/autograd/ops/reduce.h"
#include "weft/autograd/ops/select.h"
#include "weft/autograd/ops/shape.h"
#include "weft/autograd/ops/unary.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

using kernels::map2;

constexpr const char* kNames[] = {"rnn_tanh", "rnn_relu", "lstm", "gru"};
constexpr int64_t kGates[] = {1, 1, 4, 3};
int64_t gates_of(RnnKind kind) { return kGates[static_cast<int>(kind)]; }

void check(RnnKind kind, const Tensor& x, const RnnState& s, const RnnWeights& w) {
  const char* name = kNames[static_cast<int>(kind)];
  check_defined(name, x, s.h, w.w_ih, w.w_hh);
  const int64_t rows = w.w_hh.size(0), H = rows / gates_of(kind), N = x.size(-2);
  const int64_t out = w.w_hr.defined() ? w.w_hr.size(0) : H;
  WEFT_CHECK(w.w_ih.rank() == 2 && w.w_hh.rank() == 2 && rows == H * gates_of(kind) && w.w_ih.size(0) == rows &&
                 w.w_hh.size(1) == out && w.b_ih.defined() == w.b_hh.defined() &&
                 (!w.b_ih.defined() || (w.b_ih.shape() == Shape{rows} && w.b_hh.shape() == Shape{rows})),
             ShapeError, name, ": weights ", w.w_ih.shape(), " and ", w.w_hh.shape(), " and their biases do not fit ",
             gates_of(kind), " gates");
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
  const int64_t H = gh.size(1) / gates_of(kind);
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

// The same as one node: no graph of the steps, and one product for the gradient of w_hh -------------------------------------

/// What a step keeps for its gradient.
struct Kept {
  Tensor gates;  // tanh, relu: none; lstm: input and forget [N, 2 H]; gru: reset and update [N, 2 H]
  Tensor n, o;   // lstm: cell gate, output gate; gru: new, its part from h
  Tensor tanh_c;
};

/// A step without graph. `kept` may be null.
RnnState plain_step(RnnKind kind, const Tensor& gx, const RnnState& s, const Tensor& w_hh, const Tensor& b_hh,
                    Kept* kept) {
  Tensor a = linear(s.h, w_hh, b_hh);
  if (kind == RnnKind::gru) {
    const int64_t H = s.h.size(1);
    Kept k;
    k.gates = kernels::map<fn::Sigmoid>(a.narrow(1, 0, 2 * H) + gx.narrow(1, 0, 2 * H));
    k.o = a.narrow(1, 2 * H, H);
    k.n = kernels::map<fn::Tanh>(addcmul(gx.narrow(1, 2 * H, H), k.gates.narrow(1, 0, H), k.o));
    const Tensor h = lerp(k.n, s.h, k.gates.narrow(1, H, H));
    if (kept) *kept = std::move(k);
    return {h};
  }
  a.add_(gx);
  if (kind == RnnKind::tanh) return {kernels::map<fn::Tanh>(std::move(a))};
  if (kind == RnnKind::relu) return {kernels::map<fn::Relu>(std::move(a))};
  const int64_t H = s.c.size(1);
  Kept k;
  k.gates = kernels::map<fn::Sigmoid>(a.narrow(1, 0, 2 * H));
  k.n = kernels::map<fn::Tanh>(a.narrow(1, 2 * H, H));
  k.o = kernels::map<fn::Sigmoid>(a.narrow(1, 3 * H, H));
  const Tensor c = addcmul(k.gates.narrow(1, H, H) * s.c, k.gates.narrow(1, 0, H), k.n);
  k.tanh_c = kernels::map<fn::Tanh>(c);
  const Tensor h = k.o * k.tanh_c;
  if (kept) *kept = std::move(k);
  return {h, c};
}

struct RnnRun {
  RnnKind kind;
  bool reverse;
  std::vector<Kept> kept;  // in order of time
  std::vector<Tensor> cs;  // lstm: c before each step

  int64_t place(int64_t i, int64_t T) const { return reverse ? T - 1 - i : i; }
};

/// Gradients of gx, h0, c0, w_hh, b_hh without graph.
Grads backward_steps(const RnnRun& run, BackwardCtx& ctx, const Tensor& y, const Tensor& h0, const Tensor& w_hh) {
  const int64_t T = y.size(0), N = y.size(1), H = y.size(2), G = gates_of(run.kind);
  const bool gru = run.kind == RnnKind::gru;
  Tensor dgx = empty({T, N, G * H}, y.options()), dgh = gru ? empty_like(dgx) : dgx;
  Tensor before = empty_like(y);  // h before each step
  Tensor dh, dc = run.kind == RnnKind::lstm && ctx.has_grad(1) ? ctx.grad(1) : Tensor();
  const Tensor gy = ctx.has_grad(0) ? ctx.grad(0) : Tensor();
  for (int64_t i = T - 1; i >= 0; --i) {
    const int64_t t = run.place(i, T);
    const Tensor h = i > 0 ? y.select(0, run.place(i - 1, T)) : h0;
    before.select(0, t).copy_(h);
    Tensor g = gy.defined() ? gy.select(0, t) : Tensor();
    if (!dh.defined()) dh = g.defined() ? g : zeros({N, H}, y.options());
    else if (g.defined()) dh = dh + g;
    const Tensor at = dgx.select(0, t);
    const auto put = [&](const Tensor& to, int64_t gate, const Tensor& d) { to.narrow(1, gate * H, H).copy_(d); };
    const Kept* k = run.kept.empty() ? nullptr : &run.kept[static_cast<size_t>(t)];
    switch (run.kind) {
      case RnnKind::tanh: put(at, 0, map2<fn::TanhGrad>(dh, y.select(0, t))); break;
      case RnnKind::relu: put(at, 0, map2<fn::ReluGrad>(dh, y.select(0, t))); break;
      case RnnKind::lstm: {
        const Tensor in = k->gates.narrow(1, 0, H), forget = k->gates.narrow(1, H, H);
        const Tensor through = map2<fn::TanhGrad>(dh * k->o, k->tanh_c);
        dc = dc.defined() ? dc + through : through;
        put(at, 0, map2<fn::SigmoidGrad>(dc * k->n, in));
        put(at, 1, map2<fn::SigmoidGrad>(dc * run.cs[static_cast<size_t>(t)], forget));
        put(at, 2, map2<fn::TanhGrad>(dc * in, k->n));
        put(at, 3, map2<fn::SigmoidGrad>(dh * k->tanh_c, k->o));
        dc = dc * forget;
        break;
      }
      case RnnKind::gru: {
        const Tensor reset = k->gates.narrow(1, 0, H), update = k->gates.narrow(1, H, H);
        const Tensor dn = map2<fn::TanhGrad>(dh - dh * update, k->n);
        const Tensor dr = map2<fn::SigmoidGrad>(dn * k->o, reset), dz = map2<fn::SigmoidGrad>(dh * (h - k->n), update);
        put(at, 0, dr), put(at, 1, dz), put(at, 2, dn);
        const Tensor of_h = dgh.select(0, t);
        put(of_h, 0, dr), put(of_h, 1, dz), put(of_h, 2, dn * reset);
        dh = dh * update + mm(of_h, w_hh);
        break;
      }
    }
    if (!gru && (i > 0 || ctx.needs(1))) dh = mm(at, w_hh);
  }
  const Tensor all = dgh.reshape({T * N, G * H});
  Grads g(5);
  g[0] = dgx, g[1] = dh, g[2] = dc;
  if (ctx.needs(3)) g[3] = mm(all.t(), before.reshape({T * N, H}));
  if (ctx.needs(4)) g[4] = sum(all, 0);
  return g;
}

/// x itself as a new place on the tape, so that a gradient with respect to it goes no further.
Tensor alias(const Tensor& x) {
  return record("alias", x.detach(), {x}, [](BackwardCtx& c) -> Grads { return {c.grad()}; });
}

/// The same gradients as ops: the steps are run again, recorded.
Grads backward_recorded(const RnnRun& run, BackwardCtx& ctx, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> x = inputs, sources;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!x[i].defined()) continue;
    x[i] = alias(x[i]);
    if (ctx.needs(static_cast<int>(i))) sources.push_back(x[i]);
  }
  const RnnSequence s = steps(run.kind, x[0], {x[1], x[2]}, {.w_ih = {}, .w_hh = x[3], .b_hh = x[4]}, run.reverse);
  std::vector<Tensor> outputs, upstream;
  for (int k = 0; k < (run.kind == RnnKind::lstm ? 2 : 1); ++k) {
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
  WEFT_CHECK(x.rank("rnn_cell") == 2, ShapeError, "rnn_cell: input must be [N, I], got ", x.shape());
  check(kind, x, state, w);
  return step(kind, input_gates(kind, x, w), state, w);
}

RnnSequence rnn_layer(RnnKind kind, const Tensor& x, const RnnState& state, const RnnWeights& w, bool reverse) {
  const char* name = kNames[static_cast<int>(kind)];
  WEFT_CHECK(x.rank(name) == 3 && x.size(0) > 0, ShapeError, name,
             ": input must be [T, N, I] with at least one time step, got ", x.shape());
  check(kind, x, state, w);
  const Tensor gx = input_gates(kind, x, w);
  if (w.w_hr.defined()) return steps(kind, gx, state, w, reverse);

  const auto lower = [](const Tensor& t) { return autocast(CastPolicy::lower, t); };
  const Tensor h0 = lower(state.h), c0 = lower(state.c), w_hh = lower(w.w_hh),
               b_hh = kind == RnnKind::gru ? lower(w.b_hh) : Tensor();
  const int64_t T = x.size(0);
  const bool keep = grad_enabled() &&
                    (gx.requires_grad() || h0.requires_grad() || w_hh.requires_grad() ||
                     (c0.defined() && c0.requires_grad()) || (b_hh.defined() && b_hh.requires_grad()));
  RnnRun run{kind, reverse, {}, {}};
  const bool has_gates = kind == RnnKind::lstm || kind == RnnKind::gru;
  if (keep && has_gates) run.kept.resize(static_cast<size_t>(T));
  if (keep && kind == RnnKind::lstm) run.cs.resize(static_cast<size_t>(T));
  Tensor y;
  RnnState s;
  {
    const NoGrad off;
    s = {h0.detach(), c0.defined() ? c0.detach() : Tensor()};
    y = empty({T, x.size(1), h0.size(1)}, gx.options());
    for (int64_t i = 0; i < T; ++i) {
      const int64_t t = run.place(i, T);
      const auto at = static_cast<size_t>(t);
      if (!run.cs.empty()) run.cs[at] = s.c;
      s = plain_step(kind, gx.detach().select(0, t), s, w_hh.detach(), b_hh.defined() ? b_hh.detach() : Tensor(),
                     run.kept.empty() ? nullptr : &run.kept[at]);
      y.select(0, t).copy_(s.h);
    }
  }
  std::vector<Tensor> ys{y};
  if (s.c.defined()) ys.push_back(s.c);
  if (keep) {
    const auto saved = [](const Tensor& t, const char* what) { return t.defined() ? Saved::input(t, what) : Saved(); };
    ys = record_n(
        name, std::move(ys), {gx, h0, c0, w_hh, b_hh},
        [run = std::move(run), y = Saved::output(y), gx = saved(gx, "input gates"), h0 = saved(h0, "h"),
         c0 = saved(c0, "c"), w_hh = saved(w_hh, "weight_hh"), b_hh = saved(b_hh, "bias_hh")](BackwardCtx& c) -> Grads {
          const auto get = [&](const Saved& t) { return t.defined() ? c.get(t) : Tensor(); };
          if (c.create_graph()) return backward_recorded(run, c, {get(gx), get(h0), get(c0), get(w_hh), get(b_hh)});
          return backward_steps(run, c, c.get(y), c.get(h0), c.get(w_hh));
        });
  }
  const Tensor last = ys[0].select(0, run.place(T - 1, T));
  return {ys[0], {last, s.c.defined() ? ys[1] : Tensor()}};
}

}  // namespace weft
