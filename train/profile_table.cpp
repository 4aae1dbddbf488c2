// A profile as text: the table of ops and modules, and where the memory is.
#include <algorithm>
#include <cstdio>
#include <map>

#include "weft/core/backend.h"
#include "weft/train/profile_record.h"

namespace weft::training::detail {
namespace {

using Cells = std::vector<std::string>;

std::string fixed(double x, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, x);
  return text;
}
/// A dash for a part of nothing.
std::string ratio(double x, double of, int digits) { return of > 0 && x > 0 ? fixed(x / of, digits) : "-"; }
std::string percent(double part, double of) { return of > 0 ? fixed(100 * part / of, 1) : "-"; }

std::string bytes_text(double bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (unit < 4 && bytes >= 1024) bytes /= 1024, ++unit;
  return fixed(bytes, unit ? 2 : 0) + " " + kUnits[unit];
}
std::string bytes_text(int64_t bytes) { return bytes_text(static_cast<double>(bytes)); }

std::string shown_module(const std::string& path) { return path.empty() ? "(no module)" : path; }

/// The first `texts` columns are words, the others numbers. The first line is the head.
std::string columns(const std::vector<Cells>& lines, size_t texts) {
  std::vector<size_t> width(lines[0].size());
  for (const Cells& line : lines)
    for (size_t k = 0; k < line.size(); ++k) width[k] = std::max(width[k], line[k].size());
  std::string out;
  for (const Cells& line : lines) {
    std::string text;
    for (size_t k = 0; k < line.size(); ++k) {
      const std::string room(width[k] - line[k].size(), ' ');
      text += (k ? "  " : "") + (k < texts ? line[k] + room : room + line[k]);
    }
    text.resize(text.find_last_not_of(' ') + 1);
    out += text + '\n';
  }
  return out;
}

double value_of(const ProfileRow& r, ProfileSort s) {
  switch (s) {
    case ProfileSort::self: return r.self_ms;
    case ProfileSort::total: return r.total_ms;
    case ProfileSort::calls: return static_cast<double>(r.calls);
    case ProfileSort::flop: return static_cast<double>(r.flop);
    case ProfileSort::bytes: return static_cast<double>(r.read + r.written);
    default: return static_cast<double>(r.memory);
  }
}

std::string count_of(size_t n, const char* what) { return std::to_string(n) + ' ' + what + (n == 1 ? "" : "s"); }

}  // namespace

std::string table_of(const ProfileData& data, const ProfileTableOptions& o) {
  WEFT_CHECK(o.rows >= 0, ValueError, "Profiler: rows is ", o.rows, ", expected 0 or more");
  const ProfileBy by = o.by;
  std::vector<ProfileRow> rows = rows_of(data, by);
  double all_ms = 0, device_ms = 0, flop = 0;
  for (const ProfileRow& r : rows) all_ms += r.self_ms;
  for (const ProfileThread& t : data.threads)
    for (const FinishedEvent& e : t.events) device_ms += e.device_ms, flop += static_cast<double>(e.flop);
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const ProfileRow& a, const ProfileRow& b) { return value_of(a, o.sort) > value_of(b, o.sort); });
  const bool names = by != ProfileBy::module, modules = by != ProfileBy::op;
  std::vector<Cells> lines(1);
  if (names) lines[0].push_back("name");
  if (modules) lines[0].push_back("module");
  for (const char* head :
       {"calls", "self ms", "self %", "total ms", "total %", "backward ms", "GFLOP/s", "GB/s", "memory"})
    lines[0].push_back(head);
  if (device_ms > 0) lines[0].push_back("device ms");
  const size_t shown = o.rows == 0 ? rows.size() : std::min(rows.size(), static_cast<size_t>(o.rows));
  for (size_t i = 0; i < shown; ++i) {
    const ProfileRow& r = rows[i];
    Cells line;
    if (names) line.push_back(r.name);
    if (modules) line.push_back(shown_module(r.module));
    const double busy_ns = 1e6 * (r.device_ms > 0 ? r.device_ms : r.total_ms);
    line.push_back(std::to_string(r.calls));
    line.push_back(fixed(r.self_ms, 3));
    line.push_back(percent(r.self_ms, all_ms));
    line.push_back(fixed(r.total_ms, 3));
    line.push_back(percent(r.total_ms, all_ms));
    line.push_back(r.backward_ms > 0 ? fixed(r.backward_ms, 3) : "-");
    line.push_back(ratio(static_cast<double>(r.flop), busy_ns, 2));
    line.push_back(ratio(static_cast<double>(r.read + r.written), busy_ns, 2));
    line.push_back(r.memory > 0 ? bytes_text(r.memory) : "-");
    if (device_ms > 0) line.push_back(fixed(r.device_ms, 3));
    lines.push_back(std::move(line));
  }
  std::string out = "Profile of " + (data.steps.empty() ? "" : count_of(data.steps.size(), "step") + ", ") +
                    "calls of " + count_of(data.threads.size(), "thread") + ": " +
                    fixed(static_cast<double>(data.duration) / 1e6, 3) + " ms, of which " + fixed(all_ms, 3) +
                    " ms are below; " + fixed(flop / 1e9, 3) + " GFLOP\n";
  out += columns(lines, size_t{names} + size_t{modules});
  if (shown < rows.size()) out += count_of(rows.size() - shown, "more line") + '\n';
  if (data.dropped > 0)
    out += std::to_string(data.dropped) + " calls and blocks were dropped; profile less, or raise max_events\n";
  return out;
}

