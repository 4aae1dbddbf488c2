// What a profiler counts, where it puts it, and that it leaves nothing behind.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "io/io_test.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/train/profile_record.h"
#include "weft/weft.h"

using namespace io_test;
using support::message_of;
using support::says;
using training::Profiler;
using training::ProfileRange;
using training::ProfileRow;

namespace {

ProfileRow row(const std::vector<ProfileRow>& rows, const std::string& name, const std::string& module = "") {
  for (const ProfileRow& r : rows)
    if (r.name == name && r.module == module) return r;
  return {};
}
int64_t all_calls(const std::vector<ProfileRow>& rows) {
  int64_t n = 0;
  for (const ProfileRow& r : rows) n += r.calls;
  return n;
}

struct Small : nn::Module {
  nn::Sequential block = add("block", nn::Sequential(nn::Conv2d(3, 8, {.kernel_size = 3, .padding = 1}), nn::ReLU()));
  nn::Linear fc = add("fc", nn::Linear(128, 5));
  Tensor operator()(const Tensor& x) { return fc(flatten(block(x), 1)); }
};

/// An x of [2, 3, 4, 4] gives an image of [2, 8, 4, 4]: 27 products for each of its 256 elements.
constexpr int64_t kConv = 2 * 256 * 27;
/// 128 products for each of 10 elements; the bias gets the sum of 10.
constexpr int64_t kLinear = 2 * 10 * 128, kBias = 10;

/// The calls of a trace by thread, as they stand there.
using Json = nlohmann::json;
Json read_trace(const std::string& path) { return Json::parse(read_file(path)).at("traceEvents"); }
/// Is every call of a track inside of another one or beside it?
bool nested(const Json& events, int pid, int tid) {
  std::vector<std::pair<int64_t, int64_t>> calls;  // begin and end in nanoseconds
  for (const Json& e : events)
    if (e.at("ph") == "X" && e.at("pid") == pid && e.at("tid") == tid) {
      const auto ns = [&](const char* key) { return std::llround(e.at(key).get<double>() * 1e3); };
      calls.emplace_back(ns("ts"), ns("ts") + ns("dur"));
    }
  std::vector<int64_t> open;
  for (const auto& [begin, end] : calls) {  // the order of the file is that of the beginnings
    while (!open.empty() && open.back() <= begin) open.pop_back();
    if (!open.empty() && open.back() < end) return false;
    open.push_back(end);
  }
  return !calls.empty();
}

}  // namespace

TEST_SUITE_BEGIN("profiler threads");

TEST_CASE("a training step's kernels are counted with their FLOP, forward and backward") {
  Small net;
  const Tensor x = ones({2, 3, 4, 4});
  Profiler profiler(net);
  sum(net(x)).backward();
  profiler.stop();
  const auto ops = profiler.totals();
  CHECK(row(ops, "conv").calls == 1);
  CHECK(row(ops, "conv").kind == "kernel");
  CHECK(row(ops, "conv").flop == kConv);
  CHECK(row(ops, "conv").backward_ms == 0);
  CHECK(row(ops, "conv_weight_grad").calls == 1);
  CHECK(row(ops, "conv_weight_grad").flop == kConv);
  CHECK(row(ops, "conv_weight_grad").backward_ms > 0);
  CHECK(row(ops, "conv_input_grad").calls == 0);  // nobody wants the image's gradient
  CHECK(row(ops, "matmul").calls == 3);
  CHECK(row(ops, "matmul").flop == 3 * kLinear);
  CHECK(row(ops, "conv2d backward").calls == 1);
  CHECK(row(ops, "conv2d backward").kind == "backward");
  CHECK(row(ops, "conv2d backward").flop == kConv);  // of the kernels inside
  CHECK(row(ops, "Conv2d").kind == "module");
  CHECK(row(ops, "Conv2d").flop == kConv);
  CHECK(row(ops, "Sequential").total_ms >= row(ops, "Conv2d").total_ms);
  for (const ProfileRow& r : ops) {
    INFO(r.name);
    CHECK(r.self_ms >= 0);
    CHECK(r.total_ms >= r.self_ms - 1e-9);  // sums in another order
    CHECK(r.backward_ms <= r.total_ms + 1e-9);
  }

  const auto modules = profiler.totals("module");
  CHECK(row(modules, "", "block.0").calls == 1);
  CHECK(row(modules, "", "block.0").flop == 2 * kConv);  // forward and backward
  CHECK(row(modules, "", "block.0").backward_ms > 0);
  CHECK(row(modules, "", "fc").flop == 3 * kLinear + kBias);
  const int64_t relu = 2 * 256;  // one for each element, forward and backward
  CHECK(row(modules, "", "block.1").flop == relu);
  CHECK(row(modules, "", "block").flop == 2 * kConv + relu);
  CHECK(row(modules, "", "(model)").flop == 2 * kConv + relu + 3 * kLinear + kBias);
  CHECK(row(modules, "", "(model)").calls == 0);  // its class does not call through nn::call
  CHECK(row(modules, "", "block").total_ms >= row(modules, "", "block.0").total_ms);

  const auto pairs = profiler.totals("op,module");
  CHECK(row(pairs, "conv_weight_grad", "block.0").flop == kConv);
  CHECK(row(pairs, "matmul", "fc").calls == 3);
  CHECK(row(pairs, "matmul").calls == 0);
}

