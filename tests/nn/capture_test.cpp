// Captured models: what they give, what they keep up with, what they refuse. Each op and layer is captured by the op
// table and the layer table, too.
#include "weft/nn/capture.h"

#include <atomic>
#include <sstream>
#include <thread>

#include "nn/support.h"
#include "nn/torchvision_nets.h"
#include "support/difference.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/aliases.h"
#include "weft/autograd/ops/elementwise/bitwise.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/backends/cpu/primitive_stats.h"
#include "weft/core/backend.h"
#include "weft/io/npy.h"
#include "weft/nn/nn.h"
#include "weft/train/profiler.h"

using namespace weft;
using namespace weft::test;
using support::largest_difference;
using support::message_of;
using support::says;

namespace {

/// Statistics and weights away from 0 and 1.
template <class M> void stir(M& model) {
  const NoGrad off;
  for (auto& bn : model.template modules<nn::BatchNorm2d>()) {
    bn.running_mean.copy_(randn(bn.running_mean.shape()) * 0.1);
    bn.running_var.copy_(rand(bn.running_var.shape()) + 0.5);
    bn.weight.copy_(rand(bn.weight.shape()) + 0.5);
    bn.bias.copy_(randn(bn.bias.shape()) * 0.1);
  }
}

template <class M> Tensor eager(M& model, const Tensor& x) {
  const NoGrad off;
  return model(x);
}

int count(const std::string& text, const std::string& word) {
  int n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

/// A convolution, and what may follow it.
struct Block : nn::Module {
  Block(int64_t c, int64_t o, int64_t kernel, int64_t stride, bool bias)
      : conv(add("conv",
                 nn::Conv2d(c, o, {.kernel_size = kernel, .stride = stride, .padding = kernel / 2, .bias = bias}))),
        bn(add("bn", nn::BatchNorm2d(o))) {}
  nn::Conv2d conv;
  nn::BatchNorm2d bn;
  bool norm = true, residual = false, leaky = false, active = true;
  Tensor operator()(const Tensor& x) {
    Tensor y = conv(x);
    if (norm) y = bn(y);
    if (residual) y = y + sigmoid(x.slice(1, 0, 1).mean()) * ones_like(y);
    if (active) y = leaky ? leaky_relu(y, 0.2) : relu(y);
    return y;
  }
};

Block stirred(int64_t c, int64_t o, int64_t kernel, int64_t stride, bool bias) {
  Block block(c, o, kernel, stride, bias);
  stir(block);
  block.eval();
  return block;
}

}  // namespace

TEST_SUITE_BEGIN("capture");

TEST_CASE("a convolution takes norm, residual and activation in, by every engine") {
  manual_seed(1);
  struct Case {
    int64_t c, o, kernel, stride, size;
  };
  for (const Case& k : {Case{3, 16, 7, 2, 17},
                        {32, 48, 3, 1, 20},
                        {32, 70, 3, 1, 20},
                        {32, 48, 3, 1, 7},
                        {16, 24, 1, 1, 9},
                        {32, 3, 3, 1, 8},
                        {5, 7, 2, 1, 6}})
    for (int mode = 0; mode < 32; ++mode)
      for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16}) {
        Block block(k.c, k.o, k.kernel, k.stride, mode & 1);
        block.norm = mode & 2, block.residual = mode & 4, block.leaky = mode & 8, block.active = mode & 16;
        stir(block);
        block.to(dtype);
        block.eval();
        INFO(k.c, " channels, kernel ", k.kernel, ", mode ", mode, ", ", dtype);
        const Tensor x = randn({2, k.c, k.size, k.size}).to(dtype);
        const nn::Captured captured = nn::capture(block, x);
        const Tensor want = eager(block, x);
        // Winograd's weights are rounded after the norm has scaled them; the halves round conv, norm and sum apart
        // where they are apart: three roundings of numbers below 8.
        const double eps = dtype == Dtype::f64 ? 1e-12 : dtype == Dtype::f32 ? 2e-5 : dtype == Dtype::f16 ? 0.02 : 0.15;
        for (int i = 0; i < 2; ++i) CHECK(largest_difference(captured(x), want) < eps);
        CHECK(captured(x).strides() == want.strides());
        if (mode & 18) CHECK(count(captured.str(), "conv_fused") == 1);
        CHECK(count(captured.str(), "norm_apply") + count(captured.str(), "relu") == 0);
        // a step of training takes in what rounds alike
        const nn::Captured step(nullptr,
                                [&](const std::vector<Tensor>& in) {
                                  const NoGrad off;
                                  return std::vector<Tensor>{block(in[0])};
                                },
                                {x}, {.training = true});
        CHECK(largest_difference(step(x), want) == 0);
        const bool relu_alone = mode / 2 % 8 == 0 && block.active && dtype != Dtype::f64;
        if (relu_alone) CHECK(count(step.str(), "conv_fused") == 1);
      }
}

