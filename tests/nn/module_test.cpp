#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "nn/support.h"
#include "weft/autograd/grad_mode.h"
#include "weft/core/factory.h"
#include "weft/nn/nn.h"

using namespace weft;
using weft::test::printed;

namespace {

struct Leaf : nn::Module {
  explicit Leaf(int64_t n) : size(n) {}
  int64_t size;
  nn::Parameter weight = param("weight", ones({size}));
  nn::Buffer count = buffer("count", scalar(int64_t{0}));
  nn::Buffer scratch = buffer("scratch", zeros({2}), false);
  Tensor operator()(const Tensor& x) const { return is_training() ? x : weight.detach(); }
};

struct Pair : nn::Module {
  Leaf first = add("first", Leaf(2));
  nn::Parameter gain = param("gain", full({1}, 3.0));
  Leaf second = add("second", Leaf(3));
  Tensor operator()(const Tensor& x) { return second(first(x)); }
};

std::vector<std::string> names(const std::vector<nn::NamedTensor>& v) {
  std::vector<std::string> out;
  for (const auto& [name, t] : v) out.push_back(name);
  return out;
}
using Names = std::vector<std::string>;

/// The message of the ValueError that f throws.
template <class F> std::string text_of(F f) {
  try {
    f();
  } catch (const ValueError& e) { return e.what(); }
  return "nothing was thrown";
}

}  // namespace

TEST_SUITE_BEGIN("module");

TEST_CASE("names come in order: own parameters, own buffers, children") {
  Pair m;
  CHECK(names(m.named_parameters()) == Names{"gain", "first.weight", "second.weight"});
  CHECK(names(m.named_buffers()) == Names{"first.count", "first.scratch", "second.count", "second.scratch"});
  Names keys;
  for (const auto& [key, t] : m.state_dict()) keys.push_back(key);
  CHECK(keys == Names{"gain", "first.weight", "first.count", "second.weight", "second.count"});
  CHECK(m.named_modules().size() == 3);
  CHECK(m.named_modules()[2].first == "second");
  CHECK(m.get("first.weight").is_same(m.first.weight));
  CHECK(m.gain.requires_grad());
  CHECK_FALSE(m.first.count.requires_grad());
}

TEST_CASE("copies share, clones do not") {
  Pair a;
  Pair b = a;
  CHECK(b.is_same(a));
  CHECK(b.gain.is_same(a.gain));
  a.first.state().training = false;
  Pair c = clone(a);
  CHECK_FALSE(c.is_same(a));
  CHECK_FALSE(c.gain.is_same(a.gain));
  CHECK(c.gain.is_same(c.get("gain")));
  CHECK(c.second.weight.is_same(c.get("second.weight")));
  CHECK_FALSE(c.second.weight.is_same(a.second.weight));
  CHECK(c.gain.requires_grad());
  CHECK(c.gain.item<float>() == 3);
  CHECK_FALSE(c.first.is_training());
  CHECK(c.second.is_training());
  {
    NoGrad guard;
    c.gain.fill_(7);
  }
  CHECK(a.gain.item<float>() == 3);
}

TEST_CASE("a clone: what copying leaves unwritten is not taken for a handle") {
  struct Loose : nn::Module {
    nn::Parameter weight = param("weight", ones({2}));
    Shape shape{3};
  };
  Loose m;
  // memory full of what looks like handles of the parameter, as an old stack may be
  alignas(Loose) std::array<std::byte, sizeof(Loose)> room;
  const TensorImpl* word = m.weight.impl();
  for (size_t at = 0; at + sizeof word <= room.size(); at += sizeof word) std::memcpy(&room[at], &word, sizeof word);
  asm volatile("" : : "r"(room.data()) : "memory");
  auto* copy = new (room.data()) Loose(nn::clone(m));
  const TensorImpl* last;
  std::memcpy(&last, &copy->shape[kMaxRank - 1], sizeof last);
  CHECK(last == word);
  CHECK(!copy->weight.is_same(m.weight));
  copy->~Loose();
  CHECK(m.weight.to_vector<float>() == std::vector<float>{1, 1});
}

TEST_CASE("a clone of a container calls the clones, tied parameters stay tied") {
  Leaf tied(2);
  nn::Sequential net(tied, nn::Sequential(Leaf(4)), tied);
  nn::Sequential copy = clone(net);
  CHECK(copy.parameters().size() == 2);
  CHECK_FALSE(copy.at<Leaf>(0).weight.is_same(tied.weight));
  CHECK(copy.at<Leaf>(0).weight.is_same(copy.at<Leaf>(2).weight));
  CHECK(copy.at<Leaf>(0).weight.is_same(copy.get("0.weight")));
  CHECK(copy.at<nn::Sequential>(1).at<Leaf>(0).weight.is_same(copy.get("1.0.weight")));
  copy.eval();
  {
    NoGrad guard;
    copy.get("2.weight").fill_(5);
  }
  CHECK(copy(zeros({2})).to_vector<float>() == std::vector<float>{5, 5});
  CHECK(net(zeros({2})).to_vector<float>() == std::vector<float>{0, 0});
  CHECK(tied.is_training());
}

