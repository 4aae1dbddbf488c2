// Rows of the op table: picking, placing, masking, sorting, padding, windows.
#include <algorithm>
#include <numeric>

#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;

int64_t whole(double v) { return static_cast<int64_t>(v); }

std::vector<Op> lookups() {
  const Tensor rows = support::here(weft::tensor(std::vector<int64_t>{2, 0, 2}));
  const Tensor places = integers({2, 4}, 0, 3, 4);
  std::vector<Op> t = {
      {"index_select",
       {sample(
            "rows", {uniform({3, 4}), rows}, [](const Tensors& x) { return weft::index_select(x[0], 0, x[1]); },
            [](const Arrays& x) {
              return support::generate({3, 4}, [&](Index i) { return x[0].at({whole(x[1].at({i[0]})), i[1]}); });
            }),
        sample(
            "features", {uniform({1, 3, 2, 2}), rows},
            [](const Tensors& x) { return weft::index_select(x[0], 1, x[1]); },
            [](const Arrays& x) {
              return support::generate({1, 3, 2, 2}, [&](Index i) {
                return x[0].at({i[0], whole(x[1].at({i[1]})), i[2], i[3]});
              });
            })},
       {{[] {
           (void)weft::index_select(here::ones({2, 2}), 0, here::full({1}, 2, Dtype::i64));
         },
         "index_select: "}}},
      {"gather",
       {sample(
            "along 0", {uniform({3, 4}), places}, [](const Tensors& x) { return weft::gather(x[0], 0, x[1]); },
            [](const Arrays& x) {
              return support::generate({2, 4}, [&](Index i) { return x[0].at({whole(x[1].at(i)), i[1]}); });
            }),
        sample(
            "empty", {uniform({3, 4}), integers({0, 4}, 0, 3)},
            [](const Tensors& x) { return weft::gather(x[0], 0, x[1]); },
            [](const Arrays&) {
              return Array(Shape{0, 4});
            })},
       {{[] {
           (void)weft::gather(here::ones({2, 2}), 0, here::full({1, 2}, 2, Dtype::i64));
         },
         "gather: "},
        {[] {
           (void)weft::gather(here::ones({2, 2}), 0, here::ones({1, 2}));
         },
         "gather: "}}},
      {"scatter_add",
       {sample(
           "along 0", {uniform({3, 4}), places, uniform({2, 4}, -2, 2, 7)},
           [](const Tensors& x) { return weft::scatter_add(x[0], 0, x[1], x[2]); },
           [](const Arrays& x) {
             Array y = x[0];
             support::for_each_index({2, 4}, [&](Index i) { y.at({whole(x[1].at(i)), i[1]}) += x[2].at(i); });
             return y;
           })},
       {{[] {
           (void)weft::scatter_add(here::ones({2, 2}), 0, here::full({1, 2}, 5, Dtype::i64), here::ones({1, 2}));
         },
         "scatter_add: "}}},
      {"index_add",
       {sample(
           "rows", {uniform({3, 2}), rows, uniform({3, 2}, -2, 2, 7)},
           [](const Tensors& x) { return weft::index_add(x[0], 0, x[1], x[2], 2); },
           [](const Arrays& x) {
             Array y = x[0];
             support::for_each_index({3, 2}, [&](Index i) { y.at({whole(x[1].at({i[0]})), i[1]}) += 2 * x[2].at(i); });
             return y;
           })}},
      {"take_along_dim",
       {sample(
           "broadcast", {uniform({3, 4}), integers({1, 2}, 0, 4)},
           [](const Tensors& x) { return weft::take_along_dim(x[0], x[1], 1); },
           [](const Arrays& x) {
             return support::generate({3, 2}, [&](Index i) { return x[0].at({i[0], whole(x[1].at({0, i[1]}))}); });
           })}},
      {"embedding",
       {sample(
           "table", {integers({2, 3}, 0, 4), uniform({4, 2})},
           [](const Tensors& x) { return weft::embedding(x[0], x[1]); },
           [](const Arrays& x) {
             return support::generate({2, 3, 2}, [&](Index i) {
               return x[1].at({whole(x[0].at({i[0], i[1]})), i[2]});
             });
           })},
       {{[] {
           (void)weft::embedding(here::full({1}, 4, Dtype::i64), here::ones({4, 2}));
         },
         "embedding: "}}},
      {"one_hot",
       {sample(
           "classes", {integers({4}, 0, 3)}, [](const Tensors& x) { return weft::one_hot(x[0], 3); },
           [](const Arrays& x) {
             return support::generate({4, 3}, [&](Index i) { return x[0].at({i[0]}) == static_cast<double>(i[1]); });
           })},
       {{[] { (void)weft::one_hot(here::full({1}, 3, Dtype::i64), 3); }, "one_hot: "}},
       false},
  };
  // numpy's indexing in all its kinds.
  const auto at = [](const char* label, const Shape& shape, std::vector<weft::Index> index, const Shape& result,
                     std::function<Index(Index)> source) {
    return sample(
        label, {uniform(shape)}, [index](const Tensors& x) { return x[0].index(index); },
        [=](const Arrays& x) { return support::generate(result, [&](Index i) { return x[0].at(source(i)); }); });
  };
  using weft::Ellipsis;
  using weft::NewAxis;
  using weft::Slice;
  // On the host: `index` takes its indices along.
  static const Tensor mask = weft::tensor(std::vector<bool>{true, false, true});
  static const Tensor picks = weft::tensor(std::vector<int64_t>{1, -1, 1, 0}, Shape{2, 2});
  t.push_back({"index",
               {at("integer", {3, 4}, {-1}, {4},
                   [](Index i) {
                     return Index{2, i[0]};
                   }),
                at("slice", {3, 4}, {Slice{1, {}}, Slice{{}, {}, 2}}, {2, 2},
                   [](Index i) {
                     return Index{i[0] + 1, 2 * i[1]};
                   }),
                at("ellipsis", {2, 3, 4}, {Ellipsis{}, 1}, {2, 3},
                   [](Index i) {
                     return Index{i[0], i[1], 1};
                   }),
                at("new axis", {3}, {NewAxis{}, Slice{0, 2}}, {1, 2}, [](Index i) { return Index{i[1]}; }),
                at("list", {3, 4}, {std::vector<int64_t>{2, 0, 2}}, {3, 4},
                   [](Index i) {
                     return Index{i[0] == 1 ? 0 : 2, i[1]};
                   }),
                at("two lists", {3, 4}, {std::vector<int64_t>{2, 0}, std::vector<int64_t>{1, 3}}, {2},
                   [](Index i) {
                     return i[0] ? Index{0, 3} : Index{2, 1};
                   }),
                at("tensor", {2, 3}, {Slice{}, picks}, {2, 2, 2},
                   [](Index i) {
                     return Index{i[0], i[1] == 0 ? (i[2] ? 2 : 1) : (i[2] ? 0 : 1)};
                   }),
                at("mask", {3, 2}, {mask}, {2, 2},
                   [](Index i) {
                     return Index{2 * i[0], i[1]};
                   })},
               {{[] {
                   (void)here::ones({2, 2}).index({0, 0, 0});
                 },
                 "index: "},
                {[] {
                   (void)here::ones({2, 2}).index({2});
                 },
                 ": "}}});
  return t;
}