const char* word_of(ProfileKind kind) {
  switch (kind) {
    case ProfileKind::kernel: return "kernel";
    case ProfileKind::backward: return "backward";
    case ProfileKind::module: return "module";
    default: return "range";
  }
}
std::string label_of(const FinishedEvent& e) {
  if (e.kind == ProfileKind::kernel) return e.slot->name();
  return name_of(e.name) + (e.kind == ProfileKind::backward ? " backward" : "");
}
std::string label_of(const ProfileThread& t, const FinishedBlock& b) {
  if (b.slot) return b.slot->name();
  if (b.name != 0) return name_of(b.name);
  return b.parent == 0 ? "(no op)" : label_of(t.events[b.parent - 1]);
}

std::vector<MemoryChange> memory_changes(const ProfileData& data, Device device) {
  std::vector<MemoryChange> all;
  for (const ProfileThread& t : data.threads)
    for (const FinishedBlock& b : t.blocks) all.push_back({&t, &b, b.bytes});
  std::stable_sort(all.begin(), all.end(),
                   [](const MemoryChange& a, const MemoryChange& b) { return a.block->time < b.block->time; });
  std::unordered_map<uint64_t, MemoryChange> in_use;
  std::vector<MemoryChange> out;
  for (MemoryChange c : all) {
    if (c.bytes >= 0) {
      if (c.block->device != device) continue;
      in_use[c.block->storage] = c;
    } else {
      const auto it = in_use.find(c.block->storage);
      if (it == in_use.end()) continue;  // from before the start, or another device's
      c = {it->second.thread, it->second.block, -it->second.bytes, c.block->time};
      in_use.erase(it);
      out.push_back(c);
      continue;
    }
    c.time = c.block->time;
    out.push_back(c);
  }
  return out;
}

std::string memory_of(const ProfileData& data, Device device, int64_t rows) {
  WEFT_CHECK(rows >= 0, ValueError, "memory_summary: rows is ", rows, ", expected 0 or more");
  const std::vector<MemoryChange> changes = memory_changes(data, device);
  int64_t now = 0, peak = 0;
  size_t peak_at = 0;
  for (size_t i = 0; i < changes.size(); ++i)
    if ((now += changes[i].bytes) > peak) peak = now, peak_at = i + 1;

  struct Share {
    int64_t blocks = 0, bytes = 0, at_peak = 0;
  };
  std::map<std::string, Share> by_op, by_module;
  std::map<const FinishedBlock*, const MemoryChange*> in_use;
  for (size_t i = 0; i < changes.size(); ++i) {
    const MemoryChange& c = changes[i];
    for (Share* s :
         {&by_op[label_of(*c.thread, *c.block)], &by_module[shown_module(module_of(c.block->module).path)]}) {
      s->blocks += c.bytes >= 0 ? 1 : -1;
      s->bytes += c.bytes;
      if (i < peak_at) s->at_peak += c.bytes;
    }
    if (c.bytes >= 0) in_use[c.block] = &c;
    else in_use.erase(c.block);
  }
  std::string out = "Allocated on " + str(device) + " while profiled: " + bytes_text(now) + " in use, " +
                    bytes_text(peak) + " at the peak\n";
  const auto add = [&](const char* head, const std::map<std::string, Share>& shares) {
    std::vector<std::pair<std::string, Share>> sorted(shares.begin(), shares.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return std::max(a.second.at_peak, a.second.bytes) > std::max(b.second.at_peak, b.second.bytes);
    });
    std::vector<Cells> lines{{head, "blocks in use", "in use", "at the peak"}};
    for (const auto& [name, s] : sorted)
      lines.push_back({name, std::to_string(s.blocks), bytes_text(s.bytes), bytes_text(s.at_peak)});
    out += '\n' + columns(lines, 1);
  };
  add("op", by_op);
  add("module", by_module);

  std::vector<const MemoryChange*> largest;
  for (const auto& [block, change] : in_use) largest.push_back(change);
  std::stable_sort(largest.begin(), largest.end(), [](const MemoryChange* a, const MemoryChange* b) {
    return a->bytes != b->bytes ? a->bytes > b->bytes : a->time < b->time;
  });
  if (largest.size() > static_cast<size_t>(rows)) largest.resize(static_cast<size_t>(rows));
  std::vector<Cells> lines{{"largest blocks in use", "module", "bytes"}};
  for (const MemoryChange* c : largest)
    lines.push_back(
        {label_of(*c->thread, *c->block), shown_module(module_of(c->block->module).path), bytes_text(c->bytes)});
  if (lines.size() > 1) out += '\n' + columns(lines, 2);
  return out;
}

std::string allocator_summary(Device device) {
  const MemoryStats s = memory_stats(device);
  const auto text = [](size_t n) { return bytes_text(static_cast<double>(n)); };
  return "Memory of " + str(device) + ": " + text(s.active) + " in use, " + text(s.peak_active) + " at the peak; " +
         text(s.reserved) + " taken from the system, of which " + text(s.cached) + " are cached" +
         (s.limit ? "; limit " + text(s.limit) : "") + '\n';
}

}  // namespace weft::training::detail
