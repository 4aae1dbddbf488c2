// Modules reached by type, options that copies share, hooks, and containers that change.
#include <doctest/doctest.h>

#include <sstream>

#include "nn/support.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/binary.h"
#include "weft/core/factory.h"
#include "weft/nn/nn.h"

using namespace weft;
using weft::test::printed;

namespace {

template <class F> std::string error_of(F f) {
  try {
    f();
  } catch (const ValueError& e) { return e.what(); }
  return "nothing was thrown";
}

struct Block : nn::Module {
  nn::Conv2d conv = add("conv", nn::Conv2d(2, 2, {.kernel_size = 1}));
  nn::BatchNorm2d bn = add("bn", nn::BatchNorm2d(2));
  nn::LeakyReLU act = add("act", nn::LeakyReLU());
  Tensor operator()(const Tensor& x) {
    return nn::call(*this, x, [&](const Tensor& in) { return act(bn(conv(in))); });
  }
};
struct MyNorm : nn::BatchNorm2d {
  MyNorm() : nn::BatchNorm2d(2) {}
};
/// The other documented line.
struct Forward : nn::Module {
  Tensor forward(const Tensor& x) const { return x * 2; }
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
};

std::vector<float> values(const Tensor& t) { return t.to_vector<float>(); }
using Floats = std::vector<float>;
using Names = std::vector<std::string>;
Names names(const nn::Module& m) {
  Names out;
  for (const auto& [name, child] : m.named_children()) out.push_back(name + ":" + child.name());
  return out;
}

}  // namespace

TEST_SUITE_BEGIN("reach");

TEST_CASE("options of all batch norms in one loop, seen by copies and printing, not by clones") {
  nn::Sequential net(Block(), nn::Sequential(MyNorm(), nn::Dropout(0.5)));
  Block inside = net.at<Block>(0);
  nn::Sequential before = nn::clone(net);
  CHECK(net.modules<nn::BatchNorm2d>().size() == 2);
  for (nn::BatchNorm2d& bn : net.modules<nn::BatchNorm2d>()) bn.options->momentum = 0.01;
  for (nn::Dropout& d : net.modules<nn::Dropout>()) d.p = 0.25;
  for (auto& act : net.modules<nn::LeakyReLU>()) act.negative_slope = 0.5;
  CHECK(inside.bn.options->momentum == 0.01);
  const std::string text = printed(net);
  CHECK(text.find("momentum=0.1,") == std::string::npos);
  CHECK(text.find("MyNorm(2, eps=1e-05, momentum=0.01") != std::string::npos);
  CHECK(text.find("Dropout(p=0.25") != std::string::npos);
  CHECK(text.find("LeakyReLU(negative_slope=0.5)") != std::string::npos);
  CHECK(printed(before).find("momentum=0.01") == std::string::npos);
  CHECK(values(inside.act(tensor({-2.0f}))) == Floats{-1});
  CHECK(values(before.at<Block>(0).act(tensor({-2.0f}))) == Floats{-0.02f});
  // the number is that of the running mean: 0.01 of a batch whose mean is 1
  nn::BatchNorm1d bn(1);
  nn::BatchNorm1d same = bn;
  same.options->momentum = 0.5;
  (void)bn(tensor({1.0f, 1.0f}, Shape{2, 1}));
  CHECK(values(same.running_mean) == Floats{0.5});
  nn::Sequential after = nn::clone(net);
  after.modules<nn::Dropout>()[0].p = 0.75;
  CHECK(*net.modules<nn::Dropout>()[0].p == 0.25);
  CHECK(printed(after).find("p=0.75") != std::string::npos);
}

TEST_CASE("freeze all norms in one loop") {
  nn::Sequential net{Block(), MyNorm()};
  for (auto& bn : net.modules<nn::BatchNorm2d>()) bn.eval().requires_grad(false);
  const auto block = net.at<Block>(0);
  CHECK_FALSE(block.bn.is_training());
  CHECK_FALSE(block.bn.weight.requires_grad());
  CHECK(block.conv.is_training());
  CHECK(block.conv.weight.requires_grad());
  CHECK(net.modules<nn::ChannelNorm>().size() == 2);  // a base class finds both
  CHECK(net.modules<MyNorm>().size() == 1);
  CHECK(net.modules<nn::Sequential>().size() == 1);  // itself
}

TEST_CASE("as: one child by type") {
  nn::Sequential net(nn::Linear(2, 3), nn::ReLU());
  for (nn::Module& child : net.children())
    if (auto linear = child.as<nn::Linear>()) CHECK(linear->out_features == 3);
    else CHECK(child.as<nn::ReLU>().has_value());
  CHECK_FALSE(net.as<nn::Linear>().has_value());
  CHECK(net.as<nn::Container>()->size() == 2);
  CHECK(nn::Module(net.children()[0]).as<nn::Linear>()->weight.is_same(net.get("0.weight")));
  const Block block;
  CHECK(block.children()[1].as<nn::BatchNorm2d>()->options->eps == 1e-5);
}

