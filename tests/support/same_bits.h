// For tests of kernels beside the CPU's: samples of any dtype, and equality to the bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "support/strided.h"
#include "weft/autograd/ops/random.h"

namespace support {

/// Small halves of integers, or integers, some of them equal; bool: both. The same for the same seed.
inline weft::Tensor sample(const weft::Shape& shape, weft::Dtype dtype, uint64_t seed = 1) {
  weft::Tensor x = weft::empty(shape, {weft::Dtype::f32});
  float* v = static_cast<float*>(x.mut_raw_data());
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (int64_t i = 0; i < x.numel(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto k = static_cast<int>(state >> 40 & 0xff);
    v[i] = dtype == weft::Dtype::boolean ? static_cast<float>(k % 2)
           : dtype == weft::Dtype::u8    ? static_cast<float>(k)
           : weft::is_integral(dtype)    ? static_cast<float>(k - 128)
                                         : static_cast<float>(k - 128) / 2;
  }
  return x.to(dtype);
}

/// i64 or i32 numbers in [low, high).
inline weft::Tensor sample_index(const weft::Shape& shape, int64_t low, int64_t high,
                                 weft::Dtype dtype = weft::Dtype::i64, uint64_t seed = 1) {
  weft::Tensor x = weft::empty(shape, {weft::Dtype::i64});
  auto* v = static_cast<int64_t*>(x.mut_raw_data());
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (int64_t i = 0; i < x.numel(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    v[i] = low + static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(high - low));
  }
  return x.to(dtype);
}

/// Two tensors of one shape and dtype hold the same bits, whatever their layout and device. A NaN is any NaN: which
/// bits it has differs between processors and cards.
inline bool same_bits(const weft::Tensor& a, const weft::Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const weft::Tensor x = a.detach().to(weft::Device()).contiguous(), y = b.detach().to(weft::Device()).contiguous();
  if (x.numel() == 0 || std::memcmp(x.raw_data(), y.raw_data(), x.nbytes()) == 0) return true;
  if (!weft::is_floating(x.dtype())) return false;
  const std::vector<double> u = x.to(weft::Dtype::f64).to_vector<double>(),
                            v = y.to(weft::Dtype::f64).to_vector<double>();
  return std::equal(u.begin(), u.end(), v.begin(), [](double p, double q) {
    return std::isnan(p) ? std::isnan(q) : p == q && std::signbit(p) == std::signbit(q);
  });
}

/// A new tensor of the same shape, dtype and strides with the same elements.
inline weft::Tensor twin(const weft::Tensor& x) { return with_strides(x, x.strides()); }

}  // namespace support
