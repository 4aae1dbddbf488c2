// The kernels of a function as a list that runs without the function: what nn::capture makes of a Recording. Constants
// are folded, neighbours fused (core/graph_fuse.cpp), memory is planned once; where the device makes graphs, calls
// start together (core/graph_join.cpp). Knows slots, no ops and no modules.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "weft/core/backend.h"
#include "weft/core/recording.h"

namespace weft::detail {

/// Joins calls that one kernel can do at once; new constants go to `blocks`. `same_bits`: only where that rounds alike.
void fuse(std::vector<GraphCall>& calls, std::vector<Block>& blocks, bool same_bits);

/// Joins elementwise calls over the same elements.
void chain(std::vector<GraphCall>& calls, const std::vector<Block>& blocks);

/// Runs what was recorded, for inputs of the recorded shapes, strides and dtypes. Any number of threads may run an
/// evaluation at the same time; each has memory of its own, which is kept.
class WEFT_API Graph {
 public:
  /// `results` are what the recorded function returned; they have no values, and are taken so that no handle is left.
  Graph(Recording& recording, std::vector<Tensor> results);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);
  /// Does it no longer stand for the function? A tensor that was there before has been written to; in a step of
  /// training: memory of before is of no tensor any more, contents of tensors changed places, a leaf has another
  /// gradient than the step went on from, what defers calls has gone. `held`: by how many graphs each of `states()` is
  /// held.
  bool stale(const std::vector<uint32_t>& held) const;
  /// The memory of before that a step of training reads and writes.
  const std::vector<const Storage*>& states() const { return states_; }
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
  };
  struct Place {  ///< an operand that changes from run to run
    const void** data;
    void** mut;
    int block;
    int64_t offset;
  };
  struct Draw {  ///< random numbers of a call
    Generator::State* from;
    uint64_t at;  ///< in those of the run
  };
  struct Joined {  ///< calls that start together
    size_t first, end;
    std::unique_ptr<DeviceGraph> graph;
  };
  struct Instance {
    Ref<Storage> arena, staging;
    void* queue = nullptr;
    std::vector<std::unique_ptr<RecordedCall>> calls;
    std::vector<Place> places;
    std::vector<Draw> draws;
    int until_join = -1;         ///< runs before calls are joined; -1: they are not, or have been
    std::vector<Joined> joined;  ///< in the order of the calls; ends before the memory that it works on
  };
  std::unique_ptr<Instance> instance();
  void drop_dead();
  void share_memory();
  void plan();
  void find_writes();
  void run_calls(const Instance& i);
  void join(Instance& i);
  bool joinable(const Instance& i, size_t call) const;
  size_t join_calls(Instance& i) const;
  static void point(const Instance& i, const auto& base_of) {
    for (const Place& p : i.places) {
      char* const at = static_cast<char*>(base_of(p.block)) + p.offset;
      *p.data = at;
      if (p.mut) *p.mut = at;
    }
  }
  void check_apart(const std::vector<Tensor>& inputs) const;

  std::vector<Block> blocks_;
  std::vector<std::pair<Ref<Storage>, uint32_t>> watched_;
  std::vector<const Storage*> states_;  ///< each held once, by its block
  std::vector<RecordedLeaf> leaves_;
  std::vector<std::function<bool()>> conditions_;
  uint64_t swaps_ = 0;
  std::vector<const Storage*> changed_;  ///< states that the step writes, sorted
  Generator::State drawn_from_;
  uint64_t drawn_ = 0;
  std::vector<GraphCall> calls_;
  std::vector<std::pair<size_t, Storage*>> writes_;  ///< call and the state that it writes, in the order of the calls
  std::vector<Result> results_;
  std::vector<int64_t> at_;  ///< of each temporary, in the arena; of each input and output, in the staging memory
  std::vector<int> outputs_;
  std::vector<int> staged_;  ///< inputs and outputs that calls use
  size_t arena_bytes_ = 0, staging_bytes_ = 0;
  Device device_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Instance>> idle_;
  size_t instances_ = 0;  ///< idle or not
};

}  // namespace weft::detail
