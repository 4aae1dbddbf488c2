// Normalisation per channel, against the CPU's kernels, in both layouts, with statistics per channel and per sample.
#include "weft/backends/cuda/norm.cuh"
#include "cuda/against_cpu.h"
#include "weft/core/kernels/norm.h"

namespace {

using namespace weft;
using namespace support;

struct Case {
  Shape shape;
  bool channels_last, per_sample;
};

/// Sizes around a pack, a warp of planes, a tile of columns (32 packs), and enough rows or planes for several pieces.
const Case kCases[] = {
    {{2, 3}, false, false},          {{5, 33}, false, false},       {{1, 1, 1}, false, true},
    {{2, 4, 31}, false, false},      {{2, 3, 33}, false, true},     {{3, 2, 7, 5}, true, false},
    {{2, 8, 5, 6}, true, true},      {{2, 5, 8, 4}, false, true},   {{1, 1, 40, 40}, false, false},
    {{3, 2, 1025}, false, false},    {{2, 136, 3, 3}, true, false}, {{1, 3, 80, 113}, true, false},
    {{1, 2, 199, 201}, false, true}, {{2, 64, 40, 40}, true, true},
};

/// A mean far from zero beside the spread, so that cancellation would show.
Tensor sample(const Case& c, Dtype d, int64_t seed, double mean = 0) {
  Generator g(static_cast<uint64_t>(seed));
  Tensor x = empty(c.shape, d, c.channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous);
  kernels::normal(DeviceType::cpu, mut_ref(x), g.state(), mean, 1.0);
  return x;
}
Tensor vector(int64_t n, Dtype d, int64_t seed) {
  Generator g(static_cast<uint64_t>(seed));
  Tensor x = empty({n}, d);
  kernels::uniform(DeviceType::cpu, mut_ref(x), g.state(), 0.5, 1.5);
  return x;
}

/// Statistics and what is made of them, by one implementation or the other.
struct Run {
  Tensor y, mean, m2, inv, s1, s2, dx, dresidual, r1, r2, ax, ares;
};

/// Norms of f32 sums of 32 (here) and up to 4096 (CPU) numbers; halves read the same numbers and round the result once.
double tolerance(Dtype d) { return d == Dtype::f64 ? 1e-12 : 1e-5; }
/// The result is rounded: half a step of the dtype, which may fall to either side.
double rounded(Dtype d) { return tolerance(d) + (is_half(d) ? epsilon(d) : 0); }

void check_norm(const Case& c, Dtype d, NormParams o, bool affine, bool residual) {
  const Tensor x = sample(c, d, 1, 8), g = sample(c, d, 2), r = residual ? sample(c, d, 3) : Tensor();
  const int64_t C = c.shape[1];
  const Shape statistics = c.per_sample ? Shape{c.shape[0], C} : Shape{C};
  // the other dtype than the compute dtype for one of them
  const Tensor gamma = affine ? vector(C, d == Dtype::f64 ? Dtype::f32 : Dtype::f64, 4) : Tensor(),
               beta = affine ? vector(C, compute_dtype(d), 5) : Tensor();
  if (o.source == NormSource::output) REQUIRE(residual);
  const auto run = [&](bool emulated) {
    Run v;
    const auto like_x = [&] {
      return unwritten(c.shape, d, c.channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous);
    };
    for (Tensor* t : {&v.mean, &v.m2, &v.inv, &v.s1, &v.s2, &v.r1, &v.r2}) *t = unwritten(statistics, Dtype::f64);
    for (Tensor* t : {&v.y, &v.dx, &v.dresidual, &v.ax, &v.ares}) *t = like_x();
    const bool output = o.source == NormSource::output;
    Tensor none;
    const auto dres = [&](Tensor& t) { return mut_ref(output ? t : none); };
    const TensorRef y = output ? ref(v.y) : TensorRef();
    const auto forward = emulated ? cuda::norm_forward : kernels::norm_forward.get(DeviceType::cpu);
    const auto backward = emulated ? cuda::norm_backward : kernels::norm_backward.get(DeviceType::cpu);
    const auto reduce = emulated ? cuda::norm_backward_reduce : kernels::norm_backward_reduce.get(DeviceType::cpu);
    const auto apply = emulated ? cuda::norm_backward_apply : kernels::norm_backward_apply.get(DeviceType::cpu);
    forward(mut_ref(v.y), mut_ref(v.mean), mut_ref(v.m2), mut_ref(v.inv), ref(x), ref(gamma), ref(beta), ref(r), o);
    backward(mut_ref(v.dx), dres(v.dresidual), mut_ref(v.s1), mut_ref(v.s2), ref(g), ref(x), y, ref(v.mean), ref(v.inv),
             ref(gamma), ref(beta), o);
    reduce(mut_ref(v.r1), mut_ref(v.r2), ref(g), ref(x), y, ref(v.mean), ref(v.inv), ref(gamma), ref(beta), o);
    apply(mut_ref(v.ax), dres(v.ares), ref(g), ref(x), y, ref(v.mean), ref(v.inv), ref(gamma), ref(beta), ref(v.inv),
          ref(v.mean), ref(v.m2), o);
    return v;
  };
  const Run a = run(true), b = run(false);
  const double count = static_cast<double>(x.numel() / statistics.numel());
  CHECK(difference(a.mean, b.mean) <= tolerance(d));
  CHECK(difference(a.m2, b.m2) <= 2 * tolerance(d));
  CHECK(difference(a.inv, b.inv) <= tolerance(d) * (count < 2 ? 300 : 1));  // of a single element: 1 / sqrt(eps)
  if (count < 2) return;  // what follows is noise times 300 on either side
  CHECK(difference(a.y, b.y) <= rounded(d) * 3);
  if (o.activation != Activation::none) return;  // a sign may differ where the argument is near 0: see the next case
  CHECK(same_bits(a.s1, a.r1));
  CHECK(same_bits(a.s2, a.r2));
  CHECK(difference(a.s1, b.s1, std::sqrt(count)) <= 2 * tolerance(d));
  CHECK(difference(a.s2, b.s2, std::sqrt(count)) <= 10 * tolerance(d));
  CHECK(difference(a.dx, b.dx) <= rounded(d) * 10);
  if (o.source == NormSource::output) CHECK(same_bits(a.dresidual, b.dresidual));
}

}  // namespace

