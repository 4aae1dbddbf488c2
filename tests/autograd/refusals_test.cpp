// What PyTorch refuses and a silent conversion would hide: values that a type cannot hold, counts of pieces that no
// memory holds, options that a call cannot keep. Beside them, what is taken in more than one form.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>

#include "support/throws.h"
#include "weft/weft.h"

using namespace weft;
using support::message_of;

TEST_SUITE("refusals") {
  TEST_CASE("item: a value that the type cannot hold") {
    CHECK(message_of<ValueError>([] { (void)scalar(300).item<uint8_t>(); }) == "item: u8 cannot hold the value 300");
    CHECK(message_of<ValueError>([] { (void)scalar(-1).item<uint64_t>(); }) == "item: u64 cannot hold the value -1");
    CHECK(message_of<ValueError>([] { (void)scalar(1e20).item<int>(); }) == "item: i32 cannot hold the value 1e+20");
    CHECK(message_of<ValueError>([] { (void)scalar(1e40, Dtype::f64).item<float>(); }) ==
          "item: f32 cannot hold the value 1e+40");
    const Tensor nan = scalar(std::numeric_limits<double>::quiet_NaN());
    CHECK_THROWS_AS((void)nan.item<int64_t>(), ValueError);
    CHECK_THROWS_AS((void)scalar(0x1p63, Dtype::f64).item<int64_t>(), ValueError);
    CHECK_THROWS_AS((void)scalar(-1.0).item<uint8_t>(), ValueError);
    // fractions are cut, as in PyTorch; both ends of a type fit
    CHECK(scalar(2.75).item<int>() == 2);
    CHECK(scalar(-2.75).item<int>() == -2);
    CHECK(scalar(-0.5).item<uint8_t>() == 0);
    CHECK(scalar(255.5).item<uint8_t>() == 255);
    CHECK(scalar(-0x1p63, Dtype::f64).item<int64_t>() == INT64_MIN);
    CHECK(scalar(INT64_MAX).item<uint64_t>() == uint64_t{INT64_MAX});
    CHECK(scalar(1e19, Dtype::f64).item<uint64_t>() == 10000000000000000000u);
    CHECK(scalar(3).item<bool>());
    CHECK(nan.item<bool>());
    CHECK(std::isnan(nan.item<float>()));
    CHECK(std::isinf(scalar(std::numeric_limits<double>::infinity()).item<float>()));
  }

  TEST_CASE("to_vector: the same for every element") {
    CHECK(message_of<ValueError>([] {
            (void)tensor({1, 300}).to_vector<uint8_t>();
          }) == "to_vector: u8 cannot hold the value 300");
    CHECK(message_of<ValueError>([] {
            (void)tensor({0.5, 1e20}).to_vector<int32_t>();
          }) == "to_vector: i32 cannot hold the value 1e+20");
    CHECK_THROWS_AS((void)tensor({-1}, Dtype::i8).to_vector<uint16_t>(), ValueError);
    CHECK_THROWS_AS((void)tensor({1e40}, Dtype::f64).to_vector<float>(), ValueError);
    CHECK_THROWS_AS((void)tensor({70000}).to_vector<f16>(), ValueError);
    CHECK(tensor({1.5, -1.5}).to_vector<int64_t>() == std::vector<int64_t>{1, -1});
    CHECK(tensor({0, 255}).to_vector<uint8_t>() == std::vector<uint8_t>{0, 255});
    CHECK(tensor({0, 7}).to_vector<bool>() == std::vector<bool>{false, true});
    CHECK(zeros({0}).to_vector<uint8_t>().empty());
  }

  TEST_CASE("tensor: all forms refuse a value that the dtype cannot hold") {
    const std::string text = "tensor: u8 cannot hold the value 300";
    CHECK(message_of<ValueError>([] { (void)tensor({300.0}, Dtype::u8); }) == text);
    CHECK(message_of<ValueError>([] { (void)tensor(300, Dtype::u8); }) == text);
    CHECK(message_of<ValueError>([] { (void)tensor(std::vector<double>{300}, Dtype::u8); }) == text);
    CHECK(message_of<ValueError>([] { (void)tensor(std::vector<int64_t>{300}, Shape{1, 1}, Dtype::u8); }) == text);
    CHECK(message_of<ValueError>([] { (void)tensor(std::array<float, 1>{300}, Dtype::u8); }) == text);
    CHECK(message_of<ValueError>([] { (void)tensor(std::vector<std::vector<int32_t>>{{300}}, Dtype::u8); }) == text);
    CHECK_THROWS_AS((void)tensor(std::vector<double>{1e40}, Dtype::f32), ValueError);
    CHECK(tensor(std::vector<double>{2.5, 255}, Dtype::u8).to_vector<int64_t>() == std::vector<int64_t>{2, 255});
    CHECK(tensor(std::vector<double>{0, 300}, Dtype::boolean).to_vector<bool>() == std::vector<bool>{false, true});
  }

  TEST_CASE("a number of 2^63 or more is no integer") {
    const uint64_t large = uint64_t{1} << 63;
    const Tensor x = zeros({2}, Dtype::i64);
    CHECK(message_of<ValueError>([&] { (void)full({2}, large); }) ==
          "scalar: 9223372036854775808 does not fit i64; give a real number");
    CHECK_THROWS_AS((void)(x + large), ValueError);
    CHECK_THROWS_AS((void)eq(x, large), ValueError);
    CHECK((x + (large - 1))[0].item<int64_t>() == INT64_MAX);
    CHECK((-Scalar(INT64_MIN)).to_int64() == INT64_MIN);
    CHECK((-Scalar(2.5)).to_double() == -2.5);
  }

  TEST_CASE("alpha keeps integers beyond 2^53") {
    const int64_t odd = (int64_t{1} << 53) + 1;
    const Tensor one = ones({1}, Dtype::i64), at = zeros({1}, Dtype::i64);
    const auto value = [](const Tensor& t) { return t.item<int64_t>(); };
    CHECK(value(add(at, one, odd)) == odd);
    CHECK(value(sub(at, one, odd)) == -odd);
    CHECK(value(index_add(at, 0, at, one, odd)) == odd);
    CHECK(value(at.index_add(0, at, one, odd)) == odd);
    CHECK(value(at.clone().add_(one, odd)) == odd);
    CHECK(value(at.clone().sub_(one, odd)) == -odd);
    CHECK(value(at.clone().add_(1, odd)) == odd);
    CHECK(value(at.clone().index_add_(0, at, one, odd)) == odd);
    // as in PyTorch: integers take no real alpha in place
    CHECK_THROWS_AS(at.clone().add_(one, 2.0), DtypeError);
    CHECK(value(index_add(at, 0, at, one, 2.0)) == 2);
    CHECK_THROWS_AS((void)index_add(at, 0, at, one, 2.5), ValueError);
  }

  TEST_CASE("an axis is cut into 2^24 pieces at most") {
    const Tensor x = arange(4), empty = zeros({0}), wide = zeros({1}).expand({int64_t{1} << 50});
    const std::string text = "tensor_split: 9223372036854775807 pieces are more than 16777216";
    CHECK(message_of<ValueError>([&] { (void)tensor_split(x, INT64_MAX); }) == text);
    CHECK_THROWS_AS((void)tensor_split(wide, INT64_MAX), ValueError);
    CHECK_THROWS_AS((void)hsplit(empty, INT64_MAX), ValueError);
    CHECK_THROWS_AS((void)chunk(empty, INT64_MAX), ValueError);
    CHECK_THROWS_AS((void)chunk(wide, int64_t{1} << 49), ValueError);
    CHECK_THROWS_AS((void)split(wide, 1), ValueError);
    CHECK(message_of<ValueError>([&] { (void)unbind(wide); }).rfind("unbind: 1125899906842624 pieces", 0) == 0);
    const int64_t half = int64_t{1} << 62;
    CHECK_THROWS_AS((void)x.split({half, half, half, half, 4}), ValueError);  // their sum overflows
    CHECK(chunk(x, INT64_MAX).size() == 4);
    CHECK(split(x, INT64_MAX).size() == 1);
    CHECK(tensor_split(x, 6)[5].shape() == Shape{0});
    CHECK(message_of<ValueError>([&] { (void)histc(ones({2}), INT64_MAX); }).rfind("histc: bins ", 0) == 0);
    CHECK(arange(INT64_MIN, INT64_MAX, half).to_vector<int64_t>() == std::vector<int64_t>{INT64_MIN, -half, 0, half});
    CHECK(arange(INT64_MAX, INT64_MIN, INT64_MIN).to_vector<int64_t>() == std::vector<int64_t>{INT64_MAX, -1});
  }

  TEST_CASE("sums of bools are true where one is, as in PyTorch") {
    const Tensor x = tensor({true, false, false}), at = tensor({0, 1, 1}), src = tensor({true, true, false});
    const std::vector<bool> expected{true, true, false};
    CHECK(scatter_add(x, 0, at, src).to_vector<bool>() == expected);
    CHECK(index_add(x, 0, at, src).to_vector<bool>() == expected);
    CHECK(index_add(x, 0, at, src, 2).to_vector<bool>() == expected);
    CHECK(index_add(x, 0, at, src, -1).to_vector<bool>() == expected);
    CHECK(index_add(x, 0, at, src, 0).equal(x));
    CHECK(index_put(x, {at}, src, true).to_vector<bool>() == expected);
    CHECK(put(x, at, src, true).to_vector<bool>() == expected);
    CHECK(x.clone().scatter_add_(0, at, src).dtype() == Dtype::boolean);
    CHECK_THROWS_AS((void)index_reduce(x, 0, at, src, "prod"), DtypeError);
    CHECK_THROWS_AS((void)scatter_reduce(x, 0, at, src, "mean"), DtypeError);
  }

  TEST_CASE("requires_grad of options") {
    const TensorOptions o = TensorOptions().requires_grad(true);
    CHECK(message_of<ValueError>([&] { (void)ones({2}).to(o); }).rfind("to: options with requires_grad(true)", 0) == 0);
    CHECK_FALSE(ones({2}).to(TensorOptions(Dtype::f64)).requires_grad());
    CHECK_THROWS_AS((void)tril_indices(2, 2, 0, o), DtypeError);  // integers have no gradient
    CHECK_THROWS_AS((void)triu_indices(0, 2, 0, o), DtypeError);
    const Tensor x = ones({2, 2});
    for (const Tensor& t : {empty({2}, o),
                            empty_strided({2}, {1}, o),
                            zeros({2}, o),
                            ones({2}, o),
                            full({2}, 1.0, o),
                            empty_like(x, o),
                            zeros_like(x, o),
                            ones_like(x, o),
                            full_like(x, 2, o),
                            scalar(1.0, o),
                            arange(0.0, 2.0, 1.0, o),
                            linspace(0, 1, 3, o),
                            logspace(0, 1, 3, 10, o),
                            eye(2, o),
                            rand({2}, o),
                            randn({2}, o),
                            rand_like(x, o),
                            randn_like(x, o),
                            randint_like(x, 3, o),
                            randint(3, {2}, o.dtype(Dtype::f32)),
                            randperm(3, o.dtype(Dtype::f32)),
                            tensor({1.0}, o),
                            tensor(1.0, o),
                            tensor(std::vector<float>{1}, o),
                            x.new_empty({2}, o),
                            x.new_zeros({2}, o),
                            x.new_ones({2}, o),
                            x.new_full({2}, 1, o)})
      CHECK((t.requires_grad() && t.is_leaf()));
  }

  TEST_CASE("lists of tensors take parameters in braces") {
    nn::Linear layer(2, 2);
    const nn::Parameter &w = layer.weight, &b = layer.bias;
    const Tensor x = ones({2, 2}), v = ones({2});
    CHECK(concat({x, w}).shape() == Shape{4, 2});
    CHECK(concatenate({x, w}, 1).shape() == Shape{2, 4});
    CHECK(vstack({x, w}).shape() == Shape{4, 2});
    CHECK(row_stack({x, w}).shape() == Shape{4, 2});
    CHECK(hstack({x, w}).shape() == Shape{2, 4});
    CHECK(dstack({x, w}).shape() == Shape{2, 2, 2});
    CHECK(column_stack({v, b}).shape() == Shape{2, 2});
    CHECK(broadcast_tensors({x, b})[1].shape() == Shape{2, 2});
    CHECK(cartesian_prod({v, b}).shape() == Shape{4, 2});
    CHECK(meshgrid({v, b}, "xy")[0].shape() == Shape{2, 2});
    CHECK(block_diag({x, w}).shape() == Shape{4, 4});
    CHECK(linalg::multi_dot({x, w}).shape() == Shape{2, 2});
    const TensorBraces kept = {x + 1, w};  // the list holds its tensors
    CHECK(listed(kept)[0].equal(full({2, 2}, 2.0)));
    CHECK(nn::View({2})(ones({2, 1})).shape() == Shape{2});
    CHECK(nn::View({-1, 1})(v).shape() == Shape{2, 1});
    CHECK(nn::View(-1)(x).shape() == Shape{4});
  }

  TEST_CASE("a file keeps its name in the errors of an op around it") {
    const std::string path = (std::filesystem::temp_directory_path() / "weft_refusals.safetensors").string();
    std::ofstream(path) << "none";
    const OpName op("mine");
    CHECK(message_of<IoError>([&] { (void)io::load(path); }).find(path + ": ") != std::string::npos);
    CHECK(message_of<IoError>([&] { (void)io::load(path + ".none"); }).find(path + ".none") != std::string::npos);
    StateDict other;
    other.insert("other", ones({1}));
    io::save(other, path);
    nn::Linear layer(2, 2);
    CHECK(message_of<ValueError>([&] { io::load(layer, path); }).rfind(path + ": ", 0) == 0);
    CHECK(message_of<IoError>([] { raise<IoError>("weights: is cut off"); }) == "mine: weights: is cut off");
    CHECK(message_of<ValueError>([] { raise<ValueError>("./a: has none"); }) == "mine: ./a: has none");
    CHECK(message_of<ValueError>([] { raise<ValueError>("linalg.qr: no"); }) == "mine: no");
    CHECK(message_of<ValueError>([] { raise<ValueError>("add: no"); }) == "mine: no");
    std::filesystem::remove(path);
  }
}
