#include "weft/data/combine.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <set>

#include "support/throws.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;

namespace {

struct CombineNumbers {
  int64_t n = 5, first = 0;
  int64_t size() const { return n; }
  int64_t get(int64_t i) const { return first + i; }
  std::string name(int64_t i) const { return "number " + std::to_string(first + i); }
};
struct CombineDice {
  int64_t n = 5;
  int64_t size() const { return n; }
  int64_t get(int64_t, Generator& g) const { return static_cast<int64_t>(g.below(1000)); }
};

template <class D> auto every_sample(const D& d) {
  Generator g(1);
  std::vector<data::sample_t<D>> samples;
  for (int64_t i = 0; i < d.size(); ++i) samples.push_back(data::get(d, i, g));
  return samples;
}
using Values = std::vector<int64_t>;

}  // namespace

TEST_SUITE("data combinators") {
  TEST_CASE("map") {
    const auto twice = data::map(CombineNumbers(), [](int64_t x) { return 2 * x; });
    CHECK(every_sample(twice) == Values{0, 2, 4, 6, 8});
    CHECK(data::sample_name(twice, 3) == "number 3");
    const auto noisy = data::map(CombineNumbers(),
                                 [](int64_t x, Generator& g) { return x + static_cast<int64_t>(g.below(2)) * 10; });
    static_assert(!data::PlainDataset<decltype(noisy)> && data::RandomDataset<decltype(noisy)>);
    static_assert(data::PlainDataset<decltype(twice)> && !data::RandomDataset<decltype(twice)>);
    for (const int64_t x : every_sample(noisy)) CHECK(x % 10 < 5);
    CHECK(every_sample(noisy) == every_sample(noisy));
    Generator g(1);
    CHECK(data::get(data::map(CombineDice(), [](int64_t x) { return -x; }), 0, g) ==
          -CombineDice().get(0, *std::make_unique<Generator>(1)));
  }

  TEST_CASE("zip") {
    const auto pairs = data::zip(CombineNumbers(),
                                 data::map(CombineNumbers{5, 10}, [](int64_t x) { return std::to_string(x); }));
    CHECK(pairs.get(2) == std::tuple<int64_t, std::string>(2, "12"));
    CHECK(pairs.name(2) == "number 2");
    CHECK(data::zip(CombineDice(), CombineNumbers()).name(1) == "number 1");
    CHECK(every_sample(data::zip(CombineDice(), CombineDice())).size() == 5);
    CHECK(message_of<ValueError>([] { data::zip(CombineNumbers{5}, CombineNumbers{6}); }) ==
          "zip: datasets of 5 and of 6 samples");
  }

  TEST_CASE("concat") {
    CHECK(every_sample(data::concat(std::vector<CombineNumbers>{{2, 0}, {0, 7}, {3, 10}})) == Values{0, 1, 10, 11, 12});
    const auto mixed = data::concat(CombineNumbers{2}, data::subset(CombineNumbers(), {4}), CombineNumbers{1, 9});
    CHECK(every_sample(mixed) == Values{0, 1, 4, 9});
    CHECK(mixed.name(2) == "number 4");
    CHECK(every_sample(data::concat(CombineNumbers{2}, CombineDice{3})).size() == 5);
    CHECK(message_of<ValueError>([&] { (void)mixed.get(4); }) == "concat: there is no sample 4; the dataset has 4");
    CHECK(message_of<ValueError>([&] { (void)data::concat(std::vector<CombineNumbers>{{2}}).get(-1); }) ==
          "concat: there is no sample -1; the dataset has 2");
  }

  TEST_CASE("subset and repeat") {
    const auto some = data::subset(CombineNumbers(), {3, 0, 3});
    CHECK(every_sample(some) == Values{3, 0, 3});
    CHECK(some.name(0) == "number 3");
    CHECK(every_sample(data::repeat(some, 2)) == Values{3, 0, 3, 3, 0, 3});
    CHECK(data::repeat(some, 0).size() == 0);
    CHECK(message_of<ValueError>([] { data::subset(CombineNumbers(), {5}); }) ==
          "subset: there is no sample 5; the dataset has 5");
    CHECK(message_of<ValueError>([&] { (void)some.get(3); }) == "subset: there is no sample 3; the dataset has 3");
    CHECK(message_of<ValueError>([] { data::repeat(CombineNumbers(), -1); }) ==
          "repeat: times must not be negative, got -1");
  }

  TEST_CASE("random_split into lengths and fractions as PyTorch's") {
    const auto lengths = [](int64_t n, const std::vector<double>& parts) {
      Values v;
      for (const auto& part : data::random_split(CombineNumbers{n}, parts)) v.push_back(part.size());
      return v;
    };
    CHECK(lengths(10, {0.8, 0.15, 0.05}) == Values{9, 1, 0});
    CHECK(lengths(11, {0.5, 0.5}) == Values{6, 5});
    CHECK(lengths(7, {0.34, 0.33, 0.33}) == Values{3, 2, 2});
    CHECK(lengths(59, std::vector<double>(10, 0.1)) == Values{6, 6, 6, 6, 6, 6, 6, 6, 6, 5});
    uint64_t hash = 1469598103934665603u;  // FNV-1a over torch.utils.data.random_split's lengths, PyTorch 2.15
    for (int64_t n = 0; n <= 60; ++n)
      for (const std::vector<double>& parts : std::vector<std::vector<double>>{{1.0},
                                                                               {0.5, 0.5},
                                                                               {0.8, 0.2},
                                                                               {0.8, 0.1, 0.1},
                                                                               {0.6, 0.3, 0.1},
                                                                               std::vector<double>(10, 0.1),
                                                                               std::vector<double>(4, 0.25),
                                                                               {0.34, 0.33, 0.33},
                                                                               {0.05, 0.95},
                                                                               {0.0, 1.0},
                                                                               {0.123, 0.877}})
        for (const int64_t length : lengths(n, parts)) hash = (hash ^ static_cast<uint64_t>(length)) * 1099511628211u;
    CHECK(hash == 7451701400869845805u);
  }

  TEST_CASE("random_split leaves nothing out and depends on the generator alone") {
    const auto split = [](uint64_t seed) {
      Generator g(seed);
      return data::random_split(CombineNumbers{20}, {14, 6}, &g);
    };
    const auto parts = split(1);
    REQUIRE(parts.size() == 2);
    CHECK(parts[0].size() == 14);
    std::set<int64_t> seen;
    for (const auto& part : parts)
      for (const int64_t x : every_sample(part)) seen.insert(x);
    CHECK(seen.size() == 20);
    CHECK(split(1)[0].indices() == parts[0].indices());
    CHECK(split(2)[0].indices() != parts[0].indices());
    CHECK(message_of<ValueError>([] {
            data::random_split(CombineNumbers{5}, {3, 3});
          }) == "random_split: the lengths' sum is 6 but the dataset has 5 samples");
    CHECK(message_of<ValueError>([] {
            data::random_split(CombineNumbers{5}, {7, -2});
          }) == "random_split: lengths must not be negative, got -2");
    CHECK(message_of<ValueError>([] {
            data::random_split(CombineNumbers{5}, {0.5, 0.4});
          }) == "random_split: the fractions' sum is 0.9; expected 1");
    CHECK(message_of<ValueError>([] {
            data::random_split(CombineNumbers{5}, {1.5, -0.5});
          }) == "random_split: fraction 1.5; expected numbers from 0 to 1");
  }

  TEST_CASE("cache keeps what fits") {
    struct Counted {
      std::shared_ptr<std::atomic<int>> reads = std::make_shared<std::atomic<int>>(0);
      int64_t size() const { return 4; }
      Tensor get(int64_t i) const { return ++*reads, full({1000}, i, Dtype::f32); }
    };
    const Counted source;
    const auto large = data::cache(source);
    for (int epoch = 0; epoch < 3; ++epoch)
      for (int64_t i = 0; i < 4; ++i) CHECK(large.get(i)[999].item<int64_t>() == i);
    CHECK(*source.reads == 4);
    const auto copy = large;
    (void)copy.get(0);
    CHECK(*source.reads == 4);
    CHECK(large.bytes() >= 4 * 4000);

    *source.reads = 0;
    const auto small = data::cache(source, {.bytes = 10000});  // two of them, whatever is asked for first
    for (int epoch = 0; epoch < 3; ++epoch)
      for (int64_t i = 0; i < 4; ++i) CHECK(small.get(i)[0].item<int64_t>() == i);
    CHECK(*source.reads == 4 + 2 + 2);
    CHECK(small.bytes() <= 10000);
  }

  TEST_CASE("bytes of samples") {
    const Tensor x = zeros({1000}, Dtype::f32);
    CHECK(data::sample_bytes(x) >= 4000);
    CHECK(data::sample_bytes(x.narrow(0, 0, 1)) == data::sample_bytes(x));  // a view keeps all of it
    CHECK(data::sample_bytes(data::Example{x, x, std::string(500, 'a')}) >= 8500);
    CHECK(data::sample_bytes(std::pair(3, std::vector<Tensor>{x, x})) >= 8004);
    CHECK(data::sample_bytes(std::tuple(std::array<float, 3>(), std::vector<double>(10))) >= 92);
    struct Own {
      int64_t size() const { return 1; }
      struct Sample {
        int v;
      };
      Sample get(int64_t) const { return {5}; }
    };
    const auto own = data::cache(Own(), {.bytes = 100}, [](const Own::Sample&) { return 60; });
    CHECK(own.get(0).v == 5);
    CHECK(own.bytes() == 60);
  }
}
