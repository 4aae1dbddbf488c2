// Ranks that work together, and how they exchange tensors.
// Knows tensors; must not know layers, nor how ranks are started (thread_group.h starts threads).
#pragma once

#include <memory>

#include "weft/core/tensor.h"

namespace weft {

/// One rank's end of a group of `size()` ranks. Every rank calls the same collectives in the same order (there are no
/// tags), with tensors of one size and dtype: f32, f64 or i64. The engine keeps that order in backward: it runs nodes
/// in falling order of their making. Calls block. Any strides and devices: what the group cannot reach goes through the
/// host.
/// Errors: CommError where ranks disagree (it names both calls) or another rank failed; DtypeError for other dtypes.
class WEFT_API ProcessGroup {
 public:
  virtual ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;
  /// This process's number, from 0; the number of ranks.
  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Every rank's x in rank order: [size(), x's shape...], on x's device.
  [[nodiscard]] Tensor all_gather(const Tensor& x);
  /// x = sum of every rank's x, added in rank order: the same bits on every rank.
  void all_reduce(Tensor& x);
  /// x = x of rank `root`. ValueError for a root outside of the group.
  void broadcast(Tensor& x, int root = 0);
  /// Returns when every rank has called it.
  void barrier();

  /// The four calls, as `run` sees them.
  enum class Collective : uint8_t { all_gather, all_reduce, broadcast, barrier };
  /// What one rank asks for: `count` elements at `in`; the result goes to `out`, which may be `in`.
  struct Request {
    Collective collective = Collective::barrier;  ///< which call
    Dtype dtype = Dtype::f32;                     ///< of the elements, the same on every rank
    int64_t count = 0;                            ///< elements of x
    int root = 0;                                 ///< of broadcast
    const void* in = nullptr;                     ///< the rank's x
    void* out = nullptr;                          ///< for the result; all_gather: size() * count elements
  };

 protected:
  /// Rank `rank` of `size`.
  ProcessGroup(int rank, int size) : rank_(rank), size_(size) {}
  /// Writes `out` only if all ranks have asked for the same.
  virtual void run(const Request& r) = 0;
  /// Memory that `run` can read and write.
  virtual bool reaches(DeviceType d) const { return d == DeviceType::cpu; }

 private:
  void run_in_place(const char* op, Request r, Tensor& x);
  Tensor reachable(const char* op, const Tensor& x) const;
  int rank_, size_;
};

/// The group of this process alone.
class WEFT_API SingleProcess final : public ProcessGroup {
 public:
  SingleProcess() : ProcessGroup(0, 1) {}

 private:
  void run(const Request& r) override;
};

}  // namespace weft
