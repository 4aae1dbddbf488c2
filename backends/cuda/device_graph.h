// Work of a card that starts at once: CUDA's graphs.
#pragma once

#include <functional>
#include <memory>

#include "weft/core/backend.h"

namespace weft::cuda {

/// See Backend::make_graph.
std::unique_ptr<DeviceGraph> make_graph(int device, const std::function<void()>& work);

}  // namespace weft::cuda