TEST_CASE("ResNet-18 is its convolutions") {
  manual_seed(2);
  torchvision::ResNet18 net(10);
  stir(net);
  net.eval();
  const Tensor x = randn({2, 3, 64, 64});
  const nn::Captured captured = nn::capture(net, x);
  CHECK(count(captured.str(), "conv_fused") == 20);
  CHECK(count(captured.str(), "\n") == 23);  // and pooling twice, and a product
  const Tensor want = eager(net, x);
  CHECK(largest_difference(captured(x), want) < 1e-5 * max(abs(want)).item<double>());
  CHECK(!captured(x.clone().set_requires_grad()).requires_grad());
  // the halves of the two first layers' maps, and a residual
  CHECK(captured.memory() <= 3 * size_t{2 * 64 * 32 * 32 * 4});
}

TEST_CASE("an activation behind a cat goes into the convolutions before it") {
  manual_seed(10);
  nn::Conv2d one(8, 16, 1), three(8, 24, {.kernel_size = 3, .padding = 1}), last(40, 8, 1);
  const auto fire = [&](const std::vector<Tensor>& x) {
    return std::vector<Tensor>{last(relu(cat({one(x[0]), three(x[0])}, 1)))};
  };
  const auto twice = [&](const std::vector<Tensor>& x) {  // a part that something else needs stays as it is
    Tensor a = one(x[0]), y = relu(cat({a, three(x[0])}, 1));
    return std::vector<Tensor>{last(y), a};
  };
  const auto rows = [&](const std::vector<Tensor>& x) {
    return std::vector<Tensor>{leaky_relu(cat({one(x[0]), one(x[0]) * 1.0}, 0), 0.1)};
  };
  const Tensor x = randn({2, 8, 9, 9});
  for (const auto& [call, relus] : {std::pair<nn::Captured::Function, int>{fire, 0}, {twice, 1}, {rows, 1}}) {
    const NoGrad off;
    const nn::Captured captured = nn::capture(call, {x});
    CHECK(count(captured.str(), "relu") == relus);
    const std::vector<Tensor> in{x}, want = call(in), got = captured(in);
    for (size_t i = 0; i < want.size(); ++i) CHECK(largest_difference(got[i], want[i]) < 1e-5);
  }
}

