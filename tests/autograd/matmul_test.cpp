// Matrix products against naive loops, over layouts, ranks and dtypes; gradients against the products they are made of.
#include "weft/autograd/ops/linalg/matmul.h"
#include "support/here.h"
#include "weft/autograd/ops/elementwise/binary.h"

#include <cmath>
#include <vector>

#include "weft/autograd/engine.h"
#include "weft/core/factory.h"

using namespace weft;

namespace {

// Small integers: products and sums are exact in every dtype of the tests, so that results are compared with ==.
Tensor numbers(const Shape& shape, Dtype dtype, uint32_t seed, int range = 3) {
  std::vector<double> v(static_cast<size_t>(shape.numel()));
  for (double& x : v) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<double>(seed >> 16) / 65536.0 * (2 * range + 1);
    x = std::floor(x) - (dtype == Dtype::u8 ? 0 : range);
  }
  return here::tensor(v, shape).to(dtype);
}

// Ones and zeros, about one in four.
Tensor some_ones(const Shape& shape, Dtype dtype, uint32_t seed) {
  std::vector<double> v = numbers(shape, Dtype::f64, seed, 8).to_vector<double>();
  for (double& x : v) x = x > 4;
  return here::tensor(v, shape).to(dtype);
}

// [..., M, K] x [..., K, N], by the definition.
std::vector<double> naive(const Tensor& a, const Tensor& b, Shape& shape) {
  shape = broadcast_shapes("test", a.shape().slice(0, a.rank() - 2), b.shape().slice(0, b.rank() - 2));
  const int64_t batch = shape.numel(), m = a.size(-2), k = a.size(-1), n = b.size(-1);
  Shape sa = shape, sb = shape;
  sa.push_back(m), sa.push_back(k), sb.push_back(k), sb.push_back(n);
  std::vector<double> x = a.expand(sa).to_vector<double>(), y = b.expand(sb).to_vector<double>(),
                      z(static_cast<size_t>(batch * m * n));
  for (int64_t i = 0; i < batch; ++i)
    for (int64_t r = 0; r < m; ++r)
      for (int64_t c = 0; c < n; ++c)
        for (int64_t j = 0; j < k; ++j)
          z[static_cast<size_t>((i * m + r) * n + c)] += x[static_cast<size_t>((i * m + r) * k + j)] *
                                                         y[static_cast<size_t>((i * k + j) * n + c)];
  shape.push_back(m), shape.push_back(n);
  return z;
}

void check_product(const Tensor& a, const Tensor& b) {
  Shape shape;
  std::vector<double> expected = naive(a, b, shape);
  Tensor y = matmul(a, b);
  CAPTURE(a.shape());
  CAPTURE(b.shape());
  CAPTURE(a.dtype());
  CHECK(y.shape() == shape);
  CHECK(y.dtype() == a.dtype());
  if (is_integral(a.dtype())) {  // sums of short integers are cut to their size
    const std::vector<int64_t> whole(expected.begin(), expected.end());
    expected = tensor(whole).to(a.dtype()).to_vector<double>();
  }
  CHECK((y.to_vector<double>() == expected));
}

}  // namespace

