#include "weft/data/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "support/throws.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;
using Indices = std::vector<int64_t>;

namespace {

Indices sorted_indices(Indices v) {
  std::sort(v.begin(), v.end());
  return v;
}
Indices index_range(int64_t n) {
  Indices v(static_cast<size_t>(n));
  std::iota(v.begin(), v.end(), int64_t{0});
  return v;
}

}  // namespace

TEST_SUITE("data samplers") {
  TEST_CASE("in order, and in a new order for each seed and epoch") {
    CHECK(data::SequentialSampler().indices(4, 7, 1) == Indices{0, 1, 2, 3});
    const data::RandomSampler random;
    const Indices first = random.indices(100, 3, 0);
    CHECK(sorted_indices(first) == index_range(100));
    CHECK(first != index_range(100));
    CHECK(random.indices(100, 3, 0) == first);
    CHECK(random.indices(100, 3, 1) != first);
    CHECK(random.indices(100, 4, 0) != first);
    CHECK(random.indices(0, 3, 0).empty());
    CHECK(random.count(100) == 100);
  }

  TEST_CASE("every permutation of three is as likely") {
    int counts[6] = {};
    for (int64_t epoch = 0; epoch < 6000; ++epoch) {
      const Indices p = data::RandomSampler().indices(3, 1, epoch);
      ++counts[p[0] * 2 + (p[1] > p[2])];
    }
    for (const int n : counts) CHECK(std::abs(n - 1000) < 150);  // five standard deviations of a binomial: 144
  }

  TEST_CASE("numbers of samples, with and without replacement") {
    const data::RandomSampler more({.num_samples = 25});
    const Indices v = more.indices(10, 3, 0);
    CHECK(v.size() == 25);
    CHECK(sorted_indices({v.begin(), v.begin() + 10}) ==
          index_range(10));  // as PyTorch: a permutation, another, part of a third
    CHECK(sorted_indices({v.begin() + 10, v.begin() + 20}) == index_range(10));
    CHECK(std::set<int64_t>(v.begin() + 20, v.end()).size() == 5);
    CHECK(more.count(10) == 25);
    const Indices drawn = data::RandomSampler({.replacement = true, .num_samples = 10000}).indices(10, 3, 0);
    for (int64_t i = 0; i < 10; ++i)
      CHECK(std::abs(std::count(drawn.begin(), drawn.end(), i) - 1000) < 150);  // five deviations of 30
    CHECK(message_of<ValueError>([] { data::RandomSampler({.num_samples = -1}); }) ==
          "RandomSampler: num_samples must not be negative, got -1");
    CHECK(message_of<ValueError>([] { (void)data::RandomSampler({.num_samples = 3}).indices(0, 1, 1); }) ==
          "RandomSampler: 3 samples of an empty dataset");
  }

  TEST_CASE("weights") {
    const data::WeightedRandomSampler weighted({1, 0, 3, 0}, {.num_samples = 8000});
    const Indices v = weighted.indices(4, 5, 0);
    CHECK(v.size() == 8000);
    CHECK(std::abs(std::count(v.begin(), v.end(), 0) - 2000) < 195);  // five deviations of 39
    CHECK(std::count(v.begin(), v.end(), 0) + std::count(v.begin(), v.end(), 2) == 8000);
    CHECK(data::WeightedRandomSampler(tensor({1.0, 2.0})).indices(2, 5, 0).size() == 2);
    CHECK(data::WeightedRandomSampler({1, 0, 3, 0}, 8000).indices(4, 5, 0) == v);
    CHECK(data::WeightedRandomSampler(tensor({1.0, 2.0}), 1, false).str() ==
          "WeightedRandomSampler(2 weights, replacement=false, num_samples=1)");

    // without replacement: the first two of weights 1, 2, 3 are {0, 1} with 1/6 * 2/5 + 2/6 * 1/4 = 0.15
    int both = 0;
    for (int64_t epoch = 0; epoch < 4000; ++epoch) {
      const Indices two = data::WeightedRandomSampler({1, 2, 3}, {.num_samples = 2, .replacement = false})
                              .indices(3, 9, epoch);
      CHECK(two[0] != two[1]);
      both += two[0] + two[1] == 1;
    }
    CHECK(std::abs(both - 600) < 115);  // five deviations of 23
  }

  TEST_CASE("weights that are none") {
    const auto message = [](std::vector<double> w, const data::WeightedRandomSamplerOptions& o) {
      return message_of<ValueError>([&] { data::WeightedRandomSampler(w, o); });
    };
    CHECK(message({1, -2}, {}) ==
          "WeightedRandomSampler: weight 1 is -2; expected finite numbers that are not negative");
    CHECK(message({1, std::nan("")}, {}).find("weight 1 is nan") != std::string::npos);
    CHECK(message({0, 0}, {.replacement = true}) ==
          "WeightedRandomSampler: the sum of 2 weights is 0; expected a finite number above 0");
    CHECK(message({0, 1, 1}, {.num_samples = 3, .replacement = false}) ==
          "WeightedRandomSampler: 3 samples without replacement of 2 that have a weight above 0");
    CHECK(message_of<ValueError>([] {
            (void)data::WeightedRandomSampler({1, 2}).indices(3, 0, 0);
          }) == "WeightedRandomSampler: 2 weights for 3 samples");
  }

  TEST_CASE("classes in equal numbers, of the rare ones too") {
    const std::vector<int64_t> classes = {5, 5, 5, 5, 5, 5, 2, -1, 9, 9};
    const data::BalancedSampler balanced(classes);
    const Indices v = balanced.indices(10, 1, 0);
    CHECK(v.size() == 10);
    for (size_t k = 0; k < 9; k += 3) {
      std::set<int64_t> round;
      for (size_t i = k; i < k + 3; ++i) round.insert(classes[static_cast<size_t>(v[i])]);
      CHECK(round == std::set<int64_t>{2, 5, 9});
    }
    CHECK(std::count(v.begin(), v.end(), 7) == 0);
    // a class begins again when all of it was taken
    const Indices more = data::BalancedSampler(classes, {.num_samples = 36}).indices(10, 1, 0);
    for (int64_t i = 0; i < 6; ++i) CHECK(std::count(more.begin(), more.end(), i) == 2);
    CHECK(std::count(more.begin(), more.end(), 6) == 12);
    for (const int64_t i : {8, 9}) CHECK(std::count(more.begin(), more.end(), i) == 6);
    const Indices shares = data::BalancedSampler(tensor(classes), {.num_samples = 50, .counts = {3, 2, 0}})
                               .indices(10, 1, 0);
    CHECK(std::count(shares.begin(), shares.end(), 6) == 30);
    CHECK(std::count(shares.begin(), shares.end(), 8) == 0);
    CHECK(balanced.indices(10, 1, 0) == v);
    CHECK(balanced.indices(10, 1, 1) != v);
  }

  TEST_CASE("classes that are none") {
    CHECK(message_of<ValueError>([] {
            data::BalancedSampler(Indices{-1, -1});
          }) == "BalancedSampler: no sample of 2 has a class (a number that is not negative)");
    CHECK(message_of<ValueError>([] {
            data::BalancedSampler(Indices{0, 1}, {.counts = {1}});
          }) == "BalancedSampler: 1 counts for 2 classes");
    CHECK(message_of<ValueError>([] {
            data::BalancedSampler(Indices{0, 1}, {.counts = {0, 0}});
          }) == "BalancedSampler: all counts are 0");
    CHECK(message_of<ValueError>([] {
            (void)data::BalancedSampler(Indices{0, 1}).indices(3, 0, 0);
          }) == "BalancedSampler: 2 classes for 3 samples");
  }

  TEST_CASE("shares of ranks as PyTorch's") {
    uint64_t hash = 1469598103934665603u;  // FNV-1a over lengths and indices
    const auto mix = [&](int64_t v) { hash = (hash ^ static_cast<uint64_t>(v)) * 1099511628211u; };
    for (int64_t size = 1; size <= 20; ++size)
      for (int64_t replicas = 1; replicas <= 20; ++replicas)
        for (const bool drop_last : {false, true}) {
          Indices first;
          std::vector<Indices> mixed;
          for (int64_t rank = 0; rank < replicas; ++rank) {
            const data::DistributedSampler plain(
                {.rank = rank, .num_replicas = replicas, .shuffle = false, .drop_last = drop_last});
            const Indices v = plain.indices(size, 0, 0);
            CHECK(plain.count(size) == std::ssize(v));
            mix(std::ssize(v));
            for (const int64_t i : v) mix(i);
            mixed.push_back(data::DistributedSampler({.rank = rank, .num_replicas = replicas, .drop_last = drop_last})
                                .indices(size, static_cast<uint64_t>(rank), 3));
            CHECK(mixed.back().size() == v.size());
          }
          // one permutation for all ranks, whatever their loaders' seeds
          Indices all;
          for (size_t k = 0; k < mixed[0].size(); ++k)
            for (const Indices& v : mixed) all.push_back(v[k]);
          const size_t once = std::min(all.size(), static_cast<size_t>(size));
          CHECK(std::set<int64_t>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(once)).size() == once);
          for (size_t k = once; k < all.size(); ++k) CHECK(all[k] == all[k - once]);
        }
    CHECK(hash == 544361984639770722u);  // torch.utils.data.DistributedSampler(shuffle=False), PyTorch 2.15
  }

  TEST_CASE("shares of ranks without repeats") {
    for (int64_t size = 0; size <= 20; ++size)
      for (int64_t replicas = 1; replicas <= 20; ++replicas)
        for (const bool shuffle : {false, true}) {
          Indices all;
          for (int64_t rank = 0; rank < replicas; ++rank) {
            const data::ShardSampler shard({.rank = rank, .num_replicas = replicas, .shuffle = shuffle});
            const Indices v = shard.indices(size, 0, 0);
            CHECK(shard.count(size) == std::ssize(v));
            CHECK(std::abs(std::ssize(v) * replicas - size) < replicas);
            all.insert(all.end(), v.begin(), v.end());
          }
          CHECK(sorted_indices(all) == index_range(size));
        }
    CHECK(message_of<ValueError>([] { data::ShardSampler({.rank = 2, .num_replicas = 2}); }) ==
          "ShardSampler: rank 2 of num_replicas 2; expected 0 <= rank < num_replicas");
    CHECK(message_of<ValueError>([] { data::ShardSampler({.drop_last = true}); }) ==
          "ShardSampler: gives every sample; use DistributedSampler for drop_last");
    CHECK(message_of<ValueError>([] { data::DistributedSampler({.num_replicas = 0}); }) ==
          "DistributedSampler: rank 0 of num_replicas 0; expected 0 <= rank < num_replicas");
  }

  TEST_CASE("in words") {
    CHECK(data::SequentialSampler().str() == "SequentialSampler()");
    CHECK(data::RandomSampler({.replacement = true, .num_samples = 4}).str() ==
          "RandomSampler(replacement=true, num_samples=4)");
    CHECK(data::WeightedRandomSampler({1, 2}).str() ==
          "WeightedRandomSampler(2 weights, replacement=true, num_samples=2)");
    CHECK(data::BalancedSampler(Indices{0, 1, 1}).str() == "BalancedSampler(3 samples, counts=[1, 1])");
    CHECK(data::DistributedSampler({.rank = 1, .num_replicas = 2, .seed = 3}).str() ==
          "DistributedSampler(rank=1, num_replicas=2, shuffle=true, seed=3, drop_last=false)");
    CHECK(data::ShardSampler({.rank = 1, .num_replicas = 2, .shuffle = false}).str() ==
          "ShardSampler(rank=1, num_replicas=2, shuffle=false, seed=0)");
  }

  TEST_CASE("each sample draws from a generator of its own") {
    std::set<uint64_t> seeds;
    for (const uint64_t seed : {0, 1})
      for (const int64_t epoch : {0, 1, 2})
        for (const int64_t position : {0, 1, 2})
          for (const int64_t index : {0, 1, 2})
            seeds.insert(data::sample_generator(seed, epoch, position, index).state().seed);
    CHECK(seeds.size() == 2 * 3 * 3 * 3);
    CHECK(data::sample_generator(1, 2, 3, 4).state() == data::sample_generator(1, 2, 3, 4).state());
  }
}
