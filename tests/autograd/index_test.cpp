// Indexing by integers, slices, tensors and masks; gather and scatter; derivatives of both orders; bad indices.
#include "autograd/derivative.h"
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/gradcheck.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"

using namespace weft;
using support::message_of;
using test::check_gradients;
using test::iota;
using test::leaf;

namespace {

Tensor ints(std::initializer_list<int64_t> v) { return here::tensor(std::vector<int64_t>(v)); }
std::vector<double> values(const Tensor& x) { return x.to_vector<double>(); }

template <class... T> constexpr bool kIndices = (std::is_convertible_v<T, Index> && ...);
static_assert(kIndices<int, size_t, bool, std::vector<bool>::reference, Slice, NewAxis, std::nullopt_t, Ellipsis,
                       const char*, Tensor, std::vector<int64_t>>);
static_assert(!kIndices<double> && !kIndices<std::nullptr_t> && !kIndices<void*>);

}  // namespace

TEST_SUITE("index") {
  DEVICE_TEST_CASE("braces inside of the list are rows, as numpy's brackets") {
    const Tensor x = arange(12).reshape({3, 4});
    CHECK(equal(x.index({{0, 2}}), stack({x[0], x[2]})));
    CHECK(equal(x.index({{1}}), x.slice(0, 1, 2)));
    CHECK(equal(x.index({0, 2}), x[0][2]));
    CHECK(equal(x.index({1, {0, 3}}), tensor({4, 7})));
    CHECK(equal(x.index({{0, 2}, {1, 3}}), tensor({1, 11})));
    const size_t n = 1;
    CHECK(equal(x.index({n, short{2}}), x[1][2]));
    CHECK(equal(x.index({Slice(), n}), x.select(1, 1)));
    CHECK(equal(x.index({Slice(), {3, -3}}), stack({x.select(1, 3), x.select(1, 1)}, 1)));
  }

  TEST_CASE("integers, slices, new axes and the ellipsis make views") {
    const Tensor x = iota({2, 3, 4});
    const Tensor y = x.index({1, Slice{1, {}}, NewAxis{}, Slice{0, 4, 2}});
    CHECK(y.shape() == Shape{2, 1, 2});
    CHECK(values(y) == std::vector<double>{16, 18, 20, 22});
    CHECK(y.raw_data() == static_cast<const double*>(x.raw_data()) + 16);
    CHECK(values(x.index({Ellipsis{}, -1})) == std::vector<double>{3, 7, 11, 15, 19, 23});
    CHECK(x.index({0, Ellipsis{}, NewAxis{}}).shape() == Shape{3, 4, 1});
    CHECK(x.index({}).shape() == x.shape());
    const Tensor one = here::scalar(int64_t{1});
    CHECK(values(x.index({one, 2})) == std::vector<double>{20, 21, 22, 23});
  }

  DEVICE_TEST_CASE("index tensors broadcast together, neighbours stay in place, others go in front") {
    const Tensor x = iota({2, 3, 4, 5});
    const Tensor a = ints({1, 0, -1}), b = ints({2, 0}).reshape({2, 1});
    const auto at = [&](int64_t i, int64_t j, int64_t k, int64_t l) {
      return static_cast<double>(((i * 3 + j) * 4 + k) * 5 + l);
    };
    const Tensor mid = x.index({Slice{}, a, b});  // neighbours: [2, (2, 3), 5]
    REQUIRE(mid.shape() == Shape{2, 2, 3, 5});
    const Tensor far = x.index({Slice{}, a, Slice{}, b});  // apart: [(2, 3), 2, 4]
    REQUIRE(far.shape() == Shape{2, 3, 2, 4});
    const int64_t ai[] = {1, 0, 2}, bi[] = {2, 0};
    for (int64_t p = 0; p < 2; ++p)
      for (int64_t q = 0; q < 3; ++q) {
        CHECK(mid[1][p][q][4].item<double>() == at(1, ai[q], bi[p], 4));
        CHECK(far[p][q][1][3].item<double>() == at(1, ai[q], 3, bi[p]));
      }
    // an integer is a view first, so what it leaves are neighbours (as PyTorch, unlike numpy)
    CHECK(x.index({0, Slice{}, std::vector<int64_t>{1, 1, 3}}).shape() == Shape{3, 3, 5});
    CHECK(x.index({std::vector<int64_t>{}}).shape() == Shape{0, 3, 4, 5});
    // any strides: the same elements
    const Tensor t = x.permute({3, 1, 0, 2}).contiguous().permute({2, 1, 3, 0});
    CHECK(values(t.index({Slice{}, a, Slice{}, b})) == values(far));
  }

  DEVICE_TEST_CASE("masks") {
    const Tensor x = iota({2, 3});
    const Tensor m = gt(x, 2.5), rows = here::tensor({false, true});
    CHECK(values(x.index({m})) == std::vector<double>{3, 4, 5});
    CHECK(values(x.index({rows, 1})) == std::vector<double>{4});
    const Tensor yes = here::scalar(true), no = here::scalar(false);
    CHECK(x.index({yes}).shape() == Shape{1, 2, 3});
    CHECK(x.index({no}).shape() == Shape{0, 2, 3});
    CHECK(values(masked_select(x, here::tensor({true, false, true}))) == std::vector<double>{0, 2, 3, 5});
    CHECK(values(masked_fill(x, m, -1)) == std::vector<double>{0, 1, 2, -1, -1, -1});
    CHECK(nonzero(m).to_vector<int64_t>() == std::vector<int64_t>{1, 0, 1, 1, 1, 2});
    CHECK(nonzero(here::scalar(3.0)).shape() == Shape{1, 0});
    const Tensor bad = here::tensor({true, false, true});
    CHECK_THROWS_AS((void)x.index({bad}), ShapeError);
  }

  DEVICE_TEST_CASE("a bool in the brackets is a mask of rank 0") {
    const Tensor x = iota({2, 3});
    CHECK(x.index({true}).shape() == Shape{1, 2, 3});
    CHECK(values(x.index({true})) == values(x));
    CHECK(x.index({false}).shape() == Shape{0, 2, 3});
    CHECK(x.index({1, true}).shape() == Shape{1, 3});
    CHECK(values(x.index({1, true})) == std::vector<double>{3, 4, 5});
    CHECK(x.index({Slice{}, false, Slice{0, 2}}).shape() == Shape{2, 0, 2});
    CHECK(values(x.index({1})) == std::vector<double>{3, 4, 5});
    CHECK(values(index_put(x, {true}, here::scalar(7.0).to(Dtype::f64))) == std::vector<double>(6, 7));
    CHECK(values(index_put(x, {false}, here::scalar(7.0).to(Dtype::f64))) == values(x));
  }

  DEVICE_TEST_CASE("index_put drops leading axes of size 1 of the values") {
    const Tensor x = here::zeros({3, 2}, Dtype::f64);
    Tensor v = here::tensor(std::vector<double>{5, 6}, Shape{1, 1, 2}).set_requires_grad();
    const Tensor rows = ints({2, 0});
    CHECK(values(index_put(x, {1}, v)) == std::vector<double>{0, 0, 5, 6, 0, 0});
    CHECK(values(index_put(x, {rows}, v)) == std::vector<double>{5, 6, 0, 0, 5, 6});
    CHECK(values(index_put(x, {2, 1}, v.detach().narrow(2, 0, 1))) == std::vector<double>{0, 0, 0, 0, 0, 5});
    sum(index_put(x, {rows}, v) * 3.0).backward();
    CHECK(v.grad().shape() == Shape{1, 1, 2});
    CHECK(values(v.grad()) == std::vector<double>{6, 6});
    check_gradients([&](const std::vector<Tensor>& t) { return square(index_put(t[0], {rows}, t[1], true)); },
                    {{3, 2}, {1, 1, 2, 2}});
    CHECK(support::message_of<ShapeError>([&] {
            (void)index_put(x, {1}, here::zeros({2, 2}, Dtype::f64));
          }).find("index_put: values [2, 2] do not broadcast to [2]") == 0);
    CHECK_THROWS_AS((void)index_put(x, {1}, here::zeros({1, 3}, Dtype::f64)), ShapeError);
  }

  DEVICE_TEST_CASE("take_along_dim counts negative indices from the end") {
    const Tensor x = iota({2, 3}), at = ints({-1, 0, -3, -2}).reshape({2, 2});
    CHECK(values(take_along_dim(x, at, 1)) == std::vector<double>{2, 0, 3, 4});
    CHECK(values(take_along_dim(x, ints({-1, -6, 5}))) == std::vector<double>{5, 0, 5});
    CHECK(values(take_along_dim(x, at.to(Dtype::i32), 1)) == std::vector<double>{2, 0, 3, 4});
    CHECK(take_along_dim(here::scalar(4.0), here::scalar(-1), 0).item<float>() == 4);
    check_gradients([&](const std::vector<Tensor>& t) { return square(take_along_dim(t[0], at, 1)); }, {{2, 3}});
    if (support::device().type != DeviceType::cpu) return;  // elsewhere the kernels report such values later
    for (const int64_t bad : {-4, 3})
      CHECK(support::message_of<Error>([&] {
              (void)take_along_dim(x, full({2, 1}, bad), 1);
            }).find("take_along_dim: ") == 0);
  }

  DEVICE_TEST_CASE("derivatives") {
    const Tensor a = ints({1, 0, 1}), b = ints({2, 0, 2}), m = here::tensor({true, false, true});
    check_gradients([&](const std::vector<Tensor>& x) { return square(x[0].index({a, Slice{}, b})); }, {{2, 2, 3}});
    check_gradients([&](const std::vector<Tensor>& x) { return square(x[0].index({Slice{}, m})); }, {{2, 3}});
    check_gradients([&](const std::vector<Tensor>& x) { return square(index_select(x[0], 1, b)); }, {{2, 3}});
    check_gradients([&](const std::vector<Tensor>& x) { return square(index_add(x[0], 1, b, x[1], 0.5)); },
                    {{2, 4}, {2, 3}});
    const Tensor at = ints({0, 1, 1, 0, 0, 1}).reshape({2, 3});
    check_gradients([&](const std::vector<Tensor>& x) { return square(gather(x[0], 0, at)); }, {{2, 4}});
    check_gradients([&](const std::vector<Tensor>& x) { return square(scatter_add(x[0], 0, at, x[1])); },
                    {{2, 4}, {3, 3}});
    check_gradients([&](const std::vector<Tensor>& x) { return square(take_along_dim(x[0], at, 0)); }, {{2, 1}});
    check_gradients([&](const std::vector<Tensor>& x) { return square(masked_fill(x[0], m, sum(x[1]))); },
                    {{2, 3}, {1}});
    check_gradients([&](const std::vector<Tensor>& x) { return square(masked_select(x[0], m)); }, {{2, 3}});
    check_gradients(
        [&](const std::vector<Tensor>& x) {
          return square(index_put(x[0], {Slice{}, a}, x[1], true));
        },
        {{2, 2}, {3}});
    check_gradients(
        [&](const std::vector<Tensor>& x) {
          return square(index_put(x[0], {1, Slice{0, 2}}, x[1]));
        },
        {{2, 3}, {1}});
    const Tensor once = ints({2, 0});
    check_gradients(
        [&](const std::vector<Tensor>& x) {
          return square(index_put(x[0], {Slice{}, once}, x[1]));
        },
        {{2, 3}, {2, 2}});
    check_gradients(
        [&](const std::vector<Tensor>& x) {
          return square(scatter(x[0], 1, ints({2, 0}).reshape({1, 2}), x[1]));
        },
        {{2, 3}, {1, 2}});
  }

  DEVICE_TEST_CASE("index_select, gather and scatter_add against loops, large enough for several threads") {
    const int64_t n = 37, m = 29, r = 53, k = 61;
    const Tensor x = here::rand({n, m, r}, Dtype::f64), at = here::randint(0, m, {k});
    const Tensor y = index_select(x, 1, at),
                 dense = index_select(x.permute({2, 0, 1}).contiguous().permute({1, 2, 0}), 1, at);
    const Tensor g = here::rand({n, k, r}, Dtype::f64);
    const Tensor added = index_add(here::zeros({n, m, r}, Dtype::f64), 1, at, g);
    const Tensor index = here::randint(0, m, {n, k, r}), picked = gather(x, 1, index),
                 scattered = scatter_add(x, 1, index, g);
    const auto xv = values(x), gv = values(g), yv = values(y), pv = values(picked);
    const auto av = at.to_vector<int64_t>(), iv = index.to_vector<int64_t>();
    std::vector<double> add(static_cast<size_t>(n * m * r)), scatter = xv;
    bool same = true;
    for (int64_t a = 0; a < n; ++a)
      for (int64_t b = 0; b < k; ++b)
        for (int64_t c = 0; c < r; ++c) {
          const auto f = static_cast<size_t>((a * k + b) * r + c);
          const auto s = static_cast<size_t>((a * m + av[static_cast<size_t>(b)]) * r + c),
                     p = static_cast<size_t>((a * m + iv[f]) * r + c);
          same &= yv[f] == xv[s] && pv[f] == xv[p];
          add[s] += gv[f];
          scatter[p] += gv[f];
        }
    CHECK(same);
    CHECK(equal(y, dense));
    CHECK(values(added) == add);  // the order of the additions is fixed, so the sums agree to the last bit
    CHECK(values(scattered) == scatter);
    const Tensor last = scatter_add(x.permute({0, 2, 1}), 2, index.permute({0, 2, 1}), g.permute({0, 2, 1}));
    CHECK(values(last.permute({0, 2, 1})) == scatter);
  }

  DEVICE_TEST_CASE("sums over repeated indices are the same with any number of threads") {
    const Tensor at = here::randint(0, 50, {4000}), g = here::randn({4000, 96});
    const int before = num_threads();
    set_num_threads(1);
    const Tensor one = index_add(here::zeros({50, 96}), 0, at, g);
    set_num_threads(4);
    const Tensor four = index_add(here::zeros({50, 96}), 0, at, g);
    set_num_threads(before);
    CHECK(equal(one, four));
  }

  TEST_CASE("a bad index names value, axis and size, and nothing is written") {
    const Tensor x = iota({2, 3});
    CHECK(message_of<ValueError>([&] {
            (void)index_select(x, 1, ints({0, 3}));
          }) == "index_select: index 3 is out of range for axis 1 of size 3");
    CHECK(message_of<ValueError>([&] { (void)index_select(x, 1, ints({-1})); }) ==
          "index_select: index -1 is out of range for axis 1 of size 3");
    CHECK(message_of<ValueError>([&] {
            (void)x.index({std::vector<int64_t>{0, -3}});
          }) == "index: index -3 is out of range for axis 0 of size 2");
    CHECK(message_of<ValueError>([&] {
            (void)gather(x, 0, ints({0, 9, 0}).reshape({1, 3}));
          }) == "gather: index 9 is out of range for axis 0 of size 2");
    CHECK_THROWS_AS((void)scatter_add(x, 0, ints({0, 2, 0}).reshape({1, 3}), x), ValueError);
    CHECK_THROWS_AS((void)gather(x, 0, ints({0})), ShapeError);
    CHECK_THROWS_AS((void)index_select(x, 0, here::ones({1})), DtypeError);
    CHECK_THROWS_AS((void)x.index({0, 0, 0}), ShapeError);
    CHECK_THROWS_AS((void)x.index({2}), ValueError);
    CHECK_THROWS_AS((void)x.index({Ellipsis{}, Ellipsis{}}), ValueError);
    CHECK_THROWS_AS((void)one_hot(ints({5}), 5), ValueError);
  }

  TEST_CASE("one_hot and embedding") {
    CHECK(one_hot(ints({1, 0, 2})).to_vector<int64_t>() == std::vector<int64_t>{0, 1, 0, 1, 0, 0, 0, 0, 1});
    CHECK(one_hot(ints({1}), 4).shape() == Shape{1, 4});
    const Tensor w = leaf({4, 3});
    const Tensor at = ints({1, 3, 1, 1}).reshape({2, 2});
    CHECK(equal(embedding(at, w).select(0, 1), index_select(w, 0, ints({1, 1}))));
    sum(embedding(at, w, {.padding_idx = 3})).backward();
    CHECK(values(w.grad()) == std::vector<double>{0, 0, 0, 3, 3, 3, 0, 0, 0, 0, 0, 0});
    w.impl()->autograd->grad = Tensor();
    sum(embedding(at, w, {.padding_idx = -4, .scale_grad_by_freq = true})).backward();
    CHECK(values(w.grad()) == std::vector<double>{0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1});
    check_gradients([&](const std::vector<Tensor>& x) { return square(embedding(at, x[0])); }, {{4, 3}});
    CHECK_THROWS_AS((void)embedding(ints({4}), w), ValueError);
    // halves: the sum of 1000 ones is exact in f32 and not in bf16
    const Tensor half = here::ones({2, 2}, Dtype::bf16).set_requires_grad();
    sum(embedding(here::zeros({1000}, Dtype::i64), half)).backward();
    CHECK(values(half.grad())[0] == 1000);
  }

  DEVICE_TEST_CASE("embedding_renorm_ scales what is too long, or nothing where an index is bad") {
    const Tensor w = here::tensor<float>({3, 4, 0.3f, 0.4f, 6, 8}, Shape{3, 2});
    const auto before = w.to_vector<float>();
    if (support::device().type == DeviceType::cpu) {  // cards say it later
      CHECK_THROWS_AS(embedding_renorm_(w, ints({0, 3}), 1), ValueError);
      CHECK(w.to_vector<float>() == before);
    }
    embedding_renorm_(w, ints({0, 1, 0}), 1);
    const auto after = w.to_vector<float>();
    CHECK(after[0] == doctest::Approx(0.6));
    CHECK(after[1] == doctest::Approx(0.8));
    for (size_t i = 2; i < 6; ++i) CHECK(after[i] == before[i]);
    embedding_renorm_(w, here::zeros({0}, Dtype::i64), 1);
    CHECK_THROWS_AS((void)embedding_bag(ints({0, 1}), w, here::zeros({1})), DtypeError);
  }

  DEVICE_TEST_CASE("embedding_bag adds, counts and divides halves in f32") {
    const Tensor w = here::full({2, 1}, 60000, Dtype::f16), ones = here::full({2, 1}, 1, Dtype::f16);
    const Tensor at = here::full({70000}, 1, Dtype::i64), from = ints({0});
    const EmbeddingBagOptions mean{.mode = BagMode::mean};
    const Tensor few = at.narrow(0, 0, 50);
    for (const Tensor& y : {embedding_bag(few, w, from, mean), embedding_bag(few.reshape({1, 50}), w, {}, mean)}) {
      CHECK(y.dtype() == Dtype::f16);
      CHECK(y.item<double>() == 60000);
    }
    CHECK(embedding_bag(at, ones, from, mean).item<double>() == 1);
    const Tensor wide = here::full({70000}, 0.5);
    CHECK(embedding_bag(at, ones, from, {.mode = BagMode::sum, .per_sample_weights = wide}).dtype() == Dtype::f32);
  }
  DEVICE_TEST_CASE("embedding_bag: one long bag among thousands of short ones") {
    const Tensor w = iota({7, 2}) * 0.25;
    std::vector<int64_t> index, offsets;
    std::vector<double> sums, means;
    for (int64_t bag = 0; bag < 3000; ++bag) {
      const int64_t length = bag == 1000 ? 3000 : bag % 3;
      offsets.push_back(static_cast<int64_t>(index.size()));
      double sum = 0;
      for (int64_t i = 0; i < length; ++i) {
        index.push_back((bag + 5 * i) % 7);
        sum += 0.5 * static_cast<double>(index.back());
      }
      sums.push_back(sum);
      means.push_back(sum / static_cast<double>(std::max<int64_t>(length, 1)));
    }
    const Tensor at = here::tensor(index), from = here::tensor(offsets);
    const auto first = [&](BagMode mode) { return values(embedding_bag(at, w, from, {.mode = mode}).select(1, 0)); };
    CHECK(first(BagMode::sum) == sums);
    const std::vector<double> got = first(BagMode::mean);
    for (size_t i = 0; i < means.size(); ++i) CHECK(got[i] == doctest::Approx(means[i]).epsilon(1e-14));
    const Tensor none = here::zeros({0}, Dtype::i64);
    for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
      CHECK(values(embedding_bag(none, w, ints({0, 0}), {.mode = mode})) == std::vector<double>(4, 0));
      CHECK(embedding_bag(none, w, none, {.mode = mode}).shape() == Shape{0, 2});
    }
  }

  DEVICE_TEST_CASE("an index tensor that changed before backward is noticed") {
    Tensor at = ints({0, 1}), x = leaf({3});
    const Tensor y = sum(index_select(x, 0, at)), z = sum(gather(x, 0, at));
    at.fill_(0);
    CHECK_THROWS_AS(z.backward(), Error);
  }
}
