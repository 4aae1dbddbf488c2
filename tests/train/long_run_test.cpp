// A long training holds no more at its end than it did early on: a loader with workers, a shuffled order, checkpoints
// in the background, a log, a metric.
#include <cstdio>
#include <cstdlib>

#include "io/io_test.h"
#include "support/sanitizers.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/backend.h"
#include "weft/data/combine.h"
#include "weft/data/datasets.h"
#include "weft/data/loader.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"
#include "weft/train/checkpoint.h"
#include "weft/train/log.h"
#include "weft/train/metrics.h"

using namespace io_test;

namespace {

int64_t resident() {
  long all = 0, pages = 0;
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  if (f && std::fscanf(f, "%ld %ld", &all, &pages) != 2) pages = 0;
  if (f) std::fclose(f);
  return pages * sysconf(_SC_PAGESIZE);
}

}  // namespace

TEST_SUITE("long run") {
  TEST_CASE("many steps with loader, checkpoints and log, without growth") {
    const char* named = std::getenv("WEFT_TEST_STEPS");
    const int64_t steps = named ? std::atoll(named) : 4000;
    const Folder folder;
    Generator g(1);
    const Tensor points = randn({160, 6}, Dtype::f32, &g), labels = points.slice(1, 0, 3).argmax(1);
    const auto noisy = data::map(data::TensorDataset(points, labels), [](data::Example e, Generator& random) {
      e.data = e.data + randn({6}, Dtype::f32, &random) * 0.1;
      return e;
    });
    data::Loader loader(noisy, {.batch_size = 16, .shuffle = true, .workers = 2, .seed = 3});
    nn::Sequential model{nn::Linear(6, 16), nn::BatchNorm1d(16), nn::ReLU(), nn::Dropout(0.1), nn::Linear(16, 3)};
    optim::AdamW opt(model.parameters(), {.lr = 0.002});
    training::Checkpoint checkpoint(folder / "run", {.keep_last = 2});
    checkpoint.add("model", model).add("opt", opt).add("loader", loader);
    training::Log log{training::CsvLog(folder / "log.csv")};
    training::ConfusionMatrix matrix(3);

    const int64_t early = steps / 4;
    int64_t step = 0, resident_early = 0, used_early = 0, first_errors = 0, last_errors = 0;
    while (step < steps)
      for (const auto& batch : loader) {
        const Tensor scores = model(batch.data), loss = cross_entropy(scores, batch.target);
        opt.zero_grad();
        loss.backward();
        opt.step();
        matrix.update(scores.detach(), batch.target);
        ++step;
        if (step % 100 == 0) checkpoint.save(step);
        if (step % 200 == 0) {
          log.scalar("loss", loss.item<double>(), step);
          (step <= 200 ? first_errors : last_errors) = static_cast<int64_t>(1e3 * (1 - matrix.accuracy()));
          matrix.reset();
        }
        if (step != early && step != steps) continue;
        checkpoint.wait();
        const int64_t used = static_cast<int64_t>(memory_stats().active);
        if (step == early) resident_early = resident(), used_early = used;
        else CHECK(used <= used_early + 65536);  // batches that workers have ready
        if (step == steps) break;
      }
    CHECK(last_errors < first_errors);
    // A byte a step would be 75 kB of 100,000 steps; pages that malloc takes once more are 132 kB a thread. The address
    // sanitizer keeps freed memory.
#if defined(WEFT_WITH_ASAN)
    (void)resident_early;
#else
    CHECK(resident() - resident_early < 600'000);
#endif
  }
}
