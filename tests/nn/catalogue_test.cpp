// Modules beside what the golden vectors hold: random ones, lists of parameters, functional names, printing.
#include "nn/support.h"
#include "support/here.h"
#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/reduce.h"
#include "weft/autograd/ops/unary.h"
#include "weft/nn/nn.h"

using namespace weft;
using namespace weft::test;

TEST_SUITE_BEGIN("catalogue");

DEVICE_TEST_CASE("RReLU draws a slope for each element in training") {
  manual_seed(21);
  auto layer = here::module(nn::RReLU(0.2, 0.4));
  const Tensor x = here::full({1000}, -1.0);
  const std::vector<double> y = layer(x).to_vector<double>();
  double sum = 0;
  for (double v : y) {
    CHECK((v <= -0.2 && v > -0.4));
    sum += v;
  }
  CHECK(sum / 1000 == doctest::Approx(-0.3).epsilon(0.02));  // 5 standard errors: 5 * 0.0577 / sqrt(1000) = 0.009
  layer.eval();
  CHECK(layer(x).to_vector<float>()[7] == doctest::Approx(-0.3));
  CHECK(equal(layer(-x), -x));
}

DEVICE_TEST_CASE("FeatureAlphaDropout drops channels") {
  manual_seed(22);
  auto layer = here::module(nn::FeatureAlphaDropout(0.5));
  const std::vector<float> y = layer(here::ones({4, 8, 3})).to_vector<float>();
  for (size_t i = 0; i < y.size(); ++i) CHECK(y[i] == y[i / 3 * 3]);
  layer.eval();
  CHECK(equal(layer(here::ones({4, 8, 3})), here::ones({4, 8, 3})));
}

DEVICE_TEST_CASE("gumbel_softmax draws from the softmax") {
  manual_seed(23);
  const Tensor p = here::tensor({0.5f, 0.3f, 0.2f}), x = log(p).expand({4000, 3});
  const Tensor hard = nn::functional::gumbel_softmax(x, 0.7, true);
  const std::vector<float> share = mean(hard, 0).to_vector<float>(), want = p.to_vector<float>();
  for (size_t i = 0; i < 3; ++i) CHECK(share[i] == doctest::Approx(want[i]).epsilon(0.1));  // 4 standard errors: 0.032
  CHECK(allclose(sum(nn::functional::gumbel_softmax(x), -1), here::ones({4000})));
  Tensor leaf = x.contiguous().detach().set_requires_grad();
  sum(square(nn::functional::gumbel_softmax(leaf, 1, true))).backward();
  CHECK(amax(abs(leaf.grad())).item<float>() > 0);
}

DEVICE_TEST_CASE("ParameterList and ParameterDict") {
  struct Net : nn::Module {
    nn::ParameterList list = add("list", nn::ParameterList({here::zeros({2, 3}), here::ones({4})}));
    nn::ParameterDict dict = add("dict", nn::ParameterDict({{"a", here::zeros({2})}, {"b", here::ones({2, 1})}}));
  };
  Net net;
  CHECK(keys(net) == "list.0 [2, 3], list.1 [4], dict.a [2], dict.b [2, 1]");
  CHECK(net.parameters().size() == 4);
  CHECK(net.list.at(-1).is_same(net.get("list.1")));
  CHECK(net.dict.at("b").requires_grad());
  CHECK(net.dict.contains("a"));
  CHECK(!net.dict.contains("c"));
  CHECK(net.dict.keys() == std::vector<std::string>{"a", "b"});
  CHECK(has(message([&] { (void)net.list.at(2); }), {"2", "range"}));
  CHECK(has(message([&] { (void)net.dict.at("c"); }), {"c"}));
  auto copy = nn::clone(net);
  CHECK(!copy.list.at(0).is_same(net.list.at(0)));
  CHECK(copy.list.at(0).is_same(copy.get("list.0")));
  // PyTorch's own output
  CHECK(printed(nn::ParameterList({here::zeros({2, 3}), here::zeros({4})})) ==
        "ParameterList(\n"
        "    (0): Parameter containing: [torch.float32 of size 2x3]\n"
        "    (1): Parameter containing: [torch.float32 of size 4]\n"
        ")");
  CHECK(printed(nn::ParameterDict({{"a", here::zeros({2})}, {"b", here::zeros({2, 1})}})) ==
        "ParameterDict(\n"
        "    (a): Parameter containing: [torch.FloatTensor of size 2]\n"
        "    (b): Parameter containing: [torch.FloatTensor of size 2x1]\n"
        ")");
}

DEVICE_TEST_CASE("TripletMarginWithDistanceLoss takes any distance") {
  const auto manhattan = [](const Tensor& a, const Tensor& b) { return sum(abs(a - b), -1); };
  const nn::TripletMarginWithDistanceLoss loss({.distance = manhattan, .margin = 2});
  CHECK(loss(here::zeros({1, 2}), here::ones({1, 2}), here::full({1, 2}, 1.5)).item<float>() == 1);  // 2 - 3 + 2
  CHECK(printed(loss) == "TripletMarginWithDistanceLoss()");
}

DEVICE_TEST_CASE("affine_grid and pdist") {
  const Tensor identity = here::tensor({1., 0., 0., 0., 1., 0.}, Shape{1, 2, 3});
  const Tensor x = here::randn({1, 2, 3, 5}, Dtype::f64);
  for (const bool corners : {false, true}) {
    const Tensor grid = nn::functional::affine_grid(identity, x.shape(), corners);
    CHECK(grid.shape() == Shape{1, 3, 5, 2});
    CHECK(allclose(nn::functional::grid_sample(x, grid, {.align_corners = corners}), x, 1e-12, 1e-12));
  }
  const std::vector<double> d = nn::functional::pdist(here::tensor({0., 0., 3., 4., 3., 0.}, Shape{3, 2}))
                                    .to_vector<double>();
  CHECK(d == std::vector<double>{5, 3, 4});
}

TEST_SUITE_END();
