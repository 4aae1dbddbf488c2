// What kernels get: views with other axes, and copies in the order that a kernel needs.
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "weft/core/dense_copy.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

using namespace weft;

namespace {

/// Memory as the scratch of a backend is.
struct Memory {
  std::vector<float> v;
  void reset(size_t bytes) { v.assign(bytes / sizeof(float), -1.0f); }
  void* as() { return v.data(); }
};
void copy(const MutTensorRef& dst, const TensorRef& src) { kernels::copy(DeviceType::cpu, dst, src); }

}  // namespace

TEST_SUITE_BEGIN("tensor_ref");

TEST_CASE("a view with other axes, from any element on") {
  Tensor x = arange(24.0f).reshape({2, 3, 4});
  const int64_t shape[] = {3, 2}, strides[] = {4, 1};
  const MutTensorRef r = seen_as(mut_ref(x), shape, strides, 2, 13);
  CHECK(r.rank == 2);
  CHECK(r.numel == 6);
  CHECK(r.offset == 13);
  CHECK(r.storage == x.impl()->storage.get());
  CHECK(r.as<float>()[r.stride(0)] == 17);
  r.as_mut<float>()[0] = -5;
  CHECK(x.select(0, 1).select(0, 0).select(0, 1).item<float>() == -5);
}

TEST_CASE("memory of no tensor, and an undefined tensor") {
  double v[] = {1, 2, 3};
  const int64_t shape[] = {3}, one[] = {1};
  const MutTensorRef r = mut_ref(v, Dtype::f64, shape, one, 1);
  CHECK(r.mut == v);
  CHECK(r.data == v);
  CHECK(r.numel == 3);
  CHECK(r.storage == nullptr);
  CHECK(ref(v, Dtype::f64, shape, one, 0).numel == 1);
  CHECK_FALSE(ref(Tensor()).defined());
}

TEST_CASE("an order that is there is not copied, another one is") {
  const Tensor x = arange(24.0f).reshape({1, 2, 3, 4}), last = x.contiguous(MemoryFormat::channels_last);
  Memory m;
  CHECK(dense_contiguous(ref(x), Dtype::f32, m, copy) == x.raw_data());
  CHECK(dense_channels_last(ref(last), Dtype::f32, m, copy) == last.raw_data());
  CHECK(m.v.empty());

  const void* copied = dense_channels_last(ref(x), Dtype::f32, m, copy);
  CHECK(copied == m.as());
  const float* stored = static_cast<const float*>(last.raw_data());
  CHECK(m.v == std::vector<float>(stored, stored + 24));
  copied = dense_contiguous(ref(last), Dtype::f32, m, copy);
  CHECK(copied == m.as());
  CHECK(m.v[23] == 23);
  CHECK(m.v[1] == 1);
}

TEST_CASE("copies convert, axes of size 1 have any stride, undefined is null") {
  const Tensor i = arange(4).to(Dtype::i32);
  Memory m;
  const void* copied = dense_contiguous(ref(i), Dtype::f32, m, copy);
  CHECK(copied == m.as());
  CHECK(m.v == std::vector<float>{0, 1, 2, 3});
  const int64_t shape[] = {1, 4}, strides[] = {77, 1};
  const float v[] = {1, 2, 3, 4};
  CHECK(dense_contiguous(ref(v, Dtype::f32, shape, strides, 2), Dtype::f32, m, copy) == v);
  CHECK(dense_contiguous(TensorRef(), Dtype::f32, m, copy) == nullptr);
}

TEST_SUITE_END();
