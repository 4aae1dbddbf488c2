// Attention's kernels against the ops that it is made of elsewhere, in f64.
#include "weft/backends/cuda/attention.cuh"
#include "cuda/against_cpu.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/attention.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/backends/cuda/attention_grad.cuh"

namespace {

using namespace weft;
using namespace support;

constexpr Generator::State kFrom{0x123456789abcdefull, 0xfffffffeull};  // the counter's words carry soon
constexpr Dtype kTypes[] = {Dtype::f32, Dtype::bf16, Dtype::f16};

Tensor normal(const Shape& s, Dtype d, uint64_t seed) {
  Tensor x = empty(s, d);
  kernels::normal(DeviceType::cpu, mut_ref(x), Generator(seed).state(), 0.0, 1.0);
  return x;
}
Tensor f64(const Tensor& x) { return x.defined() && x.is_floating() ? x.to(Dtype::f64) : x; }

struct Inputs {
  Tensor q, k, v, g, mask;
};
struct Outputs {
  Tensor y, lse, dq, dk, dv;
};

/// Both kernels. mask: broadcasts.
Outputs run(const Inputs& in, const AttentionParams& p) {
  Shape rows = in.q.shape().slice(0, 3), scores = rows, result = rows;
  scores.push_back(in.k.size(2));
  result.push_back(in.v.size(3));
  const Dtype d = in.q.dtype();
  const Tensor mask = in.mask.defined() ? in.mask.expand(scores) : in.mask;
  Outputs out{unwritten(result, d), unwritten(rows, Dtype::f32), unwritten(in.q.shape(), d), unwritten(in.k.shape(), d),
              unwritten(in.v.shape(), d)};
  cuda::attention(mut_ref(out.y), mut_ref(out.lse), ref(in.q), ref(in.k), ref(in.v), ref(mask), p);
  cuda::attention_backward(mut_ref(out.dq), mut_ref(out.dk), mut_ref(out.dv), ref(in.g), ref(out.y), ref(out.lse),
                           ref(in.q), ref(in.k), ref(in.v), ref(mask), p);
  return out;
}
/// The same by ops; lse is left out.
Outputs run_ops(const Inputs& in, const AttentionParams& p) {
  std::vector<Tensor> x;
  for (const Tensor& t : {in.q, in.k, in.v}) x.push_back(f64(t).detach().set_requires_grad());
  default_generator().set_state(p.from);
  const Tensor y = scaled_dot_product_attention(
      x[0], x[1], x[2],
      {.attn_mask = f64(in.mask), .dropout_p = 1 - p.keep, .is_causal = p.causal, .scale = p.scale, .enable_gqa = true});
  const auto grads = grad({y}, x, {.grad_outputs = {f64(in.g)}});
  return {y, {}, grads[0], grads[1], grads[2]};
}
double worst(const Outputs& a, const Outputs& b, bool gradients) {
  if (!gradients) return difference(a.y, b.y);
  return std::max({difference(a.dq, b.dq), difference(a.dk, b.dk), difference(a.dv, b.dv)});
}

enum class Mask { none, causal, choice, added };

struct Sizes {
  int64_t B, H, G, L, S, E, V;
};
Inputs inputs(const Sizes& s, Dtype d, Mask mask) {
  Inputs in{normal({s.B, s.H, s.L, s.E}, d, 1),
            normal({s.B, s.G, s.S, s.E}, d, 2),
            normal({s.B, s.G, s.S, s.V}, d, 3),
            normal({s.B, s.H, s.L, s.V}, d, 4),
            {}};
  if (mask == Mask::choice) in.mask = gt(normal({s.B, 1, s.L, s.S}, Dtype::f32, 5), 0.5);  // hides whole rows, too
  if (mask == Mask::added) in.mask = normal({s.H, s.L, s.S}, d, 5);
  return in;
}

void check_attention(const Sizes& s, Dtype d, Mask mask, double keep) {
  CAPTURE(s.L);
  CAPTURE(s.S);
  CAPTURE(s.E);
  CAPTURE(s.V);
  CAPTURE(d);
  CAPTURE(static_cast<int>(mask));
  CAPTURE(keep);
  const AttentionParams p{
      .scale = 1 / std::sqrt(static_cast<double>(s.E)), .causal = mask == Mask::causal, .keep = keep, .from = kFrom};
  const Inputs in = inputs(s, d, mask);
  const Outputs a = run(in, p), b = run_ops(in, p);
  // f32: sums of some hundred terms, and exponents of up to 2^3. Halves: the weights are rounded before a product, and
  // the result is; in the gradients both of two factors are.
  const bool tf32 = d == Dtype::f32 && tf32_allowed();
  const double eps = tf32 ? 0x1p-11 : epsilon(d);
  CHECK(worst(a, b, false) <= (d == Dtype::f32 && !tf32 ? 1e-5 : 4 * eps));
  CHECK(worst(a, b, true) <= (d == Dtype::f32 && !tf32 ? 2e-5 : 8 * eps));
}

}  // namespace

