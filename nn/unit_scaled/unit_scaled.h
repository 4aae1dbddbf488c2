// Unit scaling: ops, layers, and the simulation of small number formats. Optimisers: optim/unit_scaled.h.
#pragma once

#include "weft/autograd/ops/elementwise/format.h"
#include "weft/autograd/ops/elementwise/scale.h"
#include "weft/nn/unit_scaled/conv.h"
#include "weft/nn/unit_scaled/functional.h"
#include "weft/nn/unit_scaled/layers.h"

/// Beside the plain layers: nn::unit_scaled::Conv2d.
namespace weft::nn {
namespace unit_scaled = weft::unit_scaled;
}
