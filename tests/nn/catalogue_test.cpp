// Modules beside what the golden vectors hold: random ones, lists of parameters, functional names, printing.
#include "nn/support.h"
#include "support/here.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
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

DEVICE_TEST_CASE("FractionalMaxPool draws its windows, and gives indices for unpooling") {
  manual_seed(24);
  const Tensor x = here::randn({2, 3, 9, 8}, Dtype::f64);
  const nn::FractionalMaxPool2d pool({.kernel_size = 2, .output_ratio = {0.6, 0.5}});
  const Pooled a = pool.with_indices(x), b = pool.with_indices(x);
  CHECK(a.output.shape() == Shape{2, 3, 5, 4});
  CHECK(a.output.is_channels_last());
  CHECK(!equal(a.indices, b.indices));
  CHECK(equal(gather(x.flatten(2), 2, a.indices.flatten(2)), a.output.flatten(2)));
  const Tensor back = max_unpool(a.output, a.indices, {9, 8});
  CHECK(equal(where(ne(back, 0), x, 0), back));
  Generator g(5), same(5);
  const FractionalMaxPoolOptions<3> o{.kernel_size = {1, 2, 2}, .output_size = {2, 3, 1}};
  const Tensor v = here::randn({2, 4, 4, 3});
  CHECK(equal(fractional_max_pool3d(v, o, &g), fractional_max_pool3d(v, o, &same)));
  CHECK(fractional_max_pool3d(here::zeros({0, 2, 4, 4, 3}), o).shape() == Shape{0, 2, 2, 3, 1});
}
DEVICE_TEST_CASE("FractionalMaxPool: derivatives, halves, samples as a buffer, bad input") {
  manual_seed(25);
  const Tensor u = here::rand({2, 2, 3}, Dtype::f64);
  const FractionalMaxPoolOptions<3> o{.kernel_size = {2, 1, 2}, .output_size = 2, .random_samples = u};
  const auto f = [&](const std::vector<Tensor>& x) { return square(fractional_max_pool3d(x[0], o)); };
  Tensor x = here::randn({2, 2, 4, 3, 4}, Dtype::f64);
  x.set_requires_grad();
  CHECK(gradcheck(f, {x}));
  CHECK(gradgradcheck(f, {x}));
  for (const Dtype half : {Dtype::f16, Dtype::bf16}) {
    // samples of few bits: the windows are those of f32, and a maximum is not rounded again
    const Tensor few = here::full({1, 2, 2}, 0.25, half), y = here::randn({2, 9, 7}).to(half);
    CHECK(equal(fractional_max_pool2d(y, {.kernel_size = 3, .output_size = 3, .random_samples = few}).to(Dtype::f32),
                fractional_max_pool2d(y.to(Dtype::f32),
                                      {.kernel_size = 3, .output_size = 3, .random_samples = few.to(Dtype::f32)})));
  }
  nn::FractionalMaxPool3d pool({.kernel_size = {2, 1, 2}, .output_size = 2, .random_samples = u.clone()});
  CHECK(keys(pool) == "_random_samples [2, 2, 3]");
  CHECK(printed(pool) == "FractionalMaxPool3d()");
  const auto copy = nn::clone(pool);
  pool.to(Dtype::f32);
  CHECK(pool(x.detach().to(Dtype::f32)).dtype() == Dtype::f32);
  CHECK(equal(copy(x), fractional_max_pool3d(x, o)));

  const auto refused = [&](const Tensor& t, const FractionalMaxPoolOptions<2>& p) {
    return [=] { (void)fractional_max_pool2d(t, p); };
  };
  const Tensor small = here::zeros({1, 1, 4, 4});
  CHECK(has(message(refused(small, {.kernel_size = 2})), {"fractional_max_pool2d", "output_size", "output_ratio"}));
  CHECK(has(message(refused(small, {.kernel_size = 0, .output_size = 2})), {"greater than 0"}));
  CHECK(has(message(refused(small, {.kernel_size = 2, .output_ratio = 0.1})), {"greater than 0", "got 2 and 0"}));
  CHECK(has(message<ShapeError>(refused(small, {.kernel_size = 2, .output_size = {3, 4}})),
            {"kernel_size 2", "axis 1", "at most 1"}));
  CHECK(has(message<ShapeError>(refused(small, {.kernel_size = INT64_MAX, .output_size = 2})), {"too large"}));
  CHECK(has(message<ShapeError>(
                refused(small, {.kernel_size = 2, .output_size = 2, .random_samples = here::zeros({1, 2, 2})})),
            {"random_samples", "[1, 2, 2]", "[1, 1, 2]"}));
  CHECK(has(message<DtypeError>(refused(
                small, {.kernel_size = 2, .output_size = 2, .random_samples = here::zeros({1, 1, 2}, Dtype::f64)})),
            {"random_samples", "f64", "f32"}));
  CHECK(has(message<DtypeError>(refused(small.to(Dtype::i64), {.kernel_size = 2, .output_size = 2})), {"floating"}));
}

