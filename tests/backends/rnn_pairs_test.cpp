// Recurrent products of bf16 by pairs, where the processor has them, beside the same in f32.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "support/difference.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/backends/cpu/rnn.h"
#include "weft/core/factory.h"
#include "weft/core/generator.h"
#include "weft/core/tensor_ref.h"

using namespace weft;
using support::largest_difference;

namespace {

Tensor numbers(const Shape& shape, double scale) { return (randn(shape) * scale).to(Dtype::bf16); }

/// w as the loops want it.
Tensor packed(const Tensor& w, int64_t G, bool back, bool pairs) {
  const size_t bytes = cpu::rnn_loops.packed_bytes(Dtype::bf16, G, w.size(1), pairs);
  Tensor memory = empty({static_cast<int64_t>(bytes)}, Dtype::u8);
  cpu::rnn_loops.pack(memory.mut_raw_data(), w.raw_data(), Dtype::bf16, G, w.size(1), back, pairs);
  return memory;
}

}  // namespace

TEST_SUITE_BEGIN("recurrent products by pairs");

TEST_CASE("bf16 layers give the same whatever takes their products") {
  manual_seed(1);
  (void)zeros({1});  // the first tensor chooses the loops
  CHECK(!cpu::rnn_loops.takes_pairs(Dtype::f16, 64));
  CHECK(!cpu::rnn_loops.takes_pairs(Dtype::bf16, 33));
  if (!cpu::rnn_loops.takes_pairs(Dtype::bf16, 64)) {
    MESSAGE("this processor multiplies bf16 in f32");
    return;
  }
  for (const RnnKind kind : {RnnKind::tanh, RnnKind::relu, RnnKind::lstm, RnnKind::gru})
    for (const int64_t H : {2, 10, 32, 34, 66, 256})
      for (const int64_t N : {1, 3, 4, 5, 13, 16, 25})
        for (const bool reverse : {false, true}) {
          INFO("kind ", static_cast<int>(kind), ", ", H, " units, ", N, " samples, reverse ", reverse);
          const int64_t T = 5, G = rnn_gates(kind), K = rnn_kept(kind);
          const Tensor w = numbers({G * H, H}, 0.7 / std::sqrt(static_cast<double>(H))), gx = numbers({T, N, G * H}, 1),
                       h0 = numbers({N, H}, 0.5), c0 = numbers({N, H}, 0.5), bias = numbers({G * H}, 0.3),
                       g = numbers({T, N, H}, 1);
          Tensor results[2][5];
          for (const bool pairs : {false, true}) {
            Tensor y = empty({T, N, H}, Dtype::bf16), c = c0.clone(),
                   kept = empty({T, N, std::max<int64_t>(K, 1), H}, Dtype::bf16),
                   dgx = empty({T, N, G * H}, Dtype::bf16), dgh = empty_like(dgx), dh0 = empty({N, H}, Dtype::bf16),
                   dc = zeros({N, H});
            const Tensor forth = packed(w, G, false, pairs), back = packed(w, G, true, pairs);
            const bool gated = K > 0;
            cpu::rnn_loops.forward(mut_ref(y), mut_ref(c), gated ? mut_ref(kept) : MutTensorRef(), ref(gx), ref(h0),
                                   forth.raw_data(), ref(bias), kind, reverse, pairs);
            // both go back from the same outputs: what is compared is the products
            const Tensor& y0 = pairs ? results[0][0] : y;
            const Tensor& kept0 = pairs ? results[0][4] : kept;
            cpu::rnn_loops.backward(mut_ref(dgx), mut_ref(dgh), mut_ref(dh0), mut_ref(dc), ref(g), ref(y0),
                                    gated ? ref(kept0) : TensorRef(), ref(h0), ref(c0), back.raw_data(), kind, reverse,
                                    pairs);
            Tensor* r = results[pairs];
            r[0] = y, r[1] = dgx, r[2] = dh0, r[3] = dc, r[4] = kept;
          }
          // Sums of the same products in another order round to neighbours now and then: 2^-8 of numbers below 2, and
          // five steps carry it on.
          for (int i = 0; i < 4; ++i) {
            INFO(i);
            const double most = std::max(1.0, max(abs(results[0][i].to(Dtype::f64))).item<double>());
            CHECK(largest_difference(results[1][i].to(Dtype::f64), results[0][i].to(Dtype::f64)) <= most / 32);
          }
        }
}

TEST_SUITE_END();
