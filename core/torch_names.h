// PyTorch's C++ names of dtypes and devices: `x.to(kFloat64)`, `zeros({2}, kInt64)`, `x.to(kCUDA)`.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// torch::kFloat32 and its like.
inline constexpr Dtype kFloat32 = Dtype::f32, kFloat = Dtype::f32, kFloat64 = Dtype::f64, kDouble = Dtype::f64;
inline constexpr Dtype kFloat16 = Dtype::f16, kHalf = Dtype::f16, kBFloat16 = Dtype::bf16;
inline constexpr Dtype kInt8 = Dtype::i8, kChar = Dtype::i8, kUInt8 = Dtype::u8, kByte = Dtype::u8;
inline constexpr Dtype kInt16 = Dtype::i16, kShort = Dtype::i16, kUInt16 = Dtype::u16;
inline constexpr Dtype kInt32 = Dtype::i32, kInt = Dtype::i32, kInt64 = Dtype::i64, kLong = Dtype::i64;
inline constexpr Dtype kBool = Dtype::boolean;
inline constexpr DeviceType kCPU = DeviceType::cpu, kCUDA = DeviceType::cuda;

}  // namespace weft