TEST_CASE("other sizes, dtypes, strides and values of the weights are followed") {
  manual_seed(3);
  nn::Sequential net(nn::Conv2d(4, 8, 3), nn::BatchNorm2d(8), nn::ReLU(), nn::Flatten(), nn::LazyLinear(5));
  net(randn({1, 4, 9, 9}));
  stir(net);
  net.eval();
  const nn::Captured captured = nn::capture(net, randn({2, 4, 9, 9}));
  for (const int64_t n : {1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 1}) {
    const Tensor x = randn({n, 4, 9, 9});
    CHECK(largest_difference(captured(x), eager(net, x)) < 1e-5);
    const Tensor last = x.contiguous(MemoryFormat::channels_last);
    CHECK(largest_difference(captured(last), eager(net, x)) < 1e-5);
    const Tensor view = cat({x, x}, 3).slice(3, 9);
    CHECK(largest_difference(captured(view), eager(net, x)) < 1e-5);
  }
  const Tensor x = randn({2, 4, 9, 9});
  {
    const NoGrad off;
    for (Tensor p : net.parameters()) p.mul_(1.5);
  }
  CHECK(largest_difference(captured(x), eager(net, x)) < 1e-4);
  StateDict other;
  for (const auto& [name, t] : net.state_dict()) other.set(name, t.is_floating() ? t.detach() + 0.25 : t.clone());
  net.load_state_dict(other);
  CHECK(largest_difference(captured(x), eager(net, x)) < 1e-3);
  net.to(Dtype::f64);
  CHECK(largest_difference(captured(x.to(Dtype::f64)), eager(net, x.to(Dtype::f64))) < 1e-12);
}

TEST_CASE("autocast is the capturing thread's, wherever it runs") {
  manual_seed(4);
  Block block = stirred(16, 32, 3, 1, true);
  const Tensor x = randn({1, 16, 8, 8});
  const nn::Captured captured = [&] {
    const Autocast cast(Dtype::bf16);
    return nn::capture(block, x);
  }();
  CHECK(captured(x).dtype() == Dtype::bf16);
  CHECK(captured(cat({x, x}, 0)).dtype() == Dtype::bf16);  // recorded now, outside of autocast
  const Autocast cast(Dtype::bf16);
  CHECK(largest_difference(captured(x), eager(block, x)) < 0.1);
}

TEST_CASE("every replay begins with what memory held") {
  manual_seed(5);
  nn::LSTM lstm(3, 4, {.num_layers = 2, .bidirectional = true});
  lstm.to(Dtype::f64).eval();
  const auto call = [&](const std::vector<Tensor>& x) {
    Tensor sums = zeros({4, 3}, Dtype::f64);
    sums.select(0, 1).copy_(x[0].select(0, 0).select(0, 0));
    sums.add_(1);
    return std::vector<Tensor>{lstm(x[0]).output, sums, full({2}, 7.0), x[0].transpose(0, 1)};
  };
  const Tensor x = randn({5, 2, 3}, Dtype::f64), z = randn({5, 2, 3}, Dtype::f64);
  const nn::Captured captured = nn::capture(call, {x});
  for (const Tensor& in : {x, z, x}) {
    const NoGrad off;
    const auto want = call({in});
    auto got = captured(std::vector<Tensor>{in});
    for (size_t i = 0; i < want.size(); ++i) CHECK(largest_difference(got[i], want[i]) == 0);
    got[2].mul_(2);  // nobody else's
    CHECK(got[3].impl()->storage == in.impl()->storage);
  }
  CHECK_THROWS_AS(captured(x), ValueError);  // four results
}

