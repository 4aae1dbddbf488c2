#include "weft/nn/summary.h"

#include <map>
#include <optional>

#include "nn/support.h"
#include "nn/torchvision_nets.h"
#include "support/here.h"
#include "weft/nn/reparametrize.h"

using namespace weft;
using namespace weft::test;

namespace {

const nn::Summary::Row& summary_row(const nn::Summary& s, const std::string& layer) {
  for (const auto& r : s.rows)
    if (r.layer == layer) return r;
  FAIL("no row of " << layer);
  return s.rows[0];
}

std::string summary_text(const nn::Summary& s) {
  std::ostringstream out;
  out << s;
  return out.str();
}

}  // namespace

TEST_SUITE_BEGIN("nn summary");

DEVICE_TEST_CASE("summary of a small net, as text") {
  nn::Sequential net = here::module(nn::Sequential(nn::Conv2d(3, 8, {.kernel_size = 3, .padding = 1}),
                                                   nn::BatchNorm2d(8), nn::ReLU(), nn::MaxPool2d(2), nn::Flatten(),
                                                   nn::Linear(8 * 16, 10)));
  net.parameters()[0].set_requires_grad(false);
  CHECK(summary_text(nn::summary(net, {2, 3, 8, 8})) ==
        "Layer            Op          Output        Parameters    MACs\n"
        "-------------------------------------------------------------\n"
        "0 (Conv2d)       conv2d      [2, 8, 8, 8]         224  27,648\n"
        "1 (BatchNorm2d)  batch_norm  [2, 8, 8, 8]          16        \n"
        "2 (ReLU)         relu        [2, 8, 8, 8]                    \n"
        "3 (MaxPool2d)    max_pool2d  [2, 8, 4, 4]                    \n"
        "5 (Linear)       linear      [2, 10]            1,290   2,560\n"
        "Parameters: 1,530, trainable: 1,314, in buffers: 17, MACs: 30,208\n");
  // everything is as before
  CHECK_FALSE(net.parameters()[0].requires_grad());
  CHECK(net.parameters()[1].requires_grad());
  CHECK(net.is_training());
  CHECK(net.get("1.num_batches_tracked").item<int64_t>() == 0);
}

// 1.814 G and 0.0 of pooling: the count that the literature gives for 224 x 224.
TEST_CASE("summary of ResNet-18") {
  torchvision::ResNet18 net;
  const nn::Summary s = nn::summary(net, {1, 3, 64, 64});
  CHECK(s.params == 11689512);
  CHECK(s.trainable == s.params);
  CHECK(summary_row(s, "conv1").output == Shape{1, 64, 32, 32});
  CHECK(summary_row(s, "conv1").macs == 64 * 32 * 32 * 147);
  CHECK(summary_row(s, "layer2.0.downsample.0").macs == 128 * 8 * 8 * 64);
  CHECK(summary_row(s, "fc").params == 513000);
  int64_t params = 0, convolutions = 0;
  for (const auto& r : s.rows) {
    params += r.params;
    convolutions += r.op == "conv2d";
  }
  CHECK(params == s.params);
  CHECK(convolutions == 20);
  // (1 814 073 344 - 512 000) is for 49 times as many positions as 32 x 32 inputs have
  CHECK(s.macs == (1814073344 - 512000) / 49 * 4 + 512000);
}

DEVICE_TEST_CASE("computed weights, shared ones, integer input") {
  nn::Sequential net = here::module(
      nn::Sequential(nn::WSConv1d(4, 6, {.kernel_size = 3}),
                     nn::weight_norm(nn::ConvTranspose1d(6, 4, {.kernel_size = 3, .stride = 2}))));
  const nn::Summary s = nn::summary(net, {1, 4, 10});
  REQUIRE(s.rows.size() == 2);
  CHECK(s.rows[0].params == 4 * 6 * 3 + 6 + 6);
  CHECK(s.rows[0].macs == 8 * 6 * 12);
  CHECK(s.rows[1].layer == "1");
  CHECK(s.rows[1].params == 6 * 4 * 3 + 6 + 4);
  CHECK(s.rows[1].macs == 8 * 6 * 12);

  struct Tied : nn::Module {
    nn::Embedding embed = add("embed", nn::Embedding(7, 4));
    nn::Linear head = add("head", nn::Linear(4, 4));
    Tensor operator()(const Tensor& x) { return head(head(embed(x))); }
  } tied;
  tied.to(support::device());
  const nn::Summary t = nn::summary(tied, here::zeros({2, 3}, Dtype::i64));
  REQUIRE(t.rows.size() == 3);
  CHECK(t.rows[0].layer == "embed");
  CHECK(t.rows[0].params == 28);
  CHECK(t.rows[1].params == 20);
  CHECK(t.rows[2].params == 0);
  CHECK(t.rows[2].macs == 6 * 4 * 4);
}

TEST_CASE("results of LSTM, attention and structs of one's own") {
  nn::LSTM lstm(3, 5);
  const nn::Summary s = nn::summary(lstm, {7, 2, 3});
  CHECK(s.params == 4 * 5 * (3 + 5 + 2));
  int64_t params = 0;
  for (const auto& r : s.rows) params += r.params;
  CHECK(params == s.params);
  CHECK(s.macs == 7 * 2 * 4 * 5 * (3 + 5));
  nn::GRU gru(3, 5, {.num_layers = 2});
  CHECK(nn::summary(gru, {7, 2, 3}).macs == 7 * 2 * 3 * 5 * (3 + 5 + 5 + 5));
  nn::LSTMCell cell(3, 4);
  CHECK(nn::summary(cell, {2, 3}).rows.size() > 3);

  // three projections, Q K^T, the sum of V, and the output's
  nn::MultiheadAttention attention(8, 2);
  CHECK(nn::summary(attention, {5, 3, 8}).macs == 3 * (5 * 8 * 8 * 4 + 2 * 5 * 5 * 8));

  struct Head : nn::Module {
    struct Result {
      std::map<std::string, Tensor> by_name;
      std::optional<Tensor> extra;
      std::pair<int, std::vector<Tensor>> list;
      std::string note;
    };
    nn::Linear a = add("a", nn::Linear(4, 2)), b = add("b", nn::Linear(4, 3)), c = add("c", nn::Linear(4, 5));
    Result operator()(const Tensor& x) { return {{{"a", a(x)}}, b(x), {1, {c(x)}}, "seen"}; }
  } head;
  const nn::Summary h = nn::summary(head, {2, 4});
  REQUIRE(h.rows.size() == 3);
  CHECK(h.macs == 2 * 4 * (2 + 3 + 5));
}

TEST_SUITE_END();
