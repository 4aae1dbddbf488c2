// Ranks beside PyTorch's over gloo (peer_gloo.py). One line of JSON from rank 0.
//   weft-run -n 2 weft-bench-ranks all_reduce [link=MICROSECONDS,GB_PER_SECOND]
//   weft-run -n 2 weft-bench-ranks resnet18 [alone] [link=...] [bucket=MIB] [trace=FILE]
//     alone: each rank trains for itself, without a word to the others
//     link:  messages take at least as long. local_ms is a step of no_sync, exchange_ms what the gradients take by
//            themselves
//     trace: of one step of rank 0, for ui.perfetto.dev
#include <algorithm>
#include <chrono>
#include <cstdio>
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

/// Milliseconds that the buckets of gradients take, one after the other.
double exchange(const ProcessGroup& g, const nn::Module& m, const training::DistributedDataParallel& parallel) {
  std::vector<Tensor> buckets;
  for (const std::vector<std::string>& names : parallel.buckets()) {
    int64_t n = 0;
    for (auto& [name, p] : m.named_parameters())
      if (std::find(names.begin(), names.end(), name) != names.end()) n += p.numel() + 1;
    buckets.push_back(zeros({n}));
  }
  double best = 1e9;
  for (int trial = 0; trial < 5; ++trial) {
    g.barrier();
    const auto begin = Clock::now();
    for (Tensor& b : buckets) g.all_reduce_(b, "mean");
    best = std::min(best, since(begin) / 1000);
  }
  return best;
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

void resnet18(const ProcessGroup& g, bool alone, double bucket_mb, const std::string& trace) {
  constexpr int64_t kBatch = 8;
  bench::ResNet18 m = bench::init(bench::ResNet18());
  std::optional<training::DistributedDataParallel> parallel;
  if (!alone) parallel.emplace(m, training::DistributedOptions{.group = g, .bucket_mb = bucket_mb});
  Tensor x = bench::fill({kBatch, 3, 224, 224}, static_cast<uint32_t>(1 + g.rank())), y = bench::labels({kBatch}, 1000);
  optim::SGD opt(m.parameters(), {.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4});
  std::vector<double> ms, local_ms, losses;
  const auto step = [&] {
    const auto begin = Clock::now();
    Tensor loss = cross_entropy(m(x), y);
    opt.zero_grad();
    loss.backward();
    opt.step();
    return std::pair(since(begin) / 1000, loss.detach());
  };
  for (int i = 0; i < 25; ++i) {
    g.barrier();
    const auto [time, loss] = step();
    if (i >= 5) ms.push_back(time);
    if (i < 3) losses.push_back(g.all_reduce(loss, ReduceOp::mean).item<double>());
    if (i < 5 || !parallel) continue;
    const auto local = parallel->no_sync();  // in turns
    g.barrier();
    local_ms.push_back(step().first);
  }
  if (!trace.empty()) {
    g.barrier();
    training::Profiler profiler;
    (void)step();
    profiler.stop();
    if (g.rank() == 0) profiler.write_chrome_trace(trace);
  }
  std::string hidden;
  if (!local_ms.empty()) {
    hidden = str(", \"local_ms\": ", median(local_ms), ", \"exchange_ms\": ", exchange(g, m, *parallel));
  }
  if (g.rank() == 0)
    std::cout << "{\"ranks\": " << g.size() << ", \"alone\": " << (alone ? "true" : "false")
              << ", \"median_ms\": " << median(ms) << ", \"min_ms\": " << *std::min_element(ms.begin(), ms.end())
              << hidden << ", \"losses\": [" << losses[0] << ", " << losses[1] << ", " << losses[2] << "]}"
              << std::endl;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  bool alone = false;
  double bucket_mb = training::DistributedOptions().bucket_mb;
  std::string trace;
  InitOptions o;
  for (int i = 2; i < argc; ++i) {
    const std::string a = argv[i];
    double us = 0, gb = 0;
    if (a == "alone") alone = true;
    else if (a.rfind("bucket=", 0) == 0) bucket_mb = std::stod(a.substr(7));
    else if (a.rfind("trace=", 0) == 0) trace = a.substr(6);
    else if (std::sscanf(a.c_str(), "link=%lf,%lf", &us, &gb) == 2) o.simulated_link = {us * 1e-6, gb * 1e9};
    else throw ValueError("weft-bench-ranks: no option " + a);
  }
  const ProcessGroup g = init_process_group(o);
  if (what == "all_reduce") all_reduce(g);
  else if (what == "resnet18") resnet18(g, alone, bucket_mb, trace);
  else
    throw ValueError(
        "usage: weft-bench-ranks all_reduce | resnet18 [alone] [link=MICROSECONDS,GB_PER_SECOND] [bucket=MIB] "
        "[trace=FILE]");
} catch (const std::exception& e) {
  std::cerr << "weft-bench-ranks: " << e.what() << '\n';
  return 1;
}
