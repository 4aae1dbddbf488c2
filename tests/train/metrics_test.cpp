// Metrics against values that numpy gives for their definitions; scikit-learn's where it has them.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "support/devices.h"
#include "support/throws.h"
#include "weft/core/factory.h"
#include "weft/train/metrics.h"

using namespace weft;
using support::message_of;

namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();

bool near(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)  // a few roundings of f64
    if (std::isnan(a[i]) != std::isnan(b[i]) || std::abs(a[i] - b[i]) > 1e-15) return false;
  return true;
}

const std::vector<int64_t> kTruth = {0, 0, 1, 1, 2, 2, 2, 0, 1, 255, 4, 4},
                           kPredicted = {0, 1, 1, 1, 2, 0, 2, 0, 2, 1, 4, 0};

}  // namespace

TEST_SUITE_BEGIN("metrics");

DEVICE_TEST_CASE("a confusion matrix and its scores, with a class that is nowhere and one that is ignored") {
  const Device device = support::device();
  training::ConfusionMatrix m(6, {.ignore_index = 255});
  const Tensor truth = tensor(kTruth).to(device), predicted = tensor(kPredicted).to(device);
  m.update(predicted.slice(0, 0, 5), truth.slice(0, 0, 5));
  m.update(predicted.slice(0, 5, 12).to(Dtype::i32), truth.slice(0, 5, 12).to(Dtype::i32));
  CHECK(m.counts().to_vector<int64_t>() == std::vector<int64_t>{2, 1, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 1, 0, 2, 0, 0, 0,
                                                                0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
  CHECK(near(m.iou(), {0.4, 0.5, 0.5, kNan, 0.5, kNan}));
  CHECK(near(m.dice(), {4. / 7, 2. / 3, 2. / 3, kNan, 2. / 3, kNan}));
  CHECK(near(m.precision(), {0.5, 2. / 3, 2. / 3, kNan, 1, kNan}));
  CHECK(near(m.recall(), {2. / 3, 2. / 3, 2. / 3, kNan, 0.5, kNan}));
  CHECK(m.mean_iou() == doctest::Approx(0.475).epsilon(1e-15));
  CHECK(m.accuracy() == doctest::Approx(7. / 11).epsilon(1e-15));
}

TEST_CASE("a class in the truth or in the prediction only counts as 0 in the means") {
  training::ConfusionMatrix m(3);
  m.update(tensor({0, 0, 1}).to(Dtype::i64), tensor({0, 2, 0}).to(Dtype::i64));
  CHECK(near(m.iou(), {1. / 3, 0, 0}));
  CHECK(near(m.precision(), {0.5, 0, 0}));
  CHECK(near(m.recall(), {0.5, 0, 0}));
  CHECK(m.mean_dice() == doctest::Approx(1. / 6).epsilon(1e-15));
  // An ignored class of the range has no scores, though it is predicted.
  training::ConfusionMatrix without(3, {.ignore_index = 2});
  without.update(tensor({0, 2, 1}).to(Dtype::i64), tensor({0, 0, 2}).to(Dtype::i64));
  CHECK(near(without.iou(), {0.5, kNan, kNan}));
  CHECK(without.mean_recall() == 0.5);
  training::ConfusionMatrix empty(2);
  CHECK(std::isnan(empty.accuracy()));
  CHECK(std::isnan(empty.mean_iou()));
}

DEVICE_TEST_CASE("scores count by their largest, as masks do") {
  const Device device = support::device();
  // [N, C, W]: pixels predict 1, 0, 1.
  const Tensor scores = tensor({0.f, 2.f, -1.f, 1.f, 0.f, 0.f}, Shape{1, 2, 3}).to(device);
  const Tensor truth = tensor({1, 1, 1}, Shape{1, 3}).to(Dtype::u8).to(device);
  training::ConfusionMatrix m(2);
  m.update(scores, truth);
  CHECK(m.counts().to_vector<int64_t>() == std::vector<int64_t>{0, 0, 1, 2});
  training::ConfusionMatrix again(2);
  again.load_state_dict(m.state_dict());
  again.merge(m);
  again.update(scores.to(Dtype::bf16), truth);
  CHECK(again.counts().to_vector<int64_t>() == std::vector<int64_t>{0, 0, 3, 6});
  m.reset();
  CHECK(m.counts().to_vector<int64_t>() == std::vector<int64_t>{0, 0, 0, 0});
}

DEVICE_TEST_CASE("a class that is none is an error, told once it is known") {
  const Device device = support::device();
  training::ConfusionMatrix m(3);
  const auto count = [&](int64_t truth, int64_t predicted) {
    m.update(tensor(std::vector<int64_t>{predicted}).to(device), tensor(std::vector<int64_t>{truth}).to(device));
    return m.counts();
  };
  for (const auto& [truth, predicted] : {std::pair{3, 0}, {0, 3}, {-1, 0}, {255, 1}}) {
    m.reset();
    CHECK_THROWS_AS(count(truth, predicted), ValueError);
  }
  m.reset();
  count(2, 1);
  if (device.type == DeviceType::cpu) {
    CHECK(message_of<ValueError>([&] { count(3, 0); }) ==
          "ConfusionMatrix: the target has the class 3, outside of 0..2; ignore_index leaves one out");
    CHECK(m.counts()[2][1].item<int64_t>() == 1);
  }
  const Tensor x = zeros({2}, {Dtype::i64, device});
  CHECK_THROWS_AS(m.update(x, zeros({3}, {Dtype::i64, device})), ShapeError);
  CHECK_THROWS_AS(m.update(zeros({2, 4}, {Dtype::f32, device}), x), ShapeError);
  CHECK_THROWS_AS(m.update(x, zeros({2}, {Dtype::f32, device})), DtypeError);
  CHECK_THROWS_AS(m.load_state_dict(training::ConfusionMatrix(2).state_dict()), ValueError);
  CHECK_THROWS_AS(m.merge(training::ConfusionMatrix(2)), ValueError);
  CHECK_THROWS_AS(training::ConfusionMatrix(2, {.names = {"a"}}), ValueError);
  CHECK_THROWS_AS(training::ConfusionMatrix(0), ValueError);
}

TEST_CASE("the table has a line for each class") {
  training::ConfusionMatrix m(3, {.names = {"sky", "building", "pole"}});
  m.update(tensor({0, 1, 1, 0}).to(Dtype::i64), tensor({0, 1, 0, 0}).to(Dtype::i64));
  CHECK(m.str() ==
        "class           IoU       Dice  precision     recall       truth\n"
        "sky          0.6667     0.8000     1.0000     0.6667           3\n"
        "building     0.5000     0.6667     0.5000     1.0000           1\n"
        "pole              -          -          -          -           0\n"
        "mean         0.5833     0.7333     0.7500     0.8333           4\n"
        "accuracy     0.7500\n");
}

DEVICE_TEST_CASE("top-k accuracy, with equal scores, NaN and ignored targets") {
  const Device device = support::device();
  const auto nan = static_cast<float>(kNan);
  const Tensor scores = tensor({0.1f, 0.7f, 0.2f,   // order 1 2 0
                                0.5f, 0.5f, 0.5f,   // order 0 1 2
                                nan, 0.3f, 0.2f,    // order 0 1 2, but 0 is a miss
                                0.3f, 0.2f, 0.9f},  // order 2 0 1
                               Shape{4, 3})
                            .to(device);
  const Tensor truth = tensor(std::vector<int64_t>{2, 1, 1, 2}).to(device);
  const auto at = [&](int64_t k, const Tensor& t, training::TopkOptions o = {}) {
    const Tensor y = training::topk_accuracy(scores, t, k, o);
    CHECK(y.dtype() == Dtype::f64);
    CHECK(y.device() == device);
    return y.item<double>();
  };
  CHECK(at(1, truth) == 0.25);
  CHECK(at(2, truth) == 1);
  const Tensor other = tensor(std::vector<int64_t>{0, 2, 0, -1}).to(device);
  CHECK(at(2, other, {.ignore_index = -1}) == 0);
  CHECK(at(3, other, {.ignore_index = -1}) == doctest::Approx(2. / 3).epsilon(1e-15));
  CHECK(std::isnan(at(1, full({4}, 7, {Dtype::i64, device}), {.ignore_index = 7})));
  // [N, C, W]
  const Tensor wide = scores.reshape({2, 2, 3}).movedim(2, 1);
  CHECK(training::topk_accuracy(wide, truth.reshape({2, 2}), 1).item<double>() == 0.25);
  CHECK_THROWS_AS((void)training::topk_accuracy(scores, truth, 4), ValueError);
  CHECK_THROWS_AS((void)training::topk_accuracy(scores, truth.slice(0, 0, 3), 1), ShapeError);
  CHECK_THROWS_AS((void)training::topk_accuracy(scores, scores.select(1, 0), 1), DtypeError);
}

TEST_CASE("average precision, binary and macro") {
  const auto labels = [](std::vector<int64_t> v) { return tensor(v); };
  CHECK(training::average_precision(tensor({0.1, 0.4, 0.35, 0.8}), labels({0, 0, 1, 1})) ==
        doctest::Approx(5. / 6).epsilon(1e-14));
  // Equal scores are one threshold.
  CHECK(training::average_precision(tensor({0.9, 0.9, 0.7, 0.3, 0.3, 0.3, 0.1, 0.95}),
                                    labels({1, 0, 1, 1, 0, 0, 1, 0})) ==
        doctest::Approx(0.44047619047619047).epsilon(1e-14));
  const Tensor scores = tensor({.7, .2, .1, .3, .3, .4, .2, .5, .3, .4, .4, .2, .1, .1, .8}, Shape{5, 3});
  training::AveragePrecision ap;
  ap.update(scores.slice(0, 0, 2), labels({0, 2}));
  ap.update(scores.slice(0, 2, 5), labels({1, 1, 0}));
  CHECK(near(ap.by_class(), {0.7, 1, 0.5}));
  CHECK(ap.compute() == doctest::Approx(2.2 / 3).epsilon(1e-14));
  // The same as one row of 0 and 1 for each sample; the last class has no positives here.
  const Tensor many = tensor(std::vector<int64_t>{1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0}, Shape{5, 3});
  ap.reset();
  ap.update(scores, many);
  CHECK(near(ap.by_class(), {0.7, 1, kNan}));
  CHECK(ap.compute() == doctest::Approx(0.85).epsilon(1e-14));
  CHECK(std::isnan(training::average_precision(tensor({0.5}), labels({0}))));
  CHECK(std::isnan(training::AveragePrecision().compute()));
  CHECK_THROWS_AS((void)training::average_precision(tensor({kNan}), labels({1})), ValueError);
  CHECK_THROWS_AS((void)training::average_precision(tensor({0.5}), labels({2})), ValueError);
  CHECK_THROWS_AS((void)training::average_precision(scores, labels({0, 1})), ShapeError);
  CHECK_THROWS_AS(ap.update(tensor({0.5}), labels({1})), ShapeError);
}

DEVICE_TEST_CASE("means of numbers and of tensors") {
  const Device device = support::device();
  training::Mean m;
  CHECK(std::isnan(m.compute()));
  m.update(2, 3);
  m.update(tensor({1.f, 4.f}).to(device));
  m.update(full({}, 9.0, {Dtype::f32, device}), 2);
  CHECK(m.compute() == doctest::Approx((6 + 5 + 18) / 7.).epsilon(1e-15));
  training::Mean n;
  n.load_state_dict(m.state_dict());
  n.update(0, 7);
  CHECK(n.compute() == doctest::Approx(29 / 14.).epsilon(1e-15));
  m.reset();
  CHECK(std::isnan(m.compute()));
}

TEST_CASE("an exponential average does not begin at 0") {
  training::Ema e(0.5);
  CHECK(std::isnan(e.compute()));
  e.update(4);
  CHECK(e.compute() == 4);
  e.update(1);
  CHECK(e.compute() == 2);  // (0.25 * 4 + 0.5 * 1) / 0.75
  training::Ema f(0.5);
  f.load_state_dict(e.state_dict());
  CHECK(f.compute() == 2);
  CHECK_THROWS_AS(training::Ema(1), ValueError);
}

TEST_SUITE_END();