TEST_CASE("replace every ReLU by GELU") {
  nn::Sequential net(nn::Linear(2, 2), nn::ReLU(), nn::Sequential(nn::ReLU(), nn::Linear(2, 2)));
  CHECK(net.replace<nn::ReLU>([](const nn::ReLU&) { return nn::GELU(); }) == 2);
  CHECK(net.modules<nn::ReLU>().empty());
  CHECK(names(net) == Names{"0:Linear", "1:GELU", "2:Sequential"});
  const Tensor x = tensor({-1.0f, 2.0f});
  CHECK(values(net.at<nn::Sequential>(2).call(0, x)) == values(gelu(x)));
  CHECK(values(nn::clone(net)(x)) == values(net(x)));
  nn::Sequential with_member{nn::LeakyReLU(), Block()};
  CHECK(error_of([&] { with_member.replace<nn::LeakyReLU>([](const auto&) { return nn::ReLU(); }); }) ==
        "replace: '1.act' is a member of Block, which calls it by that member; replace it there");
  CHECK(names(with_member)[0] == "0:LeakyReLU");
}

TEST_CASE("hooks before and after, on layers of the library and of one's own") {
  nn::Linear layer(2, 2, {.bias = false});
  {
    NoGrad guard;
    layer.weight.copy_(tensor({1.0f, 0.0f, 0.0f, 1.0f}, Shape{2, 2}));
  }
  nn::Sequential net(layer, Forward());
  std::string seen;
  Tensor kept;
  layer.register_forward_pre_hook(
      [&](const nn::Module& m, const Tensor& x) { seen += "<" + m.name() + str(x.shape()); });
  const int64_t doubles = layer.register_forward_pre_hook(
      [](const nn::Module&, const Tensor& x) -> Tensor { return x * 2; });
  layer.register_forward_hook([&](const nn::Module&, const Tensor& x, const Tensor& y) {
    seen += ">";
    kept = y;
    CHECK(values(x) == Floats{2, 4});
  });
  const int64_t minus = net.at<Forward>(1).register_forward_hook(
      [](const nn::Module&, const Tensor&, const Tensor& y) { return -y; });
  CHECK(values(net(tensor({1.0f, 2.0f}))) == Floats{-4, -8});
  CHECK(seen == "<Linear[2]>");
  CHECK(values(kept) == Floats{2, 4});
  layer.remove_hook(doubles);
  net.at<Forward>(1).remove_hook(minus);
  CHECK(error_of([&] { layer.remove_hook(doubles); }).starts_with("remove_hook: Linear has no hook"));
  CHECK(values(Forward()(tensor({1.0f}))) == Floats{2});

  // the result of a recurrent layer is its output
  nn::LSTM lstm(2, 3);
  Shape shape;
  lstm.register_forward_hook([&](const nn::Module&, const Tensor&, const Tensor& y) { shape = y.shape(); });
  (void)lstm(ones({4, 1, 2}));
  CHECK(shape == Shape{4, 1, 3});

  // a class of one's own with members, through its line
  Block block;
  int calls = 0;
  block.register_forward_hook([&](const nn::Module&, const Tensor&, const Tensor&) { ++calls; });
  (void)nn::clone(block)(ones({1, 2, 2, 2}));
  CHECK(calls == 1);
}

TEST_CASE("an observer is told of every call of its thread, also when it throws") {
  struct Log : nn::CallObserver {
    std::string text;
    int depth = 0;
    void enter(const nn::Module& m) override {
      text += m.name() + " ";
      ++depth;
    }
    void leave(const nn::Module&) noexcept override { --depth; }
  };
  nn::Sequential net(nn::Linear(2, 2), nn::ReLU(), [](const Tensor& x) { return x + 1; });
  (void)net(ones({2}));
  {
    Log log;
    (void)net(ones({2}));
    CHECK(log.text == "Sequential Linear ReLU Lambda ");
    CHECK(log.depth == 0);
    CHECK_THROWS_AS(net(ones({3})), ShapeError);
    CHECK(log.depth == 0);
    Log second;
    (void)nn::ReLU()(ones({2}));
    CHECK(second.text == "ReLU ");
    CHECK(log.text.ends_with("ReLU "));
  }
  (void)net(ones({2}));
}

