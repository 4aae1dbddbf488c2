// A training as users have it is killed at any moment and goes on to the same bits: pictures that worker threads read
// and change by chance, a shuffled order, dropout, autocast, and a checkpoint after every fourth step.
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "io/io_test.h"
#include "support/child.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/data/combine.h"
#include "weft/data/datasets.h"
#include "weft/data/loader.h"
#include "weft/data/transform.h"
#include "weft/io/image.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"
#include "weft/train/checkpoint.h"
#include "weft/train/grad_scaler.h"

#if defined(WEFT_HAS_IMAGE)

using namespace io_test;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kSteps = 200, kPictures = 22, kClasses = 3;

/// What the processes tell each other, in a mapped file: it outlives each of them.
struct Shared {
  int64_t safe = 0;              // the newest step that is known to be on the disk
  int64_t kill_at = 0;           // the step behind which the run kills itself; 0: none
  int64_t different = 0;         // steps whose loss was not that of the whole run
  double loss[kSteps + 1] = {};  // of the first run through each step; 0: there was none
};
volatile Shared* shared_in(const std::string& folder) {
  const int fd = open((folder + "/shared").c_str(), O_RDWR | O_CREAT, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(ftruncate(fd, sizeof(Shared)) == 0);
  void* p = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  REQUIRE(p != MAP_FAILED);
  return static_cast<volatile Shared*>(p);
}

/// Blocks of colours, and masks with their classes.
void draw(const std::string& folder) {
  fs::create_directories(folder + "/images");
  fs::create_directories(folder + "/masks");
  Generator g(1);
  for (int64_t i = 0; i < kPictures; ++i) {
    const Tensor mask = repeat_interleave(repeat_interleave(randint(0, kClasses, {6, 7}, Dtype::i64, &g), 4, 0), 4, 1);
    const Tensor image = (mask.unsqueeze(2) * 60 + randint(0, 90, {24, 28, 3}, Dtype::i64, &g)).to(Dtype::u8);
    const std::string name = std::to_string(i);
    io::write_image(image, folder + "/images/" + name + (i % 2 ? ".png" : ".jpg"));
    io::write_labels(mask, folder + "/masks/" + name + ".png");
  }
}

auto augmented(const std::string& folder) {
  const data::Compose augment(data::RandomResizedCrop{{16, 16}, {0.5, 1}}, data::RandomHorizontalFlip{},
                              data::RandomRotation{10, data::Interpolation::bilinear},
                              data::ColorJitter{0.3, 0.3, 0.3, 0.05}, data::GaussianNoise{0, 0.02}, data::ToFloat{},
                              data::Normalize{{0.4, 0.4, 0.4}, {0.3, 0.3, 0.3}});
  return data::map(data::ImageMaskFolders(folder + "/images", folder + "/masks", {.num_classes = kClasses}), augment);
}

/// From the newest checkpoint of `run` to the last step.
void go_on(const std::string& folder, const std::string& run, volatile Shared& shared) {
  manual_seed(5);
  nn::Sequential model(nn::Conv2d(3, 8, {.kernel_size = 3, .padding = 1}), nn::BatchNorm2d(8), nn::ReLU(),
                       nn::Dropout2d(0.2), nn::Conv2d(8, kClasses, {.kernel_size = 1}));
  optim::AdamW opt(model.parameters(), {.lr = 0.01});
  optim::CosineAnnealingLR schedule(opt, kSteps);
  optim::ExponentialMovingAverage average(model.parameters(), {.decay = 0.9}, model.buffers());
  training::GradScaler scaler({.init_scale = 16, .growth_interval = 30});
  data::Loader loader(augmented(folder), {.batch_size = 4, .shuffle = true, .workers = 3});
  nn::Linear large(300, 300);  // so that writing takes a good part of the time
  double last = 0;
  training::Checkpoint checkpoint(run, {.keep_last = 2});
  checkpoint.add("model", model).add("opt", opt).add("schedule", schedule).add("average", average);
  checkpoint.add("scaler", scaler)
      .add("loader", loader)
      .add("generator", default_generator())
      .add("last", last)
      .add("large", large);
  int64_t step = checkpoint.resume().value_or(0), saved = step;
  REQUIRE(step >= shared.safe);
  const auto save = [&] {
    checkpoint.save(step, {.metric = -last});
    if (saved > shared.safe) shared.safe = saved;  // `save` has waited for it
    saved = step;
  };
  while (step < kSteps)
    for (const auto& batch : loader) {
      Tensor loss;
      {
        const Autocast bf16;
        loss = cross_entropy(model(batch.data), batch.target);
      }
      opt.zero_grad();
      scaler.scale(loss).backward();
      scaler.step(opt);
      scaler.update();
      schedule.step();
      average.update();
      last = loss.item<double>();
      ++step;
      if (shared.loss[step] == 0) shared.loss[step] = last;
      if (shared.loss[step] != last) shared.different = shared.different + 1;
      if (step % 4 == 0) save();
      if (step == shared.kill_at) std::raise(SIGKILL);
      if (step == kSteps) break;
    }
  save();  // once more: one who was killed behind the last save has left its traces
  checkpoint.wait();
}

/// The program that is killed, in a process of its own.
pid_t start(const std::string& folder, const std::string& run) {
  return support::start_again("a training that may be killed",
                              {{"WEFT_TEST_FOLDER", folder}, {"WEFT_TEST_RUN", run}, {"OMP_NUM_THREADS", "1"}});
}

std::string last_file(const std::string& run) { return read_file(run + "/step-00000200.safetensors"); }

/// Files that are being written have names that begin with a dot.
bool has_hidden(const std::string& run) {
  std::error_code none;  // the run may not have made its folder yet
  for (const auto& entry : fs::directory_iterator(run, none))
    if (entry.path().filename().string().starts_with(".")) return true;
  return false;
}

/// That the run in the folder has come to the whole run's end: two steps and the best, nothing else, hidden or not.
void check_end(const std::string& run, const std::string& whole) {
  CHECK(last_file(run) == whole);
  CHECK(std::distance(fs::directory_iterator(run), fs::directory_iterator()) == 3);
}

}  // namespace

