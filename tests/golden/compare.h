// The schema's comparison of a result with an expected tensor.
// Knows tensors; knows no cases.
#pragma once

#include <string>

#include "weft/core/tensor.h"

namespace golden {

struct Tolerance {
  double rtol = 0, atol = 0;
};

/// Empty if `got` equals `want`: same shape, |got - want| <= atol + rtol * |want| for every element in f64, NaN equal
/// to NaN, infinities of one sign equal. Otherwise what differs: how many elements, the worst one and both values.
std::string difference(const weft::Tensor& got, const weft::Tensor& want, Tolerance t);

/// Empty if every element is zero.
std::string not_zero(const weft::Tensor& got);

}  // namespace golden