TEST_SUITE("cuda attention") {
  TEST_CASE("agrees with the ops at awkward sizes, for every mask and dtype") {
    for (const Dtype d : kTypes)
      for (const Mask mask : {Mask::none, Mask::causal, Mask::choice, Mask::added})
        for (const Sizes& s : {Sizes{1, 1, 1, 1, 1, 1, 1}, Sizes{1, 2, 1, 1, 70, 3, 5}, Sizes{1, 1, 1, 70, 1, 40, 40},
                               Sizes{2, 4, 2, 35, 67, 80, 72}, Sizes{1, 2, 1, 70, 33, 128, 128},
                               Sizes{1, 1, 1, 35, 40, 200, 200}, Sizes{1, 1, 1, 17, 65, 256, 9}})
          check_attention(s, d, mask, 1);
  }

  TEST_CASE("agrees with the ops where sizes are multiples of tiles, and beyond them") {
    for (const Dtype d : kTypes)
      for (const Mask mask : {Mask::none, Mask::causal}) {
        check_attention({1, 1, 1, 128, 128, 64, 64}, d, mask, 1);
        check_attention({1, 1, 1, 129, 193, 64, 64}, d, mask, 1);
        check_attention({1, 1, 1, 193, 129, 16, 32}, d, mask, 1);
      }
  }

  TEST_CASE("TF32 where it is allowed") {
    struct High {
      High() { set_float32_matmul_precision("high"); }
      ~High() { set_float32_matmul_precision("highest"); }
    } high;
    for (const int64_t E : {3, 64, 128, 200})
      for (const Mask mask : {Mask::none, Mask::causal}) check_attention({1, 2, 1, 35, 70, E, E}, Dtype::f32, mask, 1);
    const Inputs in = inputs({1, 1, 1, 33, 40, 64, 64}, Dtype::f32, Mask::none);
    CHECK(worst(run(in, {}), run_ops(in, {}), false) > 1e-5);  // it is not f32
  }

  TEST_CASE("lse is the logarithm of the sum of exponentials") {
    for (const Dtype d : kTypes) {
      const Inputs in = inputs({1, 2, 2, 35, 70, 40, 40}, d, Mask::none);
      const Tensor want = logsumexp(matmul(f64(in.q), f64(in.k).transpose(-2, -1)) * 0.5, {-1});
      CHECK(difference(run(in, {.scale = 0.5}).lse, want) <= 1e-6);
    }
  }

  TEST_CASE("dropout: the weights that kernels::dropout leaves, forward and backward") {
    for (const Dtype d : kTypes)
      for (const int64_t S : {36, 37}) {  // rows that begin with a block of random words, and others
        CAPTURE(d);
        CAPTURE(S);
        const int64_t L = 70;
        for (const Mask mask : {Mask::none, Mask::causal, Mask::added})
          check_attention({2, 2, 1, L, S, 40, 40}, d, mask, 0.7);
        // Values that are rows of the identity give the weights themselves, so do such gradients.
        Inputs in = inputs({2, 2, 2, L, S, 40, S}, d, Mask::none);
        const auto identity = [&](int64_t n) { return eye(n).to(d).expand({2, 2, n, n}).contiguous(); };
        in.v = identity(S);
        const Outputs values = run(in, {.scale = 0.1, .keep = 0.7, .from = kFrom});
        in.v = normal({2, 2, S, L}, d, 3), in.g = identity(L);
        const Outputs gradients = run(in, {.scale = 0.1, .keep = 0.7, .from = kFrom});
        Tensor kept = unwritten({2, 2, L, S}, Dtype::f32);
        kernels::dropout(DeviceType::cpu, mut_ref(kept), ref(ones({2, 2, L, S})), kFrom, 0.7, 1.0);
        CHECK(same_bits(ne(values.y, 0), ne(kept, 0)));
        CHECK(same_bits(ne(gradients.dv.transpose(-2, -1).contiguous(), 0), ne(kept, 0)));
        // four standard deviations of a mean of that many draws
        const double share = mean(kept).item<double>(), n = static_cast<double>(kept.numel());
        CHECK(std::fabs(share - 0.7) <= 4 * std::sqrt(0.7 * 0.3 / n));
      }
  }

  TEST_CASE("rows that see nothing give 0 and take no gradient") {
    for (const Dtype d : kTypes)
      for (const bool choice : {false, true}) {
        Inputs in = inputs({1, 1, 1, 35, 70, 24, 24}, d, Mask::none);
        const Tensor row = lt(arange(35).unsqueeze(1), 20).expand({35, 70});
        in.mask = choice ? row : where(row, 0.0, -INFINITY).to(d);
        const Outputs a = run(in, {}), b = run_ops(in, {});
        CHECK(worst(a, b, false) <= 8 * epsilon(d));
        CHECK(worst(a, b, true) <= 64 * epsilon(d));  // scores of up to 20 make weights of which one is all
        for (const Tensor& t : {a.y, a.dq}) CHECK(all(eq(t.narrow(2, 20, 15), 0)).item<bool>());
        CHECK(all(isinf(a.lse.narrow(2, 20, 15))).item<bool>());
        in.mask = zeros({35, 70}, Dtype::boolean);
        const Outputs none = run(in, {});
        for (const Tensor& t : {none.y, none.dq, none.dk, none.dv}) CHECK(all(eq(t, 0)).item<bool>());
      }
  }

  TEST_CASE("NaN and infinities in what a query sees") {
    const double inf = INFINITY, nan = NAN;
    for (const Dtype d : kTypes)
      for (const double bad : {nan, inf, -inf})
        for (const int which : {0, 1, 2, 3}) {
          CAPTURE(d);
          CAPTURE(bad);
          CAPTURE(which);
          Inputs in = inputs({1, 1, 1, 5, 70, 8, 8}, d, Mask::added);
          Tensor& x = which == 0 ? in.q : which == 1 ? in.k : which == 2 ? in.v : in.mask;
          x = x.clone();
          x.narrow(-2, 2, 1).narrow(-1, 3, 1).fill_(bad);
          const Outputs a = run(in, {}), b = run_ops(in, {});
          CHECK(same_bits(isnan(a.y), isnan(b.y)));
          CHECK(same_bits(isnan(a.dq), isnan(b.dq)));
          CHECK(same_bits(isnan(a.dk), isnan(b.dk)));
          CHECK(same_bits(isnan(a.dv), isnan(b.dv)));
        }
  }

  TEST_CASE("a row of NaN reaches the keys that it sees, and no others") {
    for (const Dtype d : kTypes) {
      Inputs in = inputs({1, 1, 1, 5, 70, 8, 8}, d, Mask::none);
      const Tensor row = eq(arange(5), 4).unsqueeze(1);  // the last one: behind it a tile has rows of nobody
      const Tensor key = lt(arange(70), 10);
      in.mask = where(row, where(key, where(eq(arange(70), 3), NAN, 0.0), -INFINITY), 0.0).to(d);
      const Outputs a = run(in, {});
      for (const Tensor& t : {a.y, a.dq}) CHECK(same_bits(isnan(t[0][0]), row.expand({5, 8}).contiguous()));
      for (const Tensor& t : {a.dk, a.dv})
        CHECK(same_bits(isnan(t[0][0]), key.unsqueeze(1).expand({70, 8}).contiguous()));
    }
  }

  TEST_CASE("operands of any strides and alignment") {
    for (const Dtype d : kTypes) {
      const Sizes s{2, 2, 2, 33, 40, 24, 24};
      const Inputs in = inputs(s, d, Mask::choice);
      const Outputs want = run(in, {});
      const auto heads_inside = [](const Tensor& x) { return x.transpose(1, 2).contiguous().transpose(1, 2); };
      const auto last_outside = [](const Tensor& x) { return x.transpose(2, 3).contiguous().transpose(2, 3); };
      const auto off_by_one = [](const Tensor& x) {
        Tensor y = empty({x.numel() + 1}, x.dtype()).narrow(0, 1, x.numel()).view(x.shape());
        return y.copy_(x);
      };
      const auto among_others = [](const Tensor& x) {
        Tensor y = empty({x.size(0), x.size(1), x.size(2), x.size(3) + 3}, x.dtype()).narrow(3, 1, x.size(3));
        return y.copy_(x);
      };
      const auto check = [&](const auto& change) {
        const Outputs a = run({change(in.q), change(in.k), change(in.v), change(in.g), last_outside(in.mask)}, {});
        for (const auto& [x, y] :
             {std::pair(a.y, want.y), std::pair(a.dq, want.dq), std::pair(a.dk, want.dk), std::pair(a.dv, want.dv)})
          CHECK(same_bits(x, y));
      };
      check(heads_inside), check(last_outside), check(off_by_one), check(among_others);
    }
  }

  TEST_CASE("the same bits under any schedule") {
    for (const Dtype d : kTypes) {
      const Inputs in = inputs({1, 2, 1, 70, 70, 40, 40}, d, Mask::causal);
      const AttentionParams p{.scale = 0.2, .causal = true, .keep = 0.8, .from = kFrom};
      Outputs first;
      cuda_emulator::for_each_schedule([&] {
        const Outputs a = run(in, p);
        if (!first.y.defined()) first = a;
        CHECK(same_bits(a.y, first.y));
        CHECK(same_bits(a.lse, first.lse));
        CHECK(same_bits(a.dq, first.dq));
        CHECK(same_bits(a.dk, first.dk));
        CHECK(same_bits(a.dv, first.dv));
      });
    }
  }
}
