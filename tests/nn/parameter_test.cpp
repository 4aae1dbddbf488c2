// nn::Parameter and nn::Buffer: what they bind to, what does not compile, and how clone, assignment and tie treat them.
#include "weft/nn/parameter.h"

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <thread>

#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"
#include "weft/nn/nn.h"

using namespace weft;

namespace {

template <class F> std::string value_error(F f) {
  try {
    f();
  } catch (const ValueError& e) { return e.what(); }
  return "nothing was thrown";
}

struct Base : nn::Module {
  nn::Parameter inherited = param("inherited", ones({2}));
};
struct Held {
  nn::Parameter inner;  // in a struct that is no module
};
/// Handles wherever a class may have them.
struct Everywhere : Base {
  Everywhere() {
    for (int i = 0; i < 3; ++i) list.push_back(param("list" + std::to_string(i), full({2}, 1.0 * i)));
    maybe = param("maybe", ones({2}));
    named.emplace("key", buffer("key", ones({2})));
    held.inner = param("inner", ones({2}));
    late = param("late", ones({2}));
    shared = [w = direct](const Tensor& x) { return x * w; };
  }
  nn::Parameter direct = param("direct", ones({2}));
  nn::Buffer count = buffer("count", scalar(int64_t{3}));
  nn::Parameter none = param("none", Tensor());
  nn::Parameter late;
  std::vector<nn::Parameter> list;
  std::optional<nn::Parameter> maybe, empty;
  std::map<std::string, nn::Buffer> named;
  Held held;
  std::function<Tensor(const Tensor&)> shared;
};

struct Scaled : nn::Module {
  explicit Scaled(double by) : weight(param("weight", full({2}, by))) {}
  nn::Parameter weight;
  nn::Linear fc = add("fc", nn::Linear(2, 2));
  nn::Parameter last = param("last", zeros({1}));
  std::vector<nn::Parameter> more = {param("more", ones({1}))};
  Tensor operator()(const Tensor& x) const { return x * weight; }
};

int64_t rank_of(const Tensor& t) { return t.rank(); }

}  // namespace

// What reads a Tensor takes a Parameter; nothing that would keep a plain handle says that it can, but by its message.
static_assert(std::derived_from<nn::Parameter, Tensor> && std::derived_from<nn::Buffer, Tensor>);
static_assert(!std::is_constructible_v<nn::Parameter, Tensor>);
static_assert(!std::is_assignable_v<nn::Parameter&, nn::Buffer&>);
static_assert(std::is_nothrow_move_constructible_v<nn::Parameter>);

TEST_SUITE_BEGIN("parameter");

TEST_CASE("a parameter reads as a tensor") {
  Scaled m(3);
  CHECK(rank_of(m.weight) == 1);
  CHECK(sum(m.weight * 2 + m.weight).item<float>() == 18);
  const Tensor& w = m.weight;
  CHECK(&w == &m.weight.tensor());
  CHECK(w.is_same(m.get("weight")));
  auto copy = m.weight;  // a handle, too
  CHECK(copy.is_same(m.weight));
  sum(m.weight).backward();
  CHECK(copy.grad().to_vector<float>() == std::vector<float>{1, 1});
  CHECK(grad(sum(square(m.weight)), {m.weight.tensor()})[0].to_vector<float>() == std::vector<float>{6, 6});
}

TEST_CASE("clone: handles follow wherever they sit") {
  const Everywhere a;
  const Everywhere b = nn::clone(a);
  for (const char* name : {"inherited", "direct", "list0", "list1", "list2", "maybe", "key", "inner", "late", "count"})
    CHECK_FALSE(b.get(name).is_same(a.get(name)));
  CHECK(b.inherited.is_same(b.get("inherited")));
  CHECK(b.direct.is_same(b.get("direct")));
  CHECK(b.count.is_same(b.get("count")));
  CHECK(b.late.is_same(b.get("late")));
  for (size_t i = 0; i < 3; ++i) CHECK(b.list[i].is_same(b.get("list" + std::to_string(i))));
  CHECK(b.maybe->is_same(b.get("maybe")));
  CHECK_FALSE(b.empty.has_value());
  CHECK(b.named.at("key").is_same(b.get("key")));
  CHECK(b.held.inner.is_same(b.get("inner")));
  CHECK_FALSE(b.none.defined());
  {
    NoGrad guard;
    Tensor(b.get("direct")).fill_(5);
  }
  CHECK(b.shared(ones({2})).to_vector<float>() == std::vector<float>{5, 5});  // a capture
  CHECK(a.shared(ones({2})).to_vector<float>() == std::vector<float>{1, 1});
  CHECK(b.list[2].requires_grad());
  CHECK_FALSE(b.count.requires_grad());
}

