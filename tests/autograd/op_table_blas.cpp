// Rows of the op table: contractions, sums of products, the cross product.
#include "autograd/op_table.h"
#include "support/ops.h"
#include "weft/autograd/ops/linalg/blas.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;

using At = std::function<double(const Arrays&, const Index&)>;

Sample product_of(const std::string& label, Tensors inputs, std::function<Tensor(const Tensors&)> op,
                  const Shape& result, At at) {
  return sample(label, std::move(inputs), std::move(op),
                [=](const Arrays& x) { return support::generate(result, [&](const Index& i) { return at(x, i); }); });
}

double summed(int64_t n, const std::function<double(int64_t)>& f) {
  double s = 0;
  for (int64_t k = 0; k < n; ++k) s += f(k);
  return s;
}

std::vector<Op> contractions() {
  return {
      {"inner",
       {product_of(
            "matrix, features", {uniform({2, 3}), uniform({2, 2, 3}, -2, 2, 5)},
            [](const Tensors& x) { return weft::inner(x[0], x[1]); }, {2, 2, 2},
            [](const Arrays& x, const Index& i) {
              return summed(3, [&](int64_t k) { return x[0].at({i[0], k}) * x[1].at({i[1], i[2], k}); });
            }),
        product_of(
            "vectors", {uniform({4}), uniform({4}, -2, 2, 5)}, [](const Tensors& x) { return weft::inner(x[0], x[1]); },
            {},
            [](const Arrays& x, const Index&) {
              return summed(4, [&](int64_t k) { return x[0].at({k}) * x[1].at({k}); });
            }),
        product_of(
            "number", {uniform({}), uniform({4}, -2, 2, 5)}, [](const Tensors& x) { return weft::inner(x[0], x[1]); },
            {4}, [](const Arrays& x, const Index& i) { return x[0].v[0] * x[1].at(i); })},
       {{[] {
           (void)weft::inner(here::ones({2, 3}), here::ones({2}));
         },
         "inner: the last sizes of [2, 3] and [2] differ"},
        {[] { (void)weft::inner(here::ones({2}), here::ones({2}, Dtype::f64)); }, "inner: "}}},
      {"kron",
       {product_of(
            "matrices", {uniform({2, 3}), uniform({2, 2}, -2, 2, 5)},
            [](const Tensors& x) { return weft::kron(x[0], x[1]); }, {4, 6},
            [](const Arrays& x, const Index& i) {
              return x[0].at({i[0] / 2, i[1] / 2}) * x[1].at({i[0] % 2, i[1] % 2});
            }),
        product_of(
            "vector, features", {uniform({2}), uniform({2, 1, 3}, -2, 2, 5)},
            [](const Tensors& x) { return weft::kron(x[0], x[1]); }, {2, 1, 6},
            [](const Arrays& x, const Index& i) {
              return x[0].at({i[2] / 3}) * x[1].at({i[0], 0, i[2] % 3});
            }),
        product_of(
            "numbers", {uniform({}), uniform({}, -2, 2, 5)}, [](const Tensors& x) { return weft::kron(x[0], x[1]); },
            {}, [](const Arrays& x, const Index&) { return x[0].v[0] * x[1].v[0]; })}},
      {"tensordot",
       {product_of(
            "two axes", {uniform({2, 3, 2}), uniform({3, 2, 4}, -2, 2, 5)},
            [](const Tensors& x) { return weft::tensordot(x[0], x[1]); }, {2, 4},
            [](const Arrays& x, const Index& i) {
              return summed(6, [&](int64_t k) {
                return x[0].at({i[0], k / 2, k % 2}) * x[1].at({k / 2, k % 2, i[1]});
              });
            }),
        product_of(
            "no axis", {uniform({2}), uniform({3}, -2, 2, 5)},
            [](const Tensors& x) { return weft::tensordot(x[0], x[1], 0); }, {2, 3},
            [](const Arrays& x, const Index& i) { return x[0].at({i[0]}) * x[1].at({i[1]}); }),
        product_of(
            "chosen axes", {uniform({2, 3, 4}), uniform({4, 2, 3}, -2, 2, 5)},
            [](const Tensors& x) {
              return weft::tensordot(x[0], x[1], {0, -1}, {1, 0});
            },
            {3, 3},
            [](const Arrays& x, const Index& i) {
              return summed(8, [&](int64_t k) {
                return x[0].at({k / 4, i[0], k % 4}) * x[1].at({k % 4, k / 4, i[1]});
              });
            }),
        product_of(
            "size 1", {uniform({2, 3}), uniform({1, 2}, -2, 2, 5)},
            [](const Tensors& x) { return weft::tensordot(x[0], x[1], 1); }, {2, 2},
            [](const Arrays& x, const Index& i) {
              return summed(3, [&](int64_t k) { return x[0].at({i[0], k}) * x[1].at({0, i[1]}); });
            })},
       {{[] { (void)weft::tensordot(here::ones({2}), here::ones({2}), 2); }, "tensordot: dims=2"},
        {[] { (void)weft::tensordot(here::ones({2}), here::ones({2}), -1); }, "tensordot: "},
        {[] {
           (void)weft::tensordot(here::ones({2, 3}), here::ones({2, 3}), 1);
         },
         "tensordot: "},
        {[] {
           (void)weft::tensordot(here::ones({2, 2}), here::ones({2, 2}), {0, 0}, {0, 1});
         },
         "tensordot: an axis stands twice"},
        {[] {
           (void)weft::tensordot(here::ones({2, 2}), here::ones({2, 2}), {0}, {0, 1});
         },
         "tensordot: "},
        {[] { (void)weft::tensordot(here::ones({2}), here::ones({2}, Dtype::f64), 1); }, "tensordot: "}}},
  };
}

