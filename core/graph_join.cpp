// Calls of a graph that start together, as a graph of the device.
#include "weft/core/error.h"
#include "weft/core/graph.h"

namespace weft::detail {
namespace {

// A graph's start takes the host about as long as two kernels'.
constexpr size_t kFewest = 3;
// Bytes that are copied for a kernel in graphs, at most: much less time than its start takes (docs/gpu.md).
constexpr size_t kStagedForKernel = size_t{1} << 20;

}  // namespace

// Everything that a call is given is the same in every run, but for random numbers and what is deferred (of no device).
bool Graph::joinable(const Instance& i, size_t call) const {
  RecordedCall& c = *i.calls[call];
  return c.device == device_ && !c.draw();
}

/// The number of kernels in all graphs. What a graph cannot hold stays a call between two.
size_t Graph::join_calls(Instance& it) const {
  const size_t n = it.calls.size();
  std::vector<char> alone(n);
  for (size_t i = 0; i < n; ++i) alone[i] = !joinable(it, i);
  size_t kernels = 0;
  for (size_t first = 0; first < n;) {
    size_t end = first, now = first;
    while (end < n && !alone[end]) ++end;
    if (end == first) {
      ++first;
      continue;
    }
    std::unique_ptr<DeviceGraph> graph;
    try {
      graph = backend(device_.type).make_graph(device_.index, [&] {
        for (; now < end; ++now) it.calls[now]->run();
      });
    } catch (const NotSupported&) {
      if (now == end) throw;
      alone[now] = 1;
      continue;
    }
    if (!graph) {
      it.until_join = 0;
      return 0;
    }
    if (graph->size() >= kFewest) {
      kernels += graph->size();
      it.joined.push_back({first, end, std::move(graph)});
    }
    first = end;
  }
  return kernels;
}

// Inputs and outputs get places that stay, to and from which a run copies.
void Graph::join(Instance& it) {
  const auto apart = [&] {
    it.joined.clear();
    it.staging = nullptr;
  };
  try {
    it.staging = make_ref<Storage>(staging_bytes_, device_);
    char* const base = static_cast<char*>(it.staging->data());
    point(it, [&](int block) { return base + at_[static_cast<size_t>(block)]; });
    if (join_calls(it) * kStagedForKernel <= staging_bytes_) apart();
  } catch (const OutOfMemory&) {  // without graphs it has run
    apart();
  } catch (...) {
    apart();
    it.until_join = 0;
    throw;
  }
}

}  // namespace weft::detail
