// What libweft and its CUDA plugin agree on. Knows no CUDA.
#pragma once

namespace weft::cuda {

inline constexpr const char* kPluginName = "libweft_cuda.so";
inline constexpr const char* kRegisterName = "weft_register";
/// Raised with every change of what the plugin sees of libweft: kernel signatures, Backend, Tensor.
inline constexpr int kAbi = 2;
/// Sets the kernels and registers the backend; says what is missing otherwise, null when all is well.
using Register = const char* (*)(int abi);

}  // namespace weft::cuda
