// A profile in Chrome's Trace Event Format: an array of objects, times in microseconds.
#include <cstdio>
#include <map>

#include "weft/io/file.h"
#include "weft/train/json.h"
#include "weft/train/profile_record.h"

namespace weft::training::detail {
namespace {

class TraceFile {
 public:
  explicit TraceFile(const std::string& path) : file_(path) { put("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"); }
  /// `fields`: the object's inside.
  void add(const std::string& fields) {
    put((first_ ? "{" : ",\n{") + fields + '}');
    first_ = false;
  }
  void name(const char* what, int pid, size_t tid, const std::string& name) {
    add(std::string("\"name\":\"") + what + "\",\"ph\":\"M\",\"pid\":" + std::to_string(pid) +
        ",\"tid\":" + std::to_string(tid) + ",\"args\":{\"name\":" + json_string(name) + '}');
  }
  /// From `begin` on, in nanoseconds.
  void call(const std::string& name, const char* category, int pid, size_t tid, double begin, double duration,
            const std::string& arguments) {
    char times[96];
    std::snprintf(times, sizeof times, ",\"ts\":%.3f,\"dur\":%.3f", begin / 1e3, duration / 1e3);
    add("\"name\":" + json_string(name) + ",\"cat\":\"" + category + "\",\"ph\":\"X\"" + times +
        ",\"pid\":" + std::to_string(pid) + ",\"tid\":" + std::to_string(tid) + ",\"args\":{" + arguments + '}');
  }
  void commit() {
    put("\n]}\n");
    flush();
    file_.commit();
  }

 private:
  void put(const std::string& text) {
    buffer_ += text;
    if (buffer_.size() > size_t{1} << 20) flush();
  }
  void flush() {
    file_.write(buffer_.data(), buffer_.size());
    buffer_.clear();
  }
  io::AtomicFile file_;
  std::string buffer_;
  bool first_ = true;
};

constexpr int kProgram = 1;
constexpr size_t kSteps = 0;  // the track of the steps; threads come after it

std::string arguments_of(const FinishedEvent& e) {
  std::string out;
  const auto add = [&](const char* name, const std::string& value) {
    out += (out.empty() ? "\"" : ",\"") + std::string(name) + "\":" + value;
  };
  if (e.module != 0) add("module", json_string(module_of(e.module).path));
  if (e.kind != ProfileKind::kernel) return out;
  add("device", json_string(str(e.device)));
  add("dtype", json_string(name(e.dtype)));
  add("flop", std::to_string(e.flop));
  add("read", std::to_string(e.read));
  add("written", std::to_string(e.written));
  return out;
}

}  // namespace

void write_trace(const ProfileData& data, const std::string& path) {
  TraceFile file(path);
  file.name("process_name", kProgram, 0, "weft");
  file.name("thread_name", kProgram, kSteps, "steps");
  int64_t begin = 0;
  for (size_t i = 0; i < data.steps.size(); ++i) {
    file.call("step " + std::to_string(i), "step", kProgram, kSteps, static_cast<double>(begin),
              static_cast<double>(data.steps[i] - begin), "");
    begin = data.steps[i];
  }
  struct Clock {
    int pid;
    double zero;  // when the device's clock began
  };
  std::map<std::string, Clock> clocks;
  std::map<std::string, Device> devices;
  for (size_t t = 0; t < data.threads.size(); ++t) {
    file.name("thread_name", kProgram, t + 1, "thread " + std::to_string(t + 1));
    for (const FinishedEvent& e : data.threads[t].events) {
      const std::string arguments = arguments_of(e), label = label_of(e);
      file.call(label, word_of(e.kind), kProgram, t + 1, static_cast<double>(e.begin),
                static_cast<double>(e.end - e.begin), arguments);
      if (!e.device_end) continue;
      const std::string device = str(e.device);
      const auto [clock, fresh] = clocks.try_emplace(
          device, Clock{kProgram + 1 + static_cast<int>(clocks.size()), static_cast<double>(e.begin)});
      if (fresh) file.name("process_name", clock->second.pid, 0, device);
      file.call(label, "kernel", clock->second.pid, 0, clock->second.zero + e.device_start_ms * 1e6, e.device_ms * 1e6,
                arguments);
    }
    for (const FinishedBlock& b : data.threads[t].blocks)
      if (b.bytes >= 0) devices.try_emplace(str(b.device), b.device);
  }
  for (const auto& [name, device] : devices) {
    int64_t bytes = 0;
    for (const MemoryChange& c : memory_changes(data, device)) {
      bytes += c.bytes;
      char times[48];
      std::snprintf(times, sizeof times, ",\"ts\":%.3f", static_cast<double>(c.time) / 1e3);
      file.add("\"name\":" + json_string("memory of " + name) + ",\"cat\":\"memory\",\"ph\":\"C\"" + times +
               ",\"pid\":" + std::to_string(kProgram) + ",\"args\":{\"bytes\":" + std::to_string(bytes) + '}');
    }
  }
  file.commit();
}

}  // namespace weft::training::detail
