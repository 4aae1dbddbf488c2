// The forms in which tensors are made, options, the default dtype, and element access from C++.
#include <functional>

#include "support/here.h"
#include "support/throws.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"

using namespace weft;
using support::message_of;

namespace {
using Values = std::vector<double>;
// The default dtype as it was, whatever happens.
struct DefaultDtype {
  Dtype before = default_dtype();
  ~DefaultDtype() { set_default_dtype(before); }
};
}  // namespace

TEST_SUITE("factories") {
  TEST_CASE("braces within braces have their shape") {
    const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
    CHECK(x.shape() == Shape{2, 3});
    CHECK(x.dtype() == Dtype::i64);
    CHECK(x.to_vector<double>() == Values{1, 2, 3, 4, 5, 6});
    const Tensor y = tensor({{{1.5}, {2.0}}, {{3.0}, {4.0}}}, Dtype::f64);
    CHECK(y.shape() == Shape{2, 2, 1});
    CHECK(y.dtype() == Dtype::f64);
    CHECK(tensor({{true, false}}).dtype() == Dtype::boolean);
    CHECK(tensor({{0.5, 1.0}}).dtype() == Dtype::f32);
    CHECK(message_of<ShapeError>([] {
            (void)tensor({{1, 2}, {3}});
          }) == "tensor: lists of 2 and of 1 elements at one depth of the braces");
    CHECK_THROWS_AS((void)tensor({{1, 300}}, Dtype::u8), ValueError);
    CHECK_THROWS_WITH_AS((void)tensor(1ull << 63), "tensor: 9223372036854775808 does not fit i64; give a real number",
                         ValueError);
    CHECK(tensor((1ull << 63) - 1).item<int64_t>() == INT64_MAX);
  }

  TEST_CASE("one number, a vector with a dtype, a list with a shape") {
    CHECK(tensor(3.0).shape().empty());
    CHECK(tensor(3.0).dtype() == Dtype::f32);
    CHECK(tensor(3).dtype() == Dtype::i64);
    CHECK(tensor(true).dtype() == Dtype::boolean);
    CHECK(tensor(3, Dtype::f16).item<float>() == 3);
    const std::vector<int64_t> v{1, 2};
    CHECK(tensor(v, Dtype::f32).dtype() == Dtype::f32);
    CHECK(tensor(v, {2, 1}, Dtype::i32).shape() == Shape{2, 1});
    CHECK(tensor({1}, {1}).shape() == Shape{1});
    CHECK(tensor({1}, {1, 1}).shape() == Shape{1, 1});
    CHECK(tensor({1, 2}, {2, 1}, Dtype::f64).dtype() == Dtype::f64);
  }

  TEST_CASE("sizes without braces") {
    CHECK(zeros(3).shape() == Shape{3});
    CHECK(zeros(2, 3).shape() == Shape{2, 3});
    CHECK(ones(2, 1, 4).to_vector<double>() == Values(8, 1));
    CHECK(rand(2, 2).shape() == Shape{2, 2});
    CHECK(randn(5).shape() == Shape{5});
    CHECK(empty(1, 2).shape() == Shape{1, 2});
    CHECK(zeros(3, Dtype::i64).dtype() == Dtype::i64);
    CHECK(full(2, 1.5).to_vector<double>() == Values{1.5, 1.5});
    CHECK(zeros(std::vector<int>{2, 3}).shape() == Shape{2, 3});
    CHECK(ones(std::vector<size_t>{2, 3}).sum(std::vector<size_t>{0, 1}).item<double>() == 6);
    const Tensor r = randint(5, {100});
    CHECK(r.dtype() == Dtype::i64);
    for (const int64_t v : r.to_vector<int64_t>()) CHECK((v >= 0 && v < 5));
  }

  TEST_CASE("options are built up, and every factory heeds requires_grad") {
    const TensorOptions o = TensorOptions().dtype(Dtype::f64).device("cpu").requires_grad(true);
    CHECK(o.dtype() == Dtype::f64);
    CHECK(o.device() == Device());
    CHECK(TensorOptions().requires_grad(true).device(Device()).dtype_or(Dtype::i64) == Dtype::i64);
    float data[2] = {1, 2};
    const TensorOptions trained = TensorOptions().requires_grad(true);
    for (const Tensor& t : {empty({2}, o), zeros({2}, o), ones({2}, o), full({2}, 3.0, o), rand({2}, o), randn({2}, o),
                            arange(0.0, 2.0, 1.0, o), linspace(0, 1, 2, o), eye(2, 2, o), tensor({1.0, 2.0}, o),
                            tensor({{1.0}}, o), tensor(1.0, o), scalar(1.0, o), empty_strided({2}, {1}, o)}) {
      CHECK(t.requires_grad());
      CHECK(t.is_leaf());
      CHECK(t.dtype() == Dtype::f64);
    }
    CHECK(from_blob(data, {2}, trained).requires_grad());
    CHECK(!zeros({2}).requires_grad());
    CHECK_THROWS_AS((void)tensor({1, 2}, trained), DtypeError);
  }

  TEST_CASE("a shape that cannot be is refused in the factory's own name") {
    const int64_t many = int64_t{1} << 45, side = int64_t{1} << 23;
    const std::pair<const char*, std::function<void()>> beyond_memory[] = {
        {"zeros", [=] { (void)zeros({many}); }},
        {"ones", [=] { (void)ones({many}); }},
        {"full", [=] { (void)full({many}, 0.5); }},
        {"eye", [=] { (void)eye(side); }},
        {"arange", [=] { (void)arange(many); }},
        {"linspace", [=] { (void)linspace(0, 1, many); }},
        {"rand", [=] { (void)rand({many}); }},
        {"randn", [=] { (void)randn({many}); }},
        {"randint", [=] { (void)randint(0, 5, {many}); }},
        {"randperm", [=] { (void)randperm(many); }},
        {"zeros_like", [=] { (void)zeros_like(zeros({1}).expand({many})); }},
    };
    for (const auto& [name, call] : beyond_memory)
      CHECK(message_of<OutOfMemory>(call).find(str(name, ": cpu: out of memory: ")) == 0);
    CHECK(message_of<ShapeError>([] { (void)zeros({2, -1}); }) == "zeros: negative size in shape [2, -1]");
    CHECK(message_of<ShapeError>([] { (void)rand({-1}); }) == "rand: negative size in shape [-1]");
    CHECK(message_of<ShapeError>([] { (void)eye(-2); }) == "eye: negative size in shape [-2, -2]");
    CHECK(message_of<DtypeError>([] { (void)randn({1}, Dtype::i64); }).find("randn: dtype i64 is not supported") == 0);
  }

  TEST_CASE("the default dtype is the process's") {
    const DefaultDtype restored;
    set_default_dtype(Dtype::f64);
    CHECK(default_dtype() == Dtype::f64);
    for (const Tensor& t :
         {zeros(2), rand(2), tensor({0.5}), tensor(0.1), full(1, 0.5), arange(0.0, 1.0, 0.5), linspace(0, 1, 3), eye(2),
          scalar(2.0), sqrt(tensor({4})), tensor({1}) / tensor({2}), tensor({1}) * 0.5})
      CHECK(t.dtype() == Dtype::f64);
    CHECK(tensor(0.1).item<double>() == 0.1);
    CHECK(zeros(2, Dtype::f32).dtype() == Dtype::f32);
    CHECK(tensor({1}).dtype() == Dtype::i64);
    CHECK(ones(1, Dtype::f32).mul(0.5).dtype() == Dtype::f32);
    CHECK_THROWS_AS(set_default_dtype(Dtype::i64), DtypeError);
    CHECK(default_dtype() == Dtype::f64);
  }

  TEST_CASE("from_blob with strides and a deleter") {
    float data[6] = {1, 2, 3, 4, 5, 6};
    void* freed = nullptr;
    {
      const Tensor x = from_blob(data, {3, 2}, {1, 3}, [&](void* p) { freed = p; });
      CHECK(x.to_vector<double>() == Values{1, 4, 2, 5, 3, 6});
      CHECK(x.data_ptr<float>() == data);
      CHECK(freed == nullptr);
    }
    CHECK(freed == data);
    int released = 0;
    {
      const Tensor x = from_blob(
          data, {6}, [&](void*) { ++released; }, Dtype::f32);
    }
    {
      const Tensor x = from_blob(data, {2}, {3}, Dtype::f32, [&] { ++released; });
    }
    CHECK(released == 2);
    CHECK(from_blob(data, {2, 2}, {0, 1}).to_vector<double>() == Values{1, 2, 1, 2});
    CHECK_THROWS_AS((void)from_blob(data, {2}, {1, 1}), ShapeError);
    CHECK(message_of<ValueError>([&] { (void)from_blob(data, {2}, {-1}); }) == "from_blob: negative stride in [-1]");
  }

  TEST_CASE("accessors read, their mutable forms count as one change") {
    Tensor x = arange(6).to(Dtype::f32).reshape({2, 3}).t();
    const auto a = x.accessor<float, 2>();
    CHECK(a.size(0) == 3);
    CHECK(a.stride(0) == 1);
    CHECK(a[2][1] == 5);
    static_assert(std::is_same_v<decltype(a[0][0]), const float&>);
    const uint32_t before = x.version();
    auto m = x.mutable_accessor<float, 2>();
    CHECK(x.version() == before + 1);
    for (int64_t i = 0; i < m.size(0); ++i)
      for (int64_t j = 0; j < m.size(1); ++j) m[i][j] *= 2;
    CHECK(x.version() == before + 1);
    CHECK(x.to_vector<double>() == Values{0, 6, 2, 8, 4, 10});
    x.mutable_data_ptr<float>()[0] = 1;
    CHECK(x.data_ptr<float>()[0] == 1);
    CHECK(message_of<ShapeError>([&] { (void)x.accessor<float, 1>(); }) ==
          "accessor: asked for rank 1, but the tensor is [3, 2]");
    CHECK_THROWS_AS((void)(x.accessor<double, 2>()), DtypeError);
  }
}
