// Rows of the op table: diagonals, and what lays tensors side by side, cuts, turns and combines them.
#include <algorithm>

#include "autograd/op_table.h"
#include "support/ops.h"
#include "weft/autograd/ops/shape/diagonal.h"
#include "weft/autograd/ops/shape/stack.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;

/// A sample of one input, whose result is made index by index.
Sample placed(const std::string& label, const Shape& shape, std::function<Tensor(const Tensor&)> op,
              const Shape& result, std::function<double(const Array&, const Index&)> at) {
  return sample(
      label, {uniform(shape)}, [op](const Tensors& x) { return op(x[0]); },
      [=](const Arrays& x) { return support::generate(result, [&](const Index& i) { return at(x[0], i); }); });
}

std::vector<Op> diagonals() {
  return {
      {"diag",
       {placed(
            "vector above", {3}, [](const Tensor& x) { return weft::diag(x, 1); }, {4, 4},
            [](const Array& x, const Index& i) { return i[1] == i[0] + 1 ? x.at({i[0]}) : 0; }),
        placed(
            "matrix below", {3, 4}, [](const Tensor& x) { return weft::diag(x, -1); }, {2},
            [](const Array& x, const Index& i) {
              return x.at({i[0] + 1, i[0]});
            }),
        placed(
            "matrix beyond", {2, 3}, [](const Tensor& x) { return weft::diag(x, 5); }, {0},
            [](const Array&, const Index&) { return 0.0; })},
       {{[] { (void)weft::diag(here::ones({})); }, "diag: "},
        {[] {
           (void)weft::diag(here::ones({1, 1, 1}));
         },
         "diag: "}}},
      {"diag_embed",
       {placed(
            "last axes", {2, 3}, [](const Tensor& x) { return weft::diag_embed(x); }, {2, 3, 3},
            [](const Array& x, const Index& i) {
              return i[1] == i[2] ? x.at({i[0], i[1]}) : 0;
            }),
        placed(
            "below, outer axes", {2, 3}, [](const Tensor& x) { return weft::diag_embed(x, -1, 0, 2); }, {4, 2, 4},
            [](const Array& x, const Index& i) {
              return i[0] == i[2] + 1 ? x.at({i[1], i[2]}) : 0;
            }),
        placed(
            "above, turned axes", {2, 3}, [](const Tensor& x) { return weft::diag_embed(x, 1, 2, 0); }, {4, 2, 4},
            [](const Array& x, const Index& i) {
              return i[0] == i[2] + 1 ? x.at({i[1], i[2]}) : 0;
            })},
       {{[] { (void)weft::diag_embed(here::ones({})); }, "diag_embed: "},
        {[] { (void)weft::diag_embed(here::ones({3}), 0, 1, -1); }, "diag_embed: dim1 and dim2 are both 1"},
        {[] { (void)weft::diag_embed(here::ones({3}), INT64_MIN); }, "diag_embed: "},
        {[] { (void)weft::diag_embed(here::ones({3}), 0, 2, 0); }, "diag_embed: "}}},
      {"trace",
       {placed(
            "wide", {2, 4}, [](const Tensor& x) { return weft::trace(x); }, {},
            [](const Array& x, const Index&) {
              return x.at({0, 0}) + x.at({1, 1});
            }),
        placed(
            "empty", {3, 0}, [](const Tensor& x) { return weft::trace(x); }, {},
            [](const Array&, const Index&) { return 0.0; })},
       {{[] { (void)weft::trace(here::ones({3})); }, "trace: expects a matrix, got [3]"},
        {[] {
           (void)weft::trace(here::ones({2, 2}, Dtype::boolean));
         },
         "trace: "}}},
      {"block_diag",
       {sample(
            "matrix, vector, number", {uniform({2, 3}), uniform({2}, -2, 2, 2), uniform({}, -2, 2, 3)},
            [](const Tensors& x) { return weft::block_diag(x); },
            [](const Arrays& x) {
              return support::generate({4, 6}, [&](const Index& i) {
                if (i[0] < 2) return i[1] < 3 ? x[0].at(i) : 0;
                if (i[0] == 2) return i[1] == 3 || i[1] == 4 ? x[1].at({i[1] - 3}) : 0;
                return i[1] == 5 ? x[2].v[0] : 0;
              });
            }),
        sample(
            "empty vector", {uniform({0}), uniform({1, 2})}, [](const Tensors& x) { return weft::block_diag(x); },
            [](const Arrays& x) {
              return support::generate({2, 2}, [&](const Index& i) { return i[0] == 1 ? x[1].at({0, i[1]}) : 0; });
            })},
       {{[] {
           (void)weft::block_diag({here::ones({2}), here::ones({1, 1, 1})});
         },
         "block_diag: tensor 1 is [1, 1, 1]"}}},
  };
}

