// Linear algebra: values by what defines them, shapes of PyTorch's, errors. Gradients: linalg_grad_test.cpp.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "support/devices.h"
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/linalg/linalg.h"
#include "weft/core/kernels/linalg.h"

using namespace weft;
using support::message_of;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Tensor normal(const Shape& shape, Dtype dtype = Dtype::f64, uint64_t seed = 7) {
  Generator g(seed);
  return here::randn(shape, dtype, &g);
}
Tensor adjoint(const Tensor& x) { return x.transpose(-2, -1); }
/// Far from singular: random, with n on the diagonal.
Tensor regular(const Shape& shape, Dtype dtype = Dtype::f64) {
  return normal(shape, dtype) + here::eye(shape[-1], -1, dtype) * static_cast<double>(shape[-1]);
}
Tensor symmetric(const Shape& shape, Dtype dtype = Dtype::f64) {
  const Tensor x = normal(shape, dtype);
  return (x + adjoint(x)) * 0.5;
}
Tensor positive(const Shape& shape, Dtype dtype = Dtype::f64) {
  const Tensor x = normal(shape, dtype);
  return matmul(x, adjoint(x)) + here::eye(shape[-1], -1, dtype);
}
// LAPACK's backward errors are a small multiple of n eps |A|; n is at most 70 and |A| at most 100 here.
double near(Dtype d) { return d == Dtype::f32 ? 2e-4 : 1e-11; }
void check_near(const Tensor& a, const Tensor& b, double tolerance) {
  REQUIRE(a.shape() == b.shape());
  CHECK(a.dtype() == b.dtype());
  CHECK(allclose(a, b, tolerance, tolerance));
}
Tensor identity(const Tensor& like) { return here::eye(like.size(-1), -1, like.dtype()).expand(like.shape()); }
std::vector<double> values(const Tensor& x) { return x.to_vector<double>(); }

const Shape kSquares[] = {{1, 1}, {2, 2}, {5, 5}, {3, 4, 4}, {2, 3, 17, 17}, {70, 70}, {300, 2, 2}, {200, 200}};
const Shape kAny[] = {{1, 1}, {3, 5}, {5, 3}, {2, 4, 4}, {2, 3, 20, 7}, {3, 7, 20}, {1, 6}, {6, 1}};
const Dtype kReal[] = {Dtype::f64, Dtype::f32};

}  // namespace