TEST_CASE("one child under two names: both are saved, and must agree when they are loaded") {
  Leaf tied(2);
  nn::Sequential net(tied, Leaf(3), tied);
  StateDict dict;
  for (const auto& [key, t] : net.state_dict()) dict.insert(key, t.detach().clone());
  CHECK(dict.contains("0.weight"));
  CHECK(dict.contains("2.weight"));
  CHECK(names(net.named_parameters()) == Names{"0.weight", "1.weight"});
  net.load_state_dict(dict);
  for (const char* key : {"0.weight", "2.weight"}) dict.set(key, full({2}, NAN));
  net.load_state_dict(dict);
  dict.set("2.weight", full({2}, 4.0));
  CHECK(text_of([&] { net.load_state_dict(dict); }) ==
        "load_state_dict: the dict does not fit Sequential:\n  0.weight and 2.weight are one tensor of the module, but "
        "differ in the dict");
  CHECK(std::isnan(tied.weight.to_vector<float>()[0]));
  net.load_state_dict(dict, false);  // the last one holds
  CHECK(tied.weight.to_vector<float>()[0] == 4);
}

TEST_CASE("modes and trainability are two things") {
  Pair m;
  m.eval();
  CHECK_FALSE(m.second.is_training());
  CHECK(m.gain.requires_grad());
  m.requires_grad(false);
  CHECK_FALSE(m.second.weight.requires_grad());
  CHECK_FALSE(m.is_training());
  m.train().requires_grad();
  CHECK(m.first.is_training());
  CHECK(m.first.weight.requires_grad());
}

TEST_CASE("a cast reaches every handle, and the gradient goes along") {
  Pair m;
  Tensor held = m.first.weight.tensor();
  held.set_grad(ones({2}));
  m.to(Dtype::f64);
  CHECK(held.dtype() == Dtype::f64);
  CHECK(held.grad().dtype() == Dtype::f64);
  CHECK(held.is_same(m.get("first.weight")));
  CHECK(held.requires_grad());
  CHECK(m.first.count.dtype() == Dtype::i64);
  CHECK_THROWS_AS(m.to(Dtype::i64), DtypeError);
  m.zero_grad();
  CHECK_FALSE(held.grad().defined());
}

TEST_CASE("loading is strict, names every key and changes nothing when it fails") {
  Pair a, b;
  {
    NoGrad guard;
    a.first.weight.fill_(4);
    a.first.count.fill_(9);
  }
  CHECK(b.load_state_dict(a.state_dict()).missing_keys.empty());
  CHECK(b.first.weight.to_vector<float>() == std::vector<float>{4, 4});
  CHECK(b.first.count.item<int64_t>() == 9);
  CHECK_FALSE(b.first.weight.is_same(a.first.weight));

  StateDict wrong;
  wrong.insert("gain", full({1}, 8.0));
  wrong.insert("first.weight", zeros({3}));
  wrong.insert("first.count", scalar(int64_t{1}));
  wrong.insert("third.weight", zeros({3}));
  wrong.insert("second.count", scalar(int64_t{1}));
  std::string text = text_of([&] { b.load_state_dict(wrong); });
  for (const char* part : {"first.weight", "[3]", "[2]", "missing: second.weight", "unexpected: third.weight"})
    CHECK_MESSAGE(text.find(part) != std::string::npos, text);
  CHECK(b.gain.item<float>() == 3);
  CHECK_THROWS_AS(b.load_state_dict(wrong, false), ValueError);

  wrong.erase("first.weight");
  nn::LoadResult r = b.load_state_dict(wrong, false);
  CHECK(r.missing_keys == Names{"first.weight", "second.weight"});
  CHECK(r.unexpected_keys == Names{"third.weight"});
  CHECK(b.gain.item<float>() == 8);
}

TEST_CASE("loading converts the dtype") {
  Pair m;
  StateDict dict = m.state_dict();
  dict.set("gain", tensor({2.5}, Dtype::f64));
  m.load_state_dict(dict);
  CHECK(m.gain.dtype() == Dtype::f32);
  CHECK(m.gain.item<float>() == 2.5f);
}

TEST_CASE("bad names, results and cycles are refused") {
  struct Bad : nn::Module {
    void twice() {
      param("a", zeros({1}));
      buffer("a", zeros({1}));
    }
    void dotted() { param("a.b", zeros({1})); }
    void cyclic() { add("self", *this); }
  };
  CHECK(text_of([] { Bad().twice(); }).find("'a'") != std::string::npos);
  CHECK(text_of([] { Bad().dotted(); }).find("a.b") != std::string::npos);
  CHECK(text_of([] { Bad().cyclic(); }).find("self") != std::string::npos);
  CHECK(text_of([] { nn::Sequential(Leaf(1)).at<Pair>(0); }).find("Leaf") != std::string::npos);
  CHECK(text_of([] { nn::Sequential(Leaf(1)).at<Leaf>(1); }).find("out of range") != std::string::npos);
}

