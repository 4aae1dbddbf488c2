// Rows of the op table: views and rearrangements. The reference says which input element stands where.
#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;

/// An op that only moves elements: `source` gives, for an index of the result, the index of the input (empty: zero).
Sample moving(const Shape& shape, const Shape& result, std::function<Tensor(const Tensor&)> op,
              std::function<Index(Index)> source) {
  return {weft::str(shape, " to ", result),
          {uniform(shape)},
          [op](const Tensors& x) { return Tensors{op(x[0])}; },
          [=](const Arrays& x) {
            return Arrays{support::generate(result, [&](const Index& i) {
              const Index from = source(i);
              return from.empty() && x[0].shape.rank() > 0 ? 0.0 : x[0].at(from);
            })};
          }};
}

/// The same number of elements in row-major order.
Sample reordered(const Shape& shape, const Shape& result, std::function<Tensor(const Tensor&)> op) {
  return {weft::str(shape, " as ", result),
          {uniform(shape)},
          [op](const Tensors& x) { return Tensors{op(x[0])}; },
          [=](const Arrays& x) {
            Array y = x[0];
            y.shape = result;
            return Arrays{y};
          }};
}

std::vector<Op> views() {
  return {
      {"reshape",
       {reordered({2, 6}, {3, 4},
                  [](const Tensor& x) {
                    return x.reshape({3, -1});
                  }),
        reordered({2, 3, 2}, {12}, [](const Tensor& x) { return x.reshape({-1}); }),
        reordered({0, 2}, {0}, [](const Tensor& x) { return x.reshape({0}); }),
        reordered({}, {1, 1},
                  [](const Tensor& x) {
                    return x.reshape({1, 1});
                  })},
       {{[] {
           (void)here::ones({6}).reshape({4, -1});
         },
         "reshape: 6 elements do not fit [4, -1]"}}},
      {"flatten", {reordered({2, 3, 2, 2}, {2, 6, 2}, [](const Tensor& x) { return x.flatten(1, 2); })}},
      {"unflatten",
       {reordered({2, 6}, {2, 3, 2},
                  [](const Tensor& x) {
                    return x.unflatten(1, {3, 2});
                  })}},
      {"squeeze",
       {reordered({2, 1, 3, 1}, {2, 3}, [](const Tensor& x) { return x.squeeze(); }),
        reordered({2, 1, 3, 1}, {2, 1, 3}, [](const Tensor& x) { return x.squeeze(-1); })}},
      {"unsqueeze", {reordered({2, 3}, {2, 1, 3}, [](const Tensor& x) { return x.unsqueeze(1); })}},
      {"permute",
       {moving(
           {2, 3, 4}, {4, 2, 3},
           [](const Tensor& x) {
             return x.permute({2, 0, 1});
           },
           [](Index i) {
             return Index{i[1], i[2], i[0]};
           })}},
      {"transpose",
       {moving(
           {2, 3, 4}, {4, 3, 2}, [](const Tensor& x) { return x.transpose(0, -1); },
           [](Index i) {
             return Index{i[2], i[1], i[0]};
           })}},
      {"movedim",
       {moving(
           {2, 3, 4}, {3, 4, 2}, [](const Tensor& x) { return x.movedim(0, -1); },
           [](Index i) {
             return Index{i[2], i[0], i[1]};
           })}},
      {"slice",
       {moving(
            {5, 3}, {2, 3}, [](const Tensor& x) { return x.slice(0, 1, {}, 2); },
            [](Index i) {
              return Index{1 + 2 * i[0], i[1]};
            }),
        moving(
            {2, 5}, {2, 0}, [](const Tensor& x) { return x.slice(1, 4, 2); }, [](Index i) { return i; })}},
      {"select",
       {moving(
           {2, 3, 4}, {2, 4}, [](const Tensor& x) { return x.select(1, -1); },
           [](Index i) {
             return Index{i[0], 2, i[1]};
           })}},
      {"narrow",
       {moving(
           {2, 5}, {2, 2}, [](const Tensor& x) { return x.narrow(1, 2, 2); },
           [](Index i) {
             return Index{i[0], i[1] + 2};
           })}},
      {"expand",
       {moving(
            {3, 1}, {2, 3, 2},
            [](const Tensor& x) {
              return x.expand({2, 3, 2});
            },
            [](Index i) {
              return Index{i[1], 0};
            }),
        moving(
            {1}, {0}, [](const Tensor& x) { return x.expand({0}); }, [](Index i) { return i; })}},
      {"unfold",
       {moving(
           {2, 6}, {2, 2, 3}, [](const Tensor& x) { return x.unfold(1, 3, 2); },
           [](Index i) {
             return Index{i[0], 2 * i[1] + i[2]};
           })}},
      {"diagonal",
       {moving(
           {3, 2, 4}, {2, 3}, [](const Tensor& x) { return x.diagonal(1, 0, 2); },
           [](Index i) {
             return Index{i[1], i[0], i[1] + 1};
           })}},
      {"split",
       {{"[2, 5] in twos",
         {uniform({2, 5})},
         [](const Tensors& x) { return x[0].split(2, 1); },
         [](const Arrays& x) {
           Arrays y;
           for (const int64_t n : {2, 2, 1})
             y.push_back(support::generate({2, n}, [&](const Index& i) {
               return x[0].at({i[0], i[1] + 2 * static_cast<int64_t>(y.size())});
             }));
           return y;
         }}}},
      {"chunk",
       {{"[4] in 3",
         {uniform({4})},
         [](const Tensors& x) { return x[0].chunk(3); },
         [](const Arrays& x) {
           return Arrays{support::generate({2}, [&](const Index& i) { return x[0].at(i); }),
                         support::generate({2}, [&](const Index& i) { return x[0].at({i[0] + 2}); })};
         }}}},
      {"clone",
       {moving(
           {2, 3, 2}, {2, 3, 2}, [](const Tensor& x) { return x.clone(); }, [](Index i) { return i; })}},
      {"contiguous",
       {moving(
           {1, 2, 2, 3}, {1, 2, 2, 3}, [](const Tensor& x) { return x.contiguous(weft::MemoryFormat::channels_last); },
           [](Index i) { return i; })}},
  };
}