TEST_CASE("chains of elementwise calls give the same bits, whatever lies between them") {
  manual_seed(9);
  using Call = nn::Captured::Function;
  const std::pair<const char*, Call> calls[] = {
      {"plain", [](const std::vector<Tensor>& x) { return std::vector<Tensor>{gelu(x[0] * 1.5 + 0.5) * x[1]}; }},
      {"kept",
       [](const std::vector<Tensor>& x) {
         Tensor a = exp(x[0]), b = a * x[1];
         return std::vector<Tensor>{a, sin(b) - a, b};
       }},
      {"masks",
       [](const std::vector<Tensor>& x) {
         return std::vector<Tensor>{where(gt(x[0], 0) & lt(x[1], 0.5), x[0] * 2, x[1] / 3), gt(x[0] + 1, x[1])};
       }},
      {"in place",
       [](const std::vector<Tensor>& x) {
         Tensor a = x[0] + 1;
         a.mul_(x[1]).add_(a);
         return std::vector<Tensor>{a * 2};
       }},
      {"a sum between",
       [](const std::vector<Tensor>& x) {
         Tensor a = x[0] + 1, s = sum(a), b = a * x[1], c = b * s;
         return std::vector<Tensor>{c + b, s};
       }},
      {"neighbours",
       [](const std::vector<Tensor>& x) {
         Tensor a = x[0] + x[1], l = a.slice(0, 1), r = a.slice(0, 0, -1);
         Tensor d = l - r;
         l.copy_(d * 2 + r);
         l.mul_(r);
         return std::vector<Tensor>{a, d};
       }},
      {"mixed dtypes",
       [](const std::vector<Tensor>& x) {
         Tensor h = x[0].to(Dtype::bf16) * 2 + 1, i = (x[1] * 8).to(Dtype::i64) + 3;
         return std::vector<Tensor>{relu(h).to(Dtype::f32) * x[1], i * i - 1};
       }},
      {"a gradient",
       [](const std::vector<Tensor>& x) {
         const EnableGrad on;
         Tensor t = x[0].detach().set_requires_grad(), loss = mean(gelu(t * 1.5 + 0.5) * t * x[1]);
         return std::vector<Tensor>{loss.detach(), grad(loss, {t})[0].detach()};
       }},
  };
  for (const auto& row : calls)
    for (const int64_t n : {3, 7, 2047, 2048, 2049, 40000}) {
      INFO(row.first, ", ", n);
      const std::vector<Tensor> x{randn({n}), randn({n})};
      const NoGrad off;
      const std::vector<Tensor> want = row.second(x);
      const nn::Captured captured(nullptr, row.second, x);
      CHECK(captured.str().find("element_chain") != std::string::npos);
      for (int i = 0; i < 2; ++i) {
        const std::vector<Tensor> got = captured(x);
        for (size_t k = 0; k < want.size(); ++k)
          CHECK(largest_difference(got[k].to(Dtype::f64), want[k].to(Dtype::f64)) == 0);
      }
    }
}

TEST_CASE("what lies in the way of a fusion stops it") {
  manual_seed(11);
  nn::Conv2d conv(4, 4, {.kernel_size = 3, .padding = 1}), wide(24, 24, {.kernel_size = 3, .padding = 1});
  nn::BatchNorm2d bn(4), second(4);
  nn::Sequential all(bn, second);
  stir(all);
  all.eval(), conv.eval();
  const Tensor held = randn({2, 4, 4, 4}), alpha = full({}, 2.0), row = randn({4, 2}).select(1, 1);
  using Call = nn::Captured::Function;
  const std::pair<const char*, Call> calls[] = {
      {"two norms", [&](const std::vector<Tensor>& x) { return std::vector<Tensor>{second(bn(conv(x[0])))}; }},
      {"in place on what an op made",
       [](const std::vector<Tensor>& x) {
         Tensor t = cumsum(x[0], 1);
         t.mul_(2);
         return std::vector<Tensor>{exp(t * 0.1)};
       }},
      {"a cast and an activation",
       [](const std::vector<Tensor>& x) {
         return std::vector<Tensor>{relu(x[0].to(Dtype::f64).to(Dtype::f32) + x[0])};
       }},
      {"a residual in place",
       [&](const std::vector<Tensor>& x) {
         Tensor t = sin(x[0]).contiguous(MemoryFormat::channels_last);
         t.add_(conv(t));
         return std::vector<Tensor>{t};
       }},
      {"a residual that changes",
       [&](const std::vector<Tensor>& x) {
         Tensor r = sin(x[0]).contiguous(MemoryFormat::channels_last), z = conv(x[0]) + r;
         r.mul_(5);
         return std::vector<Tensor>{relu(z), r};
       }},
      {"a norm of other axes",
       [&](const std::vector<Tensor>& x) {
         return std::vector<Tensor>{bn(conv(x[0]).permute({0, 3, 2, 1}))};
       }},
      {"one element and all of them",
       [](const std::vector<Tensor>& x) {
         Tensor f = x[0].flatten(), t = f + 1, y = t * t.narrow(0, 0, 1);
         t.mul_(2);
         return std::vector<Tensor>{exp(f - f.narrow(0, 0, 1)), y, t};
       }},
      {"a constant that changes",
       [](const std::vector<Tensor>& x) {
         Tensor c = ones({4}), y = x[0] * c;
         c.add_(1);
         return std::vector<Tensor>{y + x[0] * c};
       }},
      {"memory of the example", [&](const std::vector<Tensor>& x) { return std::vector<Tensor>{x[0] - held}; }},
      {"a bias with gaps",
       [&](const std::vector<Tensor>& x) {
         return std::vector<Tensor>{relu(conv2d(x[0], conv.weight, row, {.padding = 1}))};
       }},
      {"a captured function",
       [&](const std::vector<Tensor>& x) {
         static const nn::Captured inner = nn::capture(conv, x[0] * 1);
         return std::vector<Tensor>{inner(x[0]) + 1};
       }},
  };
  for (const auto& [name, call] : calls) {
    const NoGrad off;
    const std::string text = name;
    INFO(text);
    if (text == "a captured function") (void)call({held});
    const nn::Captured captured = nn::capture(call, {held});
    for (const Tensor& x : {held, randn({2, 4, 4, 4}), randn({2, 4, 4, 4})}) {
      const std::vector<Tensor> want = call({x}), got = captured({x});
      for (size_t i = 0; i < want.size(); ++i) CHECK(largest_difference(got[i], want[i]) < 2e-5);
    }
  }
  // NaN stays where weft's own engines compute: this one is Winograd
  Tensor nan = full({1, 24, 32, 32}, std::nan(""));
  wide.eval();
  const nn::Captured own = nn::capture(
      [&](const std::vector<Tensor>& x) { return std::vector<Tensor>{relu(wide(x[0]))}; }, {nan});
  if (float32_conv_algorithm() == ConvAlgorithm::winograd)
    CHECK(std::isnan(own(nan).select(0, 0).select(0, 0).select(0, 8)[8].item<float>()));
}

