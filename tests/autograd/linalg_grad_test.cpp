// Gradients of linear algebra, of the first and the second order, in f64. Functions of symmetric matrices get a
// symmetric argument, and functions of vectors whose signs are free are made so that the signs do not count.
#include <doctest/doctest.h>

#include <cmath>

#include "support/devices.h"
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/linalg/linalg.h"

using namespace weft;

namespace {

using Tensors = std::vector<Tensor>;

Tensor leaf(const Shape& shape, uint64_t seed = 7) {
  Generator g(seed);
  return here::randn(shape, Dtype::f64, &g).set_requires_grad();
}
/// Far from singular, singular values apart.
Tensor regular(const Shape& shape, uint64_t seed = 7) {
  Generator g(seed);
  const Tensor x = here::randn(shape, Dtype::f64, &g);
  return (x * 0.5 + here::eye(shape[-2], shape[-1], Dtype::f64) * here::arange(2, 2 + shape[-1])).set_requires_grad();
}
Tensor adjoint(const Tensor& x) { return x.transpose(-2, -1); }
Tensor symmetric(const Tensor& x) { return (x + adjoint(x)) * 0.5; }
Tensor positive(const Tensor& x) { return matmul(x, adjoint(x)) + here::eye(x.size(-2), -1, Dtype::f64); }

// Central differences with eps 1e-6 are good to about 1e-10 |f| + 1e-12 |f'''|; derivatives here are below 100.
void check(const char* name, const GradFn& f, const Tensors& inputs) {
  const GradcheckOptions o{.atol = 1e-5, .rtol = 1e-5, .name = name};
  CHECK(gradcheck(f, inputs, o));
  CHECK(gradgradcheck(f, inputs, o));
}

const Shape kSquares[] = {{1, 1}, {3, 3}, {2, 2, 2}};
const Shape kAny[] = {{3, 3}, {4, 2}, {2, 4}, {2, 3, 2}};

}  // namespace