std::vector<Op> rearrangements() {
  std::vector<Op> t = {
      {"flip",
       {moving(
            {2, 3, 2}, {2, 3, 2},
            [](const Tensor& x) {
              return weft::flip(x, {0, -1});
            },
            [](Index i) {
              return Index{1 - i[0], i[1], 1 - i[2]};
            }),
        moving(
            {0, 2}, {0, 2}, [](const Tensor& x) { return weft::flip(x, {1}); }, [](Index i) { return i; })}},
      {"roll",
       {moving(
            {4, 3}, {4, 3},
            [](const Tensor& x) {
              return weft::roll(x, {1, -1}, {0, 1});
            },
            [](Index i) {
              return Index{(i[0] + 3) % 4, (i[1] + 1) % 3};
            }),
        moving(
            {2, 3}, {2, 3}, [](const Tensor& x) { return weft::roll(x, 2); },
            [](Index i) {
              const int64_t p = (3 * i[0] + i[1] + 4) % 6;
              return Index{p / 3, p % 3};
            })}},
      {"repeat",
       {moving(
            {2, 3}, {2, 4, 3},
            [](const Tensor& x) {
              return weft::repeat(x, {2, 2, 1});
            },
            [](Index i) {
              return Index{i[1] % 2, i[2]};
            }),
        moving(
            {2}, {0}, [](const Tensor& x) { return weft::repeat(x, {0}); }, [](Index i) { return i; })},
       {{[] {
           (void)weft::repeat(here::ones({2, 3}), {2});
         },
         "repeat: "}}},
      {"tile",
       {moving(
           {2, 3}, {2, 6}, [](const Tensor& x) { return weft::tile(x, {2}); },
           [](Index i) {
             return Index{i[0], i[1] % 3};
           })}},
      {"tril",
       {moving(
           {2, 3, 3}, {2, 3, 3}, [](const Tensor& x) { return weft::tril(x, 1); },
           [](Index i) { return i[2] <= i[1] + 1 ? i : Index{}; })},
       {{[] { (void)weft::tril(here::ones({3})); }, "tril: "}}},
      {"triu",
       {moving(
           {3, 4}, {3, 4}, [](const Tensor& x) { return weft::triu(x); },
           [](Index i) { return i[1] >= i[0] ? i : Index{}; })}},
      {"pixel_shuffle",
       {moving(
           {1, 8, 2, 1}, {1, 2, 4, 2}, [](const Tensor& x) { return weft::pixel_shuffle(x, 2); },
           [](Index i) {
             return Index{i[0], i[1] * 4 + i[2] % 2 * 2 + i[3] % 2, i[2] / 2, i[3] / 2};
           })},
       {{[] {
           (void)weft::pixel_shuffle(here::ones({1, 3, 2, 2}), 2);
         },
         "pixel_shuffle: "}}},
      {"pixel_unshuffle",
       {moving(
           {1, 2, 4, 2}, {1, 8, 2, 1}, [](const Tensor& x) { return weft::pixel_unshuffle(x, 2); },
           [](Index i) {
             return Index{i[0], i[1] / 4, 2 * i[2] + i[1] % 4 / 2, 2 * i[3] + i[1] % 2};
           })},
       {{[] {
           (void)weft::pixel_unshuffle(here::ones({1, 3, 3, 2}), 2);
         },
         "pixel_unshuffle: "}}},
  };
  // Joining: the index along the axis says which tensor.
  t.push_back({"cat",
               {{"along 1",
                 {uniform({2, 1, 2}), uniform({2, 3, 2}, -2, 2, 5), uniform({2, 0, 2})},
                 [](const Tensors& x) { return Tensors{weft::cat(x, 1)}; },
                 [](const Arrays& x) {
                   return Arrays{support::generate({2, 4, 2}, [&](Index i) {
                     return i[1] == 0 ? x[0].at({i[0], 0, i[2]}) : x[1].at({i[0], i[1] - 1, i[2]});
                   })};
                 }},
                {"features",
                 {uniform({1, 2, 2, 2}), uniform({1, 1, 2, 2}, -2, 2, 5)},
                 [](const Tensors& x) { return Tensors{weft::cat(x, 1)}; },
                 [](const Arrays& x) {
                   return Arrays{support::generate({1, 3, 2, 2}, [&](Index i) {
                     return i[1] < 2 ? x[0].at(i) : x[1].at({i[0], i[1] - 2, i[2], i[3]});
                   })};
                 }}},
               {{[] {
                   (void)weft::cat({here::ones({2, 3}), here::ones({2, 2})}, 0);
                 },
                 "cat: "},
                {[] { (void)weft::cat({}, 0); }, "cat: "}}});
  t.push_back({"stack",
               {{"along -1",
                 {uniform({2, 3}), uniform({2, 3}, -2, 2, 5)},
                 [](const Tensors& x) { return Tensors{weft::stack(x, -1)}; },
                 [](const Arrays& x) {
                   return Arrays{support::generate({2, 3, 2}, [&](Index i) {
                     return x[static_cast<size_t>(i[2])].at({i[0], i[1]});
                   })};
                 }}},
               {{[] {
                   (void)weft::stack({here::ones({2, 3}), here::ones({2, 2})}, 0);
                 },
                 "stack: "}}});
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("views") { check(views()); }
  DEVICE_TEST_CASE("rearrangements") { check(rearrangements()); }
}