TEST_SUITE_BEGIN("resume");

TEST_CASE("a training that may be killed" * doctest::skip()) {
  const char *folder = std::getenv("WEFT_TEST_FOLDER"), *run = std::getenv("WEFT_TEST_RUN");
  REQUIRE(folder);
  REQUIRE(run);
  go_on(folder, run, *shared_in(folder));
}

/// WEFT_TEST_KILLS in the environment: how often the training is killed.
TEST_CASE("a training with loader, workers, augmentation and autocast is killed and loses nothing") {
  const Folder folder;
  const std::string home = folder.path.string(), first = folder / "first";
  draw(home);
  volatile Shared& shared = *shared_in(home);
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(support::ended(start(home, first)) == 0);
  const std::chrono::duration<double> whole_time = std::chrono::steady_clock::now() - begin;
  const std::string whole = last_file(first);
  REQUIRE(!whole.empty());
  for (int64_t i = 1; i <= kSteps; ++i) REQUIRE(shared.loss[i] > 0);
  CHECK(shared.loss[kSteps] < 0.7 * shared.loss[1]);  // it learns
  check_end(first, whole);

  // Each run: half of the steps, kill -9, then killed again at moments that nobody chose.
  const char* wanted = std::getenv("WEFT_TEST_KILLS");
  const int kills = wanted ? std::atoi(wanted) : 3;
  Generator g(static_cast<uint64_t>(begin.time_since_epoch().count()));
  int killed = 0, while_saving = 0;
  for (int done = 0; done < kills;) {
    const std::string run = folder / ("killed" + std::to_string(done));
    shared.safe = 0;
    shared.kill_at = kSteps / 2;
    REQUIRE(support::ended(start(home, run)) == -SIGKILL);
    shared.kill_at = 0;
    for (int i = 0; i < 3 && done < kills; ++i, ++done) {
      const pid_t child = start(home, run);
      std::this_thread::sleep_for(whole_time * (0.3 * g.uniform()));
      kill(child, SIGKILL);
      killed += support::ended(child) == -SIGKILL;
      while_saving += has_hidden(run);
    }
    CAPTURE(done);
    CAPTURE(shared.safe);
    REQUIRE(support::ended(start(home, run)) == 0);
    check_end(run, whole);
    fs::remove_all(run);
  }
  MESSAGE(killed, " kills, ", while_saving, " of them while a file was written");
  CHECK(killed >= kills / 3);  // the others came to their end first
  CHECK(shared.different == 0);
  munmap(const_cast<Shared*>(&shared), sizeof(Shared));
}

TEST_SUITE_END();

#endif
