// Residual encoding: the fused kernels against every residual written out.
#include "weft/autograd/ops/layer/encoding.h"

#include <array>
#include <cmath>

#include "support/here.h"
#include "support/lent_device.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/core/backend.h"
#include "weft/core/generator.h"
#include "weft/core/parallel.h"

using namespace weft;

namespace {

using Tensors = std::vector<Tensor>;

Tensor every_residual(const Tensor& x, const Tensor& c, const Tensor& s) {
  const Tensor r = x.unsqueeze(2) - c, a = softmax(sum(square(r), -1) * s, -1);
  return sum(a.unsqueeze(-1) * r, 1);
}

/// The largest difference, in units of 1 + the largest number.
double apart(const Tensor& a, const Tensor& b) {
  if (a.numel() == 0) return 0;
  const Tensor x = a.detach().to(Dtype::f64), y = b.detach().to(Dtype::f64);
  return max(abs(x - y)).item<double>() / (1 + max(abs(y)).item<double>());
}

Tensor leaf(const Tensor& t) { return t.detach().set_requires_grad(); }

/// Features [B, N, D], their channels last or first in memory.
Tensor encoding_features(int64_t B, int64_t N, int64_t D, bool planes, Dtype d = Dtype::f64) {
  return planes ? here::randn({B, D, N}, d).transpose(1, 2) : here::randn({B, N, D}, d);
}

/// Result and gradients of f for the sum of its squares.
template <class F> Tensors scored(const F& f, const Tensor& x, const Tensor& c, const Tensor& s) {
  const Tensor xl = leaf(x), cl = leaf(c), sl = leaf(s), y = f(xl, cl, sl);
  Tensors r = grad(sum(square(y.to(cl.dtype()))), {xl, cl, sl});
  r.push_back(y.detach());
  return r;
}

}  // namespace

