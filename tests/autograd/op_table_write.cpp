// Rows of the op table: elements replaced or reduced at places, and views by strides.
#include <algorithm>

#include "autograd/op_table.h"
#include "support/ops.h"
#include "weft/autograd/ops/index/index_write.h"
#include "weft/autograd/ops/index/scatter_reduce.h"
#include "weft/autograd/ops/shape/as_strided.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;
using weft::ScatterReduce;

int64_t number_of(double v) { return static_cast<int64_t>(v); }

Tensor places_of(std::vector<int64_t> v, const Shape& shape) { return support::here(weft::tensor(v, shape)); }

std::vector<Op> writes() {
  const Tensor two = places_of({2, 0}, {2}),
               mask = support::here(weft::tensor(std::vector<bool>{true, false, true}, Shape{3}));
  return {
      {"index_fill",
       {sample(
            "number", {uniform({2, 3}), two}, [](const Tensors& x) { return weft::index_fill(x[0], 1, x[1], 7); },
            [](const Arrays& x) {
              return support::generate({2, 3}, [&](const Index& i) { return i[1] == 1 ? x[0].at(i) : 7; });
            }),
        sample(
            "tensor, a place twice and from the end", {uniform({3, 2}), places_of({-1, 0, 2}, {3}), uniform({})},
            [](const Tensors& x) { return weft::index_fill(x[0], 0, x[1], x[2]); },
            [](const Arrays& x) {
              return support::generate({3, 2}, [&](const Index& i) { return i[0] == 1 ? x[0].at(i) : x[2].v[0]; });
            }),
        sample(
            "rank 0", {uniform({}), places_of({0}, {})},
            [](const Tensors& x) { return weft::index_fill(x[0], 0, x[1], 7); },
            [](const Arrays&) { return Array({}, 7); })},
       {{[] { (void)weft::index_fill(here::ones({2}), 0, here::full({1}, 2, Dtype::i64), 1); }, "index_fill: ", true},
        {[] {
           (void)weft::index_fill(here::ones({2}), 0, here::zeros({1, 1}, Dtype::i64), 1);
         },
         "index_fill: index must have rank"},
        {[] { (void)weft::index_fill(here::ones({2}), 0, here::zeros({1}), 1); }, "index_fill: "},
        {[] { (void)weft::index_fill(here::ones({2}), 0, here::zeros({1}, Dtype::i64), here::ones({1})); },
         "index_fill: value must have rank 0"}}},
      {"index_copy",
       {sample(
            "columns", {uniform({2, 3}), two, uniform({2, 2}, -2, 2, 5)},
            [](const Tensors& x) { return weft::index_copy(x[0], 1, x[1], x[2]); },
            [](const Arrays& x) {
              Array y = x[0];
              support::for_each_index({2, 2}, [&](Index i) { y.at({i[0], number_of(x[1].at({i[1]}))}) = x[2].at(i); });
              return y;
            }),
        sample(
            "a number", {uniform({3}), places_of({1}, {}), uniform({}, -2, 2, 5)},
            [](const Tensors& x) { return weft::index_copy(x[0], 0, x[1], x[2]); },
            [](const Arrays& x) {
              Array y = x[0];
              y.v[1] = x[2].v[0];
              return y;
            })},
       {{[] { (void)weft::index_copy(here::ones({2}), 0, here::full({1}, -1, Dtype::i64), here::ones({1})); },
         "index_copy: ", true},
        {[] {
           (void)weft::index_copy(here::ones({2, 2}), 0, here::zeros({1}, Dtype::i64), here::ones({2}));
         },
         "index_copy: src is [2]"},
        {[] { (void)weft::index_copy(here::ones({2}), 0, here::zeros({1}, Dtype::i64), here::ones({1}, Dtype::f64)); },
         "index_copy: x is f32 but what is written f64"}}},
      {"put",
       {sample(
            "replaced", {uniform({2, 3}), places_of({-1, 1}, {2, 1}), uniform({2}, -2, 2, 5)},
            [](const Tensors& x) { return weft::put(x[0], x[1], x[2]); },
            [](const Arrays& x) {
              Array y = x[0];
              y.v[5] = x[2].v[0];
              y.v[1] = x[2].v[1];
              return y;
            }),
        sample(
            "added", {uniform({2, 3}), places_of({4, 1, 4}, {3}), uniform({3}, -2, 2, 5)},
            [](const Tensors& x) { return weft::put(x[0], x[1], x[2], true); },
            [](const Arrays& x) {
              Array y = x[0];
              for (size_t k = 0; k < 3; ++k) y.v[static_cast<size_t>(x[1].v[k])] += x[2].v[k];
              return y;
            })},
       {{[] { (void)weft::put(here::ones({2}), here::full({1}, 2, Dtype::i64), here::ones({1})); }, "put: ", true},
        {[] { (void)weft::put(here::ones({2}), here::zeros({2}, Dtype::i64), here::ones({1})); },
         "put: src has 1 elements for 2 indices"},
        {[] { (void)weft::put(here::ones({2}), here::zeros({1}, Dtype::boolean), here::ones({1})); }, "put: "}}},
      {"masked_scatter",
       {sample(
            "matrix", {uniform({2, 3}), mask, uniform({5}, -2, 2, 5)},
            [](const Tensors& x) { return weft::masked_scatter(x[0], x[1], x[2]); },
            [](const Arrays& x) {
              Array y = x[0];
              size_t next = 0;
              support::for_each_index({2, 3}, [&](const Index& i) {
                if (i[1] != 1) y.at(i) = x[2].v[next++];
              });
              return y;
            }),
        sample(
            "x broadcast", {uniform({2, 1}), mask, uniform({2, 2}, -2, 2, 5)},
            [](const Tensors& x) { return weft::masked_scatter(x[0], x[1], x[2]); },
            [](const Arrays& x) {
              size_t next = 0;
              return support::generate({2, 3}, [&](const Index& i) {
                return i[1] != 1 ? x[2].v[next++] : x[0].at({i[0], 0});
              });
            })},
       {{[] { (void)weft::masked_scatter(here::ones({2}), here::ones({2}, Dtype::boolean), here::ones({1})); },
         "masked_scatter: src has 1 elements for 2 places"},
        {[] { (void)weft::masked_scatter(here::ones({2}), here::ones({2}), here::ones({2})); }, "masked_scatter: "}}},
      {"argwhere",
       {sample(
           "matrix", {integers({2, 3}, 0, 2)}, [](const Tensors& x) { return weft::argwhere(x[0]); },
           [](const Arrays& x) {
             Array y;
             support::for_each_index({2, 3}, [&](const Index& i) {
               if (x[0].at(i) != 0) y.v.insert(y.v.end(), {double(i[0]), double(i[1])});
             });
             y.shape = {y.numel() / 2, 2};
             return y;
           })},
       {},
       false},
  };
}

