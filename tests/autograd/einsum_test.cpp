// einsum against loops over all labels.
#include <map>
#include <string>

#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/gradcheck.h"
#include "weft/core/factory.h"

using namespace weft;

namespace {

/// The definition: a loop over every assignment of the letters (explicit equations without ellipsis).
std::vector<double> by_definition(const std::string& equation, const std::vector<Tensor>& x) {
  const size_t arrow = equation.find("->");
  std::vector<std::string> terms(1);
  for (char c : equation.substr(0, arrow)) c == ',' ? terms.emplace_back() : terms.back() += c, void();
  for (std::string& t : terms) std::erase(t, ',');
  const std::string out = equation.substr(arrow + 2);
  std::map<char, int64_t> size, at;
  for (size_t k = 0; k < terms.size(); ++k)
    for (size_t i = 0; i < terms[k].size(); ++i) size[terms[k][i]] = x[k].size(static_cast<int64_t>(i));
  int64_t total = 1, results = 1;
  for (auto [c, n] : size) total *= n;
  for (char c : out) results *= size[c];
  std::vector<double> y(static_cast<size_t>(results));
  for (int64_t f = 0; f < total; ++f) {
    int64_t rest = f;
    for (auto [c, n] : size) {
      at[c] = rest % n;
      rest /= n;
    }
    double p = 1;
    for (size_t k = 0; k < terms.size(); ++k) {
      Tensor e = x[k];
      for (char c : terms[k]) e = e[at[c]];
      p *= e.item<double>();
    }
    int64_t o = 0;
    for (char c : out) o = o * size[c] + at[c];
    y[static_cast<size_t>(o)] += p;
  }
  return y;
}

}  // namespace

TEST_SUITE("einsum") {
  DEVICE_TEST_CASE("products, sums, diagonals and orders of axes, against the definition") {
    struct Case {
      const char* equation;
      std::vector<Shape> shapes;
    };
    const Case cases[] = {
        {"ij,jk->ik", {{2, 3}, {3, 4}}},
        {"bij,bjk->bki", {{2, 3, 4}, {2, 4, 2}}},
        {"ij->ji", {{2, 3}}},
        {"ij->", {{2, 3}}},
        {"ii->i", {{3, 3}}},
        {"iij,jk->ki", {{2, 2, 3}, {3, 2}}},
        {"i,j->ij", {{2}, {3}}},
        {"ij,ij->", {{2, 3}, {2, 3}}},
        {"ij,kj,lk->il", {{2, 3}, {2, 3}, {4, 2}}},
        {"abc,cd,be->aed", {{2, 2, 3}, {3, 2}, {2, 2}}},
        {"iji->j", {{2, 3, 2}}},
        {"ab,cd->", {{2, 2}, {2, 3}}},
        {"i,i,i->i", {{3}, {3}, {3}}},
    };
    for (const Case& c : cases) {
      CAPTURE(c.equation);
      std::vector<Tensor> x;
      for (const Shape& s : c.shapes) x.push_back(here::rand(s, Dtype::f64).set_requires_grad());
      const std::vector<double> want = by_definition(c.equation, x), got = einsum(c.equation, x).to_vector<double>();
      REQUIRE(got.size() == want.size());
      for (size_t i = 0; i < want.size(); ++i)
        CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-13));  // f64 sums in another order
      CHECK(gradcheck([&](const std::vector<Tensor>& t) { return einsum(c.equation, t); }, x));
      CHECK(gradgradcheck([&](const std::vector<Tensor>& t) { return einsum(c.equation, t); }, x));
    }
  }

  DEVICE_TEST_CASE("ellipsis, implicit results, axes of size 1") {
    const Tensor a = here::rand({2, 3, 4, 5}, Dtype::f64), b = here::rand({3, 5, 2}, Dtype::f64),
                 m = here::rand({3, 3}, Dtype::f64);
    CHECK(allclose(einsum("...ij,...jk->...ik", {a, b}), matmul(a, b), 1e-13, 0));
    CHECK(allclose(einsum("...ij, ...jk", {a, b}), matmul(a, b), 1e-13, 0));
    CHECK(allclose(einsum("b...->...b", {a}), a.permute({1, 2, 3, 0})));
    CHECK(allclose(einsum("i...->...", {a}), sum(a, 0), 1e-13, 0));
    CHECK(allclose(einsum("...ii ->...i", {m}), m.diagonal()));
    CHECK(einsum("ba", {m.narrow(1, 0, 2)}).shape() == Shape{2, 3});  // letters in their order
    CHECK(einsum("aB", {m.narrow(1, 0, 2)}).shape() == Shape{2, 3});  // capitals first
    CHECK(allclose(einsum("ij,jk", {m, here::rand({1, 2}, Dtype::f64) * 0 + 1}), sum(m, 1, true).expand({3, 2}), 1e-13,
                   0));
    CHECK(einsum("->", {here::scalar(2.0)}).item<double>() == 2);
    CHECK(einsum("ij,jk->ik", {here::zeros({2, 0}), here::zeros({0, 3})}).to_vector<double>() ==
          std::vector<double>(6));
  }

  DEVICE_TEST_CASE("what is wrong is said") {
    const Tensor x = here::ones({2, 3});
    CHECK_THROWS_AS((void)einsum("ij,jk->ik", {x}), ValueError);
    CHECK_THROWS_AS((void)einsum("ijk->i", {x}), ShapeError);
    CHECK_THROWS_AS((void)einsum("ij,ij->", {x, here::ones({3, 2})}), ShapeError);
    CHECK_THROWS_AS((void)einsum("ii->i", {x}), ShapeError);
    CHECK_THROWS_AS((void)einsum("ij->k", {x}), ValueError);
    CHECK_THROWS_AS((void)einsum("ij->ii", {x}), ValueError);
    CHECK_THROWS_AS((void)einsum("i1->i", {x}), ValueError);
    CHECK_THROWS_AS((void)einsum("i..->i", {x}), ValueError);
    CHECK_THROWS_AS((void)einsum("", {}), ValueError);
  }
}
