// The rules that keep convolutions away from kernels of oneDNN that are wrong. The rules are asked, no faulty kernel is
// run; values are compared by tests/autograd/conv_test.cpp ("geometries with kernels of their own").
#include "weft/backends/cpu/conv_policy.h"

#include <doctest/doctest.h>

#include "weft/core/error.h"
#include "weft/core/factory.h"

using namespace weft;

namespace {

struct Case {
  Shape in, kernel, stride, padding, dilation;
  int64_t channels = 3, groups = 1;
};

/// By shapes alone: strides of 0 stand for tensors that nobody has memory for.
cpu::ConvProblem problem(const Case& c) {
  Shape x{1, c.channels}, w{8 * c.groups, c.channels / c.groups}, y{1, 8 * c.groups};
  const auto axes = c.in.size();
  const Shape padding = c.padding.empty() ? Shape::filled(axes, 0) : c.padding,
              dilation = c.dilation.empty() ? Shape::filled(axes, 1) : c.dilation;
  for (int i = 0; i < axes; ++i) {
    x.push_back(c.in[i]), w.push_back(c.kernel[i]);
    y.push_back((c.in[i] + 2 * padding[i] - dilation[i] * (c.kernel[i] - 1) - 1) / c.stride[i] + 1);
  }
  const Tensor one = scalar(1.f);
  const Tensor a = one.expand(x), b = one.expand(w), d = one.expand(y);
  return {ref(a), ref(b), ref(d), {c.stride, padding, padding, dilation, c.groups}};
}

cpu::ConvProblem problem(const Shape& kernel, const Shape& stride, int64_t channels = 3, int64_t groups = 1) {
  return problem({Shape::filled(kernel.size(), 9), kernel, stride, {}, {}, channels, groups});
}

/// The definition: some output has no tap inside of the input.
bool misses(const Case& c) {
  for (int i = 0; i < c.in.size(); ++i) {
    const int64_t lo = c.padding[i], out = (c.in[i] + 2 * lo - c.dilation[i] * (c.kernel[i] - 1) - 1) / c.stride[i] + 1;
    for (int64_t o = 0; o < out; ++o) {
      bool hit = false;
      for (int64_t k = 0; k < c.kernel[i]; ++k) {
        const int64_t at = o * c.stride[i] - lo + k * c.dilation[i];
        hit = hit || (at >= 0 && at < c.in[i]);
      }
      if (!hit) return true;
    }
  }
  return false;
}

}  // namespace

TEST_SUITE("conv policy") {
  TEST_CASE(
      "weight gradients of strided 1x1 kernels are weft's own below AVX-512, with few channels everywhere, and only "
      "those") {
    for (const Shape& strided : {Shape{2}, Shape{2, 1}, Shape{1, 3}, Shape{2, 2, 2}, Shape{1, 1, 2}}) {
      const cpu::ConvProblem p = problem(Shape::filled(strided.size(), 1), strided);
      CHECK(cpu::policy::own_weight_grad(p, false));
      // With AVX-512 a block has 16 channels, of a group.
      CHECK(cpu::policy::own_weight_grad(p, true));
      const Shape one = Shape::filled(strided.size(), 1);
      CHECK(cpu::policy::own_weight_grad(problem(one, strided, 15), true));
      CHECK(!cpu::policy::own_weight_grad(problem(one, strided, 16), true));
      CHECK(cpu::policy::own_weight_grad(problem(one, strided, 32, 4), true));
      CHECK(cpu::policy::own_weight_grad(problem(one, strided, 64), false));
    }
    for (const auto& [kernel, stride] : {std::pair(Shape{1, 1}, Shape{1, 1}), std::pair(Shape{3, 3}, Shape{2, 2}),
                                         std::pair(Shape{1, 2}, Shape{2, 2})})
      CHECK(!cpu::policy::own_weight_grad(problem(kernel, stride), false));
  }

  TEST_CASE("forward convolutions whose windows lie in the padding are weft's own, and only those") {
    CHECK(!cpu::policy::sees_padding_only(problem({{33, 33}, {3, 3}, {1, 1}, {24, 24}, {24, 24}})));
    int64_t some = 0, all = 0;
    for (int64_t in : {1, 2, 5, 9})
      for (int64_t kernel : {1, 2, 3, 6})
        for (int64_t stride : {1, 2, 4})
          for (int64_t padding : {0, 1, 2, 5})
            for (int64_t dilation : {1, 2, 3, 7, 11}) {
              if (in + 2 * padding < dilation * (kernel - 1) + 1) continue;
              const Case c{{9, in}, {3, kernel}, {1, stride}, {1, padding}, {1, dilation}};
              const std::string what = str("in ", in, " kernel ", kernel, " stride ", stride, " padding ", padding,
                                           " dilation ", dilation);
              INFO(what);
              CHECK(cpu::policy::sees_padding_only(problem(c)) == misses(c));
              some += misses(c), ++all;
            }
    CHECK(some > 50);
    CHECK(all - some > 50);
  }

  TEST_CASE("Winograd's transforms are used where they pay, and never for direct sums") {
    const Case large{{28, 28}, {3, 3}, {1, 1}, {1, 1}, {}, 32};
    cpu::ConvProblem p = problem(large);
    p.o = 32;
    CHECK(p.algorithm == ConvAlgorithm::winograd);
    CHECK(cpu::policy::winograd(p));
    CHECK(cpu::policy::winograd_weight_grad(p));
    CHECK(!cpu::policy::winograd_streamed(p));  // 49 tiles
    p.o = 49;
    CHECK(cpu::policy::winograd_streamed(p));
    p.algorithm = ConvAlgorithm::direct;
    CHECK(!cpu::policy::winograd(p));
    CHECK(!cpu::policy::winograd_weight_grad(p));
  }

  TEST_CASE("tensors of more elements than 32 bits count are not handed over") {
    CHECK(!cpu::policy::too_large(problem({{1 << 14, (1 << 14) - 1}, {1, 1}, {1, 1}, {}, {}, 7})));
    CHECK(cpu::policy::too_large(problem({{1 << 14, 1 << 14}, {1, 1}, {1, 1}, {}, {}, 8})));  // x and y
    CHECK(cpu::policy::too_large(problem({{1 << 15, 1 << 14}, {1, 1}, {1, 1}, {}, {}, 1})));  // y alone
    CHECK(!cpu::policy::too_large(problem({{1 << 15, 1 << 14}, {1, 1}, {2, 2}, {}, {}, 3})));
  }
}
