// Sizes that grow from step to step: bytes held against bytes in use, of tensors and of a small network.
#include <doctest/doctest.h>

#include <utility>

#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/conv.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"

using namespace weft;

namespace {

/// Held by what is in use, at most, since the statistics began.
double ratio() {
  const MemoryStats s = memory_stats();
  return static_cast<double>(s.reserved) / static_cast<double>(s.peak_active);
}

struct Net {
  Tensor w1 = rand({16, 3, 3, 3}).set_requires_grad(), w2 = rand({16, 16, 3, 3}).set_requires_grad();
  Tensor operator()(const Tensor& x) const {
    return conv2d(relu(conv2d(x, w1, {}, {.padding = 1})), w2, {}, {.padding = 1});
  }
};

}  // namespace

TEST_SUITE("allocator") {
  // 1.3 leaves room for pages that small blocks share, and for the rule's eighth.
  TEST_CASE("growing tensors: what is held is at most 1.3 of what was in use") {
    for (const auto& [least, most, step] :
         {std::tuple<int64_t, int64_t, int64_t>{1 << 20, 50 << 20, 1 << 20}, {300'000, 20'000'000, 130'000}}) {
      empty_cache();
      reset_peak_memory_stats();
      for (int64_t n = least; n <= most; n += step) {
        const Tensor x = empty({n}), y = empty({n / 3});
        Tensor z = empty({n / 2});
        z = empty({n / 5});
      }
      CHECK(ratio() <= 1.3);
    }
  }

  TEST_CASE("a net of two convolutions over pictures of 64 to 1024: at most 1.3, trained and not") {
    manual_seed(1);
    for (const bool train : {true, false}) {
      CAPTURE(train);
      empty_cache();
      reset_peak_memory_stats();
      const Net net;
      for (int64_t size = 64; size <= 1024; size += 96) {
        const Tensor x = rand({1, 3, size, size});
        if (train) {
          mean(square(net(x))).backward();
        } else {
          NoGrad guard;
          (void)net(x);
        }
      }
      CHECK(ratio() <= 1.3);
    }
  }

  TEST_CASE("a net's step asks the system for nothing, at a size that others went before") {
    const Net net;
    const auto step = [&](int64_t size) { mean(square(net(rand({2, 3, size, size})))).backward(); };
    for (int64_t size = 32; size <= 256; size += 32) step(size);
    for (const int64_t size : {256, 100, 200}) {
      CAPTURE(size);
      for (int i = 0; i < 4; ++i) step(size);
      const MemoryStats before = memory_stats();
      for (int i = 0; i < 10; ++i) step(size);
      CHECK(memory_stats().system_allocations == before.system_allocations);
      CHECK(memory_stats().reserved == before.reserved);
    }
  }
}
