// Modules reached by type, options that copies share, hooks, and containers that change.
#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "nn/support.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/core/factory.h"
#include "weft/nn/nn.h"

using namespace weft;
using weft::test::printed;
using weft::test::values;

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
        "replace: '1.act' is a member of Block, which calls it by that member; declared as "
        "nn::Sequential, the member could change its layers");
  CHECK(names(with_member)[0] == "0:LeakyReLU");
}

namespace {
struct Pair : nn::Module {
  nn::Linear body = add("body", nn::Linear(4, 8)), head = add("head", nn::Linear(8, 2));
  Tensor operator()(const Tensor& x) const { return head(relu(body(x))); }
};
}  // namespace

TEST_CASE("a member that is assigned a new layer is replaced for parameters, state dict, modes and clones") {
  Pair net;
  const Tensor before = net.head.weight.tensor();
  net.head = nn::Linear(8, 3);
  CHECK(net(ones({1, 4})).shape() == Shape{1, 3});
  CHECK(net.state_dict().at("head.weight").shape() == Shape{3, 8});
  CHECK(net.parameters()[2].is_same(net.head.weight));
  CHECK(!net.parameters()[2].is_same(before));
  CHECK(net.modules<nn::Linear>()[1].is_same(net.head));
  CHECK(printed(net).find("(head): Linear(in_features=8, out_features=3, bias=True)") != std::string::npos);
  net.eval();
  CHECK(!net.head.is_training());
  Pair copy = nn::clone(net);
  CHECK(!copy.head.is_same(net.head));
  CHECK(values(copy(ones({1, 4}))) == values(net(ones({1, 4}))));
  copy.head = nn::Linear(8, 5);  // a clone's members know their module too
  CHECK(copy.state_dict().at("head.weight").shape() == Shape{5, 8});
  CHECK(net.state_dict().at("head.weight").shape() == Shape{3, 8});

  // whole modules are assigned as before, members along with them
  Pair other;
  other = net;
  CHECK(other.head.is_same(net.head));
  CHECK(net.parameters().size() == 4);

  nn::Sequential seq(nn::Linear(4, 8), nn::Linear(8, 2));
  seq.at<nn::Linear>(1) = nn::Linear(8, 3);
  CHECK(seq(ones({1, 4})).shape() == Shape{1, 3});
  CHECK(seq.state_dict().at("1.weight").shape() == Shape{3, 8});
  seq.replace(1, nn::Linear(8, 4));
  seq.at<nn::Linear>(1) = nn::Linear(8, 6);
  CHECK(seq(ones({1, 4})).shape() == Shape{1, 6});
  CHECK(seq.state_dict().at("1.weight").shape() == Shape{6, 8});
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
  list.append(full({1}, 3.0), {.trainable = false}).extend({full({1}, 4.0)});
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

TEST_CASE("replace: an M inside an M goes with it, and nothing changes where make throws") {
  nn::Sequential net{nn::Sequential(nn::Sequential(nn::ReLU()), nn::Tanh()), nn::Sequential(nn::ReLU())};
  CHECK(net.replace<nn::Sequential>([](const nn::Sequential& s) {
    return s.size() == 2 ? nn::Sequential(s, nn::Sigmoid()) : nn::Sequential(nn::GELU());
  }) == 2);
  CHECK(net.at<nn::Sequential>(0)[1].name() == "Sigmoid");
  CHECK(net.modules<nn::GELU>().size() == 1);  // the inner one stayed
  CHECK(net.modules<nn::ReLU>().size() == 1);

  nn::Sequential two{nn::ReLU(), nn::Tanh(), nn::ReLU()};
  int made = 0;
  CHECK(error_of([&] {
          two.replace<nn::ReLU>([&](const nn::ReLU&) {
            if (++made == 2) throw ValueError("no");
            return nn::GELU();
          });
        }).ends_with("no"));
  CHECK(names(two) == Names{"0:ReLU", "1:Tanh", "2:ReLU"});
}

TEST_CASE("replace: a module cannot be put into itself") {
  nn::Sequential net{nn::ReLU(), nn::Tanh()};
  CHECK(error_of([&] { net.replace(0, net); }) == "Sequential: module '0' contains the module it is added to");
  nn::ModuleDict dict;
  dict.insert("a", nn::ReLU());
  CHECK(error_of([&] { dict.replace("a", nn::ModuleList(dict)); }).find("contains") != std::string::npos);
  nn::Sequential inner{nn::Tanh()};
  nn::Sequential outer{nn::Tanh(), inner};
  int made = 0;
  CHECK(error_of([&] {  // the second alone is wrong
          outer.replace<nn::Tanh>(
              [&](const nn::Tanh&) { return ++made == 1 ? nn::Sequential(nn::ReLU()) : nn::Sequential(outer); });
        })
            .find("contains") != std::string::npos);
  CHECK(names(outer) == Names{"0:Tanh", "1:Sequential"});
  CHECK(names(inner) == Names{"0:Tanh"});
  CHECK(values(outer(zeros({1}))) == Floats{0});
}

TEST_CASE("a container that comes and goes leaves its modules reachable and callable") {
  struct Net : nn::Module {
    nn::Linear fc = add("fc", nn::Linear(2, 2));
  };
  const Net net;
  { const nn::Sequential tmp(net.fc); }
  CHECK(net.modules<nn::Linear>().size() == 1);
  CHECK(net.children()[0].as<nn::Linear>().has_value());

  const nn::ReLU layer;
  nn::Sequential a(layer), b(layer);
  b.clear();
  CHECK(values(a[0](tensor({-1.0f, 1.0f}))) == Floats{0, 1});
  CHECK(a.children()[0].as<nn::ReLU>().has_value());

  // one that a container gave away, in another and in a clone
  nn::Sequential from(nn::Linear(2, 3));
  nn::AnyLayer given = from.pop();
  nn::Sequential to(given);
  CHECK(to.at<nn::Linear>(0).out_features == 3);
  CHECK(to.modules<nn::Linear>().size() == 1);
  const nn::AnyLayer copy = nn::clone(given);
  {
    NoGrad guard;
    for (Tensor& p : given.parameters()) p.zero_();
    for (Tensor& p : copy.parameters()) p.fill_(1);
  }
  CHECK(values(given(ones({2}))) == Floats{0, 0, 0});
  CHECK(values(copy(ones({2}))) == Floats{3, 3, 3});
  CHECK(copy.as<nn::Linear>()->weight.is_same(copy.get("weight")));
}

TEST_CASE("names that are no positions stay") {
  nn::ModuleDict dict;
  dict.insert("10", nn::ReLU()).insert("20", nn::Tanh()).insert("1", nn::GELU()).insert("3", nn::GELU());
  dict.erase("10");
  CHECK(dict.keys() == Names{"20", "1", "3"});
  nn::Sequential net;
  net.push_back("7", nn::ReLU()).push_back(nn::Tanh()).push_back(nn::GELU()).push_back("0", nn::Tanh());
  CHECK(names(net) == Names{"7:ReLU", "1:Tanh", "2:GELU", "0:Tanh"});
  net.erase(0);  // "0" is taken
  CHECK(names(net) == Names{"1:Tanh", "2:GELU", "0:Tanh"});
  net.insert(1, nn::ReLU());
  CHECK(net.size() == 4);
  std::vector<std::string> keys;
  for (const auto& [name, child] : net.named_children()) keys.push_back(name);
  std::sort(keys.begin(), keys.end());
  CHECK(std::adjacent_find(keys.begin(), keys.end()) == keys.end());
}

TEST_CASE("an observer whose enter throws: those told before are told of the end") {
  struct Count : nn::CallObserver {
    int depth = 0;
    void enter(const nn::Module&) override { ++depth; }
    void leave(const nn::Module&) noexcept override { --depth; }
  };
  struct Thrower : nn::CallObserver {
    int left = 0;
    void enter(const nn::Module&) override { throw ValueError("enter"); }
    void leave(const nn::Module&) noexcept override { ++left; }
  };
  const Count not_told;
  const Thrower thrower;
  const Count told;
  CHECK_THROWS_AS(nn::ReLU()(ones({1})), ValueError);
  CHECK(told.depth == 0);
  CHECK(not_told.depth == 0);
  CHECK(thrower.left == 0);
}

TEST_CASE("a moved-from layer keeps its options") {
  nn::Dropout from(0.25);
  nn::Dropout to = std::move(from);
  CHECK(*from.p == 0.25);  // NOLINT: what is tested
  CHECK(*nn::clone(from).p == 0.25);
  to.p = 0.5;
  nn::Dropout again(0.1);
  again = std::move(to);
  CHECK(*nn::clone(to).p == 0.5);
  CHECK(*again.p == 0.5);
}

TEST_SUITE_END();
