// The NCCL plugin over a library in NCCL's place, and a device in CUDA's: the CPU's kernels, streams of which only the
// groups' own run beside the caller.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <thread>

#include "stand_in.h"
#include "support/lent_device.h"
#include "weft/core/stream.h"
#include "weft/distributed/nccl/abi.h"
#include "weft/weft.h"

using namespace weft;

namespace {

/// Marks and waits, in the order in which they were asked for. The default stream is the caller's thread.
class Cards final : public support::CountingBackend {
 public:
  int device_count() const override { return 4; }
  void* new_stream(int) override { return new int; }
  void free_stream(int, void* s) noexcept override { delete static_cast<int*>(s); }
  void* new_event(int) override { return new Mark; }
  void free_event(int, void* e) noexcept override { delete static_cast<Mark*>(e); }
  void record_event(int device, void* event, void* stream) override {
    *static_cast<Mark*>(event) = {stream, stand_in::queued(stream)};
    note(device, stream ? "mark in the group's stream" : "mark in the caller's stream");
  }
  void wait_event(int device, void* stream, void* event) override {
    note(device, stream ? "the group's stream waits" : "the caller's stream waits");
    if (!stream)
      while (!event_done(device, event)) std::this_thread::yield();
  }
  bool event_done(int, void* event) override {
    const Mark m = *static_cast<Mark*>(event);
    return !m.stream || stand_in::ended(m.stream) >= m.queued;
  }
  std::vector<std::string> notes(int device) {
    const std::lock_guard lock(mutex_);
    return std::exchange(notes_[static_cast<size_t>(device)], {});
  }

 private:
  struct Mark {
    void* stream = nullptr;
    uint64_t queued = 0;
  };
  void note(int device, const char* what) {
    const std::lock_guard lock(mutex_);
    notes_[static_cast<size_t>(device)].emplace_back(what);
  }
  std::mutex mutex_;
  std::array<std::vector<std::string>, 4> notes_;
};

Cards& cards() {
  static Cards* b = [] {
    auto* made = new Cards;
    register_backend(DeviceType::cuda, made);
    for (KernelSlot* slot : KernelSlot::all()) slot->share(DeviceType::cpu, DeviceType::cuda);
    return made;
  }();
  return *b;
}

comm::nccl::Connect connect() {
  void* plugin = dlopen(WEFT_NCCL_FILE, RTLD_NOW | RTLD_LOCAL);
  if (!plugin) throw Error(dlerror());
  return reinterpret_cast<comm::nccl::Connect>(dlsym(plugin, comm::nccl::kConnectName));
}

/// Every rank's body on a thread of its own, with a group that met in a file.
void run_ranks(int ranks, const std::function<void(const ProcessGroup&, Device)>& body, double seconds = 60) {
  cards();
  static int jobs = 0;
  const std::string file = (std::filesystem::temp_directory_path() / str("weft-nccl-", getpid(), "-", jobs++)).string();
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> errors(static_cast<size_t>(ranks));
  for (int r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] {
      try {
        set_num_threads(1);
        const Device card(DeviceType::cuda, r);
        fail_device(card, "");
        std::shared_ptr<comm::Communicator> made;
        REQUIRE(connect()(comm::nccl::kAbi, comm::meet_in_file(file, r, ranks, r, ranks), card, seconds, made));
        const ProcessGroup group(std::exchange(made, nullptr));
        body(group, card);
        group.barrier();
      } catch (...) { errors[static_cast<size_t>(r)] = std::current_exception(); }
    });
  for (std::thread& t : threads) t.join();
  CHECK_FALSE(std::filesystem::exists(file));
  for (const std::exception_ptr& e : errors)
    if (e) std::rethrow_exception(e);
}

Tensor of_rank(const ProcessGroup& g, Device card, int64_t n, Dtype d = Dtype::f32) {
  return (arange(n) + g.rank() + 1).to(d).to(card);
}

using Values = std::vector<double>;

}  // namespace

