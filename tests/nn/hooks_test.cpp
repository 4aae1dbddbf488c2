// Hooks that change what runs, and containers whose names and ties meet.
#include <doctest/doctest.h>

#include "nn/support.h"
#include "weft/weft.h"

namespace weft::test {
namespace {

using Floats = std::vector<float>;
using Names = std::vector<std::string>;
Names names(const nn::Module& m) {
  Names out;
  for (const auto& [name, child] : m.named_children()) out.push_back(name);
  return out;
}
/// x + 1, with hooks.
struct PlusOne : nn::Module {
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [](const Tensor& in) { return in + 1; });
  }
};
nn::Sequential three() { return nn::Sequential(PlusOne(), PlusOne(), PlusOne()); }

TEST_SUITE_BEGIN("hooks that change");

TEST_CASE("a running Sequential goes on with its layers, the next call has the new ones") {
  const Tensor x = zeros({1});
  SUBCASE("emptied by a hook before a layer") {
    nn::Sequential net = three();
    net.children()[0].register_forward_pre_hook([&net](const nn::Module&, const Tensor&) { net.clear(); });
    CHECK(values(net(x)) == Floats{3});
    CHECK(net.empty());
    CHECK(values(net(x)) == Floats{0});
  }
  SUBCASE("its own layer replaced while it runs") {
    nn::Sequential net = three();
    net.children()[1].register_forward_pre_hook(
        [&net](const nn::Module&, const Tensor&) { net.replace(1, [](const Tensor& y) { return y * 10; }); });
    CHECK(values(net(x)) == Floats{3});
    CHECK(values(net(x)) == Floats{11});
  }
  SUBCASE("a layer put in front by a hook after a layer") {
    nn::Sequential net = three();
    net.children()[0].register_forward_hook([&net](const nn::Module&, const Tensor&, const Tensor&) {
      if (net.size() == 3) net.insert(0, PlusOne());
    });
    CHECK(values(net(x)) == Floats{3});
    CHECK(values(net(x)) == Floats{4});
  }
  SUBCASE("one of a list or a dict, called by its place") {
    nn::ModuleList list{PlusOne()};
    list.children()[0].register_forward_pre_hook([&list](const nn::Module&, const Tensor&) { list.clear(); });
    CHECK(values(list.call(0, x)) == Floats{1});
    nn::ModuleDict dict({{"a", PlusOne()}});
    dict.children()[0].register_forward_pre_hook([&dict](const nn::Module&, const Tensor&) { dict.clear(); });
    CHECK(values(dict.call("a", x)) == Floats{1});
  }
}

TEST_CASE("a hook that removes itself runs once, one that is added runs from the next call on") {
  PlusOne layer;
  int once = 0, later = 0;
  int64_t handle = 0;
  handle = layer.register_forward_hook([&](const nn::Module& m, const Tensor&, const Tensor&) {
    ++once;
    nn::Module(m).remove_hook(handle);
    nn::Module(m).register_forward_hook([&](const nn::Module&, const Tensor&, const Tensor&) { ++later; });
  });
  (void)layer(zeros({1}));
  CHECK(once == 1);
  CHECK(later == 0);
  (void)layer(zeros({1}));
  CHECK(once == 1);
  CHECK(later == 1);
}

namespace {
struct Silent : nn::Module {
  Tensor operator()(const Tensor& x) const { return x * 2; }
};
/// A convolution with its activation, as a class of the user's.
struct Activated : nn::Conv2d {
  using nn::Conv2d::Conv;
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& in) { return relu(nn::Conv2d::operator()(in)); });
  }
};
}  // namespace

TEST_CASE("hooks that a class would not run are an error of the container that calls it") {
  nn::Sequential net{Silent()};
  CHECK(net(ones({1})).item<float>() == 2);
  net.at<Silent>(0).register_forward_hook([](const nn::Module&, const Tensor&, const Tensor&) {});
  CHECK_THROWS_WITH_AS((void)net(ones({1})), doctest::Contains("its operator() does not run them"), ValueError);
}

TEST_CASE("hooks of a class derived from a layer run once, around all of its call") {
  Activated conv(1, 1, {.kernel_size = 1, .bias = false});
  {
    const NoGrad guard;
    conv.weight.fill_(-1);
  }
  int before = 0, after = 0;
  conv.register_forward_pre_hook([&](const nn::Module&, const Tensor& x) { return ++before, x * 2; });
  conv.register_forward_hook([&](const nn::Module&, const Tensor&, const Tensor& y) {
    ++after;
    CHECK(y.item<float>() == 6);  // relu(-1 * 2 * -3)
  });
  CHECK(conv(full({1, 1, 1, 1}, -3.f)).item<float>() == 6);
  CHECK(before == 1);
  CHECK(after == 1);
}