TEST_CASE("bytes are those that a kernel's tensors cover") {
  const Tensor x = ones({10, 10}), y = ones({10});
  const NoGrad no_grad;
  {
    Profiler profiler;
    const Tensor z = x + x;
    const ProfileRow add = row(profiler.totals(), "add");
    CHECK(add.read == 800);
    CHECK(add.written == 400);
    CHECK(add.flop == 100);
    CHECK(add.memory == 400);
  }
  {
    Profiler profiler;
    const Tensor z = x + y;  // broadcast: read once
    CHECK(row(profiler.totals(), "add").read == 440);
  }
  {
    Profiler profiler;
    const Tensor z = x > y;  // bools
    CHECK(row(profiler.totals(), "gt").written == 100);
  }
  {
    Profiler profiler;
    const Tensor z = where(x > y, x, y), c = cat({x, x}), p = x.index_select(0, tensor({3, 4, 5}));
    const auto rows = profiler.totals();
    CHECK(row(rows, "where").read == 100 + 400 + 40);
    CHECK(row(rows, "cat").read == 800);
    CHECK(row(rows, "cat").written == 800);
    CHECK(row(rows, "index_get").read == 3 * 40 + 3 * 8);  // rows and offsets
  }
}

TEST_CASE("an optimiser's step counts parameters, gradients and state") {
  nn::Linear fc(10, 10, {.bias = false});
  optim::SGD opt(fc.parameters(), {.lr = 0.1, .momentum = 0.9});
  sum(fc(ones({1, 10}))).backward();
  Profiler profiler;
  opt.step();
  const ProfileRow step = row(profiler.totals(), "sgd_momentum");
  CHECK(step.calls == 1);
  CHECK(step.read == 3 * 400);
  CHECK(step.written == 2 * 400);
}

TEST_CASE("modules without a model have paths from the outermost that is called") {
  nn::Sequential net(nn::Sequential(nn::ReLU()), nn::Linear(4, 4));
  nn::Tanh alone;
  Profiler profiler;
  net(ones({1, 4}));
  alone(ones({1, 4}));
  const auto modules = profiler.totals("module");
  CHECK(row(modules, "", "Sequential").calls == 1);
  CHECK(row(modules, "", "Sequential.0.0").calls == 1);
  CHECK(row(modules, "", "Sequential.1").calls == 1);
  CHECK(row(modules, "", "Tanh").calls == 1);
}