std::vector<Op> stacks() {
  const auto two = [](const std::string& label, const Shape& a, const Shape& b,
                      std::function<Tensor(const Tensors&)> op, const Shape& result,
                      std::function<double(const Arrays&, const Index&)> at) {
    return sample(label, {uniform(a), uniform(b, -2, 2, 5)}, op,
                  [=](const Arrays& x) { return support::generate(result, [&](const Index& i) { return at(x, i); }); });
  };
  return {
      {"vstack",
       {two(
            "vector over matrix", {3}, {2, 3}, [](const Tensors& x) { return weft::vstack(x); }, {3, 3},
            [](const Arrays& x, const Index& i) {
              return i[0] == 0 ? x[0].at({i[1]}) : x[1].at({i[0] - 1, i[1]});
            }),
        two(
            "numbers", {}, {}, [](const Tensors& x) { return weft::vstack(x); }, {2, 1},
            [](const Arrays& x, const Index& i) { return x[static_cast<size_t>(i[0])].v[0]; })},
       {{[] { (void)weft::vstack({}); }, "vstack: "},
        {[] {
           (void)weft::vstack({here::ones({2}), here::ones({3})});
         },
         "vstack: "}}},
      {"hstack",
       {two(
            "matrices", {2, 1}, {2, 3}, [](const Tensors& x) { return weft::hstack(x); }, {2, 4},
            [](const Arrays& x, const Index& i) {
              return i[1] == 0 ? x[0].at(i) : x[1].at({i[0], i[1] - 1});
            }),
        two(
            "number, vector", {}, {2}, [](const Tensors& x) { return weft::hstack(x); }, {3},
            [](const Arrays& x, const Index& i) { return i[0] == 0 ? x[0].v[0] : x[1].at({i[0] - 1}); })},
       {{[] { (void)weft::hstack({}); }, "hstack: "},
        {[] {
           (void)weft::hstack({here::ones({2}), here::ones({1, 2})});
         },
         "hstack: "}}},
      {"dstack",
       {two(
            "vector before features", {3}, {1, 3, 2}, [](const Tensors& x) { return weft::dstack(x); }, {1, 3, 3},
            [](const Arrays& x, const Index& i) {
              return i[2] == 0 ? x[0].at({i[1]}) : x[1].at({0, i[1], i[2] - 1});
            }),
        two(
            "matrices", {2, 3}, {2, 3}, [](const Tensors& x) { return weft::dstack(x); }, {2, 3, 2},
            [](const Arrays& x, const Index& i) {
              return x[static_cast<size_t>(i[2])].at({i[0], i[1]});
            })},
       {{[] { (void)weft::dstack({}); }, "dstack: "},
        {[] {
           (void)weft::dstack({here::ones({2, 2}), here::ones({3})});
         },
         "dstack: "}}},
      {"broadcast_to",
       {placed(
           "column", {3, 1},
           [](const Tensor& x) {
             return weft::broadcast_to(x, {2, -1, 4});
           },
           {2, 3, 4},
           [](const Array& x, const Index& i) {
             return x.at({i[1], 0});
           })},
       {{[] { (void)weft::broadcast_to(here::ones({3}), {2}); }, "broadcast_to: "}}},
      {"broadcast_tensors",
       {{"column and row",
         {uniform({3, 1}), uniform({2}, -2, 2, 5)},
         [](const Tensors& x) { return weft::broadcast_tensors(x); },
         [](const Arrays& x) {
           const auto at = [&](size_t k) {
             return support::generate({3, 2}, [&](const Index& i) { return support::broadcast_at(x[k], i); });
           };
           return Arrays{at(0), at(1)};
         }}},
       {{[] {
           (void)weft::broadcast_tensors({here::ones({3}), here::ones({2})});
         },
         "broadcast_tensors: "}}},
  };
}

