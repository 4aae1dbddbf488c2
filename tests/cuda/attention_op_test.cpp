// scaled_dot_product_attention where a device has the kernel: on the lent device, whose memory the emulation reaches.
#include "cuda/against_cpu.h"
#include "support/lent_device.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/attention.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/backends/cuda/attention.cuh"
#include "weft/backends/cuda/attention_grad.cuh"
#include "weft/core/generator.h"

namespace {

using namespace weft;
using support::difference;

const Device kDevice(DeviceType::custom);

/// The lent device has the kernels until the end of the scope.
struct WithKernels {
  WithKernels() {
    support::lend_cpu();
    kernels::attention.set(kDevice.type, cuda::attention, cuda::kAttentionDtypes);
    kernels::attention_backward.set(kDevice.type, cuda::attention_backward, cuda::kAttentionDtypes);
  }
  ~WithKernels() {
    kernels::attention.set(kDevice.type, nullptr);
    kernels::attention_backward.set(kDevice.type, nullptr);
  }
};

struct Result {
  Tensor y;
  std::vector<Tensor> first, second;  // derivatives
  int64_t launches;                   // of emulated kernels
};

/// The op on `device` in `dtype`, its gradients, and (`twice`) gradients of a function of these.
Result run(Device device, Dtype dtype, const std::vector<Shape>& shapes, AttentionOptions o, bool twice = false) {
  std::vector<Tensor> x;
  for (size_t i = 0; i < 3; ++i) {
    Generator g(i + 1);
    x.push_back(randn(shapes[i], Dtype::f32, &g).to(dtype).to(device).set_requires_grad());
  }
  if (o.attn_mask.defined()) o.attn_mask = o.attn_mask.to(device);
  manual_seed(7);
  const int64_t before = cuda_emulator::launches();
  Result r;
  r.y = scaled_dot_product_attention(x[0], x[1], x[2], o);
  Generator g(9);
  const Tensor upstream = randn(r.y.shape(), Dtype::f32, &g).to(r.y.dtype()).to(device).set_requires_grad();
  r.first = grad({r.y}, x, {.create_graph = twice, .grad_outputs = {upstream}});
  r.launches = cuda_emulator::launches() - before;
  if (twice) {
    Tensor total = sum(r.first[0] * r.first[1].sum() * 0.1) + sum(square(r.first[2]));
    r.second = grad({total}, {x[0], x[1], x[2], upstream});
  }
  return r;
}

/// Compares with the CPU in f64; `kernels`: how many must have been launched.
void check_op(const std::vector<Shape>& shapes, const AttentionOptions& o, int64_t kernels = 4, bool twice = false,
              Dtype dtype = Dtype::f32) {
  AttentionOptions wide = o;
  if (o.attn_mask.defined() && o.attn_mask.is_floating()) wide.attn_mask = o.attn_mask.to(Dtype::f64);
  const Result a = run(kDevice, dtype, shapes, o, twice), b = run({}, Dtype::f64, shapes, wide, twice);
  CHECK(a.launches == kernels);
  CHECK(a.y.shape() == b.y.shape());
  // the sums of f32 at these sizes; a function of gradients is some ten times as large
  CHECK(difference(a.y, b.y) <= 1e-5);
  for (size_t i = 0; i < a.first.size(); ++i) CHECK(difference(a.first[i], b.first[i]) <= 2e-5);
  for (size_t i = 0; i < a.second.size(); ++i) CHECK(difference(a.second[i], b.second[i], 10) <= 1e-4);
}

}  // namespace

