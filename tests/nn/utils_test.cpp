#include "weft/nn/utils.h"

#include "nn/support.h"
#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/gradcheck.h"
#include "weft/nn/nn.h"
#include "weft/optim/sgd.h"

using namespace weft;
using namespace weft::test;

namespace {

void check_near(const Tensor& t, const std::vector<double>& expected) {
  const auto got = t.to_vector<double>();
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-12));  // f64
}

/// Linear(2, 3) with weight [[1, 2], [3, 4], [5, 6]] and no shift, in f64.
nn::Linear counted_linear() {
  nn::Linear layer = here::module(nn::Linear(2, 3));
  layer.to(Dtype::f64);
  NoGrad guard;
  layer.weight.copy_(here::tensor({1.0, 2.0, 3.0, 4.0, 5.0, 6.0}, Shape{3, 2}));
  layer.bias.zero_();
  return layer;
}

}  // namespace

TEST_SUITE_BEGIN("nn utils");

DEVICE_TEST_CASE("parameters as a vector, and back") {
  Tensor a = here::randn({2, 3}, Dtype::f64).set_requires_grad(), b = here::randn({4}, Dtype::f64).set_requires_grad();
  Tensor v = nn::parameters_to_vector({a, b});
  CHECK(v.shape() == Shape{10});
  sum(v * v).backward();
  check_near(a.grad(), (a * 2).to_vector<double>());
  const auto before = a.to_vector<double>();
  nn::vector_to_parameters(v.detach() * 2, {a, b});
  check_near(a, (here::tensor(before) * 2).to_vector<double>());
  CHECK_THROWS_AS(nn::vector_to_parameters(here::zeros({9}), {a, b}), ShapeError);
  CHECK_THROWS_AS((void)nn::parameters_to_vector({}), ValueError);
}

// Numbers of torch.nn.utils.weight_norm.
DEVICE_TEST_CASE("weight_norm: PyTorch's keys, values and gradients") {
  nn::WeightNorm<nn::Linear> layer = nn::weight_norm(counted_linear());
  CHECK(keys(layer) == "bias [3], weight_g [3, 1], weight_v [3, 2]");
  CHECK(printed(layer) == "Linear(in_features=2, out_features=3, bias=True)");
  check_near(layer.rule.g, {2.23606797749979, 5.0, 7.810249675906654});
  {
    NoGrad guard;
    layer.rule.g.mul_(2);
  }
  Tensor y = layer(here::tensor({1.0, -2.0}, Shape{1, 2}));
  check_near(y, {-6, -10, -14});
  sum(y).backward();
  check_near(layer.rule.g.grad(), {-1.3416407864998738, -1.0, -0.8962581595302719});
  check_near(layer.rule.v.grad(), {3.2, -1.6, 3.2, -2.4, 3.1475409836065573, -2.622950819672131});

  auto copy = clone(layer);
  nn::Linear plain = nn::remove_weight_norm(copy);
  CHECK(keys(plain) == "bias [3], weight [3, 2]");
  check_near(plain.weight, {2, 4, 6, 8, 10, 12});
  CHECK(plain.weight.requires_grad());
  CHECK(keys(layer) == "bias [3], weight_g [3, 1], weight_v [3, 2]");  // the clone was another one
  check_near(layer(here::tensor({1.0, -2.0}, Shape{1, 2})), {-6, -10, -14});

  CHECK(keys(nn::weight_norm(nn::Conv2d(2, 3, {.kernel_size = 1}), 1)) ==
        "bias [3], weight_g [1, 2, 1, 1], weight_v [3, 2, 1, 1]");
  CHECK(keys(nn::weight_norm(nn::Linear(2, 3), std::nullopt)) == "bias [3], weight_g [], weight_v [3, 2]");
  CHECK_THROWS_AS(nn::weight_norm(nn::weight_norm(nn::Linear(2, 3))), ValueError);
  CHECK_THROWS_AS(nn::weight_norm(nn::Linear(2, 3), 2), Error);
}