std::vector<Op> masks() {
  const Tensor mask = support::here(
      weft::tensor(std::vector<bool>{true, false, true, false, false, true}, Shape{2, 3}));
  return {
      {"masked_fill",
       {sample(
            "number", {uniform({2, 3}), mask}, [](const Tensors& x) { return weft::masked_fill(x[0], x[1], 7); },
            [](const Arrays& x) { return support::map(x[0], x[1], [](double v, double m) { return m != 0 ? 7 : v; }); }),
        sample(
            "tensor", {uniform({2, 2, 3}), mask, uniform({})},
            [](const Tensors& x) { return weft::masked_fill(x[0], x[1], x[2]); },
            [](const Arrays& x) {
              return support::map(x[0], x[1], [&](double v, double m) { return m != 0 ? x[2].v[0] : v; });
            })},
       {{[] { (void)weft::masked_fill(here::ones({2}), here::ones({2}), 1); }, "masked_fill: "}}},
      {"masked_select",
       {sample(
           "matrix", {uniform({2, 3}), mask}, [](const Tensors& x) { return weft::masked_select(x[0], x[1]); },
           [](const Arrays& x) {
             Array y;
             for (size_t i = 0; i < x[0].v.size(); ++i)
               if (x[1].v[i] != 0) y.v.push_back(x[0].v[i]);
             y.shape = {y.numel()};
             return y;
           })},
       {{[] { (void)weft::masked_select(here::ones({2}), here::ones({2})); }, "masked_select: "}}},
  };
}

std::vector<Op> orders() {
  const auto sorted = [](const char* name, const Shape& shape, int64_t count, bool descending,
                         std::function<weft::ValuesIndices(const Tensor&)> op) {
    // Along the last axis: the positions in order, the first `count` of them.
    return Op{name,
              {{weft::str(shape),
                {uniform(shape)},
                [op](const Tensors& x) {
                  const weft::ValuesIndices v = op(x[0]);
                  return Tensors{v.values, v.indices};
                },
                [=](const Arrays& x) {
                  Shape out = shape;
                  out[-1] = count;
                  Array values(out), indices(out);
                  const int64_t n = shape[-1];
                  for (int64_t line = 0; line < x[0].numel() / n; ++line) {
                    std::vector<int64_t> p(static_cast<size_t>(n));
                    std::iota(p.begin(), p.end(), 0);
                    const auto v = [&](int64_t i) { return x[0].v[static_cast<size_t>(line * n + i)]; };
                    std::stable_sort(p.begin(), p.end(),
                                     [&](int64_t a, int64_t b) { return descending ? v(a) > v(b) : v(a) < v(b); });
                    for (int64_t k = 0; k < count; ++k) {
                      values.v[static_cast<size_t>(line * count + k)] = v(p[static_cast<size_t>(k)]);
                      indices.v[static_cast<size_t>(line * count + k)] = static_cast<double>(p[static_cast<size_t>(k)]);
                    }
                  }
                  return Arrays{values, indices};
                }}}};
  };
  std::vector<Op> t = {sorted("sort", {2, 5}, 5, false, [](const Tensor& x) { return weft::sort(x); }),
                       sorted("sort", {7}, 7, true, [](const Tensor& x) { return weft::sort(x, -1, true); }),
                       sorted("topk", {2, 2, 5}, 3, true, [](const Tensor& x) { return weft::topk(x, 3); }),
                       sorted("topk", {6}, 2, false, [](const Tensor& x) { return weft::topk(x, 2, 0, false); })};
  row(t, "topk").faults = {{[] { (void)weft::topk(here::ones({3}), 4); }, "topk: "}};
  return t;
}

