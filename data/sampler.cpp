#include "weft/data/sampler.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "weft/core/fn/integer.h"
#include "weft/core/fn/philox.h"

namespace weft::data {
namespace {

uint64_t low_words(const fn::PhiloxBlock& b) { return uint64_t{b.w0} << 32 | b.w1; }
uint64_t high_words(const fn::PhiloxBlock& b) { return uint64_t{b.w2} << 32 | b.w3; }

std::vector<int64_t> in_order(int64_t n) {
  std::vector<int64_t> v(static_cast<size_t>(n));
  std::iota(v.begin(), v.end(), int64_t{0});
  return v;
}
void shuffle(std::vector<int64_t>& v, Generator& g) {
  for (size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[g.below(i)]);
}
std::vector<int64_t> permutation(int64_t n, Generator& g) {
  std::vector<int64_t> v = in_order(n);
  shuffle(v, g);
  return v;
}

void check_count(const char* what, const std::optional<int64_t>& n) {
  WEFT_CHECK(n.value_or(0) >= 0, ValueError, what, ": num_samples must not be negative, got ", n.value_or(0));
}
void check_rank(const char* what, const ShardOptions& o) {
  WEFT_CHECK(o.num_replicas >= 1 && o.rank >= 0 && o.rank < o.num_replicas, ValueError, what, ": rank ", o.rank,
             " of num_replicas ", o.num_replicas, "; expected 0 <= rank < num_replicas");
}
std::string count_text(const std::optional<int64_t>& n) { return n ? str(", num_samples=", *n) : std::string(); }
const char* bool_word(bool b) { return b ? "true" : "false"; }

std::vector<int64_t> shard_order(const ShardOptions& o, int64_t size, int64_t epoch) {
  if (!o.shuffle) return in_order(size);
  Generator g = epoch_generator(o.seed, epoch);
  return permutation(size, g);
}
std::vector<int64_t> every(const std::vector<int64_t>& order, const ShardOptions& o) {
  std::vector<int64_t> share;
  for (auto i = static_cast<size_t>(o.rank); i < order.size(); i += static_cast<size_t>(o.num_replicas))
    share.push_back(order[i]);
  return share;
}

}  // namespace

Generator epoch_generator(uint64_t seed, int64_t epoch) {
  return Generator(low_words(fn::philox(seed, static_cast<uint64_t>(epoch))));
}

Generator sample_generator(uint64_t seed, int64_t epoch, int64_t position, int64_t index) {
  const uint64_t of_epoch = high_words(fn::philox(seed, static_cast<uint64_t>(epoch)));
  const uint64_t of_place = low_words(fn::philox(of_epoch, static_cast<uint64_t>(position)));
  return Generator(low_words(fn::philox(of_place, static_cast<uint64_t>(index))));
}

std::vector<int64_t> SequentialSampler::indices(int64_t size, uint64_t, int64_t) const { return in_order(size); }
std::string SequentialSampler::str() const { return "SequentialSampler()"; }

RandomSampler::RandomSampler(const RandomSamplerOptions& o) : options_(o) {
  check_count("RandomSampler", o.num_samples);
}
std::vector<int64_t> RandomSampler::indices(int64_t size, uint64_t seed, int64_t epoch) const {
  const auto n = static_cast<size_t>(count(size));
  WEFT_CHECK(n == 0 || size > 0, ValueError, "RandomSampler: ", n, " samples of an empty dataset");
  Generator g = epoch_generator(seed, epoch);
  std::vector<int64_t> out;
  out.reserve(n);
  while (out.size() < n) {
    if (options_.replacement) {
      out.push_back(static_cast<int64_t>(g.below(static_cast<uint64_t>(size))));
    } else {
      const std::vector<int64_t> p = permutation(size, g);
      out.insert(out.end(), p.begin(), p.begin() + static_cast<std::ptrdiff_t>(std::min(p.size(), n - out.size())));
    }
  }
  return out;
}
std::string RandomSampler::str() const {
  return weft::str("RandomSampler(replacement=", bool_word(options_.replacement), count_text(options_.num_samples),
                   ")");
}

WeightedRandomSampler::WeightedRandomSampler(std::vector<double> weights, const WeightedRandomSamplerOptions& o)
    : weights_(std::move(weights)),
      replacement_(o.replacement),
      num_samples_(o.num_samples.value_or(static_cast<int64_t>(weights_.size()))) {
  check_count("WeightedRandomSampler", o.num_samples);
  double sum = 0;
  int64_t positive = 0;
  for (size_t i = 0; i < weights_.size(); ++i) {
    WEFT_CHECK(weights_[i] >= 0 && std::isfinite(weights_[i]), ValueError, "WeightedRandomSampler: weight ", i, " is ",
               weights_[i], "; expected finite numbers that are not negative");
    sum += weights_[i];
    positive += weights_[i] > 0;
  }
  WEFT_CHECK(num_samples_ == 0 || (sum > 0 && std::isfinite(sum)), ValueError, "WeightedRandomSampler: the sum of ",
             weights_.size(), " weights is ", sum, "; expected a finite number above 0");
  WEFT_CHECK(replacement_ || num_samples_ <= positive, ValueError, "WeightedRandomSampler: ", num_samples_,
             " samples without replacement of ", positive, " that have a weight above 0");
}
std::vector<int64_t> WeightedRandomSampler::indices(int64_t size, uint64_t seed, int64_t epoch) const {
  WEFT_CHECK(static_cast<int64_t>(weights_.size()) == size, ValueError, "WeightedRandomSampler: ", weights_.size(),
             " weights for ", size, " samples");
  Generator g = epoch_generator(seed, epoch);
  const auto n = static_cast<size_t>(num_samples_);
  std::vector<int64_t> out(n);
  if (replacement_) {
    std::vector<double> ends(weights_.size());
    std::partial_sum(weights_.begin(), weights_.end(), ends.begin());
    for (int64_t& i : out) {  // the first end above the draw: never one of weight 0
      const auto at = std::upper_bound(ends.begin(), ends.end(), g.uniform() * ends.back());
      i = std::min(at, std::lower_bound(ends.begin(), ends.end(), ends.back())) - ends.begin();
    }
    return out;
  }
  // Of exponential clocks with these rates the first to ring are draws without replacement (Efraimidis, Spirakis 2006).
  std::vector<std::pair<double, int64_t>> arrivals;
  for (size_t i = 0; i < weights_.size(); ++i)
    if (const double u = g.uniform(); weights_[i] > 0)
      arrivals.emplace_back(-std::log1p(-u) / weights_[i], static_cast<int64_t>(i));
  std::partial_sort(arrivals.begin(), arrivals.begin() + static_cast<std::ptrdiff_t>(n), arrivals.end());
  std::transform(arrivals.begin(), arrivals.begin() + static_cast<std::ptrdiff_t>(n), out.begin(),
                 [](const auto& a) { return a.second; });
  return out;
}
std::string WeightedRandomSampler::str() const {
  return weft::str("WeightedRandomSampler(", weights_.size(), " weights, replacement=", bool_word(replacement_),
                   ", num_samples=", num_samples_, ")");
}

BalancedSampler::BalancedSampler(const std::vector<int64_t>& classes, BalancedSamplerOptions o)
    : size_(static_cast<int64_t>(classes.size())), options_(std::move(o)) {
  check_count("BalancedSampler", options_.num_samples);
  std::map<int64_t, std::vector<int64_t>> groups;
  for (size_t i = 0; i < classes.size(); ++i)
    if (classes[i] >= 0) groups[classes[i]].push_back(static_cast<int64_t>(i));
  WEFT_CHECK(!groups.empty(), ValueError, "BalancedSampler: no sample of ", classes.size(),
             " has a class (a number that is not negative)");
  for (auto& [number, members] : groups) members_.push_back(std::move(members));
  std::vector<int64_t>& counts = options_.counts;
  if (counts.empty()) counts.assign(members_.size(), 1);
  WEFT_CHECK(counts.size() == members_.size(), ValueError, "BalancedSampler: ", counts.size(), " counts for ",
             members_.size(), " classes");
  int64_t sum = 0;
  for (const int64_t c : counts) {
    WEFT_CHECK(c >= 0, ValueError, "BalancedSampler: counts must not be negative, got ", c);
    sum += c;
  }
  WEFT_CHECK(sum > 0, ValueError, "BalancedSampler: all counts are 0");
}
std::vector<int64_t> BalancedSampler::indices(int64_t size, uint64_t seed, int64_t epoch) const {
  WEFT_CHECK(size_ == size, ValueError, "BalancedSampler: ", size_, " classes for ", size, " samples");
  Generator g = epoch_generator(seed, epoch);
  const auto n = static_cast<size_t>(count(size));
  std::vector<int64_t> round, out;
  for (size_t c = 0; c < members_.size(); ++c)
    round.insert(round.end(), static_cast<size_t>(options_.counts[c]), static_cast<int64_t>(c));
  std::vector<std::vector<int64_t>> left(members_.size());
  out.reserve(n);
  while (out.size() < n) {
    shuffle(round, g);
    for (size_t k = 0; k < round.size() && out.size() < n; ++k) {
      const auto c = static_cast<size_t>(round[k]);
      if (left[c].empty()) shuffle(left[c] = members_[c], g);
      out.push_back(left[c].back());
      left[c].pop_back();
    }
  }
  return out;
}
std::string BalancedSampler::str() const {
  std::string counts;
  for (const int64_t c : options_.counts) counts += (counts.empty() ? "" : ", ") + std::to_string(c);
  return weft::str("BalancedSampler(", size_, " samples, counts=[", counts, "]", count_text(options_.num_samples), ")");
}

DistributedSampler::DistributedSampler(const ShardOptions& o) : options_(o) { check_rank("DistributedSampler", o); }
int64_t DistributedSampler::count(int64_t size) const {
  return options_.drop_last ? size / options_.num_replicas : fn::ceil_div(size, options_.num_replicas);
}
std::vector<int64_t> DistributedSampler::indices(int64_t size, uint64_t, int64_t epoch) const {
  std::vector<int64_t> order = shard_order(options_, size, epoch);
  const auto total = static_cast<size_t>(count(size) * options_.num_replicas);
  for (size_t i = 0; order.size() < total; ++i) order.push_back(order[i]);
  order.resize(total);
  return every(order, options_);
}
std::string DistributedSampler::str() const {
  const ShardOptions& o = options_;
  return weft::str("DistributedSampler(rank=", o.rank, ", num_replicas=", o.num_replicas,
                   ", shuffle=", bool_word(o.shuffle), ", seed=", o.seed, ", drop_last=", bool_word(o.drop_last), ")");
}

std::string DistributedSampler::order() const {
  const ShardOptions& o = options_;
  return weft::str("DistributedSampler(shuffle=", bool_word(o.shuffle), ", seed=", o.seed,
                   ", drop_last=", bool_word(o.drop_last), ")");
}

ShardSampler::ShardSampler(const ShardOptions& o) : options_(o) {
  check_rank("ShardSampler", o);
  WEFT_CHECK(!o.drop_last, ValueError, "ShardSampler: gives every sample; use DistributedSampler for drop_last");
}
int64_t ShardSampler::count(int64_t size) const {
  return size > options_.rank ? fn::ceil_div(size - options_.rank, options_.num_replicas) : 0;
}
std::vector<int64_t> ShardSampler::indices(int64_t size, uint64_t, int64_t epoch) const {
  return every(shard_order(options_, size, epoch), options_);
}
std::string ShardSampler::str() const {
  const ShardOptions& o = options_;
  return weft::str("ShardSampler(rank=", o.rank, ", num_replicas=", o.num_replicas, ", shuffle=", bool_word(o.shuffle),
                   ", seed=", o.seed, ")");
}

std::string ShardSampler::order() const {
  return weft::str("ShardSampler(shuffle=", bool_word(options_.shuffle), ", seed=", options_.seed, ")");
}

}  // namespace weft::data
