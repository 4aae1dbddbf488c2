// weft-bench WORKLOAD: the workloads of bench/peer_torch.py, from the same initial values, with the same JSON line.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>

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

/// What a line of the command or of --many says.
struct Run {
  bench::Config config;
  std::string dtype = "f32";
  int iters = 0, warmup = 3;
  double seconds = 4;

  void set_dtype(const std::string& name) {
    if (name != "f32" && name != "tf32" && name != "bf16") throw weft::ValueError("weft-bench: no dtype " + name);
    dtype = name;
    config.dtype = name == "bf16" ? weft::Dtype::bf16 : weft::Dtype::f32;
    weft::set_float32_matmul_precision(name == "tf32" ? "high" : "highest");
  }
};

bench::Step make(const bench::Config& c) {
  if (bench::is_sized(c.workload))
    return [results = bench::sized_workload(c.workload)] {
      weft::Tensor first = results()[0];
      while (first.rank() > 0) first = first.select(0, 0);
      return first;
    };
  for (const auto* list : lists())
    for (const bench::Workload& w : *list)
      if (c.workload == w.name) return w.make(c);
  throw weft::ValueError(c.workload.empty() ? std::string("weft-bench: no workload is given; --list shows them")
                                            : "weft-bench: unknown workload " + c.workload + "; --list shows them");
}

/// The step of a workload and the losses of its first three iterations.
struct Ready {
  bench::Step step;
  std::vector<double> losses;
  double start_rss_mb, warm_s;
  explicit Ready(const Run& r) {
    weft::manual_seed(0);
    (void)(weft::ones({1}, bench::device()) + 1);
    start_rss_mb = status_mb("VmRSS");  // what the program weighs without the workload
    Clock::time_point begin = Clock::now();
    step = make(r.config);
    for (int i = 0; i < std::max(r.warmup, 3); ++i) losses.push_back(step().item<double>());
    losses.resize(3);
    warm_s = ms_since(begin) * 1e-3;
  }
};

