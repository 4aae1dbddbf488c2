// Comparing what an emulated kernel wrote with what the CPU's kernel wrote. Tensors are dense and of one layout.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "support/same_bits.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace support {

inline constexpr weft::Dtype kFloats[] = {weft::Dtype::f32, weft::Dtype::f64, weft::Dtype::bf16, weft::Dtype::f16};

/// Filled with bytes that make any float a NaN: what a kernel forgets to write shows.
inline weft::Tensor unwritten(const weft::Shape& shape, weft::Dtype d,
                              weft::MemoryFormat format = weft::MemoryFormat::contiguous) {
  weft::Tensor y = weft::empty(shape, d, format);
  std::memset(y.mut_raw_data(), d == weft::Dtype::boolean ? 1 : 0xff, y.nbytes());
  return y;
}

/// The largest |a - b| / (scale + |b|), infinite where one is NaN and the other not.
inline double difference(const weft::Tensor& a, const weft::Tensor& b, double scale = 1) {
  const std::vector<double> va = a.to_vector<double>(), vb = b.to_vector<double>();
  if (va.size() != vb.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t i = 0; i < va.size(); ++i) {
    if (va[i] == vb[i] || (std::isnan(va[i]) && std::isnan(vb[i]))) continue;
    const double d = std::fabs(va[i] - vb[i]) / (scale + std::fabs(vb[i]));
    if (!(d <= worst)) worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
  }
  return worst;
}

/// Distance of two neighbouring numbers at 1.
inline double epsilon(weft::Dtype d) {
  switch (d) {
    case weft::Dtype::f64: return 0x1p-52;
    case weft::Dtype::bf16: return 0x1p-7;
    case weft::Dtype::f16: return 0x1p-10;
    default: return 0x1p-23;
  }
}

}  // namespace support
