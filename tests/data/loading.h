// Datasets for tests of the loader, and what its batches hold.
#pragma once

#include <string>
#include <vector>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/data/loader.h"

namespace loading {

using namespace weft;

struct Plain {
  int64_t n = 10;
  int64_t size() const { return n; }
  data::Example get(int64_t i) const { return {full({2}, i, Dtype::f32), tensor(i), "file " + std::to_string(i)}; }
};
/// Draws from both generators, so many numbers that samples would mix if they shared one.
struct Noise {
  int64_t n = 10;
  int64_t size() const { return n; }
  Tensor get(int64_t i, Generator& g) const {
    const Tensor x = cat({rand({2 + i}, {}, &g), rand({3})});
    return cat({x.narrow(0, 0, 2), x.narrow(0, x.size(0) - 3, 3), full({1}, i)});
  }
};

template <class L> std::vector<std::vector<double>> epoch(L& loader) {
  std::vector<std::vector<double>> batches;
  for (const auto& batch : loader) batches.push_back(batch.template to_vector<double>());
  return batches;
}
using Labels = std::vector<std::vector<int64_t>>;
inline Labels labels(data::Loader<Plain>& loader) {
  Labels batches;
  for (const auto& batch : loader) batches.push_back(batch.target.to_vector<int64_t>());
  return batches;
}

}  // namespace loading