TEST_CASE("printing nests as PyTorch does") {
  CHECK(printed(Leaf(2)) == "Leaf()");
  CHECK(printed(nn::Sequential()) == "Sequential()");
  nn::Sequential net(Leaf(2), Pair(), nn::Sequential());
  CHECK(printed(net) ==
        "Sequential(\n"
        "  (0): Leaf()\n"
        "  (1): Pair(\n"
        "    (first): Leaf()\n"
        "    (second): Leaf()\n"
        "  )\n"
        "  (2): Sequential()\n"
        ")");
  nn::ModuleList list(Leaf(1), Leaf(1), Pair(), Leaf(1));
  CHECK(printed(list) ==
        "ModuleList(\n"
        "  (0-1): 2 x Leaf()\n"
        "  (2): Pair(\n"
        "    (first): Leaf()\n"
        "    (second): Leaf()\n"
        "  )\n"
        "  (3): Leaf()\n"
        ")");
}

namespace {
struct Stem : nn::Sequential {
  Stem() : nn::Sequential(nn::Linear(2, 3), nn::ReLU()) {}
};
struct DeepStem : Stem {};
struct Tall : nn::ModuleDict {};
struct Scale : nn::Module {  // names itself
  Scale() : nn::Module("Shift", "by=2") {}
};
struct Renamed : nn::Conv2d {
  Renamed() : nn::Conv2d(1, 2, {.kernel_size = 1}) { set_name("Pointwise"); }
};
template <int N> struct Wide : nn::Linear {
  Wide() : nn::Linear(N, N, {.bias = false}) {}
};
struct Tagged {
  int tag = 0;
};
struct Both : Tagged, nn::ReLU {};
struct Up : nn::ConvTranspose2d {
  Up() : nn::ConvTranspose2d(2, 3, {.kernel_size = 2}) {}
};
struct Late : nn::LazyBatchNorm2d {};
}  // namespace

TEST_CASE("a class derived from a layer prints its own name") {
  const char* stem =
      "(\n"
      "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
      "  (1): ReLU()\n"
      ")";
  CHECK(printed(Stem()) == std::string("Stem") + stem);
  CHECK(printed(DeepStem()) == std::string("DeepStem") + stem);
  CHECK(printed(Tall()) == "Tall()");
  CHECK(printed(Scale()) == "Shift(by=2)");
  CHECK(printed(Renamed()) == "Pointwise(1, 2, kernel_size=(1, 1), stride=(1, 1))");
  CHECK(printed(Wide<2>()) == "Wide<2>(in_features=2, out_features=2, bias=False)");
  CHECK(printed(Both()) == "Both()");
  CHECK(printed(nn::Sequential(Wide<3>(), Both())) ==
        "Sequential(\n"
        "  (0): Wide<3>(in_features=3, out_features=3, bias=False)\n"
        "  (1): Both()\n"
        ")");
  // whatever the reference is to
  Stem net;
  const nn::Sequential& base = net;
  CHECK(printed(base).starts_with("Stem("));
  CHECK(Stem().name() == "Stem");
  CHECK(Both().name() == "Both");
  CHECK(printed(net).starts_with("Stem("));
  CHECK(printed(base).starts_with("Stem("));
  CHECK(printed(clone(net)).starts_with("Stem("));
  CHECK(printed(nn::weight_norm(nn::Linear(2, 2))).starts_with("Linear("));
  // nothing depends on what is printed: a transposed convolution has its outputs on axis 1, a lazy norm takes [N, C, H,
  // W]
  Up up;
  CHECK(printed(up).starts_with("Up("));
  CHECK(nn::spectral_norm(up).get("weight_u").shape() == Shape{3});
  Late late;
  CHECK(printed(late).starts_with("Late("));
  CHECK(late(ones({2, 4, 3, 3})).shape() == Shape{2, 4, 3, 3});
  CHECK(late.num_features == 4);
  CHECK(printed(late).starts_with("Late("));
}

TEST_CASE("lists and dicts give back what they hold") {
  nn::ModuleDict dict;
  dict.insert("left", Leaf(1)).insert("right", Pair());
  CHECK(dict.keys() == Names{"left", "right"});
  CHECK(dict.contains("right"));
  CHECK_FALSE(dict.contains("up"));
  CHECK(dict.at<Pair>("right").gain.is_same(dict.get("right.gain")));
  CHECK(text_of([&] { dict.at<Pair>("up"); }).find("up") != std::string::npos);
  nn::ModuleList list(Leaf(1), Leaf(2));
  CHECK(list.at<Leaf>(-1).size == 2);
  list.push_back(Leaf(5));
  CHECK(list.size() == 3);
}

TEST_CASE("apply goes through all modules, children first") {
  Names seen;
  nn::Sequential net(Leaf(1), nn::Sequential(Leaf(2)));
  net.apply([&](nn::Module& m) { seen.push_back(m.name()); });
  CHECK(seen == Names{"Leaf", "Leaf", "Sequential", "Sequential"});
}

TEST_SUITE_END();