TEST_SUITE("linalg") {
  DEVICE_TEST_CASE("inv, solve, det, slogdet, lu: A's own equations") {
    for (const Dtype dtype : kReal)
      for (const Shape& shape : kSquares) {
        CAPTURE(shape);
        const Tensor A = regular(shape, dtype);
        check_near(matmul(A, linalg::inv(A)), identity(A), near(dtype));
        Shape right = shape;
        right[-1] = 3;
        const Tensor B = normal(right, dtype, 3);
        check_near(matmul(A, linalg::solve(A, B)), B, near(dtype));
        check_near(matmul(linalg::solve(A, adjoint(B), false), A), adjoint(B), near(dtype));
        check_near(matmul(A, linalg::solve(A, B.select(-1, 0).contiguous()).unsqueeze(-1)), B.narrow(-1, 0, 1),
                   near(dtype));
        // strides other than row-major
        check_near(matmul(adjoint(A), linalg::solve(adjoint(A), B)), B, near(dtype));
        const auto [P, L, U] = linalg::lu(A);
        check_near(matmul(P, matmul(L, U)), A, near(dtype) * 100);
        CHECK(equal(tril(U, -1), zeros_like(U)));
        CHECK(equal(triu(L), identity(L)));
        const auto [LU, pivots] = linalg::lu_factor(A);
        CHECK(pivots.dtype() == Dtype::i32);
        check_near(linalg::lu_solve(LU, pivots, B), linalg::solve(A, B), near(dtype));
        check_near(linalg::lu_solve(LU, pivots, B, {.adjoint = true}), linalg::solve(adjoint(A), B), near(dtype));
        check_near(linalg::lu_solve(LU, pivots, adjoint(B), {.left = false}), linalg::solve(A, adjoint(B), false),
                   near(dtype));
        const auto [sign, logabs] = linalg::slogdet(A);
        if (shape[-1] < 20) check_near(sign * exp(logabs), linalg::det(A), dtype == Dtype::f32 ? 1e-3 : 1e-12);
      }
    const Tensor A = here::tensor({0.0, 2.0, 3.0, 4.0}, Shape{2, 2});
    CHECK(linalg::det(A).item<double>() == doctest::Approx(-6).epsilon(1e-14));
    CHECK(values(linalg::inv(A))[0] == doctest::Approx(-4.0 / 6).epsilon(1e-14));
    CHECK(linalg::slogdet(A).sign.item<double>() == -1);
    CHECK(linalg::slogdet(A).logabsdet.item<double>() == doctest::Approx(std::log(6)).epsilon(1e-14));
  }

  DEVICE_TEST_CASE("lu of matrices that are not square") {
    for (const Shape& shape : kAny) {
      const Tensor A = normal(shape);
      const auto [P, L, U] = linalg::lu(A);
      check_near(matmul(P, matmul(L, U)), A, 1e-13);
      CHECK(L.size(-1) == std::min(shape[-1], shape[-2]));
    }
  }

  DEVICE_TEST_CASE("solve: broadcasting, vectors") {
    const Tensor A = regular({4, 1, 3, 3}), B = normal({5, 3, 2});
    const Tensor X = linalg::solve(A, B);
    CHECK(X.shape() == Shape{4, 5, 3, 2});
    check_near(matmul(A, X), B.expand({4, 5, 3, 2}), 1e-13);
    CHECK(linalg::solve(regular({3, 3}), normal({7, 3, 2})).shape() == Shape{7, 3, 2});
    CHECK(linalg::solve(regular({2, 3, 3}), normal({2, 3})).shape() == Shape{2, 3});  // a vector for each
    CHECK(linalg::solve(regular({2, 3, 3}), normal({3})).shape() == Shape{2, 3});
    CHECK(linalg::solve(regular({2, 3, 3}), normal({3, 2})).shape() == Shape{2, 3, 2});
    CHECK(message_of<ShapeError>([] {
            (void)linalg::solve(regular({2, 2}), normal({3, 2}));
          }) == "linalg.solve: sizes do not fit: A [2, 2], B [3, 2] in A X = B");
    CHECK_THROWS_AS((void)linalg::solve(regular({2, 2}), normal({2}), false), ShapeError);
    CHECK_THROWS_AS((void)linalg::solve(regular({3, 2, 2}), normal({2, 2, 1})), ShapeError);
    CHECK_THROWS_AS((void)linalg::solve(regular({2, 2}), normal({2, 2}, Dtype::f32)), DtypeError);
  }

  DEVICE_TEST_CASE("cholesky and triangular systems") {
    for (const Dtype dtype : kReal)
      for (const Shape& shape : kSquares) {
        CAPTURE(shape);
        const Tensor A = positive(shape, dtype), L = linalg::cholesky(A), U = linalg::cholesky(A, true);
        const double tolerance = near(dtype) * 50;
        check_near(matmul(L, adjoint(L)), A, tolerance);
        check_near(matmul(adjoint(U), U), A, tolerance);
        CHECK(equal(triu(L, 1), zeros_like(L)));
        CHECK(equal(tril(U, -1), zeros_like(U)));
        // Well-conditioned triangles: 1 on the diagonal and small numbers beside it.
        const Tensor small = normal(shape, dtype) * (0.1 / static_cast<double>(shape[-1]));
        const Tensor low = tril(small, -1) + identity(small), noise = low + triu(small * 1000, 1);
        Shape right = shape;
        right[-1] = 3;
        const Tensor B = normal(right, dtype, 3);
        check_near(matmul(low, linalg::solve_triangular(noise, B, {.upper = false})), B, near(dtype));
        check_near(matmul(adjoint(low), linalg::solve_triangular(adjoint(noise), B, {.upper = true})), B, near(dtype));
        check_near(matmul(linalg::solve_triangular(noise, adjoint(B), {.upper = false, .left = false}), low),
                   adjoint(B), near(dtype));
        const Tensor doubled = noise * 2, unit = tril(small * 2, -1) + identity(small);
        check_near(matmul(unit, linalg::solve_triangular(doubled, B, {.upper = false, .unitriangular = true})), B,
                   near(dtype));
        check_near(matmul(matmul(low, adjoint(low)), cholesky_solve(B, low)), B, near(dtype));
        check_near(matmul(matmul(low, adjoint(low)), cholesky_solve(B, adjoint(low), true)), B, near(dtype));
        check_near(cholesky_inverse(low), linalg::inv(matmul(low, adjoint(low))), near(dtype));
        check_near(cholesky_inverse(adjoint(low), true), linalg::inv(matmul(low, adjoint(low))), near(dtype));
      }
    // one triangle is read
    const Tensor A = positive({3, 3});
    CHECK(equal(linalg::cholesky(tril(A) + triu(full_like(A, kNan), 1)), linalg::cholesky(A)));
    CHECK(equal(linalg::cholesky(triu(A) + tril(full_like(A, kNan), -1), true), linalg::cholesky(A, true)));
    CHECK(linalg::solve_triangular(positive({4, 1, 3, 3}), normal({5, 3, 2}), {.upper = true}).shape() ==
          Shape{4, 5, 3, 2});
  }

  DEVICE_TEST_CASE("qr") {
    for (const Dtype dtype : kReal)
      for (const Shape& shape : kAny) {
        CAPTURE(shape);
        const Tensor A = normal(shape, dtype);
        const int64_t m = shape[-2], n = shape[-1], k = std::min(m, n);
        for (const bool complete : {false, true}) {
          const auto [Q, R] = linalg::qr(A, complete ? "complete" : "reduced");
          CHECK(Q.size(-1) == (complete ? m : k));
          CHECK(R.size(-2) == (complete ? m : k));
          check_near(matmul(Q, R), A, near(dtype));
          check_near(matmul(adjoint(Q), Q), identity(matmul(adjoint(Q), Q)), near(dtype));
          CHECK(equal(tril(R, -1), zeros_like(R)));
        }
        const auto [none, R] = linalg::qr(A, "r");
        CHECK(none.shape() == Shape{0});
        CHECK(equal(R, linalg::qr(A).R));
      }
    CHECK(message_of<ValueError>([] {
            (void)linalg::qr(normal({2, 2}), "full");
          }) == "linalg.qr: mode 'full' is unknown; expected 'reduced', 'complete' or 'r'");
  }

  DEVICE_TEST_CASE("svd, eigh") {
    for (const Dtype dtype : kReal)
      for (const Shape& shape : kAny) {
        CAPTURE(shape);
        const Tensor A = normal(shape, dtype);
        const int64_t m = shape[-2], n = shape[-1], k = std::min(m, n);
        const auto [U, S, Vh] = linalg::svd(A, false);
        check_near(matmul(U * S.unsqueeze(-2), Vh), A, near(dtype));
        check_near(matmul(adjoint(U), U), identity(matmul(adjoint(U), U)), near(dtype));
        check_near(linalg::svdvals(A), S, near(dtype));
        CHECK(equal(sort(S, -1, true).values, S));
        const auto [U2, S2, Vh2] = linalg::svd(A);
        CHECK(U2.size(-1) == m);
        CHECK(Vh2.size(-2) == n);
        check_near(matmul(U2.narrow(-1, 0, k) * S2.unsqueeze(-2), Vh2.narrow(-2, 0, k)), A, near(dtype));
        check_near(matmul(adjoint(U2), U2), identity(U2), near(dtype));
        check_near(matmul(Vh2, adjoint(Vh2)), identity(Vh2), near(dtype));
      }
    for (const Dtype dtype : kReal)
      for (const Shape& shape : kSquares) {
        const Tensor A = symmetric(shape, dtype);
        const auto [w, V] = linalg::eigh(A);
        check_near(matmul(V * w.unsqueeze(-2), adjoint(V)), A, near(dtype) * 10);
        check_near(matmul(adjoint(V), V), identity(V), near(dtype));
        check_near(linalg::eigvalsh(A), w, near(dtype) * 10);
        CHECK(equal(sort(w, -1).values, w));
      }
    const Tensor A = normal({3, 4, 4});
    check_near(linalg::eigvalsh(A, "L"), linalg::eigvalsh(tril(A) + adjoint(tril(A, -1))), 1e-13);
    check_near(linalg::eigvalsh(A, "U"), linalg::eigvalsh(triu(A) + adjoint(triu(A, 1))), 1e-13);
    CHECK_THROWS_AS((void)linalg::eigh(A, "X"), ValueError);
  }

  DEVICE_TEST_CASE("pinv, matrix_rank") {
    for (const Shape& shape : kAny) {
      const Tensor A = normal(shape), P = linalg::pinv(A), AP = matmul(A, P), PA = matmul(P, A);
      check_near(matmul(AP, A), A, 1e-12);  // Penrose's four
      check_near(matmul(PA, P), P, 1e-12);
      check_near(AP, adjoint(AP), 1e-12);
      check_near(PA, adjoint(PA), 1e-12);
      for (const int64_t r : linalg::matrix_rank(A).to_vector<int64_t>()) CHECK(r == std::min(shape[-1], shape[-2]));
    }
    const Tensor low = matmul(normal({2, 5, 2}), normal({2, 2, 4}, Dtype::f64, 9));
    CHECK(linalg::matrix_rank(low).to_vector<int64_t>() == std::vector<int64_t>{2, 2});
    CHECK(equal(linalg::pinv(low, {}), linalg::pinv(low)));  // no braces that mean a tolerance of 0
    check_near(matmul(low, matmul(linalg::pinv(low), low)), low, 1e-12);
    const Tensor d = here::tensor({4.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.01}, Shape{3, 3});
    CHECK(linalg::matrix_rank(d, {.atol = 0.5}).item<int64_t>() == 2);
    CHECK(linalg::matrix_rank(d, {.rtol = 0.5}).item<int64_t>() == 1);
    CHECK(linalg::matrix_rank(d, {.atol = 2, .rtol = 0.1, .hermitian = true}).item<int64_t>() == 1);
    CHECK(values(linalg::pinv(d, {.atol = 0.5, .hermitian = true}).diagonal())[0] == doctest::Approx(0.25));
    CHECK(values(linalg::pinv(d, {.atol = 0.5, .hermitian = true}).diagonal())[2] == 0);
    CHECK(values(linalg::pinv(d, {.hermitian = true}).diagonal())[1] == doctest::Approx(-1));
    check_near(linalg::pinv(symmetric({3, 4, 4}), {.hermitian = true}), linalg::pinv(symmetric({3, 4, 4})), 1e-11);
  }

  DEVICE_TEST_CASE("lstsq") {
    for (const Shape& shape : kAny)
      for (const char* driver : {"gels", "gelsy", "gelsd", "gelss"}) {
        CAPTURE(shape);
        CAPTURE(driver);
        const int64_t m = shape[-2], n = shape[-1], k = std::min(m, n);
        const bool values = driver == std::string("gelsd") || driver == std::string("gelss");
        Shape right = shape;
        right[-1] = 3;
        const Tensor A = normal(shape), B = normal(right, Dtype::f64, 3);
        const linalg::Lstsq r = linalg::lstsq(A, B, {.driver = driver});
        check_near(r.solution, matmul(linalg::pinv(A), B), 1e-11);
        if (m > n && driver != std::string("gelsy"))
          check_near(r.residuals, sum(square(matmul(A, r.solution) - B), -2), 1e-12);
        else CHECK(r.residuals.shape() == Shape{0});
        if (driver == std::string("gels")) CHECK(r.rank.shape() == Shape{0});
        else
          for (const int64_t rank : r.rank.to_vector<int64_t>()) CHECK(rank == k);
        if (values) check_near(r.singular_values, linalg::svdvals(A), 1e-12);
        else CHECK(r.singular_values.shape() == Shape{0});
      }
    const Tensor low = matmul(normal({5, 2}), normal({2, 4}, Dtype::f64, 9)), b = normal({5});
    const linalg::Lstsq r = linalg::lstsq(low, b);
    CHECK(r.rank.item<int64_t>() == 2);
    check_near(r.solution, matmul(linalg::pinv(low), b), 1e-12);
    CHECK(linalg::lstsq(normal({2, 3, 5}), normal({2, 3})).solution.shape() == Shape{2, 5});
    CHECK_THROWS_AS((void)linalg::lstsq(low, normal({4})), ShapeError);
    CHECK_THROWS_AS((void)linalg::lstsq(low, b, {.driver = "qr"}), ValueError);
  }

  DEVICE_TEST_CASE("norms and condition numbers") {
    const Tensor A = here::tensor({1.0, -2.0, 3.0, 4.0, 5.0, -6.0}, Shape{2, 3});
    const auto norm_of = [&](const linalg::Ord& ord) { return linalg::matrix_norm(A, ord).item<double>(); };
    const std::vector<double> s = values(linalg::svdvals(A));
    CHECK(norm_of("fro") == doctest::Approx(std::sqrt(91)));
    CHECK(norm_of("nuc") == doctest::Approx(s[0] + s[1]));
    CHECK(norm_of(1) == 9);
    CHECK(norm_of(-1) == 5);
    CHECK(norm_of(kInf) == 15);
    CHECK(norm_of(-kInf) == 6);
    CHECK(norm_of(2) == doctest::Approx(s[0]));
    CHECK(norm_of(-2) == doctest::Approx(s[1]));
    CHECK(message_of<ValueError>([&] { (void)norm_of(3); }) ==
          "linalg.matrix_norm: ord must be 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2, got 3");
    const Tensor batch = normal({4, 2, 3});
    for (const linalg::Ord& ord : {linalg::Ord("nuc"), linalg::Ord(1), linalg::Ord(kInf), linalg::Ord("fro")}) {
      const Tensor kept = linalg::matrix_norm(batch, ord, {2, 0}, true);
      CHECK(kept.shape() == Shape{1, 2, 1});
      check_near(kept.squeeze(), linalg::matrix_norm(batch.permute({1, 2, 0}), ord), 1e-13);
    }
    CHECK(linalg::matrix_norm(batch.to(Dtype::f32), "fro", {-2, -1}, false, Dtype::f64).dtype() == Dtype::f64);
    CHECK(linalg::norm(batch).item<double>() == doctest::Approx(vector_norm(batch).item<double>()));
    check_near(linalg::norm(batch, 1, {1, 2}), linalg::matrix_norm(batch, 1), 1e-15);
    check_near(linalg::norm(batch, 1, 1), vector_norm(batch, 1, 1), 1e-15);
    CHECK_THROWS_AS((void)linalg::norm(batch, 1), ShapeError);
    CHECK_THROWS_AS((void)linalg::norm(batch, "fro", 1), ValueError);

    const Tensor R = regular({3, 4, 4}), v = linalg::svdvals(R);
    check_near(linalg::cond(R), v.select(-1, 0) / v.select(-1, 3), 1e-12);
    check_near(linalg::cond(R, -2), v.select(-1, 3) / v.select(-1, 0), 1e-12);
    check_near(linalg::cond(R, "fro"), linalg::matrix_norm(R) * linalg::matrix_norm(linalg::inv(R)), 1e-12);
    CHECK(values(linalg::cond(here::zeros({2, 2, 2}, Dtype::f64), 1)) == std::vector<double>{kInf, kInf});
    const Tensor nan = here::tensor({1.0, std::nan(""), 0.0, 1.0, 1.0, 0.0, 0.0, 1.0}, Shape{2, 2, 2});
    for (const linalg::Ord& ord : {linalg::Ord(1), linalg::Ord(-1), linalg::Ord(kInf), linalg::Ord("fro")})
      CHECK(values(linalg::cond(nan, ord))[0] == kInf);
    CHECK(values(linalg::cond(nan, 1))[1] == 1);
    for (const linalg::Ord& ord : {linalg::Ord(2), linalg::Ord(-2)})
      CHECK_THROWS_AS((void)linalg::cond(nan, ord), linalg::LinAlgError);
    CHECK(linalg::cond(A).shape() == Shape{});
  }

  DEVICE_TEST_CASE("powers, exponentials, chains") {
    const Tensor A = regular({2, 3, 3});
    check_near(linalg::matrix_power(A, 5), matmul(A, matmul(A, matmul(A, matmul(A, A)))), 1e-12);
    check_near(linalg::matrix_power(A, -3), linalg::inv(matmul(A, matmul(A, A))), 1e-12);
    CHECK(equal(linalg::matrix_power(A, 0), identity(A)));
    CHECK(equal(linalg::matrix_power(A, 1), A));
    // e^A of a symmetric A by its eigenvalues: norms from 1e-3 to 30 in one batch
    for (const Dtype dtype : kReal) {
      const Tensor S = symmetric({5, 4, 4}, dtype) * here::tensor({1e-3, 0.3, 1.0, 4.0, 9.0}, Shape{5, 1, 1}).to(dtype);
      const auto [w, V] = linalg::eigh(S.to(Dtype::f64));
      const Tensor want = matmul(V * exp(w).unsqueeze(-2), adjoint(V)), got = linalg::matrix_exp(S).to(Dtype::f64);
      // relative to the norm: each squaring doubles the error, and the largest norm needs six of them
      const Tensor error = linalg::matrix_norm(got - want) / linalg::matrix_norm(want);
      CHECK(amax(error).item<double>() < (dtype == Dtype::f32 ? 3e-5 : 3e-13));
    }
    const Tensor turn = here::tensor({0.0, -3.0, 3.0, 0.0}, Shape{2, 2});
    CHECK(values(linalg::matrix_exp(turn))[2] == doctest::Approx(std::sin(3.0)).epsilon(1e-13));
    CHECK(equal(linalg::matrix_exp(here::zeros({2, 2}, Dtype::f64)), here::eye(2, -1, Dtype::f64)));
    CHECK(std::isnan(values(linalg::matrix_exp(here::full({2, 2}, kNan, Dtype::f64)))[0]));

    const Tensor a = normal({10, 100}), b = normal({100, 5}, Dtype::f64, 2), c = normal({5, 50}, Dtype::f64, 3);
    check_near(linalg::multi_dot({a, b, c}), matmul(matmul(a, b), c), 1e-11);
    check_near(linalg::multi_dot({a[0], b, c}), matmul(matmul(a[0], b), c), 1e-11);
    CHECK(linalg::multi_dot({a[0], b, c, c[0]}).shape() == Shape{});
    check_near(linalg::multi_dot({a, b}), matmul(a, b), 1e-13);
    CHECK_THROWS_AS((void)linalg::multi_dot({a}), ValueError);
    CHECK_THROWS_AS((void)linalg::multi_dot({a, c}), ShapeError);
    CHECK_THROWS_AS((void)linalg::multi_dot({a, b[0], c}), ShapeError);
  }

  DEVICE_TEST_CASE("empty matrices and batches") {
    for (const Shape& shape : {Shape{0, 0}, Shape{3, 0, 0}, Shape{0, 2, 2}}) {
      CAPTURE(shape);
      const Tensor A = here::zeros(shape, Dtype::f64);
      const Shape batch = shape.slice(0, shape.rank() - 2);
      Shape line = batch;
      line.push_back(shape[-1]);
      CHECK(linalg::inv(A).shape() == shape);
      CHECK(equal(linalg::det(A), here::ones(batch, Dtype::f64)));
      CHECK(equal(linalg::slogdet(A).sign, here::ones(batch, Dtype::f64)));
      CHECK(equal(linalg::slogdet(A).logabsdet, here::zeros(batch, Dtype::f64)));
      CHECK(linalg::cholesky(A).shape() == shape);
      CHECK(linalg::eigh(A).eigenvalues.shape() == line);
      CHECK(linalg::svd(A).S.shape() == line);
      CHECK(linalg::matrix_exp(A).shape() == shape);
      CHECK(linalg::lu_factor(A).pivots.shape() == line);
      CHECK(linalg::cond(A).shape() == batch);
      CHECK(linalg::solve(A, A).shape() == shape);
      CHECK(linalg::matrix_rank(A).shape() == batch);
      for (const linalg::Ord& ord :
           {linalg::Ord("fro"), linalg::Ord("nuc"), linalg::Ord(1), linalg::Ord(2), linalg::Ord(kInf)})
        CHECK(equal(linalg::matrix_norm(A, ord), here::zeros(batch, Dtype::f64)));
      Tensor x = A.clone().set_requires_grad();
      sum(linalg::det(x)).backward();
      CHECK(x.grad().shape() == shape);
    }
    const Tensor wide = here::zeros({0, 3}, Dtype::f64), tall = here::zeros({2, 3, 0}, Dtype::f64);
    CHECK(linalg::qr(wide).Q.shape() == Shape{0, 0});
    CHECK(linalg::qr(wide).R.shape() == Shape{0, 3});
    CHECK(equal(linalg::qr(tall, "complete").Q, here::eye(3, -1, Dtype::f64).expand({2, 3, 3})));
    CHECK(linalg::svd(wide).Vh.shape() == Shape{3, 3});
    CHECK(linalg::svd(wide, false).U.shape() == Shape{0, 0});
    CHECK(linalg::pinv(tall).shape() == Shape{2, 0, 3});
    CHECK(linalg::lstsq(here::zeros({3, 0}, Dtype::f64), normal({3, 2})).solution.shape() == Shape{0, 2});
    CHECK_THROWS_AS((void)linalg::matrix_norm(here::zeros({0, 0}), -1), ShapeError);
  }

  DEVICE_TEST_CASE("matrices that cannot be taken are named") {
    Tensor A = regular({2, 3, 4, 4});
    A.select(0, 1).select(0, 2).select(0, 3).zero_();
    const std::string where = " at [1, 2] of the batch [2, 3] ";
    CHECK(message_of<linalg::LinAlgError>([&] { (void)linalg::inv(A); }) ==
          "linalg.inv: the matrix" + where + "is singular: its pivot 4 (counted from 1) is zero");
    CHECK(message_of<linalg::LinAlgError>([&] { (void)linalg::solve(A, A); }) ==
          "linalg.solve: the matrix" + where + "is singular: its pivot 4 (counted from 1) is zero");
    CHECK_THROWS_AS((void)linalg::lu_factor(A), linalg::LinAlgError);
    CHECK(linalg::inv_ex(A).info.to_vector<int32_t>() == std::vector<int32_t>{0, 0, 0, 0, 0, 4});
    CHECK(linalg::slogdet(A).sign[1][2].item<double>() == 0);
    CHECK(linalg::slogdet(A).logabsdet[1][2].item<double>() == -kInf);
    CHECK(message_of<ValueError>([&] { (void)linalg::cholesky(here::eye(3) * -1); }) ==
          "linalg.cholesky: the matrix is not positive-definite: its leading minor of order 1 is not positive");
    CHECK(linalg::cholesky_ex(here::eye(3) * -1).info.item<int32_t>() == 1);
    const Tensor low = here::tensor({1.0, 0.0, 0.0, 0.0, 0.0, 0.0}, Shape{3, 2}), b = here::ones({3}, Dtype::f64);
    CHECK_THROWS_AS((void)linalg::lstsq(low, b, {.driver = "gels"}), linalg::LinAlgError);
    // NaN neither hangs nor crashes: the iterations refuse it, the rest hands it on.
    for (const double bad : {kNan, kInf})
      for (const Shape& shape : {Shape{3, 3}, Shape{40, 40}, Shape{2, 17, 17}}) {
        const Tensor x = here::full(shape, bad, Dtype::f64);
        CHECK_THROWS_AS((void)linalg::svd(x), linalg::LinAlgError);
        CHECK_THROWS_AS((void)linalg::svdvals(x), linalg::LinAlgError);
        CHECK_THROWS_AS((void)linalg::eigh(x), linalg::LinAlgError);
        CHECK_THROWS_AS((void)linalg::eigvalsh(x), linalg::LinAlgError);
        CHECK(message_of<linalg::LinAlgError>([&] { (void)linalg::pinv(x); }).starts_with("linalg.pinv: "));
        CHECK_THROWS_AS((void)linalg::lstsq(x, x), linalg::LinAlgError);
        (void)linalg::qr(x);
        (void)linalg::lu(x);
        (void)linalg::inv_ex(x);
        CHECK((std::isinf(bad) || linalg::cholesky_ex(x).info.max().item<int32_t>() > 0));
        (void)linalg::det(x);
      }
    CHECK(std::isnan(linalg::det(here::full({2, 2}, kNan, Dtype::f64)).item<double>()));
  }

  DEVICE_TEST_CASE("dtypes and shapes that are refused") {
    for (const Dtype d : {Dtype::f16, Dtype::bf16, Dtype::i64, Dtype::boolean})
      CHECK_THROWS_AS((void)linalg::inv(here::ones({2, 2}, d)), DtypeError);
    CHECK(message_of<DtypeError>([] {
            (void)linalg::svd(here::ones({2, 2}, Dtype::f16));
          }) == "linalg.svd: takes f32 or f64, got f16; convert with to(Dtype::f32)");
    CHECK(message_of<ShapeError>([] {
            (void)linalg::inv(here::ones({2, 3}));
          }) == "linalg.inv: needs square matrices, got [2, 3]");
    CHECK(message_of<ShapeError>([] { (void)linalg::det(here::ones({2})); }) ==
          "linalg.det: needs a matrix or a batch of matrices, got [2]");
    CHECK_THROWS_AS((void)linalg::inv(Tensor()), ValueError);
  }

  TEST_CASE("a device without LAPACK is told the way out") {
    if (kernels::svd.has(DeviceType::custom)) return;  // the CPU's kernels are lent there
    CHECK_FALSE(kernels::svd.has(DeviceType::cuda));
  }

  TEST_CASE("UPLO: either case of the letter") {
    const Tensor A = tensor({{2.0, 1.0}, {0.0, 3.0}}, Dtype::f64);
    CHECK(linalg::eigvalsh(A, "l").equal(linalg::eigvalsh(A, "L")));
    CHECK(linalg::eigvalsh(A, "u").equal(linalg::eigvalsh(A, "U")));
    CHECK_FALSE(linalg::eigvalsh(A, "u").equal(linalg::eigvalsh(A, "l")));
    CHECK_THROWS_AS((void)linalg::eigh(A, "lo"), ValueError);
    CHECK_THROWS_AS((void)linalg::qr(A, "R"), ValueError);
  }

  DEVICE_TEST_CASE("autocast leaves f32 alone") {
    const Tensor A = regular({3, 3}, Dtype::f32), b = normal({3}, Dtype::f32);
    const Tensor x = linalg::pinv(A), y = linalg::matrix_exp(A * 0.1), z = linalg::lstsq(A, b).solution;
    const Autocast lower(Dtype::bf16, support::device());
    CHECK(equal(linalg::pinv(A), x));
    CHECK(equal(linalg::matrix_exp(A * 0.1), y));
    CHECK(equal(linalg::lstsq(A, b).solution, z));
    CHECK(linalg::inv(A.to(Dtype::bf16)).dtype() == Dtype::f32);
  }
}