TEST_CASE("values that were kept or asked for are watched") {
  manual_seed(12);
  nn::WSConv2d ws(4, 4, 3);
  nn::Linear linear(4, 4);
  ws.eval(), linear.eval();
  Tensor alpha = full({}, 2.0);
  const Tensor x = randn({1, 4, 5, 5}), rows = randn({3, 4}), more = randn({5, 4});
  const auto same = [](const Tensor& a, const Tensor& b) { return largest_difference(a, b) < 0.02; };
  const NoGrad off;
  (void)ws(x);
  const nn::Captured kept = nn::capture(ws, x);
  const nn::Captured scaled = nn::capture(
      [&](const std::vector<Tensor>& in) { return std::vector<Tensor>{in[0] * alpha.item<float>()}; }, {rows});
  const Autocast cast(Dtype::bf16);
  (void)linear(rows);
  const nn::Captured lowered = nn::capture(linear, rows);
  const nn::Captured free = nn::capture(
      [&](const std::vector<Tensor>& in) { return std::vector<Tensor>{linear(in[0])}; }, {rows});
  (void)lowered(more), (void)free(more);
  ws.weight.mul_(2), ws.weight.add_(0.1), linear.weight.mul_(-3), alpha.mul_(3);
  CHECK(same(kept(x), ws(x)));
  CHECK(same(scaled(rows), rows * 6));
  for (const Tensor& in : {rows, more}) {
    CHECK(same(lowered(in), linear(in)));
    CHECK(same(free(in), linear(in)));
  }
}

TEST_CASE("threads run at the same time, and a steady call takes no memory of the system") {
  manual_seed(6);
  torchvision::ResNet18 net(10);
  stir(net);
  net.eval();
  const Tensor x = randn({1, 3, 32, 32}), y = randn({2, 3, 32, 32});
  const nn::Captured captured = nn::capture(net, x);
  const Tensor want_x = captured(x), want_y = captured(y);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        const bool first = (t + i) % 2 == 0;
        if (largest_difference(captured(first ? x : y), first ? want_x : want_y) > 1e-5) ++wrong;
      }
    });
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
  const auto taken = memory_stats().system_allocations;
  const auto made = cpu::primitive_stats();
  for (int i = 0; i < 3; ++i) (void)captured(x);
  CHECK(memory_stats().system_allocations == taken);
  CHECK(cpu::primitive_stats().created == made.created);
  CHECK(cpu::primitive_stats().weights_packed == made.weights_packed);
}