TEST_SUITE("encoding kernel") {
  DEVICE_TEST_CASE("result and gradients at awkward sizes") {
    manual_seed(1);
    auto fused = [](const Tensor& x, const Tensor& c, const Tensor& s) { return encode(x, c, s); };
    for (const int64_t N : {1, 31, 33, 1025})
      for (const int64_t K : {1, 3, 32, 33})
        for (const int64_t D : {1, 17, 64, 65, 512}) {
          if (N * K * D > 5000000) continue;  // what every residual takes
          CAPTURE(N);
          CAPTURE(K);
          CAPTURE(D);
          const bool planes = (N + K + D) % 2 == 0;
          const Tensor x = encoding_features(2, N, D, planes), c = here::randn({K, D}, Dtype::f64),
                       s = here::rand({K}, Dtype::f64) * (-2.0 / static_cast<double>(D));
          const Tensors wanted = scored(every_residual, x, c, s), got = scored(fused, x, c, s),
                        single = scored(fused, x.to(Dtype::f32), c.to(Dtype::f32), s.to(Dtype::f32));
          if (N > 1 && D > 1) CHECK(got[0].strides() == x.strides());
          for (size_t i = 0; i < wanted.size(); ++i) {
            CAPTURE(i);
            CHECK(apart(got[i], wanted[i]) < 1e-12);
            CHECK(apart(single[i], wanted[i]) < 1e-5);  // f32 sums of up to 1025 x 65 products
          }
        }
  }

  DEVICE_TEST_CASE("first and second derivatives over layouts, and which of them are wanted") {
    manual_seed(2);
    auto f = [](const Tensors& in) { return Tensors{encode(in[0], in[1], in[2])}; };
    for (const bool planes : {false, true})
      for (const auto& [N, K, D] : {std::array<int64_t, 3>{1, 1, 1}, {7, 4, 3}, {5, 2, 9}, {33, 3, 2}}) {
        const Tensor x = leaf(encoding_features(2, N, D, planes)), c = leaf(here::randn({K, D}, Dtype::f64)),
                     s = leaf(here::rand({K}, Dtype::f64) - 1);
        CHECK(gradcheck(f, {x, c, s}));
        CHECK(gradgradcheck(f, {x, c, s}));
      }
    const Tensor x = here::randn({2, 40, 6}), c = here::randn({3, 6}), s = here::full({3}, -0.2);
    const Tensors all = scored([](auto& a, auto& b, auto& d) { return encode(a, b, d); }, x, c, s);
    const Tensor alone[] = {leaf(x), leaf(c), leaf(s)};
    for (size_t i = 0; i < 3; ++i) {
      const Tensor y = encode(i == 0 ? alone[0] : x, i == 1 ? alone[1] : c, i == 2 ? alone[2] : s);
      CHECK(equal(grad(sum(square(y)), {alone[i]})[0], all[i]));
    }
  }

  DEVICE_TEST_CASE("a view with gaps, and features that are shared") {
    manual_seed(3);
    const Tensor base = here::randn({4, 50, 24}), x = base.slice(0, 0, 4, 2).slice(1, 3, 47, 4).narrow(2, 5, 9);
    const Tensor c = here::randn({5, 9}), s = here::full({5}, -0.3);
    auto fused = [](const Tensor& a, const Tensor& b, const Tensor& d) { return encode(a, b, d); };
    const Tensors a = scored(fused, x, c, s), b = scored(fused, x.contiguous(), c, s);
    for (size_t i = 0; i < a.size(); ++i) CHECK(equal(a[i], b[i]));
    const Tensor one = here::randn({1, 6, 9}), many = one.expand({3, 6, 9});
    CHECK(equal(encode(many, c, s)[2], encode(one, c, s)[0]));
  }

  DEVICE_TEST_CASE("halves are f32 inside and rounded once") {
    manual_seed(4);
    for (const Dtype d : {Dtype::bf16, Dtype::f16}) {
      const Tensor x = here::randn({2, 70, 20}, d), c = here::randn({6, 20}), s = here::full({6}, -0.05);
      auto fused = [](const Tensor& a, const Tensor& b, const Tensor& e) { return encode(a, b, e); };
      const Tensors half = scored(fused, x, c, s), full = scored(fused, x.to(Dtype::f32), c, s);
      CHECK(half[0].dtype() == d);
      CHECK(half[1].dtype() == Dtype::f32);
      CHECK(equal(half[3], full[3].to(d)));
      // the gradient that arrives has been rounded with the result
      const double eps = d == Dtype::bf16 ? 0x1p-8 : 0x1p-11;
      for (size_t i = 0; i < 3; ++i) CHECK(apart(half[i], full[i]) < 4 * eps);
    }
  }

  DEVICE_TEST_CASE("extreme logits, scales and places") {
    const Tensor c = here::tensor<float>({0, 0, 1, 1}, Shape{2, 2}),
                 x = here::tensor<float>({800, -900}, Shape{1, 1, 2});
    for (const double scale : {-1e25, -1.0, 0.0, 1.0}) {
      CAPTURE(scale);
      const Tensors r = scored([](auto& a, auto& b, auto& d) { return encode(a, b, d); }, x, c, here::full({2}, scale));
      for (const Tensor& t : r)
        for (const double v : t.to_vector<double>()) CHECK(std::isfinite(v));
    }
    const Tensor nan = here::full({1, 3, 2}, std::nan(""));
    for (const double v : encode(nan, c, here::full({2}, -1)).to_vector<double>()) CHECK(std::isnan(v));
    // far from the origin f32 keeps its digits: what the inputs lost there (1.5e-5) is what is left
    manual_seed(5);
    const Tensor far = here::randn({1, 500, 8}) + 300, words = here::randn({4, 8}) + 300, s = here::full({4}, -0.1);
    CHECK(apart(encode(far, words, s), encode(far - 300, words - 300, s)) < 1e-4);
  }

  DEVICE_TEST_CASE("empty sizes") {
    const Tensor c = leaf(here::randn({4, 3})), s = leaf(here::zeros({4}));
    for (const Shape& shape : {Shape{2, 0, 3}, Shape{0, 5, 3}}) {
      const Tensor x = leaf(here::zeros(shape)), y = encode(x, c, s);
      CHECK(y.shape() == Shape{shape[0], 4, 3});
      const Tensors g = grad(sum(y) + sum(c) * 0, {x, c, s});
      CHECK(g[0].shape() == shape);
      for (const double v : g[1].to_vector<double>()) CHECK(v == 0);
    }
    // no codewords: nothing depends on x
    const Tensor x = leaf(here::ones({2, 5, 3})), y = encode(x, here::zeros({0, 3}), here::zeros({0}));
    CHECK(y.shape() == Shape{2, 0, 3});
    for (const bool again : {false, true})
      for (const double v : grad(sum(y), {x}, {.create_graph = again, .retain_graph = true})[0].to_vector<double>())
        CHECK(v == 0);
  }

  TEST_CASE("parameters on another device than the features") {
    support::lend_cpu();
    const Tensor x = zeros({1, 5, 3}), c = zeros({4, 3}), s = zeros({4});
    CHECK_THROWS_AS((void)encode(x, c.to(Device("custom")), s), DeviceError);
    CHECK_THROWS_AS((void)encode(x, c, s.to(Device("custom"))), DeviceError);
  }

  TEST_CASE("one thread or two: the same bits") {
    manual_seed(6);
    const Tensor x = randn({3, 1000, 48}), c = randn({32, 48}), s = full({32}, -0.02);
    auto fused = [](const Tensor& a, const Tensor& b, const Tensor& d) { return encode(a, b, d); };
    const int before = num_threads();
    set_num_threads(1);
    const Tensors one = scored(fused, x, c, s);
    set_num_threads(2);
    const Tensors two = scored(fused, x, c, s);
    set_num_threads(before);
    for (size_t i = 0; i < one.size(); ++i) CHECK(equal(one[i], two[i]));
  }

  DEVICE_TEST_CASE("memory: the gradient of x, and what does not grow with the number of features") {
    const int64_t K = 32, D = 16;
    auto peak = [&](int64_t N) {
      const Tensor x = leaf(here::randn({2, N, D})), c = leaf(here::randn({K, D})), s = leaf(here::full({K}, -0.1));
      const Tensor g = here::ones({2, K, D});
      reset_peak_memory_stats(support::device());
      const size_t before = memory_stats(support::device()).active;
      encode(x, c, s).backward(g);
      return memory_stats(support::device()).peak_active - before - x.nbytes();
    };
    const size_t small = peak(20000), large = peak(80000);
    CHECK(large <= small + (64 << 10));  // [B, N, K] is 10 and 40 MB
    CHECK(large < static_cast<size_t>(2 * 80000 * K) * sizeof(float) / 4);
  }
}
