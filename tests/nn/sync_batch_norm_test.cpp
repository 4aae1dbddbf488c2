// One process: SyncBatchNorm as a layer, and its in-place activated mode. Over ranks: tests/distributed.
#include "weft/nn/sync_batch_norm.h"

#include "support.h"
#include "support/here.h"
#include "support/same_bits.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/norm.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/backend.h"
#include "weft/distributed/sync_batch_norm.h"
#include "weft/nn/conv.h"

using namespace weft;
using namespace weft::test;

namespace {

using AbnOptions = weft::SyncBatchNormOptions;
const AbnOptions kAbn{.training = true, .activation = Activation::leaky_relu, .slope = 0.2, .inplace = true};
const AbnOptions kPlain{.training = true, .activation = Activation::leaky_relu, .slope = 0.2};

/// x, weight (of both signs, away from 0) and bias as leaves.
struct AbnInputs {
  Tensor x, w, b;
  explicit AbnInputs(const Shape& shape, Dtype d = Dtype::f64) {
    manual_seed(7);
    x = here::randn(shape, Dtype::f64).to(d);
    const Tensor r = here::randn({shape[1]}, Dtype::f64);
    w = (r + sign(r) * 0.3).to(d);
    b = here::randn({shape[1]}, Dtype::f64).to(d);
    for (Tensor* t : {&x, &w, &b}) t->set_requires_grad();
  }
  Tensor abn(const Tensor& h, const AbnOptions& o = kAbn) const { return sync_batch_norm(h, {}, {}, w, b, o); }
};

/// Bytes that the graph of `blocks` layers holds after forward, and the most in use over forward and backward.
template <class Block> std::pair<size_t, size_t> memory_of(const std::vector<Block>& blocks, const Tensor& x) {
  const Device device = support::device();
  const auto run = [&] {
    Tensor h = x;
    for (const Block& b : blocks) h = b(h);
    const size_t kept = memory_stats(device).active;
    sum(h).backward();
    for (const Block& b : blocks)
      for (Tensor p : b.parameters()) p.zero_grad();
    return kept;
  };
  for (int i = 0; i < 2; ++i) run();  // caches fill; packed weights are kept from their second use on
  const size_t before = memory_stats(device).active;
  reset_peak_memory_stats(device);
  const size_t kept = run() - before;
  CHECK(memory_stats(device).active == before);  // the graph is gone
  return {kept, memory_stats(device).peak_active - before};
}

struct AbnBlock : nn::Module {
  explicit AbnBlock(bool inplace)
      : norm(add("norm", nn::SyncBatchNorm(16, {.activation = Activation::leaky_relu, .inplace = inplace}))) {}
  nn::Conv2d conv = add("conv", nn::Conv2d(16, 16, {.kernel_size = 1, .bias = false}));
  nn::SyncBatchNorm norm;
  Tensor operator()(const Tensor& x) const { return norm(conv(x)); }
};
struct BnBlock : nn::Module {
  nn::Conv2d conv = add("conv", nn::Conv2d(16, 16, {.kernel_size = 1, .bias = false}));
  nn::BatchNorm2d norm = add("norm", nn::BatchNorm2d(16));
  Tensor operator()(const Tensor& x) const { return leaky_relu(norm(conv(x))); }
};

}  // namespace

