// Every expected text is what PyTorch prints for the same tensor.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include "weft/core/factory.h"

using namespace weft;

namespace {

struct Options {
  explicit Options(const PrintOptions& o) { set_print_options(o); }
  ~Options() { set_print_options({}); }
};

/// 0, 1, ... divided by `by`.
Tensor ramp(const Shape& shape, Dtype dtype, double by = 1) {
  std::vector<double> v(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(i) / by;
  return tensor(v, shape, dtype);
}

}  // namespace

TEST_SUITE_BEGIN("print");

TEST_CASE("print: whole numbers, fractions and scalars") {
  CHECK_EQ(str(tensor({1.f, 2.f, 3.f})), "tensor([1., 2., 3.])");
  CHECK_EQ(str(ramp({2, 3}, Dtype::f32, 3)), "tensor([[0.0000, 0.3333, 0.6667],\n        [1.0000, 1.3333, 1.6667]])");
  CHECK_EQ(str(scalar(2.5)), "tensor(2.5000)");
  CHECK_EQ(str(tensor(std::vector<int64_t>{1, -20, 300, 4}, Shape{2, 2})), "tensor([[  1, -20],\n        [300,   4]])");
  CHECK_EQ(str(tensor(std::vector<bool>{true, false})), "tensor([ True, False])");
  CHECK_EQ(str(ramp({2, 2, 2}, Dtype::i64)),
           "tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]])");
}

TEST_CASE("print: dtypes other than the default are named") {
  CHECK_EQ(str(tensor({0.1, 0.25}, Dtype::f64)), "tensor([0.1000, 0.2500], dtype=torch.float64)");
  CHECK_EQ(str(tensor({1.5f, 2.25f}, Dtype::bf16)), "tensor([1.5000, 2.2500], dtype=torch.bfloat16)");
  CHECK_EQ(str(tensor({65504.f, 0.1f}, Dtype::f16)), "tensor([6.5504e+04, 9.9976e-02], dtype=torch.float16)");
  CHECK_EQ(str(tensor(std::vector<uint8_t>{1, 200})), "tensor([  1, 200], dtype=torch.uint8)");
  CHECK_EQ(str(scalar(7, Dtype::i32)), "tensor(7, dtype=torch.int32)");
}

TEST_CASE("print: infinities, NaN and negative zero") {
  float inf = INFINITY, nan = NAN;
  CHECK_EQ(str(tensor({1.f, inf, -inf, nan, -0.f})), "tensor([1., inf, -inf, nan, -0.])");
  CHECK_EQ(str(tensor({1.5f, inf, -inf, -nan, -0.f})), "tensor([1.5000,    inf,   -inf,    nan, -0.0000])");
}

TEST_CASE("print: scientific when the values span a wide range") {
  CHECK_EQ(str(tensor({1e-5f, 1.f, 1000.f})), "tensor([1.0000e-05, 1.0000e+00, 1.0000e+03])");
  CHECK_EQ(str(tensor({1.f, 2e9f})), "tensor([1.0000e+00, 2.0000e+09])");
}

TEST_CASE("print: empty tensors tell their size") {
  CHECK_EQ(str(zeros({0})), "tensor([])");
  CHECK_EQ(str(zeros({0, 3}, Dtype::i64)), "tensor([], size=(0, 3), dtype=torch.int64)");
}

TEST_CASE("print: large tensors are summarised") {
  CHECK_EQ(str(ramp({2000}, Dtype::f32)),
           "tensor([0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 1.9970e+03, 1.9980e+03,\n        1.9990e+03])");
  CHECK_EQ(str(ramp({40, 50}, Dtype::i64)),
           "tensor([[   0,    1,    2,  ...,   47,   48,   49],\n"
           "        [  50,   51,   52,  ...,   97,   98,   99],\n"
           "        [ 100,  101,  102,  ...,  147,  148,  149],\n"
           "        ...,\n"
           "        [1850, 1851, 1852,  ..., 1897, 1898, 1899],\n"
           "        [1900, 1901, 1902,  ..., 1947, 1948, 1949],\n"
           "        [1950, 1951, 1952,  ..., 1997, 1998, 1999]])");
  std::string cube = str(ramp({8, 8, 20}, Dtype::f32, 7));
  CHECK(cube.starts_with(
      "tensor([[[0.0000e+00, 1.4286e-01, 2.8571e-01,  ..., 2.4286e+00,\n          2.5714e+00, 2.7143e+00],\n"));
  CHECK(cube.find("2.2571e+01, 2.2714e+01]],\n\n        [[2.2857e+01,") != std::string::npos);
  CHECK(cube.find("]],\n\n        ...,\n\n        [[1.1429e+02,") != std::string::npos);
}

TEST_CASE("print: long rows and suffixes break as PyTorch breaks them") {
  CHECK_EQ(str(ramp({30}, Dtype::f32, 0.8)),
           "tensor([ 0.0000,  1.2500,  2.5000,  3.7500,  5.0000,  6.2500,  7.5000,  8.7500,\n"
           "        10.0000, 11.2500, 12.5000, 13.7500, 15.0000, 16.2500, 17.5000, 18.7500,\n"
           "        20.0000, 21.2500, 22.5000, 23.7500, 25.0000, 26.2500, 27.5000, 28.7500,\n"
           "        30.0000, 31.2500, 32.5000, 33.7500, 35.0000, 36.2500])");
  std::vector<double> v(12);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(i) / 7 + 100000;
  CHECK_EQ(str(tensor(v)),
           "tensor([100000.0000, 100000.1429, 100000.2857, 100000.4286, 100000.5714,\n"
           "        100000.7143, 100000.8571, 100001.0000, 100001.1429, 100001.2857,\n"
           "        100001.4286, 100001.5714], dtype=torch.float64)");
}

TEST_CASE("print: options") {
  {
    Options o({.precision = 8});
    CHECK_EQ(str(tensor({1.f / 3, 2.f})), "tensor([0.33333334, 2.00000000])");
  }
  {
    Options o({.precision = 2, .scientific = true});
    CHECK_EQ(str(tensor({1.f / 3, 2.f})), "tensor([3.33e-01, 2.00e+00])");
  }
  {
    Options o({.edge_items = 1});
    CHECK_EQ(str(ramp({2000}, Dtype::i64)), "tensor([   0,  ..., 1999])");
  }
  {
    Options o({.edge_items = 0});
    CHECK_EQ(str(ramp({2, 1000}, Dtype::i64)), "tensor([...], size=(2, 1000))");
  }
  {
    Options o({.threshold = 10, .line_width = 20});
    CHECK_EQ(str(ramp({12}, Dtype::f32)), "tensor([ 0.,  1.,\n         2.,  ...,\n         9., 10.,\n        11.])");
  }
  CHECK_THROWS_AS(set_print_options({.line_width = 0}), ValueError);
}

TEST_CASE("print: views in logical order, gradients named, undefined said") {
  CHECK_EQ(str(ramp({2, 3}, Dtype::f32, 4).t()),
           "tensor([[0.0000, 0.7500],\n        [0.2500, 1.0000],\n        [0.5000, 1.2500]])");
  CHECK_EQ(str(tensor({1.f, 2.f}).set_requires_grad()), "tensor([1., 2.], requires_grad=True)");
  CHECK_EQ(str(Tensor()), "tensor(undefined)");
  std::ostringstream s;
  s << tensor({1.f});
  CHECK_EQ(s.str(), "tensor([1.])");
}

TEST_SUITE_END();
