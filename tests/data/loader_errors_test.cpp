// What a loader does when a sample fails, when a loop ends early, and with streams. The suites' names make the thread
// sanitizer build and run them.
#include <doctest/doctest.h>

#include <dlfcn.h>
#include <sched.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "data/loading.h"
#include "support/child.h"
#include "support/throws.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/data/combine.h"

using namespace weft;
using support::message_of;

TEST_SUITE("data threads: errors") {
  using namespace loading;

  struct Broken {
    int64_t at = 0;
    int kind = 0;
    int64_t size() const { return 9; }
    int64_t get(int64_t i) const {
      if (i != at) return i;
      switch (kind) {
        case 0: raise<IoError>("read: the file is cut off");
        case 1: raise<ShapeError>("crop: [3] is too small (part of photo ", i, ".png)");
        case 2: throw std::runtime_error("not weft's");
        case 3: throw 42;
        default: throw std::bad_alloc();
      }
    }
    std::string name(int64_t i) const { return str("photo ", i, ".png"); }
  };

  TEST_CASE("an error keeps its type, names its sample, and the loader goes on behind it") {
    for (const int workers : {0, 1, 3})
      for (const int64_t at : {1, 4, 8})
        for (const int kind : {0, 1, 2, 3}) {
          CAPTURE(workers);
          CAPTURE(at);
          CAPTURE(kind);
          data::Loader loader(Broken{at, kind}, {.batch_size = 3, .workers = workers});
          std::vector<int64_t> seen;
          std::string error;
          for (bool more = true; more;) try {
              const auto batch = loader.next();
              more = batch.has_value();
              if (more)
                for (const int64_t i : batch->to_vector<int64_t>()) seen.push_back(i);
            } catch (const IoError& e) { error = str("IoError ", e.what()); } catch (const ShapeError& e) {
              error = str("ShapeError ", e.what());
            } catch (const Error& e) { error = str("Error ", e.what()); } catch (const std::exception& e) {
              error = e.what();
            } catch (const int i) { error = str(i); }
          const std::string number = std::to_string(at);
          const std::string expected[] = {
              "IoError read: the file is cut off (sample " + number + ", photo " + number + ".png)",
              "ShapeError crop: [3] is too small (part of photo " + number + ".png) (sample " + number + ")",
              "not weft's", "42"};
          CHECK(error == expected[kind]);
          CHECK(loader.failed().index == at);
          CHECK(loader.failed().name == "photo " + number + ".png");
          CHECK(seen.size() == 6);
          for (const int64_t i : seen) CHECK(i / 3 != at / 3);
          CHECK(loader.epoch() == 1);
        }
  }

  TEST_CASE("a range ends with the error, and an iterator by hand goes on") {
    data::Loader loader(Broken{4, 0}, {.batch_size = 3, .workers = 2});
    int batches = 0;
    const auto loop = [&] {
      for (const Tensor& batch : loader) batches += batch.defined();
    };
    CHECK_THROWS_AS(loop(), IoError);
    CHECK(batches == 1);
    batches = 0;
    int errors = 0;
    for (auto it = loader.begin();;) try {
        if (it == loader.end()) break;
        ++batches;
        ++it;
      } catch (const IoError&) { ++errors; }
    CHECK(batches == 2);
    CHECK(errors == 1);
    CHECK(loader.epoch() == 2);
  }

  TEST_CASE("an exception in the caller's loop stops the workers") {
    data::Loader loader(Plain(), {.workers = 3});
    const auto loop = [&] {
      for (const auto& batch : loader) throw std::runtime_error(batch.names[0]);
    };
    CHECK_THROWS_AS(loop(), std::runtime_error);
    CHECK(labels(loader).size() == 10);
  }

  TEST_CASE("samples that fail are left out, each told once") {
    for (const int workers : {0, 1, 3})
      for (const int kind : {0, 2, 3}) {
        std::vector<std::string> told;
        data::Loader loader(Broken{4, kind}, {.batch_size = 3,
                                              .workers = workers,
                                              .on_error = data::OnError::skip,
                                              .on_skip = [&](const std::string& error) { told.push_back(error); }});
        for (int e = 0; e < 2; ++e)
          CHECK(epoch(loader) == std::vector<std::vector<double>>{{0, 1, 2}, {3, 5}, {6, 7, 8}});
        REQUIRE(told.size() == 1);
        CHECK(told[0].find("(sample 4, photo 4.png)") != std::string::npos);
        CHECK(loader.failed().index == -1);
      }
    data::Loader alone(Broken{4, 0}, {.on_error = data::OnError::skip, .on_skip = [](const std::string&) {}});
    CHECK(epoch(alone).size() == 8);  // a batch of nothing is none
    data::Loader memory(Broken{4, 4}, {.on_error = data::OnError::skip});
    CHECK_THROWS(epoch(memory));  // no fault of the sample's
  }

  TEST_CASE("a sample that does not fit its batch") {
    const auto odd = [](const data::Example& e) {
      const int64_t i = e.target.item<int64_t>();
      return data::Example{zeros({i == 4 ? 3 : 2}), e.target, e.name};
    };
    data::Loader strict(data::map(Plain(), odd), {.batch_size = 5, .workers = 1});
    CHECK(message_of<ShapeError>([&] {
            for (const auto& batch : strict) (void)batch;
          }) ==
          "collate: sample 4 of the batch, .data, has the shape [3] but the first one [2]; make them alike, or collate "
          "with data::PadSamples() or data::ListSamples() (sample 4, file 4)");
    std::string told;
    data::Loader skipping(data::map(Plain(), odd), {.batch_size = 5,
                                                    .workers = 2,
                                                    .on_error = data::OnError::skip,
                                                    .on_skip = [&](const std::string& error) { told = error; }});
    std::vector<std::string> names;
    for (const auto& batch : skipping) {
      CHECK(batch.data.size(0) == batch.target.size(0));
      names.insert(names.end(), batch.names.begin(), batch.names.end());
    }
    CHECK(names.size() == 9);
    CHECK(told.find("sample 4, file 4") != std::string::npos);
  }

  TEST_CASE("an epoch of which nothing is left, and a collate function that fails") {
    const auto bad = data::map(Plain{4}, [](const data::Example&) -> Tensor { raise<IoError>("read: no file"); });
    data::Loader none(bad, {.workers = 2, .on_error = data::OnError::skip, .on_skip = [](const std::string&) {}});
    CHECK(message_of<Error>([&] { (void)epoch(none); }) == "Loader: all 4 samples of the epoch were skipped");
    data::Loader failing(Plain{4}, {.batch_size = 2, .shuffle = false, .workers = 1},
                         [](const std::vector<data::Example>&) -> Tensor { raise<ValueError>("own: no"); });
    CHECK(message_of<ValueError>([&] { (void)epoch(failing); }) == "own: no (batch of the samples 0, 1)");
  }
}

