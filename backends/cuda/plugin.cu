// The plugin's only exported name.
#include "weft/backends/cuda/abi.h"
#include "weft/backends/cuda/register.h"

extern "C" __attribute__((visibility("default"))) const char* weft_register(int abi) {
  using namespace weft::cuda;
  if (abi != kAbi) return "libweft_cuda.so belongs to another version of weft; build both from the same sources";
  // Kernels first: a table of them can be printed on a machine without a card.
  register_unary_0();
  register_unary_1();
  register_binary_0();
  register_binary_1();
  register_ternary();
  register_copy();
  register_random();
  register_format();
  register_optim();
  register_shape();
  register_index();
  register_index_sums();
  register_sort();
  register_gemm();
  register_conv();
  register_reduce();
  register_scan();
  register_softmax();
  register_loss();
  register_norm();
  register_row_norm();
  register_weight();
  register_pool();
  register_resample();
  register_encoding();
  register_rnn();
  register_attention();
  register_attention_grad();
  return register_services();
}
