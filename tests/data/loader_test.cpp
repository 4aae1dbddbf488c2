// The suites' names make the thread sanitizer build and run them.
#include "weft/data/loader.h"

#include <doctest/doctest.h>

#include <set>

#include "data/loading.h"
#include "support/throws.h"
#include "weft/autograd/grad_mode.h"
#include "weft/core/parallel.h"
#include "weft/data/combine.h"

using namespace weft;
using support::message_of;

TEST_SUITE("data threads: batches") {
  using namespace loading;

  TEST_CASE("in order, the last one smaller or left out") {
    for (const int workers : {0, 1, 3}) {
      CAPTURE(workers);
      data::Loader loader(Plain(), {.batch_size = 4, .workers = workers});
      CHECK(loader.size() == 3);
      for (int e = 0; e < 2; ++e) {
        CHECK(loader.epoch() == e);
        CHECK(labels(loader) == Labels{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}});
      }
      data::Loader dropping(Plain(), {.batch_size = 4, .drop_last = true, .workers = workers});
      CHECK(dropping.size() == 2);
      CHECK(labels(dropping) == Labels{{0, 1, 2, 3}, {4, 5, 6, 7}});
      data::Loader none(Plain{0}, {.workers = workers});
      CHECK(labels(none).empty());
      CHECK(none.epoch() == 1);
    }
  }

  TEST_CASE("equal for any number of workers") {
    const auto epochs = [](int workers, int64_t prefetch, uint64_t seed) {
      data::Loader loader(Noise(),
                          {.batch_size = 3, .shuffle = true, .workers = workers, .prefetch = prefetch, .seed = seed});
      return std::vector{epoch(loader), epoch(loader)};
    };
    const auto alone = epochs(0, 2, 5);
    CHECK(alone[0].size() == 4);
    CHECK(alone[0] != alone[1]);
    for (const int workers : {1, 2, 3})
      for (const int64_t prefetch : {1, 4}) CHECK(epochs(workers, prefetch, 5) == alone);
    CHECK(epochs(1, 2, 6) != alone);
  }

  TEST_CASE("a sample that comes twice draws other numbers") {
    data::Loader loader(Noise{2},
                        {.batch_size = 8, .sampler = data::RandomSampler({.replacement = true, .num_samples = 8})});
    std::set<double> drawn;
    for (const Tensor& batch : loader)
      for (const double x : batch.select(1, 0).to_vector<double>()) drawn.insert(x);
    CHECK(drawn.size() == 8);
  }

  TEST_CASE("the seed is the thread's generator's, which is left alone otherwise") {
    manual_seed(3);
    data::Loader a(Noise(), {.shuffle = true}), b(Noise(), {.shuffle = true});
    manual_seed(3);
    data::Loader c(Noise(), {.shuffle = true});
    CHECK(a.seed() != b.seed());
    CHECK(a.seed() == c.seed());
    const Generator::State before = default_generator().state();
    CHECK(epoch(a) == epoch(c));
    CHECK(default_generator().state() == before);
  }

  TEST_CASE("samples know nothing of the caller's modes, and the caller nothing of theirs") {
    struct Modes {
      int64_t size() const { return 2; }
      std::vector<int> get(int64_t) const {
        const auto& mode = weft::detail::thread_mode();
        const std::vector<int> now = {num_threads(), mode.grad, mode.autocast};
        weft::detail::thread_mode().anomaly = true;
        return now;
      }
    };
    const int threads = num_threads();
    for (const int workers : {0, 2}) {
      set_num_threads(2);
      const Autocast cast(Dtype::bf16);
      data::Loader loader(Modes(), {.batch_size = 2, .workers = workers});
      for (const Tensor& batch : loader) {
        CHECK(batch.to_vector<int>() == std::vector<int>{1, 0, 0, 1, 0, 0});
        CHECK(num_threads() == 2);
        CHECK(grad_enabled());
        CHECK(weft::detail::thread_mode().autocast);
        CHECK_FALSE(weft::detail::thread_mode().anomaly);
      }
    }
    set_num_threads(threads);
  }

  TEST_CASE("samplers, collate functions, ragged samples") {
    data::Loader weighted(Plain(),
                          {.batch_size = 4, .sampler = data::WeightedRandomSampler({0, 0, 0, 1, 0, 0, 0, 0, 0, 0})});
    CHECK(labels(weighted) == Labels{{3, 3, 3, 3}, {3, 3, 3, 3}, {3, 3}});
    const auto sequential = std::make_shared<data::SequentialSampler>();
    data::Loader shared(Plain{2}, {.sampler = sequential});
    CHECK(labels(shared) == Labels{{0}, {1}});

    const auto ragged = data::map(Plain{3},
                                  [](const data::Example& e) { return ones({e.target.item<int64_t>() + 1}); });
    for (const int workers : {0, 2}) {
      data::Loader padded(ragged, {.batch_size = 3, .workers = workers}, data::PadSamples{-1});
      for (const data::Padded& p : padded) {
        CHECK(p.data.to_vector<int>() == std::vector<int>{1, -1, -1, 1, 1, -1, 1, 1, 1});
        CHECK(p.lengths.to_vector<int>() == std::vector<int>{1, 2, 3});
      }
      data::Loader lists(ragged, {.batch_size = 3, .workers = workers}, data::ListSamples());
      for (const std::vector<Tensor>& list : lists) CHECK(list[2].size(0) == 3);
      data::Loader own(ragged, {.batch_size = 2, .workers = workers},
                       [](const std::vector<Tensor>& samples) { return cat(samples); });
      std::vector<int64_t> sizes;
      for (const Tensor& joined : own) sizes.push_back(joined.size(0));
      CHECK(sizes == std::vector<int64_t>{3, 3});
    }
  }

  TEST_CASE("a dataset that changes its size between epochs") {
    struct Growing {
      std::shared_ptr<int64_t> n = std::make_shared<int64_t>(2);
      int64_t size() const { return *n; }
      int64_t get(int64_t i) const { return i; }
    };
    const Growing growing;
    data::Loader loader(growing, {.batch_size = 2, .workers = 2});
    CHECK(epoch(loader).size() == 1);
    *growing.n = 5;
    CHECK(loader.size() == 3);
    CHECK(epoch(loader).size() == 3);
    *growing.n = 0;
    CHECK(epoch(loader).empty());
  }

  TEST_CASE("next() instead of a range") {
    data::Loader loader(Plain{5}, {.batch_size = 2, .workers = 1});
    for (int e = 0; e < 2; ++e) {
      Labels seen;
      while (auto batch = loader.next()) seen.push_back(batch->target.to_vector<int64_t>());
      CHECK(seen == Labels{{0, 1}, {2, 3}, {4}});
    }
    CHECK(loader.epoch() == 2);
  }

  TEST_CASE("an iterator by hand") {
    data::Loader loader(Plain{4}, {.workers = 2});
    auto it = loader.begin();
    ++it;
    CHECK(it->target.item<int64_t>() == 1);
    auto moved = std::move(it);
    ++moved;
    ++moved;
    CHECK((*moved).target.item<int64_t>() == 3);
    moved++;
    CHECK(moved == loader.end());
    CHECK(labels(loader).size() == 4);  // `moved` still lives, its loop has ended
  }

  TEST_CASE("two loops at a time") {
    data::Loader loader(Plain(), {.workers = 1});
    const std::string text =
        "Loader: a loop over this loader runs already; end it, or call stop(), before another begins";
    for (const auto& batch : loader) {
      (void)batch;
      CHECK(message_of<ValueError>([&] { (void)loader.begin(); }) == text);
      CHECK(message_of<ValueError>([&] { (void)loader.next(); }).find("before next()") != std::string::npos);
      CHECK(message_of<ValueError>([&] {
              loader.load_state_dict(loader.state_dict());
            }).find("before a state is loaded") != std::string::npos);
      break;
    }
    CHECK(loader.next()->target.item<int64_t>() == 0);
    CHECK(message_of<ValueError>([&] { (void)loader.begin(); }) == text);
    loader.stop();
    CHECK(labels(loader).size() == 10);
    int batches = 0;
    for (const auto& batch : loader)
      if (batches += static_cast<int>(batch.names.size()), batches == 3) loader.stop();
    CHECK(batches == 3);
    CHECK(labels(loader).size() == 10);
  }

  TEST_CASE("options that are none") {
    const auto message = [](const data::LoaderOptions& o) {
      return message_of<ValueError>([&] { data::Loader loader(Plain(), o); });
    };
    CHECK(message({.batch_size = 0}) == "Loader: batch_size must be at least 1, got 0");
    CHECK(message({.workers = -1}) == "Loader: workers must not be negative, got -1");
    CHECK(message({.prefetch = 0}) == "Loader: prefetch must be at least 1, got 0");
    CHECK(message({.shuffle = true, .sampler = data::SequentialSampler()}) ==
          "Loader: shuffle and sampler exclude each other");
    struct Wrong : data::Sampler {
      std::vector<int64_t> indices(int64_t size, uint64_t, int64_t) const override { return {0, size}; }
      std::string str() const override { return "Wrong()"; }
    };
    data::Loader wrong(Plain(), {.sampler = Wrong()});
    CHECK(wrong.size() == 2);
    CHECK(message_of<ValueError>([&] { (void)wrong.begin(); }) ==
          "Loader: Wrong() gives the index 10 for a dataset of 10 samples");
    CHECK(message_of<ValueError>([&] { (void)wrong.begin(); }) != "");  // nothing runs after the first
  }

  TEST_CASE("pinned memory is asked for where there is CUDA, and is no error elsewhere") {
    data::Loader loader(Plain{3}, {.batch_size = 3, .workers = 1, .pin_memory = true});
    CHECK(labels(loader) == Labels{{0, 1, 2}});
  }
}

