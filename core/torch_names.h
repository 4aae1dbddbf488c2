// PyTorch's C++ names of dtypes, devices and options: `x.to(kFloat64)`, `zeros({2}, dtype(kInt64).device(kCUDA))`.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

inline constexpr Dtype kFloat32 = Dtype::f32, kFloat = Dtype::f32, kFloat64 = Dtype::f64, kDouble = Dtype::f64;
inline constexpr Dtype kFloat16 = Dtype::f16, kHalf = Dtype::f16, kBFloat16 = Dtype::bf16;
inline constexpr Dtype kInt8 = Dtype::i8, kChar = Dtype::i8, kUInt8 = Dtype::u8, kByte = Dtype::u8;
inline constexpr Dtype kInt16 = Dtype::i16, kShort = Dtype::i16, kUInt16 = Dtype::u16;
inline constexpr Dtype kInt32 = Dtype::i32, kInt = Dtype::i32, kInt64 = Dtype::i64, kLong = Dtype::i64;
inline constexpr Dtype kBool = Dtype::boolean;
inline constexpr DeviceType kCPU = DeviceType::cpu, kCUDA = DeviceType::cuda;

/// Options with one thing said, to which others can be added.
inline TensorOptions dtype(Dtype t) { return TensorOptions(t); }
inline TensorOptions device(Device d) { return TensorOptions(d); }
inline TensorOptions requires_grad(bool on = true) { return TensorOptions().requires_grad(on); }

}  // namespace weft
