// Recurrent layers against the CPU's kernels.
#include "weft/backends/cuda/rnn.cuh"
#include "cuda/against_cpu.h"
#include "weft/core/kernels/rnn.h"

namespace {

using namespace weft;
using namespace support;

void check_rnn(RnnKind kind, int64_t T, int64_t N, int64_t H, Dtype d, bool reverse) {
  CAPTURE(static_cast<int>(kind));
  CAPTURE(T);
  CAPTURE(N);
  CAPTURE(H);
  CAPTURE(d);
  const Dtype wide = compute_dtype(d);
  const int64_t G = rnn_gates(kind), K = rnn_kept(kind);
  const bool lstm = kind == RnnKind::lstm, gru = kind == RnnKind::gru;
  uint64_t seed = 0;
  const auto numbers = [&](const Shape& s, Dtype dtype, double spread = 1) {
    Tensor x = empty(s, dtype);
    kernels::normal(DeviceType::cpu, mut_ref(x), Generator(++seed).state(), 0.0, spread);
    return x;
  };
  const Tensor gx = numbers({T, N, G * H}, d), h0 = numbers({N, H}, d), c0 = lstm ? numbers({N, H}, d) : Tensor(),
               w = numbers({G * H, H}, d, 1 / std::sqrt(static_cast<double>(H))),
               bias = gru ? numbers({G * H}, d) : Tensor(), g = numbers({T, N, H}, d),
               dc0 = lstm ? numbers({N, H}, wide) : Tensor();
  struct Result {
    Tensor y, c, kept, dgx, dgh, dh0, dc;
  };
  const auto run = [&](bool emulated, const Result* from) {
    Result r;
    const auto some = [&](bool wanted, const Shape& s) { return wanted ? unwritten(s, d) : Tensor(); };
    r.y = some(true, {T, N, H}), r.c = lstm ? twin(c0) : Tensor(), r.kept = some(K > 0, {T, N, K, H});
    r.dgx = some(true, {T, N, G * H}), r.dgh = some(gru, {T, N, G * H}), r.dh0 = some(true, {N, H});
    r.dc = lstm ? twin(dc0) : Tensor();
    const auto forward = emulated ? cuda::rnn : kernels::rnn.get(DeviceType::cpu);
    const auto backward = emulated ? cuda::rnn_backward : kernels::rnn_backward.get(DeviceType::cpu);
    forward(mut_ref(r.y), mut_ref(r.c), mut_ref(r.kept), ref(gx), ref(h0), ref(w), ref(bias), kind, reverse);
    if (!from) from = &r;  // both backwards from one forward's gates
    backward(mut_ref(r.dgx), mut_ref(r.dgh), mut_ref(r.dh0), mut_ref(r.dc), ref(g), ref(from->y), ref(from->kept),
             ref(h0), ref(c0), ref(w), kind, reverse);
    return r;
  };
  const Result b = run(false, nullptr), a = run(true, &b);
  // f32 sums in different orders; in halves one number may fall on the other side, and what follows from it
  const double t = d == Dtype::f64 ? 1e-12 : d == Dtype::f32 ? 1e-5 : 4 * epsilon(d);
  const auto close = [&](const Tensor& x, const Tensor& y) {
    CHECK(x.defined() == y.defined());
    if (x.defined()) CHECK(difference(x, y) <= t);
  };
  close(a.y, b.y), close(a.c, b.c), close(a.kept, b.kept);
  close(a.dgx, b.dgx), close(a.dgh, b.dgh), close(a.dh0, b.dh0), close(a.dc, b.dc);
}

}  // namespace

TEST_SUITE("cuda rnn") {
  TEST_CASE("agrees with the CPU at awkward sizes") {
    for (const RnnKind kind : {RnnKind::tanh, RnnKind::relu, RnnKind::lstm, RnnKind::gru})
      for (const Dtype d : kFloats)
        for (const int64_t N : {1, 5})
          for (const int64_t H : {1, 3, 17, 40}) check_rnn(kind, 3, N, H, d, H % 2 == 0);
  }
  TEST_CASE("no samples") {
    for (const RnnKind kind : {RnnKind::tanh, RnnKind::relu, RnnKind::lstm, RnnKind::gru})
      check_rnn(kind, 2, 0, 3, Dtype::f32, false);
  }
}