TEST_CASE("clone of a clone, of a container, and of what is not in the tree") {
  const Everywhere a;
  const Everywhere c = nn::clone(nn::clone(a));
  CHECK(c.list[1].is_same(c.get("list1")));
  struct Friend : nn::Module {
    explicit Friend(nn::Parameter other) : other(std::move(other)) {}
    nn::Parameter other;  // of another module
    nn::Parameter own = param("own", ones({1}));
  };
  const Friend f(a.direct);
  const Friend g = nn::clone(f);
  CHECK(g.other.is_same(a.direct));
  CHECK(g.own.is_same(g.get("own")));
  nn::Sequential net(Scaled(2), Scaled(4));
  nn::Sequential copy = nn::clone(net);
  CHECK(copy.at<Scaled>(1).more[0].is_same(copy.get("1.more")));
  {
    NoGrad guard;
    copy.at<Scaled>(1).weight.fill_(8);
  }
  CHECK(copy(ones({2})).to_vector<float>() == std::vector<float>{16, 16});
  CHECK(net(ones({2})).to_vector<float>() == std::vector<float>{8, 8});
}

TEST_CASE("with_tensors: handles in a vector take the given tensors, others stay") {
  const Everywhere a;
  const Tensor w = full({2}, 9.0).set_requires_grad();
  const Everywhere b = nn::with_tensors(a, {{"list1", w}});
  CHECK(b.list[1].is_same(w));
  CHECK(b.list[0].is_same(a.list[0]));
  CHECK(a.list[1].to_vector<float>() == std::vector<float>{1, 1});
  CHECK(value_error([&] { (void)nn::with_tensors(a, {{"no", w}}); }).ends_with("has no parameter or buffer 'no'"));
}

TEST_CASE("assigning one parameter to another names tie, whole modules are assigned as handles") {
  Scaled a(2), b(3);
  CHECK(value_error([&] { a.weight = b.weight; }).find("nn::tie") != std::string::npos);
  CHECK(a.weight.to_vector<float>() == std::vector<float>{2, 2});
  CHECK(value_error([&] { a.weight = a.last; }).find("nn::tie") != std::string::npos);
  a.weight = a.get("weight").is_same(a.weight) ? a.weight : a.last;  // the same one

  const Scaled kept = a;
  a = b;
  CHECK(a.is_same(b));
  CHECK(a.weight.is_same(b.weight));
  CHECK(a.fc.weight.is_same(b.fc.weight));
  CHECK(a.last.is_same(b.last));  // behind a member that is a module
  CHECK(a.more[0].is_same(b.more[0]));
  CHECK(kept.weight.to_vector<float>() == std::vector<float>{2, 2});
  CHECK_FALSE(kept.weight.is_same(a.weight));
  Scaled c(4);
  CHECK(value_error([&] { c.weight = b.weight; }).find("nn::tie") != std::string::npos);

  std::swap(a, c);
  CHECK(a(ones({2})).to_vector<float>() == std::vector<float>{4, 4});
  CHECK(c(ones({2})).to_vector<float>() == std::vector<float>{3, 3});
  std::vector<Scaled> all{Scaled(0), Scaled(1), Scaled(2)};
  all.erase(all.begin());
  all.insert(all.begin(), c);
  CHECK(all[0].weight.is_same(c.weight));
  CHECK(all[2].weight.is_same(all[2].get("weight")));
  for (int i = 0; i < 40; ++i) {  // more than are remembered
    const Scaled other(i);
    a = other;
    CHECK(a.last.is_same(other.last));
  }
}

