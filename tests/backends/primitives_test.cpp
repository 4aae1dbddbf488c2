// Promises of the CPU kernels: a steady-state step compiles no primitive and asks the system for no memory; packed
// weights follow the weight.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/layer/conv.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/backends/cpu/primitive_stats.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"

using namespace weft;

TEST_SUITE("primitives") {
  TEST_CASE("after the first step nothing is compiled, and no memory taken from the system") {
    Tensor w1 = randn({32, 3, 5, 5}).set_requires_grad(), b1 = zeros({32}).set_requires_grad(),
           w2 = randn({48, 32, 3, 3}).set_requires_grad(), w3 = randn({48, 16, 2, 2}).set_requires_grad(),
           w4 = randn({10, 16 * 16 * 16}).set_requires_grad(), b4 = zeros({10}).set_requires_grad();
    auto step = [&] {
      Tensor x = randn({2, 3, 16, 16});
      Tensor y = conv2d(x, w1, b1, {.padding = 2});
      y = conv2d(y, w2, {}, {.stride = 2, .padding = 1});
      y = conv_transpose2d(y, w3, {}, {.stride = 2});
      sum(linear(y.reshape({2, 16 * 16 * 16}), w4, b4)).backward();
      NoGrad off;
      for (Tensor* w : {&w1, &b1, &w2, &w3, &w4, &b4}) {
        w->add_(w->grad(), -1e-3);
        w->zero_grad();
      }
    };
    for (int i = 0; i < 3; ++i) step();
    const cpu::PrimitiveStats before = cpu::primitive_stats();
    const uint64_t taken = memory_stats().system_allocations;
    for (int i = 0; i < 5; ++i) step();
    CHECK(cpu::primitive_stats().created == before.created);
    CHECK(memory_stats().system_allocations == taken);
  }
  TEST_CASE("a weight is packed twice per change at most, however often it is used") {
    Tensor x = randn({1, 32, 20, 20}), w = randn({32, 32, 3, 3});
    for (int i = 0; i < 2; ++i) (void)conv2d(x, w);
    const uint64_t packed = cpu::primitive_stats().weights_packed;
    for (int i = 0; i < 4; ++i) (void)conv2d(x, w);
    CHECK(cpu::primitive_stats().weights_packed == packed);
    w.fill_(1);
    for (int i = 0; i < 4; ++i) (void)conv2d(x, w);
    CHECK(cpu::primitive_stats().weights_packed <= packed + 2);
  }
  TEST_CASE("autocast casts and packs a weight that does not change once, in inference") {
    const Tensor x = randn({1, 32, 20, 20});
    const size_t before = memory_stats().active;
    Tensor w = randn({32, 32, 3, 3}).set_requires_grad();
    const auto run = [&](bool half) {
      const Autocast cast(Dtype::bf16, Device(), half);
      const NoGrad off;
      (void)conv2d(x, w);
    };
    for (int i = 0; i < 3; ++i) run(true);
    const uint64_t packed = cpu::primitive_stats().weights_packed;
    for (int i = 0; i < 4; ++i) run(true);
    CHECK(cpu::primitive_stats().weights_packed == packed);
    // what is kept ends with the parameter
    w = Tensor();
    CHECK(memory_stats().active <= before);
  }
  TEST_CASE("of a weight that changes before its next use nothing is kept") {
    Tensor x = randn({1, 64, 20, 20}), w = randn({64, 64, 3, 3});
    const size_t before = memory_stats().active;
    for (int i = 0; i < 3; ++i) {
      (void)conv2d(x, w);
      w.fill_(i);
    }
    CHECK(memory_stats().active == before);
  }
  TEST_CASE("of a large weight over few pixels no second copy is made") {
    const Tensor x = randn({2, 256, 14, 14}), w = randn({256, 256, 3, 3});
    const size_t before = memory_stats().active;
    for (int i = 0; i < 3; ++i) (void)conv2d(x, w, {}, {.padding = 1});
    CHECK(memory_stats().active == before);
    reset_peak_memory_stats();
    (void)conv2d(x, w, {}, {.padding = 1});
    CHECK(memory_stats().peak_active - before < 4 * sizeof(float) * static_cast<size_t>(w.numel()));
  }
  TEST_CASE("views of one storage with other shapes are other weights") {
    Tensor x = randn({1, 32, 20, 20}), z = randn({1, 64, 20, 20}), w = randn({64, 32, 3, 3}),
           v = w.reshape({32, 64, 3, 3});
    auto close = [](const Tensor& a, const Tensor& b) {
      const auto p = a.to_vector<double>(), q = b.to_vector<double>();
      double worst = 0;
      for (size_t i = 0; i < p.size(); ++i) worst = std::max(worst, std::abs(p[i] - q[i]));
      return worst < 1e-3;  // sums of 600 products of N(0, 1) numbers: 25, times 5 eps of Winograd
    };
    CHECK(close(conv2d(x, w), conv2d(x.to(Dtype::f64), w.to(Dtype::f64))));
    CHECK(close(conv2d(z, v), conv2d(z.to(Dtype::f64), v.to(Dtype::f64))));
    CHECK(close(conv2d(x, w), conv2d(x.to(Dtype::f64), w.to(Dtype::f64))));
  }
}
