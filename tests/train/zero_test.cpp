// What ranks share besides gradients: an optimiser's state, and metrics.
#include "weft/train/distributed.h"

#include <doctest/doctest.h>

#include <memory>
#include <mutex>
#include <sstream>
#include <tuple>

#include "support/difference.h"
#include "support/same_bits.h"
#include "support/throws.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/distributed/thread_group.h"
#include "weft/io/safetensors.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"
#include "weft/train/metrics.h"

using namespace weft;
using support::largest_difference;
using support::message_of;

TEST_SUITE("train threads distributed state") {
  TEST_CASE("ZeroRedundancy gives gradients back when a step fails") {
    std::string what;
    run_threads(2, [&](const ProcessGroup& g) {
      Tensor a = zeros({4}).set_requires_grad(), b = zeros({2, 4}).slice(1, {}, {}, 2).detach().set_requires_grad();
      optim::SGD opt({a, b}, {.lr = 0.1});
      training::ZeroRedundancy zero(opt, g);
      a.set_grad(ones({4})), b.set_grad(ones({2, 2}));
      if (zero.owners() != std::vector<int>{0, 1}) throw Error("owners");
      if (g.rank() == 0) return;  // its own step would wait for rank 1's parameters
      try {
        opt.step();
      } catch (const Error& e) { what = e.what(); }
      if (!a.grad().defined()) throw Error("a's gradient is lost");
    });
    CHECK(what != "");
  }

  TEST_CASE("ZeroRedundancy: the same bits as without it, each rank with its share of the state") {
    const auto train = [](const ProcessGroup& g, bool zero, const std::string& kind, int steps, StateDict& state,
                          const StateDict& resumed) {
      manual_seed(11);
      nn::Sequential net(nn::Linear(6, 20), nn::Tanh(), nn::Linear(20, 20), nn::Tanh(), nn::Linear(20, 1));
      net.named_children()[2].second.to(Dtype::bf16);  // halves have masters
      std::unique_ptr<optim::Optimizer> opt;
      if (kind == "sgd")
        opt = std::make_unique<optim::SGD>(net.parameters(), optim::SGDOptions{.lr = 0.1, .momentum = 0.9});
      else opt = std::make_unique<optim::AdamW>(net.parameters(), optim::AdamWOptions{.lr = 0.01});
      std::unique_ptr<training::ZeroRedundancy> shares;
      if (zero) shares = std::make_unique<training::ZeroRedundancy>(*opt, g);
      if (!resumed.empty()) {
        if (zero) shares->load_state_dict(resumed);
        else opt->load_state_dict(resumed);
      }
      optim::StepLR schedule(*opt, 2, 0.5);
      for (int i = 0; i < steps; ++i) {
        manual_seed(20 + i);
        Tensor h = tanh(linear(randn({4, 6}), net.parameters()[0], net.parameters()[1])).to(Dtype::bf16);
        h = tanh(linear(h, net.parameters()[2], net.parameters()[3])).to(Dtype::f32);
        opt->zero_grad();
        mean(square(linear(h, net.parameters()[4], net.parameters()[5]))).backward();
        opt->step();
        schedule.step();
      }
      state = zero ? shares->state_dict() : opt->state_dict();
      size_t own = 0;
      for (const auto& [p, s] : opt->state()) own += s.size();
      return std::make_pair(net.state_dict(), own);
    };
    for (const std::string kind : {"sgd", "adamw"}) {
      StateDict want_state;
      const auto want = train(ProcessGroup(), false, kind, 5, want_state, {});
      for (const int R : {1, 2, 3}) {
        std::vector<StateDict> states(static_cast<size_t>(R)), nets = states;
        std::vector<size_t> own(static_cast<size_t>(R));
        run_threads(R, [&](const ProcessGroup& g) {
          const auto r = static_cast<size_t>(g.rank());
          std::tie(nets[r], own[r]) = train(g, true, kind, 5, states[r], {});
        });
        size_t all = 0;
        for (size_t r = 0; r < own.size(); ++r) {
          CHECK(largest_difference(nets[r], want.first) == 0);
          REQUIRE(states[r].size() == want_state.size());
          CHECK(largest_difference(states[r], want_state) == 0);
          CHECK(states[r].metadata == want_state.metadata);
          CHECK(own[r] <= want.second - static_cast<size_t>(R - 1));
          all += own[r];
        }
        CHECK(all == want.second);
        // shards, each of which could be a file of its own
        std::vector<StateDict> shards(static_cast<size_t>(R));
        run_threads(R, [&](const ProcessGroup& g) {
          manual_seed(11);
          nn::Sequential net(nn::Linear(6, 20), nn::Linear(20, 1));
          optim::Adam opt(net.parameters());
          training::ZeroRedundancy shares(opt, g);
          sum(net(ones({2, 6}))).backward();
          opt.step();
          shards[static_cast<size_t>(g.rank())] = shares.shard_state_dict();
          const StateDict whole = shares.state_dict();
          g.barrier();
          std::vector<StateDict> turned(shards.rbegin(), shards.rend());
          const StateDict merged = training::ZeroRedundancy::merge(turned);
          if (merged.size() != whole.size() || largest_difference(merged, whole) != 0 ||
              merged.metadata != whole.metadata)
            throw Error("merged");
        });
        if (R > 1) {
          CHECK(shards[0].size() < training::ZeroRedundancy::merge(shards).size());
          std::vector<StateDict> twice = shards;
          twice[1] = twice[0];
          CHECK(message_of<ValueError>([&] { (void)training::ZeroRedundancy::merge(twice); }).find("twice 0 of") !=
                std::string::npos);
          shards.pop_back();
          CHECK_THROWS_AS((void)training::ZeroRedundancy::merge(shards), ValueError);
        }
        // what R ranks saved, another number of ranks and one process read
        StateDict alone_state;
        const auto alone = train(ProcessGroup(), false, kind, 3, alone_state, states[0]);
        run_threads(R == 1 ? 3 : 4 - R, [&](const ProcessGroup& g) {
          StateDict state;
          const auto again = train(g, true, kind, 3, state, states[0]);
          if (largest_difference(again.first, alone.first) != 0 || largest_difference(state, alone_state) != 0)
            throw Error("resumed");
        });
      }
    }
    nn::Linear l(2, 2);
    optim::LBFGS lbfgs(l.parameters());
    CHECK(message_of<NotSupported>([&] { training::ZeroRedundancy z(lbfgs, ProcessGroup()); }).find("L-BFGS") !=
          std::string::npos);
    optim::SGD sgd(l.parameters(), {.lr = 0.1});
    training::ZeroRedundancy one(sgd, ProcessGroup());
    CHECK(message_of<ValueError>([&] {
            training::ZeroRedundancy z(sgd, ProcessGroup());
          }).find("another one already") != std::string::npos);
  }

  TEST_CASE("ZeroRedundancy loads on all ranks or on none, and takes no part of a state") {
    const auto make = [](const ProcessGroup& g, const auto& body) {
      manual_seed(11);
      nn::Sequential net(nn::Linear(6, 20), nn::Linear(20, 6));
      optim::Adam opt(net.parameters());
      training::ZeroRedundancy zero(opt, g);
      sum(square(net(ones({2, 6})))).backward();
      opt.step();
      body(zero, opt);
    };
    run_threads(2, [&](const ProcessGroup& g) {
      make(g, [&](training::ZeroRedundancy& zero, optim::Adam& opt) {
        const StateDict before = zero.state_dict(), shard = zero.shard_state_dict();
        StateDict bad;
        for (const auto& [key, t] : before) bad.insert(key, key.rfind("state.3.exp_avg", 0) == 0 ? zeros({7}) : t + 1);
        bad.metadata = before.metadata;
        const std::string why = message_of<ValueError>([&] { zero.load_state_dict(bad); });
        if (why.find("the share of rank 1 does not fit") == std::string::npos) throw Error("taken: " + why);
        if (largest_difference(before, zero.state_dict()) != 0) throw Error("a rank has changed");
        if (message_of<NotSupported>([&] { (void)opt.state_dict(); }).find("save ZeroRedundancy::state_dict()") ==
            std::string::npos)
          throw Error("a share was given as the state");
        if (message_of<ValueError>([&] { zero.load_state_dict(shard); }).find("merge makes the whole") ==
            std::string::npos)
          throw Error("a shard was taken");
        const StateDict later = zero.shard_state_dict();
        const auto other = g.rank() == 0 ? shard : later;
        StateDict mine;
        for (const std::string& bytes : g.all_gather([&] {
               std::ostringstream out;
               io::save(other, out);
               return out.str();
             }())) {
          std::istringstream in(bytes);
          if (mine.empty()) mine = io::load(in);
          else if (const StateDict second = io::load(in); message_of<ValueError>([&] {
                                                            (void)training::ZeroRedundancy::merge({mine, second});
                                                          }).find("not saved together") == std::string::npos)
            throw Error("shards of two savings were merged");
        }
      });
    });
    CHECK(message_of<ValueError>([] { (void)training::ZeroRedundancy::merge({}); }).find("no shards") !=
          std::string::npos);
  }

  TEST_CASE("metrics of all ranks, some of which have no data") {
    std::vector<std::vector<double>> got(3);
    run_threads(3, [&](const ProcessGroup& g) {
      const int r = g.rank();
      training::ConfusionMatrix matrix(3);
      training::Mean loss;
      training::AveragePrecision precision, none;
      if (r > 0) {
        matrix.update(tensor({int64_t{0}, int64_t{1}}), tensor({int64_t{0}, int64_t{r}}));
        loss.update(tensor({1.0 * r, 2.0 * r}));
        loss.update(5, 2);
        precision.update(tensor({0.9, 0.4 * r}), tensor({int64_t{1}, int64_t{r - 1}}));
      }
      matrix.all_reduce_(g), loss.all_reduce_(g), precision.all_gather_(g), none.all_gather_(g);
      got[static_cast<size_t>(r)] = {matrix.accuracy(), loss.compute(), precision.compute(),
                                     static_cast<double>(none.by_class().size())};
      training::AveragePrecision two;
      two.update(zeros({1, r == 1 ? 2 : 3}), tensor({int64_t{0}}));
      if (message_of<ShapeError>([&] { two.all_gather_(g); }).find("and 3 classes, rank 1 has 2, 1 and 2") ==
          std::string::npos)
        throw Error("another number of classes");
    });
    // 3 of 4 right; (1 + 2 + 2 + 4 + 4 * 5) / 8; scores 0.9+ 0.9+ 0.8+ 0.4-
    for (const auto& of : got) CHECK(of == std::vector<double>{0.75, 29.0 / 8, 1, 0});
  }
}
