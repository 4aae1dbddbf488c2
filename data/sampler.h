// The order in which a loader takes the samples. Knows numbers only.
//
//     data::Loader loader(dataset, {.batch_size = 8, .sampler = data::WeightedRandomSampler(weights)});
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weft/core/generator.h"
#include "weft/core/tensor.h"

namespace weft::data {

/// The indices of one epoch. What it gives depends on (size, seed, epoch) alone: a loader that resumes asks again.
class WEFT_API Sampler {
 public:
  virtual ~Sampler() = default;
  /// Indices in [0, size), for the dataset's size at that time.
  virtual std::vector<int64_t> indices(int64_t size, uint64_t seed, int64_t epoch) const = 0;
  /// How many `indices` gives.
  virtual int64_t count(int64_t size) const { return static_cast<int64_t>(indices(size, 0, 0).size()); }
  /// In words: "RandomSampler(replacement=false)".
  virtual std::string str() const = 0;
  /// A loader's state is for a sampler of the same order: the words, without what tells ranks apart.
  virtual std::string order() const { return str(); }
  /// How many ranks share an epoch.
  virtual int64_t ranks() const { return 1; }
};

/// A sampler of any class, as an option: made from one, or from a shared pointer to one.
class SamplerRef {
 public:
  SamplerRef() = default;
  template <std::derived_from<Sampler> S>
  SamplerRef(S sampler) : sampler_(std::make_shared<const S>(std::move(sampler))) {}
  template <std::derived_from<Sampler> S> SamplerRef(std::shared_ptr<S> sampler) : sampler_(std::move(sampler)) {}
  /// Is there one?
  explicit operator bool() const { return sampler_ != nullptr; }
  const Sampler& operator*() const { return *sampler_; }
  const Sampler* operator->() const { return sampler_.get(); }

 private:
  std::shared_ptr<const Sampler> sampler_;
};

/// 0, 1, 2, ...
class WEFT_API SequentialSampler : public Sampler {
 public:
  std::vector<int64_t> indices(int64_t size, uint64_t seed, int64_t epoch) const override;
  int64_t count(int64_t size) const override { return size; }
  std::string str() const override;
};

/// Options of RandomSampler.
struct RandomSamplerOptions {
  bool replacement = false;                           ///< draws may repeat
  std::optional<int64_t> num_samples = std::nullopt;  ///< none: the dataset's size
};
/// A new permutation in each epoch, or draws with replacement. More than the dataset's size without replacement: one
/// permutation after the other. Equivalent: torch.utils.data.RandomSampler.
class WEFT_API RandomSampler : public Sampler {
 public:
  /// ValueError for a negative num_samples.
  explicit RandomSampler(const RandomSamplerOptions& o = {});
  /// See Sampler. ValueError where samples are asked of an empty dataset.
  std::vector<int64_t> indices(int64_t size, uint64_t seed, int64_t epoch) const override;
  int64_t count(int64_t size) const override { return options_.num_samples.value_or(size); }
  std::string str() const override;

 private:
  RandomSamplerOptions options_;
};

/// Options of WeightedRandomSampler.
struct WeightedRandomSamplerOptions {
  std::optional<int64_t> num_samples = std::nullopt;  ///< none: the dataset's size
  bool replacement = true;                            ///< draws may repeat
};
/// Index i with probability weights[i] / sum. Without replacement each index comes once at most, each drawn in
/// proportion to the weights of those that are left. Equivalent: torch.utils.data.WeightedRandomSampler.
class WEFT_API WeightedRandomSampler : public Sampler {
 public:
  /// A weight for each sample. ValueError for weights that are negative or not finite or all 0, and, without
  /// replacement, for more samples than weights above 0.
  explicit WeightedRandomSampler(std::vector<double> weights, const WeightedRandomSamplerOptions& o = {});
  explicit WeightedRandomSampler(const Tensor& weights, const WeightedRandomSamplerOptions& o = {})
      : WeightedRandomSampler(weights.to_vector<double>(), o) {}
  /// As PyTorch has it.
  template <std::integral I>
  WeightedRandomSampler(std::vector<double> weights, I num_samples, bool replacement = true)
      : WeightedRandomSampler(std::move(weights), WeightedRandomSamplerOptions{num_samples, replacement}) {}
  template <std::integral I>
  WeightedRandomSampler(const Tensor& weights, I num_samples, bool replacement = true)
      : WeightedRandomSampler(weights.to_vector<double>(), num_samples, replacement) {}
  /// See Sampler. ValueError unless there is a weight for each sample.
  std::vector<int64_t> indices(int64_t size, uint64_t seed, int64_t epoch) const override;
  int64_t count(int64_t) const override { return num_samples_; }
  std::string str() const override;