TEST_CASE("a parameter is registered in the constructor's body, or not trained, or shared by name") {
  struct Body : nn::Module {
    Body() {
      weight = param("weight", ones({3}));
      frozen = param("frozen", ones({3}), false);
      index = param("index", arange(0, 3, 1, Dtype::i64));
      again = param("again", weight);
    }
    nn::Parameter weight, frozen, index, again;
  };
  Body m;
  CHECK(m.weight.requires_grad());
  CHECK_FALSE(m.frozen.requires_grad());
  CHECK_FALSE(m.index.requires_grad());
  CHECK(m.again.is_same(m.weight));
  CHECK(m.parameters().size() == 3);
  CHECK(m.state_dict().contains("again"));
}

TEST_CASE("tie: one tensor in parameters, both keys in the state dict, kept by clone, to and loading") {
  struct Net : nn::Module {
    nn::Embedding table = add("table", nn::Embedding(5, 4));
    nn::Linear out = add("out", nn::Linear(4, 5));
    Tensor operator()(const Tensor& x) const { return out(table(x)); }
  };
  Net net;
  const nn::Linear handle = net.out;  // made before
  CHECK(net.parameters().size() == 3);
  nn::tie(net.table.weight, net.out.weight);
  CHECK(net.out.weight.is_same(net.table.weight));
  CHECK(handle.weight.is_same(net.table.weight));
  CHECK(net.get("out.weight").is_same(net.table.weight));
  CHECK(net.parameters().size() == 2);
  nn::tie(net.table.weight, net.out.weight);  // twice is once
  nn::tie(net.out.weight, net.table.weight);

  StateDict dict;
  for (const auto& [key, t] : net.state_dict()) dict.insert(key, t.detach().clone());
  CHECK(dict.contains("out.weight"));
  CHECK(dict.contains("table.weight"));
  Net copy = nn::clone(net);
  CHECK(copy.out.weight.is_same(copy.table.weight));
  CHECK_FALSE(copy.out.weight.is_same(net.out.weight));
  net.to(Dtype::f64);
  CHECK(net.out.weight.dtype() == Dtype::f64);
  CHECK(handle.weight.is_same(net.table.weight));
  CHECK(copy.out.weight.dtype() == Dtype::f32);

  dict.set("out.weight", zeros({5, 4}));
  CHECK(value_error([&] { net.load_state_dict(dict); }).find("are one tensor of the module") != std::string::npos);
  dict.set("table.weight", zeros({5, 4}));
  net.load_state_dict(dict);
  CHECK(net.out.weight.is_same(net.table.weight));
  CHECK(sum(abs(handle.weight)).item<double>() == 0);

  // the gradient is that of both uses
  net.zero_grad();
  sum(net(scalar(int64_t{1}))).backward();
  CHECK(net.table.weight.grad().defined());
  CHECK(net.table.weight.grad().is_same(net.out.weight.grad()));

  Net third, fourth;
  third.to(Dtype::f64);
  fourth.to(Dtype::f64);
  nn::tie(third.out.weight, net.out.weight);  // what is tied to net.out.weight goes along
  CHECK(net.table.weight.is_same(third.out.weight));
  nn::tie(fourth.out.weight, third.out.weight);
  for (const Net* n : {&net, &third}) CHECK(n->out.weight.is_same(fourth.out.weight));
  CHECK(net.table.weight.is_same(fourth.out.weight));

  CHECK(value_error([&] { nn::tie(net.out.weight, net.out.bias); }).starts_with("tie: parameters [5, 4]"));
  CHECK(value_error([&] { nn::tie(net.out.weight, nn::Parameter()); }) == "tie: a parameter is undefined");
}

