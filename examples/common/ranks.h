// A training on several ranks (weft-run -n 2 PROGRAM train ...): --batch is theirs together, rank 0 tells and writes.
#pragma once

#include <weft/weft.h>

#include <iostream>
#include <optional>
#include <utility>

class Ranks {
 public:
  /// Only rank 0 prints; the others' std::cout is silent.
  static void let_first_tell() {
    if (weft::init_process_group().rank() != 0) std::cout.setstate(std::ios::failbit);
  }
  const weft::ProcessGroup& group() const { return group_; }
  int64_t size() const { return group_.size(); }
  /// Does this rank tell and write?
  bool writes() const { return group_.rank() == 0; }

  /// This rank's part of a batch.
  int64_t share(int64_t batch) const {
    WEFT_CHECK(batch % size() == 0, ValueError, "--batch ", batch, " does not divide among ", size(), " ranks");
    return batch / size();
  }
  /// A loader's options for this rank's share of the data. One rank has the same sampler, for its checkpoint is read by
  /// any number of ranks.
  weft::data::LoaderOptions shared(weft::data::LoaderOptions o) const {
    o.sampler = weft::data::DistributedSampler({.rank = group_.rank(),
                                                .num_replicas = size(),
                                                .shuffle = o.shuffle,
                                                .seed = o.seed.value_or(0),
                                                .drop_last = true});
    o.shuffle = false;
    return o;
  }
  /// Averages the gradients of the model, whose weights become rank 0's.
  void train(const weft::nn::Module& model) {
    if (size() > 1) parallel_.emplace(model, weft::training::DistributedOptions{.group = group_});
  }
  /// Random numbers of a step: each rank's own, and the same when the run is resumed.
  void seed_step(uint64_t seed, int64_t step) const {
    if (size() > 1) weft::manual_seed((seed * 1000003 + static_cast<uint64_t>(step)) * 4096 + group_.rank());
  }
  /// Is it true on any rank?
  bool any(bool here) const {
    if (size() == 1) return here;
    weft::Tensor x = weft::tensor(std::vector<int64_t>{here});
    group_.all_reduce_(x, "max");
    return x.item<int64_t>() != 0;
  }
  /// The mean of a number over the ranks.
  double mean(double x) const {
    if (size() == 1) return x;
    return group_.all_reduce(weft::tensor(std::vector<double>{x}), "mean").item<double>();
  }
  /// Rank 0 does it, the others wait, for a day at most.
  template <class F> void alone(const F& f) const {
    const weft::TimeoutScope longer(group_, 86400);
    if (writes()) f();
    group_.barrier();
  }

 private:
  weft::ProcessGroup group_ = weft::init_process_group();
  std::optional<weft::training::DistributedDataParallel> parallel_;
};