const char* word(ScatterReduce r) {
  static const char* const words[] = {"sum", "prod", "mean", "amax", "amin"};
  return words[static_cast<int>(r)];
}

double reduction_of(ScatterReduce r, const std::vector<double>& v) {
  double s = r == ScatterReduce::prod ? 1 : r == ScatterReduce::amax || r == ScatterReduce::amin ? v[0] : 0;
  for (double e : v)
    s = r == ScatterReduce::prod   ? s * e
        : r == ScatterReduce::amax ? std::max(s, e)
        : r == ScatterReduce::amin ? std::min(s, e)
                                   : s + e;
  return r == ScatterReduce::mean ? s / static_cast<double>(v.size()) : s;
}

/// Lists of what meets at each element of x, then one number for each.
Array reduced_at(ScatterReduce r, bool include_self, const Array& x, const Array& src, const Shape& moved,
                 const std::function<Index(const Index&)>& target) {
  std::vector<std::vector<double>> met(x.v.size());
  support::for_each_index(moved, [&](const Index& i) { met[x.position(target(i))].push_back(src.at(i)); });
  Array y = x;
  for (size_t k = 0; k < met.size(); ++k) {
    if (met[k].empty()) continue;
    if (include_self) met[k].push_back(x.v[k]);
    y.v[k] = reduction_of(r, met[k]);
  }
  return y;
}

