// A run that is killed at any moment, while a checkpoint is written too, and goes on, ends with the bits of one that
// was not.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "io/io_test.h"
#include "support/child.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/core/parallel.h"
#include "weft/io/safetensors.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"
#include "weft/train/checkpoint.h"
#include "weft/train/early_stopping.h"
#include "weft/train/grad_scaler.h"
#include "weft/train/metrics.h"

using namespace io_test;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kSteps = 40;

/// A training with all that has a state: dropout, a shuffled order, AdamW, a schedule, an average of the weights.
struct Run {
  nn::Sequential model{nn::Linear(4, 16), nn::BatchNorm1d(16), nn::ReLU(), nn::Dropout(0.3), nn::Linear(16, 3)};
  optim::AdamW opt{model.parameters(), {.lr = 0.02}};
  optim::CosineAnnealingLR schedule{opt, kSteps};
  optim::ExponentialMovingAverage average{model.parameters(), {.decay = 0.9}, model.buffers()};
  training::GradScaler scaler{{.init_scale = 16, .growth_interval = 3}};
  training::EarlyStopping stopping;
  training::Mean mean;
  Generator order{3};
  double last = 0;
  int64_t seen = 0;
  Tensor points, labels;

  Run() {
    Generator g(1);
    points = randn({64, 4}, Dtype::f32, &g);
    labels = randint(0, 3, {64}, Dtype::i64, &g);
  }

  void add_to(training::Checkpoint& c) {
    c.add("model", model).add("opt", opt).add("schedule", schedule).add("average", average).add("scaler", scaler);
    c.add("stopping", stopping).add("mean", mean).add("order", order).add("generator", default_generator());
    c.add("last", last).add("seen", seen);
  }

  void step() {
    const Tensor batch = randperm(64, Dtype::i64, &order).slice(0, 0, 16);
    const Tensor loss = cross_entropy(model(index_select(points, 0, batch)), index_select(labels, 0, batch));
    opt.zero_grad();
    scaler.scale(loss).backward();
    scaler.step(opt);
    scaler.update();
    schedule.step();
    average.update();
    mean.update(loss.detach());
    last = loss.item<double>();
    stopping.update(-last);
    seen += 16;
  }
};

/// From the newest checkpoint of `folder` to the end. `safe`: the newest step that is known to be on the disk.
int go_on(const std::string& folder, volatile int64_t* safe) {
  set_num_threads(1);
  manual_seed(5);
  Run run;
  training::Checkpoint checkpoint(folder, {.keep_last = 2});
  run.add_to(checkpoint);
  int64_t step = checkpoint.resume().value_or(0), saved = step;
  if (step < *safe) return 1;
  const auto save = [&] {
    checkpoint.save(step, {.metric = -run.last});
    if (saved > *safe) *safe = saved;  // `save` has waited for it
    saved = step;
  };
  while (step < kSteps) {
    run.step();
    if (++step % 2 == 0) save();
  }
  save();  // once more: one who was killed behind the last save has left its traces
  checkpoint.wait();
  return 0;
}

/// The file of the last step.
std::string end_of(const std::string& folder) {
  char name[40];
  std::snprintf(name, sizeof name, "step-%08d.safetensors", static_cast<int>(kSteps));
  return read_file(folder + "/" + name);
}

}  // namespace

TEST_SUITE_BEGIN("resume");

TEST_CASE("a run that is killed at any moment goes on to the same bits") {
  Folder folder;
  auto* safe = static_cast<volatile int64_t*>(
      mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  *safe = 0;
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(support::in_child([&] { return go_on(folder / "whole", safe); }) == 0);
  const std::chrono::duration<double> whole_time = std::chrono::steady_clock::now() - begin;
  const std::string whole = end_of(folder / "whole");
  REQUIRE(!whole.empty());

  Generator g(static_cast<uint64_t>(begin.time_since_epoch().count()));
  int killed = 0, before_the_first = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string at = folder / ("killed" + std::to_string(i));
    *safe = 0;
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      _exit(go_on(at, safe));
    }
    std::this_thread::sleep_for(whole_time * g.uniform());
    kill(child, SIGKILL);
    killed += support::ended(child) == -SIGKILL;
    before_the_first += *safe == 0;
    CAPTURE(i);
    CAPTURE(*safe);
    REQUIRE(support::in_child([&] { return go_on(at, safe); }) == 0);
    CHECK(end_of(at) == whole);
    // Two steps and the best: nothing else, hidden or not.
    CHECK(std::distance(fs::directory_iterator(at), fs::directory_iterator()) == 3);
    fs::remove_all(at);
  }
  CHECK(killed >= 5);  // the others came to their end first
  CHECK(before_the_first < 18);
  munmap(const_cast<int64_t*>(safe), sizeof(int64_t));
}

TEST_CASE("a run goes on in one process, from a checkpoint in its middle") {
  Folder folder;
  manual_seed(5);
  Run a;
  training::Checkpoint checkpoint(folder.path.string());
  a.add_to(checkpoint);
  for (int i = 0; i < 7; ++i) a.step();
  checkpoint.save(7);
  for (int i = 0; i < 5; ++i) a.step();
  const double expected = a.last, mean = a.mean.compute();
  manual_seed(99);
  Run b;
  training::Checkpoint other(folder.path.string());
  b.add_to(other);
  checkpoint.wait();
  CHECK(other.resume() == 7);
  CHECK(b.seen == 7 * 16);
  for (int i = 0; i < 5; ++i) b.step();
  CHECK(b.last == expected);
  CHECK(b.mean.compute() == mean);
  CHECK(b.scaler.get_scale() == a.scaler.get_scale());
}

TEST_SUITE_END();
