// Attention against a naive loop and finite differences.
#include "weft/autograd/ops/layer/attention.h"
#include "derivative.h"
#include "support/here.h"
#include "support/reference.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/core/generator.h"

using namespace weft;
using support::Array;
using weft::test::ramp;

TEST_SUITE("attention") {
  DEVICE_TEST_CASE("scaled_dot_product_attention: plain, causal, masked, grouped heads") {
    const Tensor q = ramp({2, 4, 3, 5}), k = ramp({2, 2, 6, 5}, -2, 2, 1), v = ramp({2, 2, 6, 7}, -2, 2, 2);
    const Tensor mask = gt(ramp({3, 6}, -1, 2, 3), 0), bias = ramp({3, 6}, -1, 1, 4);
    const Array Q(q), K(k), V(v), M(mask), B(bias);
    enum Kind { plain, causal, masked, added };
    for (const Kind kind : {plain, causal, masked, added}) {
      const Array want = support::generate({2, 4, 3, 7}, [&](const auto& i) {
        double top = 0, total = 0;
        for (int64_t s = 0; s < 6; ++s) {
          double score = 0;
          for (int64_t e = 0; e < 5; ++e) score += Q.at({i[0], i[1], i[2], e}) * K.at({i[0], i[1] / 2, s, e}) * 0.25;
          if (kind == added) score += B.at({i[2], s});
          if ((kind == causal && s > i[2]) || (kind == masked && M.at({i[2], s}) == 0)) continue;
          total += std::exp(score);
          top += std::exp(score) * V.at({i[0], i[1] / 2, s, i[3]});
        }
        return top / total;
      });
      AttentionOptions o{.is_causal = kind == causal, .scale = 0.25, .enable_gqa = true};
      if (kind == masked) o.attn_mask = mask;
      if (kind == added) o.attn_mask = bias;
      CHECK(allclose(scaled_dot_product_attention(q, k, v, o), here::tensor(want.v, want.shape), 1e-10, 1e-10));
    }
  }

  DEVICE_TEST_CASE("scaled_dot_product_attention: many scores, in pieces of any axis") {
    manual_seed(3);
    // One sample with a prime number of heads; a prime number of samples with keys for all heads, a mask for each head;
    // keys for all.
    struct Case {
      int64_t length;
      Shape query, key, mask;
    };
    const Shape none{};
    for (const Case& c :
         {Case{775, {1, 7}, {1, 7}, none}, Case{650, {5, 2}, {5, 1}, {2, 650, 650}}, Case{775, {7}, {1}, none}}) {
      const auto leaf = [&](Shape lead) {
        lead.push_back(c.length), lead.push_back(2);
        return here::randn(lead).set_requires_grad();
      };
      const Tensor q = leaf(c.query), k = leaf(c.key), v = leaf(c.key);
      const Tensor mask = c.mask.empty() ? Tensor() : gt(here::randn(c.mask), 0);
      // the same without the op
      Tensor scores = matmul(q * 0.5, k.transpose(-2, -1));
      if (mask.defined()) scores = where(mask, scores, -1e30);
      const Tensor want = matmul(softmax(scores, -1), v);
      const Tensor y = scaled_dot_product_attention(q, k, v, {.attn_mask = mask, .scale = 0.5});
      CHECK(allclose(y, want, 1e-5, 1e-5));
      const std::vector<Tensor> a = grad(sum(y * y), {q, k, v}), b = grad(sum(want * want), {q, k, v});
      for (size_t i = 0; i < 3; ++i) CHECK(allclose(a[i], b[i], 1e-3, 1e-4));
    }
    // pieces of two samples would fit the two keys
    CHECK_THROWS_AS((void)scaled_dot_product_attention(here::zeros({4, 1500, 2}), here::zeros({2, 1500, 2}),
                                                       here::zeros({2, 1500, 2})),
                    ShapeError);
  }

  DEVICE_TEST_CASE("scaled_dot_product_attention: scores beyond what f16 holds") {
    for (const bool cast : {false, true}) {
      CAPTURE(cast);
      const Dtype d = cast ? Dtype::f32 : Dtype::f16;
      const Tensor q = here::full({1, 2, 3, 64}, 200, d).set_requires_grad();  // scores of 320000
      const Tensor k = here::full({1, 2, 3, 64}, 200, d).set_requires_grad();
      const Tensor v = here::ones({1, 2, 3, 4}, d).set_requires_grad();
      const Autocast on(Dtype::f16, q.device(), cast);
      for (const bool causal : {false, true}) {
        const Tensor y = scaled_dot_product_attention(q, k, v, {.is_causal = causal});
        CHECK(y.dtype() == Dtype::f16);
        CHECK(max(abs(y - 1)).item<double>() < 0x1p-10);
        const auto g = grad(sum(y.to(Dtype::f32)), {q, k, v});
        for (const Tensor& part : g) {
          CHECK(part.dtype() == d);
          CHECK(all(isfinite(part)).item<bool>());
        }
      }
    }
  }

  DEVICE_TEST_CASE("scaled_dot_product_attention: derivatives and errors") {
    Tensor q = ramp({1, 2, 3, 4}), k = ramp({1, 2, 5, 4}, -2, 2, 1), v = ramp({1, 2, 5, 3}, -2, 2, 2);
    for (Tensor* t : {&q, &k, &v}) t->set_requires_grad();
    const GradFn f([](const std::vector<Tensor>& in) {
      return scaled_dot_product_attention(in[0], in[1], in[2], {.is_causal = true});
    });
    CHECK(gradcheck(f, {q, k, v}));
    CHECK(gradgradcheck(f, {q, k, v}));
    CHECK_THROWS_AS((void)scaled_dot_product_attention(q, v, k), ShapeError);
    CHECK_THROWS_AS((void)scaled_dot_product_attention(q, k, v, {.attn_mask = here::ones({3, 5}, Dtype::i64)}),
                    DtypeError);
    CHECK_THROWS_AS((void)scaled_dot_product_attention(
                        q, k, v, {.attn_mask = here::ones({3, 5}, Dtype::boolean), .is_causal = true}),
                    ValueError);
  }
}
