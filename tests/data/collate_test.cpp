#include "weft/data/collate.h"

#include <doctest/doctest.h>

#include "support/throws.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/shape/shape.h"

using namespace weft;
using support::message_of;

namespace clinic {

struct Scan {
  Tensor slices;
  double spacing;
};
struct Scans {
  Tensor slices, spacing;
};
Scans collate(const std::vector<Scan>& s) {
  return {data::collate(s, &Scan::slices), data::collate(s, &Scan::spacing)};
}
enum class Side { left, right };

}  // namespace clinic

namespace {

template <class T> std::vector<T> host(const Tensor& x) { return x.to_vector<T>(); }

}  // namespace

TEST_SUITE("data collate") {
  TEST_CASE("tensors of every dtype and layout") {
    for (int d = 0; d < kDtypes; ++d) {
      const auto dtype = static_cast<Dtype>(d);
      CAPTURE(dtype);
      const Tensor a = tensor({0, 1, 2, 3, 4, 5}, {2, 3}).to(dtype), b = tensor({1, 1, 0, 0, 1, 0}, {2, 3}).to(dtype);
      for (const Tensor& second :
           {b, b.t().contiguous().t(), tensor({{1, 1, 0, 9}, {0, 1, 0, 9}}).to(dtype).narrow(1, 0, 3)}) {
        const Tensor batch = data::collate(std::vector<Tensor>{a, second});
        CHECK(batch.shape() == Shape{2, 2, 3});
        CHECK(batch.dtype() == dtype);
        CHECK(equal(batch[0], a));
        CHECK(equal(batch[1], b));
      }
    }
    const Tensor wide = tensor({1.0, 2.0}).reshape({2, 1}).expand({2, 3});
    CHECK(host<int>(data::collate(std::vector<Tensor>{wide, wide})) ==
          std::vector<int>{1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2});
    CHECK(host<double>(data::collate(std::vector<Tensor>{tensor(1.5), tensor(2.5)})) == std::vector<double>{1.5, 2.5});
    CHECK(data::collate(std::vector<Tensor>{zeros({0, 3}), zeros({0, 3})}).shape() == Shape{2, 0, 3});
    CHECK(data::collate(std::vector<Tensor>{}).defined() == false);
  }

  TEST_CASE("views of pictures in rows make a channels-last batch") {
    const Tensor a = arange(24).reshape({2, 4, 3}).permute({2, 0, 1}), b = (arange(24) * 2).reshape({2, 4, 3});
    const Tensor batch = data::collate(std::vector<Tensor>{a, b.permute({2, 0, 1})});
    CHECK(batch.shape() == Shape{2, 3, 2, 4});
    CHECK(batch.is_channels_last());
    CHECK(equal(batch[0], a));
    CHECK(equal(batch[1], b.permute({2, 0, 1})));
    const Tensor mixed = data::collate(std::vector<Tensor>{a, b.permute({2, 0, 1}).contiguous()});
    CHECK(equal(mixed, batch));
    CHECK(data::collate(std::vector<Tensor>{a.contiguous(), b.permute({2, 0, 1})}).is_contiguous());
  }

  TEST_CASE("the batch is memory of its own, without gradient") {
    const Tensor a = ones({2}).set_requires_grad();
    Tensor batch = data::collate(std::vector<Tensor>{a});
    CHECK_FALSE(batch.requires_grad());
    batch.fill_(5);
    CHECK(host<int>(a) == std::vector<int>{1, 1});
  }

  TEST_CASE("what does not fit the first sample") {
    const auto message = [](const auto& samples, auto policy) {
      return message_of<Error>([&] { (void)data::collate(samples, policy); });
    };
    using Tensors = std::vector<Tensor>;
    CHECK(message(Tensors{zeros({2, 3}), zeros({2, 3}), zeros({3, 3})}, data::StackSamples()) ==
          "collate: sample 2 of the batch has the shape [3, 3] but the first one [2, 3]; make them alike, or collate "
          "with data::PadSamples() or data::ListSamples()");
    CHECK(message(Tensors{zeros({2}), zeros({2}, Dtype::f64)}, data::StackSamples()) ==
          "collate: sample 1 of the batch is f64 but the first one is f32");
    CHECK(message(Tensors{zeros({2}), Tensor()}, data::StackSamples()) ==
          "collate: sample 1 of the batch has no tensor, unlike the first one");
    CHECK(message(Tensors{Tensor(), zeros({2})}, data::StackSamples()) ==
          "collate: sample 1 of the batch has a tensor, unlike the first one");
    CHECK(message(Tensors{zeros({2}), zeros({2, 2})}, data::PadSamples()) ==
          "collate: sample 1 of the batch has the shape [2, 2] but the first one [2]; data::PadSamples() takes tensors "
          "of one "
          "rank");
    CHECK(message(Tensors{zeros({2}), zeros({2}, Dtype::i64)}, data::PadSamples()) ==
          "collate: sample 1 of the batch is i64 but the first one is f32");
    CHECK(message(Tensors{zeros({2}, Dtype::u8)}, data::PadSamples{-1}).find("collate: ") == 0);
    CHECK(
        message(std::vector<data::Example>{{zeros({1}), zeros({2})}, {zeros({1}), zeros({1})}}, data::StackSamples()) ==
        "collate: sample 1 of the batch, .target, has the shape [1] but the first one [2]; make them alike, or "
        "collate with data::PadSamples() or data::ListSamples()");
    CHECK(message(std::vector<std::pair<int, Tensor>>{{1, zeros({1})}, {1, zeros({2})}}, data::StackSamples())
              .find("sample 1 of the batch, <1>, has the shape [2]") != std::string::npos);
    CHECK(message(std::vector<std::vector<Tensor>>{{zeros({1})}, {}}, data::StackSamples()) ==
          "collate: sample 1 of the batch has 0 entries but the first one 1");
    CHECK(message(std::vector<std::map<std::string, int>>{{{"a", 1}}, {{"b", 1}}}, data::StackSamples()) ==
          "collate: sample 1 of the batch has the key 'b', which the first one has not");
  }

  TEST_CASE("numbers and texts") {
    const auto dtype_of_batch = []<class T>(T a, T b) {
      const Tensor x = data::collate(std::vector<T>{a, b});
      CHECK(x.shape() == Shape{2});
      CHECK(host<double>(x) == std::vector<double>{static_cast<double>(a), static_cast<double>(b)});
      return x.dtype();
    };
    CHECK(dtype_of_batch(3, -4) == Dtype::i64);
    CHECK(dtype_of_batch(uint8_t{3}, uint8_t{200}) == Dtype::i64);
    CHECK(dtype_of_batch(size_t{3}, size_t{4}) == Dtype::i64);
    CHECK(dtype_of_batch(1.5f, 2.5f) == Dtype::f32);
    CHECK(dtype_of_batch(1.5, 2.5) == Dtype::f64);
    CHECK(dtype_of_batch(bf16(1.5f), bf16(2.5f)) == Dtype::bf16);
    CHECK(dtype_of_batch(clinic::Side::left, clinic::Side::right) == Dtype::i64);
    CHECK(data::collate(std::vector<bool>{true, false}).dtype() == Dtype::boolean);
    CHECK(data::collate(std::vector<std::string>{"a", "b"}) == std::vector<std::string>{"a", "b"});
  }

  TEST_CASE("pairs, tuples, maps, vectors and arrays") {
    const auto [x, label] = data::collate(
        std::vector<std::pair<Tensor, int64_t>>{{tensor({1, 2}), 3}, {tensor({4, 5}), 6}});
    CHECK(host<int>(x) == std::vector<int>{1, 2, 4, 5});
    CHECK(host<int>(label) == std::vector<int>{3, 6});
    using Deep = std::tuple<std::string, std::pair<int, std::vector<Tensor>>>;
    const auto [texts, inner] = data::collate(std::vector<Deep>{{"a", {1, {tensor(2), tensor({3})}}},  //
                                                                {"b", {4, {tensor(5), tensor({6})}}}});
    CHECK(texts == std::vector<std::string>{"a", "b"});
    CHECK(host<int>(inner.first) == std::vector<int>{1, 4});
    REQUIRE(inner.second.size() == 2);
    CHECK(host<int>(inner.second[0]) == std::vector<int>{2, 5});
    CHECK(inner.second[1].shape() == Shape{2, 1});
    const Tensor rows = data::collate(std::vector<std::vector<int>>{{1, 2, 3}, {4, 5, 6}});
    CHECK(rows.shape() == Shape{2, 3});
    CHECK(rows.dtype() == Dtype::i64);
    CHECK(data::collate(std::vector<std::array<float, 2>>{{1, 2}, {3, 4}, {5, 6}}).shape() == Shape{3, 2});
    const auto both = data::collate(
        std::vector<std::map<std::string, double>>{{{"a", 1}, {"b", 2}}, {{"a", 3}, {"b", 4}}});
    CHECK(host<int>(both.at("a")) == std::vector<int>{1, 3});
    CHECK(host<int>(both.at("b")) == std::vector<int>{2, 4});
  }

  TEST_CASE("examples") {
    const std::vector<data::Example> samples = {{zeros({3, 2}), tensor(1), "a.png"},
                                                {ones({3, 2}), tensor(0), "b.png"}};
    const data::ExampleBatch<> batch = data::collate(samples);
    CHECK(batch.data.shape() == Shape{2, 3, 2});
    CHECK(host<int>(batch.target) == std::vector<int>{1, 0});
    CHECK(batch.names == std::vector<std::string>{"a.png", "b.png"});
    CHECK_FALSE(data::collate(std::vector<data::Example>{{zeros({1})}, {zeros({1})}}).target.defined());
    CHECK(data::collate(samples, &data::Example::data).shape() == Shape{2, 3, 2});
  }

  TEST_CASE("sizes that differ, filled up") {
    const data::Padded p = data::collate(std::vector<Tensor>{tensor({1, 2, 3}), tensor({4})}, data::PadSamples{-7});
    CHECK(host<int>(p.data) == std::vector<int>{1, 2, 3, 4, -7, -7});
    CHECK(p.data.shape() == Shape{2, 3});
    CHECK(host<int>(p.lengths) == std::vector<int>{3, 1});
    CHECK(host<int>(p.sizes) == std::vector<int>{3, 1});
    const data::Padded boxes = data::collate(std::vector<Tensor>{ones({2, 1}), ones({0, 3}), ones({1, 2})},
                                             data::PadSamples());
    CHECK(boxes.data.shape() == Shape{3, 2, 3});
    CHECK(host<int>(boxes.data) == std::vector<int>{1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0});
    CHECK(host<int>(boxes.lengths) == std::vector<int>{2, 0, 1});
    CHECK(host<int>(boxes.sizes) == std::vector<int>{2, 1, 0, 3, 1, 2});
    CHECK(boxes.sizes.shape() == Shape{3, 2});
    const auto words = data::collate(std::vector<std::vector<int>>{{1}, {2, 3}}, data::PadSamples());
    CHECK(host<int>(words.data) == std::vector<int>{1, 0, 2, 3});
    const data::Padded numbers = data::collate(std::vector<Tensor>{tensor(1), tensor(2)}, data::PadSamples());
    CHECK(numbers.data.shape() == Shape{2});
    CHECK(host<int>(numbers.lengths) == std::vector<int>{1, 1});
    const auto examples = data::collate(std::vector<data::Example>{{ones({2})}, {ones({1})}}, data::PadSamples());
    CHECK(examples.data.data.shape() == Shape{2, 2});
    CHECK_FALSE(examples.target.data.defined());
  }

  TEST_CASE("sizes that differ, in lists") {
    const Tensor a = ones({2}), b = ones({3}, Dtype::f64);
    const std::vector<Tensor> list = data::collate(std::vector<Tensor>{a, b, Tensor()}, data::ListSamples());
    REQUIRE(list.size() == 3);
    CHECK(list[0].raw_data() == a.raw_data());  // no copy
    CHECK(list[1].dtype() == Dtype::f64);
    const data::ExampleBatch<std::vector<Tensor>> batch = data::collate(std::vector<data::Example>{{a, tensor(1), "x"}},
                                                                        data::ListSamples());
    CHECK(batch.target.size() == 1);
  }

  TEST_CASE("a struct of the user's") {
    const clinic::Scans batch = data::collate(std::vector<clinic::Scan>{{ones({2}), 0.5}, {zeros({2}), 1.5}});
    CHECK(batch.slices.shape() == Shape{2, 2});
    CHECK(host<double>(batch.spacing) == std::vector<double>{0.5, 1.5});
    CHECK(data::collate(std::vector<std::pair<clinic::Scan, int>>{{{ones({2}), 0.5}, 1}}).first.slices.shape() ==
          Shape{1, 2});
    const std::vector<clinic::Scan> ragged = {{ones({2}), 1}, {ones({3}), 2}};
    CHECK(data::collate(ragged, &clinic::Scan::slices, data::PadSamples()).data.shape() == Shape{2, 3});
  }
}
