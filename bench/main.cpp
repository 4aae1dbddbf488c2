// weft-bench WORKLOAD: the workloads of bench/peer_torch.py, from the same initial values, with the same JSON line.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>

#include "workload.h"

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point t) { return std::chrono::duration<double, std::milli>(Clock::now() - t).count(); }

/// `iters` iterations, or about `seconds` of them.
std::vector<double> run(const bench::Step& step, int iters, double seconds, weft::Tensor& last) {
  std::vector<double> times;
  Clock::time_point begin = Clock::now();
  while (true) {
    Clock::time_point t = Clock::now();
    last = step();
    weft::synchronize(bench::device());
    times.push_back(ms_since(t));
    bool done = iters ? static_cast<int>(times.size()) >= iters
                      : (ms_since(begin) > seconds * 1e3 && times.size() >= 5) || times.size() >= 2000;
    if (done) return times;
  }
}

/// A field of the kernel's account of this process, in MB.
double status_mb(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word)
    if (word == field + ":") {
      double kb = 0;
      status >> kb;
      return kb / 1024;
    }
  return 0;
}

void print_list(const std::vector<double>& v) {
  std::cout << '[';
  for (size_t i = 0; i < v.size(); ++i) std::cout << (i ? ", " : "") << v[i];
  std::cout << ']';
}

std::vector<const std::vector<bench::Workload>*> lists() {
  return {&bench::micro_workloads(), &bench::network_workloads(), &bench::vision_workloads()};
}

bench::Step make(const bench::Config& c) {
  for (const auto* list : lists())
    for (const bench::Workload& w : *list)
      if (c.workload == w.name) return w.make(c);
  throw weft::ValueError(c.workload.empty() ? std::string("weft-bench: no workload is given; --list shows them")
                                            : "weft-bench: unknown workload " + c.workload + "; --list shows them");
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Times one workload and prints a JSON line.");
  bench::Config config;
  std::string dtype = "f32", device = "cpu";
  int iters = 0, warmup = 3;
  double seconds = 4;
  bool serve = false, list = false, profile = false;
  app.add_option("workload", config.workload, "which one (see --list)");
  app.add_option("--threads", config.threads, "threads")->capture_default_str()->check(CLI::Range(1, 1024));
  app.add_option("--dtype", dtype, "f32, tf32 (f32 whose products may use TF32) or bf16 for autocast")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "tf32", "bf16"}));
  app.add_option("--device", device, "cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--iters", iters, "iterations; 0: as many as --seconds allows")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  app.add_option("--warmup", warmup, "iterations before, at least 3 (their losses are printed)")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  app.add_option("--seconds", seconds, "time to fill")->capture_default_str()->check(CLI::Range(0.0, 86400.0));
  app.add_option("--batch", config.batch, "batch size; 0: the workload's own")
      ->capture_default_str()
      ->check(CLI::Range(0, 65536));
  app.add_flag("--captured", config.captured, "evaluations, addmul and gelu_chain run captured");
  app.add_flag("--serve", serve, "read numbers from standard input, run so many iterations, print their times");
  app.add_flag("--profile", profile,
               "print where the time of --iters iterations (5) and the memory go, by op and module");
  app.add_flag("--list", list, "list the workloads");
  CLI11_PARSE(app, argc, argv);
  if (list) {
    for (const auto* l : lists())
      for (const bench::Workload& w : *l) std::cout << w.name << ": " << w.what << '\n';
    return 0;
  }

  if (!(seconds >= 0)) throw weft::ValueError("weft-bench: --seconds must be a number >= 0");  // Range lets NaN through
  config.dtype = dtype == "bf16" ? weft::Dtype::bf16 : weft::Dtype::f32;
  if (dtype == "tf32") weft::set_float32_matmul_precision("high");
  bench::device() = weft::Device(device);
  weft::set_num_threads(config.threads);
  weft::manual_seed(0);
  (void)(weft::ones({1}, bench::device()) + 1);
  const double start_rss_mb = status_mb("VmRSS");  // what the program weighs without the workload
  Clock::time_point begin = Clock::now();
  bench::Step step = make(config);
  std::vector<double> losses;
  for (int i = 0; i < std::max(warmup, 3); ++i) losses.push_back(step().item<double>());
  losses.resize(3);
  double warm_s = ms_since(begin) * 1e-3;

  weft::Tensor last;
  std::cout.precision(8);
  if (serve) {
    std::cout << "ready" << std::endl;
    for (int n; std::cin >> n;) {
      print_list(run(step, n, 0, last));
      std::cout << std::endl;
    }
    return 0;
  }
  if (profile) {
    weft::training::Profiler profiler;
    for (int i = 0; i < (iters ? iters : 5); ++i) {
      step();
      weft::synchronize(bench::device());
      profiler.step();
    }
    profiler.stop();
    std::cout << profiler.table() << '\n'
              << profiler.table({.by = "module", .sort = "total"}) << '\n'
              << profiler.memory_summary(bench::device());
    return 0;
  }
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  std::vector<double> times = run(step, iters, seconds, last);
  getrusage(RUSAGE_SELF, &after);
  std::sort(times.begin(), times.end());
  double n = static_cast<double>(times.size());
  double sys_ms = static_cast<double>(after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1e3 +
                  static_cast<double>(after.ru_stime.tv_usec - before.ru_stime.tv_usec) * 1e-3;
  std::cout << "{\"workload\": \"" << config.workload << "\", \"peer\": \"weft " << weft::version()
            << "\", \"threads\": " << config.threads << ", \"device\": \"" << device << "\", \"dtype\": \"" << dtype
            << "\", \"iters\": " << times.size() << ", \"median_ms\": " << times[times.size() / 2]
            << ", \"min_ms\": " << times[0] << ", \"peak_rss_mb\": " << status_mb("VmHWM")
            << ", \"start_rss_mb\": " << start_rss_mb << ", \"peak_active_mb\": "
            << static_cast<double>(weft::memory_stats(bench::device()).peak_active) / (1 << 20)
            << ", \"reserved_mb\": " << static_cast<double>(weft::memory_stats(bench::device()).reserved) / (1 << 20)
            << ", \"losses\": ";
  print_list(losses);
  std::cout << ", \"final\": " << last.item<double>() << ", \"warm_s\": " << warm_s
            << ", \"minflt_per_iter\": " << static_cast<double>(after.ru_minflt - before.ru_minflt) / n
            << ", \"sys_ms_per_iter\": " << sys_ms / n << "}\n";
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