DEVICE_TEST_CASE("AdaptiveLogSoftmaxWithLoss is a distribution, and predicts its mode") {
  manual_seed(26);
  auto net = here::module(nn::AdaptiveLogSoftmaxWithLoss(6, 20, {3, 8, 15}, {.div_value = 2, .head_bias = true}));
  net.to(Dtype::f64);
  CHECK(keys(net) ==
        "head.weight [6, 6], head.bias [6], tail.0.0.weight [3, 6], tail.0.1.weight [5, 3], tail.1.0.weight [1, 6], "
        "tail.1.1.weight [7, 1], tail.2.0.weight [0, 6], tail.2.1.weight [5, 0]");
  Tensor x = here::randn({40, 6}, Dtype::f64) * 6;
  const Tensor all = net.log_prob(x), y = here::randint(0, 20, {40});
  CHECK(allclose(sum(exp(all), 1), here::ones({40}, Dtype::f64), 1e-12, 1e-12));
  CHECK(equal(net.predict(x), argmax(all, 1)));
  const nn::AdaptiveLogSoftmaxResult r = net(x, y);
  CHECK(allclose(r.output, gather(all, 1, y.unsqueeze(1)).squeeze(1), 1e-12, 1e-12));
  CHECK(allclose(r.loss, -mean(r.output), 1e-12, 1e-12));
  net.requires_grad(false);
  const auto f = [&](const std::vector<Tensor>& t) { return net(t[0], y).output; };
  x = x.detach().clone().set_requires_grad();
  CHECK(gradcheck(f, {x}));
  CHECK(gradgradcheck(f, {x}));
  CHECK(net(here::zeros({0, 6}, Dtype::f64), here::zeros({0}, Dtype::i64)).output.shape() == Shape{0});
  CHECK(has(message([&] { (void)net(x, y + 18); }), {"AdaptiveLogSoftmaxWithLoss", "[0, 19]"}));
  CHECK(has(message<DtypeError>([&] { (void)net(x, y.to(Dtype::f32)); }), {"target", "f32"}));
  CHECK(has(message<ShapeError>([&] { (void)net.predict(x[0]); }), {"predict", "[6]"}));
  CHECK(has(message([] { nn::AdaptiveLogSoftmaxWithLoss(4, 5, {2}, {.div_value = 0}); }), {"div_value"}));
}

DEVICE_TEST_CASE("Transformer: an own encoder, copies, masks") {
  manual_seed(27);
  nn::TransformerEncoder own(nn::TransformerEncoderLayer(8, 2, {.dim_feedforward = 6, .dropout = 0}), 1);
  auto net = here::module(nn::Transformer(
      {.d_model = 8, .nhead = 2, .num_decoder_layers = 1, .dim_feedforward = 6, .dropout = 0, .custom_encoder = own}));
  CHECK(net.encoder.is_same(own));
  CHECK(!net.encoder.norm);
  const Tensor src = here::randn({5, 2, 8}), tgt = here::randn({3, 2, 8});
  CHECK(equal(net(src, tgt), net.decoder(tgt, own(src))));
  CHECK(equal(nn::clone(net)(src, tgt), net(src, tgt)));
  const Tensor mask = nn::Transformer::generate_square_subsequent_mask(3, support::on());
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(mask.to_vector<float>() == std::vector<float>{0, -inf, -inf, 0, 0, -inf, 0, 0, 0});
  // a step does not see those behind it
  const Tensor whole = net(src, tgt, {.tgt_mask = mask}),
               start = net(src, tgt.narrow(0, 0, 2), {.tgt_mask = mask.narrow(0, 0, 2).narrow(1, 0, 2)});
  CHECK(allclose(whole.narrow(0, 0, 2), start, 1e-5, 1e-6));
  CHECK(has(message<ShapeError>([&] { (void)net(src, tgt[0]); }), {"Transformer", "[5, 2, 8]", "[2, 8]"}));
}

DEVICE_TEST_CASE("CrossMapLRN2d: derivatives of its own formula") {
  manual_seed(28);
  for (const int64_t size : {1, 2, 5}) {
    const nn::CrossMapLRN2d layer(size, {.alpha = 0.8, .beta = 0.6});
    const auto f = [&](const std::vector<Tensor>& x) { return layer(x[0]); };
    const std::vector<Tensor> x{here::randn({1, 6, 2, 1}, Dtype::f64).set_requires_grad()};
    CHECK(gradcheck(f, x));
    CHECK(gradgradcheck(f, x));
  }
  // three channels and more: for one channel behind the window the first one still counts
  const Tensor y = nn::CrossMapLRN2d(1, {.alpha = 1, .beta = 1})(here::tensor({1., 1., 1.}, Shape{1, 3, 1, 1}));
  CHECK(allclose(y.flatten(), here::tensor({1 / 2., 1 / 3., 1 / 3.}), 1e-12, 1e-12));
  CHECK(nn::CrossMapLRN2d(3)(here::zeros({0, 3, 2, 2})).shape() == Shape{0, 3, 2, 2});
  CHECK(has(message([] { nn::CrossMapLRN2d(0); }), {"size", "0"}));
}

DEVICE_TEST_CASE("LinearCrossEntropyLoss is a linear layer and a cross entropy") {
  manual_seed(29);
  auto loss = here::module(nn::LinearCrossEntropyLoss(4, 3, {.out_features = {2}, .bias = true}));
  CHECK(keys(loss) == "linear.weight [6, 4], linear.bias [6]");
  const Tensor x = here::randn({5, 4}), y = here::randint(0, 3, {5, 2});
  CHECK(equal(loss(x, y), cross_entropy(loss.linear(x).unflatten(1, {3, 2}), y)));
  CHECK(has(message<ShapeError>([&] { (void)loss(x[0], y[0]); }), {"linear_cross_entropy", "[4]", "[3, 2, 4]"}));
}

TEST_SUITE_END();