TEST_CASE("a module that is called beside the model's, and one that it got later") {
  nn::Sequential net{nn::ReLU()};
  Profiler profiler(net);
  net.push_back(nn::Tanh());
  net(ones({1, 4}));
  nn::Linear(4, 4)(ones({1, 4}));
  const auto modules = profiler.totals("module");
  CHECK(row(modules, "", "(model)").calls == 1);
  CHECK(row(modules, "", "0").calls == 1);
  CHECK(row(modules, "", "1").calls == 1);
  CHECK(row(modules, "", "Linear").calls == 1);
}

TEST_CASE("every thread has a track of its own") {
  Folder folder;
  Profiler profiler;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([] {
      const NoGrad no_grad;
      const ProfileRange range("worker");
      Tensor x = ones({8});
      for (int i = 0; i < 100; ++i) x = x + x;
    });
  const std::vector<ProfileRow> meanwhile = profiler.totals();  // may be asked for at any time
  for (std::thread& t : threads) t.join();
  CHECK(all_calls(meanwhile) <= 3 * (100 + 2));
  CHECK(row(profiler.totals(), "add").calls == 300);
  CHECK(row(profiler.totals(), "worker").calls == 3);
  CHECK(row(profiler.totals(), "worker").flop == 300 * 8);
  profiler.write_chrome_trace(folder / "trace.json");
  const Json trace = read_trace(folder / "trace.json");
  for (const int tid : {1, 2, 3}) CHECK(nested(trace, 1, tid));
}

TEST_CASE("a trace has the calls as they are nested, steps and memory") {
  Folder folder;
  Small net;
  Profiler profiler(net);
  for (int i = 0; i < 2; ++i) {
    const ProfileRange range("a \"step\"\n");
    sum(net(ones({2, 3, 4, 4}))).backward();
    profiler.step();
  }
  profiler.stop();
  profiler.write_chrome_trace(folder / "trace.json");
  CHECK(folder.files() == 1);
  const Json trace = read_trace(folder / "trace.json");
  CHECK(nested(trace, 1, 1));
  int64_t kernels = 0, ranges = 0, steps = 0, bytes = -1;
  for (const Json& e : trace) {
    if (e.at("ph") == "M") continue;
    CHECK(e.at("ts").get<double>() >= 0);
    if (e.at("ph") == "C") {
      bytes = e.at("args").at("bytes").get<int64_t>();
      CHECK(bytes >= 0);
      continue;
    }
    REQUIRE(e.at("ph") == "X");
    CHECK(e.at("dur").get<double>() >= 0);
    if (e.at("cat") == "kernel") ++kernels;
    if (e.at("cat") == "step") CHECK(e.at("name") == "step " + std::to_string(steps++));
    if (e.at("cat") == "range") {
      ++ranges;
      CHECK(e.at("name") == "a \"step\"\n");
    }
    if (e.at("name") == "conv") {
      CHECK(e.at("args").at("module") == "block.0");
      CHECK(e.at("args").at("flop") == kConv);
      CHECK(e.at("args").at("dtype") == "f32");
      CHECK(e.at("args").at("device") == "cpu");
    }
  }
  CHECK(steps == 2);
  CHECK(ranges == 2);
  CHECK(bytes >= 0);
  int64_t counted = 0;
  for (const ProfileRow& r : profiler.totals()) counted += r.kind == "kernel" ? r.calls : 0;
  CHECK(kernels == counted);
  says(message_of<IoError>([&] { profiler.write_chrome_trace(folder / "none/trace.json"); }), "none/trace.json");
}

