// Products on a card: how they look to a library that thinks in columns, and the own kernel.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "support/same_bits.h"
#include "weft/backends/cuda/gemm.cuh"
#include "weft/core/kernels.h"

// The card's own kernel stands in for the library.
void weft::cuda::gemm(const Gemm& g) { gemm_own(g); }

namespace {

using namespace weft;
using cuda::Epilogue;
using cuda::Gemm;
using support::sample;

// What the library does with column-major matrices.
std::vector<double> library(const cuda::LtProblem& p, int64_t batch, const double* a, const double* b, size_t size) {
  std::vector<double> d(size, -1);
  const auto at = [](const cuda::LtMatrix& m, int64_t i, int64_t row, int64_t col) {
    if (m.transposed) std::swap(row, col);
    REQUIRE(row < m.rows);
    REQUIRE(col < m.cols);
    REQUIRE(m.ld >= m.rows);
    return static_cast<size_t>(i * m.batch_stride + col * m.ld + row);
  };
  for (int64_t i = 0; i < batch; ++i)
    for (int64_t col = 0; col < p.n; ++col)
      for (int64_t row = 0; row < p.m; ++row) {
        double sum = 0;
        for (int64_t k = 0; k < p.k; ++k) sum += a[at(p.a, i, row, k)] * b[at(p.b, i, k, col)];
        d[at(p.d, i, row, col)] = sum;
      }
  return d;
}

std::vector<double> by_definition(const Gemm& g, size_t size) {
  std::vector<double> out(size, -1);
  const auto *a = static_cast<const double*>(g.a), *b = static_cast<const double*>(g.b);
  for (int64_t i = 0; i < g.batch; ++i)
    for (int64_t r = 0; r < g.m; ++r)
      for (int64_t c = 0; c < g.n; ++c) {
        double sum = 0;
        for (int64_t k = 0; k < g.k; ++k)
          sum += a[i * g.a_batch + r * g.a_row + k * g.a_col] * b[i * g.b_batch + k * g.b_row + c * g.b_col];
        out[static_cast<size_t>(i * g.out_batch + r * g.out_row + c)] = sum;
      }
  return out;
}

}  // namespace

