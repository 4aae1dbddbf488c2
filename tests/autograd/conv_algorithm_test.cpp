// f32 convolutions by Winograd's transforms and as direct sums: how exact each is, what a value that is not finite
// spoils, and whose choice of the two counts.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "support/same_bits.h"
#include "support/throws.h"
#include "weft/autograd/checkpoint.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/layer/conv.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"
#include "weft/distributed/thread_group.h"

using namespace weft;

namespace {

ConvParams same_size(std::optional<ConvAlgorithm> algorithm, int64_t dilation = 1) {
  const Shape one{1, 1}, reach{dilation, dilation};
  return {one, reach, reach, reach, 1, algorithm};
}

double rms(const Tensor& x) {
  double s = 0;
  for (const double v : x.to_vector<double>()) s += v * v;
  return std::sqrt(s / static_cast<double>(x.numel()));
}

struct Operands {
  Tensor x, w, g;
  Operands(int64_t n, int64_t channels, int64_t size, uint64_t seed = 1) {
    Generator random(seed);
    x = randn({n, channels, size, size}, Dtype::f32, &random);
    w = randn({channels, channels, 3, 3}, Dtype::f32, &random);
    g = randn(x.shape(), Dtype::f32, &random);
  }
  // x as a relu leaves it, g as the gradient of one does.
  void relu() {
    g = g * (x > 0).to(Dtype::f32);
    x = weft::relu(x);
  }
  // The three directions.
  std::vector<Tensor> results(const ConvParams& p) const {
    return {conv(x, w, {}, p), conv_input_grad(g, w, x.shape(), p), conv_weight_grad(x, g, w.shape(), p)};
  }
};

// The rms error of one f32 sum of `terms` products of random sign, added in turn, relative to the sum's rms: the direct
// form of most engines. A rounding errs by 0.42 * 2^-24 of what it rounds, and the mean square of the sums on the way
// is half of the last one's.
double error_of_one_sum(double terms) { return 0.295 * std::ldexp(1.0, -24) * std::sqrt(terms); }

// Winograd's rms errors of the three directions, over those of one sum. `density`: the part of x and of g that is not 0.
std::vector<double> error_ratios(const Operands& in, double density) {
  Operands exact = in;
  for (Tensor* t : {&exact.x, &exact.w, &exact.g}) *t = t->to(Dtype::f64);
  const auto truth = exact.results(same_size({})), fast = in.results(same_size(ConvAlgorithm::winograd));
  const double window = 9 * static_cast<double>(in.x.size(1)) * density,
               pixels = static_cast<double>(in.x.numel() / in.x.size(1)) * density * density;
  const double terms[] = {window, window, pixels};
  std::vector<double> ratios;
  for (size_t i = 0; i < truth.size(); ++i)
    ratios.push_back(rms(fast[i].to(Dtype::f64) - truth[i]) / rms(truth[i]) / error_of_one_sum(terms[i]));
  return ratios;
}

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  bool all = a.size() == b.size();
  for (size_t i = 0; i < a.size() && all; ++i) all = support::same_bits(a[i], b[i]);
  return all;
}

// Sets the thread's algorithm and puts back what was set before.
struct Algorithm {
  ConvAlgorithm before = float32_conv_algorithm();
  explicit Algorithm(Choice<ConvAlgorithm> algorithm) { set_float32_conv_algorithm(algorithm); }
  ~Algorithm() { set_float32_conv_algorithm(before); }
};

}  // namespace