TEST_SUITE("cuda norm") {
  TEST_CASE("forward and backward agree with the CPU in every layout") {
    for (const Case& c : kCases)
      for (const Dtype d : kFloats) {
        if (c.shape.numel() > 20000 && d == Dtype::f16) continue;
        CAPTURE(c.shape);
        CAPTURE(c.channels_last);
        CAPTURE(c.per_sample);
        CAPTURE(d);
        check_norm(c, d, {}, true, false);
        if (c.shape.numel() > 20000) continue;
        check_norm(c, d, {}, false, false);
        check_norm(c, d, {.source = NormSource::output}, true, true);
        check_norm(c, d, {.activation = Activation::relu}, true, true);
      }
  }

  TEST_CASE("apply and its gradient have the CPU's bits for given statistics, activations and sources") {
    for (const Case& c : kCases)
      for (const Dtype d : kFloats)
        for (const NormParams& o : {NormParams{}, NormParams{.activation = Activation::relu},
                                    NormParams{.activation = Activation::leaky_relu},
                                    NormParams{.activation = Activation::relu, .source = NormSource::output},
                                    NormParams{.activation = Activation::leaky_relu, .source = NormSource::folded}}) {
          if (c.shape.numel() > 20000) continue;
          CAPTURE(c.shape);
          CAPTURE(d);
          const int64_t C = c.shape[1], n = c.per_sample ? c.shape[0] * C : C;
          const Tensor x = sample(c, d, 1), g = sample(c, d, 2), y = sample(c, d, 3), gamma = vector(C, Dtype::f64, 4),
                       beta = vector(C, Dtype::f32, 5), mean = vector(n, Dtype::f64, 6), inv = vector(n, Dtype::f64, 7),
                       k1 = vector(n, Dtype::f64, 8), k2 = vector(n, Dtype::f64, 9);
          const bool output = o.source == NormSource::output;
          Tensor a = unwritten(c.shape, d, c.channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous),
                 b = twin(a), da = twin(a), db = twin(a), none;
          cuda::norm_apply(mut_ref(a), ref(x), ref(mean), ref(inv), ref(gamma), ref(beta), output ? ref(y) : ref(none),
                           o);
          kernels::norm_apply(DeviceType::cpu, mut_ref(b), ref(x), ref(mean), ref(inv), ref(gamma), ref(beta),
                              output ? ref(y) : ref(none), o);
          CHECK(same_bits(a, b));
          Tensor over_x = twin(x), over_g = twin(g);  // in-place activated norm: the result over what is read
          cuda::norm_apply(mut_ref(over_x), ref(over_x), ref(mean), ref(inv), ref(gamma), ref(beta),
                           output ? ref(y) : ref(none), o);
          CHECK(same_bits(over_x, b));
          cuda::norm_backward_apply(mut_ref(a), mut_ref(output ? da : none), ref(g), ref(x),
                                    output ? ref(y) : ref(none), ref(mean), ref(inv), ref(gamma), ref(beta), ref(inv),
                                    ref(k1), ref(k2), o);
          kernels::norm_backward_apply(DeviceType::cpu, mut_ref(b), mut_ref(output ? db : none), ref(g), ref(x),
                                       output ? ref(y) : ref(none), ref(mean), ref(inv), ref(gamma), ref(beta),
                                       ref(inv), ref(k1), ref(k2), o);
          CHECK(same_bits(a, b));
          CHECK(same_bits(da, db));
          cuda::norm_backward_apply(mut_ref(over_g), {}, ref(over_g), ref(x), output ? ref(y) : ref(none), ref(mean),
                                    ref(inv), ref(gamma), ref(beta), ref(inv), ref(k1), ref(k2), o);
          CHECK(same_bits(over_g, b));
          Tensor a1 = unwritten({n}, Dtype::f64), a2 = twin(a1), b1 = twin(a1), b2 = twin(a1);
          cuda::norm_backward_reduce(mut_ref(a1), mut_ref(a2), ref(g), ref(x), output ? ref(y) : ref(none), ref(mean),
                                     ref(inv), ref(gamma), ref(beta), o);
          kernels::norm_backward_reduce(DeviceType::cpu, mut_ref(b1), mut_ref(b2), ref(g), ref(x),
                                        output ? ref(y) : ref(none), ref(mean), ref(inv), ref(gamma), ref(beta), o);
          const double scale = std::sqrt(static_cast<double>(x.numel() / n));
          CHECK(difference(a1, b1, scale) <= 10 * tolerance(d));
          CHECK(difference(a2, b2, scale) <= 10 * tolerance(d));
        }
  }

  TEST_CASE("statistics do not depend on the schedule, and an outlier at the start does no harm") {
    for (const bool last : {false, true}) {
      const Case c{{2, 6, 37, 31}, last, false};
      Tensor x = sample(c, Dtype::f32, 1), first;
      x.mut_data<float>()[0] = 1e6f;
      Tensor mean = unwritten({6}, Dtype::f64), m2 = twin(mean), m = twin(mean), q = twin(mean);
      cuda_emulator::for_each_schedule([&] {
        cuda::norm_stats(mut_ref(mean), mut_ref(m2), ref(x));
        if (!first.defined()) first = twin(m2);
        CHECK(same_bits(m2, first));
      });
      const Tensor wide = x.to(Dtype::f64);
      kernels::norm_stats(DeviceType::cpu, mut_ref(m), mut_ref(q), ref(wide));
      CHECK(difference(mean, m) <= 1e-6);
      CHECK(difference(m2, q) <= 1e-5);
    }
  }

  TEST_CASE("a mean far from zero costs no digits, and constants give 0") {
    for (const bool last : {false, true})
      for (const Shape& s : {Shape{2, 6, 37, 31}, Shape{3, 4, 3, 2}}) {
        const int64_t C = s[1];
        const Tensor none;
        for (const double spread : {1., 0.}) {
          Tensor x = unwritten(s, Dtype::f32, last ? MemoryFormat::channels_last : MemoryFormat::contiguous);
          Generator gen(3);
          kernels::normal(DeviceType::cpu, mut_ref(x), gen.state(), 7.371e6, spread);
          const Tensor wide = x.to(Dtype::f64), g = sample({s, last, false}, Dtype::f32, 4), g64 = g.to(Dtype::f64);
          const auto stats = [&] { return unwritten({C}, Dtype::f64); };
          Tensor y = twin(x), dx = twin(x), mean = stats(), m2 = stats(), inv = stats(), s1 = stats(), s2 = stats(),
                 nothing;
          Tensor y64 = twin(wide), dx64 = twin(wide), mean64 = stats(), n2 = stats(), inv64 = stats(), t1 = stats(),
                 t2 = stats();
          cuda::norm_forward(mut_ref(y), mut_ref(mean), mut_ref(m2), mut_ref(inv), ref(x), ref(none), ref(none),
                             ref(none), {});
          cuda::norm_backward(mut_ref(dx), mut_ref(nothing), mut_ref(s1), mut_ref(s2), ref(g), ref(x), ref(none),
                              ref(mean), ref(inv), ref(none), ref(none), {});
          kernels::norm_forward(DeviceType::cpu, mut_ref(y64), mut_ref(mean64), mut_ref(n2), mut_ref(inv64), ref(wide),
                                ref(none), ref(none), ref(none), {});
          kernels::norm_backward(DeviceType::cpu, mut_ref(dx64), mut_ref(nothing), mut_ref(t1), mut_ref(t2), ref(g64),
                                 ref(wide), ref(none), ref(mean64), ref(inv64), ref(none), ref(none), {});
          if (spread == 0) {
            CHECK(difference(y, zeros(s)) == 0);
            CHECK(difference(m2, zeros({C})) == 0);
            continue;
          }
          CHECK(difference(m2, n2) <= 1e-6);
          CHECK(difference(y, y64) <= 2e-6);
          CHECK(difference(dx, dx64) <= 1e-5);
          CHECK(difference(s2, t2) <= 1e-5);
        }
      }
  }

  TEST_CASE("running statistics have the CPU's bits, in one launch") {
    for (const Dtype d : kFloats)
      for (const Shape& s : {Shape{1}, Shape{33}, Shape{3, 33}, Shape{2, 0}})
        for (const int which : {1, 2, 3}) {
          CAPTURE(d);
          CAPTURE(s);
          CAPTURE(which);
          const int64_t C = s[s.size() - 1];
          const Tensor mean = vector(s.numel(), Dtype::f64, 1).reshape(s),
                       m2 = vector(s.numel(), Dtype::f64, 2).reshape(s);
          Tensor a = which & 1 ? vector(C, d, 3) : Tensor(), b = which & 2 ? vector(C, Dtype::f32, 4) : Tensor(),
                 a2 = which & 1 ? twin(a) : Tensor(), b2 = which & 2 ? twin(b) : Tensor();
          const int64_t before = cuda_emulator::launches();
          cuda::update_running(mut_ref(a), mut_ref(b), ref(mean), ref(m2), 0.1, 1. / 7);
          CHECK(cuda_emulator::launches() - before == (C > 0));
          kernels::update_running(DeviceType::cpu, mut_ref(a2), mut_ref(b2), ref(mean), ref(m2), 0.1, 1. / 7);
          if (which & 1) CHECK(same_bits(a, a2));
          if (which & 2) CHECK(same_bits(b, b2));
        }
  }

  TEST_CASE("nothing to normalise") {
    for (const Shape& s : {Shape{0, 3, 4}, Shape{2, 0, 4}, Shape{2, 3, 0}}) {
      const Tensor x = zeros(s), none;
      Tensor mean = unwritten({s[1]}, Dtype::f64), m2 = twin(mean), inv = twin(mean), y = twin(x);
      cuda::norm_forward(mut_ref(y), mut_ref(mean), mut_ref(m2), mut_ref(inv), ref(x), ref(none), ref(none), ref(none),
                         {});
      for (int64_t c = 0; c < s[1]; ++c) CHECK(mean.to_vector<double>()[static_cast<size_t>(c)] == 0);
    }
  }
}