std::vector<Op> windows() {
  std::vector<Op> t;
  const auto source = [](weft::PadMode mode, int64_t i, int64_t n) -> int64_t {
    if (mode == weft::PadMode::replicate) return std::clamp<int64_t>(i, 0, n - 1);
    if (mode == weft::PadMode::circular) return (i % n + n) % n;
    if (mode == weft::PadMode::reflect) return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    return i < 0 || i >= n ? -1 : i;
  };
  for (const auto mode :
       {weft::PadMode::constant, weft::PadMode::reflect, weft::PadMode::replicate, weft::PadMode::circular}) {
    const auto padded = [=](const Shape& shape, const Shape& pads, const Shape& result) {
      return sample(
          weft::str(shape, " by ", pads), {uniform(shape)},
          [=](const Tensors& x) { return weft::pad(x[0], pads, mode, 1.5); },
          [=](const Arrays& x) {
            return support::generate(result, [&](Index i) {
              for (int k = 0; k < pads.rank() / 2; ++k) {
                const auto axis = static_cast<size_t>(shape.rank() - 1 - k);
                i[axis] = source(mode, i[axis] - pads[2 * k], shape[static_cast<int>(axis)]);
                if (i[axis] < 0) return 1.5;
              }
              return x[0].at(i);
            });
          });
    };
    t.push_back({"pad",
                 {padded({1, 2, 4}, {2, 1}, {1, 2, 7}), padded({1, 2, 3, 3}, {1, 2, 0, 1}, {1, 2, 4, 6}),
                  padded({1, 1, 2, 3, 2}, {1, 0, 2, 1, 0, 1}, {1, 1, 3, 6, 3})},
                 {}});
    if (mode == weft::PadMode::constant) t.back().samples.push_back(padded({2, 4}, {-1, 1, 1, -2}, {1, 4}));
    if (mode == weft::PadMode::reflect)
      t.back().faults = {{[] { (void)weft::pad(here::ones({1, 1, 3}), {3, 0}, weft::PadMode::reflect); }, "pad: "}};
  }
  // im2col of 2x2 blocks with stride 2, padding 1: block (a, b) begins at (2a - 1, 2b - 1).
  const auto unfold_at = [](Index i) {
    return Index{i[0], i[1] / 4, 2 * (i[2] / 2) - 1 + i[1] % 4 / 2, 2 * (i[2] % 2) - 1 + i[1] % 2};
  };
  t.push_back({"unfold",
               {sample(
                   "blocks", {uniform({1, 2, 3, 3})},
                   [](const Tensors& x) { return weft::unfold(x[0], 2, {.padding = 1, .stride = 2}); },
                   [=](const Arrays& x) {
                     return support::generate({1, 8, 4}, [&](Index i) {
                       const Index p = unfold_at(i);
                       return p[2] < 0 || p[3] < 0 || p[2] > 2 || p[3] > 2 ? 0.0 : x[0].at(p);
                     });
                   })},
               {{[] {
                   (void)weft::unfold(here::ones({1, 1, 2, 2}), 3);
                 },
                 "unfold: "}}});
  t.push_back({"fold",
               {sample(
                   "blocks", {uniform({1, 8, 4})},
                   [](const Tensors& x) { return weft::fold(x[0], 3, 2, {.padding = 1, .stride = 2}); },
                   [=](const Arrays& x) {
                     Array y(Shape{1, 2, 3, 3});
                     support::for_each_index({1, 8, 4}, [&](Index i) {
                       const Index p = unfold_at(i);
                       if (p[2] >= 0 && p[3] >= 0 && p[2] < 3 && p[3] < 3) y.at(p) += x[0].at(i);
                     });
                     return y;
                   })},
               {{[] {
                   (void)weft::fold(here::ones({1, 8, 5}), 3, 2);
                 },
                 "fold: "}}});
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("indexing") { check(lookups()); }
  DEVICE_TEST_CASE("masks") { check(masks()); }
  DEVICE_TEST_CASE("sorting") { check(orders()); }
  DEVICE_TEST_CASE("padding and windows") { check(windows()); }
}