TEST_SUITE("conv algorithm") {
  TEST_CASE("Winograd's rms error is two to three times that of one sum") {
    // Measured, with fma: 1.3 to 2.0 of dense operands, 2.1 to 2.8 of half-zero ones, whose sums have fewer roundings;
    // up to a tenth more without fma. The points 0, +-1, +-2 have 3.9 to 4.4 and 4.6 to 6.3 in the first two directions.
    for (const int64_t channels : {32, 128})
      for (const bool sparse : {false, true}) {
        Operands in(2, channels, 28);
        if (sparse) in.relu();
        const auto ratios = error_ratios(in, sparse ? 0.5 : 1);
        CAPTURE(channels);
        CAPTURE(sparse);
        for (const double ratio : ratios) CHECK(ratio < (sparse ? 3.3 : 2.5));
      }
  }
  TEST_CASE("Winograd's weight gradients add blocks of tiles, each a sum of its own") {
    // 784 tiles. Measured: 0.83, without fma 0.86; one sum over all tiles has 2.0.
    Operands in(4, 32, 56);
    in.relu();
    CHECK(error_ratios(in, 0.5)[2] < 1.2);
  }

  TEST_CASE("by direct sums a value that is not finite reaches only what depends on it") {
    const auto lost = [](const Tensor& t) {
      int64_t n = 0;
      for (const float v : t.to_vector<float>()) n += !std::isfinite(v);
      return n;
    };
    const int64_t channels = 32, size = 24, y = 9, x = 10, channel = 5;
    for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
      for (const int64_t dilation : {1, 2}) {
        CAPTURE(value);
        CAPTURE(dilation);
        Operands in(2, channels, size);
        for (Tensor* t : {&in.x, &in.g}) t->index({0, channel, y, x}).fill_(value);
        const auto direct = in.results(same_size(ConvAlgorithm::direct, dilation));
        for (const size_t direction : {0, 1}) {
          CHECK(lost(direct[direction]) == 9 * channels);
          for (const int64_t i : {-1, 0, 1})
            for (const int64_t j : {-1, 0, 1})
              CHECK(lost(direct[direction].index({0, Slice{}, y + i * dilation, x + j * dilation})) == channels);
        }
        // The weights of the value's own input channel, and those of its own output channel.
        CHECK(lost(direct[2]) == 9 * (2 * channels - 1));
        CHECK(lost(direct[2].index({Slice{}, channel})) == 9 * channels);
        CHECK(lost(direct[2].index({channel})) == 9 * channels);
        // Winograd's transforms spread it over tiles: the shapes above are among those that it takes.
        const auto fast = in.results(same_size(ConvAlgorithm::winograd, dilation));
        CHECK(lost(fast[0]) > 9 * channels);
        CHECK(lost(fast[1]) > 9 * channels);
      }
  }

  TEST_CASE("the switch chooses, and knows two words") {
    const Operands in(2, 32, 28);
    const auto fast = in.results(same_size(ConvAlgorithm::winograd)),
               plain = in.results(same_size(ConvAlgorithm::direct));
    for (size_t i = 0; i < fast.size(); ++i) CHECK(!support::same_bits(fast[i], plain[i]));
    CHECK(float32_conv_algorithm() == ConvAlgorithm::winograd);
    CHECK(same(in.results(same_size({})), fast));
    {
      const Algorithm set("direct");
      CHECK(float32_conv_algorithm() == ConvAlgorithm::direct);
      CHECK(same(in.results(same_size({})), plain));
      // A call that names its algorithm has its own.
      CHECK(same(in.results(same_size(ConvAlgorithm::winograd)), fast));
      CHECK(support::message_of<ValueError>([] { set_float32_conv_algorithm("fast"); }) ==
            "set_float32_conv_algorithm: algorithm 'fast' is unknown; expected 'winograd' or 'direct'");
      CHECK(float32_conv_algorithm() == ConvAlgorithm::direct);
    }
    CHECK(same(in.results(same_size({})), fast));
  }

  TEST_CASE("the switch is the thread's own, and ranks and a checkpoint's second run have the caller's") {
    const Operands in(2, 32, 28);
    const Algorithm set("direct");
    ConvAlgorithm fresh = ConvAlgorithm::direct, rank = ConvAlgorithm::winograd;
    std::thread([&] { fresh = float32_conv_algorithm(); }).join();
    run_threads(1, [&](const ProcessGroup&) { rank = float32_conv_algorithm(); });
    CHECK(fresh == ConvAlgorithm::winograd);
    CHECK(rank == ConvAlgorithm::direct);

    std::vector<ConvAlgorithm> runs;
    Tensor x = in.x.detach().set_requires_grad();
    const Tensor y = checkpoint(
        [&](const Tensor& t) {
          runs.push_back(float32_conv_algorithm());
          return conv2d(t, in.w, {}, {.padding = 1});
        },
        x);
    set_float32_conv_algorithm("winograd");
    y.backward(in.g);
    CHECK(runs == std::vector{ConvAlgorithm::direct, ConvAlgorithm::direct});
    CHECK(support::same_bits(x.grad(), in.results(same_size(ConvAlgorithm::direct))[1]));
  }

  TEST_CASE("derivatives of every order keep the algorithm of their convolution, on any thread") {
    const Operands in(2, 32, 28);
    for (const ConvAlgorithm made : {ConvAlgorithm::winograd, ConvAlgorithm::direct}) {
      CAPTURE(static_cast<int>(made));
      const auto expected = in.results(same_size(made));
      Tensor x = in.x.detach().set_requires_grad(), w = in.w.detach().set_requires_grad(),
             g = in.g.detach().set_requires_grad();
      const Tensor y = [&] {
        const Algorithm set(made);
        return conv2d(x, w, {}, {.padding = 1});
      }();
      const auto other = made == ConvAlgorithm::direct ? ConvAlgorithm::winograd : ConvAlgorithm::direct;
      std::thread([&] {
        set_float32_conv_algorithm(other);
        const auto first = grad(y, {x, w}, {.create_graph = true, .grad_outputs = {g}});
        CHECK(support::same_bits(first[0], expected[1]));
        CHECK(support::same_bits(first[1], expected[2]));
        const Tensor second = grad(first[0], {g}, {.grad_outputs = {in.x}})[0];
        CHECK(support::same_bits(second, expected[0]));
      }).join();
      CHECK(float32_conv_algorithm() == ConvAlgorithm::winograd);
    }
  }
}