TEST_CASE("nothing is recorded before the start, in steps that are skipped, and after the end") {
  const Tensor x = ones({4});
  const int observers = nn::detail::observers;
  CHECK(weft::detail::profiling() == nullptr);
  {
    Profiler profiler({.skip_steps = 2});
    for (int i = 0; i < 4; ++i) {
      CHECK((weft::detail::profiling() != nullptr) == (i >= 2));
      const Tensor y = x + x;
      profiler.step();
    }
    CHECK(profiler.is_running());
    profiler.stop();
    CHECK_FALSE(profiler.is_running());
    CHECK(weft::detail::profiling() == nullptr);
    CHECK(nn::detail::observers == observers);
    const std::string memory = profiler.memory_summary();
    const Tensor late = x + x, large = zeros({1 << 16});
    CHECK(row(profiler.totals(), "add").calls == 2);
    CHECK(profiler.memory_summary() == memory);
    says(profiler.table(), "2 steps, calls of 1 thread");
    profiler.step();
    profiler.stop();
    says(profiler.table(), "2 steps, calls of 1 thread");
  }
  CHECK(nn::detail::observers == observers);
  Profiler never({.skip_steps = 1});
  CHECK(never.totals().empty());
}

TEST_CASE("one profiler runs at a time") {
  {
    Profiler first;
    CHECK(message_of<ValueError>([] { Profiler second; }) == "Profiler: another one is running; stop() it first");
    const Tensor y = ones({4}) + 1;
    CHECK(row(first.totals(), "add").calls == 1);  // the first goes on
    first.stop();
    Profiler second;
    CHECK(second.totals().empty());
  }
  CHECK(message_of<ValueError>([] { Profiler p({.skip_steps = -1}); }) ==
        "Profiler: skip_steps is -1, expected 0 or more");
  says(message_of<ValueError>([] { Profiler p({.max_events = 0}); }), "max_events is 0");
  Profiler profiler;
  says(message_of<ValueError>([&] { profiler.totals("layer"); }),
       "Profiler: by 'layer' is unknown; expected 'op', 'module' or 'op,module'");
  says(message_of<ValueError>([&] { profiler.table({.sort = "size"}); }), "Profiler: sort 'size' is unknown");
  says(message_of<ValueError>([&] { profiler.table({.rows = -1}); }), "rows is -1");
  says(message_of<ValueError>([&] { profiler.memory_summary({}, -1); }), "rows is -1");
}

TEST_CASE("a call that throws ends there") {
  const Tensor x = ones({4});
  Profiler profiler;
  {
    const ProfileRange outer("outer");
    CHECK_THROWS_AS((void)x.index_select(0, tensor({7})), ValueError);
    CHECK_THROWS_AS((void)nn::Linear(3, 3)(x), ShapeError);
  }
  const ProfileRange after("after");
  const Tensor y = x + x;
  const auto rows = profiler.totals();
  CHECK(row(rows, "index_offsets").calls == 1);
  CHECK(row(rows, "Linear").calls == 1);
  CHECK(row(rows, "outer").flop == 0);
  CHECK(row(rows, "after").flop == 4);
  CHECK(row(profiler.totals("op,module"), "add").calls == 1);  // in no module
}

TEST_CASE("a range that outlives its profiler, and a node that does") {
  Tensor x = ones({4});
  x.set_requires_grad();
  auto first = std::make_unique<Profiler>();
  const auto range = std::make_unique<ProfileRange>("long");
  nn::Sequential net{nn::ReLU()};
  const Tensor y = sum(net(x));
  first = nullptr;
  Profiler second;
  y.backward();
  const auto rows = second.totals("op,module");
  CHECK(row(rows, "relu backward", "Sequential.0").calls == 1);
  CHECK(row(rows, "long").calls == 0);
}