TEST_CASE("what a captured model holds ends with it") {
  manual_seed(7);
  Block block = stirred(32, 64, 3, 1, false);
  const Tensor x = randn({1, 32, 40, 40});
  (void)eager(block, x);
  (void)eager(block, x);
  const size_t before = memory_stats().active;
  {
    const nn::Captured captured = nn::capture(block, x);
    for (int i = 0; i < 3; ++i) (void)captured(x);
    CHECK(memory_stats().active > before);
  }
  CHECK(memory_stats().active == before);
}

TEST_CASE("a profiler sees the kernels of a captured model") {
  Block block(4, 8, 3, 1, true);
  block.eval();
  const Tensor x = randn({1, 4, 8, 8});
  const nn::Captured captured = nn::capture(block, x);
  training::Profiler profiler;
  (void)captured(x);
  profiler.stop();
  says(profiler.table(), "conv_fused");
}

TEST_CASE("what cannot be captured is refused by name") {
  manual_seed(8);
  const Tensor x = randn({2, 4});
  const auto refusal = [&](const std::function<Tensor(const Tensor&)>& f) {
    return message_of<Error>(
        [&] { (void)nn::capture([&](const std::vector<Tensor>& in) { return std::vector<Tensor>{f(in[0])}; }, {x}); });
  };
  says(refusal([](const Tensor& t) { return t * t.sum().item<double>(); }), "capture: item asks for values");
  says(refusal([](const Tensor& t) { return t * (t + 1).data<float>()[0]; }), "capture: data asks for values");
  says(refusal([](const Tensor& t) { return t * t.to_vector<double>()[0]; }), "capture: data asks for values");
  says(refusal([](const Tensor& t) { return t.index({gt(t, 0)}); }), "asks for values");
  says(refusal([](const Tensor& t) { return Tensor(t).add_(1); }), "writes into input 0");
  Tensor mine = zeros({4});
  says(refusal([&](const Tensor& t) {
         mine.add_(t.select(0, 0));
         return t;
       }),
       "writes into a tensor that was there before (16 bytes)");
  Tensor kept;
  says(refusal([&](const Tensor& t) { return kept = t + 1; }), "keeps a tensor of 32 bytes");
  kept = Tensor();
  says(refusal([&](const Tensor& t) {
         (void)nn::capture([](const std::vector<Tensor>& in) { return in; }, {t});
         return t;
       }),
       "inside of another capture");
  says(refusal([&](const Tensor& t) {
         mine.add_(1);
         return t + mine;
       }),
       "writes into a tensor that was there before (16 bytes)");
  says(refusal([](const Tensor& t) { return str(t + 1), t; }), "printing asks for values");
  std::ostringstream file;
  says(refusal([&](const Tensor& t) { return io::save_npy(t + 1, file), t; }), "save_npy asks for values");
  says(refusal([](const Tensor&) { return Tensor(); }), "undefined");
  nn::Sequential net(nn::Linear(4, 3), nn::Dropout(0.5));
  says(message_of<NotSupported>([&] { (void)nn::capture(net, x); }), "Sequential is in training mode; call eval()");
  net.eval();
  const nn::Captured captured = nn::capture(net, x);
  CHECK(captured(x).shape() == Shape{2, 3});
  says(message_of<ValueError>([&] { (void)captured({x, x}); }), "got 2 inputs; it was captured with 1");
  net.train();
  says(message_of<NotSupported>([&] { (void)captured(x); }), "training mode");
  // nothing of a refusal is left
  CHECK((x + 1).to_vector<float>().size() == 8);
}

TEST_SUITE_END();
