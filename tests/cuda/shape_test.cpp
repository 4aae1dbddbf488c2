// Moves of memory on a card beside the CPU's, to the bit.
#include <doctest/doctest.h>

#include "support/same_bits.h"
#include "weft/backends/cuda/shape.cuh"
#include "weft/core/kernels.h"

namespace {

using namespace weft;
using support::same_bits;
using support::sample;

constexpr Dtype kOfEachSize[] = {Dtype::u8, Dtype::bf16, Dtype::f32, Dtype::f64};

PadParams pads(const Shape& shape, PadMode mode, std::initializer_list<std::pair<int64_t, int64_t>> by) {
  PadParams p;
  p.mode = mode;
  p.value = 3;
  p.rank = shape.size();
  int i = 0;
  for (const auto& [lo, hi] : by) {
    p.axis[i] = {shape[i], lo, hi};
    ++i;
  }
  return p;
}

Shape padded(const PadParams& p) {
  Shape s;
  for (int i = 0; i < p.rank; ++i) s.push_back(p.axis[i].out());
  return s;
}

void check_pad(const Tensor& x, const PadParams& p, bool last) {
  Tensor expected = empty(padded(p), x.options()), got = expected.clone();
  if (last) expected = support::channels_last(expected), got = support::channels_last(got);
  kernels::pad({}, mut_ref(expected), ref(x), p);
  dispatch_all(x.dtype(), "pad", [&]<class T> { cuda::pad<T>(mut_ref(got), ref(x), p, Scalar(p.value).to<T>()); });
  CHECK(same_bits(got, expected));
  if (x.dtype() != Dtype::f32 && x.dtype() != Dtype::f64) return;
  const Tensor g = sample(padded(p), x.dtype(), 5), from = last ? support::channels_last(g) : g;
  Tensor want = empty(x.shape(), x.options());
  if (last) want = support::channels_last(want);
  Tensor have = support::twin(want);
  kernels::pad_backward({}, mut_ref(want), ref(from), p);
  if (x.dtype() == Dtype::f32) cuda::pad_backward<float>(mut_ref(have), ref(from), p);
  else cuda::pad_backward<double>(mut_ref(have), ref(from), p);
  CHECK(same_bits(have, want));
}

SlidingBlocks blocks(int64_t h, int64_t w, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  SlidingBlocks b;
  const int64_t size[2] = {h, w};
  for (int d = 0; d < 2; ++d) {
    b.size[d] = size[d], b.kernel[d] = kernel + d, b.stride[d] = stride, b.padding[d] = padding,
    b.dilation[d] = dilation;
    b.out[d] = (size[d] + 2 * padding - dilation * (b.kernel[d] - 1) - 1) / stride + 1;
  }
  return b;
}

}  // namespace

TEST_SUITE("cuda shape") {
  TEST_CASE("cat") {
    for (const Dtype d : kOfEachSize)
      for (int dim = 0; dim < 3; ++dim) {
        Shape shape{3, 5, 7};
        shape[dim] = 4;
        const Tensor a = sample({3, 5, 7}, d, 1), b = support::scattered(sample(shape, d, 2));
        shape[dim] = 0;
        const Tensor none = sample(shape, d, 3);
        shape = {3, 5, 7};
        shape[dim] += shape[dim] + 4;
        const TensorRef in[] = {ref(a), ref(none), ref(b), ref(a)};
        Tensor expected = empty(shape, {d}), got = support::channels_last(zeros(shape, {d}));
        kernels::cat({}, mut_ref(expected), in, 4, dim);
        cuda::cat(mut_ref(got), in, 4, dim);
        CHECK(same_bits(got, expected));
      }
  }

  TEST_CASE("pad and its adjoint, every mode") {
    const Shape shape{2, 3, 5, 33};
    for (const Dtype d : kOfEachSize)
      for (const bool last : {false, true}) {
        const Tensor plain = sample(shape, d), x = last ? support::channels_last(plain) : plain;
        check_pad(x, pads(shape, PadMode::constant, {{0, 0}, {1, 2}, {-1, 3}, {4, -7}}), last);
        check_pad(x, pads(shape, PadMode::constant, {{0, 0}, {0, 0}, {0, 0}, {-40, 20}}), last);
        check_pad(x, pads(shape, PadMode::reflect, {{0, 0}, {0, 0}, {4, 1}, {2, 32}}), last);
        check_pad(x, pads(shape, PadMode::replicate, {{0, 0}, {1, 0}, {7, -2}, {-3, 9}}), last);
        check_pad(x, pads(shape, PadMode::circular, {{0, 0}, {0, 0}, {5, 2}, {-3, 30}}), last);
      }
    const Tensor one = sample({1}, Dtype::f32);
    check_pad(one, pads({1}, PadMode::replicate, {{1000, 25}}), false);
    const Tensor none = sample({0}, Dtype::f32);
    check_pad(none, pads({0}, PadMode::constant, {{2, 1}}), false);
  }

  TEST_CASE("triangle") {
    for (const Dtype d : kOfEachSize)
      for (const int64_t diagonal : {-40, -1, 0, 2, 40})
        for (const bool lower : {false, true}) {
          const Tensor x = support::scattered(sample({3, 31, 33}, d));
          Tensor expected = empty(x.shape(), {d}), got = empty(x.shape(), {d});
          kernels::triangle({}, mut_ref(expected), ref(x), diagonal, lower);
          dispatch_size(d, [&]<class T> { cuda::triangle<T>(mut_ref(got), ref(x), diagonal, lower); });
          CHECK(same_bits(got, expected));
        }
  }

  TEST_CASE("unfold and fold") {
    for (const auto& b : {blocks(9, 13, 1, 1, 0, 1), blocks(9, 13, 3, 1, 1, 1), blocks(10, 7, 2, 2, 2, 2),
                          blocks(33, 31, 3, 3, 0, 3), blocks(1, 2, 1, 5, 3, 1)}) {
      const Shape image{2, 3, b.size[0], b.size[1]}, columns{2, 3 * b.kernel[0] * b.kernel[1], b.out[0] * b.out[1]};
      for (const Dtype d : kOfEachSize) {
        const Tensor x = support::scattered(sample(image, d));
        Tensor expected = empty(columns, {d}), got = empty(columns, {d});
        kernels::unfold({}, mut_ref(expected), ref(x), b);
        dispatch_size(d, [&]<class T> { cuda::unfold<T>(mut_ref(got), ref(x), b); });
        CHECK(same_bits(got, expected));
        if (d != Dtype::f32 && d != Dtype::f64) continue;
        const Tensor g = sample(columns, d, 4);
        Tensor want = empty(image, {d}), have = empty(image, {d});
        kernels::fold({}, mut_ref(want), ref(g), b);
        if (d == Dtype::f32) cuda::fold<float>(mut_ref(have), ref(g), b);
        else cuda::fold<double>(mut_ref(have), ref(g), b);
        CHECK(same_bits(have, want));
      }
    }
  }
}