TEST_CASE("handles of one parameter are copied and dropped by several threads") {
  const Scaled m(2);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&m] {
      for (int k = 0; k < 500; ++k) {
        Scaled copy = m;
        Scaled other = std::move(copy);
        other.weight.stand_in(ones({2}));
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(m.weight.to_vector<float>() == std::vector<float>{2, 2});
  CHECK(nn::clone(m).weight.to_vector<float>() == std::vector<float>{2, 2});
}

TEST_CASE("stand_in is for one handle alone, and a buffer of a loss follows clone") {
  Scaled m(2);
  Scaled other = m;
  other.weight.stand_in(full({2}, 7.0));
  CHECK(other(ones({2})).to_vector<float>() == std::vector<float>{7, 7});
  CHECK(m(ones({2})).to_vector<float>() == std::vector<float>{2, 2});
  const nn::CrossEntropyLoss loss({.weight = tensor({1.0f, 2.0f})});
  const nn::CrossEntropyLoss copy = nn::clone(loss);
  CHECK(copy.weight.is_same(copy.get("weight")));
  CHECK_FALSE(copy.weight.is_same(loss.weight));
}

TEST_CASE("moving one parameter into another names tie, containers and whole objects move") {
  Scaled a(2), b(3);
  CHECK(value_error([&] { a.weight = nn::clone(b).weight; }).find("nn::tie") != std::string::npos);
  CHECK(value_error([&] { a.weight = std::move(b.weight); }).find("nn::tie") != std::string::npos);
  CHECK(value_error([&] { a.weight = nn::Parameter(); }).find("an undefined one") != std::string::npos);
  CHECK(a.weight.is_same(a.get("weight")));
  CHECK(b.weight.is_same(b.get("weight")));

  std::vector<nn::Parameter> all{a.weight, b.weight, Scaled(4).weight};
  all.erase(all.begin());
  all.insert(all.begin(), a.last);
  CHECK(all[0].is_same(a.last));
  CHECK(all[1].is_same(b.weight));
  Everywhere e;
  std::erase_if(e.list, [&](const nn::Parameter& p) { return p.is_same(e.get("list0")); });
  CHECK(e.list[0].is_same(e.get("list1")));

  nn::Parameter alone = Scaled(5).weight;  // of no module any more
  alone = std::move(a.more[0]);
  CHECK(alone.is_same(a.get("more")));
  a = std::move(b);
  CHECK(a.weight.is_same(a.get("weight")));
  CHECK(a.weight.to_vector<float>() == std::vector<float>{3, 3});
  struct Two {
    Scaled first, second;
  };
  Two x{Scaled(1), Scaled(2)};
  x = Two{Scaled(3), Scaled(4)};
  CHECK(x.second.weight.is_same(x.second.get("weight")));
  CHECK(x.second.weight.to_vector<float>() == std::vector<float>{4, 4});
}

TEST_CASE("children that move up in a container permit no assignment") {
  nn::Sequential net(Scaled(1), Scaled(2), Scaled(3));
  Scaled first = net.at<Scaled>(0), second = net.at<Scaled>(1);
  net.erase(0);
  CHECK(value_error([&] { first.weight = second.weight; }).find("nn::tie") != std::string::npos);
  const Scaled other(5);
  net.replace(0, other);
  CHECK(value_error([&] { second.weight = other.weight; }).find("nn::tie") != std::string::npos);
  CHECK(net(ones({2})).to_vector<float>() == std::vector<float>{15, 15});
}

namespace {
template <class P>
concept Detachable = requires(P& p) {
  p.detach_();
};
}  // namespace
static_assert(Detachable<Tensor> && !Detachable<nn::Parameter> && !Detachable<nn::Buffer>);

TEST_CASE("compound assignment to a parameter or buffer is in place or refused") {
  Scaled m(2);
  {
    NoGrad guard;
    ((m.weight += 1) *= ones({2}) * 4) -= 2;
    m.weight /= tensor({1.0f, 2.0f});
  }
  CHECK(m.get("weight").to_vector<float>() == std::vector<float>{10, 5});
  CHECK(m.weight.is_same(m.get("weight")));
  CHECK_THROWS_AS(m.weight += 1, Error);
  nn::Buffer b = Everywhere().named.at("key");
  const Tensor same = b.tensor();
  CHECK_THROWS_AS(b += m.weight, Error);  // would be recorded
  b += m.weight.detach();
  CHECK(b.is_same(same));
  CHECK(same.to_vector<float>() == std::vector<float>{11, 6});
}

TEST_CASE("tie drops a tensor whose hook holds a parameter") {
  Scaled a(1), b(2), c(3);
  Tensor(b.weight.tensor()).register_hook([w = c.weight](const Tensor& g) -> Tensor { return g * w; });
  nn::tie(a.weight, b.weight);
  CHECK(b(ones({2})).to_vector<float>() == std::vector<float>{1, 1});
}

TEST_SUITE_END();