TEST_SUITE("cuda gemm") {
  TEST_CASE("row-major problems as the library sees them") {
    const std::vector<double> a = sample({4000}, Dtype::f64, 1).to_vector<double>(),
                              b = sample({4000}, Dtype::f64, 2).to_vector<double>();
    for (const int64_t m : {1, 2, 5})
      for (const int64_t n : {1, 3, 7})
        for (const int64_t k : {1, 4, 9})
          for (const bool a_turned : {false, true})
            for (const bool b_turned : {false, true})
              for (const int64_t gap : {0, 3})
                for (const int64_t shared : {0, 1}) {
                  Gemm g;
                  g.batch = 3, g.m = m, g.n = n, g.k = k;
                  g.a = a.data(), g.b = b.data();
                  g.a_row = a_turned ? 1 : k + gap, g.a_col = a_turned ? m + gap : 1;
                  g.b_row = b_turned ? 1 : n + gap, g.b_col = b_turned ? k + gap : 1;
                  g.a_batch = 200, g.b_batch = shared * 170;
                  g.out_row = n + gap, g.out_batch = 100;
                  bool copy_a = true, copy_b = true;
                  const cuda::LtProblem p = cuda::lt_problem(g, copy_a, copy_b);
                  CHECK_FALSE(copy_a);
                  CHECK_FALSE(copy_b);
                  CHECK(library(p, g.batch, b.data(), a.data(), 400) == by_definition(g, 400));
                }
  }

  TEST_CASE("axes of size 1 have any stride, what overlaps or has no unit stride is copied") {
    cuda::LtMatrix m;
    CHECK(cuda::lt_operand(m, 1, 5, 0, 1, 0));
    CHECK(m.ld == 5);
    CHECK(cuda::lt_operand(m, 5, 1, 1, 99, 0));
    CHECK((m.rows == 1 && m.ld == 1));
    CHECK(cuda::lt_operand(m, 5, 1, 7, 99, 0));
    CHECK((m.rows == 1 && m.ld == 7));
    CHECK(cuda::lt_operand(m, 1, 1, 0, 0, 0));
    CHECK(cuda::lt_operand(m, 1, 5, 99, 7, 0));
    CHECK_FALSE(cuda::lt_operand(m, 4, 5, 10, 2, 0));
    CHECK_FALSE(cuda::lt_operand(m, 4, 5, 0, 1, 0));
    CHECK_FALSE(cuda::lt_operand(m, 4, 5, 1, 2, 0));
  }

  TEST_CASE("the choice of an algorithm depends on the problem, and on addresses up to a load") {
    alignas(64) static char memory[128] = {};
    CHECK(cuda::lt_alignment(memory) == 16);
    CHECK(cuda::lt_alignment(memory + 16) == 16);
    CHECK(cuda::lt_alignment(memory + 8) == 8);
    CHECK(cuda::lt_alignment(memory + 2) == 2);
    Gemm g;
    g.batch = 2, g.m = 3, g.n = 4, g.k = 5;
    g.a = g.b = g.bias = memory, g.out = memory;
    const auto key = [](const Gemm& of, bool tf32 = false) {
      cuda::LtProblem p;
      p.m = of.n, p.n = of.m, p.k = of.k;
      return cuda::lt_key(of, p, tf32);
    };
    const cuda::LtKey first = key(g);
    const auto with = [&](auto&& change) {
      Gemm other = g;
      change(other);
      return key(other) == first;
    };
    CHECK(with([](Gemm& o) { o.a = memory + 16, o.b = memory + 32, o.out = memory + 48; }));
    CHECK(with([](Gemm& o) { o.bias = memory + 4; }));
    CHECK(with([](Gemm& o) { o.alpha = 3; }));
    CHECK_FALSE(with([](Gemm& o) { o.a = memory + 8; }));
    CHECK_FALSE(with([](Gemm& o) { o.b = memory + 8; }));
    CHECK_FALSE(with([](Gemm& o) { o.out = memory + 4; }));
    CHECK_FALSE(with([](Gemm& o) { o.beta = 1; }));
    CHECK_FALSE(with([](Gemm& o) { o.epilogue = Epilogue::relu; }));
    CHECK_FALSE(with([](Gemm& o) { o.out_dtype = Dtype::f16; }));
    CHECK(key(g, true) != first);
  }

  TEST_CASE("an algorithm that does not run is passed over, once") {
    cuda::Candidates<int> three;
    for (const int a : {1, 2, 3}) three.add(a);
    std::vector<int> tried;
    const auto from = [&](int least) {
      return three.run([&](int a) {
        tried.push_back(a);
        return a >= least;
      });
    };
    CHECK(from(2));
    CHECK(from(2));
    CHECK(tried == std::vector<int>{1, 2, 2});
    CHECK_THROWS_AS(three.run([](int) -> bool { throw Error("else"); }), Error);  // no verdict on the algorithm
    CHECK(from(2));
    CHECK_FALSE(from(4));
    CHECK_FALSE(from(1));
    CHECK(tried == std::vector<int>{1, 2, 2, 2, 2, 3});
  }

  TEST_CASE("a bias that lies elsewhere is moved") {
    const Tensor all = sample({9}, Dtype::bf16);
    Gemm g;
    g.n = 8, g.out_dtype = Dtype::bf16, g.epilogue = Epilogue::bias;
    cuda::Scratch scratch;
    g.bias = all.raw_data();
    CHECK(cuda::aligned_bias(g, scratch) == g.bias);
    g.bias = all.data<bf16>() + 1;
    const void* p = cuda::aligned_bias(g, scratch);
    CHECK(cuda::lt_alignment(p) == cuda::kWidestLoad);
    CHECK(std::memcmp(p, g.bias, 16) == 0);
    g.epilogue = Epilogue::relu, g.bias = nullptr;
    CHECK(cuda::aligned_bias(g, scratch) == nullptr);
  }

  TEST_CASE("compaction") {
    const Tensor x = support::scattered(sample({3, 5, 7}, Dtype::bf16));
    int64_t batch = x.strides()[0], row = x.strides()[1], col = x.strides()[2];
    cuda::Scratch scratch;
    const void* p = compact_operand(x.raw_data(), x.dtype(), 3, 5, 7, batch, row, col, scratch, cuda::move);
    const Tensor plain = x.contiguous();
    CHECK(std::memcmp(p, plain.raw_data(), plain.nbytes()) == 0);
    CHECK((batch == 35 && row == 7 && col == 1));
  }

  TEST_CASE("matmul: every dtype and layout, with and without bias") {
    for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32, Dtype::u8})
      for (const auto& s : std::vector<std::array<int64_t, 4>>{{1, 1, 1, 1},
                                                               {2, 31, 33, 5},
                                                               {3, 65, 1, 40},
                                                               {1, 2, 3, 0},
                                                               {1, 1, 100, 33},
                                                               {0, 3, 3, 3},
                                                               {2, 64, 32, 32}}) {
        const int64_t batch = s[0], m = s[1], n = s[2], k = s[3];
        CAPTURE(d);
        CAPTURE(m);
        // Small integers: all sums are exact.
        const Tensor a = support::sample_index({batch, m, k}, 0, 4).to(d),
                     b = support::scattered(support::sample_index({batch, k, n}, 0, 4, Dtype::i64, 2).to(d)),
                     bias = support::scattered(support::sample_index({n}, 0, 9, Dtype::i64, 3).to(d));
        for (const bool with : {false, true}) {
          Tensor expected = empty({batch, m, n}, {d}), got = empty({batch, m, n}, {d});
          const TensorRef v = with ? ref(bias) : TensorRef{};
          kernels::matmul({}, mut_ref(expected), ref(a), ref(b), v);
          cuda::matmul(mut_ref(got), ref(a), ref(b), v);
          CHECK(support::same_bits(got, expected));
        }
      }
  }

  TEST_CASE("alpha, beta and epilogues, f32 from halves") {
    const Tensor a = sample({1, 33, 5}, Dtype::bf16), b = sample({1, 5, 40}, Dtype::bf16, 2),
                 bias = sample({40}, Dtype::f32, 3), start = sample({1, 33, 40}, Dtype::f32, 4);
    const std::vector<double> av = a.to(Dtype::f64).to_vector<double>(), bv = b.to(Dtype::f64).to_vector<double>(),
                              cv = bias.to(Dtype::f64).to_vector<double>(),
                              sv = start.to(Dtype::f64).to_vector<double>();
    for (const Epilogue e :
         {Epilogue::none, Epilogue::bias, Epilogue::relu, Epilogue::relu_bias, Epilogue::gelu, Epilogue::gelu_bias})
      for (const bool apart : {false, true}) {  // the epilogue in a kernel of its own
        Tensor out = start.clone();
        Gemm g;
        g.m = 33, g.n = 40, g.k = 5;
        g.a = a.raw_data(), g.b = b.raw_data(), g.bias = bias.raw_data(), g.out = out.mut_raw_data();
        g.a_row = 5, g.b_row = 40, g.out_row = 40;
        g.dtype = Dtype::bf16, g.out_dtype = Dtype::f32;
        g.alpha = 0.5, g.beta = 2, g.epilogue = apart ? Epilogue::none : e;
        cuda::gemm_own(g);
        g.epilogue = e;
        if (apart) cuda::finish(g);
        const std::vector<float> got = out.to_vector<float>();
        double worst = 0;
        for (size_t i = 0; i < got.size(); ++i) {
          double v = 2 * sv[i];
          for (size_t k = 0; k < 5; ++k) v += 0.5 * av[i / 40 * 5 + k] * bv[k * 40 + i % 40];
          if (cuda::has_bias(e)) v += cv[i % 40];
          if (e == Epilogue::relu || e == Epilogue::relu_bias) v = std::max(v, 0.0);
          if (e == Epilogue::gelu || e == Epilogue::gelu_bias)
            v = 0.5 * v * (1 + std::tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
          worst = std::max(worst, std::abs(v - static_cast<double>(got[i])) / std::max(1.0, std::abs(v)));
        }
        CHECK(worst < 4e-6);  // the sums are exact, tanh has a few ulp in f32
      }
  }
}