std::vector<Op> cuts_and_turns() {
  // Rows [begin, end) of each piece.
  const auto rows = [](const std::string& label, std::function<Tensors(const Tensor&)> op,
                       std::vector<std::pair<int64_t, int64_t>> ranges) {
    return Sample{label,
                  {uniform({5, 2})},
                  [op](const Tensors& x) { return op(x[0]); },
                  [ranges](const Arrays& x) {
                    Arrays pieces;
                    for (const auto& [begin, end] : ranges)
                      pieces.push_back(support::generate({end - begin, 2}, [&, from = begin](const Index& i) {
                        return x[0].at({from + i[0], i[1]});
                      }));
                    return pieces;
                  }};
  };
  std::vector<Op> t = {
      {"tensor_split",
       {rows("sections", [](const Tensor& x) { return weft::tensor_split(x, 3); }, {{0, 2}, {2, 4}, {4, 5}}),
        rows("more sections than rows", [](const Tensor& x) { return weft::tensor_split(x, 6, -2); },
             {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 5}}),
        rows("indices",
             [](const Tensor& x) {
               return weft::tensor_split(x, {1, -1, 2, 9});
             },
             {{0, 1}, {1, 4}, {2, 2}, {2, 5}, {5, 5}}),
        rows("a tensor of indices",
             [](const Tensor& x) {
               return weft::tensor_split(x, here::tensor({int64_t{2}, int64_t{4}}));
             },
             {{0, 2}, {2, 4}, {4, 5}}),
        rows("a number in a tensor",
             [](const Tensor& x) { return weft::tensor_split(x, here::full({}, 2, Dtype::i64)); }, {{0, 3}, {3, 5}})},
       {{[] { (void)weft::tensor_split(here::ones({3}), 0); }, "tensor_split: "},
        {[] { (void)weft::tensor_split(here::ones({}), 2); }, "tensor_split: "},
        {[] { (void)weft::tensor_split(here::ones({3}), here::ones({1})); }, "tensor_split: "},
        {[] {
           (void)weft::tensor_split(here::ones({3}), here::ones({1, 1}, Dtype::i64));
         },
         "tensor_split: "},
        {[] { (void)weft::tensor_split(here::ones({3}), 2, 1); }, "tensor_split: "}}},
      {"fliplr",
       {placed(
           "matrix", {2, 3}, [](const Tensor& x) { return weft::fliplr(x); }, {2, 3},
           [](const Array& x, const Index& i) {
             return x.at({i[0], 2 - i[1]});
           })},
       {{[] { (void)weft::fliplr(here::ones({3})); }, "fliplr: "}}},
      {"flipud",
       {placed(
           "vector", {4}, [](const Tensor& x) { return weft::flipud(x); }, {4},
           [](const Array& x, const Index& i) { return x.at({3 - i[0]}); })},
       {{[] { (void)weft::flipud(here::ones({})); }, "flipud: "}}},
      {"rot90",
       {placed(
            "once", {2, 3}, [](const Tensor& x) { return weft::rot90(x); }, {3, 2},
            [](const Array& x, const Index& i) {
              return x.at({i[1], 2 - i[0]});
            }),
        placed(
            "back", {2, 3}, [](const Tensor& x) { return weft::rot90(x, -1); }, {3, 2},
            [](const Array& x, const Index& i) {
              return x.at({1 - i[1], i[0]});
            }),
        placed(
            "half, in the last two", {2, 3, 2},
            [](const Tensor& x) {
              return weft::rot90(x, 6, {2, -2});
            },
            {2, 3, 2},
            [](const Array& x, const Index& i) {
              return x.at({i[0], 2 - i[1], 1 - i[2]});
            }),
        placed(
            "not at all", {2, 3}, [](const Tensor& x) { return weft::rot90(x, 4); }, {2, 3},
            [](const Array& x, const Index& i) { return x.at(i); })},
       {{[] { (void)weft::rot90(here::ones({3})); }, "rot90: "},
        {[] {
           (void)weft::rot90(here::ones({2, 2}), 1, {0, -2});
         },
         "rot90: the two dims are both 0"},
        {[] {
           (void)weft::rot90(here::ones({2, 2}), 1, {0});
         },
         "rot90: "},
        {[] {
           (void)weft::rot90(here::ones({2, 2}), 1, {0, 2});
         },
         "rot90: "}}},
      {"cartesian_prod",
       {sample(
            "three", {uniform({2}), uniform({3}, -2, 2, 2), uniform({2}, -2, 2, 3)},
            [](const Tensors& x) { return weft::cartesian_prod(x); },
            [](const Arrays& x) {
              return support::generate({12, 3}, [&](const Index& i) {
                return i[1] == 0 ? x[0].at({i[0] / 6}) : i[1] == 1 ? x[1].at({i[0] / 2 % 3}) : x[2].at({i[0] % 2});
              });
            }),
        sample(
            "one", {uniform({3})}, [](const Tensors& x) { return weft::cartesian_prod(x); },
            [](const Arrays& x) { return x[0]; }),
        sample(
            "none of one", {uniform({3}), uniform({0})}, [](const Tensors& x) { return weft::cartesian_prod(x); },
            [](const Arrays&) {
              return Array({0, 2});
            })},
       {{[] { (void)weft::cartesian_prod({}); }, "cartesian_prod: "},
        {[] {
           (void)weft::cartesian_prod({here::ones({2}), here::ones({2}, Dtype::f64)});
         },
         "cartesian_prod: tensor 1 is f64, tensor 0 is f32"},
        {[] {
           (void)weft::cartesian_prod({here::ones({2}), here::ones({})});
         },
         "cartesian_prod: "}}},
  };
  // All choices of positions, by counting through the numbers of `r` digits in base n.
  const auto choices = [](int64_t n, int64_t r, bool again) {
    return sample(
        weft::str(r, " of ", n, again ? " with replacement" : ""), {uniform({n})},
        [=](const Tensors& x) { return weft::combinations(x[0], r, again); },
        [=](const Arrays& x) {
          Array y;
          int64_t all = 1, rows = 0;
          for (int64_t k = 0; k < r; ++k) all *= n;
          for (int64_t code = 0; code < all; ++code) {
            Index digits(static_cast<size_t>(r));
            for (int64_t k = r - 1, rest = code; k >= 0; --k, rest /= n) digits[static_cast<size_t>(k)] = rest % n;
            const bool ordered = again ? std::is_sorted(digits.begin(), digits.end())
                                       : std::is_sorted(digits.begin(), digits.end(), std::less_equal<>());
            if (!ordered) continue;
            ++rows;
            for (int64_t d : digits) y.v.push_back(x[0].at({d}));
          }
          y.shape = {rows, r};
          return y;
        });
  };
  t.push_back({"combinations",
               {choices(4, 2, false), choices(4, 3, false), choices(3, 3, true), choices(3, 1, false),
                choices(2, 3, false), choices(2, 3, true)},
               {{[] { (void)weft::combinations(here::ones({3}), -1); }, "combinations: "},
                {[] {
                   (void)weft::combinations(here::ones({1, 3}));
                 },
                 "combinations: "},
                {[] { (void)weft::combinations(here::ones({200}), 100); }, "combinations: there are too many"}}});
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("diagonals") { check(diagonals()); }
  DEVICE_TEST_CASE("stacks") { check(stacks()); }
  DEVICE_TEST_CASE("cuts and turns") { check(cuts_and_turns()); }
}