TEST_SUITE("data threads: state") {
  using namespace loading;

  TEST_CASE("resuming in mid-epoch goes on bit for bit") {
    for (const int workers : {0, 3})
      for (const int64_t at : {1, 2, 3, 4}) {
        CAPTURE(workers);
        CAPTURE(at);
        const data::LoaderOptions o = {.batch_size = 3, .shuffle = true, .workers = workers};
        data::Loader loader(Noise(), o);
        (void)epoch(loader);
        StateDict state;
        std::vector<std::vector<double>> rest;
        int64_t k = 0;
        for (const Tensor& batch : loader) {
          if (++k == at) state = loader.state_dict();
          if (k > at) rest.push_back(batch.to_vector<double>());
        }
        data::Loader other(Noise(), o);
        CHECK(other.seed() != loader.seed());
        other.load_state_dict(state);
        CHECK(other.epoch() == 1);
        CHECK(epoch(other) == rest);
        CHECK(other.epoch() == 2);
        CHECK(epoch(other) == epoch(loader));
      }
  }

  TEST_CASE("a loop that was left in the middle") {
    data::Loader loader(Noise(), {.batch_size = 3, .shuffle = true, .workers = 2, .seed = 1});
    const auto first = epoch(loader), second = epoch(loader), third = epoch(loader);
    data::Loader other(Noise(), {.batch_size = 3, .shuffle = true, .seed = 1});
    for (const Tensor& batch : other) {
      CHECK(batch.to_vector<double>() == first[0]);
      break;
    }
    const StateDict left = other.state_dict();
    CHECK(epoch(other) == second);  // the next loop is the next epoch
    other.load_state_dict(left);    // a state goes on where it was taken
    CHECK(epoch(other) == std::vector(first.begin() + 1, first.end()));
    CHECK(epoch(other) == second);
    const StateDict between = other.state_dict();
    CHECK(epoch(other) == third);
    other.load_state_dict(between);
    CHECK(epoch(other) == third);
  }

  TEST_CASE("another number of ranks goes on where the ranks were") {
    const auto of_rank = [](int64_t rank, int64_t ranks) {
      const data::ShardOptions share{.rank = rank, .num_replicas = ranks, .seed = 5, .drop_last = true};
      return data::Loader(Plain{16}, {.sampler = data::DistributedSampler(share)});
    };
    // What is left of the second epoch when every rank has taken `taken` samples of it; all ranks' together.
    const auto rest = [&](const StateDict* state, int64_t ranks, int64_t taken) {
      std::multiset<int64_t> left;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        data::Loader loader = of_rank(rank, ranks);
        if (state) loader.load_state_dict(*state);
        else (void)labels(loader);
        const Labels batches = labels(loader);
        for (auto b = batches.begin() + taken; b != batches.end(); ++b) left.insert(b->begin(), b->end());
      }
      return left;
    };
    for (const int64_t ranks : {1, 2, 4}) {
      data::Loader loader = of_rank(0, ranks);
      (void)labels(loader);
      for (int64_t i = 0; i < 8 / ranks; ++i) (void)loader.next();
      const StateDict state = loader.state_dict();
      for (const int64_t others : {1, 2, 4}) {
        CAPTURE(ranks);
        CAPTURE(others);
        CHECK(rest(&state, others, 0) == rest(nullptr, others, 8 / others));
        CHECK(rest(&state, others, 0) == rest(nullptr, 1, 8));
      }
    }
  }

  TEST_CASE("states that do not fit") {
    data::Loader shuffled(Plain(), {.shuffle = true, .seed = 1}), plain(Plain(), {.seed = 2});
    (void)shuffled.next();
    StateDict state = shuffled.state_dict();
    CHECK(message_of<ValueError>([&] { plain.load_state_dict(state); }) ==
          "Loader: the state is of RandomSampler(replacement=false), but this loader has SequentialSampler()");
    CHECK(message_of<ValueError>([&] { plain.load_state_dict({}); }).find("no entry named 'epoch'") !=
          std::string::npos);
    state.metadata.clear();
    CHECK(message_of<ValueError>([&] { plain.load_state_dict(state); }).find("the state is of no loader") !=
          std::string::npos);
    state = plain.state_dict();
    state.set("position", tensor(-1));
    CHECK(message_of<ValueError>([&] { plain.load_state_dict(state); }) == "Loader: the state's position is -1");
    CHECK(plain.seed() == 2);
    data::Loader larger(Plain{11}, {.shuffle = true});
    larger.load_state_dict(shuffled.state_dict());
    CHECK(message_of<ValueError>([&] { (void)larger.begin(); }) ==
          "Loader: the state that was loaded is of an epoch of 10 samples, but the dataset has 11");
  }
}