TEST_SUITE("linalg gradients") {
  DEVICE_TEST_CASE("inv, det, slogdet, matrix_power, matrix_exp") {
    for (const Shape& shape : kSquares) {
      const Tensors x = {regular(shape)};
      check(
          "inv", [](const Tensors& x) { return linalg::inv(x[0]); }, x);
      check(
          "det", [](const Tensors& x) { return linalg::det(x[0]); }, x);
      check(
          "slogdet", [](const Tensors& x) { return linalg::slogdet(x[0]).logabsdet; }, x);
      check(
          "matrix_power 3", [](const Tensors& x) { return linalg::matrix_power(x[0] * 0.3, 3); }, x);
      check(
          "matrix_power -2", [](const Tensors& x) { return linalg::matrix_power(x[0], -2); }, x);
      check(
          "matrix_exp", [](const Tensors& x) { return linalg::matrix_exp(x[0] * 0.4); }, x);
      check(
          "cond", [](const Tensors& x) { return linalg::cond(x[0], "fro"); }, x);
    }
  }

  DEVICE_TEST_CASE("det at singular matrices: the cofactors") {
    // rank n - 1 beside a regular matrix: both ways in one batch
    Tensor A = here::tensor({1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 1.0, 1.0, 5.0, 1.0, 0.0, 2.0, 0.0, 1.0, 1.0, 3.0, 0.0, 1.0},
                            Shape{2, 3, 3});
    A.set_requires_grad();
    // The gradient is a polynomial of degree 2, whose central differences are exact: a wide step costs no digits.
    CHECK(gradgradcheck([](const Tensors& x) { return linalg::det(x[0]); }, {A}, {.eps = 1e-2, .name = "det"}));
    const std::vector<double> g = grad(linalg::det(A), {A}, {.grad_outputs = {here::ones({2}, Dtype::f64)}})[0]
                                      .to_vector<double>();
    const double want[] = {14, -4, -2, -7, 2, 1, 0, 0, 0};
    for (size_t i = 0; i < 9; ++i) CHECK(g[i] == doctest::Approx(want[i]).scale(1).epsilon(1e-13));
    // rank n - 2: zero; 1 x 1: one
    Tensor zero = here::zeros({3, 3}, Dtype::f64).set_requires_grad(),
           one = here::zeros({1, 1}, Dtype::f64).set_requires_grad();
    CHECK(equal(grad(linalg::det(zero), {zero})[0], here::zeros({3, 3}, Dtype::f64)));
    CHECK(grad(linalg::det(one), {one})[0].item<double>() == 1);
  }

  DEVICE_TEST_CASE("solve, solve_triangular") {
    for (const bool left : {true, false}) {
      const auto solve = [left](const Tensors& x) { return linalg::solve(x[0], x[1], left); };
      check("solve", solve, {regular({3, 3}), leaf({3, 3}, 2)});
      check("solve", solve, {regular({2, 1, 2, 2}), leaf({3, 2, 2}, 2)});
      for (const bool upper : {true, false})
        for (const bool unit : {true, false}) {
          const auto f = [=](const Tensors& x) {
            return linalg::solve_triangular(x[0], x[1], {.upper = upper, .left = left, .unitriangular = unit});
          };
          check("solve_triangular", f, {regular({3, 3}), leaf({3, 3}, 2)});
          check("solve_triangular", f, {regular({2, 1, 2, 2}), leaf({2, 2, 2}, 2)});
        }
    }
    check("solve", [](const Tensors& x) { return linalg::solve(x[0], x[1]); }, {regular({2, 3, 3}), leaf({2, 3}, 2)});
    check("solve", [](const Tensors& x) { return linalg::solve(x[0], x[1]); }, {regular({3, 3}), leaf({3}, 2)});
  }

  DEVICE_TEST_CASE("lu_factor, lu, lu_solve") {
    for (const Shape& shape : {Shape{3, 3}, Shape{4, 2}, Shape{2, 4}, Shape{2, 2, 2}}) {
      check("lu_factor", [](const Tensors& x) { return linalg::lu_factor(x[0]).LU; }, {leaf(shape)});
      check("lu",
            [](const Tensors& x) {
              const auto r = linalg::lu(x[0]);
              return Tensors{r.L, r.U};
            },
            {leaf(shape)});
    }
    const Tensor A = regular({2, 3, 3}).detach();
    const auto [LU, pivots] = linalg::lu_factor(A);
    for (const bool left : {true, false})
      for (const bool adjoint : {true, false})
        check("lu_solve",
              [=, p = pivots](const Tensors& x) {
                return linalg::lu_solve(x[0], p, x[1], {.left = left, .adjoint = adjoint});
              },
              {LU.clone().set_requires_grad(), leaf({2, 3, 3}, 2)});
  }

  DEVICE_TEST_CASE("cholesky") {
    for (const Shape& shape : kSquares)
      for (const bool upper : {true, false})
        check("cholesky", [=](const Tensors& x) { return linalg::cholesky(positive(x[0]), upper); }, {leaf(shape)});
    check("cholesky_solve", [](const Tensors& x) { return cholesky_solve(x[1], linalg::cholesky(positive(x[0]))); },
          {leaf({3, 3}), leaf({3, 2}, 2)});
    check("cholesky_inverse", [](const Tensors& x) { return cholesky_inverse(x[0], true); }, {regular({3, 3})});
    // the gradient is symmetric
    Tensor A = positive(leaf({3, 3}).detach()).set_requires_grad();
    const Tensor g = grad(sum(linalg::cholesky(A)), {A})[0];
    CHECK(allclose(g, adjoint(g), 1e-12, 1e-12));
  }

  DEVICE_TEST_CASE("qr") {
    for (const Shape& shape : kAny) {
      check("qr",
            [](const Tensors& x) {
              const auto r = linalg::qr(x[0]);
              return Tensors{r.Q, r.R};
            },
            {leaf(shape)});
      check("qr Q", [](const Tensors& x) { return linalg::qr(x[0]).Q; }, {leaf(shape)});
      check("qr R", [](const Tensors& x) { return linalg::qr(x[0], "r").R; }, {leaf(shape)});
    }
    check("qr complete", [](const Tensors& x) { return linalg::qr(x[0], "complete").Q; }, {leaf({2, 4})});
    const Tensor A = leaf({3, 2});
    CHECK_THROWS_AS(sum(linalg::qr(A, "complete").R).backward(), Error);
  }

  DEVICE_TEST_CASE("svd, eigh") {
    for (const Shape& shape : kAny) {
      const Tensors x = {regular(shape)};
      check(
          "svdvals", [](const Tensors& x) { return linalg::svdvals(x[0]); }, x);
      check(
          "svd",
          [](const Tensors& x) {
            const auto [U, S, Vh] = linalg::svd(x[0], false);
            return Tensors{matmul(U, Vh), S, square(U), square(Vh)};
          },
          x);
      check(
          "svd U", [](const Tensors& x) { return square(linalg::svd(x[0], false).U); }, x);
      check(
          "svd Vh", [](const Tensors& x) { return square(linalg::svd(x[0], false).Vh); }, x);
      check(
          "nuc", [](const Tensors& x) { return linalg::matrix_norm(x[0], "nuc"); }, x);
      check(
          "norm 2", [](const Tensors& x) { return linalg::matrix_norm(x[0], 2); }, x);
    }
    for (const Shape& shape : kSquares)
      for (const char* uplo : {"L", "U"}) {
        const Tensors x = {regular(shape)};
        check(
            "eigvalsh", [=](const Tensors& x) { return linalg::eigvalsh(symmetric(x[0]), uplo); }, x);
        check(
            "eigh",
            [=](const Tensors& x) {
              const auto [w, V] = linalg::eigh(symmetric(x[0]), uplo);
              return Tensors{w, square(V), matmul(V * here::arange(1, 1 + w.size(-1)), adjoint(V))};
            },
            x);
      }
    // all of the vectors: the first k alone have a gradient
    const Tensor A = leaf({3, 2});
    check("svd full", [](const Tensors& x) { return square(linalg::svd(x[0]).U.narrow(-1, 0, 2)); }, {regular({3, 2})});
    CHECK_THROWS_AS(sum(square(linalg::svd(A).U) * here::arange(1, 4)).backward(), Error);
  }

  DEVICE_TEST_CASE("pinv, lstsq") {
    for (const Shape& shape : kAny) {
      Shape right = shape;
      right[-1] = 2;
      check("pinv", [](const Tensors& x) { return linalg::pinv(x[0]); }, {regular(shape)});
      for (const char* driver : {"gelsy", "gelsd"})
        check("lstsq",
              [=](const Tensors& x) {
                const linalg::Lstsq r = linalg::lstsq(x[0], x[1], {.driver = driver});
                return r.residuals.numel() > 0 ? Tensors{r.solution, r.residuals} : Tensors{r.solution};
              },
              {regular(shape), leaf(right, 2)});
    }
    check("pinv hermitian", [](const Tensors& x) { return linalg::pinv(symmetric(x[0]), {.hermitian = true}); },
          {regular({3, 3})});
    // a rank that stays low: along such matrices the formula holds
    check("pinv of low rank", [](const Tensors& x) { return linalg::pinv(matmul(x[0], x[1])); },
          {leaf({4, 2}), leaf({2, 3}, 2)});
  }

  DEVICE_TEST_CASE("changes in place between forward and backward") {
    Tensor A = regular({2, 2});
    const Tensor y = linalg::inv(A);
    {
      const NoGrad off;
      A.zero_();
    }
    CHECK_NOTHROW(sum(y).backward());  // the gradient is made of the inverse alone
    Tensor B = regular({2, 2}), x = linalg::solve(B, here::ones({2}, Dtype::f64));
    {
      const NoGrad off;
      B.zero_();
    }
    CHECK(support::message_of<Error>([&] { sum(x).backward(); }).find("modified in place") != std::string::npos);
  }
}