TEST_SUITE("data threads: ends") {
  using namespace loading;

  struct Slow {
    int64_t size() const { return 1000; }
    int64_t get(int64_t i) const {
      std::this_thread::sleep_for(std::chrono::milliseconds(i == 0 ? 1 : 20));
      return i;
    }
  };

  TEST_CASE("a loop that is left in mid-epoch waits for one sample, not for a batch") {
    for (const int workers : {0, 1, 3}) {
      const auto begin = std::chrono::steady_clock::now();
      {
        data::Loader loader(Slow(), {.workers = workers});
        for (const Tensor& batch : loader) {
          CHECK(batch.item<int64_t>() == 0);
          break;
        }
        data::Loader large(Slow(), {.batch_size = 500, .workers = workers});
        auto it = large.begin();  // nobody asked for a batch yet
        data::Loader calls(Slow(), {.workers = workers});
        (void)calls.next();
      }
      // 500 samples are 10 s; what is waited for is 3 samples, on a busy machine perhaps 1 s
      CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
    }
  }

  struct Cores {
    int64_t size() const { return 8; }
    int64_t get(int64_t) const {
      cpu_set_t mask;
      CPU_ZERO(&mask);
      return sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : -1;
    }
  };

  TEST_CASE("cores of workers" * doctest::skip()) {
    const int64_t cores = std::atoi(std::getenv("WEFT_TEST_CORES"));
    set_num_threads(2);
    (void)sum(ones({1 << 20}));  // with OMP_PROC_BIND this thread is on one core by now
    for (const auto& batch : data::Loader(Cores(), {.batch_size = 2, .workers = 2}))
      for (const int64_t n : batch.to_vector<int64_t>()) CHECK(n == cores);
  }

  TEST_CASE("workers run on all cores that the process began with, and on no other") {
    const int cores = num_threads();
    // clang's OpenMP beside GNU's (OpenBLAS needs it): the first one binds, the second one takes that core for all.
    const bool two = dlopen("libgomp.so.1", RTLD_NOLOAD | RTLD_LAZY) && dlopen("libomp.so.5", RTLD_NOLOAD | RTLD_LAZY);
    const std::vector<const char*> binds = two ? std::vector{""} : std::vector{"", "true"};
    for (const int some : {1, cores})
      for (const char* bind : binds)
        CHECK(support::run_again("cores of workers",
                                 {{"WEFT_TEST_CORES", std::to_string(some)}, {"OMP_PROC_BIND", bind}}, some) == 0);
  }

  TEST_CASE("a thousand epochs of a tiny set leave nothing behind") {
    for (const int workers : {0, 2}) {
      data::Loader loader(Plain{4}, {.batch_size = 2, .shuffle = true, .workers = workers});
      const auto run = [&](int epochs) {
        for (int e = 0; e < epochs; ++e)
          for (const auto& batch : loader) CHECK(batch.data.size(0) == 2);
        return memory_stats();
      };
      const MemoryStats before = run(20), after = run(1000);
      CHECK(after.active == before.active);
      CHECK(after.reserved <= before.reserved + (size_t{4} << 20));  // what the allocator may keep
    }
  }

  TEST_CASE("a loader may be moved while it runs, and its batches outlive it") {
    data::Loader first(Plain{3}, {.workers = 2});
    const auto batch = first.next();
    data::Loader second = std::move(first);
    CHECK(second.next()->target.item<int64_t>() == 1);
    second = data::Loader(Plain{1}, {.workers = 2});
    CHECK(second.next()->target.item<int64_t>() == 0);
    CHECK(batch->names[0] == "file 0");
  }
}