TEST_SUITE("cuda attention op") {
  TEST_CASE("shapes, shared heads and masks of every form") {
    const WithKernels on;
    const std::vector<Shape> usual{{2, 4, 9, 8}, {2, 4, 13, 8}, {2, 4, 13, 6}};
    check_op({{9, 8}, {13, 8}, {13, 6}}, {});
    check_op({{3, 9, 8}, {3, 13, 8}, {3, 13, 6}}, {.is_causal = true});
    check_op(usual, {.scale = 0.3});
    check_op({{2, 4, 9, 8}, {2, 2, 13, 8}, {2, 2, 13, 6}}, {.is_causal = true, .enable_gqa = true});
    check_op({{2, 4, 9, 8}, {1, 13, 8}, {13, 6}}, {});                                  // keys for all
    check_op({{2, 3, 4, 9, 8}, {3, 4, 13, 8}, {2, 1, 4, 13, 6}}, {.is_causal = true});  // samples in two axes
    for (const Shape& s : {Shape{9, 13}, Shape{13}, Shape{9, 1}, Shape{2, 1, 1, 13}, Shape{4, 1, 13}, Shape{1, 4, 9, 1},
                           Shape{2, 4, 9, 13}}) {
      CAPTURE(s);
      Generator g(5);
      const Tensor mask = randn(s, Dtype::f32, &g);
      check_op(usual, {.attn_mask = gt(mask, 0)});
      check_op(usual, {.attn_mask = mask});
      check_op(usual, {.attn_mask = where(gt(mask, 0), mask, -INFINITY)});
    }
  }

  TEST_CASE("what the kernel does not take is made of ops") {
    const WithKernels on;
    const std::vector<Shape> usual{{2, 4, 9, 8}, {2, 4, 13, 8}, {2, 4, 13, 6}};
    check_op(usual, {}, 0, false, Dtype::f64);
    check_op(usual, {.attn_mask = zeros({9, 13}).set_requires_grad()}, 0);
    check_op(usual, {.scale = -1}, 0);
    check_op({{1, 1, 3, 257}, {1, 1, 4, 257}, {1, 1, 4, 6}}, {}, 0);
    check_op({{1, 4, 9, 8}, {2, 4, 13, 8}, {2, 4, 13, 6}}, {}, 0);                    // more samples of keys
    check_op({{1, 4, 9, 8}, {1, 2, 13, 8}, {1, 4, 13, 6}}, {.enable_gqa = true}, 0);  // heads of two numbers
    check_op({{4, 9, 8}, {4, 13, 8}, {4, 13, 6}}, {.attn_mask = ones({2, 1, 9, 13}, Dtype::boolean)}, 0);
    check_op({{2, 9, 8}, {2, 0, 8}, {2, 0, 6}}, {}, 0);
    CHECK_THROWS_AS(run(kDevice, Dtype::f32, {{4, 9, 8}, {3, 13, 8}, {3, 13, 6}}, {}), ShapeError);
    CHECK_THROWS_AS((void)scaled_dot_product_attention(zeros({1, 2, 8}, kDevice), zeros({1, 2, 8}), zeros({1, 2, 8})),
                    DeviceError);
  }

  TEST_CASE("a second derivative is made of ops, with the weights that the kernel dropped") {
    const WithKernels on;
    for (const double p : {0.0, 0.3})
      for (const bool causal : {false, true})
        check_op({{2, 4, 9, 8}, {2, 2, 13, 8}, {2, 2, 13, 6}},
                 {.dropout_p = p, .is_causal = causal, .enable_gqa = true}, 1, true);
  }

  TEST_CASE("dropout takes as many random numbers as the ops do") {
    const WithKernels on;
    const std::vector<Shape> shapes{{2, 4, 9, 8}, {2, 4, 13, 8}, {2, 4, 13, 6}};
    check_op(shapes, {.dropout_p = 0.4});
    (void)run(kDevice, Dtype::f32, shapes, {.dropout_p = 0.4});
    const Generator::State after = default_generator().state();
    (void)run({}, Dtype::f32, shapes, {.dropout_p = 0.4});
    CHECK(default_generator().state() == after);
  }

  TEST_CASE("only the gradients that are wanted") {
    const WithKernels on;
    const Tensor q = randn({1, 2, 9, 8}).to(kDevice), k = randn({1, 2, 9, 8}).to(kDevice).set_requires_grad();
    const int64_t before = cuda_emulator::launches();
    const Tensor y = scaled_dot_product_attention(q, q, k);
    y.backward(ones(y.shape(), kDevice));
    CHECK(cuda_emulator::launches() - before == 2);  // the values' gradient needs one kernel
    CHECK(k.grad().defined());
  }

  TEST_CASE("autocast: halves go to the kernel, f32 masks with them") {
    const WithKernels on;
    Generator g(3);
    const Tensor x = randn({1, 2, 9, 8}, Dtype::f32, &g).to(kDevice).set_requires_grad();
    const Tensor mask = randn({9, 9}, Dtype::f32, &g).to(kDevice);
    const auto call = [&] { return scaled_dot_product_attention(x, x * 0.5, x, {.attn_mask = mask}); };
    const Tensor want = call();
    const Autocast cast(Dtype::bf16, kDevice);
    const int64_t before = cuda_emulator::launches();
    const Tensor y = call();
    CHECK(cuda_emulator::launches() - before == 1);
    CHECK(y.dtype() == Dtype::bf16);
    CHECK(difference(y, want) <= 4 * support::epsilon(Dtype::bf16));
    const std::vector<Tensor> a = grad({sum(y)}, {x}, {.create_graph = true}), b = grad({sum(want)}, {x});
    CHECK(a[0].dtype() == Dtype::f32);
    CHECK(difference(a[0], b[0]) <= 8 * support::epsilon(Dtype::bf16));
  }

  TEST_CASE("what stays made of ops goes in pieces that fit the device's free memory") {
    const WithKernels on;
    support::CountingBackend& card = support::counting();
    struct Restore {
      support::CountingBackend& card;
      size_t active = card.active;
      ~Restore() { card.memory = 0, card.active = active; }
    } restore{card};
    const Tensor q = randn({5, 1025, 1}, Dtype::f64), on_card = q.to(kDevice);  // 2^22.3 scores
    const Tensor want = scaled_dot_product_attention(q, q, q);
    const auto launches = [&](size_t memory, size_t used, double p) {
      card.memory = memory, card.active = restore.active + used;
      Tensor y;
      const size_t n = support::counts_of(card, [&] {
                         y = scaled_dot_product_attention(on_card, on_card, on_card, {.dropout_p = p});
                       }).launches;
      card.active = restore.active;
      if (p == 0) CHECK(difference(y, want) <= 1e-12);
      return n;
    };
    constexpr size_t kLarge = size_t{1} << 31, kSmall = size_t{1} << 27;
    const size_t whole = launches(kLarge, 0, 0), pieces = launches(kSmall, 0, 0);
    CHECK(pieces > 2 * whole);
    CHECK(launches(0, 0, 0) == pieces);  // a device that does not say
    CHECK(launches(kLarge, kLarge - kSmall, 0) == pieces);
    CHECK(launches(kLarge, 2 * kLarge, 0) == pieces);  // others use it as well
    // the random numbers of pieces are the same, whatever else is in memory
    CHECK(launches(kLarge, kLarge - kSmall, 0.5) == launches(kLarge, 0, 0.5));
  }

  TEST_CASE("what was saved must not have changed") {
    const WithKernels on;
    Tensor mask = ones({9, 9}, Dtype::boolean).to(kDevice);
    const Tensor x = randn({1, 2, 9, 8}).to(kDevice).set_requires_grad();
    const Tensor y = scaled_dot_product_attention(x, x, x, {.attn_mask = mask});
    mask.fill_(false);
    CHECK_THROWS_WITH_AS(sum(y).backward(), doctest::Contains("scaled_dot_product_attention: attn_mask"), Error);
  }
}