std::vector<Op> sums_of_products() {
  const auto matrix = [](const Arrays& x, int64_t k, const Index& i) {
    return summed(3, [&](int64_t j) { return x[1].at({k, i[0], j}) * x[2].at({k, j, i[1]}); });
  };
  const auto refused = [](const char* op, std::function<Tensor(const Tensor&)> f) {
    return std::vector<Fault>{{[f] { (void)f(here::ones({9})); }, weft::str(op, ": ")},
                              {[f] { (void)f(here::ones({1}, Dtype::f64)); }, weft::str(op, ": ")}};
  };
  std::vector<Op> t = {
      {"addmv",
       {product_of(
            "scaled", {uniform({2}), uniform({2, 3}, -2, 2, 2), uniform({3}, -2, 2, 3)},
            [](const Tensors& x) { return weft::addmv(x[0], x[1], x[2], 0.5, -2); }, {2},
            [](const Arrays& x, const Index& i) {
              return 0.5 * x[0].at(i) - 2 * summed(3, [&](int64_t k) { return x[1].at({i[0], k}) * x[2].at({k}); });
            }),
        product_of(
            "a number", {uniform({}), uniform({2, 3}, -2, 2, 2), uniform({3}, -2, 2, 3)},
            [](const Tensors& x) { return weft::addmv(x[0], x[1], x[2]); }, {2},
            [](const Arrays& x, const Index& i) {
              return x[0].v[0] + summed(3, [&](int64_t k) { return x[1].at({i[0], k}) * x[2].at({k}); });
            })},
       refused("addmv",
               [](const Tensor& x) {
                 return weft::addmv(x, here::ones({2, 3}), here::ones({3}));
               })},
      {"addr",
       {product_of(
           "scaled", {uniform({3}), uniform({2}, -2, 2, 2), uniform({3}, -2, 2, 3)},
           [](const Tensors& x) { return weft::addr(x[0], x[1], x[2], 0.5, -2); }, {2, 3},
           [](const Arrays& x, const Index& i) {
             return 0.5 * x[0].at({i[1]}) - 2 * x[1].at({i[0]}) * x[2].at({i[1]});
           })},
       {{[] {
           (void)weft::addr(here::ones({3, 2, 2}), here::ones({2}), here::ones({2}));
         },
         "addr: "},
        {[] {
           (void)weft::addr(here::ones({2, 2}), here::ones({2, 2}), here::ones({2}));
         },
         "addr: "},
        {[] {
           const Tensor x = here::ones({2}, Dtype::i64);
           (void)weft::addr(x, x, x, 1, 0.5);
         },
         "addr: alpha=0.5"}}},
      {"addbmm",
       {product_of(
           "scaled", {uniform({2, 2}), uniform({2, 2, 3}, -2, 2, 2), uniform({2, 3, 2}, -2, 2, 3)},
           [](const Tensors& x) { return weft::addbmm(x[0], x[1], x[2], 0.5, -2); }, {2, 2},
           [matrix](const Arrays& x, const Index& i) {
             return 0.5 * x[0].at(i) - 2 * (matrix(x, 0, i) + matrix(x, 1, i));
           })},
       refused("addbmm",
               [](const Tensor& x) {
                 return weft::addbmm(x, here::ones({2, 2, 3}), here::ones({2, 3, 2}));
               })},
      {"baddbmm",
       {product_of(
           "scaled", {uniform({2, 1}), uniform({2, 2, 3}, -2, 2, 2), uniform({2, 3, 2}, -2, 2, 3)},
           [](const Tensors& x) { return weft::baddbmm(x[0], x[1], x[2], 0.5, -2); }, {2, 2, 2},
           [matrix](const Arrays& x, const Index& i) {
             return 0.5 * x[0].at({i[1], 0}) - 2 * matrix(x, i[0], {i[1], i[2]});
           })},
       refused("baddbmm",
               [](const Tensor& x) {
                 return weft::baddbmm(x, here::ones({2, 2, 3}), here::ones({2, 3, 2}));
               })},
  };
  row(t, "addbmm")
      .faults.push_back({[] {
                           (void)weft::addbmm(here::ones({1}), here::ones({2, 2, 3}), here::ones({1, 3, 2}));
                         },
                         "addbmm: batch sizes differ"});
  row(t, "baddbmm")
      .faults.push_back({[] {
                           (void)weft::baddbmm(here::ones({1}), here::ones({2, 2, 3}), here::ones({2, 2, 2}));
                         },
                         "baddbmm: inner dimensions differ"});
  // sums of products scaled after they were rounded: the halves' error is that of the larger parts
  for (Op& op : t) op.half_eps = 16;
  return t;
}