TEST_SUITE("distributed nccl") {
  TEST_CASE("every collective between cards") {
    run_ranks(3, [](const ProcessGroup& g, Device card) {
      const int me = g.rank();
      for (const Dtype d :
           {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16, Dtype::i64, Dtype::i32, Dtype::u8, Dtype::i8}) {
        CAPTURE(d);
        const Tensor x = of_rank(g, card, 4, d);  // r+1, r+2, ...
        CHECK(g.all_reduce(x).to_vector<double>() == Values{6, 9, 12, 15});
        CHECK(g.all_reduce(x, "min").to_vector<double>() == Values{1, 2, 3, 4});
        CHECK(g.all_reduce(x, "max").to_vector<double>() == Values{3, 4, 5, 6});
        CHECK(g.all_reduce(x, "product").to_vector<double>() == Values{6, 24, 60, 120});
        CHECK(g.all_gather(x).to_vector<double>() == Values{1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6});
        CHECK(g.reduce_scatter(of_rank(g, card, 6, d).reshape({3, 2})).to_vector<double>() ==
              Values{6.0 + 6 * me, 9.0 + 6 * me});
        CHECK(g.broadcast(x, 1).to_vector<double>() == Values{2, 3, 4, 5});
        CHECK(g.all_to_all(of_rank(g, card, 3, d)).to_vector<double>() == Values{1.0 + me, 2.0 + me, 3.0 + me});
        CHECK(g.all_gather_cat(of_rank(g, card, me, d)).to_vector<double>() == Values{2, 3, 4});
      }
      CHECK(g.all_reduce(of_rank(g, card, 2), "mean").to_vector<double>() == Values{2, 3});
      CHECK(g.all_reduce(tensor({me == 1, false}).to(card)).to_vector<double>() == Values{1, 0});            // or
      CHECK(g.all_reduce(tensor({me == 1, true}).to(card), "product").to_vector<double>() == Values{0, 1});  // and
      CHECK_THROWS_WITH_AS((void)g.all_reduce(of_rank(g, card, 2, Dtype::i16)),
                           "all_reduce: NCCL adds no i16; convert to i32 first", DtypeError);
      Tensor got = zeros({2}, {Dtype::i16, card});
      if (me == 0) g.send(of_rank(g, card, 2, Dtype::i16), 2, 7);
      if (me == 2) {
        g.recv_(got, 0, 7);
        CHECK(got.to_vector<double>() == Values{1, 2});
      }
    });
  }
  TEST_CASE("host memory goes through the card") {
    run_ranks(2, [](const ProcessGroup& g, Device) {
      CHECK(g.all_reduce(tensor({1.0, 2.0}) * (g.rank() + 1)).to_vector<double>() == Values{3, 6});
      CHECK(g.all_gather(std::string(static_cast<size_t>(g.rank()) * 300, 'x')) ==
            std::vector<std::string>{"", std::string(300, 'x')});
      CHECK(g.broadcast(g.rank() == 1 ? "from the last" : "", 1) == "from the last");
      Tensor x = full({3}, g.rank() + 1.0);
      g.start_all_reduce_(x)->wait();
      CHECK(x.to_vector<double>() == Values{3, 3, 3});
    });
  }
  TEST_CASE("a call lies between the caller's work and what the caller does next") {
    run_ranks(2, [](const ProcessGroup& g, Device card) {
      Tensor x = ones({5}, {Dtype::f32, card});
      g.all_reduce_(x);
      const Tensor y = ones({70000}, {Dtype::f32, card});
      Tensor z = y.clone();
      (void)cards().notes(card.index), (void)stand_in::calls(g.rank());
      g.all_reduce_(z);
      const std::vector<std::string> order{"mark in the caller's stream", "the group's stream waits",
                                           "mark in the group's stream", "the caller's stream waits"};
      CHECK(cards().notes(card.index) == order);
      CHECK(stand_in::calls(g.rank()) == std::vector<std::string>{"AllReduce 70000 type 7 op 0 peer 0"});
      // what was started: the caller's stream waits when it is asked to
      const auto work = g.start_all_reduce_(z);
      CHECK(cards().notes(card.index).size() == 3);
      work->wait();
      CHECK(cards().notes(card.index).size() == 1);
      CHECK(work->done());
      CHECK(z.to_vector<float>() == std::vector<float>(70000, 4));
      CHECK_THROWS_WITH_AS((void)g.all_reduce(ones({2}, {Dtype::f32, Device(DeviceType::cuda, 3)})),
                           doctest::Contains("reaches cuda:"), DeviceError);
    });
  }
  TEST_CASE("groups of a group, data-parallel training and sync batch norm") {
    run_ranks(4, [](const ProcessGroup& g, Device card) {
      const ProcessGroup half = g.split(g.rank() % 2, -g.rank());
      CHECK(half.size() == 2);
      CHECK(half.rank() == (g.rank() < 2 ? 1 : 0));
      CHECK(half.all_gather(tensor({int64_t{g.rank()}}).to(card)).to_vector<double>() ==
            (g.rank() % 2 ? Values{3, 1} : Values{2, 0}));
      CHECK(g.split(g.rank() == 3 ? -1 : 0).size() == (g.rank() == 3 ? 1 : 3));
      manual_seed(3);
      nn::Sequential model(nn::Conv2d(3, 4, 3), nn::BatchNorm2d(4), nn::ReLU(), nn::AdaptiveAvgPool2d(1), nn::Flatten(),
                           nn::Linear(4, 2));
      model.to(card);
      training::convert_sync_batchnorm(model, g);
      training::DistributedDataParallel parallel(model, {.group = g});
      optim::SGD opt(model.parameters(), {.lr = 0.1});
      manual_seed(10 + static_cast<uint64_t>(g.rank()));
      const Tensor x = randn({2, 3, 8, 8}), all = g.all_gather_cat(x);
      for (int i = 0; i < 3; ++i) {
        opt.zero_grad();
        square(model(x.to(card))).mean().backward();
        opt.step();
      }
      // the same by one process
      manual_seed(3);
      nn::Sequential whole(nn::Conv2d(3, 4, 3), nn::BatchNorm2d(4), nn::ReLU(), nn::AdaptiveAvgPool2d(1), nn::Flatten(),
                           nn::Linear(4, 2));
      optim::SGD plain(whole.parameters(), {.lr = 0.1});
      for (int i = 0; i < 3; ++i) {
        plain.zero_grad();
        square(whole(all)).mean().backward();
        plain.step();
      }
      // sums of 288 f32 products in another order, three steps
      for (size_t i = 0; i < whole.parameters().size(); ++i)
        CHECK(allclose(model.parameters()[i].to(Device()), whole.parameters()[i], 1e-4, 1e-5));
    });
  }
  TEST_CASE("who does not come is named, and the group is of no more use") {
    std::array<std::string, 3> heard;
    CHECK_THROWS_AS(run_ranks(3,
                              [&](const ProcessGroup& g, Device card) {
                                Tensor x = ones({5}, {Dtype::f32, card});
                                g.all_reduce_(x);
                                g.set_timeout(0.3);
                                if (g.rank() == 2) {
                                  std::this_thread::sleep_for(std::chrono::milliseconds(700));
                                  throw CommError("gone");
                                }
                                try {
                                  g.all_reduce_(x);
                                  g.all_reduce_(x);
                                } catch (const CommError& e) {
                                  heard[static_cast<size_t>(g.rank())] = e.what();
                                  throw;
                                }
                              }),
                    CommError);
    for (const int r : {0, 1})
      CHECK(heard[static_cast<size_t>(r)].find(
                "rank 2 of 3 did not reach all_reduce of 5 f32 (call 2 of the group) in 0.3 s, or 0.3 s more") !=
            std::string::npos);
  }
  TEST_CASE("ranks that call different collectives hear of it") {
    std::array<std::string, 2> heard;
    CHECK_THROWS_AS(run_ranks(2,
                              [&](const ProcessGroup& g, Device card) {
                                Tensor x = ones({5}, {Dtype::f32, card});
                                g.set_timeout(0.5);
                                try {
                                  if (g.rank() == 0) g.all_reduce_(x);
                                  else (void)g.all_gather(x);
                                  g.barrier();
                                } catch (const CommError& e) {
                                  heard[static_cast<size_t>(g.rank())] = e.what();
                                  throw;
                                }
                              }),
                    CommError);
    CHECK(heard[0].find("rank 0 waits in all_reduce of 5 f32 (call 1 of the group) but rank 1 in all_gather of 5 f32 "
                        "(call 1 of the group); every rank must call the same collectives in the same order") !=
          std::string::npos);
  }
  TEST_CASE("what NCCL says of another rank's end is passed on") {
    std::string heard;
    CHECK_THROWS_AS(run_ranks(2,
                              [&](const ProcessGroup& g, Device card) {
                                Tensor x = ones({5}, {Dtype::f32, card});
                                g.all_reduce_(x);
                                if (g.rank() == 1) {
                                  std::this_thread::sleep_for(std::chrono::milliseconds(300));
                                  throw CommError("gone");
                                }
                                const auto work = g.start_all_reduce_(x);
                                stand_in::fail(true);
                                while (!work->done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                stand_in::fail(false);
                                try {
                                  work->wait();
                                } catch (const CommError& e) {
                                  heard = e.what();
                                  throw;
                                }
                              }),
                    CommError);
    CHECK(heard.find("all_reduce of 5 f32 (call 2 of the group) on rank 0: remote process exited") !=
          std::string::npos);
  }
  TEST_CASE("after a call that failed nothing that the card computed is read") {
    std::string read, kept;
    CHECK_THROWS_AS(run_ranks(2,
                              [&](const ProcessGroup& g, Device card) {
                                nn::Linear l(2, 1);
                                l.to(card);
                                training::DistributedDataParallel parallel(l, {.group = g});
                                const Tensor before = l.weight.to(Device()).clone();
                                optim::SGD opt(l.parameters(), {.lr = 1});
                                g.set_timeout(0.3);
                                if (g.rank() == 1) {
                                  std::this_thread::sleep_for(std::chrono::milliseconds(900));
                                  throw CommError("gone");
                                }
                                Tensor x = ones({5}, {Dtype::f32, card});
                                g.all_reduce_(x);
                                try {
                                  (void)x.to_vector<float>();
                                } catch (const CommError& e) { read = e.what(); }
                                throw CommError("over");
                              }),
                    CommError);
    CHECK(read.find("cuda:0: its last results are undefined") == 0);
    CHECK(read.find("rank 1 of 2 did not reach all_reduce of 5 f32") != std::string::npos);
  }
  TEST_CASE("a call that ends after its deadline, while ranks are asked, has ended") {
    run_ranks(2, [&](const ProcessGroup& g, Device card) {
      Tensor x = ones({5}, {Dtype::f32, card});
      g.all_reduce_(x);
      g.set_timeout(0.5);
      if (g.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(650));
      g.all_reduce_(x);
      std::this_thread::sleep_for(std::chrono::milliseconds(700));
      g.set_timeout(60);
      CHECK(x.to_vector<float>() == std::vector<float>(5, 4));
    });
  }
  TEST_CASE("a group that ends lets its calls end first") {
    run_ranks(2, [&](const ProcessGroup& g, Device card) {
      Tensor x = ones({5}, {Dtype::f32, card});
      const int before = stand_in::aborted();
      {
        const ProcessGroup other = g.split(0);
        if (g.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(200));
        const auto work = other.start_all_reduce_(x);
      }
      CHECK(stand_in::aborted() == before);
      CHECK(x.to_vector<float>() == std::vector<float>(5, 2));
    });
  }
  TEST_CASE("init_process_group: ranks and a file in the environment") {
    cards();
    for (const char* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"}) unsetenv(name);
    const auto file = (std::filesystem::temp_directory_path() / str("weft-nccl-init-", getpid())).string();
    const auto refused = [&](const char* rank, const char* size, const char* local) -> std::string {
      setenv("RANK", rank, 1), setenv("WORLD_SIZE", size, 1), setenv("LOCAL_RANK", local, 1);
      try {
        (void)init_process_group({.backend = "nccl", .timeout = 0.2, .file = file});
      } catch (const Error& e) { return e.what(); }
      return "";
    };
    const auto contains = [](const std::string& text, const char* part) {
      return text.find(part) != std::string::npos;
    };
    CHECK(contains(refused("", "", ""), "RANK and WORLD_SIZE in the environment and a `file` that all see"));
    CHECK(contains(refused("1", "1", "0"), "RANK=1 is not below WORLD_SIZE=1"));
    CHECK(contains(refused("one", "1", "0"), "RANK must be a number of at least 0, got one"));
    CHECK(contains(refused("0", "9", "7"), "rank 0 is number 7 of 9 on its machine, which has 4 CUDA devices"));
    CHECK(contains(refused("0", "2", "2"), "LOCAL_RANK=2 is not below LOCAL_WORLD_SIZE=2"));
    std::ofstream(file) << "of somebody";
    CHECK(contains(refused("0", "2", "0"), "File exists, of another job"));
    CHECK(std::filesystem::file_size(file) == 11);  // and it is left alone
    std::filesystem::remove(file);
    CHECK(contains(refused("1", "2", "1"), "rank 1 of 2 saw no file"));
    CHECK(contains(refused("0", "2", "0"), "ncclCommInitRankConfig: not all of 2 ranks came within 0.2 s"));
    CHECK_FALSE(std::filesystem::exists(file));
    std::filesystem::remove(file);
  }
}