TEST_CASE("a lambda is a layer, and named where one likes") {
  nn::Sequential net(nn::Linear(4, 8), [](const Tensor& x) { return relu(x); });
  net.push_back("scale", [](const Tensor& x) { return x * 2; });
  CHECK(names(net) == Names{"0:Linear", "1:Lambda", "scale:Lambda"});
  CHECK(net(ones({3, 4})).shape() == Shape{3, 8});
  const Tensor x = rand({3, 4});
  CHECK(values(net(x)) == values(relu(net.at<nn::Linear>(0)(x)) * 2));
}

TEST_CASE("containers grow and shrink") {
  nn::Sequential net(nn::Linear(2, 2), nn::ReLU());
  net.insert(1, nn::Tanh()).insert(0, nn::Identity()).insert(-1, nn::Sigmoid());
  CHECK(names(net) == Names{"0:Identity", "1:Linear", "2:Tanh", "3:Sigmoid", "4:ReLU"});
  CHECK(net.insert(5, nn::GELU()).size() == 6);
  nn::AnyLayer last = net.pop();
  CHECK(last.name() == "GELU");
  CHECK(values(last(tensor({1.0f}))) == values(gelu(tensor({1.0f}))));
  CHECK(net.pop(0).as<nn::Identity>().has_value());
  net.erase(1);
  net.replace(1, nn::Softplus());
  CHECK(names(net) == Names{"0:Linear", "1:Softplus", "2:ReLU"});
  CHECK(net.state_dict().contains("0.weight"));
  nn::Sequential more(nn::Linear(2, 1));
  net.extend(more);
  CHECK(net.size() == 4);
  CHECK(net.at<nn::Linear>(-1).weight.is_same(more.at<nn::Linear>(0).weight));
  Tensor x = ones({2}), y = x;
  int64_t count = 0;
  for (nn::AnyLayer layer : net) {
    y = layer(y);
    ++count;
  }
  CHECK(count == net.size());
  CHECK(values(y) == values(net(x)));
  CHECK(net[0].as<nn::Linear>()->in_features == 2);
  CHECK(error_of([&] { net.insert(9, nn::ReLU()); }) == "Sequential: index 9 is out of range for 4 modules");
  CHECK(error_of([&] { (void)net.pop(4); }) == "Sequential: index 4 is out of range for 4 modules");
  net.clear();
  CHECK(net.empty());

  nn::Sequential named;
  named.push_back("first", nn::ReLU()).push_back("second", nn::Tanh());
  named.insert(1, nn::GELU());
  CHECK(names(named) == Names{"first:ReLU", "1:GELU", "second:Tanh"});

  nn::ModuleList list(nn::Linear(2, 2));
  list.push_back(nn::Linear(2, 3)).extend(list);
  CHECK(list.size() == 4);
  CHECK(list.parameters().size() == 4);
  list.insert(0, nn::ReLU());
  CHECK(names(list)[4] == "4:Linear");
  CHECK(list[1](ones({2})).shape() == Shape{2});

  nn::ModuleDict dict;
  dict.insert("a", nn::Linear(1, 1)).insert("b", nn::ReLU());
  dict.replace("b", nn::Tanh());
  CHECK(dict["b"].as<nn::Tanh>().has_value());
  CHECK(dict.pop("a").as<nn::Linear>().has_value());
  CHECK(dict.keys() == Names{"b"});
  nn::ModuleDict other;
  other.insert("c", nn::ReLU());
  CHECK(dict.extend(other).keys() == Names{"b", "c"});
  CHECK(error_of([&] { dict.erase("z"); }) == "ModuleDict: no module named 'z'");
}

TEST_CASE("lists of parameters: untrained entries, growing and iterating") {
  nn::ParameterList list({ones({1}), full({1}, 2.0)});
  list.push_back(full({1}, 3.0), {.trainable = false}).extend({full({1}, 4.0)});
  double sum = 0;
  int trained = 0;
  for (const nn::Parameter& p : list) {
    sum += p.item<double>();
    trained += p.requires_grad();
  }
  CHECK(sum == 10);
  CHECK(trained == 3);
  CHECK(list.pop(0).item<double>() == 1);
  CHECK(list.size() == 3);
  CHECK(list.state_dict().contains("2"));
  CHECK(list[-1].item<double>() == 4);
  const nn::ParameterList copy = nn::clone(list);
  CHECK_FALSE(copy[1].requires_grad());
  CHECK_FALSE(copy[1].is_same(list[1]));
  nn::ParameterDict dict({{"a", ones({1})}});
  dict.insert("b", ones({1}), {.trainable = false});
  CHECK_FALSE(dict["b"].requires_grad());
  CHECK(dict.pop("a").requires_grad());
  CHECK(dict.keys() == Names{"b"});
}

TEST_SUITE_END();