TEST_SUITE("sync batch norm") {
  TEST_CASE("printing, state and aliases") {
    CHECK(printed(nn::SyncBatchNorm(7, {.sync = false})) == "SyncBatchNorm(sync=False)");
    CHECK(printed(nn::SyncBatchNorm(7)) == "SyncBatchNorm(sync=True)");
    CHECK(printed(nn::SyncBatchNorm(7, {.sync = false, .activation = Activation::leaky_relu, .slope = 0.2})) ==
          "SyncBatchNorm(sync=False, act=leaky_relu, slope=0.2, inplace=True)");
    CHECK(printed(nn::DistSyncBatchNorm(9)) ==
          "DistSyncBatchNorm(9, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)");
    CHECK(keys(nn::DistSyncBatchNorm(3)) ==
          "weight [3], bias [3], running_mean [3], running_var [3], num_batches_tracked []");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    CHECK(keys(nn::encoding::BatchNorm2d(3)) == keys(nn::SyncBatchNorm(3)));
    CHECK(nn::encoding::BatchNorm1d(2)(ones({2, 2, 3, 4})).shape() == Shape{2, 2, 3, 4});  // no rank is checked
#pragma GCC diagnostic pop
  }

  TEST_CASE("errors") {
    CHECK(
        has(message([] { nn::SyncBatchNorm(3, {.activation = Activation::relu}); }), {"SyncBatchNorm", "activation"}));
    CHECK(has(message([] { nn::DistSyncBatchNorm(3, {.activation = Activation::leaky_relu, .slope = 0}); }),
              {"DistSyncBatchNorm", "slope=0", "inplace"}));
    nn::SyncBatchNorm(3, {.activation = Activation::leaky_relu, .slope = -1, .inplace = false});
    nn::SyncBatchNorm(3, {.slope = 0});  // no activation, nothing to invert
    nn::SyncBatchNorm bn(3);
    CHECK(has(message<ShapeError>([&] { bn(zeros({2, 4, 5})); }), {"[3]", "[2, 4, 5]"}));
    CHECK(has(message([&] { bn(zeros({1, 3, 1, 1})); }), {"more than 1 value per channel"}));
    CHECK(bn.num_batches_tracked.item<int64_t>() == 0);  // a refused input changes nothing
    CHECK(has(message<ShapeError>([&] { bn(zeros({3})); }), {"rank"}));
    CHECK(has(message([] { sync_batch_norm(zeros({2, 3}), {}, {}, {}, {}); }), {"sync_batch_norm", "undefined"}));
  }

  DEVICE_TEST_CASE("alone it is batch norm, with the options that batch norm lacks") {
    manual_seed(2);
    const Tensor x = here::randn({3, 2, 4, 5}, Dtype::f64);
    auto sync = here::module(nn::SyncBatchNorm(2, {.biased_running_var = true}));
    auto plain = here::module(nn::BatchNorm2d(2));
    sync.to(Dtype::f64), plain.to(Dtype::f64);
    CHECK(support::same_bits(sync(x), plain(x)));
    CHECK(support::same_bits(sync.running_mean, plain.running_mean));
    const Tensor biased = var(x, {0, 2, 3}, {.correction = 0});
    CHECK(allclose(sync.running_var, biased * 0.1 + 0.9, 1e-12, 1e-12));
    CHECK(sync.num_batches_tracked.item<int64_t>() == 1);
    auto cumulative = here::module(nn::SyncBatchNorm(2, {.momentum = std::nullopt}));
    cumulative.to(Dtype::f64);
    cumulative(x);
    cumulative(x * 3.0);
    CHECK(allclose(cumulative.running_mean, mean(x, {0, 2, 3}) * 2.0, 1e-12, 1e-12));
    // evaluation applies the activation too
    auto eval = here::module(nn::SyncBatchNorm(2, {.activation = Activation::leaky_relu, .slope = 0.1}));
    eval.to(Dtype::f64);
    eval.eval();
    CHECK(allclose(eval(x), leaky_relu(x / std::sqrt(1 + 1e-5), 0.1), 1e-12, 1e-12));
    CHECK(eval.num_batches_tracked.item<int64_t>() == 0);
  }

  DEVICE_TEST_CASE("in place: the same numbers and gradients") {
    for (const Shape& shape :
         {Shape{6, 3}, Shape{4, 3, 5}, Shape{2, 3, 4, 5}, Shape{2, 17, 3, 3}, Shape{2, 3, 2, 3, 2}})
      for (const bool last : {false, true})
        for (const Dtype d : {Dtype::f64, Dtype::f32, Dtype::bf16, Dtype::f16}) {
          CAPTURE(shape);
          CAPTURE(d);
          AbnInputs in(shape, d);
          const Tensor g = here::randn(shape, Dtype::f64).to(d);
          const auto grads = [&](const AbnOptions& o, Tensor& z) {
            Tensor h = mul(in.x, 1);
            if (last && shape.size() > 3) h = h.contiguous(MemoryFormat::channels_last);
            const void* memory = h.raw_data();
            z = in.abn(h, o);
            CHECK((z.raw_data() == memory) == o.inplace);
            return grad(z, {in.x, in.w, in.b}, {.grad_outputs = {g}});
          };
          Tensor z, y;
          const auto got = grads(kAbn, z), want = grads(kPlain, y);
          CHECK(support::same_bits(z, y));
          // xhat comes back from y with an error of about ulp (|y| + |beta|) / |gamma|, up to 10 ulp here; weight's
          // gradient adds n of them
          const double ulp = d == Dtype::f64 ? 1e-15 : d == Dtype::f32 ? 1e-7 : d == Dtype::f16 ? 1e-3 : 8e-3;
          for (size_t i = 0; i < 3; ++i) CHECK(allclose(got[i], want[i], 20 * ulp, (i == 1 ? 200 : 20) * ulp));
        }
  }

  DEVICE_TEST_CASE("in place: the handle that was given stands for the result") {
    AbnInputs in({2, 3, 4, 5});
    Tensor h = in.x * 2.0;
    const uint32_t version = h.version();
    const Tensor z = in.abn(h);
    CHECK(z.is_same(h));
    CHECK(h.version() != version);
    const Tensor y = in.abn(in.x * 2.0, kPlain);
    CHECK(allclose(h, y, 0, 0));
    const auto got = grad(sum(h * z * h), {in.x, in.w}), want = grad(sum(y * y * y), {in.x, in.w});
    for (size_t i = 0; i < 2; ++i) CHECK(allclose(got[i], want[i], 1e-10, 1e-10));
  }

  DEVICE_TEST_CASE("what somebody else needs is not overwritten") {
    AbnInputs in({2, 3, 4, 5});
    const auto kept = [&](const Tensor& h) {
      const Tensor before = h.detach().clone(), z = in.abn(h);
      CHECK(!z.is_same(h));
      CHECK(support::same_bits(before, h.detach()));
      const auto got = grad(sum(square(z)), {in.w, in.b}),
                 want = grad(sum(square(in.abn(before, kPlain))), {in.w, in.b});
      for (size_t i = 0; i < 2; ++i) CHECK(allclose(got[i], want[i], 1e-12, 1e-12));
    };
    kept(in.x);           // a leaf
    kept(in.x.detach());  // and one without gradient
    Tensor h = in.x * 2.0;
    {
      const Tensor other = h;
      kept(h);
    }
    {
      const Tensor view = h.reshape({6, 20});
      kept(h);
    }
    {
      const Tensor saves_input = square(h);
      kept(h);
    }
    Tensor saved_output = exp(in.x);
    kept(saved_output);
    h.retain_grad();
    kept(h);
    const Tensor strided = (in.x * 2.0).transpose(2, 3);
    kept(strided);
    {
      const Tensor t = in.x * 2.0;
      const NoGrad off;
      CHECK(!in.abn(t).is_same(t));
    }
    AbnOptions eval = kAbn;
    eval.training = false;
    const Tensor t = in.x * 2.0;
    CHECK(!sync_batch_norm(t, here::zeros({3}, Dtype::f64), here::ones({3}, Dtype::f64), in.w, in.b, eval).is_same(t));
    // a weight near 0 cannot be divided by
    for (const double small : {0.0, 1e-6, std::numeric_limits<double>::quiet_NaN()}) {
      const Tensor w = here::tensor({0.5, small, -2.0}).set_requires_grad(), u = in.x * 2.0;
      CHECK(!sync_batch_norm(u, {}, {}, w, in.b, kAbn).is_same(u));
    }
    const Tensor w = here::tensor({0.5, 0.01, -2.0}).set_requires_grad(), u = in.x * 2.0;
    CHECK(sync_batch_norm(u, {}, {}, w, in.b, kAbn).is_same(u));
  }

  DEVICE_TEST_CASE("a graph that nobody runs is freed, and so is one that was differentiated twice") {
    AbnInputs in({2, 3, 4, 5});
    const auto once = [&](bool twice) {
      const Tensor z = in.abn(in.x * 2.0);
      if (twice) (void)grad(sum(square(grad(sum(square(z)), {in.x}, {.create_graph = true})[0])), {in.x, in.w});
    };
    once(false), once(true);
    const size_t before = memory_stats(support::device()).active;
    once(false), once(true);
    CHECK(memory_stats(support::device()).active == before);
  }

  DEVICE_TEST_CASE("a change after the fact is detected") {
    AbnInputs in({2, 3, 4, 5});
    Tensor z = in.abn(in.x * 2.0);
    {
      const NoGrad off;
      z.mul_(2);
    }
    CHECK(
        has(message<Error>([&] { sum(z).backward(); }), {"sync_batch_norm: output [2, 3, 4, 5]", "modified in place"}));
  }

  DEVICE_TEST_CASE("gradients of first and second order") {
    for (const Shape& shape : {Shape{5, 2}, Shape{3, 2, 4}, Shape{2, 3, 2, 3}}) {
      CAPTURE(shape);
      AbnInputs in(shape);
      for (const bool inplace : {false, true}) {
        const auto f = [&](const std::vector<Tensor>& v) {
          Tensor h = mul(v[0], 1);
          const Tensor z = sync_batch_norm(h, {}, {}, v[1], v[2], inplace ? kAbn : kPlain);
          if (inplace && h.requires_grad() && !z.is_same(h)) throw Error("not in place");
          return std::vector<Tensor>{z};
        };
        CHECK(gradcheck(f, {in.x, in.w, in.b}));
        CHECK(gradgradcheck(f, {in.x, in.w, in.b}));
      }
    }
  }

  DEVICE_TEST_CASE("in place: one activation per layer is kept") {
    manual_seed(1);
    std::vector<AbnBlock> lean, fused;
    std::vector<BnBlock> plain;
    for (int i = 0; i < 6; ++i) {
      lean.push_back(here::module(AbnBlock(true)));
      fused.push_back(here::module(AbnBlock(false)));
      plain.push_back(here::module(BnBlock()));
    }
    const Tensor x = here::randn({4, 16, 32, 32});
    const size_t one = x.nbytes(), slack = one / 4;  // statistics, filters and the allocator's rounding
    const auto [kept, peak] = memory_of(lean, x);
    const auto [kept_fused, peak_fused] = memory_of(fused, x);
    const auto [kept_plain, peak_plain] = memory_of(plain, x);
    CHECK(kept <= 6 * one + slack);
    CHECK(kept_fused >= 12 * one);  // the norm's input and output
    CHECK(kept_plain >= 18 * one);  // and the activation's
    CHECK(peak + 5 * one <= peak_fused);
    CHECK(peak + 10 * one <= peak_plain);
  }
}