TEST_CASE("what a hook throws reaches the caller, and the layer works on") {
  nn::Sequential net = three();
  nn::Module middle = net.children()[1];
  for (const bool before : {true, false}) {
    const auto refuse = [](auto&&...) { raise<ValueError>("enough"); };
    const int64_t handle = before ? middle.register_forward_pre_hook(refuse) : middle.register_forward_hook(refuse);
    CHECK(message([&] { (void)net(zeros({1})); }) == "enough");
    middle.remove_hook(handle);
    CHECK(values(net(zeros({1}))) == Floats{3});
  }
}

TEST_CASE("unnamed layers take the next free number") {
  nn::Sequential net;
  net.push_back("1", PlusOne()).push_back(PlusOne()).push_back(PlusOne());
  CHECK(names(net) == Names{"1", "2", "3"});
  nn::Sequential other{PlusOne()};
  other.extend(net).append(PlusOne());
  CHECK(names(other) == Names{"0", "1", "2", "3", "4"});
  CHECK(values(other(zeros({1}))) == Floats{5});
  nn::ModuleList list{PlusOne()};
  list.append(PlusOne());
  CHECK(names(list) == Names{"0", "1"});
  CHECK(has(message([&] { net.push_back("1", PlusOne()); }), {"Sequential", "'1'"}));
}

TEST_CASE("containers made of names and modules") {
  nn::Sequential net({{"add", PlusOne()}, {"twice", [](const Tensor& x) { return x * 2; }}});
  CHECK(names(net) == Names{"add", "twice"});
  CHECK(values(net(zeros({1}))) == Floats{2});
  nn::ModuleDict dict({{"a", PlusOne()}, {"b", nn::Linear(2, 2)}});
  CHECK(dict.keys() == Names{"a", "b"});
  CHECK(dict.at<nn::Linear>("b").in_features == 2);
}

TEST_CASE("with_tensors takes either name of tied parameters, and refuses two tensors for them") {
  struct Tied : nn::Module {
    nn::Linear a = add("a", nn::Linear(1, 1, false)), b = add("b", nn::Linear(1, 1, false));
    Tied() { nn::tie(a.weight, b.weight); }
    Tensor operator()(const Tensor& x) { return a(x) + b(x); }
  };
  const Tied net;
  const Tensor x = ones({1, 1}), three = full({1, 1}, 3.0), four = full({1, 1}, 4.0);
  for (const char* name : {"a.weight", "b.weight"})
    CHECK(values(nn::with_tensors(net, {{name, three}})(x)) == Floats{6});
  CHECK(values(nn::with_tensors(net, {{"a.weight", three}, {"b.weight", three}})(x)) == Floats{6});
  const std::string said = message([&] { (void)nn::with_tensors(net, {{"a.weight", three}, {"b.weight", four}}); });
  CHECK(said == "with_tensors: 'b.weight' and 'a.weight' are one tensor of Tied but two are given");
}

TEST_CASE("modules by PyTorch's names") {
  struct Net : nn::Module {
    nn::Linear fc = register_module("fc", nn::Linear(2, 2));
    nn::Parameter scale = register_parameter("scale", ones({2}));
    nn::Parameter fixed = register_parameter("fixed", ones({2}), false);
    nn::Buffer count = register_buffer("count", zeros({1}), false);
    nn::BatchNorm1d bn = register_module("bn", nn::BatchNorm1d(2));
  };
  Net net;
  CHECK(keys(net).starts_with("scale [2], fixed [2], fc.weight [2, 2]"));
  CHECK_FALSE(net.fixed.requires_grad());
  CHECK(net.get_parameter("fc.weight").is_same(net.fc.weight));
  CHECK(net.get_buffer("bn.running_mean").is_same(net.bn.running_mean));
  CHECK(net.get_submodule("fc").is_same(net.fc));
  CHECK(net.get_submodule("").is_same(net));
  CHECK(has(message([&] { (void)net.get_parameter("bn.running_mean"); }), {"no parameter named", "running_mean"}));
  CHECK(has(message([&] { (void)net.get_submodule("cf"); }), {"no module named 'cf'"}));
  net.requires_grad_(false);
  CHECK_FALSE(net.scale.requires_grad());
  (void)net.bn(tensor({1.f, 2.f, 3.f, 4.f}, Shape{2, 2}));
  net.bn.weight.fill_(3);
  net.bn.reset_running_stats();
  CHECK(values(net.bn.running_mean) == Floats{0, 0});
  CHECK(values(net.bn.running_var) == Floats{1, 1});
  CHECK(net.bn.num_batches_tracked.item<int64_t>() == 0);
  CHECK(values(net.bn.weight) == Floats{3, 3});
}

TEST_SUITE_END();

}  // namespace
}  // namespace weft::test
