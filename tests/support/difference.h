// How far tensors are apart.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "weft/core/state_dict.h"
#include "weft/core/tensor.h"

namespace support {

/// The largest |a - b| of two elements; 1e9 where a has a NaN.
inline double largest_difference(const weft::Tensor& a, const weft::Tensor& b) {
  const auto u = a.to_vector<double>(), v = b.to_vector<double>();
  REQUIRE(u.size() == v.size());
  double most = 0;
  for (size_t i = 0; i < u.size(); ++i) most = std::max(most, std::isnan(u[i]) ? 1e9 : std::fabs(u[i] - v[i]));
  return most;
}

/// The largest of all tensors of a, which b must have, too.
inline double largest_difference(const weft::StateDict& a, const weft::StateDict& b) {
  double most = 0;
  for (const auto& [name, t] : a) {
    REQUIRE(b.contains(name));
    most = std::max(most, largest_difference(t, *b.find(name)));
  }
  return most;
}

}  // namespace support