 private:
  std::vector<double> weights_;
  bool replacement_;
  int64_t num_samples_;
};

/// Options of BalancedSampler.
struct BalancedSamplerOptions {
  std::optional<int64_t> num_samples = std::nullopt;  ///< none: the dataset's size
  /// Samples of each class in a round, in ascending order of classes; empty: one of each.
  std::vector<int64_t> counts = {};
};
/// Equal numbers of each class, whatever the classes' sizes: rounds of one sample of each class (or `counts`), in
/// random order. A class comes in random order too, and begins again when all of its samples were taken.
class WEFT_API BalancedSampler : public Sampler {
 public:
  /// The class of each sample; samples of a negative class are left out. ValueError where none is left, and for
  /// `counts` of another number, negative or all 0.
  explicit BalancedSampler(const std::vector<int64_t>& classes, BalancedSamplerOptions o = {});
  explicit BalancedSampler(const Tensor& classes, BalancedSamplerOptions o = {})
      : BalancedSampler(classes.to_vector<int64_t>(), std::move(o)) {}
  /// See Sampler. ValueError unless there is a class for each sample.
  std::vector<int64_t> indices(int64_t size, uint64_t seed, int64_t epoch) const override;
  int64_t count(int64_t size) const override { return options_.num_samples.value_or(size); }
  std::string str() const override;

 private:
  int64_t size_;
  BalancedSamplerOptions options_;
  std::vector<std::vector<int64_t>> members_;  // of each class
};

/// Options of DistributedSampler and ShardSampler.
struct ShardOptions {
  int64_t rank = 0, num_replicas = 1;  ///< which share, of how many
  bool shuffle = true;                 ///< a new permutation in each epoch
  uint64_t seed = 0;                   ///< of the shuffle: the same on all ranks, whatever their loaders' seeds
  bool drop_last = false;  ///< the tail that does not divide is left out; otherwise the first indices repeat
};
/// One rank's share of the epoch, all of one length. Equivalent: torch.utils.data.DistributedSampler.
class WEFT_API DistributedSampler : public Sampler {
 public:
  /// ValueError unless 0 <= rank < num_replicas.
  explicit DistributedSampler(const ShardOptions& o);
  /// See Sampler; the loader's seed does not count.
  std::vector<int64_t> indices(int64_t size, uint64_t seed, int64_t epoch) const override;
  int64_t count(int64_t size) const override;
  std::string str() const override;
  std::string order() const override;
  int64_t ranks() const override { return options_.num_replicas; }

 private:
  ShardOptions options_;
};
/// One rank's share without repeats: lengths differ by at most 1. For evaluation. ValueError for drop_last, which is
/// DistributedSampler's.
class WEFT_API ShardSampler : public Sampler {
 public:
  explicit ShardSampler(const ShardOptions& o);
  /// See Sampler; the loader's seed does not count.
  std::vector<int64_t> indices(int64_t size, uint64_t seed, int64_t epoch) const override;
  int64_t count(int64_t size) const override;
  std::string str() const override;
  std::string order() const override;
  int64_t ranks() const override { return options_.num_replicas; }

 private:
  ShardOptions options_;
};

/// The generator of an epoch's order.
WEFT_API Generator epoch_generator(uint64_t seed, int64_t epoch);
/// The generator of the sample at `position` of an epoch's order. An index that comes twice draws other numbers.
WEFT_API Generator sample_generator(uint64_t seed, int64_t epoch, int64_t position, int64_t index);

}  // namespace weft::data
