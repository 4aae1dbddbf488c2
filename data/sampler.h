// The order in which a loader takes the samples. Knows numbers only.
#pragma once

#include <memory>
#include <optional>
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
  /// In words: "RandomSampler(replacement=false)".
  virtual std::string str() const = 0;
};

/// 0, 1, 2, ...
class WEFT_API SequentialSampler;
struct RandomSamplerOptions {
  bool replacement = false;                               ///< draws may repeat
  std::optional<int64_t> num_samples = std::nullopt;      ///< none: the dataset's size; more needs `replacement`
};
/// A new permutation in each epoch, or draws with replacement.
class WEFT_API RandomSampler;
/// Index i with probability weights[i] / sum.
class WEFT_API WeightedRandomSampler;
/// Equal numbers of each class, whatever the classes' sizes: for balanced batches and patches.
class WEFT_API BalancedSampler;
struct ShardOptions {
  int64_t rank = 0, num_replicas = 1;
  bool shuffle = true;
  bool drop_last = false;  ///< the tail that does not divide is left out; otherwise the first indices repeat
};
/// One rank's share of the epoch, all of one length. Equivalent: torch.utils.data.DistributedSampler.
class WEFT_API DistributedSampler;
/// One rank's share without repeats: lengths differ by at most 1. For evaluation.
class WEFT_API ShardSampler;

}  // namespace weft::data