std::vector<Op> meetings() {
  Op scattered{"scatter_reduce"}, slices{"index_reduce"};
  for (const auto r :
       {ScatterReduce::sum, ScatterReduce::prod, ScatterReduce::mean, ScatterReduce::amax, ScatterReduce::amin})
    for (const bool self : {true, false}) {
      const std::string label = weft::str(word(r), self ? "" : " without self");
      // src's range is not x's, or they would tie; the index is smaller than src along both axes; seven elements, most
      // of them in one place
      scattered.samples.push_back(sample(
          label,
          {uniform({2, 3}), places_of({1, 1, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 2, 2}, {2, 7}),
           uniform({3, 8}, -1.9, 2.2, 5)},
          [=](const Tensors& x) { return weft::scatter_reduce(x[0], 1, x[1], x[2], r, self); },
          [=](const Arrays& x) {
            return reduced_at(r, self, x[0], x[2], {2, 7}, [&](const Index& i) {
              return Index{i[0], number_of(x[1].at(i))};
            });
          }));
      if (r == ScatterReduce::sum) continue;
      slices.samples.push_back(sample(
          label, {uniform({4, 2}), places_of({3, 0, 3, 3, 0}, {5}), uniform({5, 2}, -1.9, 2.2, 5)},
          [=](const Tensors& x) { return weft::index_reduce(x[0], 0, x[1], x[2], r, self); },
          [=](const Arrays& x) {
            return reduced_at(r, self, x[0], x[2], {5, 2}, [&](const Index& i) {
              return Index{number_of(x[1].at({i[0]})), i[1]};
            });
          }));
    }
  const auto call = [](std::vector<int64_t> at, Dtype dtype) {
    const auto n = static_cast<int64_t>(at.size());
    return weft::scatter_reduce(here::ones({2}), 0, places_of(at, {n}), here::ones({1}, dtype), ScatterReduce::prod);
  };
  scattered.faults = {{[call] { (void)call({2}, Dtype::f32); }, "scatter_reduce: ", true},
                      {[call] { (void)call({-1}, Dtype::f32); }, "scatter_reduce: ", true},
                      {[call] {
                         (void)call({0, 1}, Dtype::f32);
                       },
                       "scatter_reduce: index [2] exceeds src [1]"},
                      {[call] { (void)call({0}, Dtype::f64); }, "scatter_reduce: x is f32 but src f64"}};
  slices.faults = {{[] {
                      (void)weft::index_reduce(here::ones({2}), 0, here::zeros({1}, Dtype::i64), here::ones({1}),
                                               ScatterReduce::sum);
                    },
                    "index_reduce: reduce must be prod, mean, amax or amin; use index_add"},
                   {[] {
                      (void)weft::index_reduce(here::ones({2}), 0, here::full({1}, -1, Dtype::i64), here::ones({1}),
                                               ScatterReduce::mean);
                    },
                    "index_reduce: ", true},
                   {[] {
                      (void)weft::index_reduce(here::ones({2, 2}), 0, here::zeros({1}, Dtype::i64), here::ones({2}),
                                               ScatterReduce::amax);
                    },
                    "index_reduce: src is [2]"}};
  // products of up to six factors: each factor's rounding counts
  scattered.half_eps = slices.half_eps = 32;
  return {scattered, slices};
}

std::vector<Op> strided_views() {
  const auto strided = [](const std::string& label, const Shape& size, const weft::Strides& stride, int64_t offset) {
    return sample(
        label, {uniform({2, 4})},
        [=](const Tensors& x) {  // contiguous() would be asked first for what is undefined
          return weft::as_strided(x[0].defined() ? x[0].contiguous() : x[0], size, stride, offset);
        },
        [=](const Arrays& x) {
          return support::generate(size, [&](const Index& i) {
            int64_t at = offset;
            for (size_t k = 0; k < i.size(); ++k) at += i[k] * stride[static_cast<int>(k)];
            return x[0].v[static_cast<size_t>(at)];
          });
        });
  };
  return {{"as_strided",
           {strided("part", {2, 2}, {4, 2}, 1), strided("windows", {4, 3}, {1, 2}, 0),
            strided("one element often", {3, 2}, {0, 0}, 5), strided("empty", {0, 3}, {1, 1}, 0),
            strided("a number", {}, {}, 7)},
           {{[] {
               (void)weft::as_strided(here::ones({4}), {2, 2}, {2, 1}, 1);
             },
             "as_strided: size [2, 2]"},
            {[] {
               (void)weft::as_strided(here::ones({4}), {2, 2}, {2});
             },
             "as_strided: "},
            {[] { (void)weft::as_strided(here::ones({4}), {2}, {-1}, 3); }, "as_strided: negative stride"},
            {[] { (void)weft::as_strided(here::ones({4}), {2}, {1}, -1); }, "as_strided: negative storage_offset"},
            {[] { (void)weft::as_strided(here::ones({4}), {3}, {INT64_MAX}); }, "as_strided: "},
            {[] { (void)weft::as_strided(here::ones({4}), {-1}, {1}); }, "as_strided: "}}}};
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("writes") { check(writes()); }
  DEVICE_TEST_CASE("meetings") { check(meetings()); }
  DEVICE_TEST_CASE("views by strides") { check(strided_views()); }
}
