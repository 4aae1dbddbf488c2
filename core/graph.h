// The kernels of a function as a list that runs without the function: what nn::capture makes of a Recording. Constants
// are folded, neighbours fused (core/graph_fuse.cpp), memory is planned once. Knows slots, no ops and no modules.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "weft/core/recording.h"

namespace weft::detail {

/// Joins calls that one kernel can do at once; new constants go to `blocks`.
void fuse(std::vector<GraphCall>& calls, std::vector<Block>& blocks);

/// Joins elementwise calls over the same elements.
void chain(std::vector<GraphCall>& calls, const std::vector<Block>& blocks);

/// Runs what was recorded, for inputs of the recorded shapes, strides and dtypes. Any number of threads may run it at
/// the same time; each has memory of its own, which is kept.
class WEFT_API Graph {
 public:
  /// `results` are what the recorded function returned; they have no values, and are taken so that no handle is left.
  Graph(Recording& recording, std::vector<Tensor> results);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);
  /// Has a tensor that was there before been written to since?
  bool stale() const;
  /// Bytes that one run takes beside inputs, results and constants.
  size_t bytes() const { return arena_bytes_; }
  /// The slot of each call, a line each.
  std::string str() const;

 private:
  struct Result {
    Use use;
    Shape shape;
    Strides strides;
    Dtype dtype;
    Device device;
    Tensor constant;  ///< a result that does not depend on the inputs
  };
  struct Place {  ///< an operand that changes from run to run
    const void** data;
    void** mut;
    int block;
    int64_t offset;
  };
  struct Instance {
    Ref<Storage> arena;
    void* queue = nullptr;
    std::vector<std::unique_ptr<RecordedCall>> calls;
    std::vector<Place> places;
  };
  std::unique_ptr<Instance> instance();
  void drop_dead();
  void share_memory();
  void plan();

  std::vector<Block> blocks_;
  std::vector<std::pair<Ref<Storage>, uint32_t>> watched_;
  std::vector<GraphCall> calls_;
  std::vector<Result> results_;
  std::vector<int64_t> at_;  ///< of each temporary, in the arena
  std::vector<int> outputs_;
  size_t arena_bytes_ = 0;
  Device device_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Instance>> idle_;
  size_t instances_ = 0;  ///< idle or not
};

}  // namespace weft::detail
