#include "weft/train/profiler.h"

#include <algorithm>
#include <map>

#include "weft/train/profile_record.h"

namespace weft::training {
namespace {

using detail::FinishedBlock;
using detail::FinishedEvent;
using detail::ProfileData;
using detail::ProfileKind;
using detail::ProfileThread;

constexpr double kMillisecond = 1e6;  // in nanoseconds

/// Lines by what they are about. Labels are made once for each line, not for each call.
class Lines {
 public:
  explicit Lines(ProfileBy by) : by_(by) {}

  void add(const ProfileThread& t) {
    // in order of their beginnings: who is around is known before who is inside
    std::vector<double> self(t.events.size());
    std::vector<char> backward(t.events.size());
    for (size_t i = 0; i < t.events.size(); ++i) {
      const FinishedEvent& e = t.events[i];
      self[i] += static_cast<double>(e.end - e.begin);
      if (e.parent != 0) self[e.parent - 1] -= static_cast<double>(e.end - e.begin);
      backward[i] = e.kind == ProfileKind::backward || (e.parent != 0 && backward[e.parent - 1]);
    }
    for (size_t i = 0; i < t.events.size(); ++i) {
      const FinishedEvent& e = t.events[i];
      ProfileRow& own = line(e);
      if (by_ != ProfileBy::module || e.kind == ProfileKind::module) ++own.calls;
      own.self_ms += self[i] / kMillisecond;
      each_around(t, e, [&](ProfileRow& row) {
        row.total_ms += self[i] / kMillisecond;
        if (backward[i]) row.backward_ms += self[i] / kMillisecond;
        row.device_ms += e.device_ms;
        row.flop += e.flop;
        row.read += e.read;
        row.written += e.written;
      });
    }
    for (const FinishedBlock& b : t.blocks) {
      if (b.bytes < 0) continue;
      FinishedEvent as_call;
      as_call.slot = b.slot;
      as_call.module = b.module;
      as_call.parent = b.parent;
      if (!b.slot && by_ != ProfileBy::module) {  // only the calls around have it
        if (b.parent != 0) each_around(t, t.events[b.parent - 1], [&](ProfileRow& row) { row.memory += b.bytes; });
        continue;
      }
      each_around(t, as_call, [&](ProfileRow& row) { row.memory += b.bytes; });
    }
  }

  std::vector<ProfileRow> take() {
    std::vector<ProfileRow> out;
    for (auto& [key, row] : rows_) out.push_back(std::move(row));
    std::stable_sort(out.begin(), out.end(),
                     [](const ProfileRow& a, const ProfileRow& b) { return a.self_ms > b.self_ms; });
    return out;
  }

 private:
  struct Key {
    std::string_view kernel = {};  // a few slots share a name
    uint32_t name = 0, module = 0;
    ProfileKind kind = ProfileKind::module;
    auto operator<=>(const Key&) const = default;
  };

  ProfileRow& module_line(uint32_t module) {
    const auto [it, fresh] = rows_.try_emplace({.module = module});
    if (fresh) {
      it->second.module = detail::module_of(module).path;
      it->second.kind = "module";
    }
    return it->second;
  }
  ProfileRow& line(const FinishedEvent& e) {
    if (by_ == ProfileBy::module) return module_line(e.module);
    const auto [it, fresh] = rows_.try_emplace(
        Key{e.slot ? e.slot->name() : "", e.name, by_ == ProfileBy::op ? 0 : e.module, e.kind});
    if (fresh) {
      it->second.name = detail::label_of(e);
      it->second.kind = detail::word_of(e.kind);
      if (by_ == ProfileBy::op_module) it->second.module = detail::module_of(e.module).path;
    }
    return it->second;
  }
  /// The lines of a call and of those around it, each once.
  template <class F> void each_around(const ProfileThread& t, const FinishedEvent& e, const F& f) {
    around_.clear();
    if (by_ == ProfileBy::module) {
      around_.push_back(&module_line(e.module));
      for (uint32_t m = e.module; m != 0 && (m = detail::module_of(m).parent) != 0;) around_.push_back(&module_line(m));
    } else {
      for (const FinishedEvent* at = &e;; at = &t.events[at->parent - 1]) {
        ProfileRow* row = &line(*at);
        if (std::find(around_.begin(), around_.end(), row) == around_.end()) around_.push_back(row);
        if (at->parent == 0) break;
      }
    }
    for (ProfileRow* row : around_) f(*row);
  }

  ProfileBy by_;
  std::map<Key, ProfileRow> rows_;
  std::vector<ProfileRow*> around_;
};

}  // namespace

std::vector<ProfileRow> detail::rows_of(const ProfileData& data, ProfileBy by) {
  Lines lines(by);
  for (const ProfileThread& t : data.threads) lines.add(t);
  return lines.take();
}

Profiler::Profiler(const ProfilerOptions& o) : skip_(o.skip_steps) { begin(nullptr, o); }
Profiler::Profiler(const nn::Module& model, const ProfilerOptions& o) : skip_(o.skip_steps) { begin(&model, o); }

void Profiler::begin(const nn::Module* model, const ProfilerOptions& o) {
  WEFT_CHECK(o.skip_steps >= 0, ValueError, "Profiler: skip_steps is ", o.skip_steps, ", expected 0 or more");
  WEFT_CHECK(o.max_events >= 1 && o.max_events <= int64_t{1} << 30, ValueError, "Profiler: max_events is ",
             o.max_events, ", expected 1 to ", int64_t{1} << 30);
  session_ = std::make_shared<detail::ProfileSession>(model, o.max_events);
  detail::ProfileSession::reserve(session_);
  if (skip_ == 0) session_->listen();
}

Profiler::~Profiler() {
  if (running_) session_->stop();
  session_->forget();
}

void Profiler::step() {
  if (!running_) return;
  if (skip_ == 0) session_->step();
  else if (--skip_ == 0) session_->listen();
}

void Profiler::stop() {
  if (!running_) return;
  running_ = false;
  session_->stop();
}

std::vector<ProfileRow> Profiler::totals(Choice<ProfileBy> by) const { return detail::rows_of(session_->data(), by); }

std::string Profiler::table(const ProfileTableOptions& o) const { return detail::table_of(session_->data(), o); }

void Profiler::write_chrome_trace(const std::string& path) const { detail::write_trace(session_->data(), path); }

std::string Profiler::memory_summary(Device device, int64_t rows) const {
  return detail::memory_of(session_->data(), device, rows);
}

ProfileRange::ProfileRange(std::string_view name) : scope_(detail::open_range(name)) {}

std::string memory_summary(Device device, int64_t rows) {
  std::string text = detail::allocator_summary(device);
  if (const auto session = detail::ProfileSession::current()) text += detail::memory_of(session->data(), device, rows);
  return text;
}

}  // namespace weft::training
