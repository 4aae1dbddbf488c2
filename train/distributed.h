// Data-parallel training: every rank has the model and a share of the batch.
// Knows modules, optimisers and process groups; must not know how ranks are started.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "weft/distributed/process_group.h"
#include "weft/nn/module.h"
#include "weft/optim/optimizer.h"

namespace weft::training {

/// Options of DistributedDataParallel.
struct DistributedOptions {
  ProcessGroup group = {};
  double bucket_mb = 25;        ///< gradients go round in pieces of so many MiB, the first and the last of 1 at most
  bool broadcast_start = true;  ///< parameters and buffers of rank 0 replace the others' at the start
  /// Gradients of the backwards between two exchanges (no_sync) are added in pairs of neighbours, as the ranks' are,
  /// and not one after the other: m micro-batches on each of r ranks, with each loss divided by m, then give the same
  /// bits for every r and m of one product, where both are powers of two and gradients are f32 or f64. Rank k has
  /// micro-batches k m to k m + m - 1. Up to log2(m) + 1 gradients of each parameter are kept beside grad(); a grad()
  /// that is changed or taken away in between (zero_grad) drops them.
  bool pairwise_accumulation = false;
};

/// Averages gradients over the ranks of a group while backward runs: when it returns, every rank's gradients are the
/// mean of all, the same bits everywhere, whatever the buckets.
///     const ProcessGroup group = init_process_group();
///     training::DistributedDataParallel parallel(model, {.group = group});
///     for (...) { opt.zero_grad(); loss(model(x), y).backward(); opt.step(); }
/// The model is used as before. Gradients are collected in buckets, in the order in which rank 0 met them in its first
/// backward; a full one goes round while the rest is computed. Afterwards gradients are views of the buckets, and stay
/// so under `zero_grad(false)`. A parameter that some ranks do not use counts as 0 there; one that no rank uses keeps
/// the gradient that it had. Gradients of several backwards add up as without it; `no_sync` keeps them on the rank
/// until the next backward outside of it. Hooks, autocast, checkpointing, GradScaler and clipping work as on one rank;
/// the norm of the averaged gradients is the same everywhere.
///
/// Batch norms see their own rank's batch unless they have a group (convert_sync_batchnorm). Buffers stay each rank's
/// own; `broadcast_buffers` makes them rank 0's, before evaluating or saving.
///
/// Errors: ValueError where the ranks' parameters or buffers differ in names, shapes or dtypes (it names the first),
/// for a model without parameters that require grad, and for a bucket_mb that is not positive; CommError, from
/// backward, as the group: no gradient has changed then (over NCCL it may come from the next call or reading of a value,
/// see docs/guide/distributed.md). NotSupported for backward with create_graph, and for a second
/// backward before the first has ended. Move the model to its device and dtype before it is wrapped.
class WEFT_API DistributedDataParallel {
 public:
  explicit DistributedDataParallel(const nn::Module& model, DistributedOptions o = {});
  ~DistributedDataParallel();
  DistributedDataParallel(DistributedDataParallel&&) noexcept;
  DistributedDataParallel& operator=(DistributedDataParallel&&) noexcept;

  /// While it lives, backward keeps gradients on the rank: all but the last of several micro-batches.
  ///     { auto local = parallel.no_sync(); first_loss.backward(); }
  ///     second_loss.backward();
  class WEFT_API NoSync {
   public:
    ~NoSync();
    NoSync(const NoSync&) = delete;
    NoSync& operator=(const NoSync&) = delete;

   private:
    friend class DistributedDataParallel;
    explicit NoSync(bool& sync);
    bool &sync_, before_;
  };
  [[nodiscard]] NoSync no_sync();
  /// Buffers of rank `root`, on every rank.
  void broadcast_buffers(int root = 0) const;
  /// The names of the parameters in each bucket, in the order in which they go round.
  std::vector<std::vector<std::string>> buckets() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// ZeRO, stage 1 (Rajbhandari et al. 2020): each rank keeps the state of its share of an optimiser's parameters and
/// steps them; then all ranks have each other's. Parameters have the bits that they would have without it. The
/// optimiser is used as before, by schedules and a GradScaler too; gradients must be the same on every rank
/// (DistributedDataParallel), and every rank calls step.
///     training::ZeroRedundancy zero(opt, group);
/// Shares are runs of parameters of about the same number of elements. Groups are added before it is made.
/// Errors: NotSupported for L-BFGS, whose state is of all parameters together; ValueError for an optimiser that has
/// stepped, or is in another one.
class WEFT_API ZeroRedundancy {
 public:
  explicit ZeroRedundancy(optim::Optimizer& opt, const ProcessGroup& group);
  ~ZeroRedundancy();
  ZeroRedundancy(const ZeroRedundancy&) = delete;
  ZeroRedundancy& operator=(const ZeroRedundancy&) = delete;
  /// The state of all parameters, as the optimiser alone would save it: for checkpoints that any number of ranks, or
  /// one process, reads. Every rank calls it.
  StateDict state_dict() const;
  /// This rank's share alone, for a file of its own where the whole does not fit into one rank's memory. Every rank
  /// calls it.
  StateDict shard_state_dict() const;
  /// The whole state of all its shards, in any order: for any number of ranks, or one process. ValueError for one that
  /// is missing or there twice.
  static StateDict merge(const std::vector<StateDict>& shards);
  /// Loads a whole state, of which each rank keeps its share. Every rank calls it. ValueError where a share does not
  /// fit, and for a shard; no rank has changed then.
  void load_state_dict(const StateDict& whole);
  /// The rank that steps each parameter, in the optimiser's order.
  const std::vector<int>& owners() const;

 private:
  struct State;
  optim::Optimizer& opt_;
  std::shared_ptr<State> state_;
};

/// Gives every batch norm below the group, so that ranks' batches count together in training. Returns how many there
/// were. PyTorch's convert_sync_batchnorm, in place.
WEFT_API int64_t convert_sync_batchnorm(const nn::Module& model, const ProcessGroup& group);

}  // namespace weft::training
