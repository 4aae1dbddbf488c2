// Ranks beside PyTorch's over gloo (peer_gloo.py): weft-run -n 2 weft-bench-ranks all_reduce | resnet18 [alone]
// One line of JSON from rank 0. `alone`: each rank trains for itself, without a word to the others.
#include <algorithm>
#include <chrono>
#include <iostream>

#include "../resnet18.h"
#include "../workload.h"

using namespace weft;

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

void all_reduce(const ProcessGroup& g) {
  std::string times;
  for (int64_t n = 256; n <= (int64_t{64} << 20); n *= 4) {
    Tensor x = ones({n});
    const int repeats = n <= 65536 ? 200 : n <= (4 << 20) ? 20 : 5;
    double best = 1e9;
    for (int trial = 0; trial < 5; ++trial) {
      g.barrier();
      const auto begin = Clock::now();
      for (int i = 0; i < repeats; ++i) g.all_reduce_(x, ReduceOp::mean);
      best = std::min(best, since(begin) / repeats);
    }
    times += str(times.empty() ? "" : ", ", '"', n * 4, "\": ", best);
  }
  if (g.rank() == 0) std::cout << "{\"ranks\": " << g.size() << ", \"us\": {" << times << "}}" << std::endl;
}

void resnet18(const ProcessGroup& g, bool alone) {
  constexpr int64_t kBatch = 8;
  bench::ResNet18 m = bench::init(bench::ResNet18());
  std::optional<training::DistributedDataParallel> parallel;
  if (!alone) parallel.emplace(m, training::DistributedOptions{.group = g});
  Tensor x = bench::fill({kBatch, 3, 224, 224}, static_cast<uint32_t>(1 + g.rank())), y = bench::labels({kBatch}, 1000);
  optim::SGD opt(m.parameters(), {.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4});
  std::vector<double> ms, losses;
  for (int i = 0; i < 25; ++i) {
    g.barrier();
    const auto begin = Clock::now();
    Tensor loss = cross_entropy(m(x), y);
    opt.zero_grad();
    loss.backward();
    opt.step();
    if (i >= 5) ms.push_back(since(begin) / 1000);
    if (i < 3) losses.push_back(g.all_reduce(loss.detach(), ReduceOp::mean).item<double>());
  }
  std::sort(ms.begin(), ms.end());
  if (g.rank() == 0)
    std::cout << "{\"ranks\": " << g.size() << ", \"alone\": " << (alone ? "true" : "false")
              << ", \"median_ms\": " << ms[ms.size() / 2] << ", \"min_ms\": " << ms[0] << ", \"losses\": [" << losses[0]
              << ", " << losses[1] << ", " << losses[2] << "]}" << std::endl;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  const ProcessGroup g = init_process_group();
  if (what == "all_reduce") all_reduce(g);
  else if (what == "resnet18") resnet18(g, argc > 2 && std::string(argv[2]) == "alone");
  else throw ValueError("usage: weft-bench-ranks all_reduce | resnet18 [alone]");
} catch (const std::exception& e) {
  std::cerr << "weft-bench-ranks: " << e.what() << '\n';
  return 1;
}