// Numbers of torch.nn.utils.spectral_norm with u = (0.6, 0, 0.8), v = (1, 0).
DEVICE_TEST_CASE("spectral_norm: PyTorch's keys, values, gradients and iterations") {
  nn::SpectralNorm<nn::Linear> layer = nn::spectral_norm(counted_linear(), {.n_power_iterations = 2});
  CHECK(keys(layer) == "bias [3], weight_orig [3, 2], weight_u [3], weight_v [2]");
  layer.rule.u.copy_(here::tensor({0.6, 0.0, 0.8}));
  layer.rule.v.copy_(here::tensor({1.0, 0.0}));
  const Tensor x = here::tensor({1.0, -2.0}, Shape{1, 2});
  Tensor y = layer(x);
  const std::vector<double> expected = {-0.3149434995263157, -0.5249058325438594, -0.7348681655614032};
  check_near(y, expected);
  sum(y).backward();
  check_near(layer.rule.original.grad(), {0.12852446181029398, -0.18013713256968614, 0.15873036232099633,
                                          -0.14187158707565756, 0.18893626283169868, -0.103606041581629});
  check_near(layer.rule.u, {0.22984966935732173, 0.5247453564779021, 0.8196410435984824});
  check_near(layer.rule.v, {0.6195970184597209, 0.78492008173815});
  layer.eval();
  check_near(layer(x), expected);
  check_near(layer.rule.u, {0.22984966935732173, 0.5247453564779021, 0.8196410435984824});
  CHECK(keys(nn::remove_spectral_norm(layer)) == "bias [3], weight [3, 2]");

  CHECK(keys(nn::spectral_norm(nn::ConvTranspose2d(2, 3, {.kernel_size = 1, .bias = false}))) ==
        "weight_orig [2, 3, 1, 1], weight_u [3], weight_v [2]");
  CHECK_THROWS_AS(nn::spectral_norm(nn::BatchNorm2d(3)), ValueError);
  CHECK_THROWS_AS(nn::spectral_norm(nn::Linear(2, 0)), ValueError);
  CHECK_THROWS_AS(nn::weight_norm(nn::LazyConv2d(2, {.kernel_size = 3})), ValueError);
  CHECK_THROWS_AS(nn::spectral_norm(nn::Linear(2, 3), {.n_power_iterations = 0}), ValueError);
}

DEVICE_TEST_CASE("gradients of computed weights, to the second order") {
  const Tensor x = here::randn({2, 4, 5, 5}, Dtype::f64);
  const nn::ConvOptions<2> o{.kernel_size = 3, .padding = 1, .groups = 2};
  for (std::optional<int64_t> dim : {std::optional<int64_t>(0), std::optional<int64_t>(-2), std::optional<int64_t>()}) {
    nn::Conv2d conv = here::module(nn::Conv2d(4, 6, o));
    conv.to(Dtype::f64);
    auto layer = nn::weight_norm(conv, dim);
    auto f = [&](const std::vector<Tensor>& in) {
      nn::WeightNormRule rule = layer.rule;
      rule.g.stand_in(in[0]);
      rule.v.stand_in(in[1]);
      return conv2d(x, rule.weight(true), {}, {.padding = 1, .groups = 2});
    };
    CHECK(gradcheck(f, {layer.rule.g.tensor(), layer.rule.v.tensor()}));
    CHECK(gradgradcheck(f, {layer.rule.g.tensor(), layer.rule.v.tensor()}));
  }
  nn::Linear linear = here::module(nn::Linear(4, 3));
  linear.to(Dtype::f64);
  auto spectral = nn::spectral_norm(linear);
  auto f = [&](const std::vector<Tensor>& in) {
    nn::SpectralNormRule rule = spectral.rule;
    rule.original.stand_in(in[0]);
    return rule.weight(false);
  };
  CHECK(gradcheck(f, {spectral.rule.original.tensor()}));
  CHECK(gradgradcheck(f, {spectral.rule.original.tensor()}));
}

DEVICE_TEST_CASE("a normalised network trains, in Sequential, and its largest singular value is 1") {
  manual_seed(3);
  nn::Sequential net = here::module(
      nn::Sequential(nn::spectral_norm(nn::Linear(6, 8)), nn::Tanh(), nn::weight_norm(nn::Linear(8, 1))));
  optim::SGD opt(net.parameters(), {.lr = 0.1});
  const Tensor x = here::randn({32, 6}), t = sum(x, 1, true);
  std::vector<float> losses;
  for (int i = 0; i < 60; ++i) {
    Tensor loss = mean(square(net(x) - t));
    opt.zero_grad();
    loss.backward();
    opt.step();
    losses.push_back(loss.item<float>());
  }
  CHECK(losses.back() < 0.2f * losses.front());
  net.eval();
  const auto& rule = net.at<nn::SpectralNorm<nn::Linear>>(0).rule;
  const Tensor w = rule.weight(false).detach();
  Tensor v = here::randn({6});
  for (int i = 0; i < 200; ++i) v = matmul(w.t(), matmul(w, v)) / norm(v);
  // one iteration per step follows a slowly changing weight
  CHECK(norm(matmul(w, v)).item<float>() / norm(v).item<float>() == doctest::Approx(1).epsilon(0.01));
}

TEST_SUITE_END();