TEST_SUITE("matmul") {
  DEVICE_TEST_CASE("all dtypes, sizes around the blocks, both operands in every layout") {
    const int64_t sizes[][3] = {{1, 1, 1},    {1, 7, 5},    {3, 1, 4},     {12, 32, 16},
                                {13, 33, 17}, {64, 64, 64}, {97, 300, 65}, {5, 400, 129}};
    for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32, Dtype::u8, Dtype::i8,
                    Dtype::i16, Dtype::u16})
      for (const auto& s : sizes) {
        const int64_t m = s[0], k = s[1], n = s[2];
        // bf16 and u8: sums must stay below 256
        const bool narrow = d == Dtype::bf16 || d == Dtype::u8;
        Tensor a = narrow ? some_ones({m, k}, d, 1) : numbers({m, k}, d, 1),
               b = narrow ? some_ones({k, n}, d, 2) : numbers({k, n}, d, 2);
        check_product(a, b);
        check_product(a.t().contiguous().t(), b);
        check_product(a, b.t().contiguous().t());
        check_product(a.t().contiguous().t(), b.t().contiguous().t());
        // neither axis has unit stride
        Tensor wide = here::zeros({m, 2 * k}, d);
        Tensor view = wide.slice(1, {}, {}, 2);
        view.copy_(a);
        check_product(view, b);
      }
  }
  TEST_CASE("on the CPU a matrix by its own transpose is symmetric to the bit") {
    for (const Dtype d : {Dtype::f32, Dtype::f64})
      for (const int64_t n : {32, 64, 96, 256, 512})
        for (const int64_t k : {256, 2500}) {
          CAPTURE(n);
          CAPTURE(k);
          // every second row, so that rows are further apart than they are long
          const Tensor x = randn({2, 2 * k, n}, d).slice(1, {}, {}, 2), y = matmul(x.transpose(1, 2), x);
          CHECK(equal(y, y.transpose(1, 2)));
          const Tensor copy = x.transpose(1, 2).contiguous(), other = matmul(copy, x);
          // Sums that grow to k, rounded at each step by up to eps / 2 of their size: k steps one by one end 0.17 eps k
          // sqrt(k) off in the mean (a random walk), and six times that is what no element reaches.
          const double eps = d == Dtype::f64 ? 0x1p-52 : 0x1p-23, steps = static_cast<double>(k);
          CHECK(allclose(y, other, 0, eps * steps * std::sqrt(steps)));
        }
  }

  DEVICE_TEST_CASE("batches of every rank broadcast") {
    for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::i32}) {
      Tensor m = numbers({6, 5}, d, 3), w = numbers({5, 4}, d, 4);
      check_product(numbers({3, 6, 5}, d, 1), numbers({3, 5, 4}, d, 2));
      check_product(numbers({3, 6, 5}, d, 1), w);
      check_product(numbers({2, 3, 6, 5}, d, 1), w);
      check_product(m, numbers({7, 5, 4}, d, 2));
      check_product(numbers({2, 1, 6, 5}, d, 1), numbers({3, 5, 4}, d, 2));
      check_product(numbers({2, 3, 1, 6, 5}, d, 1), numbers({2, 1, 4, 5, 4}, d, 2));
      check_product(numbers({6, 3, 5}, d, 1).transpose(0, 1), w);
      check_product(numbers({3, 6, 5}, d, 1).transpose(0, 1), numbers({6, 5, 8}, d, 2));
      check_product(numbers({40, 1, 50}, d, 1), numbers({50, 60}, d, 2));
      check_product(numbers({8, 40, 50}, d, 1), numbers({8, 60, 50}, d, 2).transpose(1, 2));
      check_product(numbers({1, 40, 50}, d, 1).expand({4, 40, 50}), numbers({4, 50, 60}, d, 2));
    }
  }
  DEVICE_TEST_CASE("vectors") {
    Tensor x = here::tensor({1.f, 2.f, 3.f}), y = here::tensor({4.f, 5.f, 6.f}),
           m = here::tensor({1.f, 0.f, 2.f, 0.f, 1.f, 1.f}, Shape{2, 3});
    CHECK(matmul(x, y).shape() == Shape{});
    CHECK(dot(x, y).item<float>() == 32);
    CHECK((mv(m, x).to_vector<float>() == std::vector<float>{7, 5}));
    CHECK((matmul(here::tensor({1.f, 2.f}), m).to_vector<float>() == std::vector<float>{1, 2, 4}));
    CHECK(matmul(x, here::ones({4, 3, 2})).shape() == Shape{4, 2});
    CHECK(matmul(here::ones({4, 2, 3}), x).shape() == Shape{4, 2});
  }
  DEVICE_TEST_CASE("empty products are zeros, or the bias") {
    CHECK((mm(here::ones({2, 0}), here::ones({0, 3})).to_vector<float>() == std::vector<float>(6, 0)));
    CHECK(mm(here::ones({0, 2}), here::ones({2, 3})).shape() == Shape{0, 3});
    CHECK(bmm(here::ones({0, 2, 3}), here::ones({0, 3, 4})).shape() == Shape{0, 2, 4});
    CHECK((linear(here::ones({2, 0}), here::ones({3, 0}), here::tensor({1.f, 2.f, 3.f})).to_vector<float>() ==
           std::vector<float>{1, 2, 3, 1, 2, 3}));
    Tensor x = here::zeros({0, 5}).set_requires_grad(), w = here::ones({3, 5}).set_requires_grad(),
           b = here::ones({3}).set_requires_grad();
    Tensor y = linear(x, w, b);
    y.backward(here::ones({0, 3}));
    CHECK((w.grad().to_vector<float>() == std::vector<float>(15, 0)));
    CHECK((b.grad().to_vector<float>() == std::vector<float>(3, 0)));
  }
  DEVICE_TEST_CASE("linear: any leading axes, gradients of all three") {
    for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
      Tensor w = numbers({4, 3}, d, 1).set_requires_grad(), b = numbers({4}, d, 2).set_requires_grad();
      for (const Shape& shape : {Shape{3}, Shape{5, 3}, Shape{2, 5, 3}, Shape{2, 1, 5, 3}}) {
        Tensor x = numbers(shape, d, 3).set_requires_grad();
        w.zero_grad(), b.zero_grad();
        Tensor y = linear(x, w, b);
        Shape expected = shape;
        expected[-1] = 4;
        CHECK(y.shape() == expected);
        Tensor g = numbers(expected, d, 4);
        y.backward(g);
        const auto xv = x.to_vector<double>(), wv = w.to_vector<double>(), bv = b.to_vector<double>(),
                   gv = g.to_vector<double>();
        const size_t rows = xv.size() / 3;
        std::vector<double> yv(rows * 4), gx(rows * 3), gw(12), gb(4);
        for (size_t r = 0; r < rows; ++r)
          for (size_t o = 0; o < 4; ++o) {
            yv[r * 4 + o] = bv[o];
            gb[o] += gv[r * 4 + o];
            for (size_t i = 0; i < 3; ++i) {
              yv[r * 4 + o] += xv[r * 3 + i] * wv[o * 3 + i];
              gx[r * 3 + i] += gv[r * 4 + o] * wv[o * 3 + i];
              gw[o * 3 + i] += gv[r * 4 + o] * xv[r * 3 + i];
            }
          }
        CHECK((y.to_vector<double>() == yv));
        CHECK((x.grad().to_vector<double>() == gx));
        CHECK((w.grad().to_vector<double>() == gw));
        CHECK((b.grad().to_vector<double>() == gb));
      }
    }
  }
  DEVICE_TEST_CASE("gradients have the operands' shapes, also where they broadcast") {
    Tensor a = numbers({2, 1, 3, 4}, Dtype::f64, 1).set_requires_grad(),
           b = numbers({5, 4, 2}, Dtype::f64, 2).set_requires_grad();
    Tensor y = matmul(a, b);
    y.backward(here::ones(y.shape(), Dtype::f64));
    CHECK(a.grad().shape() == a.shape());
    CHECK(b.grad().shape() == b.shape());
    // with a gradient of ones: the sums of the other operand over its free axes
    const auto bv = b.to_vector<double>(), av = a.to_vector<double>(), ga = a.grad().to_vector<double>(),
               gb = b.grad().to_vector<double>();
    for (size_t k = 0; k < 4; ++k) {
      double sum_b = 0, sum_a = 0;
      for (size_t i = 0; i < 5; ++i) sum_b += bv[i * 8 + k * 2] + bv[i * 8 + k * 2 + 1];
      for (size_t r = 0; r < 6; ++r) sum_a += av[r * 4 + k];
      for (size_t r = 0; r < 6; ++r) CHECK(ga[r * 4 + k] == sum_b);
      for (size_t i = 0; i < 5; ++i) CHECK(gb[i * 8 + k * 2] == sum_a);
    }
  }
  DEVICE_TEST_CASE("a product is differentiable twice") {
    // s = sum of (a b)^2; ds/da = 2 a b b', and its gradient along v again
    Tensor a = numbers({3, 4}, Dtype::f64, 1).set_requires_grad(),
           b = numbers({4, 2}, Dtype::f64, 2).set_requires_grad();
    Tensor y = mm(a, b);
    Tensor ga = grad(y, {a}, {.create_graph = true, .grad_outputs = {y}})[0];  // a b b'
    Tensor v = numbers({3, 4}, Dtype::f64, 3);
    std::vector<Tensor> second = grad(ga, {a, b}, {.grad_outputs = {v}});
    Tensor bb = mm(b.detach(), b.detach().t());
    // both the product and its gradient depend on a: d<ga, v>/da = v b b' from the product's value
    CHECK((second[0].to_vector<double>() == mm(v, bb).to_vector<double>()));
    CHECK(second[1].shape() == b.shape());
  }
  DEVICE_TEST_CASE("addmm: scales, broadcasting, beta = 0") {
    Tensor a = here::ones({2, 3}), b = here::ones({3, 2}), x = here::tensor({1.f, 2.f});
    CHECK((addmm(x, a, b, 2, 0.5).to_vector<float>() == std::vector<float>{3.5f, 5.5f, 3.5f, 5.5f}));
    CHECK((addmm(here::full({2, 2}, NAN), a, b, 0).to_vector<float>() == std::vector<float>(4, 3)));
    CHECK_THROWS_AS((void)addmm(here::ones({3, 2}), a, b), ShapeError);
  }
  DEVICE_TEST_CASE("errors say the values") {
    CHECK_THROWS_WITH_AS((void)matmul(here::ones({32, 10}), here::ones({12, 5})),
                         "matmul: inner dimensions differ: [32, 10] x [12, 5]", ShapeError);
    CHECK_THROWS_AS((void)matmul(here::ones({2, 2}), here::ones({2, 2}, Dtype::f64)), DtypeError);
    CHECK_THROWS_AS((void)matmul(here::ones({}), here::ones({2, 2})), ShapeError);
    CHECK_THROWS_AS((void)matmul(here::ones({2, 3, 4}), here::ones({3, 4, 5})), ShapeError);
    CHECK_THROWS_AS((void)mm(here::ones({2, 3, 4}), here::ones({4, 5})), ShapeError);
    CHECK_THROWS_AS((void)bmm(here::ones({2, 3, 4}), here::ones({1, 4, 5})), ShapeError);
    CHECK_THROWS_WITH_AS((void)linear(here::ones({2, 10}), here::ones({4, 12})),
                         "linear: input [2, 10] has 10 features but weight [4, 12] expects 12", ShapeError);
    CHECK_THROWS_AS((void)linear(here::ones({2, 3}), here::ones({4, 3}), here::ones({3})), ShapeError);
  }
}