TEST_CASE("ranges that overlap, and one that ends on another thread, end with those around them") {
  Profiler profiler;
  {
    const ProfileRange outer("outer");
    auto a = std::make_unique<ProfileRange>("a"), b = std::make_unique<ProfileRange>("b");
    a.reset();  // ends b too
    const ProfileRange inner("inner");
    b.reset();
    { const ProfileRange last("last"); }
    auto far = std::make_unique<ProfileRange>("far");
    std::thread([&] {
      const ProfileRange here("here");
      far.reset();
    }).join();
  }
  const ProfileRange after("after");
  profiler.stop();
  Folder folder;
  const std::string file = folder / "overlap.json";
  profiler.write_chrome_trace(file);
  const Json events = read_trace(file);
  for (const ProfileRow& r : profiler.totals()) {
    CAPTURE(r.name);
    CHECK(r.self_ms >= 0);
    CHECK(r.calls == 1);
  }
  std::map<std::string, std::pair<double, double>> span;
  std::map<std::string, int> track;
  for (const Json& e : events)
    if (e.at("ph") == "X") {
      const double begin = e.at("ts").get<double>();
      span[e.at("name").get<std::string>()] = {begin, begin + e.at("dur").get<double>()};
      track[e.at("name").get<std::string>()] = e.at("tid").get<int>();
    }
  const auto inside = [&](const char* x, const char* y) {
    return span.at(y).first <= span.at(x).first && span.at(x).second <= span.at(y).second + 1e-3;
  };
  for (const char* each : {"a", "b", "inner", "last", "far"}) CHECK(inside(each, "outer"));
  CHECK(inside("b", "a"));
  CHECK(inside("last", "inner"));
  CHECK(span.at("after").first >= span.at("outer").second);
  CHECK(track.at("here") != track.at("far"));
  CHECK(nested(events, 1, track.at("outer")));
}

TEST_CASE("modules that are gone leave their names to nobody") {
  Profiler profiler;
  const Tensor x = ones({2, 8});
  const nn::Linear a(8, 8);
  a(x);
  for (int i = 0; i < 20; ++i) {
    nn::Linear(8, 8)(x);
    nn::Tanh()(x);
  }
  profiler.stop();
  const std::vector<ProfileRow> rows = profiler.totals("op,module");
  CHECK(row(rows, "Tanh", "Tanh").calls == 20);
  CHECK(row(rows, "Linear", "Linear").calls == 21);
}

TEST_CASE("names that are no UTF-8 leave a trace that can be read") {
  Profiler profiler;
  { const ProfileRange range("a\xff\xe2\x82 \xc3\xa9\"\n"); }
  profiler.stop();
  Folder folder;
  const std::string file = folder / "names.json";
  profiler.write_chrome_trace(file);
  bool found = false;
  for (const Json& e : read_trace(file)) found |= e.at("name") == "a\uFFFD\uFFFD\uFFFD \u00E9\"\n";
  CHECK(found);
}

TEST_CASE("what is beyond the most is dropped and counted") {
  const Tensor x = ones({4});
  Profiler profiler({.max_events = 3});
  for (int i = 0; i < 10; ++i) (void)(x + x);
  CHECK(row(profiler.totals(), "add").calls == 3);
  says(profiler.table(), "were dropped");
}

TEST_CASE("memory is where its op and its module took it") {
  nn::Sequential net(nn::Linear(16, 1 << 12), nn::ReLU());
  const Tensor x = ones({4, 16});
  const NoGrad no_grad;
  Profiler profiler(net);
  const Tensor y = net(x);
  Tensor kept = exp(y);
  { const Tensor gone = exp(kept); }
  const std::string text = profiler.memory_summary();
  // 64 KiB each of relu and two exp; matmul's went when relu had it, the second exp's at the end of its scope
  says(text, "128.00 KiB in use, 192.00 KiB at the peak");
  const auto line = [&](const std::string& start) {
    std::istringstream in(text);
    for (std::string l; std::getline(in, l);)
      if (l.starts_with(start + ' ')) return l;
    return std::string();
  };
  says(line("exp"), "1  64.00 KiB   128.00 KiB");
  says(line("matmul"), "0        0 B          0 B");
  says(line("1"), "1  64.00 KiB    64.00 KiB");  // the module of relu
  says(text, "(no module)");
  says(training::memory_summary(), "Memory of cpu: ");
  says(training::memory_summary(), "Allocated on cpu while profiled");
  profiler.stop();
  CHECK(training::memory_summary().find("profiled") == std::string::npos);
  kept = Tensor();  // after the end: not seen
  says(profiler.memory_summary(), "192.00 KiB at the peak");
}

