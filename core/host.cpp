#include "weft/core/host.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "weft/core/fn/integer.h"

namespace weft::detail {
namespace {

std::string read(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  return std::move(text).str();
}

/// The number behind `name` at the start of a line.
bool field(const std::string& text, const std::string& name, uint64_t& value) {
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    if (at != 0 && text[at - 1] != '\n') continue;
    value = std::strtoull(text.c_str() + at + name.size(), nullptr, 10);
    return true;
  }
  return false;
}

/// "max", -1 and what is not there give false.
bool number(const std::string& text, uint64_t& value) {
  char* end = nullptr;
  value = std::strtoull(text.c_str(), &end, 10);
  return end != text.c_str() && text[0] != '-';
}

/// Calls f(folder) for this process's control group and all above it that can be seen. v1 has a hierarchy per
/// controller, v2 one ("0::/path"). Within a container the path may be the host's: then its own root is the group.
template <class F> void for_groups(const std::string& root, const std::string& controller, const F& f) {
  std::istringstream lines(read(root + "/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool v2 = names == ",,";
    if (!v2 && names.find("," + controller + ",") == std::string::npos) continue;
    const std::string mount = root + "/sys/fs/cgroup" + (v2 ? "" : "/" + controller);
    for (std::string path = line.substr(second + 1);;) {
      if (path == "/") path.clear();
      f(mount + path, v2);
      const size_t slash = path.rfind('/');
      if (path.empty() || slash == std::string::npos) break;
      path.resize(slash);
    }
  }
}

}  // namespace

size_t available_memory(const std::string& root) {
  uint64_t room = UINT64_MAX;
  const std::string machine = read(root + "/proc/meminfo");
  if (uint64_t available = 0, swap = 0; field(machine, "MemAvailable:", available)) {
    field(machine, "SwapFree:", swap);
    room = (available + swap) * 1024;
  }
  for_groups(root, "memory", [&](const std::string& group, bool v2) {
    uint64_t limit = 0, used = 0, inactive = 0, active = 0;
    if (!number(read(group + (v2 ? "/memory.max" : "/memory.limit_in_bytes")), limit)) return;
    if (!number(read(group + (v2 ? "/memory.current" : "/memory.usage_in_bytes")), used)) return;
    const std::string stat = read(group + "/memory.stat");  // pages of files can be dropped
    field(stat, v2 ? "inactive_file " : "total_inactive_file ", inactive);
    field(stat, v2 ? "active_file " : "total_active_file ", active);
    used -= std::min(used, inactive + active);
    room = std::min(room, limit - std::min(limit, used));
  });
  return static_cast<size_t>(std::min<uint64_t>(room, SIZE_MAX));
}

int cpu_quota(const std::string& root) {
  uint64_t least = 0;
  for_groups(root, "cpu", [&](const std::string& group, bool v2) {
    uint64_t quota = 0, period = 0;
    const std::string text = read(group + (v2 ? "/cpu.max" : "/cpu.cfs_quota_us"));
    if (!number(text, quota)) return;
    const size_t space = text.find(' ');
    if (!number(v2 ? space == std::string::npos ? "" : text.substr(space + 1) : read(group + "/cpu.cfs_period_us"),
                period))
      return;
    if (quota == 0 || period == 0) return;
    const uint64_t cpus = fn::ceil_div(quota, period);
    least = least == 0 ? cpus : std::min(least, cpus);
  });
  return static_cast<int>(std::min<uint64_t>(least, 1 << 20));
}

}  // namespace weft::detail