/// Times a workload and prints its JSON line.
void measure(const Run& r) {
  weft::reset_peak_memory_stats(bench::device());
  const Ready ready(r);
  weft::Tensor last;
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  std::vector<double> times = run(ready.step, r.iters, r.seconds, last);
  getrusage(RUSAGE_SELF, &after);
  std::sort(times.begin(), times.end());
  double n = static_cast<double>(times.size());
  double sys_ms = static_cast<double>(after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1e3 +
                  static_cast<double>(after.ru_stime.tv_usec - before.ru_stime.tv_usec) * 1e-3;
  std::cout << "{\"workload\": \"" << r.config.workload << "\", \"peer\": \"weft " << weft::version()
            << "\", \"threads\": " << r.config.threads << ", \"device\": \"" << bench::device() << "\", \"dtype\": \""
            << r.dtype << "\", \"batch\": " << r.config.batch << ", \"iters\": " << times.size()
            << ", \"median_ms\": " << times[times.size() / 2] << ", \"min_ms\": " << times[0]
            << ", \"peak_rss_mb\": " << status_mb("VmHWM") << ", \"start_rss_mb\": " << ready.start_rss_mb
            << ", \"peak_active_mb\": "
            << static_cast<double>(weft::memory_stats(bench::device()).peak_active) / (1 << 20)
            << ", \"reserved_mb\": " << static_cast<double>(weft::memory_stats(bench::device()).reserved) / (1 << 20)
            << ", \"losses\": ";
  print_list(ready.losses);
  std::cout << ", \"final\": " << last.item<double>() << ", \"warm_s\": " << ready.warm_s
            << ", \"minflt_per_iter\": " << static_cast<double>(after.ru_minflt - before.ru_minflt) / n
            << ", \"sys_ms_per_iter\": " << sys_ms / n << "}" << std::endl;
}

/// Makes the sized workload of that name `step` and prints a JSON line: the checksums of its first results, and the
/// most that its first iteration took beside its inputs.
void load(const std::string& name, bench::Step& step) {
  step = nullptr;
  weft::empty_cache(bench::device());
  const bench::Results results = bench::sized_workload(name);
  const size_t inputs = weft::memory_stats(bench::device()).active;
  weft::reset_peak_memory_stats(bench::device());
  const std::vector<weft::Tensor> first = results();
  weft::synchronize(bench::device());
  const size_t bytes = weft::memory_stats(bench::device()).peak_active - inputs;
  std::vector<double> sums;
  for (const weft::Tensor& t : first) sums.push_back(bench::checksum(t));
  std::cout << "{\"workload\": \"" << name << "\", \"peer\": \"weft " << weft::version() << "\", \"bytes\": " << bytes
            << ", \"sums\": ";
  print_list(sums);
  std::cout << '}' << std::endl;
  step = [results] {
    results();
    return weft::Tensor();
  };
}

/// For each word of standard input a line: the times of so many iterations, or what load() prints.
void serve(bench::Step step) {
  std::cout << "ready" << std::endl;
  weft::Tensor last;
  for (std::string word; std::cin >> word;) {
    try {
      if (bench::is_sized(word)) {
        last = {};
        load(word, step);
      } else if (!step) {
        throw weft::ValueError("no workload to run is given");
      } else if (word.size() > 9 || word.find_first_not_of("0123456789") != std::string::npos) {
        throw weft::ValueError("neither a number of iterations nor a sized workload");
      } else {
        print_list(run(step, std::stoi(word), 0, last));
        std::cout << std::endl;
      }
    } catch (const std::exception& e) {
      std::cerr << word << ": " << e.what() << std::endl;
      std::cout << "{\"failed\": \"" << word << "\"}" << std::endl;
    }
  }
}

/// A workload for each line of standard input, `NAME DTYPE BATCH`, in this one process. What fails is named and passed
/// over.
void measure_many(Run r) {
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::istringstream words(line);
      std::string dtype;
      if (!(words >> r.config.workload >> dtype >> r.config.batch))
        throw weft::ValueError("weft-bench: a line is NAME DTYPE BATCH, got " + line);
      r.set_dtype(dtype);
      measure(r);
      weft::empty_cache(bench::device());
    } catch (const std::exception& e) {
      std::cerr << line << ": " << e.what() << std::endl;
      std::cout << "{\"failed\": \"" << line << "\"}" << std::endl;
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Times one workload and prints a JSON line.");
  Run r;
  std::string dtype = "f32", device = "cpu";
  bool serving = false, list = false, profile = false, many = false;
  app.add_option("workload", r.config.workload, "which one (see --list)");
  app.add_option("--threads", r.config.threads, "threads")->capture_default_str()->check(CLI::Range(1, 1024));
  app.add_option("--dtype", dtype, "f32, tf32 (f32 whose products may use TF32) or bf16 for autocast")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "tf32", "bf16"}));
  app.add_option("--device", device, "cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--iters", r.iters, "iterations; 0: as many as --seconds allows")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  app.add_option("--warmup", r.warmup, "iterations before, at least 3 (their losses are printed)")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  app.add_option("--seconds", r.seconds, "time to fill")->capture_default_str()->check(CLI::Range(0.0, 86400.0));
  app.add_option("--batch", r.config.batch, "batch size; 0: the workload's own")
      ->capture_default_str()
      ->check(CLI::Range(0, 65536));
  app.add_flag("--captured", r.config.captured, "evaluations, steps of training and gelu_chain run captured");
  app.add_flag(
      "--serve", serving,
      "read from standard input: a number, and run so many iterations and print their times; a sized workload, "
      "and go on with that one");
  app.add_flag("--many", many, "read workloads from standard input, a line each: NAME DTYPE BATCH");
  app.add_flag("--profile", profile,
               "print where the time of --iters iterations (5) and the memory go, by op and module");
  app.add_flag("--list", list, "list the workloads");
  CLI11_PARSE(app, argc, argv);
  if (list) {
    for (const auto* l : lists())
      for (const bench::Workload& w : *l) std::cout << w.name << ": " << w.what << '\n';
    for (const bench::SizedWorkload& w : bench::sized_workloads())
      std::cout << bench::form_of(w) << ": " << w.what << '\n';
    return 0;
  }

  if (!(r.seconds >= 0))
    throw weft::ValueError("weft-bench: --seconds must be a number >= 0");  // Range lets NaN through
  bench::device() = weft::Device(device);
  weft::set_num_threads(r.config.threads);
  std::cout.precision(8);
  if (many) {
    measure_many(r);
    return 0;
  }
  r.set_dtype(dtype);
  if (!serving && !profile) {
    measure(r);
    return 0;
  }
  if (serving && r.config.workload.empty()) {
    serve(nullptr);
    return 0;
  }
  const Ready ready(r);
  if (serving) {
    serve(ready.step);
    return 0;
  }
  weft::training::Profiler profiler;
  for (int i = 0; i < (r.iters ? r.iters : 5); ++i) {
    ready.step();
    weft::synchronize(bench::device());
    profiler.step();
  }
  profiler.stop();
  std::cout << profiler.table() << '\n'
            << profiler.table({.by = "module", .sort = "total"}) << '\n'
            << profiler.memory_summary(bench::device());
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