TEST_CASE("a result belongs to its kernel, whatever ran between") {
  nn::BatchNorm2d norm(4);
  const Tensor x = ones({2, 4, 8, 8});
  Profiler profiler;
  const Tensor y = norm(x);  // the kernel writes y and three statistics a channel
  CHECK(row(profiler.totals(), "norm_forward").memory == 2 * 4 * 8 * 8 * 4 + 3 * 4 * 8);
  CHECK(row(profiler.totals(), "BatchNorm2d").memory >= 2 * 4 * 8 * 8 * 4);
}

TEST_CASE("kernels of one name are one line") {
  const Tensor x = ones({4});
  Profiler profiler;
  const Tensor y = x * 2, z = x * x;
  const auto rows = profiler.totals();
  CHECK(std::count_if(rows.begin(), rows.end(), [](const ProfileRow& r) { return r.name == "mul"; }) == 1);
  CHECK(row(rows, "mul").calls == 2);
}

TEST_CASE("tables are sorted and cut as asked") {
  Profiler profiler;
  Tensor x = ones({100});
  for (int i = 0; i < 5; ++i) x = x + x;
  x = exp(x);
  const std::string by_calls = profiler.table({.sort = "calls", .rows = 1});
  says(by_calls, "\nadd ");
  says(by_calls, "2 more lines");
  CHECK(by_calls.find("\nexp ") == std::string::npos);
  says(profiler.table({.rows = 0}), "\nexp ");
  says(profiler.table({.by = "module"}), "(no module)");
  says(profiler.table({.by = "op,module"}), "name");
  CHECK(profiler.totals().front().self_ms >= profiler.totals().back().self_ms);
}

namespace {
/// The CPU as a device whose kernels run beside the caller.
class Beside final : public Backend {
 public:
  int device_count() const override { return 1; }
  std::string info(int) const override { return "beside"; }
  void* allocate(size_t bytes, int) override { return std::aligned_alloc(64, (bytes + 64) / 64 * 64); }
  void deallocate(void* p, size_t, int) noexcept override { std::free(p); }
  void copy(void* dst, Device, const void* src, Device, size_t bytes, bool) override { std::memcpy(dst, src, bytes); }
  bool asynchronous() const override { return true; }
  void synchronize(int) override {}
  MemoryStats memory_stats(int) const override { return {}; }
  void reset_peak_memory_stats(int) override {}
  void empty_cache(int) override {}
  void set_memory_limit(size_t, int) override {}
  void* new_event(int) override { return ++events, new double(0); }
  void free_event(int, void* e) noexcept override { --events, delete static_cast<double*>(e); }
  void record_event(int, void* e, void*) override { *static_cast<double*>(e) = clock += 2; }
  double elapsed_ms(void* from, void* to) override { return *static_cast<double*>(to) - *static_cast<double*>(from); }
  int events = 0;
  double clock = 0;
};
}  // namespace

TEST_CASE("kernels of a device that runs beside the CPU have its time") {
  static Beside device;
  register_backend(DeviceType::custom, &device);
  for (KernelSlot* slot : KernelSlot::all()) slot->share(DeviceType::cpu, DeviceType::custom);
  Folder folder;
  const NoGrad no_grad;
  const Tensor x = ones({4}, Device("custom"));
  {
    Profiler profiler;
    const Tensor y = x + x, z = x + y;
    profiler.stop();
    CHECK(row(profiler.totals(), "add").device_ms == 4);  // its clock goes on by 2 ms at each mark
    says(profiler.table(), "device ms");
    profiler.write_chrome_trace(folder / "trace.json");
    int64_t calls = 0;
    for (const Json& e : read_trace(folder / "trace.json")) {
      if (e.at("pid") != 2 || e.at("ph") != "X") continue;
      ++calls;
      CHECK(e.at("name") == "add");
      CHECK(e.at("dur") == 2000);
    }
    CHECK(calls == 2);
    CHECK(device.events == 5);  // two for each kernel, and the first moment
  }
  CHECK(device.events == 0);
}

TEST_SUITE_END();