TEST_SUITE("data threads: streams") {
  using namespace loading;

  struct Count {
    int64_t n = 7, at = 0;
    int64_t bad = -1;
    std::optional<Tensor> next() {
      if (at == n) return {};
      const int64_t i = at++;
      if (i == bad || bad == -2) raise<IoError>("read: item ", i);
      return cat({full({1}, i, Dtype::f64), rand({1}, Dtype::f64)});
    }
    void reset() { at = 0; }
  };
  std::vector<double> firsts(const std::vector<std::vector<double>>& batches) {
    std::vector<double> v;
    for (const auto& batch : batches)
      for (size_t i = 0; i < batch.size(); i += 2) v.push_back(batch[i]);
    return v;
  }

  TEST_CASE("read by one thread, in order") {
    const auto epochs = [](int workers) {
      data::Loader loader(Count(), {.batch_size = 3, .workers = workers, .seed = 4});
      return std::vector{epoch(loader), epoch(loader)};
    };
    const auto alone = epochs(0);
    CHECK(firsts(alone[0]) == std::vector<double>{0, 1, 2, 3, 4, 5, 6});
    CHECK(firsts(alone[1]) == firsts(alone[0]));
    CHECK(alone[1] != alone[0]);
    CHECK(epochs(1) == alone);
    CHECK(epochs(4) == alone);
    data::Loader dropping(Count(), {.batch_size = 3, .drop_last = true, .workers = 1});
    CHECK(epoch(dropping).size() == 2);
    data::Loader even(Count{6}, {.batch_size = 3, .workers = 1});
    CHECK(epoch(even).size() == 2);
    data::Loader empty(Count{0}, {.workers = 1});
    CHECK(epoch(empty).empty());
  }

  TEST_CASE("resuming reads what was given before") {
    for (const int workers : {0, 1}) {
      data::Loader loader(Count(), {.batch_size = 2, .workers = workers});
      (void)loader.next();
      (void)loader.next();
      const StateDict state = loader.state_dict();
      std::vector<std::vector<double>> rest;
      while (const auto batch = loader.next()) rest.push_back(batch->to_vector<double>());
      data::Loader other(Count(), {.batch_size = 2, .workers = workers});
      other.load_state_dict(state);
      CHECK(epoch(other) == rest);
      CHECK(epoch(other) == epoch(loader));
    }
  }

  TEST_CASE("errors") {
    for (const int workers : {0, 1}) {
      data::Loader strict(Count{7, 0, 3}, {.batch_size = 2, .workers = workers});
      std::vector<double> seen;
      std::string error;
      for (bool more = true; more;) try {
          const auto batch = strict.next();
          more = batch.has_value();
          if (more) seen.push_back((*batch)[0][0].item<double>());
        } catch (const IoError& e) { error = e.what(); }
      CHECK(error == "read: item 3 (sample 3)");
      CHECK(seen == std::vector<double>{0, 4, 6});
      const auto quiet = [](const std::string&) {};
      data::Loader skipping(Count{7, 0, 3},
                            {.batch_size = 2, .workers = workers, .on_error = data::OnError::skip, .on_skip = quiet});
      CHECK(firsts(epoch(skipping)) == std::vector<double>{0, 1, 2, 4, 5, 6});
      data::Loader dead(Count{1000, 0, -2}, {.workers = workers, .on_error = data::OnError::skip, .on_skip = quiet});
      CHECK(message_of<IoError>([&] { (void)epoch(dead); }) == "read: item 99 (sample 99)");
    }
    CHECK(message_of<ValueError>([] { data::Loader loader(Count(), {.shuffle = true}); }) ==
          "Loader: a stream has an order of its own; leave out shuffle and sampler");
  }
}