std::vector<Op> cross_products() {
  const auto component = [](const std::function<double(int64_t)>& a, const std::function<double(int64_t)>& b,
                            int64_t k) { return a((k + 1) % 3) * b((k + 2) % 3) - a((k + 2) % 3) * b((k + 1) % 3); };
  std::vector<Op> t = {
      {"cross",
       {product_of(
            "first axis of size 3", {uniform({2, 3, 3}), uniform({2, 3, 3}, -2, 2, 5)},
            [](const Tensors& x) { return weft::cross(x[0], x[1]); }, {2, 3, 3},
            [component](const Arrays& x, const Index& i) {
              const auto at = [&](size_t n) { return [&x, &i, n](int64_t k) { return x[n].at({i[0], k, i[2]}); }; };
              return component(at(0), at(1), i[1]);
            }),
        product_of(
            "rows, broadcast", {uniform({1, 3}), uniform({2, 3}, -2, 2, 5)},
            [](const Tensors& x) { return weft::cross(x[0], x[1], -1); }, {2, 3},
            [component](const Arrays& x, const Index& i) {
              return component([&](int64_t k) { return x[0].v[static_cast<size_t>(k)]; },
                               [&](int64_t k) {
                                 return x[1].at({i[0], k});
                               },
                               i[1]);
            })},
       {{[] {
           (void)weft::cross(here::ones({2, 4}), here::ones({2, 4}));
         },
         "cross: no axis of [2, 4] has size 3"},
        {[] {
           (void)weft::cross(here::ones({2, 3}), here::ones({2, 3}), 0);
         },
         "cross: "},
        {[] {
           (void)weft::cross(here::ones({3}), here::ones({1, 3}));
         },
         "cross: "},
        {[] { (void)weft::cross(here::ones({3}), here::ones({3}, Dtype::f64)); }, "cross: "},
        {[] {
           (void)weft::cross(here::ones({2, 3}), here::ones({4, 3}));
         },
         "cross: "}}},
  };
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("contractions") { check(contractions()); }
  DEVICE_TEST_CASE("sums of products") { check(sums_of_products()); }
  DEVICE_TEST_CASE("cross products") { check(cross_products()); }
}
