// The rules that keep convolutions away from kernels of oneDNN that are wrong. The rules are asked, no faulty kernel is run; values
// are compared by tests/autograd/conv_test.cpp ("geometries with kernels of their own").
#include "weft/backends/cpu/conv_policy.h"

#include <doctest/doctest.h>

#include "weft/core/factory.h"

using namespace weft;

namespace {

cpu::ConvProblem problem(const Shape& kernel, const Shape& stride) {
  Shape x{1, 3}, w{8, 3}, y{1, 8};
  for (int i = 0; i < kernel.size(); ++i)
    x.push_back(9), w.push_back(kernel[i]), y.push_back((9 - kernel[i]) / stride[i] + 1);
  const Shape none = Shape::filled(kernel.size(), 0), one = Shape::filled(kernel.size(), 1);
  const Tensor a = empty(x), b = empty(w), c = empty(y);
  return {ref(a), ref(b), ref(c), {stride, none, none, one, 1}};
}

}  // namespace

TEST_SUITE("conv policy") {
  TEST_CASE("below AVX-512 weight gradients of strided 1x1 kernels are weft's own, and only those") {
    for (const Shape& strided : {Shape{2}, Shape{2, 1}, Shape{1, 3}, Shape{2, 2, 2}, Shape{1, 1, 2}}) {
      const cpu::ConvProblem p = problem(Shape::filled(strided.size(), 1), strided);
      CHECK(cpu::policy::own_weight_grad(p, false));
      CHECK(!cpu::policy::own_weight_grad(p, true));
    }
    for (const auto& [kernel, stride] : {std::pair(Shape{1, 1}, Shape{1, 1}), std::pair(Shape{3, 3}, Shape{2, 2}),
                                         std::pair(Shape{1, 2}, Shape{2, 2})})
      CHECK(!cpu::policy::own_weight_grad(problem(kernel, stride), false));
  }
}
